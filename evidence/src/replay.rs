//! Replay of one identity's history from its evidence: what the authority does when it takes up
//! what a crash left, what auditors do with every event, and what clients do with a bundle.

mod snapshot;

use std::collections::HashMap;

use policy::{Identity, Installation, KeyUse, ReplayError, State, Time};
use wire::event::{Event, EventKind};
use wire::{Hash32, UserId};
use x509::{Csr, CsrError, KeyRules};

use crate::dossier::{self, DossierError, Piece};

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
#[derive(Debug)]
pub struct History<'a> {
    installation: &'a Installation,
    rules: &'a KeyRules,
    uid: UserId,
    identity: Option<Identity>,
    /// Keys that the identity has or had, by SHA-256.
    keys: HashMap<Hash32, Vec<u8>>,
    /// The request of the pending switch. Its key is not the identity's yet.
    requested: Option<Csr>,
}

impl<'a> History<'a> {
    /// A history before its first event.
    #[must_use]
    pub fn new(installation: &'a Installation, rules: &'a KeyRules, uid: UserId) -> Self {
        Self { installation, rules, uid, identity: None, keys: HashMap::new(), requested: None }
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

    /// Applies the next event, whose leaf hash is `leaf`. Returns the certification request behind
    /// it, if there is one: for a completed switch, that of its request. `other` is the identity that is known to have the request's key, where
    /// whoever replays knows of others; a client knows of none.
    ///
    /// # Errors
    /// Refuses an event that does not follow from its evidence and the events before it.
    pub fn apply(
        &mut self,
        event: &Event,
        leaf: Hash32,
        evidence: &[Piece],
        other: impl FnOnce(Hash32) -> Option<UserId>,
    ) -> Result<Option<Csr>, HistoryError> {
        let sequence = event.sequence;
        if event.subject.as_ref() != Some(&self.uid) {
            return Err(HistoryError::Subject { sequence });
        }
        let named: Vec<_> = evidence.iter().map(|(reference, _)| reference).collect();
        if !named.iter().copied().eq(event.evidence.iter()) {
            return Err(HistoryError::Evidence { sequence, found: evidence.len() });
        }
        let csr = dossier::csr(evidence, self.rules)
            .map_err(|source| HistoryError::Csr { sequence, source: Box::new(source) })?;
        let intent = event.intent.as_ref().map(|intent| intent.as_bytes());
        let spki_of = |hash: Hash32| self.keys.get(&hash).cloned();
        let time = Time::at_ms(event.time_ms);
        let (installation, pieces) = (self.installation, evidence);
        let facts = dossier::facts_at(installation, csr.as_ref(), intent, pieces, &spki_of, time)
            .map_err(|source| HistoryError::Dossier { sequence, source })?;
        let completes = event.kind == EventKind::SwitchComplete;
        let csr = if completes { self.requested.take() } else { csr };
        let spki = csr
            .as_ref()
            .map(Csr::spki_hash)
            .or_else(|| self.identity.as_ref().and_then(|i| i.key).map(|key| key.spki))
            // What moves no key needs none: a veto, a retirement of an identity without one.
            .unwrap_or(Hash32::from_bytes([0; 32]));
        let by = if self.keys.contains_key(&spki) { Some(self.uid.clone()) } else { other(spki) };
        let state = State {
            installation: self.installation,
            identity: self.identity.clone(),
            key_use: by.map_or(KeyUse::Unknown, |by| KeyUse::Known { by }),
        };
        let request = csr.as_ref().map(Csr::hash);
        let next = policy::apply(&state, event, leaf, &facts, request, spki, time)
            .map_err(|source| HistoryError::Replay { sequence, source: Box::new(source) })?;
        self.identity = Some(next);
        if event.kind == EventKind::SwitchRequest {
            self.requested = csr;
            return Ok(None);
        }
        if let Some(csr) = &csr {
            self.keys.insert(csr.spki_hash(), csr.spki_der().to_vec());
        }
        Ok(csr)
    }
}

#[cfg(test)]
mod tests;
