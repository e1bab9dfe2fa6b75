use wire::body::Struck;
use wire::event::{Certified, EventKind};
use wire::octets;
use wire::rules::Rules;

use super::*;
use crate::testing::{Book, HOUR_MS, Key, SECRET, alice, blinded, leaf_of};

fn auditor(book: &Book) -> Replay {
    Replay::begin_auditing(&book.genesis, SECRET).unwrap()
}

/// The rule by which an auditor refuses the books, and the index of the leaf.
fn refused(book: &Book) -> (String, u64) {
    match auditor(book).batch(&book.entries, book.end(), &nothing_else).unwrap_err() {
        BatchError::Refused(refused) => (refused.rule, refused.index),
        error => panic!("{error}"),
    }
}

fn unwitnessed() -> Rules {
    Rules { allow_unwitnessed: true, ..Rules::standard() }
}

/// Alice enrols, and is switched to another key after the wait.
fn a_switch() -> Book {
    let mut book = Book::new(unwitnessed());
    let (first, second) = (Key::new(), Key::new());
    book.enrol(&first);
    book.end_group();
    book.ask_for_switch(&second);
    book.end_group();
    book.now_ms += 72 * HOUR_MS;
    book.complete_switch(|_| {});
    book.end_group();
    book
}

#[test]
fn what_is_lawful_is_applied_in_any_batches_and_goes_on_from_a_snapshot() {
    let book = a_switch();
    let mut whole = auditor(&book);
    whole.batch(&book.entries, book.end(), &nothing_else).unwrap();
    assert_eq!((whole.size(), whole.root()), book.end());
    assert_eq!((whole.identities(), whole.events()), (1, 5));
    let mut parts = auditor(&book);
    let mut from = 0;
    let ends = book.entries.iter().filter(|entry| entry.event.is_none());
    for end in ends.map(|entry| entry.leaf_index + 1) {
        let at = usize::try_from(from).unwrap()..usize::try_from(end).unwrap();
        let mut edge = tlog::Edge::empty();
        for entry in &book.entries[..at.end] {
            edge.append(Leaf::from_canonical(&entry.leaf.0).unwrap().leaf_hash());
        }
        // Put away and taken up again before each batch but the first.
        if let Some(snapshot) = parts.snapshot() {
            parts = Replay::resume_auditing(&book.genesis, SECRET, &snapshot).unwrap();
        }
        parts.batch(&book.entries[at], (end, edge.root()), &nothing_else).unwrap();
        from = end;
    }
    assert_eq!(parts.snapshot(), whole.snapshot());
}

/// What an event calls for, as if another authority signed it: the one that signs what events of
/// the other kind call for.
fn by_the_issuer_of(
    book: &Book,
    other: EventKind,
    spki: Vec<u8>,
) -> impl FnOnce(&mut Event) + use<> {
    let issuance = std::sync::Arc::clone(book.timeline.current().issuance());
    let now_ms = book.now_ms;
    move |event| {
        let mut body = Certified::from_canonical(event.body.as_bytes()).unwrap();
        let key = x509::PublicKey::parse(&spki, issuance.key_rules()).unwrap();
        let serial = wire::SerialNumber::from_slice(body.serial.as_bytes()).unwrap();
        let ca = issuance.ca(other);
        let tbs = issuance.leaf(ca, &key, (&alice(), &[]), serial, now_ms).unwrap();
        (body.issuer, body.tbs) = (ca.hash(), Hash32::of(tbs.tbs_der()));
        event.body = octets(&body.to_canonical());
    }
}

#[test]
fn what_the_wrong_authority_is_to_sign_is_refused_in_both_directions() {
    let rule = "certificate-as-called-for";
    let asked = || {
        let mut book = Book::two_issuers(unwitnessed());
        let (first, second) = (Key::new(), Key::new());
        book.enrol(&first);
        book.end_group();
        book.ask_for_switch(&second);
        book.end_group();
        book.now_ms += 72 * HOUR_MS;
        (book, second)
    };
    let (mut book, _) = asked();
    book.complete_switch(|_| {});
    book.end_group();
    auditor(&book).batch(&book.entries, book.end(), &nothing_else).unwrap();

    // The switch as the first authority would sign it.
    let (mut book, second) = asked();
    let forged = by_the_issuer_of(&book, EventKind::Enrol, second.signer.spki.clone());
    book.complete_switch(forged);
    book.end_group();
    assert_eq!(refused(&book), (rule.to_owned(), 8));
    // It says that the right one signs, and means the other's TBS.
    let (mut book, second) = asked();
    let right = book.timeline.current().issuance().ca(EventKind::SwitchComplete).hash();
    let forged = by_the_issuer_of(&book, EventKind::Enrol, second.signer.spki.clone());
    book.complete_switch(|event| {
        forged(event);
        let mut body = Certified::from_canonical(event.body.as_bytes()).unwrap();
        body.issuer = right;
        event.body = octets(&body.to_canonical());
    });
    book.end_group();
    assert_eq!(refused(&book), (rule.to_owned(), 8));

    // An enrolment as the second authority would sign it.
    let mut book = Book::two_issuers(unwitnessed());
    let key = Key::new();
    let forged = by_the_issuer_of(&book, EventKind::SwitchComplete, key.signer.spki.clone());
    let (request, intent, evidence) = book.enrolment(&key);
    book.act(&request, Some(&intent), &evidence, forged);
    book.end_group();
    assert_eq!(refused(&book), (rule.to_owned(), 2));
}

