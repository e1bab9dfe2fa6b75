//! What the local administrator asks about the tokens.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use pkcs11::{Hsm, HsmError, HsmState, KeyInfo, Pin};
use wire::hsm::{HsmAsk, HsmKey, HsmReport, HsmToken, HsmWorker};
use wire::problem::{Problem, ProblemCode};
use wire::{Hash32, socket::ResponseBody};

use super::Door;
use super::handle::Result;
use crate::attestation::Attestations;
use crate::authority::Authority;
use crate::custody;
use crate::switch_token::SwitchToken;

/// Answers, at the administrator's door alone.
pub(super) async fn answer(
    authority: &Arc<Authority>,
    door: Door,
    ask: HsmAsk,
) -> Result<ResponseBody> {
    if door != Door::Admin {
        let detail = "only the local administrator asks about the tokens";
        let problem = Problem::new(ProblemCode::AgentsOnly, detail);
        return Err(Box::new(problem.expected("the administrator's socket", "the gateway's")));
    }
    let hsm: &Hsm = authority.hsm();
    let mut keys = Vec::new();
    let own = match authority.switch_token() {
        Some(token) => of_switches(token, &ask).await,
        None => None,
    };
    let done = match own {
        Some(done) => done,
        None => match ask {
            HsmAsk::Status => Ok(()),
            HsmAsk::Keys => all_keys(authority).await.map(|found| keys = found),
            HsmAsk::Probe { token } => hsm.probe(token.as_deref()).await.map(drop),
            HsmAsk::Drain { token, drained, force } => hsm.drain(token.as_deref(), drained, force),
            HsmAsk::Unlock { token, pin } => {
                let allowed = custody::whole_pin(&authority.tokens().custody, token.as_deref());
                match allowed.map(|()| Pin::new(pin.take())) {
                    Ok(pin) => unlock(authority, token.as_deref(), pin).await,
                    Err(error) => Err(error),
                }
            }
            HsmAsk::Share { token, share } => {
                let custody = &authority.tokens().custody;
                match custody::hand_in(custody, token.as_deref(), share) {
                    Ok(Some((token, pin))) => unlock(authority, Some(&token), pin).await,
                    Ok(None) => Ok(()),
                    Err(error) => Err(error),
                }
            }
            HsmAsk::Lock { .. } => Err(HsmError::Config {
                detail: "only the token that signs switches can be locked".to_owned(),
            }),
        },
    };
    done.map_err(|error| Box::new(problem(&error)))?;
    let mut report = HsmReport { keys, ..report(authority) };
    custody::show(&authority.tokens().custody, &mut report);
    Ok(ResponseBody::Hsm(Box::new(report)))
}

/// Tries a PIN that somebody gave, or several together; once.
async fn unlock(
    authority: &Arc<Authority>,
    token: Option<&str>,
    pin: Pin,
) -> std::result::Result<(), HsmError> {
    match authority.switch_token() {
        Some(own) if own.is_called(token) => authority.unlock(own, pin).await,
        _ => authority.hsm().try_pin(token, pin).await,
    }
}

/// The keys on all tokens that are open.
async fn all_keys(authority: &Arc<Authority>) -> std::result::Result<Vec<HsmKey>, HsmError> {
    let mut keys = keys_on(authority, authority.hsm()).await?;
    if let Some(token) = authority.switch_token().and_then(SwitchToken::token) {
        keys.extend(keys_on(authority, &token).await?);
    }
    Ok(keys)
}

async fn keys_on(authority: &Authority, hsm: &Hsm) -> std::result::Result<Vec<HsmKey>, HsmError> {
    let software = authority.installation().rules().allow_software_token;
    let (keys, held) = (hsm.keys().await?, hsm.attestations().await?);
    let at = i64::try_from(authority.clock().now_ms() / 1000).unwrap_or(i64::MAX);
    let attestations = Attestations::new(&authority.tokens().attestation_roots, &held, at);
    Ok(keys.iter().map(|found| key(found, software, attestations.of(found))).collect())
}

/// Does what is asked of the token that signs switches; none, where something else is meant.
async fn of_switches(
    token: &SwitchToken,
    ask: &HsmAsk,
) -> Option<std::result::Result<(), HsmError>> {
    let named = match ask {
        HsmAsk::Probe { token } | HsmAsk::Drain { token, .. } | HsmAsk::Lock { token } => {
            token.as_deref()
        }
        _ => return None,
    };
    // Where one alone can be locked, it need not be named.
    let lock = matches!(ask, HsmAsk::Lock { token: None });
    if !lock && !token.is_called(named) {
        return None;
    }
    let locked = || HsmError::Config { detail: format!("{} is locked", token.name()) };
    let open = token.token();
    Some(match ask {
        HsmAsk::Lock { .. } => {
            token.lock().await;
            Ok(())
        }
        HsmAsk::Probe { .. } => match open {
            Some(open) => open.probe(None).await.map(drop),
            None => Err(locked()),
        },
        HsmAsk::Drain { drained, force, .. } => match open {
            Some(open) => open.drain(None, *drained, *force),
            None => Err(locked()),
        },
        _ => return None,
    })
}

/// What went wrong with a token, for its administrator.
pub(super) fn problem(error: &HsmError) -> Problem {
    let code = match error {
        HsmError::Config { .. } => ProblemCode::MalformedRequest,
        _ => ProblemCode::HsmUnavailable,
    };
    Problem::new(code, error.to_string())
}

/// All tokens of an authority.
fn report(authority: &Authority) -> HsmReport {
    let mut all = report_of(authority.hsm());
    if let Some(token) = authority.switch_token() {
        let (state, since, detail) = token.status();
        let open = token.token().map(|open| report_of(&open).tokens);
        let seen = open.into_iter().flatten().next();
        let (seen, workers) = seen.map_or((None, Vec::new()), |seen| (seen.token, seen.workers));
        all.tokens.push(HsmToken {
            name: token.name().to_owned(),
            state: state.to_owned(),
            since: seconds(since),
            detail,
            token: seen,
            workers,
            shares: None,
        });
    }
    all
}

fn report_of(hsm: &Hsm) -> HsmReport {
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
        detail: detail(&token.name, &token.state),
        token: token.token.as_ref().map(|t| {
            format!("«{}» (serial {}), {} {}", t.label, t.serial, t.manufacturer, t.model)
        }),
        workers: workers_of(number).collect(),
        shares: None,
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

/// The state of a token whose PIN nobody has given yet.
pub(super) const LOCKED: &str = "locked";

/// What is to be done about it.
pub(super) fn locked(token: &str) -> String {
    format!("operators open it with `avouch unlock {token}`")
}

/// A state in a word, for administrators and metrics.
pub(crate) fn word(state: &HsmState) -> &'static str {
    match state {
        HsmState::Starting => "starting",
        HsmState::Ready => "ready",
        HsmState::Recovering { .. } => "recovering",
        HsmState::Drained => "drained",
        HsmState::PinRefused { error: HsmError::PinAwaited } => LOCKED,
        HsmState::PinRefused { .. } => "pin-refused",
        HsmState::Stopped => "stopped",
    }
}

fn detail(token: &str, state: &HsmState) -> Option<String> {
    match state {
        HsmState::PinRefused { error: HsmError::PinAwaited } => Some(locked(token)),
        HsmState::Recovering { error } => Some(error.to_string()),
        HsmState::PinRefused { error } => {
            Some(format!("{error}; give the PIN that holds with `avouch unlock`"))
        }
        _ => None,
    }
}

fn key(key: &KeyInfo, allow_software_token: bool, attestation: String) -> HsmKey {
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
        attestation,
    }
}
