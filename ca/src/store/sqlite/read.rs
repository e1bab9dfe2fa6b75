//! Reading calls.

use policy::{Identity, Key, Status};
use sqlx::sqlite::SqliteRow;
use sqlx::{Executor, Row, Sqlite, SqlitePool};
use tlog::{Edge, StoredHash};
use wire::event::{Event, EventKind, EvidenceRef, RevocationReason};
use wire::leaf::Leaf;
use wire::{Encoded, Hash32, IdempotencyKey, SerialNumber, UserId};

use super::super::rows::{
    Books, CertificateRow, CrlRow, EventRow, GenesisRow, HistoryCursor, HistoryRow, IdempotencyRow,
    IdentityRow, KeyRow, Refused, RevokedRow, Unfinished,
};
use super::super::{StoreError, Wanted};
use super::write::signed;

type Result<T> = std::result::Result<T, StoreError>;

/// Reads one column of a row and names the table when it is not as written.
struct Columns<'a> {
    table: &'static str,
    row: &'a SqliteRow,
}

impl<'a> Columns<'a> {
    fn of(table: &'static str, row: &'a SqliteRow) -> Self {
        Self { table, row }
    }

    fn corrupt(&self, column: &str, reason: impl std::fmt::Display) -> StoreError {
        StoreError::Corrupt { table: self.table, reason: format!("{column}: {reason}") }
    }

    fn int(&self, column: &str) -> Result<i64> {
        Ok(self.row.try_get(column)?)
    }

    fn u64(&self, column: &str) -> Result<u64> {
        u64::try_from(self.int(column)?).map_err(|e| self.corrupt(column, e))
    }

    fn bytes(&self, column: &str) -> Result<Vec<u8>> {
        Ok(self.row.try_get(column)?)
    }

    fn opt_bytes(&self, column: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.row.try_get(column)?)
    }

    fn text(&self, column: &str) -> Result<String> {
        Ok(self.row.try_get(column)?)
    }

    fn fixed<const N: usize>(&self, column: &str) -> Result<[u8; N]> {
        let bytes = self.bytes(column)?;
        <[u8; N]>::try_from(bytes.as_slice())
            .map_err(|_| self.corrupt(column, format!("{} bytes, not {N}", bytes.len())))
    }

    fn hash(&self, column: &str) -> Result<Hash32> {
        self.fixed(column).map(Hash32::from_bytes)
    }

    fn opt_hash(&self, column: &str) -> Result<Option<Hash32>> {
        match self.opt_bytes(column)? {
            None => Ok(None),
            Some(_) => self.hash(column).map(Some),
        }
    }

    fn uid(&self, column: &str) -> Result<UserId> {
        UserId::parse(&self.text(column)?).map_err(|e| self.corrupt(column, e))
    }

    fn serial(&self, column: &str) -> Result<SerialNumber> {
        SerialNumber::from_slice(&self.bytes(column)?)
            .ok_or_else(|| self.corrupt(column, "not a serial number of this installation"))
    }

    fn format<T: Encoded>(&self, column: &str) -> Result<T> {
        T::from_canonical(&self.bytes(column)?).map_err(|e| self.corrupt(column, e))
    }

    fn numbered<T>(&self, column: &str, read: impl Fn(u8) -> Option<T>) -> Result<T> {
        let n = self.int(column)?;
        u8::try_from(n)
            .ok()
            .and_then(read)
            .ok_or_else(|| self.corrupt(column, format!("unknown {n}")))
    }
}

pub(super) async fn size<'e, E: Executor<'e, Database = Sqlite>>(executor: E) -> Result<u64> {
    let row = sqlx::query("SELECT size FROM tree").fetch_one(executor).await?;
    Columns::of("tree", &row).u64("size")
}

pub(super) async fn genesis(pool: &SqlitePool) -> Result<Option<GenesisRow>> {
    let found = sqlx::query("SELECT leaf, salt, event FROM event WHERE leaf_index = 0")
        .fetch_optional(pool)
        .await?;
    let Some(row) = found else { return Ok(None) };
    let columns = Columns::of("event", &row);
    Ok(Some(GenesisRow {
        leaf: columns.format("leaf")?,
        salt: columns.fixed("salt")?,
        event: columns.format("event")?,
    }))
}

