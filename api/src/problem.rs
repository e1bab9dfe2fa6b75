//! The one place where a problem becomes an HTTP answer (RFC 9457).
//!
//! A handler returns a [`Refusal`]; it travels to the edge as an extension of an otherwise empty
//! response, and there [`render`] writes it out, because only the edge knows the request's id and
//! the address of the pages. Refusals that axum makes by itself are turned into problems there too.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use wire::problem::{Problem, ProblemCode};
use wire::rest::ProblemJson;

/// RFC 9457 section 6.1.
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Seconds to wait where a problem that passes says nothing else.
const RETRY_AFTER_DEFAULT: u32 = 2;

/// A handler's refusal.
#[derive(Debug)]
pub(crate) struct Refusal(Box<Problem>);

impl Refusal {
    pub(crate) fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Problem::new(code, detail).into()
    }

    /// The request is not of the documented form: what it should have been, and what it was.
    pub(crate) fn malformed(
        detail: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Problem::new(ProblemCode::MalformedRequest, detail).expected(expected, found).into()
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

/// Carries a problem from the handler to the edge.
#[derive(Debug, Clone)]
struct Carried(Box<Problem>);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = status(self.0.code);
        let mut response = status.into_response();
        response.extensions_mut().insert(Carried(self.0));
        response
    }
}

/// Writes a carried problem out, or makes one of a bare error status of axum's. Returns the code
/// for the log, `None` where the response is no problem.
pub(crate) fn render(
    response: Response,
    pages: &str,
    request_id: &str,
) -> (Response, Option<ProblemCode>) {
    let (mut parts, body) = response.into_parts();
    let problem = match parts.extensions.remove::<Carried>() {
        Some(Carried(problem)) => *problem,
        None => match bare(parts.status, parts.headers.contains_key(CONTENT_TYPE)) {
            Some(mut problem) => {
                // Axum lists what it would have taken there.
                let allow = parts.headers.get(ALLOW).and_then(|value| value.to_str().ok());
                problem.expected = allow.map(str::to_owned).or(problem.expected);
                problem
            }
            None => return (Response::from_parts(parts, body), None),
        },
    };
    let json = ProblemJson::new(&problem, pages, request_id);
    // Strings and numbers: this cannot fail, and if it did an empty body is all there is to say.
    let body = serde_json::to_vec(&json).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status(problem.code);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, MEDIA_TYPE);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(seconds) = retry_after(&problem) {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(taken) = taken(&problem) {
        headers.insert(ACCEPT, taken);
    }
    (response, Some(problem.code))
}

/// The status as a type; every code has a valid one, which a test asserts.
fn status(code: ProblemCode) -> StatusCode {
    StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// RFC 9110 section 10.2.3: what passes says when to come back.
fn retry_after(problem: &Problem) -> Option<u32> {
    let passes = matches!(problem.code.status(), 429 | 503);
    problem.retry_after.or(passes.then_some(RETRY_AFTER_DEFAULT))
}

/// RFC 9110 section 12.5.1: an Accept header in a 415 answer names what would be taken.
fn taken(problem: &Problem) -> Option<HeaderValue> {
    let expected = problem.expected.as_deref()?;
    (problem.code == ProblemCode::UnsupportedMediaType)
        .then(|| HeaderValue::from_str(expected).ok())
        .flatten()
}

/// A problem for an error that a handler of ours did not make. Ours that are no problem
/// (`/health/ready`) have a body with a media type.
fn bare(status: StatusCode, has_media_type: bool) -> Option<Problem> {
    let code = match status {
        StatusCode::NOT_FOUND => ProblemCode::UnknownRoute,
        StatusCode::METHOD_NOT_ALLOWED => ProblemCode::MethodNotAllowed,
        _ if has_media_type => return None,
        StatusCode::PAYLOAD_TOO_LARGE => ProblemCode::Oversize,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ProblemCode::UnsupportedMediaType,
        status if status.is_client_error() => ProblemCode::MalformedRequest,
        status if status.is_server_error() => ProblemCode::Internal,
        _ => return None,
    };
    Some(Problem::new(code, code.title()))
}

#[cfg(test)]
mod tests;
