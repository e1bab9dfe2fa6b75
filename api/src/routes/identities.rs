//! `/identities/{uid}` and what hangs below it, for reading.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use wire::bundle::{Bundle, MAX_BUNDLE};
use wire::problem::ProblemCode::{
    Internal, MalformedRequest, NotOffered, Stopped, UnknownIdentity,
};
use wire::rest::{self, Certificate, HistoryEntry, Identity};
use wire::socket::{RequestBody, ResponseBody};

use super::{App, cached, content, etag_of, json, unexpected, vary};
use crate::input::{Context, Page, Since, Uid};
use crate::negotiate::{BUNDLE, JSON, negotiate, not_modified};
use crate::openapi::Binary;
use crate::openapi::parameters::IfNoneMatch;
use crate::openapi::problems::{ASKED, CHOICE, EVER, problems};
use crate::problem::Refusal;

problems!(IdentityProblems: &[MalformedRequest, UnknownIdentity], CHOICE, ASKED, EVER);
problems!(
    BundleProblems:
        &[MalformedRequest, UnknownIdentity, NotOffered, Stopped], CHOICE, ASKED, EVER,
);

/// An identity as it stands.
///
/// The `ETag` is its latest event, so a caller may ask cheaply whether anything has happened.
#[utoipa::path(
    get, path = "/api/v1/identities/{uid}", tag = "identities", operation_id = "identity",
    params(Uid, IfNoneMatch),
    responses(
        (status = OK, description = "The identity", body = Identity,
            headers(("etag" = String, description = "For If-None-Match, and for If-Match of changes"))),
        (status = NOT_MODIFIED, description = "Nothing has happened since"),
        IdentityProblems,
    ),
)]
pub(crate) async fn identity(
    State(app): State<Arc<App>>,
    context: Context,
    Uid(uid): Uid,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    negotiate(&headers, &[JSON])?;
    let answer = app.authority.ask(&context, RequestBody::Identity { uid }).await?;
    let ResponseBody::Identity(identity) = answer else { return Err(unexpected(&answer)) };
    let etag = etag(&identity);
    let response = if not_modified(&headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        json(&*identity)?
    };
    Ok(cached(response, &etag, "private, no-cache"))
}

/// The entity tag of an identity: its latest event.
pub(super) fn etag(identity: &Identity) -> String {
    format!("\"{}-{}\"", identity.sequence, identity.head)
}

/// An identity's certificates, newest first, in pages.
#[utoipa::path(
    get, path = "/api/v1/identities/{uid}/certificates",
    tag = "identities", operation_id = "certificates",
    params(Uid, Page),
    responses(
        (status = OK, description = "A page", body = rest::Page<Certificate>),
        IdentityProblems,
    ),
)]
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

/// What was done to an identity and what was refused, in pages.
#[utoipa::path(
    get, path = "/api/v1/identities/{uid}/history", tag = "identities", operation_id = "history",
    params(Uid, Page),
    responses(
        (status = OK, description = "A page", body = rest::Page<HistoryEntry>),
        IdentityProblems,
    ),
)]
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

/// Everything that is needed to verify an identity with the network cut.
///
/// Chain, events, evidence, proofs and a signed checkpoint; as JSON, or in a compact form
/// (postcard). Nothing in it is to be believed: it is checked against a trust file.
#[utoipa::path(
    get, path = "/api/v1/identities/{uid}/bundle", tag = "identities", operation_id = "bundle",
    params(Uid, Since, IfNoneMatch),
    responses(
        (status = OK, description = "The bundle",
            headers(("etag" = String)),
            content(
                (Bundle = "application/json"),
                (inline(Binary) = "application/vnd.avouch.bundle"),
            )),
        (status = NOT_MODIFIED, description = "The bundle at hand is the present one"),
        BundleProblems,
    ),
)]
pub(crate) async fn bundle(
    State(app): State<Arc<App>>,
    context: Context,
    Uid(uid): Uid,
    Since(since): Since,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let form = negotiate(&headers, &[JSON, BUNDLE])?;
    let answer = app.authority.ask(&context, RequestBody::Bundle { uid, since }).await?;
    let ResponseBody::Bundle(bundle) = answer else { return Err(unexpected(&answer)) };
    let failed = |error: String| Refusal::new(Internal, format!("the bundle: {error}"));
    let bytes = if form == BUNDLE {
        wire::frame::encode(&*bundle, MAX_BUNDLE).map_err(|error| failed(error.to_string()))?
    } else {
        serde_json::to_vec(&*bundle).map_err(|error| failed(error.to_string()))?
    };
    let etag = etag_of(&bytes);
    let response = if not_modified(&headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        content(form, bytes)
    };
    Ok(vary(cached(response, &etag, "private, no-cache")))
}
