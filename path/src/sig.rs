//! Public keys and the signatures made with them.

use aws_lc_rs::signature::{
    self, RsaParameters, RsaPssSaltLength, RsaPublicKeyComponents, UnparsedPublicKey,
    VerificationAlgorithm,
};
use thiserror::Error;

use crate::asn1::{BIT_STRING, INTEGER, OID, Oid, ParseError, Reader, SEQUENCE, Tlv, context};
use crate::oid;

/// The smallest RSA modulus taken, in bits.
pub const MIN_RSA_BITS: usize = 2048;
/// The largest; beyond it verification becomes an attack on the verifier.
pub const MAX_RSA_BITS: usize = 8192;

/// The curves of NIST that signatures and key agreement use here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// secp256r1.
    P256,
    /// secp384r1.
    P384,
    /// secp521r1.
    P521,
}

/// The key of a certificate, by algorithm. Whether a point lies on its curve is found when the key
/// is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// RSA (RFC 3279 2.3.1), or RSA for PSS only (RFC 4055 1.2).
    Rsa {
        /// The modulus, big-endian without leading zeros.
        modulus: Vec<u8>,
        /// The public exponent, big-endian without leading zeros.
        exponent: Vec<u8>,
        /// The key may only be used with RSASSA-PSS.
        pss_only: bool,
    },
    /// A point on a named curve (RFC 5480).
    Ec {
        /// The curve.
        curve: Curve,
        /// The point as SEC1 2.3.3 encodes it.
        point: Vec<u8>,
    },
    /// Ed25519 (RFC 8410), 32 octets.
    Ed25519(Vec<u8>),
    /// Anything else, by its algorithm.
    Unsupported(Oid),
}

impl PublicKey {
    pub(crate) fn read(spki: &Tlv<'_>) -> Result<Self, ParseError> {
        let mut fields = spki.reader();
        let algorithm = Algorithm::read(&fields.expect(SEQUENCE, "key algorithm")?)?;
        let bits = fields.expect(BIT_STRING, "subjectPublicKey")?;
        fields.finish()?;
        let octets = bits.bit_octets()?;
        let unsupported = Self::Unsupported(Oid::new(algorithm.oid));
        Ok(match algorithm.oid {
            oid::RSA_ENCRYPTION | oid::RSA_PSS => {
                let start = bits.offset + bits.raw.len() - octets.len();
                let mut reader = Reader::at(octets, start);
                let mut key = reader.expect(SEQUENCE, "RSAPublicKey")?.reader();
                reader.finish()?;
                let modulus = positive(&key.expect(INTEGER, "modulus")?)?;
                let exponent = positive(&key.expect(INTEGER, "publicExponent")?)?;
                key.finish()?;
                Self::Rsa { modulus, exponent, pss_only: algorithm.oid == oid::RSA_PSS }
            }
            oid::EC_PUBLIC_KEY => {
                let curve = match algorithm.parameters {
                    Some(Tlv { tag: OID, value: oid::P256, .. }) => Curve::P256,
                    Some(Tlv { tag: OID, value: oid::P384, .. }) => Curve::P384,
                    Some(Tlv { tag: OID, value: oid::P521, .. }) => Curve::P521,
                    _ => return Ok(unsupported),
                };
                Self::Ec { curve, point: octets.to_vec() }
            }
            oid::ED25519 => Self::Ed25519(octets.to_vec()),
            _ => unsupported,
        })
    }

    /// For people: `RSA-2048`, `P-256`.
    pub fn describe(&self) -> String {
        match self {
            Self::Rsa { .. } => format!("RSA-{}", self.rsa_bits().unwrap_or(0)),
            Self::Ec { curve: Curve::P256, .. } => "P-256".into(),
            Self::Ec { curve: Curve::P384, .. } => "P-384".into(),
            Self::Ec { curve: Curve::P521, .. } => "P-521".into(),
            Self::Ed25519(_) => "Ed25519".into(),
            Self::Unsupported(oid) => format!("key algorithm {oid}"),
        }
    }

    /// The length of an RSA modulus in bits.
    pub fn rsa_bits(&self) -> Option<usize> {
        match self {
            Self::Rsa { modulus, .. } => Some(
                modulus.first().map_or(0, |top| modulus.len() * 8 - top.leading_zeros() as usize),
            ),
            _ => None,
        }
    }

