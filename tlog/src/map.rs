//! The map of heads: a sparse Merkle map from 256-bit keys to 256-bit values.
//!
//! # What its root is
//!
//! A binary tree over the bits of the keys, most significant first, with empty places and lone
//! leaves pulled up. The root is a function of the set of keys and values and of nothing else:
//!
//! * an empty subtree is 32 zero bytes;
//! * a subtree with exactly one leaf *is* that leaf: SHA-256(0x00 ‖ key ‖ value);
//! * any other subtree is SHA-256(0x01 ‖ left ‖ right).
//!
//! The three cannot be mistaken for each other, so walking down from a root by a key's bits has
//! one outcome: a root proves either one value for a key or its absence, even a root made by
//! somebody hostile. Keys are never removed; a map only grows.
//!
//! # Where it is kept
//!
//! In pages of eight levels, one byte of the key each ([`Page`]). A page names the hashes of the
//! pages below it, so each page loaded is checked against its parent, up to a root that the caller
//! knows from a signed checkpoint: a page edited, swapped, lost or rolled back is named and refused
//! ([`Map::supply`]). The map does no I/O. It says which pages it misses ([`Map::missing`]), is given
//! them, computes the next root without changing ([`Map::stage`]), takes it on after the caller's
//! transaction ([`Map::commit`]), and hands out what has changed since the last flush
//! ([`Map::take_dirty`]), many groups at once. After a crash the flushed pages are opened under the
//! root they had, and later events are staged again.
//!
//! Memory is the configured number of pages, and those changed since the last flush, and those
//! that the request at hand needs; it does not grow with the map.
//!
//! # Why not a crate
//!
//! * `jmt` (0.12) keeps every version of every node under (version, nibble path): each update
//!   writes new nodes and a list of stale ones to prune, all of it part of the committed batch,
//!   and here nodes must stay out of the issuing transaction. Its reader is a synchronous callback
//!   for one node at a time, and what it returns is not compared with the hash that its parent
//!   has, while our database is not trusted.
//! * `sparse-merkle-tree` (0.6) reads and writes one branch at each of 256 heights for every update,
//!   through a synchronous store that it believes as well, and merges with a rule of its own (zero
//!   counts, base nodes) that every client would have to carry.
//!
//! What is here is small, and the tests hold it against a naive map written from the three rules
//! above, and against vectors that another program made (`tlog/vectors/`).

mod cache;
mod page;
mod proof;
mod stage;
mod trial;
mod view;

use wire::Hash32;

use cache::Cache;
use page::Slot;
use trial::Trial;

pub use page::{Page, PageId};
pub use proof::MapProof;
pub use stage::Staged;
pub use view::View;

/// The root of the map without keys.
pub const EMPTY_ROOT: Hash32 = Hash32::from_bytes([0; 32]);

/// Why the map refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// A page that the key's path goes through is not loaded: ask [`Map::missing`].
    #[error("page {page} of the map is not loaded")]
    Missing {
        /// The page.
        page: PageId,
    },
    /// The store has no such page, though its parent has one there.
    #[error("page {page} of the map is lost: its parent expects {expected}, the store has none")]
    Lost {
        /// The page.
        page: PageId,
        /// The hash that the parent names.
        expected: Hash32,
    },
    /// The page is not the one that its parent names: edited, swapped or rolled back.
    #[error("page {page} of the map was altered: its hash is {found}, its parent says {expected}")]
    Altered {
        /// The page.
        page: PageId,
        /// The hash that the parent, or for the root page the caller, names.
        expected: Hash32,
        /// The hash that the bytes have.
        found: Hash32,
    },
    /// Not the encoding of a page.
    #[error("page {page} of the map is damaged at byte {offset}: {reason}")]
    Format {
        /// The page.
        page: PageId,
        /// Byte offset of the first fault.
        offset: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A page was supplied though its parent names none there.
    #[error("page {page} of the map was supplied, but its parent has none there")]
    Unexpected {
        /// The page.
        page: PageId,
    },
}

/// The map, as far as it is in memory.
#[derive(Debug)]
pub struct Map {
    root: Page,
    root_unsaved: bool,
    cache: Cache,
    trial: Option<Trial>,
    /// States that are kept, oldest first.
    kept: Vec<view::Kept>,
}

