//! The store: what is durable, and the contract that each engine keeps.
//!
//! The contract's tests (`store/contract.rs`) run against every engine.

mod columns;
pub mod copy;
mod cosign;
mod crls;
mod engine;
mod log;
pub mod measured;
mod moment;
pub(crate) mod notices;
pub mod postgres;
mod read;
pub mod rows;
mod search;
mod sheet;
mod sql;
pub mod sqlite;
mod write;

use async_trait::async_trait;
use tlog::map::PageId;
use tlog::{Edge, StoredHash};
use wire::address::Address;
use wire::{Hash32, IdempotencyKey, UserId};

use rows::{
    Books, CertificateCursor, CertificateRow, CertificateSearch, CheckpointRow, CosignatureRow,
    CrlRow, EntryRow, EventRow, FoundIdentity, GenesisRow, HistoryCursor, HistoryRow, IdentityRow,
    IdentitySearch, LeafRow, MovedRow, Outbox, Proposal, Publication, RecordGroup, Refused,
    RevokedRow, Settled, Unfinished,
};

/// Refusals kept of one identity.
const REFUSALS_KEPT: u64 = 200;

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
    /// Another authority holds the database. Only one may be active.
    #[error("another authority holds the database: {holder}")]
    Held {
        /// What the database says of it.
        holder: String,
    },
    /// The database cannot serve as a store.
    #[error("the database cannot be used: {0}")]
    Unfit(String),
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

