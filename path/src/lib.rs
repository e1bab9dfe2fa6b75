//! Certification paths of anybody's certificates: finding and validating them (RFC 5280
//! section 6).
//!
//! Pure: bytes and a time go in, a [`Report`] comes out. Nothing is fetched, no clock is read, and
//! hostile input costs bounded time and memory.
//!
//! ```
//! use avouch_path::{Certificate, Options, Purpose, verify};
//! # fn main() -> Result<(), avouch_path::ParseError> {
//! let nonsense = Certificate::from_der(b"nonsense");
//! assert!(nonsense.is_err());
//! # let (leaf, untrusted, roots) = match nonsense { Ok(c) => (c, vec![], vec![]), _ => return Ok(()) };
//! let report = verify(&leaf, &untrusted, &roots, &[], &Options::at(1_800_000_000));
//! assert_eq!(report.exit_code(), 0, "{report}");
//! # Ok(())
//! # }
//! ```
//!
//! Not yet here: certificate policies (a critical policyConstraints or inhibitAnyPolicy is refused
//! as not processed), OCSP, DSA.

mod asn1;
mod cert;
mod constraints;
mod crl;
mod name;
mod oid;
mod pem;
mod report;
mod revocation;
mod search;
mod sig;
mod time;
mod validate;

pub use asn1::{Oid, ParseError};
pub use cert::{Certificate, MAX_CERTIFICATE, key_usage};
pub use crl::{Crl, MAX_CRL, Revocation as CrlEntry};
pub use name::{GeneralName, Name};
pub use report::{Check, Class, Failure, Outcome, PathEntry, Report};
pub use search::verify;
pub use sig::{Curve, MAX_RSA_BITS, MIN_RSA_BITS, PublicKey, SignatureError};
pub use time::rfc3339;
pub use validate::{Options, Purpose, Revocation};
