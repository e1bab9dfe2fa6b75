//! Public keys and the rules that say which of them may be certified.

mod blocklist;
mod rsa;

use std::fmt;
use std::sync::Arc;

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5912 as oids;
use sha2::{Digest as _, Sha256};
use wire::Hash32;

pub use self::blocklist::{BlockReason, Blocklist, BlocklistError};
use crate::asn1::{self, DerFault, Reader, Tlv};

/// The kinds of keys that are certified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyAlgorithm {
    /// ECC on NIST P-256 (secp256r1).
    P256,
    /// ECC on NIST P-384 (secp384r1).
    P384,
    /// RSA with a modulus of this many bits.
    Rsa {
        /// Bits of the modulus.
        bits: u32,
    },
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::P256 => f.write_str("P-256"),
            Self::P384 => f.write_str("P-384"),
            Self::Rsa { bits } => write!(f, "RSA-{bits}"),
        }
    }
}

/// Which keys are acceptable.
#[derive(Debug, Clone)]
pub struct KeyRules {
    rsa_min: u32,
    rsa_max: u32,
    blocklist: Arc<Blocklist>,
}

impl KeyRules {
    /// Rules for people's keys: P-256, P-384, RSA 2048 to 4096 bits.
    #[must_use]
    pub fn identity(blocklist: Arc<Blocklist>) -> Self {
        Self { rsa_min: 2048, rsa_max: 4096, blocklist }
    }

    /// Rules for keys of certificate authorities: P-256, P-384, RSA 3072 to 4096 bits.
    #[must_use]
    pub fn authority() -> Self {
        Self { rsa_min: 3072, rsa_max: 4096, blocklist: Arc::default() }
    }

    /// Rules for keys that somebody else certified and that are only read here: RSA 2048 to 8192.
    #[must_use]
    pub fn foreign() -> Self {
        Self { rsa_min: 2048, rsa_max: 8192, blocklist: Arc::default() }
    }

    /// Demands at least this many bits of RSA keys; never less than 2048 nor more than the maximum.
    #[must_use]
    pub fn with_rsa_min(self, bits: u32) -> Self {
        Self { rsa_min: bits.clamp(2048, self.rsa_max), ..self }
    }
}

/// Why a public key is not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The SubjectPublicKeyInfo is not strict DER.
    #[error("the public key is not valid DER {0}")]
    Der(#[from] DerFault),
    /// A kind of key that cannot serve.
    #[error("{name} keys are not accepted: {reason}")]
    Unsupported {
        /// Name of the algorithm, or its OID.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// Another elliptic curve.
    #[error("the curve {name} is not accepted; P-256 and P-384 are")]
    Curve {
        /// Name of the curve, or its OID.
        name: String,
    },
    /// The point is not on the curve.
    #[error("the public point is not on {curve} (at byte {offset})")]
    OffCurve {
        /// The curve.
        curve: KeyAlgorithm,
        /// Byte offset of the point.
        offset: u64,
    },
    /// Not the uncompressed form. A key must have one encoding only, or hashes would not name it.
    #[error(
        "the public point at byte {offset} has {found} octets starting with 0x{first:02x}; \
         the uncompressed form of {curve} has {expected} starting with 0x04 (RFC 5480 section 2.2)"
    )]
    PointForm {
        /// The curve.
        curve: KeyAlgorithm,
        /// Octets found.
        found: usize,
        /// First octet found.
        first: u8,
        /// Octets expected.
        expected: usize,
        /// Byte offset of the point.
        offset: u64,
    },
    /// Parameters that do not belong to the algorithm.
    #[error("the algorithm parameters at byte {offset} are not {expected}")]
    Parameters {
        /// What they should be.
        expected: &'static str,
        /// Byte offset of the parameters.
        offset: u64,
    },
    /// An RSA modulus that is too short.
    #[error("RSA with {bits} bits; at least {min} are required")]
    RsaTooSmall {
        /// Bits of the modulus.
        bits: u32,
        /// Least number allowed.
        min: u32,
    },
    /// An RSA modulus that is too long.
    #[error("RSA with {bits} bits; at most {max} are accepted")]
    RsaTooLarge {
        /// Bits of the modulus.
        bits: u32,
        /// Greatest number allowed.
        max: u32,
    },
    /// An RSA modulus whose length is not a multiple of 8 bits, which many tokens cannot use.
    #[error("RSA with {bits} bits; the number of bits must be a multiple of 8")]
    RsaOddLength {
        /// Bits of the modulus.
        bits: u32,
    },
    /// An even modulus.
    #[error("the RSA modulus is even")]
    RsaEven,
    /// An exponent out of range.
    #[error("the RSA exponent is {found}; it must be odd, above 65536 and below 2^32")]
    RsaExponent {
        /// The exponent, or its length where it is long.
        found: String,
    },
    /// The modulus has a small factor.
    #[error("the RSA modulus is divisible by {factor}")]
    RsaSmallFactor {
        /// The factor.
        factor: u16,
    },
    /// The two primes are so close that the modulus factors at once.
    #[error(
        "the RSA modulus was factored in {rounds} rounds of Fermat's method: its primes are too close"
    )]
    RsaClosePrimes {
        /// Rounds it took, from 1.
        rounds: u32,
    },
    /// CVE-2017-15361.
    #[error(
        "the RSA modulus has the form of the Infineon library's weak keys (ROCA, CVE-2017-15361)"
    )]
    Roca,
    /// The key is on a list of keys that are known to others.
    #[error("the key is on a list of compromised keys: {0}")]
    Blocked(BlockReason),
}

