//! Certificate requests: PKCS #10 (RFC 2986), parsed strictly and proven.

mod names;

use std::fmt;

use const_oid::ObjectIdentifier;
use const_oid::db::{rfc4519, rfc5912};
use wire::{Hash32, UserId};

pub use self::names::RequestedName;
use crate::algorithm::{AlgorithmFault, SignatureAlgorithm};
use crate::asn1::{self, DerFault, DerKind, Reader, Tlv};
use crate::key::{KeyError, KeyRules, PublicKey};
use crate::pem::{self, PemError};

/// Greatest length of a request, in bytes, as it arrives (DER or PEM).
pub const MAX_CSR: usize = 16 * 1024;

/// Labels of requests (RFC 7468 section 7); the second is an old name of the same.
const LABELS: &[&str] = &[pem::CERTIFICATE_REQUEST, "NEW CERTIFICATE REQUEST"];

/// Why a certificate request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// Longer than any honest request.
    #[error("the request has {len} bytes; at most {limit} are accepted")]
    Oversize {
        /// Its length in bytes.
        len: usize,
        /// Greatest length accepted.
        limit: usize,
    },
    /// PEM of something else.
    #[error("the PEM label is {found:?}, expected {expected:?}")]
    PemLabel {
        /// The label found.
        found: String,
        /// The label expected.
        expected: &'static str,
    },
    /// Malformed PEM.
    #[error("malformed PEM: {0}")]
    Pem(PemError),
    /// Not strict DER, or not a certification request.
    #[error("the request is not valid DER {0}")]
    Der(#[from] DerFault),
    /// Bytes after the request.
    #[error("{count} bytes follow the request, from byte {offset} on")]
    TrailingBytes {
        /// Where they start.
        offset: u64,
        /// How many.
        count: u64,
    },
    /// Another version than 0, the only one there is.
    #[error("the request's version is not 0 (RFC 2986 section 4.1), at byte {offset}")]
    Version {
        /// Byte offset of the version.
        offset: u64,
    },
    /// The key is not acceptable.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Signed with a hash function that no longer resists collisions.
    #[error("the request is signed by {name}; SHA-256, SHA-384 or SHA-512 is required")]
    WeakDigest {
        /// The algorithm's name.
        name: &'static str,
        /// Byte offset of the algorithm.
        offset: u64,
    },
    /// Signed by an algorithm that is not accepted.
    #[error("the signature algorithm {oid} is not accepted")]
    SignatureAlgorithm {
        /// The algorithm.
        oid: ObjectIdentifier,
        /// Byte offset of the algorithm.
        offset: u64,
    },
    /// Parameters that the signature algorithm does not have.
    #[error(
        "the signature algorithm's parameters at byte {offset} are not those of RFC 4055 and RFC 5758"
    )]
    SignatureParameters {
        /// Byte offset of the parameters.
        offset: u64,
    },
    /// The request is not signed by the key that it asks to certify.
    #[error("proof of possession failed: the signature is not by the request's own {key} key")]
    ProofOfPossession {
        /// The kind of key.
        key: crate::key::KeyAlgorithm,
    },
    /// The request names somebody else.
    #[error("the request is for {found}, expected {expected}")]
    WrongSubject {
        /// The identity it should be for.
        expected: String,
        /// What it names.
        found: String,
    },
}

