//! Works through the outbox: what is due is sent, what is not taken is tried again, what was tried
//! for long enough is given up with an alarm. A crash at any point loses nothing: a notice leaves
//! the outbox after it was taken.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;

use super::notice::Notice;
use super::post::{Parcel, PostError};
use super::{NoticeSettings, Notices};
use crate::authority::{Authority, Fatal};
use crate::random;
use crate::store::StoreError;
use crate::store::rows::{Outbox, OutboxRow, Settled};

/// Notices taken from the outbox at once.
const BATCH: u32 = 64;
/// Of these on their way at once.
const AT_ONCE: usize = 8;
/// How long one may take, all of its steps together.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest time between two tries of a notice.
const LONGEST: Duration = Duration::from_secs(3600);
/// Longest rest: a clock may have been put right meanwhile.
const REST: Duration = Duration::from_secs(60);
/// The same with a test clock, which jumps.
const TEST_REST: Duration = Duration::from_millis(200);
/// How often what is out of use is looked for.
const SWEEP: Duration = Duration::from_secs(3600);
/// How long notices that were given up can still be looked at, in milliseconds.
const GIVEN_UP_KEPT_MS: u64 = 30 * 86_400_000;

/// Sends until the authority stops.
///
/// # Errors
/// [`Fatal`] when the store is not whole.
pub(crate) async fn run(authority: Arc<Authority>) -> Result<(), Fatal> {
    let mut delays = authority.retry_delays();
    let mut swept: Option<Instant> = None;
    loop {
        let sweeps = swept.is_none_or(|at| at.elapsed() >= SWEEP);
        let rest = match round(&authority, sweeps).await {
            Ok(rest) => {
                delays = authority.retry_delays();
                if sweeps {
                    swept = Some(Instant::now());
                }
                rest
            }
            Err(StoreError::Engine(error)) => {
                tracing::warn!(%error, "notices wait for the database");
                delays.next().unwrap_or(REST)
            }
            Err(error) => return Err(error.into()),
        };
        tokio::select! {
            () = authority.notices().written.notified() => {}
            () = tokio::time::sleep(rest) => {}
            () = authority.stopping().cancelled() => return Ok(()),
        }
    }
}

/// Sends what is due; says how long to rest.
async fn round(authority: &Authority, sweeps: bool) -> Result<Duration, StoreError> {
    let (store, notices) = (authority.store(), authority.notices());
    let now_ms = authority.clock().now_ms();
    if sweeps {
        store.forget(now_ms, now_ms.saturating_sub(GIVEN_UP_KEPT_MS)).await?;
    }
    let outbox = store.outbox(now_ms, BATCH).await?;
    let more = outbox.due.len() == BATCH as usize;
    let due = outbox.due.len();
    let next_ms = outbox.next_ms;
    let sent = deliver(authority, &outbox, now_ms).await;
    let settled: Vec<Settled> = sent.iter().map(|(settled, _)| *settled).collect();
    store.settle(&settled).await?;
    note(authority, notices, &outbox, &sent, now_ms);
    let most = if authority.clock().test_file().is_some() { TEST_REST } else { REST };
    if more {
        return Ok(Duration::ZERO);
    }
    // What was due has another time now, if it was not taken.
    let again = settled.iter().filter_map(|settled| match settled {
        Settled::Again { next_ms, .. } => Some(*next_ms),
        _ => None,
    });
    let next = if due > 0 { again.min() } else { next_ms };
    let next = next.map_or(most, |at| Duration::from_millis(at.saturating_sub(now_ms)));
    Ok(next.clamp(Duration::from_millis(10), most))
}

type Sent = (Settled, Result<(), PostError>);

async fn deliver(authority: &Authority, outbox: &Outbox, now_ms: u64) -> Vec<Sent> {
    let tries: Vec<_> = outbox.due.iter().map(|row| attempt(authority, row, now_ms)).collect();
    futures::stream::iter(tries).buffer_unordered(AT_ONCE).collect().await
}

