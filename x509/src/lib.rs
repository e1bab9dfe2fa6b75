//! Certificate requests, keys, certificates and revocation lists (RFC 5280, RFC 2986).
//!
//! Everything here is pure: no I/O, no clock and no randomness; bytes, times and serial numbers are
//! handed in, and the same input always gives the same bytes. That is what lets the authority
//! build a certificate again from its record after a crash and compare.
//!
//! * [`csr`]: what people send, parsed strictly, with a reason and a byte offset for every refusal;
//! * [`key`]: which public keys may be certified;
//! * [`profile`], [`tbs`], [`lint`]: from an accepted key to bytes that may be signed, once;
//! * [`crl`]: revocation lists, the same way;
//! * [`certificate`], [`issuer`], [`pem`]: reading what exists.

mod algorithm;
mod asn1;
pub mod certificate;
pub mod crl;
pub mod csr;
mod ext;
pub mod issuer;
pub mod key;
pub mod lint;
mod name;
pub mod pem;
pub mod profile;
pub mod tbs;
mod time;

pub use algorithm::SigningAlgorithm;
pub use asn1::{DerFault, DerKind};
pub use certificate::{Certificate, CertificateError};
pub use crl::{Crl, CrlError, CrlParameters, CrlScope, LintedCrl, Reason, Revoked, TbsCrl};
pub use csr::{Csr, CsrError};
pub use issuer::{Issuer, IssuerError, SignatureError};
pub use key::{Blocklist, KeyAlgorithm, KeyError, KeyRules, PublicKey};
pub use lint::{AssembleError, LintError, Linted};
pub use name::{CaName, NameError};
pub use profile::{LeafParameters, LeafProfile, ProfileError, Purpose};
pub use tbs::{CaParameters, Leaf, Tbs, TbsError, issuing_tbs, leaf_tbs, root_tbs};
