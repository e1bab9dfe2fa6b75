//! Checkpoints: origin, size and root, and the note that carries them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use wire::Hash32;

use super::key::check_name;
use super::text::{Note, NoteSignature};
use super::{LogKey, NoteError};

/// The log's size and root under its origin (C2SP tlog-checkpoint). Says nothing about who signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash32,
}

impl Checkpoint {
    /// A checkpoint to be signed.
    ///
    /// # Errors
    /// Refuses an origin that cannot be a key's name.
    pub fn new(origin: &str, size: u64, root: Hash32) -> Result<Self, NoteError> {
        check_name(origin)?;
        Ok(Self { origin: origin.to_owned(), size, root })
    }

    /// The bytes that the log's key signs: the text with its last line's end.
    #[must_use]
    pub fn to_be_signed(&self) -> Vec<u8> {
        self.body().into_bytes()
    }

    /// The log's origin.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root of the tree of that many leaves (RFC 6962 section 2.1).
    #[must_use]
    pub fn root(&self) -> Hash32 {
        self.root
    }

    fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.as_bytes()))
    }

    /// Extension lines are allowed by C2SP and discouraged; this log's checkpoints have none, and
    /// one that has some was not made by it.
    fn parse(text: &str) -> Result<Self, NoteError> {
        let shape = |line, reason| NoteError::Shape { line, reason };
        let lines: Vec<&str> = text.strip_suffix('\n').unwrap_or(text).split('\n').collect();
        let [origin, size, root] = lines[..] else {
            let line = lines.len().min(4);
            return Err(shape(line, "a checkpoint has three lines: origin, size and root"));
        };
        let number: u64 = size.parse().map_err(|_| shape(2, "the size is not a number"))?;
        if number.to_string() != size {
            return Err(shape(2, "the size is not in its shortest form"));
        }
        let root = STANDARD.decode(root).map_err(|_| shape(3, "the root is not base64"))?;
        let root = Hash32::from_slice(&root).ok_or(shape(3, "the root has not 32 bytes"))?;
        Self::new(origin, number, root)
    }
}

/// A checkpoint with a signature of the log's key that has been verified. Other signatures are
/// kept as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
    text: String,
}

impl SignedCheckpoint {
    /// Adds the signature that the log's key made over [`Checkpoint::to_be_signed`]. `signature`
    /// is 64 bytes for Ed25519, DER for ECDSA ([`LogKey::signature_from_raw`]).
    ///
    /// # Errors
    /// Refuses a checkpoint of another origin than the key's and a signature that does not verify.
    pub fn assemble(
        checkpoint: Checkpoint,
        key: &LogKey,
        signature: &[u8],
    ) -> Result<Self, NoteError> {
        let line = NoteSignature::new(key.origin(), key.id(), signature)?;
        let note = Note::new(&checkpoint.body(), &[line])?;
        Self::verified(note, key)
    }

    /// Reads a signed checkpoint of the key's log.
    ///
    /// # Errors
    /// Refuses what is not a checkpoint, is of another origin, or is not signed by `key`.
    pub fn open(text: &str, key: &LogKey) -> Result<Self, NoteError> {
        Self::verified(Note::parse(text)?, key)
    }

    fn verified(note: Note, key: &LogKey) -> Result<Self, NoteError> {
        key.verify_note(&note)?;
        let checkpoint = Checkpoint::parse(note.text())?;
        if checkpoint.origin != key.origin() {
            return Err(NoteError::Origin {
                expected: key.origin().to_owned(),
                found: checkpoint.origin,
            });
        }
        let text = note.to_text();
        Ok(Self { checkpoint, note, text })
    }

    /// The note, as it is served and stored.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What was signed.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note: text and signature lines.
    #[must_use]
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// All signature lines, verified and unknown ones.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        self.note.signatures()
    }
}
