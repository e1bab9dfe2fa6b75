//! Engine version 1: every event of DESIGN section 3.
//!
//! [`decide`] and [`apply`] are about one identity and need nothing but its state and the
//! installation's; [`decide_change`] and [`apply_change`] are about the installation.

mod certify;
mod change;
mod guard;
mod loosen;
mod moves;
mod names;
mod objection;
mod particulars;
mod rate;
mod replay;
mod revoke;
mod standing;
mod switch;

use wire::event::{Event, EventKind, EvidenceRef, RevocationReason};
use wire::intent::Intent;
use wire::problem::ProblemCode;
use wire::{Encoded, Hash32, SerialNumber, UserId, octets};

use crate::identity::{Details, Identity, Key, Standing};
use crate::{ENGINE, Fact, Refusal, State, Time};

pub use change::{ApprovedChange, ChangeOutcome, ChangeRequest, apply_change, decide_change};
pub use loosen::Change;
pub use objection::{Objection, heeds, objections};
pub use replay::{ReplayError, apply};
pub use revoke::key_taken;

pub(crate) use change::Announced;
pub(crate) use guard::{movable, wait_over};
pub(crate) use switch::terms;

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
    /// What an intent asks for by its verb: adopt, reissue, rekey, recover, switch-request,
    /// suspend, resume, void, retire, rename, channel-change, recovery-commitment-change.
    Intent(Box<Intent>),
    /// Officers approve the pending switch with this intent.
    Approve {
        /// Whose.
        uid: UserId,
        /// Hash of the switch-request's intent.
        intent: Hash32,
    },
    /// A veto against the pending switch, or the announced retirement, with this intent.
    Veto {
        /// Whose.
        uid: UserId,
        /// Hash of the intent that is objected to.
        intent: Hash32,
    },
    /// The pending switch takes effect. Nobody signs: the guards hold or they do not.
    CompleteSwitch {
        /// Whose.
        uid: UserId,
    },
    /// The announced retirement takes effect.
    CompleteRetire {
        /// Whose.
        uid: UserId,
    },
}

impl Request {
    /// Whom it is about; none for an intent about the installation, which [`decide`] refuses.
    #[must_use]
    pub fn uid(&self) -> Option<&UserId> {
        match self {
            Self::Certify { uid, .. }
            | Self::Revoke { uid, .. }
            | Self::Approve { uid, .. }
            | Self::Veto { uid, .. }
            | Self::CompleteSwitch { uid }
            | Self::CompleteRetire { uid } => Some(uid),
            Self::Intent(intent) => intent.subject.as_ref(),
        }
    }
}

/// A request that the policy lets happen, in the state it was decided on. Only [`decide`] makes
/// one, and making the event uses it up.
#[derive(Debug)]
#[must_use = "an approved request that is dropped was for nothing"]
pub struct Approved {
    kind: EventKind,
    sequence: u64,
    previous: Option<Hash32>,
    policy: Hash32,
    intent: Option<Vec<u8>>,
    follows: Follows,
    spki: Hash32,
    csr: Option<Hash32>,
    after: Outcome,
}

/// What an event's body holds.
#[derive(Debug)]
enum Follows {
    /// A certificate follows; whoever builds it writes the body.
    Certificate { possession_proven: bool, commitment: Option<Hash32> },
    /// Whoever asked wrote the body.
    Asked(Vec<u8>),
    /// The rules write the body.
    Ruled(Vec<u8>),
}

/// The leaf hash of the event that is being made: known when it is logged.
pub(crate) const NOT_YET_LOGGED: Hash32 = Hash32::from_bytes([0; 32]);

impl Approved {
    /// An event of an identity that exists. `next` is given the identity with its new number.
    fn step(
        state: &State<'_>,
        before: &Identity,
        kind: EventKind,
        next: impl FnOnce(&mut Identity),
    ) -> Self {
        let mut identity = before.clone();
        identity.sequence += 1;
        identity.head = NOT_YET_LOGGED;
        next(&mut identity);
        let spki = identity.key.or(before.key).map_or(NOT_YET_LOGGED, |key| key.spki);
        Self {
            kind,
            sequence: identity.sequence,
            previous: Some(before.head),
            policy: state.installation.rules_hash(),
            intent: None,
            follows: Follows::Ruled(Vec::new()),
            spki,
            csr: None,
            after: Outcome { identity, anchors: true },
        }
    }

    /// An identity begins.
    fn begin(state: &State<'_>, uid: &UserId, kind: EventKind, key: Key) -> Self {
        let mut identity = Identity {
            uid: uid.clone(),
            status: crate::Status::Active,
            sequence: 0,
            head: NOT_YET_LOGGED,
            key: None,
            recovery_commitment: None,
            details: Details::default(),
        };
        identity.stand(Standing::Active(key));
        Self {
            kind,
            sequence: 0,
            previous: None,
            policy: state.installation.rules_hash(),
            intent: None,
            follows: Follows::Certificate {
                possession_proven: key.possession_proven,
                commitment: None,
            },
            spki: key.spki,
            csr: None,
            after: Outcome { identity, anchors: true },
        }
    }

