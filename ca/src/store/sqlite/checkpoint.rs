//! Copying the write-ahead log into the database, beside the writer.
//!
//! SQLite has whoever commits do it once the log is long: one group would wait until thousands of
//! pages are on the disk. Here a thread with a connection of its own copies them while groups go on
//! being written. It never meets the log's end, as that moves on; so the writer copies the short
//! rest after an answer has left, and its next transaction begins the log anew.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::thread::JoinHandle;

use rusqlite::Connection;

/// Pages in the log at which they are copied: one that changes often is copied once, not at every
/// change.
const LONG: i32 = if cfg!(test) { 64 } else { 8000 };

/// Pages at which the writer copies them itself: something keeps the thread from its work.
pub(super) const TOO_LONG: i32 = 8 * LONG;

const COPY: &str = "PRAGMA wal_checkpoint(PASSIVE)";

thread_local! {
    /// Pages in the log after the latest commit of this thread's connection.
    static PAGES: Cell<i32> = const { Cell::new(0) };
}

/// The thread that copies, as the writer has it.
#[derive(Debug)]
pub(super) struct Checkpoints {
    /// Dropped, it ends.
    begin: Option<SyncSender<()>>,
    copying: Arc<AtomicBool>,
    /// Most pages are copied; the rest is the writer's.
    copied: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    /// Starts the thread for a writer. `other` opens a second connection to the same file.
    pub(super) fn of(
        writer: &Connection,
        other: impl FnOnce() -> rusqlite::Result<Connection>,
    ) -> rusqlite::Result<Self> {
        writer.wal_hook(Some(|_, pages| {
            PAGES.set(pages);
            Ok(())
        }));
        let connection = other()?;
        let (begin, told) = mpsc::sync_channel::<()>(1);
        let (copying, copied) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (busy, done) = (Arc::clone(&copying), Arc::clone(&copied));
        let thread = std::thread::Builder::new().name("sqlite-copier".to_owned());
        let thread = thread.spawn(move || {
            for () in told {
                copy(&connection);
                done.store(true, Ordering::Release);
                busy.store(false, Ordering::Release);
            }
        });
        // Without the thread the writer does all of it.
        let thread = thread.ok();
        let begin = thread.is_some().then_some(begin);
        Ok(Self { begin, copying, copied, thread })
    }

    /// To be called by the writer when it has nothing begun.
    pub(super) fn look(&self, writer: &Connection) {
        let pages = PAGES.get();
        if self.copied.swap(false, Ordering::AcqRel) || pages >= TOO_LONG {
            copy(writer);
            return;
        }
        if pages < LONG || self.copying.swap(true, Ordering::AcqRel) {
            return;
        }
        let told = self.begin.as_ref().is_some_and(|begin| begin.try_send(()).is_ok());
        if !told {
            self.copying.store(false, Ordering::Release);
            copy(writer);
        }
    }
}

fn copy(connection: &Connection) {
    // What is not copied now, since somebody reads it, is copied with what comes after it.
    if let Err(error) = connection.query_row(COPY, [], |_| Ok(())) {
        tracing::warn!(%error, "the write-ahead log is not copied");
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        drop(self.begin.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
