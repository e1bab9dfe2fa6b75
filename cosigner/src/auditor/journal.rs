//! What an auditor keeps: every entry that it took, in the batches that it took them in, and now
//! and then a snapshot, so that a start need not replay the whole log.
//!
//! In `audit/` of the co-signer's folder:
//!
//! * `opening.json`: the genesis event, and the secret that blinds ids;
//! * `entries-N.jsonl`: batches from leaf N on, each a line that says so and a line for each entry;
//! * `snapshot-N.json`: the replay after N leaves, with a note by the auditor's own key over it. A
//!   new file of entries begins after each. The latest one counts.
//!
//! Entries hold user ids and evidence: the folder is as private as the authority's database.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use evidence::audit::{AddEntries, BeginError, LogSnapshot, Objection, Replay, ResumeError};
use serde::{Deserialize, Serialize};
use tlog::note::Note;
use wire::bundle::{Blob, ExportLeaf};
use wire::event::Event;
use wire::{Encoded, Hash32};

use super::Audited;
use super::door::Door;
use super::vault::{self, Growing};
use crate::desk::Desk;
use crate::durable::{self, ReplaceError};

/// Bytes of entries after which a snapshot is made at the least; it is made later where the last
/// one was larger, so that all of them together cost no more than the entries do.
const SNAPSHOT_AFTER: u64 = 16 * 1024 * 1024;

/// Longest line that is read, in bytes.
pub(super) const MAX_LINE: u64 = 64 * 1024 * 1024;

const OPENING: &str = "opening.json";

