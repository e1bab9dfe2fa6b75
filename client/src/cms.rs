//! Sealing to people and opening what was sealed: CMS AuthEnvelopedData (RFC 5083) with
//! AES-256-GCM (RFC 5084).
//!
//! The content key goes to RSA recipients by RSAES-OAEP with SHA-256 (RFC 4055, RFC 3560), to EC
//! recipients by ephemeral-static ECDH with the X9.63 KDF on SHA-256 and AES-256 key wrap
//! (RFC 5753, RFC 3394). Each EC recipient gets an ephemeral key of its own. `openssl cms -decrypt`
//! opens the result.
//!
//! Own encoding, because the `cms` crate's key agreement wraps under a key of zeros; its builders
//! are not used.

mod open;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement;
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use aws_lc_rs::{digest, rand};
use path::{Certificate, Curve, PublicKey};
use zeroize::Zeroizing;

use crate::asn1::{
    BIT_STRING, INTEGER, OCTET_STRING, OID, SEQUENCE, SET, context, context_primitive, oid, tlv,
};
use crate::recipient::VerifiedRecipient;

pub use open::{OpenError, open};

/// The most that is sealed or opened at once, in bytes: all of it is held in memory, since nothing
/// may be released before the tag has been checked.
pub const MAX_CONTENT: usize = 192 * 1024 * 1024;

/// The most recipients of one message.
pub const MAX_RECIPIENTS: usize = 4096;

/// Why nothing was sealed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// A message that nobody could open.
    #[error("no recipient")]
    NoRecipients,
    /// More recipients than one message may have.
    #[error("{count} recipients; at most {MAX_RECIPIENTS} are possible")]
    TooManyRecipients {
        /// How many there are.
        count: usize,
    },
    /// More content than one message may have.
    #[error("{length} bytes; at most {MAX_CONTENT} are possible")]
    TooLarge {
        /// How many there are.
        length: usize,
    },
    /// A recipient's key cannot be used, which verification should have found.
    #[error("the key of recipient {index} ({key}) cannot be encrypted to")]
    Key {
        /// Position in the list of recipients.
        index: usize,
        /// The key in words.
        key: String,
    },
    /// The cryptographic library failed.
    #[error("the cryptographic library failed")]
    Crypto,
}

/// Seals `content` to all of these people; the DER of a ContentInfo.
///
/// # Errors
/// Nobody to seal to, too much of anything, or a failure of the cryptographic library.
pub fn seal(content: &[u8], recipients: &[VerifiedRecipient]) -> Result<Vec<u8>, SealError> {
    let certificates: Vec<&Certificate> = recipients.iter().map(|r| r.certificate()).collect();
    seal_to(content, &certificates)
}

/// The same for certificates, which the caller must have verified.
pub(crate) fn seal_to(content: &[u8], recipients: &[&Certificate]) -> Result<Vec<u8>, SealError> {
    if recipients.is_empty() {
        return Err(SealError::NoRecipients);
    }
    if recipients.len() > MAX_RECIPIENTS {
        return Err(SealError::TooManyRecipients { count: recipients.len() });
    }
    if content.len() > MAX_CONTENT {
        return Err(SealError::TooLarge { length: content.len() });
    }
    let mut content_key = Zeroizing::new([0; 32]);
    rand::fill(content_key.as_mut()).map_err(|_| SealError::Crypto)?;
    let mut infos = Vec::with_capacity(recipients.len());
    for (index, certificate) in recipients.iter().enumerate() {
        let info = recipient_info(certificate, &content_key)
            .map_err(|()| SealError::Key { index, key: certificate.public_key().describe() })?;
        infos.push(info);
    }
    // DER wants the members of a SET OF in order (X.690 11.6).
    infos.sort_unstable();

    let mut nonce = [0; 12];
    rand::fill(&mut nonce).map_err(|_| SealError::Crypto)?;
    let mut sealed = content.to_vec();
    // Without attributes the additional data are empty (RFC 5083 section 2.2).
    let tag = UnboundKey::new(&AES_256_GCM, content_key.as_ref())
        .map(LessSafeKey::new)
        .and_then(|key| {
            let nonce = Nonce::assume_unique_for_key(nonce);
            key.seal_in_place_separate_tag(nonce, Aad::empty(), &mut sealed)
        })
        .map_err(|_| SealError::Crypto)?;

    let infos: Vec<&[u8]> = infos.iter().map(Vec::as_slice).collect();
    // GCMParameters: the tag's length is not the default of 12 (RFC 5084 section 3.2).
    let parameters = tlv(SEQUENCE, &[&tlv(OCTET_STRING, &[&nonce]), &tlv(INTEGER, &[&[16]])]);
    let encrypted = tlv(
        SEQUENCE,
        &[
            &tlv(OID, &[oid::DATA]),
            &tlv(SEQUENCE, &[&tlv(OID, &[oid::AES256_GCM]), &parameters]),
            &tlv(context_primitive(0), &[&sealed]),
        ],
    );
    drop(sealed);
    let enveloped = tlv(
        SEQUENCE,
        &[
            &tlv(INTEGER, &[&[0]]),
            &tlv(SET, &infos),
            &encrypted,
            &tlv(OCTET_STRING, &[tag.as_ref()]),
        ],
    );
    drop(encrypted);
    Ok(tlv(SEQUENCE, &[&tlv(OID, &[oid::AUTH_ENVELOPED]), &tlv(context(0), &[&enveloped])]))
}

