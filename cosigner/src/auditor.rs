//! An auditor: a witness that replays every entry of one installation's log, with its evidence,
//! before it co-signs.
//!
//! All entries of a request are taken, or none. What was taken is on the disk before the
//! co-signature is made (`journal.rs`); what was refused is an alarm ([`Alarm`]) until a request
//! goes past it: a strike by the officers, or a newer auditor.

mod alarm;
mod calls;
mod counter;
mod door;
mod journal;
mod lending;
mod rules;
mod vault;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use evidence::audit::{AddEntries, BatchError, BeginError, Refused, Replay};
use tlog::note::{LogKey, Note};
use tlog::witness::{Head, Refusal};
use tokio::sync::Semaphore;
use wire::event::Event;
use wire::leaf::Leaf;
use wire::{Encoded, Hash32};

use crate::desk::{Desk, Served};
use crate::folder::FolderError;

pub use alarm::{Alarm, AlarmHook, alarm_in};
pub use calls::routes;
pub use journal::JournalError;
pub use rules::SLACK_MS;

use counter::Doorkeeper;
use door::Door;
use journal::{Batch, Journal};
use rules::Seen;

/// What is kept, within the co-signer's folder.
const FOLDER: &str = "audit";

/// Whose log is audited.
#[derive(Debug, Clone)]
pub struct Audited {
    /// Hash of the genesis event, from the trust file.
    pub genesis: Hash32,
    /// The key that signs the log's checkpoints, from the trust file.
    pub log: LogKey,
    /// The newest engine version that is known; older ones than this program's in tests alone.
    pub engine: u8,
}

impl Audited {
    /// The log, as a witness serves it.
    #[must_use]
    pub fn served(&self) -> Served {
        Served { origin: self.log.origin().to_owned(), keys: vec![self.log.clone()] }
    }
}

/// Why an auditor cannot start.
#[derive(Debug, thiserror::Error)]
pub enum AuditorError {
    /// What was co-signed cannot be read.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// What it keeps.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What it keeps is not what it co-signed.
    #[error(
        "the entries that are kept lead to size {kept}; co-signed were {cosigned} leaves. Something \
         of the folder is lost or from another time: make a new key, and audit from the first \
         entry (docs/auditor.md)"
    )]
    Behind {
        /// Leaves that are kept.
        kept: u64,
        /// Leaves that were co-signed.
        cosigned: u64,
    },
}

/// Why entries are not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuditFailure {
    /// They are refused.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// They cannot be kept.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What is kept was not read again after a failure.
    #[error("what was audited is not known after a failure of the disk; restart the auditor")]
    Lost,
}

/// An auditor.
#[derive(Debug)]
pub struct Auditor {
    desk: Arc<Desk>,
    audited: Audited,
    inner: Mutex<Inner>,
    alarms: alarm::Alarms,
    /// For bodies with entries, which are large.
    room: Arc<Semaphore>,
    doorkeeper: Doorkeeper,
}

/// Bodies with entries that are in memory at once.
const ROOM: usize = 2;

#[derive(Debug)]
struct Inner {
    journal: Journal,
    /// None before the log's first entry.
    replay: Option<Replay>,
    /// What people handed in.
    door: Door,
    /// When, by the auditor's clock, the latest batch was taken; milliseconds since 1970.
    seen_ms: Option<u64>,
    lost: bool,
}

impl Auditor {
    /// Opens an auditor: what it keeps is replayed from the latest snapshot on.
    ///
    /// # Errors
    /// When that cannot be read, or is not what was co-signed.
    pub fn open(
        desk: Arc<Desk>,
        audited: Audited,
        hook: Option<AlarmHook>,
    ) -> Result<Self, AuditorError> {
        let folder = desk.folder().path().join(FOLDER);
        let alarms = alarm::Alarms::open(&folder, desk.metrics().clone(), hook)?;
        let inner = Self::load(&desk, &audited, folder)?;
        let room = Arc::new(Semaphore::new(ROOM));
        let doorkeeper = Doorkeeper::new();
        Ok(Self { desk, audited, inner: Mutex::new(inner), alarms, room, doorkeeper })
    }

