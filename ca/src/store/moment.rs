//! A store that reads one moment: whatever is written meanwhile, every call sees the database as it
//! was when this was opened. It writes nothing, and takes no lease.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::StoreError;
use super::engine::{Engine, Given, Mode, RowOf, Session, Statement};

/// One session of an engine, in a transaction that reads, lent to one call after another.
#[derive(Debug)]
pub(super) struct Moment<S>(Arc<Mutex<Option<S>>>);

impl<S: Session> Moment<S> {
    /// The session has begun its transaction; the first thing read is what fixes the moment.
    pub(super) fn of(session: S) -> Self {
        Self(Arc::new(Mutex::new(Some(session))))
    }
}

fn only_reads<T>() -> Result<T, StoreError> {
    Err(StoreError::Unfit("it was opened to be read".to_owned()))
}

impl<S: Session + std::fmt::Debug + 'static> Engine for Moment<S> {
    type Session = Lent<S>;

    async fn begin(&self, mode: Mode) -> Result<Lent<S>, StoreError> {
        match mode {
            Mode::Read | Mode::Snapshot => Ok(Lent(self.0.clone().lock_owned().await)),
            Mode::Write => only_reads(),
        }
    }

    async fn transact(&self, _: &[Statement<'_>]) -> Result<Vec<RowOf<Self>>, StoreError> {
        only_reads()
    }

    async fn end(&self) {
        if let Some(session) = self.0.lock().await.take() {
            // Nothing was written: however it ends, nothing is lost.
            let _ = session.rollback().await;
        }
    }
}

/// The session for one call.
#[derive(Debug)]
pub(super) struct Lent<S>(OwnedMutexGuard<Option<S>>);

impl<S: Session + std::fmt::Debug> Session for Lent<S> {
    type Row = S::Row;

    async fn fetch(&mut self, sql: &str, given: Given<'_>) -> Result<Vec<S::Row>, StoreError> {
        self.0.as_mut().ok_or(sqlx::Error::PoolClosed)?.fetch(sql, given).await
    }

    async fn execute(&mut self, _: &str, _: Given<'_>) -> Result<u64, StoreError> {
        only_reads()
    }

    async fn commit(self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn rollback(self) -> Result<(), StoreError> {
        Ok(())
    }
}
