//! The whole log, verified from its first leaf, and written out for others to verify.

use policy::Installation;
use serde::Serialize;
use tlog::Edge;
use tlog::note::{LogKey, SignedCheckpoint};
use tlog::proof;
use wire::bundle::{Blob, BundleEvent, ExportEvent, ExportHeader, ExportLeaf};
use wire::event::Certified;
use wire::genesis::KeyPurpose;
use wire::{Encoded, Hash32, UserId};

use crate::catch_up::{CatchUpError, catch_up};
use crate::heads::Heads;
use crate::store::rows::EventRow;
use crate::store::{Store, StoreError};
use crate::walk::leaf_of;

/// Leaves read at once.
const BATCH: u64 = 4096;

/// Why a log is not what it must be. The first fault is named.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no installation.
    #[error("the database holds no installation")]
    Empty,
    /// Leaf 0 is not the genesis event's.
    #[error("leaf 0: {0}")]
    Genesis(String),
    /// A leaf, an event, or a map root.
    #[error(transparent)]
    Replay(#[from] CatchUpError),
    /// The stored hashes are not those of the leaves.
    #[error("leaf {index}: the stored hashes are not those of the leaves")]
    Hashes {
        /// The leaf's index.
        index: u64,
    },
    /// A checkpoint that was not signed, or not over this log.
    #[error("the checkpoint of size {size}: {reason}")]
    Checkpoint {
        /// Its size.
        size: u64,
        /// What is wrong.
        reason: String,
    },
    /// A certificate that no event calls for.
    #[error("the certificate of leaf {index} is not the one that its event calls for")]
    Certificate {
        /// The leaf's index.
        index: u64,
    },
    /// Writing out failed.
    #[error("cannot write: {0}")]
    Io(#[from] std::io::Error),
}

/// What was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Leaves.
    pub leaves: u64,
    /// Events of identities, each decided again from its evidence.
    pub events: u64,
    /// Identities.
    pub identities: u64,
    /// Certificates, each the one that its event calls for.
    pub certificates: u64,
    /// Size of the latest signed checkpoint.
    pub checkpoint: u64,
    /// The log's root.
    pub root: Hash32,
}

/// Verifies the whole log: every leaf's commitment and place, every decision replayed, every map
/// root, the latest checkpoint's signature, every certificate. Reads only.
///
/// # Errors
/// The first fault.
pub async fn verify(store: &dyn Store) -> Result<Verified, AuditError> {
    let installation = installation(store).await?;
    let secret = store.secret().await?.unwrap_or_default();
    let heads = Heads::in_memory(secret);
    let rules = crate::certificates::key_rules(installation.rules());
    catch_up(store, &heads, &installation, &rules).await?;
    let mut edge = Edge::empty();
    let mut verified = Verified {
        leaves: 0,
        events: 0,
        identities: 0,
        certificates: 0,
        checkpoint: 0,
        root: edge.root(),
    };
    let checkpoint = latest(store, &installation).await?;
    let end = heads.size();
    while edge.size() < end {
        let from = edge.size();
        for row in store.leaves(from, end.min(from + BATCH)).await? {
            let index = row.leaf_index;
            let appended = edge.append(row.leaf.leaf_hash());
            let places: Vec<u64> = appended.stored.iter().map(|stored| stored.index).collect();
            let mut stored = store.stored_hashes(&places).await?;
            stored.sort_unstable_by_key(|stored| stored.index);
            if appended.leaf_index != index || stored != appended.stored {
                return Err(AuditError::Hashes { index });
            }
            if let Some((size, root)) = checkpoint
                && size == edge.size()
                && root != edge.root()
            {
                let reason = format!("it has root {root}, the leaves give {}", edge.root());
                return Err(AuditError::Checkpoint { size, reason });
            }
            if let Some(uid) = &row.uid {
                verified.events += 1;
                let (first, certified) = certificate(store, uid, index).await?;
                verified.identities += u64::from(first);
                verified.certificates += u64::from(certified);
            }
        }
        if edge.size() == from {
            return Err(AuditError::Hashes { index: from });
        }
    }
    verified.leaves = edge.size();
    verified.root = edge.root();
    verified.checkpoint = checkpoint.map_or(0, |(size, _)| size);
    Ok(verified)
}

async fn installation(store: &dyn Store) -> Result<Installation, AuditError> {
    let row = store.genesis().await?.ok_or(AuditError::Empty)?;
    if leaf_of(&row.event, &[0; 32], &row.salt) != row.leaf {
        return Err(AuditError::Genesis("it does not commit to the genesis event".to_owned()));
    }
    Installation::from_genesis(&row.event).map_err(|error| AuditError::Genesis(error.to_string()))
}

/// The log's verifier key, by the genesis event.
fn log_key(installation: &Installation) -> Result<LogKey, AuditError> {
    let missing = || AuditError::Genesis("it names no log key".to_owned());
    let key = installation.keys(KeyPurpose::Log).next().ok_or_else(missing)?;
    LogKey::from_spki(installation.origin(), key.spki.as_bytes())
        .map_err(|error| AuditError::Genesis(error.to_string()))
}

