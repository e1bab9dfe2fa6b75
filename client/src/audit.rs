//! Verifying an export of a whole log, offline.

use std::collections::HashMap;
use std::io::BufRead;

use evidence::dossier::Piece;
use evidence::issuance::Difference;
use evidence::{History, Timeline};
use policy::Installation;
use tlog::Edge;
use tlog::map::Map;
use tlog::note::Checkpoint;
use tlog::proof::check_inclusion;
use wire::bundle::{ExportEvent, ExportHeader, ExportLeaf};
use wire::event::Event;
use wire::head::installation_position;
use wire::leaf::{
    Leaf, LeafKind, blinded_id, blinded_key, blinding_commitment, blinding_key, commitment,
};
use wire::{Encoded, Hash32, UserId};

use crate::bundle::{BundleError, fixed, pieces};
use crate::trust::Trust;

/// Longest line that is read, in bytes.
const MAX_LINE: u64 = 8 * 1024 * 1024;

/// Why an export is not a lawful log.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It cannot be read.
    #[error("line {line}: {reason}")]
    Line {
        /// Line, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// A part that a bundle has too.
    #[error("line {line}: {source}")]
    Part {
        /// Line, from 1.
        line: u64,
        /// What is wrong.
        source: Box<BundleError>,
    },
    /// The leaves do not lead to the checkpoint.
    #[error(
        "the leaves lead to size {size}, root {root}; the checkpoint says {signed_size}, {signed_root}"
    )]
    Root {
        /// Leaves in the export.
        size: u64,
        /// Their root.
        root: Hash32,
        /// Size in the checkpoint.
        signed_size: u64,
        /// Root in the checkpoint.
        signed_root: Hash32,
    },
    /// A map root that does not follow from the events before it.
    #[error("leaf {index} holds map root {logged}; the events before it give another")]
    MapRoot {
        /// The leaf's index.
        index: u64,
        /// Root in the log.
        logged: Hash32,
    },
    /// A recorded certificate that its event does not call for.
    #[error("leaf {index}: {source}")]
    Certificate {
        /// The leaf's index.
        index: u64,
        /// What is wrong.
        source: Box<Difference>,
    },
    /// The secret is not the one that the genesis event commits to.
    #[error("the secret that blinds ids is not the one that the genesis event commits to")]
    Secret,
    /// Events that no map root follows.
    #[error("after the last leaf the map's root is missing")]
    NoMapRoot,
    /// One key for two identities.
    #[error("leaf {index}: the key {key} of {uid} is another identity's")]
    SharedKey {
        /// The leaf's index.
        index: u64,
        /// The second identity.
        uid: UserId,
        /// SHA-256 of the SubjectPublicKeyInfo.
        key: Hash32,
    },
}

/// What was verified.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Audited {
    /// Leaves.
    pub leaves: u64,
    /// Events of identities, each decided again from its evidence.
    pub events: u64,
    /// Identities.
    pub identities: u64,
    /// The root that the checkpoint signs.
    pub root: Hash32,
    /// As of when the quorum vouches for the checkpoint, seconds since 1970; none where nobody
    /// co-signs.
    pub as_of: Option<u64>,
}