    /// Refuses a key too weak, or so large that using it is an attack.
    pub(crate) fn check_strength(&self) -> Result<(), SignatureError> {
        let Self::Rsa { exponent, .. } = self else { return Ok(()) };
        let bits = self.rsa_bits().unwrap_or(0);
        if bits < MIN_RSA_BITS {
            return Err(SignatureError::RsaTooSmall { bits, min: MIN_RSA_BITS });
        }
        if bits > MAX_RSA_BITS {
            return Err(SignatureError::RsaTooLarge { bits, max: MAX_RSA_BITS });
        }
        // 1 makes every message its own signature; even ones are no exponents at all.
        let odd = exponent.last().is_some_and(|last| last & 1 == 1);
        if !odd || exponent.as_slice() == [1] || exponent.len() > 5 {
            return Err(SignatureError::RsaExponent);
        }
        Ok(())
    }
}

fn positive(tlv: &Tlv<'_>) -> Result<Vec<u8>, ParseError> {
    match tlv.integer()? {
        [top, ..] if top & 0x80 != 0 => Err(tlv.error("a negative number in an RSA key")),
        [0] => Err(tlv.error("zero in an RSA key")),
        [0, rest @ ..] => Ok(rest.to_vec()),
        octets => Ok(octets.to_vec()),
    }
}

/// An AlgorithmIdentifier with its parts borrowed.
struct Algorithm<'a> {
    oid: &'a [u8],
    parameters: Option<Tlv<'a>>,
}

impl<'a> Algorithm<'a> {
    fn read(tlv: &Tlv<'a>) -> Result<Self, ParseError> {
        let mut fields = tlv.expect(SEQUENCE, "algorithm identifier")?.reader();
        let kind = fields.next()?;
        Oid::read(&kind)?;
        let parameters = if fields.is_empty() { None } else { Some(fields.next()?) };
        fields.finish()?;
        Ok(Self { oid: kind.value, parameters })
    }

