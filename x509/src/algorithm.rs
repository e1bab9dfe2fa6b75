//! Signature algorithms: which are accepted, how they are named in DER, and how they are verified.

use aws_lc_rs::signature as aws;
use const_oid::ObjectIdentifier;
use const_oid::db::rfc5912 as oids;

use crate::asn1::{self, DerFault, Tlv};
use crate::key::{KeyAlgorithm, PublicKey};

const MGF1: ObjectIdentifier = oids::ID_MGF_1;

/// The algorithm an issuing key signs with: one for each kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SigningAlgorithm {
    /// ECDSA on P-256 with SHA-256; raw signatures are r ‖ s, 64 octets.
    EcdsaP256Sha256,
    /// ECDSA on P-384 with SHA-384; raw signatures are r ‖ s, 96 octets.
    EcdsaP384Sha384,
    /// RSA PKCS #1 v1.5 with SHA-256; raw signatures are as long as the modulus.
    RsaPkcs1Sha256,
}

impl SigningAlgorithm {
    /// The algorithm that a key of this kind signs with.
    #[must_use]
    pub fn of_key(algorithm: KeyAlgorithm) -> Self {
        match algorithm {
            KeyAlgorithm::P256 => Self::EcdsaP256Sha256,
            KeyAlgorithm::P384 => Self::EcdsaP384Sha384,
            KeyAlgorithm::Rsa { .. } => Self::RsaPkcs1Sha256,
        }
    }

    /// The DER AlgorithmIdentifier (RFC 5758 section 3.2: no parameters with ECDSA; RFC 4055
    /// section 5: NULL with RSA).
    #[must_use]
    pub fn identifier_der(self) -> Vec<u8> {
        match self {
            Self::EcdsaP256Sha256 => asn1::sequence(&[asn1::oid(oids::ECDSA_WITH_SHA_256)]),
            Self::EcdsaP384Sha384 => asn1::sequence(&[asn1::oid(oids::ECDSA_WITH_SHA_384)]),
            Self::RsaPkcs1Sha256 => asn1::sequence(&[
                asn1::oid(oids::SHA_256_WITH_RSA_ENCRYPTION),
                asn1::tlv::<&[u8]>(asn1::NULL, &[]),
            ]),
        }
    }

    /// Turns a raw PKCS #11 signature into what a certificate holds: ECDSA-Sig-Value (RFC 3279
    /// section 2.2.3) from r ‖ s, RSA as it is. `None` when the length is not the algorithm's.
    pub(crate) fn signature_from_raw(self, raw: &[u8]) -> Option<Vec<u8>> {
        let half = match self {
            Self::EcdsaP256Sha256 => 32,
            Self::EcdsaP384Sha384 => 48,
            Self::RsaPkcs1Sha256 => return Some(raw.to_vec()),
        };
        (raw.len() == 2 * half).then(|| {
            let (r, s) = raw.split_at(half);
            asn1::sequence(&[asn1::unsigned(r), asn1::unsigned(s)])
        })
    }

    pub(crate) fn verification(self) -> SignatureAlgorithm {
        match self {
            Self::EcdsaP256Sha256 => SignatureAlgorithm::Ecdsa(Digest::Sha256),
            Self::EcdsaP384Sha384 => SignatureAlgorithm::Ecdsa(Digest::Sha384),
            Self::RsaPkcs1Sha256 => SignatureAlgorithm::RsaPkcs1(Digest::Sha256),
        }
    }
}

/// The hash functions that signatures may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Digest {
    Sha256,
    Sha384,
    Sha512,
}

/// A signature algorithm that requests may be signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignatureAlgorithm {
    Ecdsa(Digest),
    RsaPkcs1(Digest),
    RsaPss(Digest),
}

/// Why an AlgorithmIdentifier is not one of the accepted signature algorithms.
#[derive(Debug)]
pub(crate) enum AlgorithmFault {
    Der(DerFault),
    /// SHA-1 or older.
    Broken {
        name: &'static str,
    },
    Unsupported {
        oid: ObjectIdentifier,
    },
    Parameters {
        offset: usize,
    },
}

impl From<DerFault> for AlgorithmFault {
    fn from(fault: DerFault) -> Self {
        Self::Der(fault)
    }
}

impl SignatureAlgorithm {
    /// Reads an AlgorithmIdentifier.
    pub(crate) fn parse(element: &Tlv<'_>) -> Result<Self, AlgorithmFault> {
        let mut reader = element.reader();
        let oid = reader.expect(asn1::OID, "the algorithm's OBJECT IDENTIFIER")?.oid()?;
        if let Some(name) = broken(oid) {
            return Err(AlgorithmFault::Broken { name });
        }
        let bad_parameters = AlgorithmFault::Parameters { offset: reader.offset() };
        let plain_rsa = match oid {
            oids::SHA_256_WITH_RSA_ENCRYPTION => Some(Digest::Sha256),
            oids::SHA_384_WITH_RSA_ENCRYPTION => Some(Digest::Sha384),
            oids::SHA_512_WITH_RSA_ENCRYPTION => Some(Digest::Sha512),
            _ => None,
        };
        if let Some(digest) = plain_rsa {
            // RFC 4055 section 5: the parameters are NULL.
            if reader.optional(asn1::NULL)?.is_none() || !reader.is_empty() {
                return Err(bad_parameters);
            }
            return Ok(Self::RsaPkcs1(digest));
        }
        let ecdsa = match oid {
            oids::ECDSA_WITH_SHA_256 => Digest::Sha256,
            oids::ECDSA_WITH_SHA_384 => Digest::Sha384,
            oids::ECDSA_WITH_SHA_512 => Digest::Sha512,
            oids::ID_RSASSA_PSS => return Self::parse_pss(&mut reader).ok_or(bad_parameters)?,
            oid => return Err(AlgorithmFault::Unsupported { oid }),
        };
        // RFC 5758 section 3.2: the parameters are absent.
        if reader.is_empty() { Ok(Self::Ecdsa(ecdsa)) } else { Err(bad_parameters) }
    }

