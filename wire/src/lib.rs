//! The formats that Avouch signs, logs, stores and sends.
//!
//! Everything here is pure: bytes in, types out, and back. A value of one of these types has been
//! parsed whole; nothing is checked "later". What is signed or logged is DER (X.690), decoded
//! strictly and only accepted when encoding it again gives the same bytes, so that one value has
//! one encoding and one hash. Frozen examples of each format are in `wire/vectors/`.
//!
//! * [`event`], [`body`], [`intent`], [`statement`], [`leaf`], [`genesis`], [`rules`]: what is signed and logged;
//! * [`waited`]: that a wait is over by others' clocks;
//! * [`head`], [`bundle`]: what is proven of an identity, and everything needed to check it offline;
//! * [`address`]: where notices go, sealed for the authority;
//! * [`trust`]: what a client knows out of band;
//! * [`request`], [`receipt`]: requests in files, and auditors' word that they were given one;
//! * [`problem`]: every refusal and failure a caller can meet, with its stable code;
//! * [`socket`], [`frame`]: what gateway and authority say to each other;
//! * [`rest`]: the JSON shapes of the HTTP API.

pub mod address;
pub mod body;
pub mod bundle;
mod codec;
pub mod event;
pub mod frame;
pub mod genesis;
pub mod head;
pub mod hsm;
mod ids;
pub mod intent;
pub mod leaf;
pub mod problem;
pub mod receipt;
pub mod request;
pub mod rest;
pub mod rules;
#[cfg(feature = "openapi")]
mod schema;
pub mod socket;
pub mod statement;
pub mod trust;
pub mod waited;
pub mod webauthn;

pub use codec::{Encoded, FormatError, octets};
pub use ids::{Hash32, IdError, IdempotencyKey, Realm, SerialNumber, UserId};
