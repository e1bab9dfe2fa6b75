//! One connection: Hello, then requests one way and responses the other, paired by id.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use tracing::Instrument;
use wire::frame::{self, FrameError, MAX_REQUEST, MAX_RESPONSE};
use wire::problem::{Problem, ProblemCode};
use wire::socket::{Hello, Request, RequestBody, Response, ResponseBody, VERSION, Welcome};

use super::space::{Room, Space};
use super::{Door, handle};
use crate::authority::Authority;

/// Requests in flight on one connection.
const IN_FLIGHT: u32 = 1024;

/// Bytes of answers that wait for the caller of one connection, or are being made for it.
const WAITING: usize = 8 * MAX_RESPONSE;

/// How long a caller may take over its Hello, and over taking a response.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest time that a request may be worked on, whatever its deadline says.
const LONGEST: Duration = Duration::from_secs(60);

/// Why a connection ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    #[error("the socket failed: {0}")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the caller speaks version {0}, not {VERSION}")]
    Version(u16),
    #[error("the caller was silent for {} s where it had to speak", PATIENCE.as_secs())]
    Silent,
}

pub(super) type Frames = Framed<UnixStream, LengthDelimitedCodec>;

pub(super) async fn serve(
    stream: UnixStream,
    door: Door,
    authority: Arc<Authority>,
) -> Result<(), ConnectionError> {
    let codec = LengthDelimitedCodec::builder().max_frame_length(MAX_REQUEST).new_codec();
    let mut frames = Framed::new(stream, codec);
    if !greet(&mut frames).await? {
        return Ok(());
    }
    // Responses may be longer than requests.
    frames.codec_mut().set_max_frame_length(MAX_RESPONSE);
    let (mut sink, mut requests) = frames.split();
    let (responses, mut outgoing) = mpsc::channel::<(Bytes, Option<Room>)>(IN_FLIGHT as usize);
    let writer = tokio::spawn(async move {
        while let Some((frame, room)) = outgoing.recv().await {
            let writing = async {
                sink.feed(frame).await?;
                let mut rooms = vec![room];
                // What is ready goes out with it, in one write.
                while let Ok((frame, room)) = outgoing.try_recv() {
                    sink.feed(frame).await?;
                    rooms.push(room);
                }
                let flushed = sink.flush().await;
                drop(rooms);
                flushed
            };
            match tokio::time::timeout(PATIENCE, writing).await {
                Ok(written) => written?,
                Err(_) => return Err(ConnectionError::Silent),
            }
        }
        Ok(())
    });
    let slots = Arc::new(Semaphore::new(IN_FLIGHT as usize));
    let space = Space::new(WAITING);
    let outcome = loop {
        let next = tokio::select! {
            next = requests.next() => next,
            () = authority.stopping().cancelled() => break Ok(()),
            () = responses.closed() => break Ok(()),
        };
        let payload = match next {
            None => break Ok(()),
            Some(Err(error)) => break Err(error.into()),
            Some(Ok(payload)) => payload,
        };
        let request: Request = match frame::decode(&payload, MAX_REQUEST) {
            Ok(request) => request,
            Err(error) => break Err(error.into()),
        };
        let (authority, responses) = (Arc::clone(&authority), responses.clone());
        let id = request.id;
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            // A caller who sends more than it was told, and takes no answers, is let go.
            let refused = encoded(id, Err(overloaded()));
            if refused.is_some_and(|frame| responses.try_send((frame, None)).is_err()) {
                break Err(ConnectionError::Silent);
            }
            continue;
        };
        let space = space.clone();
        tokio::spawn(async move {
            let Some(mut room) = space.take(longest(&request.body)).await else { return };
            let result = answer(&authority, door, request).await;
            if let Some(frame) = encoded(id, result) {
                room.shrink(frame.len());
                let _ = responses.send((frame, Some(room))).await;
            }
            // Held until the answer was taken: what waits for a slow reader is bounded.
            drop(slot);
        });
    };
    drop(responses);
    // Nobody takes answers any more once the writer has ended.
    let written = writer.await.unwrap_or(Ok(()));
    space.close();
    outcome.and(written)
}

/// Longest answer to a request, in bytes: room for so much is taken before it is worked on.
fn longest(body: &RequestBody) -> usize {
    match body {
        RequestBody::Bundle { .. } | RequestBody::Crl { .. } => MAX_RESPONSE,
        RequestBody::Certificates { .. }
        | RequestBody::History { .. }
        | RequestBody::SearchCertificates { .. }
        | RequestBody::SearchIdentities { .. }
        | RequestBody::Switches { .. }
        | RequestBody::KeyChanges { .. }
        | RequestBody::Hsm(_) => MAX_RESPONSE / 4,
        _ => 64 * 1024,
    }
}

