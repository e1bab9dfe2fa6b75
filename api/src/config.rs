//! What a gateway is told at its start: raw options in, a checked configuration out.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use zeroize::Zeroizing;

use crate::tls;

/// Why options are not a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A PEM text that cannot be read, or holds nothing of the expected kind.
    #[error("{what}: {reason}")]
    Pem {
        /// Which text.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate and key cannot serve TLS together.
    #[error("the TLS certificate or key cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// The agents' CA cannot be used.
    #[error("the agents' CA certificate cannot be used: {0}")]
    Agents(#[from] rustls::server::VerifierBuilderError),
    /// The public URL is not an absolute http(s) URL.
    #[error("the public URL {found:?} is not of the form https://host[:port][/path]")]
    PublicUrl {
        /// What was given.
        found: String,
    },
    /// A limit out of its bounds.
    #[error("the limit {what} is {found}; {min} to {max} are allowed")]
    Limit {
        /// Which limit, with its unit.
        what: &'static str,
        /// Value given.
        found: u128,
        /// Least value.
        min: u128,
        /// Greatest value.
        max: u128,
    },
}

/// How many requests a caller may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests per second, in the long run.
    pub per_second: u32,
    /// Requests at once, after a rest.
    pub burst: u32,
}

/// Bounds on what callers can make the gateway hold or wait for.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Greatest length of a request body, in bytes.
    pub body: usize,
    /// Greatest number of connections at once, for each listener. More wait in the kernel.
    pub connections: usize,
    /// Greatest number of requests at once. More are answered `overloaded`.
    pub requests: usize,
    /// Requests of one address without a client certificate (of IPv6: of one /64 network). More
    /// are answered `too-many-requests`.
    pub anonymous_rate: Rate,
    /// Requests of one client certificate. One agent speaks for all users of a server.
    pub agent_rate: Rate,
    /// Greatest number of requests in flight to the authority; the authority may set less.
    pub in_flight: u32,
    /// Time for a TLS handshake.
    pub handshake: Duration,
    /// Time for a request's header; a kept HTTP/1.1 connection must begin its next request in it.
    pub header: Duration,
    /// Time after which a connection without requests is closed.
    pub idle: Duration,
    /// Time for a request from its header to its answer.
    pub request: Duration,
    /// Time that requests in flight get at shutdown.
    pub shutdown: Duration,
    /// Greatest pause between attempts to reach the authority.
    pub reconnect: Duration,
    /// Greatest age of a kept answer of the authority.
    pub cache_age: Duration,
    /// Greatest size of all kept CRLs, in bytes.
    pub cache_size: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 64 * 1024,
            connections: 4096,
            requests: 4096,
            anonymous_rate: Rate { per_second: 1_000, burst: 5_000 },
            agent_rate: Rate { per_second: 50_000, burst: 100_000 },
            in_flight: 2048,
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(30),
            idle: Duration::from_secs(120),
            request: Duration::from_secs(30),
            shutdown: Duration::from_secs(20),
            reconnect: Duration::from_millis(500),
            cache_age: Duration::from_secs(30),
            cache_size: 64 * 1024 * 1024,
        }
    }
}

/// What the operator gives; [`GatewayConfig::check`] makes a configuration of it.
#[derive(Debug, Clone)]
pub struct GatewayOptions {
    /// Where to listen for HTTPS; port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// Where to serve CRLs and issuing certificates, and nothing else, over plain HTTP (RFC 5280
    /// section 8: fetching a CRL over TLS may need that CRL).
    pub plain_listen: Option<SocketAddr>,
    /// The authority's socket for gateways.
    pub authority_socket: PathBuf,
    /// The server's certificate and its issuers, leaf first, PEM.
    pub certificate_chain: Vec<u8>,
    /// The server's private key, PEM.
    pub key: Zeroizing<Vec<u8>>,
    /// CA certificates of agents, PEM. A client certificate is never demanded; one that does not
    /// chain to these is refused in the handshake.
    pub agent_ca: Option<Vec<u8>>,
    /// The URL under which people reach this gateway, for type URIs of problems. Without it,
    /// `https://` and the bound address.
    pub public_url: Option<String>,
    /// Value of Strict-Transport-Security; `None` sends no such header.
    pub hsts: Option<Duration>,
    /// Bounds.
    pub limits: Limits,
}

