//! Replay: one logged event applied to the state before it, by the rules that decided it.

use wire::event::{Certified, Event, EventKind, Revoked};
use wire::intent::Intent;
use wire::{Encoded, FormatError, Hash32, SerialNumber, UserId};

use super::{Approved, Follows, Request, decide};
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
/// `spki` are what that evidence says the request was over; an event that brings no certification
/// request has none, and the identity's key.
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
    let request = request_of(event, uid, csr, spki)?.ok_or(unknown)?;
    within(event, time)?;
    let approved = decide(state, &request, facts, time)?;
    differs("kind", approved.kind, event.kind)?;
    let subject = event.subject.as_ref().map_or("", UserId::as_str);
    differs("subject", approved.uid().as_str(), subject)?;
    differs("sequence", approved.sequence, event.sequence)?;
    differs("policy", approved.policy, event.policy)?;
    differs("previous", shown(approved.previous), shown(event.previous))?;
    let logged = event.intent.as_ref().map(|intent| Hash32::of(intent.as_bytes()));
    differs("intent", shown(approved.intent.as_deref().map(Hash32::of)), shown(logged))?;
    fits_body(&approved, event.body.as_bytes())?;
    let intent = event.intent.as_ref().map(|intent| intent.as_bytes());
    let body = event.body.as_bytes();
    let decided = approved.into_event(event.time_ms, event.evidence.clone(), intent, body);
    Ok(decided.outcome.with_head(leaf))
}

/// The request that an event answers.
fn request_of(
    event: &Event,
    uid: UserId,
    csr: Option<Hash32>,
    spki: Hash32,
) -> Result<Option<Request>, ReplayError> {
    use EventKind as K;
    let intent = || event.intent.as_ref().map(|intent| intent.as_bytes());
    Ok(Some(match (event.kind, csr) {
        (K::Enrol | K::Renew, Some(csr)) => Request::Certify { uid, spki, csr },
        (K::Enrol | K::Renew, None) => return Ok(None),
        (K::Revoke, _) => {
            let revoked = Revoked::from_canonical(event.body.as_bytes())?;
            let serial = SerialNumber::from_slice(revoked.serial.as_bytes()).ok_or_else(|| {
                let found = format!("{} octets", revoked.serial.as_bytes().len());
                difference("body.serial", &"a serial number of this installation", &found)
            })?;
            Request::Revoke { uid, serial, spki, reason: revoked.reason }
        }
        (K::SwitchComplete, _) => Request::CompleteSwitch { uid },
        (K::SwitchApprove, _) => match intent() {
            Some(intent) => Request::Approve { uid, intent: Hash32::of(intent) },
            None => return Ok(None),
        },
        (K::Veto, _) => match intent() {
            Some(intent) => Request::Veto { uid, intent: Hash32::of(intent) },
            None => return Ok(None),
        },
        (K::Retire, _) if intent().is_none() => Request::CompleteRetire { uid },
        _ => match intent() {
            Some(intent) => Request::Intent(Box::new(Intent::from_canonical(intent)?)),
            None => return Ok(None),
        },
    }))
}

/// Whether the body is the one that the rules write, or fits what they say of the certificate.
fn fits_body(approved: &Approved, body: &[u8]) -> Result<(), ReplayError> {
    match &approved.follows {
        Follows::Asked(own) | Follows::Ruled(own) => {
            differs("body", Hash32::of(own), Hash32::of(body))
        }
        Follows::Certificate { possession_proven, commitment } => {
            let certified = Certified::from_canonical(body)?;
            differs("body.spki", approved.spki, certified.spki)?;
            differs("body.possession-proven", *possession_proven, certified.possession_proven)?;
            let (expected, found) = (shown(*commitment), shown(certified.recovery_commitment));
            differs("body.recovery-commitment", expected, found)
        }
    }
}

/// Whether the event's own time lies within what is known of when it was.
pub(super) fn within(event: &Event, time: Time) -> Result<(), ReplayError> {
    if (time.lower_ms()..=time.upper_ms()).contains(&event.time_ms) {
        return Ok(());
    }
    let bounds = format!("{} to {} ms", time.lower_ms(), time.upper_ms());
    Err(difference("time", &bounds, &event.time_ms))
}

pub(super) fn differs<T: PartialEq + std::fmt::Display>(
    field: &'static str,
    expected: T,
    found: T,
) -> Result<(), ReplayError> {
    if expected == found { Ok(()) } else { Err(difference(field, &expected, &found)) }
}

pub(super) fn difference(
    field: &'static str,
    expected: &impl std::fmt::Display,
    found: &impl std::fmt::Display,
) -> ReplayError {
    ReplayError::Differs { field, expected: expected.to_string(), found: found.to_string() }
}

fn shown(hash: Option<Hash32>) -> String {
    hash.map_or_else(|| "none".to_owned(), |hash| hash.to_string())
}
