//! A sheet as two parameters: a JSON array of rows, and one blob that holds all binary values.
//!
//! sqlx hands every statement to SQLite's thread and back, which costs more than the insert; one
//! statement for a whole group costs it once.

use std::fmt::Write as _;

use super::super::engine::Value;
use super::super::sheet::{Column, Kind, Sheet};

/// The relation that reads the two parameters back, the `first` of them and the next. A binary
/// value takes two places in its row, offset and length.
pub(super) fn relation(columns: &[Column], first: usize) -> String {
    let second = first + 1;
    let mut sql = String::from("(SELECT ");
    let mut place = 0;
    for (n, (name, kind)) in columns.iter().enumerate() {
        let comma = if n == 0 { "" } else { ", " };
        let written = match kind {
            Kind::Int | Kind::Text => write!(sql, "{comma}value ->> {place} AS {name}"),
            Kind::Blob => write!(
                sql,
                "{comma}substr(${second}, value ->> {place}, value ->> {}) AS {name}",
                place + 1
            ),
        };
        debug_assert!(written.is_ok());
        place += if *kind == Kind::Blob { 2 } else { 1 };
    }
    let written = write!(sql, " FROM json_each(${first})) AS r");
    debug_assert!(written.is_ok());
    sql
}

/// The two parameters.
pub(super) fn parameters(sheet: &Sheet<'_>) -> (String, Vec<u8>) {
    let (mut json, mut blob) = (String::from("["), Vec::new());
    for (n, row) in sheet.rows().enumerate() {
        json.push_str(if n == 0 { "[" } else { ",[" });
        for (n, (value, (_, kind))) in row.iter().zip(sheet.columns()).enumerate() {
            if n > 0 {
                json.push(',');
            }
            let written = match value {
                Value::Null if *kind == Kind::Blob => json.write_str("null,null"),
                Value::Null => json.write_str("null"),
                Value::Int(n) => write!(json, "{n}"),
                Value::Text(text) => write!(json, "{}", serde_json::Value::from(&**text)),
                Value::Blob(bytes) => {
                    // SQLite counts from 1.
                    let from = blob.len() + 1;
                    blob.extend_from_slice(bytes);
                    write!(json, "{from},{}", bytes.len())
                }
            };
            debug_assert!(written.is_ok());
        }
        json.push(']');
    }
    json.push(']');
    if blob.is_empty() {
        // SQLite's substr gives NULL, not an empty blob, for parts of an empty blob.
        blob.push(0);
    }
    (json, blob)
}
