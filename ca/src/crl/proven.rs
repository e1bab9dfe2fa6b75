//! Revocations as the log proves them. Rows of certificates are not asked.
//!
//! What this authority records it knows; what was recorded before it started is read from the
//! events again, whose leaves must lead to the log's root.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tlog::Edge;
use wire::body::{Ended, Phase};
use wire::event::{Certified, Event, EventKind, RevocationReason};
use wire::leaf::LeafKind;
use wire::{Encoded, Hash32, SerialNumber, UserId};

use crate::heads::Heads;
use crate::store::rows::EventRow;
use crate::store::{Store, StoreError};
use crate::walk::{TreeHead, leaf_of};

/// Leaves read at once.
const BATCH: u64 = 1024;

/// Why it is not known what is revoked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProofError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("leaf {0} does not commit to an event of the database")]
    Leaf(u64),
    #[error("the leaves from {from} to {size} do not lead to the log's root")]
    Root { from: u64, size: u64 },
    #[error("the log has {log} leaves; a CRL covers {crl}")]
    Shrunk { crl: u64, log: u64 },
    #[error("leaf {0} revokes a certificate that the identity's history does not have")]
    History(u64),
}

/// One revoked certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) serial: SerialNumber,
    /// SHA-256 of the key (SubjectPublicKeyInfo) that signed it.
    pub(crate) issuer: Hash32,
    /// When it was revoked, milliseconds since 1970.
    pub(crate) at_ms: u64,
    pub(crate) reason: RevocationReason,
    /// Leaf of the event that revoked it.
    pub(crate) by: u64,
}

/// An event that revokes a key, in the log.
#[derive(Debug, Clone)]
pub(crate) struct Revocation {
    pub(crate) leaf_index: u64,
    pub(crate) leaf: Hash32,
    pub(crate) uid: UserId,
}

/// Every revocation that the log has from one leaf up to another.
#[derive(Debug)]
pub(crate) struct Revocations(Mutex<Known>);

#[derive(Debug)]
struct Known {
    from: u64,
    to: u64,
    revocations: Vec<(Revocation, Option<Vec<Entry>>)>,
}

