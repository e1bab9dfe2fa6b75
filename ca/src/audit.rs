//! The whole log, verified from its first leaf, and written out for others to verify.

use std::collections::HashMap;

use policy::Installation;
use serde::Serialize;
use tlog::Edge;
use tlog::note::{LogKey, SignedCheckpoint};
use tlog::proof;
use tlog::quorum::Quorum;
use wire::bundle::{Blob, ExportEvent, ExportHeader, ExportLeaf};
use wire::event::{Certified, Event, RevocationReason};
use wire::genesis::KeyPurpose;
use wire::{Encoded, Hash32};

use crate::catch_up::{CatchUpError, catch_up, timeline};
use crate::cosign::{KeptError, newest};
use crate::crl::{ProofError, Revocations};
use crate::heads::Heads;
use crate::store::rows::CheckpointRow;
use crate::store::{Store, StoreError};
use crate::walk::{TreeHead, leaf_of};

/// Leaves read at once.
const BATCH: u64 = 4096;

/// Leaves read at once with their evidence.
const EXPORT_BATCH: u64 = 512;

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
    /// A certificate whose row says something else of its revocation than the log.
    #[error(
        "the row of the certificate of leaf {index} does not say of revocation what the log says"
    )]
    Revocation {
        /// The leaf's index.
        index: u64,
    },
    /// The log's revocations cannot be read.
    #[error("revocations: {0}")]
    Revoked(String),
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
    /// Size of the latest checkpoint that the installation's quorum co-signed, and as of when it
    /// vouches, seconds since 1970; none where nobody co-signs, or nothing was co-signed yet.
    pub vouched: Option<(u64, u64)>,
    /// The log's root.
    pub root: Hash32,
}

/// Verifies the whole log: every leaf's commitment and place, every decision replayed, every
/// certificate's TBS built again, every map root, the latest checkpoint's signature, the quorum's
/// co-signatures of the latest one that has them, every
/// certificate's row. Reads only.
///
/// # Errors
/// The first fault.
pub async fn verify(store: &dyn Store) -> Result<Verified, AuditError> {
    let installation = installation(store).await?;
    let secret = store.secret().await?.unwrap_or_default();
    let heads = Heads::in_memory(secret);
    // Before the log itself: that only grows, so it has what a checkpoint of now covers.
    let checkpoint = latest(store, &installation).await?;
    let timeline = timeline(store, installation.clone()).await?;
    let vouched = vouched(store, timeline.current().installation()).await?;
    catch_up(store, &heads, &timeline).await?;
    let revoked = revoked(store, &heads).await?;
    let mut edge = Edge::empty();
    let mut verified = Verified {
        leaves: 0,
        events: 0,
        identities: 0,
        certificates: 0,
        checkpoint: checkpoint.map_or(0, |(size, _)| size),
        vouched: vouched.map(|(size, _, as_of)| (size, as_of)),
        root: edge.root(),
    };
    let signed: Vec<(u64, Hash32)> =
        checkpoint.into_iter().chain(vouched.map(|(size, root, _)| (size, root))).collect();
    let end = heads.size();
    while edge.size() < end {
        let from = edge.size();
        let rows = store.entries(from, end.min(from + BATCH), false).await?;
        let mut appended = Vec::new();
        for row in &rows {
            appended.extend(edge.append(row.leaf.leaf_hash()).stored);
            let other = |(size, root): &(u64, Hash32)| *size == edge.size() && *root != edge.root();
            if let Some((size, root)) = signed.iter().copied().find(other) {
                let reason = format!("it has root {root}, the leaves give {}", edge.root());
                return Err(AuditError::Checkpoint { size, reason });
            }
        }
        let places: Vec<u64> = appended.iter().map(|stored| stored.index).collect();
        let mut stored = store.stored_hashes(&places).await?;
        stored.sort_unstable_by_key(|stored| stored.index);
        if rows.is_empty() || stored != appended {
            return Err(AuditError::Hashes { index: from });
        }
        for (row, index) in rows.iter().zip(from..) {
            let Some(event) = row.event.as_ref().filter(|event| event.subject.is_some()) else {
                continue;
            };
            verified.events += 1;
            verified.identities += u64::from(event.sequence == 0);
            let issuer = timeline.at(index).issuance().ca(event.kind).issuer();
            let there = certificate(store, issuer, event, index, &revoked).await?;
            verified.certificates += u64::from(there);
        }
    }
    if let Some((size, _)) = signed.into_iter().find(|(size, _)| *size > edge.size()) {
        let reason = format!("it covers more than the {} leaves that there are", edge.size());
        return Err(AuditError::Checkpoint { size, reason });
    }
    verified.leaves = edge.size();
    verified.root = edge.root();
    Ok(verified)
}

/// When and why each revoked certificate was revoked, by its leaf and by the log.
async fn revoked(
    store: &dyn Store,
    heads: &Heads,
) -> Result<HashMap<u64, (u64, RevocationReason)>, AuditError> {
    let head = TreeHead::of_edge(&store.edge().await?);
    let revocations = Revocations::since(head.size());
    let told = |error: ProofError| match error {
        ProofError::Store(error) => AuditError::Store(error),
        error => AuditError::Revoked(error.to_string()),
    };
    let (_, entries) = revocations.from(store, heads, 0, || head).await.map_err(told)?;
    Ok(entries.iter().map(|e| (e.serial.leaf_index(), (e.at_ms, e.reason))).collect())
}

