//! Health, for whoever restarts or routes.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};
use wire::rest::{Health, HealthPart};
use wire::socket::{RequestBody, ResponseBody};

use super::{App, json, unexpected};
use crate::input::Context;
use crate::problem::Refusal;

/// GET `/health/live`: 200 whenever this process answers. Asks nobody: a gateway is not restarted
/// for the authority's sake.
pub(crate) async fn live() -> Result<Response, Refusal> {
    json(&Health { ready: true, parts: Vec::new() })
}

/// GET `/health/ready`: the authority's health; 200 when requests are taken and finished, 503 when
/// not, in the same shape.
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
