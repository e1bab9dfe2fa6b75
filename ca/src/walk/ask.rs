//! A request at the beginning of its walk: parsed, with its facts, and somebody who waits.

use policy::{Fact, Request};
use tokio::sync::oneshot;
use wire::event::{EvidenceRef, RevocationReason};
use wire::problem::{Problem, ProblemCode};
use wire::{Hash32, IdempotencyKey, SerialNumber, UserId};

use crate::store::rows::CertificateRow;

/// What is asked for.
#[derive(Debug)]
pub(crate) enum Action {
    /// A certificate.
    Certify(Box<x509::Csr>),
    /// Revocation of a certificate, with SHA-256 of its SubjectPublicKeyInfo.
    Revoke { leaf_index: u64, serial: SerialNumber, key: Hash32, reason: RevocationReason },
}

/// A caller's idempotency key with the hash of the request it came with.
#[derive(Debug, Clone)]
pub(crate) struct Idempotency {
    pub(crate) key: IdempotencyKey,
    pub(crate) request: Hash32,
}

/// What a caller is told: a certificate, and whether this request made or changed it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) row: CertificateRow,
    pub(crate) created: bool,
}

/// The caller. Answering uses it up; one who is never answered is told that something broke.
#[derive(Debug)]
pub(crate) struct Reply {
    sender: oneshot::Sender<Result<Answer, Problem>>,
    /// The caller's request, for what the log says of it.
    span: tracing::Span,
}

impl Reply {
    /// A reply with the end on which it is awaited.
    pub(crate) fn channel() -> (Self, oneshot::Receiver<Result<Answer, Problem>>) {
        let (sender, receiver) = oneshot::channel();
        (Self { sender, span: tracing::Span::current() }, receiver)
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

/// A request at the beginning of its walk.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) uid: UserId,
    pub(crate) action: Action,
    /// Evidence as received, with its facts.
    pub(crate) evidence: Vec<(EvidenceRef, Vec<u8>)>,
    pub(crate) facts: Vec<Fact>,
    /// The signed intent, DER.
    pub(crate) intent: Option<Vec<u8>>,
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
        }
    }

    /// SHA-256 of the SubjectPublicKeyInfo that it is about.
    pub(crate) fn key(&self) -> Hash32 {
        match &self.action {
            Action::Certify(csr) => csr.spki_hash(),
            Action::Revoke { key, .. } => *key,
        }
    }

    /// What is asked for, in a word.
    pub(crate) fn verb(&self) -> &'static str {
        match self.action {
            Action::Certify(_) => "certify",
            Action::Revoke { .. } => "revoke",
        }
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

/// The answer to everybody whose request met a broken store.
pub(crate) fn store_unavailable() -> Problem {
    let detail = "the database did not take the request; nothing was changed";
    Problem::new(ProblemCode::StoreUnavailable, detail).retry_after(2)
}
