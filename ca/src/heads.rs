//! The map of heads, as this authority has it: what the log proves of every identity and key.
//!
//! Rows of the database are believed only as far as the map agrees with them. Pages of the map come
//! from the same database, and each is checked against its parent, up to the root in the log's last
//! leaf.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tlog::map::{Map, MapError, Page, PageId, Staged};
use tlog::note::Checkpoint;
use tlog::proof;
use wire::leaf::{LeafKind, blinded_id, blinded_key, blinding_key};
use wire::{Encoded, Hash32, UserId};

use crate::store::rows::Books;
use crate::store::{Store, StoreError};

/// Unchanged pages kept in memory; at ten million identities the two upper levels have 257, and
/// the rest are those of whoever was here lately.
const PAGES: usize = 8192;

/// Changed pages at which they are flushed.
const FLUSH: usize = 4096;

/// Changed pages at which they are flushed while the quorum is late. What is flushed cannot be shown
/// as it was before any more after a start, and the quorum's last word is of before.
const FLUSH_LATE: usize = 4 * FLUSH;

/// Leaves by which the quorum's last word is behind while nothing is wrong.
const LAG: u64 = 256;

/// Why the map does not answer.
#[derive(Debug, thiserror::Error)]
pub enum HeadsError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A page is not what the log proves.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The last leaf is not a map's root.
    #[error("leaf {index} does not hold the map's root, or is not the one that was signed")]
    NoRoot {
        /// The leaf's index.
        index: u64,
    },
    /// The stored map accounts for more leaves than there are.
    #[error("the stored map accounts for {map} leaves, the log has {log}")]
    Ahead {
        /// Leaves that the map accounts for.
        map: u64,
        /// Leaves in the log.
        log: u64,
    },
}

/// The map and the secret that blinds its keys.
#[derive(Debug)]
pub(crate) struct Heads {
    secret: [u8; 32],
    inner: Mutex<Inner>,
    /// Whether changed pages are flushed; else they stay in memory.
    flushed: bool,
    /// Whether the map's states are held as they were after each group: what is shown waits for the
    /// quorum, and the map does not.
    held: AtomicBool,
    /// The state that is shown now, which is held in any case.
    shown: AtomicU64,
    /// Held from reading pages to taking them, and over a whole flush: pages read before a flush
    /// look rolled back after it.
    pages: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Inner {
    map: Map,
    /// Leaves that the map accounts for; the last of them holds its root.
    size: u64,
}

impl Heads {
    /// Opens the stored map under the root that the log had when it was flushed. What was logged
    /// since then is to be taken on (`catch_up.rs`).
    ///
    /// A stored map counts only if the leaf with its root is in the signed checkpoint; else the map is
    /// made again from the first event.
    pub(crate) async fn open(
        store: &dyn Store,
        secret: [u8; 32],
        signed: &Checkpoint,
    ) -> Result<Self, HeadsError> {
        let mut size = store.map_size().await?;
        let log = store.edge().await?.size();
        if size > log {
            return Err(HeadsError::Ahead { map: size, log });
        }
        if size > signed.size() {
            size = 0;
        }
        let map = if size == 0 {
            Map::empty(PAGES)
        } else {
            let index = size - 1;
            let rows = store.leaves(index, size).await?;
            let leaf = &rows
                .first()
                .filter(|row| row.leaf.kind == LeafKind::MapRoot)
                .ok_or(HeadsError::NoRoot { index })?
                .leaf;
            let places = proof::inclusion_indexes(signed.size(), index);
            let stored = store.stored_hashes(&places).await?;
            let hashes: HashMap<u64, Hash32> =
                stored.into_iter().map(|stored| (stored.index, stored.hash)).collect();
            let proven = proof::inclusion(signed.size(), index, &hashes).is_ok_and(|path| {
                let (size, root) = (signed.size(), signed.root());
                proof::check_inclusion(&path, size, root, index, leaf.leaf_hash()).is_ok()
            });
            if !proven {
                return Err(HeadsError::NoRoot { index });
            }
            let root = leaf.commitment;
            let page = store.map_pages(&[PageId::ROOT]).await?.pop().and_then(|(_, page)| page);
            let page = page.map(|bytes| Page::decode(PageId::ROOT, &bytes)).transpose()?;
            Map::open(page, root, PAGES)?
        };
        let inner = Mutex::new(Inner { map, size });
        let (held, pages) = (AtomicBool::new(false), tokio::sync::Mutex::new(()));
        let shown = AtomicU64::new(0);
        Ok(Self { secret, inner, flushed: true, held, shown, pages })
    }

