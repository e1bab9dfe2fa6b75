//! Waits by the clocks of those who co-sign, and not by the authority's.

use avouch_tests::cosigner::TestCosigner;
use avouch_tests::{Desk, patiently};
use serde_json::Value;
use wire::Encoded;
use wire::bundle::Bundle;
use wire::event::{Event, EventKind, EvidenceKind};
use wire::waited::WaitProof;

const HOUR: i64 = 3600;

const WITNESSED: &str = "allow_unwitnessed = false\nallow_software_token = true\n\
                         allow_transport_evidence = true\n";

/// Officers put a policy in force, or announce it.
fn change_policy(desk: &Desk, text: &str) {
    desk.write("policy.toml", text);
    desk.run(0, "change policy @policy.toml --key ca:officer-1.key --yes --out @change");
    desk.run(0, "request sign @change --key ca:officer-2.key --yes");
    desk.run(0, "request submit @change");
}

/// Waits until every co-signer has seen the log as it is now.
fn all_see(desk: &Desk, cosigners: &[TestCosigner]) {
    let said = desk.run(0, "log verify --config ca:avouch.toml --format json");
    let verified: Value = serde_json::from_str(&said.out).expect("JSON");
    let leaves = verified["leaves"].as_u64().expect("a number");
    patiently("co-signatures", || cosigners.iter().all(|c| c.size() >= leaves).then_some(()));
}

/// Has the log go on, under the clocks of now: the co-signers' new times are in its books then.
fn goes_on(desk: &Desk, uid: &str, cosigners: &[TestCosigner]) {
    let csr = avouch_tests::openssl::Key::p256().csr(&format!("/CN={uid}"), &[]);
    let enrolled = desk.installation.agent().enrol(uid, &csr);
    assert_eq!(enrolled.status, 201, "{}", enrolled.text());
    all_see(desk, cosigners);
}

fn bundle(desk: &Desk) -> Bundle {
    desk.installation.stranger().get("/api/v1/identities/alice/bundle").json(200)
}

/// The wait proof of alice's latest event.
fn proof(bundle: &Bundle) -> WaitProof {
    let last = bundle.events.last().expect("an event");
    let event = Event::from_canonical(&last.event.0).expect("an event");
    assert_eq!(event.kind, EventKind::SwitchComplete);
    assert_eq!(
        event.evidence.iter().map(|e| e.kind).collect::<Vec<_>>(),
        [EvidenceKind::WaitProof]
    );
    WaitProof::from_canonical(&last.evidence[0].0).expect("a wait proof")
}

#[test]
fn a_switch_waits_by_the_clocks_of_more_than_half_of_the_co_signers() {
    let (mut desk, cosigners) = Desk::co_signed(&["w1", "w2"]);
    desk.enrol("alice");
    change_policy(&desk, WITNESSED);
    desk.run(0, "policy explain alice")
        .says(&["a wait of 3d by the clocks of more than half of w1.example, w2.example"]);
    let asked = desk.run(0, "switch request alice --new-key @new.key --reason lost");
    let id = asked.value("switch");
    for n in [1, 2] {
        let line = format!("approve alice --key ca:officer-{n}.key --remark met --yes");
        desk.run(0, &line);
    }
    all_see(&desk, &cosigners);
    let waits = |desk: &Desk| {
        desk.run(21, &format!("switch status alice --id {id}")).says(&["waiting"]);
    };
    waits(&desk);

    // The authority's clock alone: whoever holds its host moves it as he likes.
    desk.hours_ahead(73);
    goes_on(&desk, "bob", &cosigners);
    waits(&desk);
    // To a client that believes that clock, the co-signers' word is three days old.
    desk.run(16, "verify identity alice").says(&["last vouched for the log", "s ago"]);
    // One of two is not more than half, and goes back.
    cosigners[0].jump(73 * HOUR);
    goes_on(&desk, "carol", &cosigners);
    waits(&desk);
    cosigners[0].jump(0);
    goes_on(&desk, "dave", &cosigners);
    waits(&desk);
    // One hour too early by both.
    cosigners.iter().for_each(|cosigner| cosigner.jump(71 * HOUR));
    goes_on(&desk, "erin", &cosigners);
    waits(&desk);
    cosigners.iter().for_each(|cosigner| cosigner.jump(73 * HOUR));
    desk.until(0, "switch status alice --out @alice-new.pem");
    desk.run(0, &format!("switch status alice --id {id}")).says(&["completed"]);

    // Both clocks are in the evidence: it took effect after both had moved.
    let whole = bundle(&desk);
    let proof = proof(&whole);
    for name in ["w1.example", "w2.example"] {
        let told = |note: &String| note.contains(&format!("\u{2014} {name} "));
        assert!(proof.earlier.iter().any(|holding| told(&holding.note)), "{name}: {proof:?}");
        assert!(proof.later.iter().any(told), "{name}: {proof:?}");
    }
    desk.write("bundle", &serde_json::to_string(&whole).expect("JSON"));
    desk.run(0, "verify bundle alice @bundle").says(&["the quorum vouched"]);
    // Without the proof, or with another byte in it, the history is not lawful.
    let mut altered = whole.clone();
    let evidence = &mut altered.events.last_mut().expect("an event").evidence;
    let middle = evidence[0].0.len() / 2;
    evidence[0].0[middle] ^= 1;
    desk.write("altered", &serde_json::to_string(&altered).expect("JSON"));
    desk.run(14, "verify bundle alice @altered").says(&["wait-proof"]);
    desk.run(0, "audit export --config ca:avouch.toml --out @log");
    desk.run(0, "audit verify @log");
    desk.run(0, "log verify --config ca:avouch.toml");
    // A start replays it, too.
    desk.installation.restart(true);
    desk.until(0, "verify identity alice");
}

#[test]
fn a_change_of_the_policy_waits_by_the_same_clocks() {
    let (desk, cosigners) = Desk::co_signed(&["w1", "w2", "w3"]);
    desk.enrol("alice");
    change_policy(&desk, WITNESSED);
    change_policy(&desk, &WITNESSED.replace("false", "true"));
    desk.run(0, "policy show").says(&["allow_unwitnessed = false", "announced policy-change"]);
    all_see(&desk, &cosigners);
    desk.hours_ahead(73);
    cosigners[2].jump(1000 * HOUR);
    goes_on(&desk, "bob", &cosigners);
    desk.run(0, "policy show").says(&["allow_unwitnessed = false", "announced policy-change"]);
    // Two of three, and the third is where it was all the time.
    cosigners[2].jump(0);
    cosigners[..2].iter().for_each(|cosigner| cosigner.jump(73 * HOUR));
    patiently("the announced policy", || {
        let said = desk.run(0, "policy show");
        said.out.contains("allow_unwitnessed = true").then_some(())
    });
    desk.run(0, "verify identity alice").says(&["first time"]);
    desk.run(0, "log verify --config ca:avouch.toml");
}
