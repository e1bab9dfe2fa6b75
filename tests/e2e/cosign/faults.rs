//! Co-signers that lie.

use avouch_tests::cosigner::Manner;
use avouch_tests::openssl::Key;
use avouch_tests::{Body, patiently};
use wire::rest::Certificate;

use super::{LONG, SHORT, Watched};

/// Nothing is signed without the quorum; what was asked for meanwhile is there when it is back.
fn waits_for(manner: Manner, alarms: bool) {
    let watched = Watched::start(&["witness", "witness"], SHORT);
    let agent = watched.installation.agent();
    let csr = Key::p256().csr("/CN=alice", &[]);
    let alice: Certificate = patiently("alice's certificate", || {
        let answer = agent.enrol_once("alice", &csr, "alice-1");
        [200, 201].contains(&answer.status).then(|| answer.json(answer.status))
    });
    let before = watched.shown().0;

    watched.cosigners[1].behave(manner);
    let bob = Key::p256().csr("/CN=bob", &[]);
    let answer = agent.enrol_once("bob", &bob, "bob-1");
    let problem = answer.problem();
    assert_eq!(problem.code, "pending", "{}", problem.detail);
    assert!(!answer.header("retry-after").is_empty());
    assert!(problem.detail.contains("w2.example"), "{}", problem.detail);
    // What is shown is older, and whole.
    assert_eq!(watched.shown().0, before);

    // Revoking waits for nobody.
    let path = format!("/api/v1/certificates/{}/revocation", alice.serial);
    let reason = serde_json::json!({ "reason": "key-compromise" });
    let revoked = agent.post(&path, Body::Json(reason));
    assert_eq!(revoked.status, 200, "{}", revoked.text());

    let said = watched.health();
    assert!(said.contains("w2.example"), "{said}");
    assert_eq!(said.contains("does not go on"), alarms, "{said}");

    watched.cosigners[1].behave(Manner::Honest);
    let finished: Certificate = patiently("bob's certificate", || {
        let answer = agent.enrol_once("bob", &bob, "bob-1");
        [200, 201].contains(&answer.status).then(|| answer.json(answer.status))
    });
    assert!(watched.shown().0 > finished.leaf_index);
}

#[test]
fn a_signature_that_does_not_verify_counts_for_nothing() {
    waits_for(Manner::BadSignature, false);
}

#[test]
fn a_signature_over_another_root_counts_for_nothing() {
    waits_for(Manner::OtherRoot, false);
}

#[test]
fn a_signature_over_another_log_counts_for_nothing() {
    waits_for(Manner::OtherLog, false);
}

#[test]
fn one_who_says_that_it_saw_more_stops_only_its_own_word() {
    waits_for(Manner::WrongSize, true);
}

#[test]
fn nobody_waits_for_one_of_three() {
    let watched = Watched::start(&["witness", "witness", "witness"], LONG);
    for (n, manner) in [Manner::Slow, Manner::Away, Manner::OtherRoot].into_iter().enumerate() {
        watched.cosigners[n].behave(manner);
        let uid = format!("user-{n}");
        let certificate: Certificate = watched.enrol(&uid).json(201);
        assert!(watched.shown().0 > certificate.leaf_index);
        watched.cosigners[n].behave(Manner::Honest);
        patiently("it to come back", || (watched.shown().1 == 3).then_some(()));
    }
}