impl StoreError {
    /// Whether the same call may succeed later, without anybody's help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Engine(_) | Self::Held { .. })
    }

    /// Whether the authority must not go on: somebody else writes, or the rows are not its own.
    pub(crate) fn is_fatal(&self) -> bool {
        match self {
            Self::Engine(_) => false,
            Self::Moved { .. }
            | Self::Held { .. }
            | Self::Unfit(_)
            | Self::Corrupt { .. }
            | Self::Schema { .. } => true,
        }
    }
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

    /// Stores checkpoints, and certificates for recorded events that they cover; returns what is
    /// stored of the certificates afterwards. The first one stored for an event wins, and so does
    /// the first note of a size; a repetition returns the first. Of co-signatures by one co-signer
    /// at one size, the earliest and the latest are kept.
    async fn publish(&self, publication: &Publication) -> Result<Vec<CertificateRow>, StoreError>;

    /// [`Store::publish`] and [`Store::record`] together: a disk is waited for once where the two
    /// do not change the same rows. Errors are those of `record`; whether the publication was kept
    /// after one is told by publishing it again.
    async fn publish_and_record(
        &self,
        publication: &Publication,
        group: &RecordGroup,
    ) -> Result<Vec<CertificateRow>, StoreError>;

    /// The signed checkpoint of a size, or the latest. Only the newest few thousand are kept.
    async fn checkpoint(&self, size: Option<u64>) -> Result<Option<CheckpointRow>, StoreError>;

    /// Co-signatures by one co-signer of checkpoints that cover a leaf, the smallest checkpoint
    /// first. Of old ones only the first of each minute by the co-signer's clock are kept.
    async fn cosigned_since(
        &self,
        cosigner: Hash32,
        leaf_index: u64,
        limit: u32,
    ) -> Result<Vec<CosignatureRow>, StoreError>;

    /// Co-signatures by one co-signer, the largest checkpoint first.
    async fn cosigned_latest(
        &self,
        cosigner: Hash32,
        limit: u32,
    ) -> Result<Vec<CosignatureRow>, StoreError>;

    /// Hashes of complete subtrees, by their place in the dense numbering; those that are not there
    /// are left out.
    async fn stored_hashes(&self, indexes: &[u64]) -> Result<Vec<StoredHash>, StoreError>;

    /// Leaves from an index (inclusive) to another (exclusive), in order.
    async fn leaves(&self, from: u64, to: u64) -> Result<Vec<LeafRow>, StoreError>;

    /// Leaves from an index (inclusive) to another (exclusive), in order, each with its event, and
    /// with the event's evidence if that is wanted.
    async fn entries(
        &self,
        from: u64,
        to: u64,
        with_evidence: bool,
    ) -> Result<Vec<EntryRow>, StoreError>;

    /// The secret that blinds ids; the genesis event commits to it.
    async fn secret(&self) -> Result<Option<[u8; 32]>, StoreError>;

    /// Leaves that the stored pages of the map account for.
    async fn map_size(&self) -> Result<u64, StoreError>;

    /// Pages of the map, `None` for those that are not there. What is returned is not believed.
    async fn map_pages(&self, ids: &[PageId])
    -> Result<Vec<(PageId, Option<Vec<u8>>)>, StoreError>;

    /// Stores changed pages of the map, which account for `size` leaves afterwards.
    async fn put_map_pages(&self, pages: &[(PageId, Vec<u8>)], size: u64)
    -> Result<(), StoreError>;

    /// Recorded events whose certificate is not stored, oldest first, after a leaf index.
    async fn unfinished(
        &self,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Unfinished>, StoreError>;

    /// All events of an identity, oldest first, with their evidence.
    async fn events_of(&self, uid: &UserId) -> Result<Vec<EventRow>, StoreError>;

    /// Events of an identity with their evidence, oldest first, from a number on.
    async fn events_from(
        &self,
        uid: &UserId,
        sequence: u64,
        limit: u32,
    ) -> Result<Vec<EventRow>, StoreError>;

    /// The event of a leaf, with its evidence.
    async fn event(&self, leaf_index: u64) -> Result<Option<EventRow>, StoreError>;

    /// The identity whose latest event has a leaf with this hash. It is looked for among all of
    /// them.
    async fn with_head(&self, leaf: Hash32) -> Result<Option<UserId>, StoreError>;

    /// All events of the installation but the genesis event, oldest first, with their evidence.
    async fn installation_events(&self) -> Result<Vec<EventRow>, StoreError>;

    /// What was proposed with an intent.
    async fn proposal(&self, intent: Hash32) -> Result<Option<Proposal>, StoreError>;

    /// Identities with a pending switch, by id, after one.
    async fn pending(&self, after: Option<&UserId>, limit: u32) -> Result<Vec<UserId>, StoreError>;

    /// Identities for which something that waits may take effect, the longest due first, with when
    /// (milliseconds since 1970), after one.
    async fn due(
        &self,
        after: Option<&(u64, UserId)>,
        limit: u32,
    ) -> Result<Vec<(u64, UserId)>, StoreError>;

    /// Events that moved or took a key, oldest first, after a leaf index.
    async fn moved(&self, after: Option<u64>, limit: u32) -> Result<Vec<MovedRow>, StoreError>;

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

    /// Certificates that fit, in the search's order, after a place.
    async fn search_certificates(
        &self,
        search: &CertificateSearch,
        after: Option<&CertificateCursor>,
        limit: u32,
    ) -> Result<Vec<CertificateRow>, StoreError>;

    /// Identities that fit, by id, after one.
    async fn search_identities(
        &self,
        search: &IdentitySearch,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<FoundIdentity>, StoreError>;

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

    /// A shard's current CRL.
    async fn crl(&self, issuer: Hash32, shard: u32) -> Result<Option<CrlRow>, StoreError>;

    /// Stores a CRL if its number is higher than that of the one there, or if that one is exactly
    /// `instead_of`, whatever its row says; returns whether it was.
    async fn put_crl(&self, row: &CrlRow, instead_of: Option<&[u8]>) -> Result<bool, StoreError>;

    /// Addresses of an identity's channels that are known, those that are about to leave too.
    async fn known_channels(&self, uid: &UserId) -> Result<Vec<Address>, StoreError>;

    /// Notices whose time has come, those that wait longest first, and how the rest is.
    async fn outbox(&self, now_ms: u64, limit: u32) -> Result<Outbox, StoreError>;

    /// Keeps what came of sending. A notice that is not there any more is left alone.
    async fn settle(&self, settled: &[Settled]) -> Result<(), StoreError>;

    /// Removes addresses that are kept until before `now_ms`, and notices that were given up
    /// before `given_up_before` (both milliseconds since 1970).
    async fn forget(&self, now_ms: u64, given_up_before: u64) -> Result<(), StoreError>;

    /// Whether the engine answers and can write.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Closes every connection. What was written stays; calls fail afterwards.
    async fn close(&self);
}

#[cfg(test)]
pub(crate) mod contract;
