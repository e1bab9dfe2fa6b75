//! Earlier states of the map, as far as they are kept: what later commits replaced stays beside it.

use std::collections::HashMap;

use wire::Hash32;

use super::page::{Page, PageId, Slot};
use super::{Map, MapError, MapProof};

/// A state that is kept: its label, and the pages that were replaced since, up to the next one.
#[derive(Debug)]
pub(super) struct Kept {
    label: u64,
    pages: HashMap<PageId, Page>,
}

impl Kept {
    pub(super) fn new(label: u64) -> Self {
        Self { label, pages: HashMap::new() }
    }

    pub(super) fn label(&self) -> u64 {
        self.label
    }

    /// A page is replaced: the first one replaced is the one that this state has.
    pub(super) fn replaced(&mut self, page: Page) {
        self.pages.entry(page.id()).or_insert(page);
    }
}

/// What a state that goes had kept belongs to the one before it, where that has not its own.
pub(super) fn let_go(kept: &mut Vec<Kept>, keep: impl Fn(u64) -> bool) {
    let mut stay: Vec<Kept> = Vec::with_capacity(kept.len());
    for state in kept.drain(..) {
        if keep(state.label) {
            stay.push(state);
        } else if let Some(before) = stay.last_mut() {
            state.pages.into_values().for_each(|page| before.replaced(page));
        }
    }
    *kept = stay;
}

/// The map as it was under a label.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    map: &'a Map,
    from: usize,
}

impl<'a> View<'a> {
    pub(super) fn of(map: &'a Map, label: u64) -> Option<Self> {
        let from = map.kept.binary_search_by_key(&label, |kept| kept.label).ok()?;
        Some(Self { map, from })
    }

    fn page(&self, id: &PageId) -> Option<&'a Page> {
        let replaced = self.map.kept[self.from..].iter().find_map(|kept| kept.pages.get(id));
        replaced.or_else(|| self.map.page(id))
    }

    /// The root that the map had.
    ///
    /// # Errors
    /// [`MapError::Missing`]: never, since the root page is always in memory.
    pub fn root(&self) -> Result<Hash32, MapError> {
        let page = PageId::ROOT;
        self.page(&page).map(Page::hash).ok_or(MapError::Missing { page })
    }

    /// The value that a key had; `None` where the map had none.
    ///
    /// # Errors
    /// As [`View::prove`].
    pub fn get(&self, key: &Hash32) -> Result<Option<Hash32>, MapError> {
        Ok(match self.walk(key)?.1 {
            Some((found, value)) if found == *key => Some(value),
            _ => None,
        })
    }

    /// Proves a key's value or its absence under [`View::root`].
    ///
    /// # Errors
    /// [`MapError::Missing`] for what [`Map::missing`] names for this key, too.
    /// [`MapError::Altered`] where a page went from memory in the very moment it was replaced:
    /// then this state cannot be shown any more.
    pub fn prove(&self, key: &Hash32) -> Result<MapProof, MapError> {
        let (pages, leaf) = self.walk(key)?;
        let mut siblings = Vec::new();
        for page in pages {
            page.siblings(key, &mut siblings);
        }
        Ok(MapProof::new(key, siblings, leaf))
    }

    #[allow(clippy::type_complexity)]
    fn walk(&self, key: &Hash32) -> Result<(Vec<&'a Page>, Option<(Hash32, Hash32)>), MapError> {
        let mut pages = Vec::with_capacity(4);
        let mut id = PageId::ROOT;
        let mut expected = None;
        loop {
            let page = self.page(&id).ok_or(MapError::Missing { page: id })?;
            if let Some(expected) = expected {
                let found = page.hash();
                if found != expected {
                    return Err(MapError::Altered { page: id, expected, found });
                }
            }
            pages.push(page);
            let byte = page.id().byte_of(key);
            match page.slot(byte) {
                Some(Slot::Page(hash)) => {
                    expected = Some(*hash);
                    id = page.id().child(byte);
                }
                Some(Slot::Leaf { key, value }) => return Ok((pages, Some((*key, *value)))),
                None => return Ok((pages, page.lone_leaf_over(byte))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u64) -> Hash32 {
        Hash32::of(&(n % 97).to_be_bytes())
    }

    fn commit(map: &mut Map, changes: &[(Hash32, Hash32)]) {
        let staged = map.stage(changes).unwrap();
        map.commit(staged);
    }

    /// Every kept state has the root and the proofs that the map had at that time, whatever comes
    /// after, and whichever other states are let go.
    #[test]
    fn kept_states_prove_what_they_proved() {
        let mut map = Map::empty(10_000);
        let mut states = Vec::new();
        for n in 0..40u64 {
            let changes: Vec<_> = (0..7u64)
                .map(|i| (key(n * 5 + i * i), Hash32::of(&(n * 1000 + i).to_be_bytes())))
                .collect();
            commit(&mut map, &changes);
            map.hold(n);
            let proofs: Vec<_> = (0..97).map(|k| map.prove(&key(k)).unwrap().to_bytes()).collect();
            states.push((map.root(), proofs));
            if n == 20 {
                map.let_go(|label| label % 3 == 0);
            }
        }
        map.let_go(|label| label % 2 == 0 || label == 39);
        for (n, (root, proofs)) in (0u64..).zip(&states) {
            let kept = if n <= 20 { n % 6 == 0 } else { n % 2 == 0 || n == 39 };
            let Some(view) = map.view(n) else {
                assert!(!kept, "{n}");
                continue;
            };
            assert!(kept, "{n}");
            assert_eq!(view.root().unwrap(), *root);
            for (k, proof) in (0..97).zip(proofs) {
                assert_eq!(view.prove(&key(k)).unwrap().to_bytes(), *proof, "{n} {k}");
            }
        }
        map.hold(12);
        assert!(map.view(41).is_none() && map.view(7).is_none());
    }
}
