//! Record: the event, its serial number and the hash of its TBS become durable before anything is
//! signed.

use tlog::map::Staged;
use tlog::{Edge, StoredHash};
use wire::event::Event;
use wire::leaf::{Leaf, LeafKind, blinded_id, commitment};
use wire::{Encoded, Hash32};

use super::ask::store_unavailable;
use super::decide::Decision;
use super::{Caller, TreeHead, draft};
use crate::authority::{Authority, Fatal};
use crate::crl::Revocation;
use crate::heads::Heads;
use crate::store::StoreError;
use crate::store::rows::{NewEvent, NoticeRows, RecordGroup};

/// The log as this authority, its only writer, last left it.
#[derive(Debug)]
pub(crate) struct Ledger {
    edge: Edge,
}

impl Ledger {
    /// Reads the log's edge.
    ///
    /// # Errors
    /// When the store cannot be read or its tree is not whole.
    pub(crate) async fn open(authority: &Authority) -> Result<Self, Fatal> {
        let mut ledger = Self { edge: Edge::empty() };
        ledger.reload(authority).await?;
        authority.note_tree_head(ledger.tree_head());
        Ok(ledger)
    }

    /// The log's size and root, durable.
    pub(crate) fn tree_head(&self) -> TreeHead {
        TreeHead::of_edge(&self.edge)
    }
}

/// A request whose event is durable.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(super) leaf_index: u64,
    pub(super) leaf_hash: Hash32,
    pub(super) what: What,
    /// Whether it takes a key from its identity.
    pub(super) revokes: bool,
    pub(super) caller: Option<Caller>,
}

/// What follows from a recorded event.
#[derive(Debug)]
pub(crate) enum What {
    /// A certificate is signed over exactly this TBS.
    Certificate(Box<x509::Linted>),
    /// Nothing is signed; the answer is about the certificate that follows from this leaf.
    Revocation { about: u64 },
    /// Nothing is signed.
    Nothing,
}

impl Recorded {
    /// Index and hash of its leaf.
    pub(crate) fn leaf(&self) -> (u64, Hash32) {
        (self.leaf_index, self.leaf_hash)
    }

    /// Takes up again what an event in the log calls for, after the whole of it was decided and
    /// built anew (`reopen.rs`).
    pub(crate) fn reopened(leaf_index: u64, leaf_hash: Hash32, tbs: x509::Linted) -> Self {
        let what = What::Certificate(Box::new(tbs));
        // CRLs that a crash kept from being made are made at the start.
        Self { leaf_index, leaf_hash, what, revokes: false, caller: None }
    }
}

/// Records a group in one transaction. Who cannot be recorded is answered here.
///
/// # Errors
/// [`Fatal`] when another authority writes, or the log is not what it was.
pub(crate) async fn record(
    authority: &Authority,
    ledger: &mut Ledger,
    decisions: Vec<Decision>,
) -> Result<Vec<Recorded>, Fatal> {
    if decisions.is_empty() {
        return Ok(Vec::new());
    }
    let mut drafts = ledger.drafts();
    for decision in decisions {
        match draft::draft(authority, drafts.next_index(), decision) {
            Ok((new, entry)) => drafts.push(new, entry),
            Err(failed) => {
                let (reply, problem) = *failed;
                reply.send(Err(problem));
            }
        }
    }
    let changes = changes(authority.heads(), &drafts.events);
    ledger.append(authority, drafts, &changes).await
}

/// What the events of identities change in the map.
fn changes(heads: &Heads, events: &[NewEvent]) -> Vec<(Hash32, Hash32)> {
    let mut changes = Vec::with_capacity(2 * events.len());
    for new in events {
        let Some(row) = &new.identity else { continue };
        let at = new.leaf.blinded_id;
        changes.push((at, row.identity.proven_head().hash()));
        changes.extend(new.new_key.as_ref().map(|key| (heads.of_key(key.hash), at)));
    }
    changes
}

/// Events on the log's edge that are not durable yet.
#[derive(Debug)]
pub(super) struct Drafts {
    edge: Edge,
    expected_size: u64,
    hashes: Vec<StoredHash>,
    events: Vec<NewEvent>,
    recorded: Vec<Recorded>,
}

impl Drafts {
    /// The index that the next event's leaf will have.
    pub(super) fn next_index(&self) -> u64 {
        self.edge.size()
    }

    /// Adds an event whose leaf has that index.
    pub(super) fn push(&mut self, new: NewEvent, entry: Recorded) {
        self.hashes.extend(self.edge.append(new.leaf.leaf_hash()).stored);
        self.events.push(new);
        self.recorded.push(entry);
    }
}

/// What people are told of these events.
fn notices(authority: &Authority, events: &[NewEvent]) -> NoticeRows {
    let installation = authority.installation();
    let wait = installation.rules().wait;
    authority.notices().rows(installation.realm().as_str(), wait, events)
}

