//! PEM (RFC 7468), as loosely as files in the wild demand: text around the blocks is skipped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::asn1::ParseError;

/// The decoded blocks with one of these labels; input without any PEM armour is DER, one block.
pub(crate) fn blocks(input: &[u8], labels: &[&str]) -> Result<Vec<Vec<u8>>, ParseError> {
    const BEGIN: &str = "-----BEGIN ";
    let Ok(text) = std::str::from_utf8(input) else { return Ok(vec![input.to_vec()]) };
    if !text.contains(BEGIN) {
        return Ok(vec![input.to_vec()]);
    }
    let mut out = Vec::new();
    let mut pos = 0;
    while let Some(found) = text[pos..].find(BEGIN) {
        let start = pos + found;
        let bad = |what: &str| ParseError::new(start, format!("PEM: {what}"));
        let label_start = start + BEGIN.len();
        let label_len = text[label_start..].find("-----").ok_or_else(|| bad("no end of label"))?;
        let label = &text[label_start..label_start + label_len];
        let body_start = label_start + label_len + "-----".len();
        let end = format!("-----END {label}-----");
        let body_len = text[body_start..].find(&end).ok_or_else(|| bad("no end of block"))?;
        if labels.contains(&label) {
            let body: String = text[body_start..body_start + body_len]
                .chars()
                .filter(|c| !c.is_ascii_whitespace())
                .collect();
            let der = STANDARD.decode(body).map_err(|e| bad(&format!("bad base64: {e}")))?;
            out.push(der);
        }
        pos = body_start + body_len + end.len();
    }
    if out.is_empty() {
        return Err(ParseError::new(0, format!("PEM without a block labelled {}", labels[0])));
    }
    Ok(out)
}
