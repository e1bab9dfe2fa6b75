//! The store: what is durable, and the contract that each engine keeps.
//!
//! The contract's tests (`store/contract.rs`) run against every engine.

pub mod rows;
pub mod sqlite;

use async_trait::async_trait;
use tlog::Edge;
use wire::{Hash32, IdempotencyKey, UserId};

use rows::{
    Books, CertificateRow, CrlRow, EventRow, GenesisRow, HistoryCursor, HistoryRow, IdentityRow,
    RecordGroup, Refused, RevokedRow, Unfinished,
};

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The engine failed or cannot be reached. Nothing of the call was kept, or, when the
    /// connection broke while committing, all of it: ask again before trying again.
    #[error("the database failed: {0}")]
    Engine(#[from] sqlx::Error),
    /// Somebody else appended to the log since it was read. Only one authority may be active, so
    /// whoever sees this stops.
    #[error("the log has {found} leaves where {expected} were read: another authority is writing")]
    Moved {
        /// Leaves as read.
        expected: u64,
        /// Leaves now.
        found: u64,
    },
    /// A row that cannot be what this program wrote.
    #[error("{table}: {reason}")]
    Corrupt {
        /// Which table.
        table: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The database was written by another version of this program.
    #[error("the database has schema {found}; this program knows up to {known}")]
    Schema {
        /// Schema found.
        found: i64,
        /// Newest known.
        known: i64,
    },
}

/// What decisions on a group of requests need to read.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Identities.
    pub uids: Vec<UserId>,
    /// Keys, by SHA-256 of the SubjectPublicKeyInfo.
    pub keys: Vec<Hash32>,
    /// Idempotency keys.
    pub idempotency: Vec<IdempotencyKey>,
}

/// Durable state of one installation.
///
/// **Durability**: when a writing call returns `Ok`, what it wrote survives a crash of the process
/// and of the machine. **Atomicity**: each writing call is one transaction. **Concurrency**: calls
/// may come from many tasks; there is one writing authority, and a second one is found out by
/// [`Store::record`]. **Retries**: every call may be repeated after an error; the docs of each say
/// what a repetition finds.
#[async_trait]
pub trait Store: std::fmt::Debug + Send + Sync {
    /// The genesis event with its salt; `None` in an empty store.
    async fn genesis(&self) -> Result<Option<GenesisRow>, StoreError>;

    /// The log's right edge.
    async fn edge(&self) -> Result<Edge, StoreError>;

    /// Rows that decisions rest on, of one moment. They hold as long as the log does not grow.
    async fn books(&self, wanted: &Wanted) -> Result<Books, StoreError>;

    /// Appends events with everything that follows from them, if the log still has
    /// `group.expected_size` leaves; else [`StoreError::Moved`] and nothing is written. A
    /// repetition after an unclear failure finds the log grown.
    async fn record(&self, group: &RecordGroup) -> Result<(), StoreError>;

    /// Keeps refusals, the newest few hundred of each identity. Those of ids that do not exist are
    /// dropped: strangers could fill the disk with them.
    async fn refuse(&self, refusals: &[Refused]) -> Result<(), StoreError>;

    /// Stores certificates (leaf index, DER) for recorded events and returns what is stored
    /// afterwards. The first one stored for an event wins; a repetition returns the first.
    async fn publish(&self, signed: &[(u64, Vec<u8>)]) -> Result<Vec<CertificateRow>, StoreError>;

    /// Recorded events whose certificate is not stored, oldest first, after a leaf index.
    async fn unfinished(
        &self,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Unfinished>, StoreError>;

    /// All events of an identity, oldest first, with their evidence.
    async fn events_of(&self, uid: &UserId) -> Result<Vec<EventRow>, StoreError>;

    /// An identity.
    async fn identity(&self, uid: &UserId) -> Result<Option<IdentityRow>, StoreError>;

    /// The certificate that follows from a leaf.
    async fn certificate(&self, leaf_index: u64) -> Result<Option<CertificateRow>, StoreError>;

    /// An identity's certificates, newest first, before a leaf index.
    async fn certificates_of(
        &self,
        uid: &UserId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<CertificateRow>, StoreError>;

    /// An identity's accepted events and refusals, newest first, before a line.
    async fn history(
        &self,
        uid: &UserId,
        before: Option<HistoryCursor>,
        limit: u32,
    ) -> Result<Vec<(HistoryCursor, HistoryRow)>, StoreError>;

    /// Revoked certificates of a CRL shard whose notAfter is not before `until` (seconds since 1970).
    async fn revoked(
        &self,
        issuer: Hash32,
        shard: u32,
        until: u64,
    ) -> Result<Vec<RevokedRow>, StoreError>;

    /// Leaf index of the latest revocation in a shard.
    async fn latest_revocation(
        &self,
        issuer: Hash32,
        shard: u32,
    ) -> Result<Option<u64>, StoreError>;

    /// A shard's current CRL.
    async fn crl(&self, issuer: Hash32, shard: u32) -> Result<Option<CrlRow>, StoreError>;

    /// Stores a CRL if its number is higher than that of the one there; returns whether it was.
    async fn put_crl(&self, row: &CrlRow) -> Result<bool, StoreError>;

    /// Whether the engine answers and can write.
    async fn ping(&self) -> Result<(), StoreError>;
}

#[cfg(test)]
mod contract;
