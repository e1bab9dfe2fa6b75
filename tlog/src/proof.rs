//! Proofs that a leaf is in the tree and that one tree continues another (RFC 6962 sections 2.1.1
//! and 2.1.2, checked as RFC 9162 sections 2.1.3.2 and 2.1.4.2 say).
//!
//! A proof is made of the roots of some ranges of leaves, and each of those of a few stored hashes
//! (dense numbering, as in [`StoredHash`](crate::StoredHash)): [`inclusion_indexes`] and
//! [`consistency_indexes`] name them, so that a store can fetch all of them with one query.

mod text;

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest, Sha256};
use tlog_tiles::sub_tree_index;
use wire::Hash32;

pub use text::TlogProof;

/// Largest tree, in leaves: dense indexes stay below 2⁶³, as databases want them.
pub const MAX_SIZE: u64 = 1 << 62;

/// Why a proof is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// A tree larger than [`MAX_SIZE`].
    #[error("a tree of {size} leaves is beyond the limit of 2^62")]
    Size {
        /// Its size.
        size: u64,
    },
    /// A leaf beyond the tree.
    #[error("leaf {index} is not in a tree of {size} leaves")]
    Index {
        /// The leaf's index.
        index: u64,
        /// The tree's size.
        size: u64,
    },
    /// An older tree larger than the newer.
    #[error("a tree of {new} leaves cannot continue one of {old}")]
    Shrunk {
        /// Size of the older tree.
        old: u64,
        /// Size of the newer tree.
        new: u64,
    },
    /// A proof of another length than the sizes call for.
    #[error("the proof has {found} hashes; for these sizes it has {expected}")]
    Length {
        /// Number of hashes called for.
        expected: usize,
        /// Number of hashes given.
        found: usize,
    },
    /// A proof that leads to another root of the tree of `size` leaves.
    #[error("the proof leads to the root {found} at size {size}, not to {expected}")]
    Root {
        /// Size of the tree.
        size: u64,
        /// The root that was to be reached.
        expected: Hash32,
        /// The root that was.
        found: Hash32,
    },
    /// A proof under the map that leads to another root.
    #[error("the map proof leads to the root {found}, not to {expected}")]
    Map {
        /// The root that was to be reached.
        expected: Hash32,
        /// The root that was.
        found: Hash32,
    },
    /// A proof of absence by a leaf that does not stand in the key's way.
    #[error(
        "the map proof shows another key's leaf {depth} levels down, which agrees with this key in \
         {agree} bits"
    )]
    OtherKey {
        /// Leading bits that the keys share; 256 for the very key that is to be absent.
        agree: usize,
        /// Levels that they would have to share.
        depth: usize,
    },
    /// Not the encoding of a proof.
    #[error("not a {what}: {reason}")]
    Encoding {
        /// Which proof.
        what: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
    /// The proof's checkpoint is refused.
    #[error("the proof's checkpoint: {0}")]
    Checkpoint(#[from] crate::note::NoteError),
}

/// Why a proof could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProveError<E> {
    /// There is no such proof.
    #[error(transparent)]
    Range(#[from] ProofError),
    /// The stored hashes could not be read.
    #[error("{0}")]
    Source(E),
    /// The source returned another number of hashes than was asked for.
    #[error("{found} stored hashes were read, {expected} were asked for")]
    Count {
        /// Number asked for.
        expected: usize,
        /// Number returned.
        found: usize,
    },
}

/// A stored hash that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stored hash {index} of the tree is missing")]
pub struct MissingHash {
    /// Its index in the dense numbering.
    pub index: u64,
}

/// Where stored hashes are read from.
pub trait HashSource {
    /// Why reading fails.
    type Error;

    /// The stored hashes of these dense indexes, in the same order.
    ///
    /// # Errors
    /// When one of them cannot be read.
    fn read(&self, indexes: &[u64]) -> Result<Vec<Hash32>, Self::Error>;
}

impl HashSource for BTreeMap<u64, Hash32> {
    type Error = MissingHash;
    fn read(&self, indexes: &[u64]) -> Result<Vec<Hash32>, MissingHash> {
        indexes.iter().map(|i| self.get(i).copied().ok_or(MissingHash { index: *i })).collect()
    }
}

impl HashSource for HashMap<u64, Hash32> {
    type Error = MissingHash;
    fn read(&self, indexes: &[u64]) -> Result<Vec<Hash32>, MissingHash> {
        indexes.iter().map(|i| self.get(i).copied().ok_or(MissingHash { index: *i })).collect()
    }
}

/// SHA-256(0x00 ‖ entry), the hash of a leaf (RFC 6962 section 2.1).
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash32 {
    let digest = Sha256::new().chain_update([0]).chain_update(entry).finalize();
    Hash32::from_bytes(digest.into())
}

/// Dense indexes of the stored hashes that [`inclusion`] reads; empty where there is no proof.
#[must_use]
pub fn inclusion_indexes(size: u64, index: u64) -> Vec<u64> {
    inclusion_ranges(size, index).map(|ranges| indexes_of(&ranges)).unwrap_or_default()
}

/// Dense indexes of the stored hashes that [`consistency`] reads; empty where there is no proof.
#[must_use]
pub fn consistency_indexes(old: u64, new: u64) -> Vec<u64> {
    consistency_ranges(old, new).map(|ranges| indexes_of(&ranges)).unwrap_or_default()
}

/// Proves that leaf `index` is in the tree of the first `size` leaves: hashes from the leaf's
/// sibling upwards.
///
/// # Errors
/// When there is no such leaf, or a hash cannot be read.
pub fn inclusion<S: HashSource>(
    size: u64,
    index: u64,
    source: &S,
) -> Result<Vec<Hash32>, ProveError<S::Error>> {
    roots_of(&inclusion_ranges(size, index)?, source)
}

/// Proves that the tree of the first `new` leaves continues that of the first `old`. Every tree
/// continues the empty one and itself, by a proof of no hashes.
///
/// # Errors
/// When `old` is larger than `new`, or a hash cannot be read.
pub fn consistency<S: HashSource>(
    old: u64,
    new: u64,
    source: &S,
) -> Result<Vec<Hash32>, ProveError<S::Error>> {
    roots_of(&consistency_ranges(old, new)?, source)
}

/// Checks that a leaf is number `index` of the tree of `size` leaves with this root.
///
/// # Errors
/// Refuses an index beyond the tree and a proof that does not lead to the root.
pub fn check_inclusion(
    proof: &[Hash32],
    size: u64,
    root: Hash32,
    index: u64,
    leaf_hash: Hash32,
) -> Result<(), ProofError> {
    let expected = inclusion_ranges(size, index)?.len();
    if proof.len() != expected {
        return Err(ProofError::Length { expected, found: proof.len() });
    }
    // A path that has come to the right edge stays there: levels without a sibling need not be
    // skipped as RFC 9162 has it, for every hash that is left stands to the left.
    let (mut node, mut last) = (index, size - 1);
    let mut found = leaf_hash;
    for hash in proof {
        if node & 1 == 1 || node == last {
            found = node_hash(hash, &found);
        } else {
            found = node_hash(&found, hash);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if found != root {
        return Err(ProofError::Root { size, expected: root, found });
    }
    Ok(())
}

/// Checks that the tree of `new` leaves with root `new_root` begins with the `old` leaves whose
/// root is `old_root`.
///
/// # Errors
/// Refuses a tree that shrank and a proof that does not lead to both roots.
pub fn check_consistency(
    proof: &[Hash32],
    old: u64,
    old_root: Hash32,
    new: u64,
    new_root: Hash32,
) -> Result<(), ProofError> {
    let expected = consistency_ranges(old, new)?.len();
    if proof.len() != expected {
        return Err(ProofError::Length { expected, found: proof.len() });
    }
    let reached = |size, expected, found| {
        if expected == found { Ok(()) } else { Err(ProofError::Root { size, expected, found }) }
    };
    if old == 0 {
        return reached(old, old_root, Hash32::of(&[]));
    }
    if old == new {
        return reached(new, new_root, old_root);
    }
    // A complete older tree is not in the proof: its root is where both paths begin.
    let (start, rest) = match proof.split_first() {
        Some((first, rest)) if !old.is_power_of_two() => (*first, rest),
        _ => (old_root, proof),
    };
    let shift = (old - 1).trailing_ones();
    let (mut node, mut last) = ((old - 1) >> shift, (new - 1) >> shift);
    let (mut old_found, mut new_found) = (start, start);
    for hash in rest {
        if node & 1 == 1 || node == last {
            old_found = node_hash(hash, &old_found);
            new_found = node_hash(hash, &new_found);
        } else {
            new_found = node_hash(&new_found, hash);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    reached(old, old_root, old_found)?;
    reached(new, new_root, new_found)
}

/// Leaves from the first to before the second.
type Range = (u64, u64);

fn inclusion_ranges(size: u64, index: u64) -> Result<Vec<Range>, ProofError> {
    if size > MAX_SIZE {
        return Err(ProofError::Size { size });
    }
    if index >= size {
        return Err(ProofError::Index { index, size });
    }
    let (mut from, mut to) = (0, size);
    let mut ranges = Vec::new();
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            ranges.push((middle, to));
            to = middle;
        } else {
            ranges.push((from, middle));
            from = middle;
        }
    }
    ranges.reverse();
    Ok(ranges)
}

fn consistency_ranges(old: u64, new: u64) -> Result<Vec<Range>, ProofError> {
    if new > MAX_SIZE {
        return Err(ProofError::Size { size: new });
    }
    if old > new {
        return Err(ProofError::Shrunk { old, new });
    }
    let (mut from, mut to) = (0, new);
    let mut ranges = Vec::new();
    while old != to && old != 0 {
        let middle = from + split(to - from);
        if old <= middle {
            ranges.push((middle, to));
            to = middle;
        } else {
            ranges.push((from, middle));
            from = middle;
        }
    }
    if from != 0 {
        ranges.push((from, to));
    }
    ranges.reverse();
    Ok(ranges)
}

/// The largest power of two below a number that is at least 2.
fn split(leaves: u64) -> u64 {
    1 << (leaves - 1).ilog2()
}

fn indexes_of(ranges: &[Range]) -> Vec<u64> {
    ranges.iter().flat_map(|(from, to)| sub_tree_index(*from, *to, Vec::new())).collect()
}

fn roots_of<S: HashSource>(
    ranges: &[Range],
    source: &S,
) -> Result<Vec<Hash32>, ProveError<S::Error>> {
    let parts: Vec<Vec<u64>> =
        ranges.iter().map(|(from, to)| sub_tree_index(*from, *to, Vec::new())).collect();
    let indexes = parts.concat();
    let stored = source.read(&indexes).map_err(ProveError::Source)?;
    if stored.len() != indexes.len() {
        return Err(ProveError::Count { expected: indexes.len(), found: stored.len() });
    }
    let mut rest = stored.as_slice();
    let mut roots = Vec::with_capacity(parts.len());
    for part in &parts {
        let (subtrees, after) = rest.split_at(part.len());
        rest = after;
        // Complete subtrees of falling size: the smallest two are joined first.
        roots.extend(subtrees.iter().copied().rev().reduce(|right, left| node_hash(&left, &right)));
    }
    Ok(roots)
}

fn node_hash(left: &Hash32, right: &Hash32) -> Hash32 {
    let mut hasher = Sha256::new();
    hasher.update([1]);
    hasher.update(left.as_bytes());
    hasher.update(right.as_bytes());
    Hash32::from_bytes(hasher.finalize().into())
}

#[cfg(test)]
mod tests;
