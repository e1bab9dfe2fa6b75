//! From a request to a co-signature: the log's lock, the checks, the record, the signature.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use tlog::cosign::{CosignError, Cosigner, CosignerKey};
use tlog::note::{LogKey, Note, NoteError, NoteSignature};
use tlog::witness::{AddCheckpoint, Head, LogState, Refusal};
use tokio::sync::{Mutex, OwnedMutexGuard};
use wire::Hash32;

use crate::durable::ReplaceError;
use crate::folder::{Folder, FolderError, Record};
use crate::metrics::Metrics;
use crate::time::{self, Behind, Clock};

/// A log that is served: its origin, and the keys that may sign its checkpoints.
#[derive(Debug, Clone)]
pub struct Served {
    /// The origin.
    pub origin: String,
    /// The keys, under whatever names.
    pub keys: Vec<LogKey>,
}

/// Why nothing was co-signed, though the checkpoint is in order.
#[derive(Debug, thiserror::Error)]
pub enum CosignFailure {
    /// The clock is far behind.
    #[error(transparent)]
    Clock(#[from] Behind),
    /// It cannot be made durable; what was co-signed before is remembered.
    #[error("the checkpoint cannot be remembered: {0}")]
    Write(io::Error),
    /// It may or may not be durable. Nothing more of this log is co-signed by this process.
    #[error("the disk does not say what it remembers; nothing is co-signed until a restart")]
    Unsure,
    /// A checkpoint where none may be.
    #[error("a checkpoint is co-signed after its log was looked at, and not otherwise")]
    Checkpoint,
    /// The signature or its note could not be made.
    #[error(transparent)]
    Cosign(#[from] CosignError),
    /// As that.
    #[error(transparent)]
    Note(#[from] NoteError),
}

/// A co-signature, after it became durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// The tree.
    pub head: Head,
    /// Seconds since 1970 by the co-signer's clock.
    pub time: u64,
    /// The signature line.
    pub line: NoteSignature,
}

/// What one log's requests take turns at.
#[derive(Debug)]
struct Place {
    latest: Option<Record>,
    /// The disk did not say whether it remembers.
    unsure: bool,
}

#[derive(Debug)]
struct Log {
    served: Served,
    place: Arc<Mutex<Place>>,
}

/// All that a co-signer has, but for its server.
#[derive(Debug)]
pub struct Desk {
    cosigner: Cosigner,
    clock: Clock,
    folder: Folder,
    logs: BTreeMap<String, Log>,
    metrics: Metrics,
}

impl Desk {
    /// Serves these logs from a folder. A log that is named twice is served as the later says.
    ///
    /// # Errors
    /// When what was co-signed cannot be read.
    pub fn new(
        cosigner: Cosigner,
        clock: Clock,
        folder: Folder,
        served: Vec<Served>,
        metrics: Metrics,
    ) -> Result<Self, FolderError> {
        let mut logs = BTreeMap::new();
        for served in served {
            let latest = folder.latest(&served.origin)?;
            if let Some(record) = &latest {
                metrics.cosigned_before(&served.origin, record.head.size, record.time);
            }
            let place = Arc::new(Mutex::new(Place { latest, unsure: false }));
            logs.insert(served.origin.clone(), Log { served, place });
        }
        Ok(Self { cosigner, clock, folder, logs, metrics })
    }

    /// The co-signer's key.
    #[must_use]
    pub fn key(&self) -> &CosignerKey {
        self.cosigner.key()
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The logs that it serves.
    pub fn served(&self) -> impl Iterator<Item = &Served> {
        self.logs.values().map(|log| &log.served)
    }

    /// The latest checkpoint of a log that was co-signed, with the log's signature and the
    /// co-signature; the log by SHA-256 of its origin, in hexadecimal.
    pub async fn cosigned_last(&self, of: &str) -> Option<String> {
        let is_it = |origin: &&String| Hash32::of(origin.as_bytes()).to_string() == of;
        let origin = self.logs.keys().find(is_it)?;
        let place = Arc::clone(&self.logs.get(origin)?.place);
        let place = place.lock().await;
        Some(place.latest.as_ref()?.note.to_text())
    }

    /// Puts this co-signer's word, with the time, under a text of its own that is no checkpoint.
    ///
    /// # Errors
    /// When the text is one, or none that a note can have.
    pub fn vouch(&self, text: &str) -> Result<Note, CosignFailure> {
        if text.lines().nth(1).is_none_or(|line| line.parse::<u64>().is_ok()) {
            return Err(CosignFailure::Checkpoint);
        }
        let line = self.cosigner.cosign(text, self.clock.now())?;
        Ok(Note::new(text, &[line])?)
    }

    /// Waits for a request's turn at its log.
    ///
    /// # Errors
    /// Refuses logs that are not served, and what their keys did not sign: nobody else makes the
    /// logs' own requests wait.
    pub async fn turn(self: Arc<Self>, request: AddCheckpoint) -> Result<Turn, Refusal> {
        let origin = request.checkpoint().origin();
        let unknown = || Refusal::UnknownLog { origin: origin.to_owned() };
        let log = self.logs.get(origin).ok_or_else(unknown)?;
        match log.served.state(None).advance(&request) {
            Ok(_) | Err(Refusal::Elsewhere { .. } | Refusal::Inconsistent(_)) => {}
            Err(refused) => return Err(refused),
        }
        let place = Arc::clone(&log.place).lock_owned().await;
        Ok(Turn { served: log.served.clone(), desk: self, place, request })
    }
}

impl Served {
    fn state(&self, latest: Option<Head>) -> LogState {
        LogState { origin: self.origin.clone(), keys: self.keys.clone(), latest }
    }

    /// The signature lines by the log's keys.
    fn lines<'a>(&self, note: &'a Note) -> impl Iterator<Item = &'a NoteSignature> {
        note.signatures().iter().filter(|line| {
            self.keys.iter().any(|key| (line.name(), line.key_id()) == (key.origin(), key.id()))
        })
    }
}

/// A request whose turn it is. No other request of its log goes on as long as this lives.
#[derive(Debug)]
pub struct Turn {
    desk: Arc<Desk>,
    served: Served,
    place: OwnedMutexGuard<Place>,
    request: AddCheckpoint,
}

impl Turn {
    /// What was co-signed last of this log; none before the first.
    #[must_use]
    pub fn latest(&self) -> Option<&Record> {
        self.place.latest.as_ref()
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> &AddCheckpoint {
        &self.request
    }

    /// Checks the request as C2SP tlog-witness says.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn check(self) -> Result<Step, Refusal> {
        let latest = self.place.latest.as_ref();
        let head = self.served.state(latest.map(|record| record.head)).advance(&self.request);
        match head {
            Ok(head) => Ok(Step { turn: self, head }),
            Err(refusal) => {
                if let (true, Some(latest)) = (refusal.is_evidence(), latest) {
                    let note = self.request.checkpoint().note();
                    self.desk.folder.keep_evidence(&refusal, &latest.note, note);
                }
                Err(refusal)
            }
        }
    }
}

/// A checkpoint that continues all that was co-signed of its log. Still holds the log's lock.
#[derive(Debug)]
pub struct Step {
    turn: Turn,
    head: Head,
}

impl Step {
    /// The tree that is to be co-signed.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// What was co-signed last of this log; none before the first.
    #[must_use]
    pub fn latest(&self) -> Option<&Record> {
        self.turn.latest()
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> &AddCheckpoint {
        self.turn.request()
    }

    /// Co-signs, by the co-signer's clock. Waits for the disk: not for threads that must not.
    ///
    /// # Errors
    /// See [`CosignFailure`]. Then no co-signature leaves.
    pub fn cosign(self) -> Result<Cosigned, CosignFailure> {
        let Self { turn: Turn { desk, served, mut place, request }, head } = self;
        if place.unsure {
            return Err(CosignFailure::Unsure);
        }
        let now = desk.clock.now();
        let time = match time::next(now, place.latest.as_ref().map(|record| record.time)) {
            Ok(time) => time,
            Err(behind) => {
                desk.metrics.clock_behind();
                tracing::error!(origin = served.origin, "{behind}");
                return Err(behind.into());
            }
        };
        let note = request.checkpoint().note();
        let line = desk.cosigner.cosign(note.text(), time)?;
        let lines: Vec<_> = served.lines(note).chain([&line]).cloned().collect();
        let record = Record { head, time, note: Note::new(note.text(), &lines)? };
        match desk.folder.keep(&served.origin, &record) {
            Ok(()) => {}
            Err(ReplaceError::Kept(error)) => {
                desk.metrics.not_remembered();
                tracing::error!(origin = served.origin, %error, "a checkpoint is not remembered");
                return Err(CosignFailure::Write(error));
            }
            Err(ReplaceError::Unsure(error)) => {
                place.unsure = true;
                desk.metrics.not_remembered();
                tracing::error!(origin = served.origin, %error, "the disk may not remember");
                return Err(CosignFailure::Unsure);
            }
        }
        place.latest = Some(record);
        desk.metrics.cosigned(&served.origin, head.size, time);
        Ok(Cosigned { head, time, line })
    }
}

#[cfg(test)]
mod tests;
