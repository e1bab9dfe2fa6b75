//! Pages: eight levels of the tree, one byte of the key.

use std::fmt;

use sha2::{Digest, Sha256};
use wire::Hash32;

use super::{EMPTY_ROOT, MapError};

/// Version of the encoding.
const VERSION: u8 = 1;

/// A page's place: the bytes that all keys below it begin with, at most 31.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageId {
    len: u8,
    prefix: [u8; 31],
}

impl PageId {
    /// The page at the top.
    pub const ROOT: Self = Self { len: 0, prefix: [0; 31] };

    /// The page of the keys that begin so; `None` for more than 31 bytes.
    #[must_use]
    pub fn new(prefix: &[u8]) -> Option<Self> {
        let mut bytes = [0; 31];
        bytes.get_mut(..prefix.len())?.copy_from_slice(prefix);
        Some(Self { len: prefix.len() as u8, prefix: bytes })
    }

    /// The bytes that the page's keys begin with.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.prefix[..self.depth()]
    }

    pub(super) fn depth(&self) -> usize {
        usize::from(self.len)
    }

    /// The slot that a key falls into.
    pub(super) fn byte_of(&self, key: &Hash32) -> u8 {
        key.as_bytes()[self.depth()]
    }

    /// The page under a slot. Only a slot with two keys has one, and two keys that agree in 31
    /// bytes differ in the last, so no page has a child at depth 32.
    pub(super) fn child(&self, byte: u8) -> Self {
        let mut child = *self;
        child.prefix[self.depth()] = byte;
        child.len += 1;
        child
    }

    pub(super) fn parent(&self) -> Option<(Self, u8)> {
        let (byte, rest) = self.as_bytes().split_last()?;
        Some((Self::new(rest)?, *byte))
    }
}

impl fmt::Display for PageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_bytes() {
            [] => f.write_str("(root)"),
            bytes => f.write_str(&hex::encode(bytes)),
        }
    }
}

impl fmt::Debug for PageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PageId({self})")
    }
}

/// What one value of a page's byte leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Slot {
    /// The only key there.
    Leaf { key: Hash32, value: Hash32 },
    /// Two keys or more: the hash of their subtree.
    Page(Hash32),
}

impl Slot {
    fn hash(&self) -> Hash32 {
        match self {
            Self::Leaf { key, value } => leaf_hash(key, value),
            Self::Page(hash) => *hash,
        }
    }
}

/// SHA-256(0x00 ‖ key ‖ value).
pub(super) fn leaf_hash(key: &Hash32, value: &Hash32) -> Hash32 {
    tagged(0, key, value)
}

/// SHA-256(0x01 ‖ left ‖ right).
pub(super) fn inner_hash(left: &Hash32, right: &Hash32) -> Hash32 {
    tagged(1, left, right)
}

fn tagged(tag: u8, first: &Hash32, second: &Hash32) -> Hash32 {
    let mut hasher = Sha256::new();
    hasher.update([tag]);
    hasher.update(first.as_bytes());
    hasher.update(second.as_bytes());
    Hash32::from_bytes(hasher.finalize().into())
}

/// Eight levels of the map: up to 256 slots with their inner hashes.
///
/// Inner places are numbered as in a binary heap: 1 is the top, the children of `i` are `2i` and
/// `2i + 1`, and slot `b` is place `256 + b`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    id: PageId,
    /// Occupied slots in ascending order.
    slots: Vec<(u8, Slot)>,
    /// Hashes of the inner places with two keys or more below them, in ascending order.
    inner: Vec<(u16, Hash32)>,
}

impl Page {
    pub(super) fn empty(id: PageId) -> Self {
        Self { id, slots: Vec::new(), inner: Vec::new() }
    }

    /// Where the page belongs.
    #[must_use]
    pub fn id(&self) -> PageId {
        self.id
    }