fn recipient_info(certificate: &Certificate, content_key: &[u8; 32]) -> Result<Vec<u8>, ()> {
    match certificate.public_key() {
        PublicKey::Rsa { pss_only: false, .. } => key_transport(certificate, content_key),
        PublicKey::Ec { curve: Curve::P256, point } => {
            key_agreement(certificate, &agreement::ECDH_P256, point, content_key)
        }
        PublicKey::Ec { curve: Curve::P384, point } => {
            key_agreement(certificate, &agreement::ECDH_P384, point, content_key)
        }
        _ => Err(()),
    }
}

/// KeyTransRecipientInfo (RFC 5652 section 6.2.1).
fn key_transport(certificate: &Certificate, content_key: &[u8; 32]) -> Result<Vec<u8>, ()> {
    let key = PublicEncryptingKey::from_der(certificate.spki_der()).map_err(|_| ())?;
    let key = OaepPublicEncryptingKey::new(key).map_err(|_| ())?;
    let mut buffer = vec![0; key.ciphertext_size()];
    let encrypted =
        key.encrypt(&OAEP_SHA256_MGF1SHA256, content_key, &mut buffer, None).map_err(|_| ())?;
    // The key identifier is preferred: it stays the same when the certificate is renewed.
    let (version, rid) = match certificate.subject_key_id() {
        Some(id) => (2, tlv(context_primitive(0), &[id])),
        None => (0, issuer_and_serial(certificate)),
    };
    Ok(tlv(
        SEQUENCE,
        &[&tlv(INTEGER, &[&[version]]), &rid, &oaep(), &tlv(OCTET_STRING, &[encrypted])],
    ))
}

/// RSAES-OAEP with SHA-256 for hash and mask, and no label (RFC 4055 section 4.1).
fn oaep() -> Vec<u8> {
    let sha256 = tlv(SEQUENCE, &[&tlv(OID, &[oid::SHA256]), &[0x05, 0x00]]);
    let mgf = tlv(SEQUENCE, &[&tlv(OID, &[oid::MGF1]), &sha256]);
    let parameters = tlv(SEQUENCE, &[&tlv(context(0), &[&sha256]), &tlv(context(1), &[&mgf])]);
    tlv(SEQUENCE, &[&tlv(OID, &[oid::RSA_OAEP]), &parameters])
}

/// KeyAgreeRecipientInfo (RFC 5652 section 6.2.2, RFC 5753 section 3.1.1).
fn key_agreement(
    certificate: &Certificate,
    algorithm: &'static agreement::Algorithm,
    point: &[u8],
    content_key: &[u8; 32],
) -> Result<Vec<u8>, ()> {
    let ephemeral = agreement::PrivateKey::generate(algorithm).map_err(|_| ())?;
    let ephemeral_point = ephemeral.compute_public_key().map_err(|_| ())?;
    let wrap = tlv(SEQUENCE, &[&tlv(OID, &[oid::AES256_WRAP])]);
    let peer = agreement::UnparsedPublicKey::new(algorithm, point);
    let kek = agreement::agree(&ephemeral, peer, (), |shared| {
        Ok(derive(&digest::SHA256, shared, &shared_info(&wrap, None, 32), 32))
    })?;
    let mut buffer = [0; 40];
    let wrapped = AesKek::new(&AES_256, &kek)
        .and_then(|kek| kek.wrap(content_key, &mut buffer))
        .map_err(|_| ())?;
    let rid = match certificate.subject_key_id() {
        Some(id) => tlv(context(0), &[&tlv(OCTET_STRING, &[id])]),
        None => issuer_and_serial(certificate),
    };
    // The curve is the recipient's, so the parameters are left out (RFC 5753 section 7.1.2).
    let originator = tlv(
        context(1),
        &[
            &tlv(SEQUENCE, &[&tlv(OID, &[oid::EC_PUBLIC_KEY])]),
            &tlv(BIT_STRING, &[&[0], ephemeral_point.as_ref()]),
        ],
    );
    Ok(tlv(
        context(1),
        &[
            &tlv(INTEGER, &[&[3]]),
            &tlv(context(0), &[&originator]),
            &tlv(SEQUENCE, &[&tlv(OID, &[oid::ECDH_SHA256]), &wrap]),
            &tlv(SEQUENCE, &[&tlv(SEQUENCE, &[&rid, &tlv(OCTET_STRING, &[wrapped])])]),
        ],
    ))
}

fn issuer_and_serial(certificate: &Certificate) -> Vec<u8> {
    tlv(SEQUENCE, &[certificate.issuer_der(), &tlv(INTEGER, &[certificate.serial()])])
}

/// ECC-CMS-SharedInfo (RFC 5753 section 7.2): what the derived key is for.
fn shared_info(wrap: &[u8], ukm: Option<&[u8]>, key_length: u32) -> Vec<u8> {
    let party = ukm.map(|ukm| tlv(context(0), &[&tlv(OCTET_STRING, &[ukm])])).unwrap_or_default();
    let bits = (key_length * 8).to_be_bytes();
    tlv(SEQUENCE, &[wrap, &party, &tlv(context(2), &[&tlv(OCTET_STRING, &[&bits])])])
}

/// The key derivation of ANSI X9.63 (SEC 1 section 3.6.1): a counter follows the secret.
fn derive(
    hash: &'static digest::Algorithm,
    shared: &[u8],
    info: &[u8],
    length: usize,
) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(length + hash.output_len()));
    let mut counter: u32 = 1;
    while out.len() < length {
        let mut context = digest::Context::new(hash);
        context.update(shared);
        context.update(&counter.to_be_bytes());
        context.update(info);
        out.extend_from_slice(context.finish().as_ref());
        counter += 1;
    }
    out.truncate(length);
    out
}

#[cfg(test)]
mod tests;