impl KeyError {
    /// Stable name of the reason.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Der(_) | Self::Parameters { .. } => "bad-encoding",
            Self::Unsupported { .. } | Self::Curve { .. } | Self::PointForm { .. } => {
                "unsupported-key"
            }
            Self::OffCurve { .. } => "off-curve",
            Self::RsaTooSmall { .. }
            | Self::RsaTooLarge { .. }
            | Self::RsaOddLength { .. }
            | Self::RsaEven
            | Self::RsaExponent { .. }
            | Self::RsaSmallFactor { .. }
            | Self::RsaClosePrimes { .. }
            | Self::Roca => "weak-key",
            Self::Blocked(_) => "compromised-key",
        }
    }

    /// What would have been accepted, and what was there.
    #[must_use]
    pub fn expected_and_found(&self) -> (String, String) {
        let both = |expected: &str, found: &str| (expected.to_owned(), found.to_owned());
        match self {
            Self::Der(fault) => ("a SubjectPublicKeyInfo in DER".into(), fault.to_string()),
            Self::Unsupported { name, .. } => both("a P-256, P-384 or RSA key", name),
            Self::Curve { name } => both("P-256 or P-384", name),
            Self::OffCurve { curve, .. } => (format!("a point on {curve}"), "another point".into()),
            Self::PointForm { found, first, expected, .. } => (
                format!("{expected} octets starting with 0x04"),
                format!("{found} octets starting with 0x{first:02x}"),
            ),
            Self::Parameters { expected, .. } => both(expected, "other parameters"),
            Self::RsaTooSmall { bits, min } => {
                (format!("at least {min} bits"), format!("{bits} bits"))
            }
            Self::RsaTooLarge { bits, max } => {
                (format!("at most {max} bits"), format!("{bits} bits"))
            }
            Self::RsaOddLength { bits } => ("a multiple of 8 bits".into(), format!("{bits} bits")),
            Self::RsaEven => both("an odd modulus", "an even one"),
            Self::RsaExponent { found } => both("odd, above 65536 and below 2^32", found),
            Self::RsaSmallFactor { factor } => {
                ("a product of two large primes".into(), format!("the factor {factor}"))
            }
            Self::RsaClosePrimes { rounds } => (
                "primes far from each other".into(),
                format!("primes found in {rounds} rounds of Fermat's method"),
            ),
            Self::Roca => both("random primes", "primes of the Infineon library's form"),
            Self::Blocked(reason) => ("a key that nobody else has".into(), reason.to_string()),
        }
    }

    /// Byte offset of the fault in the document, where there is one.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        match self {
            Self::Der(fault) => Some(fault.offset),
            Self::OffCurve { offset, .. }
            | Self::PointForm { offset, .. }
            | Self::Parameters { offset, .. } => Some(*offset),
            _ => None,
        }
    }
}

