//! Certification paths of anybody's certificates: finding and validating them (RFC 5280
//! section 6).
//!
//! Pure: bytes and a time go in, a [`Report`] comes out. Nothing is fetched, no clock is read, and
//! hostile input costs bounded time and memory.
//!
//! ```
//! use avouch_path::{Certificate, Given, Options, Purpose, verify};
//! # fn main() -> Result<(), avouch_path::ParseError> {
//! let nonsense = Certificate::from_der(b"nonsense");
//! assert!(nonsense.is_err());
//! # let (leaf, untrusted, roots) = match nonsense { Ok(c) => (c, vec![], vec![]), _ => return Ok(()) };
//! let given = Given { roots: &roots, untrusted: &untrusted, ..Given::default() };
//! let report = verify(&leaf, &given, &Options::at(1_800_000_000));
//! assert_eq!(report.exit_code(), 0, "{report}");
//! # Ok(())
//! # }
//! ```
//!

mod asn1;
mod cert;
mod constraints;
mod crl;
mod dss;
mod examine;
mod extensions;
mod holder;
mod name;
mod ocsp;
mod oid;
mod options;
mod pem;
mod policy;
mod profile;
mod report;
mod revocation;
mod search;
mod sig;
mod strict;
mod time;
mod validate;
mod verdict;
mod work;

pub use asn1::{Oid, ParseError};
pub use cert::{Certificate, MAX_CERTIFICATE, key_usage};
pub use crl::{Crl, MAX_CRL, Revocation as CrlEntry};
pub use dss::DsaParameters;
pub use examine::{Unfit, examine, examine_crl};
pub use name::{GeneralName, Name};
pub use ocsp::{MAX_OCSP, NonceMatch, OcspResponse, ocsp_request};
pub use options::{Options, Purpose, Revocation};
pub use profile::Profile;
pub use report::{Check, Class, Failure, Outcome, PathEntry, Report};
pub use search::{Given, MAX_CERTIFICATES, verify, verify_knowing};
pub use sig::{
    Curve, MAX_RSA_BITS, MIN_DSA_BITS, MIN_OBSOLETE_RSA_BITS, MIN_RSA_BITS, PublicKey,
    SignatureError,
};
pub use time::rfc3339;
pub use work::Done;
