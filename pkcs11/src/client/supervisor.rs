//! The life of one worker slot: start, serve, replace.

use super::HsmState;
use super::link::{End, Link};
use super::shared::{Shared, unavailable};
use crate::error::HsmError;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest pause between attempts: a token that returns is in use within two seconds.
const LONGEST_PAUSE: Duration = Duration::from_millis(1200);
/// A worker that served this long was well; its end is not counted against the next.
const WELL: Duration = Duration::from_secs(5);

pub(super) async fn run(shared: Arc<Shared>, slot: usize) {
    tokio::select! {
        () = supervise(&shared, slot) => (),
        // A start that is under way is dropped, and with it its process (kill_on_drop).
        () = stopped(&shared, slot) => (),
    }
    shared.set_worker(slot, HsmState::Stopped, None);
}

/// Ends when we stop and no connection is there to end in order.
async fn stopped(shared: &Shared, slot: usize) {
    shared.stop.cancelled().await;
    let serving = shared.status().workers[slot].state == HsmState::Ready;
    if serving {
        std::future::pending::<()>().await;
    }
}

async fn supervise(shared: &Shared, slot: usize) {
    let mut failures = 0;
    while !shared.stop.is_cancelled() {
        if let Some(error) = shared.pin_refused() {
            wait_for_pin(shared, slot, error).await;
            failures = 0;
        }
        let opened = {
            let _turn = shared.turn.lock().await;
            // While we waited for our turn another worker's PIN, which is ours, may have failed.
            if shared.pin_refused().is_some() {
                continue;
            }
            let (pin, number) = shared.pin();
            let opened = Link::open(shared, &pin).await;
            // Said before the turn is passed on, or the next worker would try the same PIN.
            if let Some(error) = opened.as_ref().err().filter(|error| error.is_pin()) {
                tracing::error!(slot, %error, "HSM PIN refused; waiting for another");
                shared.refuse_pin(number, error.clone());
                continue;
            }
            opened
        };
        let error = match opened {
            Ok(link) => {
                let since = Instant::now();
                shared.set_token(link.token.clone());
                shared.set_worker(slot, HsmState::Ready, link.pid());
                tracing::info!(
                    slot,
                    pid = link.pid(),
                    token = link.token.label,
                    "HSM worker ready"
                );
                let reason = match link.serve(shared).await {
                    End::Stopped => return,
                    End::Lost(reason) | End::Died(reason) => reason,
                };
                tracing::warn!(slot, reason, "HSM worker lost, replacing it");
                shared.set_worker(slot, HsmState::Starting, None);
                if since.elapsed() >= WELL {
                    failures = 0;
                }
                if failures == 0 {
                    failures = 1;
                    continue;
                }
                unavailable(reason)
            }
            Err(error) => {
                tracing::warn!(slot, %error, "HSM worker did not start");
                error
            }
        };
        failures += 1;
        shared.set_worker(slot, HsmState::Recovering { error: error.clone() }, None);
        if !shared.is_ready() {
            shared.drain(&unavailable(error.to_string()));
        }
        tokio::time::sleep(pause(failures)).await;
    }
}

async fn wait_for_pin(shared: &Shared, slot: usize, error: HsmError) {
    let mut changes = shared.changes();
    shared.set_worker(slot, HsmState::PinRefused { error: error.clone() }, None);
    if !shared.is_ready() {
        shared.drain(&error);
    }
    while shared.pin_refused().is_some() && changes.changed().await.is_ok() {}
    shared.set_worker(slot, HsmState::Starting, None);
}

/// Doubles from 50 ms, with up to a quarter more at random so that many do not knock at once.
fn pause(failures: u32) -> Duration {
    let base = Duration::from_millis(50 << failures.min(5)).min(LONGEST_PAUSE);
    let mut random = [0; 1];
    // Without randomness there is no jitter; nothing else depends on it.
    let _ = getrandom::fill(&mut random);
    base + base * u32::from(random[0]) / 1024
}
