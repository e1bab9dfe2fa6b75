//! A replay put away, to go on from after a restart without the whole log.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tlog::map::{EMPTY_ROOT, Map};
use tlog::{Edge, EdgeError, StoredHash};
use wire::bundle::{Blob, ExportLeaf};
use wire::event::Event;
use wire::head::installation_position;
use wire::leaf::{Leaf, blinded_key};
use wire::{Encoded, Hash32, UserId};

use super::refused::{At, Refused, commits};
use super::{BeginError, Replay, nothing_else};
use crate::{History, Snapshot, SnapshotError};

/// What a replay is after a whole group, as plain data. It proves nothing: whoever keeps it vouches
/// for it. The map is made again from it, and must have the root that is named here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSnapshot {
    size: u64,
    /// Place and hash of each of the tree's largest complete subtrees.
    edge: Vec<(u64, Hash32)>,
    map_root: Hash32,
    events: u64,
    /// The entries of the installation's events.
    installation: Vec<ExportLeaf>,
    histories: Vec<Snapshot>,
    /// Whose is pending, and the intents that asked for it.
    #[serde(default)]
    proposals: Vec<(UserId, Vec<Blob>)>,
}

/// Why a snapshot is none.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// It is of another installation.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The tree's edge.
    #[error(transparent)]
    Edge(#[from] EdgeError),
    /// A history.
    #[error(transparent)]
    History(#[from] SnapshotError),
    /// An event of the installation.
    #[error(transparent)]
    Installation(#[from] Refused),
    /// It is not of one log.
    #[error("the snapshot's parts do not fit each other: its map has root {found}, not {expected}")]
    Map {
        /// Root that it names.
        expected: Hash32,
        /// Root that its parts give.
        found: Hash32,
    },
}

impl LogSnapshot {
    /// Leaves that it accounts for.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Replay {
    /// What there is so far; none within a group.
    #[must_use]
    pub fn snapshot(&self) -> Option<LogSnapshot> {
        if !self.is_whole() {
            return None;
        }
        let mut histories: Vec<Snapshot> =
            self.histories.values().filter_map(History::snapshot).collect();
        histories.sort_unstable_by(|one, other| one.uid().cmp(other.uid()));
        let edge = self.edge.stored().map(|stored| (stored.index, stored.hash)).collect();
        let blobs = |intents: &Vec<Vec<u8>>| intents.iter().cloned().map(Blob).collect();
        let mut proposals: Vec<(UserId, Vec<Blob>)> =
            self.proposals.iter().map(|(uid, intents)| (uid.clone(), blobs(intents))).collect();
        proposals.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        Some(LogSnapshot {
            size: self.size(),
            edge,
            map_root: self.heads.root(),
            events: self.events,
            installation: self.installation.clone(),
            histories,
            proposals,
        })
    }

    /// Goes on from a snapshot as an auditor ([`Replay::begin_auditing`]).
    ///
    /// # Errors
    /// Refuses what [`Replay::snapshot`] does not make.
    pub fn resume_auditing(
        genesis: &Event,
        secret: [u8; 32],
        snapshot: &LogSnapshot,
    ) -> Result<Self, ResumeError> {
        let mut replay = Self::begin_auditing(genesis, secret)?;
        for entry in &snapshot.installation {
            replay.again(entry)?;
        }
        replay.changed.clear();
        let installation = replay.installation().proven_head();
        let mut changes: Vec<_> =
            installation.map(|head| (installation_position(), head)).into_iter().collect();
        let rules = replay.timeline.as_ref().map(|t| t.current().issuance().clone());
        let expected = snapshot.map_root;
        let rules = rules.ok_or(ResumeError::Map { expected, found: EMPTY_ROOT })?;
        let mut histories = HashMap::with_capacity(snapshot.histories.len());
        for kept in &snapshot.histories {
            let (uid, blinded) = (kept.uid().clone(), replay.blinded(kept.uid()));
            let history = History::resume(rules.key_rules(), kept)?;
            for key in history.keys() {
                changes.push((blinded_key(&replay.secret, key), blinded));
                replay.owners.insert(key, uid.clone());
            }
            let head = history.identity().map(|identity| identity.proven_head().hash());
            changes.extend(head.map(|head| (blinded, head)));
            histories.insert(uid, history);
        }
        let mut heads = Map::empty(usize::MAX);
        let staged =
            heads.stage(&changes).map_err(|_| ResumeError::Map { expected, found: EMPTY_ROOT })?;
        let found = staged.root();
        if found != expected {
            return Err(ResumeError::Map { expected, found });
        }
        heads.commit(staged);
        let stored: Vec<StoredHash> =
            snapshot.edge.iter().map(|&(index, hash)| StoredHash { index, hash }).collect();
        replay.edge = Edge::load(snapshot.size, &stored)?;
        replay.heads = heads;
        replay.histories = histories;
        replay.proposals = snapshot
            .proposals
            .iter()
            .map(|(uid, intents)| (uid.clone(), intents.iter().map(|i| i.0.clone()).collect()))
            .collect();
        replay.events = snapshot.events;
        replay.ends_with_root = true;
        Ok(replay)
    }

    /// Applies an event of the installation by itself, wherever it stands in the log.
    fn again(&mut self, entry: &ExportLeaf) -> Result<(), Refused> {
        let at = At::index(entry.leaf_index);
        let leaf = Leaf::from_canonical(&entry.leaf.0).map_err(|error| at.format(&error))?;
        let mut at = At { leaf: Some(leaf.leaf_hash()), ..at };
        let with = entry.event.as_ref().ok_or_else(|| at.no_genesis())?;
        commits(&leaf, with, &at)?;
        self.lawful_event(entry, with, &leaf, &mut at, &nothing_else)
    }
}
