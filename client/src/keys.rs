//! Keys of people: made, kept in files, used.

use std::path::Path;
use std::{fs, io};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{
    self, KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey,
};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, KeyPair as _, RSA_PKCS1_SHA256,
};
use aws_lc_rs::{agreement, rand::SystemRandom};
use wire::UserId;
use zeroize::Zeroizing;

use crate::asn1::{BIT_STRING, INTEGER, OID, SEQUENCE, SET, UTF8_STRING, context, oid, tlv};
use crate::files::{Existing, write_private};
use crate::pem;

/// The largest key file that is read, in bytes.
const MAX_KEY_FILE: u64 = 64 * 1024;

/// The kinds of keys an identity can have: those that can receive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// EC on P-256.
    #[default]
    P256,
    /// EC on P-384.
    P384,
    /// RSA, 2048 bits.
    Rsa2048,
    /// RSA, 3072 bits.
    Rsa3072,
    /// RSA, 4096 bits.
    Rsa4096,
}

impl KeyAlgorithm {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::P256, Self::P384, Self::Rsa2048, Self::Rsa3072, Self::Rsa4096];

    /// `p256`, `p384`, `rsa2048`, `rsa3072`, `rsa4096`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::Rsa2048 => "rsa2048",
            Self::Rsa3072 => "rsa3072",
            Self::Rsa4096 => "rsa4096",
        }
    }
}

impl std::str::FromStr for KeyAlgorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = || Self::ALL.map(Self::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == text)
            .ok_or_else(|| format!("unknown key algorithm {text:?}: {}", all()))
    }
}

/// Why a key could not be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file could not be read or written.
    #[error("{0}")]
    File(#[from] io::Error),
    /// Not the private key of a supported kind.
    #[error("not a usable private key: {0}")]
    Format(String),
    /// Protected by a password, which is not supported.
    #[error(
        "the key is encrypted with a password; take that off with `openssl pkey -in OLD -out NEW`"
    )]
    Encrypted,
    /// The cryptographic library failed.
    #[error("the cryptographic library failed")]
    Crypto,
}

/// With what a signer signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// ecdsa-with-SHA256 (RFC 5758 section 3.2).
    EcdsaSha256,
    /// ecdsa-with-SHA384.
    EcdsaSha384,
    /// sha256WithRSAEncryption (RFC 4055 section 5).
    RsaPkcs1Sha256,
}

impl SignatureAlgorithm {
    /// The AlgorithmIdentifier in DER.
    #[must_use]
    pub fn identifier(self) -> Vec<u8> {
        match self {
            Self::EcdsaSha256 => tlv(SEQUENCE, &[&tlv(OID, &[oid::ECDSA_SHA256])]),
            Self::EcdsaSha384 => tlv(SEQUENCE, &[&tlv(OID, &[oid::ECDSA_SHA384])]),
            Self::RsaPkcs1Sha256 => tlv(SEQUENCE, &[&tlv(OID, &[oid::SHA256_RSA]), &[0x05, 0x00]]),
        }
    }
}

/// Whatever holds a private key and signs with it: a file, a token, an agent.
pub trait Signer {
    /// The public half: a SubjectPublicKeyInfo in DER.
    fn spki_der(&self) -> &[u8];

    /// What [`sign`](Self::sign) signs with.
    fn algorithm(&self) -> SignatureAlgorithm;

    /// Signs the message, which it hashes itself. The result is as X.509 has it: for ECDSA a DER
    /// SEQUENCE of r and s.
    ///
    /// # Errors
    /// The key cannot be used now.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError>;
}

/// A private key in memory. Wiped when dropped; shows nothing of itself.
pub struct PrivateKey {
    pkcs8: Zeroizing<Vec<u8>>,
    spki: Vec<u8>,
    kind: Kind,
}

enum Kind {
    Ec { signing: EcdsaKeyPair, agreement: agreement::PrivateKey, algorithm: SignatureAlgorithm },
    Rsa { signing: rsa::KeyPair, decrypting: OaepPrivateDecryptingKey },
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrivateKey").finish_non_exhaustive()
    }
}

