//! What an auditor is given: every entry since the size that it is at, with its evidence, up to a
//! signed checkpoint. A long way is gone in parts.

use std::collections::HashMap;

use evidence::audit::{ADD_ENTRIES, AddEntries, MAX_BODY, after};
use evidence::{History, Timeline};
use policy::Installation;
use tlog::proof;
use tlog::witness::{ADD_CHECKPOINT, AddCheckpoint, AnyCheckpoint};
use tlog::{Edge, StoredHash};
use wire::bundle::{Blob, ExportEvent, ExportLeaf};
use wire::event::{Event, EventKind};
use wire::leaf::LeafKind;
use wire::{Encoded, Hash32, UserId};

use super::book::Offer;
use super::client::Fault;
use crate::catch_up::timeline;
use crate::store::Store;
use crate::store::rows::EntryRow;
use crate::token::Token;
use crate::walk::{Log, TreeHead};

/// Leaves in one part: about a second of an auditor's work.
pub(super) const PART: u64 = 2048;

/// Leaves read at once with their evidence.
const BATCH: u64 = 512;

/// Signs checkpoints of earlier sizes, for a co-signer that is far behind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hand<'a> {
    pub(crate) log: &'a Log,
    pub(crate) token: &'a Token,
}

/// One part: a call, and the checkpoint that it asks for.
pub(super) struct Part {
    pub(super) path: &'static str,
    pub(super) body: Vec<u8>,
    pub(super) checkpoint: AnyCheckpoint,
}

fn told(error: &dyn std::fmt::Display) -> Fault {
    Fault::Proof(error.to_string())
}

/// The call that has a witness go from one size to the checkpoint.
pub(super) async fn checkpoint(store: &dyn Store, old: u64, offer: &Offer) -> Result<Part, Fault> {
    let checkpoint = offer.checkpoint.clone();
    let body = request(store, old, &checkpoint).await?.to_text().into_bytes();
    Ok(Part { path: ADD_CHECKPOINT, body, checkpoint })
}

/// The call that has an auditor go from one size towards the checkpoint.
pub(super) async fn entries(
    store: &dyn Store,
    hand: Hand<'_>,
    old: u64,
    offer: &Offer,
) -> Result<Part, Fault> {
    if old == offer.size() {
        return checkpoint(store, old, offer).await;
    }
    let mut part = PART;
    loop {
        let end = end_of_part(store, old, part, offer.size()).await?;
        let checkpoint = checkpoint_at(store, hand, end, offer).await?;
        let request = request(store, old, &checkpoint).await?;
        let secret = if old == 0 { store.secret().await? } else { None };
        let entries = read(store, old, end).await?;
        let asked = AddEntries::new(request, secret, entries).map_err(|error| told(&error))?;
        let body = asked.to_body().into_bytes();
        if body.len() <= MAX_BODY || part < 2 {
            return Ok(Part { path: ADD_ENTRIES, body, checkpoint });
        }
        // Much evidence behind few events.
        part /= 2;
    }
}

async fn request(
    store: &dyn Store,
    old: u64,
    checkpoint: &AnyCheckpoint,
) -> Result<AddCheckpoint, Fault> {
    let indexes = proof::consistency_indexes(old, checkpoint.size());
    let stored = store.stored_hashes(&indexes).await?;
    let hashes: HashMap<u64, Hash32> = stored.into_iter().map(|s| (s.index, s.hash)).collect();
    let proof =
        proof::consistency(old, checkpoint.size(), &hashes).map_err(|error| told(&error))?;
    AddCheckpoint::new(old, proof, checkpoint.clone()).map_err(|error| told(&error))
}

/// Where a part ends: after a map root, not too far away; but after the strike of a leaf that is in
/// it, for whoever refuses that leaf passes it only with the strike in view.
async fn end_of_part(store: &dyn Store, old: u64, part: u64, size: u64) -> Result<u64, Fault> {
    let mut end = size;
    if size - old > part {
        let rows = store.leaves(old, size.min(old + part)).await?;
        let root = rows.iter().rev().find(|row| row.leaf.kind == LeafKind::MapRoot);
        end = root.map_or(size, |row| row.leaf_index + 1);
    }
    if end == size {
        return Ok(size);
    }
    let events = store.installation_events().await?;
    let strikes = events.iter().filter(|row| row.event.kind == EventKind::Strike);
    if strikes.clone().next().is_none() {
        return Ok(end);
    }
    let leaves: Vec<Hash32> =
        store.leaves(old, end).await?.iter().map(|row| row.leaf.leaf_hash()).collect();
    let last = strikes.filter(|row| struck(&row.event).is_some_and(|leaf| leaves.contains(&leaf)));
    match last.map(|row| row.leaf_index).max() {
        // To the end of the strike's own group; that is at most as long as a group.
        Some(strike) if strike >= end => {
            let rows = store.leaves(strike, size).await?;
            let root = rows.iter().find(|row| row.leaf.kind == LeafKind::MapRoot);
            Ok(root.map_or(size, |row| row.leaf_index + 1))
        }
        _ => Ok(end),
    }
}

