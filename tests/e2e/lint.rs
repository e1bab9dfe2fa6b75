//! pkilint over everything that is issued.

use avouch_tests::openssl::Key;
use avouch_tests::{Installation, pkilint};

use crate::revoke::crl_file;
use crate::{enrolled, leaf_file};

#[test]
fn every_kind_of_certificate_and_list_is_clean() {
    let installation = Installation::start();
    pkilint::certificate(&installation.file("root.pem"));
    pkilint::certificate(&installation.file("chain.pem"));
    for (uid, key) in [("p256", Key::p256()), ("p384", Key::ec("P-384")), ("rsa", Key::rsa(2048))] {
        let certificate = enrolled(&installation, uid, &key.csr(&format!("/CN={uid}"), &[]));
        let leaf = leaf_file(&key, &certificate);
        pkilint::certificate(&leaf);
        pkilint::crl(&crl_file(&installation, &key, &leaf));
        let path = format!("/api/v1/certificates/{}/revocation", certificate.serial);
        let body = serde_json::json!({ "reason": "superseded" });
        let answer = installation.agent().post(&path, avouch_tests::Body::Json(body));
        assert_eq!(answer.status, 200, "{}", answer.text());
        pkilint::crl(&crl_file(&installation, &key, &leaf));
    }
}
