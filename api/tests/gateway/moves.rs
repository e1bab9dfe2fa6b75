//! Requests by intents: passed on as they came, to where they belong.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use wire::event::EventKind;
use wire::intent::Intent;
use wire::rest;
use wire::socket::{RequestBody, ResponseBody};
use wire::{Encoded, Hash32, octets};

use crate::support::{Action, Stage, answer, done, problem, uid};

fn intent(verb: EventKind, subject: Option<&str>) -> Intent {
    Intent {
        version: 1,
        verb,
        subject: subject.map(uid),
        head: Some(Hash32::of(b"head")),
        sequence: 4,
        csr: None,
        new_spki: None,
        names: Vec::new(),
        profile: String::new(),
        policy: Hash32::of(b"policy"),
        recovery_commitment: None,
        body: None,
        nonce: octets(&[7; 32]),
        expiry: 1_800_000_000,
    }
}

fn body(intent: &Intent) -> Value {
    json!({
        "csr": "the CSR",
        "intent": STANDARD.encode(intent.to_canonical()),
        "statements": [STANDARD.encode("statement")],
        "assertions": [STANDARD.encode("assertion")],
        "id_tokens": ["a.b.c"],
        "public_keys": [STANDARD.encode("key")],
        "addresses": [STANDARD.encode("address")],
    })
}

async fn post(stage: &Stage, path: &str, body: &Value) -> reqwest::Response {
    let request = stage.client.post(stage.url(path)).header("content-type", "application/json");
    request.header("idempotency-key", "once").body(body.to_string()).send().await.unwrap()
}

const BELOW: &[(&str, EventKind)] = &[
    ("rekey", EventKind::Rekey),
    ("recover", EventKind::Recover),
    ("recovery-key", EventKind::RecoveryCommitmentChange),
    ("suspension", EventKind::Suspend),
    ("resumption", EventKind::Resume),
    ("channels", EventKind::ChannelChange),
    ("names", EventKind::Rename),
    ("retirement", EventKind::Retire),
    ("void", EventKind::Void),
];

#[tokio::test]
async fn each_verb_has_its_address_and_all_that_was_signed_is_passed_on() {
    let mut stage = Stage::new().await;
    for (name, verb) in BELOW {
        let intent = intent(*verb, Some("alice"));
        let path = format!("/api/v1/identities/alice/{name}");
        let response = post(&stage, &path, &body(&intent)).await;
        assert_eq!(response.status(), 200, "{name}");
        let asked = stage.asked.recv().await.unwrap();
        let RequestBody::Ask { uid: whose, csr, signed, idempotency_key } = asked.body else {
            panic!("{name}: {:?}", asked.body);
        };
        assert_eq!(whose, uid("alice"));
        assert_eq!(csr.unwrap().as_slice(), b"the CSR");
        assert_eq!(idempotency_key.unwrap().as_str(), "once");
        assert_eq!(signed.intent.unwrap().as_slice(), intent.to_canonical());
        assert_eq!(signed.statements[0].as_slice(), b"statement");
        assert_eq!(signed.assertions[0].as_slice(), b"assertion");
        assert_eq!(signed.id_tokens, ["a.b.c"]);
        assert_eq!(signed.public_keys[0].as_slice(), b"key");
        assert_eq!(signed.addresses[0].as_slice(), b"address");
    }
}

#[tokio::test]
async fn an_intent_that_belongs_elsewhere_is_refused_with_both_names() {
    let mut stage = Stage::new().await;
    let path = "/api/v1/identities/alice/rekey";
    for (intent, expected, found) in [
        (intent(EventKind::Recover, Some("alice")), "Rekey", "Recover"),
        (intent(EventKind::Rekey, Some("bob")), "alice", "bob"),
    ] {
        let (status, json) = problem(post(&stage, path, &body(&intent)).await).await;
        assert_eq!((status, json.code.as_str()), (400, "malformed-request"));
        assert!(json.expected.unwrap().contains(expected));
        assert!(json.found.unwrap().contains(found));
    }
    let none = json!({ "statements": [] });
    assert_eq!(problem(post(&stage, path, &none).await).await.1.code, "malformed-request");
    let garbage = json!({ "intent": STANDARD.encode("no intent"), "statements": [] });
    assert_eq!(problem(post(&stage, path, &garbage).await).await.1.code, "malformed-request");
    let of_identity = body(&intent(EventKind::Void, Some("alice")));
    let refused = post(&stage, "/api/v1/installation/changes", &of_identity).await;
    assert_eq!(problem(refused).await.1.code, "malformed-request");
    assert!(stage.asked.try_recv().is_err(), "the authority is not bothered");
}

