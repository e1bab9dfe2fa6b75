//! The gateway: HTTPS in front of the authority's socket.
//!
//! It holds no database, no PIN and no PKCS#11 module, and its word is evidence of nothing: it
//! checks the form of what comes in, passes it to the authority as it came, and puts the answer
//! into HTTP. What it may keep for a while (issuing certificates, CRLs) is signed by somebody else.
//!
//! A request's walk: [`server`](Gateway) accepts and does the TLS handshake, `edge` gives it an id
//! and a deadline, a handler in `routes` parses it whole, `authority` carries it over the socket,
//! and `problem` is the one place where a refusal becomes an HTTP answer.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let options = avouch_api::GatewayOptions::new(
//!     "127.0.0.1:8443".parse()?,
//!     "/run/avouch/gateway.sock",
//!     std::fs::read("tls.pem")?,
//!     std::fs::read("tls.key")?,
//! );
//! let gateway = avouch_api::Gateway::bind(avouch_api::GatewayConfig::check(options)?).await?;
//! println!("ready https://{}", gateway.address());
//! gateway.serve(async { let _ = tokio::signal::ctrl_c().await; }).await?;
//! # Ok(()) }
//! ```

mod authority;
mod cache;
mod config;
mod connections;
mod edge;
mod input;
mod metrics;
mod negotiate;
mod openapi;
mod problem;
mod rate;
mod remains;
mod routes;
mod server;
mod tls;

pub use config::{ConfigError, GatewayConfig, GatewayOptions, Limits, Rate};
pub use metrics::{Metrics, MetricsFormat};
pub use server::{Gateway, GatewayError, TlsHandle, serve};
