//! What nobody has read of a request's body.
//!
//! On HTTP/1.1 the next request comes after it (RFC 9112 section 9.3). A refusal that leaves it
//! there would end the connection under a caller that is still sending, or has the next request on
//! its way. So a little is read and dropped, and where that does not do, the answer says that the
//! connection ends.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use bytes::Bytes;
use http::header::{CONNECTION, EXPECT, HeaderValue};
use http::{HeaderMap, Version};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Frame, SizeHint};

/// Bytes that are read and dropped at most.
const BYTES: usize = 64 * 1024;
/// How long that may take.
const TIME: Duration = Duration::from_secs(1);

/// A body that two can read, one after the other.
#[derive(Debug, Clone)]
struct Shared(Arc<Mutex<Body>>);

impl Shared {
    fn body(&self) -> MutexGuard<'_, Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut *self.body()).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body().size_hint()
    }
}

/// The edge's hold on a request's body.
#[derive(Debug)]
pub(crate) struct Remains {
    body: Shared,
    /// The caller waits for a word before it sends the body (RFC 9110 section 10.1.1).
    waits: bool,
}

impl Remains {
    /// `None` where there is no body, and in HTTP/2, whose streams end one by one.
    pub(crate) fn of(request: &mut Request) -> Option<Self> {
        if request.version() > Version::HTTP_11 || request.body().is_end_stream() {
            return None;
        }
        let body = Shared(Arc::new(Mutex::new(std::mem::take(request.body_mut()))));
        *request.body_mut() = Body::new(body.clone());
        Some(Self { body, waits: request.headers().contains_key(EXPECT) })
    }

    /// Reads what is left, or has the answer say that the connection ends.
    pub(crate) async fn clear(self, answer: &mut HeaderMap) {
        let Self { body, waits } = self;
        let much = body.size_hint().lower() > BYTES as u64;
        let drain = async {
            let rest = Limited::new(body.clone(), BYTES).collect();
            !waits && !much && matches!(tokio::time::timeout(TIME, rest).await, Ok(Ok(_)))
        };
        if !body.is_end_stream() && !drain.await {
            answer.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}