    fn over(self, intent: Option<&Intent>) -> Self {
        Self { intent: intent.map(Encoded::to_canonical), ..self }
    }

    fn request(self, csr: Hash32) -> Self {
        Self { csr: Some(csr), ..self }
    }

    fn certifies(self, commitment: Option<Hash32>) -> Self {
        let possession_proven = self.after.identity.key.is_some_and(|key| key.possession_proven);
        Self { follows: Follows::Certificate { possession_proven, commitment }, ..self }
    }

    fn ruled(self, body: &impl Encoded) -> Self {
        Self { follows: Follows::Ruled(body.to_canonical()), ..self }
    }

    fn anchors(mut self, anchors: bool) -> Self {
        self.after.anchors = anchors;
        self
    }

    /// What will happen.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        self.kind
    }

    /// To whom.
    #[must_use]
    pub fn uid(&self) -> &UserId {
        &self.after.identity.uid
    }

    /// The names besides the id that the certificate carries, where one follows.
    #[must_use]
    pub fn names(&self) -> &[wire::intent::Name] {
        self.after.identity.names()
    }

    /// SHA-256 of the SubjectPublicKeyInfo it is about: that of the certificate that follows, else
    /// the identity's key; zeros where it has none.
    #[must_use]
    pub fn spki(&self) -> Hash32 {
        self.spki
    }

    /// SHA-256 of the certification request that the certificate is built from, where one follows
    /// and there is a request: for a completed switch, that of the switch request.
    #[must_use]
    pub fn csr(&self) -> Option<Hash32> {
        self.csr
    }

    /// Whether a certificate follows, so that the caller writes the [`wire::event::Certified`]
    /// body.
    #[must_use]
    pub fn certificate_follows(&self) -> bool {
        matches!(self.follows, Follows::Certificate { .. })
    }

    /// The body, where the rules write it.
    #[must_use]
    pub fn body(&self) -> Option<&[u8]> {
        match &self.follows {
            Follows::Certificate { .. } => None,
            Follows::Asked(body) | Follows::Ruled(body) => Some(body),
        }
    }

    /// The intent that it rests on, DER.
    #[must_use]
    pub fn intent(&self) -> Option<&[u8]> {
        self.intent.as_deref()
    }

    /// The recovery commitment that the event's body must name.
    #[must_use]
    pub fn recovery_commitment_set(&self) -> Option<Hash32> {
        match self.follows {
            Follows::Certificate { commitment, .. } => commitment,
            _ => None,
        }
    }

    /// Whether the certified key's possession was proven, as the body must say.
    #[must_use]
    pub fn possession_proven(&self) -> bool {
        matches!(self.follows, Follows::Certificate { possession_proven: true, .. })
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

    /// Makes the event. `body` is the DER of a certificate's event; where none follows, the rules'
    /// own body ([`Approved::body`]) is taken whatever is given. `intent` is the DER of the intent
    /// that came along; it is kept if the approval rests on a statement about it.
    #[must_use]
    pub fn into_event(
        self,
        time_ms: u64,
        evidence: Vec<EvidenceRef>,
        intent: Option<&[u8]>,
        body: &[u8],
    ) -> Decided {
        let body = match &self.follows {
            Follows::Certificate { .. } => body,
            Follows::Asked(own) | Follows::Ruled(own) => own,
        };
        let event = Event {
            version: 1,
            engine: ENGINE,
            kind: self.kind,
            time_ms,
            subject: Some(self.after.identity.uid.clone()),
            sequence: self.sequence,
            previous: self.previous,
            policy: self.policy,
            intent: intent.filter(|der| self.intent.as_deref() == Some(der)).map(octets),
            evidence,
            body: octets(body),
        };
        Decided { event, outcome: self.after }
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
    identity: Identity,
    anchors: bool,
}

impl Outcome {
    /// The identity, now that its latest event's leaf hash is known.
    #[must_use]
    pub fn with_head(self, head: Hash32) -> Identity {
        let mut identity = self.identity;
        identity.head = head;
        if self.anchors {
            identity.details.anchor = Some((identity.sequence, head));
        }
        if let Some(pending) = &mut identity.details.pending
            && pending.leaf == NOT_YET_LOGGED
        {
            pending.leaf = head;
        }
        if let Some(retiring) = &mut identity.details.retiring
            && retiring.leaf == NOT_YET_LOGGED
        {
            retiring.leaf = head;
        }
        identity
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
        && request.uid().is_some_and(|uid| *uid != identity.uid)
    {
        return Err(Refusal {
            code: ProblemCode::Internal,
            rule: "state-of-the-subject",
            detail: "the state is another identity's".to_owned(),
            expected: request.uid().map_or_else(String::new, ToString::to_string),
            found: identity.uid.to_string(),
            remedy: "this is a fault of the program that asked",
        });
    }
    if let Some(identity) = &state.identity
        && state.installation.is_struck(identity.head)
        && !matches!(request, Request::Intent(intent) if intent.verb == EventKind::Void)
    {
        return Err(Refusal {
            code: ProblemCode::NotOffered,
            rule: "nothing-follows-from-a-struck-leaf",
            detail: "the identity's latest event was declared dead".to_owned(),
            expected: "a void by the officers' threshold first".to_owned(),
            found: format!("leaf {}", identity.head),
            remedy: "turn to the officers",
        });
    }
    match request {
        Request::Certify { uid, spki, csr } => {
            certify::decide(state, uid, *spki, *csr, facts, time)
        }
        Request::Revoke { uid, serial, spki, reason } => {
            revoke::decide(state, uid, *serial, *spki, *reason, facts, time)
        }
        Request::Intent(intent) => by_intent(state, intent, facts, time),
        Request::Approve { intent, .. } => switch::approve(state, *intent, facts, time),
        Request::Veto { intent, .. } => switch::veto(state, *intent, facts, time),
        Request::CompleteSwitch { .. } => switch::complete(state, facts, time),
        Request::CompleteRetire { .. } => standing::complete_retire(state, facts, time),
    }
}

fn by_intent(
    state: &State<'_>,
    intent: &Intent,
    facts: &[Fact],
    time: Time,
) -> Result<Approved, Refusal> {
    use EventKind as K;
    match intent.verb {
        K::Adopt => moves::adopt(state, intent, facts, time),
        K::Reissue => moves::reissue(state, intent, facts, time),
        K::Rekey => moves::rekey(state, intent, facts, time),
        K::Recover => moves::recover(state, intent, facts, time),
        K::SwitchRequest => switch::request(state, intent, facts, time),
        K::Suspend => standing::suspend(state, intent, facts, time),
        K::Resume => standing::resume(state, intent, facts, time),
        K::Void => standing::void(state, intent, facts, time),
        K::Retire => standing::retire(state, intent, facts, time),
        K::Rename => particulars::rename(state, intent, facts, time),
        K::ChannelChange => particulars::channels(state, intent, facts, time),
        K::RecoveryCommitmentChange => particulars::recommit(state, intent, facts, time),
        verb => Err(Refusal {
            code: ProblemCode::NotOffered,
            rule: "verb",
            detail: format!("a {verb} is not asked for by an intent of its own"),
            expected: "a verb of one identity that an intent can ask for".to_owned(),
            found: verb.to_string(),
            remedy: "use the request that belongs to the verb",
        }),
    }
}

/// The identity, unless it does not exist or has ended.
fn living<'a>(state: &'a State<'_>) -> Result<(&'a Identity, Standing), Refusal> {
    let Some(identity) = &state.identity else {
        return Err(Refusal {
            code: ProblemCode::UnknownIdentity,
            rule: "identity-exists",
            detail: "there is no such identity".to_owned(),
            expected: "an enrolled identity".to_owned(),
            found: "none".to_owned(),
            remedy: "check the id; ids are compared byte for byte",
        });
    };
    match identity.standing() {
        Standing::Retired => Err(Refusal {
            code: ProblemCode::IdentityRetired,
            rule: "retired-stays-retired",
            detail: "the identity is retired".to_owned(),
            expected: "an identity that has not ended".to_owned(),
            found: format!("{} retired", identity.uid),
            remedy: "enrol under another id",
        }),
        standing => Ok((identity, standing)),
    }
}

/// The identity and its key, if it is active.
fn active<'a>(state: &'a State<'_>) -> Result<(&'a Identity, Key), Refusal> {
    match living(state)? {
        (identity, Standing::Active(key)) => Ok((identity, key)),
        _ => Err(suspended()),
    }
}

fn suspended() -> Refusal {
    Refusal {
        code: ProblemCode::IdentitySuspended,
        rule: "a-current-key-lifts-nothing",
        detail: "the identity is suspended".to_owned(),
        expected: "an active identity".to_owned(),
        found: "a suspended one".to_owned(),
        remedy: "recover it with its recovery key, or turn to the officers",
    }
}

/// Key and request that an intent must name.
fn named_key(intent: &Intent) -> Result<(Hash32, Hash32), Refusal> {
    match (intent.new_spki, intent.csr) {
        (Some(spki), Some(csr)) => Ok((spki, csr)),
        (None, _) => Err(no_new_key("intent.new-spki")),
        (_, None) => Err(no_new_key("intent.csr")),
    }
}

fn no_new_key(rule: &'static str) -> Refusal {
    Refusal {
        code: ProblemCode::MalformedRequest,
        rule,
        detail: "the intent names no new key with its certification request".to_owned(),
        expected: "SHA-256 of a new key and of the request over it".to_owned(),
        found: "none".to_owned(),
        remedy: "name both in the intent",
    }
}

#[cfg(test)]
pub(crate) mod tests;
