//! A new TLS certificate without a restart.

use avouch_tests::{Http, Installation, Role};
use rcgen::{CertificateParams, KeyPair};

#[test]
fn the_gateway_takes_a_new_tls_certificate() {
    let installation = Installation::start();
    let before = installation.pids(Role::Gateway);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    std::fs::write(installation.file("tls.pem"), &certificate).unwrap();
    std::fs::write(installation.file("tls.key"), key.serialize_pem()).unwrap();
    installation.hang_up(Role::Gateway);
    // The signal is not answered: it is tried until the new certificate is there.
    let caller = || Http::new(installation.url(), certificate.as_bytes(), None);
    let live = || caller().try_send("GET".parse().unwrap(), LIVE, &[], avouch_tests::Body::None);
    avouch_tests::patiently("the new certificate", || live().ok());
    assert_eq!(installation.pids(Role::Gateway), before);
}

const LIVE: &str = "/api/v1/health/live";
