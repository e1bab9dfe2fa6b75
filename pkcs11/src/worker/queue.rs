//! Requests on their way in. Sessions take turns at reading them: whoever is free reads the next one
//! itself, so that none is handed from one thread to another.

use crate::key::KeySpec;
use crate::proto::{self, MAX_FRAME, Request};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

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
    /// Another request has been received and not taken.
    more: AtomicBool,
}

struct Input<R> {
    reader: BufReader<R>,
    frame: Vec<u8>,
}

impl<R: Read> Requests<R> {
    pub(super) fn new(input: R) -> Self {
        let reader = BufReader::with_capacity(256 << 10, input);
        let input = Mutex::new(Input { reader, frame: Vec::new() });
        Requests { input, more: AtomicBool::new(false) }
    }

    /// The next request, or nothing when the input has ended.
    pub(super) fn next(&self) -> io::Result<Option<Work>> {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        let work = input.next()?;
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
