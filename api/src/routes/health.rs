//! Health, for whoever restarts or routes.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};
use wire::problem::ProblemCode::{Internal, Timeout, TooManyRequests};
use wire::rest::{Health, HealthPart};
use wire::socket::{RequestBody, ResponseBody};

use super::{App, json, unexpected};
use crate::input::Context;
use crate::openapi::problems::problems;
use crate::problem::Refusal;

problems!(LiveProblems: &[Internal, Timeout]);
problems!(ReadyProblems: &[Internal, Timeout, TooManyRequests]);

/// Whether this process answers at all.
///
/// It asks nobody: a gateway is not restarted for the authority's sake.
#[utoipa::path(
    get, path = "/api/v1/health/live", tag = "installation", operation_id = "live",
    responses((status = OK, description = "It does", body = Health), LiveProblems),
)]
pub(crate) async fn live() -> Result<Response, Refusal> {
    json(&Health { ready: true, parts: Vec::new() })
}

/// Whether requests are taken and finished, by part.
#[utoipa::path(
    get, path = "/api/v1/health/ready", tag = "installation", operation_id = "ready",
    responses(
        (status = OK, description = "They are", body = Health),
        (status = SERVICE_UNAVAILABLE, description = "They are not; or the gateway has too many",
            headers(("retry-after" = u32)),
            content(
                (Health = "application/json"),
                (wire::rest::ProblemJson = "application/problem+json"),
            )),
        ReadyProblems,
    ),
)]
pub(crate) async fn ready(
    State(app): State<Arc<App>>,
    context: Context,
) -> Result<Response, Refusal> {
    let health = match app.authority.ask(&context, RequestBody::Health).await {
        Ok(ResponseBody::Health(health)) => health,
        Ok(other) => return Err(unexpected(&other)),
        Err(problem) => {
            let part =
                HealthPart { name: "authority".to_owned(), ok: false, detail: problem.detail };
            Health { ready: false, parts: vec![part] }
        }
    };
    let mut response = json(&health)?;
    if !health.ready {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("2"));
    }
    Ok(response)
}
