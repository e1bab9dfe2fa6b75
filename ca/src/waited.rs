//! Waits by the clocks of those who co-sign: whether one may be over, and the proof of it.

use std::collections::BTreeMap;

use evidence::dossier::{self, Piece};
use policy::{Due, Fact, Installation, Time};
use tlog::note::{Note, NoteError};
use tlog::proof::{inclusion, inclusion_indexes};
use wire::event::EvidenceKind;
use wire::waited::{Holding, WaitProof};
use wire::{Encoded, Hash32};

use crate::store::rows::{CosignatureRow, TimedLine};
use crate::store::{Store, StoreError};

/// How the wait before something that takes effect is over.
pub(crate) enum Over {
    /// By the authority's own clock.
    Here,
    /// By the clocks of co-signers.
    Witnessed {
        /// The proof.
        proof: Piece,
        /// What it proves.
        facts: Vec<Fact>,
    },
}

/// How the wait is over; none while it is not. `leaf_index` is where it began.
///
/// # Errors
/// When the store fails.
pub(crate) async fn over(
    store: &dyn Store,
    installation: &Installation,
    due: &Due,
    leaf_index: u64,
    now_ms: u64,
) -> Result<Option<Over>, StoreError> {
    let waited = waited(store, installation, due, leaf_index).await?;
    if 2 * waited.len() > installation.cosigners().len()
        && let Some(proof) = proof(store, due, leaf_index, &waited).await?
    {
        match evidence::waited(installation, &proof.1) {
            // Whatever the rows said, this is what everybody else will see.
            Ok(facts) if due.is_witnessed(installation, &facts) => {
                let over = due.is_over(installation, &facts, Time::at_ms(now_ms));
                return Ok(over.then_some(Over::Witnessed { proof, facts }));
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, leaf_index, "stored co-signatures prove nothing"),
        }
    }
    Ok(due.is_over(installation, &[], Time::at_ms(now_ms)).then_some(Over::Here))
}

/// The latest time that more than half of the co-signers are known to have reached, milliseconds
/// since 1970; none where there is nobody, or too few were heard of.
///
/// # Errors
/// When the store fails.
pub(crate) async fn witnessed_ms(
    store: &dyn Store,
    installation: &Installation,
) -> Result<Option<u64>, StoreError> {
    let mut times = Vec::new();
    for cosigner in installation.cosigners() {
        let key = Hash32::of(cosigner.vkey.as_bytes());
        times.extend(store.cosigned_latest(key, 1).await?.first().map(|row| row.latest.time));
    }
    times.sort_unstable_by(|a, b| b.cmp(a));
    let majority = installation.cosigners().len() / 2;
    Ok(times.get(majority).map(|time| time.saturating_mul(1000)))
}

/// What one co-signer said before and after.
struct Waited {
    earlier: CosignatureRow,
    later: CosignatureRow,
}

/// The co-signers by whose clock the wait is over, as far as the rows say.
async fn waited(
    store: &dyn Store,
    installation: &Installation,
    due: &Due,
    leaf_index: u64,
) -> Result<Vec<Waited>, StoreError> {
    let mut waited = Vec::new();
    for cosigner in installation.cosigners() {
        let key = Hash32::of(cosigner.vkey.as_bytes());
        let earlier = store.cosigned_since(key, leaf_index, 1).await?.pop();
        let later = store.cosigned_latest(key, 1).await?.pop();
        let (Some(earlier), Some(later)) = (earlier, later) else { continue };
        if later.latest.time.saturating_sub(earlier.first.time) >= due.wait() {
            waited.push(Waited { earlier, later });
        }
    }
    Ok(waited)
}

/// The proof from these rows; none where they do not make one.
async fn proof(
    store: &dyn Store,
    due: &Due,
    leaf_index: u64,
    waited: &[Waited],
) -> Result<Option<Piece>, StoreError> {
    let earlier = notes(waited.iter().map(|w| (&w.earlier, &w.earlier.first)));
    let later = notes(waited.iter().map(|w| (&w.later, &w.later.latest)));
    let (earlier, later) = match (earlier, later) {
        (Ok(earlier), Ok(later)) => (earlier, later),
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, leaf_index, "a stored co-signature is no note");
            return Ok(None);
        }
    };
    let mut places: Vec<u64> =
        earlier.keys().flat_map(|size| inclusion_indexes(*size, leaf_index)).collect();
    places.sort_unstable();
    places.dedup();
    let stored = store.stored_hashes(&places).await?;
    let hashes: BTreeMap<u64, Hash32> = stored.into_iter().map(|s| (s.index, s.hash)).collect();
    let mut holding = Vec::with_capacity(earlier.len());
    for (size, note) in earlier {
        let Ok(inclusion) = inclusion(size, leaf_index, &hashes) else {
            tracing::error!(size, leaf_index, "the tree's stored hashes are not all there");
            return Ok(None);
        };
        holding.push(Holding { note, inclusion });
    }
    let proof = WaitProof {
        version: 1,
        leaf: due.leaf(),
        leaf_index,
        earlier: holding,
        later: later.into_values().collect(),
    };
    Ok(Some(dossier::piece(EvidenceKind::WaitProof, proof.to_canonical())))
}

/// The checkpoints of these rows, each with the lines that were taken from it, by size.
fn notes<'a>(
    rows: impl Iterator<Item = (&'a CosignatureRow, &'a TimedLine)>,
) -> Result<BTreeMap<u64, String>, NoteError> {
    let mut notes = BTreeMap::new();
    for (row, line) in rows {
        let note: &mut String = notes.entry(row.size).or_insert_with(|| row.note.clone());
        note.push_str(&line.line);
        note.push('\n');
    }
    notes.into_iter().map(|(size, note)| Ok((size, Note::parse(&note)?.to_text()))).collect()
}
