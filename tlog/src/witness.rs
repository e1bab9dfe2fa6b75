//! Handing checkpoints to witnesses (C2SP tlog-witness), and what a witness checks before it
//! co-signs one.
//!
//! Pure: [`LogState::advance`] says what a witness must remember next. Whoever runs one makes that
//! durable before the co-signature leaves the house, and lets no two requests of one log overtake
//! each other.

mod text;

use wire::Hash32;

use crate::cosign::{CosignError, CosignerKey};
use crate::note::{LogKey, MAX_NOTE, Note, NoteError, NoteSignature};
use crate::proof::{ProofError, check_consistency};

/// Path of the call, below the witness's submission prefix.
pub const ADD_CHECKPOINT: &str = "/add-checkpoint";

/// Before the SHA-256 of a log's origin, in hexadecimal: where the co-signers of this project show
/// the latest checkpoint of it that they co-signed. No part of C2SP tlog-witness.
pub const COSIGNED: &str = "/cosigned/";

/// Where a co-signer shows what it co-signed last of a log, below its submission prefix.
#[must_use]
pub fn cosigned_path(origin: &str) -> String {
    format!("{COSIGNED}{}", Hash32::of(origin.as_bytes()))
}

/// Content type of a size in an answer with status 409.
pub const SIZE_TYPE: &str = "text/x.tlog.size";

/// Most hashes in a request's consistency proof.
pub const MAX_PROOF: usize = 63;

/// Longest request body, in bytes: a proof and a note.
pub const MAX_REQUEST: usize = 32 + MAX_PROOF * 45 + 1 + MAX_NOTE;

/// Longest answer that is read, in bytes.
pub const MAX_ANSWER: usize = 16 * 1024;

/// Why bytes are not a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not of the shape that C2SP tlog-witness gives a request.
    #[error("line {line} of the request: {reason}")]
    Shape {
        /// Line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// More bytes than a request may have.
    #[error("the request has {found} bytes, at most {MAX_REQUEST} are read")]
    Oversize {
        /// Length found.
        found: usize,
    },
    /// The checkpoint is not one.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] NoteError),
}

/// A checkpoint of any log: extension lines, which ours never has, are allowed here. Nothing of it
/// is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnyCheckpoint {
    note: Note,
    origin: String,
    size: u64,
    root: Hash32,
}

impl AnyCheckpoint {
    /// Reads the note of a checkpoint.
    ///
    /// # Errors
    /// Refuses what is not a note whose text begins with origin, size and root (C2SP
    /// tlog-checkpoint), and empty extension lines.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        text::checkpoint(Note::parse(note)?)
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

    /// Root of the tree of that many leaves.
    #[must_use]
    pub fn root(&self) -> Hash32 {
        self.root
    }

    /// The note.
    #[must_use]
    pub fn note(&self) -> &Note {
        &self.note
    }
}

/// A request to co-sign a checkpoint that continues the tree of `old` leaves. Nothing of it is
/// verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    old: u64,
    proof: Vec<Hash32>,
    checkpoint: AnyCheckpoint,
}

impl AddCheckpoint {
    /// A request.
    ///
    /// # Errors
    /// Refuses proofs longer than [`MAX_PROOF`].
    pub fn new(
        old: u64,
        proof: Vec<Hash32>,
        checkpoint: AnyCheckpoint,
    ) -> Result<Self, RequestError> {
        if proof.len() > MAX_PROOF {
            let reason = "more than 63 hashes";
            return Err(RequestError::Shape { line: MAX_PROOF + 2, reason });
        }
        Ok(Self { old, proof, checkpoint })
    }

    /// Reads a request's body.
    ///
    /// # Errors
    /// Refuses everything that is not of the shape that C2SP tlog-witness describes.
    pub fn parse(body: &str) -> Result<Self, RequestError> {
        text::request(body)
    }

    /// The request's body.
    #[must_use]
    pub fn to_text(&self) -> String {
        text::body(self)
    }