/// Verifies an export (JSON Lines) against the trust file: the tree from its leaves, the signed
/// checkpoint with the quorum's co-signatures (of whatever age: an export is kept), every event decided again from its evidence, every certificate's TBS built again, one
/// blinded id and one owner for each id and key, the map up to its last root.
///
/// # Errors
/// The first fault, with its line.
pub fn verify(trust: &Trust, export: impl BufRead) -> Result<Audited, ExportError> {
    let mut lines = Lines { input: export, number: 0 };
    let header: ExportHeader = lines.next()?.ok_or_else(|| lines.fault("the file is empty"))?;
    if header.avouch_export != 1 {
        let reason = format!("version {} is not known; this program knows 1", header.avouch_export);
        return Err(lines.fault(reason));
    }
    let genesis =
        Event::from_canonical(&header.genesis.0).map_err(|error| lines.part(error.into()))?;
    let (expected, found) = (trust.genesis(), genesis.hash());
    if expected != found {
        return Err(lines.part(BundleError::Genesis { expected, found }));
    }
    let installation =
        Installation::from_genesis(&genesis).map_err(|error| lines.part(error.into()))?;
    let vouched = trust.open(&header.checkpoint).map_err(|error| lines.part(error.into()))?;

    let secret =
        fixed("blinding secret", &header.blinding_secret).map_err(|error| lines.part(error))?;
    if blinding_commitment(&secret) != installation.blinding() {
        return Err(ExportError::Secret);
    }
    let checkpoint = vouched.checkpoint();
    let mut replay = Replay::new(installation, secret, checkpoint);
    while let Some(entry) = lines.next::<ExportLeaf>()? {
        let leaf = Leaf::from_canonical(&entry.leaf.0).map_err(|error| lines.part(error.into()))?;
        replay.take(&entry, &leaf, &lines)?;
    }
    if !replay.changed.is_empty() || !replay.ends_with_root {
        return Err(ExportError::NoMapRoot);
    }
    let (size, root) = (replay.edge.size(), replay.edge.root());
    let (signed_size, signed_root) = (checkpoint.size(), checkpoint.root());
    if (size, root) != (signed_size, signed_root) {
        return Err(ExportError::Root { size, root, signed_size, signed_root });
    }
    let identities = replay.histories.len() as u64;
    Ok(Audited { leaves: size, events: replay.events, identities, root, as_of: vouched.as_of() })
}

struct Lines<R> {
    input: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    fn next<T: serde::de::DeserializeOwned>(&mut self) -> Result<Option<T>, ExportError> {
        self.number += 1;
        let mut line = Vec::new();
        let mut limited = std::io::Read::take(&mut self.input, MAX_LINE);
        limited
            .read_until(b'\n', &mut line)
            .map_err(|error| ExportError::Line { line: self.number, reason: error.to_string() })?;
        if line.is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(&line).map(Some).map_err(|error| self.fault(error.to_string()))
    }

    fn fault(&self, reason: impl Into<String>) -> ExportError {
        ExportError::Line { line: self.number, reason: reason.into() }
    }

    fn part(&self, source: BundleError) -> ExportError {
        ExportError::Part { line: self.number, source: Box::new(source) }
    }
}

struct Replay<'a> {
    /// The installation by the genesis event, until leaf 0 is read.
    genesis: Option<Installation>,
    timeline: Option<Timeline>,
    secret: [u8; 32],
    checkpoint: &'a Checkpoint,
    edge: Edge,
    heads: Map,
    /// Heads that changed since the last map root.
    changed: Vec<(Hash32, Hash32)>,
    ends_with_root: bool,
    histories: HashMap<UserId, History>,
    owners: HashMap<Hash32, UserId>,
    events: u64,
}

impl<'a> Replay<'a> {
    fn new(genesis: Installation, secret: [u8; 32], checkpoint: &'a Checkpoint) -> Self {
        Self {
            genesis: Some(genesis),
            timeline: None,
            secret,
            checkpoint,
            edge: Edge::empty(),
            heads: Map::empty(usize::MAX),
            changed: Vec::new(),
            ends_with_root: false,
            histories: HashMap::new(),
            owners: HashMap::new(),
            events: 0,
        }
    }

    fn take<R: BufRead>(
        &mut self,
        entry: &ExportLeaf,
        leaf: &Leaf,
        lines: &Lines<R>,
    ) -> Result<(), ExportError> {
        let index = entry.leaf_index;
        if index != self.edge.size() {
            return Err(lines.fault(format!("leaf {index} where {} was due", self.edge.size())));
        }
        self.edge.append(leaf.leaf_hash());
        self.ends_with_root = leaf.kind == LeafKind::MapRoot;
        match (&entry.event, leaf.kind) {
            (Some(event), LeafKind::Event) => self.event(event, leaf, index, lines),
            (None, LeafKind::MapRoot) => self.map_root(leaf, index),
            _ => Err(lines.fault("the leaf and what stands behind it do not fit")),
        }
    }

