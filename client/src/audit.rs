//! Verifying an export of a whole log, offline.

use std::collections::HashMap;
use std::io::BufRead;
use std::sync::Arc;

use evidence::History;
use policy::Installation;
use tlog::Edge;
use tlog::map::Map;
use tlog::note::{LogKey, SignedCheckpoint};
use wire::bundle::{ExportEvent, ExportHeader, ExportLeaf};
use wire::event::Event;
use wire::leaf::{Leaf, LeafKind, blinded_id, commitment};
use wire::trust::TrustFile;
use wire::{Encoded, Hash32, UserId};
use x509::KeyRules;

use crate::bundle::{BundleError, fixed};

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
    /// One user id under two blinded ids, or two under one.
    #[error("leaf {index}: {uid} has another blinded id than before")]
    SecondBlindedId {
        /// The leaf's index.
        index: u64,
        /// Whose.
        uid: UserId,
    },
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
}

/// Verifies an export (JSON Lines) against the trust file: the tree from its leaves, the signed
/// checkpoint, every event decided again from its evidence, one blinded id and one owner for each
/// id and key.
///
/// # Errors
/// The first fault, with its line.
pub fn verify(trust: &TrustFile, export: impl BufRead) -> Result<Audited, ExportError> {
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
    let key = LogKey::parse_vkey(trust.log()).map_err(|error| lines.part(error.into()))?;
    let signed = SignedCheckpoint::open(&header.checkpoint, &key)
        .map_err(|error| lines.part(error.into()))?;

    let rules = KeyRules::identity(Arc::default());
    let mut replay = Replay::new(&installation, &rules);
    while let Some(entry) = lines.next::<ExportLeaf>()? {
        let leaf = Leaf::from_canonical(&entry.leaf.0).map_err(|error| lines.part(error.into()))?;
        if entry.leaf_index == 0 {
            let salt = fixed("salt", &header.genesis_salt).map_err(|error| lines.part(error))?;
            if leaf.commitment != commitment(&salt, &header.genesis.0) {
                return Err(lines.part(BundleError::Leaf { sequence: 0 }));
            }
        }
        replay.take(&entry, &leaf, &lines)?;
    }
    let (size, root) = (replay.edge.size(), replay.edge.root());
    let (signed_size, signed_root) = (signed.checkpoint().size(), signed.checkpoint().root());
    if (size, root) != (signed_size, signed_root) {
        return Err(ExportError::Root { size, root, signed_size, signed_root });
    }
    let identities = replay.histories.len() as u64;
    Ok(Audited { leaves: size, events: replay.events, identities, root })
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
    installation: &'a Installation,
    rules: &'a KeyRules,
    edge: Edge,
    heads: Map,
    /// Heads that changed since the last map root.
    changed: Vec<(Hash32, Hash32)>,
    histories: HashMap<UserId, (Hash32, History<'a>)>,
    owners: HashMap<Hash32, UserId>,
    events: u64,
}

impl<'a> Replay<'a> {
    fn new(installation: &'a Installation, rules: &'a KeyRules) -> Self {
        Self {
            installation,
            rules,
            edge: Edge::empty(),
            heads: Map::empty(usize::MAX),
            changed: Vec::new(),
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
        match (&entry.event, leaf.kind) {
            (Some(event), LeafKind::Event) => self.event(event, leaf, index, lines),
            (None, LeafKind::Event) if index == 0 => Ok(()),
            (None, LeafKind::MapRoot) => self.map_root(leaf, index),
            _ => Err(lines.fault("the leaf and what stands behind it do not fit")),
        }
    }

    fn event<R: BufRead>(
        &mut self,
        event: &ExportEvent,
        leaf: &Leaf,
        index: u64,
        lines: &Lines<R>,
    ) -> Result<(), ExportError> {
        let ExportEvent { uid, blinding_key, key_place, entry } = event;
        let blinding_key =
            fixed("blinding key", blinding_key).map_err(|error| lines.part(error))?;
        let blinded = blinded_id(&blinding_key, uid);
        let parsed =
            Event::from_canonical(&entry.event.0).map_err(|error| lines.part(error.into()))?;
        let salt = fixed("salt", &entry.salt).map_err(|error| lines.part(error))?;
        let sequence = parsed.sequence;
        if leaf.blinded_id != blinded
            || leaf.commitment != commitment(&salt, &entry.event.0)
            || leaf.engine != parsed.engine
            || entry.evidence.len() != parsed.evidence.len()
        {
            return Err(lines.part(BundleError::Leaf { sequence }));
        }
        let (installation, rules) = (self.installation, self.rules);
        let (known, history) = self
            .histories
            .entry(uid.clone())
            .or_insert_with(|| (blinded, History::new(installation, rules, uid.clone())));
        if *known != blinded {
            return Err(ExportError::SecondBlindedId { index, uid: uid.clone() });
        }
        let evidence: Vec<_> = entry
            .evidence
            .iter()
            .zip(&parsed.evidence)
            .map(|(data, reference)| (reference.clone(), data.0.clone()))
            .collect();
        let owners = &self.owners;
        let other = |key: Hash32| owners.get(&key).filter(|by| *by != uid).cloned();
        history
            .apply(&parsed, leaf.leaf_hash(), &evidence, other)
            .map_err(|error| lines.part(error.into()))?;
        for key in history.keys() {
            let by = self.owners.entry(key).or_insert_with(|| uid.clone());
            if by != uid {
                return Err(ExportError::SharedKey { index, uid: uid.clone(), key });
            }
        }
        if let Some(identity) = history.identity() {
            self.changed.push((blinded, identity.proven_head().hash()));
        }
        self.changed.extend(key_place.map(|place| (place, blinded)));
        self.events += 1;
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
