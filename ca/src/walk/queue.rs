//! Requests wait here and leave in groups.

use std::collections::{HashSet, VecDeque};

use tokio::sync::mpsc;

use super::{Ask, ChangeAsk};

/// Changes of the installation that may wait.
const CHANGES: usize = 16;

/// Where requests are put.
#[derive(Debug, Clone)]
pub(crate) struct QueueSender {
    asks: mpsc::Sender<Ask>,
    changes: mpsc::Sender<ChangeAsk>,
}

/// What walks together.
#[derive(Debug)]
pub(crate) enum Group {
    /// Requests about identities.
    Identities(Vec<Ask>),
    /// A change of the installation.
    Installation(ChangeAsk),
}

/// Where groups are taken from.
#[derive(Debug)]
pub(crate) struct Queue {
    incoming: mpsc::Receiver<Ask>,
    changes: mpsc::Receiver<ChangeAsk>,
    /// Requests that may not walk together with one that was before them.
    held: VecDeque<Ask>,
    group: usize,
}

/// The queue is full: the token, or the store, is the limit.
#[derive(Debug)]
pub(crate) struct Full;

/// A queue for `capacity` requests that leave in groups of at most `group`.
pub(crate) fn queue(capacity: usize, group: usize) -> (QueueSender, Queue) {
    let (asks, incoming) = mpsc::channel(capacity);
    let (sender, changes) = mpsc::channel(CHANGES);
    let queue = Queue { incoming, changes, held: VecDeque::new(), group };
    (QueueSender { asks, changes: sender }, queue)
}

impl QueueSender {
    /// Requests that wait here.
    pub(crate) fn len(&self) -> usize {
        self.asks.max_capacity() - self.asks.capacity()
    }

    /// Puts a request in.
    pub(crate) fn put(&self, ask: Ask) -> Result<(), Full> {
        self.asks.try_send(ask).map_err(|_| Full)
    }

    /// Puts a change of the installation in.
    pub(crate) fn put_change(&self, ask: ChangeAsk) -> Result<(), Full> {
        self.changes.try_send(ask).map_err(|_| Full)
    }
}

impl Queue {
    /// The next group, as soon as there is a request; `None` once every sender is gone. Changes of
    /// the installation go first.
    pub(crate) async fn next(&mut self) -> Option<Group> {
        if let Ok(change) = self.changes.try_recv() {
            return Some(Group::Installation(change));
        }
        if self.held.is_empty() {
            let Self { incoming, changes, group, held } = self;
            let mut waiting = Vec::new();
            tokio::select! {
                biased;
                Some(change) = changes.recv() => return Some(Group::Installation(change)),
                received = incoming.recv_many(&mut waiting, *group) => if received == 0 {
                    return None;
                },
            }
            held.extend(waiting);
        }
        Some(Group::Identities(self.group()))
    }

    /// Requests that may walk together.
    ///
    /// No identity, key or idempotency key is in a group twice, so each request of a group can be
    /// decided on the state before the group. Later ones wait for the next group, in order.
    fn group(&mut self) -> Vec<Ask> {
        let mut waiting: Vec<Ask> = self.held.drain(..).collect();
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
                && ask.key().is_none_or(|key| !keys.contains(&key))
                && once.as_ref().is_none_or(|key| !idempotency.contains(key));
            // One that waits keeps those behind it, which share a name with it, waiting too.
            uids.insert(ask.uid.clone());
            keys.extend(ask.key());
            idempotency.extend(once);
            if alone { group.push(ask) } else { self.held.push_back(ask) }
        }
        group
    }
}
