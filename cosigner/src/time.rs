//! A co-signer's own clock, and what becomes of one that jumps back.

use std::fmt;
use std::sync::Arc;

/// Seconds by which a clock may be behind what it said before: as a correction over the network
/// makes it. The earlier word is then repeated until the clock has caught up.
pub(crate) const CORRECTION: u64 = 60;

/// Tells the time in seconds since 1970.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Clock {
    /// A clock that asks `now` for seconds since 1970.
    #[must_use]
    pub fn new(now: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Now, in seconds since 1970.
    #[must_use]
    pub fn now(&self) -> u64 {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

/// A clock far behind what it said before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the clock says {now}, and said {last} when this log was co-signed last (seconds since 1970): \
     nothing is co-signed until it is right"
)]
pub struct Behind {
    /// What it says.
    pub now: u64,
    /// What was co-signed last.
    pub last: u64,
}

/// The time for the next co-signature of a log that was co-signed at `last`.
///
/// A co-signature says what the largest checkpoint is *as of* its time (C2SP tlog-cosignature). An
/// earlier time under a larger checkpoint would contradict the co-signature before it, so times of
/// one log never go back.
pub(crate) fn next(now: u64, last: Option<u64>) -> Result<u64, Behind> {
    match last {
        Some(last) if now < last && last - now > CORRECTION => Err(Behind { now, last }),
        Some(last) => Ok(now.max(last)),
        None => Ok(now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_one_log_never_go_back() {
        assert_eq!(next(100, None), Ok(100));
        assert_eq!(next(100, Some(100)), Ok(100));
        assert_eq!(next(101, Some(100)), Ok(101));
        assert_eq!(next(1000 - CORRECTION, Some(1000)), Ok(1000));
        let behind = Behind { now: 999 - CORRECTION, last: 1000 };
        assert_eq!(next(999 - CORRECTION, Some(1000)), Err(behind));
    }
}
