//! Record: the event, its serial number and the hash of its TBS become durable before anything is
//! signed.

use std::sync::Arc;

use tlog::map::Staged;
use tlog::{Edge, StoredHash};
use wire::event::Event;
use wire::leaf::{Leaf, LeafKind, blinded_id, commitment};
use wire::problem::Problem;
use wire::{Encoded, Hash32};

use super::ask::{store_unavailable, unclear};
use super::decide::Decision;
use super::publish::Publishing;
use super::sign::SignedGroup;
use super::{Caller, TreeHead, draft};
use crate::authority::{Authority, Fatal};
use crate::certificates::ToSign;
use crate::crl::Revocation;
use crate::heads::{Heads, HeadsError};
use crate::store::StoreError;
use crate::store::rows::{NewEvent, NoticeRows, RecordGroup};

/// The log as this authority, its only writer, last left it.
#[derive(Debug)]
pub(crate) struct Ledger {
    edge: Edge,
    /// A group of which the database could not tell whether it was kept.
    unclear: Option<Appended>,
}

/// What is different once a group is durable.
#[derive(Debug)]
struct Appended {
    edge: Edge,
    staged: Staged,
    revocations: Vec<Revocation>,
    /// Whether something is to happen at a later time.
    waits: bool,
    /// Whether somebody is to be told.
    tells: bool,
    /// Whether the installation is another.
    installation: bool,
}