fn struck(event: &Event) -> Option<Hash32> {
    let changed = wire::body::Changed::from_canonical(event.body.as_bytes()).ok()?;
    Some(wire::body::Struck::from_canonical(changed.change.as_bytes()).ok()?.leaf)
}

/// The checkpoint of a size: the one that is offered, or one that is signed for this.
async fn checkpoint_at(
    store: &dyn Store,
    hand: Hand<'_>,
    size: u64,
    offer: &Offer,
) -> Result<AnyCheckpoint, Fault> {
    if size == offer.size() {
        return Ok(offer.checkpoint.clone());
    }
    let stored: Vec<StoredHash> = store.stored_hashes(&Edge::indexes(size)).await?;
    let edge = Edge::load(size, &stored).map_err(|error| told(&error))?;
    let row = hand.log.sign(hand.token, TreeHead::of_edge(&edge)).await.map_err(Fault::Proof)?;
    AnyCheckpoint::parse(&row.note).map_err(|error| told(&error))
}

/// The entries from one leaf to another, with their evidence.
async fn read(store: &dyn Store, from: u64, to: u64) -> Result<Vec<ExportLeaf>, Fault> {
    let mut entries = Vec::with_capacity(usize::try_from(to - from).unwrap_or(0));
    let mut at = from;
    let mut struck: Option<Struck> = None;
    while at < to {
        let rows = store.entries(at, to.min(at + BATCH), true).await?;
        if rows.is_empty() {
            return Err(Fault::Proof(format!("leaf {at} is not in the database")));
        }
        for row in rows {
            let of_identity = row.event.as_ref().and_then(|event| event.subject.clone());
            let left_behind = match of_identity {
                Some(uid) => {
                    if struck.is_none() {
                        struck = Some(Struck::read(store).await?);
                    }
                    match struck.as_ref().filter(|struck| struck.names(row.leaf.leaf_hash())) {
                        Some(struck) => struck.left_behind(store, &uid, row.leaf_index).await?,
                        None => None,
                    }
                }
                None => None,
            };
            at = row.leaf_index + 1;
            entries.push(entry(row, left_behind));
        }
    }
    Ok(entries)
}

fn entry(row: EntryRow, left_behind: Option<Vec<u8>>) -> ExportLeaf {
    let event = row.event.map(|event| ExportEvent {
        salt: Blob(row.salt.to_vec()),
        event: Blob(event.to_canonical()),
        evidence: row.evidence.into_iter().map(|(_, data)| Blob(data)).collect(),
        proof: Vec::new(),
        after: left_behind.map(Blob),
    });
    ExportLeaf { leaf_index: row.leaf_index, leaf: Blob(row.leaf.to_canonical()), event }
}

/// Leaves that the officers declared dead, and the installation through time.
struct Struck {
    leaves: Vec<Hash32>,
    timeline: Option<Timeline>,
}

impl Struck {
    async fn read(store: &dyn Store) -> Result<Self, Fault> {
        let events = store.installation_events().await?;
        let leaves: Vec<Hash32> = events
            .iter()
            .filter(|row| row.event.kind == EventKind::Strike)
            .filter_map(|row| struck(&row.event))
            .collect();
        if leaves.is_empty() {
            return Ok(Self { leaves, timeline: None });
        }
        let missing = || Fault::Proof("the genesis event is not in the database".to_owned());
        let row = store.genesis().await?.ok_or_else(missing)?;
        let genesis = Installation::from_genesis(&row.event).map_err(|error| told(&error))?;
        let genesis = genesis.logged_at(row.leaf.leaf_hash());
        let timeline = timeline(store, genesis).await.map_err(|error| told(&error))?;
        Ok(Self { leaves, timeline: Some(timeline) })
    }

    fn names(&self, leaf: Hash32) -> bool {
        self.leaves.contains(&leaf)
    }

    /// What an event left behind, by replay.
    async fn left_behind(
        &self,
        store: &dyn Store,
        uid: &UserId,
        leaf_index: u64,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let Some(timeline) = &self.timeline else { return Ok(None) };
        let mut history = History::new(uid.clone());
        for row in store.events_of(uid).await? {
            let (era, leaf) = (timeline.at(row.leaf_index), row.leaf.leaf_hash());
            history
                .apply(era, &row.event, leaf, &row.evidence, |_| None)
                .map_err(|error| told(&error))?;
            if row.leaf_index == leaf_index {
                return Ok(after(&history));
            }
        }
        Err(Fault::Proof(format!("leaf {leaf_index} is no event of its identity")))
    }
}
