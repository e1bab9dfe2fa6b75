//! Room for the answers of one connection, so that a caller who takes none does not fill the
//! memory: who waits for room is not worked on.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that are counted as one.
const UNIT: usize = 4096;

fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT).max(1)
}

/// Room for so many bytes.
#[derive(Debug, Clone)]
pub(super) struct Space(Arc<Semaphore>);

/// Room for one answer, until it is written.
#[derive(Debug)]
pub(super) struct Room(OwnedSemaphorePermit);

impl Space {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(units(bytes))))
    }

    /// Waits for room; none once the connection has ended.
    pub(super) async fn take(&self, bytes: usize) -> Option<Room> {
        let wanted = u32::try_from(units(bytes)).unwrap_or(u32::MAX);
        Arc::clone(&self.0).acquire_many_owned(wanted).await.ok().map(Room)
    }

    /// Sends everybody away who waits.
    pub(super) fn close(&self) {
        self.0.close();
    }
}

impl Room {
    /// Gives back what the answer does not need.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let surplus = self.0.num_permits().saturating_sub(units(bytes));
        drop(self.0.split(surplus));
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn who_has_no_room_waits_until_an_answer_is_short_or_taken() {
        let space = Space::new(8 * UNIT);
        let mut first = space.take(6 * UNIT).await.unwrap();
        let waiting = space.take(6 * UNIT);
        tokio::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none(), "6 and 6 of 8");
        first.shrink(UNIT / 2);
        let second = waiting.as_mut().now_or_never().expect("1 and 6 of 8").unwrap();
        let third = space.take(2 * UNIT);
        tokio::pin!(third);
        assert!(third.as_mut().now_or_never().is_none());
        drop(second);
        assert!(third.now_or_never().expect("1 and 2 of 8").is_some());
    }

    #[tokio::test]
    async fn nobody_waits_on_a_connection_that_has_ended() {
        let space = Space::new(UNIT);
        let _all = space.take(UNIT).await.unwrap();
        let waiting = space.take(1);
        tokio::pin!(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        space.close();
        assert!(waiting.now_or_never().expect("told at once").is_none());
    }
}
