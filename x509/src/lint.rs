//! The last look at a certificate before it is signed.
//!
//! The bytes are decoded by another library than the one that wrote them, and everything that
//! RFC 5280 and the profile ask for is compared with what was asked for. What passes becomes a
//! [`Linted`], which can be signed once.

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5280 as oids;
use der::Encode as _;
use wire::SerialNumber;
use wire::intent::NameKind;
use x509_cert::Certificate as Decoded;
use x509_cert::certificate::Version;
use x509_cert::ext::pkix::{
    AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, BasicConstraints, CrlDistributionPoints,
    ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::time::Time;

use crate::asn1;
use crate::certificate::{Certificate, CertificateError};
use crate::issuer::{Issuer, SignatureError};
use crate::key::{KeyAlgorithm, KeyRules, PublicKey};
use crate::name;
use crate::profile::LeafProfile;
use crate::tbs::{Leaf, Tbs};

/// A rule that a certificate about to be signed breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("lint: {rule} (RFC 5280 section {section}): expected {expected}, found {found}")]
pub struct LintError {
    /// What is at fault.
    pub rule: &'static str,
    /// The section of RFC 5280.
    pub section: &'static str,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

/// A certificate that passed the lint and may be signed, once: it can be made only here, cannot be
/// copied, and [`Linted::assemble`] consumes it.
#[derive(Debug)]
pub struct Linted {
    tbs: Vec<u8>,
    issuer: Issuer,
}

/// Why a signed certificate is not given out.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// The signature is not the issuer's.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The result cannot be read back.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

impl Linted {
    /// The bytes to sign.
    #[must_use]
    pub fn tbs_der(&self) -> &[u8] {
        &self.tbs
    }

    /// Adds the issuer's signature: raw as PKCS #11 gives it (r ‖ s of fixed width for ECDSA, the
    /// signature itself for RSA). It is verified with the issuer's key first.
    ///
    /// # Errors
    /// See [`AssembleError`].
    pub fn assemble(self, raw_signature: &[u8]) -> Result<Certificate, AssembleError> {
        Ok(Certificate::parse(&self.assemble_der(raw_signature)?)?)
    }

    /// As [`Linted::assemble`], without reading the result back: the lint has read the same bytes
    /// as a certificate already, and the signature is verified here.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn assemble_der(self, raw_signature: &[u8]) -> Result<Vec<u8>, SignatureError> {
        self.issuer.assemble(&self.tbs, raw_signature)
    }
}

/// Lints a person's certificate.
///
/// # Errors
/// The first [`LintError`].
pub fn leaf(
    tbs: Tbs,
    profile: &LeafProfile,
    issuer: &Issuer,
    leaf: &Leaf<'_>,
) -> Result<Linted, LintError> {
    let uid = leaf.uid;
    let (tbs, cert) = common(tbs, issuer)?;
    let serial = SerialNumber::from_slice(cert.serial());
    rule("serial number", "4.1.2.2", &serial, &Some(leaf.serial))?;
    // Equal to a key that passed all rules: no need to look for its weaknesses again.
    let key = leaf.key;
    bytes("public key", "4.1.2.7", cert.spki_der(), key.spki_der())?;

    let subject = name::common_name_only(uid.as_str());
    bytes("subject", "4.1.2.6", cert.subject_der(), &subject)?;
    let parameters = profile.parameters();
    rule(
        "valid now",
        "4.1.2.5",
        &(cert.not_before() <= leaf.now && leaf.now < cert.not_after()),
        &true,
    )?;
    let longest = parameters.validity_seconds + parameters.backdate_seconds;
    at_most("validity in seconds", "4.1.2.5", cert.not_after() - cert.not_before(), longest)?;
    at_most("end of validity", "4.1.2.5", cert.not_after(), issuer.not_after())?;
    rule("issuer's own key", "4.1.2.7", &(key == issuer.key()), &false)?;

    let mut expected = vec![
        (oids::ID_CE_AUTHORITY_KEY_IDENTIFIER, false),
        (oids::ID_CE_SUBJECT_KEY_IDENTIFIER, false),
        (oids::ID_CE_BASIC_CONSTRAINTS, true),
        (oids::ID_CE_KEY_USAGE, true),
        (oids::ID_CE_EXT_KEY_USAGE, false),
        (oids::ID_CE_SUBJECT_ALT_NAME, false),
        (oids::ID_CE_CRL_DISTRIBUTION_POINTS, false),
    ];
    if parameters.ca_issuers_url.is_some() {
        expected.push((oids::ID_PE_AUTHORITY_INFO_ACCESS, false));
    }
    extensions(&cert, &expected)?;
    key_identifiers(&cert, key, Some(issuer.ski()))?;
    constraints(&cert, BasicConstraints { ca: false, path_len_constraint: None })?;
    let usage = KeyUsages::DigitalSignature
        | match key.algorithm() {
            KeyAlgorithm::Rsa { .. } => KeyUsages::KeyEncipherment,
            KeyAlgorithm::P256 | KeyAlgorithm::P384 => KeyUsages::KeyAgreement,
        };
    rule("keyUsage", "4.2.1.3", &cert.key_usage(), &Some(&KeyUsage(usage)))?;
    let purposes = profile.purposes();
    rule("extKeyUsage", "4.2.1.12", &cert.extended_key_usage(), &Some(purposes.as_slice()))?;

    let uris: Vec<_> = cert.san_uris().collect();
    rule("subjectAltName", "4.2.1.6", &uris, &vec![profile.identity_uri(uid).as_str()])?;
    let of = |kind| -> Vec<&str> {
        let named = leaf.names.iter().filter(|name| name.kind == kind);
        named.map(|name| name.value.as_str()).collect()
    };
    let (emails, upns) = (of(NameKind::Rfc822), of(NameKind::Upn));
    rule("rfc822Name", "4.2.1.6", &cert.san_emails().collect::<Vec<_>>(), &emails)?;
    let found: Vec<String> = cert.san_upns().collect();
    rule("otherName UPN", "4.2.1.6", &found.iter().map(String::as_str).collect(), &upns)?;
    rule("number of names", "4.2.1.6", &cert.san_count(), &(1 + emails.len() + upns.len()))?;
    let crl_url = profile.crl_url(issuer, profile.shard(leaf.serial));
    rule("cRLDistributionPoints", "4.2.1.13", &cert.crl_urls(), &[crl_url].as_slice())?;
    let ca_issuers: Vec<_> = profile.ca_issuers_url(issuer).into_iter().collect();
    rule("authorityInfoAccess", "4.2.2.1", &cert.ca_issuer_urls(), &ca_issuers.as_slice())?;
    Ok(Linted { tbs, issuer: issuer.clone() })
}

/// Lints a root's certificate.
///
/// # Errors
/// The first [`LintError`].
pub fn root(tbs: Tbs, root: &Issuer) -> Result<Linted, LintError> {
    let (tbs, cert) = common(tbs, root)?;
    let key = authority_key(&cert)?;
    let (subject, issuer) = (cert.subject_der(), root.subject_der());
    bytes("subject of a self-signed certificate", "4.1.2.6", subject, issuer)?;
    rule("key of a self-signed certificate", "4.1.2.7", &(key == *root.key()), &true)?;
    extensions(
        &cert,
        &[
            (oids::ID_CE_SUBJECT_KEY_IDENTIFIER, false),
            (oids::ID_CE_BASIC_CONSTRAINTS, true),
            (oids::ID_CE_KEY_USAGE, true),
        ],
    )?;
    key_identifiers(&cert, &key, None)?;
    constraints(&cert, BasicConstraints { ca: true, path_len_constraint: None })?;
    authority_usage(&cert)?;
    Ok(Linted { tbs, issuer: root.clone() })
}

/// Lints the certificate of an issuing authority.
///
/// # Errors
/// The first [`LintError`].
pub fn issuing(tbs: Tbs, root: &Issuer) -> Result<Linted, LintError> {
    let (tbs, cert) = common(tbs, root)?;
    let key = authority_key(&cert)?;
    let same_name = cert.subject_der() == root.subject_der();
    rule("subject of its own", "4.1.2.6", &same_name, &false)?;
    rule("key of its own", "4.1.2.7", &(key == *root.key()), &false)?;
    at_most("end of validity", "4.1.2.5", cert.not_after(), root.not_after())?;
    let mut expected = vec![
        (oids::ID_CE_AUTHORITY_KEY_IDENTIFIER, false),
        (oids::ID_CE_SUBJECT_KEY_IDENTIFIER, false),
        (oids::ID_CE_BASIC_CONSTRAINTS, true),
        (oids::ID_CE_KEY_USAGE, true),
    ];
    if !cert.crl_urls().is_empty() {
        expected.push((oids::ID_CE_CRL_DISTRIBUTION_POINTS, false));
    }
    if !cert.ca_issuer_urls().is_empty() {
        expected.push((oids::ID_PE_AUTHORITY_INFO_ACCESS, false));
    }
    extensions(&cert, &expected)?;
    key_identifiers(&cert, &key, Some(root.ski()))?;
    constraints(&cert, BasicConstraints { ca: true, path_len_constraint: Some(0) })?;
    authority_usage(&cert)?;
    Ok(Linted { tbs, issuer: root.clone() })
}

/// What holds of every certificate. The TBS is read through a certificate with an empty signature,
/// so that what is linted is what any reader will see.
fn common(tbs: Tbs, issuer: &Issuer) -> Result<(Vec<u8>, Certificate), LintError> {
    let tbs = tbs.into_der();
    let unreadable = |section, found: String| LintError {
        rule: "encoding",
        section,
        expected: "a TBSCertificate in DER".into(),
        found,
    };
    let algorithm = issuer.algorithm().identifier_der();
    let whole = asn1::sequence(&[tbs.as_slice(), &algorithm, &asn1::bit_string(&[])]);
    let cert = Certificate::parse(&whole).map_err(|e| unreadable("4.1", e.to_string()))?;
    let inner: &Decoded = cert.inner();
    let fields = inner.tbs_certificate();
    let again = fields.to_der().map_err(|e| unreadable("4.1", e.to_string()))?;
    bytes("encoding", "4.1", &tbs, &again)?;

    rule("version", "4.1.2.1", &fields.version(), &Version::V3)?;
    rule("octets of the serial number", "4.1.2.2", &cert.serial().len(), &16)?;
    let positive = (0x01..=0x7f).contains(&cert.serial()[0]);
    rule("positive serial number", "4.1.2.2", &positive, &true)?;
    let found = fields.signature().to_der().unwrap_or_default();
    bytes("signature algorithm", "4.1.2.3", &found, &algorithm)?;
    bytes("issuer", "4.1.2.4", cert.issuer_der(), issuer.subject_der())?;
    for time in [fields.validity().not_before, fields.validity().not_after] {
        let short = matches!(time, Time::UtcTime(_));
        rule("UTCTime through 2049", "4.1.2.5", &short, &(time.to_date_time().year() < 2050))?;
    }
    rule("order of validity", "4.1.2.5", &(cert.not_before() < cert.not_after()), &true)?;
    let ids = (fields.issuer_unique_id().is_some(), fields.subject_unique_id().is_some());
    rule("unique identifiers", "4.1.2.8", &ids, &(false, false))?;
    Ok((tbs, cert))
}

fn extensions(cert: &Certificate, expected: &[(ObjectIdentifier, bool)]) -> Result<(), LintError> {
    let all: Vec<_> = cert.inner().tbs_certificate().extensions().into_iter().flatten().collect();
    let found: Vec<_> = all.iter().map(|e| (e.extn_id, e.critical)).collect();
    rule("extensions and which are critical", "4.2", &found, &expected.to_vec())?;
    // Each value must be the one DER encoding of what it says: readers differ in what they forgive.
    for extension in all {
        let value = extension.extn_value.as_bytes();
        let again = match extension.extn_id {
            oids::ID_CE_AUTHORITY_KEY_IDENTIFIER => again::<AuthorityKeyIdentifier>(value),
            oids::ID_CE_SUBJECT_KEY_IDENTIFIER => again::<SubjectKeyIdentifier>(value),
            oids::ID_CE_BASIC_CONSTRAINTS => again::<BasicConstraints>(value),
            oids::ID_CE_KEY_USAGE => again::<KeyUsage>(value),
            oids::ID_CE_EXT_KEY_USAGE => again::<ExtendedKeyUsage>(value),
            oids::ID_CE_SUBJECT_ALT_NAME => again::<SubjectAltName>(value),
            oids::ID_CE_CRL_DISTRIBUTION_POINTS => again::<CrlDistributionPoints>(value),
            oids::ID_PE_AUTHORITY_INFO_ACCESS => again::<AuthorityInfoAccessSyntax>(value),
            _ => None,
        };
        bytes("encoding of an extension", "4.2", value, &again.unwrap_or_default())?;
    }
    Ok(())
}

fn again<'a, T: der::Decode<'a> + der::Encode>(value: &'a [u8]) -> Option<Vec<u8>> {
    T::from_der(value).ok()?.to_der().ok()
}

fn key_identifiers(
    cert: &Certificate,
    key: &PublicKey,
    authority: Option<&[u8]>,
) -> Result<(), LintError> {
    let id = key.key_id();
    rule("subjectKeyIdentifier", "4.2.1.2", &cert.ski(), &Some(id.as_slice()))?;
    rule("authorityKeyIdentifier", "4.2.1.1", &cert.aki(), &authority)
}

fn constraints(cert: &Certificate, expected: BasicConstraints) -> Result<(), LintError> {
    let found = BasicConstraints { ca: cert.is_ca(), path_len_constraint: cert.path_len() };
    rule("basicConstraints", "4.2.1.9", &found, &expected)
}

fn authority_usage(cert: &Certificate) -> Result<(), LintError> {
    let expected = KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign);
    rule("keyUsage", "4.2.1.3", &cert.key_usage(), &Some(&expected))
}

