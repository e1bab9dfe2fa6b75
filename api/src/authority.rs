//! The authority as the gateway sees it: one multiplexed connection over its Unix socket.
//!
//! A task keeps the connection: it connects, greets, carries frames, and when anything is wrong
//! fails what is in flight and tries again, ever more slowly. Callers are never queued while there
//! is no connection: they get `authority-unavailable` at once and know when to come back.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use wire::frame::{FrameError, MAX_REQUEST, encode};
use wire::problem::{Problem, ProblemCode};
use wire::socket::{Request, RequestBody, Response, ResponseBody};

use crate::config::Limits;
use crate::input::Context;
use crate::metrics::Metrics;

mod connection;

/// Time an unanswered request keeps its place after its caller has gone: the authority may still
/// be working on it, and counts it too.
const GRACE: Duration = Duration::from_secs(2);

/// A handle to the authority. Dropping the last one closes the connection.
#[derive(Debug)]
pub(crate) struct Authority {
    shared: Arc<Shared>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    socket: PathBuf,
    /// This side's bound on requests in flight.
    in_flight: usize,
    reconnect: Duration,
    handshake: Duration,
    link: Mutex<Link>,
    next_id: AtomicU64,
    connected: watch::Sender<bool>,
    metrics: Metrics,
}

/// The connection as callers see it.
#[derive(Debug)]
enum Link {
    Up {
        outbox: mpsc::UnboundedSender<Bytes>,
        waiting: HashMap<u64, Waiting>,
        /// Greatest number of entries of `waiting`.
        limit: usize,
    },
    Down {
        why: String,
    },
}

#[derive(Debug)]
struct Waiting {
    answer: oneshot::Sender<Result<ResponseBody, Problem>>,
    /// When its place is given up.
    until: Instant,
}

impl Authority {
    /// Starts to connect; must be called within a runtime.
    pub(crate) fn connect(socket: PathBuf, limits: &Limits, metrics: Metrics) -> Self {
        let shared = Arc::new(Shared {
            socket,
            in_flight: usize::try_from(limits.in_flight).unwrap_or(usize::MAX),
            reconnect: limits.reconnect,
            handshake: limits.handshake,
            link: Mutex::new(Link::Down { why: "not connected yet".to_owned() }),
            next_id: AtomicU64::new(0),
            connected: watch::Sender::new(false),
            metrics,
        });
        let task = tokio::spawn(connection::keep(Arc::clone(&shared)));
        Self { shared, _task: AbortOnDropHandle::new(task) }
    }

    /// Turns true when the authority has welcomed this gateway, false when it is lost.
    pub(crate) fn connected(&self) -> watch::Receiver<bool> {
        self.shared.connected.subscribe()
    }

    /// Asks, and waits for the answer until the caller's deadline.
    pub(crate) async fn ask(
        &self,
        context: &Context,
        body: RequestBody,
    ) -> Result<ResponseBody, Problem> {
        let remaining = context.deadline.saturating_duration_since(Instant::now());
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        let request = Request {
            id,
            request_id: context.request_id.as_ref().to_owned(),
            deadline_ms: u32::try_from(remaining.as_millis()).unwrap_or(u32::MAX),
            peer: context.peer.as_deref().cloned(),
            body,
        };
        let frame = encode(&request, MAX_REQUEST).map_err(|error| too_long(&error))?;
        let answer =
            self.shared.send(id, frame.into(), context.deadline).map_err(|problem| *problem)?;
        match tokio::time::timeout_at(context.deadline, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Problem::new(
                ProblemCode::AuthorityUnavailable,
                "the connection to the authority was lost before it answered; the request may have been finished",
            )
            .remedy("ask again with the same Idempotency-Key")
            .retry_after(1)),
            Err(_) => Err(timed_out()),
        }
    }
}

/// What a body's limit lets pass fits (`Limits`); with a long client certificate it may not.
fn too_long(error: &FrameError) -> Problem {
    let detail = "the request, with the client's certificate, is longer than the authority takes";
    let problem = Problem::new(ProblemCode::Oversize, detail);
    match error {
        FrameError::Oversize { found, limit } => {
            problem.expected(format!("at most {limit} bytes"), format!("{found} bytes"))
        }
        other => Problem::new(ProblemCode::Internal, other.to_string()),
    }
}

/// The authority did not answer before the request's deadline.
pub(crate) fn timed_out() -> Problem {
    Problem::new(ProblemCode::Timeout, "the deadline passed before the authority answered")
        .remedy("ask again with the same Idempotency-Key")
}

impl Shared {
    fn link(&self) -> MutexGuard<'_, Link> {
        // No code that can panic runs under this lock; a poisoned value is whole all the same.
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a request on its way; what comes back resolves when the answer is there, and fails
    /// when the connection is lost.
    fn send(
        &self,
        id: u64,
        frame: Bytes,
        deadline: Instant,
    ) -> Result<oneshot::Receiver<Result<ResponseBody, Problem>>, Box<Problem>> {
        let mut link = self.link();
        let (outbox, waiting, limit) = match &mut *link {
            Link::Up { outbox, waiting, limit } => (outbox, waiting, *limit),
            Link::Down { why } => return Err(unavailable(why)),
        };
        if waiting.len() >= limit {
            let detail = format!("{limit} requests are being worked on, which is the limit");
            return Err(Box::new(Problem::new(ProblemCode::Overloaded, detail).retry_after(1)));
        }
        let (answer, receiver) = oneshot::channel();
        waiting.insert(id, Waiting { answer, until: deadline + GRACE });
        if outbox.send(frame).is_err() {
            waiting.remove(&id);
            return Err(unavailable("the connection is being closed"));
        }
        Ok(receiver)
    }

    fn up(&self, outbox: mpsc::UnboundedSender<Bytes>, their_limit: u32) {
        let limit = self.in_flight.min(usize::try_from(their_limit).unwrap_or(usize::MAX));
        *self.link() = Link::Up { outbox, waiting: HashMap::new(), limit };
        self.connected.send_replace(true);
        self.metrics.authority_connected(true);
    }

    /// Fails all that is in flight, by dropping its senders.
    fn down(&self, why: String) {
        let before = std::mem::replace(&mut *self.link(), Link::Down { why });
        self.connected.send_replace(false);
        self.metrics.authority_connected(false);
        drop(before);
    }

    fn answer(&self, response: Response) {
        let waiting = match &mut *self.link() {
            Link::Up { waiting, .. } => waiting.remove(&response.id),
            Link::Down { .. } => None,
        };
        match waiting {
            // The caller may be gone; then nobody wants to know.
            Some(waiting) => drop(waiting.answer.send(response.result)),
            None => tracing::debug!(id = response.id, "an answer that nobody waits for"),
        }
    }

    /// Gives up the places of requests that the authority never answered.
    fn sweep(&self, now: Instant) {
        if let Link::Up { waiting, .. } = &mut *self.link() {
            waiting.retain(|_, entry| entry.until > now);
        }
    }
}

fn unavailable(why: &str) -> Box<Problem> {
    let detail = format!("the authority cannot be reached: {why}");
    let problem = Problem::new(ProblemCode::AuthorityUnavailable, detail);
    Box::new(problem.remedy("try again with the same Idempotency-Key").retry_after(1))
}