async fn installation(store: &dyn Store) -> Result<Installation, AuditError> {
    let row = store.genesis().await?.ok_or(AuditError::Empty)?;
    if leaf_of(&row.event, &[0; 32], &row.salt) != row.leaf {
        return Err(AuditError::Genesis("it does not commit to the genesis event".to_owned()));
    }
    Installation::from_genesis(&row.event)
        .map(|installation| installation.logged_at(row.leaf.leaf_hash()))
        .map_err(|error| AuditError::Genesis(error.to_string()))
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

/// Size and root of the latest checkpoint that the quorum co-signed, all signatures verified, and as
/// of when the quorum vouches for it.
async fn vouched(
    store: &dyn Store,
    installation: &Installation,
) -> Result<Option<(u64, Hash32, u64)>, AuditError> {
    let Some(vouched) = newest(store, installation).await.map_err(kept)? else { return Ok(None) };
    let size = vouched.row.size;
    let wrong = |reason: String| AuditError::Checkpoint { size, reason };
    let (quorum, _) = Quorum::of(installation.cosigners()).map_err(|e| wrong(e.to_string()))?;
    let signed = SignedCheckpoint::open(&vouched.note(), &log_key(installation)?)
        .map_err(|error| wrong(error.to_string()))?;
    let times = quorum.check(signed.note()).map_err(|error| wrong(error.to_string()))?;
    let checkpoint = signed.checkpoint();
    let as_of = quorum.as_of(&times).unwrap_or_default();
    Ok(Some((checkpoint.size(), checkpoint.root(), as_of)))
}

fn kept(error: KeptError) -> AuditError {
    match error {
        KeptError::Store(error) => error.into(),
        KeptError::Quorum(error) => AuditError::Genesis(error.to_string()),
    }
}

/// Whether a certificate is stored for an event; it must be the one that the event calls for, signed
/// by the issuer, and its row must say of revocation what the log says.
async fn certificate(
    store: &dyn Store,
    issuer: &x509::Issuer,
    event: &Event,
    index: u64,
    revoked: &HashMap<u64, (u64, RevocationReason)>,
) -> Result<bool, AuditError> {
    if !event.kind.certifies() {
        return Ok(false);
    }
    let wrong = || AuditError::Certificate { index };
    let body = Certified::from_canonical(event.body.as_bytes()).map_err(|_| wrong())?;
    let row = store.certificate(index).await?.ok_or_else(wrong)?;
    if row.revoked != revoked.get(&index).copied() {
        return Err(AuditError::Revocation { index });
    }
    let Some(der) = row.certificate else { return Ok(false) };
    let fits = x509::Certificate::parse(&der).is_ok_and(|certificate| {
        Hash32::of(certificate.tbs_der()) == body.tbs && certificate.is_signed_by(issuer)
    });
    if fits { Ok(true) } else { Err(wrong()) }
}

/// Writes out every leaf that the latest checkpoint covers which the quorum co-signed (or else the
/// log signed), as JSON Lines: a header, then a line for each leaf, events with their evidence and inclusion proofs. One pass, a batch of leaves
/// in memory at a time.
///
/// # Errors
/// When the store or the writer fails, or there is no checkpoint.
pub async fn export(
    store: &dyn Store,
    out: &mut (dyn std::io::Write + Send),
) -> Result<u64, AuditError> {
    let genesis = store.genesis().await?.ok_or(AuditError::Empty)?;
    let missing = || AuditError::Checkpoint { size: 0, reason: "none is signed yet".to_owned() };
    let timeline = timeline(store, installation(store).await?).await?;
    let vouched = newest(store, timeline.current().installation()).await.map_err(kept)?;
    let checkpoint = match vouched {
        Some(vouched) => CheckpointRow { size: vouched.row.size, note: vouched.note() },
        None => store.checkpoint(None).await?.ok_or_else(missing)?,
    };
    line(
        out,
        &ExportHeader {
            avouch_export: 1,
            genesis: Blob(genesis.event.to_canonical()),
            blinding_secret: Blob(store.secret().await?.unwrap_or_default().to_vec()),
            checkpoint: checkpoint.note,
        },
    )?;
    let size = checkpoint.size;
    let mut at = 0;
    while at < size {
        let rows = store.entries(at, size.min(at + EXPORT_BATCH), true).await?;
        let events = rows.iter().filter(|row| row.event.is_some());
        let mut places: Vec<u64> =
            events.flat_map(|row| proof::inclusion_indexes(size, row.leaf_index)).collect();
        places.sort_unstable();
        places.dedup();
        let stored = store.stored_hashes(&places).await?;
        let hashes: HashMap<u64, Hash32> =
            stored.into_iter().map(|stored| (stored.index, stored.hash)).collect();
        if rows.is_empty() {
            return Err(AuditError::Hashes { index: at });
        }
        for row in rows {
            let index = row.leaf_index;
            if index != at {
                return Err(CatchUpError::Leaf { index: at }.into());
            }
            let event = match row.event {
                None => None,
                Some(event) => Some(ExportEvent {
                    salt: Blob(row.salt.to_vec()),
                    event: Blob(event.to_canonical()),
                    evidence: row.evidence.into_iter().map(|(_, data)| Blob(data)).collect(),
                    proof: proof::inclusion(size, index, &hashes)
                        .map_err(|_| AuditError::Hashes { index })?,
                    after: None,
                }),
            };
            let leaf = Blob(row.leaf.to_canonical());
            line(out, &ExportLeaf { leaf_index: index, leaf, event })?;
            at += 1;
        }
    }
    out.flush()?;
    Ok(size)
}

fn line(
    out: &mut (dyn std::io::Write + Send),
    value: &impl Serialize,
) -> Result<(), std::io::Error> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    out.write_all(&text)
}
