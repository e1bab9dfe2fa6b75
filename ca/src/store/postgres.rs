//! PostgreSQL: one writing connection, which holds the lease, and a pool that reads.
//!
//! The lease is an advisory lock of the writing connection's session: whoever lost the connection
//! lost the lease, and nothing is written but through a connection that has it. The fence is the
//! log's size, as with every engine.

mod arrays;
mod lease;
mod session;

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgRow, PgSslMode};
use sqlx::{Connection, PgConnection, PgPool, Row};
use tokio::sync::Mutex;

use super::engine::{Engine, Given, Mode, Session, Statement};
use super::moment::Moment;
use super::{Store, StoreError};
use session::{Begin, FRESH, Idle, PostgresSession, within};

/// Schema changes in order; the position plus one is the schema's number.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/postgres/0001.sql"),
    include_str!("../../migrations/postgres/0002.sql"),
    include_str!("../../migrations/postgres/0003.sql"),
    include_str!("../../migrations/postgres/0004.sql"),
    include_str!("../../migrations/postgres/0005.sql"),
    include_str!("../../migrations/postgres/0006.sql"),
    include_str!("../../migrations/postgres/0007.sql"),
];

/// Connections that read.
const READERS: u32 = 8;

/// How long a reading call waits for a connection.
const ACQUIRE: Duration = Duration::from_secs(3);

/// The oldest server that is known to do.
const OLDEST: i32 = 13_00_00;

/// Where a database is and how to get in.
#[derive(Clone)]
pub struct Settings {
    options: PgConnectOptions,
    place: String,
    call: Duration,
}

/// Without the options: sqlx shows a password among them.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { options: _, place, call } = self;
        f.debug_struct("Settings").field("place", place).field("call", call).finish_non_exhaustive()
    }
}

impl Settings {
    /// Reads `postgres://user@host/database`; `?host=/run/postgresql` names the folder of a Unix
    /// socket.
    ///
    /// # Errors
    /// [`StoreError::Unfit`] when it is no such URL, holds a password, which would then stand in
    /// process lists and logs, or names another host without saying how the way there is protected.
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        let unfit = |reason: &str| StoreError::Unfit(reason.to_owned());
        let rest = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"))
            .ok_or_else(|| unfit("the URL does not begin with postgres://"))?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
        let query = rest.split_once('?').map_or("", |(_, query)| query);
        if user.contains(':') || query.split('&').any(|pair| pair.starts_with("password")) {
            return Err(unfit("the URL holds a password; put it into a file of its own"));
        }
        let options = PgConnectOptions::from_str(url)
            .map_err(|error| StoreError::Unfit(format!("the URL is not valid: {error}")))?;
        let waived = query.split('&').any(|pair| pair == "sslmode=disable");
        let verified = matches!(options.get_ssl_mode(), PgSslMode::VerifyFull);
        if !verified && !waived && !is_local(&options) {
            return Err(unfit(
                "the database is on another host, and whoever is between could read and change \
                 what is sent: add ?sslmode=verify-full&sslrootcert=/path/to/ca.pem, or, where \
                 the network itself is protected, ?sslmode=disable",
            ));
        }
        Ok(Self { options, place: url.to_owned(), call: Duration::from_secs(10) })
    }

    /// With a password.
    #[must_use]
    pub fn with_password(mut self, password: &SecretString) -> Self {
        self.options = self.options.password(password.expose_secret());
        self
    }

    /// With another bound on how long each exchange with the server may take (10 s).
    #[must_use]
    pub fn with_deadline(mut self, call: Duration) -> Self {
        self.call = call;
        self
    }

    /// The URL, for people.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    fn options(&self) -> PgConnectOptions {
        let call = self.call.as_millis().max(1);
        self.options.clone().options([
            ("synchronous_commit", "on".to_owned()),
            ("statement_timeout", call.to_string()),
            ("lock_timeout", (call / 2).max(1).to_string()),
            ("idle_in_transaction_session_timeout", (3 * call).to_string()),
            // A server learns of a dead host within half a minute, and ends the lease with it.
            ("tcp_keepalives_idle", "10".to_owned()),
            ("tcp_keepalives_interval", "5".to_owned()),
            ("tcp_keepalives_count", "3".to_owned()),
            // Compiling a plan takes longer than any of these statements.
            ("jit", "off".to_owned()),
            // Every statement has an index to go by. A plan that was made while a table was new and
            // empty would read all of it, and be kept when it has grown.
            ("enable_seqscan", "off".to_owned()),
        ])
    }
}

