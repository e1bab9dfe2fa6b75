//! The folder in which a co-signer remembers what it co-signed.
//!
//! `cosigner.json` says whose folder it is and which logs it co-signed; each log has a
//! file with the latest checkpoint that was co-signed, as a note with the log's signature and the
//! co-signature itself. So a log whose file is gone is not taken for a new one, and a file is
//! believed only if this key signed it. One process at a time has the folder.
//!
//! What no folder can tell is that it is an old copy: a co-signer never goes on from a copy
//! (docs/witness.md).

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use tlog::cosign::{CosignError, CosignerKey};
use tlog::note::{Note, NoteError};
use tlog::witness::{AnyCheckpoint, Head, Refusal};
use wire::Hash32;

use crate::durable::{self, ReplaceError};

const MARK: &str = "cosigner.json";
const VERSION: u32 = 1;
/// Most files of evidence of each kind.
const EVIDENCE: usize = 64;

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Something in it cannot be read or written.
    #[error("the co-signer's folder: {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has it.
    #[error("the co-signer's folder {path} is in use by another process")]
    InUse {
        /// Which.
        path: PathBuf,
    },
    /// There is none. An empty one is not made in passing: a key without its memory might
    /// co-sign a second history.
    #[error(
        "{path} is no co-signer's folder. If its content is lost, the key must not be used again: \
         make a new one (docs/witness.md)"
    )]
    Absent {
        /// Which.
        path: PathBuf,
    },
    /// A file that is not ours, or not whole.
    #[error("the co-signer's folder: {path} is damaged: {reason}")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Somebody else's.
    #[error("the co-signer's folder {path} belongs to the key {found}, not to {expected}")]
    OtherKey {
        /// Which.
        path: PathBuf,
        /// The key that it belongs to.
        found: String,
        /// The key that was given.
        expected: String,
    },
    /// A log was co-signed from this folder, and what was co-signed is gone.
    #[error(
        "the co-signer's folder: what was co-signed of the log {origin:?} is lost ({path} is not \
         there). The key must not co-sign that log again: make a new key (docs/witness.md)"
    )]
    Lost {
        /// Which log.
        origin: String,
        /// The file that should be there.
        path: PathBuf,
    },
}

/// `cosigner.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    version: u32,
    vkey: String,
    /// Logs of which something was co-signed.
    logs: BTreeSet<String>,
}

/// The latest of a log that was co-signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The tree.
    pub head: Head,
    /// When, in seconds since 1970 by the co-signer's clock.
    pub time: u64,
    /// The checkpoint, with the log's signature and the co-signature.
    pub note: Note,
}

impl Record {
    /// Takes a note that this key co-signed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn of(note: &Note, key: &CosignerKey) -> Result<Self, RecordError> {
        let checkpoint = AnyCheckpoint::parse(&note.to_text())?;
        let time = key.time_in(note)?.ok_or(RecordError::Unsigned)?;
        let head = Head { size: checkpoint.size(), root: checkpoint.root() };
        Ok(Self { head, time, note: note.clone() })
    }
}

/// Why a note is no record.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error(transparent)]
    Note(#[from] NoteError),
    #[error(transparent)]
    Cosignature(#[from] CosignError),
    #[error("it has no co-signature by this key")]
    Unsigned,
    #[error("it is of another log")]
    OtherLog,
}

/// An open folder. Nobody else has it as long as this lives.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Holds the lock.
    opened: File,
    key: CosignerKey,
    mark: Mutex<Mark>,
}

impl Folder {
    /// Makes a new folder for a new key.
    ///
    /// # Errors
    /// When it cannot be made, or one is there already.
    pub fn create(path: &Path, key: &CosignerKey) -> Result<Self, FolderError> {
        use std::os::unix::fs::DirBuilderExt;
        let file = |source| FolderError::File { path: path.to_owned(), source };
        let there = path.join(MARK);
        if there.exists() {
            let source = io::Error::from(io::ErrorKind::AlreadyExists);
            return Err(FolderError::File { path: there, source });
        }
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(file)?;
        let opened = lock(path)?;
        let mark = Mark { version: VERSION, vkey: key.vkey(), logs: BTreeSet::new() };
        let folder = Self::with(path, opened, key, mark);
        folder.write_mark(&folder.marks())?;
        let above = path.parent().filter(|above| !above.as_os_str().is_empty());
        File::open(above.unwrap_or(Path::new("."))).and_then(|a| a.sync_all()).map_err(file)?;
        Ok(folder)
    }

