//! What the handle and the supervisors share.

use super::jobs::{Job, Jobs, Op};
use super::{HsmState, HsmStatus, WorkerStatus};
use crate::config::{Pin, TokenConfig, WorkerCommand};
use crate::error::HsmError;
use crate::key::{KeyInfo, TokenInfo};
use crate::proto::Answer;
use aws_lc_rs::digest::{SHA256, digest};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What callers are told while a token is being brought back.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

pub(super) struct Shared {
    pub(super) command: WorkerCommand,
    pub(super) config: TokenConfig,
    pub(super) jobs: Jobs,
    /// Requests with a worker, all workers together.
    pub(super) in_flight: AtomicUsize,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    /// Held while a worker starts: never two logins at once.
    pub(super) turn: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

struct State {
    pin: Pin,
    /// Counts the PINs given: a refusal is about the one that was tried.
    pin_number: u64,
    pin_refused: Option<HsmError>,
    token: Option<TokenInfo>,
    workers: Vec<WorkerStatus>,
    /// SubjectPublicKeyInfo by CKA_ID of every key we have seen.
    keys: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Shared {
    pub(super) fn new(command: WorkerCommand, config: TokenConfig, pin: Pin) -> Self {
        let worker = WorkerStatus {
            state: HsmState::Starting,
            since: SystemTime::now(),
            pid: None,
            started: 0,
        };
        let state = State {
            pin,
            pin_number: 0,
            pin_refused: None,
            token: None,
            workers: vec![worker; config.workers],
            keys: BTreeMap::new(),
        };
        Shared {
            command,
            config,
            jobs: Jobs::default(),
            in_flight: AtomicUsize::new(0),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            turn: tokio::sync::Mutex::new(()),
            state: Mutex::new(state),
            changed: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a request and waits for its answer, `limit` at most.
    pub(super) async fn submit(&self, op: Op, limit: Duration) -> Result<Answer, HsmError> {
        match self.status_state() {
            HsmState::Ready | HsmState::Starting => (),
            HsmState::PinRefused { error } => return Err(error),
            HsmState::Recovering { error } => return Err(unavailable(error.to_string())),
            HsmState::Stopped => return Err(HsmError::ShutDown),
        }
        let (answer, answered) = oneshot::channel();
        self.jobs.push(Job { op, limit, again: false, answer });
        match tokio::time::timeout(limit, answered).await {
            Ok(Ok(body)) => body,
            Ok(Err(_)) => Err(HsmError::ShutDown),
            Err(_) => Err(unavailable(format!("no answer within {limit:?}"))),
        }
    }

    /// Answers everything that waits with `error`.
    pub(super) fn drain(&self, error: &HsmError) {
        for job in self.jobs.drain() {
            job.answer(Err(error.clone()));
        }
    }

    pub(super) fn set_worker(&self, slot: usize, state: HsmState, pid: Option<u32>) {
        {
            let mut shared = self.lock();
            let worker = &mut shared.workers[slot];
            if worker.state != state {
                worker.since = SystemTime::now();
            }
            worker.started += u64::from(pid.is_some() && worker.pid != pid);
            worker.state = state;
            worker.pid = pid;
        }
        self.changed.send_modify(|count| *count += 1);
    }

    pub(super) fn set_token(&self, token: TokenInfo) {
        self.lock().token = Some(token);
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The PIN and its number.
    pub(super) fn pin(&self) -> (Pin, u64) {
        let state = self.lock();
        (state.pin.clone(), state.pin_number)
    }

    pub(super) fn set_pin(&self, pin: Pin) {
        {
            let mut state = self.lock();
            state.pin = pin;
            state.pin_number += 1;
            state.pin_refused = None;
        }
        self.changed.send_modify(|count| *count += 1);
    }

    pub(super) fn refuse_pin(&self, number: u64, error: HsmError) {
        {
            let mut state = self.lock();
            if state.pin_number != number {
                return;
            }
            state.pin_refused = Some(error);
        }
        self.changed.send_modify(|count| *count += 1);
    }

    pub(super) fn pin_refused(&self) -> Option<HsmError> {
        self.lock().pin_refused.clone()
    }

    /// Remembers a key, or refuses another one under an identifier that we know.
    pub(super) fn pin_key(&self, key: &KeyInfo) -> Result<(), HsmError> {
        self.expect_key(&key.id, &key.spki_der)
    }

    pub(super) fn expect_key(&self, id: &[u8], spki_der: &[u8]) -> Result<(), HsmError> {
        let mut state = self.lock();
        let known = state.keys.entry(id.to_vec()).or_insert_with(|| spki_der.to_vec());
        if known == spki_der { Ok(()) } else { Err(key_changed(id, known, spki_der)) }
    }

    pub(super) fn knows_key(&self, id: &[u8]) -> bool {
        self.lock().keys.contains_key(id)
    }

    pub(super) fn expected_keys(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.lock().keys.clone()
    }

    pub(super) fn is_ready(&self) -> bool {
        self.status_state() == HsmState::Ready
    }

    fn status_state(&self) -> HsmState {
        let state = self.lock();
        let one = |wanted: fn(&HsmState) -> bool| {
            state.workers.iter().map(|worker| &worker.state).find(|s| wanted(s)).cloned()
        };
        if self.stop.is_cancelled() {
            return HsmState::Stopped;
        }
        if let Some(ready) = one(|s| *s == HsmState::Ready) {
            return ready;
        }
        if let Some(error) = &state.pin_refused {
            return HsmState::PinRefused { error: error.clone() };
        }
        one(|s| matches!(s, HsmState::Recovering { .. })).unwrap_or(HsmState::Starting)
    }

    pub(super) fn status(&self) -> HsmStatus {
        let overall = self.status_state();
        let waiting = self.jobs.len();
        let state = self.lock();
        HsmStatus {
            state: overall,
            token: state.token.clone(),
            workers: state.workers.clone(),
            waiting,
            in_flight: self.in_flight.load(Ordering::Relaxed),
        }
    }
}

pub(super) fn unavailable(reason: String) -> HsmError {
    HsmError::Unavailable { retry_after: RETRY_AFTER, reason }
}

pub(super) fn key_changed(id: &[u8], expected: &[u8], found: &[u8]) -> HsmError {
    HsmError::KeyChanged {
        id: id.to_vec(),
        expected: digest(&SHA256, expected).as_ref().to_vec(),
        found: digest(&SHA256, found).as_ref().to_vec(),
    }
}
