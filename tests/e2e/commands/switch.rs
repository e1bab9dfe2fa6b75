//! A switch, from the lost phone to the first letter to the new key.

use avouch_tests::Desk;

/// Alice asks, two officers approve.
fn approved(desk: &Desk) -> String {
    let asked = desk.run(
        0,
        "switch request alice --new-key @new.key --reason \"the phone fell into the lake\"",
    );
    for n in [1, 2] {
        desk.run(
            0,
            &format!("approve alice --key ca:officer-{n}.key --remark \"met, passport\" --yes"),
        );
    }
    asked.value("switch")
}

#[test]
fn a_lost_phone_is_answered_by_officers_and_a_wait_and_bob_stops_once() {
    let desk = Desk::new();
    desk.enrol("alice");
    desk.run(0, "verify identity alice").says(&["first time"]);
    desk.write("letter", "Dear Alice");
    let (old, id) = (desk.key("alice.key"), approved(&desk));
    let new = desk.key("new.key");

    let pending = desk.run(21, "switch status alice");
    pending.says(&[&id, &old, &new, "fell into the lake", "officer-1", "met, passport"]);
    desk.run(21, &format!("switch status alice --id {id}")).says(&["waiting", "2 of 2 approvals"]);
    desk.run(0, "switch list --admin-socket ca:run/admin.sock").says(&[&id]);
    let agent = "--agent-cert ca:agent.pem --agent-key ca:agent.key";
    desk.run(0, &format!("switch list {agent} --format json")).says(&[&id]);
    desk.run(20, "switch list").says(&["agents-only"]);

    // One hour too early nothing has happened.
    desk.hours_ahead(71);
    desk.run(21, "switch status alice");
    desk.hours_ahead(73);
    desk.until(0, "switch status alice --out @alice-new.pem").says(&[&new]);
    desk.run(0, &format!("switch status alice --id {id}")).says(&["completed"]);
    let later = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs() + 73 * 3600;
    let at = later.to_string();
    desk.installation.openssl_accepts(&desk.file("alice-new.pem"), &["-attime", &at]);

    // Bob's client stops once, tells what it knows, and goes on when he has said that he knows.
    let seal = "seal --to alice --in @letter --out @sealed";
    let stopped = desk.run(14, seal);
    stopped.says(&["switch-complete", &new, "Officers approved this", "contact acknowledge"]);
    assert!(!desk.has("sealed"));
    desk.run(14, seal);
    desk.run(0, "contact list").says(&["SWITCHED, not acknowledged"]);
    desk.run(0, "contact acknowledge alice");
    desk.run(0, seal);
    desk.run(0, "open --key @new.key --in @sealed").says(&["Dear Alice"]);
    desk.run(1, "contact acknowledge alice").says(&["was not switched"]);
}

#[test]
fn an_officer_sees_the_proof_and_signs_on_her_own_terms() {
    let desk = Desk::new();
    desk.enrol("alice");
    let approve = "approve alice --key ca:officer-1.key --yes";
    desk.run(20, &format!("{approve} --remark met")).says(&["no switch of alice is pending"]);
    let id = desk.run(0, "switch request alice --new-key @new.key").value("switch");

    // The person told her other digits: it is not his request.
    let other = if id.starts_with('0') { "1" } else { "0" }.repeat(16);
    desk.run(20, &format!("{approve} --remark met --id {other}")).says(&["somebody else asked"]);
    // Fewer digits are found by trying.
    desk.run(1, &format!("{approve} --remark met --id {:.8}", id)).says(&["16 hexadecimal digits"]);
    desk.run(1, &format!("{approve} --remark \" \"")).says(&["how the person was identified"]);
    let said = desk.run(0, &format!("{approve} --remark \"met, passport\" --id {:.16}", id));
    said.says(&["old key", "new key", "remains", "2 more approvals"]);
    let again = desk.run(20, &format!("{approve} --remark again"));
    again.says(&["already-done", "rule: one-officer-counts-once", "expected:", "what to do:"]);
    // Somebody who is no officer.
    desk.run(20, "approve alice --key @alice.key --remark met --yes").says(&["evidence-refused"]);

    // The second officer sits elsewhere: her approval goes in a file.
    desk.run(0, "approve alice --key ca:officer-2.key --remark video --yes --out @approval");
    desk.run(0, "request show @approval").says(&["approves", &id]);
    desk.run(0, "request submit @approval").says(&["switch-approve"]);
    desk.run(20, "request submit @approval").says(&["already-done"]);
    desk.run(21, "switch status alice --format json").says(&["\"remark\": \"video\""]);
}

