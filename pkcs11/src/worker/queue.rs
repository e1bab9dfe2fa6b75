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
const QUICK: Duration = Duration::from_micros(150);
/// How long the others wait for one that is expected to be over by then …
const PATIENCE: Duration = Duration::from_millis(1);
/// … and how often they look whether it still gets on.
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
}

/// First in, first out, to whichever session is free.
pub(super) struct Requests<R = File> {
    input: Mutex<Input<R>>,
    /// Whoever waits for its turn is told that it may have come.
    turn: Condvar,
    /// Another request has been received and not taken.
    more: AtomicBool,
}

struct Input<R> {
    reader: BufReader<R>,
    frame: Vec<u8>,
    /// When the request was taken whose answer is waited for before another session takes one.
    alone: Option<Instant>,
    /// Whether the last call was quick.
    quick: bool,
    /// Sessions that wait for their turn.
    waiting: usize,
}

impl<R: Read> Requests<R> {
    pub(super) fn new(input: R) -> Self {
        let reader = BufReader::with_capacity(256 << 10, input);
        let frame = Vec::new();
        let input = Input { reader, frame, alone: None, quick: false, waiting: 0 };
        let (input, turn) = (Mutex::new(input), Condvar::new());
        Requests { input, turn, more: AtomicBool::new(false) }
    }

    /// The first request of a session, or nothing when the input has ended.
    pub(super) fn first(&self) -> io::Result<Option<Work>> {
        let input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        self.take(input)
    }

    /// The next request of a session whose last call took so long.
    pub(super) fn next(&self, took: Duration) -> io::Result<Option<Work>> {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        input.quick = took < QUICK;
        // It is this session's, unless another took over meanwhile.
        input.alone = None;
        self.take(input)
    }

    fn take(&self, mut input: MutexGuard<'_, Input<R>>) -> io::Result<Option<Work>> {
        let mut patience = PATIENCE;
        while let Some(since) = input.alone.filter(|since| since.elapsed() < PATIENCE) {
            input.waiting += 1;
            (input, _) =
                self.turn.wait_timeout(input, patience).unwrap_or_else(PoisonError::into_inner);
            input.waiting -= 1;
            patience = if input.alone == Some(since) { PATIENCE } else { LOOK };
        }
        let work = input.next()?;
        input.alone = (input.quick && work.is_some()).then(Instant::now);
        if input.alone.is_none() && input.waiting > 0 {
            self.turn.notify_one();
        }
        self.more.store(input.holds_another(), Ordering::Release);
        Ok(work)
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
