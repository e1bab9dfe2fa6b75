//! A gateway, from its sockets to its end.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use http::HeaderValue;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::authority::Authority;
use crate::cache::{Cell, Shelf};
use crate::config::{ConfigError, GatewayConfig};
use crate::connections::Hall;
use crate::edge::Edge;
use crate::metrics::Metrics;
use crate::rate::Limiter;
use crate::routes::{self, App};
use crate::tls;

/// Why a gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// An address that cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// Replaces TLS certificate and key of a gateway. Cheap to clone; does not keep the gateway alive.
#[derive(Debug, Clone)]
pub struct TlsHandle(watch::Sender<Arc<rustls::ServerConfig>>);

impl TlsHandle {
    /// Connections made from now on meet this certificate; those there are stay as they are.
    /// Arguments as in [`crate::GatewayOptions`].
    ///
    /// # Errors
    /// When certificate and key cannot be used; then everything stays as it was.
    pub fn replace(
        &self,
        certificate_chain: &[u8],
        key: &[u8],
        agent_ca: Option<&[u8]>,
    ) -> Result<(), ConfigError> {
        let config = tls::server_config(certificate_chain, key, agent_ca)?;
        self.0.send_replace(Arc::new(config));
        Ok(())
    }
}

/// A gateway that listens, and has begun to connect to the authority, but serves nobody yet.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    listener: TcpListener,
    tls: watch::Sender<Arc<rustls::ServerConfig>>,
    app: Router,
    plain: Option<(SocketAddr, TcpListener, Router)>,
    hall: Hall,
    metrics: Metrics,
    authority: Arc<Authority>,
}

impl Gateway {
    /// Binds the configured addresses. From here on the kernel takes connections, which
    /// [`Gateway::serve`] answers. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When an address cannot be bound.
    pub async fn bind(config: GatewayConfig) -> Result<Self, GatewayError> {
        let listener = listen(config.listen).await?;
        Self::with_listener(config, listener).await
    }

    /// As [`Gateway::bind`], with a listener made elsewhere (handed down by a supervisor, say) in
    /// place of the configured `listen` address.
    ///
    /// # Errors
    /// When the listener has no address, or the plain one cannot be bound.
    pub async fn with_listener(
        config: GatewayConfig,
        listener: TcpListener,
    ) -> Result<Self, GatewayError> {
        let address = local(&listener, config.listen)?;
        let public_url = config.public_url.unwrap_or_else(|| format!("https://{address}"));
        let limits = config.limits;
        let metrics = Metrics::default();
        let authority = Authority::connect(config.authority_socket, &limits, metrics.clone());
        let authority = Arc::new(authority);
        let app = Arc::new(App {
            authority: Arc::clone(&authority),
            installation: Cell::default(),
            crls: Shelf::new(limits.cache_size),
            body_limit: limits.body,
            cache_age: limits.cache_age,
        });
        let requests = Arc::new(Semaphore::new(limits.requests));
        let rates = Arc::new(Limiter::new(limits.anonymous_rate, limits.agent_rate));
        let edge = |hsts: Option<HeaderValue>| {
            Arc::new(Edge {
                pages: format!("{public_url}/problems/"),
                deadline: limits.request,
                requests: Arc::clone(&requests),
                rates: Arc::clone(&rates),
                hsts,
                metrics: metrics.clone(),
            })
        };
        let hsts = config
            .hsts
            .and_then(|age| HeaderValue::from_str(&format!("max-age={}", age.as_secs())).ok());
        let plain = match config.plain_listen {
            None => None,
            Some(address) => {
                let listener = listen(address).await?;
                let address = local(&listener, address)?;
                // RFC 6797 section 7.2: the header is not sent over plain HTTP.
                Some((address, listener, routes::plain(Arc::clone(&app), edge(None))))
            }
        };
        Ok(Self {
            address,
            listener,
            tls: watch::Sender::new(config.tls),
            app: routes::all(app, edge(hsts)),
            plain,
            hall: Hall::new(limits.clone(), metrics.clone()),
            metrics,
            authority,
        })
    }

    /// The address of the HTTPS listener, with the port that the kernel chose.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the plain listener, where there is one.
    #[must_use]
    pub fn plain_address(&self) -> Option<SocketAddr> {
        self.plain.as_ref().map(|(address, ..)| *address)
    }

    /// What is counted and measured.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// A handle to replace the TLS certificate and key while the gateway serves.
    #[must_use]
    pub fn tls(&self) -> TlsHandle {
        TlsHandle(self.tls.clone())
    }

    /// Resolves when the authority has welcomed this gateway. Does not borrow the gateway, so that
    /// a supervisor can wait for it while the gateway serves.
    pub fn connected(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut connected = self.authority.connected();
        async move {
            // Fails when the gateway is gone; then there is nothing to wait for.
            let _ = connected.wait_for(|connected| *connected).await;
        }
    }

    /// Serves until `shutdown` resolves; then takes no more connections, lets requests in flight
    /// finish for as long as the limit `shutdown` allows, and returns.
    ///
    /// # Errors
    /// None at present; the type leaves room for a listener that fails for good.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), GatewayError> {
        let Self { listener, tls, app, plain, hall, authority, .. } = self;
        // When this future is dropped unfinished, its connections end, too.
        let _ends = (hall.closing.clone().drop_guard(), hall.closed.clone().drop_guard());
        hall.tasks.spawn(hall.clone().accept(listener, Some(tls.subscribe()), app));
        if let Some((_, listener, app)) = plain {
            hall.tasks.spawn(hall.clone().accept(listener, None, app));
        }
        shutdown.await;
        hall.closing.cancel();
        hall.tasks.close();
        let finished = tokio::time::timeout(hall.limits.shutdown, hall.tasks.wait()).await;
        if finished.is_err() {
            tracing::warn!(connections = hall.tasks.len(), "dropped at the end of the shutdown");
            hall.closed.cancel();
            hall.tasks.wait().await;
        }
        drop(authority);
        Ok(())
    }
}

/// [`Gateway::bind`] and [`Gateway::serve`] in one.
///
/// # Errors
/// As those.
pub async fn serve(
    config: GatewayConfig,
    shutdown: impl Future<Output = ()>,
) -> Result<(), GatewayError> {
    Gateway::bind(config).await?.serve(shutdown).await
}

async fn listen(address: SocketAddr) -> Result<TcpListener, GatewayError> {
    TcpListener::bind(address).await.map_err(|source| GatewayError::Bind { address, source })
}

fn local(listener: &TcpListener, address: SocketAddr) -> Result<SocketAddr, GatewayError> {
    listener.local_addr().map_err(|source| GatewayError::Bind { address, source })
}
