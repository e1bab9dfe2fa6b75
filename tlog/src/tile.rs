//! Tiles: the tree as static files (C2SP tlog-tiles).
//!
//! A hash tile holds up to 256 consecutive hashes of one height, an entry bundle the leaves below a
//! tile of level 0. Tiles never change once they are full; partial ones, as wide as the tree was at
//! some checkpoint, are kept beside them.
//!
//! `tlog_tiles` has the tiles of Go's checksum database, whose paths carry a height and whose
//! data tiles are another format; the tests hold what is common to both against each other.

use tlog_tiles::{Hash, node_hash, split_stored_hash_index, stored_hash_index};
use wire::Hash32;

use crate::proof::MAX_SIZE;

/// Number of hashes or entries of a full tile.
pub const TILE_WIDTH: u64 = 256;

/// Why a tile is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// Not the path of a tile that a tree can have.
    #[error("{path:?} is not the path of a tile")]
    Path {
        /// The path.
        path: String,
    },
    /// A level, index or width that no tile has.
    #[error("there is no tile of level {level}, index {index} and width {width}")]
    Bounds {
        /// Level; 0 for entry bundles.
        level: u8,
        /// Index within the level.
        index: u64,
        /// Width.
        width: u64,
    },
    /// Another number of hashes or entries than the tile is wide.
    #[error("the tile {path} holds {found} items, {expected} belong in it")]
    Width {
        /// The tile's path.
        path: String,
        /// Its width.
        expected: usize,
        /// Number of items found.
        found: usize,
    },
    /// An entry longer than its 16-bit length can say.
    #[error("an entry of {found} bytes is too long for a bundle (65535)")]
    Entry {
        /// The entry's length in bytes.
        found: usize,
    },
    /// Bytes that end within an entry or after the last one.
    #[error("the bundle {path} is damaged at byte {offset}: {reason}")]
    Bundle {
        /// The tile's path.
        path: String,
        /// Byte offset.
        offset: usize,
        /// What is wrong.
        reason: &'static str,
    },
}

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// Hashes of complete subtrees of 256^level leaves.
    Hashes {
        /// Level, at most 7.
        level: u8,
    },
    /// The leaves themselves.
    Entries,
}

/// One tile's place in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    kind: TileKind,
    index: u64,
    width: u64,
}

impl Tile {
    /// A tile of `width` items, 1 to 256.
    ///
    /// # Errors
    /// Refuses what no tree of at most 2⁶² leaves has.
    pub fn new(kind: TileKind, index: u64, width: u64) -> Result<Self, TileError> {
        let tile = Self { kind, index, width };
        let level = tile.level();
        let bounds = TileError::Bounds { level, index, width };
        if level > 7 || !(1..=TILE_WIDTH).contains(&width) {
            return Err(bounds);
        }
        let items = MAX_SIZE >> (8 * u32::from(level));
        match index.checked_mul(TILE_WIDTH).and_then(|first| first.checked_add(width)) {
            Some(end) if end <= items => Ok(tile),
            _ => Err(bounds),
        }
    }

    /// Reads a path, `tile/<level>/<index>` or `tile/entries/<index>`, with `.p/<width>` for a
    /// partial tile.
    ///
    /// # Errors
    /// Refuses everything that [`Tile::path`] does not write.
    pub fn parse(path: &str) -> Result<Self, TileError> {
        let tile = Self::read(path).ok_or_else(|| TileError::Path { path: clipped(path) })?;
        if tile.path() != path {
            return Err(TileError::Path { path: clipped(path) });
        }
        Ok(tile)
    }

    fn read(path: &str) -> Option<Self> {
        let (kind, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes { level: level.parse().ok()? },
        };
        let (elements, width) = match rest.split_once(".p/") {
            Some((elements, width)) => (elements, width.parse().ok()?),
            None => (rest, TILE_WIDTH),
        };
        let mut index: u64 = 0;
        for element in elements.split('/') {
            let digits: u64 = element.strip_prefix('x').unwrap_or(element).parse().ok()?;
            index = index.checked_mul(1000)?.checked_add(digits)?;
        }
        Self::new(kind, index, width).ok()
    }

    /// The tiles that a tree of `new` leaves has and one of `old` leaves had not, entry bundles
    /// first, partial ones with the width that the new tree gives them.
    #[must_use]
    pub fn new_tiles(old: u64, new: u64) -> Vec<Self> {
        let entries = [TileKind::Entries].into_iter();
        let hashes = (0..8).map(|level| TileKind::Hashes { level });
        let mut tiles = Vec::new();
        for kind in entries.chain(hashes) {
            let shift = match kind {
                TileKind::Hashes { level } => 8 * u32::from(level),
                TileKind::Entries => 0,
            };
            let (had, has) = (old >> shift, new >> shift);
            if had >= has {
                continue;
            }
            let full = (had / TILE_WIDTH)..(has / TILE_WIDTH);
            tiles.extend(full.map(|index| Self { kind, index, width: TILE_WIDTH }));
            let rest = has % TILE_WIDTH;
            if rest > 0 {
                tiles.push(Self { kind, index: has / TILE_WIDTH, width: rest });
            }
        }
        tiles
    }

    /// The tile, of a tree of `size` leaves, from which a stored hash follows; none if the tree has
    /// no such hash. `index` is dense.
    #[must_use]
    pub fn holding(index: u64, size: u64) -> Option<Self> {
        let (level, n) = split_stored_hash_index(index);
        let (tile_level, below) = (level / 8, level % 8);
        let end = (n.checked_add(1)?).checked_shl(below.into())?;
        let items = size.checked_shr(8 * u32::from(tile_level)).unwrap_or(0);
        if end > items {
            return None;
        }
        let tile = (end - 1) / TILE_WIDTH;
        let width = TILE_WIDTH.min(items - tile * TILE_WIDTH);
        Self::new(TileKind::Hashes { level: tile_level }, tile, width).ok()
    }

