//! Writing calls: one transaction each, one statement a table.

use policy::Status;
use sqlx::{Row, Sqlite, SqliteConnection, SqlitePool, Transaction};
use wire::Encoded;

use super::super::rows::{CertificateRow, CrlRow, RecordGroup, Refused};
use super::super::{StoreError, rows};
use super::REFUSALS_KEPT;
use super::pack::Pack;
use super::read;

pub(super) async fn record(pool: &SqlitePool, group: &RecordGroup) -> Result<(), StoreError> {
    let mut tx = begin(pool).await?;
    let grown = group.events.len() as u64;
    let moved = sqlx::query("UPDATE tree SET size = size + ?1 WHERE size = ?2")
        .bind(signed(grown))
        .bind(signed(group.expected_size))
        .execute(&mut *tx)
        .await?;
    if moved.rows_affected() != 1 {
        let found = read::size(&mut *tx).await?;
        return Err(StoreError::Moved { expected: group.expected_size, found });
    }
    hashes(&mut tx, group).await?;
    events(&mut tx, group).await?;
    evidence(&mut tx, group).await?;
    identities(&mut tx, group).await?;
    keys(&mut tx, group).await?;
    certificates(&mut tx, group).await?;
    revocations(&mut tx, group).await?;
    idempotency(&mut tx, group).await?;
    tx.commit().await?;
    Ok(())
}

pub(super) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

async fn begin(pool: &SqlitePool) -> Result<Transaction<'static, Sqlite>, StoreError> {
    Ok(pool.begin_with("BEGIN IMMEDIATE").await?)
}

async fn insert(
    tx: &mut SqliteConnection,
    statement: &'static str,
    pack: Pack,
) -> Result<(), StoreError> {
    if pack.is_empty() {
        return Ok(());
    }
    let (json, blob) = pack.into_parameters();
    sqlx::query(statement).bind(json).bind(blob).execute(tx).await?;
    Ok(())
}

async fn hashes(tx: &mut SqliteConnection, group: &RecordGroup) -> Result<(), StoreError> {
    let mut pack = Pack::default();
    for stored in &group.hashes {
        pack.push(|row| {
            row.u64(stored.index);
            row.blob(Some(stored.hash.as_bytes()));
        });
    }
    let statement = "INSERT INTO stored_hash SELECT value ->> 0, \
                     substr(?2, value ->> 1, value ->> 2) FROM json_each(?1)";
    insert(tx, statement, pack).await
}

async fn events(tx: &mut SqliteConnection, group: &RecordGroup) -> Result<(), StoreError> {
    let mut pack = Pack::default();
    for new in &group.events {
        pack.push(|row| {
            row.u64(new.leaf_index);
            row.blob(Some(&new.leaf.to_canonical()));
            row.blob(Some(&new.salt));
            row.blob(Some(&new.event.to_canonical()));
            row.text(new.event.subject.as_ref().map(wire::UserId::as_str));
            row.u64(new.event.sequence);
            row.u64(new.event.time_ms);
        });
    }
    let statement = "INSERT INTO event SELECT value ->> 0, \
                     substr(?2, value ->> 1, value ->> 2), substr(?2, value ->> 3, value ->> 4), \
                     substr(?2, value ->> 5, value ->> 6), value ->> 7, value ->> 8, \
                     value ->> 9 FROM json_each(?1)";
    insert(tx, statement, pack).await
}

async fn evidence(tx: &mut SqliteConnection, group: &RecordGroup) -> Result<(), StoreError> {
    let mut pack = Pack::default();
    for (reference, data) in group.events.iter().flat_map(|new| &new.evidence) {
        pack.push(|row| {
            row.blob(Some(reference.hash.as_bytes()));
            row.blob(Some(data));
        });
    }
    let statement = "INSERT INTO evidence SELECT substr(?2, value ->> 0, value ->> 1), \
                     substr(?2, value ->> 2, value ->> 3) FROM json_each(?1) WHERE true \
                     ON CONFLICT (hash) DO NOTHING";
    insert(tx, statement, pack).await
}