/// Size and root of the latest checkpoint, its signature verified.
async fn latest(
    store: &dyn Store,
    installation: &Installation,
) -> Result<Option<(u64, Hash32)>, AuditError> {
    let key = log_key(installation)?;
    let Some(row) = store.checkpoint(None).await? else { return Ok(None) };
    let signed = SignedCheckpoint::open(&row.note, &key)
        .map_err(|error| AuditError::Checkpoint { size: row.size, reason: error.to_string() })?;
    Ok(Some((signed.checkpoint().size(), signed.checkpoint().root())))
}

/// Whether an event is its identity's first, and whether its certificate is there; that one must be
/// the one that the event calls for.
async fn certificate(
    store: &dyn Store,
    uid: &UserId,
    index: u64,
) -> Result<(bool, bool), AuditError> {
    let events = store.events_of(uid).await?;
    let Some(row) = events.iter().find(|row| row.leaf_index == index) else {
        return Err(CatchUpError::Leaf { index }.into());
    };
    let first = row.event.sequence == 0;
    let Ok(body) = Certified::from_canonical(row.event.body.as_bytes()) else {
        return Ok((first, false));
    };
    let stored = store.certificate(index).await?.and_then(|row| row.certificate);
    let Some(der) = stored else { return Ok((first, false)) };
    let fits = x509::Certificate::parse(&der)
        .is_ok_and(|certificate| Hash32::of(certificate.tbs_der()) == body.tbs);
    if fits { Ok((first, true)) } else { Err(AuditError::Certificate { index }) }
}

/// Writes out every leaf that the latest signed checkpoint covers, as JSON Lines: a header, then a
/// line for each leaf, events with their evidence and inclusion proofs.
///
/// # Errors
/// When the store or the writer fails, or there is no checkpoint.
pub async fn export(
    store: &dyn Store,
    out: &mut (dyn std::io::Write + Send),
) -> Result<u64, AuditError> {
    let genesis = store.genesis().await?.ok_or(AuditError::Empty)?;
    let missing = || AuditError::Checkpoint { size: 0, reason: "none is signed yet".to_owned() };
    let checkpoint = store.checkpoint(None).await?.ok_or_else(missing)?;
    let heads = Heads::in_memory(store.secret().await?.unwrap_or_default());
    line(
        out,
        &ExportHeader {
            avouch_export: 1,
            genesis: Blob(genesis.event.to_canonical()),
            genesis_salt: Blob(genesis.salt.to_vec()),
            checkpoint: checkpoint.note,
        },
    )?;
    let size = checkpoint.size;
    let mut at = 0;
    while at < size {
        let rows = store.leaves(at, size.min(at + BATCH)).await?;
        for row in &rows {
            let event = match &row.uid {
                None => None,
                Some(uid) => {
                    let events = store.events_of(uid).await?;
                    let index = row.leaf_index;
                    let found = events.iter().find(|event| event.leaf_index == index);
                    let found = found.ok_or(CatchUpError::Leaf { index })?;
                    Some(ExportEvent {
                        uid: uid.clone(),
                        blinding_key: Blob(heads.blinding_key(uid).to_vec()),
                        key_place: new_key(&events, found).map(|key| heads.of_key(key)),
                        entry: entry(store, found, size).await?,
                    })
                }
            };
            let leaf = Blob(row.leaf.to_canonical());
            line(out, &ExportLeaf { leaf_index: row.leaf_index, leaf, event })?;
        }
        if rows.is_empty() {
            return Err(AuditError::Hashes { index: at });
        }
        at += rows.len() as u64;
    }
    out.flush()?;
    Ok(size)
}

/// The key that an event certifies, if no event of the identity before it did.
fn new_key(events: &[EventRow], row: &EventRow) -> Option<Hash32> {
    let key_of = |row: &EventRow| {
        Certified::from_canonical(row.event.body.as_bytes()).ok().map(|body| body.spki)
    };
    let key = key_of(row)?;
    let mut before = events.iter().filter(|other| other.event.sequence < row.event.sequence);
    (!before.any(|other| key_of(other) == Some(key))).then_some(key)
}

async fn entry(store: &dyn Store, row: &EventRow, size: u64) -> Result<BundleEvent, AuditError> {
    let index = row.leaf_index;
    let stored = store.stored_hashes(&proof::inclusion_indexes(size, index)).await?;
    let hashes: std::collections::HashMap<u64, Hash32> =
        stored.into_iter().map(|stored| (stored.index, stored.hash)).collect();
    let proof = proof::inclusion(size, index, &hashes).map_err(|_| AuditError::Hashes { index })?;
    Ok(BundleEvent {
        leaf_index: index,
        leaf: Blob(row.leaf.to_canonical()),
        salt: Blob(row.salt.to_vec()),
        event: Blob(row.event.to_canonical()),
        evidence: row.evidence.iter().map(|(_, data)| Blob(data.clone())).collect(),
        proof,
    })
}

fn line(
    out: &mut (dyn std::io::Write + Send),
    value: &impl Serialize,
) -> Result<(), std::io::Error> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    out.write_all(&text)
}
