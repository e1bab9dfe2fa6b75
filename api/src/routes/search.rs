//! Searches, for enrolment agents: whoever else could ask would learn who is there. The authority
//! decides who may.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use wire::problem::ProblemCode::{AgentsOnly, MalformedRequest};
use wire::rest::{self, Certificate, Identity};
use wire::socket::{RequestBody, ResponseBody};

use super::{App, json, unexpected};
use crate::input::{CertificateSearch, Context, IdentitySearch};
use crate::negotiate::{JSON, negotiate};
use crate::openapi::problems::{ASKED, CHOICE, EVER, problems};
use crate::problem::Refusal;

problems!(SearchProblems: &[MalformedRequest, AgentsOnly], CHOICE, ASKED, EVER);

/// Certificates that are looked for, in pages.
///
/// All that is given must hold. With `user` they come by id; else, with an expiry, the next to
/// expire first; else newest first. For enrolment agents, by their TLS certificates.
#[utoipa::path(
    get, path = "/api/v1/certificates", tag = "certificates",
    operation_id = "search-certificates",
    params(CertificateSearch),
    security(("agent" = [])),
    responses(
        (status = OK, description = "A page", body = rest::Page<Certificate>),
        SearchProblems,
    ),
)]
pub(crate) async fn certificates(
    State(app): State<Arc<App>>,
    context: Context,
    CertificateSearch(query, page): CertificateSearch,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    negotiate(&headers, &[JSON])?;
    let question = RequestBody::SearchCertificates { query: Box::new(query), page };
    let answer = app.authority.ask(&context, question).await?;
    let ResponseBody::Certificates(page) = answer else { return Err(unexpected(&answer)) };
    json(&page)
}

/// Identities that are looked for, by id, in pages.
///
/// All that is given must hold. For enrolment agents, by their TLS certificates.
#[utoipa::path(
    get, path = "/api/v1/identities", tag = "identities", operation_id = "search-identities",
    params(IdentitySearch),
    security(("agent" = [])),
    responses(
        (status = OK, description = "A page", body = rest::Page<Identity>),
        SearchProblems,
    ),
)]
pub(crate) async fn identities(
    State(app): State<Arc<App>>,
    context: Context,
    IdentitySearch(query, page): IdentitySearch,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    negotiate(&headers, &[JSON])?;
    let question = RequestBody::SearchIdentities { query: Box::new(query), page };
    let answer = app.authority.ask(&context, question).await?;
    let ResponseBody::Identities(page) = answer else { return Err(unexpected(&answer)) };
    json(&page)
}
