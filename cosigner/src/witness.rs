//! A witness: C2SP tlog-witness over HTTP.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use tlog::note::NoteSignature;
use tlog::witness::{
    ADD_CHECKPOINT, AddCheckpoint, COSIGNED, MAX_REQUEST, Refusal, RequestError, SIZE_TYPE,
};

use crate::desk::{CosignFailure, Cosigned, Desk};

/// The calls of a witness, below a submission prefix: empty, or a path that begins with a slash
/// and does not end in one.
pub fn routes(desk: Arc<Desk>, prefix: &str) -> Router {
    Router::new()
        .route(&format!("{prefix}{ADD_CHECKPOINT}"), post(add_checkpoint))
        .with_state(Arc::clone(&desk))
        .merge(shown(desk, prefix))
}

/// The call that shows what was co-signed last of a log: whoever is told «elsewhere» can see that
/// it is so.
pub(crate) fn shown(desk: Arc<Desk>, prefix: &str) -> Router {
    Router::new().route(&format!("{prefix}{COSIGNED}{{log}}"), get(cosigned)).with_state(desk)
}

async fn cosigned(State(desk): State<Arc<Desk>>, Path(log): Path<String>) -> Response {
    match desk.cosigned_last(&log).await {
        Some(note) => note.into_response(),
        None => (StatusCode::NOT_FOUND, "nothing was co-signed of such a log\n").into_response(),
    }
}

async fn add_checkpoint(State(desk): State<Arc<Desk>>, body: Body) -> Response {
    let request = match read(body, MAX_REQUEST).await {
        Ok(text) => AddCheckpoint::parse(&text).map_err(Refusal::Request),
        Err(answer) => return answer,
    };
    let step = match request {
        Ok(request) => match Arc::clone(&desk).turn(request).await {
            Ok(turn) => turn.check(),
            Err(refusal) => Err(refusal),
        },
        Err(refusal) => Err(refusal),
    };
    let step = match step {
        Ok(step) => step,
        Err(refusal) => return refused(&desk, &refusal),
    };
    // Goes on to its end even when the caller leaves: the lock is held until the disk is sure.
    match tokio::task::spawn_blocking(|| step.cosign()).await {
        Ok(Ok(cosigned)) => answer(&cosigned),
        Ok(Err(failure)) => failed(&failure),
        Err(error) => {
            tracing::error!(%error, "co-signing ended by itself");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Reads a body of text.
///
/// # Errors
/// The answer to one that is too long, is no text, or breaks off.
pub async fn read(body: Body, limit: usize) -> Result<String, Response> {
    let bytes = axum::body::to_bytes(body, limit).await.map_err(|_| {
        let text = format!("more than {limit} bytes, or broken off\n");
        (StatusCode::PAYLOAD_TOO_LARGE, text).into_response()
    })?;
    String::from_utf8(bytes.into())
        .map_err(|_| (StatusCode::BAD_REQUEST, "the request is not text\n").into_response())
}

/// The answer to a request that was co-signed.
#[must_use]
pub fn answer(cosigned: &Cosigned) -> Response {
    lines(std::slice::from_ref(&cosigned.line))
}

fn lines(lines: &[NoteSignature]) -> Response {
    lines.iter().map(NoteSignature::to_line).collect::<String>().into_response()
}

/// The answer to a request that was refused, which is counted and said in the log.
#[must_use]
pub fn refused(desk: &Desk, refusal: &Refusal) -> Response {
    desk.metrics().refused(refusal);
    let status = match refusal {
        Refusal::Request(RequestError::Oversize { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
        refusal => StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST),
    };
    tracing::info!(status = status.as_u16(), "{refusal}");
    match refusal.size() {
        Some(size) => (status, [(CONTENT_TYPE, SIZE_TYPE)], format!("{size}\n")).into_response(),
        None => (status, format!("{refusal}\n")).into_response(),
    }
}

/// The answer where a checkpoint in order was not co-signed.
#[must_use]
pub fn failed(failure: &CosignFailure) -> Response {
    let text = format!("{failure}\n");
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "5")], text).into_response()
}
