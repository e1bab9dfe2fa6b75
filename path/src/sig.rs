//! Public keys and the signatures made with them.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    self, RsaParameters, RsaPssSaltLength, RsaPublicKeyComponents, UnparsedPublicKey,
    VerificationAlgorithm,
};
use thiserror::Error;

use crate::asn1::{BIT_STRING, INTEGER, OID, Oid, ParseError, Reader, SEQUENCE, Tlv, context};
use crate::dss::{self, DsaParameters};
use crate::oid;
use crate::profile::Profile;

/// The smallest RSA modulus that is safe, in bits: the floor of `strict`.
pub const MIN_RSA_BITS: usize = 2048;
/// The smallest RSA modulus taken at all, in bits; below it keys have been factored.
pub const MIN_OBSOLETE_RSA_BITS: usize = 1024;
/// The smallest prime of DSA taken, in bits (FIPS 186-4 4.2).
pub const MIN_DSA_BITS: usize = 1024;
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
    /// DSA (RFC 3279 2.3.2).
    Dsa {
        /// The shared numbers; none where they are those of the issuer's key.
        parameters: Option<Box<DsaParameters>>,
        /// The public number, big-endian without leading zeros.
        y: Vec<u8>,
    },
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
                let modulus = key.expect(INTEGER, "modulus")?.positive()?;
                let exponent = key.expect(INTEGER, "publicExponent")?.positive()?;
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
            oid::DSA => {
                let parameters = match &algorithm.parameters {
                    Some(tlv) if tlv.tag == SEQUENCE => Some(Box::new(DsaParameters::read(tlv)?)),
                    // Absent means inherited (RFC 3279 2.3.2); NULL is what some wrote instead.
                    _ if algorithm.plain() => None,
                    _ => return Ok(unsupported),
                };
                let mut reader = Reader::at(octets, bits.offset + bits.raw.len() - octets.len());
                let y = reader.expect(INTEGER, "DSA public key")?.positive()?;
                reader.finish()?;
                Self::Dsa { parameters, y }
            }
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
            Self::Dsa { parameters: Some(p), .. } => format!("DSA-{}", p.bits()),
            Self::Dsa { parameters: None, .. } => "DSA".into(),
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

    /// Its numbers are shared with the issuer's key and stand only there.
    pub(crate) fn inherits(&self) -> bool {
        matches!(self, Self::Dsa { parameters: None, .. })
    }

    /// This key with the numbers it shares with its issuer's (RFC 5280 6.1.4 (d) to (f)).
    pub(crate) fn with_parameters_of(&self, issuer: &Self) -> Self {
        match (self, issuer) {
            (Self::Dsa { parameters: None, y }, Self::Dsa { parameters, .. }) => {
                Self::Dsa { parameters: parameters.clone(), y: y.clone() }
            }
            _ => self.clone(),
        }
    }

    /// Refuses a key too weak, or so large that using it is an attack.
    pub(crate) fn check_strength(&self, profile: Profile) -> Result<(), SignatureError> {
        let Self::Rsa { exponent, .. } = self else {
            return match (self, profile) {
                (Self::Dsa { .. }, Profile::Strict) => Err(SignatureError::Obsolete("DSA")),
                (Self::Dsa { parameters: Some(parameters), .. }, Profile::Rfc5280)
                    if parameters.bits() < MIN_DSA_BITS =>
                {
                    let bits = parameters.bits();
                    Err(SignatureError::DsaTooSmall { bits, min: MIN_DSA_BITS })
                }
                // How strong the others are is not known; some are of 112 bits.
                (Self::Unsupported(kind), Profile::Strict)
                    if kind.as_bytes() == oid::EC_PUBLIC_KEY =>
                {
                    Err(SignatureError::Curve)
                }
                _ => Ok(()),
            };
        };
        let bits = self.rsa_bits().unwrap_or(0);
        let min = match profile {
            Profile::Rfc5280 => MIN_OBSOLETE_RSA_BITS,
            Profile::Strict => MIN_RSA_BITS,
        };
        if bits < min {
            return Err(SignatureError::RsaTooSmall { bits, min });
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
    Sha1,
    Sha224,
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
    Dsa(Hash),
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
    /// MD2, MD5, or SHA-1 in RSASSA-PSS; under `strict` also SHA-1 and DSA.
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
    /// A prime below the floor.
    #[error("a DSA key of {bits} bits; at least {min} are required")]
    DsaTooSmall {
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
    /// A curve other than NIST's three; under `strict` only.
    #[error("a key on a curve other than P-256, P-384 and P-521")]
    Curve,
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
            oid::SHA1_RSA if plain => Self::RsaPkcs1(Hash::Sha1),
            oid::ECDSA_SHA1 if plain => Self::Ecdsa(Hash::Sha1),
            oid::DSA_SHA1 if plain => Self::Dsa(Hash::Sha1),
            oid::DSA_SHA224 if plain => Self::Dsa(Hash::Sha224),
            oid::DSA_SHA256 if plain => Self::Dsa(Hash::Sha256),
            oid::MD2_RSA => Self::Obsolete("MD2"),
            oid::MD5_RSA => Self::Obsolete("MD5"),
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
            Self::Dsa(hash) => format!("DSA with {hash:?}"),
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
    profile: Profile,
) -> Result<(), SignatureError> {
    use SignatureAlgorithm as A;
    key.check_strength(profile)?;
    match algorithm {
        A::Obsolete(name) => return Err(SignatureError::Obsolete(name)),
        A::Unsupported(name) => return Err(SignatureError::Unsupported(name.clone())),
        A::RsaPkcs1(Hash::Sha1) | A::Ecdsa(Hash::Sha1) if profile == Profile::Strict => {
            return Err(SignatureError::Obsolete("SHA-1"));
        }
        _ => {}
    }
    let unsupported =
        || SignatureError::Unsupported(format!("{} by {}", algorithm.describe(), key.describe()));
    let verified = match (algorithm, key) {
        (A::RsaPkcs1(hash), PublicKey::Rsa { modulus, exponent, pss_only: false }) => {
            let small = key.rsa_bits().unwrap_or(0) < MIN_RSA_BITS;
            let parameters = pkcs1(*hash, small).ok_or_else(unsupported)?;
            verify_rsa(modulus, exponent, parameters, message, signature)
        }
        (A::RsaPss { .. }, PublicKey::Rsa { .. }) if key.rsa_bits().unwrap_or(0) < MIN_RSA_BITS => {
            return Err(unsupported());
        }
        (A::RsaPss { hash, salt }, PublicKey::Rsa { modulus, exponent, .. }) => {
            let parameters = match hash {
                Hash::Sha256 => signature::RSA_PSS_2048_8192_SHA256,
                Hash::Sha384 => signature::RSA_PSS_2048_8192_SHA384,
                Hash::Sha512 => signature::RSA_PSS_2048_8192_SHA512,
                Hash::Sha1 | Hash::Sha224 => return Err(unsupported()),
            }
            .with_pss_salt_length(RsaPssSaltLength::Custom(*salt));
            verify_rsa(modulus, exponent, &parameters, message, signature)
        }
        (A::Ecdsa(hash), PublicKey::Ec { curve, point }) => {
            let by = ecdsa(*curve, *hash).ok_or_else(unsupported)?;
            UnparsedPublicKey::new(by, point).verify(message, signature).map_err(drop)
        }
        (A::Ed25519, PublicKey::Ed25519(octets)) => {
            UnparsedPublicKey::new(&signature::ED25519, octets)
                .verify(message, signature)
                .map_err(drop)
        }
        (A::Dsa(hash), PublicKey::Dsa { parameters: Some(parameters), y }) => {
            let hash = match hash {
                Hash::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
                Hash::Sha224 => &digest::SHA224,
                Hash::Sha256 => &digest::SHA256,
                Hash::Sha384 => &digest::SHA384,
                Hash::Sha512 => &digest::SHA512,
            };
            let digest = digest::digest(hash, message);
            dss::verify(parameters, y, digest.as_ref(), signature).ok_or(())
        }
        _ => {
            let (algorithm, key) = (algorithm.describe(), key.describe());
            return Err(SignatureError::KeyMismatch { algorithm, key });
        }
    };
    verified.map_err(|()| SignatureError::Invalid { key: key.describe() })
}

fn pkcs1(hash: Hash, small: bool) -> Option<&'static RsaParameters> {
    Some(match (hash, small) {
        (Hash::Sha1, _) => &signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        (Hash::Sha256, true) => &signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        (Hash::Sha512, true) => &signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
        (Hash::Sha256, false) => &signature::RSA_PKCS1_2048_8192_SHA256,
        (Hash::Sha384, false) => &signature::RSA_PKCS1_2048_8192_SHA384,
        (Hash::Sha512, false) => &signature::RSA_PKCS1_2048_8192_SHA512,
        (Hash::Sha224, _) | (Hash::Sha384, true) => return None,
    })
}

fn ecdsa(curve: Curve, hash: Hash) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match (curve, hash) {
        (Curve::P256, Hash::Sha1) => &signature::ECDSA_P256_SHA1_ASN1,
        (Curve::P256, Hash::Sha256) => &signature::ECDSA_P256_SHA256_ASN1,
        (Curve::P256, Hash::Sha384) => &signature::ECDSA_P256_SHA384_ASN1,
        (Curve::P256, Hash::Sha512) => &signature::ECDSA_P256_SHA512_ASN1,
        (Curve::P384, Hash::Sha256) => &signature::ECDSA_P384_SHA256_ASN1,
        (Curve::P384, Hash::Sha384) => &signature::ECDSA_P384_SHA384_ASN1,
        (Curve::P384, Hash::Sha512) => &signature::ECDSA_P384_SHA512_ASN1,
        (Curve::P521, Hash::Sha1) => &signature::ECDSA_P521_SHA1_ASN1,
        (Curve::P521, Hash::Sha256) => &signature::ECDSA_P521_SHA256_ASN1,
        (Curve::P521, Hash::Sha384) => &signature::ECDSA_P521_SHA384_ASN1,
        (Curve::P521, Hash::Sha512) => &signature::ECDSA_P521_SHA512_ASN1,
        (Curve::P384, Hash::Sha1) | (_, Hash::Sha224) => return None,
    })
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
        .map_err(drop)
}

#[cfg(test)]
mod tests;