pub(super) async fn edge(pool: &SqlitePool) -> Result<Edge> {
    let mut tx = pool.begin().await?;
    let size = size(&mut *tx).await?;
    let rows = sqlx::query(
        "SELECT idx, hash FROM stored_hash WHERE idx IN (SELECT value FROM json_each(?1))",
    )
    .bind(serde_json::json!(Edge::indexes(size)).to_string())
    .fetch_all(&mut *tx)
    .await?;
    let stored = rows
        .iter()
        .map(|row| {
            let columns = Columns::of("stored_hash", row);
            Ok(StoredHash { index: columns.u64("idx")?, hash: columns.hash("hash")? })
        })
        .collect::<Result<Vec<_>>>()?;
    Edge::load(size, &stored)
        .map_err(|e| StoreError::Corrupt { table: "stored_hash", reason: e.to_string() })
}

pub(super) async fn books(pool: &SqlitePool, wanted: &Wanted) -> Result<Books> {
    let mut tx = pool.begin().await?;
    let mut books = Books::default();
    let texts = |list: Vec<&str>| serde_json::json!(list).to_string();
    let uids = texts(wanted.uids.iter().map(UserId::as_str).collect());
    let identities =
        sqlx::query("SELECT * FROM identity WHERE uid IN (SELECT value FROM json_each(?1))")
            .bind(uids)
            .fetch_all(&mut *tx)
            .await?;
    for row in &identities {
        let row = identity_row(row)?;
        books.identities.insert(row.identity.uid.clone(), row);
    }
    let hashes: Vec<String> = wanted.keys.iter().map(Hash32::to_string).collect();
    let keys = sqlx::query(
        "SELECT * FROM subject_key WHERE hash IN (SELECT unhex(value) FROM json_each(?1))",
    )
    .bind(serde_json::json!(hashes).to_string())
    .fetch_all(&mut *tx)
    .await?;
    for row in &keys {
        let columns = Columns::of("subject_key", row);
        let (hash, uid) = (columns.hash("hash")?, columns.uid("uid")?);
        let (spki, algorithm) = (columns.bytes("spki")?, columns.text("algorithm")?);
        books.keys.insert(hash, KeyRow { hash, uid, spki, algorithm });
    }
    if !wanted.idempotency.is_empty() {
        let keys = texts(wanted.idempotency.iter().map(IdempotencyKey::as_str).collect());
        let used =
            sqlx::query("SELECT * FROM idempotency WHERE key IN (SELECT value FROM json_each(?1))")
                .bind(keys)
                .fetch_all(&mut *tx)
                .await?;
        for row in &used {
            let columns = Columns::of("idempotency", row);
            let key = IdempotencyKey::parse(&columns.text("key")?)
                .map_err(|e| columns.corrupt("key", e))?;
            let (request, leaf_index) = (columns.hash("request")?, columns.u64("leaf_index")?);
            books.idempotency.insert(key, IdempotencyRow { request, leaf_index });
        }
    }
    Ok(books)
}

fn identity_row(row: &SqliteRow) -> Result<IdentityRow> {
    let columns = Columns::of("identity", row);
    let key = match columns.opt_hash("key_hash")? {
        None => None,
        Some(spki) => Some(Key {
            spki,
            number: columns.u64("key_number")?,
            possession_proven: columns.int("key_proven")? != 0,
        }),
    };
    let identity = Identity {
        uid: columns.uid("uid")?,
        status: columns.numbered("status", status)?,
        sequence: columns.u64("sequence")?,
        head: columns.hash("head")?,
        key,
        recovery_commitment: columns.opt_hash("recovery")?,
    };
    Ok(IdentityRow {
        identity,
        blinding_key: columns.fixed("blinding_key")?,
        created_ms: columns.u64("created_ms")?,
        updated_ms: columns.u64("updated_ms")?,
    })
}

fn status(n: u8) -> Option<Status> {
    match n {
        0 => Some(Status::Active),
        1 => Some(Status::Suspended),
        2 => Some(Status::Retired),
        _ => None,
    }
}

pub(super) async fn identity(pool: &SqlitePool, uid: &UserId) -> Result<Option<IdentityRow>> {
    let found = sqlx::query("SELECT * FROM identity WHERE uid = ?1")
        .bind(uid.as_str())
        .fetch_optional(pool)
        .await?;
    found.as_ref().map(identity_row).transpose()
}

