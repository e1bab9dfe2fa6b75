//! Statements of the log: checkpoints, leaves, stored hashes, pages of the map.

use tlog::StoredHash;
use tlog::map::PageId;

use super::StoreError;
use super::columns::Columns;
use super::engine::{Engine, Given, Mode, NOTHING, Session, Value};
use super::read;
use super::rows::{CheckpointRow, EntryRow, LeafRow};
use super::sheet::{self, Column, Kind, Sheet};

type Result<T> = std::result::Result<T, StoreError>;

/// Name of the one secret.
const BLINDING: &str = "blinding";

/// Checkpoints kept: whoever fetches a proof under one has this many groups of time.
const CHECKPOINTS_KEPT: i64 = 4096;

async fn fetch<E: Engine>(
    engine: &E,
    sql: &str,
    given: Given<'_>,
) -> Result<Vec<<E::Session as Session>::Row>> {
    let mut session = engine.begin(Mode::Read).await?;
    let rows = session.fetch(sql, given).await?;
    session.commit().await?;
    Ok(rows)
}

pub(super) async fn secret<E: Engine>(engine: &E) -> Result<Option<[u8; 32]>> {
    let sql = "SELECT value FROM secret WHERE name = $1";
    let rows = fetch(engine, sql, Given::Values(&[Value::text(BLINDING)])).await?;
    rows.first().map(|row| Columns::of("secret", row).fixed("value")).transpose()
}

pub(super) const PUT_SECRET: &str = "INSERT INTO secret VALUES ($1, $2)";

pub(super) fn secret_values(secret: &[u8; 32]) -> [Value<'_>; 2] {
    [Value::text(BLINDING), Value::blob(secret)]
}

pub(super) const PUT_CHECKPOINTS: &str =
    "INSERT INTO checkpoint {all} ON CONFLICT (size) DO NOTHING";

pub(super) fn checkpoints(rows: &[CheckpointRow]) -> Sheet<'_> {
    let mut sheet = Sheet::new(sheet::CHECKPOINT.columns);
    rows.iter().for_each(|row| sheet.push([Value::int(row.size), Value::text(&row.note)]));
    sheet
}

pub(super) const TRIM_CHECKPOINTS: &str = "DELETE FROM checkpoint WHERE size < \
    (SELECT size FROM checkpoint ORDER BY size DESC LIMIT 1 OFFSET $1)";

