//! The life of one worker slot: start, serve, replace.

use super::HsmState;
use super::link::{End, Link, Who};
use super::shared::{Shared, Slot, unavailable};
use crate::error::HsmError;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest pause between attempts, before jitter: a token that returns is in use within two
/// seconds.
const LONGEST_PAUSE: Duration = Duration::from_millis(1200);
/// A worker that served this long, or so many requests, was well; its end is not counted against
/// the next.
const WELL: Duration = Duration::from_secs(5);
const WELL_SERVED: u64 = 8;

pub(super) async fn run(shared: Arc<Shared>, slot: Slot) {
    tokio::select! {
        () = supervise(&shared, slot) => (),
        // A start that is under way is dropped, and with it its process (kill_on_drop).
        () = stopped(&shared, slot) => (),
    }
    shared.set_worker(slot, HsmState::Stopped, None);
}

/// Ends when we stop and no connection is there to end in order.
async fn stopped(shared: &Shared, slot: Slot) {
    shared.stop.cancelled().await;
    if shared.worker(slot).pid.is_some() {
        std::future::pending::<()>().await;
    }
}

async fn supervise(shared: &Shared, slot: Slot) {
    let mut failures = 0;
    while !shared.stop.is_cancelled() {
        if shared.is_drained(slot.place) {
            rest(shared, slot).await;
            failures = 0;
        }
        if let Some(error) = shared.pin_refused(slot.place) {
            wait_for_pin(shared, slot, error).await;
            failures = 0;
        }
        let opened = {
            let _turn = shared.place(slot).turn.lock().await;
            // While we waited for our turn another worker's PIN, which is ours, may have failed.
            if shared.pin_refused(slot.place).is_some() || shared.is_drained(slot.place) {
                continue;
            }
            let (pin, number) = shared.pin(slot.place);
            let opened = Link::open(shared, slot, &pin, Who::Supervisor).await;
            // Said before the turn is passed on, or the next worker would try the same PIN.
            if let Some(error) = opened.as_ref().err().filter(|error| error.is_pin()) {
                let token = &shared.place(slot).name;
                tracing::error!(token, %error, "HSM PIN refused; waiting for another");
                shared.refuse_pin(slot.place, number, error.clone());
                continue;
            }
            opened
        };
        let error = match opened {
            Ok(link) => match serve(shared, slot, link).await {
                Served::Ended => {
                    shared.set_worker(slot, HsmState::Starting, None);
                    continue;
                }
                Served::Lost { reason, well } => {
                    if well {
                        failures = 0;
                    }
                    if failures == 0 {
                        failures = 1;
                        continue;
                    }
                    unavailable(reason)
                }
            },
            Err(error) => {
                tracing::warn!(token = shared.place(slot).name, %error, "HSM worker did not start");
                error
            }
        };
        failures += 1;
        shared.set_worker(slot, HsmState::Recovering { error: error.clone() }, None);
        shared.drain_if_nobody_comes(&unavailable(error.to_string()));
        tokio::time::sleep(pause(failures)).await;
    }
}

enum Served {
    /// In order: stopped, or drained.
    Ended,
    Lost {
        reason: String,
        well: bool,
    },
}

async fn serve(shared: &Shared, slot: Slot, link: Link) -> Served {
    let since = Instant::now();
    shared.set_token(slot, link.token.clone());
    shared.set_worker(slot, HsmState::Ready, link.pid());
    let token = &shared.place(slot).name;
    tracing::info!(token, pid = link.pid(), label = link.token.label, "HSM worker ready");
    let (end, answered) = link.serve(shared, slot).await;
    let reason = match end {
        End::Stopped | End::Drained => return Served::Ended,
        End::Lost(reason) | End::Died(reason) => reason,
    };
    tracing::warn!(token, reason, "HSM worker lost, replacing it");
    shared.set_worker(slot, HsmState::Starting, None);
    Served::Lost { reason, well: answered >= WELL_SERVED || since.elapsed() >= WELL }
}

/// Waits until the token is taken back into use.
async fn rest(shared: &Shared, slot: Slot) {
    shared.set_worker(slot, HsmState::Drained, None);
    shared.drain_if_nobody_comes(&unavailable("every token is drained".to_owned()));
    shared.drained(slot.place, false).await;
    shared.set_worker(slot, HsmState::Starting, None);
}

async fn wait_for_pin(shared: &Shared, slot: Slot, error: HsmError) {
    shared.set_worker(slot, HsmState::PinRefused { error: error.clone() }, None);
    shared.drain_if_nobody_comes(&error);
    shared.another_pin(slot.place).await;
    shared.set_worker(slot, HsmState::Starting, None);
}

/// Doubles from 50 ms, with up to a quarter more at random so that many do not knock at once. The
/// first failure is the one that took a worker away, and costs no pause.
fn pause(failures: u32) -> Duration {
    let doubled = failures.saturating_sub(2).min(5);
    let base = Duration::from_millis(50 << doubled).min(LONGEST_PAUSE);
    let mut random = [0; 1];
    // Without randomness there is no jitter; nothing else depends on it.
    let _ = getrandom::fill(&mut random);
    base + base * u32::from(random[0]) / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_returns_is_tried_within_two_seconds() {
        for failures in 0..1000 {
            assert!(pause(failures) <= Duration::from_millis(1500), "{failures}");
        }
        assert!(pause(2) < Duration::from_millis(63));
        assert!(pause(9) >= LONGEST_PAUSE);
    }
}
