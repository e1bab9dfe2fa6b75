//! Wait proofs: by the clocks of those who co-sign, a leaf has been in the log for so long.

use std::collections::BTreeMap;

use policy::fact::mint;
use policy::{Fact, Installation};
use tlog::cosign::{CosignError, CosignerKey};
use tlog::note::{LogKey, NoteError, SignedCheckpoint};
use tlog::proof::{ProofError, check_inclusion};
use wire::genesis::KeyPurpose;
use wire::waited::WaitProof;
use wire::{Encoded, FormatError, Hash32};

/// Why a wait proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// Not of its format.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The installation has no log.
    #[error("the genesis event names no log key")]
    NoLogKey,
    /// A co-signer's key in the installation that is none.
    #[error("the installation's co-signer {vkey}: {source}")]
    Cosigner {
        /// The verifier key.
        vkey: String,
        /// What is wrong with it.
        source: CosignError,
    },
    /// Not a checkpoint of the log.
    #[error("a checkpoint of the wait proof: {0}")]
    Checkpoint(#[from] NoteError),
    /// A line by a co-signer that is not its co-signature.
    #[error("a checkpoint of the wait proof: {0}")]
    Cosignature(#[from] CosignError),
    /// A line by somebody else, or a second one by the log.
    #[error("a checkpoint of the wait proof has a line by {name}, which nobody needs")]
    Line {
        /// The name on it.
        name: String,
    },
    /// The leaf is not in an earlier checkpoint.
    #[error(
        "the leaf that the wait began with is not in the checkpoint of {size} leaves: {source}"
    )]
    Inclusion {
        /// Its size.
        size: u64,
        /// What is wrong.
        source: ProofError,
    },
    /// Two checkpoints of one size with two roots.
    #[error("two checkpoints of the wait proof have {size} leaves, and another root each")]
    Fork {
        /// Their size.
        size: u64,
    },
    /// A co-signer's later checkpoint that is of an earlier log.
    #[error("the later checkpoint has {later} leaves, the earlier has {earlier}")]
    Order {
        /// Leaves of the earlier one.
        earlier: u64,
        /// Leaves of the later one.
        later: u64,
    },
    /// Nobody co-signed before and after.
    #[error("no co-signer of the installation signed both an earlier and a later checkpoint")]
    Nobody,
}

/// A wait proof (DER) proves of each of the installation's co-signers that has signed both a
/// checkpoint that holds the leaf and a later one when it did, the first time and the last.
///
/// Every signature line is verified, so that no byte of it is there for nothing.
///
/// # Errors
/// The first part that does not hold.
pub fn waited(installation: &Installation, proof: &[u8]) -> Result<Vec<Fact>, WaitError> {
    let proof = WaitProof::from_canonical(proof)?;
    let notes = Notes::of(installation)?;
    let mut earlier = Vec::with_capacity(proof.earlier.len());
    for holding in &proof.earlier {
        let opened = notes.open(&holding.note)?;
        let (size, root) = (opened.checkpoint().size(), opened.checkpoint().root());
        check_inclusion(&holding.inclusion, size, root, proof.leaf_index, proof.leaf)
            .map_err(|source| WaitError::Inclusion { size, source })?;
        earlier.push(opened);
    }
    let mut later = Vec::with_capacity(proof.later.len());
    for note in &proof.later {
        later.push(notes.open(note)?);
    }
    one_history(earlier.iter().chain(&later))?;
    let mut facts = Vec::new();
    for (vkey, key) in &notes.cosigners {
        let first = times(key, &earlier)?.into_iter().min_by_key(|(time, _)| *time);
        let last = times(key, &later)?.into_iter().max_by_key(|(time, _)| *time);
        let (Some((from, earlier)), Some((until, later))) = (first, last) else { continue };
        if later < earlier {
            return Err(WaitError::Order { earlier, later });
        }
        facts.push(mint::waited(Hash32::of(vkey.as_bytes()), proof.leaf, from, until));
    }
    if facts.is_empty() {
        return Err(WaitError::Nobody);
    }
    Ok(facts)
}

/// Whether checkpoints of one size have one root.
fn one_history<'a>(
    checkpoints: impl Iterator<Item = &'a SignedCheckpoint>,
) -> Result<(), WaitError> {
    let mut roots = BTreeMap::new();
    for checkpoint in checkpoints.map(SignedCheckpoint::checkpoint) {
        let (size, root) = (checkpoint.size(), checkpoint.root());
        if *roots.entry(size).or_insert(root) != root {
            return Err(WaitError::Fork { size });
        }
    }
    Ok(())
}

/// When a key co-signed some of these checkpoints, and their sizes.
fn times(key: &CosignerKey, opened: &[SignedCheckpoint]) -> Result<Vec<(u64, u64)>, CosignError> {
    let mut times = Vec::with_capacity(opened.len());
    for signed in opened {
        let size = signed.checkpoint().size();
        times.extend(key.time_in(signed.note())?.map(|time| (time, size)));
    }
    Ok(times)
}

/// Who may sign checkpoints of the installation's log.
struct Notes<'a> {
    log: LogKey,
    cosigners: Vec<(&'a str, CosignerKey)>,
}

impl<'a> Notes<'a> {
    fn of(installation: &'a Installation) -> Result<Self, WaitError> {
        let key = installation.keys(KeyPurpose::Log).next().ok_or(WaitError::NoLogKey)?;
        let log = LogKey::from_spki(installation.origin(), key.spki.as_bytes())?;
        let cosigners = installation.cosigners().iter().map(|cosigner| {
            let vkey = cosigner.vkey.as_str();
            let named = |source| WaitError::Cosigner { vkey: vkey.to_owned(), source };
            Ok((vkey, CosignerKey::parse_vkey(vkey).map_err(named)?))
        });
        Ok(Self { log, cosigners: cosigners.collect::<Result<_, WaitError>>()? })
    }

    /// A checkpoint with one line by the log, and others by co-signers alone.
    fn open(&self, note: &str) -> Result<SignedCheckpoint, WaitError> {
        let signed = SignedCheckpoint::open(note, &self.log)?;
        let mut by_log = 0;
        for line in signed.signatures() {
            let theirs = self.cosigners.iter().any(|(_, key)| key.names(line));
            by_log += u32::from(!theirs);
            if !theirs && (by_log > 1 || !self.log.names(line)) {
                return Err(WaitError::Line { name: line.name().to_owned() });
            }
        }
        Ok(signed)
    }
}

#[cfg(test)]
pub(crate) mod tests;
