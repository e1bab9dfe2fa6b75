//! Requests on their way in. Sessions take turns at reading them: whoever is free reads the next one
//! itself, so that none is handed from one thread to another.
//!
//! While the token answers quickly, one session does all the work: most modules lock something in
//! every call, so that threads which sign in turn cost more than they bring. The others wait until
//! a call takes long.

use crate::key::KeySpec;
use crate::proto::{self, MAX_FRAME, Request};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A call that takes less is over before another thread would have begun.
const QUICK: Duration = Duration::from_micros(300);
/// A session that works alone and takes longer than this is left to itself …
const PATIENCE: Duration = Duration::from_millis(1);
/// … by another one that looks after it so often.
const LOOK: Duration = Duration::from_millis(5);

pub(super) struct Work {
    pub(super) number: u64,
    pub(super) op: Op,
}

pub(super) enum Op {
    Sign { id: Vec<u8>, tbs: Vec<u8> },
    Find { id: Vec<u8> },
    Keys,
    Generate(KeySpec),
    Forget { id: Vec<u8> },
    Attestations,
}

/// First in, first out, to whichever session is free.
pub(super) struct Requests<R = File> {
    /// Used by whoever is in front, and nobody else.
    input: Mutex<Input<R>>,
    state: Mutex<State>,
    /// Whoever waits for its turn is told to look.
    turn: Condvar,
    /// Another request has been received and not taken.
    more: AtomicBool,
}

struct Input<R> {
    reader: BufReader<R>,
    frame: Vec<u8>,
}

struct State {
    front: Front,
    /// Whether the last call was quick.
    quick: bool,
    /// Sessions that wait for their turn.
    waiting: usize,
    /// When one of them was told to look after the session that works alone.
    looks: Option<Instant>,
}

/// What the session in front of the others does.
#[derive(Clone, Copy, PartialEq)]
enum Front {
    /// There is none: whoever is free takes the next request.
    Nobody,
    /// It waits for a request.
    Reading,
    /// It carries out the request of this number since then, and takes the next one too.
    Alone(u64, Instant),
}

impl<R: Read> Requests<R> {
    pub(super) fn new(input: R) -> Self {
        let reader = BufReader::with_capacity(256 << 10, input);
        let input = Mutex::new(Input { reader, frame: Vec::new() });
        let state = State { front: Front::Nobody, quick: false, waiting: 0, looks: None };
        let (state, turn, more) = (Mutex::new(state), Condvar::new(), AtomicBool::new(false));
        Requests { input, state, turn, more }
    }

    /// The first request of a session, or nothing when the input has ended.
    pub(super) fn first(&self) -> io::Result<Option<Work>> {
        self.take(self.lock())
    }

    /// The next request of a session whose last one, of this number, took so long.
    pub(super) fn next(&self, last: u64, took: Duration) -> io::Result<Option<Work>> {
        let mut state = self.lock();
        state.quick = took < QUICK;
        if matches!(state.front, Front::Alone(number, _) if number == last) {
            state.front = Front::Nobody;
        }
        self.take(state)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, state: MutexGuard<'_, State>) -> io::Result<Option<Work>> {
        let mut state = self.wait(state);
        state.front = Front::Reading;
        drop(state);
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = input.next();
        self.more.store(input.holds_another(), Ordering::Release);
        drop(input);
        let mut state = self.lock();
        state.front = match &taken {
            Ok(Some(work)) if state.quick => Front::Alone(work.number, Instant::now()),
            _ => Front::Nobody,
        };
        if state.waiting > 0 {
            let told = match state.front {
                Front::Alone(..) => state.looks.is_none_or(|at| at.elapsed() > LOOK),
                Front::Nobody | Front::Reading => true,
            };
            if told {
                state.looks = Some(Instant::now());
                self.turn.notify_one();
            }
        }
        taken
    }

    /// Waits until this session may be in front.
    fn wait<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        loop {
            let timeout = match state.front {
                Front::Nobody => return state,
                Front::Alone(_, since) if since.elapsed() >= PATIENCE => return state,
                Front::Alone(..) => Some(LOOK),
                Front::Reading => None,
            };
            state.waiting += 1;
            state = match timeout {
                Some(timeout) => {
                    let woken = self.turn.wait_timeout(state, timeout);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.turn.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
            state.waiting -= 1;
        }
    }

    /// Whether none waits that has been received.
    pub(super) fn is_empty(&self) -> bool {
        !self.more.load(Ordering::Acquire)
    }
}

impl<R: Read> Input<R> {
    fn next(&mut self) -> io::Result<Option<Work>> {
        // An input that has ended says so again to whoever asks again.
        if self.reader.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut len = [0; 4];
        self.reader.read_exact(&mut len)?;
        let len = u32::from_le_bytes(len) as usize;
        if len > MAX_FRAME {
            return Err(io::Error::other(format!("request of {len} bytes")));
        }
        self.frame.resize(len, 0);
        self.reader.read_exact(&mut self.frame)?;
        let request: Request<'_> = postcard::from_bytes(&self.frame)
            .map_err(|error| io::Error::other(error.to_string()))?;
        let op = match request.op {
            proto::Op::Sign { id, tbs } => Op::Sign { id: id.to_vec(), tbs: tbs.to_vec() },
            proto::Op::Find { id } => Op::Find { id: id.to_vec() },
            proto::Op::Keys => Op::Keys,
            proto::Op::Generate(spec) => Op::Generate(spec),
            proto::Op::Forget { id } => Op::Forget { id: id.to_vec() },
            proto::Op::Attestations => Op::Attestations,
        };
        Ok(Some(Work { number: request.number, op }))
    }

    /// Whether a whole request is here without reading more.
    fn holds_another(&self) -> bool {
        let Some((len, rest)) = self.reader.buffer().split_first_chunk::<4>() else { return false };
        rest.len() >= u32::from_le_bytes(*len) as usize
    }
}

#[cfg(test)]
mod tests;
