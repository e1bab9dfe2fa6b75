//! Certification requests made in this process: for load, where a program start for each would be
//! the bottleneck.

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};

/// A new P-256 key.
#[must_use]
pub fn load_key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("P-256 keys can be made")
}

/// A request for `uid` under a key, DER.
#[must_use]
pub fn load_csr(uid: &str, key: &KeyPair) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, uid);
    let request = params.serialize_request(key).expect("a plain request can be made");
    request.der().to_vec()
}
