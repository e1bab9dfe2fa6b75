//! The log as C2SP writes it: a signed checkpoint (tlog-checkpoint) and tiles (tlog-tiles). Public,
//! and checked by whoever reads it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, HeaderValue};
use http::{HeaderMap, StatusCode};
use wire::problem::ProblemCode::{NotOffered, Stopped, UnknownTile};
use wire::socket::{RequestBody, ResponseBody};

use super::{App, cached, content, etag_of, unexpected};
use crate::input::{Context, Tile};
use crate::negotiate::{OCTETS, TEXT, negotiate, not_modified};
use crate::openapi::parameters::{IfNoneMatch, TilePath};
use crate::openapi::problems::{ASKED, CHOICE, EVER, problems};
use crate::openapi::{Binary, Text};
use crate::problem::Refusal;

problems!(CheckpointProblems: CHOICE, ASKED, EVER, &[NotOffered, Stopped]);
problems!(TileProblems: CHOICE, ASKED, EVER, &[NotOffered, UnknownTile]);

/// The latest checkpoint, a signed note.
///
/// Its format is C2SP tlog-checkpoint; its last leaf holds the root of the map of identities.
#[utoipa::path(
    get, path = "/api/v1/log/checkpoint", tag = "log", operation_id = "checkpoint",
    params(IfNoneMatch),
    responses(
        (status = OK, description = "The signed note", body = inline(Text),
            content_type = "text/plain", headers(("etag" = String))),
        (status = NOT_MODIFIED, description = "The checkpoint at hand is the latest"),
        CheckpointProblems,
    ),
)]
pub(crate) async fn checkpoint(
    State(app): State<Arc<App>>,
    context: Context,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    negotiate(&headers, &[TEXT])?;
    let answer = app.authority.ask(&context, RequestBody::Checkpoint).await?;
    let ResponseBody::Checkpoint(note) = answer else { return Err(unexpected(&answer)) };
    let etag = etag_of(note.as_bytes());
    let response = if not_modified(&headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        content("text/plain; charset=utf-8", note)
    };
    Ok(cached(response, &etag, "public, no-cache"))
}

/// A tile of the log, or of its entries.
///
/// Tiles never change and may be kept for ever. Full ones have 256 hashes of 32 bytes; a partial
/// one (`.p/` and its width) may be gone once a fuller one is there. Tiles of entries hold leaves,
/// each after its length in 16 bits (C2SP tlog-tiles).
#[utoipa::path(
    get, path = "/api/v1/log/tile/{path}", tag = "log", operation_id = "tile",
    params(TilePath),
    responses(
        (status = OK, description = "The tile", body = inline(Binary),
            content_type = "application/octet-stream"),
        TileProblems,
    ),
)]
pub(crate) async fn tile(
    State(app): State<Arc<App>>,
    context: Context,
    Tile(path): Tile,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    negotiate(&headers, &[OCTETS])?;
    let answer = app.authority.ask(&context, RequestBody::Tile { path }).await?;
    let ResponseBody::Tile(bytes) = answer else { return Err(unexpected(&answer)) };
    let mut response = content(OCTETS, bytes.into_vec());
    let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
    response.headers_mut().insert(CACHE_CONTROL, forever);
    Ok(response)
}
