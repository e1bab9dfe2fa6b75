//! An auditor over HTTP.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use evidence::audit::{
    ADD_ENTRIES, ASK, AddEntries, BodyError, MAX_BODY, PROBLEM_TYPE, Refused, RefusedProblem,
    STATEMENTS,
};
use http::StatusCode;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http_body_util::BodyExt;
use tlog::witness::{ADD_CHECKPOINT, AddCheckpoint, MAX_REQUEST, Refusal};
use tokio::sync::OwnedSemaphorePermit;

use super::{AuditFailure, Auditor, counter};
use crate::desk::Step;
use crate::witness::{self, read};

/// The calls of an auditor, below a submission prefix: empty, or a path that begins with a slash
/// and does not end in one.
pub fn routes(auditor: Arc<Auditor>, prefix: &str) -> Router {
    Router::new()
        .route(&format!("{prefix}{ADD_CHECKPOINT}"), post(add_checkpoint))
        .route(&format!("{prefix}{ADD_ENTRIES}"), post(add_entries))
        .route(&format!("{prefix}{STATEMENTS}"), post(counter::statements))
        .route(&format!("{prefix}{ASK}"), post(counter::ask))
        .with_state(Arc::clone(&auditor))
        .merge(witness::shown(Arc::clone(auditor.desk()), prefix))
}

/// Co-signs again what was audited. A larger checkpoint needs its entries.
async fn add_checkpoint(State(auditor): State<Arc<Auditor>>, body: Body) -> Response {
    let request = match read(body, MAX_REQUEST).await {
        Ok(text) => AddCheckpoint::parse(&text).map_err(Refusal::Request),
        Err(answer) => return answer,
    };
    let step = match step(&auditor, request).await {
        Ok(step) => step,
        Err(answer) => return answer,
    };
    if let Some(alarm) = auditor.alarm() {
        return problem(alarm.refused);
    }
    if step.latest().is_none_or(|latest| latest.head.size != step.head().size) {
        let text = format!("an auditor needs the entries: POST {ADD_ENTRIES}\n");
        return (StatusCode::UNPROCESSABLE_ENTITY, text).into_response();
    }
    blocking(move || cosigned(&auditor, step, None)).await
}

/// Audits entries, and co-signs the checkpoint that they lead to.
async fn add_entries(State(auditor): State<Arc<Auditor>>, body: Body) -> Response {
    let (bytes, step, room) = match entries(&auditor, body).await {
        Ok(read) => read,
        Err(answer) => return answer,
    };
    blocking(move || {
        let _room = room;
        let asked = match AddEntries::parse(&bytes) {
            Ok(asked) => asked,
            Err(error) => return malformed(&error),
        };
        if asked.entries().is_empty()
            && let Some(alarm) = auditor.alarm()
        {
            return problem(alarm.refused);
        }
        match auditor.take(&asked, step.head()) {
            Ok(()) => cosigned(&auditor, step, Some(&asked).filter(|a| !a.entries().is_empty())),
            Err(AuditFailure::Refused(refused)) => problem(refused),
            Err(failure) => {
                tracing::error!(%failure, "entries were not taken");
                unavailable(&failure.to_string())
            }
        }
    })
    .await
}

/// Reads a request with entries. The log's signature first: what strangers send is not even read.
/// The log is not kept waiting meanwhile, so its turn is taken again afterwards.
async fn entries(
    auditor: &Auditor,
    body: Body,
) -> Result<(Vec<u8>, Step, OwnedSemaphorePermit), Response> {
    let mut reading = Reading { body, bytes: Vec::new() };
    let first = step(auditor, Ok(reading.request().await?)).await?;
    let grows = first.latest().is_none_or(|latest| latest.head.size < first.head().size);
    drop(first);
    let stopping = || StatusCode::SERVICE_UNAVAILABLE.into_response();
    let room = Arc::clone(&auditor.room).acquire_owned().await.map_err(|_| stopping())?;
    // No entries lead to a checkpoint that was reached already.
    reading.rest(if grows { MAX_BODY } else { HEAD }).await?;
    let request = AddEntries::split(&reading.bytes).map_err(|error| malformed(&error))?.0;
    Ok((reading.bytes, step(auditor, Ok(request)).await?, room))
}