impl CsrError {
    /// Stable name of the reason.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Oversize { .. } => "oversize",
            Self::PemLabel { .. } => "wrong-pem-label",
            Self::Pem(_) | Self::Der(_) | Self::Version { .. } => "bad-encoding",
            Self::TrailingBytes { .. } => "trailing-bytes",
            Self::Key(error) => error.code(),
            Self::WeakDigest { name, .. } if name.contains("SHA-1") => "sha1",
            Self::WeakDigest { .. } => "weak-digest",
            Self::SignatureAlgorithm { .. } | Self::SignatureParameters { .. } => {
                "unsupported-signature"
            }
            Self::ProofOfPossession { .. } => "bad-signature",
            Self::WrongSubject { .. } => "wrong-subject",
        }
    }

    /// What would have been accepted, and what was there.
    #[must_use]
    pub fn expected_and_found(&self) -> (String, String) {
        match self {
            Self::Oversize { len, limit } => {
                (format!("at most {limit} bytes"), format!("{len} bytes"))
            }
            Self::PemLabel { found, expected } => ((*expected).to_owned(), found.clone()),
            Self::Pem(fault) => {
                ("one block labelled CERTIFICATE REQUEST".into(), fault.to_string())
            }
            Self::Der(fault) => ("a CertificationRequest in DER".into(), fault.to_string()),
            Self::TrailingBytes { offset, count } => {
                ("nothing after the request".into(), format!("{count} bytes from {offset} on"))
            }
            Self::Version { .. } => ("version 0".into(), "another version".into()),
            Self::Key(error) => error.expected_and_found(),
            Self::WeakDigest { name, .. } => {
                ("SHA-256, SHA-384 or SHA-512".into(), (*name).to_owned())
            }
            Self::SignatureAlgorithm { oid, .. } => (
                "RSA (PKCS#1 v1.5 or PSS) or ECDSA with SHA-256, SHA-384 or SHA-512".into(),
                oid.to_string(),
            ),
            Self::SignatureParameters { .. } => {
                ("the parameters of RFC 4055 and RFC 5758".into(), "other parameters".into())
            }
            Self::ProofOfPossession { key } => (
                format!("a signature by the request's own {key} key"),
                "a signature that does not verify under it".into(),
            ),
            Self::WrongSubject { expected, found } => (expected.clone(), found.clone()),
        }
    }

    /// Byte offset of the fault in the DER request, where there is one.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        match self {
            Self::Der(fault) => Some(fault.offset),
            Self::Key(error) => error.offset(),
            Self::TrailingBytes { offset, .. }
            | Self::Version { offset }
            | Self::WeakDigest { offset, .. }
            | Self::SignatureAlgorithm { offset, .. }
            | Self::SignatureParameters { offset } => Some(*offset),
            _ => None,
        }
    }
}

impl From<PemError> for CsrError {
    fn from(error: PemError) -> Self {
        match error {
            PemError::Label { found, expected } => Self::PemLabel { found, expected },
            other => Self::Pem(other),
        }
    }
}

/// A request that was parsed whole, whose key may be certified, and whose sender holds that key.
#[derive(Clone, PartialEq, Eq)]
pub struct Csr {
    der: Vec<u8>,
    key: PublicKey,
    common_names: Vec<Option<String>>,
    names: Vec<RequestedName>,
}

impl Csr {
    /// Parses DER, or PEM where the text says so, and verifies the proof of possession.
    ///
    /// # Errors
    /// See [`CsrError`]. Offsets count from the start of the DER, also when it came as PEM.
    pub fn parse(input: &[u8], rules: &KeyRules) -> Result<Self, CsrError> {
        if input.len() > MAX_CSR {
            return Err(CsrError::Oversize { len: input.len(), limit: MAX_CSR });
        }
        if pem::is_pem(input) {
            Self::parse_der(pem::decode_one(input, LABELS)?, rules)
        } else {
            Self::parse_der(input.to_vec(), rules)
        }
    }

    fn parse_der(der: Vec<u8>, rules: &KeyRules) -> Result<Self, CsrError> {
        let mut document = Reader::new(&der);
        let request = document.expect(asn1::SEQUENCE, "CertificationRequest")?;
        if !document.is_empty() {
            let (offset, count) = (document.offset() as u64, document.remaining() as u64);
            return Err(CsrError::TrailingBytes { offset, count });
        }
        asn1::check(&request)?;

        let mut fields = request.reader();
        let info = fields.expect(asn1::SEQUENCE, "CertificationRequestInfo")?;
        let algorithm = fields.expect(asn1::SEQUENCE, "the signature algorithm")?;
        let signature = fields.expect(asn1::BIT_STRING, "the signature")?;
        fields.finish()?;

        let mut fields = info.reader();
        let version = fields.expect(asn1::INTEGER, "the version")?;
        if version.value() != [0] {
            return Err(CsrError::Version { offset: version.offset as u64 });
        }
        let subject = fields.expect(asn1::SEQUENCE, "the subject")?;
        let spki = fields.expect(asn1::SEQUENCE, "the public key")?;
        let attributes = fields.expect(asn1::context_constructed(0), "the attributes")?;
        fields.finish()?;

        let common_names = common_names(&subject)?;
        let names = names::requested(&attributes)?;
        let key = PublicKey::from_element(&spki, rules)?;
        let signature_algorithm = SignatureAlgorithm::parse(&algorithm)
            .map_err(|fault| algorithm_error(&algorithm, fault))?;
        // Over the bytes as they came: an encoding made anew could differ from what was signed.
        if !signature_algorithm.verify(&key, info.raw(), signature.bits()?) {
            return Err(CsrError::ProofOfPossession { key: key.algorithm() });
        }
        Ok(Self { der, key, common_names, names })
    }

