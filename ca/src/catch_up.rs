//! The map takes on what was logged since it was flushed: after a crash, and after a commit whose
//! answer was lost. Heads are not read from rows: they come from replaying the events.

use std::collections::{HashMap, HashSet};

use evidence::issuance::{Difference, IssuanceError};
use evidence::{History, HistoryError, Timeline, TimelineError};
use policy::Installation;
use tlog::leaf_position;
use tlog::map::MapError;
use wire::head::installation_position;
use wire::leaf::LeafKind;
use wire::{Encoded, Hash32, UserId};

use crate::authority::Fatal;
use crate::heads::{Heads, HeadsError};
use crate::store::rows::EventRow;
use crate::store::{Store, StoreError};
use crate::walk::leaf_of;

/// Leaves read at once.
const BATCH: u64 = 4096;

/// Why the map cannot take on what was logged.
#[derive(Debug, thiserror::Error)]
pub enum CatchUpError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The map does not answer.
    #[error(transparent)]
    Heads(#[from] HeadsError),
    /// An event that its leaf does not commit to, or that is missing.
    #[error("leaf {index} does not commit to an event of the database")]
    Leaf {
        /// The leaf's index.
        index: u64,
    },
    /// An event that does not follow from its evidence.
    #[error("leaf {index}: {source}")]
    History {
        /// The leaf's index.
        index: u64,
        /// What is wrong.
        source: HistoryError,
    },
    /// An event that does not call for the certificate that it records.
    #[error("leaf {index}: {source}")]
    Certificate {
        /// The leaf's index.
        index: u64,
        /// What is wrong.
        source: Difference,
    },
    /// An installation that certifies nobody.
    #[error("leaf {index}: {source}")]
    Issuance {
        /// The leaf's index.
        index: u64,
        /// Why not.
        source: IssuanceError,
    },
    /// Events that no map root follows.
    #[error("after leaf {index} the map's root is missing")]
    NoRoot {
        /// The last leaf's index.
        index: u64,
    },
    /// The installation's events do not lead to where the log says that it is.
    #[error(
        "the installation's events in the database are not those of the log: event {sequence} is \
         not the latest one, or was altered"
    )]
    Installation {
        /// Number of the latest event found.
        sequence: u64,
    },
    /// One key, two identities.
    #[error("before leaf {index} an identity takes a key that is, or was, another identity's")]
    SharedKey {
        /// Index of the map's root after it.
        index: u64,
    },
    /// The events give another map than the log says.
    #[error("leaf {index} holds map root {logged}; the events give {replayed}")]
    Root {
        /// The leaf's index.
        index: u64,
        /// Root in the log.
        logged: Hash32,
        /// Root by replay.
        replayed: Hash32,
    },
}

impl From<CatchUpError> for Fatal {
    fn from(error: CatchUpError) -> Self {
        match error {
            CatchUpError::Store(error) => Self::Store(error),
            CatchUpError::Heads(HeadsError::Store(error)) => Self::Store(error),
            error => Self::Map(Box::new(error)),
        }
    }
}

/// A value that changes in the map.
#[derive(Debug, Clone, Copy)]
struct Change {
    at: Hash32,
    value: Hash32,
    /// It says whose a public key is, and stays as it is for ever.
    is_owner: bool,
}

/// What each leaf changes in the map.
type Changes = HashMap<u64, Vec<Change>>;

/// The installation through time, replayed from its events. Whether these are all there are is
/// what the map says: see [`catch_up`].
pub(crate) async fn timeline(
    store: &dyn Store,
    genesis: Installation,
) -> Result<Timeline, CatchUpError> {
    let mut timeline =
        Timeline::begin(genesis).map_err(|source| CatchUpError::Issuance { index: 0, source })?;
    for row in store.installation_events().await? {
        let EventRow { leaf_index: index, leaf, salt, event, evidence } = row;
        if leaf_of(&event, &[0; 32], &salt) != leaf {
            return Err(CatchUpError::Leaf { index });
        }
        timeline.apply(index, &event, leaf.leaf_hash(), &evidence).map_err(
            |error| match error {
                TimelineError::History(source) => CatchUpError::History { index, source },
                TimelineError::Issuance(source) => CatchUpError::Issuance { index, source },
            },
        )?;
    }
    Ok(timeline)
}