    /// An empty map that stays in memory, for replaying a log from its first leaf.
    pub(crate) fn in_memory(secret: [u8; 32]) -> Self {
        let inner = Mutex::new(Inner { map: Map::empty(PAGES), size: 0 });
        let (held, pages) = (AtomicBool::new(false), tokio::sync::Mutex::new(()));
        let shown = AtomicU64::new(0);
        Self { secret, inner, flushed: false, held, shown, pages }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves that the map accounts for.
    pub(crate) fn size(&self) -> u64 {
        self.lock().size
    }

    /// The key of an identity's blinded id.
    pub(crate) fn blinding_key(&self, uid: &UserId) -> [u8; 32] {
        blinding_key(&self.secret, uid)
    }

    /// Where the map has an identity.
    pub(crate) fn of_uid(&self, uid: &UserId) -> Hash32 {
        blinded_id(&self.blinding_key(uid), uid)
    }

    /// Where the map says whose a public key is.
    pub(crate) fn of_key(&self, spki: Hash32) -> Hash32 {
        blinded_key(&self.secret, spki)
    }

    /// Uses the map once all pages on the way to these keys are there. `use_map` is also given the
    /// number of leaves that the map accounts for.
    pub(crate) async fn with<T>(
        &self,
        store: &dyn Store,
        keys: &[Hash32],
        mut use_map: impl FnMut(&Map, u64) -> Result<T, MapError>,
    ) -> Result<T, HeadsError> {
        loop {
            {
                let inner = self.lock();
                if inner.map.missing(keys).is_empty() {
                    match use_map(&inner.map, inner.size) {
                        // Dropped from memory by somebody else's request between two levels.
                        Err(MapError::Missing { .. }) => {}
                        outcome => return Ok(outcome?),
                    }
                }
            }
            let _pages = self.pages.lock().await;
            let missing = self.lock().map.missing(keys);
            let found = store.map_pages(&missing).await?;
            let mut inner = self.lock();
            for (id, page) in found {
                inner.map.supply(id, page.as_deref())?;
            }
        }
    }

    /// Takes on a staged change after its group was recorded and the log has `size` leaves.
    pub(crate) fn commit(&self, staged: Staged, size: u64) {
        let mut inner = self.lock();
        inner.map.commit(staged);
        inner.size = size;
        if self.held.load(Ordering::Relaxed) || self.shown.load(Ordering::Relaxed) == size {
            inner.map.hold(size);
        }
    }

    /// The quorum vouches for the checkpoint of this size: the map's state of then is held, if the
    /// map comes by it yet.
    pub(crate) fn shows(&self, size: u64) {
        self.shown.store(size, Ordering::Relaxed);
        let mut inner = self.lock();
        if inner.size == size {
            inner.map.hold(size);
        }
    }

    /// Whether the quorum's latest word is of a state that is this many leaves before the map's.
    fn is_behind(&self, by: u64) -> bool {
        let shown = self.shown.load(Ordering::Relaxed);
        shown > 0 && shown.saturating_add(by) < self.lock().size
    }

    /// Whether states of the map are held, so that they can be shown after later groups
    /// ([`Map::view`], under the number of leaves).
    pub(crate) fn hold(&self, held: bool) {
        self.held.store(held, Ordering::Relaxed);
        let mut inner = self.lock();
        if held {
            let size = inner.size;
            inner.map.hold(size);
        } else {
            self.shown.store(0, Ordering::Relaxed);
            inner.map.let_go(|_| false);
        }
    }

    /// Lets go of states that are not to be shown any more.
    pub(crate) fn let_go(&self, keep: impl Fn(u64) -> bool) {
        self.lock().map.let_go(keep);
    }

    /// Flushes changed pages if there are many, or `all` of them; where the quorum's word is of an
    /// earlier state, only if there are very many.
    pub(crate) async fn flush(&self, store: &dyn Store, all: bool) -> Result<(), StoreError> {
        let unsaved = self.lock().map.unsaved_pages();
        let behind = self.is_behind(if all { 0 } else { LAG });
        let much = if behind { FLUSH_LATE } else { FLUSH };
        if !self.flushed || (unsaved < much && (behind || !all)) {
            return Ok(());
        }
        let _pages = self.pages.lock().await;
        let (dirty, size) = {
            let mut inner = self.lock();
            (inner.map.take_dirty(), inner.size)
        };
        if dirty.is_empty() {
            return Ok(());
        }
        store.put_map_pages(&dirty, size).await?;
        self.lock().map.mark_clean();
        Ok(())
    }

    /// Whether the rows of one identity and one key are those that the log proves; in words if not.
    pub(crate) async fn check(
        &self,
        store: &dyn Store,
        books: &Books,
        uid: &UserId,
        spki: Option<Hash32>,
    ) -> Result<Result<(), String>, HeadsError> {
        let (at_uid, at_key) = (self.of_uid(uid), spki.map(|spki| self.of_key(spki)));
        let places: Vec<Hash32> = [at_uid].into_iter().chain(at_key).collect();
        let read = |map: &Map, _| {
            let owner = at_key.map(|at| map.get(&at)).transpose()?.flatten();
            Ok((map.get(&at_uid)?, owner))
        };
        let (head, owner) = self.with(store, &places, read).await?;
        let row = books.identities.get(uid).map(|row| row.identity.proven_head().hash());
        if row != head {
            return Ok(Err(differs("identity", row.is_some(), head.is_some())));
        }
        let row = spki.and_then(|spki| books.keys.get(&spki)).map(|row| self.of_uid(&row.uid));
        if row != owner {
            return Ok(Err(differs("key", row.is_some(), owner.is_some())));
        }
        Ok(Ok(()))
    }
}

fn differs(what: &str, in_database: bool, in_log: bool) -> String {
    match (in_database, in_log) {
        (false, _) => format!("the database has no row of this {what}, the log proves that it is"),
        (true, false) => format!("the database has a row of this {what} that no event made"),
        (true, true) => format!("the database's row of this {what} is not the one that is proven"),
    }
}
