//! Revocation lists, read: whoever issued them.

use std::fmt;

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5280 as oids;
use der::{Decode as _, Encode as _};
use x509_cert::crl::CertificateList;
use x509_cert::ext::pkix::crl::dp::IssuingDistributionPoint;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, CrlNumber, CrlReason};
use x509_cert::ext::{Extension, Extensions};

use super::Reason;
use crate::certificate::{distribution_urls, first_inside};
use crate::ext::ISSUING_DISTRIBUTION_POINT;
use crate::issuer::Issuer;
use crate::pem::{self, PemError};

/// Greatest length of a revocation list, in bytes.
pub const MAX_CRL: usize = 64 * 1024 * 1024;

/// Why bytes are not a revocation list that can be read, or that can be relied on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrlReadError {
    /// Longer than accepted.
    #[error("the CRL has {len} bytes; at most {limit} are accepted")]
    Oversize {
        /// Its length in bytes.
        len: usize,
        /// Greatest length accepted.
        limit: usize,
    },
    /// Not DER, or not a CRL.
    #[error("the CRL is not valid DER at byte {offset}: {reason}")]
    Der {
        /// Byte offset of the fault.
        offset: u64,
        /// What the decoder objected to.
        reason: String,
    },
    /// A list of revoked certificates that is there and empty (RFC 5280 section 5.1.2.6).
    #[error("the CRL has an empty list of revoked certificates (RFC 5280 section 5.1.2.6)")]
    EmptyList,
    /// An extension that is malformed, there twice, or critical and unknown (RFC 5280 section 5.2).
    #[error("the CRL's extension {oid}: {reason}")]
    Extension {
        /// Its OID.
        oid: ObjectIdentifier,
        /// What is wrong with it.
        reason: String,
    },
    /// Malformed PEM, or PEM of something else.
    #[error(transparent)]
    Pem(#[from] PemError),
}

impl From<der::Error> for CrlReadError {
    fn from(error: der::Error) -> Self {
        let offset = error.position().map_or(0, |position| u64::from(u32::from(position)));
        Self::Der { offset, reason: error.kind().to_string() }
    }
}

struct Entry {
    serial: Box<[u8]>,
    at: u64,
    reason: Option<Reason>,
}

/// A parsed revocation list, sorted by serial number. Parsing validates nothing.
pub struct Crl {
    der: Vec<u8>,
    issuer: Vec<u8>,
    this_update: u64,
    next_update: Option<u64>,
    number: Option<u128>,
    aki: Option<Vec<u8>>,
    point: Option<IssuingDistributionPoint>,
    url: Option<String>,
    entries: Vec<Entry>,
    signature: (Vec<u8>, Vec<u8>),
}

impl Crl {
    /// Parses one DER CertificateList, complete or sharded; delta lists are refused, since their
    /// critical extension is.
    ///
    /// # Errors
    /// See [`CrlReadError`].
    pub fn parse(der: &[u8]) -> Result<Self, CrlReadError> {
        if der.len() > MAX_CRL {
            return Err(CrlReadError::Oversize { len: der.len(), limit: MAX_CRL });
        }
        let list = CertificateList::<x509_cert::certificate::Rfc5280>::from_der(der)?;
        let signature = (list.signature_algorithm.to_der()?, list.signature.raw_bytes().to_vec());
        let tbs = list.tbs_cert_list;
        let extensions = Known::read(tbs.crl_extensions.unwrap_or_default())?;
        if tbs.revoked_certificates.as_ref().is_some_and(Vec::is_empty) {
            return Err(CrlReadError::EmptyList);
        }
        let mut entries = Vec::new();
        for revoked in tbs.revoked_certificates.unwrap_or_default() {
            entries.push(Entry {
                serial: revoked.serial_number.as_bytes().into(),
                at: revoked.revocation_date.to_unix_duration().as_secs(),
                reason: reason(revoked.crl_entry_extensions.as_ref())?,
            });
        }
        entries.sort_unstable_by(|a, b| a.serial.cmp(&b.serial));
        let name = extensions.point.as_ref().and_then(|point| point.distribution_point.as_ref());
        Ok(Self {
            der: der.to_vec(),
            issuer: tbs.issuer.to_der()?,
            this_update: tbs.this_update.to_unix_duration().as_secs(),
            next_update: tbs.next_update.map(|time| time.to_unix_duration().as_secs()),
            number: extensions.number,
            aki: extensions.aki,
            url: name.and_then(|name| distribution_urls(name).into_iter().next()),
            point: extensions.point,
            entries,
            signature,
        })
    }

    /// Parses one list from PEM or DER.
    ///
    /// # Errors
    /// See [`CrlReadError`].
    pub fn parse_any(input: &[u8]) -> Result<Self, CrlReadError> {
        if pem::is_pem(input) {
            Self::parse(&pem::decode_one(input, &[pem::CRL])?)
        } else {
            Self::parse(input)
        }
    }

    /// The DER CertificateList.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The bytes that are signed.
    #[must_use]
    pub fn tbs_der(&self) -> &[u8] {
        first_inside(&self.der)
    }

