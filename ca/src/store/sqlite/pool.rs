//! Connections, lent for one call each.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::step::{Outcome, Step};
use super::thread::{Thread, Way};

/// How long a connection is waited for.
const ACQUIRE: Duration = Duration::from_secs(10);

/// Connections to one file. They are opened when they are needed.
#[derive(Debug)]
pub(super) struct Pool {
    name: &'static str,
    way: Way,
    size: usize,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Thread>>,
}

impl Pool {
    /// A pool of up to so many connections, of which the first is opened.
    pub(super) async fn open(
        name: &'static str,
        way: Way,
        size: usize,
    ) -> Result<Arc<Self>, sqlx::Error> {
        let first = Thread::open(name, way.clone()).await?;
        let (places, idle) = (Arc::new(Semaphore::new(size)), Mutex::new(vec![first]));
        Ok(Arc::new(Self { name, way, size, places, idle }))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Thread>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lends a connection.
    pub(super) async fn lend(self: &Arc<Self>) -> Result<Lent, sqlx::Error> {
        let place = tokio::time::timeout(ACQUIRE, Arc::clone(&self.places).acquire_owned()).await;
        let place = place.map_err(|_| sqlx::Error::PoolTimedOut)?;
        let place = place.map_err(|_| sqlx::Error::PoolClosed)?;
        let idle = self.idle().pop().filter(|thread| !thread.has_ended());
        let thread = match idle {
            Some(thread) => thread,
            None => Thread::open(self.name, self.way.clone()).await?,
        };
        let (pool, thread) = (Arc::clone(self), Some(thread));
        Ok(Lent { thread, begun: false, pool, _place: place })
    }

    /// Closes every connection, once those that are lent are back.
    pub(super) async fn close(&self) {
        let all = u32::try_from(self.size).unwrap_or(u32::MAX);
        let back = Arc::clone(&self.places).acquire_many_owned(all).await;
        self.places.close();
        drop(back);
        let threads = std::mem::take(&mut *self.idle());
        let closing = move || threads.into_iter().for_each(Thread::close);
        let _ = tokio::task::spawn_blocking(closing).await;
    }
}

/// A connection for one call. What was begun on it and not ended is undone when it is given back.
#[derive(Debug)]
pub(super) struct Lent {
    /// Gone only once it is given back.
    thread: Option<Thread>,
    begun: bool,
    pool: Arc<Pool>,
    _place: OwnedSemaphorePermit,
}

impl Lent {
    fn thread(&self) -> Result<&Thread, sqlx::Error> {
        self.thread.as_ref().ok_or(sqlx::Error::PoolClosed)
    }

    /// Begins a transaction.
    pub(super) async fn begin(&mut self, how: &'static str) -> Result<(), sqlx::Error> {
        // Before it is known to have begun: it may have, though nobody waits for the answer.
        self.begun = true;
        self.run(Step::plain(how)).await.map(drop)
    }

    pub(super) async fn run(&self, step: Step) -> Result<Outcome, sqlx::Error> {
        self.thread()?.run(step).await
    }

    pub(super) async fn whole(&self, steps: Vec<Step>) -> Result<Outcome, sqlx::Error> {
        self.thread()?.whole(steps).await
    }

    pub(super) async fn script(&self, sql: String) -> Result<(), sqlx::Error> {
        self.thread()?.script(sql).await
    }

    /// Ends the transaction, if one was begun.
    pub(super) async fn end(mut self, how: &'static str) -> Result<(), sqlx::Error> {
        if self.begun {
            self.run(Step::plain(how)).await?;
            self.begun = false;
        }
        Ok(())
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if self.begun {
            thread.undo();
        }
        self.pool.idle().push(thread);
    }
}
