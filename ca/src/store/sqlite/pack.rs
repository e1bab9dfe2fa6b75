//! A sheet as two parameters: a JSON array of rows, and one blob that holds all binary values.
//!
//! sqlx hands every statement to SQLite's thread and back, which costs more than the insert; one
//! statement for a whole group costs it once.

use std::fmt::Write as _;

use super::super::engine::Value;
use super::super::sheet::{Column, Kind, Sheet};

/// The relation that reads the two parameters back. A binary value takes two places in its row,
/// offset and length.
pub(super) fn relation(columns: &[Column]) -> String {
    let mut sql = String::from("(SELECT ");
    let mut place = 0;
    for (n, (name, kind)) in columns.iter().enumerate() {
        let comma = if n == 0 { "" } else { ", " };
        let written = match kind {
            Kind::Int | Kind::Text => write!(sql, "{comma}value ->> {place} AS {name}"),
            Kind::Blob => write!(
                sql,
                "{comma}substr($2, value ->> {place}, value ->> {}) AS {name}",
                place + 1
            ),
        };
        debug_assert!(written.is_ok());
        place += if *kind == Kind::Blob { 2 } else { 1 };
    }
    sql.push_str(" FROM json_each($1)) AS r");
    sql
}

/// The two parameters.
pub(super) fn parameters(sheet: &Sheet<'_>) -> (String, Vec<u8>) {
    let mut blob = Vec::new();
    let rows = sheet.rows().map(|row| {
        let mut places = Vec::with_capacity(2 * row.len());
        for (value, (_, kind)) in row.iter().zip(sheet.columns()) {
            match value {
                Value::Null if *kind == Kind::Blob => {
                    places.extend([serde_json::Value::Null, serde_json::Value::Null]);
                }
                Value::Null => places.push(serde_json::Value::Null),
                Value::Int(n) => places.push((*n).into()),
                Value::Text(text) => places.push((&**text).into()),
                Value::Blob(bytes) => {
                    // SQLite counts from 1.
                    places.extend([(blob.len() + 1).into(), bytes.len().into()]);
                    blob.extend_from_slice(bytes);
                }
            }
        }
        serde_json::Value::Array(places)
    });
    let json = serde_json::Value::Array(rows.collect()).to_string();
    (json, blob)
}