/// Why what an auditor keeps is of no use.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A file cannot be read or written.
    #[error("the auditor's folder: {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not ours, or not whole.
    #[error("the auditor's folder: {path} is damaged: {reason}")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It is of another installation.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// A snapshot under this auditor's own note does not fit itself.
    #[error("a snapshot: {0}")]
    Snapshot(#[from] ResumeError),
    /// Nothing can be signed.
    #[error("a snapshot cannot be signed: {0}")]
    Sign(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Opening {
    genesis: Blob,
    blinding_secret: Blob,
}

/// The line before the entries of a batch.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) root: Hash32,
    /// The auditor's clock, milliseconds since 1970.
    pub(super) at_ms: u64,
    /// Indexes of refused leaves that a strike of the batch names.
    pub(super) passed: Vec<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    seen_ms: Option<u64>,
    log: LogSnapshot,
}

/// The files.
#[derive(Debug)]
pub(super) struct Journal {
    folder: PathBuf,
    opened: File,
    /// Made with the first batch.
    entries: Option<Growing>,
    /// Bytes of the latest snapshot.
    snapshot: u64,
}

type Loaded = (Journal, Option<Replay>, Option<u64>);

impl Journal {
    /// Reads what there is up to a size that was co-signed, and cuts off what is beyond it.
    pub(super) fn open(
        folder: PathBuf,
        desk: &Desk,
        audited: &Audited,
        cosigned: u64,
    ) -> Result<Loaded, JournalError> {
        let opened = vault::folder(&folder)?;
        let mut journal = Self { folder, opened, entries: None, snapshot: 0 };
        let Some((genesis, secret)) = journal.opening(audited)? else {
            return Ok((journal, None, None));
        };
        let snapshot = journal.latest_snapshot(desk, audited, cosigned)?;
        let (mut replay, mut seen_ms) = match &snapshot {
            Some(kept) => (Replay::resume_auditing(&genesis, secret, &kept.log)?, kept.seen_ms),
            None => (Replay::begin_auditing(&genesis, secret)?, None),
        };
        replay = replay.knowing(audited.engine);
        let from = replay.size();
        for (first, path) in journal.files("entries-", ".jsonl")? {
            if first < from {
                continue;
            }
            let keep = if first == replay.size() {
                again(&path, &mut replay, &mut seen_ms, cosigned)?
            } else {
                0
            };
            let name = format!("entries-{first}.jsonl");
            if keep == 0 && first < cosigned {
                let reason = "co-signed entries before it, or its first, are lost".to_owned();
                return Err(JournalError::Damaged { path, reason });
            }
            if keep == 0 {
                // Begun after a snapshot, and nothing of it was co-signed.
                std::fs::remove_file(&path)
                    .map_err(|source| JournalError::File { path: path.clone(), source })?;
            } else {
                journal.entries =
                    Some(Growing::open(&journal.folder, &journal.opened, &name, keep)?);
            }
        }
        let begun = (replay.size() > 0).then_some(replay);
        Ok((journal, begun, seen_ms))
    }

    /// What people handed in, beside the entries.
    pub(super) fn door(
        &self,
        desk: &Desk,
        replay: Option<&mut Replay>,
    ) -> Result<Door, JournalError> {
        Door::open(&self.folder, &self.opened, desk, replay)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps a batch. On the disk when it returns.
    pub(super) fn append(&mut self, asked: &AddEntries, batch: &Batch) -> Result<(), JournalError> {
        if let (Some(secret), Some(first)) = (asked.secret(), asked.entries().first()) {
            let genesis = first.event.as_ref().map(|event| event.event.clone());
            let genesis = genesis.unwrap_or_default();
            let opening = Opening { genesis, blinding_secret: Blob(secret.to_vec()) };
            self.replace(OPENING, &self.json(OPENING, &opening)?)?;
        }
        let mut lines = self.json("entries", batch)?;
        lines.push(b'\n');
        for entry in asked.entries() {
            lines.extend(self.json("entries", entry)?);
            lines.push(b'\n');
        }
        let entries = match &mut self.entries {
            Some(entries) => entries,
            none => {
                let name = format!("entries-{}.jsonl", batch.from);
                none.insert(Growing::open(&self.folder, &self.opened, &name, 0)?)
            }
        };
        entries.append(&lines)
    }

    /// Whether enough was appended since the last snapshot.
    pub(super) fn snapshot_is_due(&self) -> bool {
        self.entries
            .as_ref()
            .is_some_and(|entries| entries.length() > self.snapshot.max(SNAPSHOT_AFTER))
    }

    /// Puts a replay away, signed.
    pub(super) fn snapshot(
        &mut self,
        replay: &Replay,
        seen_ms: Option<u64>,
        desk: &Desk,
    ) -> Result<(), JournalError> {
        let Some(log) = replay.snapshot() else { return Ok(()) };
        let size = log.size();
        let kept = self.json("snapshot", &Kept { seen_ms, log })?;
        let text = note_text(replay.installation().genesis(), size, &kept);
        let note = desk.vouch(&text).map_err(|error| JournalError::Sign(error.to_string()))?;
        let mut file = self.json("snapshot", &note.to_text())?;
        file.push(b'\n');
        file.extend(&kept);
        self.replace(&format!("snapshot-{size}.json"), &file)?;
        self.snapshot = file.len() as u64;
        self.entries = None;
        for (of, path) in self.files("snapshot-", ".json")? {
            if of != size {
                std::fs::remove_file(&path)
                    .map_err(|source| JournalError::File { path, source })?;
            }
        }
        Ok(())
    }

    fn opening(&self, audited: &Audited) -> Result<Option<(Event, [u8; 32])>, JournalError> {
        let path = self.folder.join(OPENING);
        let json = match std::fs::read(&path) {
            Ok(json) => json,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(JournalError::File { path, source }),
        };
        let damaged = |reason: String| JournalError::Damaged { path: path.clone(), reason };
        let opening: Opening =
            serde_json::from_slice(&json).map_err(|error| damaged(error.to_string()))?;
        let genesis = Event::from_canonical(&opening.genesis.0)
            .map_err(|error| damaged(error.to_string()))?;
        if genesis.hash() != audited.genesis {
            return Err(damaged(format!(
                "it is of installation {}, the trust file names {}",
                genesis.hash(),
                audited.genesis
            )));
        }
        let secret = opening.blinding_secret.0.try_into();
        let secret = secret.map_err(|_| damaged("no secret of 32 bytes".to_owned()))?;
        Ok(Some((genesis, secret)))
    }

    /// The latest snapshot of what was co-signed. One that this key did not sign is refused.
    fn latest_snapshot(
        &mut self,
        desk: &Desk,
        audited: &Audited,
        cosigned: u64,
    ) -> Result<Option<Kept>, JournalError> {
        let found = self.files("snapshot-", ".json")?.into_iter().rev();
        let Some((size, path)) = found.into_iter().find(|(size, _)| *size <= cosigned) else {
            return Ok(None);
        };
        let damaged =
            |reason: &str| JournalError::Damaged { path: path.clone(), reason: reason.to_owned() };
        let file = std::fs::read(&path)
            .map_err(|source| JournalError::File { path: path.clone(), source })?;
        let end = file.iter().position(|byte| *byte == b'\n');
        let (note, kept) = file.split_at(end.ok_or_else(|| damaged("not whole"))?);
        let kept = &kept[1..];
        let note: String = serde_json::from_slice(note).map_err(|_| damaged("no note"))?;
        let note = Note::parse(&note).map_err(|error| damaged(&error.to_string()))?;
        let signed = desk.key().time_in(&note).map_err(|error| damaged(&error.to_string()))?;
        if signed.is_none() || note.text() != note_text(audited.genesis, size, kept) {
            return Err(damaged("it is not what this auditor signed"));
        }
        self.snapshot = file.len() as u64;
        serde_json::from_slice(kept).map(Some).map_err(|error| damaged(&error.to_string()))
    }

    /// Files named for a size, by that.
    pub(super) fn files(
        &self,
        head: &str,
        tail: &str,
    ) -> Result<Vec<(u64, PathBuf)>, JournalError> {
        let file = |source| JournalError::File { path: self.folder.clone(), source };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(file)? {
            let entry = entry.map_err(file)?;
            let name = entry.file_name();
            let size = name
                .to_str()
                .and_then(|name| name.strip_prefix(head)?.strip_suffix(tail)?.parse::<u64>().ok());
            files.extend(size.map(|size| (size, entry.path())));
        }
        files.sort_unstable();
        Ok(files)
    }

    fn json(&self, what: &str, value: &impl Serialize) -> Result<Vec<u8>, JournalError> {
        serde_json::to_vec(value).map_err(|error| JournalError::File {
            path: self.folder.join(what),
            source: error.into(),
        })
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), JournalError> {
        durable::replace(&self.folder, &self.opened, name, bytes).map_err(|error| match error {
            ReplaceError::Kept(source) | ReplaceError::Unsure(source) => {
                JournalError::File { path: self.folder.join(name), source }
            }
        })
    }
}

/// What the auditor signs of a snapshot. No log's checkpoint has such a second line.
fn note_text(genesis: Hash32, size: u64, kept: &[u8]) -> String {
    format!("avouch.org/auditor-snapshot/v1\nof {genesis}\n{size}\n{}\n", Hash32::of(kept))
}

/// Replays the batches of a file up to a size; returns the length of what was replayed.
fn again(
    path: &Path,
    replay: &mut Replay,
    seen_ms: &mut Option<u64>,
    until: u64,
) -> Result<u64, JournalError> {
    let file = |source| JournalError::File { path: path.to_owned(), source };
    let damaged = |reason: String| JournalError::Damaged { path: path.to_owned(), reason };
    let mut input = BufReader::new(File::open(path).map_err(file)?);
    let mut length = 0;
    while replay.size() < until {
        let mut read = 0;
        let Some(batch) = line::<Batch>(&mut input, &mut read).map_err(file)? else { break };
        if batch.from != replay.size() || batch.to > until {
            return Err(damaged(format!("leaves {} to {} do not fit", batch.from, batch.to)));
        }
        let mut entries = Vec::new();
        for _ in batch.from..batch.to {
            let entry = line::<ExportLeaf>(&mut input, &mut read).map_err(file)?;
            entries.push(entry.ok_or_else(|| damaged("it breaks off".to_owned()))?);
        }
        let passed = |replay: &Replay, _: &Event| {
            if !batch.passed.contains(&replay.size()) {
                return Ok(());
            }
            let (expected, found) = ("a strike".to_owned(), "none".to_owned());
            Err(Objection { rule: "passed-once", expected, found })
        };
        replay
            .batch(&entries, (batch.to, batch.root), &passed)
            .map_err(|error| damaged(error.to_string()))?;
        *seen_ms = Some(batch.at_ms);
        length += read;
    }
    Ok(length)
}

/// The next line, if there is a whole one; its length is added up.
fn line<T: serde::de::DeserializeOwned>(
    input: &mut impl BufRead,
    read: &mut u64,
) -> std::io::Result<Option<T>> {
    let mut line = Vec::new();
    input.take(MAX_LINE).read_until(b'\n', &mut line)?;
    if line.last() != Some(&b'\n') {
        return Ok(None);
    }
    *read += line.len() as u64;
    serde_json::from_slice(&line).map(Some).map_err(std::io::Error::from)
}