    /// Opens a key's folder.
    ///
    /// # Errors
    /// See [`FolderError`].
    pub fn open(path: &Path, key: &CosignerKey) -> Result<Self, FolderError> {
        if !path.join(MARK).exists() {
            return Err(FolderError::Absent { path: path.to_owned() });
        }
        let opened = lock(path)?;
        let mark = read_mark(path, key)?;
        let folder = Self::with(path, opened, key, mark);
        folder.tidy()?;
        Ok(folder)
    }

    fn with(path: &Path, opened: File, key: &CosignerKey, mark: Mark) -> Self {
        Self { path: path.to_owned(), opened, key: key.clone(), mark: Mutex::new(mark) }
    }

    /// A change is one insertion: a panic leaves nothing half done.
    fn marks(&self) -> MutexGuard<'_, Mark> {
        self.mark.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is in a key's folder, whoever has it open: each log, with the latest of it that was
    /// co-signed.
    ///
    /// # Errors
    /// See [`FolderError`].
    pub fn look(path: &Path, key: &CosignerKey) -> Result<Vec<(String, Record)>, FolderError> {
        if !path.join(MARK).exists() {
            return Err(FolderError::Absent { path: path.to_owned() });
        }
        let mark = read_mark(path, key)?;
        mark.logs
            .into_iter()
            .map(|origin| match read_record(path, &origin, key)? {
                Some(record) => Ok((origin, record)),
                None => Err(FolderError::Lost { path: path.join(name(&origin)), origin }),
            })
            .collect()
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was co-signed last of a log; none before the first.
    pub(crate) fn latest(&self, origin: &str) -> Result<Option<Record>, FolderError> {
        let record = read_record(&self.path, origin, &self.key)?;
        if record.is_some() {
            // A process killed between the two writes of `keep`.
            self.remember(origin)?;
        } else if self.marks().logs.contains(origin) {
            let path = self.path.join(name(origin));
            return Err(FolderError::Lost { origin: origin.to_owned(), path });
        }
        Ok(record)
    }

    /// Replaces what was co-signed last of a log.
    pub(crate) fn keep(&self, origin: &str, record: &Record) -> Result<(), ReplaceError> {
        let text = record.note.to_text();
        durable::replace(&self.path, &self.opened, &name(origin), text.as_bytes())?;
        // The file first: a mark without it means that it was lost.
        self.remember(origin).map_err(|error| ReplaceError::Unsure(io::Error::other(error)))
    }

    /// Keeps both checkpoints where the log's key signed what its own history contradicts, or may:
    /// in `evidence/`. One fork proves all that there is to prove, so the first ones are kept.
    /// Somebody who hands in a bad proof for a good checkpoint makes files of the other kind; of
    /// these the first half and the latest are kept, so that nobody keeps a later one out by making
    /// many, nor gets rid of an earlier one.
    pub(crate) fn keep_evidence(&self, refusal: &Refusal, cosigned: &Note, shown: &Note) {
        let kind = if matches!(refusal, Refusal::Fork { .. }) { "fork" } else { "inconsistent" };
        let folder = self.path.join("evidence");
        let path = folder.join(format!("{kind}-{}.json", Hash32::of(shown.text().as_bytes())));
        let write = || -> io::Result<()> {
            if path.exists() {
                return Ok(());
            }
            match std::fs::create_dir(&folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            let mut kept = Vec::new();
            for entry in std::fs::read_dir(&folder)?.flatten() {
                if entry.file_name().to_string_lossy().starts_with(kind) {
                    kept.push((entry.metadata()?.modified()?, entry.path()));
                }
            }
            if kept.len() >= EVIDENCE && kind == "fork" {
                return Ok(());
            }
            kept.sort_unstable();
            let later = kept.get(EVIDENCE / 2..).unwrap_or_default();
            let room = later.len().saturating_sub(EVIDENCE / 2 - 1);
            for (_, path) in &later[..room] {
                std::fs::remove_file(path)?;
            }
            let json = serde_json::json!({
                "refusal": refusal.to_string(),
                "cosigned": cosigned.to_text(),
                "shown": shown.to_text(),
            });
            std::fs::write(&path, format!("{json:#}\n"))
        };
        match write() {
            Ok(()) if kind == "fork" => {
                tracing::error!(file = %path.display(), "ALARM: the log shows two histories");
            }
            Ok(()) => {
                tracing::warn!(file = %path.display(), "a checkpoint may be of another history")
            }
            Err(error) => tracing::error!(%error, "ALARM: evidence cannot be kept: {refusal}"),
        }
    }

    fn remember(&self, origin: &str) -> Result<(), FolderError> {
        let mut mark = self.marks();
        if mark.logs.contains(origin) {
            return Ok(());
        }
        mark.logs.insert(origin.to_owned());
        self.write_mark(&mark)
    }

    fn write_mark(&self, mark: &Mark) -> Result<(), FolderError> {
        let file = |source| FolderError::File { path: self.path.join(MARK), source };
        let json = serde_json::to_vec_pretty(mark).map_err(|e| file(e.into()))?;
        durable::replace(&self.path, &self.opened, MARK, &json).map_err(|error| match error {
            ReplaceError::Kept(source) | ReplaceError::Unsure(source) => file(source),
        })
    }

    /// Removes what a process that was killed had begun to write.
    fn tidy(&self) -> Result<(), FolderError> {
        let file = |source| FolderError::File { path: self.path.clone(), source };
        for entry in std::fs::read_dir(&self.path).map_err(file)? {
            let entry = entry.map_err(file)?;
            if entry.file_name().to_string_lossy().starts_with(durable::UNFINISHED) {
                std::fs::remove_file(entry.path()).map_err(file)?;
            }
        }
        Ok(())
    }
}

impl Drop for Folder {
    /// Closing the file would do, but for a child process that was just forked and has not yet
    /// become another program: it holds the file, too.
    fn drop(&mut self) {
        let _ = flock(&self.opened, FlockOperation::Unlock);
    }
}

fn lock(path: &Path) -> Result<File, FolderError> {
    let file = |source| FolderError::File { path: path.to_owned(), source };
    let opened = File::open(path).map_err(file)?;
    match flock(&opened, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(opened),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(FolderError::InUse { path: path.to_owned() }),
        Err(errno) => Err(file(errno.into())),
    }
}

fn read_mark(folder: &Path, key: &CosignerKey) -> Result<Mark, FolderError> {
    let path = folder.join(MARK);
    let bytes =
        std::fs::read(&path).map_err(|source| FolderError::File { path: path.clone(), source })?;
    let damaged = |reason: String| FolderError::Damaged { path: path.clone(), reason };
    let mark: Mark = serde_json::from_slice(&bytes).map_err(|e| damaged(e.to_string()))?;
    if mark.version != VERSION {
        return Err(damaged(format!("version {} is not {VERSION}", mark.version)));
    }
    if mark.vkey != key.vkey() {
        let (found, expected) = (mark.vkey, key.vkey());
        return Err(FolderError::OtherKey { path: folder.to_owned(), found, expected });
    }
    Ok(mark)
}

fn read_record(
    folder: &Path,
    origin: &str,
    key: &CosignerKey,
) -> Result<Option<Record>, FolderError> {
    let path = folder.join(name(origin));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(FolderError::File { path, source }),
    };
    let record = || -> Result<Record, RecordError> {
        let note = Note::parse(&text)?;
        if AnyCheckpoint::parse(&text)?.origin() != origin {
            return Err(RecordError::OtherLog);
        }
        Record::of(&note, key)
    };
    record().map(Some).map_err(|error| FolderError::Damaged { path, reason: error.to_string() })
}

/// A log's file. Origins hold slashes and whatever else.
fn name(origin: &str) -> String {
    format!("log-{}.txt", Hash32::of(origin.as_bytes()))
}

#[cfg(test)]
mod tests;
