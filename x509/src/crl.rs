//! Revocation lists (RFC 5280 section 5): built, linted, signed; and read.

mod read;

use crate::asn1;
use crate::ext;
use crate::issuer::{Issuer, SignatureError};
use crate::lint::LintError;
use crate::profile::{self, ProfileError};
use crate::time;

pub use self::read::{Crl, CrlReadError, MAX_CRL};

/// Why a certificate was revoked (RFC 5280 section 5.3.1), as far as it applies to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No reason given; nothing is written.
    Unspecified,
    /// The private key is in other hands.
    KeyCompromise,
    /// The authority's key is in other hands.
    CaCompromise,
    /// The name no longer applies.
    AffiliationChanged,
    /// Another certificate took its place.
    Superseded,
    /// The identity is no longer used.
    CessationOfOperation,
    /// Suspended; may come back.
    CertificateHold,
    /// The holder lost the right to it.
    PrivilegeWithdrawn,
}

impl Reason {
    /// The CRLReason code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::CaCompromise => 2,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::CertificateHold => 6,
            Self::PrivilegeWithdrawn => 9,
        }
    }

    /// The reason of a CRLReason code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Unspecified,
            1 => Self::KeyCompromise,
            2 => Self::CaCompromise,
            3 => Self::AffiliationChanged,
            4 => Self::Superseded,
            5 => Self::CessationOfOperation,
            6 => Self::CertificateHold,
            9 => Self::PrivilegeWithdrawn,
            _ => return None,
        })
    }
}

/// One revoked certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// Its serial number: 16 octets, the first 0x01 to 0x7f.
    pub serial: [u8; 16],
    /// When it was revoked, in seconds since 1970.
    pub at: u64,
    /// Why.
    pub reason: Reason,
}

/// Which certificates a list speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CrlScope {
    /// All of the issuer's certificates; no issuing distribution point. A root's list is one of
    /// these: some readers look up the root itself, which has no distribution point to match.
    Everything,
    /// People's certificates whose distribution point is this URL: one shard.
    UserCertificates {
        /// The URL, as it stands in the certificates.
        url: String,
    },
}

/// The content of a revocation list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrlParameters {
    /// When it is made, in seconds since 1970.
    pub this_update: u64,
    /// By when the next is made, in seconds since 1970.
    pub next_update: u64,
    /// Its number, which only ever grows for one issuer and scope.
    pub number: u64,
    /// What it speaks for.
    pub scope: CrlScope,
    /// What is revoked, in any order.
    pub revoked: Vec<Revoked>,
}

/// Why a revocation list cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    /// Times that are not in order, or outside of what lists can say.
    #[error("not the times of a list: from {this_update} to {next_update} (seconds since 1970)")]
    Times {
        /// When it is made.
        this_update: u64,
        /// By when the next is made.
        next_update: u64,
    },
    /// A certificate revoked after the list was made, or at no time that can be written.
    #[error("{serial} was revoked at {at}, after the list was made at {this_update}")]
    RevokedLater {
        /// The serial number, in hexadecimal.
        serial: String,
        /// When it was revoked, in seconds since 1970.
        at: u64,
        /// When the list is made, in seconds since 1970.
        this_update: u64,
    },
    /// The same certificate twice.
    #[error("{serial} is listed twice")]
    Twice {
        /// The serial number, in hexadecimal.
        serial: String,
    },
    /// A serial number that is not 16 octets of a positive number.
    #[error("{serial} is not a serial number of this authority")]
    Serial {
        /// The serial number, in hexadecimal.
        serial: String,
    },
    /// A URL that lists cannot carry.
    #[error(transparent)]
    Url(#[from] ProfileError),
}

/// The bytes of a TBSCertList (RFC 5280 section 5.1.2), not yet linted.
#[derive(Debug, PartialEq, Eq)]
pub struct TbsCrl {
    der: Vec<u8>,
    parameters: CrlParameters,
}

