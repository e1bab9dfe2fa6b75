//! From SQLite to PostgreSQL: every row, in one transaction that is kept only when both sides
//! hold the same and the log's root comes out again.

use tlog::Edge;
use wire::leaf::{Leaf, LeafKind, commitment};
use wire::{Encoded, Hash32};

use super::columns::Columns;
use super::engine::{Engine, Given, Mode, NOTHING, Session, Source, Value};
use super::postgres::Postgres;
use super::sheet::{self, Kind, Sheet, Table};
use super::sqlite::Sqlite;
use super::{StoreError, read};

/// Rows that are carried at once.
const PAGE: u32 = 500;

/// Why nothing was copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// One of the databases failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The destination is in use.
    #[error("the destination's table {table} is not empty")]
    NotEmpty {
        /// Which table.
        table: &'static str,
    },
    /// What was read back is not what was written.
    #[error("{table}: {from} rows with hash {from_hash} became {to} with hash {to_hash}")]
    Differs {
        /// Which table.
        table: &'static str,
        /// Rows in the source.
        from: u64,
        /// Hash of the source's rows.
        from_hash: Hash32,
        /// Rows in the destination.
        to: u64,
        /// Hash of the destination's rows.
        to_hash: Hash32,
    },
    /// The events do not make the log that the tree says.
    #[error("leaf {leaf_index}: {reason}")]
    Log {
        /// The leaf.
        leaf_index: u64,
        /// What is wrong.
        reason: String,
    },
    /// The leaves have another root than the stored tree.
    #[error("the log of {size} leaves has root {found}; the stored tree says {stored}")]
    Root {
        /// Leaves.
        size: u64,
        /// Root of the leaves.
        found: Hash32,
        /// Root of the stored tree.
        stored: Hash32,
    },
}

