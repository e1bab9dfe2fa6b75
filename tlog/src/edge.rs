//! The right edge of the tree: all that appending needs, at most 64 hashes.

use std::collections::BTreeMap;

use tlog_tiles::{Error, Hash, HashReader, stored_hash_index, stored_hashes_for_record_hash};
use tlog_tiles::{sub_tree_index, tree_hash};
use wire::Hash32;

/// The hash of one complete subtree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredHash {
    /// Its place in the dense numbering of complete subtrees.
    pub index: u64,
    /// The hash.
    pub hash: Hash32,
}

/// What appending one leaf gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The leaf's index.
    pub leaf_index: u64,
    /// Hashes of the subtrees that the leaf completes, itself first. They are to be stored.
    pub stored: Vec<StoredHash>,
}

/// Why an edge cannot be put together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EdgeError {
    /// A hash that the tree's size calls for was not given.
    #[error("a tree of {size} leaves needs stored hash {index}, which is missing")]
    Missing {
        /// The tree's size.
        size: u64,
        /// The missing hash's index.
        index: u64,
    },
}

/// Where the hash of a leaf stands in the dense numbering of complete subtrees.
#[must_use]
pub fn leaf_position(index: u64) -> u64 {
    stored_hash_index(0, index)
}

/// A tree's size with the hashes of its largest complete subtrees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    hashes: BTreeMap<u64, Hash32>,
}

impl Edge {
    /// The edge of the empty tree.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Indexes of the stored hashes that [`Edge::load`] needs for a tree of `size` leaves.
    #[must_use]
    pub fn indexes(size: u64) -> Vec<u64> {
        if size == 0 { Vec::new() } else { sub_tree_index(0, size, Vec::new()) }
    }

    /// Puts the edge of a stored tree together.
    ///
    /// # Errors
    /// Refuses when one of [`Edge::indexes`] is missing.
    pub fn load(size: u64, stored: &[StoredHash]) -> Result<Self, EdgeError> {
        let given: BTreeMap<u64, Hash32> = stored.iter().map(|s| (s.index, s.hash)).collect();
        let hashes = Self::indexes(size)
            .into_iter()
            .map(|index| {
                let hash = given.get(&index).ok_or(EdgeError::Missing { size, index })?;
                Ok((index, *hash))
            })
            .collect::<Result<_, EdgeError>>()?;
        Ok(Self { size, hashes })
    }

    /// What [`Edge::load`] needs to put it together again.
    pub fn stored(&self) -> impl Iterator<Item = StoredHash> {
        self.hashes.iter().map(|(index, hash)| StoredHash { index: *index, hash: *hash })
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root hash (RFC 6962 section 2.1); of the empty tree SHA-256 of nothing.
    ///
    /// # Panics
    /// Never: an edge holds what its size calls for.
    #[must_use]
    pub fn root(&self) -> Hash32 {
        let root = tree_hash(self.size, self).expect("an edge holds what its size calls for");
        Hash32::from_bytes(root.0)
    }

    /// Appends a leaf by its leaf hash.
    ///
    /// # Panics
    /// Never: an edge holds what its size calls for.
    pub fn append(&mut self, leaf_hash: Hash32) -> Appended {
        let leaf_index = self.size;
        let hashes = stored_hashes_for_record_hash(leaf_index, Hash(*leaf_hash.as_bytes()), self)
            .expect("an edge holds what its size calls for");
        let first = stored_hash_index(0, leaf_index);
        let stored: Vec<StoredHash> = (first..)
            .zip(hashes)
            .map(|(index, hash)| StoredHash { index, hash: Hash32::from_bytes(hash.0) })
            .collect();
        self.size += 1;
        self.hashes.extend(stored.iter().map(|s| (s.index, s.hash)));
        let needed = Self::indexes(self.size);
        self.hashes.retain(|index, _| needed.contains(index));
        Appended { leaf_index, stored }
    }
}

impl HashReader for Edge {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, Error> {
        indexes
            .iter()
            .map(|index| {
                let hash = self.hashes.get(index).ok_or(Error::MalformedHash)?;
                Ok(Hash(*hash.as_bytes()))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
