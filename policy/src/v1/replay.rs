//! Replay: one logged event applied to the state before it, by the rules that decided it.

use wire::event::{Certified, Event, EventKind, Revoked};
use wire::{Encoded, FormatError, Hash32, SerialNumber};

use super::{Request, decide};
use crate::{ENGINE, Fact, Identity, Refusal, State, Time};

/// Why a logged event does not follow from the state before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The body is not what the kind needs.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The rules refuse it.
    #[error("the rules refuse the logged event: {0}")]
    Refused(#[from] Refusal),
    /// The rules would have made another event.
    #[error("the logged event's {field} is {found}; the rules give {expected}")]
    Differs {
        /// Which part.
        field: &'static str,
        /// By the rules.
        expected: String,
        /// In the log.
        found: String,
    },
    /// A kind that this engine does not decide.
    #[error("policy engine {engine} does not decide {kind} events")]
    Kind {
        /// The event's engine.
        engine: u8,
        /// The event's kind.
        kind: EventKind,
    },
}

/// Applies a logged event whose leaf hash is `leaf`. `facts` come from its evidence. `csr` and
/// `spki` are what that evidence says the request was over.
///
/// # Errors
/// Refuses an event that these rules, on this state and these facts, would not have made.
pub fn apply(
    state: &State<'_>,
    event: &Event,
    leaf: Hash32,
    facts: &[Fact],
    csr: Option<Hash32>,
    spki: Hash32,
    time: Time,
) -> Result<Identity, ReplayError> {
    let unknown = ReplayError::Kind { engine: event.engine, kind: event.kind };
    let Some(uid) = event.subject.clone().filter(|_| event.engine == ENGINE) else {
        return Err(unknown);
    };
    let body = event.body.as_bytes();
    let request = match (event.kind, csr) {
        (EventKind::Enrol | EventKind::Renew, Some(csr)) => {
            let certified = Certified::from_canonical(body)?;
            differs("body.spki", spki, certified.spki)?;
            Request::Certify { uid, spki, csr }
        }
        (EventKind::Revoke, _) => {
            let revoked = Revoked::from_canonical(body)?;
            let serial = SerialNumber::from_slice(revoked.serial.as_bytes()).ok_or_else(|| {
                ReplayError::Differs {
                    field: "body.serial",
                    expected: "a serial number of this installation".to_owned(),
                    found: format!("{} octets", revoked.serial.as_bytes().len()),
                }
            })?;
            Request::Revoke { uid, serial, spki, reason: revoked.reason }
        }
        _ => return Err(unknown),
    };
    if !(time.lower_ms()..=time.upper_ms()).contains(&event.time_ms) {
        let bounds = format!("{} to {} ms", time.lower_ms(), time.upper_ms());
        return Err(difference("time", &bounds, &event.time_ms));
    }
    let approved = decide(state, &request, facts, time)?;
    differs("kind", approved.kind, event.kind)?;
    differs("sequence", approved.sequence, event.sequence)?;
    differs("policy", approved.policy, event.policy)?;
    differs("previous", shown(approved.previous), shown(event.previous))?;
    let logged = event.intent.as_ref().map(|intent| Hash32::of(intent.as_bytes()));
    differs("intent", shown(approved.intent.as_deref().map(Hash32::of)), shown(logged))?;
    if let Request::Certify { .. } = request {
        let certified = Certified::from_canonical(body)?;
        let proven = approved.after.key.is_some_and(|key| key.possession_proven);
        differs("body.possession-proven", proven, certified.possession_proven)?;
        let set = approved.recovery_commitment_set();
        differs("body.recovery-commitment", shown(set), shown(certified.recovery_commitment))?;
    }
    let intent = event.intent.as_ref().map(|intent| intent.as_bytes());
    let decided = approved.into_event(event.time_ms, event.evidence.clone(), intent, body);
    Ok(decided.outcome.with_head(leaf))
}

fn differs<T: PartialEq + std::fmt::Display>(
    field: &'static str,
    expected: T,
    found: T,
) -> Result<(), ReplayError> {
    if expected == found { Ok(()) } else { Err(difference(field, &expected, &found)) }
}

fn difference(
    field: &'static str,
    expected: &impl std::fmt::Display,
    found: &impl std::fmt::Display,
) -> ReplayError {
    ReplayError::Differs { field, expected: expected.to_string(), found: found.to_string() }
}

fn shown(hash: Option<Hash32>) -> String {
    hash.map_or_else(|| "none".to_owned(), |hash| hash.to_string())
}