#[tokio::test]
async fn a_switch_is_asked_for_approved_and_objected_to_under_its_hash() {
    let mut stage = Stage::new().await;
    let intent = intent(EventKind::SwitchRequest, Some("alice"));
    let response = post(&stage, "/api/v1/switches", &body(&intent)).await;
    assert_eq!(response.status(), 201);
    let place = format!("/api/v1/switches/{}", intent.hash());
    assert_eq!(response.headers()["location"], place.as_str());
    assert!(matches!(stage.asked.recv().await.unwrap().body, RequestBody::Ask { .. }));

    let about = json!({ "statements": [STANDARD.encode("statement")] });
    assert_eq!(post(&stage, &format!("{place}/approvals"), &about).await.status(), 200);
    let asked = stage.asked.recv().await.unwrap().body;
    assert!(matches!(asked, RequestBody::Approve { switch, .. } if switch == intent.hash()));
    assert_eq!(post(&stage, &format!("{place}/veto"), &about).await.status(), 200);
    let asked = stage.asked.recv().await.unwrap().body;
    assert!(matches!(asked, RequestBody::Veto { switch, .. } if switch == intent.hash()));

    let (status, json) = problem(stage.get("/api/v1/switches/17").await).await;
    assert_eq!((status, json.code.as_str()), (404, "no-pending-switch"));
}

#[tokio::test]
async fn what_is_announced_is_accepted_and_not_done() {
    let stage = Stage::new().await;
    stage.authority.script(|request| match &request.body {
        RequestBody::Ask { uid, .. } => {
            let done = rest::Done { announced: true, ..done(Some(uid)) };
            Action::ok(ResponseBody::Done(Box::new(done)))
        }
        other => Action::ok(answer(other)),
    });
    let intent = intent(EventKind::Retire, Some("alice"));
    let response = post(&stage, "/api/v1/identities/alice/retirement", &body(&intent)).await;
    assert_eq!(response.status(), 202);
}

/// A description that the gateway keeps would name the policy before the change.
#[tokio::test]
async fn a_change_of_the_installation_is_seen_at_once() {
    let mut stage = Stage::new().await;
    let _ = stage.get("/api/v1/trust").await;
    let _ = stage.get("/api/v1/trust").await;
    assert!(matches!(stage.asked.recv().await.unwrap().body, RequestBody::Installation));
    let change = body(&intent(EventKind::PolicyChange, None));
    assert_eq!(post(&stage, "/api/v1/installation/changes", &change).await.status(), 200);
    let asked = stage.asked.recv().await.unwrap().body;
    assert!(matches!(asked, RequestBody::Change { .. }), "{asked:?}");
    let _ = stage.get("/api/v1/trust").await;
    assert!(matches!(stage.asked.recv().await.unwrap().body, RequestBody::Installation));
}

#[tokio::test]
async fn other_rules_are_supposed_and_pages_go_on() {
    let mut stage = Stage::new().await;
    let rules = json!({ "uid": "alice", "rules": STANDARD.encode("rules") });
    assert_eq!(post(&stage, "/api/v1/policy/simulate", &rules).await.status(), 200);
    let asked = stage.asked.recv().await.unwrap().body;
    let RequestBody::Ways { uid: whose, rules } = asked else { panic!("{asked:?}") };
    assert_eq!((whose, rules.unwrap().as_slice()), (uid("alice"), &b"rules"[..]));
    let bad = json!({ "uid": "alice", "rules": "?" });
    let refused = post(&stage, "/api/v1/policy/simulate", &bad).await;
    assert_eq!(problem(refused).await.1.code, "malformed-request");
    let page: Value = serde_json::from_slice(
        &stage.get("/api/v1/changes?cursor=18").await.bytes().await.unwrap(),
    )
    .unwrap();
    assert_eq!(page["next"], "18");
}
