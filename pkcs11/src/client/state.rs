//! What is known of tokens and workers at a time.

use super::shared::Slot;
use super::{HsmState, TokenStatus, WorkerStatus};
use crate::config::Pin;
use crate::error::HsmError;
use crate::key::TokenInfo;
use std::collections::BTreeMap;
use std::time::SystemTime;

pub(super) struct State {
    pub(super) tokens: Vec<TokenState>,
    pub(super) workers: Vec<WorkerStatus>,
    /// For each worker, the last of its processes that gave a wrong signature.
    pub(super) distrusted: Vec<u64>,
    /// SubjectPublicKeyInfo by CKA_ID of every key we have seen.
    pub(super) keys: BTreeMap<Vec<u8>, Vec<u8>>,
}

pub(super) struct TokenState {
    pub(super) pin: Pin,
    /// Counts the PINs given: a refusal is about the one that was tried.
    pub(super) pin_number: u64,
    pub(super) pin_refused: Option<HsmError>,
    pub(super) drained: bool,
    pub(super) info: Option<TokenInfo>,
    /// The state as last noted, and since when it is so.
    state: HsmState,
    since: SystemTime,
}

impl TokenState {
    pub(super) fn new(pin: Option<Pin>) -> Self {
        TokenState {
            pin_refused: pin.is_none().then_some(HsmError::PinAwaited),
            pin: pin.unwrap_or_else(Pin::none),
            pin_number: 0,
            drained: false,
            info: None,
            state: HsmState::Starting,
            since: SystemTime::now(),
        }
    }
}

impl State {
    pub(super) fn new(tokens: Vec<TokenState>, slots: &[Slot]) -> Self {
        let worker = |slot: &Slot| WorkerStatus {
            token: slot.place,
            state: HsmState::Starting,
            since: SystemTime::now(),
            pid: None,
            started: 0,
        };
        State {
            tokens,
            workers: slots.iter().map(worker).collect(),
            distrusted: vec![0; slots.len()],
            keys: BTreeMap::new(),
        }
    }

    /// Notes what follows for each token from its workers.
    pub(super) fn note_tokens(&mut self) {
        for place in 0..self.tokens.len() {
            let state = self.of_token(place);
            let token = &mut self.tokens[place];
            if token.state != state {
                token.state = state;
                token.since = SystemTime::now();
            }
        }
    }

    fn of_token(&self, place: usize) -> HsmState {
        let token = &self.tokens[place];
        let of_workers = |wanted: fn(&HsmState) -> bool| {
            let own = self.workers.iter().filter(|worker| worker.token == place);
            own.map(|worker| &worker.state).find(|state| wanted(state)).cloned()
        };
        // Only when the last of its workers has ended is it free.
        let mut own = self.workers.iter().filter(|worker| worker.token == place);
        if token.drained && own.all(|worker| worker.state == HsmState::Drained) {
            return HsmState::Drained;
        }
        if let Some(ready) = of_workers(|state| *state == HsmState::Ready) {
            return ready;
        }
        if let Some(error) = &token.pin_refused {
            return HsmState::PinRefused { error: error.clone() };
        }
        of_workers(|state| matches!(state, HsmState::Recovering { .. }))
            .unwrap_or(HsmState::Starting)
    }

    /// Whether another token is ready, and is not on its way out of use.
    pub(super) fn another_serves(&self, place: usize) -> bool {
        (0..self.tokens.len()).any(|other| {
            other != place && !self.tokens[other].drained && self.of_token(other) == HsmState::Ready
        })
    }

    /// The best state of any token.
    pub(super) fn overall(&self) -> HsmState {
        let rank = |state: &HsmState| match state {
            HsmState::Ready => 0,
            HsmState::Starting => 1,
            HsmState::Recovering { .. } => 2,
            HsmState::PinRefused { .. } => 3,
            HsmState::Drained => 4,
            HsmState::Stopped => 5,
        };
        let all = (0..self.tokens.len()).map(|place| self.of_token(place));
        all.min_by_key(rank).unwrap_or(HsmState::Stopped)
    }

    pub(super) fn token_statuses(&self, names: impl Iterator<Item = String>) -> Vec<TokenStatus> {
        let tokens = self.tokens.iter().zip(names);
        tokens
            .map(|(token, name)| TokenStatus {
                name,
                state: token.state.clone(),
                since: token.since,
                pin_refused: token.pin_refused.clone(),
                token: token.info.clone(),
            })
            .collect()
    }
}
