//! Replay of one identity's history from its evidence: what the authority does when it takes up
//! what a crash left, what [`crate::audit`] does with every event, and what clients do with a bundle.

mod snapshot;

use std::collections::HashMap;

use policy::{Identity, KeyUse, Objection, ReplayError, State, Time};
use wire::event::{Certified, Event, EventKind, EvidenceKind, RevocationReason};
use wire::intent::Intent;
use wire::{Encoded, Hash32, UserId};
use x509::{Csr, CsrError};

use crate::dossier::{self, DossierError, Piece};
use crate::timeline::Era;

pub use snapshot::{Snapshot, SnapshotError};

/// Why a history does not follow from its evidence.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// An event of another identity.
    #[error("event {sequence} is not of this identity")]
    Subject {
        /// Its number.
        sequence: u64,
    },
    /// An event whose leaf is not after that of the event before it.
    #[error("event {sequence} is in leaf {leaf_index}, the event before it in leaf {before}")]
    Order {
        /// Its number.
        sequence: u64,
        /// Index of its leaf.
        leaf_index: u64,
        /// Index of the leaf of the event before it.
        before: u64,
    },
    /// Not the evidence that the event names, in its order.
    #[error("event {sequence} came with {found} pieces of evidence that are not those it names")]
    Evidence {
        /// The event's number.
        sequence: u64,
        /// Pieces found.
        found: usize,
    },
    /// The evidence does not hold.
    #[error("event {sequence}: {source}")]
    Dossier {
        /// The event's number.
        sequence: u64,
        /// What is wrong.
        source: DossierError,
    },
    /// The certification request is not acceptable.
    #[error("event {sequence}: {source}")]
    Csr {
        /// The event's number.
        sequence: u64,
        /// What is wrong.
        source: Box<CsrError>,
    },
    /// The key that the certificate would be over is neither the request's nor the identity's.
    #[error("event {sequence} is about key {spki}, which nothing shows")]
    NoKey {
        /// The event's number.
        sequence: u64,
        /// SHA-256 of the SubjectPublicKeyInfo.
        spki: Hash32,
    },
    /// The rules give something else.
    #[error("event {sequence}: {source}")]
    Replay {
        /// The event's number.
        sequence: u64,
        /// What is wrong.
        source: Box<ReplayError>,
    },
}

/// An identity's history, replayed event by event from the first one.
#[derive(Debug, Clone)]
pub struct History {
    uid: UserId,
    identity: Option<Identity>,
    /// Keys that the identity has or had, by SHA-256.
    keys: HashMap<Hash32, Vec<u8>>,
    /// The request of the pending switch. Its key is not the identity's yet.
    requested: Option<Csr>,
    /// What an auditor gave receipts for: whoever replays says it, the log does not.
    objections: Vec<Objection>,
}

/// What one event of an identity brings about. Keys are named by SHA-256 of their
/// SubjectPublicKeyInfo.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// A key that the identity has for the first time.
    pub new_key: Option<Hash32>,
    /// The key that is the identity's no more: every certificate over it is revoked.
    pub revoked: Option<(Hash32, RevocationReason)>,
}

impl History {
    /// A history before its first event.
    #[must_use]
    pub fn new(uid: UserId) -> Self {
        let (keys, objections) = (HashMap::new(), Vec::new());
        Self { uid, identity: None, keys, requested: None, objections }
    }

    /// The identity after the events so far.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// SubjectPublicKeyInfo (DER) of a key that the identity has or had.
    #[must_use]
    pub fn key(&self, hash: Hash32) -> Option<&[u8]> {
        self.keys.get(&hash).map(Vec::as_slice)
    }

    /// SHA-256 of every key that the identity has or had.
    pub fn keys(&self) -> impl Iterator<Item = Hash32> {
        self.keys.keys().copied()
    }

    /// The certification request of the pending switch.
    #[must_use]
    pub fn requested(&self) -> Option<&Csr> {
        self.requested.as_ref()
    }

    /// From now on, nothing completes that this objection stops.
    pub fn object(&mut self, objection: Objection) {
        if !self.objections.contains(&objection) {
            self.objections.push(objection);
        }
    }