    fn event<R: BufRead>(
        &mut self,
        entry: &ExportEvent,
        leaf: &Leaf,
        index: u64,
        lines: &Lines<R>,
    ) -> Result<(), ExportError> {
        let event =
            Event::from_canonical(&entry.event.0).map_err(|error| lines.part(error.into()))?;
        let salt = fixed("salt", &entry.salt).map_err(|error| lines.part(error))?;
        let sequence = event.sequence;
        let blinded =
            event.subject.as_ref().map(|uid| blinded_id(&blinding_key(&self.secret, uid), uid));
        if leaf.blinded_id != blinded.unwrap_or(Hash32::from_bytes([0; 32]))
            || leaf.commitment != commitment(&salt, &entry.event.0)
            || leaf.engine != event.engine
            || entry.evidence.len() != event.evidence.len()
        {
            return Err(lines.part(BundleError::Leaf { sequence }));
        }
        let (size, root) = (self.checkpoint.size(), self.checkpoint.root());
        check_inclusion(&entry.proof, size, root, index, leaf.leaf_hash()).map_err(|source| {
            let what = format!("leaf {index} is not in the log");
            lines.part(BundleError::Proof { what, source })
        })?;
        let evidence = pieces(&entry.evidence, &event);
        let (Some(uid), Some(blinded)) = (event.subject.clone(), blinded) else {
            return self
                .installation_event(index, &event, leaf.leaf_hash(), &evidence)
                .map_err(|error| lines.part(error));
        };
        let timeline = self.timeline.as_ref().ok_or_else(|| lines.part(BundleError::NoGenesis))?;
        let era = timeline.at(index);
        let history =
            self.histories.entry(uid.clone()).or_insert_with(|| History::new(uid.clone()));
        let owners = &self.owners;
        let other = |key: Hash32| owners.get(&key).filter(|by| **by != uid).cloned();
        history
            .apply(era, &event, leaf.leaf_hash(), &evidence, other)
            .map_err(|error| lines.part(error.into()))?;
        era.issuance()
            .certified(&event, index, |spki| history.key(spki))
            .map_err(|source| ExportError::Certificate { index, source: Box::new(source) })?;
        for key in history.keys() {
            match self.owners.get(&key) {
                Some(by) if *by != uid => {
                    return Err(ExportError::SharedKey { index, uid, key });
                }
                Some(_) => {}
                None => {
                    self.owners.insert(key, uid.clone());
                    self.changed.push((blinded_key(&self.secret, key), blinded));
                }
            }
        }
        if let Some(identity) = history.identity() {
            self.changed.push((blinded, identity.proven_head().hash()));
        }
        self.events += 1;
        Ok(())
    }

    /// The genesis event begins the timeline, every other event of the installation continues it.
    fn installation_event(
        &mut self,
        index: u64,
        event: &Event,
        leaf: Hash32,
        evidence: &[Piece],
    ) -> Result<(), BundleError> {
        match (&mut self.timeline, self.genesis.take()) {
            (None, Some(genesis)) if index == 0 && event.hash() == genesis.genesis() => {
                self.timeline = Some(Timeline::begin(genesis.logged_at(leaf))?);
            }
            (Some(timeline), _) => {
                timeline.apply(index, event, leaf, evidence)?;
                let head = timeline.current().installation().proven_head();
                self.changed.extend(head.map(|head| (installation_position(), head)));
            }
            (None, _) => return Err(BundleError::NoGenesis),
        }
        Ok(())
    }

    /// The map after a group is the one that the log says.
    fn map_root(&mut self, leaf: &Leaf, index: u64) -> Result<(), ExportError> {
        let logged = leaf.commitment;
        let other = |_| ExportError::MapRoot { index, logged };
        let staged = self.heads.stage(&self.changed).map_err(other)?;
        if staged.root() != logged {
            return Err(ExportError::MapRoot { index, logged });
        }
        self.heads.commit(staged);
        self.changed.clear();
        Ok(())
    }
}
