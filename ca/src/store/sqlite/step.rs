//! A statement on its way to a connection's thread, with all that it needs.

use std::ops::Range;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection};

use super::row::SqliteRow;
use crate::store::engine::{Given, Value};
use crate::store::sheet::Column;

/// A statement with its parameters.
#[derive(Debug)]
pub(super) struct Step {
    sql: String,
    /// Values of a row of parameters.
    width: usize,
    /// Rows; a statement without parameters has one of width 0.
    rows: usize,
    cells: Vec<Cell>,
    /// What the cells point into.
    bytes: Vec<u8>,
}

#[derive(Debug)]
enum Cell {
    Null,
    Int(i64),
    Text(Range<usize>),
    Blob(Range<usize>),
}

/// What came of a step.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) rows: Vec<SqliteRow>,
    pub(super) changed: u64,
}

impl Step {
    pub(super) fn new(sql: &str, given: Given<'_>) -> Self {
        let mut new =
            Self { sql: String::new(), width: 0, rows: 1, cells: Vec::new(), bytes: Vec::new() };
        match given {
            Given::Values(values) => {
                new.sql = numbered(sql);
                new.width = values.len();
                values.iter().for_each(|value| new.push(value));
            }
            Given::Rows(sheet) => {
                new.sql = of_a_row(sql, sheet.columns());
                new.width = sheet.columns().len();
                new.rows = sheet.rows().len();
                new.cells.reserve(new.width * new.rows);
                sheet.rows().flatten().for_each(|value| new.push(value));
            }
        }
        new
    }

    pub(super) fn plain(sql: &str) -> Self {
        Self::new(sql, Given::Values(&[]))
    }

    fn push(&mut self, value: &Value<'_>) {
        let cell = match value {
            Value::Null => Cell::Null,
            Value::Int(n) => Cell::Int(*n),
            Value::Text(text) => Cell::Text(self.place(text.as_bytes())),
            Value::Blob(bytes) => Cell::Blob(self.place(bytes)),
        };
        self.cells.push(cell);
    }

    fn place(&mut self, bytes: &[u8]) -> Range<usize> {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        from..self.bytes.len()
    }

    /// Whether it is carried out more than once.
    pub(super) fn is_many(&self) -> bool {
        self.rows > 1
    }

    /// Carries it out for each row of parameters. `read` says whether its rows are wanted.
    pub(super) fn run(&self, connection: &Connection, read: bool) -> rusqlite::Result<Outcome> {
        let mut outcome = Outcome::default();
        let mut statement = connection.prepare_cached(&self.sql)?;
        let writes = !statement.readonly();
        let names = SqliteRow::names(&statement);
        for n in 0..self.rows {
            self.bind(&mut statement, n)?;
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next()? {
                if read {
                    outcome.rows.push(SqliteRow::of(&names, row)?);
                }
            }
            if writes {
                outcome.changed += connection.changes();
            }
        }
        Ok(outcome)
    }

    fn bind(&self, statement: &mut CachedStatement<'_>, row: usize) -> rusqlite::Result<()> {
        let cells = self.cells.iter().skip(row * self.width).take(self.width);
        for (n, cell) in cells.enumerate() {
            let value = match cell {
                Cell::Null => ValueRef::Null,
                Cell::Int(n) => ValueRef::Integer(*n),
                Cell::Text(range) => ValueRef::Text(&self.bytes[range.clone()]),
                Cell::Blob(range) => ValueRef::Blob(&self.bytes[range.clone()]),
            };
            statement.raw_bind_parameter(n + 1, ToSqlOutput::Borrowed(value))?;
        }
        Ok(())
    }
}

/// SQLite takes `$1` for a name and numbers names as they come; `?1` is the first parameter.
fn numbered(sql: &str) -> String {
    sql.replace('$', "?")
}

/// The statement for one row: SQLite is called, not asked over a wire, and a call for each row costs
/// less than a relation that holds them all.
fn of_a_row(sql: &str, columns: &[Column]) -> String {
    let place = |n: usize| format!("?{}", n + 1);
    if sql.contains("{all}") {
        let places: Vec<String> = (0..columns.len()).map(place).collect();
        return sql.replace("{all}", &format!("VALUES ({})", places.join(", ")));
    }
    let named = columns.iter().enumerate().map(|(n, (name, _))| format!("{} AS {name}", place(n)));
    let named: Vec<String> = named.collect();
    sql.replace("{rows}", &format!("(SELECT {}) AS r", named.join(", ")))
}
