//! Lines on their way to a thread that writes them. Those that come together go out in one write, and
//! the thread is not woken for each; none is thrown away.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes that may wait; who has more to say waits too.
const ROOM: usize = 1 << 20;

/// How long lines gather after others were written. A line that comes alone goes out at once.
const GATHER: Duration = Duration::from_millis(5);

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// Nobody writes any more.
    ended: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// There is something to write, or there never will be.
    some: Condvar,
    /// There is room again.
    room: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where lines are put.
#[derive(Debug, Clone)]
pub(super) struct Lines(Arc<Shared>);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        while state.waiting.len() >= ROOM && !state.ended {
            state = self.0.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.ended {
            // Something is still said at the very end: it goes out by itself.
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if state.waiting.is_empty() {
            self.0.some.notify_one();
        }
        state.waiting.extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The thread. Dropped, it has written all.
#[derive(Debug)]
pub(super) struct Writer {
    lines: Lines,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn to(out: impl Write + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let lines = Lines(Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("log".to_owned());
        let thread = thread.spawn(move || write_all(&shared, out)).ok();
        if thread.is_none() {
            lines.0.lock().ended = true;
        }
        Self { lines, thread }
    }

    pub(super) fn lines(&self) -> Lines {
        self.lines.clone()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.lines.0.lock().ended = true;
        self.lines.0.some.notify_one();
        self.lines.0.room.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn write_all(shared: &Shared, mut out: impl Write) {
    let mut taken = Vec::new();
    loop {
        let mut state = shared.lock();
        while state.waiting.is_empty() {
            if state.ended {
                return;
            }
            state = shared.some.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut state.waiting, &mut taken);
        let ended = state.ended;
        drop(state);
        shared.room.notify_all();
        // Whoever cannot be told anything is not told that either.
        let _ = out.write_all(&taken).and_then(|()| out.flush());
        taken.clear();
        if !ended {
            std::thread::sleep(GATHER);
        }
    }
}

#[cfg(test)]
mod tests;
