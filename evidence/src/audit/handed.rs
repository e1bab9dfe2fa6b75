//! What is handed to an auditor, weighed on the log as far as it was replayed.

use policy::{Objection, Pending, Retiring, Time};
use wire::event::Event;
use wire::{Hash32, UserId};

use super::Replay;
use crate::History;
use crate::handed::{Handed, HandedError};

impl Replay {
    /// Whom something is about, and what it stops. It holds on the state after the entries so far.
    ///
    /// # Errors
    /// What does not hold, or would not be logged.
    pub fn weigh(
        &self,
        handed: &Handed,
        now_ms: u64,
    ) -> Result<(UserId, Vec<Objection>), HandedError> {
        let intent = handed.intent();
        let (uid, proposal) = match handed.uid() {
            Some(uid) => (uid.clone(), None),
            None => {
                let (uid, proposal) =
                    self.proposal(intent).ok_or(HandedError::NotPending { intent })?;
                (uid.clone(), Some(proposal))
            }
        };
        let (Some(history), Some(timeline)) = (self.histories.get(&uid), &self.timeline) else {
            return Err(HandedError::Nobody);
        };
        let other = |key: Hash32| self.owners.get(&key).filter(|by| **by != uid).cloned();
        let stops =
            history.weigh(timeline.current(), handed, proposal, Time::at_ms(now_ms), other)?;
        Ok((uid, stops))
    }

    /// From now on nothing completes that this stops.
    pub fn object(&mut self, uid: &UserId, stops: impl IntoIterator<Item = Objection>) {
        if let Some(history) = self.histories.get_mut(uid) {
            stops.into_iter().for_each(|objection| history.object(objection));
        }
    }

    /// Who asked with an intent for what is pending, and the intent (DER).
    fn proposal(&self, intent: Hash32) -> Option<(&UserId, &[u8])> {
        self.proposals.iter().find_map(|(uid, intents)| {
            let found = intents.iter().find(|der| Hash32::of(der) == intent)?;
            Some((uid, &found[..]))
        })
    }

    /// Keeps the intents that asked for what is pending after an event.
    pub(super) fn proposes(&mut self, uid: &UserId, event: &Event) {
        let identity = self.histories.get(uid).and_then(History::identity);
        let pending = identity.and_then(|i| i.pending()).map(Pending::intent);
        let retiring = identity.and_then(|i| i.retiring()).map(Retiring::intent);
        if pending.is_none() && retiring.is_none() {
            self.proposals.remove(uid);
            return;
        }
        let waits = |der: &[u8]| {
            let hash = Some(Hash32::of(der));
            hash == pending || hash == retiring
        };
        let kept = self.proposals.entry(uid.clone()).or_default();
        kept.retain(|der| waits(der));
        let asked = event.intent.as_ref().map(|intent| intent.as_bytes());
        if let Some(der) = asked.filter(|der| waits(der) && !kept.iter().any(|known| known == der))
        {
            kept.push(der.to_vec());
        }
    }
}