/// Brings the map up to the log's size, and holds the installation against it.
pub(crate) async fn catch_up(
    store: &dyn Store,
    heads: &Heads,
    timeline: &Timeline,
) -> Result<(), CatchUpError> {
    let end = store.edge().await?.size();
    let mut pending = Vec::new();
    let mut from = heads.size();
    while from < end {
        let rows = store.leaves(from, end.min(from + BATCH)).await?;
        // The rows are those whose hashes the tree is made of.
        let positions: Vec<u64> = rows.iter().map(|row| leaf_position(row.leaf_index)).collect();
        let stored = store.stored_hashes(&positions).await?;
        let placed: HashMap<u64, Hash32> =
            stored.into_iter().map(|stored| (stored.index, stored.hash)).collect();
        let mut changes = Changes::new();
        let mut replayed: HashSet<&UserId> = HashSet::new();
        for row in &rows {
            let Some(uid) = &row.uid else { continue };
            if !replayed.insert(uid) {
                continue;
            }
            let events = store.events_of(uid).await?;
            replay(heads, timeline, uid, &events, &mut changes)?;
        }
        for (expected, row) in (from..).zip(&rows) {
            let index = row.leaf_index;
            if index != expected || placed.get(&leaf_position(index)) != Some(&row.leaf.leaf_hash())
            {
                return Err(CatchUpError::Leaf { index: expected });
            }
            match (row.leaf.kind, &row.uid) {
                (LeafKind::Event, None) if index == 0 => {}
                (LeafKind::Event, None) => {
                    let after = timeline.at(index + 1).installation();
                    let is_it = after.head() == Some(row.leaf.leaf_hash());
                    let head = after.proven_head().filter(|_| is_it);
                    let head = head.ok_or(CatchUpError::Leaf { index })?;
                    let at = installation_position();
                    pending.push(Change { at, value: head, is_owner: false });
                }
                (LeafKind::Event, Some(_)) => {
                    pending.extend(changes.remove(&index).ok_or(CatchUpError::Leaf { index })?);
                }
                (LeafKind::MapRoot, _) => {
                    take_on(store, heads, &pending, index, row.leaf.commitment).await?;
                    pending.clear();
                }
            }
        }
        from += rows.len() as u64;
        if rows.is_empty() {
            return Err(CatchUpError::Leaf { index: from });
        }
    }
    if heads.size() != end {
        return Err(CatchUpError::NoRoot { index: end - 1 });
    }
    let at = installation_position();
    let proven = heads.with(store, &[at], |map, _| map.get(&at)).await?;
    let installation = timeline.current().installation();
    if proven != installation.proven_head() {
        return Err(CatchUpError::Installation { sequence: installation.sequence() });
    }
    Ok(())
}

async fn take_on(
    store: &dyn Store,
    heads: &Heads,
    pending: &[Change],
    index: u64,
    logged: Hash32,
) -> Result<(), CatchUpError> {
    let places: Vec<Hash32> = pending.iter().map(|change| change.at).collect();
    let changes: Vec<_> = pending.iter().map(|change| (change.at, change.value)).collect();
    let owners: Vec<_> = pending.iter().filter(|change| change.is_owner).collect();
    let stage = |map: &tlog::map::Map, _| -> Result<_, MapError> {
        let mut owned = HashMap::new();
        for Change { at, value, .. } in &owners {
            let before = map.get(at)?.unwrap_or(*value);
            if before != *value || *owned.entry(*at).or_insert(*value) != *value {
                return Ok(None);
            }
        }
        map.stage(&changes).map(Some)
    };
    let staged = heads.with(store, &places, stage).await?;
    let staged = staged.ok_or(CatchUpError::SharedKey { index })?;
    let replayed = staged.root();
    if replayed != logged {
        return Err(CatchUpError::Root { index, logged, replayed });
    }
    heads.commit(staged, index + 1);
    Ok(heads.flush(store, false).await?)
}

/// What each event of an identity changes in the map.
fn replay(
    heads: &Heads,
    timeline: &Timeline,
    uid: &UserId,
    events: &[EventRow],
    changes: &mut Changes,
) -> Result<(), CatchUpError> {
    let (blinding_key, at) = (heads.blinding_key(uid), heads.of_uid(uid));
    let mut history = History::new(uid.clone());
    for EventRow { leaf_index, leaf, salt, event, evidence } in events {
        let index = *leaf_index;
        if leaf_of(event, &blinding_key, salt) != *leaf {
            return Err(CatchUpError::Leaf { index });
        }
        let era = timeline.at(index);
        let step = history
            .apply(era, event, leaf.leaf_hash(), evidence, |_| None)
            .map_err(|source| CatchUpError::History { index, source })?;
        era.issuance()
            .certified(event, index, history.identity(), |spki| history.key(spki))
            .map_err(|source| CatchUpError::Certificate { index, source })?;
        let identity = history.identity().ok_or(CatchUpError::Leaf { index })?;
        let head = identity.proven_head().hash();
        let mut changed = vec![Change { at, value: head, is_owner: false }];
        let of_key = |key| Change { at: heads.of_key(key), value: at, is_owner: true };
        changed.extend(step.new_key.map(of_key));
        changes.insert(index, changed);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