pub(super) async fn unfinished(
    pool: &SqlitePool,
    after: Option<u64>,
    limit: u32,
) -> Result<Vec<Unfinished>> {
    let rows = sqlx::query(
        "SELECT leaf_index, uid FROM certificate WHERE certificate IS NULL AND leaf_index > ?1 \
         ORDER BY leaf_index LIMIT ?2",
    )
    .bind(after.map_or(-1, signed))
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            let columns = Columns::of("certificate", row);
            Ok(Unfinished { leaf_index: columns.u64("leaf_index")?, uid: columns.uid("uid")? })
        })
        .collect()
}

pub(super) async fn events_of(pool: &SqlitePool, uid: &UserId) -> Result<Vec<EventRow>> {
    let mut tx = pool.begin().await?;
    let rows = sqlx::query(
        "SELECT leaf_index, leaf, salt, event FROM event WHERE uid = ?1 ORDER BY sequence",
    )
    .bind(uid.as_str())
    .fetch_all(&mut *tx)
    .await?;
    let mut events = Vec::with_capacity(rows.len());
    for row in &rows {
        let columns = Columns::of("event", row);
        let event: Event = columns.format("event")?;
        let leaf: Leaf = columns.format("leaf")?;
        let mut evidence = Vec::with_capacity(event.evidence.len());
        for reference in &event.evidence {
            evidence.push((reference.clone(), data_of(&mut *tx, reference).await?));
        }
        let (leaf_index, salt) = (columns.u64("leaf_index")?, columns.fixed("salt")?);
        events.push(EventRow { leaf_index, leaf, salt, event, evidence });
    }
    Ok(events)
}

async fn data_of<'e, E: Executor<'e, Database = Sqlite>>(
    executor: E,
    reference: &EvidenceRef,
) -> Result<Vec<u8>> {
    let missing = || StoreError::Corrupt {
        table: "evidence",
        reason: format!("{} {} is missing", reference.kind, reference.hash),
    };
    let row = sqlx::query("SELECT data FROM evidence WHERE hash = ?1")
        .bind(&reference.hash.as_bytes()[..])
        .fetch_optional(executor)
        .await?
        .ok_or_else(missing)?;
    Columns::of("evidence", &row).bytes("data")
}

pub(super) async fn certificate(
    pool: &SqlitePool,
    leaf_index: u64,
) -> Result<Option<CertificateRow>> {
    Ok(certificates(pool, &[leaf_index]).await?.pop())
}

pub(super) async fn certificates<'e, E: Executor<'e, Database = Sqlite>>(
    executor: E,
    leaves: &[u64],
) -> Result<Vec<CertificateRow>> {
    let rows = sqlx::query(
        "SELECT * FROM certificate WHERE leaf_index IN (SELECT value FROM json_each(?1))",
    )
    .bind(serde_json::json!(leaves).to_string())
    .fetch_all(executor)
    .await?;
    rows.iter().map(certificate_row).collect()
}

