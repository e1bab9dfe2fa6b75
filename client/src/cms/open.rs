//! Opening AuthEnvelopedData.

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest;
use aws_lc_rs::key_wrap::{AES_128, AES_256, AesKek, KeyWrap};
use cms::enveloped_data::{
    KeyAgreeRecipientIdentifier, KeyAgreeRecipientInfo, KeyTransRecipientInfo,
    OriginatorIdentifierOrKey, RecipientIdentifier, RecipientInfo,
};
use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Encode, Reader, SliceReader};
use path::Certificate;
use zeroize::Zeroizing;

use super::{MAX_CONTENT, MAX_RECIPIENTS, derive, oaep, shared_info};
use crate::asn1::{
    INTEGER, OCTET_STRING, OID, SEQUENCE, SET, context, context_primitive, oid, tlv,
};
use crate::keys::PrivateKey;

/// Why a message was not opened.
///
/// Whether it was meant for somebody else or was altered cannot be told apart, on purpose: an
/// answer to that would help whoever alters messages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Larger than anything sealed here.
    #[error("the message is too large: {length} bytes")]
    TooLarge {
        /// Its length.
        length: usize,
    },
    /// Not CMS AuthEnvelopedData in DER or PEM.
    #[error("not a sealed message (CMS AuthEnvelopedData): {0}")]
    Format(String),
    /// An algorithm that is not supported.
    #[error("sealed in a way that is not supported: {0}")]
    Unsupported(String),
    /// No recipient of the message is this key, or the message was altered.
    #[error("this key does not open the message: it is for others, or it was altered")]
    CannotOpen,
}

/// Opens a message (DER, or PEM labelled CMS) with `key`.
///
/// `own` are certificates of that key; they say which recipient to try first and may be none.
/// Nothing of the content is given out unless its tag is right.
///
/// # Errors
/// See [`OpenError`].
pub fn open(
    message: &[u8],
    key: &PrivateKey,
    own: &[Certificate],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    if message.len() > 2 * MAX_CONTENT {
        return Err(OpenError::TooLarge { length: message.len() });
    }
    let decoded;
    let message = if message.starts_with(b"-----BEGIN") {
        decoded = crate::pem::block(message, "CMS").map_err(OpenError::Format)?;
        decoded.as_slice()
    } else {
        message
    };
    let envelope = Envelope::read(message)?;
    let mut recipients = envelope.recipients(own)?;
    // Those that name this key first; the others may be for a certificate not at hand.
    recipients.sort_by_key(|(named, _)| !named);
    for (_, recipient) in &recipients {
        let content_key = match recipient {
            RecipientInfo::Ktri(info) => transported(info, key),
            RecipientInfo::Kari(info) => agreed(info, key),
            _ => None,
        };
        if let Some(content) = content_key.and_then(|content_key| envelope.decrypt(&content_key)) {
            return Ok(content);
        }
    }
    Err(OpenError::CannotOpen)
}

/// The parts of the message, borrowed.
struct Envelope<'a> {
    infos: &'a [u8],
    algorithm: &'static aead::Algorithm,
    nonce: [u8; 12],
    content: &'a [u8],
    /// The authenticated attributes as the SET they are authenticated as.
    attributes: Vec<u8>,
    tag: &'a [u8],
}

fn malformed(what: impl std::fmt::Display) -> OpenError {
    OpenError::Format(what.to_string())
}

/// The next value, its tag as one octet.
fn next<'a>(reader: &mut SliceReader<'a>) -> Result<(u8, &'a [u8]), OpenError> {
    let raw = reader.tlv_bytes().map_err(malformed)?;
    let value = AnyRef::from_der(raw).map_err(malformed)?.value();
    Ok((raw[0], value))
}

fn expect<'a>(reader: &mut SliceReader<'a>, tag: u8, what: &str) -> Result<&'a [u8], OpenError> {
    let (found, value) = next(reader)?;
    if found == tag {
        Ok(value)
    } else {
        Err(OpenError::Format(format!("{what}: expected tag {tag:#04x}, found {found:#04x}")))
    }
}

fn reader(bytes: &[u8]) -> Result<SliceReader<'_>, OpenError> {
    SliceReader::new(bytes).map_err(malformed)
}

