//! PEM (RFC 7468).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Armours DER, 64 characters to the line.
pub fn encode(label: &str, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut out = Zeroizing::new(String::with_capacity(body.len() * 65 / 64 + 128));
    out.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

/// The first block with this label.
pub(crate) fn block(input: &[u8], label: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let text = std::str::from_utf8(input).map_err(|_| "PEM that is not text".to_owned())?;
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let start = text.find(&begin).ok_or_else(|| format!("no PEM block labelled {label}"))?;
    let body = &text[start + begin.len()..];
    let body = &body[..body.find(&end).ok_or_else(|| format!("PEM block {label} has no end"))?];
    let mut compact = Zeroizing::new(String::with_capacity(body.len()));
    compact.extend(body.chars().filter(|c| !c.is_ascii_whitespace()));
    STANDARD
        .decode(compact.as_bytes())
        .map(Zeroizing::new)
        .map_err(|e| format!("PEM block {label}: {e}"))
}