async fn identities(tx: &mut SqliteConnection, group: &RecordGroup) -> Result<(), StoreError> {
    let mut pack = Pack::default();
    for row in group.events.iter().filter_map(|new| new.identity.as_ref()) {
        let identity = &row.identity;
        pack.push(|columns| {
            columns.text(Some(identity.uid.as_str()));
            columns.blob(Some(&row.blinding_key));
            columns.int(status_number(identity.status));
            columns.u64(identity.sequence);
            columns.blob(Some(identity.head.as_bytes()));
            columns.blob(identity.key.as_ref().map(|key| &key.spki.as_bytes()[..]));
            columns.u64(identity.key.map_or(0, |key| key.number));
            columns.int(identity.key.is_some_and(|key| key.possession_proven));
            columns.blob(identity.recovery_commitment.as_ref().map(|h| &h.as_bytes()[..]));
            columns.u64(row.created_ms);
            columns.u64(row.updated_ms);
        });
    }
    let statement = "INSERT INTO identity SELECT value ->> 0, \
                     substr(?2, value ->> 1, value ->> 2), value ->> 3, value ->> 4, \
                     substr(?2, value ->> 5, value ->> 6), substr(?2, value ->> 7, value ->> 8), \
                     value ->> 9, value ->> 10, substr(?2, value ->> 11, value ->> 12), \
                     value ->> 13, value ->> 14 FROM json_each(?1) WHERE true \
                     ON CONFLICT (uid) DO UPDATE SET status = excluded.status, \
                     sequence = excluded.sequence, head = excluded.head, \
                     key_hash = excluded.key_hash, key_number = excluded.key_number, \
                     key_proven = excluded.key_proven, recovery = excluded.recovery, \
                     updated_ms = excluded.updated_ms";
    insert(tx, statement, pack).await
}

async fn keys(tx: &mut SqliteConnection, group: &RecordGroup) -> Result<(), StoreError> {
    let mut pack = Pack::default();
    for key in group.events.iter().filter_map(|new| new.new_key.as_ref()) {
        pack.push(|row| {
            row.blob(Some(key.hash.as_bytes()));
            row.text(Some(key.uid.as_str()));
            row.blob(Some(&key.spki));
            row.text(Some(&key.algorithm));
        });
    }
    let statement = "INSERT INTO subject_key SELECT substr(?2, value ->> 0, value ->> 1), \
                     value ->> 2, substr(?2, value ->> 3, value ->> 4), value ->> 5 \
                     FROM json_each(?1)";
    insert(tx, statement, pack).await
}

async fn certificates(tx: &mut SqliteConnection, group: &RecordGroup) -> Result<(), StoreError> {
    let mut pack = Pack::default();
    for certificate in group.events.iter().filter_map(|new| new.certificate.as_ref()) {
        pack.push(|row| {
            row.u64(certificate.leaf_index);
            row.blob(Some(certificate.serial.as_bytes()));
            row.text(Some(certificate.uid.as_str()));
            row.int(certificate.kind.number());
            row.u64(certificate.sequence);
            row.blob(Some(certificate.key.as_bytes()));
            row.blob(Some(certificate.issuer.as_bytes()));
            row.int(certificate.shard);
            row.u64(certificate.not_before);
            row.u64(certificate.not_after);
            row.text(Some(&certificate.vouched));
        });
    }
    let statement = "INSERT INTO certificate (leaf_index, serial, uid, kind, sequence, key_hash, \
                     issuer, shard, not_before, not_after, vouched) \
                     SELECT value ->> 0, substr(?2, value ->> 1, value ->> 2), value ->> 3, \
                     value ->> 4, value ->> 5, substr(?2, value ->> 6, value ->> 7), \
                     substr(?2, value ->> 8, value ->> 9), value ->> 10, value ->> 11, \
                     value ->> 12, value ->> 13 FROM json_each(?1)";
    insert(tx, statement, pack).await
}

