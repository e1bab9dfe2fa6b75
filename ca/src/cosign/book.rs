//! What co-signers said, and what of it makes a quorum. No I/O.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tlog::cosign::CosignerKey;
use tlog::quorum::Quorum;
use tlog::witness::AnyCheckpoint;
use wire::Hash32;
use wire::genesis::{Cosigner, CosignerKind};

use super::Vouched;
use super::client::{Fault, Peer};
use crate::store::rows::{CheckpointRow, CosignatureRow, TimedLine};

/// Delay after a first fault, and the longest one.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// Of co-signatures that are old, the first of each so many seconds is kept.
const KEPT_EVERY: u64 = 60;

/// Checkpoints of which late co-signatures are still taken.
const ROUNDS: usize = 16;

/// A checkpoint that the log signed.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) row: CheckpointRow,
    pub(super) checkpoint: AnyCheckpoint,
}

impl Offer {
    /// None where the row is no checkpoint.
    pub(super) fn of(row: CheckpointRow) -> Option<Self> {
        let checkpoint = AnyCheckpoint::parse(&row.note).ok()?;
        Some(Self { row, checkpoint })
    }

    pub(super) fn size(&self) -> u64 {
        self.row.size
    }
}

/// A co-signer of the installation.
#[derive(Debug)]
pub(super) struct Member {
    /// SHA-256 of its verifier key, as it stands in the installation.
    pub(super) id: Hash32,
    pub(super) name: String,
    pub(super) kind: CosignerKind,
    pub(super) key: CosignerKey,
    /// Where it is asked; without it, it never is.
    pub(super) peer: Option<Peer>,
    /// Leaves of what it co-signed last, as far as it is known.
    pub(super) size: Option<u64>,
    /// When it was co-signed last, here.
    answered: Option<Instant>,
    fault: Option<String>,
    faults: u32,
    not_before: Option<Instant>,
    /// The last period of its clock of which a co-signature is kept.
    kept: Option<u64>,
}

/// What is asked of a co-signer.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) id: Hash32,
    pub(super) kind: CosignerKind,
    pub(super) key: CosignerKey,
    pub(super) peer: Peer,
    pub(super) known: Option<u64>,
    pub(super) offer: Arc<Offer>,
}

#[derive(Debug)]
struct Gathered {
    offer: Arc<Offer>,
    words: BTreeMap<Hash32, CosignatureRow>,
}

/// A checkpoint that everybody is asked for, up to a time.
#[derive(Debug)]
struct Round {
    offer: Arc<Offer>,
    began: Instant,
    /// It was not met in time; whoever waits is told so.
    late: bool,
}

/// What came of a round, for the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Met(Duration),
    Late,
}

/// The co-signers and their words.
#[derive(Debug)]
pub(super) struct Book {
    quorum: Quorum,
    members: Vec<Member>,
    offered: Option<Arc<Offer>>,
    round: Option<Round>,
    gathered: BTreeMap<u64, Gathered>,
    quorate: Option<u64>,
    /// Rows that no group has taken along yet.
    unstored: Vec<CosignatureRow>,
    ended: Vec<Ended>,
}

impl Book {
    pub(super) fn new(quorum: Quorum, cosigners: &[Cosigner], peers: &[Peer]) -> Self {
        let mut book = Self {
            quorum,
            members: Vec::new(),
            offered: None,
            round: None,
            gathered: BTreeMap::new(),
            quorate: None,
            unstored: Vec::new(),
            ended: Vec::new(),
        };
        book.members = book.members_of(cosigners, peers);
        book
    }

    fn members_of(&self, cosigners: &[Cosigner], peers: &[Peer]) -> Vec<Member> {
        let places = cosigners.iter().zip(self.quorum.witnesses());
        let member = |(cosigner, witness): (&Cosigner, &tlog::quorum::Witness)| Member {
            id: Hash32::of(cosigner.vkey.as_bytes()),
            name: witness.name().to_owned(),
            kind: cosigner.kind,
            key: witness.key().clone(),
            peer: peers.iter().find(|peer| peer.key() == witness.key()).cloned(),
            size: None,
            answered: None,
            fault: None,
            faults: 0,
            not_before: None,
            kept: None,
        };
        places.map(member).collect()
    }

