//! Pages in memory: changed ones pinned, unchanged ones up to a limit.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use wire::Hash32;

use super::EMPTY_ROOT;
use super::page::{Page, PageId};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// As stored.
    Clean,
    /// Changed since it was last handed out.
    Dirty,
    /// Handed out for a flush that is not over yet.
    Flushing,
}

#[derive(Debug)]
struct Entry {
    page: Page,
    state: State,
    used: AtomicU64,
}

/// A bounded cache that forgets what was not used for longest, but nothing that the round of
/// `missing` and `supply` at hand has touched: a request larger than the cache still ends.
#[derive(Debug)]
pub(super) struct Cache {
    entries: HashMap<PageId, Entry>,
    capacity: usize,
    clean: usize,
    /// The number of unchanged pages above which it is worth looking for some to forget: more
    /// than the capacity while the round at hand needs more.
    evict_above: AtomicUsize,
    clock: AtomicU64,
    /// Pages used at or after this time belong to the round at hand.
    round: AtomicU64,
    in_round: AtomicBool,
    /// Hash of the root page that the last flush took.
    pub(super) root_taken: Hash32,
}

impl Cache {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            capacity,
            clean: 0,
            evict_above: AtomicUsize::new(capacity),
            clock: AtomicU64::new(1),
            round: AtomicU64::new(1),
            in_round: AtomicBool::new(false),
            root_taken: EMPTY_ROOT,
        }
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }

    /// A round begins with the first question and ends with the answer that nothing is missing.
    pub(super) fn begin(&self) {
        if !self.in_round.swap(true, Ordering::Relaxed) {
            self.round.store(self.tick(), Ordering::Relaxed);
        }
    }

    pub(super) fn found_missing(&self, some: bool) {
        self.in_round.store(some, Ordering::Relaxed);
        if !some {
            self.evict_above.store(self.capacity, Ordering::Relaxed);
        }
    }

    pub(super) fn get(&self, id: &PageId) -> Option<&Page> {
        let entry = self.entries.get(id)?;
        entry.used.store(self.tick(), Ordering::Relaxed);
        Some(&entry.page)
    }

    pub(super) fn insert_clean(&mut self, page: Page) {
        self.insert(page, State::Clean);
        self.clean += 1;
        self.evict();
    }

    /// Returns the page that was there before.
    pub(super) fn insert_dirty(&mut self, page: Page) -> Option<Page> {
        let before = self.insert(page, State::Dirty)?;
        if before.state == State::Clean {
            self.clean -= 1;
        }
        Some(before.page)
    }

    fn insert(&mut self, page: Page, state: State) -> Option<Entry> {
        let used = AtomicU64::new(self.tick());
        self.entries.insert(page.id(), Entry { page, state, used })
    }

    pub(super) fn remove(&mut self, id: &PageId) {
        let removed = self.entries.remove(id);
        self.clean -= usize::from(removed.is_some_and(|entry| entry.state == State::Clean));
    }

    pub(super) fn take_dirty(&mut self) -> Vec<(PageId, Vec<u8>)> {
        let unsaved = self.entries.iter_mut().filter(|(_, entry)| entry.state != State::Clean);
        let mut pages: Vec<_> = unsaved
            .map(|(id, entry)| {
                entry.state = State::Flushing;
                (*id, entry.page.encode())
            })
            .collect();
        pages.sort_unstable_by_key(|(id, _)| *id);
        pages
    }

    pub(super) fn mark_clean(&mut self) {
        for entry in self.entries.values_mut().filter(|e| e.state == State::Flushing) {
            entry.state = State::Clean;
            self.clean += 1;
        }
        self.evict();
    }

    /// Forgets down to seven eighths of the limit, so that the search for the oldest is rare.
    pub(super) fn evict(&mut self) {
        if self.clean <= *self.evict_above.get_mut() {
            return;
        }
        let round = match self.in_round.load(Ordering::Relaxed) {
            true => self.round.load(Ordering::Relaxed),
            false => u64::MAX,
        };
        let mut oldest: Vec<(u64, PageId)> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.state == State::Clean)
            .map(|(id, entry)| (entry.used.load(Ordering::Relaxed), *id))
            .filter(|(used, _)| *used < round)
            .collect();
        let excess = (self.clean - self.capacity + self.capacity / 8).min(oldest.len());
        oldest.sort_unstable();
        for (_, id) in &oldest[..excess] {
            self.entries.remove(id);
        }
        self.clean -= excess;
        *self.evict_above.get_mut() = self.capacity.max(self.clean + self.capacity / 8);
    }

    pub(super) fn unsaved(&self) -> usize {
        self.entries.len() - self.clean
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.entries.values().map(|entry| entry.page.memory()).sum()
    }
}
