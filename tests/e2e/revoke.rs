//! Revocation, as other people's software sees it.

use std::path::{Path, PathBuf};

use avouch_tests::openssl::{self, Key};
use avouch_tests::{Body, Installation, load_csr, load_key};
use serde_json::json;
use wire::rest::{Certificate, CertificateStatus, Identity, IdentityStatus};

use crate::{enrolled, history, leaf_file};

/// Fetches the CRL that a certificate names, as PEM in a file beside the key's.
pub(crate) fn crl_file(installation: &Installation, key: &Key, leaf: &Path) -> PathBuf {
    let text = openssl::show(leaf, &["-ext", "crlDistributionPoints"]);
    let uri = text.lines().find_map(|l| l.trim().strip_prefix("URI:")).expect("a URI");
    let (_, rest) = uri.split_once("://").expect("an absolute URI");
    let path = &rest[rest.find('/').expect("a path")..];
    let answer = installation.stranger().get(path);
    assert_eq!(answer.status, 200, "{uri}: {}", answer.text());
    assert_eq!(answer.header("content-type"), "application/pkix-crl", "RFC 2585 section 4.2");
    let der = key.file("crl.der", &answer.body);
    let pem = key.file("crl.pem", b"");
    let args = ["crl", "-inform", "DER", "-in", openssl::text(&der), "-out", openssl::text(&pem)];
    let _ = openssl::run(&args);
    pem
}

fn revoke(installation: &Installation, serial: &str, reason: &str) -> Certificate {
    let path = format!("/api/v1/certificates/{serial}/revocation");
    installation.agent().post(&path, Body::Json(json!({ "reason": reason }))).json(200)
}

#[test]
pub(crate) fn a_revoked_certificate_is_in_the_list_and_refused() {
    let installation = Installation::start();
    let (key, other) = (Key::p256(), Key::p256());
    let alice = enrolled(&installation, "alice", &key.csr("/CN=alice", &[]));
    let bob = enrolled(&installation, "bob", &other.csr("/CN=bob", &[]));
    let (leaf, bobs) = (leaf_file(&key, &alice), leaf_file(&other, &bob));

    let before = crl_file(&installation, &key, &leaf);
    let checks = |crl: &Path| ["-crl_check", "-CRLfile", openssl::text(crl)].map(str::to_owned);
    let flags = checks(&before);
    installation.openssl_accepts(&leaf, &flags.each_ref().map(String::as_str));

    let revoked = revoke(&installation, &alice.serial, "key-compromise");
    assert_eq!(revoked.status, CertificateStatus::Revoked);
    assert_eq!(revoked.revocation_reason.as_deref(), Some("key-compromise"));

    let after = crl_file(&installation, &key, &leaf);
    let text = openssl::run(&["crl", "-noout", "-text", "-in", openssl::text(&after)]);
    let text = String::from_utf8_lossy(&text).to_uppercase();
    assert!(text.contains(&format!("SERIAL NUMBER: {}", alice.serial.to_uppercase())), "{text}");
    assert!(text.contains("KEY COMPROMISE"), "{text}");
    let signed = ["crl", "-noout", "-in", openssl::text(&after), "-CAfile"];
    let chain = installation.file("chain.pem");
    let _ = openssl::run(&[&signed[..], &[openssl::text(&chain)]].concat());

    let flags = checks(&after);
    let flags = flags.each_ref().map(String::as_str);
    let (root, chain) = (installation.file("root.pem"), installation.file("chain.pem"));
    let verdict = openssl::verify(&root, &chain, &leaf, &flags).expect_err("revoked");
    assert!(verdict.contains("certificate revoked"), "{verdict}");
    installation.openssl_accepts(&bobs, &flags);
}

#[test]
fn a_revoked_identity_has_no_key_and_gets_no_new_one_by_enrolling() {
    let installation = Installation::start();
    let agent = installation.agent();
    let key = Key::p256();
    let alice = enrolled(&installation, "alice", &key.csr("/CN=alice", &[]));
    let _ = revoke(&installation, &alice.serial, "cessation-of-operation");

    let identity: Identity = agent.get("/api/v1/identities/alice").json(200);
    assert_eq!((identity.status, identity.key), (IdentityStatus::Suspended, None));
    let event = history(&installation, "alice").into_iter().find(|e| e.event == "revoke");
    assert_eq!(event.and_then(|e| e.serial), Some(alice.serial.clone()));

    for csr in [load_csr("alice", &load_key()), key.csr("/CN=alice", &[])] {
        let problem = agent.enrol("alice", &csr).problem();
        assert_eq!(problem.status, 409, "{problem:?}");
    }
    let path = format!("/api/v1/certificates/{}/revocation", alice.serial);
    let body = json!({ "reason": "superseded" });
    let problem = agent.post(&path, Body::Json(body)).problem();
    assert_eq!((problem.status, problem.code.as_str()), (409, "already-revoked"));
}

#[test]
pub(crate) fn every_certificate_over_a_revoked_key_falls() {
    let installation = Installation::start();
    let key = Key::p256();
    let first = enrolled(&installation, "alice", &key.csr("/CN=alice", &[]));
    let second = enrolled(&installation, "alice", &key.csr("/CN=alice", &[]));
    let _ = revoke(&installation, &second.serial, "key-compromise");
    for serial in [&first.serial, &second.serial] {
        let path = format!("/api/v1/certificates/{serial}");
        let certificate: Certificate = installation.agent().get(&path).json(200);
        assert_eq!(certificate.status, CertificateStatus::Revoked, "{serial}");
    }
}

#[test]
fn strangers_revoke_nothing() {
    let installation = Installation::start();
    let alice = enrolled(&installation, "alice", &load_csr("alice", &load_key()));
    let path = format!("/api/v1/certificates/{}/revocation", alice.serial);
    let body = json!({ "reason": "key-compromise" });
    let problem = installation.stranger().post(&path, Body::Json(body)).problem();
    assert_eq!((problem.status, problem.code.as_str()), (403, "evidence-required"));
    let body = json!({ "reason": "bored" });
    let problem = installation.agent().post(&path, Body::Json(body)).problem();
    assert_eq!((problem.status, problem.code.as_str()), (400, "malformed-request"));
}
