//! What a client remembers of the log, and what it demands of a server that shows it something
//! else later.

use avouch_tests::Installation;
use avouch_tests::openssl::{Key, text};
use serde_json::{Value, json};

use crate::enrolled;
use crate::people::{Person, ends};

fn enrol(installation: &Installation, uid: &str, key: &Key) {
    let _ = enrolled(installation, uid, &key.csr(&format!("/CN={uid}"), &[]));
}

fn contacts(person: &Person<'_>) -> Value {
    let text = std::fs::read_to_string(person.file("contacts.json")).expect("contacts");
    serde_json::from_str(&text).expect("JSON")
}

/// Writes contacts with one value of theirs replaced.
fn edited(person: &Person<'_>, contacts: &Value, at: &str, value: Value) {
    let mut contacts = contacts.clone();
    *contacts.pointer_mut(at).unwrap_or_else(|| panic!("no {at}")) = value;
    person.write("contacts.json", contacts.to_string().as_bytes());
}

#[test]
fn a_log_that_does_not_go_on_is_refused_and_the_evidence_kept() {
    let installation = Installation::start();
    let person = Person::new(&installation);
    enrol(&installation, "alice", &Key::p256());
    let verify = ["verify", "identity", "alice"];
    ends(&person.with_contacts(&verify), 0);
    let first = contacts(&person);
    let size = first["logs"][0]["size"].as_u64().expect("the checkpoint is remembered");

    // It grew, and the tiles prove that it went on. The same twice is fine, too.
    for n in 0..5 {
        enrol(&installation, &format!("other-{n}"), &Key::p256());
    }
    ends(&person.with_contacts(&verify), 0);
    let second = contacts(&person);
    assert_eq!(second["logs"][0]["size"].as_u64(), Some(size + 10));
    ends(&person.with_contacts(&verify), 0);

    // Somebody else was shown another log, then and now.
    let foreign = json!("5".repeat(64));
    for before in [&first, &second] {
        edited(&person, before, "/logs/0/root", foreign.clone());
        let refused = person.with_contacts(&verify);
        ends(&refused, 15);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("the log was forked"), "{said}");
        let kept = contacts(&person);
        assert_eq!(kept["forks"][0]["seen"]["root"], foreign);
        assert_eq!(kept["forks"][0]["shown"]["root"], second["logs"][0]["root"]);
        assert_eq!(kept["logs"][0]["root"], foreign, "what was seen first stays");
    }

    // A server that shows an older state than the one that was seen keeps something back.
    edited(&person, &second, "/logs/0/size", json!(size + 1000));
    let refused = person.with_contacts(&verify);
    ends(&refused, 16);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("kept back"), "{said}");
}

#[test]
fn the_history_of_a_contact_goes_on_from_where_it_was() {
    let installation = Installation::start();
    let person = Person::new(&installation);
    let (alice, bob) = (Key::p256(), Key::p256());
    enrol(&installation, "alice", &alice);
    enrol(&installation, "bob", &bob);
    ends(&person.with_contacts(&["verify", "identity", "alice", "bob"]), 0);
    let before = contacts(&person);
    let verify = ["verify", "identity", "alice"];
    // Nothing happened; a renewal happened; both lead to the head that the log proves.
    ends(&person.with_contacts(&verify), 0);
    enrol(&installation, "alice", &alice);
    ends(&person.with_contacts(&verify), 0);
    let after = contacts(&person);
    assert_ne!(before["contacts"][0]["known"], after["contacts"][0]["known"]);
    // Going on from an older state than the last one works as well.
    edited(&person, &after, "/contacts/0/known", before["contacts"][0]["known"].clone());
    ends(&person.with_contacts(&verify), 0);
    // What was remembered of somebody else leads nowhere.
    edited(&person, &after, "/contacts/0/known", before["contacts"][1]["known"].clone());
    ends(&person.with_contacts(&verify), 10);
    // Without a memory all of the history is asked for.
    edited(&person, &after, "/contacts/0/known", Value::Null);
    ends(&person.with_contacts(&verify), 0);
}

#[test]
fn without_a_log_key_nobody_is_taken_unless_that_is_said() {
    let installation = Installation::start();
    let person = Person::new(&installation);
    enrol(&installation, "alice", &Key::p256());
    let trust = String::from_utf8(installation.read("trust.json")).expect("text");
    let mut trust: Value = serde_json::from_str(&trust).expect("JSON");
    trust["log"] = json!("");
    let trust = person.write("no-log.json", trust.to_string().as_bytes());
    let tls = installation.file("tls-ca.pem");
    let contacts = person.file("contacts.json");
    let ask = |more: &[&str]| {
        let arguments = ["verify", "identity", "alice", "--trust", text(&trust)];
        let files = ["--contacts", text(&contacts), "--tls-ca", text(&tls)];
        installation.avouch(&[&arguments[..], &files, more].concat())
    };
    let refused = ask(&[]);
    ends(&refused, 15);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no log key"));
    ends(&ask(&["--without-log-proof"]), 0);
}
