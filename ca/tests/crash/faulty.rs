//! A store that fails where it is told to, once: before it did what it was asked, or after, so that
//! the answer is lost. Then it either goes on, or the whole process is as good as dead.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use avouch_ca::store::rows::{
    Books, CertificateCursor, CertificateRow, CertificateSearch, CheckpointRow, CosignatureRow,
    CrlRow, EntryRow, EventRow, FoundIdentity, GenesisRow, HistoryCursor, HistoryRow, IdentityRow,
    IdentitySearch, LeafRow, MovedRow, NewEvent, NoticeRows, Proposal, Publication, RecordGroup,
    Refused, RevokedRow, Unfinished,
};
use avouch_ca::store::sqlite::Sqlite;
use avouch_ca::store::{Store, StoreError, Wanted};
use policy::Identity;
use tlog::map::{Map, PageId};
use tlog::{Edge, StoredHash};
use wire::event::{Certified, Event};
use wire::leaf::{Leaf, blinded_key, commitment};
use wire::{Encoded, Hash32, UserId, octets};

/// When a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Nothing was done.
    Before,
    /// It was done: failed but persisted.
    After,
}

/// What comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The caller is told of an error, and later calls work.
    Error,
    /// Nobody is told of anything any more.
    Death,
}

/// One fault: the `nth` call (from 0) of a method.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) method: &'static str,
    pub(crate) nth: usize,
    pub(crate) when: When,
    pub(crate) then: Then,
}

/// What somebody who writes to the database makes of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forgery {
    /// The event calls for another certificate than its request.
    ForeignTbs,
    /// The event is two days later than it was.
    Future,
}

/// The store with its fault, if there is one.
#[derive(Debug)]
pub(crate) struct Faulty {
    store: Sqlite,
    fault: Option<Fault>,
    /// Counts only once it is armed: a start reads and writes, too.
    armed: AtomicBool,
    calls: AtomicUsize,
    met: AtomicBool,
    dead: AtomicBool,
    /// The next group that is recorded is forged, and then nobody is told of anything any more.
    forges: Mutex<Option<Forgery>>,
}

impl Faulty {
    pub(crate) fn new(store: Sqlite, fault: Option<Fault>) -> Self {
        Self {
            store,
            fault,
            armed: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
            met: AtomicBool::new(false),
            dead: AtomicBool::new(false),
            forges: Mutex::new(None),
        }
    }

    /// From here on somebody who writes to the database puts a forged group in the next one's
    /// place.
    pub(crate) fn forge(&self, forgery: Forgery) {
        *self.forges.lock().expect("nobody panics with it") = Some(forgery);
    }

    async fn recorded(&self, group: &RecordGroup) -> Result<(), StoreError> {
        let forgery = *self.forges.lock().expect("nobody panics with it");
        let Some(forgery) = forgery else { return self.store.record(group).await };
        let (edge, secret) = (self.store.edge().await?, self.store.secret().await?);
        self.store.record(&forged(forgery, group, edge, &secret.unwrap_or_default())).await?;
        self.dead.store(true, Ordering::SeqCst);
        std::future::pending().await
    }

    /// From here on calls count.
    pub(crate) fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    /// From here on nothing fails any more.
    pub(crate) fn disarm(&self) {
        self.armed.store(false, Ordering::SeqCst);
    }

    /// Whether the fault was met.
    pub(crate) fn met(&self) -> bool {
        self.met.load(Ordering::SeqCst)
    }

