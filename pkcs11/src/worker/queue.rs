//! Requests waiting for a session.

use crate::key::KeySpec;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

pub(super) struct Work {
    pub(super) number: u64,
    pub(super) op: Op,
}

pub(super) enum Op {
    Sign { id: Vec<u8>, tbs: Vec<u8> },
    Find { id: Vec<u8> },
    Keys,
    Generate(KeySpec),
}

/// First in, first out, to whichever session is free.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Work>,
    idle: usize,
    closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds work and wakes a thread if one sleeps.
    pub(super) fn push(&self, work: Work) {
        let mut state = self.lock();
        state.waiting.push_back(work);
        let wake = state.idle > 0;
        drop(state);
        if wake {
            self.changed.notify_one();
        }
    }

    /// The next request, or nothing when the input has ended.
    pub(super) fn next(&self) -> Option<Work> {
        let mut state = self.lock();
        loop {
            if let Some(work) = state.waiting.pop_front() {
                return Some(work);
            }
            if state.closed {
                return None;
            }
            state.idle += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    /// What waits is dropped: nobody is there to read the answers.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.waiting.clear();
        drop(state);
        self.changed.notify_all();
    }
}