#[test]
fn a_batch_that_is_refused_changes_nothing() {
    let good = a_switch();
    let mut replay = auditor(&good);
    let (head, tail) = good.entries.split_at(4);
    let mut edge = tlog::Edge::empty();
    for entry in head {
        edge.append(Leaf::from_canonical(&entry.leaf.0).unwrap().leaf_hash());
    }
    replay.batch(head, (4, edge.root()), &nothing_else).unwrap();
    let before = replay.snapshot();
    // Refused at the end, when all entries were applied, and in the middle.
    let elsewhere = (good.end().0, Hash32::of(b"another root"));
    assert!(matches!(replay.batch(tail, elsewhere, &nothing_else), Err(BatchError::Root { .. })));
    assert_eq!(replay.snapshot(), before);
    let never = |_: &Replay, event: &Event| {
        let (expected, found) = (String::new(), String::new());
        let refuse = event.kind == EventKind::SwitchComplete;
        if refuse { Err(Objection { rule: "never", expected, found }) } else { Ok(()) }
    };
    assert!(matches!(
        replay.batch(tail, good.end(), &never),
        Err(BatchError::Refused(refused)) if refused.rule == "never"
    ));
    assert_eq!(replay.snapshot(), before);
    replay.batch(tail, good.end(), &nothing_else).unwrap();
    assert_eq!((replay.size(), replay.root()), good.end());
}

#[test]
fn a_shortened_wait_is_refused() {
    let mut book = Book::new(unwitnessed());
    book.enrol(&Key::new());
    book.ask_for_switch(&Key::new());
    book.now_ms += 72 * HOUR_MS;
    let leaf = book.edge.size();
    book.complete_switch(|event| {
        event.time_ms -= 1;
    });
    book.end_group();
    assert_eq!(refused(&book), ("the-wait-is-over".to_owned(), leaf));
}

#[test]
fn a_forged_head_is_refused() {
    let mut book = Book::new(Rules::standard());
    book.enrol(&Key::new());
    book.set(blinded(&alice()), Hash32::of(b"a head of mallory's making"));
    book.end_group();
    assert_eq!(refused(&book), ("map-root".to_owned(), 3));
}

#[test]
fn a_second_blinded_id_for_one_user_id_is_refused() {
    let mut book = Book::new(Rules::standard());
    book.enrol(&Key::new());
    book.end_group();
    let at = book.edge.size();
    book.enrol_again_elsewhere(&Key::new());
    book.end_group();
    assert_eq!(refused(&book), ("one-blinded-id".to_owned(), at));
}

#[test]
fn a_key_of_somebody_elses_is_refused() {
    let mut book = Book::new(Rules::standard());
    let key = Key::new();
    book.enrol(&key);
    book.end_group();
    let at = book.edge.size();
    let mut replay = auditor(&book);
    replay.batch(&book.entries, book.end(), &nothing_else).unwrap();
    // As if bob had had it before.
    replay.owners.insert(Hash32::of(&key.signer.spki), UserId::parse("bob").unwrap());
    replay.histories.clear();
    let mut again = book;
    again.alice = History::new(alice());
    again.enrol(&key);
    again.end_group();
    let tail = again.entries.split_off(usize::try_from(at).unwrap());
    let error = replay.batch(&tail, again.end(), &nothing_else).unwrap_err();
    assert!(error.to_string().contains("bob") || error.to_string().contains("key"), "{error}");
    assert!(matches!(error, BatchError::Refused(refused) if refused.index == at));
}

#[test]
fn an_unlogged_certificate_is_refused() {
    let mut book = Book::new(Rules::standard());
    book.enrol_with_foreign_certificate(&Key::new());
    book.end_group();
    assert_eq!(refused(&book).0, "certificate-as-called-for");
}

#[test]
fn an_unlogged_certificate_is_passed_once_it_is_struck() {
    let mut book = Book::new(Rules::standard());
    let at = book.edge.size();
    book.enrol_with_foreign_certificate(&Key::new());
    let (entry, after) = (book.entries.last_mut().unwrap(), after(&book.alice).unwrap());
    assert_eq!(entry.leaf_index, at);
    entry.event.as_mut().unwrap().after = Some(Blob(after));
    let leaf = Leaf::from_canonical(&entry.leaf.0).unwrap().leaf_hash();
    book.end_group();
    book.change(EventKind::Strike, &Struck { version: 1, leaf, index: None }.to_canonical());
    book.end_group();
    let mut replay = auditor(&book);
    let passed = replay.batch(&book.entries, book.end(), &nothing_else).unwrap();
    assert_eq!(passed.iter().map(|refused| refused.index).collect::<Vec<_>>(), [at]);
}

