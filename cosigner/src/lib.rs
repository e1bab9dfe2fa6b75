//! Co-signers: parties other than the authority that put their word, with the time by their own
//! clock, under its checkpoints.
//!
//! What all of them share is here: the key's file ([`KeyFile`]), the folder in which a co-signer
//! remembers what it co-signed ([`Folder`]), the walk from a request to a co-signature ([`Desk`]),
//! and the server in front ([`Server`]). A *witness* ([`witness`]) asks no more than that the log
//! is one history (C2SP tlog-witness). An auditor looks into the entries, too, before it goes on
//! with the same walk:
//!
//! ```text
//! AddCheckpoint → Desk::turn → Turn::check → Step → Step::cosign → Cosigned
//!                 the log's     C2SP's        head    durable, then
//!                 lock          checks                the signature
//! ```
//!
//! [`Step`] holds the log's lock and is used up by co-signing: no two requests of one log overtake
//! each other, and nothing is signed that was not checked and made durable.

pub mod auditor;
mod desk;
mod durable;
mod folder;
mod key;
mod metrics;
mod server;
#[cfg(test)]
mod testlog;
mod time;
mod tls;
pub mod witness;

/// The routes of a server.
pub use axum::Router;
pub use desk::{CosignFailure, Cosigned, Desk, Served, Step, Turn};
pub use folder::{Folder, FolderError, Record};
pub use key::{KeyError, KeyFile};
pub use metrics::{Metrics, MetricsFormat};
pub use server::{Server, ServerError, ServerLimits, ServerOptions, TlsHandle};
pub use time::{Behind, Clock};
pub use tls::{TlsConfig, TlsError, server_config};