    /// RSASSA-PSS-params (RFC 4055 section 3.1), where hash, mask hash and salt length agree.
    /// `None` where they do not; a SHA-1 default is named as such.
    fn parse_pss(reader: &mut asn1::Reader<'_>) -> Option<Result<Self, AlgorithmFault>> {
        let params = reader.optional(asn1::SEQUENCE).ok()??;
        if !reader.is_empty() {
            return None;
        }
        let mut fields = params.reader();
        let Some(hash) = fields.optional(asn1::context_constructed(0)).ok()? else {
            return Some(Err(AlgorithmFault::Broken { name: "RSASSA-PSS with SHA-1" }));
        };
        let digest = hash_algorithm(&mut hash.reader())?;
        let mask = fields.optional(asn1::context_constructed(1)).ok()??;
        let mut mask = mask.reader().next("MGF").ok()?.reader();
        let mgf = mask.expect(asn1::OID, "MGF").ok()?.oid().ok()?;
        let mask_digest = hash_algorithm(&mut mask)?;
        let salt = fields.optional(asn1::context_constructed(2)).ok()??;
        let salt = salt.reader().expect(asn1::INTEGER, "salt length").ok()?;
        let length = match digest {
            Digest::Sha256 => 32,
            Digest::Sha384 => 48,
            Digest::Sha512 => 64,
        };
        let agrees = mgf == MGF1
            && mask_digest == digest
            && salt.positive().ok()? == [length]
            && fields.is_empty();
        agrees.then_some(Ok(Self::RsaPss(digest)))
    }

    /// Whether `signature` over `message` is `key`'s, by this algorithm.
    pub(crate) fn verify(self, key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
        use Digest::{Sha256, Sha384, Sha512};
        use KeyAlgorithm::{P256, P384, Rsa};
        let algorithm: &'static dyn aws::VerificationAlgorithm = match (key.algorithm(), self) {
            (P256, Self::Ecdsa(Sha256)) => &aws::ECDSA_P256_SHA256_ASN1,
            (P256, Self::Ecdsa(Sha384)) => &aws::ECDSA_P256_SHA384_ASN1,
            (P256, Self::Ecdsa(Sha512)) => &aws::ECDSA_P256_SHA512_ASN1,
            (P384, Self::Ecdsa(Sha256)) => &aws::ECDSA_P384_SHA256_ASN1,
            (P384, Self::Ecdsa(Sha384)) => &aws::ECDSA_P384_SHA384_ASN1,
            (P384, Self::Ecdsa(Sha512)) => &aws::ECDSA_P384_SHA512_ASN1,
            (Rsa { .. }, Self::RsaPkcs1(Sha256)) => &aws::RSA_PKCS1_2048_8192_SHA256,
            (Rsa { .. }, Self::RsaPkcs1(Sha384)) => &aws::RSA_PKCS1_2048_8192_SHA384,
            (Rsa { .. }, Self::RsaPkcs1(Sha512)) => &aws::RSA_PKCS1_2048_8192_SHA512,
            (Rsa { .. }, Self::RsaPss(Sha256)) => &aws::RSA_PSS_2048_8192_SHA256,
            (Rsa { .. }, Self::RsaPss(Sha384)) => &aws::RSA_PSS_2048_8192_SHA384,
            (Rsa { .. }, Self::RsaPss(Sha512)) => &aws::RSA_PSS_2048_8192_SHA512,
            _ => return false,
        };
        aws::UnparsedPublicKey::new(algorithm, key.key_bits()).verify(message, signature).is_ok()
    }
}

fn hash_algorithm(reader: &mut asn1::Reader<'_>) -> Option<Digest> {
    let element = reader.expect(asn1::SEQUENCE, "a hash algorithm").ok()?;
    if !reader.is_empty() {
        return None;
    }
    let mut fields = element.reader();
    let digest = match fields.expect(asn1::OID, "a hash algorithm").ok()?.oid().ok()? {
        oids::ID_SHA_256 => Digest::Sha256,
        oids::ID_SHA_384 => Digest::Sha384,
        oids::ID_SHA_512 => Digest::Sha512,
        _ => return None,
    };
    // RFC 4055 section 2.1: NULL or absent.
    fields.optional(asn1::NULL).ok()?;
    fields.is_empty().then_some(digest)
}

/// Names of algorithms whose hash function no longer resists collisions.
fn broken(oid: ObjectIdentifier) -> Option<&'static str> {
    const SHA1_RSA_OIW: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.29");
    const ECDSA_WITH_SHA_1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.1");
    match oid {
        oids::SHA_1_WITH_RSA_ENCRYPTION | SHA1_RSA_OIW => Some("RSA with SHA-1"),
        ECDSA_WITH_SHA_1 => Some("ECDSA with SHA-1"),
        oids::DSA_WITH_SHA_1 => Some("DSA with SHA-1"),
        oids::MD_5_WITH_RSA_ENCRYPTION => Some("RSA with MD5"),
        oids::MD_2_WITH_RSA_ENCRYPTION => Some("RSA with MD2"),
        _ => None,
    }
}
