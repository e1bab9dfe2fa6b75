//! An identity keeps its key: the reason why the product exists.

use avouch_tests::openssl::Key;
use avouch_tests::{Body, Installation, load_csr, load_key};
use serde_json::json;
use wire::rest::{Certificate, Identity, Outcome, Page};

use crate::{enrolled, history, refusals};

#[test]
pub(crate) fn another_key_for_an_existing_identity_is_refused_and_remembered() {
    let installation = Installation::start();
    let alice = enrolled(&installation, "alice", &Key::p256().csr("/CN=alice", &[]));

    let mallory = installation.agent().enrol("alice", &Key::p256().csr("/CN=alice", &[]));
    let problem = mallory.problem();
    assert_eq!(problem.status, 409);
    assert!(problem.type_uri.ends_with("identity-change-required"), "{problem:?}");
    assert!(problem.expected.is_some() && problem.found.is_some(), "{problem:?}");
    assert!(problem.remedy.is_some(), "{problem:?}");

    assert_eq!(refusals(&installation, "alice"), ["identity-change-required"]);
    let identity: Identity = installation.agent().get("/api/v1/identities/alice").json(200);
    let key = identity.key.expect("still a key");
    assert_eq!((key.spki_sha256, key.number), (alice.spki_sha256, 0));
    assert_eq!(identity.serial.as_ref(), Some(&alice.serial));
}

#[test]
fn the_page_behind_a_problem_is_served() {
    let installation = Installation::start();
    let problem = installation.agent().get("/api/v1/identities/nobody").problem();
    assert_eq!((problem.status, problem.code.as_str()), (404, "unknown-identity"));
    let path = problem.type_uri.strip_prefix(installation.url()).unwrap_or(&problem.type_uri);
    assert!(path.starts_with('/'), "{path}: a page of this server");
    let page = installation.stranger().get(path);
    assert_eq!(page.status, 200);
    assert!(page.text().contains("unknown-identity"), "{}", page.text());
}

#[test]
pub(crate) fn the_same_key_may_be_certified_again() {
    let installation = Installation::start();
    let key = Key::p256();
    let first = enrolled(&installation, "alice", &key.csr("/CN=alice", &[]));
    let second = enrolled(&installation, "alice", &key.csr("/CN=alice", &[]));
    assert_eq!(second.event, "renew");
    assert_eq!(second.sequence, first.sequence + 1);
    assert_eq!(second.spki_sha256, first.spki_sha256);
    assert_ne!(second.serial, first.serial);

    let events: Vec<_> = history(&installation, "alice").into_iter().map(|e| e.event).collect();
    assert!(events.contains(&"enrol".to_owned()) && events.contains(&"renew".to_owned()));
    let page: Page<Certificate> =
        installation.agent().get("/api/v1/identities/alice/certificates").json(200);
    let serials: Vec<_> = page.items.iter().map(|c| &c.serial).collect();
    assert_eq!(serials, [&second.serial, &first.serial], "newest first");
}

#[test]
fn a_key_serves_one_identity() {
    let installation = Installation::start();
    let key = Key::p256();
    let _ = enrolled(&installation, "alice", &key.csr("/CN=alice", &[]));
    let problem = installation.agent().enrol("bob", &key.csr("/CN=bob", &[])).problem();
    assert_eq!((problem.status, problem.code.as_str()), (409, "key-in-use"));
    // Whose it is, is nobody's business.
    assert!(!format!("{problem:?}").contains("alice"), "{problem:?}");
    assert_eq!(installation.agent().get("/api/v1/identities/bob").problem().status, 404);
}

#[test]
fn ids_are_compared_byte_for_byte() {
    let installation = Installation::start();
    let lower = enrolled(&installation, "alice", &load_csr("alice", &load_key()));
    let upper = enrolled(&installation, "Alice", &load_csr("Alice", &load_key()));
    assert_ne!(lower.spki_sha256, upper.spki_sha256);
}

#[test]
fn a_stranger_enrols_nobody() {
    let installation = Installation::start();
    let problem = installation.stranger().enrol("alice", &load_csr("alice", &load_key())).problem();
    assert_eq!((problem.status, problem.code.as_str()), (403, "evidence-required"));
    assert_eq!(installation.stranger().get("/api/v1/identities/alice").status, 404);
}

/// Two requests race for one id with two keys: exactly one wins, the other is refused.
#[test]
pub(crate) fn a_race_has_one_winner() {
    let installation = Installation::start();
    let agent = installation.agent();
    for round in 0..10 {
        let uid = format!("racer-{round}");
        let requests: Vec<Vec<u8>> = (0..4).map(|_| load_csr(&uid, &load_key())).collect();
        let answers: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                requests.iter().map(|csr| scope.spawn(|| agent.enrol(&uid, csr))).collect();
            threads.into_iter().map(|t| t.join().expect("no panic")).collect()
        });
        let won: Vec<Certificate> =
            answers.iter().filter(|a| a.status == 201).map(|a| a.json(201)).collect();
        assert_eq!(won.len(), 1, "{answers:?}");
        for lost in answers.iter().filter(|a| a.status != 201) {
            assert_eq!(lost.problem().code, "identity-change-required");
        }
        let identity: Identity = agent.get(&format!("/api/v1/identities/{uid}")).json(200);
        assert_eq!(identity.key.map(|k| k.spki_sha256), Some(won[0].spki_sha256));
    }
}

#[test]
pub(crate) fn history_comes_in_pages() {
    let installation = Installation::start();
    let key = Key::p256();
    for _ in 0..5 {
        let _ = enrolled(&installation, "alice", &key.csr("/CN=alice", &[]));
    }
    let mut path = "/api/v1/identities/alice/history?limit=2".to_owned();
    let mut sequences = Vec::new();
    loop {
        let page: Page<wire::rest::HistoryEntry> = installation.agent().get(&path).json(200);
        assert!(page.items.len() <= 2);
        assert!(page.items.iter().all(|e| e.outcome == Outcome::Accepted));
        sequences.extend(page.items.iter().filter_map(|e| e.sequence));
        let Some(next) = page.next else { break };
        path = format!("/api/v1/identities/alice/history?limit=2&cursor={next}");
    }
    sequences.sort_unstable();
    assert_eq!(sequences, [0, 1, 2, 3, 4]);
}

#[test]
fn unknown_members_of_a_json_request_are_refused() {
    let installation = Installation::start();
    let body = json!({ "csr": "", "force": true });
    let path = "/api/v1/identities/alice/certificates";
    let problem = installation.agent().post(path, Body::Json(body)).problem();
    assert_eq!((problem.status, problem.code.as_str()), (400, "malformed-request"));
    assert!(problem.detail.contains("force"), "{problem:?}");
}