/// Whether the server is reached without a network.
fn is_local(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let loopback =
        || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    options.get_socket().is_some() || host.starts_with('/') || host == "localhost" || loopback()
}

/// A store in a PostgreSQL database.
#[derive(Debug)]
pub struct Postgres {
    writer: Arc<Mutex<Option<Idle>>>,
    lease: lease::Lease,
    readers: PgPool,
    call: Duration,
}

impl Postgres {
    /// Takes the lease and brings the schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Held`] when another authority has the lease, [`StoreError::Schema`] when the
    /// schema is newer, [`StoreError::Unfit`] when the server is too old or the database's
    /// encoding is not UTF-8.
    pub async fn open(settings: &Settings) -> Result<Self, StoreError> {
        // Planning a group's statement takes longer than carrying it out, and gives the same plan.
        let writing = settings.options().options([("plan_cache_mode", "force_generic_plan")]);
        let lease = lease::Lease::new(writing, settings.call)?;
        let mut writer = lease.take().await?;
        check(&mut writer, settings.call).await?;
        migrate(&mut writer, settings.call).await?;
        let readers = PgPoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(settings.call.min(ACQUIRE))
            // Asked whether it still lives only if it can have died: asking costs as much as a read.
            .test_before_acquire(false)
            .before_acquire(|connection, used| {
                Box::pin(
                    async move { Ok(used.idle_for <= FRESH || connection.ping().await.is_ok()) },
                )
            })
            .connect_lazy_with(settings.options().application_name("avouch"));
        let writer = Arc::new(Mutex::new(Some(Idle::now(writer))));
        Ok(Self { writer, lease, readers, call: settings.call })
    }

    /// One moment of a database, to be read, beside whoever has the lease.
    ///
    /// # Errors
    /// As [`Self::open`] but for the lease, and when the schema is not the one of this program.
    pub async fn moment(settings: &Settings) -> Result<Arc<dyn Store>, StoreError> {
        let call = settings.call;
        // Between two statements there may be much to verify.
        let options = settings.options().options([("idle_in_transaction_session_timeout", "0")]);
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(call.min(ACQUIRE))
            .connect_lazy_with(options.application_name("avouch reader"));
        let mut connection = pool.acquire().await?;
        check(&mut connection, call).await?;
        let mut session = PostgresSession::read(connection, call, Some(SNAPSHOT)).await?;
        // What is read first fixes the moment.
        let version = session.fetch("SELECT version FROM schema_version", Given::Values(&[]));
        let found: i64 = version.await?.first().map_or(Ok(0), |row| row.try_get("version"))?;
        let known = MIGRATIONS.len() as i64;
        if found != known {
            return Err(StoreError::Schema { found, known });
        }
        Ok(Arc::new(Moment::of(session)))
    }
}

/// Begins a transaction that sees one moment, and changes nothing.
const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

impl Postgres {
    /// A session on the writing connection. One that broke while nobody used it, as when the
    /// server restarted, is made anew: nothing was asked of it yet.
    async fn begin_write(&self, one_statement: bool) -> Result<PostgresSession, StoreError> {
        let begin = |probe| {
            if one_statement { Begin::Statement(probe) } else { Begin::Transaction }
        };
        let place = within(self.call, async { Ok(self.writer.clone().lock_owned().await) });
        let mut place = place.await?;
        if let Some(idle) = place.take() {
            let begin_now = begin(idle.probe());
            match PostgresSession::write(idle.connection, place, self.call, begin_now).await {
                Ok(session) => return Ok(session),
                Err(error) => tracing::info!(%error, "the writing connection was lost"),
            }
            let again = within(self.call, async { Ok(self.writer.clone().lock_owned().await) });
            place = again.await?;
            // Somebody else may have been faster.
            if let Some(idle) = place.take() {
                let begin = begin(idle.probe());
                return PostgresSession::write(idle.connection, place, self.call, begin).await;
            }
        }
        if self.readers.is_closed() {
            return Err(sqlx::Error::PoolClosed.into());
        }
        let connection = self.lease.take().await?;
        PostgresSession::write(connection, place, self.call, begin(None)).await
    }
}