impl<'a> Envelope<'a> {
    fn read(message: &'a [u8]) -> Result<Self, OpenError> {
        if message.get(1) == Some(&0x80) {
            return Err(OpenError::Unsupported(
                "streamed (BER, indefinite length); write it again as DER".into(),
            ));
        }
        let mut outer = reader(message)?;
        let info = expect(&mut outer, SEQUENCE, "content info")?;
        if !outer.is_finished() {
            return Err(OpenError::Format("bytes follow the message".into()));
        }
        let mut info = reader(info)?;
        let kind = expect(&mut info, OID, "content type")?;
        if kind != oid::AUTH_ENVELOPED {
            return Err(OpenError::Unsupported(format!(
                "content type {}",
                ObjectIdentifier::from_bytes(kind)
                    .map_or_else(|_| hex::encode(kind), |oid| oid.to_string())
            )));
        }
        let explicit = expect(&mut info, context(0), "content")?;
        let mut fields = reader(expect(&mut reader(explicit)?, SEQUENCE, "AuthEnvelopedData")?)?;
        expect(&mut fields, INTEGER, "version")?;
        let mut infos = next(&mut fields)?;
        if infos.0 == context(0) {
            // OriginatorInfo: certificates and CRLs, which prove nothing here.
            infos = next(&mut fields)?;
        }
        if infos.0 != SET {
            return Err(OpenError::Format("no recipient infos".into()));
        }
        let encrypted = expect(&mut fields, SEQUENCE, "encrypted content info")?;
        let mut last = next(&mut fields)?;
        let mut attributes = Vec::new();
        if last.0 == context(1) {
            attributes = tlv(SET, &[last.1]);
            last = next(&mut fields)?;
        }
        if last.0 != OCTET_STRING || last.1.len() != 16 {
            return Err(OpenError::Unsupported("a tag that is not 16 bytes".into()));
        }

        let mut encrypted = reader(encrypted)?;
        expect(&mut encrypted, OID, "type of the content")?;
        let mut algorithm = reader(expect(&mut encrypted, SEQUENCE, "algorithm")?)?;
        let cipher = match expect(&mut algorithm, OID, "algorithm")? {
            oid::AES256_GCM => &aead::AES_256_GCM,
            oid::AES192_GCM => &aead::AES_192_GCM,
            oid::AES128_GCM => &aead::AES_128_GCM,
            _ => return Err(OpenError::Unsupported("a cipher other than AES-GCM".into())),
        };
        let mut parameters = reader(expect(&mut algorithm, SEQUENCE, "GCM parameters")?)?;
        let nonce = expect(&mut parameters, OCTET_STRING, "nonce")?;
        let nonce = nonce
            .try_into()
            .map_err(|_| OpenError::Unsupported("a nonce that is not 12 bytes".into()))?;
        // Without a length the tag would be 12 bytes (RFC 5084 section 3.2).
        if parameters.is_finished() || expect(&mut parameters, INTEGER, "tag length")? != [16] {
            return Err(OpenError::Unsupported("a tag that is not 16 bytes".into()));
        }
        let content = expect(&mut encrypted, context_primitive(0), "encrypted content")?;
        Ok(Self { infos: infos.1, algorithm: cipher, nonce, content, attributes, tag: last.1 })
    }

    /// The recipients of kinds that are supported, and whether each names one of `own`.
    fn recipients(&self, own: &[Certificate]) -> Result<Vec<(bool, RecipientInfo)>, OpenError> {
        let mut infos = reader(self.infos)?;
        let mut out = Vec::new();
        let mut seen = 0;
        while !infos.is_finished() {
            seen += 1;
            if seen > MAX_RECIPIENTS {
                return Err(OpenError::Unsupported(format!(
                    "more than {MAX_RECIPIENTS} recipients"
                )));
            }
            let raw = infos.tlv_bytes().map_err(malformed)?;
            // What cannot be read is for somebody else.
            let Ok(info) = RecipientInfo::from_der(raw) else { continue };
            let named = match &info {
                RecipientInfo::Ktri(info) => match &info.rid {
                    RecipientIdentifier::IssuerAndSerialNumber(rid) => names(rid, own),
                    RecipientIdentifier::SubjectKeyIdentifier(id) => {
                        own.iter().any(|c| c.subject_key_id() == Some(id.0.as_bytes()))
                    }
                },
                RecipientInfo::Kari(info) => info.recipient_enc_keys.iter().any(|r| match &r.rid {
                    KeyAgreeRecipientIdentifier::IssuerAndSerialNumber(rid) => names(rid, own),
                    KeyAgreeRecipientIdentifier::RKeyId(id) => own.iter().any(|c| {
                        c.subject_key_id() == Some(id.subject_key_identifier.0.as_bytes())
                    }),
                }),
                _ => continue,
            };
            out.push((named, info));
        }
        Ok(out)
    }

