//! What takes effect by itself, and when it may.

use wire::Hash32;
use wire::event::EventKind;

use crate::identity::Identity;
use crate::v1::{self, NOT_YET_LOGGED, terms};
use crate::{Fact, Installation, Time};

/// Something that takes effect by itself when a wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The event by which it does.
    pub kind: EventKind,
    /// When it can at the earliest by the clock that the events are told the time by, milliseconds
    /// since 1970.
    pub due_ms: u64,
    pub(crate) leaf: Hash32,
    pub(crate) began_ms: u64,
    pub(crate) wait: u64,
    pub(crate) cooled_ms: u64,
}

impl Due {
    /// Leaf hash of the event that the wait began with.
    #[must_use]
    pub fn leaf(&self) -> Hash32 {
        self.leaf
    }

    /// Length of the wait, in seconds.
    #[must_use]
    pub fn wait(&self) -> u64 {
        self.wait
    }

    /// Whether these facts alone show that the wait is over, whatever the time is here.
    #[must_use]
    pub fn is_witnessed(&self, installation: &Installation, facts: &[Fact]) -> bool {
        self.waited(installation, facts, Time::at_ms(0))
    }

    /// Whether wait and cooldown are over, and not whether all else is there. Where the policy allows
    /// it, the wait may be by the clock that tells `time`.
    #[must_use]
    pub fn is_over(&self, installation: &Installation, facts: &[Fact], time: Time) -> bool {
        time.lower_ms() >= self.cooled_ms && self.waited(installation, facts, time)
    }

    fn waited(&self, installation: &Installation, facts: &[Fact], time: Time) -> bool {
        v1::wait_over(installation, facts, self.leaf, self.began_ms, self.wait, time).is_ok()
    }
}

/// What of an identity takes effect by itself: a pending switch, or else an announced retirement;
/// none while something else than time is missing. The answer is advice: [`crate::decide`] has the
/// last word. `now_ms` is when it is asked: what expired takes no effect any more.
#[must_use]
pub fn due(installation: &Installation, identity: &Identity, now_ms: u64) -> Option<Due> {
    let pending = identity.pending().filter(|pending| now_ms <= pending.expires_ms());
    let switch = pending.and_then(|pending| {
        let terms = terms(installation, identity, pending);
        let (began_ms, wait) = (pending.requested_ms(), terms.wait);
        let due_ms = began_ms.saturating_add(wait.saturating_mul(1000)).max(terms.cooled_ms);
        let kind = EventKind::SwitchComplete;
        let (leaf, cooled_ms) = (pending.leaf(), terms.cooled_ms);
        (terms.have >= terms.needed && due_ms <= pending.expires_ms()).then_some(Due {
            kind,
            due_ms,
            leaf,
            began_ms,
            wait,
            cooled_ms,
        })
    });
    switch.or_else(|| {
        let retiring = identity.retiring()?;
        let wait = retiring.wait.max(installation.rules().wait);
        let (leaf, began_ms) = (retiring.leaf, retiring.announced_ms);
        let due_ms = began_ms.saturating_add(wait.saturating_mul(1000));
        Some(Due { kind: EventKind::Retire, due_ms, leaf, began_ms, wait, cooled_ms: 0 })
    })
}

impl Installation {
    /// The changes that were announced and take effect by themselves. The answer is advice:
    /// [`crate::decide_change`] has the last word.
    pub fn due(&self) -> impl Iterator<Item = Due> {
        self.all_announced().map(|(kind, announced)| {
            let wait = announced.wait.max(self.rules().wait);
            let (leaf, began_ms) =
                (announced.leaf.unwrap_or(NOT_YET_LOGGED), announced.announced_ms);
            let due_ms = began_ms.saturating_add(wait.saturating_mul(1000));
            Due { kind, due_ms, leaf, began_ms, wait, cooled_ms: 0 }
        })
    }
}
