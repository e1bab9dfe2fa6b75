//! The tables, and rows for them as one parameter.

use super::engine::Value;

/// Type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number of 64 bits.
    Int,
    /// UTF-8, compared bytewise.
    Text,
    /// Bytes.
    Blob,
}

use Kind::{Blob, Int, Text};

/// A column: its name and type.
pub(super) type Column = (&'static str, Kind);

/// A table: its columns, those of its primary key first.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) key: usize,
    pub(super) columns: &'static [Column],
}

pub(super) const TREE: Table =
    Table { name: "tree", key: 1, columns: &[("one", Int), ("size", Int)] };

pub(super) const STORED_HASH: Table =
    Table { name: "stored_hash", key: 1, columns: &[("idx", Int), ("hash", Blob)] };

pub(super) const EVENT: Table = Table {
    name: "event",
    key: 1,
    columns: &[
        ("leaf_index", Int),
        ("leaf", Blob),
        ("salt", Blob),
        ("event", Blob),
        ("uid", Text),
        ("sequence", Int),
        ("at_ms", Int),
        ("kind", Int),
        ("evidence", Blob),
    ],
};

/// Evidence of events that were recorded before it stood with them.
pub(super) const EVIDENCE: Table =
    Table { name: "evidence", key: 1, columns: &[("hash", Blob), ("data", Blob)] };

pub(super) const IDENTITY: Table = Table {
    name: "identity",
    key: 1,
    columns: &[
        ("uid", Text),
        ("blinding_key", Blob),
        ("status", Int),
        ("sequence", Int),
        ("head", Blob),
        ("key_hash", Blob),
        ("key_number", Int),
        ("key_proven", Int),
        ("recovery", Blob),
        ("created_ms", Int),
        ("updated_ms", Int),
        ("details", Blob),
        ("pending", Blob),
        ("due_ms", Int),
    ],
};

pub(super) const PROPOSAL: Table = Table {
    name: "proposal",
    key: 1,
    columns: &[("intent", Blob), ("uid", Text), ("leaf_index", Int)],
};

pub(super) const SUBJECT_KEY: Table = Table {
    name: "subject_key",
    key: 1,
    columns: &[("hash", Blob), ("uid", Text), ("spki", Blob), ("algorithm", Text)],
};

pub(super) const CERTIFICATE: Table = Table {
    name: "certificate",
    key: 1,
    columns: &[
        ("leaf_index", Int),
        ("serial", Blob),
        ("uid", Text),
        ("kind", Int),
        ("sequence", Int),
        ("key_hash", Blob),
        ("issuer", Blob),
        ("shard", Int),
        ("not_before", Int),
        ("not_after", Int),
        ("vouched", Text),
        ("certificate", Blob),
        ("revoked_leaf", Int),
        ("revoked_ms", Int),
        ("revoked_reason", Int),
    ],
};

pub(super) const IDEMPOTENCY: Table = Table {
    name: "idempotency",
    key: 1,
    columns: &[("key", Text), ("request", Blob), ("leaf_index", Int)],
};

pub(super) const REFUSAL: Table = Table {
    name: "refusal",
    key: 1,
    columns: &[
        ("id", Int),
        ("uid", Text),
        ("at_ms", Int),
        ("verb", Text),
        ("key_hash", Blob),
        ("code", Text),
        ("detail", Text),
        ("vouched", Text),
    ],
};

pub(super) const CRL: Table = Table {
    name: "crl",
    key: 2,
    columns: &[
        ("issuer", Blob),
        ("shard", Int),
        ("number", Int),
        ("size", Int),
        ("next_update", Int),
        ("crl", Blob),
    ],
};

pub(super) const CHECKPOINT: Table =
    Table { name: "checkpoint", key: 1, columns: &[("size", Int), ("note", Text)] };

pub(super) const COSIGNATURE: Table = Table {
    name: "cosignature",
    key: 2,
    columns: &[
        ("cosigner", Blob),
        ("size", Int),
        ("note", Text),
        ("first_line", Text),
        ("first_s", Int),
        ("latest_line", Text),
        ("latest_s", Int),
        ("kept", Int),
    ],
};

pub(super) const MAP_PAGE: Table =
    Table { name: "map_page", key: 1, columns: &[("prefix", Blob), ("page", Blob)] };

pub(super) const MAP_FLUSH: Table =
    Table { name: "map_flush", key: 1, columns: &[("one", Int), ("size", Int)] };

pub(super) const SECRET: Table =
    Table { name: "secret", key: 1, columns: &[("name", Text), ("value", Blob)] };

pub(super) const ADDRESS: Table = Table {
    name: "address",
    key: 2,
    columns: &[
        ("uid", Text),
        ("channel", Blob),
        ("kind", Int),
        ("salt", Blob),
        ("address", Text),
        ("until_ms", Int),
    ],
};

pub(super) const OUTBOX: Table = Table {
    name: "outbox",
    key: 1,
    columns: &[
        ("id", Blob),
        ("leaf_index", Int),
        ("kind", Int),
        ("address", Text),
        ("notice", Blob),
        ("at_ms", Int),
        ("attempts", Int),
        ("next_ms", Int),
        ("given_up_ms", Int),
    ],
};

/// All tables.
pub(super) const TABLES: [&Table; 18] = [
    &TREE,
    &STORED_HASH,
    &EVENT,
    &EVIDENCE,
    &IDENTITY,
    &SUBJECT_KEY,
    &CERTIFICATE,
    &IDEMPOTENCY,
    &PROPOSAL,
    &REFUSAL,
    &CRL,
    &CHECKPOINT,
    &COSIGNATURE,
    &MAP_PAGE,
    &MAP_FLUSH,
    &SECRET,
    &ADDRESS,
    &OUTBOX,
];

/// Rows with some columns, as a parameter of one statement: a statement for a whole group costs
/// one hand-off to the engine, a statement a row costs as many as there are rows.
#[derive(Debug)]
pub(super) struct Sheet<'a> {
    columns: &'static [Column],
    values: Vec<Value<'a>>,
}

impl<'a> Sheet<'a> {
    /// An empty sheet.
    pub(super) fn new(columns: &'static [Column]) -> Self {
        Self { columns, values: Vec::new() }
    }

    /// Adds a row; it has a value for each column, in order.
    pub(super) fn push<const N: usize>(&mut self, row: [Value<'a>; N]) {
        debug_assert_eq!(N, self.columns.len());
        self.values.extend(row);
    }

    /// Adds a row.
    pub(super) fn push_row(&mut self, row: Vec<Value<'a>>) {
        debug_assert_eq!(row.len(), self.columns.len());
        self.values.extend(row);
    }

    /// The columns.
    pub(super) fn columns(&self) -> &'static [Column] {
        self.columns
    }

    /// The rows.
    pub(super) fn rows(&self) -> std::slice::ChunksExact<'_, Value<'a>> {
        self.values.chunks_exact(self.columns.len())
    }

    /// One column's values.
    pub(super) fn column(&self, n: usize) -> impl Iterator<Item = &Value<'a>> {
        self.values.iter().skip(n).step_by(self.columns.len())
    }

    /// Whether there is no row.
    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}
