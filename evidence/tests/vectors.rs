//! Frozen evidence, signed with keys that are the same every time: each file is made again and
//! compared, accepted by this crate, and its signature by OpenSSL.
//!
//! `AVOUCH_WRITE_VECTORS=1 cargo test -p avouch-evidence --test vectors` writes the files anew.

extern crate avouch_evidence as evidence;

use std::path::{Path, PathBuf};
use std::process::Command;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use policy::Time;
use wire::event::EventKind;
use wire::genesis::{Keyholder, Provider};
use wire::intent::Intent;
use wire::statement::{Role, SignatureAlgorithm, Statement};
use wire::webauthn::Assertion;
use wire::{Encoded, Hash32, UserId, octets};

/// SubjectPublicKeyInfo of an Ed25519 key up to its 32 bytes (RFC 8410 section 4).
const ED25519_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0];
const NOW: u64 = 1_800_000_000;
const ORIGIN: &str = "https://auditor.example.org";

fn key(seed: u8) -> (Ed25519KeyPair, Vec<u8>) {
    let key = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let spki = [&ED25519_PREFIX, key.public_key().as_ref()].concat();
    (key, spki)
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name)
}

fn frozen(name: &str, bytes: &[u8]) {
    if std::env::var_os("AVOUCH_WRITE_VECTORS").is_some() {
        std::fs::write(path(name), bytes).unwrap();
    }
    let found = std::fs::read(path(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert!(found == bytes, "{name} changed");
}

/// OpenSSL verifies the signature under the key in the file.
fn openssl_verifies(spki: &str, message: &[u8], signature: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let (message, signature) = (write("message", message), write("signature", signature));
    let output = Command::new("openssl")
        .args(["pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey"])
        .arg(path(spki))
        .arg("-in")
        .arg(message)
        .arg("-sigfile")
        .arg(signature)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn intent(verb: EventKind) -> Intent {
    Intent {
        version: 1,
        verb,
        subject: Some(UserId::parse("alice").unwrap()),
        head: (verb != EventKind::Enrol).then(|| Hash32::of(b"head")),
        sequence: u64::from(verb != EventKind::Enrol),
        csr: Some(Hash32::of(b"request")),
        new_spki: Some(Hash32::of(b"new key")),
        names: vec![],
        profile: "person".into(),
        policy: Hash32::of(b"policy"),
        recovery_commitment: None,
        body: None,
        nonce: octets(&[1; 16]),
        expiry: NOW + 86400,
    }
}

fn approval() -> Statement {
    let intent = intent(EventKind::SwitchRequest).hash();
    Statement::new(Hash32::of(b"genesis"), EventKind::SwitchApprove, Role::Officer, intent)
        .with_remark("shown a passport")
}

#[test]
fn a_statement() {
    let (key, spki) = key(1);
    let mut signed =
        evidence::sign_statement(approval(), &spki, SignatureAlgorithm::Ed25519, |message| {
            Ok::<_, ()>(key.sign(message).as_ref().to_vec())
        })
        .unwrap();
    signed.remark = Some("shown a passport".into());
    let intent = intent(EventKind::SwitchRequest).to_canonical();
    frozen("officer.spki.der", &spki);
    frozen("switch-request.intent.der", &intent);
    frozen("approval.statement.der", &signed.to_canonical());
    evidence::statement(&signed.to_canonical(), &intent, &spki).unwrap();
    let message = signed.statement.to_canonical();
    openssl_verifies("officer.spki.der", &message, signed.signature.as_bytes());
}

#[test]
fn a_webauthn_assertion() {
    let (key, spki) = key(2);
    let challenge = URL_SAFE_NO_PAD.encode(approval().hash().as_bytes());
    let client_data = format!(
        r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"{ORIGIN}","crossOrigin":false}}"#
    );
    let host = Hash32::of(b"auditor.example.org");
    let authenticator_data = [&host.as_bytes()[..], &[0x05], &[0, 0, 0, 1]].concat();
    let hash = Hash32::of(client_data.as_bytes());
    let message = [&authenticator_data[..], &hash.as_bytes()[..]].concat();
    let assertion = Assertion {
        version: 1,
        statement: approval(),
        signer: Hash32::of(&spki),
        algorithm: SignatureAlgorithm::Ed25519,
        authenticator_data: octets(&authenticator_data),
        client_data: octets(client_data.as_bytes()),
        signature: octets(key.sign(&message).as_ref()),
        remark: Some("shown a passport".into()),
    };
    frozen("passkey.spki.der", &spki);
    frozen("approval.webauthn.der", &assertion.to_canonical());
    let scope = vec![format!("origin={ORIGIN}")];
    let holder = Keyholder { name: "olga".into(), spki: octets(&spki), scope };
    let intent = intent(EventKind::SwitchRequest).to_canonical();
    evidence::webauthn(&assertion.to_canonical(), &intent, &holder).unwrap();
    openssl_verifies("passkey.spki.der", &message, assertion.signature.as_bytes());
}

#[test]
fn an_id_token() {
    let (key, spki) = key(3);
    let intent = intent(EventKind::Enrol);
    let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let x = b64(key.public_key().as_ref());
    let jwks =
        format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"1","use":"sig","x":"{x}"}}]}}"#);
    let header = r#"{"alg":"EdDSA","kid":"1","typ":"JWT"}"#;
    let claims = format!(
        r#"{{"iss":"https://login.example.org","sub":"248289761001","aud":"avouch","exp":{},"iat":{NOW},"nonce":"{}"}}"#,
        NOW + 300,
        intent.hash()
    );
    let signed = format!("{}.{}", b64(header.as_bytes()), b64(claims.as_bytes()));
    let signature = key.sign(signed.as_bytes());
    let token = format!("{signed}.{}", b64(signature.as_ref()));
    frozen("provider.spki.der", &spki);
    frozen("provider.jwks.json", jwks.as_bytes());
    frozen("enrol.intent.der", &intent.to_canonical());
    frozen("enrol.id-token.jwt", token.as_bytes());
    let provider = Provider {
        issuer: "https://login.example.org".into(),
        audience: "avouch".into(),
        jwks: octets(jwks.as_bytes()),
    };
    let time = Time::at_ms(NOW * 1000);
    evidence::id_token(token.as_bytes(), intent.hash(), &[provider], time).unwrap();
    openssl_verifies("provider.spki.der", signed.as_bytes(), signature.as_ref());
}