    /// Size of the tree that the proof begins with.
    #[must_use]
    pub fn old(&self) -> u64 {
        self.old
    }

    /// The checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> &AnyCheckpoint {
        &self.checkpoint
    }
}

/// The latest tree of a log that a witness co-signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Leaves.
    pub size: u64,
    /// Their root.
    pub root: Hash32,
}

/// What a witness knows of a log: its keys, and what it co-signed last.
#[derive(Debug, Clone)]
pub struct LogState {
    /// The log's origin.
    pub origin: String,
    /// Keys that may sign its checkpoints, under whatever names.
    pub keys: Vec<LogKey>,
    /// The latest tree that was co-signed; none before the first.
    pub latest: Option<Head>,
}

/// Why a witness does not co-sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a request.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A log that the witness does not serve.
    #[error("the log {origin:?} is not served here")]
    UnknownLog {
        /// Its origin.
        origin: String,
    },
    /// No signature by one of the log's keys, or one under such a key that does not verify.
    #[error("the checkpoint is not signed by the log: {0}")]
    Unsigned(NoteError),
    /// The proof begins with more leaves than the checkpoint has.
    #[error("the proof begins with {old} leaves, the checkpoint has {size}")]
    Shrunk {
        /// Leaves that the proof begins with.
        old: u64,
        /// Leaves of the checkpoint.
        size: u64,
    },
    /// The proof begins elsewhere than where the witness is.
    #[error("the proof begins with {old} leaves; co-signed last were {latest}")]
    Elsewhere {
        /// Leaves that the proof begins with.
        old: u64,
        /// Leaves of what was co-signed last.
        latest: u64,
    },
    /// Another root at the very size that was co-signed last: the log shows two histories.
    #[error("two roots at {size} leaves: co-signed was {cosigned}, shown is {shown}")]
    Fork {
        /// Leaves.
        size: u64,
        /// Root that was co-signed.
        cosigned: Hash32,
        /// Root that is shown now.
        shown: Hash32,
    },
    /// The checkpoint does not continue what was co-signed, by the proof given.
    #[error("the checkpoint does not continue what was co-signed: {0}")]
    Inconsistent(ProofError),
}

impl Refusal {
    /// The HTTP status of the answer (C2SP tlog-witness, "add-checkpoint").
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Request(_) | Self::Shrunk { .. } => 400,
            Self::Unsigned(_) => 403,
            Self::UnknownLog { .. } => 404,
            Self::Elsewhere { .. } | Self::Fork { .. } => 409,
            Self::Inconsistent(_) => 422,
        }
    }

    /// The size that an answer with status 409 holds.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::Elsewhere { latest, .. } => Some(*latest),
            Self::Fork { size, .. } => Some(*size),
            _ => None,
        }
    }

    /// Whether the log's key signed something that its own history contradicts, or may: worth an
    /// operator's look, and worth keeping.
    #[must_use]
    pub fn is_evidence(&self) -> bool {
        matches!(self, Self::Fork { .. } | Self::Inconsistent(_))
    }
}

impl LogState {
    /// Checks a request, in the order that C2SP tlog-witness gives, and returns what is to be
    /// remembered before the checkpoint may be co-signed.
    ///
    /// # Errors
    /// See [`Refusal`]. Then nothing is co-signed.
    pub fn advance(&self, request: &AddCheckpoint) -> Result<Head, Refusal> {
        let AddCheckpoint { old, proof, checkpoint } = request;
        let AnyCheckpoint { note, origin, size, root } = checkpoint;
        let (old, size, root) = (*old, *size, *root);
        if *origin != self.origin {
            return Err(Refusal::UnknownLog { origin: origin.clone() });
        }
        self.signed(note).map_err(Refusal::Unsigned)?;
        if old > size {
            return Err(Refusal::Shrunk { old, size });
        }
        let latest = self.latest.map_or(0, |head| head.size);
        if old != latest {
            return Err(Refusal::Elsewhere { old, latest });
        }
        match self.latest {
            Some(head) if head.size == size && head.root != root => {
                Err(Refusal::Fork { size, cosigned: head.root, shown: root })
            }
            head => {
                let old_root = head.map_or_else(|| Hash32::of(&[]), |head| head.root);
                check_consistency(proof, old, old_root, size, root)
                    .map_err(Refusal::Inconsistent)?;
                if size == 0 && root != Hash32::of(&[]) {
                    let expected = Hash32::of(&[]);
                    let error = ProofError::Root { size, expected, found: root };
                    return Err(Refusal::Inconsistent(error));
                }
                Ok(Head { size, root })
            }
        }
    }

