//! The installation through time: each event is replayed under what was in force when it was
//! decided.

use std::sync::Arc;

use policy::{Installation, Time};
use wire::Hash32;
use wire::event::Event;

use crate::dossier::{self, Piece};
use crate::issuance::{Issuance, IssuanceError};
use crate::replay::{HistoryError, named_by};

/// The installation between two of its events, and how it certifies then.
#[derive(Debug, Clone)]
pub struct Era {
    installation: Arc<Installation>,
    issuance: Arc<Issuance>,
}

impl Era {
    /// The era of an installation.
    ///
    /// # Errors
    /// When it could certify nobody.
    pub fn of(installation: Installation) -> Result<Self, IssuanceError> {
        let issuance = Arc::new(Issuance::new(&installation)?);
        Ok(Self { installation: Arc::new(installation), issuance })
    }

    /// The installation.
    #[must_use]
    pub fn installation(&self) -> &Arc<Installation> {
        &self.installation
    }

    /// How it certifies.
    #[must_use]
    pub fn issuance(&self) -> &Arc<Issuance> {
        &self.issuance
    }
}

/// Why an event of the installation does not continue its history.
#[derive(Debug, thiserror::Error)]
pub enum TimelineError {
    /// It does not follow from its evidence and the events before it.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// Nobody could be certified after it.
    #[error(transparent)]
    Issuance(#[from] IssuanceError),
}

/// The installation after each of its events.
#[derive(Debug, Clone)]
pub struct Timeline {
    /// Index of the leaf of each event, and the era from then on; never empty.
    eras: Vec<(u64, Era)>,
}

impl Timeline {
    /// The installation as the genesis event, leaf 0, made it.
    ///
    /// # Errors
    /// As [`Era::of`].
    pub fn begin(installation: Installation) -> Result<Self, IssuanceError> {
        Ok(Self { eras: vec![(0, Era::of(installation)?)] })
    }

    /// The era that the event of a leaf was decided in.
    #[must_use]
    pub fn at(&self, leaf_index: u64) -> &Era {
        let after = self.eras.partition_point(|(from, _)| *from < leaf_index);
        &self.eras[after.saturating_sub(1)].1
    }

    /// The era after all events so far.
    #[must_use]
    pub fn current(&self) -> &Era {
        self.at(u64::MAX)
    }

    /// Index of the leaf with this hash, where an event of the installation has it.
    #[must_use]
    pub fn index_of(&self, leaf: Hash32) -> Option<u64> {
        let has = |era: &Era| era.installation.head() == Some(leaf);
        self.eras.iter().rev().find(|(_, era)| has(era)).map(|(index, _)| *index)
    }

    /// Replays the next event of the installation, whose leaf has this index and hash.
    ///
    /// # Errors
    /// Refuses an event that does not follow from its evidence and the events before it.
    pub fn apply(
        &mut self,
        leaf_index: u64,
        event: &Event,
        leaf: Hash32,
        evidence: &[Piece],
    ) -> Result<(), TimelineError> {
        named_by(event, evidence)?;
        let sequence = event.sequence;
        // What was decided between two events is decided under the first: the log has to have them
        // in their order.
        let before = self.eras.last().map_or(0, |(index, _)| *index);
        if leaf_index <= before {
            return Err(HistoryError::Order { sequence, leaf_index, before }.into());
        }
        let intent = event.intent.as_ref().map(|intent| intent.as_bytes());
        let (before, time) = (self.current().installation(), Time::at_ms(event.time_ms));
        let facts = dossier::facts_at(before, None, intent, evidence, &|_| None, time)
            .map_err(|source| HistoryError::Dossier { sequence, source })?;
        let after = policy::apply_change(before, event, leaf, &facts, time)
            .map_err(|source| HistoryError::Replay { sequence, source: Box::new(source) })?;
        self.changed(leaf_index, Era::of(after)?);
        Ok(())
    }

    /// Takes on a change that was decided here.
    pub fn changed(&mut self, leaf_index: u64, after: Era) {
        self.eras.push((leaf_index, after));
    }
}

#[cfg(test)]
mod tests;