async fn attempt(authority: &Authority, row: &OutboxRow, now_ms: u64) -> Sent {
    let settings = authority.notices().settings();
    let outcome = one(settings, row, now_ms).await;
    (settle(settings, row, &outcome, authority.clock().now_ms()), outcome)
}

async fn one(settings: &NoticeSettings, row: &OutboxRow, now_ms: u64) -> Result<(), PostError> {
    let notice = Notice::from_bytes(&row.notice)
        .map_err(|_| PostError::Failed("what the outbox holds is no notice".to_owned()))?;
    let parcel =
        Parcel { id: row.id, kind: row.kind, address: &row.address, notice: &notice, now_ms };
    match tokio::time::timeout(PATIENCE, settings.post.deliver(&parcel)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(PostError::Late(PATIENCE)),
    }
}

fn settle(
    settings: &NoticeSettings,
    row: &OutboxRow,
    outcome: &Result<(), PostError>,
    now_ms: u64,
) -> Settled {
    let id = row.id;
    if outcome.is_ok() {
        return Settled::Sent { id };
    }
    let give_up = u64::try_from(settings.give_up.as_millis()).unwrap_or(u64::MAX);
    if now_ms.saturating_sub(row.at_ms) >= give_up {
        return Settled::GivenUp { id, at_ms: now_ms };
    }
    let delay = delay(settings.first_retry, row.attempts, random::bytes());
    let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
    Settled::Again { id, attempts: row.attempts + 1, next_ms: now_ms.saturating_add(delay_ms) }
}

/// Twice as long after each try, up to an hour, and up to half again of jitter: receivers that were
/// down are not met by everything at once.
fn delay(first: Duration, attempts: u32, [jitter]: [u8; 1]) -> Duration {
    let base = first.saturating_mul(1 << attempts.min(16)).min(LONGEST);
    base + base.mul_f64(f64::from(jitter) / 510.0)
}

/// Counts, and says what is wrong. Neither names anybody.
fn note(authority: &Authority, notices: &Notices, outbox: &Outbox, sent: &[Sent], now_ms: u64) {
    let mut waiting = outbox.waiting;
    let mut failure = None;
    for ((settled, outcome), row) in sent.iter().map(|sent| (sent, row_of(outbox, sent))) {
        let kind = row.map_or("unknown", |row| row.kind.name());
        match (settled, outcome) {
            (Settled::Sent { .. }, _) => {
                waiting = waiting.saturating_sub(1);
                authority.metrics().notice(kind, "sent");
            }
            (Settled::Again { attempts, .. }, Err(error)) => {
                authority.metrics().notice(kind, "failed");
                let leaf = row.map_or(0, |row| row.leaf_index);
                tracing::warn!(%error, leaf, kind, attempts, "a notice was not taken; it is sent again");
                failure = Some(error.to_string());
            }
            (Settled::GivenUp { .. }, outcome) => {
                waiting = waiting.saturating_sub(1);
                authority.metrics().notice(kind, "given-up");
                let leaf = row.map_or(0, |row| row.leaf_index);
                let why = outcome.as_ref().err().map(ToString::to_string).unwrap_or_default();
                authority.alarm(format!(
                    "somebody was not told by {kind} of the event in leaf {leaf}: given up after \
                     {:?}: {why}",
                    notices.settings().give_up,
                ));
            }
            (Settled::Again { .. }, Ok(())) => {}
        }
    }
    authority.metrics().notices_waiting(waiting);
    let hours = outbox.oldest_ms.map_or(0, |at| now_ms.saturating_sub(at) / 3_600_000);
    match failure {
        _ if waiting == 0 => notices.note_trouble(None),
        Some(why) => notices
            .note_trouble(Some(format!("{waiting} notices wait, the oldest for {hours} h: {why}"))),
        None => {}
    }
}

fn row_of<'a>(outbox: &'a Outbox, (settled, _): &Sent) -> Option<&'a OutboxRow> {
    let (Settled::Sent { id } | Settled::Again { id, .. } | Settled::GivenUp { id, .. }) = settled;
    outbox.due.iter().find(|row| row.id == *id)
}

#[cfg(test)]
mod tests;