/// Makes a revocation list. The same input gives the same bytes, whatever the order of entries.
///
/// # Errors
/// See [`CrlError`].
pub fn tbs(issuer: &Issuer, mut parameters: CrlParameters) -> Result<TbsCrl, CrlError> {
    let CrlParameters { this_update, next_update, number, .. } = parameters;
    let times = (time::encode(this_update), time::encode(next_update));
    let (Some(this), Some(next)) = times else {
        return Err(CrlError::Times { this_update, next_update });
    };
    if this_update >= next_update {
        return Err(CrlError::Times { this_update, next_update });
    }
    parameters.revoked.sort_unstable_by_key(|revoked| revoked.serial);
    let mut entries = Vec::with_capacity(parameters.revoked.len());
    let mut before: Option<[u8; 16]> = None;
    for revoked in &parameters.revoked {
        if before.replace(revoked.serial) == Some(revoked.serial) {
            return Err(CrlError::Twice { serial: hex::encode(revoked.serial) });
        }
        entries.push(entry(revoked, this_update)?);
    }

    let mut extensions = vec![ext::authority_key_identifier(issuer.ski()), ext::crl_number(number)];
    match &parameters.scope {
        CrlScope::Everything => {}
        CrlScope::UserCertificates { url } => {
            profile::url("the URL of the revocation list", url, &[])?;
            extensions.push(ext::issuing_distribution_point(url));
        }
    }

    let mut parts = vec![
        asn1::unsigned(&[1]), // v2
        issuer.algorithm().identifier_der(),
        issuer.subject_der().to_vec(),
        this,
        next,
    ];
    // Section 5.1.2.6: when nothing is revoked, the list is absent, not empty.
    if !entries.is_empty() {
        parts.push(asn1::sequence(&entries));
    }
    parts.push(asn1::tlv(asn1::context_constructed(0), &[asn1::sequence(&extensions)]));
    Ok(TbsCrl { der: asn1::sequence(&parts), parameters })
}

fn entry(revoked: &Revoked, this_update: u64) -> Result<Vec<u8>, CrlError> {
    let serial = || hex::encode(revoked.serial);
    if !(0x01..=0x7f).contains(&revoked.serial[0]) {
        return Err(CrlError::Serial { serial: serial() });
    }
    let later = || CrlError::RevokedLater { serial: serial(), at: revoked.at, this_update };
    if revoked.at > this_update {
        return Err(later());
    }
    let mut parts =
        vec![asn1::unsigned(&revoked.serial), time::encode(revoked.at).ok_or_else(later)?];
    // Section 5.3.1: unspecified is said by leaving the extension out.
    if revoked.reason != Reason::Unspecified {
        parts.push(asn1::sequence(&[ext::reason_code(revoked.reason.code())]));
    }
    Ok(asn1::sequence(&parts))
}

impl TbsCrl {
    /// The bytes.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Reads the bytes back through another decoder and compares with what was asked for.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn lint(self, issuer: &Issuer) -> Result<LintedCrl, LintError> {
        let algorithm = issuer.algorithm().identifier_der();
        let whole = asn1::sequence(&[self.der.as_slice(), &algorithm, &asn1::bit_string(&[])]);
        let fault = |rule, section, expected: String, found: String| {
            Err(LintError { rule, section, expected, found })
        };
        let crl = match Crl::parse(&whole) {
            Ok(crl) => crl,
            Err(error) => return fault("encoding", "5.1", "a CRL".into(), error.to_string()),
        };
        let p = &self.parameters;
        let (url, users) = match &p.scope {
            CrlScope::Everything => (None, false),
            CrlScope::UserCertificates { url } => (Some(url.as_str()), true),
        };
        let checks = [
            ("issuer", "5.1.2.3", crl.issuer_der() == issuer.subject_der()),
            ("thisUpdate", "5.1.2.4", crl.this_update() == p.this_update),
            ("nextUpdate", "5.1.2.5", crl.next_update() == Some(p.next_update)),
            ("authorityKeyIdentifier", "5.2.1", crl.aki() == Some(issuer.ski())),
            ("cRLNumber", "5.2.3", crl.number() == Some(u128::from(p.number))),
            ("issuingDistributionPoint", "5.2.5", crl.distribution_point() == url),
            ("onlyContainsUserCerts", "5.2.5", crl.only_user_certificates() == users),
            ("onlyContainsCACerts", "5.2.5", !crl.only_ca_certificates()),
            ("number of entries", "5.1.2.6", crl.len() == p.revoked.len()),
            (
                "entries",
                "5.1.2.6",
                p.revoked.iter().all(|r| crl.find(&r.serial) == Some((r.at, Some(r.reason)))),
            ),
        ];
        match checks.iter().find(|(_, _, holds)| !holds) {
            Some((rule, section, _)) => {
                fault(rule, section, format!("{p:?} by {}", issuer.id()), format!("{crl:?}"))
            }
            None => Ok(LintedCrl { tbs: self.der, issuer: issuer.clone() }),
        }
    }
}

/// A revocation list that passed the lint and may be signed, once.
#[derive(Debug)]
pub struct LintedCrl {
    tbs: Vec<u8>,
    issuer: Issuer,
}

impl LintedCrl {
    /// The bytes to sign.
    #[must_use]
    pub fn tbs_der(&self) -> &[u8] {
        &self.tbs
    }

    /// Adds the issuer's signature, raw as PKCS #11 gives it, and returns the DER CertificateList.
    /// The signature is verified with the issuer's key first.
    ///
    /// # Errors
    /// Refuses a signature that is not the issuer's.
    pub fn assemble(self, raw_signature: &[u8]) -> Result<Vec<u8>, SignatureError> {
        self.issuer.assemble(&self.tbs, raw_signature)
    }
}

#[cfg(test)]
mod tests;