#[test]
fn what_only_a_transport_vouches_for_is_refused_and_passed_once_it_is_struck() {
    let rules = Rules { allow_transport_evidence: true, ..Rules::standard() };
    let mut book = Book::new(rules);
    let at = book.edge.size();
    let leaf = book.enrol_by_transport(&Key::new());
    book.end_group();
    assert_eq!(refused(&book), ("transport-is-not-evidence".to_owned(), at));
    // Clients of such an installation go by its policy.
    let mut client = Replay::begin(&book.genesis, SECRET).unwrap();
    client.batch(&book.entries, book.end(), &nothing_else).unwrap();

    let after = after(&book.alice).unwrap();
    book.change(
        EventKind::Strike,
        &Struck { version: 1, leaf: leaf.leaf_hash(), index: None }.to_canonical(),
    );
    book.end_group();
    // Without a word of what it left behind there is nothing to go on from.
    assert_eq!(refused(&book), ("transport-is-not-evidence".to_owned(), at));
    let entry = book.entries.iter_mut().find(|entry| entry.leaf_index == at).unwrap();
    entry.event.as_mut().unwrap().after = Some(Blob(after));
    let mut replay = auditor(&book);
    let passed = replay.batch(&book.entries, book.end(), &nothing_else).unwrap();
    assert_eq!(passed.iter().map(|refused| refused.index).collect::<Vec<_>>(), [at]);
    assert!(replay.installation().is_struck(leaf.leaf_hash()));
    // A strike that does not follow passes nothing.
    let short = book.entries.len() - 2;
    let mut edge = tlog::Edge::empty();
    for entry in &book.entries[..short] {
        edge.append(Leaf::from_canonical(&entry.leaf.0).unwrap().leaf_hash());
    }
    let end = (short as u64, edge.root());
    assert!(auditor(&book).batch(&book.entries[..short], end, &nothing_else).is_err());
}

#[test]
fn an_engine_that_is_not_known_is_refused_as_one() {
    let mut book = Book::new(Rules::standard());
    let key = Key::new();
    book.enrol(&key);
    let entry = book.entries.last_mut().unwrap();
    let with = entry.event.as_mut().unwrap();
    let event = Event { engine: 2, ..Event::from_canonical(&with.event.0).unwrap() };
    let (leaf, salt) = leaf_of(&event, blinded(&alice()));
    entry.leaf = Blob(leaf.to_canonical());
    (with.event, with.salt) = (Blob(event.to_canonical()), Blob(salt.to_vec()));
    assert_eq!(refused(&book).0, "engine-version");
}

#[test]
fn a_snapshot_that_was_changed_is_refused() {
    let book = a_switch();
    let mut replay = auditor(&book);
    replay.batch(&book.entries, book.end(), &nothing_else).unwrap();
    let snapshot = serde_json::to_string(&replay.snapshot().unwrap()).unwrap();
    let other = snapshot.replace("\"status\":0", "\"status\":1");
    assert_ne!(snapshot, other);
    let other = serde_json::from_str(&other).unwrap();
    assert!(matches!(
        Replay::resume_auditing(&book.genesis, SECRET, &other),
        Err(ResumeError::Map { .. })
    ));
}

#[test]
fn a_body_is_read_as_it_was_written() {
    let book = a_switch();
    let entries = book.add_entries(0);
    let request = entries.request().clone();
    assert_eq!(AddEntries::parse(entries.to_body().as_bytes()), Ok(entries.clone()));
    // Cut anywhere it is none.
    let body = entries.to_body();
    for end in (1..body.len()).step_by(97).chain([body.len() - 1]) {
        if body.is_char_boundary(end) {
            assert!(AddEntries::parse(&body.as_bytes()[..end]).is_err(), "cut at {end}");
        }
    }
    // The entries are those between the sizes, and the secret goes with the first.
    assert!(AddEntries::new(request.clone(), None, book.entries.clone()).is_err());
    assert!(AddEntries::new(request, Some(SECRET), book.entries[1..].to_vec()).is_err());
    let later = book.add_entries(4);
    assert_eq!(AddEntries::parse(later.to_body().as_bytes()), Ok(later));
}

#[test]
fn a_refusal_is_read_as_it_was_told() {
    let refused = Refused {
        index: 7,
        leaf: Some(Hash32::of(b"leaf")),
        event: Some("switch-complete".into()),
        rule: "the-wait-is-over".into(),
        expected: "259200 s".into(),
        found: "1 s".into(),
    };
    let problem = RefusedProblem::of(refused.clone());
    let json = serde_json::to_vec(&problem).unwrap();
    assert_eq!(RefusedProblem::parse(&json).unwrap().refused, refused);
    let json = String::from_utf8(json).unwrap();
    assert!(json.contains("\"rule\":\"the-wait-is-over\"") && json.contains("\"index\":7"));
    assert_eq!(RefusedProblem::parse(json.replace("entry-refused", "other").as_bytes()), None);
}
