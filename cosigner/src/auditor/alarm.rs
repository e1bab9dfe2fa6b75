//! The alarm: entries were refused, and nothing is co-signed until a request goes past them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use evidence::audit::Refused;
use serde::{Deserialize, Serialize};
use tlog::witness::AnyCheckpoint;
use tokio::sync::Notify;

use super::journal::JournalError;
use crate::durable::{self, ReplaceError};
use crate::metrics::Metrics;

const FILE: &str = "alarm.json";
/// Pause after a hook that did not take an alarm.
const PAUSE: Duration = Duration::from_secs(30);

/// What was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// The entry, and the rule.
    pub refused: Refused,
    /// The checkpoint that was to be co-signed, with the log's signature: proof that the authority
    /// stood by the entry.
    pub checkpoint: String,
    /// When it was refused first, milliseconds since 1970 by the auditor's clock.
    pub since_ms: u64,
    /// Whether the hook took it.
    told: bool,
}

/// Where alarms are told: an HTTP POST of the alarm as JSON. What was expected and what was found is
/// not in it, since that may name people; `avouch auditor status` shows it.
#[derive(Debug, Clone)]
pub struct AlarmHook {
    client: reqwest::Client,
    url: String,
}

impl AlarmHook {
    /// A hook at an address.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn new(url: String) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).build()?;
        Ok(Self { client, url })
    }

    async fn tell(&self, alarm: &Alarm) -> Result<(), reqwest::Error> {
        let body = serde_json::json!({
            "auditor_alarm": alarm.refused.in_short(),
            "index": alarm.refused.index,
            "leaf": alarm.refused.leaf,
            "event": alarm.refused.event,
            "rule": alarm.refused.rule,
            "checkpoint": alarm.checkpoint,
            "since_ms": alarm.since_ms,
        });
        let post = self.client.post(&self.url).header("content-type", "application/json");
        let sent = post.body(body.to_string()).send().await?;
        sent.error_for_status().map(|_| ())
    }
}

/// The alarm of the auditor with this folder, whether it runs or not.
///
/// # Errors
/// When it cannot be read.
pub fn alarm_in(state: &Path) -> Result<Option<Alarm>, JournalError> {
    read(&state.join(super::FOLDER))
}

fn read(folder: &Path) -> Result<Option<Alarm>, JournalError> {
    let path = folder.join(FILE);
    match std::fs::read(&path) {
        Ok(json) => serde_json::from_slice(&json)
            .map(Some)
            .map_err(|error| JournalError::Damaged { path, reason: error.to_string() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(JournalError::File { path, source }),
    }
}

/// The alarm that there is, on the disk and in the metrics.
#[derive(Debug)]
pub(super) struct Alarms {
    folder: PathBuf,
    opened: File,
    current: Mutex<Option<Alarm>>,
    metrics: Metrics,
    hook: Option<AlarmHook>,
    raised: Notify,
}

impl Alarms {
    pub(super) fn open(
        folder: &Path,
        metrics: Metrics,
        hook: Option<AlarmHook>,
    ) -> Result<Self, JournalError> {
        let opened = super::vault::folder(folder)?;
        let current = read(folder)?;
        metrics.alarm(current.is_some());
        let current = Mutex::new(current);
        let (folder, raised) = (folder.to_owned(), Notify::new());
        Ok(Self { folder, opened, current, metrics, hook, raised })
    }

    /// An alarm is replaced as a whole.
    fn lock(&self) -> MutexGuard<'_, Option<Alarm>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn current(&self) -> Option<Alarm> {
        self.lock().clone()
    }

    pub(super) fn raise(
        &self,
        refused: &Refused,
        checkpoint: &AnyCheckpoint,
        now_ms: u64,
    ) -> Result<(), JournalError> {
        let mut current = self.lock();
        self.metrics.entry_refused();
        if current.as_ref().is_some_and(|alarm| alarm.refused == *refused) {
            return Ok(());
        }
        let short = refused.in_short();
        tracing::error!(
            refused = short,
            "ALARM: an entry of the log is refused; nothing is co-signed"
        );
        let checkpoint = checkpoint.note().to_text();
        let alarm = Alarm { refused: refused.clone(), checkpoint, since_ms: now_ms, told: false };
        self.metrics.alarm(true);
        let written = self.write(&alarm);
        *current = Some(alarm);
        self.raised.notify_one();
        written
    }

    /// The log is co-signed up to this size. What was refused is past if it is within that; a
    /// request that ends before it takes no alarm back. The alarm's file stays under another name,
    /// and the alarm is returned.
    pub(super) fn over(&self, size: u64) -> Result<Option<Alarm>, JournalError> {
        let mut current = self.lock();
        let Some(alarm) = current.take_if(|alarm| alarm.refused.index < size) else {
            return Ok(None);
        };
        self.metrics.alarm(false);
        tracing::warn!("the alarm is over: the log went past what was refused");
        let path = self.folder.join(FILE);
        let past = format!("alarm-{}-{}.json", alarm.since_ms, alarm.refused.index);
        let gone = std::fs::rename(&path, self.folder.join(past));
        let gone = gone.and_then(|()| self.opened.sync_all());
        gone.map_err(|source| JournalError::File { path, source })?;
        Ok(Some(alarm))
    }

    fn write(&self, alarm: &Alarm) -> Result<(), JournalError> {
        let path = self.folder.join(FILE);
        let file = |source| JournalError::File { path: path.clone(), source };
        let json = serde_json::to_vec_pretty(alarm).map_err(|error| file(error.into()))?;
        durable::replace(&self.folder, &self.opened, FILE, &json).map_err(|error| match error {
            ReplaceError::Kept(source) | ReplaceError::Unsure(source) => file(source),
        })
    }

    /// Tells the hook until it has every alarm.
    pub(super) async fn tell(&self) {
        let Some(hook) = &self.hook else { return std::future::pending().await };
        loop {
            let untold = self.current().filter(|alarm| !alarm.told);
            let Some(alarm) = untold else {
                self.raised.notified().await;
                continue;
            };
            if let Err(error) = hook.tell(&alarm).await {
                tracing::warn!(%error, "the alarm's hook did not take it");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let mut current = self.lock();
            if let Some(now) = current.as_mut().filter(|now| now.refused == alarm.refused) {
                now.told = true;
                if let Err(error) = self.write(now) {
                    tracing::warn!(%error, "the hook may be told again");
                }
            }
        }
    }
}