/// What was copied.
#[derive(Debug, Clone)]
pub struct Copied {
    /// Each table, its rows, and a hash over all of them in order of their key.
    pub tables: Vec<(&'static str, u64, Hash32)>,
    /// Leaves in the log.
    pub size: u64,
    /// The log's root, computed from the leaves that were copied.
    pub root: Hash32,
}

/// Copies everything into an empty database. `progress` hears a table and its rows so far. Nobody
/// can write to the source meanwhile.
///
/// # Errors
/// [`CopyError`]; the destination is then as it was.
pub async fn copy(
    from: &Sqlite,
    to: &Postgres,
    progress: impl FnMut(&'static str, u64) + Send,
) -> Result<Copied, CopyError> {
    let mut source = from.begin(Mode::Write).await?;
    let mut destination = to.begin(Mode::Write).await?;
    let copied = copy_all(&mut source, &mut destination, progress).await?;
    // Ids that were carried are not counted by the sequence.
    let sql = "SELECT setval(pg_get_serial_sequence('refusal', 'id'), max(id)) AS id FROM refusal";
    destination.fetch(sql, NOTHING).await?;
    destination.commit().await?;
    source.rollback().await?;
    Ok(copied)
}

async fn copy_all<A: Session, B: Session>(
    source: &mut A,
    destination: &mut B,
    mut progress: impl FnMut(&'static str, u64) + Send,
) -> Result<Copied, CopyError> {
    if read::size(destination).await? != 0 {
        return Err(CopyError::NotEmpty { table: sheet::TREE.name });
    }
    destination.execute("DELETE FROM tree", NOTHING).await?;
    let mut tables = Vec::new();
    for table in sheet::TABLES {
        let mut pages = Pages::of(table);
        if !pages.next(destination).await?.is_empty() {
            return Err(CopyError::NotEmpty { table: table.name });
        }
        let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        let (name, names) = (table.name, names.join(", "));
        let insert = format!("INSERT INTO {name} ({names}) SELECT {names} FROM {{rows}}");
        let mut pages = Pages::of(table);
        loop {
            let rows = pages.next(source).await?;
            if rows.is_empty() {
                break;
            }
            let mut sheet = Sheet::new(table.columns);
            rows.into_iter().for_each(|row| sheet.push_row(row));
            destination.execute(&insert, Given::Rows(&sheet)).await?;
            progress(table.name, pages.rows);
        }
        let mut back = Pages::of(table);
        while !back.next(destination).await?.is_empty() {}
        if (back.rows, back.hash) != (pages.rows, pages.hash) {
            let (from, from_hash, to, to_hash) = (pages.rows, pages.hash, back.rows, back.hash);
            return Err(CopyError::Differs { table: name, from, from_hash, to, to_hash });
        }
        tables.push((name, pages.rows, pages.hash));
    }
    let (size, root) = recompute(destination).await?;
    Ok(Copied { tables, size, root })
}

/// The log's size and root from the events alone, compared with the stored tree.
async fn recompute<S: Session>(session: &mut S) -> Result<(u64, Hash32), CopyError> {
    let mut edge = Edge::empty();
    let mut pages = Pages::of(&sheet::EVENT);
    loop {
        let rows = pages.next(session).await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            let leaf_index = edge.size();
            let wrong = |reason: &str| CopyError::Log { leaf_index, reason: reason.to_owned() };
            let [Value::Int(index), Value::Blob(leaf), Value::Blob(salt), Value::Blob(event), ..] =
                row.as_slice()
            else {
                return Err(wrong("not of the types that it must be"));
            };
            let leaf = Leaf::from_canonical(leaf).map_err(|e| wrong(&e.to_string()))?;
            let salt = <&[u8; 32]>::try_from(&**salt).map_err(|_| wrong("salt"))?;
            if u64::try_from(*index) != Ok(leaf_index) {
                return Err(wrong("is missing"));
            }
            // The root of the map is no event; its leaf holds it.
            let is_event = leaf.kind == LeafKind::Event;
            if is_event && leaf.commitment != commitment(salt, event) {
                return Err(wrong("does not commit to its event"));
            }
            edge.append(leaf.leaf_hash());
        }
    }
    let stored = read::edge_in(session).await?;
    if (stored.size(), stored.root()) != (edge.size(), edge.root()) {
        let (size, found, stored) = (edge.size(), edge.root(), stored.root());
        return Err(CopyError::Root { size, found, stored });
    }
    Ok((edge.size(), edge.root()))
}

/// A table's rows in order of their key, with a running count and hash.
struct Pages {
    table: &'static Table,
    after: Vec<Value<'static>>,
    rows: u64,
    hash: Hash32,
}

impl Pages {
    fn of(table: &'static Table) -> Self {
        Self { table, after: Vec::new(), rows: 0, hash: Hash32::from_bytes([0; 32]) }
    }

    /// The next rows; none at the end.
    async fn next<S: Session>(
        &mut self,
        session: &mut S,
    ) -> Result<Vec<Vec<Value<'static>>>, StoreError> {
        let Table { name, key, columns } = self.table;
        let keys: Vec<&str> = columns[..*key].iter().map(|(name, _)| *name).collect();
        let keys = keys.join(", ");
        let mut sql = format!("SELECT * FROM {name}");
        if !self.after.is_empty() {
            let places: Vec<String> = (1..=*key).map(|n| format!("${n}")).collect();
            sql.push_str(&format!(" WHERE ({keys}) > ({})", places.join(", ")));
        }
        sql.push_str(&format!(" ORDER BY {keys} LIMIT {PAGE}"));
        let found = session.fetch(&sql, Given::Values(&self.after)).await?;
        let mut rows = Vec::with_capacity(found.len());
        for row in &found {
            rows.push(values(self.table, row)?);
        }
        for row in &rows {
            self.rows += 1;
            self.hash = chained(self.hash, row);
        }
        if let Some(last) = rows.last() {
            self.after = last[..*key].to_vec();
        }
        Ok(rows)
    }
}

fn values(table: &Table, row: &dyn Source) -> Result<Vec<Value<'static>>, StoreError> {
    let from = Columns::of(table.name, row);
    let read = table.columns.iter().map(|(column, kind)| {
        Ok(match kind {
            Kind::Int => from.opt_int(column)?.map(Value::Int),
            Kind::Text => from.opt_text(column)?.map(|text| Value::Text(text.into())),
            Kind::Blob => from.opt_bytes(column)?.map(|bytes| Value::Blob(bytes.into())),
        }
        .unwrap_or(Value::Null))
    });
    read.collect()
}

/// SHA-256 of the hash so far and each value with its type and length.
fn chained(before: Hash32, row: &[Value<'_>]) -> Hash32 {
    let mut bytes = before.as_bytes().to_vec();
    for value in row {
        let (kind, value) = match value {
            Value::Null => (0, Vec::new()),
            Value::Int(n) => (1, n.to_be_bytes().to_vec()),
            Value::Text(text) => (2, text.as_bytes().to_vec()),
            Value::Blob(value) => (3, value.to_vec()),
        };
        bytes.push(kind);
        bytes.extend_from_slice(&(value.len() as u64).to_be_bytes());
        bytes.extend_from_slice(&value);
    }
    Hash32::of(&bytes)
}
