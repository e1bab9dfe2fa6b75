//! Signed statements (DESIGN section 3, «What is signed»).

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use der::Decode;
use der::oid::ObjectIdentifier;
use policy::Fact;
use policy::fact::mint;
use spki::SubjectPublicKeyInfoRef;
use wire::intent::Intent;
use wire::statement::{SignatureAlgorithm, SignedStatement, Statement};
use wire::{Encoded, FormatError, Hash32, octets};

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Why signed bytes prove nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The intent or the statement is not of its format.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The statement is about another intent.
    #[error("the statement signs intent {found}; the intent given has hash {expected}")]
    Intent {
        /// Hash of the intent given.
        expected: Hash32,
        /// Hash in the statement.
        found: Hash32,
    },
    /// The key given is not the one the statement names.
    #[error("the statement names signer {found}; the key given has hash {expected}")]
    Signer {
        /// Hash of the key given.
        expected: Hash32,
        /// Hash in the statement.
        found: Hash32,
    },
    /// The key is of a kind that the algorithm does not fit.
    #[error("the signer's key does not fit the algorithm {0}")]
    Algorithm(SignatureAlgorithm),
    /// The remark is not the one that was signed.
    #[error("the remark is not the one whose hash the statement has")]
    Remark,
    /// The signature does not verify.
    #[error("the statement's signature does not verify under the signer's key")]
    Signature,
}

/// Verifies a signed statement over an intent (both DER). `spki` is the signer's
/// SubjectPublicKeyInfo as the state has it, never as the message brings it.
///
/// # Errors
/// Says which part does not hold.
pub fn statement(signed: &[u8], intent: &[u8], spki: &[u8]) -> Result<Fact, StatementError> {
    let signed = SignedStatement::from_canonical(signed)?;
    let parsed = Intent::from_canonical(intent)?;
    let (expected, found) = (Hash32::of(intent), signed.statement.intent);
    if expected != found {
        return Err(StatementError::Intent { expected, found });
    }
    let (expected, found) = (Hash32::of(spki), signed.signer);
    if expected != found {
        return Err(StatementError::Signer { expected, found });
    }
    remark_fits(&signed.statement, signed.remark.as_deref())?;
    let message = signed.statement.to_canonical();
    verify_signature(signed.algorithm, spki, &message, signed.signature.as_bytes())?;
    Ok(mint::signed(signed.statement, signed.signer, parsed))
}

/// A statement with a remark's hash comes with that remark. One without proves none.
pub(crate) fn remark_fits(
    statement: &Statement,
    remark: Option<&str>,
) -> Result<(), StatementError> {
    let found = remark.map(|text| Hash32::of(text.as_bytes()));
    if statement.remark.is_some() && found != statement.remark {
        return Err(StatementError::Remark);
    }
    Ok(())
}

/// Verifies a signature by the key in a SubjectPublicKeyInfo (DER).
///
/// # Errors
/// [`StatementError::Algorithm`] when the key is of another kind, [`StatementError::Signature`]
/// when the signature does not verify.
pub fn verify_signature(
    algorithm: SignatureAlgorithm,
    spki: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), StatementError> {
    let unfit = || StatementError::Algorithm(algorithm);
    let info = SubjectPublicKeyInfoRef::from_der(spki).map_err(|_| unfit())?;
    let curve = info.algorithm.parameters_oid().ok();
    let (oid, verifier): (_, &'static dyn VerificationAlgorithm) = match algorithm {
        SignatureAlgorithm::EcdsaP256Sha256 => (EC_PUBLIC_KEY, &signature::ECDSA_P256_SHA256_ASN1),
        SignatureAlgorithm::EcdsaP384Sha384 => (EC_PUBLIC_KEY, &signature::ECDSA_P384_SHA384_ASN1),
        SignatureAlgorithm::RsaPkcs1Sha256 => {
            (RSA_ENCRYPTION, &signature::RSA_PKCS1_2048_8192_SHA256)
        }
        SignatureAlgorithm::Ed25519 => (ED25519, &signature::ED25519),
    };
    let curve_fits = match algorithm {
        SignatureAlgorithm::EcdsaP256Sha256 => curve == Some(SECP256R1),
        SignatureAlgorithm::EcdsaP384Sha384 => curve == Some(SECP384R1),
        SignatureAlgorithm::RsaPkcs1Sha256 | SignatureAlgorithm::Ed25519 => true,
    };
    if info.algorithm.oid != oid || !curve_fits {
        return Err(unfit());
    }
    let key = info.subject_public_key.as_bytes().ok_or_else(unfit)?;
    UnparsedPublicKey::new(verifier, key)
        .verify(message, signature)
        .map_err(|_| StatementError::Signature)
}

/// Puts a signed statement together. `sign` is given the DER to be signed and returns the
/// signature in the form that `algorithm` says.
///
/// # Errors
/// Hands on what `sign` fails with.
pub fn sign_statement<E>(
    statement: Statement,
    spki: &[u8],
    algorithm: SignatureAlgorithm,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<SignedStatement, E> {
    let signature = octets(&sign(&statement.to_canonical())?);
    Ok(SignedStatement {
        version: 1,
        statement,
        signer: Hash32::of(spki),
        algorithm,
        signature,
        remark: None,
    })
}

#[cfg(test)]
pub(crate) mod tests;
