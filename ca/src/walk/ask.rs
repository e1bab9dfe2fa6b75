//! A request at the beginning of its walk: parsed, with its facts, and somebody who waits.

use std::collections::HashMap;
use std::sync::Arc;

use policy::{Fact, Installation, Request};
use tokio::sync::oneshot;
use wire::address::Address;
use wire::body::{Changed, Ended, Phase};
use wire::event::{Event, EventKind, EvidenceKind, EvidenceRef, RevocationReason};
use wire::intent::Intent;
use wire::problem::{Problem, ProblemCode};
use wire::{Encoded, Hash32, IdempotencyKey, SerialNumber, UserId};

use super::queue::{Guest, Waits};
use crate::store::rows::CertificateRow;

/// What is asked for.
#[derive(Debug)]
pub(crate) enum Action {
    /// A certificate.
    Certify(Box<x509::Csr>),
    /// Revocation of a certificate, with SHA-256 of its SubjectPublicKeyInfo.
    Revoke { leaf_index: u64, serial: SerialNumber, key: Hash32, reason: RevocationReason },
    /// What the intent says, with the key that it brings, if it does.
    Intent { intent: Box<Intent>, brings: Option<Brings> },
    /// Approval of the pending switch with this intent.
    Approve { switch: Hash32 },
    /// Objection to what was proposed with this intent.
    Veto { switch: Hash32 },
    /// The pending switch takes effect, with the certification request of its first event.
    CompleteSwitch(Box<x509::Csr>),
    /// The announced retirement takes effect.
    CompleteRetire,
}

/// A key that comes with an intent.
#[derive(Debug)]
pub(crate) enum Brings {
    /// In a certification request.
    Request(Box<x509::Csr>),
    /// By itself: it is adopted.
    Key(Box<x509::PublicKey>),
}

impl Brings {
    /// The key.
    pub(crate) fn key(&self) -> &x509::PublicKey {
        match self {
            Self::Request(csr) => csr.key(),
            Self::Key(key) => key,
        }
    }
}

/// A caller's idempotency key with the hash of the request it came with.
#[derive(Debug, Clone)]
pub(crate) struct Idempotency {
    pub(crate) key: IdempotencyKey,
    pub(crate) request: Hash32,
}

/// What a caller is told: the event, a certificate, and whether this request made them.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) done: Done,
    /// The certificate that follows from the event, or that a revocation is about.
    pub(crate) certificate: Option<CertificateRow>,
    pub(crate) created: bool,
}

/// An event that is in the log.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    /// The identity; none for the installation.
    pub(crate) uid: Option<UserId>,
    pub(crate) kind: EventKind,
    pub(crate) sequence: u64,
    pub(crate) leaf_index: u64,
    pub(crate) leaf_hash: Hash32,
    /// It announces something that takes effect later.
    pub(crate) announced: bool,
}

impl Done {
    /// What an event did whose leaf is this.
    pub(crate) fn of(event: &Event, leaf_index: u64, leaf_hash: Hash32) -> Self {
        let body = event.body.as_bytes();
        let announced = match event.kind {
            EventKind::Retire => {
                Ended::from_canonical(body).is_ok_and(|body| body.phase == Phase::Announced)
            }
            kind if !kind.is_of_identity() => {
                Changed::from_canonical(body).is_ok_and(|body| body.phase == Phase::Announced)
            }
            _ => false,
        };
        Self {
            uid: event.subject.clone(),
            kind: event.kind,
            sequence: event.sequence,
            leaf_index,
            leaf_hash,
            announced,
        }
    }
}

/// The caller. Answering uses it up; one who is never answered is told that something broke.
#[derive(Debug)]
pub(crate) struct Reply {
    sender: oneshot::Sender<Result<Answer, Problem>>,
    /// The caller's request, for what the log says of it.
    span: tracing::Span,
    /// Its place among the requests that are there.
    guest: Option<Guest>,
}

impl Reply {
    /// A reply with the end on which it is awaited.
    pub(crate) fn channel() -> (Self, oneshot::Receiver<Result<Answer, Problem>>) {
        let (sender, receiver) = oneshot::channel();
        (Self { sender, span: tracing::Span::current(), guest: None }, receiver)
    }

    /// With a place among the requests that are there, up to the answer.
    pub(crate) fn of(mut self, guest: Option<Guest>) -> Self {
        self.guest = guest;
        self
    }

    /// Answers. A caller who has gone away is not an error.
    pub(crate) fn send(self, answer: Result<Answer, Problem>) {
        let _ = self.sender.send(answer);
    }

    /// The caller's request.
    pub(crate) fn span(&self) -> &tracing::Span {
        &self.span
    }
}

/// A caller, and what is to be told.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) reply: Reply,
    pub(crate) done: Done,
}

impl Caller {
    /// It is done.
    pub(crate) fn answer(self, certificate: Option<CertificateRow>) {
        self.reply.send(Ok(Answer { done: self.done, certificate, created: true }));
    }

