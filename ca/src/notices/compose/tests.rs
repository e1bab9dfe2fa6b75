use wire::{Hash32, UserId};

use super::*;

fn asked() -> Notice {
    Notice {
        realm: "example.org".into(),
        uid: Some(UserId::parse("alice").unwrap()),
        event: "switch-request".into(),
        at_ms: 1_795_000_000_000,
        sequence: 3,
        leaf_index: 17,
        switch: Some(Hash32::of(b"intent")),
        key: Some(Hash32::of(b"key")),
        not_before_ms: Some(1_795_259_200_000),
        until_ms: None,
        by: None,
        detail: Some("0 of 2 officers have approved".into()),
        announced: false,
    }
}

/// The owner must find in it what happened, to whom, until when, and what to type.
#[test]
fn a_request_for_a_switch_says_how_to_stop_it() {
    let letter = letter(&asked(), Some("call 1234"));
    assert_eq!(letter.subject, "[Avouch] A switch to another key was asked for: alice");
    let id = Hash32::of(b"intent").to_string();
    for needed in [
        "alice in example.org",
        "2026-11-18T11:06:40Z",
        "not before 2026-11-21T11:06:40Z",
        &id,
        &format!("avouch veto alice --id {id} --key KEY"),
        "call 1234",
        "0 of 2 officers",
    ] {
        assert!(letter.text.contains(needed), "{needed} is missing:\n{}", letter.text);
    }
    assert!(!letter.text.contains("http"), "nothing to click on, nothing that tells who reads");
}

#[test]
fn no_word_of_a_user_id_ends_a_line_or_a_command() {
    let uid = UserId::parse("o'x; rm -rf ~ --").unwrap();
    let notice = Notice { uid: Some(uid), event: "suspend".into(), ..asked() };
    let text = letter(&Notice { event: "rekey".into(), ..notice }, None).text;
    assert!(text.contains(r"avouch suspend 'o'\''x; rm -rf ~ --' --key KEY"), "{text}");
    assert_eq!(quoted("-rf"), "'-rf'");
    assert_eq!(quoted("alice@example.org"), "alice@example.org");
}

/// Every kind that anybody is told of has words of its own.
#[test]
fn every_event_of_an_identity_has_its_words() {
    use wire::event::EventKind;
    let mut seen = std::collections::BTreeMap::new();
    for kind in EventKind::ALL.iter().filter(|kind| kind.is_of_identity()) {
        if !crate::notices::notice::audience(*kind).owner {
            continue;
        }
        let notice = Notice { event: kind.name().into(), ..asked() };
        let Words { headline, .. } = words(&notice);
        assert!(!headline.contains("installation"), "{kind}");
        if let Some(other) = seen.insert(headline, *kind) {
            assert!(matches!((other, *kind), (EventKind::Enrol, EventKind::Adopt)), "{kind}");
        }
    }
    assert!(seen.len() > 14);
}

#[test]
fn a_webhook_gets_the_same_as_json() {
    let body = payload(&asked());
    assert_eq!(body["type"], "identity.switch-request");
    assert_eq!(body["timestamp"], "2026-11-18T11:06:40Z");
    assert_eq!(body["data"]["uid"], "alice");
    assert_eq!(body["data"]["switch"], Hash32::of(b"intent").to_string());
    assert_eq!(body["data"]["not_before"], "2026-11-21T11:06:40Z");
}

#[test]
fn the_outbox_reads_what_it_was_given() {
    assert_eq!(Notice::from_bytes(&asked().to_bytes()).unwrap(), asked());
    // And what a later program may have added.
    let mut json: Value = serde_json::from_slice(&asked().to_bytes()).unwrap();
    json["new"] = "member".into();
    assert_eq!(Notice::from_bytes(json.to_string().as_bytes()).unwrap(), asked());
}
