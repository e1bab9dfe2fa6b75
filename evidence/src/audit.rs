//! Replay of a whole log, entry by entry: what auditors do before they co-sign, and what anybody
//! does with an export.
//!
//! The tree is made from the leaves, every event is decided again from its evidence, every
//! certificate's TBS is built again, every id has one blinded id and every key one owner, and every
//! map root follows from the events before it. Nothing that comes with an entry is believed.

mod ask;
mod batch;
mod body;
mod handed;
mod refused;
mod snapshot;

use std::collections::HashMap;

use policy::{Installation, InstallationError};
use tlog::Edge;
use tlog::map::Map;
use wire::bundle::{Blob, ExportEvent, ExportLeaf};
use wire::event::Event;
use wire::head::installation_position;
use wire::leaf::{
    Leaf, LeafKind, blinded_id, blinded_key, blinding_commitment, blinding_key, commitment,
};
use wire::{Encoded, Hash32, UserId};

use crate::dossier::Piece;
use crate::{History, Timeline};

pub use ask::{
    ASK, ASK_SLACK, AskError, AuditorAsk, EntriesHead, MAX_ASK, STATEMENTS, StandingHead, Wanted,
};
pub use batch::{BatchError, after};
pub use body::{
    ADD_ENTRIES, AddEntries, BodyError, MAX_BODY, MAX_ENTRIES, PROBLEM_TYPE, RefusedProblem,
};
pub use refused::{Objection, Refused};
pub use snapshot::{LogSnapshot, ResumeError};

use batch::Trial;
use refused::{At, commits};

/// Why a replay cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The genesis event begins no installation.
    #[error(transparent)]
    Installation(#[from] InstallationError),
    /// The secret is not the one that the genesis event commits to.
    #[error("the secret that blinds ids is not the one that the genesis event commits to")]
    Secret,
}

/// What whoever replays demands of an event beside the policy, on the state before it.
pub type Demands<'a> = &'a dyn Fn(&Replay, &Event) -> Result<(), Objection>;

/// A log, replayed as far as entries were applied.
#[derive(Debug)]
pub struct Replay {
    /// The installation by the genesis event; what counts there counts in every era.
    genesis: Installation,
    timeline: Option<Timeline>,
    /// The entries of the installation's own events.
    installation: Vec<ExportLeaf>,
    secret: [u8; 32],
    edge: Edge,
    heads: Map,
    /// What changed in the map since its last root in the log.
    changed: Vec<(Hash32, Hash32)>,
    ends_with_root: bool,
    histories: HashMap<UserId, History>,
    /// Whose each key is, by SHA-256 of its SubjectPublicKeyInfo.
    owners: HashMap<Hash32, UserId>,
    events: u64,
    trial: Option<Trial>,
    /// The newest engine version that is known.
    engine: u8,
    /// The intents (DER) that asked for what is pending: vetoes are about their hashes.
    proposals: HashMap<UserId, Vec<Vec<u8>>>,
}

impl Replay {
    /// The replay of the log that begins with this event, before its first entry. `secret` blinds
    /// user ids and keys.
    ///
    /// # Errors
    /// When the event begins no installation, or commits to another secret.
    pub fn begin(genesis: &Event, secret: [u8; 32]) -> Result<Self, BeginError> {
        Self::of(Installation::from_genesis(genesis)?, secret)
    }

    /// The replay of an auditor: a transport's word counts for nothing in it, whatever the policy
    /// says.
    ///
    /// # Errors
    /// As [`Replay::begin`].
    pub fn begin_auditing(genesis: &Event, secret: [u8; 32]) -> Result<Self, BeginError> {
        Self::of(Installation::from_genesis(genesis)?.signed_only(), secret)
    }

    fn of(genesis: Installation, secret: [u8; 32]) -> Result<Self, BeginError> {
        if blinding_commitment(&secret) != genesis.blinding() {
            return Err(BeginError::Secret);
        }
        Ok(Self {
            genesis,
            timeline: None,
            installation: Vec::new(),
            secret,
            edge: Edge::empty(),
            heads: Map::empty(usize::MAX),
            changed: Vec::new(),
            ends_with_root: false,
            histories: HashMap::new(),
            owners: HashMap::new(),
            events: 0,
            trial: None,
            engine: policy::ENGINE,
            proposals: HashMap::new(),
        })
    }

    /// As a program does whose newest engine version is this one.
    #[must_use]
    pub fn knowing(self, engine: u8) -> Self {
        Self { engine: engine.min(policy::ENGINE), ..self }
    }