    /// Absent, or NULL.
    fn plain(&self) -> bool {
        self.parameters.is_none_or(|p| p.raw == [0x05, 0x00])
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// What a certificate or CRL says it was signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SignatureAlgorithm {
    RsaPkcs1(Hash),
    RsaPss {
        hash: Hash,
        salt: u16,
    },
    Ecdsa(Hash),
    Ed25519,
    /// Known, and refused by this name.
    Obsolete(&'static str),
    Unsupported(String),
}

/// Why a signature does not count.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The bytes do not verify under the key.
    #[error("the signature does not verify under the issuer's {key} key")]
    Invalid {
        /// The issuer's key, in words.
        key: String,
    },
    /// SHA-1, MD5 or DSA.
    #[error("signed with {0}, which is no longer safe")]
    Obsolete(&'static str),
    /// An algorithm nobody here knows.
    #[error("signature algorithm not supported: {0}")]
    Unsupported(String),
    /// The algorithm is for another kind of key.
    #[error("signature algorithm {algorithm} cannot be made with a key of kind {key}")]
    KeyMismatch {
        /// The algorithm named by the signed object.
        algorithm: String,
        /// The issuer's key, in words.
        key: String,
    },
    /// A modulus below the floor.
    #[error("an RSA key of {bits} bits; at least {min} are required")]
    RsaTooSmall {
        /// Found.
        bits: usize,
        /// Required.
        min: usize,
    },
    /// A modulus above the ceiling.
    #[error("an RSA key of {bits} bits; at most {max} are taken")]
    RsaTooLarge {
        /// Found.
        bits: usize,
        /// Allowed.
        max: usize,
    },
    /// An even exponent, 1, or one beyond 40 bits.
    #[error("an RSA public exponent that is even, 1, or longer than 40 bits")]
    RsaExponent,
}

impl SignatureAlgorithm {
    pub(crate) fn read(tlv: &Tlv<'_>) -> Result<Self, ParseError> {
        let algorithm = Algorithm::read(tlv)?;
        let plain = algorithm.plain();
        Ok(match algorithm.oid {
            oid::SHA256_RSA if plain => Self::RsaPkcs1(Hash::Sha256),
            oid::SHA384_RSA if plain => Self::RsaPkcs1(Hash::Sha384),
            oid::SHA512_RSA if plain => Self::RsaPkcs1(Hash::Sha512),
            oid::ECDSA_SHA256 if plain => Self::Ecdsa(Hash::Sha256),
            oid::ECDSA_SHA384 if plain => Self::Ecdsa(Hash::Sha384),
            oid::ECDSA_SHA512 if plain => Self::Ecdsa(Hash::Sha512),
            oid::ED25519 if algorithm.parameters.is_none() => Self::Ed25519,
            oid::RSA_PSS => Self::read_pss(algorithm.parameters)?,
            oid::MD5_RSA => Self::Obsolete("MD5"),
            oid::SHA1_RSA | oid::ECDSA_SHA1 => Self::Obsolete("SHA-1"),
            oid::DSA_SHA1 => Self::Obsolete("DSA"),
            other => Self::Unsupported(Oid::new(other).to_string()),
        })
    }

    /// RSASSA-PSS-params (RFC 4055 3.1). Every default there is SHA-1.
    fn read_pss(parameters: Option<Tlv<'_>>) -> Result<Self, ParseError> {
        let Some(parameters) = parameters else { return Ok(Self::Obsolete("SHA-1")) };
        let mut fields = parameters.expect(SEQUENCE, "RSASSA-PSS parameters")?.reader();
        let hash_of = |algorithm: &Algorithm<'_>| match algorithm.oid {
            oid::SHA256 if algorithm.plain() => Ok(Hash::Sha256),
            oid::SHA384 if algorithm.plain() => Ok(Hash::Sha384),
            oid::SHA512 if algorithm.plain() => Ok(Hash::Sha512),
            oid::SHA1 => Err(Self::Obsolete("SHA-1")),
            other => Err(Self::Unsupported(format!("RSASSA-PSS with {}", Oid::new(other)))),
        };
        let inner = |tlv: Tlv<'_>, what: &str| -> Result<Vec<u8>, ParseError> {
            let mut reader = tlv.reader();
            let value = reader.next().map_err(|_| tlv.error(format!("{what} is missing")))?;
            reader.finish()?;
            Ok(value.raw.to_vec())
        };
        let hash = fields.optional(context(0))?;
        let mgf = fields.optional(context(1))?;
        let salt = fields.optional(context(2))?;
        let trailer = fields.optional(context(3))?;
        fields.finish()?;
        let (Some(hash), Some(mgf)) = (hash, mgf) else { return Ok(Self::Obsolete("SHA-1")) };
        let hash = inner(hash, "hash")?;
        let hash = match hash_of(&Algorithm::read(&Reader::new(&hash).next()?)?) {
            Ok(hash) => hash,
            Err(refused) => return Ok(refused),
        };
        let mgf = inner(mgf, "mask generation function")?;
        let mgf = Algorithm::read(&Reader::new(&mgf).next()?)?;
        let mgf_hash = match mgf.parameters {
            Some(inner) if mgf.oid == oid::MGF1 => hash_of(&Algorithm::read(&inner)?),
            _ => return Ok(Self::Unsupported("RSASSA-PSS without MGF1".into())),
        };
        match mgf_hash {
            Ok(other) if other == hash => {}
            Ok(_) => return Ok(Self::Unsupported("RSASSA-PSS with two different hashes".into())),
            Err(refused) => return Ok(refused),
        }
        let number = |tlv: Tlv<'_>, what: &str| -> Result<u32, ParseError> {
            let der = inner(tlv, what)?;
            Reader::new(&der).expect(INTEGER, what)?.unsigned()
        };
        let salt = match salt {
            Some(tlv) => number(tlv, "salt length")?,
            None => 20,
        };
        if let Some(tlv) = trailer
            && number(tlv, "trailer field")? != 1
        {
            return Ok(Self::Unsupported("RSASSA-PSS with an unknown trailer".into()));
        }
        Ok(match u16::try_from(salt) {
            Ok(salt) => Self::RsaPss { hash, salt },
            Err(_) => Self::Unsupported(format!("RSASSA-PSS with a salt of {salt} bytes")),
        })
    }

    fn describe(&self) -> String {
        match self {
            Self::RsaPkcs1(hash) => format!("RSA PKCS#1 v1.5 with {hash:?}"),
            Self::RsaPss { hash, salt } => format!("RSASSA-PSS with {hash:?}, salt {salt}"),
            Self::Ecdsa(hash) => format!("ECDSA with {hash:?}"),
            Self::Ed25519 => "Ed25519".into(),
            Self::Obsolete(name) => (*name).into(),
            Self::Unsupported(name) => name.clone(),
        }
    }
}

