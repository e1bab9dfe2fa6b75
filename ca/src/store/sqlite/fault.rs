//! What SQLite refuses, as the store's other engine would say it.

use std::error::Error as StdError;

use rusqlite::ffi;
use sqlx::error::{DatabaseError, ErrorKind};

/// An error of SQLite.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Fault(rusqlite::Error, String);

/// As an error of the store. What a closed or crashed thread leads to is said elsewhere.
pub(super) fn engine(error: rusqlite::Error) -> sqlx::Error {
    let text = error.to_string();
    sqlx::Error::Database(Box::new(Fault(error, text)))
}

impl DatabaseError for Fault {
    fn message(&self) -> &str {
        &self.1
    }

    fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        match self.0.sqlite_error().map(|error| error.extended_code) {
            Some(
                ffi::SQLITE_CONSTRAINT_UNIQUE
                | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
                | ffi::SQLITE_CONSTRAINT_ROWID,
            ) => ErrorKind::UniqueViolation,
            Some(ffi::SQLITE_CONSTRAINT_NOTNULL) => ErrorKind::NotNullViolation,
            Some(ffi::SQLITE_CONSTRAINT_CHECK) => ErrorKind::CheckViolation,
            Some(ffi::SQLITE_CONSTRAINT_FOREIGNKEY) => ErrorKind::ForeignKeyViolation,
            _ => ErrorKind::Other,
        }
    }
}
