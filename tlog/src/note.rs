//! Signed notes and checkpoints: what the log says about itself, and who signed it.
//!
//! A note is a text of lines with signature lines below it (C2SP signed-note); a checkpoint is a
//! note whose text is the log's origin, its size and its root (C2SP tlog-checkpoint). Keys sign
//! with Ed25519 (signature type 0x01) or, where a token has no Ed25519, with ECDSA over P-256 and
//! SHA-256 (type 0x02), whose key id is made otherwise: the kind is part of the key, never guessed.
//!
//! Ours rather than `signed_note`'s: that crate knows Ed25519 only and hands out unverified text.
//! The tests hold both to each other.

mod checkpoint;
mod key;
mod text;

pub use checkpoint::{Checkpoint, SignedCheckpoint};
pub(crate) use key::check_name;
pub use key::{KeyKind, LogKey};
pub use text::{Note, NoteSignature};

/// Longest note that is read, in bytes: sixteen signatures of any kind fit.
pub const MAX_NOTE: usize = 128 * 1024;

/// Why a note, a checkpoint or a note's key is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not a name that a key or a log may have.
    #[error("the name {name:?} is not valid: {reason}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A public key that is neither Ed25519 nor a point of P-256.
    #[error("the public key is not valid: {reason}")]
    Key {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A verifier key whose id is not the one its bytes give.
    #[error("the verifier key says id {found}, its bytes give {expected}")]
    KeyId {
        /// Id computed from the key, hexadecimal.
        expected: String,
        /// Id in the text.
        found: String,
    },
    /// More bytes than a note may have.
    #[error("the note has {found} bytes, at most {limit} are allowed")]
    Oversize {
        /// Length found.
        found: usize,
        /// Greatest length.
        limit: usize,
    },
    /// Not of a note's shape (C2SP signed-note, "Format").
    #[error("line {line} of the note: {reason}")]
    Shape {
        /// Line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A checkpoint of another log.
    #[error("the checkpoint is of the log {found:?}, not of {expected:?}")]
    Origin {
        /// The log asked about.
        expected: String,
        /// The log in the text.
        found: String,
    },
    /// No signature of the log's key.
    #[error("the note has {signatures} signatures, none by {key}")]
    Unsigned {
        /// How many signatures there are.
        signatures: usize,
        /// The key looked for.
        key: String,
    },
    /// A signature under the log's name and key id that does not verify.
    #[error("the signature by {key} does not verify")]
    Signature {
        /// The key.
        key: String,
    },
    /// A raw signature of another length than the key's kind has.
    #[error("a raw {kind} signature has 64 bytes, not {found}")]
    RawSignature {
        /// The key's kind.
        kind: KeyKind,
        /// Length found.
        found: usize,
    },
}

#[cfg(test)]
mod tests;
