//! Rekey, recovery, and the guide that leads to one of them.

use avouch_tests::Desk;

#[test]
fn a_rekey_is_taken_by_contacts_and_told() {
    let desk = Desk::new();
    desk.enrol("alice");
    desk.run(0, "verify identity alice");
    let said = desk.run(0, "rekey alice --key @alice.key --new-key @new.key --out @new.pem");
    said.says(&["rekey", "opens with the old key"]);
    desk.installation.openssl_accepts(&desk.file("new.pem"), &[]);
    let new = desk.key("new.key");
    desk.run(0, "verify identity alice").says(&["rekey", &new, "signed for it"]);
    // Told once, known from then on.
    let again = desk.run(0, "verify identity alice");
    assert!(!again.err.contains("rekey"), "{}", again.err);
    let json = desk.run(0, "verify identity alice --format json");
    json.says(&["\"moved\": null"]);

    desk.run(20, "rekey alice --key @alice.key --new-key @third.key").says(&["evidence-refused"]);
    let back = desk.run(20, "rekey alice --key @new.key --new-key @alice.key");
    back.says(&["key-was-used", "rule: no-way-back-to-a-past-key"]);
    desk.run(10, "rekey nobody --key @new.key --new-key @third.key");
}

#[test]
fn the_guide_takes_what_is_left() {
    let desk = Desk::new();
    desk.enrol("alice");
    desk.run(0, "verify identity alice");
    // The old key is there.
    let said = desk.run(0, "recover alice --key @alice.key --new-key @second.key");
    said.says(&["The old key is there", "rekey"]);
    // The recovery key is; it is used up, and replaced.
    let third = "--new-key @third.key --new-recovery-key @next.recovery --out @third.pem";
    let said = desk.run(0, &format!("recover alice --recovery-key @alice.recovery {third}"));
    said.says(&["The recovery key is there", "recover", "escrow"]);
    desk.installation.openssl_accepts(&desk.file("third.pem"), &[]);
    desk.run(0, "verify identity alice").says(&["recover", &desk.key("third.key")]);
    let used = desk.run(
        20,
        "recover alice --recovery-key @alice.recovery --new-key @x.key --new-recovery-key @y",
    );
    used.says(&["evidence-refused", "recovery"]);
    desk.run(1, "recover alice --recovery-key @next.recovery --new-key @x.key");
    // Neither is: officers are asked, and it is not done.
    desk.run(1, "recover alice --new-key @fourth.key").says(&["--reason"]);
    let said = desk.run(21, "recover alice --new-key @fourth.key --reason \"all is lost\"");
    said.says(&["Neither key is there", "switch-request", "switch status alice"]);
    desk.run(21, "switch status alice").says(&["all is lost", &desk.key("fourth.key")]);
}

#[test]
fn a_recovery_key_is_changed_by_itself_at_once_by_the_current_key_later() {
    let desk = Desk::new();
    desk.enrol("alice");
    let change = "recovery-key change alice";
    desk.run(0, &format!("{change} --recovery-key @alice.recovery --new-recovery-key @second"))
        .says(&["recovery-commitment-change"]);
    desk.run(0, &format!("{change} --key @alice.key --new-recovery-key @third"));
    // Until the window is over, the one before wins.
    let recover = |key: &str, next: &str, new: &str| {
        format!("recover alice --recovery-key @{key} --new-key @{new} --new-recovery-key @{next}")
    };
    desk.run(20, &recover("third", "x", "new.key"));
    desk.run(0, &recover("second", "fourth", "new.key"));
    desk.run(20, &format!("{change} --key @alice.key --new-recovery-key @x"));
}

#[test]
fn everything_is_json_for_programs() {
    let desk = Desk::new();
    desk.enrol("alice");
    let parse = |line: &str| {
        let said = desk.run(0, &format!("{line} --format json"));
        serde_json::from_str::<serde_json::Value>(&said.out).expect("JSON and nothing else")
    };
    let done = parse("rekey alice --key @alice.key --new-key @new.key");
    assert_eq!((done["event"].as_str(), done["sequence"].as_u64()), (Some("rekey"), Some(1)));
    assert!(done["certificate"]["certificate"].as_str().is_some());
    assert_eq!(parse("suspend alice --key @new.key")["event"], "suspend");
    assert!(parse("policy explain alice").as_array().is_some_and(|ways| ways.len() > 10));
    assert_eq!(parse("policy show")["officers"].as_array().map(Vec::len), Some(3));
    assert_eq!(parse("contact list"), serde_json::json!([]));
    assert_eq!(parse("switch list --admin-socket ca:run/admin.sock"), serde_json::json!([]));
}