pub(super) const TRIM_VALUES: &[Value<'static>] = &[Value::Int(CHECKPOINTS_KEPT)];

/// Whether it is time to trim. It reads all that are kept, which costs more than a group does; so
/// it is done at one checkpoint in 32 or so, be the sizes odd or even.
pub(super) fn trims(row: &CheckpointRow) -> bool {
    row.size % 64 < 2
}

pub(super) async fn checkpoint<E: Engine>(
    engine: &E,
    size: Option<u64>,
) -> Result<Option<CheckpointRow>> {
    let rows = match size {
        Some(size) => {
            let sql = "SELECT size, note FROM checkpoint WHERE size = $1";
            fetch(engine, sql, Given::Values(&[Value::int(size)])).await?
        }
        None => {
            let sql = "SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1";
            fetch(engine, sql, NOTHING).await?
        }
    };
    let Some(row) = rows.first() else { return Ok(None) };
    let columns = Columns::of("checkpoint", row);
    Ok(Some(CheckpointRow { size: columns.u64("size")?, note: columns.text("note")? }))
}

pub(super) async fn stored_hashes<E: Engine>(
    engine: &E,
    indexes: &[u64],
) -> Result<Vec<StoredHash>> {
    const INDEXES: &[Column] = &[("idx", Kind::Int)];
    if indexes.is_empty() {
        return Ok(Vec::new());
    }
    let mut sheet = Sheet::new(INDEXES);
    indexes.iter().for_each(|index| sheet.push([Value::int(*index)]));
    let sql = "SELECT idx, hash FROM stored_hash WHERE idx IN (SELECT idx FROM {rows})";
    let rows = fetch(engine, sql, Given::Rows(&sheet)).await?;
    rows.iter()
        .map(|row| {
            let columns = Columns::of("stored_hash", row);
            Ok(StoredHash { index: columns.u64("idx")?, hash: columns.hash("hash")? })
        })
        .collect()
}

pub(super) async fn leaves<E: Engine>(engine: &E, from: u64, to: u64) -> Result<Vec<LeafRow>> {
    let sql = "SELECT leaf_index, leaf, uid FROM event WHERE leaf_index >= $1 AND leaf_index < $2 \
               ORDER BY leaf_index";
    let rows = fetch(engine, sql, Given::Values(&[Value::int(from), Value::int(to)])).await?;
    rows.iter()
        .map(|row| {
            let columns = Columns::of("event", row);
            let uid = columns.opt_text("uid")?.map(|_| columns.uid("uid")).transpose()?;
            let (leaf_index, leaf) = (columns.u64("leaf_index")?, columns.format("leaf")?);
            Ok(LeafRow { leaf_index, leaf, uid })
        })
        .collect()
}

pub(super) async fn entries<E: Engine>(
    engine: &E,
    from: u64,
    to: u64,
    with_evidence: bool,
) -> Result<Vec<EntryRow>> {
    let mut session = engine.begin(Mode::Snapshot).await?;
    let sql = "SELECT leaf_index, leaf, salt, event, evidence FROM event \
               WHERE leaf_index >= $1 AND leaf_index < $2 ORDER BY leaf_index";
    let range = [Value::int(from), Value::int(to)];
    let mut entries = Vec::new();
    let mut packed = Vec::new();
    for row in session.fetch(sql, Given::Values(&range)).await? {
        let columns = Columns::of("event", &row);
        let event = columns.bytes("event")?;
        if with_evidence && !event.is_empty() {
            packed.push(columns.opt_bytes("evidence")?);
        }
        entries.push(EntryRow {
            leaf_index: columns.u64("leaf_index")?,
            leaf: columns.format("leaf")?,
            salt: columns.fixed("salt")?,
            event: if event.is_empty() { None } else { Some(columns.format("event")?) },
            evidence: Vec::new(),
        });
    }
    if with_evidence {
        let events = entries.iter().filter_map(|entry| entry.event.as_ref());
        let found = read::evidence(&mut session, events.zip(packed)).await?;
        let named = entries.iter_mut().filter(|entry| entry.event.is_some());
        for (entry, evidence) in named.zip(found) {
            entry.evidence = evidence;
        }
    }
    session.commit().await?;
    Ok(entries)
}

pub(super) async fn map_size<E: Engine>(engine: &E) -> Result<u64> {
    let rows = fetch(engine, "SELECT size FROM map_flush", NOTHING).await?;
    rows.first().map_or(Ok(0), |row| Columns::of("map_flush", row).u64("size"))
}

pub(super) async fn map_pages<E: Engine>(
    engine: &E,
    ids: &[PageId],
) -> Result<Vec<(PageId, Option<Vec<u8>>)>> {
    const PREFIXES: &[Column] = &[("prefix", Kind::Blob)];
    let mut sheet = Sheet::new(PREFIXES);
    ids.iter().for_each(|id| sheet.push([Value::blob(id.as_bytes())]));
    let sql = "SELECT prefix, page FROM map_page WHERE prefix IN (SELECT prefix FROM {rows})";
    let mut found = std::collections::HashMap::new();
    for row in fetch(engine, sql, Given::Rows(&sheet)).await? {
        let columns = Columns::of("map_page", &row);
        found.insert(columns.bytes("prefix")?, columns.bytes("page")?);
    }
    Ok(ids.iter().map(|id| (*id, found.remove(id.as_bytes()))).collect())
}

pub(super) async fn put_map_pages<E: Engine>(
    engine: &E,
    pages: &[(PageId, Vec<u8>)],
    size: u64,
) -> Result<()> {
    let mut session = engine.begin(Mode::Write).await?;
    let mut sheet = Sheet::new(sheet::MAP_PAGE.columns);
    for (id, page) in pages {
        sheet.push([Value::blob(id.as_bytes()), Value::blob(page)]);
    }
    if !sheet.is_empty() {
        let sql =
            "INSERT INTO map_page {all} ON CONFLICT (prefix) DO UPDATE SET page = excluded.page";
        session.execute(sql, Given::Rows(&sheet)).await?;
    }
    let sql = "INSERT INTO map_flush VALUES (1, $1) ON CONFLICT (one) \
               DO UPDATE SET size = excluded.size";
    session.execute(sql, Given::Values(&[Value::int(size)])).await?;
    session.commit().await
}
