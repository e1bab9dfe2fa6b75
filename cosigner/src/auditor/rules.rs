//! What an auditor demands of an event beside the policy: that its time can be believed.
//!
//! An event's time is the authority's word. Waits are counted from it where the policy allows the
//! authority's clock (`allow_unwitnessed`), and expiries always. The auditor has a clock of its own,
//! and knows two things: it sees the event now, and when it saw the entries before it, the event
//! was not there.

use evidence::audit::Objection;
use wire::event::{Event, EventKind};

/// How far the authority's clock and the auditor's may be apart, and how long an event may have
/// been on its way, in milliseconds. Five minutes are what the authority allows its own clock at a
/// start; both are expected to be kept right over the network, within seconds.
pub const SLACK_MS: u64 = 5 * 60 * 1000;

/// What an auditor knows of when events were.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// Now, by its clock, milliseconds since 1970.
    pub(super) now_ms: u64,
    /// When it took the entries before, where there were any.
    pub(super) before_ms: Option<u64>,
}

impl Seen {
    /// Refuses an event of the future; and one that begins a wait and says that it was before the
    /// entries that were seen before it.
    ///
    /// The second rule is for beginnings of waits only. Whoever dates another event back gains
    /// nothing by it; and an event may honestly be late, when the token that signs checkpoints was
    /// away after it was recorded.
    pub(super) fn demands(self, event: &Event) -> Result<(), Objection> {
        let Self { now_ms, before_ms } = self;
        let latest = now_ms.saturating_add(SLACK_MS);
        if event.time_ms > latest {
            return Err(Objection {
                rule: "no-event-of-the-future",
                expected: format!("at most {latest} ms since 1970, by this auditor's clock"),
                found: format!("{} ms", event.time_ms),
            });
        }
        let earliest = before_ms.unwrap_or(0).saturating_sub(SLACK_MS);
        if begins_a_wait(event) && event.time_ms < earliest {
            return Err(Objection {
                rule: "a-wait-begins-when-it-is-seen",
                expected: format!(
                    "{earliest} ms since 1970 or later: the entries before were seen then, and \
                     this event was not among them"
                ),
                found: format!("{} ms", event.time_ms),
            });
        }
        Ok(())
    }
}

/// Whether a wait or a window may be counted from an event.
fn begins_a_wait(event: &Event) -> bool {
    use EventKind as K;
    match event.kind {
        K::SwitchRequest | K::SwitchApprove | K::Veto | K::RecoveryCommitmentChange => true,
        K::ChannelChange | K::Retire => true,
        kind if !kind.is_of_identity() => event.intent.is_some(),
        _ => false,
    }
}
