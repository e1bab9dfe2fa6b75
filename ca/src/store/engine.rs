//! What the store's statements need of a database. The statements themselves are written once
//! (`read.rs`, `write.rs`), in SQL that every engine understands; an engine brings connections,
//! transactions and its own way to take many rows as parameters.

use std::borrow::Cow;
use std::fmt::Debug;
use std::future::Future;

use super::StoreError;
use super::sheet::Sheet;

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// One statement that reads.
    Read,
    /// Several statements that read one moment.
    Snapshot,
    /// A transaction that writes.
    Write,
}

/// A row of an engine.
pub(super) type RowOf<E> = <<E as Engine>::Session as Session>::Row;

/// A statement and its parameters.
pub(super) type Statement<'a> = (&'static str, Given<'a>);

/// A database.
pub(super) trait Engine: Debug + Send + Sync {
    type Session: Session;

    /// A session; a [`Mode::Write`] one excludes all others of its kind.
    fn begin(&self, mode: Mode) -> impl Future<Output = Result<Self::Session, StoreError>> + Send;

    /// One transaction that writes, of statements of which none needs to see what another wrote, and
    /// of which no two change the same row: the rows of the first. An engine may send all of it
    /// together, and carry it out in any order.
    fn transact(
        &self,
        statements: &[Statement<'_>],
    ) -> impl Future<Output = Result<Vec<RowOf<Self>>, StoreError>> + Send;

    /// Closes every connection.
    fn end(&self) -> impl Future<Output = ()> + Send;
}

/// A connection, taken for one call of the store. Dropped before its end, it undoes what it did.
pub(super) trait Session: Send {
    type Row: Source;

    /// Rows of a query.
    fn fetch(
        &mut self,
        sql: &str,
        given: Given<'_>,
    ) -> impl Future<Output = Result<Vec<Self::Row>, StoreError>> + Send;

    /// Number of rows that a statement changed.
    fn execute(
        &mut self,
        sql: &str,
        given: Given<'_>,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Ends the session and keeps what it wrote.
    fn commit(self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Ends the session and undoes what it wrote.
    fn rollback(self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Parameters of a statement.
#[derive(Debug, Clone, Copy)]
pub(super) enum Given<'a> {
    /// Values for `$1`, `$2`, …
    Values(&'a [Value<'a>]),
    /// Rows: the statement does what it does for each. `{rows}` in it becomes a relation `r` with
    /// the sheet's columns and some or all of the rows; `{all}` after `INSERT INTO` becomes what is
    /// inserted, all columns in order. An engine may carry it out row by row.
    Rows(&'a Sheet<'a>),
}

/// No parameters.
pub(super) const NOTHING: Given<'static> = Given::Values(&[]);

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Null,
    Int(i64),
    Text(Cow<'a, str>),
    Blob(Cow<'a, [u8]>),
}

impl<'a> Value<'a> {
    /// A number. Numbers of the formats fit an i64; a larger one (a cursor from outside) is taken
    /// for the largest.
    pub(super) fn int(n: u64) -> Self {
        Self::Int(i64::try_from(n).unwrap_or(i64::MAX))
    }

    /// A text. PostgreSQL has no NUL in texts and SQLite ends them there, so it is replaced.
    pub(super) fn text(text: &'a str) -> Self {
        if text.contains('\0') {
            return Self::Text(Cow::Owned(text.replace('\0', "\u{fffd}")));
        }
        Self::Text(Cow::Borrowed(text))
    }

    /// Bytes.
    pub(super) fn blob(bytes: &'a [u8]) -> Self {
        Self::Blob(Cow::Borrowed(bytes))
    }

    /// Bytes, or NULL.
    pub(super) fn opt_blob(bytes: Option<&'a [u8]>) -> Self {
        bytes.map_or(Self::Null, Self::blob)
    }
}

/// A row as an engine gives it.
pub(super) trait Source: Send {
    fn int(&self, column: &str) -> Result<Option<i64>, sqlx::Error>;
    fn text(&self, column: &str) -> Result<Option<String>, sqlx::Error>;
    fn blob(&self, column: &str) -> Result<Option<Vec<u8>>, sqlx::Error>;
}

/// A statement whose parameters come after `before` others: `$1` becomes `$(1 + before)`, and so on.
pub(super) fn renumbered(sql: &str, before: usize) -> Cow<'_, str> {
    if before == 0 {
        return Cow::Borrowed(sql);
    }
    let mut pieces = sql.split('$');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digits = piece.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = piece.split_at(digits);
        let number = number.parse().map_or(0, |number: usize| number + before);
        out.push_str(&format!("${number}{rest}"));
    }
    Cow::Owned(out)
}
