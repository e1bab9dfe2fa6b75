//! Switches, ways and policy, for reading.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use wire::problem::ProblemCode::{AgentsOnly, MalformedRequest, NoPendingSwitch};
use wire::rest::{self, KeyChange, Policy, SimulateRequest, Switch, Way};
use wire::socket::{RequestBody, ResponseBody};

use super::{App, json, unexpected};
use crate::input::{self, Context, Page, SwitchId, Uid};
use crate::negotiate::{JSON, negotiate};
use crate::openapi::problems::{ASKED, BODY, CHOICE, EVER, problems};
use crate::problem::Refusal;

problems!(ListProblems: &[MalformedRequest, AgentsOnly], CHOICE, ASKED, EVER);
problems!(SwitchProblems: &[NoPendingSwitch], CHOICE, ASKED, EVER);
problems!(WaysProblems: &[MalformedRequest], CHOICE, ASKED, EVER);
problems!(SimulateProblems: BODY, CHOICE, ASKED, EVER);
problems!(PolicyProblems: CHOICE, ASKED, EVER);

/// Pending switches, in pages.
///
/// For enrolment agents, by their TLS certificates.
#[utoipa::path(
    get, path = "/api/v1/switches", tag = "moves", operation_id = "switches",
    params(Page), security(("agent" = [])),
    responses((status = OK, description = "A page", body = rest::Page<Switch>), ListProblems),
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    context: Context,
    Page(page): Page,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    negotiate(&headers, &[JSON])?;
    let answer = app.authority.ask(&context, RequestBody::Switches { page }).await?;
    let ResponseBody::Switches(page) = answer else { return Err(unexpected(&answer)) };
    json(&page)
}

/// A switch, pending or over.
///
/// **Not to be approved on the strength of this answer**: officers take key, names and state from
/// the identity's bundle, which they verify.
#[utoipa::path(
    get, path = "/api/v1/switches/{id}", tag = "moves", operation_id = "switch",
    params(SwitchId),
    responses((status = OK, description = "The switch", body = Switch), SwitchProblems),
)]
pub(crate) async fn switch(
    State(app): State<Arc<App>>,
    context: Context,
    SwitchId(switch): SwitchId,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    negotiate(&headers, &[JSON])?;
    let answer = app.authority.ask(&context, RequestBody::Switch { switch }).await?;
    let ResponseBody::Switch(switch) = answer else { return Err(unexpected(&answer)) };
    json(&*switch)
}

/// Whose key moved, oldest first, in pages: whoever shares with them wraps anew.
///
/// For enrolment agents, by their TLS certificates.
#[utoipa::path(
    get, path = "/api/v1/changes", tag = "moves", operation_id = "changes",
    params(Page), security(("agent" = [])),
    responses((status = OK, description = "A page", body = rest::Page<KeyChange>), ListProblems),
)]
pub(crate) async fn changes(
    State(app): State<Arc<App>>,
    context: Context,
    Page(page): Page,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    negotiate(&headers, &[JSON])?;
    let answer = app.authority.ask(&context, RequestBody::KeyChanges { page }).await?;
    let ResponseBody::KeyChanges(page) = answer else { return Err(unexpected(&answer)) };
    json(&page)
}

/// What an identity, or an id that is not enrolled, may do now, and what it takes.
#[utoipa::path(
    get, path = "/api/v1/identities/{uid}/ways", tag = "identities", operation_id = "ways",
    params(Uid),
    responses((status = OK, description = "Every way to go on", body = Vec<Way>), WaysProblems),
)]
pub(crate) async fn ways(
    State(app): State<Arc<App>>,
    context: Context,
    Uid(uid): Uid,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    negotiate(&headers, &[JSON])?;
    answer_ways(&app, &context, RequestBody::Ways { uid, rules: None }).await
}

/// The policy in force, and who has a say in it.
#[utoipa::path(
    get, path = "/api/v1/policy", tag = "installation", operation_id = "policy",
    responses((status = OK, description = "The policy", body = Policy), PolicyProblems),
)]
pub(crate) async fn policy(
    State(app): State<Arc<App>>,
    context: Context,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    negotiate(&headers, &[JSON])?;
    let answer = app.authority.ask(&context, RequestBody::Policy).await?;
    let ResponseBody::Policy(policy) = answer else { return Err(unexpected(&answer)) };
    json(&*policy)
}

/// The same as `/identities/{uid}/ways`, supposing other rules.
///
/// Nothing changes, and nothing is decided.
#[utoipa::path(
    post, path = "/api/v1/policy/simulate", tag = "installation", operation_id = "simulate",
    request_body(content = SimulateRequest, content_type = "application/json"),
    responses((status = OK, description = "Every way to go on", body = Vec<Way>), SimulateProblems),
)]
pub(crate) async fn simulate(
    State(app): State<Arc<App>>,
    context: Context,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    negotiate(&headers, &[JSON])?;
    let SimulateRequest { uid, rules } =
        input::read_json(&headers, body, app.body_limit, context.deadline).await?;
    let rules = rules.map(|text| input::decoded("rules", &text)).transpose()?;
    answer_ways(&app, &context, RequestBody::Ways { uid, rules }).await
}

async fn answer_ways(
    app: &App,
    context: &Context,
    question: RequestBody,
) -> Result<Response, Refusal> {
    let answer = app.authority.ask(context, question).await?;
    let ResponseBody::Ways(ways) = answer else { return Err(unexpected(&answer)) };
    json(&ways)
}
