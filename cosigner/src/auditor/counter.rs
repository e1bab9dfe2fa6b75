//! The door over HTTP: people hand in, the authority asks.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use evidence::audit::{AuditorAsk, EntriesHead, MAX_ASK, StandingHead, Wanted};
use evidence::handed::MAX_HANDED;
use http::StatusCode;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use tokio::sync::Semaphore;
use wire::problem::{Problem, ProblemCode};
use wire::rest::ProblemJson;

use super::calls::{blocking, unavailable};
use super::door::DoorError;
use super::{Auditor, Inner};
use crate::witness::read;

/// What is handed in is looked at by so many at once, and so often a minute. Everybody can hand
/// something in, and nobody may keep the auditor from its log.
const AT_ONCE: usize = 4;
const A_MINUTE: u32 = 300;

/// Who may come in.
#[derive(Debug)]
pub(super) struct Doorkeeper {
    room: Arc<Semaphore>,
    /// The present minute of the auditor's clock, and who came in it.
    minute: Mutex<(u64, u32)>,
}

impl Doorkeeper {
    pub(super) fn new() -> Self {
        Self { room: Arc::new(Semaphore::new(AT_ONCE)), minute: Mutex::new((0, 0)) }
    }

    /// Whether one more may come in.
    fn lets_in(&self, now: u64) -> bool {
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        if minute.0 != now / 60 {
            *minute = (now / 60, 0);
        }
        minute.1 += 1;
        minute.1 <= A_MINUTE
    }
}

/// Somebody hands in a veto, a suspension or a recovery (a request file); the answer is a receipt.
pub(super) async fn statements(State(auditor): State<Arc<Auditor>>, body: Body) -> Response {
    if !auditor.doorkeeper.lets_in(auditor.desk().clock().now()) {
        return problem(&busy("too much was handed in this minute", 30));
    }
    let Ok(room) = Arc::clone(&auditor.doorkeeper.room).try_acquire_owned() else {
        return problem(&busy("others are being looked at", 1));
    };
    let bytes = match read(body, MAX_HANDED).await {
        Ok(text) => text.into_bytes(),
        Err(answer) => return answer,
    };
    blocking(move || {
        let _room = room;
        let mut inner = auditor.inner();
        let Inner { door, replay, lost, .. } = &mut *inner;
        let (Some(replay), false) = (replay, *lost) else {
            return problem(&busy("the log was not seen yet", 5));
        };
        match door.take(&bytes, replay, auditor.desk()) {
            Ok(receipt) => {
                tracing::info!("a statement was handed in, and receipted");
                receipt.into_response()
            }
            Err(DoorError::Handed(error)) => problem(&error.problem()),
            Err(error @ DoorError::TooMany) => {
                problem(&Problem::new(ProblemCode::TooManyRequests, error.to_string()))
            }
            Err(error @ DoorError::Completing) => problem(&busy(&error.to_string(), 30)),
            Err(error) => {
                tracing::error!(%error, "a statement was not taken");
                unavailable("it cannot be kept")
            }
        }
    })
    .await
}

/// The authority asks: the log's key signed the question.
pub(super) async fn ask(State(auditor): State<Arc<Auditor>>, body: Body) -> Response {
    let note = match read(body, MAX_ASK).await {
        Ok(note) => note,
        Err(answer) => return answer,
    };
    let (desk, audited) = (auditor.desk(), &auditor.audited);
    let whose = (audited.genesis, &audited.log);
    let asked = match AuditorAsk::open(&note, whose, desk.key(), desk.clock().now()) {
        Ok(ask) => ask.wanted,
        Err(error) => return (StatusCode::FORBIDDEN, format!("{error}\n")).into_response(),
    };
    blocking(move || match asked {
        Wanted::Standing => standing(&auditor, None),
        Wanted::Closing(intent) => standing(&auditor, Some(intent)),
        Wanted::Entries(from) => entries(&auditor, from),
    })
    .await
}

fn standing(auditor: &Auditor, closing: Option<wire::Hash32>) -> Response {
    let now_ms = auditor.desk().clock().now().saturating_mul(1000);
    let mut inner = auditor.inner();
    let Inner { door, replay, lost, .. } = &mut *inner;
    let (Some(replay), false) = (replay, *lost) else {
        return unavailable("the log was not seen yet");
    };
    let (closed, files) = door.standing(replay, now_ms, closing);
    let mut text = line(&StandingHead { closed, count: files.len() });
    files.into_iter().for_each(|file| text += &line(file));
    text.into_response()
}

/// Entries that a database lost. What was not co-signed is nobody's.
fn entries(auditor: &Auditor, from: u64) -> Response {
    let desk = auditor.desk();
    let latest = match desk.folder().latest(auditor.audited.log.origin()) {
        Ok(Some(record)) => record,
        Ok(None) => return unavailable("the log was not seen yet"),
        Err(error) => {
            tracing::error!(%error, "what was co-signed cannot be read");
            return unavailable("what was co-signed cannot be read");
        }
    };
    match auditor.inner().journal.lend(from, latest.head.size) {
        Ok((count, lines)) => {
            tracing::warn!(from, count, "entries are given back to the authority");
            let head = EntriesHead { checkpoint: latest.note.to_text(), count };
            ([line(&head).into_bytes(), lines].concat()).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "entries cannot be read");
            unavailable("the entries cannot be read")
        }
    }
}

fn line(value: &impl serde::Serialize) -> String {
    // Plain text and numbers: this cannot fail.
    serde_json::to_string(value).unwrap_or_default() + "\n"
}

fn busy(detail: &str, seconds: u32) -> Problem {
    Problem::new(ProblemCode::Overloaded, detail).retry_after(seconds)
}

/// Tells of a problem as the gateway does, whose pages explain it.
fn problem(problem: &Problem) -> Response {
    let json = ProblemJson::new(problem, "urn:avouch:problem:", "auditor");
    let status = StatusCode::from_u16(problem.code.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let kind = [(CONTENT_TYPE, evidence::audit::PROBLEM_TYPE)];
    let text = serde_json::to_string(&json).unwrap_or_default();
    match problem.retry_after {
        Some(after) => (status, kind, [(RETRY_AFTER, after.to_string())], text).into_response(),
        None => (status, kind, text).into_response(),
    }
}
