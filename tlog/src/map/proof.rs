//! Proofs of a key's value, or of its absence, under a root of the map.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use wire::Hash32;

use super::EMPTY_ROOT;
use super::page::{inner_hash, leaf_hash};
use crate::proof::ProofError;

/// Version of the encoding.
const VERSION: u8 = 1;

/// Where a key's path ends.
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// At the key's own leaf.
    Value(Hash32),
    /// At nothing.
    Empty,
    /// At the leaf of another key, alone below the place.
    Other { key: Hash32, value: Hash32 },
}

/// A proof for one key. The key itself is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapProof {
    /// Hashes beside the path, from the root downwards; [`EMPTY_ROOT`] for empty subtrees.
    siblings: Vec<Hash32>,
    end: End,
}

impl MapProof {
    pub(super) fn new(key: &Hash32, siblings: Vec<Hash32>, leaf: Option<(Hash32, Hash32)>) -> Self {
        let end = match leaf {
            None => End::Empty,
            Some((found, value)) if found == *key => End::Value(value),
            Some((key, value)) => End::Other { key, value },
        };
        Self { siblings, end }
    }

    /// Checks the proof for a key under a root that the caller trusts. Returns the key's value, or
    /// `None` when the proof shows that the map has none.
    ///
    /// # Errors
    /// [`ProofError::Map`] when it does not lead to the root, [`ProofError::OtherKey`] when the
    /// leaf it ends at does not stand in the key's way.
    pub fn check(&self, root: Hash32, key: &Hash32) -> Result<Option<Hash32>, ProofError> {
        let (mut hash, value) = match &self.end {
            End::Value(value) => (leaf_hash(key, value), Some(*value)),
            End::Empty => (EMPTY_ROOT, None),
            End::Other { key: other, value } => {
                let agree = agreeing_bits(key, other);
                if agree == 256 || agree < self.siblings.len() {
                    let depth = self.siblings.len();
                    return Err(ProofError::OtherKey { agree, depth });
                }
                (leaf_hash(other, value), None)
            }
        };
        for (depth, sibling) in self.siblings.iter().enumerate().rev() {
            hash = match bit(key, depth) {
                false => inner_hash(&hash, sibling),
                true => inner_hash(sibling, &hash),
            };
        }
        if hash != root {
            return Err(ProofError::Map { expected: root, found: hash });
        }
        Ok(value)
    }

    /// The proof's bytes: version, kind of end, number of levels (16 bits), a bit for each level
    /// with something beside the path, those hashes from the root downwards, and the end's hashes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let depth = self.siblings.len();
        let kind = match &self.end {
            End::Value(_) => 0,
            End::Empty => 1,
            End::Other { .. } => 2,
        };
        let mut bytes = vec![VERSION, kind];
        bytes.extend_from_slice(&(depth as u16).to_be_bytes());
        let mut bitmap = vec![0u8; depth.div_ceil(8)];
        let present = |s: &&Hash32| **s != EMPTY_ROOT;
        for (at, _) in self.siblings.iter().enumerate().filter(|(_, s)| present(s)) {
            bitmap[at / 8] |= 0x80 >> (at % 8);
        }
        bytes.extend(bitmap);
        self.siblings.iter().filter(present).for_each(|s| bytes.extend_from_slice(s.as_bytes()));
        match &self.end {
            End::Value(value) => bytes.extend_from_slice(value.as_bytes()),
            End::Empty => {}
            End::Other { key, value } => {
                bytes.extend_from_slice(key.as_bytes());
                bytes.extend_from_slice(value.as_bytes());
            }
        }
        bytes
    }

    /// Reads a proof; nothing is checked against a root yet.
    ///
    /// # Errors
    /// Refuses everything that [`MapProof::to_bytes`] does not write.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofError> {
        let refuse = |reason| ProofError::Encoding { what: "map proof", reason };
        let (head, rest) = bytes.split_first_chunk::<4>().ok_or(refuse("ends too early"))?;
        let [version, kind, high, low] = *head;
        if version != VERSION {
            return Err(refuse("unknown version"));
        }
        let depth = usize::from(u16::from_be_bytes([high, low]));
        if depth > 256 {
            return Err(refuse("more than 256 levels"));
        }
        let (bitmap, rest) =
            rest.split_at_checked(depth.div_ceil(8)).ok_or(refuse("ends too early"))?;
        let set = |at: usize| bitmap[at / 8] & (0x80 >> (at % 8)) != 0;
        if (depth..bitmap.len() * 8).any(set) {
            return Err(refuse("bits beyond the last level"));
        }
        if depth > 0 && !set(depth - 1) {
            return Err(refuse("nothing beside the last level: its end would be pulled up"));
        }
        if !rest.len().is_multiple_of(32) {
            return Err(refuse("not a whole number of hashes"));
        }
        let mut hashes = rest.chunks_exact(32).filter_map(Hash32::from_slice);
        let mut next = || hashes.next().ok_or(refuse("ends too early"));
        let mut siblings = Vec::with_capacity(depth);
        for at in 0..depth {
            siblings.push(if set(at) { next()? } else { EMPTY_ROOT });
        }
        if (0..depth).any(|at| set(at) && siblings[at] == EMPTY_ROOT) {
            return Err(refuse("an empty subtree is written out"));
        }
        let end = match kind {
            0 => End::Value(next()?),
            1 => End::Empty,
            2 => End::Other { key: next()?, value: next()? },
            _ => return Err(refuse("unknown kind of end")),
        };
        if hashes.next().is_some() {
            return Err(refuse("trailing bytes"));
        }
        Ok(Self { siblings, end })
    }
}

fn bit(key: &Hash32, at: usize) -> bool {
    key.as_bytes()[at / 8] & (0x80 >> (at % 8)) != 0
}

/// Number of leading bits that two keys have in common.
fn agreeing_bits(a: &Hash32, b: &Hash32) -> usize {
    (0..256).take_while(|at| bit(a, *at) == bit(b, *at)).count()
}

impl Serialize for MapProof {
    /// Hexadecimal in text formats, bytes in binary ones.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&hex::encode(self.to_bytes()))
        } else {
            serde_bytes::Bytes::new(&self.to_bytes()).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for MapProof {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = if deserializer.is_human_readable() {
            hex::decode(String::deserialize(deserializer)?).map_err(D::Error::custom)?
        } else {
            serde_bytes::ByteBuf::deserialize(deserializer)?.into_vec()
        };
        Self::from_bytes(&bytes).map_err(D::Error::custom)
    }
}
