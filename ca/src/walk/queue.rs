//! Requests wait here and leave in groups.

use std::collections::{HashSet, VecDeque};

use tokio::sync::mpsc;

use super::Ask;

/// Where requests are put.
#[derive(Debug, Clone)]
pub(crate) struct QueueSender(mpsc::Sender<Ask>);

/// Where groups are taken from.
#[derive(Debug)]
pub(crate) struct Queue {
    incoming: mpsc::Receiver<Ask>,
    /// Requests that may not walk together with one that was before them.
    held: VecDeque<Ask>,
    group: usize,
}

/// The queue is full: the token, or the store, is the limit.
#[derive(Debug)]
pub(crate) struct Full;

/// A queue for `capacity` requests that leave in groups of at most `group`.
pub(crate) fn queue(capacity: usize, group: usize) -> (QueueSender, Queue) {
    let (sender, incoming) = mpsc::channel(capacity);
    (QueueSender(sender), Queue { incoming, held: VecDeque::new(), group })
}

impl QueueSender {
    /// Requests that wait here.
    pub(crate) fn len(&self) -> usize {
        self.0.max_capacity() - self.0.capacity()
    }

    /// Puts a request in.
    pub(crate) fn put(&self, ask: Ask) -> Result<(), Full> {
        self.0.try_send(ask).map_err(|_| Full)
    }
}

impl Queue {
    /// The next group, as soon as there is a request; `None` once every sender is gone.
    ///
    /// No identity, key or idempotency key is in a group twice, so each request of a group can be
    /// decided on the state before the group. Later ones wait for the next group, in order.
    pub(crate) async fn next_group(&mut self) -> Option<Vec<Ask>> {
        let mut waiting: Vec<Ask> = self.held.drain(..).collect();
        if waiting.is_empty() {
            let received = self.incoming.recv_many(&mut waiting, self.group).await;
            if received == 0 {
                return None;
            }
        }
        while waiting.len() < self.group
            && let Ok(ask) = self.incoming.try_recv()
        {
            waiting.push(ask);
        }
        let (mut uids, mut keys, mut idempotency) =
            (HashSet::new(), HashSet::new(), HashSet::new());
        let mut group = Vec::with_capacity(waiting.len());
        for ask in waiting {
            let once = ask.idempotency.as_ref().map(|i| i.key.clone());
            let alone = group.len() < self.group
                && !uids.contains(&ask.uid)
                && !keys.contains(&ask.key())
                && once.as_ref().is_none_or(|key| !idempotency.contains(key));
            // One that waits keeps those behind it, which share a name with it, waiting too.
            uids.insert(ask.uid.clone());
            keys.insert(ask.key());
            idempotency.extend(once);
            if alone { group.push(ask) } else { self.held.push_back(ask) }
        }
        Some(group)
    }
}
