//! Certificates, read: whoever issued them.

use std::fmt;

use const_oid::ObjectIdentifier;
use const_oid::db::rfc4519::COMMON_NAME;
use der::{Decode as _, Encode as _};
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{
    AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, BasicConstraints, CrlDistributionPoints,
    ExtendedKeyUsage, KeyUsage, SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::name::Name;

use crate::Issuer;
use crate::asn1::{self, Reader};
use crate::ext;
use crate::pem::{self, PemError};

/// Greatest length of a certificate, in bytes.
pub const MAX_CERTIFICATE: usize = 64 * 1024;

/// Why bytes are not a certificate that can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Longer than any honest certificate.
    #[error("the certificate has {len} bytes; at most {limit} are accepted")]
    Oversize {
        /// Its length in bytes.
        len: usize,
        /// Greatest length accepted.
        limit: usize,
    },
    /// Not DER, or not a certificate.
    #[error("the certificate is not valid DER{}: {reason}", at(*.offset))]
    Der {
        /// Byte offset of the fault, where it is known.
        offset: Option<u64>,
        /// What the decoder objected to.
        reason: String,
    },
    /// An extension that is malformed or there twice.
    #[error("the extension {oid} is malformed or there twice: {reason}")]
    Extension {
        /// Its OID.
        oid: ObjectIdentifier,
        /// What the decoder objected to.
        reason: String,
    },
    /// Malformed PEM, or PEM of something else.
    #[error(transparent)]
    Pem(#[from] PemError),
}

fn at(offset: Option<u64>) -> String {
    offset.map(|offset| format!(" at byte {offset}")).unwrap_or_default()
}

impl From<der::Error> for CertificateError {
    fn from(error: der::Error) -> Self {
        let offset = error.position().map(|position| u64::from(u32::from(position)));
        Self::Der { offset, reason: error.kind().to_string() }
    }
}

/// A parsed certificate and the bytes it came from. Nothing about it has been validated.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    inner: x509_cert::Certificate,
    spki: Vec<u8>,
    issuer: Vec<u8>,
    subject: Vec<u8>,
    ski: Option<Vec<u8>>,
    aki: Option<Vec<u8>>,
    basic_constraints: Option<BasicConstraints>,
    key_usage: Option<KeyUsage>,
    extended_key_usage: Option<Vec<ObjectIdentifier>>,
    san: Vec<GeneralName>,
    crl_urls: Vec<String>,
    ca_issuer_urls: Vec<String>,
}

