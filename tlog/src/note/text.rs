//! A note's shape: text above, signature lines below.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::key::check_name;
use super::{MAX_NOTE, NoteError};

/// How a signature line begins: em dash and space.
const DASH: &str = "\u{2014} ";

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    name: String,
    key_id: [u8; 4],
    signature: Vec<u8>,
}

impl NoteSignature {
    /// A line by the key of this name and id.
    ///
    /// # Errors
    /// Refuses names that no key may have, and an empty signature.
    pub fn new(name: &str, key_id: [u8; 4], signature: &[u8]) -> Result<Self, NoteError> {
        check_name(name)?;
        if signature.is_empty() {
            return Err(NoteError::Shape { line: 1, reason: "an empty signature" });
        }
        Ok(Self { name: name.to_owned(), key_id, signature: signature.to_vec() })
    }

    /// The key's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key's id.
    #[must_use]
    pub fn key_id(&self) -> [u8; 4] {
        self.key_id
    }

    /// The signature, in the form of the key's kind.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The line, with its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        let mut bytes = self.key_id.to_vec();
        bytes.extend_from_slice(&self.signature);
        format!("{DASH}{} {}\n", self.name, STANDARD.encode(bytes))
    }

    fn parse(line: &str) -> Result<Self, &'static str> {
        let rest = line.strip_prefix(DASH).ok_or("not a signature line")?;
        let (name, encoded) = rest.split_once(' ').ok_or("a signature line without signature")?;
        check_name(name).map_err(|_| "not a key's name")?;
        let bytes = STANDARD.decode(encoded).map_err(|_| "not standard base64")?;
        match bytes.split_first_chunk::<4>() {
            Some((key_id, signature)) if !signature.is_empty() => {
                Ok(Self { name: name.to_owned(), key_id: *key_id, signature: signature.to_vec() })
            }
            _ => Err("a signature of less than five bytes"),
        }
    }
}

/// A note whose shape has been checked. Nothing in it is verified: see
/// [`LogKey::verify_note`](super::LogKey::verify_note).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl Note {
    /// Reads a note.
    ///
    /// # Errors
    /// Refuses more than [`MAX_NOTE`] bytes, control characters, and what is not text, an empty
    /// line and signature lines.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE {
            return Err(NoteError::Oversize { found: note.len(), limit: MAX_NOTE });
        }
        if let Some(at) = note.find(|c: char| c < ' ' && c != '\n') {
            let line = 1 + note[..at].matches('\n').count();
            return Err(NoteError::Shape { line, reason: "a control character" });
        }
        let split = note.rfind("\n\n").ok_or(NoteError::Shape {
            line: note.matches('\n').count() + 1,
            reason: "the note ends without an empty line and signatures",
        })?;
        let text = &note[..=split];
        let first = text.matches('\n').count() + 2;
        let shape = |at: usize, reason| NoteError::Shape { line: first + at, reason };
        let lines = note[split + 2..].strip_suffix('\n');
        let lines = lines.ok_or(shape(0, "the last signature line has no end"))?;
        let signatures = lines
            .split('\n')
            .enumerate()
            .map(|(at, line)| NoteSignature::parse(line).map_err(|reason| shape(at, reason)))
            .collect::<Result<_, _>>()?;
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// Puts a note together.
    ///
    /// # Errors
    /// As [`Note::parse`].
    pub fn new(text: &str, signatures: &[NoteSignature]) -> Result<Self, NoteError> {
        let lines: String = signatures.iter().map(NoteSignature::to_line).collect();
        Self::parse(&format!("{text}\n{lines}"))
    }

    /// What is signed, with its last line's end.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines, in their order.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// The whole note.
    #[must_use]
    pub fn to_text(&self) -> String {
        let lines: String = self.signatures.iter().map(NoteSignature::to_line).collect();
        format!("{}\n{lines}", self.text)
    }
}
