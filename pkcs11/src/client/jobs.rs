//! Requests waiting for a worker.

use crate::error::HsmError;
use crate::key::KeySpec;
use crate::proto::{self, Answer};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

pub(super) enum Op {
    Sign {
        id: Vec<u8>,
        tbs: Vec<u8>,
    },
    Find {
        id: Vec<u8>,
    },
    Keys,
    Generate(KeySpec),
    /// Removes a key that a conformance run made.
    Forget {
        id: Vec<u8>,
    },
    Attestations,
}

/// An answer, and whose it is.
pub(super) struct Given {
    pub(super) answer: Answer,
    /// The worker.
    pub(super) slot: usize,
    /// Which of its processes.
    pub(super) number: u64,
}

pub(super) type Answered = Result<Given, HsmError>;

impl Op {
    /// The key that this is about, when it is about one that should exist.
    pub(super) fn key_id(&self) -> Option<&[u8]> {
        match self {
            Op::Sign { id, .. } | Op::Find { id } => Some(id),
            Op::Keys | Op::Generate(_) | Op::Forget { .. } | Op::Attestations => None,
        }
    }

    pub(super) fn wire(&self) -> proto::Op<'_> {
        match self {
            Op::Sign { id, tbs } => proto::Op::Sign { id, tbs },
            Op::Find { id } => proto::Op::Find { id },
            Op::Keys => proto::Op::Keys,
            Op::Generate(spec) => proto::Op::Generate(spec.clone()),
            Op::Forget { id } => proto::Op::Forget { id },
            Op::Attestations => proto::Op::Attestations,
        }
    }
}

pub(super) struct Job {
    pub(super) op: Op,
    /// Longest time with a worker.
    pub(super) limit: Duration,
    /// Already given to another worker after the first lost its token.
    pub(super) again: bool,
    pub(super) answer: oneshot::Sender<Answered>,
}

impl Job {
    /// Gives the answer to whoever still waits for it.
    pub(super) fn answer(self, body: Answered) {
        let _ = self.answer.send(body);
    }

    /// Whether carrying it out twice does no harm.
    pub(super) fn repeatable(&self) -> bool {
        !self.again && !matches!(self.op, Op::Generate(_))
    }
}

/// One queue for all workers: whichever has room takes the next.
#[derive(Default)]
pub(super) struct Jobs {
    waiting: Mutex<VecDeque<Job>>,
    added: Notify,
}

impl Jobs {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, job: Job) {
        self.lock().push_back(job);
        self.added.notify_one();
    }

    /// Puts back what a worker could not finish, before everything else.
    pub(super) fn push_front(&self, jobs: Vec<Job>) {
        let mut waiting = self.lock();
        for job in jobs.into_iter().rev() {
            waiting.push_front(job);
        }
        drop(waiting);
        self.added.notify_one();
    }

    /// Takes up to `most` jobs, waiting for the first. Those nobody waits for are dropped.
    pub(super) async fn take(&self, most: usize) -> Vec<Job> {
        loop {
            let added = self.added.notified();
            {
                let mut waiting = self.lock();
                let mut taken = Vec::new();
                while taken.len() < most
                    && let Some(job) = waiting.pop_front()
                {
                    if !job.answer.is_closed() {
                        taken.push(job);
                    }
                }
                if !taken.is_empty() {
                    // A notification stands for any number of jobs: pass it on.
                    if !waiting.is_empty() {
                        self.added.notify_one();
                    }
                    return taken;
                }
            }
            added.await;
        }
    }

    pub(super) fn drain(&self) -> Vec<Job> {
        self.lock().drain(..).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }
}
