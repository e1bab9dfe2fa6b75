//! What stops a pending switch, or an announced retirement, though the log does not have it yet: it
//! was handed to somebody who gave a receipt. It counts if it is logged or receipted before the
//! switch completes (DESIGN section 3), so whoever knows of the receipt refuses the completion.

use wire::Hash32;
use wire::body::VetoEffect;
use wire::event::{Event, EventKind};
use wire::problem::ProblemCode;

use super::{Request, decide};
use crate::identity::{Identity, Pending};
use crate::{Fact, Refusal, State, Time};

/// A veto, or a recovery, that was receipted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Objection {
    /// Hash of the intent that asked for what is stopped.
    pub intent: Hash32,
    /// Whether that is dropped, or takes longer.
    pub effect: VetoEffect,
}

/// What a request would stop if it were logged now.
///
/// # Errors
/// The policy's refusal: what would not be logged stops nothing.
pub fn objections(
    state: &State<'_>,
    request: &Request,
    facts: &[Fact],
    time: Time,
) -> Result<Vec<Objection>, Refusal> {
    let after = decide(state, request, facts, time)?.after.identity;
    let Some(before) = &state.identity else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    if let Some(pending) = before.pending() {
        let intent = pending.intent;
        let effect = match after.pending() {
            None => Some(VetoEffect::Dropped),
            Some(left) if left.slowed && !pending.slowed => Some(VetoEffect::Slowed),
            Some(_) => None,
        };
        found.extend(effect.map(|effect| Objection { intent, effect }));
    }
    if let Some(retiring) = before.retiring().filter(|_| after.retiring().is_none()) {
        let intent = retiring.intent;
        found.push(Objection { intent, effect: VetoEffect::Dropped });
    }
    Ok(found)
}

/// Whether a logged event heeds what was receipted before it.
///
/// # Errors
/// It completes what was stopped.
pub fn heeds(
    objections: &[Objection],
    before: Option<&Identity>,
    event: &Event,
) -> Result<(), Refusal> {
    let Some(before) = before else { return Ok(()) };
    let (intent, slowed) = match event.kind {
        EventKind::SwitchComplete => {
            (before.pending().map(Pending::intent), before.pending().is_some_and(|p| p.slowed))
        }
        EventKind::Retire if event.intent.is_none() => {
            (before.retiring().map(|retiring| retiring.intent), false)
        }
        _ => return Ok(()),
    };
    let stops = |objection: &&Objection| {
        Some(objection.intent) == intent && !(objection.effect == VetoEffect::Slowed && slowed)
    };
    let Some(objection) = objections.iter().find(stops) else { return Ok(()) };
    Err(Refusal {
        code: ProblemCode::NotOffered,
        rule: "a-receipted-veto-counts",
        detail: "it was stopped before it took effect: an auditor gave a receipt".to_owned(),
        expected: "the veto or recovery in the log, and no completion".to_owned(),
        found: format!("a completed {} of intent {}", event.kind, objection.intent),
        remedy: "log what the auditor was given; have officers strike the completion",
    })
}