impl Ledger {
    /// Reads the log's edge, which has to be the one that the start verified: what is signed next
    /// goes on from it.
    ///
    /// # Errors
    /// When the store cannot be read, its tree is not whole, or another one than it was.
    pub(crate) async fn open(authority: &Authority) -> Result<Self, Fatal> {
        let mut delays = authority.retry_delays();
        loop {
            match authority.store().edge().await {
                Ok(edge) if authority.tree_head().is_of(&edge) => {
                    return Ok(Self { edge, unclear: None });
                }
                Ok(edge) => {
                    let (expected, found) = (authority.tree_head().size(), edge.size());
                    return Err(StoreError::Moved { expected, found }.into());
                }
                Err(StoreError::Engine(error)) => {
                    tracing::warn!(%error, "the database is not back yet");
                    authority.pause(delays.next().unwrap_or_default()).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The log's size and root, durable.
    pub(crate) fn tree_head(&self) -> TreeHead {
        TreeHead::of_edge(&self.edge)
    }

    /// Whether it is known how the log is.
    pub(crate) fn is_clear(&self) -> bool {
        self.unclear.is_none()
    }

    /// Asks the database what became of the last group, if that is not known: afterwards it is, or
    /// the database still fails.
    ///
    /// # Errors
    /// When the log is neither as it was before the group nor as it would be after it, or when the
    /// group changed the installation: the authority opens that anew.
    pub(crate) async fn clear_up(&mut self, authority: &Authority) -> Result<bool, Fatal> {
        let Some(unclear) = self.unclear.take() else { return Ok(true) };
        let found = match authority.store().edge().await {
            Ok(found) => found,
            Err(StoreError::Engine(error)) => {
                tracing::warn!(%error, "the database is not back yet");
                self.unclear = Some(unclear);
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        if found == self.edge {
            return Ok(true);
        }
        if found != unclear.edge || unclear.installation {
            let (expected, found) = (self.edge.size(), found.size());
            return Err(StoreError::Moved { expected, found }.into());
        }
        self.grow(authority, unclear);
        // Nobody waits for it any more: it is finished from the record.
        authority.finish_later();
        Ok(true)
    }

    /// A group is durable.
    fn grow(&mut self, authority: &Authority, appended: Appended) {
        let Appended { edge, staged, revocations, waits, tells, .. } = appended;
        authority.heads().commit(staged, edge.size());
        authority.note_log_size(edge.size());
        authority.note_tree_head(TreeHead::of_edge(&edge));
        authority.revocations().grew(self.edge.size(), edge.size(), revocations.into_iter());
        self.edge = edge;
        if waits {
            authority.effects_changed();
        }
        if tells {
            authority.notices().written();
        }
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
    Certificate(Box<ToSign>),
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
    pub(crate) fn reopened(leaf_index: u64, leaf_hash: Hash32, tbs: ToSign) -> Self {
        let what = What::Certificate(Box::new(tbs));
        // CRLs that a crash kept from being made are made at the start.
        Self { leaf_index, leaf_hash, what, revokes: false, caller: None }
    }
}

/// Records what was decided and stores what was signed, in one transaction. Who cannot be recorded
/// is answered here, and so is everybody whose certificate is stored.
///
/// # Errors
/// [`Fatal`] when another authority writes, or the log is not what it was.
pub(crate) async fn record(
    authority: &Arc<Authority>,
    ledger: &mut Ledger,
    decisions: Vec<Decision>,
    signed: Vec<SignedGroup>,
) -> Result<Vec<Recorded>, Fatal> {
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
    ledger.append(authority, drafts, &changes, signed).await
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

    /// Makes the drafts durable, with the map as these changes leave it, and stores what was signed.
    /// What is returned goes on; where nothing is, everybody was answered.
    ///
    /// # Errors
    /// [`Fatal`] when another authority writes, or the log is not what it was.
    pub(super) async fn append(
        &mut self,
        authority: &Arc<Authority>,
        drafts: Drafts,
        changes: &[(Hash32, Hash32)],
        signed: Vec<SignedGroup>,
    ) -> Result<Vec<Recorded>, Fatal> {
        let publishing = Publishing::of(signed);
        let Some((group, staged, edge, recorded)) = seal(authority, drafts, changes).await? else {
            if !publishing.is_empty() {
                publishing.store(authority).await;
            }
            return Ok(Vec::new());
        };
        let appended = Appended {
            edge,
            staged,
            revocations: revocations(&group).collect(),
            waits: group
                .events
                .iter()
                .any(|new| new.identity.as_ref().is_none_or(|row| row.due_ms.is_some())),
            tells: !group.notices.outbox.is_empty(),
            installation: group.events.iter().any(|new| new.identity.is_none()),
        };
        let store = authority.store();
        let outcome = if publishing.is_empty() {
            store.record(&group).await.map(|()| Vec::new())
        } else {
            store.publish_and_record(&publishing.publication, &group).await
        };
        match outcome {
            Ok(stored) => {
                self.grow(authority, appended);
                if !publishing.is_empty() {
                    publishing.answer(authority, Ok(stored));
                }
                if let Err(error) = authority.heads().flush(store, false).await {
                    tracing::warn!(%error, "the map is flushed later");
                }
                Ok(recorded)
            }
            Err(error) if error.is_fatal() => Err(error.into()),
            Err(error) => {
                tracing::error!(%error, "cannot record a group of {}", group.events.len());
                if !publishing.is_empty() {
                    // Those who were recorded before do not depend on this group.
                    publishing.store(authority).await;
                }
                refuse_all(recorded, &unclear());
                // The transaction may have been kept though the answer was lost: the log tells.
                self.unclear = Some(appended);
                self.clear_up(authority).await?;
                Ok(Vec::new())
            }
        }
    }
}

/// Drafts with the last leaf of their group; nothing when there are none, or when the map cannot be
/// read, of which everybody is told.
async fn seal(
    authority: &Authority,
    drafts: Drafts,
    changes: &[(Hash32, Hash32)],
) -> Result<Option<(RecordGroup, Staged, Edge, Vec<Recorded>)>, Fatal> {
    let Drafts { mut edge, expected_size, mut hashes, events, recorded } = drafts;
    if events.is_empty() {
        return Ok(None);
    }
    let staged = match stage(authority, changes).await {
        Ok(staged) => staged,
        Err(HeadsError::Store(StoreError::Engine(error))) => {
            tracing::error!(%error, "cannot read the map for a group of {}", events.len());
            refuse_all(recorded, &store_unavailable());
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let map_root = root_leaf(staged.root());
    hashes.extend(edge.append(map_root.leaf_hash()).stored);
    let notices = notices(authority, &events);
    let group = RecordGroup { expected_size, events, map_root, hashes, secret: None, notices };
    Ok(Some((group, staged, edge, recorded)))
}

/// Answers everybody of a group that is not recorded.
fn refuse_all(recorded: Vec<Recorded>, problem: &Problem) {
    for caller in recorded.into_iter().filter_map(|entry| entry.caller) {
        caller.reply.send(Err(problem.clone()));
    }
}

/// The map with these changes.
async fn stage(authority: &Authority, changes: &[(Hash32, Hash32)]) -> Result<Staged, HeadsError> {
    let keys: Vec<Hash32> = changes.iter().map(|(key, _)| *key).collect();
    authority.heads().with(authority.store(), &keys, |map, _| map.stage(changes)).await
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
