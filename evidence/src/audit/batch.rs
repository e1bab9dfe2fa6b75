//! Batches: all of their entries are applied, or none.

use std::collections::{HashMap, HashSet};

use tlog::Edge;
use wire::body::{Changed, Struck};
use wire::bundle::{ExportEvent, ExportLeaf};
use wire::event::{Event, EventKind};
use wire::leaf::Leaf;
use wire::{Encoded, Hash32, UserId, frame};

use super::refused::{At, Refused};
use super::{Demands, Replay};
use crate::{History, Snapshot, Timeline};

/// Longest [`Snapshot`] that stands in for a struck event, in bytes.
const MAX_AFTER: usize = 256 * 1024;

/// Why a batch is not applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// An entry does not continue the log.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The last leaf does not hold the map's root.
    #[error("after leaf {size} the map's root is missing")]
    NoMapRoot {
        /// Leaves up to the batch's end.
        size: u64,
    },
    /// The entries lead elsewhere than to the checkpoint.
    #[error(
        "the leaves lead to size {size}, root {root}; the checkpoint says {signed_size}, {signed_root}"
    )]
    Root {
        /// Leaves up to the batch's end.
        size: u64,
        /// Their root.
        root: Hash32,
        /// Size in the checkpoint.
        signed_size: u64,
        /// Root in the checkpoint.
        signed_root: Hash32,
    },
}

/// What an identity was before a batch: its history, and the proposals in it.
type Before = (Option<History>, Option<Vec<Vec<u8>>>);

/// What a batch changes, to be undone.
#[derive(Debug)]
pub(super) struct Trial {
    edge: Edge,
    timeline: Option<Timeline>,
    installation: usize,
    ends_with_root: bool,
    events: u64,
    histories: HashMap<UserId, Before>,
    keys: Vec<Hash32>,
    /// Leaves that strikes of this batch name, not yet verified.
    claimed: HashSet<Hash32>,
    /// Refusals that were passed over, for such a strike.
    passed: Vec<Refused>,
}

impl Trial {
    pub(super) fn touches(
        &mut self,
        uid: &UserId,
        before: Option<&History>,
        proposals: Option<&Vec<Vec<u8>>>,
    ) {
        if !self.histories.contains_key(uid) {
            self.histories.insert(uid.clone(), (before.cloned(), proposals.cloned()));
        }
    }

    pub(super) fn owned(&mut self, key: Hash32) {
        self.keys.push(key);
    }
}

/// What goes with the entry of a struck event, for those who refuse it: the history after it.
#[must_use]
pub fn after(history: &History) -> Option<Vec<u8>> {
    frame::encode(&history.snapshot()?, MAX_AFTER).ok()
}

impl Replay {
    /// Applies entries up to a checkpoint: all of them, or none.
    ///
    /// An event that is refused is passed over if a strike further on in the batch declares its
    /// leaf dead, and the entry says what the event left behind. Those are returned.
    ///
    /// # Errors
    /// The first entry that does not continue the log, or that they do not lead to the checkpoint.
    pub fn batch(
        &mut self,
        entries: &[ExportLeaf],
        (signed_size, signed_root): (u64, Hash32),
        demands: Demands<'_>,
    ) -> Result<Vec<Refused>, BatchError> {
        self.trial = Some(Trial {
            edge: self.edge.clone(),
            timeline: self.timeline.clone(),
            installation: self.installation.len(),
            ends_with_root: self.ends_with_root,
            events: self.events,
            histories: HashMap::new(),
            keys: Vec::new(),
            claimed: entries.iter().filter_map(claim).collect(),
            passed: Vec::new(),
        });
        self.heads.try_out();
        let applied = self.all(entries, signed_size, signed_root, demands);
        match (applied, self.trial.take()) {
            (Err(error), Some(trial)) => {
                self.undo(trial);
                Err(error)
            }
            (applied, _) => {
                self.heads.keep();
                applied
            }
        }
    }

