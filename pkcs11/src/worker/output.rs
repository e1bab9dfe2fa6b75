//! Answers on their way out, several to a write.

use super::queue::Requests;
use crate::HsmError;
use crate::proto::{self, Answer, Message};
use serde::Serialize;
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Answers are written when this much has gathered …
const FULL: usize = 16 << 10;
/// … or the first has waited this long …
const STALE: Duration = Duration::from_micros(500);
/// … and at once when the call took so long that a write costs nothing beside it.
const SLOW: Duration = Duration::from_micros(200);

pub(super) struct Output {
    state: Mutex<State>,
}

struct State {
    file: File,
    buffer: Vec<u8>,
    since: Option<Instant>,
}

impl Output {
    pub(super) fn new(file: File) -> Self {
        Output { state: Mutex::new(State { file, buffer: Vec::new(), since: None }) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One frame, at once.
    pub(super) fn frame<T: Serialize>(&self, value: &T) -> io::Result<()> {
        let mut state = self.lock();
        proto::encode(value, &mut state.buffer).map_err(|e| io::Error::other(e.to_string()))?;
        state.flush()
    }

    /// An answer to a request that took `took`. It may stay here only while another request waits,
    /// since that one's answer will bring it along: both are looked at under one lock.
    pub(super) fn answer(
        &self,
        number: u64,
        body: Result<Answer, HsmError>,
        took: Duration,
        requests: &Requests,
    ) {
        let mut state = self.lock();
        if let Err(error) = proto::encode(&Message::Answer { number, body }, &mut state.buffer) {
            let refused = Message::Answer { number, body: Err(error) };
            // An error always encodes: it is smaller than any limit.
            let _ = proto::encode(&refused, &mut state.buffer);
        }
        let since = *state.since.get_or_insert_with(Instant::now);
        let wait = took < SLOW
            && state.buffer.len() < FULL
            && since.elapsed() < STALE
            && !requests.is_empty();
        if !wait && state.flush().is_err() {
            gone();
        }
    }

    /// Writes what has gathered: something slow comes next.
    pub(super) fn flush(&self) {
        if self.lock().flush().is_err() {
            gone();
        }
    }

    /// Says that the token is lost, and ends the process: everything else the module holds is
    /// dropped the only way that is sure.
    pub(super) fn lost(&self, reason: String) -> ! {
        let _ = self.frame(&Message::Lost { reason });
        gone()
    }
}

impl State {
    fn flush(&mut self) -> io::Result<()> {
        self.since = None;
        if self.buffer.is_empty() {
            return Ok(());
        }
        let result = self.file.write_all(&self.buffer);
        self.buffer.clear();
        result
    }
}

/// Ends without running the module's destructors, which crash some modules while another thread is
/// inside a call.
fn gone() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}