    fn decrypt(&self, content_key: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let key = LessSafeKey::new(UnboundKey::new(self.algorithm, content_key).ok()?);
        let mut out = Zeroizing::new(vec![0; self.content.len()]);
        key.open_separate_gather(
            Nonce::assume_unique_for_key(self.nonce),
            Aad::from(&self.attributes),
            self.content,
            self.tag,
            &mut out,
        )
        .ok()?;
        Some(out)
    }
}

fn names(rid: &cms::cert::IssuerAndSerialNumber, own: &[Certificate]) -> bool {
    let Ok(issuer) = rid.issuer.to_der() else { return false };
    own.iter().any(|certificate| {
        certificate.issuer_der() == issuer && certificate.serial() == rid.serial_number.as_bytes()
    })
}

/// The content key of an RSA recipient, if it is this one.
fn transported(info: &KeyTransRecipientInfo, key: &PrivateKey) -> Option<Zeroizing<Vec<u8>>> {
    // Exactly our parameters, or the same with the NULLs left out, as some write them.
    let algorithm = info.key_enc_alg.to_der().ok()?;
    let without_null = {
        let sha256 = tlv(SEQUENCE, &[&tlv(OID, &[oid::SHA256])]);
        let mgf = tlv(SEQUENCE, &[&tlv(OID, &[oid::MGF1]), &sha256]);
        let hashes = tlv(SEQUENCE, &[&tlv(context(0), &[&sha256]), &tlv(context(1), &[&mgf])]);
        tlv(SEQUENCE, &[&tlv(OID, &[oid::RSA_OAEP]), &hashes])
    };
    if algorithm != oaep() && algorithm != without_null {
        return None;
    }
    key.decrypt_oaep(info.enc_key.as_bytes())
}

/// The content key of an EC recipient, if it is this one.
fn agreed(info: &KeyAgreeRecipientInfo, key: &PrivateKey) -> Option<Zeroizing<Vec<u8>>> {
    let OriginatorIdentifierOrKey::OriginatorKey(originator) = &info.originator else {
        return None;
    };
    let point = originator.public_key.as_bytes()?;
    let hash = match info.key_enc_alg.oid.as_bytes() {
        oid::ECDH_SHA1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        oid::ECDH_SHA256 => &digest::SHA256,
        oid::ECDH_SHA384 => &digest::SHA384,
        oid::ECDH_SHA512 => &digest::SHA512,
        _ => return None,
    };
    let wrap = info.key_enc_alg.parameters.as_ref()?.to_der().ok()?;
    let wrap_fields = SliceReader::new(&wrap).ok().and_then(|mut r| {
        let value = expect(&mut r, SEQUENCE, "key wrap").ok()?;
        let mut fields = SliceReader::new(value).ok()?;
        expect(&mut fields, OID, "key wrap").ok()
    })?;
    let (cipher, length) = match wrap_fields {
        oid::AES256_WRAP => (&AES_256, 32),
        oid::AES128_WRAP => (&AES_128, 16),
        _ => return None,
    };
    let ukm = info.ukm.as_ref().map(|ukm| ukm.as_bytes());
    let shared = shared_info(&wrap, ukm, length);
    let kek = key.agree(point, |secret| derive(hash, secret, &shared, length as usize))?;
    info.recipient_enc_keys.iter().take(16).find_map(|recipient| {
        let wrapped = recipient.enc_key.as_bytes();
        let mut out = Zeroizing::new(vec![0; wrapped.len()]);
        let length =
            AesKek::new(cipher, &kek).ok()?.unwrap(wrapped, &mut out).ok().map(|key| key.len())?;
        out.truncate(length);
        Some(out)
    })
}
