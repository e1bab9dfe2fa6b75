//! An engine whose sessions are measured.

use std::time::Instant;

use super::StoreError;
use super::engine::{Engine, Given, Mode, RowOf, Session, Statement};
use crate::metrics::StoreMetrics;

/// A database whose sessions are measured.
#[derive(Debug)]
pub struct Measured<E> {
    engine: E,
    metrics: StoreMetrics,
}

impl<E> Measured<E> {
    /// Measures an engine.
    pub fn new(engine: E, metrics: StoreMetrics) -> Self {
        Self { engine, metrics }
    }

    fn watch(&self, mode: Mode) -> Watch {
        let kind = match mode {
            Mode::Read => "read",
            Mode::Snapshot => "snapshot",
            Mode::Write => "write",
        };
        let metrics = self.metrics.clone();
        Watch { kind, start: Instant::now(), failed: false, metrics }
    }
}

/// A session that is being measured.
#[derive(Debug)]
pub(super) struct MeasuredSession<S> {
    session: S,
    watch: Watch,
}

/// From the wish for a connection to the session's end, whichever way it ends.
#[derive(Debug)]
struct Watch {
    kind: &'static str,
    start: Instant,
    failed: bool,
    metrics: StoreMetrics,
}

impl Watch {
    fn see<T>(&mut self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        self.failed |= outcome.is_err();
        outcome
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.metrics.took(self.kind, self.start.elapsed());
        if self.failed {
            self.metrics.failed(self.kind);
        }
    }
}

impl<E: Engine> Engine for Measured<E> {
    type Session = MeasuredSession<E::Session>;

    async fn begin(&self, mode: Mode) -> Result<Self::Session, StoreError> {
        let mut watch = self.watch(mode);
        let session = watch.see(self.engine.begin(mode).await)?;
        Ok(MeasuredSession { session, watch })
    }

    async fn transact(&self, statements: &[Statement<'_>]) -> Result<Vec<RowOf<Self>>, StoreError> {
        let mut watch = self.watch(Mode::Write);
        watch.see(self.engine.transact(statements).await)
    }

    async fn end(&self) {
        self.engine.end().await;
    }
}

impl<S: Session> Session for MeasuredSession<S> {
    type Row = S::Row;

    async fn fetch(&mut self, sql: &str, given: Given<'_>) -> Result<Vec<S::Row>, StoreError> {
        let outcome = self.session.fetch(sql, given).await;
        self.watch.see(outcome)
    }

    async fn execute(&mut self, sql: &str, given: Given<'_>) -> Result<u64, StoreError> {
        let outcome = self.session.execute(sql, given).await;
        self.watch.see(outcome)
    }

    async fn commit(self) -> Result<(), StoreError> {
        let Self { session, mut watch } = self;
        watch.see(session.commit().await)
    }

    async fn rollback(self) -> Result<(), StoreError> {
        let Self { session, mut watch } = self;
        watch.see(session.rollback().await)
    }
}
