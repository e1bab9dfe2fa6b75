//! PEM (RFC 7468), as loosely as files in the wild demand: text around the blocks is skipped, in
//! whatever encoding it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::asn1::ParseError;

/// A block: its label, where it stands in the input, and its content if that can be decoded.
pub(crate) type Block<'a> = (&'a [u8], Result<Vec<u8>, ParseError>);

/// The blocks with one of these labels, in order; none if the input has no PEM armour, and so is
/// DER.
pub(crate) fn blocks<'a>(input: &'a [u8], labels: &[&str]) -> Option<Vec<Block<'a>>> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    const DASHES: &[u8] = b"-----";
    find(input, BEGIN)?;
    let mut out = Vec::new();
    let mut pos = 0;
    while let Some(found) = find(&input[pos..], BEGIN) {
        let start = pos + found;
        let bad = |what: &str| Err(ParseError::new(start, format!("PEM: {what}")));
        let label_start = start + BEGIN.len();
        let Some(label_len) = find(&input[label_start..], DASHES) else {
            out.push((&[][..], bad("no end of label")));
            break;
        };
        let label = &input[label_start..label_start + label_len];
        let body_start = label_start + label_len + DASHES.len();
        let end = [b"-----END ", label, DASHES].concat();
        let Some(body_len) = find(&input[body_start..], &end) else {
            out.push((label, bad("no end of block")));
            break;
        };
        if labels.iter().any(|known| known.as_bytes() == label) {
            let mut body = input[body_start..body_start + body_len].to_vec();
            body.retain(|octet| !octet.is_ascii_whitespace());
            let content = STANDARD.decode(body);
            out.push((label, content.or_else(|e| bad(&format!("bad base64: {e}")))));
        }
        pos = body_start + body_len + end.len();
    }
    if out.is_empty() {
        let what = format!("PEM without a block labelled {}", labels[0]);
        out.push((&[], Err(ParseError::new(0, what))));
    }
    Some(out)
}

/// Reads each block with one of these labels, or the one of a DER file.
pub(crate) fn each<T>(
    input: &[u8],
    labels: &[&str],
    read: impl Fn(&[u8]) -> Result<T, ParseError>,
) -> Vec<Result<T, ParseError>> {
    match blocks(input, labels) {
        Some(blocks) => blocks.into_iter().map(|(_, content)| read(&content?)).collect(),
        None => vec![read(input)],
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let (first, rest) = needle.split_first()?;
    let mut pos = 0;
    while let Some(found) = haystack[pos..].iter().position(|octet| octet == first) {
        let at = pos + found;
        if haystack[at + 1..].starts_with(rest) {
            return Some(at);
        }
        pos = at + 1;
    }
    None
}
