//! What the local administrator asks about the tokens.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use pkcs11::{Hsm, HsmError, HsmState, KeyInfo, Pin};
use wire::hsm::{HsmAsk, HsmKey, HsmReport, HsmToken, HsmWorker};
use wire::problem::{Problem, ProblemCode};
use wire::{Hash32, socket::ResponseBody};

use super::Door;
use super::handle::Result;
use crate::authority::Authority;

/// Answers, at the administrator's door alone.
pub(super) async fn answer(
    authority: &Arc<Authority>,
    door: Door,
    ask: HsmAsk,
) -> Result<ResponseBody> {
    if door != Door::Admin {
        let detail = "only the local administrator asks about the tokens";
        return Err(Box::new(Problem::new(ProblemCode::AgentsOnly, detail)));
    }
    let hsm: &Hsm = authority.hsm();
    let mut keys = Vec::new();
    let done = match ask {
        HsmAsk::Status => Ok(()),
        HsmAsk::Keys => {
            let software = authority.installation().rules().allow_software_token;
            hsm.keys().await.map(|found| keys = found.iter().map(|k| key(k, software)).collect())
        }
        HsmAsk::Probe { token } => hsm.probe(token.as_deref()).await.map(drop),
        HsmAsk::Drain { token, drained, force } => hsm.drain(token.as_deref(), drained, force),
        HsmAsk::Unlock { token, pin } => hsm.try_pin(token.as_deref(), Pin::new(pin.take())).await,
    };
    done.map_err(|error| Box::new(problem(&error)))?;
    Ok(ResponseBody::Hsm(Box::new(HsmReport { keys, ..report(hsm) })))
}

/// What went wrong with a token, for its administrator.
pub(super) fn problem(error: &HsmError) -> Problem {
    let code = match error {
        HsmError::Config { .. } => ProblemCode::MalformedRequest,
        _ => ProblemCode::HsmUnavailable,
    };
    Problem::new(code, error.to_string())
}

fn report(hsm: &Hsm) -> HsmReport {
    let status = hsm.status();
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let workers_of = |number: usize| {
        let own = status.workers.iter().filter(move |worker| worker.token == number);
        own.map(|worker| HsmWorker {
            state: word(&worker.state).to_owned(),
            pid: worker.pid,
            started: worker.started,
        })
    };
    let tokens = status.tokens.iter().enumerate().map(|(number, token)| HsmToken {
        name: token.name.clone(),
        state: word(&token.state).to_owned(),
        since: seconds(token.since),
        detail: detail(&token.state),
        token: token.token.as_ref().map(|t| {
            format!("«{}» (serial {}), {} {}", t.label, t.serial, t.manufacturer, t.model)
        }),
        workers: workers_of(number).collect(),
    });
    HsmReport {
        tokens: tokens.collect(),
        waiting: count(status.waiting),
        in_flight: count(status.in_flight),
        keys: Vec::new(),
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A state in a word, for administrators and metrics.
pub(crate) fn word(state: &HsmState) -> &'static str {
    match state {
        HsmState::Starting => "starting",
        HsmState::Ready => "ready",
        HsmState::Recovering { .. } => "recovering",
        HsmState::Drained => "drained",
        HsmState::PinRefused { .. } => "pin-refused",
        HsmState::Stopped => "stopped",
    }
}

fn detail(state: &HsmState) -> Option<String> {
    match state {
        HsmState::Recovering { error } => Some(error.to_string()),
        HsmState::PinRefused { error } => {
            Some(format!("{error}; give the PIN that holds with `avouch unlock`"))
        }
        _ => None,
    }
}

fn key(key: &KeyInfo, allow_software_token: bool) -> HsmKey {
    let KeyInfo { id, label, algorithm, spki_der, protection } = key;
    let named = [
        ("CKA_LOCAL", protection.local),
        ("CKA_SENSITIVE", protection.sensitive),
        ("CKA_ALWAYS_SENSITIVE", protection.always_sensitive),
        ("CKA_EXTRACTABLE", protection.extractable),
        ("CKA_NEVER_EXTRACTABLE", protection.never_extractable),
        ("CKA_MODIFIABLE", protection.modifiable),
    ];
    HsmKey {
        id: hex::encode(id),
        label: label.clone(),
        algorithm: algorithm.to_string(),
        spki_sha256: Hash32::of(spki_der).to_string(),
        hsm_held: protection.hsm_held(allow_software_token),
        why: protection.why(allow_software_token),
        attributes: named
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect(),
    }
}