async fn revocations(tx: &mut SqliteConnection, group: &RecordGroup) -> Result<(), StoreError> {
    for new in &group.events {
        let Some(revocation) = &new.revocation else { continue };
        sqlx::query(
            "UPDATE certificate SET revoked_leaf = ?1, revoked_ms = ?2, revoked_reason = ?3 \
             WHERE key_hash = ?4 AND revoked_leaf IS NULL",
        )
        .bind(signed(new.leaf_index))
        .bind(signed(revocation.at_ms))
        .bind(i64::from(revocation.reason.number()))
        .bind(&revocation.key.as_bytes()[..])
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

async fn idempotency(tx: &mut SqliteConnection, group: &RecordGroup) -> Result<(), StoreError> {
    let mut pack = Pack::default();
    for new in &group.events {
        let Some((key, request)) = &new.idempotency else { continue };
        pack.push(|row| {
            row.text(Some(key.as_str()));
            row.blob(Some(request.as_bytes()));
            row.u64(new.leaf_index);
        });
    }
    let statement = "INSERT INTO idempotency SELECT value ->> 0, \
                     substr(?2, value ->> 1, value ->> 2), value ->> 3 FROM json_each(?1)";
    insert(tx, statement, pack).await
}

pub(super) async fn refuse(pool: &SqlitePool, refusals: &[Refused]) -> Result<(), StoreError> {
    let mut tx = begin(pool).await?;
    let mut pack = Pack::default();
    for refused in refusals {
        pack.push(|row| {
            row.text(Some(refused.uid.as_str()));
            row.u64(refused.at_ms);
            row.text(Some(&refused.verb));
            row.blob(refused.key.as_ref().map(|key| &key.as_bytes()[..]));
            row.text(Some(&refused.code));
            row.text(Some(&refused.detail));
            row.text(Some(&refused.vouched));
        });
    }
    let statement = "INSERT INTO refusal (uid, at_ms, verb, key_hash, code, detail, vouched) \
                     SELECT value ->> 0, value ->> 1, value ->> 2, \
                     substr(?2, value ->> 3, value ->> 4), value ->> 5, value ->> 6, value ->> 7 \
                     FROM json_each(?1) WHERE value ->> 0 IN (SELECT uid FROM identity)";
    insert(&mut tx, statement, pack).await?;
    let mut uids: Vec<_> = refusals.iter().map(|refused| refused.uid.as_str()).collect();
    uids.sort_unstable();
    uids.dedup();
    for uid in uids {
        sqlx::query(
            "DELETE FROM refusal WHERE uid = ?1 AND id <= (SELECT id FROM refusal WHERE uid = ?1 \
             ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        )
        .bind(uid)
        .bind(i64::from(REFUSALS_KEPT))
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(())
}

pub(super) async fn publish(
    pool: &SqlitePool,
    signed: &[(u64, Vec<u8>)],
) -> Result<Vec<CertificateRow>, StoreError> {
    let mut tx = begin(pool).await?;
    let mut pack = Pack::default();
    for (leaf_index, der) in signed {
        pack.push(|row| {
            row.u64(*leaf_index);
            row.blob(Some(der));
        });
    }
    let statement = "UPDATE certificate SET certificate = substr(?2, r.value ->> 1, r.value ->> 2) \
                     FROM json_each(?1) AS r WHERE leaf_index = r.value ->> 0 \
                     AND certificate IS NULL";
    insert(&mut tx, statement, pack).await?;
    let leaves: Vec<u64> = signed.iter().map(|(leaf_index, _)| *leaf_index).collect();
    let rows = read::certificates(&mut *tx, &leaves).await?;
    tx.commit().await?;
    Ok(rows)
}

pub(super) async fn put_crl(pool: &SqlitePool, row: &CrlRow) -> Result<bool, StoreError> {
    let rows::CrlRow { issuer, shard, number, size, next_update, crl } = row;
    let done = sqlx::query(
        "INSERT INTO crl VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (issuer, shard) DO UPDATE \
         SET number = excluded.number, size = excluded.size, next_update = excluded.next_update, \
         crl = excluded.crl WHERE excluded.number > crl.number",
    )
    .bind(&issuer.as_bytes()[..])
    .bind(i64::from(*shard))
    .bind(self::signed(*number))
    .bind(self::signed(*size))
    .bind(self::signed(*next_update))
    .bind(crl.as_slice())
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn ping(pool: &SqlitePool) -> Result<(), StoreError> {
    let mut tx = begin(pool).await?;
    let size: i64 = sqlx::query("SELECT size FROM tree").fetch_one(&mut *tx).await?.try_get(0)?;
    sqlx::query("UPDATE tree SET size = ?1 WHERE one = 1").bind(size).execute(&mut *tx).await?;
    tx.rollback().await?;
    Ok(())
}

pub(super) fn status_number(status: Status) -> u8 {
    match status {
        Status::Active => 0,
        Status::Suspended => 1,
        Status::Retired => 2,
    }
}
