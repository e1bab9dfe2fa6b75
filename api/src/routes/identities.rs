//! `/identities/{uid}` and what hangs below it, for reading.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use wire::socket::{RequestBody, ResponseBody};

use super::{App, cached, json, unexpected};
use crate::input::{Context, Page, Uid};
use crate::negotiate::{JSON, negotiate, not_modified};
use crate::problem::Refusal;

/// GET `/identities/{uid}`: the identity as it stands. The ETag is its latest event, so a caller
/// may ask cheaply whether anything has happened.
pub(crate) async fn identity(
    State(app): State<Arc<App>>,
    context: Context,
    Uid(uid): Uid,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    negotiate(&headers, &[JSON])?;
    let answer = app.authority.ask(&context, RequestBody::Identity { uid }).await?;
    let ResponseBody::Identity(identity) = answer else { return Err(unexpected(&answer)) };
    let etag = format!("\"{}-{}\"", identity.sequence, identity.head);
    let response = if not_modified(&headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        json(&*identity)?
    };
    Ok(cached(response, &etag, "private, no-cache"))
}

/// GET `/identities/{uid}/certificates`: its certificates, newest first, in pages.
pub(crate) async fn certificates(
    State(app): State<Arc<App>>,
    context: Context,
    Uid(uid): Uid,
    Page(page): Page,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    negotiate(&headers, &[JSON])?;
    let answer = app.authority.ask(&context, RequestBody::Certificates { uid, page }).await?;
    let ResponseBody::Certificates(page) = answer else { return Err(unexpected(&answer)) };
    json(&page)
}

/// GET `/identities/{uid}/history`: what was done and what was refused, in pages.
pub(crate) async fn history(
    State(app): State<Arc<App>>,
    context: Context,
    Uid(uid): Uid,
    Page(page): Page,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    negotiate(&headers, &[JSON])?;
    let answer = app.authority.ask(&context, RequestBody::History { uid, page }).await?;
    let ResponseBody::History(page) = answer else { return Err(unexpected(&answer)) };
    json(&page)
}
