//! Certificates before they are signed.

use wire::intent::Name;
use wire::{SerialNumber, UserId};

use crate::algorithm::SigningAlgorithm;
use crate::asn1;
use crate::ext;
use crate::issuer::Issuer;
use crate::key::{KeyError, KeyRules, PublicKey};
use crate::name::{self, CaName};
use crate::profile::{self, LeafProfile, ProfileError};
use crate::time;

/// Why a certificate cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TbsError {
    /// The issuer's own certificate ends before the new one would begin to be of use.
    #[error(
        "the issuer's certificate is valid until {issuer_not_after}; it is {now} (seconds since 1970)"
    )]
    IssuerExpired {
        /// Last second of the issuer's validity, since 1970.
        issuer_not_after: u64,
        /// Now, in seconds since 1970.
        now: u64,
    },
    /// A validity that ends before it starts, or outside of what certificates can say.
    #[error("not a validity: {not_before} to {not_after} (seconds since 1970)")]
    Validity {
        /// First second, since 1970.
        not_before: u64,
        /// Last second, since 1970.
        not_after: u64,
    },
    /// A serial number that is not 16 octets of a positive number.
    #[error("the first octet of a 16-octet serial number must be 0x01 to 0x7f, not 0x{first:02x}")]
    Serial {
        /// The first octet.
        first: u8,
    },
    /// The key of a certificate authority is not acceptable.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A URL that certificates cannot carry.
    #[error(transparent)]
    Url(#[from] ProfileError),
}

/// The bytes of a TBSCertificate (RFC 5280 section 4.1.2), not yet linted. Can be neither copied
/// nor signed: [`crate::lint`] takes it and gives what can.
#[derive(Debug, PartialEq, Eq)]
pub struct Tbs(Vec<u8>);

impl Tbs {
    /// Takes recorded bytes. They prove nothing until they are linted again.
    #[must_use]
    pub fn from_recorded(der: Vec<u8>) -> Self {
        Self(der)
    }

    /// The bytes.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn into_der(self) -> Vec<u8> {
        self.0
    }
}

/// What differs from one person's certificate to the next.
#[derive(Debug, Clone, Copy)]
pub struct Leaf<'a> {
    /// The key to certify.
    pub key: &'a PublicKey,
    /// Whose it is.
    pub uid: &'a UserId,
    /// Names besides the id: e-mail addresses and UPNs.
    pub names: &'a [Name],
    /// The certificate's serial number.
    pub serial: SerialNumber,
    /// The time that validity counts from, in seconds since 1970.
    pub now: u64,
}

/// Makes a person's certificate. The same input gives the same bytes.
///
/// # Errors
/// See [`TbsError`].
pub fn leaf_tbs(profile: &LeafProfile, issuer: &Issuer, leaf: &Leaf<'_>) -> Result<Tbs, TbsError> {
    let Leaf { key, uid, names, serial, now } = *leaf;
    let (not_before, not_after) = profile.validity(issuer, now);
    if not_after <= now {
        return Err(TbsError::IssuerExpired { issuer_not_after: issuer.not_after(), now });
    }
    let mut extensions = vec![
        ext::authority_key_identifier(issuer.ski()),
        ext::subject_key_identifier(&key.key_id()),
        ext::basic_constraints_leaf(),
        ext::key_usage(profile::leaf_key_usage(key.algorithm())),
        ext::extended_key_usage(&profile.purposes()),
        ext::subject_alt_names(&profile.identity_uri(uid), names),
        ext::crl_distribution_point(&profile.crl_url(issuer, profile.shard(serial))),
    ];
    extensions.extend(profile.ca_issuers_url(issuer).map(|url| ext::ca_issuers(&url)));
    tbs(&Parts {
        serial: serial.as_bytes(),
        algorithm: issuer.algorithm(),
        issuer: issuer.subject_der(),
        not_before,
        not_after,
        subject: &name::common_name_only(uid.as_str()),
        spki: key.spki_der(),
        extensions: &extensions,
    })
}