impl PrivateKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// [`KeyError::Crypto`].
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, KeyError> {
        let ec = |algorithm: &'static EcdsaSigningAlgorithm| {
            EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new())
                .map(|document| Zeroizing::new(document.as_ref().to_vec()))
        };
        let rsa = |size| {
            rsa::KeyPair::generate(size).and_then(|key| {
                let der: Pkcs8V1Der<'_> = key.as_der()?;
                Ok(Zeroizing::new(der.as_ref().to_vec()))
            })
        };
        let pkcs8 = match algorithm {
            KeyAlgorithm::P256 => ec(&ECDSA_P256_SHA256_ASN1_SIGNING),
            KeyAlgorithm::P384 => ec(&ECDSA_P384_SHA384_ASN1_SIGNING),
            KeyAlgorithm::Rsa2048 => rsa(KeySize::Rsa2048),
            KeyAlgorithm::Rsa3072 => rsa(KeySize::Rsa3072),
            KeyAlgorithm::Rsa4096 => rsa(KeySize::Rsa4096),
        };
        Self::from_der(&pkcs8.map_err(|_| KeyError::Crypto)?)
    }

    /// Reads DER: PKCS#8 (RFC 5208), an EC key (RFC 5915) or an RSA key (RFC 8017).
    ///
    /// # Errors
    /// [`KeyError::Format`].
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let curves = [
            (
                &agreement::ECDH_P256,
                &ECDSA_P256_SHA256_ASN1_SIGNING,
                SignatureAlgorithm::EcdsaSha256,
            ),
            (
                &agreement::ECDH_P384,
                &ECDSA_P384_SHA384_ASN1_SIGNING,
                SignatureAlgorithm::EcdsaSha384,
            ),
        ];
        let crypto = |_| KeyError::Crypto;
        for (exchange, signing, algorithm) in curves {
            let Ok(signing) = EcdsaKeyPair::from_private_key_der(signing, der) else { continue };
            let agreement = agreement::PrivateKey::from_private_key_der(exchange, der)
                .map_err(|_| KeyError::Crypto)?;
            let spki: PublicKeyX509Der<'_> = signing.public_key().as_der().map_err(crypto)?;
            let pkcs8 = signing.to_pkcs8v1().map_err(crypto)?;
            return Ok(Self {
                spki: spki.as_ref().to_vec(),
                pkcs8: Zeroizing::new(pkcs8.as_ref().to_vec()),
                kind: Kind::Ec { signing, agreement, algorithm },
            });
        }
        let signing = rsa::KeyPair::from_pkcs8(der).or_else(|_| rsa::KeyPair::from_der(der));
        let signing = signing.map_err(|_| {
            KeyError::Format("P-256, P-384 and RSA from 2048 bits in PKCS#8, SEC1 or PKCS#1".into())
        })?;
        let spki: PublicKeyX509Der<'_> = signing.public_key().as_der().map_err(crypto)?;
        let pkcs8: Pkcs8V1Der<'_> = signing.as_der().map_err(crypto)?;
        let pkcs8 = Zeroizing::new(pkcs8.as_ref().to_vec());
        let decrypting = PrivateDecryptingKey::from_pkcs8(&pkcs8)
            .map_err(|_| KeyError::Crypto)
            .and_then(|key| OaepPrivateDecryptingKey::new(key).map_err(crypto))?;
        let spki = spki.as_ref().to_vec();
        Ok(Self { spki, pkcs8, kind: Kind::Rsa { signing, decrypting } })
    }

    /// Reads PEM as openssl writes it, or DER.
    ///
    /// # Errors
    /// [`KeyError::Format`], or [`KeyError::Encrypted`].
    pub fn from_pem_or_der(input: &[u8]) -> Result<Self, KeyError> {
        let Ok(text) = std::str::from_utf8(input) else { return Self::from_der(input) };
        if !text.contains("-----BEGIN ") {
            return Self::from_der(input);
        }
        if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
            || text.contains("Proc-Type: 4,ENCRYPTED")
        {
            return Err(KeyError::Encrypted);
        }
        // An EC PARAMETERS block before the key is passed over.
        let label = ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"]
            .into_iter()
            .find(|label| text.contains(&format!("-----BEGIN {label}-----")))
            .ok_or_else(|| KeyError::Format("no PEM block labelled PRIVATE KEY".into()))?;
        Self::from_der(&pem::block(input, label).map_err(KeyError::Format)?)
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// See [`KeyError`]; the path is in the message.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
        let length = fs::metadata(path).map_err(named)?.len();
        if length > MAX_KEY_FILE {
            return Err(KeyError::Format(format!("{}: {length} bytes", path.display())));
        }
        let content = Zeroizing::new(fs::read(path).map_err(named)?);
        Self::from_pem_or_der(&content).map_err(|e| match e {
            KeyError::Format(why) => KeyError::Format(format!("{}: {why}", path.display())),
            other => other,
        })
    }

    /// Writes the key as PKCS#8 PEM that only the owner can read. An existing file is never
    /// replaced: it may be the only copy of a key.
    ///
    /// # Errors
    /// [`KeyError::File`].
    pub fn save_new(&self, path: &Path) -> Result<(), KeyError> {
        let text = pem::encode("PRIVATE KEY", &self.pkcs8);
        Ok(write_private(path, text.as_bytes(), Existing::Keep)?)
    }

    /// The content key that was encrypted to this key by RSAES-OAEP, if it was.
    pub(crate) fn decrypt_oaep(&self, encrypted: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let Kind::Rsa { decrypting, .. } = &self.kind else { return None };
        let mut out = Zeroizing::new(vec![0; decrypting.min_output_size()]);
        let length = decrypting
            .decrypt(&OAEP_SHA256_MGF1SHA256, encrypted, &mut out, None)
            .ok()
            .map(|content_key| content_key.len())?;
        out.truncate(length);
        Some(out)
    }

    /// What follows from the secret shared with the holder of this point, if the key is on a curve
    /// and the point too.
    pub(crate) fn agree(
        &self,
        point: &[u8],
        derive: impl FnOnce(&[u8]) -> Zeroizing<Vec<u8>>,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let Kind::Ec { agreement, .. } = &self.kind else { return None };
        let peer = agreement::UnparsedPublicKey::new(agreement.algorithm(), point);
        agreement::agree(agreement, peer, (), |secret| Ok(derive(secret))).ok()
    }
}