    /// Leaves so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.edge.size()
    }

    /// The root of the tree of the leaves so far.
    #[must_use]
    pub fn root(&self) -> Hash32 {
        self.edge.root()
    }

    /// Whether the leaves so far may be a checkpoint's: the last one holds the map's root.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.changed.is_empty() && self.ends_with_root
    }

    /// Events of identities so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Identities so far.
    #[must_use]
    pub fn identities(&self) -> u64 {
        self.histories.len() as u64
    }

    /// The installation after the entries so far.
    #[must_use]
    pub fn installation(&self) -> &Installation {
        self.timeline.as_ref().map_or(&self.genesis, |timeline| timeline.current().installation())
    }

    /// The installation through time; none before the first entry.
    #[must_use]
    pub fn timeline(&self) -> Option<&Timeline> {
        self.timeline.as_ref()
    }

    /// An identity's history so far.
    #[must_use]
    pub fn history(&self, uid: &UserId) -> Option<&History> {
        self.histories.get(uid)
    }

    /// Whose a key is or was.
    #[must_use]
    pub fn owner(&self, spki: Hash32) -> Option<&UserId> {
        self.owners.get(&spki)
    }

    /// Applies the next entry. After a refusal this replay is of no more use, unless the entry was
    /// one of a batch ([`Replay::batch`]).
    ///
    /// # Errors
    /// The rule that the entry does not keep.
    pub fn apply(&mut self, entry: &ExportLeaf, demands: Demands<'_>) -> Result<(), Refused> {
        let at = At::index(entry.leaf_index);
        let due = self.edge.size();
        if entry.leaf_index != due {
            return Err(at.refuses("leaves-in-order", format!("leaf {due}"), entry.leaf_index));
        }
        let leaf = Leaf::from_canonical(&entry.leaf.0).map_err(|error| at.format(&error))?;
        let at = At { leaf: Some(leaf.leaf_hash()), ..at };
        self.ends_with_root = leaf.kind == LeafKind::MapRoot;
        match (&entry.event, leaf.kind) {
            (Some(event), LeafKind::Event) => self.event(entry, event, &leaf, at, demands)?,
            (None, LeafKind::MapRoot) => self.map_root(&leaf, &at)?,
            (event, kind) => {
                let found = if event.is_some() { "an event" } else { "none" };
                return Err(at.refuses("leaf-and-event-fit", format!("what a {kind} has"), found));
            }
        }
        self.edge.append(leaf.leaf_hash());
        Ok(())
    }

    fn event(
        &mut self,
        entry: &ExportLeaf,
        with: &ExportEvent,
        leaf: &Leaf,
        mut at: At,
        demands: Demands<'_>,
    ) -> Result<(), Refused> {
        commits(leaf, with, &at)?;
        let lawful = self.lawful_event(entry, with, leaf, &mut at, demands);
        match lawful {
            Err(refused) if self.may_pass(leaf.leaf_hash()) => self.pass(with, leaf, refused),
            lawful => lawful,
        }
    }

    fn lawful_event(
        &mut self,
        entry: &ExportLeaf,
        with: &ExportEvent,
        leaf: &Leaf,
        at: &mut At,
        demands: Demands<'_>,
    ) -> Result<(), Refused> {
        if leaf.engine > self.engine || leaf.engine != policy::ENGINE {
            let expected = format!("{}, the newest that this program knows", self.engine);
            return Err(at.refuses("engine-version", expected, leaf.engine));
        }
        let event = Event::from_canonical(&with.event.0).map_err(|error| at.format(&error))?;
        at.event = Some(event.kind);
        if event.engine != leaf.engine || with.evidence.len() != event.evidence.len() {
            let expected =
                format!("engine {}, {} pieces of evidence", event.engine, event.evidence.len());
            let found = format!("{}, {}", leaf.engine, with.evidence.len());
            return Err(at.refuses("leaf-and-event-fit", expected, found));
        }
        let blinded = event.subject.as_ref().map(|uid| self.blinded(uid));
        let expected = blinded.unwrap_or(Hash32::from_bytes([0; 32]));
        if leaf.blinded_id != expected {
            return Err(at.refuses("one-blinded-id", expected, leaf.blinded_id));
        }
        let evidence = pieces(&with.evidence, &event);
        if event.subject.is_some() || self.timeline.is_some() {
            demands(self, &event).map_err(|objection| at.objection(objection))?;
        }
        match event.subject.clone() {
            Some(uid) => self.of_identity(&uid, &event, leaf, &evidence, at),
            None => self.of_installation(entry, &event, leaf, &evidence, at),
        }
    }

    fn of_identity(
        &mut self,
        uid: &UserId,
        event: &Event,
        leaf: &Leaf,
        evidence: &[Piece],
        at: &At,
    ) -> Result<(), Refused> {
        let timeline = self.timeline.as_ref().ok_or_else(|| at.no_genesis())?;
        let era = timeline.at(at.index);
        if let Some(trial) = &mut self.trial {
            trial.touches(uid, self.histories.get(uid), self.proposals.get(uid));
        }
        let history =
            self.histories.entry(uid.clone()).or_insert_with(|| History::new(uid.clone()));
        let owners = &self.owners;
        let other = |key: Hash32| owners.get(&key).filter(|by| *by != uid).cloned();
        let step = history
            .apply(era, event, leaf.leaf_hash(), evidence, other)
            .map_err(|error| at.history(&error))?;
        era.issuance()
            .certified(event, at.index, history.identity(), |spki| history.key(spki))
            .map_err(|difference| at.certificate(&difference))?;
        let head = history.identity().map(|identity| identity.proven_head().hash());
        self.proposes(uid, event);
        self.owns(uid, leaf.blinded_id, step.new_key, at)?;
        self.changed.extend(head.map(|head| (leaf.blinded_id, head)));
        self.events += 1;
        Ok(())
    }

    /// Keys that an identity has for the first time are its own, and nobody else's.
    fn owns(
        &mut self,
        uid: &UserId,
        blinded: Hash32,
        keys: impl IntoIterator<Item = Hash32>,
        at: &At,
    ) -> Result<(), Refused> {
        for key in keys {
            match self.owners.get(&key) {
                Some(by) if by != uid => {
                    let expected = "a key that nobody else has or had";
                    return Err(at.refuses("one-key-one-identity", expected, key));
                }
                Some(_) => {}
                None => {
                    self.owners.insert(key, uid.clone());
                    self.changed.push((blinded_key(&self.secret, key), blinded));
                    if let Some(trial) = &mut self.trial {
                        trial.owned(key);
                    }
                }
            }
        }
        Ok(())
    }

    /// The genesis event begins the timeline, every other event of the installation continues it.
    fn of_installation(
        &mut self,
        entry: &ExportLeaf,
        event: &Event,
        leaf: &Leaf,
        evidence: &[Piece],
        at: &At,
    ) -> Result<(), Refused> {
        match &mut self.timeline {
            None if at.index == 0 && event.hash() == self.genesis.genesis() => {
                let genesis = self.genesis.clone().logged_at(leaf.leaf_hash());
                let timeline = Timeline::begin(genesis)
                    .map_err(|error| at.refuses("somebody-is-certified", "an issuer", error))?;
                self.timeline = Some(timeline);
            }
            None => return Err(at.no_genesis()),
            Some(timeline) => {
                timeline
                    .apply(at.index, event, leaf.leaf_hash(), evidence)
                    .map_err(|error| at.timeline(&error))?;
                let head = timeline.current().installation().proven_head();
                self.changed.extend(head.map(|head| (installation_position(), head)));
            }
        }
        self.installation.push(entry.clone());
        Ok(())
    }

    /// The map after a group is the one that the log says.
    fn map_root(&mut self, leaf: &Leaf, at: &At) -> Result<(), Refused> {
        let logged = leaf.commitment;
        let lost = |error| at.refuses("map-root", "a whole map", error);
        let staged = self.heads.stage(&self.changed).map_err(lost)?;
        if staged.root() != logged {
            return Err(at.refuses("map-root", staged.root(), logged));
        }
        self.heads.commit(staged);
        self.changed.clear();
        Ok(())
    }

    fn blinded(&self, uid: &UserId) -> Hash32 {
        blinded_id(&blinding_key(&self.secret, uid), uid)
    }
}

/// Evidence under the names that its event has for it.
#[must_use]
pub fn pieces(data: &[Blob], event: &Event) -> Vec<Piece> {
    let named = data.iter().zip(&event.evidence);
    named.map(|(data, reference)| (reference.clone(), data.0.clone())).collect()
}

/// Nothing beside the policy is demanded.
///
/// # Errors
/// Never.
pub fn nothing_else(_: &Replay, _: &Event) -> Result<(), Objection> {
    Ok(())
}

/// Whether a leaf commits to the bytes of an event under a salt.
fn is_committed(leaf: &Leaf, salt: &[u8; 32], event: &[u8]) -> bool {
    leaf.commitment == commitment(salt, event)
}

#[cfg(test)]
mod tests;
