//! The next state of the map, computed beside it.

use wire::Hash32;

use super::page::{Page, PageId, Slot};
use super::{Map, MapError};

/// Changes to a map that are computed and not yet taken on.
#[derive(Debug, Clone)]
pub struct Staged {
    base: Hash32,
    root: Hash32,
    pages: Vec<Page>,
}

impl Staged {
    /// The root that the map has before.
    #[must_use]
    pub fn base(&self) -> Hash32 {
        self.base
    }

    /// The root that the map will have.
    #[must_use]
    pub fn root(&self) -> Hash32 {
        self.root
    }

    /// Number of pages that change.
    #[must_use]
    pub fn changed_pages(&self) -> usize {
        self.pages.len()
    }

    pub(super) fn into_pages(self) -> Vec<Page> {
        self.pages
    }
}

type Change = (Hash32, Hash32);

pub(super) fn stage(map: &Map, changes: &[Change]) -> Result<Staged, MapError> {
    let mut changes = changes.to_vec();
    // The sort is stable: of one key's changes the last given stands last, and is kept.
    changes.sort_by_key(|(key, _)| *key);
    changes.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            kept.1 = later.1;
        }
        same
    });
    let mut pages = Vec::new();
    let base = map.root();
    let root = apply(map, &map.root, &changes, &mut pages)?.unwrap_or(base);
    Ok(Staged { base, root, pages })
}

/// Applies changes, sorted and each of its own key, to a page and those below it. Returns the
/// page's new hash unless all values are what they were.
fn apply(
    map: &Map,
    page: &Page,
    changes: &[Change],
    pages: &mut Vec<Page>,
) -> Result<Option<Hash32>, MapError> {
    let id = page.id();
    let mut slots = Vec::new();
    for group in changes.chunk_by(|a, b| id.byte_of(&a.0) == id.byte_of(&b.0)) {
        let byte = id.byte_of(&group[0].0);
        let slot = match page.slot(byte) {
            None => Some(new_slot(id, byte, group, pages)),
            Some(Slot::Leaf { key, value }) => match group {
                [only] if *only == (*key, *value) => None,
                _ => Some(new_slot(id, byte, &with(group, *key, *value), pages)),
            },
            Some(Slot::Page(_)) => {
                let child = id.child(byte);
                let child = map.cache.get(&child).ok_or(MapError::Missing { page: child })?;
                apply(map, child, group, pages)?.map(Slot::Page)
            }
        };
        slots.extend(slot.map(|slot| (byte, slot)));
    }
    if slots.is_empty() {
        return Ok(None);
    }
    let mut page = page.clone();
    page.set(slots);
    let hash = page.hash();
    pages.push(page);
    Ok(Some(hash))
}

/// A slot for keys where there was at most one; more than one get a page of their own, whatever
/// the store may still hold under its id.
fn new_slot(id: PageId, byte: u8, leaves: &[Change], pages: &mut Vec<Page>) -> Slot {
    if let [(key, value)] = leaves {
        return Slot::Leaf { key: *key, value: *value };
    }
    let child = id.child(byte);
    let slots = leaves
        .chunk_by(|a, b| child.byte_of(&a.0) == child.byte_of(&b.0))
        .map(|group| {
            let byte = child.byte_of(&group[0].0);
            (byte, new_slot(child, byte, group, pages))
        })
        .collect();
    let mut page = Page::empty(child);
    page.set(slots);
    let hash = page.hash();
    pages.push(page);
    Slot::Page(hash)
}

/// The changes with the leaf that stood there before, unless it is changed itself.
fn with(group: &[Change], key: Hash32, value: Hash32) -> Vec<Change> {
    let mut all = group.to_vec();
    if let Err(at) = all.binary_search_by_key(&key, |(k, _)| *k) {
        all.insert(at, (key, value));
    }
    all
}
