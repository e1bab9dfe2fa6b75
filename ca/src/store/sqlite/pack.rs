//! Many rows as two parameters: a JSON array of rows, and one blob that holds all binary values.
//!
//! sqlx hands every statement to SQLite's thread and back, which costs more than the insert; one
//! statement for a whole group costs it once.

use serde_json::{Value, json};

/// Rows for one statement of the form `INSERT … SELECT … FROM json_each(?1)`, where binary column
/// `n` reads as `substr(?2, r.value ->> n, r.value ->> n+1)`.
#[derive(Debug, Default)]
pub(super) struct Pack {
    rows: Vec<Value>,
    blob: Vec<u8>,
}

impl Pack {
    /// Adds a row.
    pub(super) fn push(&mut self, columns: impl FnOnce(&mut Columns<'_>)) {
        let mut row = Columns { values: Vec::new(), blob: &mut self.blob };
        columns(&mut row);
        self.rows.push(Value::Array(row.values));
    }

    /// Whether there is no row.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The two parameters.
    pub(super) fn into_parameters(self) -> (String, Vec<u8>) {
        (Value::Array(self.rows).to_string(), self.blob)
    }
}

/// The columns of one row, in order.
#[derive(Debug)]
pub(super) struct Columns<'a> {
    values: Vec<Value>,
    blob: &'a mut Vec<u8>,
}

impl Columns<'_> {
    /// A number; takes one place.
    pub(super) fn int(&mut self, n: impl Into<i64>) {
        self.values.push(json!(n.into()));
    }

    /// A number that fits an i64 because the formats bound it; takes one place.
    pub(super) fn u64(&mut self, n: u64) {
        self.values.push(json!(n));
    }

    /// A text or NULL; takes one place.
    pub(super) fn text(&mut self, text: Option<&str>) {
        self.values.push(json!(text));
    }

    /// A binary value or NULL; takes two places.
    pub(super) fn blob(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            // SQLite counts from 1.
            Some(bytes) => {
                self.values.push(json!(self.blob.len() + 1));
                self.values.push(json!(bytes.len()));
                self.blob.extend_from_slice(bytes);
            }
            None => self.values.extend([Value::Null, Value::Null]),
        }
    }
}
