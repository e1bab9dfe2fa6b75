//! Who signs: what a certificate or CRL needs to know of its issuer.

use crate::algorithm::SigningAlgorithm;
use crate::certificate::{Certificate, CertificateError};
use crate::key::{KeyError, KeyRules, PublicKey};
use crate::name::CaName;
use crate::time;

/// Why a certificate cannot be an issuer's.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// The certificate cannot be read.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The key may not sign certificates.
    #[error("the issuer's key: {0}")]
    Key(#[from] KeyError),
    /// The certificate is not a certificate authority's.
    #[error("the certificate of {subject} may not issue: {reason}")]
    NotAuthority {
        /// Its subject.
        subject: String,
        /// What it lacks.
        reason: &'static str,
    },
}

/// An issuer: name, key, key identifier and lifetime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    subject: Vec<u8>,
    key: PublicKey,
    ski: Vec<u8>,
    not_before: u64,
    not_after: u64,
}

impl Issuer {
    /// Reads an issuer from its certificate (DER or PEM).
    ///
    /// # Errors
    /// Refuses a certificate that cannot be read, one that is not an authority's with keyCertSign
    /// and cRLSign and a subject key identifier, and keys that [`KeyRules::authority`] refuses.
    pub fn from_certificate(input: &[u8]) -> Result<Self, IssuerError> {
        let certificate = Certificate::parse_any(input)?;
        let lacks = |reason| IssuerError::NotAuthority { subject: certificate.subject(), reason };
        if !certificate.is_ca() {
            return Err(lacks("basicConstraints does not say CA (RFC 5280 section 4.2.1.9)"));
        }
        let signs = certificate.key_usage().is_some_and(|u| u.key_cert_sign() && u.crl_sign());
        if !signs {
            return Err(lacks("keyUsage lacks keyCertSign or cRLSign (RFC 5280 section 4.2.1.3)"));
        }
        let ski = certificate
            .ski()
            .ok_or_else(|| lacks("no subject key identifier (RFC 5280 section 4.2.1.2)"))?;
        Ok(Self {
            subject: certificate.subject_der().to_vec(),
            key: PublicKey::parse(certificate.spki_der(), &KeyRules::authority())?,
            ski: ski.to_vec(),
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
        })
    }

    /// An issuer that has no certificate yet: a root before it signs itself.
    ///
    /// # Errors
    /// Refuses keys that [`KeyRules::authority`] refuses.
    pub fn for_root(name: &CaName, spki_der: &[u8]) -> Result<Self, KeyError> {
        let key = PublicKey::parse(spki_der, &KeyRules::authority())?;
        let ski = key.key_id().to_vec();
        Ok(Self { subject: name.to_der(), key, ski, not_before: 0, not_after: time::LAST })
    }

    /// The DER Name.
    #[must_use]
    pub fn subject_der(&self) -> &[u8] {
        &self.subject
    }

    /// The key that signs.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The key identifier.
    #[must_use]
    pub fn ski(&self) -> &[u8] {
        &self.ski
    }

    /// The key identifier in lower-case hexadecimal: the issuer's id in URLs.
    #[must_use]
    pub fn id(&self) -> String {
        hex::encode(&self.ski)
    }

    /// First second of the issuer's own validity.
    #[must_use]
    pub fn not_before(&self) -> u64 {
        self.not_before
    }

    /// Last second of the issuer's own validity.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.not_after
    }

    /// The algorithm that its key signs with.
    #[must_use]
    pub fn algorithm(&self) -> SigningAlgorithm {
        SigningAlgorithm::of_key(self.key.algorithm())
    }

    /// Puts the signed bytes, the algorithm and a raw signature together, and verifies the result
    /// with the issuer's own key before it is let out: a token that computes wrongly, or holds
    /// another key than believed, is noticed here.
    pub(crate) fn assemble(&self, tbs: &[u8], raw: &[u8]) -> Result<Vec<u8>, SignatureError> {
        let algorithm = self.algorithm();
        let signature = algorithm
            .signature_from_raw(raw)
            .ok_or(SignatureError::Length { found: raw.len(), algorithm })?;
        if !algorithm.verification().verify(&self.key, tbs, &signature) {
            return Err(SignatureError::Wrong { algorithm });
        }
        Ok(crate::asn1::sequence(&[
            tbs,
            &algorithm.identifier_der(),
            &crate::asn1::bit_string(&signature),
        ]))
    }
}

/// Why a signature is not put into a certificate or CRL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not as long as the algorithm's signatures are.
    #[error("a raw signature of {found} octets is not one by {algorithm:?}")]
    Length {
        /// Octets found.
        found: usize,
        /// The issuer's algorithm.
        algorithm: SigningAlgorithm,
    },
    /// Not the issuer's signature over these bytes.
    #[error("the signature does not verify with the issuer's key ({algorithm:?})")]
    Wrong {
        /// The issuer's algorithm.
        algorithm: SigningAlgorithm,
    },
}
