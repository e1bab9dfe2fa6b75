//! SQLite: write-ahead log, `synchronous=FULL`, one writing connection.

mod checkpoint;
mod fault;
mod pool;
mod row;
mod step;
mod thread;

use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::OpenFlags;

use super::engine::{Engine, Given, Mode, Session, Source, Statement};
use super::moment::Moment;
use super::{Store, StoreError};
use pool::{Lent, Pool};
use row::SqliteRow;
use step::Step;
use thread::Way;

/// Schema changes in order; the position plus one is the schema's number.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001.sql"),
    include_str!("../../migrations/sqlite/0002.sql"),
    include_str!("../../migrations/sqlite/0003.sql"),
    include_str!("../../migrations/sqlite/0004.sql"),
    include_str!("../../migrations/sqlite/0005.sql"),
    include_str!("../../migrations/sqlite/0006.sql"),
    include_str!("../../migrations/sqlite/0007.sql"),
];

/// Connections that read.
const READERS: usize = 4;

/// Keys come in no order: without the upper pages of their indexes at hand, each is read anew
/// (`cache_size`, in KiB when negative). Who copies the log is said in `checkpoint.rs`.
const WRITER: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
    PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON; PRAGMA cache_size = -32768; \
    PRAGMA wal_autocheckpoint = 0;";
const READER: &str = "PRAGMA busy_timeout = 5000; PRAGMA cache_size = -32768;";

/// A store in one SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    writer: Arc<Pool>,
    readers: Arc<Pool>,
}

impl Sqlite {
    /// Opens the file, makes it when it does not exist, and brings its schema up to date. Only the
    /// user of this process can read it and its companions afterwards.
    ///
    /// # Errors
    /// When the file cannot be opened or written, or has a newer schema.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        make_private(path, true).map_err(sqlx::Error::Io)?;
        Self::connect(path).await
    }

    /// Opens a file that must exist.
    ///
    /// # Errors
    /// As [`Self::open`], and when there is no file.
    pub async fn open_existing(path: &Path) -> Result<Self, StoreError> {
        make_private(path, false).map_err(sqlx::Error::Io)?;
        Self::connect(path).await
    }

    /// One moment of a file, to be read, beside whoever writes to it. As long as it is open, the
    /// write-ahead log grows.
    ///
    /// # Errors
    /// As [`Self::open_existing`], and when the schema is not the one of this program.
    pub async fn moment(path: &Path) -> Result<Arc<dyn Store>, StoreError> {
        make_private(path, false).map_err(sqlx::Error::Io)?;
        let readers = Pool::open("sqlite-moment", reading(path), 1).await?;
        let mut session = SqliteSession(readers.lend().await?);
        session.0.begin("BEGIN").await?;
        // What is read first fixes the moment.
        let version = session.fetch("PRAGMA user_version", Given::Values(&[])).await?;
        session.fetch("SELECT size FROM tree", Given::Values(&[])).await?;
        let found = user_version(&version)?;
        let known = MIGRATIONS.len() as i64;
        if found != known {
            return Err(StoreError::Schema { found, known });
        }
        Ok(Arc::new(Moment::of(session)))
    }

    async fn connect(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let way = Way { path: path.to_owned(), flags, pragmas: WRITER };
        let writer = Pool::open("sqlite-writer", way, 1).await?;
        migrate(&writer).await?;
        let readers = Pool::open("sqlite-reader", reading(path), READERS).await?;
        Ok(Self { writer, readers })
    }
}

fn reading(path: &Path) -> Way {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Way { path: path.to_owned(), flags, pragmas: READER }
}

fn user_version(rows: &[SqliteRow]) -> Result<i64, StoreError> {
    Ok(rows.first().map(|row| row.int("user_version")).transpose()?.flatten().unwrap_or(0))
}

/// SQLite gives its companions (`-wal`, `-shm`) the mode that the file has.
fn make_private(path: &Path, create: bool) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create(create).mode(0o600).open(path)?;
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let file = PathBuf::from(name);
        match std::fs::metadata(&file) {
            Ok(found) if found.permissions().mode() & 0o777 != 0o600 => {
                std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
            }
            _ => {}
        }
    }
    Ok(())
}

async fn migrate(pool: &Arc<Pool>) -> Result<(), StoreError> {
    let mut session = SqliteSession(pool.lend().await?);
    let version = session.fetch("PRAGMA user_version", Given::Values(&[])).await?;
    let (found, known) = (user_version(&version)?, MIGRATIONS.len() as i64);
    if found > known {
        return Err(StoreError::Schema { found, known });
    }
    session.commit().await?;
    let done = usize::try_from(found).unwrap_or(0);
    for (i, script) in MIGRATIONS.iter().enumerate().skip(done) {
        let mut connection = pool.lend().await?;
        connection.begin("BEGIN IMMEDIATE").await?;
        connection.script(format!("{script};\nPRAGMA user_version = {}", i + 1)).await?;
        connection.end("COMMIT").await?;
    }
    Ok(())
}

impl Engine for Sqlite {
    type Session = SqliteSession;

    async fn begin(&self, mode: Mode) -> Result<SqliteSession, StoreError> {
        let (pool, begin) = match mode {
            Mode::Read => (&self.readers, None),
            Mode::Snapshot => (&self.readers, Some("BEGIN")),
            Mode::Write => (&self.writer, Some("BEGIN IMMEDIATE")),
        };
        let mut connection = pool.lend().await?;
        if let Some(begin) = begin {
            connection.begin(begin).await?;
        }
        Ok(SqliteSession(connection))
    }

    /// SQLite's thread is handed all of it at once.
    async fn transact(&self, statements: &[Statement<'_>]) -> Result<Vec<SqliteRow>, StoreError> {
        let steps = statements.iter().map(|(sql, given)| Step::new(sql, *given)).collect();
        Ok(self.writer.lend().await?.whole(steps).await?.rows)
    }

    async fn end(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// A connection for one call.
#[derive(Debug)]
pub(super) struct SqliteSession(Lent);

impl Session for SqliteSession {
    type Row = SqliteRow;

    async fn fetch(&mut self, sql: &str, given: Given<'_>) -> Result<Vec<SqliteRow>, StoreError> {
        Ok(self.0.run(Step::new(sql, given)).await?.rows)
    }

    async fn execute(&mut self, sql: &str, given: Given<'_>) -> Result<u64, StoreError> {
        Ok(self.0.run(Step::new(sql, given)).await?.changed)
    }

    async fn commit(self) -> Result<(), StoreError> {
        Ok(self.0.end("COMMIT").await?)
    }

    async fn rollback(self) -> Result<(), StoreError> {
        Ok(self.0.end("ROLLBACK").await?)
    }
}

#[cfg(test)]
mod tests;
