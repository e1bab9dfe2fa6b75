//! The quorum's word as the store keeps it, for whoever reads a log without running it.

use std::collections::BTreeMap;

use policy::Installation;
use tlog::quorum::{PolicyError, Quorum};
use wire::Hash32;

use super::Vouched;
use crate::store::rows::{CheckpointRow, CosignatureRow};
use crate::store::{Store, StoreError};

/// Latest co-signatures of each co-signer that are looked at. All are asked about the same
/// checkpoints, so those of the quorum are not far apart.
const LATEST: u32 = 256;

/// Why the kept word cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeptError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The installation's co-signers make no quorum.
    #[error("the installation's co-signers: {0}")]
    Quorum(#[from] PolicyError),
}

/// The newest checkpoint that the installation's quorum vouched for, with all co-signatures that are
/// kept of it; none where nobody co-signs, or nothing was co-signed yet. Nothing is verified.
///
/// # Errors
/// See [`KeptError`].
pub(crate) async fn newest(
    store: &dyn Store,
    installation: &Installation,
) -> Result<Option<Vouched>, KeptError> {
    let (quorum, _) = Quorum::of(installation.cosigners())?;
    if quorum.is_none() {
        return Ok(None);
    }
    let mut sizes: BTreeMap<u64, BTreeMap<usize, CosignatureRow>> = BTreeMap::new();
    for (place, cosigner) in installation.cosigners().iter().enumerate() {
        let key = Hash32::of(cosigner.vkey.as_bytes());
        for row in store.cosigned_latest(key, LATEST).await? {
            sizes.entry(row.size).or_default().insert(place, row);
        }
    }
    let met = |rows: &BTreeMap<usize, CosignatureRow>| quorum.met(|at| rows.contains_key(&at));
    let newest = sizes.into_iter().rev().find(|(_, rows)| met(rows));
    Ok(newest.and_then(|(size, rows)| {
        let note = rows.values().next()?.note.clone();
        let row = CheckpointRow { size, note };
        Some(Vouched { row, cosignatures: rows.into_values().collect() })
    }))
}
