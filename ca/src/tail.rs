//! What no signed checkpoint covers yet, when an authority starts: the rows alone say that it was
//! recorded, and when. Whoever writes to the database can append there what follows from evidence
//! that he has; so the times that he gives it are held against the clock, and against each other.

use wire::Encoded;
use wire::body::{Changed, Ended, Phase};
use wire::event::{Event, EventKind};

use crate::store::{Store, StoreError};

/// Leaves read at once.
const BATCH: u64 = 1024;

/// How far a clock may have gone back since an event was recorded, milliseconds.
const SLACK_MS: u64 = 5 * 60 * 1000;

/// The shortest wait and window that a policy can have, milliseconds
/// ([`wire::rules::Rules::within_bounds`]).
const SHORTEST_WAIT_MS: u64 = 60 * 60 * 1000;

/// Why what was recorded last is not believed.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event of the future.
    #[error(
        "leaf {index}, which no signed checkpoint covers, was recorded at {time_ms} ms since 1970, \
         and it is {now_ms} ms now: the clock is wrong, or the database was altered"
    )]
    Future {
        /// The leaf's index.
        index: u64,
        /// The event's time, milliseconds since 1970.
        time_ms: u64,
        /// Now, milliseconds since 1970.
        now_ms: u64,
    },
    /// A wait that nobody could have seen begin.
    #[error(
        "leaf {index}, which no signed checkpoint covers, ends a wait {over_ms} ms after the first \
         such leaf: whoever wrote to the database could have made all of it"
    )]
    Wait {
        /// The leaf's index.
        index: u64,
        /// Milliseconds between the two.
        over_ms: u64,
    },
}

/// Checks the times of the events from a leaf on, which is the size of the signed checkpoint.
///
/// An authority signs a checkpoint within moments of recording, unless its token is away; and while
/// that is away, nothing that ends a wait is recorded (`effects.rs`, `server/moves.rs`).
///
/// # Errors
/// The first event that is not believed.
pub(crate) async fn check(store: &dyn Store, from: u64, now_ms: u64) -> Result<(), TailError> {
    let (mut at, mut earliest_ms) = (from, u64::MAX);
    loop {
        let rows = store.entries(at, at + BATCH, false).await?;
        if rows.is_empty() {
            return Ok(());
        }
        for row in &rows {
            let (index, Some(event)) = (row.leaf_index, &row.event) else { continue };
            let time_ms = event.time_ms;
            if time_ms > now_ms.saturating_add(SLACK_MS) {
                return Err(TailError::Future { index, time_ms, now_ms });
            }
            earliest_ms = earliest_ms.min(time_ms);
            let over_ms = time_ms - earliest_ms;
            if over_ms >= SHORTEST_WAIT_MS && ends_a_wait(event) {
                return Err(TailError::Wait { index, over_ms });
            }
        }
        at += rows.len() as u64;
    }
}

/// Whether an event may rest on a wait or window that began with an earlier one.
fn ends_a_wait(event: &Event) -> bool {
    let body = event.body.as_bytes();
    match event.kind {
        EventKind::SwitchComplete | EventKind::Recover => true,
        EventKind::Retire => {
            Ended::from_canonical(body).map(|body| body.phase) == Ok(Phase::Effective)
        }
        kind if !kind.is_of_identity() => {
            event.intent.is_none() && Changed::from_canonical(body).is_ok()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