/// The longest part before the entries, in bytes.
const HEAD: usize = MAX_REQUEST + 2;

/// A body, as far as it was read.
struct Reading {
    body: Body,
    bytes: Vec<u8>,
}

impl Reading {
    /// Reads on; whether there was more.
    async fn more(&mut self, limit: usize) -> Result<bool, Response> {
        let broken = |_| (StatusCode::BAD_REQUEST, "the request broke off\n").into_response();
        let Some(frame) = self.body.frame().await.transpose().map_err(broken)? else {
            return Ok(false);
        };
        self.bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| &data[..]));
        let found = self.bytes.len();
        if found > limit { Err(malformed(&BodyError::Oversize { found })) } else { Ok(true) }
    }

    /// Reads as far as the checkpoint goes.
    async fn request(&mut self) -> Result<AddCheckpoint, Response> {
        let mut next_look = 0;
        loop {
            let more = self.more(MAX_BODY).await?;
            if more && self.bytes.len() < next_look {
                continue;
            }
            next_look = 2 * self.bytes.len();
            match AddEntries::split(self.whole_characters()) {
                Ok((request, _)) => return Ok(request),
                Err(error) if !more || self.bytes.len() > HEAD => return Err(malformed(&error)),
                Err(_) => {}
            }
        }
    }

    /// What was read, but for a character of which the rest is on its way.
    fn whole_characters(&self) -> &[u8] {
        match std::str::from_utf8(&self.bytes) {
            Err(error) if error.error_len().is_none() => &self.bytes[..error.valid_up_to()],
            _ => &self.bytes,
        }
    }

    async fn rest(&mut self, limit: usize) -> Result<(), Response> {
        while self.more(limit).await? {}
        Ok(())
    }
}

async fn step(
    auditor: &Auditor,
    request: Result<AddCheckpoint, Refusal>,
) -> Result<Step, Response> {
    let desk = auditor.desk();
    let step = match request {
        Ok(request) => match Arc::clone(desk).turn(request).await {
            Ok(turn) => turn.check(),
            Err(refusal) => Err(refusal),
        },
        Err(refusal) => Err(refusal),
    };
    step.map_err(|refusal| witness::refused(desk, &refusal))
}

/// Co-signs. `taken`: these entries were taken for it.
fn cosigned(auditor: &Auditor, step: Step, taken: Option<&AddEntries>) -> Response {
    let note = step.request().checkpoint().note().clone();
    match step.cosign() {
        Ok(cosigned) => {
            let answer = witness::answer(&cosigned);
            if let Some(asked) = taken
                && let Err(error) = auditor.cosigned(cosigned.head.size, asked, &note)
            {
                // The co-signature is made and remembered; a snapshot can come later.
                tracing::error!(%error, "after co-signing");
            }
            answer
        }
        Err(failure) => witness::failed(&failure),
    }
}

/// Goes on to its end even when the caller leaves: the log's lock is held until the disk is sure.
pub(super) async fn blocking(work: impl FnOnce() -> Response + Send + 'static) -> Response {
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::error!(%error, "auditing ended by itself");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn malformed(error: &BodyError) -> Response {
    let status = match error {
        BodyError::Oversize { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::BAD_REQUEST,
    };
    (status, format!("{error}\n")).into_response()
}

fn problem(refused: Refused) -> Response {
    let json = serde_json::to_string(&RefusedProblem::of(refused)).unwrap_or_default();
    (StatusCode::UNPROCESSABLE_ENTITY, [(CONTENT_TYPE, PROBLEM_TYPE)], json).into_response()
}

pub(super) fn unavailable(why: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "5")], format!("{why}\n")).into_response()
}