/// Verifies `signature` by `key` over `message`, the bytes exactly as they were signed.
pub(crate) fn verify(
    algorithm: &SignatureAlgorithm,
    key: &PublicKey,
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureError> {
    key.check_strength()?;
    let invalid = || SignatureError::Invalid { key: key.describe() };
    let mismatch =
        || SignatureError::KeyMismatch { algorithm: algorithm.describe(), key: key.describe() };
    match (algorithm, key) {
        (SignatureAlgorithm::Obsolete(name), _) => Err(SignatureError::Obsolete(name)),
        (SignatureAlgorithm::Unsupported(name), _) => {
            Err(SignatureError::Unsupported(name.clone()))
        }
        (
            SignatureAlgorithm::RsaPkcs1(hash),
            PublicKey::Rsa { modulus, exponent, pss_only: false },
        ) => {
            let parameters = match hash {
                Hash::Sha256 => signature::RSA_PKCS1_2048_8192_SHA256,
                Hash::Sha384 => signature::RSA_PKCS1_2048_8192_SHA384,
                Hash::Sha512 => signature::RSA_PKCS1_2048_8192_SHA512,
            };
            verify_rsa(modulus, exponent, &parameters, message, signature).map_err(|()| invalid())
        }
        (SignatureAlgorithm::RsaPss { hash, salt }, PublicKey::Rsa { modulus, exponent, .. }) => {
            let parameters = match hash {
                Hash::Sha256 => signature::RSA_PSS_2048_8192_SHA256,
                Hash::Sha384 => signature::RSA_PSS_2048_8192_SHA384,
                Hash::Sha512 => signature::RSA_PSS_2048_8192_SHA512,
            }
            .with_pss_salt_length(RsaPssSaltLength::Custom(*salt));
            verify_rsa(modulus, exponent, &parameters, message, signature).map_err(|()| invalid())
        }
        (SignatureAlgorithm::Ecdsa(hash), PublicKey::Ec { curve, point }) => {
            let by: &'static dyn VerificationAlgorithm = match (curve, hash) {
                (Curve::P256, Hash::Sha256) => &signature::ECDSA_P256_SHA256_ASN1,
                (Curve::P256, Hash::Sha384) => &signature::ECDSA_P256_SHA384_ASN1,
                (Curve::P256, Hash::Sha512) => &signature::ECDSA_P256_SHA512_ASN1,
                (Curve::P384, Hash::Sha256) => &signature::ECDSA_P384_SHA256_ASN1,
                (Curve::P384, Hash::Sha384) => &signature::ECDSA_P384_SHA384_ASN1,
                (Curve::P384, Hash::Sha512) => &signature::ECDSA_P384_SHA512_ASN1,
                (Curve::P521, Hash::Sha256) => &signature::ECDSA_P521_SHA256_ASN1,
                (Curve::P521, Hash::Sha384) => &signature::ECDSA_P521_SHA384_ASN1,
                (Curve::P521, Hash::Sha512) => &signature::ECDSA_P521_SHA512_ASN1,
            };
            UnparsedPublicKey::new(by, point).verify(message, signature).map_err(|_| invalid())
        }
        (SignatureAlgorithm::Ed25519, PublicKey::Ed25519(octets)) => {
            UnparsedPublicKey::new(&signature::ED25519, octets)
                .verify(message, signature)
                .map_err(|_| invalid())
        }
        _ => Err(mismatch()),
    }
}

fn verify_rsa(
    modulus: &[u8],
    exponent: &[u8],
    parameters: &RsaParameters,
    message: &[u8],
    signature: &[u8],
) -> Result<(), ()> {
    RsaPublicKeyComponents { n: modulus, e: exponent }
        .verify(parameters, message, signature)
        .map_err(|_| ())
}
