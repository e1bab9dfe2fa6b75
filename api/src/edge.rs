//! What surrounds every request: its id, its deadline, its place among the others, its line in the
//! log, and on the way out its problem and its headers.

use std::any::Any;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http::HeaderMap;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use wire::Hash32;
use wire::problem::{Problem, ProblemCode};
use wire::socket::Peer;

use crate::authority::timed_out;
use crate::input::Context;
use crate::metrics::Metrics;
use crate::problem::{Refusal, render};
use crate::rate::{Caller, Limiter};
use crate::remains::Remains;
use crate::routes;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Greatest length of a request id that is taken from outside.
const REQUEST_ID_MAX: usize = 64;

/// Who is at the other end of a connection; the accept loop puts it into every request.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionPeer {
    pub(crate) address: IpAddr,
    /// The TLS client certificate, where one was shown.
    pub(crate) peer: Option<Arc<Peer>>,
}

impl ConnectionPeer {
    fn caller(&self) -> Caller {
        match &self.peer {
            Some(peer) => Caller::Certificate(Hash32::of(&peer.spki)),
            None => Caller::at(self.address),
        }
    }
}

/// What the edge needs to know.
#[derive(Debug)]
pub(crate) struct Edge {
    /// URI below which the problem pages are, with a slash at its end.
    pub(crate) pages: String,
    pub(crate) deadline: Duration,
    pub(crate) requests: Arc<Semaphore>,
    pub(crate) rates: Arc<Limiter>,
    pub(crate) hsts: Option<HeaderValue>,
    pub(crate) metrics: Metrics,
}

/// The middleware around all routes.
pub(crate) async fn around(
    State(edge): State<Arc<Edge>>,
    mut request: Request,
    next: Next,
) -> Response {
    let start = Instant::now();
    let _counted = edge.metrics.request();
    let id = request_id(request.headers());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("-", MatchedPath::as_str);
    let connection = request.extensions().get::<ConnectionPeer>();
    let caller = connection.map(ConnectionPeer::caller);
    let peer = connection.and_then(|connection| connection.peer.clone());
    let deadline = start + edge.deadline;
    request.extensions_mut().insert(Context { request_id: Arc::clone(&id), peer, deadline });

    let remains = Remains::of(&mut request);
    let response = match admit(&edge, route, caller, start) {
        Ok(_place) => answer(request, next, deadline, &id).await,
        Err(refusal) => refusal.into_response(),
    };

    let (mut response, problem) = render(response, &edge.pages, &id);
    finish(&edge, &mut response, &id);
    if let Some(remains) = remains {
        remains.clear(response.headers_mut()).await;
    }
    let (status, took) = (response.status().as_u16(), start.elapsed());
    edge.metrics.answered(&method, route, status, problem, took);
    tracing::info!(
        target: "avouch::http",
        %method,
        // The pattern, not the path: that would tell whose identity it was.
        route,
        status,
        problem = problem.map(ProblemCode::slug),
        ms = took.as_secs_f64() * 1e3,
        request_id = &*id,
    );
    response
}

/// A place among the requests being worked on. Liveness needs none: a busy gateway is alive.
fn admit<'a>(
    edge: &'a Edge,
    route: &str,
    caller: Option<Caller>,
    now: Instant,
) -> Result<Option<tokio::sync::SemaphorePermit<'a>>, Refusal> {
    if route == routes::LIVE {
        return Ok(None);
    }
    if let Some(Err(wait)) = caller.map(|caller| edge.rates.take(caller, now)) {
        let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
        let detail = "this caller has made as many requests as it may for now";
        return Err(Problem::new(ProblemCode::TooManyRequests, detail).retry_after(seconds).into());
    }
    edge.requests.try_acquire().map(Some).map_err(|_| {
        Problem::new(
            ProblemCode::Overloaded,
            "the gateway has as many requests as it takes at once",
        )
        .retry_after(1)
        .into()
    })
}

/// The handler's answer, or a problem when it is late or panics.
async fn answer(request: Request, next: Next, deadline: Instant, id: &str) -> Response {
    // A little later than the deadline, so that whoever knows what is late gets to say so first.
    let last = deadline + Duration::from_millis(50);
    let handler = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout_at(last, handler).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => {
            tracing::error!(request_id = id, panic = panic_text(&*panic), "a handler panicked");
            Refusal::new(ProblemCode::Internal, "the gateway failed on this request")
                .into_response()
        }
        Err(_) => Refusal::from(timed_out()).into_response(),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("(no text)")
}

/// The caller's own request id when it is a short plain one, else a random one.
fn request_id(headers: &HeaderMap) -> Arc<str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~' | b':');
    let given = headers.get(X_REQUEST_ID).and_then(|value| value.to_str().ok());
    match given {
        Some(id) if (1..=REQUEST_ID_MAX).contains(&id.len()) && id.bytes().all(plain) => id.into(),
        _ => {
            let mut random = [0; 16];
            // Without randomness requests cannot be told apart in the log; nothing else hangs on it.
            let _ = getrandom::fill(&mut random);
            hex::encode(random).into()
        }
    }
}

/// Headers that every answer has.
fn finish(edge: &Edge, response: &mut Response, id: &str) {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(X_REQUEST_ID, id);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    if let Some(hsts) = &edge.hsts {
        headers.insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
    }
}

#[cfg(test)]
mod tests;
