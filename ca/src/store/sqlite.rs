//! SQLite: write-ahead log, `synchronous=FULL`, one writing connection.

mod pack;

use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{Arguments, AssertSqlSafe, Either, Executor, Row, SqliteConnection, SqlitePool};

use super::engine::{Engine, Given, Mode, Session, Source, Statement, Value, renumbered};
use super::moment::Moment;
use super::sheet::Sheet;
use super::{Store, StoreError};

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

/// How long a connection is waited for.
const ACQUIRE: Duration = Duration::from_secs(10);

/// A store in one SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
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
        let readers = Self::pool(1).connect_with(Self::options(path).read_only(true)).await?;
        let mut session = SqliteSession::Transaction(readers.begin().await?);
        // What is read first fixes the moment.
        let version = session.fetch("PRAGMA user_version", Given::Values(&[])).await?;
        session.fetch("SELECT size FROM tree", Given::Values(&[])).await?;
        let found: i64 = version.first().map_or(Ok(0), |row| row.try_get(0))?;
        let known = MIGRATIONS.len() as i64;
        if found != known {
            return Err(StoreError::Schema { found, known });
        }
        Ok(Arc::new(Moment::of(session)))
    }

    fn options(path: &Path) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5))
            .foreign_keys(true)
            // Keys come in no order: without the upper pages of their indexes at hand, each is read
            // anew. In KiB when negative.
            .pragma("cache_size", "-32768")
            // A page that changes often is copied to the file once, not every thousand changes.
            .pragma("wal_autocheckpoint", "8000")
    }

    fn pool(connections: u32) -> SqlitePoolOptions {
        SqlitePoolOptions::new()
            .min_connections(1)
            .max_connections(connections)
            .acquire_timeout(ACQUIRE)
            // A file does not go away as a server does; asking costs a hand-off each time.
            .test_before_acquire(false)
    }

    async fn connect(path: &Path) -> Result<Self, StoreError> {
        let options = Self::options(path);
        let writer = Self::pool(1).connect_with(options.clone()).await?;
        migrate(&writer).await?;
        let readers = Self::pool(4).connect_with(options.read_only(true)).await?;
        Ok(Self { writer, readers })
    }
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

async fn migrate(pool: &SqlitePool) -> Result<(), StoreError> {
    let found: i64 = sqlx::query("PRAGMA user_version").fetch_one(pool).await?.try_get(0)?;
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(StoreError::Schema { found, known });
    }
    let done = usize::try_from(found).unwrap_or(0);
    for (i, script) in MIGRATIONS.iter().enumerate().skip(done) {
        let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::raw_sql(*script).execute(&mut *tx).await?;
        let version = AssertSqlSafe(format!("PRAGMA user_version = {}", i + 1));
        sqlx::raw_sql(version).execute(&mut *tx).await?;
        tx.commit().await?;
    }
    Ok(())
}

impl Engine for Sqlite {
    type Session = SqliteSession;

    async fn begin(&self, mode: Mode) -> Result<SqliteSession, StoreError> {
        Ok(match mode {
            Mode::Read => SqliteSession::Plain(self.readers.acquire().await?),
            Mode::Snapshot => SqliteSession::Transaction(self.readers.begin().await?),
            Mode::Write => {
                SqliteSession::Transaction(self.writer.begin_with("BEGIN IMMEDIATE").await?)
            }
        })
    }