    /// Other co-signers. What those who stay have said stays, too.
    pub(super) fn under(&mut self, quorum: Quorum, cosigners: &[Cosigner], peers: &[Peer]) {
        self.quorum = quorum;
        let mut before = std::mem::take(&mut self.members);
        self.members = self.members_of(cosigners, peers);
        for member in &mut self.members {
            if let Some(at) = before.iter().position(|known| known.id == member.id) {
                let known = before.swap_remove(at);
                *member =
                    Member { name: std::mem::take(&mut member.name), kind: member.kind, ..known };
            }
        }
        self.weigh();
    }

    pub(super) fn quorum(&self) -> &Quorum {
        &self.quorum
    }

    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// Leaves of the newest checkpoint that the quorum vouches for.
    pub(super) fn quorate(&self) -> Option<u64> {
        self.quorate
    }

    /// The log signed a checkpoint.
    pub(super) fn offer(&mut self, offer: Arc<Offer>) {
        if self.offered.as_ref().is_none_or(|known| known.size() < offer.size()) {
            self.offered = Some(offer);
        }
    }

    /// Leaves of the checkpoint that everybody is asked for.
    pub(super) fn target(&self) -> Option<u64> {
        self.round.as_ref().map(|round| round.offer.size())
    }

    /// Begins the next round where the one at hand is over.
    pub(super) fn next_round(&mut self, now: Instant, deadline: Duration) {
        let Some(offered) = self.offered.clone().filter(|_| !self.quorum.is_none()) else { return };
        if let Some(round) = &mut self.round {
            let met = self.quorate.is_some_and(|size| size >= round.offer.size());
            if !met && !round.late && now >= round.began + deadline {
                round.late = true;
                self.ended.push(Ended::Late);
            }
            if round.offer.size() >= offered.size() || !(met || round.late) {
                return;
            }
        }
        // Who is late stays late until the quorum is there again.
        let late = self.is_late();
        self.round = Some(Round { offer: offered, began: now, late });
    }

    /// Whether the quorum did not answer in time lately.
    pub(super) fn is_late(&self) -> bool {
        self.round.as_ref().is_some_and(|round| round.late)
    }

    /// Whether every co-signer answered last.
    pub(super) fn is_well(&self) -> bool {
        self.members.iter().all(|member| member.fault.is_none() && member.peer.is_some())
    }

    /// Whom to ask now, of those who are not being asked.
    pub(super) fn due(
        &self,
        now: Instant,
        refresh: Duration,
        is_asked: impl Fn(Hash32) -> bool,
    ) -> Vec<Question> {
        let Some(round) = &self.round else { return Vec::new() };
        let size = round.offer.size();
        let has = |member: &Member| {
            self.gathered.get(&size).is_some_and(|known| known.words.contains_key(&member.id))
        };
        let wants = |member: &&Member| {
            let rested = member.not_before.is_none_or(|time| now >= time);
            let fresh = member.answered.is_some_and(|time| now < time + refresh);
            rested && !(has(member) && fresh) && !is_asked(member.id)
        };
        let due: Vec<Hash32> = self.members.iter().filter(wants).map(|member| member.id).collect();
        let mut asked = self.everybody();
        asked.retain(|question| due.contains(&question.id));
        asked
    }

    /// Everybody who can be asked, whatever they said already.
    pub(super) fn everybody(&self) -> Vec<Question> {
        let Some(round) = &self.round else { return Vec::new() };
        let asked = self.members.iter().filter_map(|member| {
            Some(Question {
                id: member.id,
                kind: member.kind,
                key: member.key.clone(),
                peer: member.peer.clone()?,
                known: member.size,
                offer: Arc::clone(&round.offer),
            })
        });
        asked.collect()
    }