fn authority_key(cert: &Certificate) -> Result<PublicKey, LintError> {
    PublicKey::parse(cert.spki_der(), &KeyRules::authority()).map_err(|error| LintError {
        rule: "authority's key",
        section: "4.1.2.7",
        expected: "a key that may sign certificates".into(),
        found: error.to_string(),
    })
}

fn at_most(
    rule: &'static str,
    section: &'static str,
    found: u64,
    most: u64,
) -> Result<(), LintError> {
    if found <= most {
        return Ok(());
    }
    Err(LintError { rule, section, expected: format!("at most {most}"), found: found.to_string() })
}

/// Compares DER, and writes it out only where it differs.
fn bytes(
    rule: &'static str,
    section: &'static str,
    found: &[u8],
    expected: &[u8],
) -> Result<(), LintError> {
    if found == expected {
        return Ok(());
    }
    let (expected, found) = (hex::encode(expected), hex::encode(found));
    Err(LintError { rule, section, expected, found })
}

fn rule<T: PartialEq + std::fmt::Debug>(
    rule: &'static str,
    section: &'static str,
    found: &T,
    expected: &T,
) -> Result<(), LintError> {
    if found == expected {
        return Ok(());
    }
    let (expected, found) = (format!("{expected:?}"), format!("{found:?}"));
    Err(LintError { rule, section, expected, found })
}