    /// Whether `issuer` made this list: name, key identifier where there is one, algorithm and
    /// signature. Says nothing about freshness.
    #[must_use]
    pub fn is_signed_by(&self, issuer: &Issuer) -> bool {
        self.issuer == issuer.subject_der()
            && self.aki().is_none_or(|aki| aki == issuer.ski())
            && self.signature.0 == issuer.algorithm().identifier_der()
            && issuer.algorithm().verification().verify(
                issuer.key(),
                self.tbs_der(),
                &self.signature.1,
            )
    }

    /// The issuer's DER Name.
    #[must_use]
    pub fn issuer_der(&self) -> &[u8] {
        &self.issuer
    }

    /// When it was made, in seconds since 1970.
    #[must_use]
    pub fn this_update(&self) -> u64 {
        self.this_update
    }

    /// By when the next is made, in seconds since 1970.
    #[must_use]
    pub fn next_update(&self) -> Option<u64> {
        self.next_update
    }

    /// Its number; `None` where there is none, or none below 2^128.
    #[must_use]
    pub fn number(&self) -> Option<u128> {
        self.number
    }

    /// The authority key identifier.
    #[must_use]
    pub fn aki(&self) -> Option<&[u8]> {
        self.aki.as_deref()
    }

    /// The first URL of the issuing distribution point.
    #[must_use]
    pub fn distribution_point(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Whether it speaks for people's certificates only.
    #[must_use]
    pub fn only_user_certificates(&self) -> bool {
        self.point.as_ref().is_some_and(|point| point.only_contains_user_certs)
    }

    /// Whether it speaks for authorities' certificates only.
    #[must_use]
    pub fn only_ca_certificates(&self) -> bool {
        self.point.as_ref().is_some_and(|point| point.only_contains_ca_certs)
    }

    /// The issuing distribution point as decoded, for what has no accessor here.
    #[must_use]
    pub fn issuing_distribution_point(&self) -> Option<&IssuingDistributionPoint> {
        self.point.as_ref()
    }

    /// Number of revoked certificates.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is revoked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every entry, by serial number: the number's octets, when, and why; an unknown reason is
    /// `None`.
    pub fn entries(&self) -> impl Iterator<Item = (&[u8], u64, Option<Reason>)> {
        self.entries.iter().map(|entry| (&*entry.serial, entry.at, entry.reason))
    }

    /// Whether the certificate with this serial number (octets as in [`crate::Certificate::serial`])
    /// is revoked: when, and why; an unknown reason is `None`.
    #[must_use]
    pub fn find(&self, serial: &[u8]) -> Option<(u64, Option<Reason>)> {
        let index =
            self.entries.binary_search_by(|entry| entry.serial.as_ref().cmp(serial)).ok()?;
        Some((self.entries[index].at, self.entries[index].reason))
    }
}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crl")
            .field("issuer", &hex::encode(&self.issuer))
            .field("this_update", &self.this_update)
            .field("next_update", &self.next_update)
            .field("number", &self.number)
            .field("url", &self.url)
            .field("entries", &self.entries.len())
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Known {
    aki: Option<Vec<u8>>,
    number: Option<u128>,
    point: Option<IssuingDistributionPoint>,
}

impl Known {
    fn read(extensions: Extensions) -> Result<Self, CrlReadError> {
        let mut known = Self::default();
        for (index, extension) in extensions.iter().enumerate() {
            let oid = extension.extn_id;
            if extensions[..index].iter().any(|before| before.extn_id == oid) {
                return Err(CrlReadError::Extension { oid, reason: "it is there twice".into() });
            }
            match oid {
                oids::ID_CE_AUTHORITY_KEY_IDENTIFIER => {
                    let aki = decode::<AuthorityKeyIdentifier>(extension)?;
                    known.aki = aki.key_identifier.map(|id| id.as_bytes().to_vec());
                }
                oids::ID_CE_CRL_NUMBER => {
                    let number = decode::<CrlNumber>(extension)?;
                    let octets = number.0.as_bytes();
                    known.number = (octets.len() <= 16)
                        .then(|| octets.iter().fold(0, |sum, octet| sum << 8 | u128::from(*octet)));
                }
                ISSUING_DISTRIBUTION_POINT => known.point = Some(decode(extension)?),
                oid if extension.critical => {
                    let reason = "it is critical and not known here".into();
                    return Err(CrlReadError::Extension { oid, reason });
                }
                _ => {}
            }
        }
        Ok(known)
    }
}

fn reason(extensions: Option<&Extensions>) -> Result<Option<Reason>, CrlReadError> {
    let mut reason = Some(Reason::Unspecified);
    for extension in extensions.into_iter().flatten() {
        match extension.extn_id {
            oids::ID_CE_CRL_REASONS => {
                reason = Reason::from_code(decode::<CrlReason>(extension)? as u8);
            }
            oid if extension.critical => {
                let reason = "it is critical, in an entry, and not known here".into();
                return Err(CrlReadError::Extension { oid, reason });
            }
            _ => {}
        }
    }
    Ok(reason)
}

fn decode<'a, T: der::Decode<'a, Error = der::Error>>(
    extension: &'a Extension,
) -> Result<T, CrlReadError> {
    T::from_der(extension.extn_value.as_bytes()).map_err(|error| CrlReadError::Extension {
        oid: extension.extn_id,
        reason: error.kind().to_string(),
    })
}
