//! SQLite: write-ahead log, `synchronous=FULL`, one writing connection.

mod pack;
mod read;
mod write;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Row, SqlitePool};
use tlog::Edge;
use wire::{Hash32, UserId};

use super::rows::{
    Books, CertificateRow, CrlRow, EventRow, GenesisRow, HistoryCursor, HistoryRow, IdentityRow,
    RecordGroup, Refused, RevokedRow, Unfinished,
};
use super::{Store, StoreError, Wanted};

/// Schema changes in order; the position plus one is the schema's number.
const MIGRATIONS: &[&str] = &[include_str!("../../migrations/sqlite/0001.sql")];

/// Refusals kept of one identity.
pub(super) const REFUSALS_KEPT: u32 = 200;

/// A store in one SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Sqlite {
    /// Opens the file, makes it when it does not exist, and brings its schema up to date.
    ///
    /// # Errors
    /// When the file cannot be opened or written, or has a newer schema.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            .foreign_keys(true);
        let pool = |n| SqlitePoolOptions::new().min_connections(1).max_connections(n);
        let writer = pool(1).connect_with(options.clone()).await?;
        migrate(&writer).await?;
        let readers =
            pool(4).connect_with(options.read_only(true).create_if_missing(false)).await?;
        Ok(Self { writer, readers })
    }

    /// Closes every connection; what was written stays.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

async fn migrate(pool: &SqlitePool) -> Result<(), StoreError> {
    let found: i64 = sqlx::query("PRAGMA user_version").fetch_one(pool).await?.try_get(0)?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(StoreError::Schema { found, known });
    }
    let done = usize::try_from(found).unwrap_or(0);
    for (i, script) in MIGRATIONS.iter().enumerate().skip(done) {
        let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::raw_sql(*script).execute(&mut *tx).await?;
        let version = sqlx::AssertSqlSafe(format!("PRAGMA user_version = {}", i + 1));
        sqlx::raw_sql(version).execute(&mut *tx).await?;
        tx.commit().await?;
    }
    Ok(())
}

#[async_trait]
impl Store for Sqlite {
    async fn genesis(&self) -> Result<Option<GenesisRow>, StoreError> {
        read::genesis(&self.readers).await
    }

    async fn edge(&self) -> Result<Edge, StoreError> {
        read::edge(&self.readers).await
    }

    async fn books(&self, wanted: &Wanted) -> Result<Books, StoreError> {
        read::books(&self.readers, wanted).await
    }

    async fn record(&self, group: &RecordGroup) -> Result<(), StoreError> {
        write::record(&self.writer, group).await
    }

    async fn refuse(&self, refusals: &[Refused]) -> Result<(), StoreError> {
        write::refuse(&self.writer, refusals).await
    }

    async fn publish(&self, signed: &[(u64, Vec<u8>)]) -> Result<Vec<CertificateRow>, StoreError> {
        write::publish(&self.writer, signed).await
    }

    async fn unfinished(
        &self,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Unfinished>, StoreError> {
        read::unfinished(&self.readers, after, limit).await
    }

    async fn events_of(&self, uid: &UserId) -> Result<Vec<EventRow>, StoreError> {
        read::events_of(&self.readers, uid).await
    }

    async fn identity(&self, uid: &UserId) -> Result<Option<IdentityRow>, StoreError> {
        read::identity(&self.readers, uid).await
    }

    async fn certificate(&self, leaf_index: u64) -> Result<Option<CertificateRow>, StoreError> {
        read::certificate(&self.readers, leaf_index).await
    }

    async fn certificates_of(
        &self,
        uid: &UserId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<CertificateRow>, StoreError> {
        read::certificates_of(&self.readers, uid, before, limit).await
    }

    async fn history(
        &self,
        uid: &UserId,
        before: Option<HistoryCursor>,
        limit: u32,
    ) -> Result<Vec<(HistoryCursor, HistoryRow)>, StoreError> {
        read::history(&self.readers, uid, before, limit).await
    }

    async fn revoked(
        &self,
        issuer: Hash32,
        shard: u32,
        until: u64,
    ) -> Result<Vec<RevokedRow>, StoreError> {
        read::revoked(&self.readers, issuer, shard, until).await
    }

    async fn latest_revocation(
        &self,
        issuer: Hash32,
        shard: u32,
    ) -> Result<Option<u64>, StoreError> {
        read::latest_revocation(&self.readers, issuer, shard).await
    }

    async fn crl(&self, issuer: Hash32, shard: u32) -> Result<Option<CrlRow>, StoreError> {
        read::crl(&self.readers, issuer, shard).await
    }

    async fn put_crl(&self, row: &CrlRow) -> Result<bool, StoreError> {
        write::put_crl(&self.writer, row).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        write::ping(&self.writer).await
    }
}
