//! Changes on trial: several are taken on, one after the other, and then kept or undone together.
//! Whoever replays a batch knows only at its end whether it holds.

use std::collections::HashMap;

use super::Map;
use super::page::{Page, PageId};

/// Pages as they were when the trial began; none where there was no page.
#[derive(Debug, Default)]
pub(super) struct Trial(HashMap<PageId, Option<Page>>);

impl Map {
    /// From here on changes are on trial, until [`Map::keep`] or [`Map::undo`]. Nothing is to be
    /// flushed meanwhile.
    pub fn try_out(&mut self) {
        self.trial = Some(Trial::default());
    }

    /// Keeps what was changed since [`Map::try_out`].
    pub fn keep(&mut self) {
        self.trial = None;
    }

    /// Undoes what was changed since [`Map::try_out`].
    pub fn undo(&mut self) {
        for (id, before) in self.trial.take().unwrap_or_default().0 {
            match before {
                Some(page) if id == PageId::ROOT => self.root = page,
                Some(page) => drop(self.cache.insert_dirty(page)),
                None => self.cache.remove(&id),
            }
        }
    }

    /// A page is about to be changed.
    pub(super) fn remember(&mut self, id: PageId) {
        let before = || self.page(&id).cloned();
        if self.trial.as_ref().is_some_and(|trial| !trial.0.contains_key(&id)) {
            let before = before();
            self.trial.get_or_insert_default().0.insert(id, before);
        }
    }
}