impl Certificate {
    /// Parses one DER certificate.
    ///
    /// # Errors
    /// See [`CertificateError`]; trailing bytes and malformed or repeated known extensions are
    /// errors too.
    pub fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > MAX_CERTIFICATE {
            return Err(CertificateError::Oversize { len: der.len(), limit: MAX_CERTIFICATE });
        }
        let inner = x509_cert::Certificate::from_der(der)?;
        let tbs = inner.tbs_certificate();
        let distribution = extension::<CrlDistributionPoints>(&inner)?;
        let access = extension::<AuthorityInfoAccessSyntax>(&inner)?;
        Ok(Self {
            der: der.to_vec(),
            spki: tbs.subject_public_key_info().to_der()?,
            issuer: tbs.issuer().to_der()?,
            subject: tbs.subject().to_der()?,
            ski: extension::<SubjectKeyIdentifier>(&inner)?.map(|id| id.0.as_bytes().to_vec()),
            aki: extension::<AuthorityKeyIdentifier>(&inner)?
                .and_then(|aki| aki.key_identifier.map(|id| id.as_bytes().to_vec())),
            basic_constraints: extension(&inner)?,
            key_usage: extension(&inner)?,
            extended_key_usage: extension::<ExtendedKeyUsage>(&inner)?.map(|usage| usage.0),
            san: extension::<SubjectAltName>(&inner)?.map(|san| san.0).unwrap_or_default(),
            crl_urls: distribution
                .iter()
                .flat_map(|points| &points.0)
                .filter_map(|point| point.distribution_point.as_ref())
                .flat_map(distribution_urls)
                .collect(),
            ca_issuer_urls: access
                .iter()
                .flat_map(|access| &access.0)
                .filter(|access| access.access_method == ext::CA_ISSUERS)
                .filter_map(|access| uri(&access.access_location))
                .collect(),
            inner,
        })
    }

    /// Parses one certificate from PEM or DER.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn parse_any(input: &[u8]) -> Result<Self, CertificateError> {
        if pem::is_pem(input) {
            Self::parse(&pem::decode_one(input, &[pem::CERTIFICATE])?)
        } else {
            Self::parse(input)
        }
    }

    /// Parses a PEM chain of at most `limit` certificates, in its order.
    ///
    /// # Errors
    /// See [`CertificateError`]; a block with another label is an error.
    pub fn parse_pem_chain(input: &[u8], limit: usize) -> Result<Vec<Self>, CertificateError> {
        pem::decode_chain(input, limit)?.iter().map(|der| Self::parse(der)).collect()
    }

    /// The DER certificate.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate as PEM.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode(pem::CERTIFICATE, &self.der)
    }

    /// The bytes that are signed.
    #[must_use]
    pub fn tbs_der(&self) -> &[u8] {
        first_inside(&self.der)
    }

    /// The decoded certificate, for what has no accessor here.
    #[must_use]
    pub fn inner(&self) -> &x509_cert::Certificate {
        &self.inner
    }

    /// Whether `issuer` signed it: name, algorithm and signature (RFC 5280 section 4.1.1.3). Says
    /// nothing about validity.
    #[must_use]
    pub fn is_signed_by(&self, issuer: &Issuer) -> bool {
        let signature = self.inner().signature().as_bytes();
        let algorithm = self.inner().signature_algorithm().to_der();
        self.issuer_der() == issuer.subject_der()
            && algorithm.is_ok_and(|der| der == issuer.algorithm().identifier_der())
            && signature.is_some_and(|signature| {
                let verification = issuer.algorithm().verification();
                verification.verify(issuer.key(), self.tbs_der(), signature)
            })
    }

    /// The serial number's octets, big-endian, as encoded.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        self.inner.tbs_certificate().serial_number().as_bytes()
    }

    /// The DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// First second of validity, since 1970.
    #[must_use]
    pub fn not_before(&self) -> u64 {
        self.inner.tbs_certificate().validity().not_before.to_unix_duration().as_secs()
    }

    /// Last second of validity, since 1970.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.inner.tbs_certificate().validity().not_after.to_unix_duration().as_secs()
    }

    /// The subject's DER Name.
    #[must_use]
    pub fn subject_der(&self) -> &[u8] {
        &self.subject
    }

    /// The issuer's DER Name.
    #[must_use]
    pub fn issuer_der(&self) -> &[u8] {
        &self.issuer
    }

    /// The subject in RFC 4514 form, for people.
    #[must_use]
    pub fn subject(&self) -> String {
        self.inner.tbs_certificate().subject().to_string()
    }

    /// The issuer in RFC 4514 form, for people.
    #[must_use]
    pub fn issuer(&self) -> String {
        self.inner.tbs_certificate().issuer().to_string()
    }

    /// The subject's common name, where there is exactly one and it is readable text.
    #[must_use]
    pub fn subject_cn(&self) -> Option<String> {
        common_name(self.inner.tbs_certificate().subject())
    }

    /// URIs among the subject's alternative names.
    pub fn san_uris(&self) -> impl Iterator<Item = &str> {
        self.san.iter().filter_map(|name| match name {
            GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str()),
            _ => None,
        })
    }

    /// E-mail addresses among the subject's alternative names.
    pub fn san_emails(&self) -> impl Iterator<Item = &str> {
        self.san.iter().filter_map(|name| match name {
            GeneralName::Rfc822Name(email) => Some(email.as_str()),
            _ => None,
        })
    }

    /// UPNs among the subject's alternative names.
    pub fn san_upns(&self) -> impl Iterator<Item = String> {
        self.san.iter().filter_map(|name| match name {
            GeneralName::OtherName(other) if other.type_id == ext::UPN => {
                other.value.decode_as::<String>().ok()
            }
            _ => None,
        })
    }

    /// How many names the subject has besides the distinguished name.
    #[must_use]
    pub fn san_count(&self) -> usize {
        self.san.len()
    }

    /// URLs of the CRL distribution points.
    #[must_use]
    pub fn crl_urls(&self) -> &[String] {
        &self.crl_urls
    }

    /// URLs of the issuer's certificate.
    #[must_use]
    pub fn ca_issuer_urls(&self) -> &[String] {
        &self.ca_issuer_urls
    }

    /// The subject key identifier.
    #[must_use]
    pub fn ski(&self) -> Option<&[u8]> {
        self.ski.as_deref()
    }

    /// The authority key identifier.
    #[must_use]
    pub fn aki(&self) -> Option<&[u8]> {
        self.aki.as_deref()
    }

    /// Whether basicConstraints says that this is an authority.
    #[must_use]
    pub fn is_ca(&self) -> bool {
        self.basic_constraints.as_ref().is_some_and(|constraints| constraints.ca)
    }

    /// Greatest number of further authorities below this one.
    #[must_use]
    pub fn path_len(&self) -> Option<u8> {
        self.basic_constraints.as_ref().and_then(|constraints| constraints.path_len_constraint)
    }

    /// The keyUsage extension.
    #[must_use]
    pub fn key_usage(&self) -> Option<&KeyUsage> {
        self.key_usage.as_ref()
    }

    /// The purposes of the extendedKeyUsage extension; `None` where there is none.
    #[must_use]
    pub fn extended_key_usage(&self) -> Option<&[ObjectIdentifier]> {
        self.extended_key_usage.as_deref()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, serial {})", self.subject(), hex::encode(self.serial()))
    }
}

/// The first element inside of the outermost: what is signed. Only for input that was decoded.
pub(crate) fn first_inside(der: &[u8]) -> &[u8] {
    let signed = Reader::new(der)
        .expect(asn1::SEQUENCE, "a signed object")
        .and_then(|outer| outer.reader().next("what is signed"));
    signed.map(|element| element.raw()).unwrap_or_default()
}

pub(crate) fn distribution_urls(name: &DistributionPointName) -> Vec<String> {
    match name {
        DistributionPointName::FullName(names) => names.iter().filter_map(uri).collect(),
        DistributionPointName::NameRelativeToCRLIssuer(_) => Vec::new(),
    }
}

fn uri(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.to_string()),
        _ => None,
    }
}

fn common_name(name: &Name) -> Option<String> {
    let mut found = name.iter().filter(|attribute| attribute.oid == COMMON_NAME);
    let (first, second) = (found.next()?, found.next());
    if second.is_some() {
        return None;
    }
    let der = first.value.to_der().ok()?;
    Reader::new(&der).next("the common name").ok()?.text()
}

fn extension<'a, T>(certificate: &'a x509_cert::Certificate) -> Result<Option<T>, CertificateError>
where
    T: der::Decode<'a, Error = der::Error> + const_oid::AssociatedOid,
{
    match certificate.tbs_certificate().get_extension::<T>() {
        Ok(found) => Ok(found.map(|(_, value)| value)),
        Err(error) => {
            Err(CertificateError::Extension { oid: T::OID, reason: error.kind().to_string() })
        }
    }
}
