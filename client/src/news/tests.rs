use wire::octets;

use super::*;

fn event(kind: EventKind, sequence: u64) -> Event {
    Event {
        version: 1,
        engine: 1,
        kind,
        time_ms: 1000 + sequence,
        subject: Some(uid("alice")),
        sequence,
        previous: None,
        policy: Hash32::of(b"policy"),
        intent: None,
        evidence: Vec::new(),
        body: octets(b""),
    }
}

fn uid(text: &str) -> UserId {
    UserId::parse(text).unwrap()
}

fn here() -> Hash32 {
    Hash32::of(b"here")
}

fn whats(news: &[News]) -> Vec<&'static str> {
    news.iter().map(|news| news.what).collect()
}

#[test]
fn each_event_is_new_once_for_each_identity() {
    let events = [
        event(EventKind::Enrol, 0),
        event(EventKind::SwitchRequest, 1),
        event(EventKind::Renew, 2),
        event(EventKind::Suspend, 3),
    ];
    let mut own = Own::default();
    assert!(!own.has(here(), &uid("alice")));
    let first = own.since(here(), &uid("alice"), 2, events[..2].iter());
    assert_eq!(whats(&first), ["a switch to another key was asked for"]);
    assert_eq!((first[0].at_ms, first[0].against), (1001, Some("veto")));
    let second = own.since(here(), &uid("alice"), 4, events.iter());
    assert_eq!(whats(&second), ["the identity was suspended"]);
    assert!(own.since(here(), &uid("alice"), 4, events.iter()).is_empty());
    // A server that answers with less does not make old news new.
    assert!(own.since(here(), &uid("alice"), 2, events[..2].iter()).is_empty());
    assert!(own.since(here(), &uid("alice"), 4, events.iter()).is_empty());
    assert_eq!(own.since(Hash32::of(b"there"), &uid("alice"), 4, events.iter()).len(), 2);
    assert_eq!(own.since(here(), &uid("bob"), 4, events.iter()).len(), 2);
}

#[test]
fn the_file_comes_back_and_a_broken_one_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.json");
    let mut own = Own::load(&path).unwrap();
    own.since(here(), &uid("alice"), 7, std::iter::empty());
    own.save(&path).unwrap();
    assert_eq!(Own::load(&path).unwrap(), own);
    assert!(own.has(here(), &uid("alice")));
    for broken in ["", "{}", "{\"version\": 2, \"identities\": []}", "[]"] {
        std::fs::write(&path, broken).unwrap();
        assert!(matches!(Own::load(&path), Err(NewsError::Format { .. })), "{broken}");
    }
}
