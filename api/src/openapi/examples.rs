//! Examples: of each schema one, made of the types themselves, and request bodies that can be sent.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};
use wire::event::EventKind;
use wire::intent::Intent;
use wire::rest::{
    Certificate, CertificateRequest, CertificateStatus, Done, Health, HealthPart, HistoryEntry,
    Identity, IdentityKey, IdentityStatus, Installation, Issuer, KeyChange, Keyholder, Outcome,
    Page, Policy, RevocationRequest, SignedRequest, SimulateRequest, Switch, SwitchApproval,
    SwitchStatus, Way,
};
use wire::{Encoded, Hash32, Realm, UserId, octets};

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

    example("Done", value(&done(&uid)));
    example("Switch", value(&switch(&uid)));
    example("Page_Switch", value(&Page { items: vec![switch(&uid)], next: None }));
    example("SwitchApproval", value(&approval()));
    example("Way", value(&way()));
    example("KeyChange", value(&moved(&uid)));
    example("Page_KeyChange", value(&Page { items: vec![moved(&uid)], next: None }));
    example("Keyholder", value(&keyholder()));
    example("Policy", value(&policy()));

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
    moves(document, &uid);
}

/// Bodies of the requests by intents.
fn moves(document: &mut Value, uid: &UserId) {
    use EventKind as K;
    let below = |name: &str| format!("/api/v1/identities/{{uid}}/{name}");
    for (path, verb) in [
        (below("rekey"), K::Rekey),
        (below("recover"), K::Recover),
        (below("recovery-key"), K::RecoveryCommitmentChange),
        (below("suspension"), K::Suspend),
        (below("resumption"), K::Resume),
        (below("channels"), K::ChannelChange),
        (below("names"), K::Rename),
        (below("retirement"), K::Retire),
        (below("void"), K::Void),
        ("/api/v1/switches".to_owned(), K::SwitchRequest),
        ("/api/v1/installation/changes".to_owned(), K::PolicyChange),
    ] {
        body(document, &path, "application/json", value(&asked(verb, uid)));
    }
    let about = SignedRequest { intent: None, csr: None, ..asked(K::Veto, uid) };
    for path in ["/api/v1/switches/{id}/approvals", "/api/v1/switches/{id}/veto"] {
        body(document, path, "application/json", value(&about));
    }
    let request = SimulateRequest { uid: uid.clone(), rules: None };
    body(document, "/api/v1/policy/simulate", "application/json", value(&request));
}

/// A request whose intent is one, and whose statement is none.
fn asked(verb: EventKind, uid: &UserId) -> SignedRequest {
    let moves = matches!(verb, EventKind::Rekey | EventKind::Recover | EventKind::SwitchRequest);
    let key = moves.then(|| Hash32::of(b"another key"));
    let intent = Intent {
        version: 1,
        verb,
        subject: verb.is_of_identity().then(|| uid.clone()),
        head: Some(Hash32::of(b"leaf")),
        sequence: 1,
        csr: moves.then(|| Hash32::of(b"request")),
        new_spki: key,
        names: Vec::new(),
        profile: if moves { "person".to_owned() } else { String::new() },
        policy: Hash32::of(b"policy"),
        recovery_commitment: None,
        body: None,
        nonce: octets(&[7; 32]),
        expiry: 1_800_000_000,
    };
    SignedRequest {
        csr: moves.then(|| CSR.to_owned()),
        intent: Some(STANDARD.encode(intent.to_canonical())),
        statements: vec![STANDARD.encode("a signed statement, DER")],
        ..SignedRequest::default()
    }
}

fn done(uid: &UserId) -> Done {
    Done {
        uid: Some(uid.clone()),
        event: "rekey".to_owned(),
        sequence: 1,
        leaf_index: 9,
        head: Hash32::of(b"leaf"),
        announced: false,
        certificate: Some(certificate(uid)),
    }
}

fn switch(uid: &UserId) -> Switch {
    Switch {
        id: Hash32::of(b"intent"),
        uid: uid.clone(),
        status: SwitchStatus::Waiting,
        intent: "MIIB".to_owned(),
        old_key: Some(Hash32::of(b"key")),
        new_key: Hash32::of(b"another key"),
        reason: Some("the phone fell into the lake".to_owned()),
        requested: TIME.to_owned(),
        expires: LATER.to_owned(),
        not_before: Some(LATER.to_owned()),
        needed: 2,
        approvals: vec![approval()],
        slowed: false,
        outcome: None,
    }
}

fn approval() -> SwitchApproval {
    SwitchApproval {
        officer: "olga".to_owned(),
        key: Hash32::of(b"olga's key"),
        remark: Some("met in person, with a passport".to_owned()),
        at: TIME.to_owned(),
    }
}

fn way() -> Way {
    Way {
        verb: "rekey".to_owned(),
        signed_by: vec!["the current key".to_owned()],
        takes: vec!["the new key's counter-signature and certification request".to_owned()],
        not_before: None,
        closed: None,
    }
}

fn moved(uid: &UserId) -> KeyChange {
    KeyChange {
        uid: uid.clone(),
        event: "switch-complete".to_owned(),
        sequence: 4,
        leaf_index: 17,
        at: TIME.to_owned(),
        key: Some(Hash32::of(b"another key")),
    }
}

fn keyholder() -> Keyholder {
    Keyholder {
        name: "olga".to_owned(),
        key: Hash32::of(b"olga's key"),
        public_key: STANDARD.encode("a SubjectPublicKeyInfo, DER"),
        scope: Vec::new(),
    }
}

fn policy() -> Policy {
    Policy {
        hash: Hash32::of(b"policy"),
        toml: "approvals = 2\nofficers = 3\n".to_owned(),
        officers: vec![keyholder()],
        agents: Vec::new(),
        providers: vec!["https://login.example.test".to_owned()],
        sequence: 2,
        head: Some(Hash32::of(b"leaf")),
        announced: Vec::new(),
    }
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