async fn check(connection: &mut PgConnection, call: Duration) -> Result<(), StoreError> {
    let sql = "SELECT current_setting('server_version_num')::int4 AS version, \
               current_setting('server_encoding') AS encoding, current_setting('fsync') AS fsync";
    let row = within(call, sqlx::query(sql).fetch_one(connection)).await?;
    let (version, encoding): (i32, String) = (row.try_get("version")?, row.try_get("encoding")?);
    if version < OLDEST {
        let reason = format!("the server's version is {version}; {OLDEST} or newer is needed");
        return Err(StoreError::Unfit(reason));
    }
    if encoding != "UTF8" {
        return Err(StoreError::Unfit(format!("its encoding is {encoding}, not UTF8")));
    }
    if row.try_get::<String, _>("fsync")? != "on" {
        tracing::warn!("the PostgreSQL server has fsync off: a crash of its host loses events");
    }
    Ok(())
}

async fn migrate(connection: &mut PgConnection, call: Duration) -> Result<(), StoreError> {
    let known = MIGRATIONS.len() as i64;
    let sql = "SELECT to_regclass('schema_version') IS NOT NULL AS there";
    let row = within(call, sqlx::query(sql).fetch_one(&mut *connection)).await?;
    if !row.try_get::<bool, _>("there")? {
        let sql = "CREATE TABLE schema_version (one BIGINT PRIMARY KEY CHECK (one = 1), \
                   version BIGINT NOT NULL); INSERT INTO schema_version VALUES (1, 0)";
        within(call, sqlx::raw_sql(sql).execute(&mut *connection)).await?;
    }
    let sql = "SELECT version FROM schema_version";
    let row = within(call, sqlx::query(sql).fetch_one(&mut *connection)).await?;
    let found: i64 = row.try_get("version")?;
    if found > known {
        return Err(StoreError::Schema { found, known });
    }
    let done = usize::try_from(found).unwrap_or(0);
    for (i, script) in MIGRATIONS.iter().enumerate().skip(done) {
        within(call, async {
            let mut tx = connection.begin().await?;
            sqlx::raw_sql(*script).execute(&mut *tx).await?;
            let set = sqlx::query("UPDATE schema_version SET version = $1");
            set.bind(i as i64 + 1).execute(&mut *tx).await?;
            tx.commit().await
        })
        .await?;
    }
    Ok(())
}

impl Engine for Postgres {
    type Session = PostgresSession;

    async fn begin(&self, mode: Mode) -> Result<PostgresSession, StoreError> {
        match mode {
            Mode::Read => {
                PostgresSession::read(self.readers.acquire().await?, self.call, None).await
            }
            Mode::Snapshot => {
                let begin = Some(SNAPSHOT);
                PostgresSession::read(self.readers.acquire().await?, self.call, begin).await
            }
            Mode::Write => self.begin_write(false).await,
        }
    }

    /// As one statement: whoever sends several waits for the server as often.
    async fn transact(&self, statements: &[Statement<'_>]) -> Result<Vec<PgRow>, StoreError> {
        let (sql, arguments) = arrays::one(statements)?;
        self.begin_write(true).await?.once(sql, arguments).await
    }

    async fn end(&self) {
        self.readers.close().await;
        if let Some(idle) = self.writer.lock().await.take() {
            // The lease ends with the connection, however it ends.
            let _ = within(self.call, idle.connection.close()).await;
        }
    }
}

#[cfg(test)]
mod tests;