impl Revocations {
    /// Nothing is known of the leaves before `size`.
    pub(crate) fn since(size: u64) -> Self {
        Self(Mutex::new(Known { from: size, to: size, revocations: Vec::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This authority appended leaves, with these revocations among them.
    pub(crate) fn grew(&self, from: u64, to: u64, new: impl Iterator<Item = Revocation>) {
        let mut known = self.lock();
        if to <= known.to {
            return;
        }
        if from != known.to {
            // Something was appended whose answer was lost: it is read from the log.
            *known = Known { from: to, to, revocations: Vec::new() };
            return;
        }
        known.to = to;
        known.revocations.extend(new.map(|revocation| (revocation, None)));
    }

    /// The certificates that are revoked from a leaf on, and up to which leaf that is all of them.
    pub(crate) async fn from(
        &self,
        store: &dyn Store,
        heads: &Heads,
        from: u64,
        head: impl Fn() -> TreeHead,
    ) -> Result<(u64, Vec<Entry>), ProofError> {
        loop {
            let to = self.reach(store, heads, from, &head).await?;
            // Whatever made them be forgotten meanwhile: they are read again.
            if let Some(entries) = self.entries(store, heads, from, to).await? {
                return Ok((to, entries));
            }
        }
    }

    /// Makes sure that all revocations from a leaf on are known; returns up to which.
    async fn reach(
        &self,
        store: &dyn Store,
        heads: &Heads,
        from: u64,
        head: impl Fn() -> TreeHead,
    ) -> Result<u64, ProofError> {
        loop {
            {
                let known = self.lock();
                if known.from <= from {
                    return Ok(known.to);
                }
            }
            let head = head();
            let found = scan(store, heads, from, head).await?;
            let mut known = self.lock();
            if known.from <= head.size() && head.size() <= known.to {
                let later = std::mem::take(&mut known.revocations);
                let later = later.into_iter().filter(|(r, _)| r.leaf_index >= head.size());
                known.revocations = found.into_iter().map(|r| (r, None)).chain(later).collect();
                known.from = from;
                return Ok(known.to);
            }
            if known.to < head.size() {
                // Appended, and not told of yet.
                let revocations = found.into_iter().map(|r| (r, None)).collect();
                *known = Known { from, to: head.size(), revocations };
                return Ok(known.to);
            }
        }
    }

    /// Forgets what every CRL has already.
    pub(crate) fn forget_before(&self, from: u64) {
        let mut known = self.lock();
        if from > known.from {
            known.from = from.min(known.to);
            let from = known.from;
            known.revocations.retain(|(revocation, _)| revocation.leaf_index >= from);
        }
    }

    /// The certificates that the known revocations are about, if those from one leaf up to another
    /// are still known.
    async fn entries(
        &self,
        store: &dyn Store,
        heads: &Heads,
        from: u64,
        to: u64,
    ) -> Result<Option<Vec<Entry>>, ProofError> {
        let open: Vec<Revocation> = {
            let known = self.lock();
            let open = known.revocations.iter().filter(|(_, entries)| entries.is_none());
            open.map(|(revocation, _)| revocation.clone()).collect()
        };
        for revocation in open {
            let entries = about(store, heads, &revocation).await?;
            let mut known = self.lock();
            let index = revocation.leaf_index;
            if let Some(slot) = known.revocations.iter_mut().find(|(r, _)| r.leaf_index == index) {
                slot.1 = Some(entries);
            }
        }
        let known = self.lock();
        let whole = known.from <= from
            && to <= known.to
            && known.revocations.iter().all(|(r, about)| r.leaf_index >= to || about.is_some());
        let entries = known.revocations.iter().filter_map(|(_, about)| about.as_ref());
        let entries = entries.flatten().filter(|entry| entry.by < to);
        Ok(whole.then(|| entries.copied().collect()))
    }
}

/// Reads the revocations from the log's events. The rows count because their leaves lead to the
/// root of `head`.
async fn scan(
    store: &dyn Store,
    heads: &Heads,
    from: u64,
    head: TreeHead,
) -> Result<Vec<Revocation>, ProofError> {
    let size = head.size();
    if from > size {
        return Err(ProofError::Shrunk { crl: from, log: size });
    }
    let root = ProofError::Root { from, size };
    let stored = store.stored_hashes(&Edge::indexes(from)).await?;
    let Ok(mut edge) = Edge::load(from, &stored) else { return Err(root) };
    let mut found = Vec::new();
    while edge.size() < size {
        let at = edge.size();
        let rows = store.entries(at, size.min(at + BATCH), false).await?;
        if rows.is_empty() {
            return Err(ProofError::Leaf(at));
        }
        for row in rows {
            let (index, leaf) = (row.leaf_index, row.leaf.leaf_hash());
            if edge.append(leaf).leaf_index != index {
                return Err(ProofError::Leaf(edge.size() - 1));
            }
            let event = match (row.leaf.kind, row.event) {
                (LeafKind::MapRoot, None) => continue,
                (LeafKind::Event, Some(event)) => event,
                _ => return Err(ProofError::Leaf(index)),
            };
            let blinding_key = event.subject.as_ref().map(|uid| heads.blinding_key(uid));
            if leaf_of(&event, &blinding_key.unwrap_or([0; 32]), &row.salt) != row.leaf {
                return Err(ProofError::Leaf(index));
            }
            if let (true, Some(uid)) = (may_take_a_key(event.kind), event.subject) {
                found.push(Revocation { leaf_index: index, leaf, uid });
            }
        }
    }
    if head.is_of(&edge) { Ok(found) } else { Err(root) }
}

/// The certificates over the key that an event revokes. The event's leaf is in the log, and each
/// event names the leaf of the one before it.
async fn about(
    store: &dyn Store,
    heads: &Heads,
    revocation: &Revocation,
) -> Result<Vec<Entry>, ProofError> {
    let Revocation { leaf_index, leaf, uid } = revocation;
    let events = store.events_of(uid).await?;
    let blinding_key = heads.blinding_key(uid);
    let mut previous = None;
    let mut history = Vec::new();
    for row in &events {
        let EventRow { leaf_index: index, leaf: row_leaf, salt, event, .. } = row;
        let follows = event.previous == previous
            && event.sequence == history.len() as u64
            && leaf_of(event, &blinding_key, salt) == *row_leaf;
        if !follows {
            return Err(ProofError::Leaf(*index));
        }
        previous = Some(row_leaf.leaf_hash());
        history.push(event);
        if index == leaf_index {
            break;
        }
    }
    let missing = || ProofError::History(*leaf_index);
    let event = history.pop().filter(|_| previous == Some(*leaf)).ok_or_else(missing)?;
    let before = history.iter().fold(None, |key, event| key_after(event, key));
    let Some((key, reason)) = policy::key_taken(event, before, key_after(event, before)) else {
        // It took no key: one that was only announced, or the key was revoked before.
        return Ok(Vec::new());
    };
    let over_key = history.iter().filter_map(certified).filter(|body| body.spki == key);
    over_key
        .map(|body| {
            let serial = SerialNumber::from_slice(body.serial.as_bytes()).ok_or_else(missing)?;
            let (issuer, at_ms) = (body.issuer, event.time_ms);
            Ok(Entry { serial, issuer, at_ms, reason, by: *leaf_index })
        })
        .collect()
}

/// Whether an event of this kind may take a key from its identity.
fn may_take_a_key(kind: EventKind) -> bool {
    use EventKind as K;
    matches!(kind, K::Revoke | K::Rekey | K::Recover | K::SwitchComplete | K::Void | K::Retire)
}

/// The identity's key after an event, given the one before it (SHA-256 of the
/// SubjectPublicKeyInfo).
fn key_after(event: &Event, before: Option<Hash32>) -> Option<Hash32> {
    let ends = || Ended::from_canonical(event.body.as_bytes()).map(|body| body.phase);
    match event.kind {
        EventKind::Revoke | EventKind::Void => None,
        EventKind::Retire if ends() == Ok(Phase::Effective) => None,
        kind if kind.certifies() => certified(&event).map(|body| body.spki),
        _ => before,
    }
}

fn certified(event: &&Event) -> Option<Certified> {
    Certified::from_canonical(event.body.as_bytes()).ok()
}

/// notAfter of a certificate, by the event behind it, whose leaf is in the log.
pub(crate) async fn not_after(
    store: &dyn Store,
    heads: &Heads,
    serial: &SerialNumber,
    head: TreeHead,
) -> Result<u64, ProofError> {
    let index = serial.leaf_index();
    let missing = || ProofError::Leaf(index);
    let row = store.entries(index, index + 1, false).await?.pop().ok_or_else(missing)?;
    let event = row.event.ok_or_else(missing)?;
    let uid = event.subject.as_ref().ok_or_else(missing)?;
    let places = tlog::proof::inclusion_indexes(head.size(), index);
    let stored = store.stored_hashes(&places).await?;
    let hashes = stored.into_iter().map(|stored| (stored.index, stored.hash)).collect();
    let proven = leaf_of(&event, &heads.blinding_key(uid), &row.salt) == row.leaf
        && head.holds(index, row.leaf.leaf_hash(), &hashes);
    let body =
        certified(&&event).filter(|body| proven && body.serial.as_bytes() == serial.as_bytes());
    body.map(|body| body.not_after).ok_or_else(missing)
}