impl GatewayOptions {
    /// Options with the default limits, no plain listener and no agents.
    #[must_use]
    pub fn new(
        listen: SocketAddr,
        authority_socket: impl Into<PathBuf>,
        certificate_chain: Vec<u8>,
        key: Vec<u8>,
    ) -> Self {
        Self {
            listen,
            plain_listen: None,
            authority_socket: authority_socket.into(),
            certificate_chain,
            key: Zeroizing::new(key),
            agent_ca: None,
            public_url: None,
            hsts: None,
            limits: Limits::default(),
        }
    }
}

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    pub(crate) listen: SocketAddr,
    pub(crate) plain_listen: Option<SocketAddr>,
    pub(crate) authority_socket: PathBuf,
    pub(crate) tls: Arc<rustls::ServerConfig>,
    pub(crate) public_url: Option<String>,
    pub(crate) hsts: Option<Duration>,
    pub(crate) limits: Limits,
}

impl GatewayConfig {
    /// Checks options: certificate and key are parsed and fit each other, limits are in bounds.
    ///
    /// # Errors
    /// Names the first option that cannot be used.
    pub fn check(options: GatewayOptions) -> Result<Self, ConfigError> {
        check_limits(&options.limits)?;
        let public_url = options.public_url.map(|url| check_url(&url)).transpose()?;
        let tls = tls::server_config(
            &options.certificate_chain,
            &options.key,
            options.agent_ca.as_deref(),
        )?;
        Ok(Self {
            listen: options.listen,
            plain_listen: options.plain_listen,
            authority_socket: options.authority_socket,
            tls: Arc::new(tls),
            public_url,
            hsts: options.hsts,
            limits: options.limits,
        })
    }
}

/// A URL without its trailing slash.
fn check_url(text: &str) -> Result<String, ConfigError> {
    let error = || ConfigError::PublicUrl { found: text.to_owned() };
    let uri: Uri = text.parse().map_err(|_| error())?;
    let absolute = matches!(uri.scheme_str(), Some("https" | "http")) && uri.host().is_some();
    if !absolute || uri.query().is_some() || text.contains('#') {
        return Err(error());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn check_limits(limits: &Limits) -> Result<(), ConfigError> {
    let bound = |what, found: u128, min: u128, max: u128| {
        if (min..=max).contains(&found) {
            Ok(())
        } else {
            Err(ConfigError::Limit { what, found, min, max })
        }
    };
    let time = |what, value: Duration, max: u64| {
        bound(what, value.as_millis(), 1, Duration::from_secs(max).as_millis())
    };
    // A body and what goes with it must fit into one frame of the socket.
    bound("body (bytes)", limits.body as u128, 1, wire::frame::MAX_REQUEST as u128 / 2)?;
    bound("connections", limits.connections as u128, 1, 1 << 20)?;
    bound("requests", limits.requests as u128, 1, 1 << 20)?;
    for (what, burst, rate) in [
        ("anonymous_rate (per second)", "anonymous_rate (burst)", limits.anonymous_rate),
        ("agent_rate (per second)", "agent_rate (burst)", limits.agent_rate),
    ] {
        bound(what, rate.per_second.into(), 1, 1_000_000)?;
        bound(burst, rate.burst.into(), 1, 10_000_000)?;
    }
    bound("in_flight", limits.in_flight.into(), 1, 1 << 20)?;
    time("handshake (ms)", limits.handshake, 300)?;
    time("header (ms)", limits.header, 300)?;
    time("idle (ms)", limits.idle, 86_400)?;
    time("request (ms)", limits.request, 600)?;
    time("shutdown (ms)", limits.shutdown, 600)?;
    time("reconnect (ms)", limits.reconnect, 600)?;
    time("cache_age (ms)", limits.cache_age, 3_600)?;
    bound("cache_size (bytes)", limits.cache_size as u128, 0, 1 << 40)
}

#[cfg(test)]
mod tests;