    fn load(desk: &Desk, audited: &Audited, folder: PathBuf) -> Result<Inner, AuditorError> {
        let cosigned = desk.folder().latest(audited.log.origin())?;
        let cosigned = cosigned.map_or(0, |record| record.head.size);
        let (journal, mut replay, seen_ms) = Journal::open(folder, desk, audited, cosigned)?;
        let kept = replay.as_ref().map_or(0, Replay::size);
        if kept != cosigned {
            return Err(AuditorError::Behind { kept, cosigned });
        }
        let door = journal.door(desk, replay.as_mut())?;
        Ok(Inner { journal, replay, door, seen_ms, lost: false })
    }

    /// The desk that co-signs.
    #[must_use]
    pub fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// The alarm, if there is one.
    #[must_use]
    pub fn alarm(&self) -> Option<Alarm> {
        self.alarms.current()
    }

    /// Tells the hook of alarms that it was not told of yet, until dropped.
    pub async fn tell_alarms(&self) {
        self.alarms.tell().await;
    }

    /// Where a batch panicked it is lost, and what is on the disk has the last word.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes entries up to a head, which the log's key signed and which continues what was
    /// co-signed. Waits for the disk.
    fn take(&self, asked: &AddEntries, head: Head) -> Result<(), AuditFailure> {
        let mut inner = self.inner();
        // Not where the log's co-signed entries end: some were kept, and their checkpoint was not
        // co-signed. What was is on the disk.
        if inner.lost || inner.size() != asked.request().old() {
            let folder = inner.journal.folder().to_owned();
            let loaded = Self::load(&self.desk, &self.audited, folder).inspect_err(|error| {
                tracing::error!(%error, "what was audited cannot be read again");
            });
            *inner = loaded.map_err(|_| AuditFailure::Lost)?;
            // The disk has more than this process remembers that it co-signed ([`Desk`] co-signs
            // nothing then): that is no fault of the log's.
            if inner.size() != asked.request().old() {
                return Err(AuditFailure::Lost);
            }
        }
        let now_ms = self.desk.clock().now().saturating_mul(1000);
        let taken = inner.take(&self.audited, asked, head, now_ms);
        if let Err(AuditFailure::Refused(refused)) = &taken {
            self.alarms.raise(refused, asked.request().checkpoint(), now_ms)?;
        }
        taken
    }

    /// The checkpoint of `size` leaves, up to the entries that were taken, is co-signed: what was
    /// refused among them is past.
    fn cosigned(&self, size: u64, asked: &AddEntries, note: &Note) -> Result<(), JournalError> {
        if let Some(alarm) = self.alarms.over(size)? {
            self.is_it_another(&alarm, asked, note);
        }
        let mut inner = self.inner();
        let Inner { journal, replay, seen_ms, .. } = &mut *inner;
        match replay {
            Some(replay) if journal.snapshot_is_due() => {
                journal.snapshot(replay, *seen_ms, &self.desk)
            }
            _ => Ok(()),
        }
    }

    /// A log that goes past a refused leaf, with another in its place, has two histories: its key
    /// signed both. The one that was refused is kept beside the one that was co-signed.
    fn is_it_another(&self, alarm: &Alarm, asked: &AddEntries, note: &Note) {
        let at = alarm.refused.index.checked_sub(asked.request().old());
        let entry = at.and_then(|at| asked.entries().get(usize::try_from(at).ok()?));
        let leaf = entry.and_then(|entry| Leaf::from_canonical(&entry.leaf.0).ok());
        let (Some(refused), Some(leaf)) = (alarm.refused.leaf, leaf) else { return };
        if leaf.leaf_hash() == refused {
            return;
        }
        let Ok(shown) = Note::parse(&alarm.checkpoint) else { return };
        let (size, cosigned) = (alarm.refused.index, leaf.leaf_hash());
        let fork = Refusal::Fork { size, cosigned, shown: refused };
        self.desk.metrics().refused(&fork);
        self.desk.folder().keep_evidence(&fork, note, &shown);
    }
}

