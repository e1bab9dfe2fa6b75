//! The trust file, read once: root, log key and quorum are what they should be, or there is no
//! [`Trust`]. Every checkpoint that this client believes was opened here.

mod succession;

use path::{Certificate, ParseError};
use tlog::note::{Checkpoint, LogKey, NoteError, SignedCheckpoint};
use tlog::quorum::{PolicyError, Quorum, QuorumError};
use wire::Hash32;
use wire::trust::{TrustError, TrustFile};

use crate::log::Seen;

pub use succession::{SuccessionError, succession, successor};

/// Why a trust file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum TrustFault {
    /// Its shape.
    #[error(transparent)]
    File(#[from] TrustError),
    /// The root certificate.
    #[error("the trust file's root certificate cannot be read: {0}")]
    Root(ParseError),
    /// The log's key.
    #[error("the trust file's log key: {0}")]
    Log(NoteError),
    /// The quorum.
    #[error("the trust file's quorum: {0}")]
    Quorum(PolicyError),
    /// A quorum about other logs.
    #[error("the trust file's quorum names logs, and not the trust file's own")]
    OtherLog,
    /// A quorum over the checkpoints of no log.
    #[error("the trust file has a quorum and no log key")]
    NoLog,
}

/// Why a checkpoint is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// There is no key to verify it with.
    #[error("the trust file names no log key")]
    NoLogKey,
    /// Not a checkpoint of this log, signed by its key.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Not co-signed as the trust file demands.
    #[error("the checkpoint of {size} leaves: {source}")]
    Quorum {
        /// Leaves.
        size: u64,
        /// Who is missing.
        source: QuorumError,
    },
}

/// A checkpoint for which the co-signers last vouched too long ago.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the quorum ({rule}) last vouched for the log at {}, {age} s ago; the trust file takes {limit} s",
    path::rfc3339(i64::try_from(*.as_of).unwrap_or(i64::MAX))
)]
pub struct Stale {
    /// The quorum's rule, in words.
    pub rule: String,
    /// As of when the quorum vouches, seconds since 1970.
    pub as_of: u64,
    /// How long ago that is, in seconds.
    pub age: u64,
    /// Greatest age, in seconds.
    pub limit: u64,
}

/// A trust file whose parts were all read.
#[derive(Debug, Clone)]
pub struct Trust {
    file: TrustFile,
    root: Certificate,
    log: Option<LogKey>,
    /// None where the text is empty: a file from before there were co-signers.
    quorum: Option<Quorum>,
}

/// A checkpoint of the trust file's log, co-signed as its quorum demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    signed: SignedCheckpoint,
    as_of: Option<u64>,
}

impl Vouched {
    /// Size and root.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        self.signed.checkpoint()
    }

    /// As of when the quorum as a whole vouches for it, seconds since 1970; none where nobody
    /// co-signs.
    #[must_use]
    pub fn as_of(&self) -> Option<u64> {
        self.as_of
    }

    /// The form in which it is remembered.
    #[must_use]
    pub fn seen(&self, genesis: Hash32) -> Seen {
        let checkpoint = self.signed.checkpoint();
        let (size, root) = (checkpoint.size(), checkpoint.root());
        Seen { genesis, size, root, checkpoint: self.signed.text().to_owned() }
    }
}

impl Trust {
    /// Reads a trust file's text.
    ///
    /// # Errors
    /// See [`TrustFault`].
    pub fn parse(text: &str) -> Result<Self, TrustFault> {
        Self::of(TrustFile::parse(text)?)
    }

    /// Reads the parts of a trust file.
    ///
    /// # Errors
    /// See [`TrustFault`].
    pub fn of(file: TrustFile) -> Result<Self, TrustFault> {
        let root = Certificate::from_der(file.root()).map_err(TrustFault::Root)?;
        let given = |text: &str| !text.is_empty();
        let log = Some(file.log()).filter(|text| given(text)).map(LogKey::parse_vkey);
        let log = log.transpose().map_err(TrustFault::Log)?;
        let quorum = Some(file.quorum()).filter(|text| given(text)).map(Quorum::parse);
        let quorum = quorum.transpose().map_err(TrustFault::Quorum)?;
        if let Some(quorum) = &quorum {
            let Some(log) = &log else {
                return if quorum.is_none() {
                    Ok(Self { file, root, log: None, quorum: None })
                } else {
                    Err(TrustFault::NoLog)
                };
            };
            // Without log lines it is about whatever log it is held against.
            let logs = quorum.logs();
            if !logs.is_empty() && !logs.iter().any(|known| known.key().same_key(log)) {
                return Err(TrustFault::OtherLog);
            }
        }
        Ok(Self { file, root, log, quorum })
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &TrustFile {
        &self.file
    }

    /// Hash of the genesis event.
    #[must_use]
    pub fn genesis(&self) -> Hash32 {
        self.file.genesis()
    }

    /// The root certificate.
    #[must_use]
    pub fn root(&self) -> &Certificate {
        &self.root
    }

    /// The log's key; none in a file from before there was a log.
    #[must_use]
    pub fn log(&self) -> Option<&LogKey> {
        self.log.as_ref()
    }

    /// Whose co-signatures are demanded; none where nobody's are.
    #[must_use]
    pub fn quorum(&self) -> Option<&Quorum> {
        self.quorum.as_ref().filter(|quorum| !quorum.is_none())
    }

    /// Opens a checkpoint: signed by the log, and co-signed as the quorum demands.
    ///
    /// # Errors
    /// See [`CheckpointError`].
    pub fn open(&self, note: &str) -> Result<Vouched, CheckpointError> {
        let key = self.log.as_ref().ok_or(CheckpointError::NoLogKey)?;
        let signed = SignedCheckpoint::open(note, key)?;
        let Some(quorum) = self.quorum() else { return Ok(Vouched { signed, as_of: None }) };
        let size = signed.checkpoint().size();
        let times = quorum
            .check(signed.note())
            .map_err(|source| CheckpointError::Quorum { size, source })?;
        let as_of = quorum.as_of(&times);
        Ok(Vouched { signed, as_of })
    }

    /// Demands that the quorum vouched no longer than the greatest age of a status before `now`,
    /// seconds since 1970. Where nobody co-signs no checkpoint has a time, and the CRL's age is
    /// what bounds a status.
    ///
    /// # Errors
    /// [`Stale`].
    pub fn fresh(&self, as_of: Option<u64>, now: u64) -> Result<(), Stale> {
        let (Some(as_of), Some(quorum)) = (as_of, self.quorum()) else { return Ok(()) };
        let (age, limit) = (now.saturating_sub(as_of), self.file.max_status_age());
        if age <= limit {
            return Ok(());
        }
        Err(Stale { rule: quorum.rule(), as_of, age, limit })
    }
}

#[cfg(test)]
mod tests;
