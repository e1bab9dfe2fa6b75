//! Suspension, its end, retirement and void.

use avouch_tests::Desk;

/// Two officers sign, one hands it in.
fn by_two(desk: &Desk, command: &str) -> avouch_tests::Said {
    desk.run(0, &format!("{command} --key ca:officer-1.key --out @request"));
    desk.run(0, "request sign @request --key ca:officer-2.key --yes");
    desk.run(0, "request submit @request")
}

#[test]
fn who_suspends_and_who_lifts_it() {
    let desk = Desk::new();
    desk.enrol("alice");
    desk.run(0, "suspend alice --key @alice.key").says(&["suspend"]);
    desk.run(12, "verify identity alice");
    desk.run(12, "renew alice --key @alice.key").says(&["identity-suspended"]);
    // The key that suspended lifts nothing: a thief has it too.
    desk.run(20, "resume alice --key @alice.key --as current-key");
    let one = desk.run(20, "resume alice --key ca:officer-1.key");
    one.says(&["evidence-required", "rule: threshold-of-officers", "expected: 2", "found: 1"]);
    by_two(&desk, "resume alice").says(&["resume"]);
    desk.run(0, "verify identity alice");

    desk.run(0, "suspend alice --key ca:officer-1.key --as officer");
    desk.run(20, "resume alice --recovery-key @alice.recovery")
        .says(&["recovery-key-is-used-once"]);
    desk.run(0, "resume alice --recovery-key @alice.recovery --new-recovery-key @next");
    desk.run(0, "verify identity alice");
    desk.run(20, "resume alice --key ca:officer-1.key").says(&["already-done"]);
    // The same officer, within one wait.
    let again = desk.run(20, "suspend alice --key ca:officer-1.key --as officer");
    again.says(&["not-yet", "another officer"]);
}

#[test]
fn an_identity_ends_by_officers_and_a_wait_and_its_owner_may_object() {
    let desk = Desk::new();
    desk.enrol("alice");
    desk.run(20, "retire alice --key @alice.key --as current-key");
    by_two(&desk, "retire alice").says(&["announced", "after the wait"]);
    desk.run(0, "verify identity alice");
    desk.run(20, "veto alice --key @alice.key").says(&["a-current-key-stops-no-retirement"]);
    desk.run(0, "veto alice --recovery-key @alice.recovery");
    by_two(&desk, "retire alice");
    desk.hours_ahead(73);
    desk.until(12, "verify identity alice");
    let enrol = "enrol alice --key @other.key --agent-cert ca:agent.pem --agent-key ca:agent.key";
    desk.run(0, "key new --out @other.key");
    desk.run(12, enrol).says(&["identity-retired"]);
}

#[test]
fn a_false_enrolment_is_declared_so_and_the_right_person_gets_the_id() {
    let desk = Desk::new();
    desk.enrol("mallory-as-alice");
    by_two(&desk, "void mallory-as-alice").says(&["void"]);
    desk.run(12, "verify identity mallory-as-alice");
    desk.run(12, "renew mallory-as-alice --key @mallory-as-alice.key");
    let asked = desk.run(0, "switch request mallory-as-alice --new-key @right.key");
    assert_eq!(asked.value("switch").len(), 64);
}

