//! The authority: the only process that decides, records, logs and has certificates signed.
//!
//! * [`ceremony`] begins an installation; [`authority`] opens one and keeps it running;
//! * `issue.rs` shows the walk of a request on one screen; its steps are in `walk/`;
//! * [`notices`] tells people what happened to their identity;
//! * [`store`] is the contract for what is durable;
//! * [`server`] answers on the sockets, from the store only.

mod attestation;
pub mod audit;
pub mod authority;
mod catch_up;
pub mod ceremony;
mod certificates;
pub mod clock;
pub mod cosign;
mod crl;
pub mod custody;
mod effects;
#[cfg(test)]
mod fill;
mod heads;
mod issue;
pub mod metrics;
pub mod notices;
mod proofs;
mod queries;
mod random;
pub mod refill;
mod reopen;
mod search;
pub mod server;
pub mod store;
pub mod switch_token;
mod switches;
mod tail;
mod token;
mod validator;
mod waited;
mod walk;