pub(super) async fn certificates_of(
    pool: &SqlitePool,
    uid: &UserId,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<CertificateRow>> {
    let rows = sqlx::query(
        "SELECT * FROM certificate WHERE uid = ?1 AND leaf_index < ?2 \
         ORDER BY leaf_index DESC LIMIT ?3",
    )
    .bind(uid.as_str())
    .bind(before.map_or(i64::MAX, signed))
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?;
    rows.iter().map(certificate_row).collect()
}

fn certificate_row(row: &SqliteRow) -> Result<CertificateRow> {
    let columns = Columns::of("certificate", row);
    let revoked_leaf: Option<i64> = row.try_get("revoked_leaf")?;
    let revoked = match revoked_leaf {
        None => None,
        Some(_) => Some((
            columns.u64("revoked_ms")?,
            columns.numbered("revoked_reason", RevocationReason::from_number)?,
        )),
    };
    Ok(CertificateRow {
        leaf_index: columns.u64("leaf_index")?,
        serial: columns.serial("serial")?,
        uid: columns.uid("uid")?,
        kind: columns.numbered("kind", EventKind::from_number)?,
        sequence: columns.u64("sequence")?,
        key: columns.hash("key_hash")?,
        issuer: columns.hash("issuer")?,
        shard: u32::try_from(columns.int("shard")?).map_err(|e| columns.corrupt("shard", e))?,
        not_before: columns.u64("not_before")?,
        not_after: columns.u64("not_after")?,
        vouched: columns.text("vouched")?,
        certificate: columns.opt_bytes("certificate")?,
        revoked,
    })
}

pub(super) async fn history(
    pool: &SqlitePool,
    uid: &UserId,
    before: Option<HistoryCursor>,
    limit: u32,
) -> Result<Vec<(HistoryCursor, HistoryRow)>> {
    let end = HistoryCursor { at_ms: u64::MAX, source: u8::MAX, number: u64::MAX };
    let before = before.unwrap_or(end);
    let rows = sqlx::query(
        "SELECT * FROM (SELECT at_ms, 0 AS source, sequence AS number, leaf_index, event, uid, \
         NULL AS verb, NULL AS key_hash, NULL AS code, NULL AS detail, NULL AS vouched \
         FROM event WHERE uid = ?1 UNION ALL \
         SELECT at_ms, 1, id, NULL, NULL, uid, verb, key_hash, code, detail, vouched \
         FROM refusal WHERE uid = ?1) WHERE (at_ms, source, number) < (?2, ?3, ?4) \
         ORDER BY at_ms DESC, source DESC, number DESC LIMIT ?5",
    )
    .bind(uid.as_str())
    .bind(signed(before.at_ms))
    .bind(i64::from(before.source))
    .bind(signed(before.number))
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?;
    rows.iter().map(history_row).collect()
}

fn history_row(row: &SqliteRow) -> Result<(HistoryCursor, HistoryRow)> {
    let columns = Columns::of("history", row);
    let cursor = HistoryCursor {
        at_ms: columns.u64("at_ms")?,
        source: columns.numbered("source", Some)?,
        number: columns.u64("number")?,
    };
    let line = if cursor.source == 0 {
        let (leaf_index, event) = (columns.u64("leaf_index")?, columns.format("event")?);
        HistoryRow::Accepted { leaf_index, event }
    } else {
        HistoryRow::Refused(Refused {
            uid: columns.uid("uid")?,
            at_ms: cursor.at_ms,
            verb: columns.text("verb")?,
            key: columns.opt_hash("key_hash")?,
            code: columns.text("code")?,
            detail: columns.text("detail")?,
            vouched: columns.text("vouched")?,
        })
    };
    Ok((cursor, line))
}

pub(super) async fn revoked(
    pool: &SqlitePool,
    issuer: Hash32,
    shard: u32,
    now: u64,
) -> Result<Vec<RevokedRow>> {
    let rows = sqlx::query(
        "SELECT serial, revoked_ms, revoked_reason FROM certificate WHERE issuer = ?1 \
         AND shard = ?2 AND revoked_leaf IS NOT NULL AND not_after >= ?3 ORDER BY leaf_index",
    )
    .bind(&issuer.as_bytes()[..])
    .bind(i64::from(shard))
    .bind(signed(now))
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            let columns = Columns::of("certificate", row);
            Ok(RevokedRow {
                serial: columns.serial("serial")?,
                at_ms: columns.u64("revoked_ms")?,
                reason: columns.numbered("revoked_reason", RevocationReason::from_number)?,
            })
        })
        .collect()
}

pub(super) async fn latest_revocation(
    pool: &SqlitePool,
    issuer: Hash32,
    shard: u32,
) -> Result<Option<u64>> {
    let row = sqlx::query(
        "SELECT max(revoked_leaf) AS leaf FROM certificate WHERE issuer = ?1 AND shard = ?2 \
         AND revoked_leaf IS NOT NULL",
    )
    .bind(&issuer.as_bytes()[..])
    .bind(i64::from(shard))
    .fetch_one(pool)
    .await?;
    let leaf: Option<i64> = row.try_get("leaf")?;
    Ok(leaf.and_then(|leaf| u64::try_from(leaf).ok()))
}

pub(super) async fn crl(pool: &SqlitePool, issuer: Hash32, shard: u32) -> Result<Option<CrlRow>> {
    let found = sqlx::query("SELECT * FROM crl WHERE issuer = ?1 AND shard = ?2")
        .bind(&issuer.as_bytes()[..])
        .bind(i64::from(shard))
        .fetch_optional(pool)
        .await?;
    let Some(row) = found else { return Ok(None) };
    let columns = Columns::of("crl", &row);
    Ok(Some(CrlRow {
        issuer,
        shard,
        number: columns.u64("number")?,
        size: columns.u64("size")?,
        next_update: columns.u64("next_update")?,
        crl: columns.bytes("crl")?,
    }))
}