    fn all(
        &mut self,
        entries: &[ExportLeaf],
        signed_size: u64,
        signed_root: Hash32,
        demands: Demands<'_>,
    ) -> Result<Vec<Refused>, BatchError> {
        for entry in entries {
            self.apply(entry, demands)?;
        }
        let passed = self.trial.as_mut().map(|trial| std::mem::take(&mut trial.passed));
        let mut passed = passed.unwrap_or_default();
        let installation = self.installation();
        let dead =
            |refused: &Refused| refused.leaf.is_some_and(|leaf| installation.is_struck(leaf));
        if let Some(alive) = passed.iter().position(|refused| !dead(refused)) {
            return Err(passed.swap_remove(alive).into());
        }
        let (size, root) = (self.size(), self.root());
        if (size, root) != (signed_size, signed_root) {
            return Err(BatchError::Root { size, root, signed_size, signed_root });
        }
        if size > 0 && !self.is_whole() {
            return Err(BatchError::NoMapRoot { size });
        }
        Ok(passed)
    }

    fn undo(&mut self, trial: Trial) {
        self.heads.undo();
        self.edge = trial.edge;
        self.timeline = trial.timeline;
        self.installation.truncate(trial.installation);
        self.ends_with_root = trial.ends_with_root;
        self.events = trial.events;
        // A batch begins after a map root, so nothing was pending before it.
        self.changed.clear();
        for (uid, (before, proposals)) in trial.histories {
            match proposals {
                Some(proposals) => self.proposals.insert(uid.clone(), proposals),
                None => self.proposals.remove(&uid),
            };
            match before {
                Some(history) => self.histories.insert(uid, history),
                None => self.histories.remove(&uid),
            };
        }
        for key in trial.keys {
            self.owners.remove(&key);
        }
    }

    /// Whether a strike further on in the batch claims to declare this leaf dead.
    pub(super) fn may_pass(&self, leaf: Hash32) -> bool {
        self.trial.as_ref().is_some_and(|trial| trial.claimed.contains(&leaf))
    }

    /// Passes over an event that was refused: its identity is what the entry says that it was
    /// afterwards. Whether that is what the log says, the map's root shows; and nothing but a void
    /// follows it.
    pub(super) fn pass(
        &mut self,
        with: &ExportEvent,
        leaf: &Leaf,
        refused: Refused,
    ) -> Result<(), Refused> {
        let after = with
            .after
            .as_ref()
            .and_then(|after| frame::decode::<Snapshot>(&after.0, MAX_AFTER).ok());
        let (Some(after), Some(timeline)) = (after, &self.timeline) else { return Err(refused) };
        let uid = after.uid().clone();
        let before = self.histories.get(&uid).and_then(History::identity);
        // What is refused for its certificate alone was applied already.
        let due = before
            .map_or(0, |identity| identity.sequence + u64::from(identity.head != leaf.leaf_hash()));
        let rules = timeline.at(refused.index).issuance().key_rules();
        let fits = after.head() == leaf.leaf_hash() && after.sequence() == due;
        let history = History::resume(rules, &after).ok();
        let (true, Some(history)) = (fits && self.blinded(&uid) == leaf.blinded_id, history) else {
            return Err(refused);
        };
        let Some(head) = history.identity().map(|identity| identity.proven_head().hash()) else {
            return Err(refused);
        };
        if let Some(trial) = &mut self.trial {
            trial.touches(&uid, self.histories.get(&uid), self.proposals.get(&uid));
            trial.passed.push(refused.clone());
        }
        let at = At { leaf: refused.leaf, ..At::index(refused.index) };
        let mut keys: Vec<Hash32> = history.keys().collect();
        keys.sort_unstable();
        self.owns(&uid, leaf.blinded_id, keys, &at)?;
        self.changed.push((leaf.blinded_id, head));
        self.histories.insert(uid, history);
        self.events += 1;
        Ok(())
    }
}

/// The leaf that a strike names.
fn claim(entry: &ExportLeaf) -> Option<Hash32> {
    let event = Event::from_canonical(&entry.event.as_ref()?.event.0).ok()?;
    if event.kind != EventKind::Strike {
        return None;
    }
    let changed = Changed::from_canonical(event.body.as_bytes()).ok()?;
    Some(Struck::from_canonical(changed.change.as_bytes()).ok()?.leaf)
}