    /// Whether nobody is told of anything any more.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    async fn around<T>(
        &self,
        method: &'static str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
        let Some(fault) = self.fault.filter(|fault| fault.method == method) else {
            return call.await;
        };
        let armed = self.armed.load(Ordering::SeqCst);
        if !armed || self.calls.fetch_add(1, Ordering::SeqCst) != fault.nth {
            return call.await;
        }
        if fault.when == When::After {
            call.await?;
        }
        self.met.store(true, Ordering::SeqCst);
        if fault.then == Then::Death {
            self.dead.store(true, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
        Err(StoreError::Engine(sqlx::Error::WorkerCrashed))
    }
}

/// Every method, handed on through [`Faulty::around`].
macro_rules! handed_on {
    (record by $recorded:ident; $($name:ident($($argument:ident: $ty:ty),*) -> $out:ty;)+) => {
        #[async_trait]
        impl Store for Faulty {
            async fn record(&self, group: &RecordGroup) -> Result<(), StoreError> {
                self.around("record", self.$recorded(group)).await
            }

            $(
                async fn $name(&self, $($argument: $ty),*) -> Result<$out, StoreError> {
                    self.around(stringify!($name), self.store.$name($($argument),*)).await
                }
            )+

            async fn close(&self) {
                self.store.close().await;
            }
        }
    };
}

handed_on! {
    record by recorded;
    genesis() -> Option<GenesisRow>;
    edge() -> Edge;
    cosigned_since(cosigner: Hash32, leaf_index: u64, limit: u32) -> Vec<CosignatureRow>;
    cosigned_latest(cosigner: Hash32, limit: u32) -> Vec<CosignatureRow>;
    books(wanted: &Wanted) -> Books;
    refuse(refusals: &[Refused]) -> ();
    publish(publication: &Publication) -> Vec<CertificateRow>;
    publish_and_record(
        publication: &Publication, group: &RecordGroup
    ) -> Vec<CertificateRow>;
    checkpoint(size: Option<u64>) -> Option<CheckpointRow>;
    stored_hashes(indexes: &[u64]) -> Vec<StoredHash>;
    leaves(from: u64, to: u64) -> Vec<LeafRow>;
    entries(from: u64, to: u64, with_evidence: bool) -> Vec<EntryRow>;
    secret() -> Option<[u8; 32]>;
    map_size() -> u64;
    map_pages(ids: &[PageId]) -> Vec<(PageId, Option<Vec<u8>>)>;
    put_map_pages(pages: &[(PageId, Vec<u8>)], size: u64) -> ();
    unfinished(after: Option<u64>, limit: u32) -> Vec<Unfinished>;
    events_of(uid: &UserId) -> Vec<EventRow>;
    events_from(uid: &UserId, sequence: u64, limit: u32) -> Vec<EventRow>;
    event(leaf_index: u64) -> Option<EventRow>;
    with_head(leaf: Hash32) -> Option<UserId>;
    installation_events() -> Vec<EventRow>;
    proposal(intent: Hash32) -> Option<Proposal>;
    pending(after: Option<&UserId>, limit: u32) -> Vec<UserId>;
    due(after: Option<&(u64, UserId)>, limit: u32) -> Vec<(u64, UserId)>;
    moved(after: Option<u64>, limit: u32) -> Vec<MovedRow>;
    identity(uid: &UserId) -> Option<IdentityRow>;
    certificate(leaf_index: u64) -> Option<CertificateRow>;
    certificates_of(uid: &UserId, before: Option<u64>, limit: u32) -> Vec<CertificateRow>;
    search_certificates(
        search: &CertificateSearch, after: Option<&CertificateCursor>, limit: u32
    ) -> Vec<CertificateRow>;
    search_identities(
        search: &IdentitySearch, after: Option<&UserId>, limit: u32
    ) -> Vec<FoundIdentity>;
    history(
        uid: &UserId, before: Option<HistoryCursor>, limit: u32
    ) -> Vec<(HistoryCursor, HistoryRow)>;
    revoked(issuer: Hash32, shard: u32, until: u64) -> Vec<RevokedRow>;
    crl(issuer: Hash32, shard: u32) -> Option<CrlRow>;
    put_crl(row: &CrlRow, instead_of: Option<&[u8]>) -> bool;
    known_channels(uid: &UserId) -> Vec<wire::address::Address>;
    outbox(now_ms: u64, limit: u32) -> avouch_ca::store::rows::Outbox;
    settle(settled: &[avouch_ca::store::rows::Settled]) -> ();
    forget(now_ms: u64, given_up_before: u64) -> ();
    ping() -> ();
}

/// The first enrolment of a log with an event that is forged, and all else made to fit: leaf,
/// identity, map and tree.
fn forged(forgery: Forgery, group: &RecordGroup, mut edge: Edge, secret: &[u8; 32]) -> RecordGroup {
    let [new] = &group.events[..] else { panic!("one enrolment") };
    let mut body = Certified::from_canonical(new.event.body.as_bytes()).expect("it certifies");
    let mut event = new.event.clone();
    match forgery {
        Forgery::ForeignTbs => body.tbs = Hash32::of(b"the TBS of mallory's certificate"),
        Forgery::Future => event.time_ms += 2 * 24 * 60 * 60 * 1000,
    }
    let event = Event { body: octets(&body.to_canonical()), ..event };
    let leaf =
        Leaf { commitment: commitment(&new.salt, &event.to_canonical()), ..new.leaf.clone() };
    let mut identity = new.identity.clone().expect("somebody's");
    let plain = Identity { head: leaf.leaf_hash(), ..identity.identity };
    identity.identity = plain.with_details(None).expect("nothing beside the key");
    let key = new.new_key.clone().expect("a new one");
    let at = leaf.blinded_id;
    let changes =
        [(at, identity.identity.proven_head().hash()), (blinded_key(secret, key.hash), at)];
    let root = Map::empty(64).stage(&changes).expect("an empty map is all there").root();
    let map_root = Leaf { commitment: root, ..group.map_root.clone() };
    let mut hashes = edge.append(leaf.leaf_hash()).stored;
    hashes.extend(edge.append(map_root.leaf_hash()).stored);
    let forged = NewEvent {
        leaf_index: new.leaf_index,
        leaf,
        salt: new.salt,
        event,
        evidence: new.evidence.clone(),
        identity: Some(identity),
        new_key: Some(key),
        certificate: new.certificate.clone(),
        revocation: None,
        proposal: None,
        addresses: Vec::new(),
        completes: None,
        idempotency: new.idempotency.clone(),
    };
    RecordGroup {
        expected_size: group.expected_size,
        events: vec![forged],
        map_root,
        hashes,
        secret: None,
        notices: NoticeRows::default(),
    }
}