/// What an authority's certificate says beside names and keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaParameters {
    /// The serial number; its first octet is 0x01 to 0x7f.
    pub serial: [u8; 16],
    /// First second of validity, since 1970.
    pub not_before: u64,
    /// Last second of validity, since 1970.
    pub not_after: u64,
    /// URL of the issuer's revocation list; not for roots.
    pub crl_url: Option<String>,
    /// URL of the issuer's certificate in DER; not for roots.
    pub ca_issuers_url: Option<String>,
}

/// Makes a root's certificate, which `root` (see [`Issuer::for_root`]) is to sign itself.
///
/// # Errors
/// See [`TbsError`].
pub fn root_tbs(root: &Issuer, parameters: &CaParameters) -> Result<Tbs, TbsError> {
    // No authority key identifier: RFC 5280 section 4.2.1.1 lets self-signed certificates omit it.
    let extensions = [
        ext::subject_key_identifier(root.ski()),
        ext::basic_constraints_ca(None),
        ext::key_usage(ext::KEY_CERT_SIGN | ext::CRL_SIGN),
    ];
    ca_tbs(root, root.subject_der(), root.key(), parameters, &extensions)
}

/// Makes the certificate of an issuing authority below `root`: path length 0, so that it certifies
/// people and no further authorities.
///
/// # Errors
/// See [`TbsError`].
pub fn issuing_tbs(
    root: &Issuer,
    subject: &CaName,
    spki_der: &[u8],
    parameters: &CaParameters,
) -> Result<Tbs, TbsError> {
    let key = PublicKey::parse(spki_der, &KeyRules::authority())?;
    let mut extensions = vec![
        ext::authority_key_identifier(root.ski()),
        ext::subject_key_identifier(&key.key_id()),
        ext::basic_constraints_ca(Some(0)),
        ext::key_usage(ext::KEY_CERT_SIGN | ext::CRL_SIGN),
    ];
    if let Some(url) = &parameters.crl_url {
        profile::url("the URL of the root's revocation list", url, &[])?;
        extensions.push(ext::crl_distribution_point(url));
    }
    if let Some(url) = &parameters.ca_issuers_url {
        profile::url("the URL of the root's certificate", url, &[])?;
        extensions.push(ext::ca_issuers(url));
    }
    if parameters.not_after > root.not_after() || parameters.not_before < root.not_before() {
        let CaParameters { not_before, not_after, .. } = *parameters;
        return Err(TbsError::Validity { not_before, not_after });
    }
    ca_tbs(root, &subject.to_der(), &key, parameters, &extensions)
}

fn ca_tbs(
    issuer: &Issuer,
    subject: &[u8],
    key: &PublicKey,
    parameters: &CaParameters,
    extensions: &[Vec<u8>],
) -> Result<Tbs, TbsError> {
    let first = parameters.serial[0];
    if !(0x01..=0x7f).contains(&first) {
        return Err(TbsError::Serial { first });
    }
    tbs(&Parts {
        serial: &parameters.serial,
        algorithm: issuer.algorithm(),
        issuer: issuer.subject_der(),
        not_before: parameters.not_before,
        not_after: parameters.not_after,
        subject,
        spki: key.spki_der(),
        extensions,
    })
}

struct Parts<'a> {
    serial: &'a [u8],
    algorithm: SigningAlgorithm,
    issuer: &'a [u8],
    not_before: u64,
    not_after: u64,
    subject: &'a [u8],
    spki: &'a [u8],
    extensions: &'a [Vec<u8>],
}

fn tbs(parts: &Parts<'_>) -> Result<Tbs, TbsError> {
    let Parts { not_before, not_after, .. } = *parts;
    let times = (time::encode(not_before), time::encode(not_after));
    let (Some(from), Some(until)) = times else {
        return Err(TbsError::Validity { not_before, not_after });
    };
    if not_before >= not_after {
        return Err(TbsError::Validity { not_before, not_after });
    }
    Ok(Tbs(asn1::sequence(&[
        // version [0] EXPLICIT v3(2)
        asn1::tlv(asn1::context_constructed(0), &[asn1::unsigned(&[2])]).as_slice(),
        &asn1::unsigned(parts.serial),
        &parts.algorithm.identifier_der(),
        parts.issuer,
        &asn1::sequence(&[from, until]),
        parts.subject,
        parts.spki,
        &asn1::tlv(asn1::context_constructed(3), &[asn1::sequence(parts.extensions)]),
    ])))
}