/// Reads the Hello and answers it; false when the versions differ and the caller was told.
pub(super) async fn greet(frames: &mut Frames) -> Result<bool, ConnectionError> {
    let first = tokio::time::timeout(PATIENCE, frames.next()).await;
    let payload = match first {
        Err(_) => return Err(ConnectionError::Silent),
        Ok(None) => return Ok(false),
        Ok(Some(payload)) => payload?,
    };
    let hello: Hello = frame::decode(&payload, MAX_REQUEST)?;
    let fits = hello.version == VERSION;
    let welcome = if fits {
        Welcome::Ok { in_flight: IN_FLIGHT }
    } else {
        Welcome::Version { version: VERSION }
    };
    frames.send(Bytes::from(frame::encode(&welcome, MAX_RESPONSE)?)).await?;
    if fits { Ok(true) } else { Err(ConnectionError::Version(hello.version)) }
}

async fn answer(
    authority: &Arc<Authority>,
    door: Door,
    request: Request,
) -> Result<ResponseBody, Problem> {
    let start = Instant::now();
    let deadline = Duration::from_millis(request.deadline_ms.into()).min(LONGEST);
    let (asked, decides) = (request.body.name(), request.body.decides());
    let request_id = plain(&request.request_id);
    let span = tracing::info_span!("request", request_id);
    let handling = handle::handle(authority, door, request).instrument(span);
    let result = match tokio::time::timeout(deadline, handling).await {
        Ok(result) => result.map_err(|problem| *problem),
        Err(_) => {
            let detail = format!("no answer within {} ms", deadline.as_millis());
            Err(Problem::new(ProblemCode::Timeout, detail))
        }
    };
    let took = start.elapsed();
    authority.metrics().answered(asked, took, result.as_ref().err());
    let told = Told { request_id: &request_id, door, asked, ms: took.as_secs_f64() * 1e3 };
    told.log(decides, &result);
    result
}

/// A request id as it may stand in a log: whoever is at the other end could say anything.
fn plain(request_id: &str) -> String {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || "-_.~:".contains(*c);
    request_id.chars().filter(allowed).take(64).collect()
}

/// What a line of the log says of every request. It holds no user id, and nothing of what was sent.
struct Told<'a> {
    request_id: &'a str,
    door: Door,
    asked: &'static str,
    ms: f64,
}

impl Told<'_> {
    /// Writes the line: decisions and refusals at info, faults of this side at warn, mere looking
    /// at debug.
    fn log(&self, decides: bool, result: &Result<ResponseBody, Problem>) {
        let Self { request_id, asked, ms, .. } = self;
        let door = self.door.name();
        match result {
            Ok(ResponseBody::Certificate { certificate, created }) if decides => tracing::info!(
                request_id,
                door,
                asked,
                outcome = "ok",
                event = certificate.event,
                leaf_index = certificate.leaf_index,
                created,
                ms,
                "decided"
            ),
            Ok(_) => tracing::debug!(request_id, door, asked, outcome = "ok", ms, "answered"),
            Err(problem) => {
                let (outcome, rule) = (problem.code.slug(), problem.rule.as_deref());
                if problem.code.status() >= 500 {
                    tracing::warn!(request_id, door, asked, outcome, rule, ms, "not answered");
                } else if decides {
                    tracing::info!(request_id, door, asked, outcome, rule, ms, "refused");
                } else {
                    tracing::debug!(request_id, door, asked, outcome, rule, ms, "refused");
                }
            }
        }
    }
}

fn overloaded() -> Problem {
    let detail = format!("{IN_FLIGHT} requests are in flight on this connection");
    Problem::new(ProblemCode::Overloaded, detail).retry_after(1)
}

/// A response as a frame; one that would be too long becomes a problem.
fn encoded(id: u64, result: Result<ResponseBody, Problem>) -> Option<Bytes> {
    let response = Response { id, result };
    let frame = frame::encode(&response, MAX_RESPONSE).or_else(|error| {
        let result = Err(Problem::new(ProblemCode::Internal, error.to_string()));
        frame::encode(&Response { id, result }, MAX_RESPONSE)
    });
    frame.ok().map(Bytes::from)
}
