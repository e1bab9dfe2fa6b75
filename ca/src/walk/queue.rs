//! Requests wait here and leave in groups.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use wire::{Hash32, IdempotencyKey, UserId};

use super::{Ask, ChangeAsk};

/// Changes of the installation that may wait.
const CHANGES: usize = 16;

/// Of all requests that the authority has, one in so many makes a group: while one group is being
/// written, another is signed, and a third gathers. A group of all of them would leave a processor
/// idle at each step.
const GROUPS: usize = 2;

/// How long a group waits for requests that are being parsed.
const PATIENCE: Duration = Duration::from_millis(2);

/// What the queue wants to know of a request.
pub(crate) trait Waits {
    /// Whose it is.
    fn uid(&self) -> &UserId;
    /// The key that it is about.
    fn key(&self) -> Option<Hash32>;
    /// Its idempotency key.
    fn once(&self) -> Option<&IdempotencyKey>;
    /// It is in the queue; whether it was the last that was on its way there.
    fn arrives(&mut self) -> bool;
}

/// Where requests are put.
#[derive(Debug)]
pub(crate) struct QueueSender<A = Ask> {
    asks: mpsc::Sender<A>,
    changes: mpsc::Sender<ChangeAsk>,
    hall: Arc<Hall>,
}

/// What walks together.
#[derive(Debug)]
pub(crate) enum Group<A = Ask> {
    /// Requests about identities.
    Identities(Vec<A>),
    /// A change of the installation.
    Installation(ChangeAsk),
}

/// Where groups are taken from.
#[derive(Debug)]
pub(crate) struct Queue<A = Ask> {
    incoming: mpsc::Receiver<A>,
    changes: mpsc::Receiver<ChangeAsk>,
    hall: Arc<Hall>,
    /// Requests that have not left yet, in order.
    waiting: VecDeque<A>,
    group: usize,
}

/// The queue is full: the token, or the store, is the limit.
#[derive(Debug)]
pub(crate) struct Full;

/// How many requests there are.
#[derive(Debug, Default)]
struct Hall {
    /// Before the queue: being parsed.
    arriving: AtomicUsize,
    /// Anywhere between their arrival and their answer.
    inside: AtomicUsize,
    /// Nobody is arriving any more.
    all_arrived: Notify,
}

/// A request between its arrival and its answer.
#[derive(Debug)]
pub(crate) struct Guest {
    hall: Arc<Hall>,
    arriving: bool,
}

impl Guest {
    /// It is arriving no more; whether it was the last that did.
    pub(super) fn arrives(&mut self) -> bool {
        std::mem::take(&mut self.arriving) && self.hall.arriving.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if self.arrives() {
            self.hall.all_arrived.notify_one();
        }
        self.hall.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A queue for `capacity` requests that leave in groups of at most `group`.
pub(crate) fn queue<A: Waits>(capacity: usize, group: usize) -> (QueueSender<A>, Queue<A>) {
    let (asks, incoming) = mpsc::channel(capacity);
    let (sender, changes) = mpsc::channel(CHANGES);
    let hall = Arc::new(Hall::default());
    let sender = QueueSender { asks, changes: sender, hall: Arc::clone(&hall) };
    (sender, Queue { incoming, changes, hall, waiting: VecDeque::new(), group })
}

impl<A: Waits> QueueSender<A> {
    /// Requests that wait here.
    pub(crate) fn len(&self) -> usize {
        self.asks.max_capacity() - self.asks.capacity()
    }

    /// Says that a request is coming.
    pub(crate) fn announce(&self) -> Guest {
        self.hall.inside.fetch_add(1, Ordering::Relaxed);
        self.hall.arriving.fetch_add(1, Ordering::AcqRel);
        Guest { hall: Arc::clone(&self.hall), arriving: true }
    }

    /// Puts a request in.
    pub(crate) fn put(&self, mut ask: A) -> Result<(), Full> {
        let place = self.asks.try_reserve().map_err(|_| Full)?;
        let arrived = ask.arrives();
        place.send(ask);
        if arrived {
            self.hall.all_arrived.notify_one();
        }
        Ok(())
    }

    /// Puts a change of the installation in.
    pub(crate) fn put_change(&self, ask: ChangeAsk) -> Result<(), Full> {
        self.changes.try_send(ask).map_err(|_| Full)
    }
}

impl<A: Waits> Queue<A> {
    /// The next group; `None` once every sender is gone. Changes of the installation go first.
    /// Nothing is lost when the future is dropped.
    ///
    /// It leaves when it has its share of all requests that there are, or when no other is about to
    /// come, or has waited a moment. No identity, key or idempotency key is in a group twice, so
    /// each request of a group can be decided on the state before the group. Later ones wait for
    /// the next group, in order.
    pub(crate) async fn next(&mut self) -> Option<Group<A>> {
        if let Ok(change) = self.changes.try_recv() {
            return Some(Group::Installation(change));
        }
        if self.waiting.is_empty() {
            tokio::select! {
                biased;
                Some(change) = self.changes.recv() => return Some(Group::Installation(change)),
                first = self.incoming.recv() => self.waiting.push_back(first?),
            }
        }
        let patience = tokio::time::sleep_until(Instant::now() + PATIENCE);
        tokio::pin!(patience);
        let mut waited = false;
        loop {
            while self.waiting.len() < self.group
                && let Ok(ask) = self.incoming.try_recv()
            {
                self.waiting.push_back(ask);
            }
            let arriving = self.hall.arriving.load(Ordering::Acquire);
            if self.waiting.len() >= self.share() || arriving == 0 || waited {
                break;
            }
            tokio::select! {
                () = self.hall.all_arrived.notified() => {}
                () = &mut patience => waited = true,
                ask = self.incoming.recv() => match ask {
                    Some(ask) => self.waiting.push_back(ask),
                    None => break,
                },
            }
        }
        Some(Group::Identities(self.leave()))
    }

    /// Requests that make a group now.
    fn share(&self) -> usize {
        self.hall.inside.load(Ordering::Relaxed).div_ceil(GROUPS).clamp(1, self.group)
    }

    /// Takes a group out of those that wait.
    fn leave(&mut self) -> Vec<A> {
        let share = self.share();
        let (mut uids, mut keys, mut idempotency) =
            (HashSet::new(), HashSet::new(), HashSet::new());
        let mut group = Vec::with_capacity(share.min(self.waiting.len()));
        let mut held = VecDeque::new();
        for ask in self.waiting.drain(..) {
            let once = ask.once().cloned();
            let alone = group.len() < share
                && !uids.contains(ask.uid())
                && ask.key().is_none_or(|key| !keys.contains(&key))
                && once.as_ref().is_none_or(|key| !idempotency.contains(key));
            // One that waits keeps those behind it, which share a name with it, waiting too.
            uids.insert(ask.uid().clone());
            keys.extend(ask.key());
            idempotency.extend(once);
            if alone { group.push(ask) } else { held.push_back(ask) }
        }
        self.waiting = held;
        group
    }
}

#[cfg(test)]
mod tests;