#[test]
fn a_question_is_asked_where_nothing_was_said() {
    let desk = Desk::new();
    desk.enrol("alice");
    desk.run(0, "switch request alice --new-key @new.key");
    let approve = "approve alice --key ca:officer-1.key";
    let said = desk.on_terminal(1, approve, "met at the office\nno\n");
    said.says(&["How was the person identified?", "nothing was signed"]);
    desk.on_terminal(0, approve, "met at the office\nyes\n").says(&["switch-approve"]);
    desk.run(21, "switch status alice").says(&["met at the office"]);
    // Without a terminal it says which options say it.
    desk.run(21, "switch status alice");
}

#[test]
fn whoever_holds_a_key_objects_at_once_or_by_a_file() {
    let desk = Desk::new();
    desk.enrol("alice");
    let id = approved(&desk);
    desk.run(20, "veto alice --key @new.key").says(&["evidence-refused"]);
    // Carried as a file, made without asking the server anything.
    desk.run(
        0,
        &format!("veto alice --id {id} --key @alice.key --out @veto --server https://127.0.0.1:1"),
    );
    desk.run(0, "request show @veto").says(&["objects to", &id]);
    desk.run(0, "request submit @veto").says(&["veto"]);
    desk.run(0, "switch status alice").says(&["no switch is pending"]);
    desk.run(20, &format!("switch status alice --id {id}")).says(&["dropped"]);
    desk.run(20, "veto alice --key @alice.key").says(&["nothing is pending"]);
    // Its owner was told before she renewed.
    approved(&desk);
    desk.run(0, "rekey alice --key @alice.key --new-key @third.key").says(&["A switch of alice"]);
    desk.run(0, "switch request alice --new-key @fourth.key");
    desk.run(0, "veto alice --recovery-key @alice.recovery").says(&["veto"]);
}

#[test]
fn a_request_in_a_file_brings_its_approvals_along() {
    let desk = Desk::new();
    desk.enrol("alice");
    let nonce =
        desk.run(0, "switch request alice --new-key @new.key --prepare @request").value("nonce");
    desk.run(0, "request show @request").says(&["switch-request", &nonce, "new-key"]);
    desk.run(0, "switch status alice").says(&["no switch is pending"]);
    let id =
        desk.run(0, "switch request alice --new-key @new.key --signed @request").value("switch");
    assert_eq!(id, nonce);
    desk.run(21, "switch status alice").says(&[&nonce]);
}

#[test]
fn with_key_files_no_identity_moves_and_the_refusal_says_why() {
    let desk = Desk::with(&["--software"]);
    desk.enrol("alice");
    for command in [
        "rekey alice --key @alice.key --new-key @new.key",
        "recover alice --recovery-key @alice.recovery --new-key @new.key --new-recovery-key @next",
        "recover alice --new-key @new.key --reason lost",
        "switch request alice --new-key @new.key",
    ] {
        let refused = desk.run(20, command);
        refused.says(&["hsm-required", "rule: no-hsm-no-move", "found:", "what to do:"]);
    }
    desk.run(0, "policy explain alice").says(&["rekey: not now, the issuing key is not HSM-held"]);
}

/// The key never leaves the token; a wrong PIN is tried once.
#[test]
fn an_officer_approves_with_a_key_on_a_token() {
    let desk = Desk::new();
    desk.enrol("alice");
    desk.run(
        0,
        "switch request alice --new-key @new.key --reason \"the phone fell into the lake\"",
    );
    desk.token("olga's card", &desk.installation.file("officer-1.key"));
    let card = "--pkcs11-module /usr/lib/softhsm/libsofthsm2.so --token \"olga's card\" --key-id";
    let approve = format!("approve alice {card} 01 --remark \"met, passport\" --yes");
    let prompt = "PIN of the token";
    desk.asked(1, &approve, prompt, "0815").says(&["CKR_PIN_INCORRECT", "tried once"]);
    let other = format!("approve alice {card} 02 --remark met --yes");
    desk.asked(1, &other, prompt, "4711").says(&["no private key with this id"]);
    desk.asked(0, &approve, prompt, "4711");
    desk.run(0, "approve alice --key ca:officer-2.key --remark video --yes");
    desk.run(21, "switch status alice").says(&["officer-1", "met, passport", "video"]);
    desk.asked(0, &format!("suspend alice {card} 01 --as officer"), prompt, "4711");
    desk.hours_ahead(73);
    desk.until(0, "switch status alice");
}