    /// What the quorum lacks where these alone answered, in words.
    pub(super) fn missing_of(&self, answered: &[Hash32]) -> Option<String> {
        let said = |at: usize| self.members.get(at).is_some_and(|m| answered.contains(&m.id));
        let mut missing = self.quorum.missing(said)?.to_string();
        for state in self.states() {
            missing.push_str("; ");
            missing.push_str(&state);
        }
        Some(missing)
    }

    pub(super) fn has_unstored(&self) -> bool {
        !self.unstored.is_empty()
    }

    /// When to look again, at the latest.
    pub(super) fn wake(&self, now: Instant, deadline: Duration, refresh: Duration) -> Instant {
        let ends = self.round.iter().filter(|round| !round.late).map(|r| r.began + deadline);
        let rests = self.members.iter().filter_map(|member| member.not_before);
        let again = self.members.iter().filter_map(|m| Some(m.answered? + refresh));
        let times = ends.chain(rests).chain(again).filter(|time| *time > now);
        times.min().unwrap_or(now + refresh).min(now + refresh)
    }

    /// A co-signer co-signed a checkpoint.
    pub(super) fn cosigned(
        &mut self,
        id: Hash32,
        offer: &Arc<Offer>,
        word: TimedLine,
        now: Instant,
    ) {
        let Some(member) = self.members.iter_mut().find(|member| member.id == id) else { return };
        let period = word.time / KEPT_EVERY;
        let kept = member.kept != Some(period);
        member.kept = Some(period);
        member.size = member.size.max(Some(offer.size()));
        member.answered = Some(now);
        member.fault = None;
        member.faults = 0;
        member.not_before = None;
        self.take(
            offer,
            CosignatureRow {
                cosigner: id,
                size: offer.size(),
                note: offer.row.note.clone(),
                first: word.clone(),
                latest: word,
                kept,
            },
        );
    }

    /// A word that was said earlier, and is stored.
    pub(super) fn remember(&mut self, offer: &Arc<Offer>, row: CosignatureRow) {
        if let Some(member) = self.members.iter_mut().find(|member| member.id == row.cosigner) {
            member.size = member.size.max(Some(row.size));
        }
        self.take(offer, row);
        self.unstored.clear();
    }

    fn take(&mut self, offer: &Arc<Offer>, row: CosignatureRow) {
        let size = offer.size();
        let gathered = self
            .gathered
            .entry(size)
            .or_insert_with(|| Gathered { offer: Arc::clone(offer), words: BTreeMap::new() });
        let known = gathered.words.entry(row.cosigner).or_insert_with(|| row.clone());
        if row.first.time < known.first.time {
            known.first = row.first.clone();
        }
        if row.latest.time >= known.latest.time {
            known.latest = row.latest.clone();
        }
        known.kept |= row.kept;
        self.unstored.push(row);
        self.weigh();
    }

    /// Finds the newest checkpoint that the quorum vouches for.
    fn weigh(&mut self) {
        let met = |gathered: &Gathered| {
            let said = |at: usize| {
                self.members.get(at).is_some_and(|m| gathered.words.contains_key(&m.id))
            };
            !self.quorum.is_none() && self.quorum.met(said)
        };
        let newest = self.gathered.iter().rev().find(|(_, gathered)| met(gathered));
        let quorate = newest.map(|(size, _)| *size);
        if let Some(round) = &mut self.round
            && quorate > self.quorate
            && quorate.is_some_and(|size| size >= round.offer.size())
        {
            if !round.late {
                self.ended.push(Ended::Met(round.began.elapsed()));
            }
            round.late = false;
        }
        self.quorate = quorate;
        while self.gathered.len() > ROUNDS {
            let oldest = self.gathered.keys().copied().find(|size| Some(*size) != quorate);
            let Some(oldest) = oldest else { break };
            self.gathered.remove(&oldest);
        }
    }