    /// As one text: SQLite's thread is handed all of it at once, and stops at the first fault.
    async fn transact(&self, statements: &[Statement<'_>]) -> Result<Vec<SqliteRow>, StoreError> {
        let mut text = String::from("BEGIN IMMEDIATE;\n");
        let mut arguments = SqliteArguments::default();
        for (sql, given) in statements {
            text.push_str(&statement(sql, *given, &mut arguments)?);
            text.push_str(";\n");
        }
        text.push_str("COMMIT");
        let mut lent = Lent(Some(self.writer.acquire().await?));
        let outcome = lent.first(sqlx::query_with(AssertSqlSafe(text), arguments)).await;
        lent.give_back(outcome.is_ok()).await;
        Ok(outcome?)
    }

    async fn end(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// A connection on which a transaction is begun and ended in words of our own. It is closed, which
/// undoes what was begun, unless it is given back.
struct Lent(Option<PoolConnection<sqlx::Sqlite>>);

impl Lent {
    /// Rows of the first statement after BEGIN.
    async fn first(
        &mut self,
        query: Query<'_, sqlx::Sqlite, SqliteArguments>,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        let connection = self.0.as_deref_mut().ok_or(sqlx::Error::PoolClosed)?;
        let (mut ended, mut rows) = (0, Vec::new());
        let mut results = connection.fetch_many(query);
        while let Some(result) = results.try_next().await? {
            match result {
                Either::Left(_) => ended += 1,
                Either::Right(row) if ended == 1 => rows.push(row),
                Either::Right(_) => {}
            }
        }
        Ok(rows)
    }

    /// Returns the connection to its pool if nothing is under way on it.
    async fn give_back(&mut self, ended: bool) {
        let Some(connection) = self.0.as_deref_mut() else { return };
        if ended || sqlx::raw_sql("ROLLBACK").execute(connection).await.is_ok() {
            drop(self.0.take());
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        drop(self.0.take().map(PoolConnection::detach));
    }
}

/// A connection for one call.
#[derive(Debug)]
pub(super) enum SqliteSession {
    /// Without a transaction.
    Plain(PoolConnection<sqlx::Sqlite>),
    /// In one.
    Transaction(sqlx::Transaction<'static, sqlx::Sqlite>),
}

impl SqliteSession {
    fn connection(&mut self) -> &mut SqliteConnection {
        match self {
            Self::Plain(connection) => connection,
            Self::Transaction(transaction) => transaction,
        }
    }
}

impl Session for SqliteSession {
    type Row = SqliteRow;

    async fn fetch(&mut self, sql: &str, given: Given<'_>) -> Result<Vec<SqliteRow>, StoreError> {
        let mut arguments = SqliteArguments::default();
        let sql = statement(sql, given, &mut arguments)?;
        Ok(sqlx::query_with(AssertSqlSafe(sql), arguments).fetch_all(self.connection()).await?)
    }

    async fn execute(&mut self, sql: &str, given: Given<'_>) -> Result<u64, StoreError> {
        let mut arguments = SqliteArguments::default();
        let sql = statement(sql, given, &mut arguments)?;
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments);
        Ok(query.execute(self.connection()).await?.rows_affected())
    }

    async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Transaction(transaction) => Ok(transaction.commit().await?),
        }
    }

    async fn rollback(self) -> Result<(), StoreError> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Transaction(transaction) => Ok(transaction.rollback().await?),
        }
    }
}

/// A statement whose parameters are added to others before them.
fn statement(
    sql: &str,
    given: Given<'_>,
    arguments: &mut SqliteArguments,
) -> Result<String, StoreError> {
    let values = match given {
        Given::Values(values) => values,
        Given::Rows(sheet) => return with_rows(sql, sheet, arguments),
    };
    let before = arguments.len();
    for value in values {
        match value {
            Value::Null => arguments.add(None::<i64>),
            Value::Int(n) => arguments.add(*n),
            Value::Text(text) => arguments.add(text.to_string()),
            Value::Blob(bytes) => arguments.add(bytes.to_vec()),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(renumbered(sql, before).into_owned())
}

/// A statement that reads a sheet from two more parameters.
fn with_rows(
    sql: &str,
    sheet: &Sheet<'_>,
    arguments: &mut SqliteArguments,
) -> Result<String, StoreError> {
    let first = arguments.len() + 1;
    let (json, blob) = pack::parameters(sheet);
    arguments.add(json).map_err(sqlx::Error::Encode)?;
    arguments.add(blob).map_err(sqlx::Error::Encode)?;
    Ok(sql.replace("{rows}", &pack::relation(sheet.columns(), first)))
}

impl Source for SqliteRow {
    fn int(&self, column: &str) -> Result<Option<i64>, sqlx::Error> {
        self.try_get(column)
    }

    fn text(&self, column: &str) -> Result<Option<String>, sqlx::Error> {
        self.try_get(column)
    }

    fn blob(&self, column: &str) -> Result<Option<Vec<u8>>, sqlx::Error> {
        self.try_get(column)
    }
}

#[cfg(test)]
mod tests;
