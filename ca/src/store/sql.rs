//! The contract, kept by every engine through the same statements.

use async_trait::async_trait;
use tlog::map::PageId;
use tlog::{Edge, StoredHash};
use wire::address::Address;
use wire::{Hash32, UserId};

use super::engine::Engine;
use super::rows::{
    Books, CertificateCursor, CertificateRow, CertificateSearch, CheckpointRow, CosignatureRow,
    CrlRow, EntryRow, EventRow, FoundIdentity, GenesisRow, HistoryCursor, HistoryRow, IdentityRow,
    IdentitySearch, LeafRow, MovedRow, Outbox, Proposal, Publication, RecordGroup, Refused,
    RevokedRow, Settled, Unfinished,
};
use super::{Store, StoreError, Wanted, cosign, crls, log, notices, read, search, write};

#[async_trait]
impl<E: Engine> Store for E {
    async fn genesis(&self) -> Result<Option<GenesisRow>, StoreError> {
        read::genesis(self).await
    }

    async fn edge(&self) -> Result<Edge, StoreError> {
        read::edge(self).await
    }

    async fn books(&self, wanted: &Wanted) -> Result<Books, StoreError> {
        read::books(self, wanted).await
    }

    async fn record(&self, group: &RecordGroup) -> Result<(), StoreError> {
        write::record(self, group).await
    }

    async fn refuse(&self, refusals: &[Refused]) -> Result<(), StoreError> {
        write::refuse(self, refusals).await
    }

    async fn publish(&self, publication: &Publication) -> Result<Vec<CertificateRow>, StoreError> {
        write::publish(self, publication).await
    }

    async fn publish_and_record(
        &self,
        publication: &Publication,
        group: &RecordGroup,
    ) -> Result<Vec<CertificateRow>, StoreError> {
        write::publish_and_record(self, publication, group).await
    }

    async fn checkpoint(&self, size: Option<u64>) -> Result<Option<CheckpointRow>, StoreError> {
        log::checkpoint(self, size).await
    }

    async fn cosigned_since(
        &self,
        cosigner: Hash32,
        leaf_index: u64,
        limit: u32,
    ) -> Result<Vec<CosignatureRow>, StoreError> {
        cosign::since(self, cosigner, leaf_index, limit).await
    }

    async fn cosigned_latest(
        &self,
        cosigner: Hash32,
        limit: u32,
    ) -> Result<Vec<CosignatureRow>, StoreError> {
        cosign::latest(self, cosigner, limit).await
    }

    async fn stored_hashes(&self, indexes: &[u64]) -> Result<Vec<StoredHash>, StoreError> {
        log::stored_hashes(self, indexes).await
    }

    async fn leaves(&self, from: u64, to: u64) -> Result<Vec<LeafRow>, StoreError> {
        log::leaves(self, from, to).await
    }

    async fn entries(
        &self,
        from: u64,
        to: u64,
        with_evidence: bool,
    ) -> Result<Vec<EntryRow>, StoreError> {
        log::entries(self, from, to, with_evidence).await
    }

    async fn secret(&self) -> Result<Option<[u8; 32]>, StoreError> {
        log::secret(self).await
    }

    async fn map_size(&self) -> Result<u64, StoreError> {
        log::map_size(self).await
    }

    async fn map_pages(
        &self,
        ids: &[PageId],
    ) -> Result<Vec<(PageId, Option<Vec<u8>>)>, StoreError> {
        log::map_pages(self, ids).await
    }

    async fn put_map_pages(
        &self,
        pages: &[(PageId, Vec<u8>)],
        size: u64,
    ) -> Result<(), StoreError> {
        log::put_map_pages(self, pages, size).await
    }

    async fn unfinished(
        &self,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Unfinished>, StoreError> {
        read::unfinished(self, after, limit).await
    }

    async fn events_of(&self, uid: &UserId) -> Result<Vec<EventRow>, StoreError> {
        read::events_of(self, uid).await
    }

    async fn events_from(
        &self,
        uid: &UserId,
        sequence: u64,
        limit: u32,
    ) -> Result<Vec<EventRow>, StoreError> {
        read::events_from(self, uid, sequence, limit).await
    }

    async fn event(&self, leaf_index: u64) -> Result<Option<EventRow>, StoreError> {
        read::event(self, leaf_index).await
    }

    async fn with_head(&self, leaf: Hash32) -> Result<Option<UserId>, StoreError> {
        read::with_head(self, leaf).await
    }

    async fn installation_events(&self) -> Result<Vec<EventRow>, StoreError> {
        read::installation_events(self).await
    }

    async fn proposal(&self, intent: Hash32) -> Result<Option<Proposal>, StoreError> {
        read::proposal(self, intent).await
    }

    async fn pending(&self, after: Option<&UserId>, limit: u32) -> Result<Vec<UserId>, StoreError> {
        read::pending(self, after, limit).await
    }

    async fn due(
        &self,
        after: Option<&(u64, UserId)>,
        limit: u32,
    ) -> Result<Vec<(u64, UserId)>, StoreError> {
        read::due(self, after, limit).await
    }

    async fn moved(&self, after: Option<u64>, limit: u32) -> Result<Vec<MovedRow>, StoreError> {
        read::moved(self, after, limit).await
    }

    async fn identity(&self, uid: &UserId) -> Result<Option<IdentityRow>, StoreError> {
        read::identity(self, uid).await
    }

    async fn certificate(&self, leaf_index: u64) -> Result<Option<CertificateRow>, StoreError> {
        read::certificate(self, leaf_index).await
    }

    async fn certificates_of(
        &self,
        uid: &UserId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<CertificateRow>, StoreError> {
        read::certificates_of(self, uid, before, limit).await
    }

    async fn search_certificates(
        &self,
        search: &CertificateSearch,
        after: Option<&CertificateCursor>,
        limit: u32,
    ) -> Result<Vec<CertificateRow>, StoreError> {
        search::certificates(self, search, after, limit).await
    }

    async fn search_identities(
        &self,
        search: &IdentitySearch,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<FoundIdentity>, StoreError> {
        search::identities(self, search, after, limit).await
    }

    async fn history(
        &self,
        uid: &UserId,
        before: Option<HistoryCursor>,
        limit: u32,
    ) -> Result<Vec<(HistoryCursor, HistoryRow)>, StoreError> {
        read::history(self, uid, before, limit).await
    }

    async fn revoked(
        &self,
        issuer: Hash32,
        shard: u32,
        until: u64,
    ) -> Result<Vec<RevokedRow>, StoreError> {
        read::revoked(self, issuer, shard, until).await
    }

    async fn crl(&self, issuer: Hash32, shard: u32) -> Result<Option<CrlRow>, StoreError> {
        crls::get(self, issuer, shard).await
    }

    async fn put_crl(&self, row: &CrlRow, instead_of: Option<&[u8]>) -> Result<bool, StoreError> {
        crls::put(self, row, instead_of).await
    }

    async fn known_channels(&self, uid: &UserId) -> Result<Vec<Address>, StoreError> {
        notices::known_channels(self, uid).await
    }

    async fn outbox(&self, now_ms: u64, limit: u32) -> Result<Outbox, StoreError> {
        notices::outbox(self, now_ms, limit).await
    }

    async fn settle(&self, settled: &[Settled]) -> Result<(), StoreError> {
        notices::settle(self, settled).await
    }

    async fn forget(&self, now_ms: u64, given_up_before: u64) -> Result<(), StoreError> {
        notices::forget(self, now_ms, given_up_before).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        write::ping(self).await
    }

    async fn close(&self) {
        self.end().await;
    }
}