    /// A co-signer did not co-sign.
    pub(super) fn failed(&mut self, id: Hash32, fault: &Fault, now: Instant) {
        let Some(member) = self.members.iter_mut().find(|member| member.id == id) else { return };
        member.size = match fault {
            Fault::Later { theirs } => Some(*theirs),
            _ => None,
        };
        member.fault = Some(fault.to_string());
        member.faults = member.faults.saturating_add(1);
        let base = FIRST_DELAY.saturating_mul(1 << member.faults.min(10).saturating_sub(1));
        let base = base.min(LONGEST_DELAY);
        let [jitter] = crate::random::bytes::<1>();
        member.not_before = Some(now + base + base * u32::from(jitter) / 510);
    }

    pub(super) fn vouched(&self) -> Option<Vouched> {
        let gathered = self.gathered.get(&self.quorate?)?;
        let of_members = |row: &&CosignatureRow| self.members.iter().any(|m| m.id == row.cosigner);
        let cosignatures = gathered.words.values().filter(of_members).cloned().collect();
        Some(Vouched { row: gathered.offer.row.clone(), cosignatures })
    }

    /// What is still missing for a checkpoint of this size, in words.
    pub(super) fn missing(&self, size: u64) -> String {
        let best = self.gathered.range(size..).map(|(_, gathered)| gathered).next_back();
        let said = |at: usize| {
            let id = self.members.get(at).map(|member| member.id);
            id.is_some_and(|id| best.is_some_and(|gathered| gathered.words.contains_key(&id)))
        };
        let missing = self.quorum.missing(said).map(|missing| missing.to_string());
        let mut missing = missing.unwrap_or_else(|| self.quorum.rule());
        for state in self.states() {
            missing.push_str("; ");
            missing.push_str(&state);
        }
        missing
    }

    /// What is wrong with each co-signer with which something is.
    pub(super) fn states(&self) -> Vec<String> {
        let state = |member: &Member| match (&member.peer, &member.fault) {
            (None, _) => Some(format!("{}: the configuration says not where it is", member.name)),
            (_, Some(fault)) => Some(format!("{}: {fault}", member.name)),
            _ => None,
        };
        self.members.iter().filter_map(state).collect()
    }

    pub(super) fn answering(&self) -> Vec<(String, bool)> {
        let well = |m: &Member| m.fault.is_none() && m.answered.is_some();
        self.members.iter().map(|member| (member.name.clone(), well(member))).collect()
    }

    pub(super) fn warnings(&self, peers: &[Peer]) -> Vec<String> {
        let mut warnings = Vec::new();
        for peer in peers {
            match self.members.iter().find(|member| member.key == *peer.key()) {
                None => warnings.push(format!(
                    "`cosigners.{}` is not one of this installation's co-signers: it is not asked",
                    peer.name()
                )),
                Some(member) if member.kind != peer.kind() => warnings.push(format!(
                    "`cosigners.{}` is said to be of another kind than in the installation, where \
                     it is one of the {}s",
                    peer.name(),
                    member.kind.name()
                )),
                Some(_) => {}
            }
        }
        for member in self.members.iter().filter(|member| member.peer.is_none()) {
            warnings.push(format!(
                "the configuration does not say where the co-signer {} is: it is not asked",
                member.name
            ));
        }
        warnings
    }

    /// Rows that no group has taken along.
    pub(super) fn take_unstored(&mut self) -> (Vec<CheckpointRow>, Vec<CosignatureRow>) {
        let rows = std::mem::take(&mut self.unstored);
        let checkpoints = self.gathered.iter().filter(|(size, _)| {
            Some(**size) == self.quorate && rows.iter().any(|row| row.size == **size)
        });
        (checkpoints.map(|(_, gathered)| gathered.offer.row.clone()).collect(), rows)
    }

    /// They were not stored after all.
    pub(super) fn put_back(&mut self, rows: Vec<CosignatureRow>) {
        self.unstored.extend(rows);
    }

    /// A group stores the words on this checkpoint.
    pub(super) fn stored_with(&mut self, size: u64) {
        self.unstored.retain(|row| row.size != size);
    }

    pub(super) fn take_ended(&mut self) -> Vec<Ended> {
        std::mem::take(&mut self.ended)
    }
}

#[cfg(test)]
mod tests;