impl Signer for PrivateKey {
    fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match &self.kind {
            Kind::Ec { algorithm, .. } => *algorithm,
            Kind::Rsa { .. } => SignatureAlgorithm::RsaPkcs1Sha256,
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let random = SystemRandom::new();
        match &self.kind {
            Kind::Ec { signing, .. } => signing
                .sign(&random, message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| KeyError::Crypto),
            Kind::Rsa { signing, .. } => {
                let mut out = vec![0; signing.public_modulus_len()];
                signing
                    .sign(&RSA_PKCS1_SHA256, &random, message, &mut out)
                    .map_err(|_| KeyError::Crypto)?;
                Ok(out)
            }
        }
    }
}

/// A certification request (RFC 2986) in DER for this id, signed by the key: the subject is the
/// common name alone, nothing is requested.
///
/// # Errors
/// The signer's.
pub fn certification_request(signer: &dyn Signer, uid: &UserId) -> Result<Vec<u8>, KeyError> {
    let common_name = tlv(
        SEQUENCE,
        &[&tlv(OID, &[oid::COMMON_NAME]), &tlv(UTF8_STRING, &[uid.as_str().as_bytes()])],
    );
    let subject = tlv(SEQUENCE, &[&tlv(SET, &[&common_name])]);
    let info = tlv(
        SEQUENCE,
        &[&tlv(INTEGER, &[&[0]]), &subject, signer.spki_der(), &tlv(context(0), &[])],
    );
    let signature = signer.sign(&info)?;
    Ok(tlv(
        SEQUENCE,
        &[&info, &signer.algorithm().identifier(), &tlv(BIT_STRING, &[&[0], &signature])],
    ))
}

/// The same as PEM.
///
/// # Errors
/// The signer's.
pub fn certification_request_pem(signer: &dyn Signer, uid: &UserId) -> Result<String, KeyError> {
    let der = certification_request(signer, uid)?;
    Ok(pem::encode("CERTIFICATE REQUEST", &der).as_str().to_owned())
}

#[cfg(test)]
mod tests;