/// A public key that passed all rules, in the only encoding that is accepted for it.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: KeyAlgorithm,
    spki: Vec<u8>,
    bits_at: usize,
}

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).
    ///
    /// # Errors
    /// See [`KeyError`]; offsets count from the start of `spki`.
    pub fn parse(spki: &[u8], rules: &KeyRules) -> Result<Self, KeyError> {
        let mut reader = Reader::new(spki);
        let element = reader.expect(asn1::SEQUENCE, "SubjectPublicKeyInfo")?;
        reader.finish()?;
        asn1::check(&element)?;
        Self::from_element(&element, rules)
    }

    /// Reads a SubjectPublicKeyInfo inside of a document that was checked to be DER.
    pub(crate) fn from_element(element: &Tlv<'_>, rules: &KeyRules) -> Result<Self, KeyError> {
        let mut fields = element.reader();
        let mut identifier = fields.expect(asn1::SEQUENCE, "the key's algorithm")?.reader();
        let bits = fields.expect(asn1::BIT_STRING, "the key as a BIT STRING")?;
        fields.finish()?;
        let oid = identifier.expect(asn1::OID, "the key algorithm's OBJECT IDENTIFIER")?.oid()?;
        let algorithm = match oid {
            oids::RSA_ENCRYPTION => {
                let offset = identifier.offset() as u64;
                // RFC 3279 section 2.3.1. Leaving NULL out would give a key a second encoding.
                if identifier.optional(asn1::NULL)?.is_none() || !identifier.is_empty() {
                    return Err(KeyError::Parameters { expected: "NULL", offset });
                }
                rsa::check(&bits, rules)?
            }
            oids::ID_EC_PUBLIC_KEY => ec(&mut identifier, &bits)?,
            oid => return Err(unsupported(oid)),
        };
        let spki = element.raw().to_vec();
        if let Some(reason) = rules.blocklist.find_spki(&spki) {
            return Err(KeyError::Blocked(reason));
        }
        let bits_at = spki.len() - bits.bits()?.len();
        Ok(Self { algorithm, spki, bits_at })
    }

    /// The kind of key.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// The DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// SHA-256 of the DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki_hash(&self) -> Hash32 {
        Hash32::of(&self.spki)
    }

    /// The content of the key's BIT STRING: an uncompressed point, or a DER RSAPublicKey.
    #[must_use]
    pub fn key_bits(&self) -> &[u8] {
        &self.spki[self.bits_at..]
    }

    /// The key identifier: the leftmost 160 bits of SHA-256 over the key bits (RFC 7093 section 2,
    /// method 1), so that SHA-1 is needed nowhere.
    #[must_use]
    pub fn key_id(&self) -> [u8; 20] {
        let digest: [u8; 32] = Sha256::digest(self.key_bits()).into();
        let mut id = [0; 20];
        id.copy_from_slice(&digest[..20]);
        id
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, {})", self.algorithm, self.spki_hash())
    }
}

fn ec(identifier: &mut Reader<'_>, bits: &Tlv<'_>) -> Result<KeyAlgorithm, KeyError> {
    let offset = identifier.offset();
    let parameters = identifier.next("the named curve")?;
    identifier.finish()?;
    if parameters.tag == asn1::SEQUENCE {
        // CVE-2020-0601 was made of these.
        return Err(KeyError::Curve { name: "given by explicit parameters".into() });
    }
    if parameters.tag != asn1::OID {
        let (expected, offset) = ("a named curve", offset as u64);
        return Err(KeyError::Parameters { expected, offset });
    }
    let (curve, expected) = match parameters.oid()? {
        oids::SECP_256_R_1 => (KeyAlgorithm::P256, 65),
        oids::SECP_384_R_1 => (KeyAlgorithm::P384, 97),
        oid => return Err(KeyError::Curve { name: curve_name(oid) }),
    };
    let point = bits.bits()?;
    let offset = (bits.value_offset() + 1) as u64;
    if point.len() != expected || point[0] != 4 {
        let (found, first) = (point.len(), point.first().copied().unwrap_or_default());
        return Err(KeyError::PointForm { curve, found, first, expected, offset });
    }
    let on_curve = match curve {
        KeyAlgorithm::P256 => p256::PublicKey::from_sec1_bytes(point).is_ok(),
        _ => p384::PublicKey::from_sec1_bytes(point).is_ok(),
    };
    if on_curve { Ok(curve) } else { Err(KeyError::OffCurve { curve, offset }) }
}

fn curve_name(oid: ObjectIdentifier) -> String {
    match oid {
        oids::SECP_521_R_1 => "P-521".into(),
        oids::SECP_224_R_1 => "P-224".into(),
        oid if oid.to_string() == "1.3.132.0.10" => "secp256k1".into(),
        oid => oid.to_string(),
    }
}

fn unsupported(oid: ObjectIdentifier) -> KeyError {
    const SIGN_ONLY: &str = "an identity must be able to receive, and this kind only signs";
    const NO_PROOF: &str = "this kind cannot sign, so possession of it cannot be proven";
    let text = oid.to_string();
    let (name, reason) = match text.as_str() {
        "1.3.101.112" => ("Ed25519", SIGN_ONLY),
        "1.3.101.113" => ("Ed448", SIGN_ONLY),
        "1.3.101.110" => ("X25519", NO_PROOF),
        "1.3.101.111" => ("X448", NO_PROOF),
        "1.2.840.10040.4.1" => ("DSA", SIGN_ONLY),
        "1.2.840.113549.1.1.10" => ("RSASSA-PSS", SIGN_ONLY),
        "1.2.840.113549.1.1.7" => ("RSAES-OAEP", NO_PROOF),
        other => (other, "P-256, P-384 and RSA are"),
    };
    KeyError::Unsupported { name: name.to_owned(), reason }
}

#[cfg(test)]
mod tests;
