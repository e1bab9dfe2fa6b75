//! SubjectPublicKeyInfo from what tokens report, and signatures checked under it.

use crate::key::Algorithm;
use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use const_oid::ObjectIdentifier;
use der::asn1::{Any, AnyRef, BitString, Null, OctetStringRef, UintRef};
use der::{Decode, Encode, Sequence};
use spki::{AlgorithmIdentifier, SubjectPublicKeyInfo};

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// CKA_EC_PARAMS for each curve: a curve OID, or for Ed25519 the PrintableString that PKCS#11 3.0
/// §2.3.10 names first and SoftHSM wants.
pub(crate) fn ec_params(algorithm: Algorithm) -> Option<Vec<u8>> {
    match algorithm {
        Algorithm::P256 => Some(P256),
        Algorithm::P384 => Some(P384),
        _ => None,
    }
    .map(|oid| oid.to_der().expect("an object identifier always encodes"))
}

/// PrintableString «edwards25519», the curve's name in CKA_EC_PARAMS.
pub(crate) const EDWARDS25519_NAME: &[u8] = b"\x13\x0cedwards25519";
/// The curve's OID, which some tokens take or report instead.
pub(crate) const EDWARDS25519_OID: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];

/// The SPKI of an EC or Edwards key from CKA_EC_PARAMS and CKA_EC_POINT.
///
/// The standard wraps the point in an OCTET STRING; several tokens report it bare.
pub(crate) fn from_ec(params: &[u8], point: &[u8]) -> Result<(Algorithm, Vec<u8>), String> {
    let inner = <&OctetStringRef>::from_der(point).map(OctetStringRef::as_bytes).ok();
    if params == EDWARDS25519_NAME || params == EDWARDS25519_OID {
        let key = [inner.unwrap_or(point), point]
            .into_iter()
            .find(|bytes| bytes.len() == 32)
            .ok_or_else(|| format!("CKA_EC_POINT of {} bytes is no Ed25519 key", point.len()))?;
        return Ok((Algorithm::Ed25519, encode(ED25519, None, key)?));
    }
    let curve = ObjectIdentifier::from_der(params)
        .map_err(|_| "CKA_EC_PARAMS does not name a curve".to_owned())?;
    let (algorithm, len) = match curve {
        P256 => (Algorithm::P256, 65),
        P384 => (Algorithm::P384, 97),
        other => return Err(format!("curve {other} is not supported")),
    };
    let key = [inner.unwrap_or(point), point]
        .into_iter()
        .find(|bytes| bytes.len() == len && bytes[0] == 4)
        .ok_or_else(|| format!("CKA_EC_POINT of {} bytes is no uncompressed point", point.len()))?;
    let parameters = Any::from(curve);
    Ok((algorithm, encode(EC_PUBLIC_KEY, Some(parameters), key)?))
}

#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

/// The SPKI of an RSA key from CKA_MODULUS and CKA_PUBLIC_EXPONENT, both big-endian.
pub(crate) fn from_rsa(modulus: &[u8], exponent: &[u8]) -> Result<(Algorithm, Vec<u8>), String> {
    let modulus = UintRef::new(modulus).map_err(|e| format!("CKA_MODULUS: {e}"))?;
    let exponent = UintRef::new(exponent).map_err(|e| format!("CKA_PUBLIC_EXPONENT: {e}"))?;
    let bytes = modulus.as_bytes();
    let bits = bytes.len() * 8 - bytes.first().map_or(0, |b| b.leading_zeros() as usize);
    let algorithm = match bits {
        2048 => Algorithm::Rsa2048,
        3072 => Algorithm::Rsa3072,
        4096 => Algorithm::Rsa4096,
        other => return Err(format!("RSA keys of {other} bits are not supported")),
    };
    let key = RsaPublicKey { modulus, exponent }.to_der().map_err(|e| e.to_string())?;
    Ok((algorithm, encode(RSA, Some(Any::from(Null)), &key)?))
}

/// The SPKI of a bare Ed25519 key.
pub(crate) fn from_ed25519(key: &[u8]) -> Result<Vec<u8>, String> {
    encode(ED25519, None, key)
}

fn encode(oid: ObjectIdentifier, parameters: Option<Any>, key: &[u8]) -> Result<Vec<u8>, String> {
    SubjectPublicKeyInfo {
        algorithm: AlgorithmIdentifier { oid, parameters },
        subject_public_key: BitString::from_bytes(key).map_err(|e| e.to_string())?,
    }
    .to_der()
    .map_err(|e| e.to_string())
}

/// Verifies a signature in the form the worker returns it. False for every reason not to trust it.
pub(crate) fn verify(spki_der: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Ok(info) = SubjectPublicKeyInfo::<AnyRef<'_>, BitString>::from_der(spki_der) else {
        return false;
    };
    let curve = info.algorithm.parameters.and_then(|p| p.decode_as::<ObjectIdentifier>().ok());
    let algorithm: &'static dyn VerificationAlgorithm = match (info.algorithm.oid, curve) {
        (EC_PUBLIC_KEY, Some(P256)) => &signature::ECDSA_P256_SHA256_FIXED,
        (EC_PUBLIC_KEY, Some(P384)) => &signature::ECDSA_P384_SHA384_FIXED,
        (RSA, _) => &signature::RSA_PKCS1_2048_8192_SHA256,
        (ED25519, _) => &signature::ED25519,
        _ => return false,
    };
    UnparsedPublicKey::new(algorithm, info.subject_public_key.raw_bytes())
        .verify(message, signature)
        .is_ok()
}

/// The algorithm of a key, if it is one of ours.
pub(crate) fn algorithm(spki_der: &[u8]) -> Option<Algorithm> {
    let info = SubjectPublicKeyInfo::<AnyRef<'_>, BitString>::from_der(spki_der).ok()?;
    let curve = info.algorithm.parameters.and_then(|p| p.decode_as::<ObjectIdentifier>().ok());
    match (info.algorithm.oid, curve) {
        (EC_PUBLIC_KEY, Some(P256)) => Some(Algorithm::P256),
        (EC_PUBLIC_KEY, Some(P384)) => Some(Algorithm::P384),
        (ED25519, _) => Some(Algorithm::Ed25519),
        (RSA, _) => {
            let key = RsaPublicKey::from_der(info.subject_public_key.raw_bytes()).ok()?;
            from_rsa(key.modulus.as_bytes(), key.exponent.as_bytes()).ok().map(|(a, _)| a)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
