//! How an identity came from the key that is known to the one it has: by its own proven history.

use serde::Serialize;
use wire::event::EventKind;
use wire::{Hash32, UserId};

use crate::bundle::ProvenIdentity;

/// One change of the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Move {
    /// The event: `rekey`, `recover`, `switch-complete`, `revoke`, `void`, `retire`.
    pub event: String,
    /// Its number in the identity's history.
    pub sequence: u64,
    /// When, in milliseconds since 1970, by the authority's clock.
    pub at_ms: u64,
    /// The key afterwards.
    pub key: Option<Hash32>,
}

/// What a history says of a key that is not the one known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since {
    /// The identity never had the key that is known.
    Never,
    /// Whoever had the key before, or the recovery key, signed for each move.
    Continuous(Vec<Move>),
    /// One move at least was made without the key before: by officers and the wait.
    Switched(Vec<Move>),
    /// Officers declared the enrolment false that the known key came from: whoever had it was
    /// somebody else. When, in milliseconds since 1970, by the authority's clock.
    Voided(u64),
}

/// What happened to the identity's key since it was `known`.
#[must_use]
pub fn since(proven: &ProvenIdentity, known: Hash32) -> Since {
    let events = proven.events();
    // A bundle of what happened since holds the events after the key that was known.
    let after = match events.iter().rposition(|event| event.key == Some(known)) {
        Some(last) => last + 1,
        None if proven.key_before() == Some(known) => 0,
        None => return Since::Never,
    };
    let void = events[after..].iter().find(|step| step.event.kind == EventKind::Void);
    if let Some(void) = void {
        return Since::Voided(void.event.time_ms);
    }
    let mut moves = Vec::new();
    let mut continuous = true;
    let mut key = Some(known);
    for step in &events[after..] {
        let kind = step.event.kind;
        continuous &= kind != EventKind::SwitchComplete;
        if step.key == key {
            continue;
        }
        key = step.key;
        let (sequence, at_ms) = (step.event.sequence, step.event.time_ms);
        moves.push(Move { event: kind.name().to_owned(), sequence, at_ms, key });
    }
    if continuous { Since::Continuous(moves) } else { Since::Switched(moves) }
}

/// The moves in a sentence.
#[must_use]
pub fn told(uid: &UserId, moves: &[Move]) -> String {
    let told: Vec<_> = moves
        .iter()
        .map(|step| {
            let at = path::rfc3339(i64::try_from(step.at_ms / 1000).unwrap_or(i64::MAX));
            match step.key {
                Some(key) => format!("{} at {at} to key {key}", step.event),
                None => format!("{} at {at}, no key", step.event),
            }
        })
        .collect();
    format!("{uid} has another key: {}", told.join("; then "))
}