#[test]
fn after_a_void_the_contact_is_dropped_and_what_was_sealed_to_it_is_listed() {
    let desk = Desk::new();
    desk.enrol("alice");
    desk.enrol("bob");
    for (name, text, to) in
        [("plans", "what we plan", "alice bob"), ("minutes", "what we said", "bob")]
    {
        desk.write(name, text);
        desk.run(0, &format!("seal --in @{name} --out @{name}.cms --to {to}"));
    }
    desk.run(0, "seal --in @plans --out @again.cms --label \"plans, again\" --to alice");
    let mode = std::fs::metadata(desk.file("contacts.json.sealed")).expect("it is remembered");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o777, 0o600);
    let listed = desk.run(0, "contact sealed alice");
    listed.says(&["plans", "12 bytes", "to alice, bob", "plans, again", "again.cms"]);
    assert!(!listed.out.contains("minutes"), "{}", listed.out);
    assert!(desk.run(0, "contact sealed --dropped").out.is_empty());

    by_two(&desk, "void alice");
    desk.run(0, "contact list").says(&["alice", "bob"]);
    let told = desk.run(12, "seal --in @minutes --out @third.cms --to alice");
    told.says(&["declared the enrolment false", "plans, again", "to alice, bob", "dropped"]);
    assert!(!told.err.contains("what was said") && !told.err.contains("minutes,"), "{}", told.err);
    let known = desk.run(0, "contact list").out;
    assert!(!known.contains("alice") && known.contains("bob"), "{known}");
    desk.run(0, "contact sealed --dropped").says(&["plans", "plans, again"]);
    // It is told once; then there is nobody of that name.
    desk.run(12, "verify identity alice").says(&["suspended"]);
    desk.run(0, "verify identity bob");
}

#[test]
fn who_comes_late_hears_of_the_void_although_the_right_person_has_the_id_by_now() {
    let desk = Desk::new();
    desk.enrol("alice");
    desk.write("plans", "what we plan");
    desk.run(0, "seal --in @plans --out @plans.cms --to alice");
    by_two(&desk, "void alice");
    desk.run(0, "switch request alice --new-key @right.key");
    for n in [1, 2] {
        desk.run(0, &format!("approve alice --key ca:officer-{n}.key --remark met --yes"));
    }
    desk.hours_ahead(73);
    desk.until(0, "switch status alice");
    let told = desk.until(12, "verify identity alice");
    told.says(&["declared the enrolment false", "plans", "dropped"]);
    desk.run(0, "verify identity alice").says(&["first time"]);
}

#[test]
fn an_officer_revokes_after_a_look_and_by_a_file() {
    let desk = Desk::new();
    desk.enrol("alice");
    desk.enrol("bob");
    let officer = "--key ca:officer-1.key --as officer";
    // Shown, and asked.
    let shown = desk.run(1, &format!("revoke alice {officer} --reason key-compromise"));
    shown.says(&["revokes", "key-compromise", "ends", "suspended", "recovery key", "--yes"]);
    desk.run(0, "verify identity alice");
    let foreign = format!("revoke alice {officer} --yes --serial 0100{}", "0".repeat(28));
    desk.run(20, &foreign).says(&["no certificate over the present key"]);
    desk.run(0, &format!("revoke alice {officer} --reason key-compromise --yes"))
        .says(&["revoked"]);
    desk.run(12, "verify identity alice");
    desk.run(12, &format!("revoke alice {officer} --yes")).says(&["no certificate"]);

    desk.run(0, &format!("revoke bob {officer} --yes --out @request"));
    desk.run(0, "verify identity bob");
    desk.run(0, "request show @request").says(&["asks for       revoke", "certificate", "officer"]);
    desk.run(0, "request submit @request").says(&["revoked"]);
    desk.run(12, "verify identity bob");
}

#[test]
fn what_is_signed_is_shown_from_its_own_bytes() {
    let desk = Desk::new();
    desk.enrol("alice");
    desk.run(0, "void alice --key ca:officer-1.key --out @request");
    let shown = desk.run(0, "request show @request");
    shown.says(&["asks for       void", "of             alice", "as officer by"]);
    // An altered file is another intent, under which the first signature counts for nothing.
    let text = std::fs::read_to_string(desk.file("request")).expect("written");
    desk.write("broken", &text.replace("\"statements\"", "\"statement\""));
    desk.run(1, "request show @broken").says(&["not a request file"]);
    desk.run(1, "request sign @request --key ca:officer-2.key").says(&["--yes"]);
    desk.run(20, "request submit @request").says(&["threshold-of-officers"]);
}