    /// Applies the next event, whose leaf hash is `leaf`. `era` is the one that it was decided in
    /// ([`crate::Timeline::at`]). `other` is the identity that is known to have the key in
    /// question, where whoever replays knows of others; a client knows of none.
    ///
    /// # Errors
    /// Refuses an event that does not follow from its evidence and the events before it.
    pub fn apply(
        &mut self,
        era: &Era,
        event: &Event,
        leaf: Hash32,
        evidence: &[Piece],
        other: impl FnOnce(Hash32) -> Option<UserId>,
    ) -> Result<Step, HistoryError> {
        let sequence = event.sequence;
        if event.subject.as_ref() != Some(&self.uid) {
            return Err(HistoryError::Subject { sequence });
        }
        named_by(event, evidence)?;
        policy::heeds(&self.objections, self.identity.as_ref(), event).map_err(|refusal| {
            HistoryError::Replay { sequence, source: Box::new(refusal.into()) }
        })?;
        let unfit = |source| HistoryError::Csr { sequence, source: Box::new(source) };
        let csr = dossier::csr(evidence, era.issuance().key_rules()).map_err(unfit)?;
        let installation = &**era.installation();
        let time = Time::at_ms(event.time_ms);
        let spki_of = |hash: Hash32| self.keys.get(&hash).cloned();
        let intent = event.intent.as_ref().map(|intent| intent.as_bytes());
        let facts = dossier::facts_at(installation, csr.as_ref(), intent, evidence, &spki_of, time)
            .map_err(|source| HistoryError::Dossier { sequence, source })?;
        let completes = event.kind == EventKind::SwitchComplete;
        let csr = if completes { self.requested.take() } else { csr };
        let spki = self.in_question(event, csr.as_ref());
        let by = if self.keys.contains_key(&spki) { Some(self.uid.clone()) } else { other(spki) };
        let state = State {
            installation,
            identity: self.identity.clone(),
            key_use: by.map_or(KeyUse::Unknown, |by| KeyUse::Known { by }),
        };
        let request = csr.as_ref().map(Csr::hash);
        let next = policy::apply(&state, event, leaf, &facts, request, spki, time)
            .map_err(|source| HistoryError::Replay { sequence, source: Box::new(source) })?;
        let before = self.identity.replace(next);
        if event.kind == EventKind::SwitchRequest {
            self.requested = csr;
            return Ok(Step { new_key: None, revoked: None });
        }
        let certified = match Certified::from_canonical(event.body.as_bytes()) {
            Ok(body) if event.kind.certifies() => Some(body.spki),
            _ => None,
        };
        let new_key = match certified {
            Some(spki) if !self.keys.contains_key(&spki) => {
                let der = shown(spki, csr.as_ref(), evidence);
                self.keys.insert(spki, der.ok_or(HistoryError::NoKey { sequence, spki })?);
                Some(spki)
            }
            _ => None,
        };
        let key_of = |identity: &Identity| identity.key.map(|key| key.spki);
        let after = self.identity.as_ref().and_then(key_of);
        let revoked = policy::key_taken(event, before.as_ref().and_then(key_of), after);
        Ok(Step { new_key, revoked })
    }

    /// The key that the request behind an event was about.
    fn in_question(&self, event: &Event, csr: Option<&Csr>) -> Hash32 {
        let of_intent = || {
            let intent = Intent::from_canonical(event.intent.as_ref()?.as_bytes()).ok()?;
            intent.new_spki
        };
        let of_identity = || self.identity.as_ref().and_then(|i| i.key).map(|key| key.spki);
        // What moves no key needs none: a veto, a retirement of an identity without one.
        csr.map(Csr::spki_hash)
            .or_else(of_intent)
            .or_else(of_identity)
            .unwrap_or(Hash32::from_bytes([0; 32]))
    }
}

/// The key with this hash (SubjectPublicKeyInfo, DER) that came along: in the certification
/// request, or by itself, to be adopted.
fn shown(spki: Hash32, csr: Option<&Csr>, evidence: &[Piece]) -> Option<Vec<u8>> {
    if let Some(csr) = csr.filter(|csr| csr.spki_hash() == spki) {
        return Some(csr.spki_der().to_vec());
    }
    let mut pieces = evidence.iter();
    pieces
        .find(|(piece, _)| piece.kind == EvidenceKind::PublicKey && piece.hash == spki)
        .map(|(_, der)| der.clone())
}

/// Whether the evidence is what the event names, in its order.
pub(crate) fn named_by(event: &Event, evidence: &[Piece]) -> Result<(), HistoryError> {
    if evidence.iter().map(|(reference, _)| reference).eq(event.evidence.iter()) {
        return Ok(());
    }
    Err(HistoryError::Evidence { sequence: event.sequence, found: evidence.len() })
}

#[cfg(test)]
pub(crate) mod tests;
