//! What the handle and the supervisors share.

use super::jobs::{Answered, Job, Jobs, Op};
use super::logins::Logins;
use super::state::{State, TokenState};
use super::{HsmState, HsmStatus, TokenSetup, WorkerStatus};
use crate::config::{Pin, TokenConfig, WorkerCommand};
use crate::error::HsmError;
use crate::key::{KeyInfo, TokenInfo};
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

/// One token, as configured.
pub(super) struct Place {
    pub(super) name: String,
    pub(super) command: WorkerCommand,
    pub(super) config: TokenConfig,
    /// Held while a worker starts: never two logins at once.
    pub(super) turn: tokio::sync::Mutex<()>,
}

/// Where one worker process runs.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    /// Its number among all workers.
    pub(super) number: usize,
    /// The number of its token.
    pub(super) place: usize,
}

pub(super) struct Shared {
    pub(super) places: Vec<Place>,
    pub(super) slots: Vec<Slot>,
    pub(super) jobs: Jobs,
    pub(super) logins: Logins,
    /// Requests with a worker, all workers together.
    pub(super) in_flight: AtomicUsize,
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

impl Shared {
    pub(super) fn new(tokens: Vec<TokenSetup>) -> Self {
        let (mut places, mut slots, mut states) = (Vec::new(), Vec::new(), Vec::new());
        for (place, TokenSetup { name, command, config, pin }) in tokens.into_iter().enumerate() {
            for _ in 0..config.workers {
                slots.push(Slot { number: slots.len(), place });
            }
            states.push(TokenState::new(pin));
            places.push(Place { name, command, config, turn: tokio::sync::Mutex::new(()) });
        }
        let state = State::new(states, &slots);
        Shared {
            places,
            slots,
            jobs: Jobs::default(),
            logins: Logins::default(),
            in_flight: AtomicUsize::new(0),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            state: Mutex::new(state),
            changed: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let value = change(&mut self.lock());
        self.changed.send_modify(|count| *count += 1);
        value
    }

    /// The configuration of the token that a slot belongs to.
    pub(super) fn place(&self, slot: Slot) -> &Place {
        &self.places[slot.place]
    }

    /// The greatest of a duration over all tokens: whichever takes a request has as long as it may.
    pub(super) fn limit(&self, of: impl Fn(&TokenConfig) -> Duration) -> Duration {
        self.places.iter().map(|place| of(&place.config)).max().unwrap_or_default()
    }

    /// Queues a request and waits for its answer, `limit` at most.
    pub(super) async fn submit(&self, op: Op, limit: Duration) -> Answered {
        match self.overall() {
            HsmState::Ready | HsmState::Starting => (),
            HsmState::PinRefused { error } => return Err(error),
            HsmState::Recovering { error } => return Err(unavailable(error.to_string())),
            HsmState::Drained => return Err(unavailable("every token is drained".to_owned())),
            HsmState::Stopped => return Err(HsmError::ShutDown),
        }
        let (answer, answered) = oneshot::channel();
        self.jobs.push(Job { op, limit, again: false, answer });
        match tokio::time::timeout(limit, answered).await {
            Ok(Ok(answered)) => answered,
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

    /// Answers everything that waits, unless somebody may soon take it.
    pub(super) fn drain_if_nobody_comes(&self, error: &HsmError) {
        if !matches!(self.overall(), HsmState::Ready | HsmState::Starting) {
            self.drain(error);
        }
    }

    pub(super) fn set_worker(&self, slot: Slot, state: HsmState, pid: Option<u32>) {
        self.change(|shared| {
            let worker = &mut shared.workers[slot.number];
            if worker.state != state {
                worker.since = SystemTime::now();
            }
            worker.started += u64::from(pid.is_some() && worker.pid != pid);
            worker.state = state;
            worker.pid = pid;
            shared.note_tokens();
        });
    }

    /// How many workers take requests.
    pub(super) fn ready_workers(&self) -> usize {
        self.lock().workers.iter().filter(|worker| worker.state == HsmState::Ready).count()
    }

    pub(super) fn set_token(&self, slot: Slot, token: TokenInfo) {
        self.lock().tokens[slot.place].info = Some(token);
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Waits until the state is as wanted.
    async fn until(&self, wanted: impl Fn(&State) -> bool) {
        let mut changes = self.changes();
        while !wanted(&self.lock()) && changes.changed().await.is_ok() {}
    }

    /// The PIN of a token and its number.
    pub(super) fn pin(&self, place: usize) -> (Pin, u64) {
        let state = self.lock();
        (state.tokens[place].pin.clone(), state.tokens[place].pin_number)
    }

    /// The PINs of all tokens.
    pub(super) fn pins(&self) -> Vec<Pin> {
        self.lock().tokens.iter().map(|token| token.pin.clone()).collect()
    }

    pub(super) fn set_pin(&self, place: usize, pin: Pin) {
        let mut in_use = self.pins();
        in_use.remove(place);
        self.logins.given(&pin, &in_use);
        self.change(|state| {
            let token = &mut state.tokens[place];
            token.pin = pin;
            token.pin_number += 1;
            token.pin_refused = None;
            state.note_tokens();
        });
    }

    pub(super) fn refuse_pin(&self, place: usize, number: u64, error: HsmError) {
        self.change(|state| {
            let token = &mut state.tokens[place];
            if token.pin_number == number {
                token.pin_refused = Some(error);
            }
            state.note_tokens();
        });
    }

    pub(super) fn pin_refused(&self, place: usize) -> Option<HsmError> {
        self.lock().tokens[place].pin_refused.clone()
    }

    /// Returns when a token's PIN is not refused any more.
    pub(super) async fn another_pin(&self, place: usize) {
        self.until(|state| state.tokens[place].pin_refused.is_none()).await;
    }

    /// Takes a token out of use, or back into it. False when it is the last that is ready, and
    /// stays.
    pub(super) fn set_drained(&self, place: usize, drained: bool, force: bool) -> bool {
        self.change(|state| {
            if drained && !force && !state.another_serves(place) {
                return false;
            }
            state.tokens[place].drained = drained;
            state.note_tokens();
            true
        })
    }

    pub(super) fn is_drained(&self, place: usize) -> bool {
        self.lock().tokens[place].drained
    }

    /// Returns when a token is drained, or is not any more.
    pub(super) async fn drained(&self, place: usize, drained: bool) {
        self.until(|state| state.tokens[place].drained == drained).await;
    }

    /// A worker's signature was wrong: the process of this number is not to be used again.
    pub(super) fn distrust(&self, slot: usize, number: u64) {
        self.change(|state| {
            if let Some(worker) = state.distrusted.get_mut(slot) {
                *worker = (*worker).max(number);
            }
        });
    }

    /// How many processes a slot has had.
    pub(super) fn started(&self, slot: Slot) -> u64 {
        self.lock().workers[slot.number].started
    }

    /// Returns when the slot's process of this number gave a wrong signature.
    pub(super) async fn distrusted(&self, slot: Slot, number: u64) {
        self.until(|state| state.distrusted[slot.number] >= number).await;
    }

    /// Remembers a key, or refuses another one under an identifier that we know.
    pub(super) fn pin_key(&self, key: &KeyInfo) -> Result<(), HsmError> {
        self.expect_key(&key.id, &key.spki_der)
    }

    pub(super) fn expect_key(&self, id: &[u8], spki: &[u8]) -> Result<(), HsmError> {
        let mut state = self.lock();
        match state.keys.get(id) {
            Some(expected) if expected != spki => Err(key_changed(id, expected, spki)),
            Some(_) => Ok(()),
            None => {
                state.keys.insert(id.to_vec(), spki.to_vec());
                Ok(())
            }
        }
    }

    pub(super) fn forget_key(&self, id: &[u8]) {
        self.lock().keys.remove(id);
    }

    pub(super) fn knows_key(&self, id: &[u8]) -> bool {
        self.lock().keys.contains_key(id)
    }

    pub(super) fn expected_keys(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.lock().keys.clone()
    }

    pub(super) fn is_ready(&self) -> bool {
        self.overall() == HsmState::Ready
    }

    /// The best that any token is in.
    pub(super) fn overall(&self) -> HsmState {
        if self.stop.is_cancelled() {
            return HsmState::Stopped;
        }
        self.lock().overall()
    }

    pub(super) fn status(&self) -> HsmStatus {
        let state = self.overall();
        let waiting = self.jobs.len();
        let shared = self.lock();
        let names = self.places.iter().map(|place| place.name.clone());
        HsmStatus {
            state,
            token: shared.tokens.iter().find_map(|token| token.info.clone()),
            tokens: shared.token_statuses(names),
            workers: shared.workers.clone(),
            waiting,
            in_flight: self.in_flight.load(Ordering::Relaxed),
        }
    }

    pub(super) fn worker(&self, slot: Slot) -> WorkerStatus {
        self.lock().workers[slot.number].clone()
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
