//! Examples: of each schema one, made of the types themselves, and request bodies that can be sent.

use serde::Serialize;
use serde_json::{Value, json};
use wire::rest::{
    Certificate, CertificateRequest, CertificateStatus, Health, HealthPart, HistoryEntry, Identity,
    IdentityKey, IdentityStatus, Installation, Issuer, Outcome, Page, RevocationRequest,
};
use wire::{Hash32, Realm, UserId};

/// A request with an empty subject, so that it fits every user; its key was thrown away.
const CSR: &str = "\
-----BEGIN CERTIFICATE REQUEST-----\n\
MIG6MGICAQAwADBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABPEFyeidXWLp7Vdw\n\
Yge1dPyF4gDTHvBXe0algOIeApcXdw1IdxJQw6+ySA7zppR28snIQL1geimL7RB3\n\
zmQg5hSgADAKBggqhkjOPQQDAgNIADBFAiABxo0fbEe7KX3spSNmL0uchQjPs3nQ\n\
vHv+8PFsZQ1f4AIhAK4TNgSYS0mlKbTRzI1azpjVpBpgvE5paSpQXQlC22zA\n\
-----END CERTIFICATE REQUEST-----\n\
";

const SERIAL: &str = "01000000000000070011223344556677";
pub(super) const ISSUER: &str = "00112233445566778899aabbccddeeff00112233";
const PEM: &str = "-----BEGIN CERTIFICATE-----\nMIIB…\n-----END CERTIFICATE-----\n";
const TIME: &str = "2026-01-31T08:00:00Z";
const LATER: &str = "2027-01-31T08:00:00Z";

/// Puts the examples in their places.
pub(super) fn add(document: &mut Value) {
    let Some(uid) = UserId::parse("alice").ok() else { return };
    let Some(realm) = Realm::parse("example.test").ok() else { return };
    let schemas = &mut document["components"]["schemas"];
    let mut example = |name: &str, value: Value| schemas[name]["examples"] = json!([value]);
    example("UserId", json!(uid));
    example("Realm", json!(realm));
    example("Hash32", json!(Hash32::of(b"")));
    example("Certificate", value(&certificate(&uid)));
    example("Page_Certificate", value(&Page { items: vec![certificate(&uid)], next: None }));
    example("Identity", value(&identity(&uid)));
    example("Page_Identity", value(&Page { items: vec![identity(&uid)], next: None }));
    example("Page_HistoryEntry", value(&Page { items: vec![entry()], next: None }));
    example("HistoryEntry", value(&entry()));
    example("Issuer", value(&issuer()));
    example("Installation", value(&installation(realm)));
    let part = HealthPart { name: "hsm".to_owned(), ok: true, detail: "ok".to_owned() };
    example("Health", value(&Health { ready: true, parts: vec![part] }));

    let request = CertificateRequest {
        csr: CSR.to_owned(),
        intent: None,
        statements: Vec::new(),
        id_tokens: Vec::new(),
        addresses: Vec::new(),
    };
    let path = "/api/v1/identities/{uid}/certificates";
    body(document, path, "application/json", value(&request));
    body(document, path, "application/pkcs10", CSR.into());
    let reason = "key-compromise".to_owned();
    let request = RevocationRequest { reason, intent: None, statements: Vec::new() };
    let path = "/api/v1/certificates/{serial}/revocation";
    body(document, path, "application/json", value(&request));
}

fn value(example: &impl Serialize) -> Value {
    // Plain structures: this cannot fail.
    serde_json::to_value(example).unwrap_or_default()
}

fn body(document: &mut Value, path: &str, media_type: &str, example: Value) {
    document["paths"][path]["post"]["requestBody"]["content"][media_type]["example"] = example;
}

fn certificate(uid: &UserId) -> Certificate {
    Certificate {
        serial: SERIAL.to_owned(),
        uid: uid.clone(),
        event: "enrol".to_owned(),
        sequence: 0,
        leaf_index: 7,
        status: CertificateStatus::Good,
        revocation_reason: None,
        revoked_at: None,
        spki_sha256: Hash32::of(b"key"),
        not_before: TIME.to_owned(),
        not_after: LATER.to_owned(),
        issuer: ISSUER.to_owned(),
        certificate: Some(PEM.to_owned()),
        chain: vec![PEM.to_owned()],
        evidence: vec!["csr".to_owned(), "statement".to_owned()],
    }
}

fn identity(uid: &UserId) -> Identity {
    Identity {
        uid: uid.clone(),
        status: IdentityStatus::Active,
        sequence: 0,
        head: Hash32::of(b"leaf"),
        key: Some(IdentityKey {
            spki_sha256: Hash32::of(b"key"),
            number: 0,
            algorithm: "P-256".to_owned(),
            possession_proven: true,
        }),
        serial: Some(SERIAL.to_owned()),
        created: TIME.to_owned(),
        updated: TIME.to_owned(),
    }
}

fn entry() -> HistoryEntry {
    HistoryEntry {
        at: TIME.to_owned(),
        outcome: Outcome::Refused,
        event: "enrol".to_owned(),
        sequence: None,
        leaf_index: None,
        serial: None,
        spki_sha256: Some(Hash32::of(b"another key")),
        evidence: vec!["csr".to_owned()],
        problem: Some("identity-change-required".to_owned()),
        detail: Some("this identity has another key".to_owned()),
    }
}

fn issuer() -> Issuer {
    Issuer {
        id: ISSUER.to_owned(),
        subject: "CN=Issuing CA".to_owned(),
        algorithm: "P-256".to_owned(),
        certificate: PEM.to_owned(),
        crl_shards: 1,
        protection: "held by an HSM".to_owned(),
    }
}

fn installation(realm: Realm) -> Installation {
    Installation {
        realm,
        genesis: Hash32::of(b"genesis"),
        policy: Hash32::of(b"policy"),
        ladder: "hsm".to_owned(),
        warnings: Vec::new(),
        max_status_age: 86_400,
        root: PEM.to_owned(),
        issuers: vec![issuer()],
    }
}
