//! What a worker does unasked: it keeps idle sessions alive, and gives up when its module leaks.

use super::output::Output;
use super::queue::Work;
use super::signer::{Fault, Signer};
use crate::proto::Answer;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many requests pass between two looks at the memory.
const WEIGHED_EVERY: u64 = 64;

/// How a worker looks after itself.
#[derive(Clone, Copy)]
pub(super) struct Care {
    /// A session that was idle for so long is used; zero leaves them alone.
    pub(super) keep_alive: Duration,
    /// Most memory, MiB.
    pub(super) memory: u32,
}

/// A session and when it was used last.
pub(super) struct Session(Mutex<(Box<dyn Signer>, Instant)>);

impl Session {
    pub(super) fn new(signer: Box<dyn Signer>) -> Self {
        Session(Mutex::new((signer, Instant::now())))
    }

    pub(super) fn carry_out(&self, work: &Work) -> Result<Answer, Fault> {
        let mut session = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = session.0.carry_out(work);
        session.1 = Instant::now();
        answer
    }

    /// Uses the session if nobody did for so long. One that is in use needs nothing.
    fn keep_alive(&self, idle: Duration) -> Result<(), Fault> {
        let Ok(mut session) = self.0.try_lock() else { return Ok(()) };
        if session.1.elapsed() < idle {
            return Ok(());
        }
        session.1 = Instant::now();
        session.0.keep_alive()
    }
}

impl Care {
    /// Until `stop` is closed. What a session finds lost ends the process, before a request has to
    /// find it.
    pub(super) fn keep_alive(
        self,
        stop: &Receiver<()>,
        sessions: &[Arc<Session>],
        mut rest: Box<dyn FnMut() -> Result<(), Fault> + Send>,
        output: &Output,
    ) {
        let idle = self.keep_alive;
        if idle.is_zero() {
            let _ = stop.recv();
            return;
        }
        let told = |fault: Fault| match fault {
            Fault::Lost { reason } => output.lost(reason),
            Fault::Answer(error) => eprintln!("hsm-worker: an idle session: {error}"),
        };
        while stop.recv_timeout(idle / 2) == Err(RecvTimeoutError::Timeout) {
            for session in sessions {
                let _ = session.keep_alive(idle / 2).map_err(told);
            }
            let _ = rest().map_err(told);
        }
    }

    /// Looks at the memory now and then, and ends the process that takes too much.
    pub(super) fn weigh(self, request: u64, output: &Output) {
        if !request.is_multiple_of(WEIGHED_EVERY) {
            return;
        }
        let Some(kib) = resident_kib() else { return };
        if kib > u64::from(self.memory) << 10 {
            output.lost(format!("the worker took {} MiB of memory", kib >> 10));
        }
    }
}

/// Memory of this process (proc(5), VmRSS).
fn resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}