    /// Hash of the page's subtree; [`EMPTY_ROOT`] without keys.
    #[must_use]
    pub fn hash(&self) -> Hash32 {
        self.place_hash(1)
    }

    /// The page's bytes: version, number of slots (16 bits), and for each slot its byte, a tag and
    /// the rest of the key with its value (tag 0) or the hash of the page below (tag 1).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let rest = self.id.depth() + 1;
        let mut bytes = Vec::with_capacity(3 + self.slots.len() * (66 - rest));
        bytes.push(VERSION);
        bytes.extend_from_slice(&(self.slots.len() as u16).to_be_bytes());
        for (byte, slot) in &self.slots {
            bytes.push(*byte);
            match slot {
                Slot::Leaf { key, value } => {
                    bytes.push(0);
                    bytes.extend_from_slice(&key.as_bytes()[rest..]);
                    bytes.extend_from_slice(value.as_bytes());
                }
                Slot::Page(hash) => {
                    bytes.push(1);
                    bytes.extend_from_slice(hash.as_bytes());
                }
            }
        }
        bytes
    }

    /// Reads a page. Its hash is to be compared with the one that its parent names.
    ///
    /// # Errors
    /// Refuses everything that [`Page::encode`] does not write, among it a page other than the
    /// root page with less than two keys, which would be pulled up.
    pub fn decode(id: PageId, bytes: &[u8]) -> Result<Self, MapError> {
        let mut input = Input { id, bytes, offset: 0 };
        if input.take(1)? != [VERSION] {
            return Err(input.fault_before(1, "unknown version"));
        }
        let count = input.take(2)?;
        let count = u16::from_be_bytes([count[0], count[1]]);
        if count > 256 {
            return Err(input.fault_before(2, "more than 256 slots"));
        }
        let mut page = Self::empty(id);
        page.slots.reserve_exact(usize::from(count));
        for _ in 0..count {
            let head = input.take(2)?;
            let (byte, tag) = (head[0], head[1]);
            if page.slots.last().is_some_and(|(last, _)| *last >= byte) {
                return Err(input.fault_before(2, "slots out of order"));
            }
            let slot = match tag {
                0 => {
                    let mut key = [0; 32];
                    key[..id.depth()].copy_from_slice(id.as_bytes());
                    key[id.depth()] = byte;
                    key[id.depth() + 1..].copy_from_slice(input.take(31 - id.depth())?);
                    Slot::Leaf { key: Hash32::from_bytes(key), value: input.hash()? }
                }
                1 if id.depth() < 31 => Slot::Page(input.hash()?),
                1 => return Err(input.fault_before(1, "a page below the last byte of the key")),
                _ => return Err(input.fault_before(1, "unknown slot tag")),
            };
            page.slots.push((byte, slot));
        }
        if input.offset != bytes.len() {
            return Err(input.fault_before(0, "trailing bytes"));
        }
        if id != PageId::ROOT && !page.is_branch(&page.slots) {
            return Err(input.fault_before(0, "less than two keys"));
        }
        page.hash_places((0..=255).collect());
        Ok(page)
    }

    pub(super) fn slot(&self, byte: u8) -> Option<&Slot> {
        let at = self.slots.binary_search_by_key(&byte, |(b, _)| *b).ok()?;
        Some(&self.slots[at].1)
    }

    /// Sets slots, in ascending order of their bytes, and hashes what is above them.
    pub(super) fn set(&mut self, slots: Vec<(u8, Slot)>) {
        let changed = slots.iter().map(|(byte, _)| *byte).collect();
        // A page that grew by one slot would otherwise take twice its memory, thousands of times.
        self.slots.reserve_exact(slots.len());
        for (byte, slot) in slots {
            match self.slots.binary_search_by_key(&byte, |(b, _)| *b) {
                Ok(at) => self.slots[at].1 = slot,
                Err(at) => self.slots.insert(at, (byte, slot)),
            }
        }
        self.hash_places(changed);
    }

    /// Pushes the hashes beside a key's path, from the top, as far as the path goes in this page.
    pub(super) fn siblings(&self, key: &Hash32, siblings: &mut Vec<Hash32>) {
        for place in self.branches_over(self.id.byte_of(key)) {
            siblings.push(self.place_hash(place ^ 1));
        }
    }

    /// The leaf that was pulled up to where the path of an empty slot ends, if there is one.
    pub(super) fn lone_leaf_over(&self, byte: u8) -> Option<(Hash32, Hash32)> {
        let end = self.branches_over(byte).last().unwrap_or(1);
        match self.below(end) {
            [(_, Slot::Leaf { key, value })] => Some((*key, *value)),
            _ => None,
        }
    }

    pub(super) fn memory(&self) -> usize {
        size_of::<Self>()
            + self.slots.capacity() * size_of::<(u8, Slot)>()
            + self.inner.capacity() * size_of::<(u16, Hash32)>()
    }

    /// The places on the way to a slot whose parents are branches, from the top.
    fn branches_over(&self, byte: u8) -> impl Iterator<Item = u16> {
        let slot = 256 + u16::from(byte);
        (0..8)
            .rev()
            .map(move |level| slot >> level)
            .take_while(|place| self.inner_hash_at(place >> 1).is_some())
    }

    fn inner_hash_at(&self, place: u16) -> Option<Hash32> {
        let at = self.inner.binary_search_by_key(&place, |(p, _)| *p).ok()?;
        Some(self.inner[at].1)
    }

    fn place_hash(&self, place: u16) -> Hash32 {
        if let Some(hash) = self.inner_hash_at(place) {
            return hash;
        }
        match self.below(place) {
            [(_, only)] => only.hash(),
            _ => EMPTY_ROOT,
        }
    }

    /// The occupied slots below a place.
    fn below(&self, place: u16) -> &[(u8, Slot)] {
        let level = place.leading_zeros() - 7;
        let first = (place << level) - 256;
        let after = first + (1 << level);
        let start = self.slots.partition_point(|(b, _)| u16::from(*b) < first);
        let end = self.slots.partition_point(|(b, _)| u16::from(*b) < after);
        &self.slots[start..end]
    }

    fn is_branch(&self, below: &[(u8, Slot)]) -> bool {
        match below {
            [] => false,
            [(_, only)] => matches!(only, Slot::Page(_)),
            _ => true,
        }
    }

    /// Hashes the places above these slots, bottom up, each once.
    fn hash_places(&mut self, slots: Vec<u8>) {
        let mut places: Vec<u16> = slots.into_iter().map(|byte| 256 + u16::from(byte)).collect();
        while places != [1] && !places.is_empty() {
            places.iter_mut().for_each(|place| *place >>= 1);
            places.dedup();
            for &place in &places {
                if !self.is_branch(self.below(place)) {
                    continue;
                }
                let hash = inner_hash(&self.place_hash(2 * place), &self.place_hash(2 * place + 1));
                match self.inner.binary_search_by_key(&place, |(p, _)| *p) {
                    Ok(at) => self.inner[at].1 = hash,
                    Err(at) => self.inner.insert(at, (place, hash)),
                }
            }
        }
        self.inner.shrink_to_fit();
    }
}

struct Input<'a> {
    id: PageId,
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], MapError> {
        let taken = self.bytes.get(self.offset..self.offset + count);
        let taken = taken.ok_or_else(|| self.fault_before(0, "ends too early"))?;
        self.offset += count;
        Ok(taken)
    }

    fn hash(&mut self) -> Result<Hash32, MapError> {
        let bytes = self.take(32)?;
        Hash32::from_slice(bytes).ok_or_else(|| self.fault_before(32, "not a hash"))
    }

    fn fault_before(&self, back: usize, reason: &'static str) -> MapError {
        MapError::Format { page: self.id, offset: self.offset - back, reason }
    }
}
