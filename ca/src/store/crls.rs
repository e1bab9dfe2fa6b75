//! The latest CRL of each shard.

use wire::Hash32;

use super::engine::{Engine, Given, Mode, Session, Value};
use super::rows::CrlRow;
use super::{StoreError, columns};

type Result<T> = std::result::Result<T, StoreError>;

pub(super) async fn get<E: Engine>(
    engine: &E,
    issuer: Hash32,
    shard: u32,
) -> Result<Option<CrlRow>> {
    let sql = "SELECT * FROM crl WHERE issuer = $1 AND shard = $2";
    let values = [Value::blob(issuer.as_bytes()), Value::int(shard.into())];
    let mut session = engine.begin(Mode::Read).await?;
    let rows = session.fetch(sql, Given::Values(&values)).await?;
    session.commit().await?;
    rows.first().map(|row| columns::crl(row, issuer, shard)).transpose()
}

pub(super) async fn put<E: Engine>(
    engine: &E,
    row: &CrlRow,
    instead_of: Option<&[u8]>,
) -> Result<bool> {
    let mut session = engine.begin(Mode::Write).await?;
    let sql = "INSERT INTO crl VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (issuer, shard) \
               DO UPDATE SET number = excluded.number, size = excluded.size, \
               next_update = excluded.next_update, crl = excluded.crl \
               WHERE excluded.number > crl.number OR crl.crl = $7";
    let values = [
        Value::blob(row.issuer.as_bytes()),
        Value::int(row.shard.into()),
        Value::int(row.number),
        Value::int(row.size),
        Value::int(row.next_update),
        Value::blob(&row.crl),
        // No CRL is empty.
        Value::blob(instead_of.unwrap_or_default()),
    ];
    let changed = session.execute(sql, Given::Values(&values)).await?;
    session.commit().await?;
    Ok(changed == 1)
}