    /// The DER request.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of the DER request.
    #[must_use]
    pub fn hash(&self) -> Hash32 {
        Hash32::of(&self.der)
    }

    /// The key to certify.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        self.key.spki_der()
    }

    /// SHA-256 of the DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki_hash(&self) -> Hash32 {
        self.key.spki_hash()
    }

    /// The subject's common name, where there is exactly one and it is readable text.
    #[must_use]
    pub fn subject_common_name(&self) -> Option<&str> {
        match self.common_names.as_slice() {
            [Some(name)] => Some(name),
            _ => None,
        }
    }

    /// The names asked for in a subjectAltName extension. They are wishes: a profile says which of
    /// them are certified, and by default none is.
    #[must_use]
    pub fn requested_names(&self) -> &[RequestedName] {
        &self.names
    }

    /// Refuses a request that names anybody but `uid`.
    ///
    /// The subject has no common name or exactly one, which equals the id byte for byte; a
    /// requested `avouch://` URI must end in the same id. Other parts of the subject are ignored,
    /// since clients fill them with constants.
    ///
    /// # Errors
    /// [`CsrError::WrongSubject`].
    pub fn check_subject(&self, uid: &UserId) -> Result<(), CsrError> {
        let expected = format!("the common name {:?}, or none", uid.as_str());
        let wrong =
            |found: String| Err(CsrError::WrongSubject { expected: expected.clone(), found });
        match self.common_names.as_slice() {
            [] => {}
            [Some(name)] if name == uid.as_str() => {}
            [Some(name)] => return wrong(format!("the common name {name:?}")),
            [None] => return wrong("a common name that is not readable text".into()),
            several => return wrong(format!("{} common names", several.len())),
        }
        for name in &self.names {
            if let RequestedName::Uri(uri) = name
                && names::is_other_identity(uri, uid)
            {
                return wrong(format!("the URI {uri:?}"));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Csr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Csr")
            .field("key", &self.key)
            .field("common_names", &self.common_names)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

fn algorithm_error(element: &Tlv<'_>, fault: AlgorithmFault) -> CsrError {
    let offset = element.offset as u64;
    match fault {
        AlgorithmFault::Der(fault) => CsrError::Der(fault),
        AlgorithmFault::Broken { name } => CsrError::WeakDigest { name, offset },
        AlgorithmFault::Unsupported { oid } => CsrError::SignatureAlgorithm { oid, offset },
        AlgorithmFault::Parameters { offset } => {
            CsrError::SignatureParameters { offset: offset as u64 }
        }
    }
}

/// Reads a Name (RFC 5280 section 4.1.2.4) and returns its common names; `None` stands for text in
/// a form that cannot be read without guessing.
fn common_names(subject: &Tlv<'_>) -> Result<Vec<Option<String>>, DerFault> {
    let mut names = Vec::new();
    let mut rdns = subject.reader();
    while !rdns.is_empty() {
        let rdn = rdns.expect(asn1::SET, "RelativeDistinguishedName")?;
        let mut attributes = rdn.reader();
        if attributes.is_empty() {
            return Err(DerKind::Missing { expected: "AttributeTypeAndValue" }.at(rdn.offset));
        }
        while !attributes.is_empty() {
            let mut attribute =
                attributes.expect(asn1::SEQUENCE, "AttributeTypeAndValue")?.reader();
            let oid = attribute.expect(asn1::OID, "the attribute's type")?.oid()?;
            let value = attribute.next("the attribute's value")?;
            attribute.finish()?;
            if oid == rfc4519::COMMON_NAME {
                names.push(value.text());
            }
        }
    }
    Ok(names)
}

/// OID of the extensionRequest attribute (RFC 2985 section 5.4.2).
const EXTENSION_REQUEST: ObjectIdentifier = rfc5912::ID_EXTENSION_REQ;
