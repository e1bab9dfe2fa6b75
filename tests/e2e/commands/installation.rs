//! The policy and who has a say in it: shown, explained, supposed, and changed by officers.

use avouch_tests::Desk;

fn signed_by_two(desk: &Desk, change: &str) -> avouch_tests::Said {
    let said = desk.run(0, &format!("{change} --key ca:officer-1.key --yes --out @change"));
    desk.run(0, "request sign @change --key ca:officer-2.key --yes");
    desk.run(0, "request submit @change");
    said
}

#[test]
fn a_policy_file_is_checked_with_the_line_that_is_wrong() {
    let desk = Desk::new();
    desk.write("policy.toml", "preset = \"strict\"\nwait = \"96h\"\n");
    let said = desk.run(0, "policy check @policy.toml");
    said.says(&["approvals = 3", "wait = \"4d\"", "# hash "]);
    for (text, fault) in [
        ("wiat = \"96h\"", "did you mean \"wait\""),
        ("wait = 96", "must be a whole number with a unit"),
        ("preset = \"lax\"", "small-team, standard and strict"),
        ("approvals = 3\nofficers = 3", "officers"),
    ] {
        desk.write("policy.toml", text);
        desk.run(1, "policy check @policy.toml").says(&[fault, "policy.toml"]);
    }
}

#[test]
fn what_an_identity_may_do_now_and_would_under_another_policy() {
    let desk = Desk::new();
    desk.enrol("alice");
    desk.run(0, "policy explain alice").says(&[
        "switch-request",
        "2 of 3 officers",
        "a wait of 3d",
    ]);
    desk.run(0, "policy explain nobody").says(&["enrol", "an enrolment agent"]);
    desk.write(
        "policy.toml",
        "wait = \"14d\"\nrequest_expiry = \"28d\"\nallow_software_token = true\n",
    );
    desk.run(0, "policy simulate alice --policy @policy.toml").says(&["a wait of 14d"]);
    desk.write("policy.toml", "allow_software_token = false\n");
    let said = desk.run(0, "policy simulate alice --policy @policy.toml");
    said.says(&["rekey: not now, the issuing key is not HSM-held"]);
    desk.run(0, "policy explain alice").says(&["a wait of 3d"]);
}

#[test]
fn officers_change_the_policy_and_what_loosens_waits() {
    let desk = Desk::new();
    let strict = "wait = \"96h\"\nallow_software_token = true\nallow_transport_evidence = true\n";
    desk.write("policy.toml", strict);
    let one = desk.run(20, "change policy @policy.toml --key ca:officer-1.key --yes");
    one.says(&["evidence-required", "threshold-of-officers", "found: 1"]);
    signed_by_two(&desk, "change policy @policy.toml").says(&["wait = \"4d\""]);
    desk.run(0, "policy show").says(&["wait = \"4d\""]);
    // Fewer hours are less safe: announced, and in force four days later.
    desk.write("policy.toml", &strict.replace("96h", "72h"));
    signed_by_two(&desk, "change policy @policy.toml");
    desk.run(0, "policy show").says(&["wait = \"4d\"", "announced policy-change"]);
    desk.hours_ahead(97);
    avouch_tests::patiently("the announced policy", || {
        let said = desk.run(0, "policy show");
        said.out.contains("wait = \"3d\"").then_some(())
    });
    // Whoever signed for the policy before has signed for nothing now.
    desk.run(20, "request submit @change").says(&["stale-intent"]);
}

#[test]
fn officers_and_agents_come_and_go() {
    let desk = Desk::new();
    desk.enrol("alice");
    desk.run(0, "key new --out @olga.key");
    signed_by_two(&desk, "change roster --add olga=@olga.key").says(&["olga", "officer-3"]);
    desk.run(0, "policy show").says(&["announced roster-change"]);
    desk.run(1, "change roster --remove nobody --key ca:officer-1.key --yes");
    desk.run(0, "switch request alice --new-key @new.key");
    desk.run(20, "approve alice --key @olga.key --remark met --yes").says(&["evidence-refused"]);
    desk.hours_ahead(73);
    avouch_tests::patiently("olga", || {
        desk.run(0, "policy show").out.contains("olga").then_some(())
    });
    desk.run(0, "approve alice --key @olga.key --remark met --yes");
    // One who leaves goes at once.
    signed_by_two(&desk, "change roster --remove officer-3");
    let said = desk.run(0, "policy show");
    assert!(!said.out.contains("officer-3"), "{}", said.out);
    desk.run(20, "approve alice --key ca:officer-3.key --remark met --yes");
    // An agent, too.
    desk.run(0, "key new --out @hr.key");
    signed_by_two(&desk, "change agents --remove dev-agent");
    let said = desk.run(0, "policy show");
    assert!(!said.out.contains("dev-agent"), "{}", said.out);
    desk.run(0, "verify identity alice");
}

#[test]
fn a_test_clock_is_shown_wherever_somebody_looks() {
    let desk = Desk::new();
    let shown = desk.run(0, "doctor --config ca:avouch.toml");
    shown.says(&["WARNING  test_clock is on", "clock    ok"]);
    desk.run(0, "doctor --config ca:avouch.toml --format json").says(&["a test clock"]);
    desk.enrol("alice");
    desk.run(0, "verify identity alice").says(&["the time is a test clock's"]);
}