impl Inner {
    fn size(&self) -> u64 {
        self.replay.as_ref().map_or(0, Replay::size)
    }

    fn take(
        &mut self,
        audited: &Audited,
        asked: &AddEntries,
        head: Head,
        now_ms: u64,
    ) -> Result<(), AuditFailure> {
        let from = asked.request().old();
        if asked.entries().is_empty() {
            return Ok(());
        }
        let mut begun = None;
        let replay = match (&mut self.replay, asked.secret()) {
            (Some(replay), _) => replay,
            (None, Some(secret)) => begun.insert(begin(audited, asked, *secret)?),
            (None, None) => return Err(AuditFailure::Lost),
        };
        let seen = Seen { now_ms, before_ms: self.seen_ms };
        // Until it is whole again: what panics leaves it half changed.
        self.lost = true;
        let passed =
            replay.batch(asked.entries(), (head.size, head.root), &|_, event| seen.demands(event));
        self.lost = false;
        let passed = passed.map_err(|error| refused_batch(error, from))?;
        let batch = Batch {
            from,
            to: head.size,
            root: head.root,
            at_ms: now_ms,
            passed: passed.iter().map(|refused| refused.index).collect(),
        };
        let kept = self.journal.append(asked, &batch);
        if let Err(error) = kept {
            // The replay is ahead of the disk now, or the file has half a batch.
            self.lost = true;
            return Err(error.into());
        }
        if let Some(replay) = begun {
            self.replay = Some(replay);
        }
        self.seen_ms = Some(now_ms);
        Ok(())
    }
}

/// The log's first entries: they begin with the genesis event that the trust file names.
fn begin(audited: &Audited, asked: &AddEntries, secret: [u8; 32]) -> Result<Replay, Refused> {
    let first = asked.entries().first();
    let leaf = first.and_then(|entry| Leaf::from_canonical(&entry.leaf.0).ok());
    let refuse = |rule: &str, expected: String, found: String| Refused {
        index: 0,
        leaf: leaf.as_ref().map(Leaf::leaf_hash),
        event: Some("genesis".to_owned()),
        rule: rule.to_owned(),
        expected,
        found,
    };
    let event = first.and_then(|entry| Event::from_canonical(&entry.event.as_ref()?.event.0).ok());
    let event = event.ok_or_else(|| {
        refuse("genesis-first", "the genesis event".to_owned(), "something else".to_owned())
    })?;
    if event.hash() != audited.genesis {
        let (expected, found) = (audited.genesis.to_string(), event.hash().to_string());
        return Err(refuse("genesis-of-the-trust-file", expected, found));
    }
    let begun = Replay::begin_auditing(&event, secret);
    begun.map(|replay| replay.knowing(audited.engine)).map_err(|error| match error {
        BeginError::Installation(error) => {
            refuse("genesis-first", "an installation".to_owned(), error.to_string())
        }
        BeginError::Secret => refuse(
            "blinding-secret",
            "the secret that the genesis event commits to".to_owned(),
            "another".to_owned(),
        ),
    })
}

fn refused_batch(error: BatchError, from: u64) -> Refused {
    let refuse = |rule: &str, expected: String, found: String| Refused {
        index: from,
        leaf: None,
        event: None,
        rule: rule.to_owned(),
        expected,
        found,
    };
    match error {
        BatchError::Refused(refused) => refused,
        BatchError::NoMapRoot { size } => refuse(
            "map-root",
            "the map's root as the last leaf".to_owned(),
            format!("{size} leaves"),
        ),
        BatchError::Root { size, root, signed_size, signed_root } => refuse(
            "leaves-of-the-checkpoint",
            format!("size {signed_size}, root {signed_root}"),
            format!("size {size}, root {root}"),
        ),
    }
}

#[cfg(test)]
mod tests;
