//! The addresses, and the handlers behind them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, VARY};
use serde::Serialize;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;
use wire::Hash32;
use wire::problem::ProblemCode;
use wire::socket::ResponseBody;

use crate::authority::Authority;
use crate::cache::{Cell, Shelf};
use crate::edge::{self, Edge};
use crate::negotiate::JSON;
use crate::problem::Refusal;

mod certificates;
mod docs;
mod health;
pub(crate) mod html;
mod identities;
mod installation;
mod issuers;
mod log;
mod moves;
mod problems;
mod search;
mod switches;

/// Answers whenever the process runs.
pub(crate) const LIVE: &str = "/api/v1/health/live";

/// What handlers share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) authority: Arc<Authority>,
    pub(crate) installation: Cell<installation::Known>,
    pub(crate) crls: Shelf<issuers::Crl>,
    pub(crate) body_limit: usize,
    pub(crate) cache_age: Duration,
}

/// Below this are the log's tiles.
pub(crate) const TILES: &str = "/api/v1/log/tile/";

type Routes = OpenApiRouter<Arc<App>>;

/// Everything, for HTTPS.
pub(crate) fn all(app: Arc<App>, edge: Arc<Edge>) -> Router {
    surround(all_routes(), app, edge)
}

/// What relying parties fetch over plain HTTP, signed by others and public.
pub(crate) fn plain(app: Arc<App>, edge: Arc<Edge>) -> Router {
    surround(issuer_routes(), app, edge)
}

/// What `utoipa` has collected of all routes.
pub(crate) fn described() -> OpenApi {
    all_routes().into_openapi()
}

fn all_routes() -> Routes {
    let mut routes = issuer_routes()
        .routes(routes!(identities::certificates, certificates::issue))
        .routes(routes!(identities::identity))
        .routes(routes!(identities::history))
        .routes(routes!(identities::bundle))
        .routes(routes!(certificates::certificate))
        .routes(routes!(search::certificates))
        .routes(routes!(search::identities))
        .routes(routes!(certificates::revoke))
        .routes(routes!(switches::ways))
        .routes(routes!(moves::rekey))
        .routes(routes!(moves::recover))
        .routes(routes!(moves::recovery_key))
        .routes(routes!(moves::suspend))
        .routes(routes!(moves::resume))
        .routes(routes!(moves::channels))
        .routes(routes!(moves::names))
        .routes(routes!(moves::retire))
        .routes(routes!(moves::void))
        .routes(routes!(switches::list, moves::switch))
        .routes(routes!(switches::switch))
        .routes(routes!(moves::approve))
        .routes(routes!(moves::veto))
        .routes(routes!(switches::changes))
        .routes(routes!(switches::policy))
        .routes(routes!(switches::simulate))
        .routes(routes!(moves::change))
        .routes(routes!(log::checkpoint))
        .routes(routes!(installation::trust))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(problems::index))
        .routes(routes!(problems::page))
        .routes(routes!(docs::openapi))
        .routes(routes!(docs::docs))
        // A path of several segments is nothing that OpenAPI has a word for.
        .route(&format!("{TILES}{{*path}}"), get(log::tile));
    let (_, mut tile, _): UtoipaMethodRouter<Arc<App>> = routes!(log::tile);
    routes.get_openapi_mut().paths.paths.append(&mut tile.paths);
    routes
}

fn issuer_routes() -> Routes {
    OpenApiRouter::default()
        .routes(routes!(issuers::list))
        .routes(routes!(issuers::issuer))
        .routes(routes!(issuers::chain))
        .routes(routes!(issuers::certificate))
        .routes(routes!(issuers::only_crl))
        .routes(routes!(issuers::crl))
}

fn surround(routes: Routes, app: Arc<App>, edge: Arc<Edge>) -> Router {
    let (routes, _) = routes.split_for_parts();
    routes.fallback(nothing).layer(from_fn_with_state(edge, edge::around)).with_state(app)
}

async fn nothing() -> Refusal {
    Refusal::new(ProblemCode::UnknownRoute, "there is nothing at this address")
}

/// The answer was to another question: a fault of the authority, or of this gateway.
fn unexpected(answer: &ResponseBody) -> Refusal {
    let kind = std::mem::discriminant(answer);
    tracing::error!(?kind, "the authority answered another question");
    Refusal::new(ProblemCode::Internal, "the authority answered another question")
}

/// A JSON answer.
fn json<T: Serialize>(value: &T) -> Result<Response, Refusal> {
    let body = serde_json::to_vec(value)
        .map_err(|error| Refusal::new(ProblemCode::Internal, error.to_string()))?;
    Ok(content(JSON, body))
}

/// An answer of that media type.
fn content(media_type: &'static str, body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// Says that the answer depends on the Accept header.
fn vary(mut response: Response) -> Response {
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    response
}

/// A strong entity tag over a representation's bytes; 128 bits suffice against accident.
fn etag_of(bytes: &[u8]) -> String {
    format!("\"{}\"", hex::encode(&Hash32::of(bytes).as_bytes()[..16]))
}

/// Adds what a cache needs to know.
fn cached(mut response: Response, etag: &str, cache_control: &str) -> Response {
    let headers = response.headers_mut();
    // Both are made of visible ASCII here, so neither is refused.
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(ETAG, etag);
    }
    if let Ok(cache_control) = HeaderValue::from_str(cache_control) {
        headers.insert(CACHE_CONTROL, cache_control);
    }
    response
}
