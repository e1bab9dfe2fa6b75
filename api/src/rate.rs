//! How many requests one caller may make.
//!
//! The generic cell rate algorithm: of each caller one point in time is kept, that at which its
//! allowance is whole again. Each request moves it by one interval; a request that would move it
//! further ahead than the burst lasts is refused.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use wire::Hash32;

use crate::config::Rate;

/// Callers that are kept at most; each takes about a hundred bytes.
const CALLERS: usize = 1 << 16;

/// Whose requests are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Caller {
    /// The holder of a TLS client certificate, by its key.
    Certificate(Hash32),
    /// An address; of IPv6 the network of 64 bits, which is what one customer has.
    Address(IpAddr),
}

impl Caller {
    pub(crate) fn at(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => Self::Address(IpAddr::V6((v6.to_bits() >> 64 << 64).into())),
            v4 => Self::Address(v4),
        }
    }
}

/// The allowances.
#[derive(Debug)]
pub(crate) struct Limiter {
    anonymous: Rate,
    agents: Rate,
    whole_again: Mutex<HashMap<Caller, Instant>>,
}

impl Limiter {
    pub(crate) fn new(anonymous: Rate, agents: Rate) -> Self {
        Self { anonymous, agents, whole_again: Mutex::default() }
    }

    /// Takes one request from the allowance.
    ///
    /// # Errors
    /// When nothing is left: the time after which there is something again.
    pub(crate) fn take(&self, caller: Caller, now: Instant) -> Result<(), Duration> {
        let rate = match caller {
            Caller::Certificate(_) => self.agents,
            Caller::Address(_) => self.anonymous,
        };
        let interval = Duration::from_secs(1) / rate.per_second;
        let burst = interval * rate.burst;
        let mut callers = self.callers();
        let at = callers.get(&caller).map_or(now, |&at| at.max(now)) + interval;
        if at > now + burst {
            return Err(at - (now + burst));
        }
        if callers.len() >= CALLERS && !callers.contains_key(&caller) {
            // Whose allowance is whole needs no place.
            callers.retain(|_, &mut at| at > now);
            if callers.len() >= CALLERS {
                // So many at once are not told apart; the bounds on connections and requests hold.
                return Ok(());
            }
        }
        callers.insert(caller, at);
        Ok(())
    }

    fn callers(&self) -> MutexGuard<'_, HashMap<Caller, Instant>> {
        self.whole_again.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
