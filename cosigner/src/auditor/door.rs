//! The auditor's door: vetoes, suspensions and recoveries that people hand in here, since nobody
//! else takes them or passes them on. Each that holds on the log as far as it was seen is on the
//! disk before its receipt leaves; the authority asks for them; and no completion that one of them
//! stops is co-signed from then on.
//!
//! In `statements.jsonl` of the auditor's folder, a line for each: whom it is about, the request file
//! and the receipt.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use evidence::audit::Replay;
use evidence::handed::{Handed, HandedError, ReceiptError, Received};
use serde::{Deserialize, Serialize};
use wire::bundle::Blob;
use wire::receipt::ReceiptFile;
use wire::{Hash32, UserId};

use super::journal::JournalError;
use super::vault::Growing;
use crate::desk::{CosignFailure, Desk};

const FILE: &str = "statements.jsonl";

/// Most that are kept of one identity while they stand.
const OF_ONE: usize = 16;

/// For how long nothing is taken that stops what is about to complete, and how much later that may
/// happen again, milliseconds: whoever asks cannot keep the door shut.
const CLOSED_MS: u64 = 30_000;
const OPEN_MS: u64 = 90_000;

/// Why nothing was taken in.
#[derive(Debug, thiserror::Error)]
pub(super) enum DoorError {
    #[error(transparent)]
    Handed(#[from] HandedError),
    #[error("{OF_ONE} requests about this identity wait to be logged already")]
    TooMany,
    #[error("what this objects to is completing right now; try again in a moment")]
    Completing,
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the receipt cannot be signed: {0}")]
    Sign(#[from] CosignFailure),
}

/// One line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    uid: UserId,
    request: Blob,
    receipt: String,
}

/// Something that was handed in.
#[derive(Debug)]
struct Kept {
    uid: UserId,
    handed: Handed,
    file: ReceiptFile,
}

/// What was handed in and stands, and the file of all.
#[derive(Debug)]
pub(super) struct Door {
    kept: Vec<Kept>,
    file: Growing,
    /// Until when nothing is taken that stops what an intent asked for.
    closed: HashMap<Hash32, u64>,
}

impl Door {
    /// Reads what was handed in, and tells the replay what of it stops something.
    pub(super) fn open(
        folder: &Path,
        opened: &File,
        desk: &Desk,
        replay: Option<&mut Replay>,
    ) -> Result<Self, JournalError> {
        let path = folder.join(FILE);
        let damaged = |reason: String| JournalError::Damaged { path: path.clone(), reason };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(JournalError::File { path, source }),
        };
        // No receipt left for a line that breaks off.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut kept = Vec::new();
        let mut replay = replay;
        for line in text[..whole].lines() {
            let Line { uid, request, receipt } =
                serde_json::from_str(line).map_err(|error| damaged(error.to_string()))?;
            let file = ReceiptFile::new(request.0, receipt);
            let received = Received::open(&file, [desk.key()])
                .map_err(|error: ReceiptError| damaged(error.to_string()))?;
            if let Some(replay) = replay.as_deref_mut() {
                replay.object(&uid, received.stops());
            }
            kept.push(Kept { uid, handed: received.handed, file });
        }
        let file = Growing::open(folder, opened, FILE, whole as u64)?;
        Ok(Self { kept, file, closed: HashMap::new() })
    }

    /// Takes something in, and returns the receipt. The same twice has one receipt.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        replay: &mut Replay,
        desk: &Desk,
    ) -> Result<String, DoorError> {
        let handed = Handed::parse(bytes)?;
        if let Some(known) = self.kept.iter().find(|kept| kept.handed.hash() == handed.hash()) {
            return Ok(known.file.receipt.clone());
        }
        let now_ms = desk.clock().now().saturating_mul(1000);
        let (uid, stops) = replay.weigh(&handed, now_ms)?;
        let is_closed =
            |intent: &Hash32| self.closed.get(intent).is_some_and(|until| now_ms < *until);
        if stops.iter().any(|stopped| is_closed(&stopped.intent)) {
            return Err(DoorError::Completing);
        }
        self.tidy(replay, now_ms);
        if self.kept.iter().filter(|kept| kept.uid == uid).count() >= OF_ONE {
            return Err(DoorError::TooMany);
        }
        let receipt = desk.vouch(&handed.receipt(replay.size(), &stops).to_text())?.to_text();
        let file = ReceiptFile::new(bytes.to_vec(), receipt.clone());
        let (request, uid) = (file.request.clone(), uid.clone());
        let line = Line { uid: uid.clone(), request, receipt: receipt.clone() };
        let mut line = serde_json::to_vec(&line).map_err(|error| JournalError::Damaged {
            path: FILE.into(),
            reason: error.to_string(),
        })?;
        line.push(b'\n');
        self.file.append(&line)?;
        replay.object(&uid, stops);
        self.kept.push(Kept { uid, handed, file });
        Ok(receipt)
    }

    /// What was handed in and would be logged by the rules now. With `closing` nothing more is taken
    /// for a moment that stops what this intent asked for; whether that is so is said, too.
    pub(super) fn standing(
        &mut self,
        replay: &Replay,
        now_ms: u64,
        closing: Option<Hash32>,
    ) -> (bool, Vec<&ReceiptFile>) {
        self.tidy(replay, now_ms);
        self.closed.retain(|_, until| now_ms < until.saturating_add(OPEN_MS));
        let closed = closing.is_some_and(|intent| {
            let until = self.closed.entry(intent).or_insert(now_ms.saturating_add(CLOSED_MS));
            now_ms < *until
        });
        (closed, self.kept.iter().map(|kept| &kept.file).collect())
    }

    /// Drops what is done, or came to nothing otherwise. The file keeps it.
    fn tidy(&mut self, replay: &Replay, now_ms: u64) {
        self.kept.retain(|kept| replay.weigh(&kept.handed, now_ms).is_ok());
    }
}
