//! Engine version 1: enrol, renew, revoke. Anything else for an existing identity is refused.

mod certify;
mod guard;
mod replay;
mod revoke;

use wire::event::{Event, EventKind, EvidenceRef, RevocationReason};
use wire::{Hash32, SerialNumber, UserId, octets};

use crate::{ENGINE, Fact, Identity, Key, Refusal, State, Status, Time};

pub use replay::{ReplayError, apply};

/// What is asked for. Hashes are SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A certificate over a key: enrols an id that is new, renews one that has this key.
    Certify {
        /// For whom.
        uid: UserId,
        /// Of the SubjectPublicKeyInfo.
        spki: Hash32,
        /// Of the certification request.
        csr: Hash32,
    },
    /// Revocation of a certificate, and of every other over the same key.
    Revoke {
        /// Whose.
        uid: UserId,
        /// Which.
        serial: SerialNumber,
        /// Of the SubjectPublicKeyInfo in it.
        spki: Hash32,
        /// Why.
        reason: RevocationReason,
    },
}

impl Request {
    /// Whom it is about.
    #[must_use]
    pub fn uid(&self) -> &UserId {
        match self {
            Self::Certify { uid, .. } | Self::Revoke { uid, .. } => uid,
        }
    }
}

/// A request that the policy lets happen, in the state it was decided on. Only [`decide`] makes
/// one, and making the event uses it up.
#[derive(Debug)]
#[must_use = "an approved request that is dropped was for nothing"]
pub struct Approved {
    kind: EventKind,
    uid: UserId,
    sequence: u64,
    previous: Option<Hash32>,
    policy: Hash32,
    intent: Option<Vec<u8>>,
    spki: Hash32,
    after: After,
    recovery_commitment: Option<Hash32>,
}

/// What the identity is afterwards, but for its head, which only the log can give.
#[derive(Debug, Clone, Copy)]
struct After {
    status: Status,
    key: Option<Key>,
}

impl Approved {
    /// What will happen.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        self.kind
    }

    /// To whom.
    #[must_use]
    pub fn uid(&self) -> &UserId {
        &self.uid
    }

    /// SHA-256 of the SubjectPublicKeyInfo it is about.
    #[must_use]
    pub fn spki(&self) -> Hash32 {
        self.spki
    }

    /// Number of the event to come in the identity's history.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Leaf hash of the identity's latest event, on which this rests.
    #[must_use]
    pub fn previous(&self) -> Option<Hash32> {
        self.previous
    }

    /// The recovery commitment that this event sets, as its body must say.
    #[must_use]
    pub fn recovery_commitment_set(&self) -> Option<Hash32> {
        None
    }

    /// Makes the event. `body` is the DER that belongs to the kind, `intent` the DER of the intent
    /// that came along; it is kept if the approval rests on a statement about it.
    #[must_use]
    pub fn into_event(
        self,
        time_ms: u64,
        evidence: Vec<EvidenceRef>,
        intent: Option<&[u8]>,
        body: &[u8],
    ) -> Decided {
        let event = Event {
            version: 1,
            engine: ENGINE,
            kind: self.kind,
            time_ms,
            subject: Some(self.uid.clone()),
            sequence: self.sequence,
            previous: self.previous,
            policy: self.policy,
            intent: intent.filter(|der| self.intent.as_deref() == Some(der)).map(octets),
            evidence,
            body: octets(body),
        };
        let outcome = Outcome {
            uid: self.uid,
            sequence: self.sequence,
            after: self.after,
            recovery_commitment: self.recovery_commitment,
        };
        Decided { event, outcome }
    }
}

/// An event with what it makes of its identity.
#[derive(Debug)]
pub struct Decided {
    /// The event, to be logged.
    pub event: Event,
    /// The identity afterwards, once the leaf has its hash.
    pub outcome: Outcome,
}

/// The identity after an event, but for its head.
#[derive(Debug)]
pub struct Outcome {
    uid: UserId,
    sequence: u64,
    after: After,
    recovery_commitment: Option<Hash32>,
}

impl Outcome {
    /// The identity, now that its latest event's leaf hash is known.
    #[must_use]
    pub fn with_head(self, head: Hash32) -> Identity {
        Identity {
            uid: self.uid,
            status: self.after.status,
            sequence: self.sequence,
            head,
            key: self.after.key,
            recovery_commitment: self.recovery_commitment,
        }
    }
}

/// Decides a request.
///
/// # Errors
/// A [`Refusal`] names the rule, what it expected, what it found and what to do.
pub fn decide(
    state: &State<'_>,
    request: &Request,
    facts: &[Fact],
    time: Time,
) -> Result<Approved, Refusal> {
    if let Some(identity) = &state.identity
        && identity.uid != *request.uid()
    {
        return Err(Refusal {
            code: wire::problem::ProblemCode::Internal,
            rule: "state-of-the-subject",
            detail: "the state is another identity's".to_owned(),
            expected: request.uid().to_string(),
            found: identity.uid.to_string(),
            remedy: "this is a fault of the program that asked",
        });
    }
    match request {
        Request::Certify { uid, spki, csr } => {
            certify::decide(state, uid, *spki, *csr, facts, time)
        }
        Request::Revoke { uid, serial, spki, reason } => {
            revoke::decide(state, uid, *serial, *spki, *reason, facts, time)
        }
    }
}

#[cfg(test)]
mod tests;
