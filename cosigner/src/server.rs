//! A small HTTP server, with TLS or behind something that has it: a co-signer's callers are few,
//! and each has its time.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::metrics::Metrics;
use crate::tls::TlsConfig;

/// Greatest size of a request's header, in bytes.
const HEADER_SIZE: usize = 16 * 1024;
/// Pause after a failed accept, which mostly means that file descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How much is taken on at once, and for how long.
#[derive(Debug, Clone)]
pub struct ServerLimits {
    /// Connections at once. More wait in the kernel.
    pub connections: usize,
    /// Time for a TLS handshake.
    pub handshake: Duration,
    /// Time for a request's header, and for a kept connection to begin its next request.
    pub header: Duration,
    /// Time for a request, from its header to its answer, its body included.
    pub request: Duration,
    /// Time for what is in flight when the server is told to stop.
    pub shutdown: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 256,
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(75),
            request: Duration::from_secs(10),
            shutdown: Duration::from_secs(15),
        }
    }
}

/// What a server is told.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Address and port.
    pub listen: SocketAddr,
    /// TLS ([`crate::server_config`]); plain HTTP without it.
    pub tls: Option<TlsConfig>,
    /// Limits.
    pub limits: ServerLimits,
}

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address that cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// Replaces the TLS certificate of a server.
#[derive(Debug, Clone)]
pub struct TlsHandle(watch::Sender<Option<TlsConfig>>);

impl TlsHandle {
    /// Connections made from now on meet this certificate; those there are stay as they are.
    pub fn replace(&self, config: TlsConfig) {
        self.0.send_replace(Some(config));
    }
}

/// A server that listens, but serves nobody yet.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    listener: TcpListener,
    tls: watch::Sender<Option<TlsConfig>>,
    hall: Hall,
}

#[derive(Debug, Clone)]
struct Hall {
    limits: Arc<ServerLimits>,
    metrics: Metrics,
    tasks: TaskTracker,
    /// Accept no more; finish what is in flight.
    closing: CancellationToken,
    /// Drop everything.
    closed: CancellationToken,
}

impl Server {
    /// Listens. From here on the kernel takes connections, which [`Server::serve`] answers.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(options: ServerOptions, metrics: Metrics) -> Result<Self, ServerError> {
        let ServerOptions { listen: address, tls, limits } = options;
        let failed = |source| ServerError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let hall = Hall {
            limits: Arc::new(limits),
            metrics,
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            closed: CancellationToken::new(),
        };
        Ok(Self { address, listener, tls: watch::Sender::new(tls), hall })
    }

    /// The address, with the port that the kernel chose.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A handle to replace the TLS certificate while the server serves.
    #[must_use]
    pub fn tls(&self) -> TlsHandle {
        TlsHandle(self.tls.clone())
    }

    /// Serves these routes, and `/health/live`, until `shutdown` resolves; then takes no more
    /// connections, lets requests in flight finish for as long as the limit allows, and returns.
    pub async fn serve(self, routes: Router, shutdown: impl Future<Output = ()>) {
        let Self { listener, tls, hall, .. } = self;
        let app = routes.route("/health/live", get(async || "live\n"));
        // When this future is dropped unfinished, its connections end, too.
        let _ends = (hall.closing.clone().drop_guard(), hall.closed.clone().drop_guard());
        hall.tasks.spawn(hall.clone().accept(listener, tls.subscribe(), app));
        shutdown.await;
        hall.closing.cancel();
        hall.tasks.close();
        let finished = tokio::time::timeout(hall.limits.shutdown, hall.tasks.wait()).await;
        if finished.is_err() {
            tracing::warn!(connections = hall.tasks.len(), "dropped at the end of the shutdown");
            hall.closed.cancel();
            hall.tasks.wait().await;
        }
    }
}

impl Hall {
    async fn accept(
        self,
        listener: TcpListener,
        tls: watch::Receiver<Option<TlsConfig>>,
        app: Router,
    ) {
        let places = Arc::new(Semaphore::new(self.limits.connections));
        let accepting = async {
            loop {
                // The semaphore is never closed.
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let acceptor = tls.borrow().clone().map(TlsAcceptor::from);
                        self.tasks.spawn(self.clone().greet(stream, acceptor, app.clone(), place));
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

    async fn greet(
        self,
        stream: TcpStream,
        tls: Option<TlsAcceptor>,
        app: Router,
        _place: OwnedSemaphorePermit,
    ) {
        // Answers are small and whole; waiting to gather more only delays them.
        let _ = stream.set_nodelay(true);
        let _counted = self.metrics.connection();
        let Some(acceptor) = tls else { return self.converse(stream, app).await };
        let handshake = tokio::time::timeout(self.limits.handshake, acceptor.accept(stream));
        match self.closing.run_until_cancelled(handshake).await {
            Some(Ok(Ok(stream))) => self.converse(stream, app).await,
            Some(Ok(Err(error))) => tracing::debug!(%error, "a TLS handshake failed"),
            Some(Err(_)) => tracing::debug!("a TLS handshake took too long"),
            None => {}
        }
    }

    async fn converse<S>(self, stream: S, app: Router)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|request: Request<Incoming>| {
            let answered = tokio::time::timeout(
                self.limits.request,
                app.clone().oneshot(request.map(Body::new)),
            );
            async {
                let answer: Response = match answered.await {
                    Ok(Ok(answer)) => answer,
                    Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "too slow\n").into_response(),
                };
                Ok::<_, Infallible>(answer)
            }
        });
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header)
            .max_buf_size(HEADER_SIZE);
        let mut connection =
            std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        let finished = tokio::select! {
            result = connection.as_mut() => Some(result),
            () = self.closing.cancelled() => None,
        };
        let result = match finished {
            Some(result) => result,
            None => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    result = connection.as_mut() => result,
                    () = self.closed.cancelled() => return,
                }
            }
        };
        if let Err(error) = result {
            tracing::debug!(%error, "a connection ended with an error");
        }
    }
}
