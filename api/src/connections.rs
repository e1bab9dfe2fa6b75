//! Connections, from accept to close.
//!
//! Accepting never waits for anything but a place: handshakes run in the connection's own task,
//! and each phase of a connection has its time.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::config::Limits;
use crate::edge::ConnectionPeer;
use crate::metrics::Metrics;
use crate::tls;

/// Greatest size of a request's header, in bytes: long paths and tokens, nothing more.
const HEADER_SIZE: u32 = 32 * 1024;
/// Requests that one HTTP/2 connection may have open at once.
const STREAMS: u32 = 128;
/// Pause after a failed accept, which mostly means that file descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The present TLS configuration; it may be replaced while the gateway serves.
pub(crate) type Watched = tokio::sync::watch::Receiver<Arc<rustls::ServerConfig>>;

fn acceptor(tls: &Watched) -> TlsAcceptor {
    TlsAcceptor::from(Arc::clone(&tls.borrow()))
}

/// What the connections of all listeners share.
#[derive(Debug, Clone)]
pub(crate) struct Hall {
    pub(crate) limits: Arc<Limits>,
    pub(crate) metrics: Metrics,
    pub(crate) tasks: TaskTracker,
    /// Accept no more; finish what is in flight.
    pub(crate) closing: CancellationToken,
    /// Drop everything.
    pub(crate) closed: CancellationToken,
}

impl Hall {
    pub(crate) fn new(limits: Limits, metrics: Metrics) -> Self {
        Self {
            limits: Arc::new(limits),
            metrics,
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            closed: CancellationToken::new(),
        }
    }

    /// Accepts until the hall is closing; with TLS where `tls` is given. Each listener has its own
    /// places, so that a crowd at one leaves the other open.
    pub(crate) async fn accept(self, listener: TcpListener, tls: Option<Watched>, app: Router) {
        let places = Arc::new(Semaphore::new(self.limits.connections));
        let accepting = async {
            loop {
                // The semaphore is never closed.
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                match listener.accept().await {
                    Ok((stream, address)) => {
                        let peer = ConnectionPeer { address: address.ip(), peer: None };
                        let connection = self.clone().serve(
                            stream,
                            peer,
                            tls.as_ref().map(acceptor),
                            app.clone(),
                            place,
                        );
                        self.tasks.spawn(connection);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        self.closing.run_until_cancelled(accepting).await;
    }

    async fn serve(
        self,
        stream: TcpStream,
        mut peer: ConnectionPeer,
        tls: Option<TlsAcceptor>,
        app: Router,
        _place: OwnedSemaphorePermit,
    ) {
        // Answers are small and whole; waiting to gather more only delays them.
        let _ = stream.set_nodelay(true);
        let _counted = self.metrics.connection(tls.is_some());
        let Some(acceptor) = tls else {
            return self.converse(stream, false, peer, app).await;
        };
        let handshake = tokio::time::timeout(self.limits.handshake, acceptor.accept(stream));
        let stream = match self.closing.run_until_cancelled(handshake).await {
            Some(Ok(Ok(stream))) => stream,
            Some(Ok(Err(error))) => {
                self.metrics.handshake_failed();
                return tracing::debug!(%error, "a TLS handshake failed");
            }
            Some(Err(_)) => {
                self.metrics.handshake_failed();
                return tracing::debug!("a TLS handshake took too long");
            }
            None => return,
        };
        let (_, session) = stream.get_ref();
        let http2 = session.alpn_protocol() == Some(tls::H2);
        peer.peer = match session.peer_certificates().and_then(<[_]>::first).map(tls::peer) {
            None => None,
            Some(Ok(peer)) => Some(Arc::new(peer)),
            Some(Err(error)) => {
                return tracing::warn!(%error, "a client certificate that TLS took is not DER");
            }
        };
        self.converse(stream, http2, peer, app).await;
    }

    /// HTTP until the connection ends, is idle too long, or the hall closes.
    async fn converse<S>(self, stream: S, http2: bool, peer: ConnectionPeer, app: Router)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Arc::new(Activity::new());
        let service = service_fn(|request: Request<Incoming>| {
            let working = Activity::begin(&activity);
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer.clone());
            let response = app.clone().oneshot(request);
            async move {
                let response = response.await;
                drop(working);
                response as Result<_, Infallible>
            }
        });
        let builder = self.protocol(http2);
        let mut connection =
            std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        let finished = tokio::select! {
            result = connection.as_mut() => Some(result),
            () = self.closing.cancelled() => None,
            () = activity.idle(self.limits.idle) => None,
        };
        let result = match finished {
            Some(result) => result,
            None => {
                connection.as_mut().graceful_shutdown();
                // What is in flight has its own deadline, after which only a peer that does not
                // read can hold the connection.
                let last = self.limits.request + self.limits.header;
                tokio::select! {
                    result = connection.as_mut() => result,
                    () = self.closed.cancelled() => return,
                    () = tokio::time::sleep(last) => return,
                }
            }
        };
        if let Err(error) = result {
            tracing::debug!(error, "a connection ended with an error");
        }
    }

    /// The protocol is settled by ALPN, so nothing waits for a first byte to guess it from.
    fn protocol(&self, http2: bool) -> auto::Builder<TokioExecutor> {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header)
            .max_buf_size(HEADER_SIZE as usize);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEADER_SIZE)
            .keep_alive_interval(self.limits.header)
            .keep_alive_timeout(self.limits.header);
        if http2 { builder.http2_only() } else { builder.http1_only() }
    }
}

/// When a connection last had a request.
#[derive(Debug)]
struct Activity {
    working: AtomicUsize,
    since: Mutex<Instant>,
}

impl Activity {
    fn new() -> Self {
        Self { working: AtomicUsize::new(0), since: Mutex::new(Instant::now()) }
    }

    fn begin(this: &Arc<Self>) -> Working {
        this.working.fetch_add(1, Ordering::Relaxed);
        Working(Arc::clone(this))
    }

    fn touch(&self) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Resolves when there was no request for that long.
    async fn idle(&self, long: Duration) {
        loop {
            let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
            let busy = self.working.load(Ordering::Relaxed) > 0;
            let until = if busy { Instant::now() } else { since } + long;
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

/// A request being worked on.
#[derive(Debug)]
struct Working(Arc<Activity>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.touch();
        self.0.working.fetch_sub(1, Ordering::Relaxed);
    }
}
