//! Reading statements.

use std::collections::HashMap;

use tlog::{Edge, StoredHash};
use wire::event::{Event, EvidenceRef};
use wire::{Hash32, UserId};

use super::columns::{self, Columns, Piece};
use super::engine::{Engine, Given, Mode, NOTHING, Session, Value};
use super::rows::{
    Books, CertificateRow, EventRow, GenesisRow, HistoryCursor, HistoryRow, IdentityRow, MovedRow,
    Proposal, RevokedRow, Unfinished,
};
use super::sheet::{Column, Kind, Sheet};
use super::{StoreError, Wanted};

type Result<T> = std::result::Result<T, StoreError>;

const INDEXES: &[Column] = &[("idx", Kind::Int)];
const LEAVES: &[Column] = &[("leaf_index", Kind::Int)];
const HASHES: &[Column] = &[("hash", Kind::Blob)];

/// A session for one query.
async fn query<E: Engine>(
    engine: &E,
    sql: &str,
    values: &[Value<'_>],
) -> Result<Vec<<E::Session as Session>::Row>> {
    let mut session = engine.begin(Mode::Read).await?;
    let rows = session.fetch(sql, Given::Values(values)).await?;
    session.commit().await?;
    Ok(rows)
}

pub(super) async fn size<S: Session>(session: &mut S) -> Result<u64> {
    let rows = session.fetch("SELECT size FROM tree", NOTHING).await?;
    let missing = || StoreError::Corrupt { table: "tree", reason: "no row".to_owned() };
    Columns::of("tree", rows.first().ok_or_else(missing)?).u64("size")
}

pub(super) async fn size_now<E: Engine>(engine: &E) -> Result<u64> {
    let mut session = engine.begin(Mode::Read).await?;
    let size = size(&mut session).await?;
    session.commit().await?;
    Ok(size)
}

pub(super) async fn genesis<E: Engine>(engine: &E) -> Result<Option<GenesisRow>> {
    let sql = "SELECT leaf, salt, event FROM event WHERE leaf_index = 0";
    let rows = query(engine, sql, &[]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let columns = Columns::of("event", row);
    Ok(Some(GenesisRow {
        leaf: columns.format("leaf")?,
        salt: columns.fixed("salt")?,
        event: columns.format("event")?,
    }))
}

pub(super) async fn edge<E: Engine>(engine: &E) -> Result<Edge> {
    let mut session = engine.begin(Mode::Snapshot).await?;
    let edge = edge_in(&mut session).await?;
    session.commit().await?;
    Ok(edge)
}

pub(super) async fn edge_in<S: Session>(session: &mut S) -> Result<Edge> {
    let size = size(session).await?;
    let mut indexes = Sheet::new(INDEXES);
    for index in Edge::indexes(size) {
        indexes.push([Value::int(index)]);
    }
    let sql = "SELECT idx, hash FROM stored_hash WHERE idx IN (SELECT idx FROM {rows})";
    let rows = session.fetch(sql, Given::Rows(&indexes)).await?;
    let stored = rows.iter().map(|row| {
        let columns = Columns::of("stored_hash", row);
        Ok(StoredHash { index: columns.u64("idx")?, hash: columns.hash("hash")? })
    });
    let stored = stored.collect::<Result<Vec<_>>>()?;
    Edge::load(size, &stored)
        .map_err(|e| StoreError::Corrupt { table: "stored_hash", reason: e.to_string() })
}

/// What decisions read, in one statement: it is of one moment without a transaction around it.
const BOOKS: &str = "SELECT i.uid AS identity_uid, i.blinding_key AS identity_blinding_key, \
    i.status AS identity_status, i.sequence AS identity_sequence, i.head AS identity_head, \
    i.key_hash AS identity_key_hash, i.key_number AS identity_key_number, \
    i.key_proven AS identity_key_proven, i.recovery AS identity_recovery, \
    i.created_ms AS identity_created_ms, i.updated_ms AS identity_updated_ms, \
    i.details AS identity_details, i.due_ms AS identity_due_ms, \
    k.hash AS key_hash, k.uid AS key_uid, k.spki AS key_spki, k.algorithm AS key_algorithm, \
    o.key AS once_key, o.request AS once_request, o.leaf_index AS once_leaf_index FROM {rows} \
    LEFT JOIN identity AS i ON i.uid = r.uid LEFT JOIN subject_key AS k ON k.hash = r.hash \
    LEFT JOIN idempotency AS o ON o.key = r.once";

/// An identity, a key and an idempotency key in a row have nothing to do with each other.
fn books_wanted(wanted: &Wanted) -> Sheet<'_> {
    const COLUMNS: &[Column] = &[("uid", Kind::Text), ("hash", Kind::Blob), ("once", Kind::Text)];
    let Wanted { uids, keys, idempotency } = wanted;
    let mut sheet = Sheet::new(COLUMNS);
    for n in 0..uids.len().max(keys.len()).max(idempotency.len()) {
        sheet.push([
            uids.get(n).map_or(Value::Null, |uid| Value::text(uid.as_str())),
            Value::opt_blob(keys.get(n).map(|hash| &hash.as_bytes()[..])),
            idempotency.get(n).map_or(Value::Null, |key| Value::text(key.as_str())),
        ]);
    }
    sheet
}

pub(super) async fn books<E: Engine>(engine: &E, wanted: &Wanted) -> Result<Books> {
    let sheet = books_wanted(wanted);
    let mut books = Books::default();
    if sheet.is_empty() {
        return Ok(books);
    }
    let mut session = engine.begin(Mode::Read).await?;
    let rows = session.fetch(BOOKS, Given::Rows(&sheet)).await?;
    session.commit().await?;
    for row in &rows {
        if let Some(row) = columns::joined_identity(row)? {
            books.identities.insert(row.identity.uid.clone(), row);
        }
        if let Some(row) = columns::joined_key(row)? {
            books.keys.insert(row.hash, row);
        }
        if let Some((key, row)) = columns::joined_idempotency(row)? {
            books.idempotency.insert(key, row);
        }
    }
    Ok(books)
}

pub(super) async fn identity<E: Engine>(engine: &E, uid: &UserId) -> Result<Option<IdentityRow>> {
    let sql = "SELECT * FROM identity WHERE uid = $1";
    let rows = query(engine, sql, &[Value::text(uid.as_str())]).await?;
    rows.first().map(|row| columns::identity(row)).transpose()
}

pub(super) async fn unfinished<E: Engine>(
    engine: &E,
    after: Option<u64>,
    limit: u32,
) -> Result<Vec<Unfinished>> {
    let sql = "SELECT leaf_index, uid, issuer FROM certificate WHERE certificate IS NULL \
               AND leaf_index > $1 ORDER BY leaf_index LIMIT $2";
    let after = after.map_or(Value::Int(-1), Value::int);
    let rows = query(engine, sql, &[after, Value::int(limit.into())]).await?;
    let read = |row| {
        let columns = Columns::of("certificate", row);
        Ok(Unfinished {
            leaf_index: columns.u64("leaf_index")?,
            uid: columns.uid("uid")?,
            issuer: columns.hash("issuer")?,
        })
    };
    rows.iter().map(|row| read(row)).collect()
}

pub(super) async fn events_of<E: Engine>(engine: &E, uid: &UserId) -> Result<Vec<EventRow>> {
    let sql = "SELECT leaf_index, leaf, salt, event, evidence FROM event WHERE uid = $1 \
               ORDER BY sequence";
    events(engine, sql, &[Value::text(uid.as_str())]).await
}

pub(super) async fn events_from<E: Engine>(
    engine: &E,
    uid: &UserId,
    sequence: u64,
    limit: u32,
) -> Result<Vec<EventRow>> {
    let sql = "SELECT leaf_index, leaf, salt, event, evidence FROM event WHERE uid = $1 \
               AND sequence >= $2 ORDER BY sequence LIMIT $3";
    let uid = Value::text(uid.as_str());
    events(engine, sql, &[uid, Value::int(sequence), Value::int(limit.into())]).await
}

pub(super) async fn event<E: Engine>(engine: &E, leaf_index: u64) -> Result<Option<EventRow>> {
    let sql = "SELECT leaf_index, leaf, salt, event, evidence FROM event \
               WHERE leaf_index = $1 AND kind IS NOT NULL";
    Ok(events(engine, sql, &[Value::int(leaf_index)]).await?.pop())
}

pub(super) async fn with_head<E: Engine>(engine: &E, leaf: Hash32) -> Result<Option<UserId>> {
    let sql = "SELECT uid FROM identity WHERE head = $1";
    let rows = query(engine, sql, &[Value::blob(leaf.as_bytes())]).await?;
    rows.first().map(|row| Columns::of("identity", row).uid("uid")).transpose()
}

pub(super) async fn installation_events<E: Engine>(engine: &E) -> Result<Vec<EventRow>> {
    let sql = "SELECT leaf_index, leaf, salt, event, evidence FROM event \
               WHERE uid IS NULL AND kind IS NOT NULL AND leaf_index > 0 ORDER BY leaf_index";
    events(engine, sql, &[]).await
}

pub(super) async fn proposal<E: Engine>(engine: &E, intent: Hash32) -> Result<Option<Proposal>> {
    let sql = "SELECT uid, leaf_index FROM proposal WHERE intent = $1";
    let rows = query(engine, sql, &[Value::blob(intent.as_bytes())]).await?;
    let read = |row| {
        let columns = Columns::of("proposal", row);
        Ok(Proposal { uid: columns.uid("uid")?, leaf_index: columns.u64("leaf_index")? })
    };
    rows.first().map(|row| read(row)).transpose()
}

pub(super) async fn pending<E: Engine>(
    engine: &E,
    after: Option<&UserId>,
    limit: u32,
) -> Result<Vec<UserId>> {
    let sql = "SELECT uid FROM identity WHERE pending IS NOT NULL AND uid > $1 \
               ORDER BY uid LIMIT $2";
    let after = Value::text(after.map_or("", UserId::as_str));
    let rows = query(engine, sql, &[after, Value::int(limit.into())]).await?;
    rows.iter().map(|row| Columns::of("identity", row).uid("uid")).collect()
}

pub(super) async fn due<E: Engine>(
    engine: &E,
    after: Option<&(u64, UserId)>,
    limit: u32,
) -> Result<Vec<(u64, UserId)>> {
    let sql = "SELECT due_ms, uid FROM identity WHERE due_ms IS NOT NULL \
               AND (due_ms, uid) > ($1, $2) ORDER BY due_ms, uid LIMIT $3";
    let due_ms = after.map_or(Value::Int(-1), |(due_ms, _)| Value::int(*due_ms));
    let uid = Value::text(after.map_or("", |(_, uid)| uid.as_str()));
    let rows = query(engine, sql, &[due_ms, uid, Value::int(limit.into())]).await?;
    let read = |row| {
        let columns = Columns::of("identity", row);
        Ok((columns.u64("due_ms")?, columns.uid("uid")?))
    };
    rows.iter().map(|row| read(row)).collect()
}

/// The kinds are those of the index `event_moved`: rekey, recover, switch-complete, revoke, void,
/// retire.
pub(super) async fn moved<E: Engine>(
    engine: &E,
    after: Option<u64>,
    limit: u32,
) -> Result<Vec<MovedRow>> {
    let sql = "SELECT leaf_index, event FROM event WHERE kind IN (5, 6, 9, 13, 14, 15) \
               AND leaf_index > $1 ORDER BY leaf_index LIMIT $2";
    let after = after.map_or(Value::Int(-1), Value::int);
    let rows = query(engine, sql, &[after, Value::int(limit.into())]).await?;
    let read = |row| {
        let columns = Columns::of("event", row);
        Ok(MovedRow { leaf_index: columns.u64("leaf_index")?, event: columns.format("event")? })
    };
    rows.iter().map(|row| read(row)).collect()
}

/// Events with their evidence, as one query finds them.
async fn events<E: Engine>(
    engine: &E,
    sql: &'static str,
    values: &[Value<'_>],
) -> Result<Vec<EventRow>> {
    let mut session = engine.begin(Mode::Snapshot).await?;
    let mut events = Vec::new();
    let mut packed = Vec::new();
    for row in session.fetch(sql, Given::Values(values)).await? {
        let columns = Columns::of("event", &row);
        packed.push(columns.opt_bytes("evidence")?);
        events.push(EventRow {
            leaf_index: columns.u64("leaf_index")?,
            leaf: columns.format("leaf")?,
            salt: columns.fixed("salt")?,
            event: columns.format::<Event>("event")?,
            evidence: Vec::new(),
        });
    }
    let found = evidence(&mut session, events.iter().map(|row| &row.event).zip(packed)).await?;
    session.commit().await?;
    for (row, evidence) in events.iter_mut().zip(found) {
        row.evidence = evidence;
    }
    Ok(events)
}

/// The evidence that each of these events names, in its order, from what stands with the event;
/// where nothing does, from the table of before.
pub(super) async fn evidence<'e, S: Session>(
    session: &mut S,
    events: impl Iterator<Item = (&'e Event, Option<Vec<u8>>)>,
) -> Result<Vec<Vec<Piece>>> {
    let events: Vec<_> = events.collect();
    let mut hashes = Sheet::new(HASHES);
    for (event, _) in events.iter().filter(|(_, packed)| packed.is_none()) {
        for reference in &event.evidence {
            hashes.push([Value::blob(reference.hash.as_bytes())]);
        }
    }
    let mut before = HashMap::new();
    if !hashes.is_empty() {
        let sql = "SELECT hash, data FROM evidence WHERE hash IN (SELECT hash FROM {rows})";
        for row in session.fetch(sql, Given::Rows(&hashes)).await? {
            let columns = Columns::of("evidence", &row);
            before.insert(columns.hash("hash")?, columns.bytes("data")?);
        }
    }
    let of = |(event, packed): &(&Event, Option<Vec<u8>>)| match packed {
        Some(packed) => columns::unpacked(event, packed),
        None => event.evidence.iter().map(|reference| older(&before, reference)).collect(),
    };
    events.iter().map(of).collect()
}

/// A piece of the evidence table.
fn older(before: &HashMap<Hash32, Vec<u8>>, reference: &EvidenceRef) -> Result<Piece> {
    let missing = || StoreError::Corrupt {
        table: "evidence",
        reason: format!("{} {} is missing", reference.kind, reference.hash),
    };
    let data = before.get(&reference.hash).cloned().ok_or_else(missing)?;
    Ok((reference.clone(), data))
}

pub(super) async fn certificate<E: Engine>(
    engine: &E,
    leaf_index: u64,
) -> Result<Option<CertificateRow>> {
    let sql = "SELECT * FROM certificate WHERE leaf_index = $1";
    let rows = query(engine, sql, &[Value::int(leaf_index)]).await?;
    rows.first().map(|row| columns::certificate(row)).transpose()
}

/// Certificates that follow from leaves.
pub(super) async fn certificates<E: Engine>(
    engine: &E,
    leaves: impl Iterator<Item = u64>,
) -> Result<Vec<CertificateRow>> {
    let mut wanted = Sheet::new(LEAVES);
    leaves.for_each(|leaf_index| wanted.push([Value::int(leaf_index)]));
    let sql = "SELECT * FROM certificate WHERE leaf_index IN (SELECT leaf_index FROM {rows})";
    let mut session = engine.begin(Mode::Read).await?;
    let rows = session.fetch(sql, Given::Rows(&wanted)).await?;
    session.commit().await?;
    rows.iter().map(|row| columns::certificate(row)).collect()
}

pub(super) async fn certificates_of<E: Engine>(
    engine: &E,
    uid: &UserId,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<CertificateRow>> {
    let sql = "SELECT * FROM certificate WHERE uid = $1 AND leaf_index < $2 \
               ORDER BY leaf_index DESC LIMIT $3";
    let before = Value::int(before.unwrap_or(u64::MAX));
    let values = [Value::text(uid.as_str()), before, Value::int(limit.into())];
    let rows = query(engine, sql, &values).await?;
    rows.iter().map(|row| columns::certificate(row)).collect()
}

pub(super) async fn history<E: Engine>(
    engine: &E,
    uid: &UserId,
    before: Option<HistoryCursor>,
    limit: u32,
) -> Result<Vec<(HistoryCursor, HistoryRow)>> {
    let end = HistoryCursor { at_ms: u64::MAX, source: u8::MAX, number: u64::MAX };
    let before = before.unwrap_or(end);
    let sql = "SELECT * FROM (SELECT at_ms, CAST(0 AS BIGINT) AS source, sequence AS number, \
               leaf_index, event, uid, NULL AS verb, NULL AS key_hash, NULL AS code, \
               NULL AS detail, NULL AS vouched FROM event WHERE uid = $1 UNION ALL \
               SELECT at_ms, CAST(1 AS BIGINT), id, NULL, NULL, uid, verb, key_hash, code, \
               detail, vouched FROM refusal WHERE uid = $1) AS line \
               WHERE (at_ms, source, number) < ($2, $3, $4) \
               ORDER BY at_ms DESC, source DESC, number DESC LIMIT $5";
    let values = [
        Value::text(uid.as_str()),
        Value::int(before.at_ms),
        Value::int(before.source.into()),
        Value::int(before.number),
        Value::int(limit.into()),
    ];
    let rows = query(engine, sql, &values).await?;
    rows.iter().map(|row| columns::history(row)).collect()
}

pub(super) async fn revoked<E: Engine>(
    engine: &E,
    issuer: Hash32,
    shard: u32,
    until: u64,
) -> Result<Vec<RevokedRow>> {
    let sql = "SELECT serial, revoked_ms, revoked_reason, revoked_leaf FROM certificate WHERE issuer = $1 \
               AND shard = $2 AND revoked_leaf IS NOT NULL AND not_after >= $3 \
               ORDER BY leaf_index";
    let values = [Value::blob(issuer.as_bytes()), Value::int(shard.into()), Value::int(until)];
    let rows = query(engine, sql, &values).await?;
    rows.iter().map(|row| columns::revoked(row)).collect()
}