fn revocations(group: &RecordGroup) -> impl Iterator<Item = Revocation> {
    group.events.iter().filter(|new| new.revocation.is_some()).filter_map(|new| {
        let (leaf_index, leaf) = (new.leaf_index, new.leaf.leaf_hash());
        Some(Revocation { leaf_index, leaf, uid: new.event.subject.clone()? })
    })
}

impl Ledger {
    /// Nothing yet, on the edge of the log.
    pub(super) fn drafts(&self) -> Drafts {
        Drafts {
            edge: self.edge.clone(),
            expected_size: self.edge.size(),
            hashes: Vec::new(),
            events: Vec::new(),
            recorded: Vec::new(),
        }
    }

    /// Makes the drafts durable, with the map as these changes leave it. What is returned goes on;
    /// where nothing is, everybody was answered.
    ///
    /// # Errors
    /// [`Fatal`] when another authority writes, or the log is not what it was.
    pub(super) async fn append(
        &mut self,
        authority: &Authority,
        drafts: Drafts,
        changes: &[(Hash32, Hash32)],
    ) -> Result<Vec<Recorded>, Fatal> {
        let Drafts { mut edge, expected_size, mut hashes, events, recorded } = drafts;
        if events.is_empty() {
            return Ok(recorded);
        }
        let staged = stage(authority, changes).await?;
        let map_root = root_leaf(staged.root());
        hashes.extend(edge.append(map_root.leaf_hash()).stored);
        let notices = notices(authority, &events);
        let group = RecordGroup { expected_size, events, map_root, hashes, secret: None, notices };
        match authority.store().record(&group).await {
            Ok(()) => {
                authority.heads().commit(staged, edge.size());
                authority.note_log_size(edge.size());
                authority.note_tree_head(TreeHead::of_edge(&edge));
                authority.revocations().grew(expected_size, edge.size(), revocations(&group));
                self.edge = edge;
                let waits =
                    |new: &NewEvent| new.identity.as_ref().is_none_or(|row| row.due_ms.is_some());
                if group.events.iter().any(waits) {
                    authority.effects_changed();
                }
                if !group.notices.outbox.is_empty() {
                    authority.notices().written();
                }
                if let Err(error) = authority.heads().flush(authority.store(), false).await {
                    tracing::warn!(%error, "the map is flushed later");
                }
                Ok(recorded)
            }
            Err(error @ (StoreError::Moved { .. } | StoreError::Corrupt { .. })) => {
                Err(error.into())
            }
            Err(error) => {
                tracing::error!(%error, "cannot record a group of {}", group.events.len());
                for caller in recorded.into_iter().filter_map(|entry| entry.caller) {
                    caller.reply.send(Err(store_unavailable()));
                }
                // The transaction may have been kept though the answer was lost: the log tells.
                self.reload(authority).await?;
                authority.catch_up().await?;
                // What was kept follows from its evidence, so it is the log now.
                authority.note_tree_head(self.tree_head());
                authority.finish_later();
                Ok(Vec::new())
            }
        }
    }

    async fn reload(&mut self, authority: &Authority) -> Result<(), Fatal> {
        let mut delays = authority.retry_delays();
        loop {
            match authority.store().edge().await {
                Ok(edge) => {
                    self.edge = edge;
                    return Ok(());
                }
                Err(StoreError::Engine(error)) => {
                    tracing::warn!(%error, "the database is not back yet");
                    authority.pause(delays.next().unwrap_or_default()).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The map with these changes.
async fn stage(authority: &Authority, changes: &[(Hash32, Hash32)]) -> Result<Staged, Fatal> {
    let keys: Vec<Hash32> = changes.iter().map(|(key, _)| *key).collect();
    Ok(authority.heads().with(authority.store(), &keys, |map, _| map.stage(changes)).await?)
}

/// The last leaf of a checkpoint.
pub(crate) fn root_leaf(root: Hash32) -> Leaf {
    let kind = LeafKind::MapRoot;
    let blinded_id = Hash32::from_bytes([0; 32]);
    Leaf { version: 1, engine: policy::ENGINE, kind, blinded_id, commitment: root }
}

/// The leaf of an event (DESIGN section 6): blinded id and salted commitment.
pub(crate) fn leaf_of(event: &Event, blinding_key: &[u8; 32], salt: &[u8; 32]) -> Leaf {
    let blinded = event.subject.as_ref().map(|uid| blinded_id(blinding_key, uid));
    Leaf {
        version: 1,
        engine: event.engine,
        kind: LeafKind::Event,
        blinded_id: blinded.unwrap_or(Hash32::from_bytes([0; 32])),
        commitment: commitment(salt, &event.to_canonical()),
    }
}
