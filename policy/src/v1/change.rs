//! Changes of the installation: the threshold of the roster before it, and, where something
//! becomes looser, the wait. A change that waits is logged twice: announced, then effective.

use wire::body::{Changed, Phase};
use wire::event::{Event, EventKind, EvidenceRef};
use wire::intent::Intent;
use wire::problem::ProblemCode;
use wire::{Encoded, Hash32, octets};

use super::guard::{self, Case};
use super::loosen::Change;
use super::replay::{ReplayError, difference, differs, within};
use crate::{ENGINE, Fact, Installation, Refusal, Time};

/// What is asked of the installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeRequest {
    /// What an intent asks for by its verb and body.
    Intent(Box<Intent>),
    /// An announced change takes effect.
    Effect(EventKind),
}

/// A change that the policy lets happen.
#[derive(Debug)]
#[must_use = "an approved change that is dropped was for nothing"]
pub struct ApprovedChange {
    kind: EventKind,
    sequence: u64,
    previous: Option<Hash32>,
    policy: Hash32,
    intent: Option<Vec<u8>>,
    body: Vec<u8>,
    after: Installation,
}

/// The installation after an event, but for its head.
#[derive(Debug)]
pub struct ChangeOutcome(Installation);

impl ChangeOutcome {
    /// The installation, now that its latest event's leaf hash is known.
    #[must_use]
    pub fn with_head(self, head: Hash32) -> Installation {
        self.0.logged_at(head)
    }
}

impl ApprovedChange {
    /// What will happen.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        self.kind
    }

    /// Number of the event to come in the installation's history.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Makes the event.
    #[must_use]
    pub fn into_event(self, time_ms: u64, evidence: Vec<EvidenceRef>) -> (Event, ChangeOutcome) {
        let event = Event {
            version: 1,
            engine: ENGINE,
            kind: self.kind,
            time_ms,
            subject: None,
            sequence: self.sequence,
            previous: self.previous,
            policy: self.policy,
            intent: self.intent.as_deref().map(octets),
            evidence,
            body: octets(&self.body),
        };
        (event, ChangeOutcome(self.after))
    }
}

/// Decides a change of the installation.
///
/// # Errors
/// A [`Refusal`] names the rule, what it expected, what it found and what to do.
pub fn decide_change(
    installation: &Installation,
    request: &ChangeRequest,
    facts: &[Fact],
    time: Time,
) -> Result<ApprovedChange, Refusal> {
    match request {
        ChangeRequest::Intent(intent) => by_intent(installation, intent, facts, time),
        ChangeRequest::Effect(kind) => effect(installation, *kind, facts, time),
    }
}

fn by_intent(
    installation: &Installation,
    intent: &Intent,
    facts: &[Fact],
    time: Time,
) -> Result<ApprovedChange, Refusal> {
    let malformed = |found: String| Refusal {
        code: ProblemCode::MalformedRequest,
        rule: "intent.body",
        detail: "the intent does not say what changes".to_owned(),
        expected: "a verb of the installation and the body that belongs to it".to_owned(),
        found,
        remedy: "make the intent anew",
    };
    let body = intent.body.as_ref().ok_or_else(|| malformed("no body".to_owned()))?;
    let change = Change::parse(intent.verb, body.as_bytes())
        .map_err(|error| malformed(error.to_string()))?
        .ok_or_else(|| malformed(intent.verb.to_string()))?;
    guard::stale("head", guard::shown(installation.head()), guard::shown(intent.head))?;
    guard::stale("sequence", installation.sequence() + 1, intent.sequence)?;
    guard::in_force(installation, intent, time)?;
    Case::of_installation(installation, facts, intent.verb, intent.hash(), time).threshold()?;
    change.sound(installation)?;
    let (phase, after) = if change.loosens(installation) {
        let announced = Announced {
            change: body.as_bytes().to_vec(),
            leaf: None,
            announced_ms: time.upper_ms(),
            wait: installation.rules().wait,
        };
        (Phase::Announced, installation.announcing(intent.verb, announced))
    } else {
        (Phase::Effective, installation.changed(intent.verb, change))
    };
    Ok(approved(installation, intent.verb, phase, body.as_bytes(), Some(intent), after))
}

/// A change that was announced and waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Announced {
    change: Vec<u8>,
    /// The announcing event's leaf hash, once it is logged.
    pub(crate) leaf: Option<Hash32>,
    pub(crate) announced_ms: u64,
    pub(crate) wait: u64,
}

fn effect(
    installation: &Installation,
    kind: EventKind,
    facts: &[Fact],
    time: Time,
) -> Result<ApprovedChange, Refusal> {
    let refuse = |detail: &str, found: String| Refusal {
        code: ProblemCode::NoPendingSwitch,
        rule: "a-change-is-announced",
        detail: detail.to_owned(),
        expected: format!("an announced {kind}"),
        found,
        remedy: "have the officers sign it",
    };
    let announced =
        installation.announced(kind).ok_or_else(|| refuse("none is announced", "none".into()))?;
    let change = Change::parse(kind, &announced.change)
        .ok()
        .flatten()
        .ok_or_else(|| refuse("what was announced cannot be read", "unreadable".into()))?;
    change.sound(installation)?;
    let wait = announced.wait.max(installation.rules().wait);
    let leaf = announced.leaf.unwrap_or(super::NOT_YET_LOGGED);
    guard::wait_over(installation, facts, leaf, announced.announced_ms, wait, time)?;
    let after = installation.changed(kind, change);
    Ok(approved(installation, kind, Phase::Effective, &announced.change, None, after))
}

fn approved(
    before: &Installation,
    kind: EventKind,
    phase: Phase,
    change: &[u8],
    intent: Option<&Intent>,
    after: Installation,
) -> ApprovedChange {
    ApprovedChange {
        kind,
        sequence: before.sequence() + 1,
        previous: before.head(),
        policy: before.rules_hash(),
        intent: intent.map(Encoded::to_canonical),
        body: Changed { version: 1, phase, change: octets(change) }.to_canonical(),
        after,
    }
}

/// Applies a logged event of the installation whose leaf hash is `leaf`.
///
/// # Errors
/// Refuses an event that these rules, on this state and these facts, would not have made.
pub fn apply_change(
    installation: &Installation,
    event: &Event,
    leaf: Hash32,
    facts: &[Fact],
    time: Time,
) -> Result<Installation, ReplayError> {
    if event.engine != ENGINE || event.subject.is_some() || event.kind.is_of_identity() {
        return Err(ReplayError::Kind { engine: event.engine, kind: event.kind });
    }
    within(event, time)?;
    let request = match &event.intent {
        Some(intent) => {
            let intent = Intent::from_canonical(intent.as_bytes())?;
            differs("kind", intent.verb, event.kind)?;
            ChangeRequest::Intent(Box::new(intent))
        }
        None => ChangeRequest::Effect(event.kind),
    };
    let approved = decide_change(installation, &request, facts, time)?;
    let (made, outcome) = approved.into_event(event.time_ms, event.evidence.clone());
    if made != *event {
        return Err(difference("content", &made.hash(), &event.hash()));
    }
    Ok(outcome.with_head(leaf))
}
