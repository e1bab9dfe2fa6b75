//! Metrics on a listener of their own: one page, few connections, little patience.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::exit::Failure;

/// Scrapers at once. More wait in the kernel.
const CONNECTIONS: usize = 8;

/// Time for a request's header, and for a kept connection to begin its next request.
const HEADER: Duration = Duration::from_secs(90);

/// <https://prometheus.io/docs/instrumenting/exposition_formats/>
const PROMETHEUS: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
/// <https://prometheus.io/docs/specs/om/open_metrics_spec/>
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// A listener for scrapers.
#[derive(Debug)]
pub(super) struct Scrapes(TcpListener);

/// Listens.
pub(super) async fn bind(address: SocketAddr) -> Result<Scrapes, Failure> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|e| Failure::local(format!("cannot listen on {address} for metrics: {e}")))?;
    match listener.local_addr() {
        Ok(address) => tracing::info!(%address, "metrics are served"),
        Err(error) => tracing::warn!(%error, "metrics are served at an address unknown"),
    }
    Ok(Scrapes(listener))
}

impl Scrapes {
    /// Answers `GET /metrics` with a text, told whether it is to be OpenMetrics, until `stop`.
    pub(super) async fn serve<F, T>(self, text: F, stop: CancellationToken)
    where
        F: Fn(bool) -> T + Clone + Send + Sync + 'static,
        T: Future<Output = String> + Send + 'static,
    {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let accepting = async {
            loop {
                // The semaphore is never closed.
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                match self.0.accept().await {
                    Ok((stream, _)) => {
                        let (text, stop) = (text.clone(), stop.clone());
                        tokio::spawn(async move {
                            stop.run_until_cancelled(converse(stream, text)).await;
                            drop(place);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a scraper's connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        };
        stop.run_until_cancelled(accepting).await;
    }
}

async fn converse<F, T>(stream: TcpStream, text: F)
where
    F: Fn(bool) -> T,
    T: Future<Output = String>,
{
    let service = service_fn(|request: Request<Incoming>| {
        let answer = answer(&request, &text);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER).max_buf_size(16 * 1024);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a scraper's connection ended with an error");
    }
}

fn answer<F, T>(
    request: &Request<Incoming>,
    text: &F,
) -> impl Future<Output = Response<Full<Bytes>>> + use<F, T>
where
    F: Fn(bool) -> T,
    T: Future<Output = String>,
{
    let found = request.uri().path() == "/metrics";
    let allowed = matches!(*request.method(), Method::GET | Method::HEAD);
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    let open = accept.is_some_and(|accept| accept.contains("application/openmetrics-text"));
    let text = (found && allowed).then(|| text(open));
    async move {
        let Some(text) = text else {
            let mut response = Response::new(Full::from("metrics are at /metrics\n"));
            *response.status_mut() =
                if found { StatusCode::METHOD_NOT_ALLOWED } else { StatusCode::NOT_FOUND };
            return response;
        };
        let mut response = Response::new(Full::from(text.await));
        let form = if open { OPEN_METRICS } else { PROMETHEUS };
        response.headers_mut().insert(CONTENT_TYPE, form);
        response
    }
}
