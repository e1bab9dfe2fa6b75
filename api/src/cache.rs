//! What the gateway keeps for a while: the installation with its issuers, and CRLs. All of it is
//! public and, but for the installation's description, signed by others. Problems are never kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// One value with an age. Callers that miss it together wait for one of them to fetch it; when
/// that one fails or goes away, the next tries.
#[derive(Debug)]
pub(crate) struct Cell<T> {
    value: tokio::sync::Mutex<Option<(Instant, Arc<T>)>>,
}

impl<T> Default for Cell<T> {
    fn default() -> Self {
        Self { value: tokio::sync::Mutex::new(None) }
    }
}

impl<T> Cell<T> {
    /// Forgets the value: something in it has changed.
    pub(crate) async fn clear(&self) {
        *self.value.lock().await = None;
    }

    /// The kept value while it is fresh, else a new one from `load`, which says how long that one
    /// stays fresh.
    ///
    /// # Errors
    /// `load`'s, which is not kept.
    pub(crate) async fn get<E>(
        &self,
        load: impl AsyncFnOnce() -> Result<(T, Duration), E>,
    ) -> Result<Arc<T>, E> {
        let mut value = self.value.lock().await;
        if let Some((until, kept)) = &*value
            && Instant::now() < *until
        {
            return Ok(Arc::clone(kept));
        }
        *value = None;
        let (loaded, fresh) = load().await?;
        let loaded = Arc::new(loaded);
        *value = Some((Instant::now() + fresh, Arc::clone(&loaded)));
        Ok(loaded)
    }
}

/// Which CRL: issuer's id and shard.
pub(crate) type CrlKey = (String, u32);

/// CRLs, bounded by the bytes they have together. Only ask for keys that are known to exist: a key
/// takes a place even when its loading fails.
#[derive(Debug)]
pub(crate) struct Shelf<T> {
    places: Mutex<Places<T>>,
    /// Greatest size of all, in bytes.
    capacity: usize,
}

#[derive(Debug)]
struct Places<T> {
    by_key: HashMap<CrlKey, Place<T>>,
    /// Counts uses, to find the one that was not used for longest.
    clock: u64,
}

#[derive(Debug)]
struct Place<T> {
    cell: Arc<Cell<T>>,
    size: usize,
    used: u64,
}

impl<T> Shelf<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        let places = Places { by_key: HashMap::new(), clock: 0 };
        Self { places: Mutex::new(places), capacity }
    }

    /// Forgets every value: something in them has changed.
    pub(crate) fn clear(&self) {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).by_key.clear();
    }

    /// As [`Cell::get`]; `size` tells a value's bytes.
    ///
    /// # Errors
    /// `load`'s, which is not kept.
    pub(crate) async fn get<E>(
        &self,
        key: CrlKey,
        size: impl FnOnce(&T) -> usize,
        load: impl AsyncFnOnce() -> Result<(T, Duration), E>,
    ) -> Result<Arc<T>, E> {
        let cell = self.places().cell(&key);
        let value = cell.get(load).await?;
        self.places().account(&key, size(&value), self.capacity);
        Ok(value)
    }

    fn places(&self) -> MutexGuard<'_, Places<T>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Places<T> {
    fn cell(&mut self, key: &CrlKey) -> Arc<Cell<T>> {
        self.clock += 1;
        let used = self.clock;
        let place = self.by_key.entry(key.clone()).or_insert_with(|| Place {
            cell: Arc::default(),
            size: 0,
            used,
        });
        place.used = used;
        Arc::clone(&place.cell)
    }

    /// Notes a value's size, and drops what was not used for longest until all fit.
    fn account(&mut self, key: &CrlKey, size: usize, capacity: usize) {
        if let Some(place) = self.by_key.get_mut(key) {
            place.size = size;
        }
        let mut total: usize = self.by_key.values().map(|place| place.size).sum();
        while total > capacity {
            let oldest = self.by_key.iter().min_by_key(|(_, place)| place.used);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else { return };
            total -= self.by_key.remove(&oldest).map_or(0, |place| place.size);
        }
    }
}

#[cfg(test)]
mod tests;
