//! Watching one's own identity from cron.

use avouch_tests::Desk;
use serde_json::Value;

const WATCH: &str = "log watch alice --once --state @watched --format json";

fn lines(said: &avouch_tests::Said) -> Vec<Value> {
    said.out.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

#[test]
fn what_others_do_to_an_identity_is_told_once_and_ends_with_14() {
    let desk = Desk::new();
    desk.enrol("alice");
    assert!(lines(&desk.run(0, WATCH)).is_empty(), "an enrolment is no news");
    desk.run(0, "switch request alice --new-key @new.key --reason \"I am Alice, really\"");
    let told = lines(&desk.run(14, WATCH));
    assert_eq!((told.len(), told[0]["event"].as_str()), (1, Some("switch-request")), "{told:?}");
    assert_eq!(told[0]["signed_by"], serde_json::json!(["new-key"]));
    assert_eq!(told[0]["against"], "veto");
    assert!(lines(&desk.run(0, WATCH)).is_empty(), "told once");
    desk.run(0, "veto alice --key @alice.key");
    let told = lines(&desk.run(14, WATCH));
    assert_eq!(told[0]["signed_by"], serde_json::json!(["current-key"]), "{told:?}");
    desk.run(0, "log watch alice --once --state @watched");
}

#[test]
fn a_log_that_is_not_as_it_must_be_is_told_and_ends_with_its_code() {
    let desk = Desk::new();
    desk.enrol("alice");
    desk.run(10, "log watch nobody --once --state @watched").says(&["no-such-identity"]);
    desk.run(0, WATCH);

    // A checkpoint that this client saw, as another history would have had it.
    let file = desk.file("contacts.json");
    let seen = std::fs::read_to_string(&file).expect("the largest checkpoint is remembered");
    let mut forked: Value = serde_json::from_str(&seen).expect("JSON");
    forked["logs"][0]["root"] = "ab".repeat(32).into();
    std::fs::write(&file, forked.to_string()).expect("a file");
    let told = lines(&desk.run(15, WATCH));
    assert_eq!(told[0]["found"], "fork", "{told:?}");
    desk.run(0, "contact list --format json");
    let kept = std::fs::read_to_string(&file).expect("a file");
    assert!(kept.contains("\"forks\": [\n    {"), "both checkpoints are kept: {kept}");

    // And one that is larger than what is shown now.
    let mut later: Value = serde_json::from_str(&seen).expect("JSON");
    later["logs"][0]["size"] = 1_000_000.into();
    std::fs::write(&file, later.to_string()).expect("a file");
    assert_eq!(lines(&desk.run(16, WATCH))[0]["found"], "gap");
    std::fs::write(&file, seen).expect("a file");
    desk.run(0, WATCH);
}
