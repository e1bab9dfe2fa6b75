use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};

use super::*;

fn options() -> GatewayOptions {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    let address = "127.0.0.1:0".parse().unwrap();
    GatewayOptions::new(address, "/x", certificate.into_bytes(), key.serialize_pem().into_bytes())
}

fn refusal(change: impl FnOnce(&mut GatewayOptions)) -> String {
    let mut options = options();
    change(&mut options);
    GatewayConfig::check(options).unwrap_err().to_string()
}

#[test]
fn defaults_are_in_their_own_bounds() {
    GatewayConfig::check(options()).unwrap();
}

#[test]
fn public_urls_lose_their_last_slash() {
    for (given, kept) in [
        ("https://ca.example.test/", "https://ca.example.test"),
        ("https://ca.example.test:8443/a", "https://ca.example.test:8443/a"),
        ("http://[::1]:80", "http://[::1]:80"),
    ] {
        let mut options = options();
        options.public_url = Some(given.to_owned());
        assert_eq!(GatewayConfig::check(options).unwrap().public_url.unwrap(), kept);
    }
    for bad in ["ca.example.test", "/a", "ftp://x/", "https://x/?y", "https://x/#y", ""] {
        let error = refusal(|options| options.public_url = Some(bad.to_owned()));
        assert!(error.contains(&format!("{bad:?}")), "{error}");
    }
}

#[test]
fn limits_are_named_with_their_bounds() {
    let error = refusal(|options| options.limits.body = 1 << 20);
    assert_eq!(error, "the limit body (bytes) is 1048576; 1 to 131072 are allowed");
    let error = refusal(|options| options.limits.request = Duration::ZERO);
    assert_eq!(error, "the limit request (ms) is 0; 1 to 600000 are allowed");
}

#[test]
fn tls_material_is_read_and_must_fit() {
    let error = refusal(|options| options.certificate_chain = b"nothing".to_vec());
    assert_eq!(error, "the TLS certificate chain: no certificate in it");
    let error = refusal(|options| options.key = Zeroizing::new(Vec::new()));
    assert!(error.starts_with("the TLS private key: "), "{error}");
    let other = KeyPair::generate().unwrap().serialize_pem().into_bytes();
    let error = refusal(|options| options.key = Zeroizing::new(other));
    assert!(error.contains("cannot be used"), "{error}");
    let error = refusal(|options| options.agent_ca = Some(Vec::new()));
    assert_eq!(error, "the agents' CA: no certificate in it");
}
