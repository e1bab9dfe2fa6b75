//! HTTP requests with PKCS#10 requests in them, each with a P-256 key of its own.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

use crate::{Error, Options};

/// AlgorithmIdentifier id-ecPublicKey with prime256v1 (RFC 5480 section 2.1.1).
const EC_P256: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x03, 0x01, 0x07,
];
/// AlgorithmIdentifier ecdsa-with-SHA256 (RFC 5758 section 3.2).
const ECDSA_SHA256: &[u8] =
    &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
/// OBJECT IDENTIFIER id-at-commonName.
const COMMON_NAME: &[u8] = &[0x06, 0x03, 0x55, 0x04, 0x03];

/// As many as the options say, ready to be sent.
pub(crate) fn requests(options: &Options) -> Result<Vec<Vec<u8>>, Error> {
    let random = SystemRandom::new();
    (0..options.prepare)
        .map(|n| {
            let uid = format!("{}{n}", options.prefix);
            let csr = certification_request(&uid, &random)?;
            let mut request = format!(
                "POST /api/v1/identities/{uid}/certificates HTTP/1.1\r\nHost: {}\r\n\
                 Content-Type: application/pkcs10\r\n\
                 Accept: application/pem-certificate-chain\r\nContent-Length: {}\r\n\r\n",
                options.address,
                csr.len()
            )
            .into_bytes();
            request.extend(csr);
            Ok(request)
        })
        .collect()
}

/// A CertificationRequest (RFC 2986 section 4.2) with subject `CN=uid`, under a new key.
fn certification_request(uid: &str, random: &SystemRandom) -> Result<Vec<u8>, Error> {
    let scheme = &ECDSA_P256_SHA256_ASN1_SIGNING;
    let key = EcdsaKeyPair::generate(scheme).map_err(|_| "a key cannot be made")?;
    let attribute = tlv(0x30, &[COMMON_NAME, &tlv(0x0c, &[uid.as_bytes()])]);
    let subject = tlv(0x30, &[&tlv(0x31, &[&attribute])]);
    let point = tlv(0x03, &[&[0], key.public_key().as_ref()]);
    let spki = tlv(0x30, &[EC_P256, &point]);
    let info = tlv(0x30, &[&[0x02, 0x01, 0x00], &subject, &spki, &[0xa0, 0x00]]);
    let signature = key.sign(random, &info).map_err(|_| "a key does not sign")?;
    Ok(tlv(0x30, &[&info, ECDSA_SHA256, &tlv(0x03, &[&[0], signature.as_ref()])]))
}

/// A DER element; contents of at most 65,535 bytes.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let [high, low] = u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
    let mut out = match len {
        0..0x80 => vec![tag, low],
        0x80..0x100 => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}