    /// It is recorded, and something is still missing.
    pub(crate) fn pending(self, what: &str) {
        let detail = format!("recorded as leaf {}; {what}", self.done.leaf_index);
        self.reply.send(Err(Problem::new(ProblemCode::Pending, detail).retry_after(2)));
    }
}

/// A request at the beginning of its walk.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) uid: UserId,
    /// What its evidence was weighed under.
    pub(crate) installation: Arc<Installation>,
    pub(crate) action: Action,
    /// Evidence as received, with its facts.
    pub(crate) evidence: Vec<(EvidenceRef, Vec<u8>)>,
    pub(crate) facts: Vec<Fact>,
    /// Keys of those who signed, by SHA-256, as far as they are the identity's.
    pub(crate) signers: HashMap<Hash32, Vec<u8>>,
    /// The signed intent, DER.
    pub(crate) intent: Option<Vec<u8>>,
    /// Addresses of the channels that the intent sets, as far as they came with it.
    pub(crate) addresses: Vec<Address>,
    pub(crate) idempotency: Option<Idempotency>,
    pub(crate) reply: Reply,
}

impl Ask {
    /// The question that the policy is asked.
    pub(crate) fn request(&self) -> Request {
        let uid = self.uid.clone();
        match &self.action {
            Action::Certify(csr) => {
                Request::Certify { uid, spki: csr.spki_hash(), csr: csr.hash() }
            }
            Action::Revoke { serial, key, reason, .. } => {
                Request::Revoke { uid, serial: *serial, spki: *key, reason: *reason }
            }
            Action::Intent { intent, .. } => Request::Intent(intent.clone()),
            Action::Approve { switch } => Request::Approve { uid, intent: *switch },
            Action::Veto { switch } => Request::Veto { uid, intent: *switch },
            Action::CompleteSwitch(_) => Request::CompleteSwitch { uid },
            Action::CompleteRetire => Request::CompleteRetire { uid },
        }
    }

    /// SHA-256 of the SubjectPublicKeyInfo that it is about, if it is about one.
    pub(crate) fn key(&self) -> Option<Hash32> {
        match &self.action {
            Action::Certify(csr) | Action::CompleteSwitch(csr) => Some(csr.spki_hash()),
            Action::Revoke { key, .. } => Some(*key),
            Action::Intent { intent, .. } => intent.new_spki,
            Action::Approve { .. } | Action::Veto { .. } | Action::CompleteRetire => None,
        }
    }

    /// What is asked for, in a word.
    pub(crate) fn verb(&self) -> &'static str {
        match &self.action {
            Action::Certify(_) => "certify",
            Action::Revoke { .. } => "revoke",
            Action::Intent { intent, .. } => intent.verb.name(),
            Action::Approve { .. } => EventKind::SwitchApprove.name(),
            Action::Veto { .. } => EventKind::Veto.name(),
            Action::CompleteSwitch(_) => EventKind::SwitchComplete.name(),
            Action::CompleteRetire => EventKind::Retire.name(),
        }
    }

    /// Whether some of the evidence counts at a certain time only: it is weighed when that is
    /// decided on, and again at the same time whenever the event is replayed.
    pub(crate) fn is_timely(&self) -> bool {
        self.evidence.iter().any(|(reference, _)| reference.kind == EvidenceKind::IdToken)
    }

    /// Kinds of evidence, by name, separated by spaces.
    pub(crate) fn vouched(&self) -> String {
        vouched(self.evidence.iter().map(|(reference, _)| reference))
    }
}

/// Kinds of evidence, by name, separated by spaces.
pub(crate) fn vouched<'a>(evidence: impl Iterator<Item = &'a EvidenceRef>) -> String {
    evidence.map(|reference| reference.kind.name()).collect::<Vec<_>>().join(" ")
}

/// The answer to everybody whose evidence was weighed under an installation that has changed.
pub(crate) fn changed_meanwhile() -> Problem {
    let detail = "policy or roster changed while the request was waiting; nothing was changed";
    Problem::new(ProblemCode::Overloaded, detail).retry_after(1)
}

impl Waits for Ask {
    fn uid(&self) -> &UserId {
        &self.uid
    }

    fn key(&self) -> Option<Hash32> {
        Ask::key(self)
    }

    fn once(&self) -> Option<&IdempotencyKey> {
        self.idempotency.as_ref().map(|idempotency| &idempotency.key)
    }

    fn arrives(&mut self) -> bool {
        self.reply.guest.as_mut().is_some_and(Guest::arrives)
    }
}

/// The answer to everybody whose request met a broken store.
pub(crate) fn store_unavailable() -> Problem {
    let detail = "the database did not take the request; nothing was changed";
    Problem::new(ProblemCode::StoreUnavailable, detail).retry_after(2)
}

/// The answer to everybody whose request was being recorded when the store broke.
pub(crate) fn unclear() -> Problem {
    let detail = "the database failed while the request was being recorded; whether it was is told \
                  by asking again with the same Idempotency-Key";
    Problem::new(ProblemCode::StoreUnavailable, detail).retry_after(2)
}