    /// A stored hash that follows from the hashes of its tile ([`Tile::holding`]).
    #[must_use]
    pub fn stored_hash(&self, index: u64, hashes: &[Hash32]) -> Option<Hash32> {
        let (level, n) = split_stored_hash_index(index);
        let below = u32::from(level.checked_sub(8 * self.level())?);
        let first = n.checked_shl(below)?.checked_sub(self.index * TILE_WIDTH)?;
        let first = usize::try_from(first).ok()?;
        let count = 1usize.checked_shl(below)?;
        let mut row = hashes.get(first..first.checked_add(count)?)?.to_vec();
        while row.len() > 1 {
            let pair = |pair: &[Hash32]| {
                let node = node_hash(Hash(*pair[0].as_bytes()), Hash(*pair[1].as_bytes()));
                Hash32::from_bytes(node.0)
            };
            row = row.chunks_exact(2).map(pair).collect();
        }
        row.pop()
    }

    /// The path below the log's address.
    #[must_use]
    pub fn path(&self) -> String {
        let mut elements = format!("{:03}", self.index % 1000);
        let mut rest = self.index / 1000;
        while rest > 0 {
            elements = format!("x{:03}/{elements}", rest % 1000);
            rest /= 1000;
        }
        let kind = match self.kind {
            TileKind::Hashes { level } => level.to_string(),
            TileKind::Entries => "entries".to_owned(),
        };
        match self.is_full() {
            true => format!("tile/{kind}/{elements}"),
            false => format!("tile/{kind}/{elements}.p/{}", self.width),
        }
    }

    /// What it holds.
    #[must_use]
    pub fn kind(&self) -> TileKind {
        self.kind
    }

    /// Index within its level.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Number of items, 1 to 256.
    #[must_use]
    pub fn width(&self) -> u64 {
        self.width
    }

    /// Whether it will never change.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }

    /// Number of leaves that a tree must have for this tile to be there.
    #[must_use]
    pub fn needs_size(&self) -> u64 {
        (self.index * TILE_WIDTH + self.width) << (8 * u32::from(self.level()))
    }

    /// Indexes of the leaves of an entry bundle; of a hash tile those of its hashes in its level.
    #[must_use]
    pub fn items(&self) -> std::ops::Range<u64> {
        let first = self.index * TILE_WIDTH;
        first..first + self.width
    }

    /// Dense indexes of the stored hashes that a hash tile is made of, in order; for an entry
    /// bundle those of its leaves' hashes.
    #[must_use]
    pub fn hash_indexes(&self) -> Vec<u64> {
        self.items().map(|item| stored_hash_index(8 * self.level(), item)).collect()
    }

    /// The bytes of a hash tile.
    ///
    /// # Errors
    /// Refuses another number of hashes than the tile is wide.
    pub fn encode_hashes(&self, hashes: &[Hash32]) -> Result<Vec<u8>, TileError> {
        self.expect(hashes.len())?;
        Ok(hashes.iter().flat_map(|hash| *hash.as_bytes()).collect())
    }

    /// The hashes of a tile's bytes.
    ///
    /// # Errors
    /// Refuses another length than the tile's.
    pub fn decode_hashes(&self, bytes: &[u8]) -> Result<Vec<Hash32>, TileError> {
        if !bytes.len().is_multiple_of(32) {
            let reason = "not a whole number of hashes";
            return Err(TileError::Bundle { path: self.path(), offset: bytes.len(), reason });
        }
        self.expect(bytes.len() / 32)?;
        Ok(bytes.chunks_exact(32).filter_map(Hash32::from_slice).collect())
    }

    /// The bytes of an entry bundle: each leaf after its length, 16 bits, big-endian.
    ///
    /// # Errors
    /// Refuses another number of entries than the tile is wide, and one of more than 65535 bytes.
    pub fn encode_entries<T: AsRef<[u8]>>(&self, entries: &[T]) -> Result<Vec<u8>, TileError> {
        self.expect(entries.len())?;
        let mut bytes = Vec::new();
        for entry in entries {
            let entry = entry.as_ref();
            let length =
                u16::try_from(entry.len()).map_err(|_| TileError::Entry { found: entry.len() })?;
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(entry);
        }
        Ok(bytes)
    }

    /// The leaves of an entry bundle.
    ///
    /// # Errors
    /// Refuses bytes that end within an entry, and another number of entries than the tile's width.
    pub fn decode_entries<'a>(&self, bytes: &'a [u8]) -> Result<Vec<&'a [u8]>, TileError> {
        let mut entries = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let offset = bytes.len() - rest.len();
            let cut = |reason| TileError::Bundle { path: self.path(), offset, reason };
            let (length, after) =
                rest.split_first_chunk().ok_or_else(|| cut("ends within a length"))?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (entry, after) =
                after.split_at_checked(length).ok_or_else(|| cut("ends within an entry"))?;
            entries.push(entry);
            rest = after;
        }
        self.expect(entries.len())?;
        Ok(entries)
    }

    fn level(&self) -> u8 {
        match self.kind {
            TileKind::Hashes { level } => level,
            TileKind::Entries => 0,
        }
    }

    fn expect(&self, found: usize) -> Result<(), TileError> {
        let expected = self.width as usize;
        if found != expected {
            return Err(TileError::Width { path: self.path(), expected, found });
        }
        Ok(())
    }
}

/// As much of a stranger's path as an error message bears.
fn clipped(path: &str) -> String {
    path.chars().take(80).collect()
}

#[cfg(test)]
mod tests;
