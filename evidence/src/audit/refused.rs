//! What is said of an entry that is refused: where, which event, which rule, what was expected and
//! what was found.

use std::fmt::Display;

use policy::ReplayError;
use serde::{Deserialize, Serialize};
use wire::bundle::ExportEvent;
use wire::event::EventKind;
use wire::leaf::Leaf;
use wire::{FormatError, Hash32};

use super::is_committed;
use crate::issuance::Difference;
use crate::{HistoryError, TimelineError};

/// Why an entry does not continue a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("leaf {index}{}: rule {rule}: expected {expected}, found {found}", of(event.as_ref()))]
pub struct Refused {
    /// The leaf's index.
    pub index: u64,
    /// Its leaf hash, by which a strike names it; none where the leaf cannot be read.
    pub leaf: Option<Hash32>,
    /// Kind of its event, where that can be read.
    pub event: Option<String>,
    /// The rule, by its name.
    pub rule: String,
    /// What would have been taken.
    pub expected: String,
    /// What was there instead.
    pub found: String,
}

impl Refused {
    /// Leaf, kind of event and rule: what may stand where anybody reads it. What was expected and
    /// what was found may name people.
    #[must_use]
    pub fn in_short(&self) -> String {
        format!("leaf {}{}: rule {}", self.index, of(self.event.as_ref()), self.rule)
    }
}

fn of(event: Option<&String>) -> String {
    event.map_or_else(String::new, |event| format!(" ({event})"))
}

/// What whoever replays has against an event that the policy may allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    /// The rule, by its name.
    pub rule: &'static str,
    /// What would have been taken.
    pub expected: String,
    /// What was there instead.
    pub found: String,
}

/// Most characters of what was expected or found: the whole refusal has to fit into an answer, of
/// which no more than [`tlog::witness::MAX_ANSWER`] is read.
const SHOWN: usize = 500;

fn shortened(text: impl Display) -> String {
    let text = text.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Where in the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) index: u64,
    pub(super) leaf: Option<Hash32>,
    pub(super) event: Option<EventKind>,
}

impl At {
    pub(super) fn index(index: u64) -> Self {
        Self { index, leaf: None, event: None }
    }

    pub(super) fn refuses(
        &self,
        rule: impl Into<String>,
        expected: impl Display,
        found: impl Display,
    ) -> Refused {
        Refused {
            index: self.index,
            leaf: self.leaf,
            event: self.event.map(|kind| kind.to_string()),
            rule: rule.into(),
            expected: shortened(expected),
            found: shortened(found),
        }
    }

    pub(super) fn no_genesis(&self) -> Refused {
        self.refuses("genesis-first", "the genesis event as leaf 0", "another one")
    }

    pub(super) fn objection(&self, objection: Objection) -> Refused {
        self.refuses(objection.rule, objection.expected, objection.found)
    }

    pub(super) fn format(&self, error: &FormatError) -> Refused {
        self.refuses("format", "what this program's formats allow", error)
    }

    pub(super) fn history(&self, error: &HistoryError) -> Refused {
        match error {
            HistoryError::Subject { .. } => {
                self.refuses("event-subject", "this identity's", "another's")
            }
            HistoryError::Order { before, .. } => {
                self.refuses("order-of-events", format!("a leaf after {before}"), "an earlier one")
            }
            HistoryError::Evidence { found, .. } => {
                self.refuses("evidence-as-named", "the evidence that the event names", found)
            }
            HistoryError::Dossier { source, .. } => {
                self.refuses("evidence-holds", "evidence that proves something", source)
            }
            HistoryError::Csr { source, .. } => {
                self.refuses("certification-request", "an acceptable request", source)
            }
            HistoryError::NoKey { spki, .. } => {
                self.refuses("key-is-shown", "a key that request or history shows", spki)
            }
            HistoryError::Replay { source, .. } => self.replay(source),
        }
    }

    fn replay(&self, error: &ReplayError) -> Refused {
        match error {
            ReplayError::Format(error) => self.format(error),
            ReplayError::Refused(refusal) => {
                self.refuses(refusal.rule, &refusal.expected, &refusal.found)
            }
            ReplayError::Differs { field, expected, found } => {
                self.refuses(format!("event-{field}"), expected, found)
            }
            ReplayError::Kind { engine, kind } => {
                let found = format!("{kind} by engine {engine}");
                self.refuses("engine-version", "an event that this engine decides", found)
            }
        }
    }

    pub(super) fn timeline(&self, error: &TimelineError) -> Refused {
        match error {
            TimelineError::History(error) => self.history(error),
            TimelineError::Issuance(error) => {
                self.refuses("somebody-is-certified", "an issuer", error)
            }
        }
    }

    pub(super) fn certificate(&self, difference: &Difference) -> Refused {
        let expected = "the certificate that the event calls for";
        self.refuses("certificate-as-called-for", expected, difference)
    }
}

/// The leaf commits to the event's bytes.
pub(super) fn commits(leaf: &Leaf, with: &ExportEvent, at: &At) -> Result<(), Refused> {
    let salt: [u8; 32] = with.salt.0.as_slice().try_into().map_err(|_| {
        at.refuses("leaf-commits", "a salt of 32 bytes", format!("{} bytes", with.salt.0.len()))
    })?;
    if is_committed(leaf, &salt, &with.event.0) {
        return Ok(());
    }
    Err(at.refuses("leaf-commits", "a commitment to the event", leaf.commitment))
}
