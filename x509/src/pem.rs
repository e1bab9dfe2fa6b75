//! Textual encodings (RFC 7468), strict about what is inside and lenient about line lengths:
//! deployed clients send requests as one long line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Label of certificates.
pub const CERTIFICATE: &str = "CERTIFICATE";
/// Label of certificate requests.
pub const CERTIFICATE_REQUEST: &str = "CERTIFICATE REQUEST";
/// Label of certificate revocation lists.
pub const CRL: &str = "X509 CRL";

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// Why a text is not the PEM that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// A block with another label.
    #[error("the PEM label is {found:?}, expected {expected:?}")]
    Label {
        /// The label in the text.
        found: String,
        /// The label that belongs there.
        expected: &'static str,
    },
    /// No block at all.
    #[error("no PEM block; expected one labelled {expected:?}")]
    Empty {
        /// The label that belongs there.
        expected: &'static str,
    },
    /// More blocks than expected, or text after the only one.
    #[error("line {line}: text after the end of the PEM block")]
    After {
        /// Line number, from 1.
        line: usize,
    },
    /// A line that begins or ends a block and is malformed.
    #[error("line {line}: malformed PEM boundary")]
    Boundary {
        /// Line number, from 1.
        line: usize,
    },
    /// The END line is missing or has another label than the BEGIN line.
    #[error("the PEM block that begins on line {line} does not end with its own label")]
    Unterminated {
        /// Line number of the BEGIN line, from 1.
        line: usize,
    },
    /// Something other than base64 between the boundaries.
    #[error("line {line}: not base64 (RFC 4648 section 4)")]
    Base64 {
        /// Line number, from 1; of the END line when the block as a whole is at fault.
        line: usize,
    },
    /// Not text.
    #[error("not text at byte {offset}")]
    NotText {
        /// Byte offset of the first octet that is not UTF-8.
        offset: usize,
    },
    /// More blocks than allowed.
    #[error("more than {limit} PEM blocks")]
    TooMany {
        /// Greatest number allowed.
        limit: usize,
    },
}

/// Whether `input` looks like PEM rather than DER.
#[must_use]
pub fn is_pem(input: &[u8]) -> bool {
    // No DER of a SEQUENCE contains this before its end; looking at the first octet is not enough
    // since text may come before the block.
    input.first() != Some(&0x30) && input.windows(BEGIN.len()).any(|w| w == BEGIN.as_bytes())
}

/// Encodes one block with lines of 64 characters.
#[must_use]
pub fn encode(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut out = String::with_capacity(body.len() + body.len() / 64 + 64);
    out.push_str(&format!("{BEGIN}{label}{DASHES}\n"));
    for at in (0..body.len()).step_by(64) {
        out.push_str(&body[at..body.len().min(at + 64)]);
        out.push('\n');
    }
    out.push_str(&format!("{END}{label}{DASHES}\n"));
    out
}

/// Encodes certificates one after the other, in the order given.
pub fn encode_chain<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> String {
    certificates.into_iter().map(|der| encode(CERTIFICATE, der)).collect()
}

/// Decodes exactly one block with one of `labels` (the first is named in errors).
///
/// Text before the block is ignored (RFC 7468 section 2); only white space may follow.
///
/// # Errors
/// See [`PemError`].
pub fn decode_one(input: &[u8], labels: &[&'static str]) -> Result<Vec<u8>, PemError> {
    let mut blocks = Blocks::new(input)?;
    let expected = labels.first().copied().unwrap_or_default();
    let block = blocks.next_block()?.ok_or(PemError::Empty { expected })?;
    block.check_label(labels)?;
    match blocks.rest_line() {
        Some(line) => Err(PemError::After { line }),
        None => Ok(block.der),
    }
}

/// Decodes all certificates of a chain or bundle, at most `limit`. Text around blocks is ignored.
///
/// # Errors
/// See [`PemError`]; a block with another label (a private key, say) is an error.
pub fn decode_chain(input: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, PemError> {
    let mut blocks = Blocks::new(input)?;
    let mut out = Vec::new();
    while let Some(block) = blocks.next_block()? {
        block.check_label(&[CERTIFICATE])?;
        if out.len() == limit {
            return Err(PemError::TooMany { limit });
        }
        out.push(block.der);
    }
    if out.is_empty() { Err(PemError::Empty { expected: CERTIFICATE }) } else { Ok(out) }
}

struct Block<'a> {
    label: &'a str,
    der: Vec<u8>,
}

impl Block<'_> {
    fn check_label(&self, labels: &[&'static str]) -> Result<(), PemError> {
        if labels.contains(&self.label) {
            return Ok(());
        }
        // Labels are short; a longer one is not worth repeating in full.
        let found = self.label.chars().take(64).collect();
        Err(PemError::Label { found, expected: labels.first().copied().unwrap_or_default() })
    }
}

struct Blocks<'a> {
    lines: std::iter::Enumerate<std::str::Lines<'a>>,
}

impl<'a> Blocks<'a> {
    fn new(input: &'a [u8]) -> Result<Self, PemError> {
        let text = std::str::from_utf8(input)
            .map_err(|e| PemError::NotText { offset: e.valid_up_to() })?;
        Ok(Self { lines: text.lines().enumerate() })
    }

    fn next_block(&mut self) -> Result<Option<Block<'a>>, PemError> {
        let Some((begin, rest)) =
            self.lines.find_map(|(n, line)| Some((n + 1, line.trim_end().strip_prefix(BEGIN)?)))
        else {
            return Ok(None);
        };
        let label = rest.strip_suffix(DASHES).ok_or(PemError::Boundary { line: begin })?;
        let mut body = Vec::new();
        for (n, line) in self.lines.by_ref() {
            let line = line.trim();
            if let Some(end) = line.strip_prefix(END) {
                if end.strip_suffix(DASHES) != Some(label) {
                    return Err(PemError::Unterminated { line: begin });
                }
                let der = STANDARD.decode(&body).map_err(|_| PemError::Base64 { line: n + 1 })?;
                return Ok(Some(Block { label, der }));
            }
            if !line.bytes().all(|c| c.is_ascii_alphanumeric() || b"+/=".contains(&c)) {
                return Err(PemError::Base64 { line: n + 1 });
            }
            body.extend_from_slice(line.as_bytes());
        }
        Err(PemError::Unterminated { line: begin })
    }

    fn rest_line(&mut self) -> Option<usize> {
        self.lines.find(|(_, line)| !line.trim().is_empty()).map(|(n, _)| n + 1)
    }
}

#[cfg(test)]
mod tests;