    /// One of the log's keys signed, and none of them badly.
    fn signed(&self, note: &Note) -> Result<(), NoteError> {
        let signatures = note.signatures().len();
        let mut last = NoteError::Unsigned { signatures, key: self.origin.clone() };
        let mut signed = false;
        for key in &self.keys {
            match key.verify_note(note) {
                Ok(()) => signed = true,
                Err(unsigned @ NoteError::Unsigned { .. }) => last = unsigned,
                Err(bad) => return Err(bad),
            }
        }
        if signed { Ok(()) } else { Err(last) }
    }
}

/// What a witness answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It co-signed.
    Cosigned {
        /// The signature line, verified.
        line: NoteSignature,
        /// Its time, in seconds since 1970.
        time: u64,
    },
    /// It is at another size.
    Elsewhere {
        /// Which.
        size: u64,
    },
}

/// Why an answer is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It refused.
    #[error("the witness refused with status {status}: {reason}")]
    Refused {
        /// The status.
        status: u16,
        /// The first of what it says, if it says something.
        reason: String,
    },
    /// Not an answer of this protocol.
    #[error("the witness's answer is not of its protocol: {0}")]
    Shape(&'static str),
    /// The signature lines are none.
    #[error("the witness's answer: {0}")]
    Lines(#[from] NoteError),
    /// No co-signature by the witness's key, or a bad one.
    #[error("the witness's answer: {0}")]
    Cosignature(#[from] CosignError),
    /// Nothing by its key.
    #[error("the witness's answer has no co-signature by {key}")]
    Unsigned {
        /// The key.
        key: String,
    },
}

/// Reads a witness's answer to a request: its status and body.
///
/// # Errors
/// See [`AnswerError`]. Signature lines of other keys are ignored.
pub fn read_answer(
    status: u16,
    body: &[u8],
    checkpoint: &AnyCheckpoint,
    key: &CosignerKey,
) -> Result<Answer, AnswerError> {
    if body.len() > MAX_ANSWER {
        return Err(AnswerError::Shape("too long"));
    }
    let body = std::str::from_utf8(body);
    match status {
        200 => {
            let lines = body.map_err(|_| AnswerError::Shape("not text"))?;
            let text = checkpoint.note.text();
            let note = Note::parse(&format!("{text}\n{lines}"))?;
            // An answer that brings an empty line along could otherwise pass for another text.
            if note.text() != text {
                return Err(AnswerError::Shape("not signature lines alone"));
            }
            let unsigned = || AnswerError::Unsigned { key: key.to_string() };
            let time = key.time_in(&note)?.ok_or_else(unsigned)?;
            let line = note.signatures().iter().find(|line| key.names(line)).cloned();
            Ok(Answer::Cosigned { line: line.ok_or_else(unsigned)?, time })
        }
        409 => {
            let size = body.ok().and_then(|body| text::number(body.strip_suffix('\n')?));
            size.map(|size| Answer::Elsewhere { size })
                .ok_or(AnswerError::Shape("a conflict that names no size"))
        }
        status => {
            let reason: String = body.unwrap_or("(not text)").trim().chars().take(200).collect();
            Err(AnswerError::Refused { status, reason })
        }
    }
}

#[cfg(test)]
mod tests;