impl Map {
    /// The map without keys. `capacity_pages` is the number of unchanged pages that are kept;
    /// a page takes about 100 bytes for each of its (at most 256) occupied slots.
    #[must_use]
    pub fn empty(capacity_pages: usize) -> Self {
        Self {
            root: Page::empty(PageId::ROOT),
            root_unsaved: false,
            cache: Cache::new(capacity_pages),
            trial: None,
            kept: Vec::new(),
        }
    }

    /// Opens a stored map under the root that the caller vouches for.
    ///
    /// # Errors
    /// Refuses a root page of another hash, and no root page where there must be one.
    pub fn open(
        root_page: Option<Page>,
        expected_root: Hash32,
        capacity_pages: usize,
    ) -> Result<Self, MapError> {
        let mut map = Self::empty(capacity_pages);
        let page = PageId::ROOT;
        match root_page {
            None if expected_root == EMPTY_ROOT => {}
            None => return Err(MapError::Lost { page, expected: expected_root }),
            Some(root) if root.id() != page => {
                return Err(MapError::Unexpected { page: root.id() });
            }
            Some(root) if root.hash() != expected_root => {
                let found = root.hash();
                return Err(MapError::Altered { page, expected: expected_root, found });
            }
            Some(root) => map.root = root,
        }
        Ok(map)
    }

    /// The map's root.
    #[must_use]
    pub fn root(&self) -> Hash32 {
        self.root.hash()
    }

    /// The pages to [`supply`](Map::supply) before these keys can be used. Deeper pages only show
    /// once their parents are there: ask again until the answer is empty.
    #[must_use]
    pub fn missing(&self, keys: &[Hash32]) -> Vec<PageId> {
        self.cache.begin();
        let mut missing: Vec<PageId> = keys
            .iter()
            .filter_map(|key| match self.walk(key) {
                Err(MapError::Missing { page }) => Some(page),
                _ => None,
            })
            .collect();
        missing.sort_unstable();
        missing.dedup();
        self.cache.found_missing(!missing.is_empty());
        missing
    }

    /// Takes a page from the store, `None` if it has none under that id. A page that is loaded
    /// already is ignored, for memory may be ahead of the store; so is one whose parent is not
    /// loaded (any more): [`Map::missing`] will name both again.
    ///
    /// Between reading the bytes and supplying them no flush may end: bytes from before it would
    /// look rolled back.
    ///
    /// # Errors
    /// Names a page that is lost, altered, damaged or was not asked for.
    pub fn supply(&mut self, id: PageId, page_bytes: Option<&[u8]>) -> Result<(), MapError> {
        let Some((parent, byte)) = id.parent() else { return Ok(()) };
        if self.cache.get(&id).is_some() {
            return Ok(());
        }
        let Some(parent) = self.page(&parent) else { return Ok(()) };
        let Some(&Slot::Page(expected)) = parent.slot(byte) else {
            return Err(MapError::Unexpected { page: id });
        };
        let bytes = page_bytes.ok_or(MapError::Lost { page: id, expected })?;
        let page = Page::decode(id, bytes)?;
        let found = page.hash();
        if found != expected {
            return Err(MapError::Altered { page: id, expected, found });
        }
        self.cache.insert_clean(page);
        Ok(())
    }

    /// The value of a key; `None` where the map has none.
    ///
    /// # Errors
    /// [`MapError::Missing`].
    pub fn get(&self, key: &Hash32) -> Result<Option<Hash32>, MapError> {
        Ok(match self.walk(key)?.1 {
            Some((found, value)) if found == *key => Some(value),
            _ => None,
        })
    }

    /// Computes the map with these values set, of a key named twice the later one, and changes
    /// nothing.
    ///
    /// # Errors
    /// [`MapError::Missing`].
    pub fn stage(&self, changes: &[(Hash32, Hash32)]) -> Result<Staged, MapError> {
        stage::stage(self, changes)
    }

