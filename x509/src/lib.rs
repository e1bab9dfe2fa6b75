//! Certificate requests, keys, certificates and revocation lists (RFC 5280, RFC 2986).
//!
//! Everything here is pure: no I/O, no clock and no randomness; bytes, times and serial numbers are
//! handed in, and the same input always gives the same bytes. That is what lets the authority
//! build a certificate again from its record after a crash and compare.
//!
//! * [`csr`]: what people send, parsed strictly, with a reason and a byte offset for every refusal;
//! * [`key`]: which public keys may be certified;
//! * [`pem`]: the textual encodings.

mod algorithm;
mod asn1;
pub mod csr;
pub mod key;
pub mod pem;

pub use algorithm::SigningAlgorithm;
pub use asn1::{DerFault, DerKind};
pub use csr::{Csr, CsrError};
pub use key::{Blocklist, KeyAlgorithm, KeyError, KeyRules, PublicKey};
