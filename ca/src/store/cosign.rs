//! Statements of co-signatures.

use wire::Hash32;

use super::StoreError;
use super::columns::Columns;
use super::engine::{Engine, Given, Mode, Session, Value};
use super::rows::{CosignatureRow, TimedLine};
use super::sheet::{self, Sheet};

type Result<T> = std::result::Result<T, StoreError>;

pub(super) const PUT: &str = "INSERT INTO cosignature {all} ON CONFLICT (cosigner, size) DO UPDATE SET \
    first_line = CASE WHEN excluded.first_s < cosignature.first_s \
    THEN excluded.first_line ELSE cosignature.first_line END, \
    first_s = CASE WHEN excluded.first_s < cosignature.first_s \
    THEN excluded.first_s ELSE cosignature.first_s END, \
    latest_line = CASE WHEN excluded.latest_s > cosignature.latest_s \
    THEN excluded.latest_line ELSE cosignature.latest_line END, \
    latest_s = CASE WHEN excluded.latest_s > cosignature.latest_s \
    THEN excluded.latest_s ELSE cosignature.latest_s END, \
    kept = CASE WHEN excluded.kept > cosignature.kept \
    THEN excluded.kept ELSE cosignature.kept END";

/// A row for each co-signer and size: one statement cannot change a row twice.
pub(super) fn rows(rows: &[CosignatureRow]) -> Sheet<'_> {
    let mut merged: std::collections::BTreeMap<(Hash32, u64), CosignatureRow> = Default::default();
    for row in rows {
        let known = merged.entry((row.cosigner, row.size)).or_insert_with(|| row.clone());
        if row.first.time < known.first.time {
            known.first = row.first.clone();
        }
        if row.latest.time > known.latest.time {
            known.latest = row.latest.clone();
        }
        known.kept |= row.kept;
    }
    let mut sheet = Sheet::new(sheet::COSIGNATURE.columns);
    for row in merged.into_values() {
        sheet.push([
            Value::Blob(row.cosigner.as_bytes().to_vec().into()),
            Value::int(row.size),
            Value::Text(row.note.into()),
            Value::Text(row.first.line.into()),
            Value::int(row.first.time),
            Value::Text(row.latest.line.into()),
            Value::int(row.latest.time),
            Value::int(row.kept.into()),
        ]);
    }
    sheet
}

/// Those that are not kept go when the checkpoints of their time do, but none that is of the
/// checkpoint which is shown ($2) or later: without the quorum that one grows old. $1 is how many
/// checkpoints stay.
pub(super) const TRIM: &str = "DELETE FROM cosignature WHERE kept = 0 AND size < \
    (SELECT size FROM checkpoint ORDER BY size DESC LIMIT 1 OFFSET $1) AND size < $2";

async fn fetch<E: Engine>(
    engine: &E,
    sql: &str,
    values: &[Value<'_>],
) -> Result<Vec<CosignatureRow>> {
    let mut session = engine.begin(Mode::Read).await?;
    let rows = session.fetch(sql, Given::Values(values)).await?;
    session.commit().await?;
    let timed = |columns: &Columns<'_>, line, time| {
        Ok::<_, StoreError>(TimedLine { line: columns.text(line)?, time: columns.u64(time)? })
    };
    rows.iter()
        .map(|row| {
            let columns = Columns::of("cosignature", row);
            Ok(CosignatureRow {
                cosigner: columns.hash("cosigner")?,
                size: columns.u64("size")?,
                note: columns.text("note")?,
                first: timed(&columns, "first_line", "first_s")?,
                latest: timed(&columns, "latest_line", "latest_s")?,
                kept: columns.u64("kept")? != 0,
            })
        })
        .collect()
}

const COLUMNS: &str =
    "cosigner, size, note, first_line, first_s, latest_line, latest_s, kept FROM cosignature";

pub(super) async fn since<E: Engine>(
    engine: &E,
    cosigner: Hash32,
    leaf_index: u64,
    limit: u32,
) -> Result<Vec<CosignatureRow>> {
    let sql = format!("SELECT {COLUMNS} WHERE cosigner = $1 AND size > $2 ORDER BY size LIMIT $3");
    let values =
        [Value::blob(cosigner.as_bytes()), Value::int(leaf_index), Value::int(limit.into())];
    fetch(engine, &sql, &values).await
}

pub(super) async fn latest<E: Engine>(
    engine: &E,
    cosigner: Hash32,
    limit: u32,
) -> Result<Vec<CosignatureRow>> {
    let sql = format!("SELECT {COLUMNS} WHERE cosigner = $1 ORDER BY size DESC LIMIT $2");
    fetch(engine, &sql, &[Value::blob(cosigner.as_bytes()), Value::int(limit.into())]).await
}
