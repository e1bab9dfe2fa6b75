//! A connection for one call. Every exchange with the server has a deadline; a connection whose
//! state is not known is closed, never used again.

use std::future::Future;
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Row};
use tokio::sync::OwnedMutexGuard;

use super::super::StoreError;
use super::super::engine::{Given, Session, Source};
use super::arrays;

/// Waits for the server, but not for ever: one that is stopped, or whose network is gone, does not
/// even refuse.
pub(super) async fn within<T>(
    call: Duration,
    future: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(call, future).await {
        Ok(done) => Ok(done?),
        Err(_) => {
            let reason = format!("no answer within {} ms", call.as_millis());
            let error = std::io::Error::new(std::io::ErrorKind::TimedOut, reason);
            Err(sqlx::Error::Io(error).into())
        }
    }
}

/// How a session on the writing connection begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// With a transaction of several statements.
    Transaction,
    /// With the one statement that is all of it, after this probe if there is one.
    Statement(Option<&'static str>),
}

/// A connection for one call.
#[derive(Debug)]
pub(in super::super) struct PostgresSession {
    connection: Taken,
    call: Duration,
    transaction: bool,
}

#[derive(Debug)]
enum Taken {
    /// From the pool.
    Reader(Option<PoolConnection<Postgres>>),
    /// The writing connection, and the place that it goes back to.
    Writer(Option<PgConnection>, OwnedMutexGuard<Option<Idle>>),
}

/// The writing connection while nobody uses it.
#[derive(Debug)]
pub(super) struct Idle {
    pub(super) connection: PgConnection,
    since: Instant,
}

impl Idle {
    pub(super) fn now(connection: PgConnection) -> Self {
        Self { connection, since: Instant::now() }
    }

    /// What to ask of it before a statement that must not be asked twice: nothing while it was used
    /// so lately that no server can have ended and started in between.
    pub(super) fn probe(&self) -> Option<&'static str> {
        (self.since.elapsed() > FRESH).then_some("SELECT 1")
    }
}

/// How long after an exchange a connection is taken for alive.
pub(super) const FRESH: Duration = Duration::from_millis(20);

impl PostgresSession {
    pub(super) async fn read(
        connection: PoolConnection<Postgres>,
        call: Duration,
        begin: Option<&'static str>,
    ) -> Result<Self, StoreError> {
        let connection = Taken::Reader(Some(connection));
        let mut session = Self { connection, call, transaction: begin.is_some() };
        if let Some(begin) = begin {
            session.control(begin).await?;
        }
        Ok(session)
    }

    /// A session on the writing connection, with a transaction, or for one statement.
    pub(super) async fn write(
        connection: PgConnection,
        place: OwnedMutexGuard<Option<Idle>>,
        call: Duration,
        begin: Begin,
    ) -> Result<Self, StoreError> {
        let connection = Taken::Writer(Some(connection), place);
        let transaction = begin == Begin::Transaction;
        let mut session = Self { connection, call, transaction };
        match begin {
            Begin::Transaction => session.control("BEGIN").await?,
            Begin::Statement(Some(probe)) => session.control(probe).await?,
            Begin::Statement(None) => {}
        }
        Ok(session)
    }

    /// Carries out one statement that stands for a whole transaction. One that the server refused
    /// has changed nothing.
    pub(super) async fn once(
        mut self,
        sql: String,
        arguments: PgArguments,
    ) -> Result<Vec<PgRow>, StoreError> {
        let call = self.call;
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments);
        let outcome = within(call, query.fetch_all(self.connection()?)).await;
        if matches!(&outcome, Ok(_) | Err(StoreError::Engine(sqlx::Error::Database(_)))) {
            self.finish("").await?;
        }
        outcome
    }

    /// The connection; it is gone only once the session has ended.
    fn connection(&mut self) -> Result<&mut PgConnection, StoreError> {
        let connection = match &mut self.connection {
            Taken::Reader(connection) => connection.as_deref_mut(),
            Taken::Writer(connection, _) => connection.as_mut(),
        };
        Ok(connection.ok_or(sqlx::Error::PoolClosed)?)
    }

    async fn control(&mut self, sql: &'static str) -> Result<(), StoreError> {
        let call = self.call;
        let connection = self.connection()?;
        within(call, sqlx::raw_sql(sql).execute(connection)).await?;
        Ok(())
    }

    async fn finish(mut self, end: &'static str) -> Result<(), StoreError> {
        if self.transaction {
            self.control(end).await?;
        }
        // Its state is known: it may be used again.
        match &mut self.connection {
            Taken::Reader(connection) => drop(connection.take()),
            Taken::Writer(connection, place) => **place = connection.take().map(Idle::now),
        }
        Ok(())
    }
}

impl Drop for PostgresSession {
    fn drop(&mut self) {
        if let Taken::Reader(connection) = &mut self.connection
            && let Some(connection) = connection.take()
        {
            drop(connection.detach());
        }
    }
}

impl Session for PostgresSession {
    type Row = PgRow;

    async fn fetch(&mut self, sql: &str, given: Given<'_>) -> Result<Vec<PgRow>, StoreError> {
        let call = self.call;
        let (sql, arguments): (String, PgArguments) = arrays::statement(sql, given)?;
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments);
        within(call, query.fetch_all(self.connection()?)).await
    }

    async fn execute(&mut self, sql: &str, given: Given<'_>) -> Result<u64, StoreError> {
        let call = self.call;
        let (sql, arguments) = arrays::statement(sql, given)?;
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments);
        Ok(within(call, query.execute(self.connection()?)).await?.rows_affected())
    }

    async fn commit(self) -> Result<(), StoreError> {
        self.finish("COMMIT").await
    }

    async fn rollback(self) -> Result<(), StoreError> {
        self.finish("ROLLBACK").await
    }
}

impl Source for PgRow {
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
