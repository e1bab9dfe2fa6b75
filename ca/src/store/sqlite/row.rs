//! Rows as SQLite gives them.

use std::sync::Arc;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Row, Statement};

use crate::store::engine::Source;

/// A row, apart from its connection.
#[derive(Debug)]
pub(in super::super) struct SqliteRow {
    names: Arc<[String]>,
    values: Vec<Value>,
}

impl SqliteRow {
    /// Names of a statement's columns.
    pub(super) fn names(statement: &Statement<'_>) -> Arc<[String]> {
        statement.column_names().into_iter().map(str::to_owned).collect()
    }

    pub(super) fn of(names: &Arc<[String]>, row: &Row<'_>) -> rusqlite::Result<Self> {
        let value = |n| {
            Ok(match row.get_ref(n)? {
                ValueRef::Text(text) => Value::Text(std::str::from_utf8(text)?.to_owned()),
                ValueRef::Null => Value::Null,
                ValueRef::Integer(n) => Value::Integer(n),
                ValueRef::Real(n) => Value::Real(n),
                ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
            })
        };
        let values = (0..names.len()).map(value).collect::<rusqlite::Result<_>>()?;
        Ok(Self { names: Arc::clone(names), values })
    }

    fn get(&self, column: &str) -> Result<&Value, sqlx::Error> {
        let place = self.names.iter().position(|name| name == column);
        let value = place.and_then(|place| self.values.get(place));
        value.ok_or_else(|| sqlx::Error::ColumnNotFound(column.to_owned()))
    }
}

fn another(column: &str, wanted: &str, found: &Value) -> sqlx::Error {
    let source = format!("{}, not {wanted}", found.data_type()).into();
    sqlx::Error::ColumnDecode { index: column.to_owned(), source }
}

impl Source for SqliteRow {
    fn int(&self, column: &str) -> Result<Option<i64>, sqlx::Error> {
        match self.get(column)? {
            Value::Null => Ok(None),
            Value::Integer(n) => Ok(Some(*n)),
            other => Err(another(column, "a number", other)),
        }
    }

    fn text(&self, column: &str) -> Result<Option<String>, sqlx::Error> {
        match self.get(column)? {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text.clone())),
            other => Err(another(column, "a text", other)),
        }
    }

    fn blob(&self, column: &str) -> Result<Option<Vec<u8>>, sqlx::Error> {
        match self.get(column)? {
            Value::Null => Ok(None),
            Value::Blob(bytes) => Ok(Some(bytes.clone())),
            other => Err(another(column, "bytes", other)),
        }
    }
}
