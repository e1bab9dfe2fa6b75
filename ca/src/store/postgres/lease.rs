//! The lease: an advisory lock that the writing connection's session holds.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection, Row};

use super::super::StoreError;
use super::session::within;

/// `AVOUCH`, 1: number of the lock. Its halves are what `pg_locks` shows.
const LOCK: i64 = 0x4156_4f55_4348_0001;

/// How long a predecessor that is just ending may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// How to get a connection that holds the lease.
pub(super) struct Lease {
    options: PgConnectOptions,
    /// Names this store's own connections, so that one it lost can be told from another's.
    name: String,
    call: Duration,
}

/// Without the options: sqlx shows a password among them.
impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Lease {
    pub(super) fn new(options: PgConnectOptions, call: Duration) -> Result<Self, StoreError> {
        let mut random = [0; 8];
        getrandom::fill(&mut random)
            .map_err(|error| StoreError::Unfit(format!("no random numbers: {error}")))?;
        let name = format!("avouch authority {}", hex::encode(random));
        Ok(Self { options: options.application_name(&name), name, call })
    }

    /// A connection with the lease. A connection that this store lost, and that the server has
    /// not missed yet, is ended.
    pub(super) async fn take(&self) -> Result<PgConnection, StoreError> {
        let mut connection = within(self.call, PgConnection::connect_with(&self.options)).await?;
        let start = tokio::time::Instant::now();
        loop {
            let sql = "SELECT pg_try_advisory_lock($1) AS taken";
            let query = sqlx::query(sql).bind(LOCK).fetch_one(&mut connection);
            if within(self.call, query).await?.try_get("taken")? {
                return Ok(connection);
            }
            let holder = self.holder(&mut connection).await?;
            if start.elapsed() >= PATIENCE.min(self.call)
                && let Some(holder) = holder
            {
                return Err(StoreError::Held { holder });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Who has it; nobody when it was this store itself, or has just been given up.
    async fn holder(&self, connection: &mut PgConnection) -> Result<Option<String>, StoreError> {
        let sql = "SELECT a.pid, a.application_name AS name, a.backend_start::text AS since, \
                   coalesce(host(a.client_addr), 'this host') AS host FROM pg_locks AS l \
                   JOIN pg_stat_activity AS a USING (pid) JOIN pg_database AS d \
                   ON d.oid = l.database WHERE l.locktype = 'advisory' AND l.granted \
                   AND d.datname = current_database() AND l.classid::int8 = $1 >> 32 \
                   AND l.objid::int8 = $1 & 4294967295 AND l.objsubid = 1";
        let query = sqlx::query(sql).bind(LOCK).fetch_optional(&mut *connection);
        let Some(row) = within(self.call, query).await? else { return Ok(None) };
        let (pid, name): (i32, String) = (row.try_get("pid")?, row.try_get("name")?);
        if name == self.name {
            let query = sqlx::query("SELECT pg_terminate_backend($1)").bind(pid);
            within(self.call, query.execute(connection)).await?;
            return Ok(None);
        }
        let (host, since): (String, String) = (row.try_get("host")?, row.try_get("since")?);
        Ok(Some(format!("{name:?} from {host}, connected since {since} (process {pid})")))
    }
}