    /// Takes on what [`Map::stage`] computed, once the caller's transaction is durable.
    ///
    /// # Panics
    /// When `staged` was computed from another root than the present one: taking it on would
    /// silently undo what was committed in between.
    pub fn commit(&mut self, staged: Staged) {
        assert!(
            staged.base() == self.root(),
            "a staged change of map root {} cannot follow root {}",
            staged.base(),
            self.root()
        );
        for page in staged.into_pages() {
            self.remember(page.id());
            let before = if page.id() == PageId::ROOT {
                self.root_unsaved = true;
                Some(std::mem::replace(&mut self.root, page))
            } else {
                self.cache.insert_dirty(page)
            };
            if let (Some(before), Some(kept)) = (before, self.kept.last_mut()) {
                kept.replaced(before);
            }
        }
        self.cache.evict();
    }

    /// Every page changed since the last flush, with its encoding: together with the pages already
    /// stored they are the map of [`Map::root`] at this moment, and belong in one transaction with
    /// it. They stay in memory until [`Map::mark_clean`]; after a failed flush, call again.
    pub fn take_dirty(&mut self) -> Vec<(PageId, Vec<u8>)> {
        let mut pages = self.cache.take_dirty();
        if self.root_unsaved {
            pages.push((PageId::ROOT, self.root.encode()));
        }
        self.cache.root_taken = self.root.hash();
        pages
    }

    /// Says that what the last [`Map::take_dirty`] gave is durable. Pages changed since then stay
    /// to be flushed.
    pub fn mark_clean(&mut self) {
        if self.cache.root_taken == self.root.hash() {
            self.root_unsaved = false;
        }
        self.cache.mark_clean();
    }

    /// Number of pages to be flushed.
    #[must_use]
    pub fn unsaved_pages(&self) -> usize {
        self.cache.unsaved() + usize::from(self.root_unsaved)
    }

    /// Number of pages in memory.
    #[must_use]
    pub fn loaded_pages(&self) -> usize {
        self.cache.len() + 1
    }

    /// Bytes that the loaded pages take, about.
    #[must_use]
    pub fn loaded_bytes(&self) -> usize {
        self.cache.bytes() + self.root.memory()
    }

    /// Proves a key's value or its absence under [`Map::root`].
    ///
    /// # Errors
    /// [`MapError::Missing`].
    pub fn prove(&self, key: &Hash32) -> Result<MapProof, MapError> {
        let (pages, leaf) = self.walk(key)?;
        let mut siblings = Vec::new();
        for page in pages {
            page.siblings(key, &mut siblings);
        }
        Ok(MapProof::new(key, siblings, leaf))
    }

    /// Holds on to the present state under a label, so that it can be looked at after later commits. It
    /// costs the pages that change from then on, until [`Map::let_go`]. Labels only grow; a label
    /// that is not greater than the last is ignored.
    pub fn hold(&mut self, label: u64) {
        if self.kept.last().is_none_or(|last| last.label() < label) {
            self.kept.push(view::Kept::new(label));
        }
    }

    /// Lets go of the states that are not to be kept any longer.
    pub fn let_go(&mut self, keep: impl Fn(u64) -> bool) {
        view::let_go(&mut self.kept, keep);
    }

    /// The state that was kept under a label.
    #[must_use]
    pub fn view(&self, label: u64) -> Option<View<'_>> {
        View::of(self, label)
    }

    fn page(&self, id: &PageId) -> Option<&Page> {
        if *id == PageId::ROOT { Some(&self.root) } else { self.cache.get(id) }
    }

    /// The pages on a key's path, and the leaf that stands where it ends.
    #[allow(clippy::type_complexity)]
    fn walk(&self, key: &Hash32) -> Result<(Vec<&Page>, Option<(Hash32, Hash32)>), MapError> {
        let mut pages = Vec::with_capacity(4);
        let mut page = &self.root;
        loop {
            pages.push(page);
            let byte = page.id().byte_of(key);
            match page.slot(byte) {
                Some(Slot::Page(_)) => {
                    let id = page.id().child(byte);
                    page = self.cache.get(&id).ok_or(MapError::Missing { page: id })?;
                }
                Some(Slot::Leaf { key, value }) => return Ok((pages, Some((*key, *value)))),
                // The slot is empty, but a lone leaf beside it may have been pulled up over it.
                None => return Ok((pages, page.lone_leaf_over(byte))),
            }
        }
    }
}

#[cfg(test)]
mod tests;
