//! Writing calls.

use std::sync::Arc;

use policy::Status;
use wire::Hash32;
use wire::event::RevocationReason;

use super::{Author, Harness, certificates, counts, key, refused, reopen, uid};
use crate::store::rows::{CrlRow, HistoryRow};
use crate::store::{Store, StoreError, Wanted};

pub(crate) async fn what_was_recorded_is_there_after_reopening(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let mut author = Author::new();
    let mut group = author.group();
    author.enrol(&mut group, "alice");
    author.enrol(&mut group, "bob");
    let group = author.seal(group);
    store.record(&group).await.unwrap();
    let store = reopen(harness, store).await;

    let row = store.identity(&uid("alice")).await.unwrap().unwrap();
    assert_eq!(row.identity, author.identities[&uid("alice")].identity);
    assert_eq!(row.blinding_key, author.identities[&uid("alice")].blinding_key);
    let events = store.events_of(&uid("bob")).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].leaf_index, &events[0].event), (1, &group.events[1].event));
    assert_eq!((&events[0].leaf, events[0].salt), (&group.events[1].leaf, group.events[1].salt));
    assert_eq!(events[0].evidence, group.events[1].evidence);
    let certificate = store.certificate(1).await.unwrap().unwrap();
    assert_eq!((certificate.uid, certificate.key), (uid("bob"), key("bob")));
    assert_eq!(certificate.certificate, None);
    assert_eq!(store.edge().await.unwrap().root(), author.edge.root());
}

pub(crate) async fn who_read_another_size_writes_nothing(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let mut author = Author::new();
    let mut late = author.clone();
    store.record(&author.enrolment("alice")).await.unwrap();
    let before = counts(&store).await;
    let refused = store.record(&late.enrolment("bob")).await.unwrap_err();
    assert!(matches!(refused, StoreError::Moved { expected: 0, found: 2 }), "{refused}");
    assert_eq!(counts(&store).await, before);
    // The same group again finds the log grown: it is not recorded twice.
    let again = store.record(&Author::new().enrolment("alice")).await.unwrap_err();
    assert!(matches!(again, StoreError::Moved { .. }), "{again}");
    // And whoever reads anew goes on.
    store.record(&author.enrolment("bob")).await.unwrap();
}

pub(crate) async fn of_two_at_once_one_wins(harness: &impl Harness) {
    let store = Arc::new(harness.open().await.unwrap());
    let mut author = Author::new();
    for round in 0..10 {
        let (mut left, mut right) = (author.clone(), author.clone());
        let groups =
            [left.enrolment(&format!("left {round}")), right.enrolment(&format!("right {round}"))];
        let tasks = groups.map(|group| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.record(&group).await })
        });
        let [first, second] = tasks;
        let (first, second) = (first.await.unwrap(), second.await.unwrap());
        author = match (&first, &second) {
            (Ok(()), Err(StoreError::Moved { .. })) => left,
            (Err(StoreError::Moved { .. }), Ok(())) => right,
            other => panic!("{other:?}"),
        };
        assert_eq!(store.edge().await.unwrap().root(), author.edge.root());
    }
}

pub(crate) async fn keys_ids_and_idempotency_keys_are_unique(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let mut author = Author::new();
    store.record(&author.enrolment("alice")).await.unwrap();
    let before = counts(&store).await;

    let mut same_key = author.clone().enrolment("bob");
    same_key.events[0].new_key.as_mut().unwrap().hash = key("alice");
    let mut same_once = author.clone().enrolment("bob");
    same_once.events[0].idempotency = Author::new().enrolment("alice").events.remove(0).idempotency;
    let mut forgetful = author.clone();
    forgetful.identities.clear();
    let mut enrolled_again = forgetful.enrolment("alice");
    enrolled_again.events[0].new_key = None;
    enrolled_again.events[0].idempotency = None;
    for group in [same_key, same_once, enrolled_again] {
        let refused = store.record(&group).await.unwrap_err();
        assert!(matches!(refused, StoreError::Engine(_)), "{refused}");
        assert_eq!(counts(&store).await, before);
    }
    store.record(&author.enrolment("bob")).await.unwrap();
}

pub(crate) async fn a_failed_group_leaves_nothing(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let mut author = Author::new();
    let mut group = author.group();
    author.enrol(&mut group, "alice");
    author.enrol(&mut group, "bob");
    // Written last: everything before it must go again.
    group.events[1].idempotency = group.events[0].idempotency.clone();
    let group = author.seal(group);
    let before = counts(&store).await;
    store.record(&group).await.unwrap_err();
    assert_eq!(counts(&store).await, before);
    let store = reopen(harness, store).await;
    assert_eq!(counts(&store).await, before);
    assert_eq!(store.edge().await.unwrap().size(), 0);
}

pub(crate) async fn the_first_signature_stays(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let mut author = Author::new();
    let mut group = author.group();
    author.enrol(&mut group, "alice");
    author.enrol(&mut group, "bob");
    let group = author.seal(group);
    store.record(&group).await.unwrap();
    let first = store.publish(&certificates(&[(0, b"first")])).await.unwrap();
    assert_eq!(first[0].certificate.as_deref(), Some(&b"first"[..]));
    let both = certificates(&[(1, b"bob's"), (0, b"second"), (1, b"bob's second")]);
    let mut second = store.publish(&both).await.unwrap();
    second.sort_by_key(|row| row.leaf_index);
    assert_eq!(second.len(), 2);
    assert_eq!(second[0].certificate.as_deref(), Some(&b"first"[..]));
    assert_eq!(second[1].certificate.as_deref(), Some(&b"bob's"[..]));
    let store = reopen(harness, store).await;
    let row = store.certificate(0).await.unwrap().unwrap();
    assert_eq!(row.certificate.as_deref(), Some(&b"first"[..]));
}

pub(crate) async fn a_publication_and_a_group_go_together(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let mut author = Author::new();
    store.record(&author.enrolment("alice")).await.unwrap();
    let bob = author.enrolment("bob");
    let stored = store.publish_and_record(&certificates(&[(0, b"alice's")]), &bob).await.unwrap();
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].certificate.as_deref(), Some(&b"alice's"[..]));
    assert!(store.identity(&uid("bob")).await.unwrap().is_some());
    assert_eq!(store.edge().await.unwrap().root(), author.edge.root());
    // The first signature stays here too.
    let carol = author.enrolment("carol");
    let again = certificates(&[(0, b"alice's second"), (2, b"bob's")]);
    let mut stored = store.publish_and_record(&again, &carol).await.unwrap();
    stored.sort_by_key(|row| row.leaf_index);
    let ders: Vec<_> = stored.iter().map(|row| row.certificate.as_deref()).collect();
    assert_eq!(ders, [Some(&b"alice's"[..]), Some(&b"bob's"[..])]);
    // A group that revokes what is being published.
    let mut group = author.group();
    author.revoke(&mut group, "carol");
    let group = author.seal(group);
    store.publish_and_record(&certificates(&[(4, b"carol's")]), &group).await.unwrap();
    let store = reopen(harness, store).await;
    let row = store.certificate(4).await.unwrap().unwrap();
    assert_eq!(row.certificate.as_deref(), Some(&b"carol's"[..]));
    assert!(row.revoked.is_some());
}

pub(crate) async fn a_group_that_is_not_written_leaves_its_neighbours_to_be_published(
    harness: &impl Harness,
) {
    let store = harness.open().await.unwrap();
    let mut author = Author::new();
    let mut late = author.clone();
    store.record(&author.enrolment("alice")).await.unwrap();
    let before = counts(&store).await;
    let signed = certificates(&[(0, b"alice's")]);
    let error = store.publish_and_record(&signed, &late.enrolment("bob")).await.unwrap_err();
    assert!(matches!(error, StoreError::Moved { expected: 0, found: 2 }), "{error}");
    let mut twice = author.clone().enrolment("bob");
    twice.events[0].new_key.as_mut().unwrap().hash = key("alice");
    let error = store.publish_and_record(&signed, &twice).await.unwrap_err();
    assert!(matches!(error, StoreError::Engine(_)), "{error}");
    assert_eq!(counts(&store).await, before);
    let stored = store.publish(&signed).await.unwrap();
    assert_eq!(stored[0].certificate.as_deref(), Some(&b"alice's"[..]));
    store.record(&author.enrolment("bob")).await.unwrap();
}

pub(crate) async fn what_a_group_revokes_of_its_own_is_revoked(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let mut author = Author::new();
    let mut group = author.group();
    author.enrol(&mut group, "alice");
    let at_ms = author.now_ms;
    author.revoke(&mut group, "alice");
    let group = author.seal(group);
    store.record(&group).await.unwrap();
    let row = store.certificate(0).await.unwrap().unwrap();
    assert_eq!(row.revoked, Some((at_ms, RevocationReason::KeyCompromise)));
    assert_eq!(store.revoked(Author::ISSUER, 3, 0).await.unwrap().len(), 1);
}

pub(crate) async fn publishing_what_is_not_recorded_is_nothing(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    assert!(store.publish(&certificates(&[(5, b"stray")])).await.unwrap().is_empty());
    assert!(store.publish(&certificates(&[])).await.unwrap().is_empty());
    assert!(store.certificate(5).await.unwrap().is_none());
}

pub(crate) async fn an_identity_twice_in_a_group_ends_as_its_last(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let mut author = Author::new();
    let mut group = author.group();
    author.enrol(&mut group, "alice");
    author.renew(&mut group, "alice");
    author.revoke(&mut group, "alice");
    let group = author.seal(group);
    store.record(&group).await.unwrap();
    let row = store.identity(&uid("alice")).await.unwrap().unwrap();
    assert_eq!((row.identity.sequence, row.identity.status), (2, Status::Suspended));
    assert_eq!(row.identity.key, None);
}

pub(crate) async fn a_revocation_marks_every_certificate_over_the_key(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let mut author = Author::new();
    let mut group = author.group();
    author.enrol(&mut group, "alice");
    author.enrol(&mut group, "bob");
    author.renew(&mut group, "alice");
    let group = author.seal(group);
    store.record(&group).await.unwrap();
    let mut group = author.group();
    let at_ms = author.now_ms;
    author.revoke(&mut group, "alice");
    let group = author.seal(group);
    store.record(&group).await.unwrap();

    let mine = store.certificates_of(&uid("alice"), None, 10).await.unwrap();
    assert_eq!(mine.len(), 2);
    for row in mine {
        assert_eq!(row.revoked, Some((at_ms, RevocationReason::KeyCompromise)));
    }
    assert_eq!(store.certificate(1).await.unwrap().unwrap().revoked, None);
    let listed = store.revoked(Author::ISSUER, 3, 0).await.unwrap();
    let by: Vec<_> = listed.iter().map(|row| row.leaf_index).collect();
    assert_eq!(by, [4, 4], "the leaf of the event that revoked both");
    assert!(store.revoked(Author::ISSUER, 4, 0).await.unwrap().is_empty());
}

pub(crate) async fn the_first_revocation_stays(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let mut author = Author::new();
    store.record(&author.enrolment("alice")).await.unwrap();
    let mut group = author.group();
    let at_ms = author.now_ms;
    author.revoke(&mut group, "alice");
    author.revoke(&mut group, "alice");
    let group = author.seal(group);
    store.record(&group).await.unwrap();
    let mut group = author.group();
    author.revoke(&mut group, "alice");
    let group = author.seal(group);
    store.record(&group).await.unwrap();
    let row = store.certificate(0).await.unwrap().unwrap();
    assert_eq!(row.revoked.map(|(at, _)| at), Some(at_ms));
    let listed = store.revoked(Author::ISSUER, 3, 0).await.unwrap();
    assert_eq!(listed.iter().map(|row| row.leaf_index).collect::<Vec<_>>(), [2]);
}

pub(crate) async fn crl_numbers_only_grow(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let issuer = Author::ISSUER;
    let row = |number, crl: &[u8]| CrlRow {
        issuer,
        shard: 3,
        number,
        size: 9,
        next_update: 10,
        crl: crl.to_vec(),
    };
    assert!(store.put_crl(&row(5, b"five"), None).await.unwrap());
    assert!(!store.put_crl(&row(5, b"another five"), None).await.unwrap());
    assert!(!store.put_crl(&row(4, b"four"), None).await.unwrap());
    assert!(store.put_crl(&CrlRow { shard: 4, ..row(1, b"other shard") }, None).await.unwrap());
    assert!(store.put_crl(&row(6, b"six"), None).await.unwrap());
    // A row with a number that nobody reaches gives way to who has looked at it, and to nobody else.
    let planted = row(i64::MAX as u64, b"planted");
    assert!(store.put_crl(&CrlRow { shard: 5, ..planted }, None).await.unwrap());
    let due = CrlRow { shard: 5, ..row(7, b"seven") };
    assert!(!store.put_crl(&due, None).await.unwrap());
    assert!(!store.put_crl(&due, Some(b"something else")).await.unwrap());
    assert!(store.put_crl(&due, Some(b"planted")).await.unwrap());
    let store = reopen(harness, store).await;
    assert_eq!(store.crl(issuer, 5).await.unwrap().unwrap().crl, b"seven");
    let found = store.crl(issuer, 3).await.unwrap().unwrap();
    assert_eq!((found.number, found.size, found.next_update), (6, 9, 10));
    assert_eq!(found.crl, b"six");
    assert!(store.crl(Hash32::of(b"other"), 3).await.unwrap().is_none());
}

pub(crate) async fn refusals_of_strangers_are_dropped_and_of_others_capped(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let mut author = Author::new();
    store.record(&author.enrolment("alice")).await.unwrap();
    let mut refusals = vec![refused("stranger", 1, "who?")];
    refusals.extend((0..250).map(|n| refused("alice", 1000 + n, &format!("number {n}\0"))));
    store.refuse(&refusals).await.unwrap();
    store.refuse(&[]).await.unwrap();
    assert!(store.history(&uid("stranger"), None, 10).await.unwrap().is_empty());
    let lines = store.history(&uid("alice"), None, 1000).await.unwrap();
    let mut kept = lines.iter().filter_map(|(_, line)| match line {
        HistoryRow::Refused(refused) => Some(refused),
        HistoryRow::Accepted { .. } => None,
    });
    let newest = kept.next().unwrap();
    // A NUL, which not every engine can keep, is shown as what it is not.
    assert_eq!((newest.detail.as_str(), newest.at_ms), ("number 249\u{fffd}", 1249));
    assert_eq!((newest.key, newest.verb.as_str()), (Some(key("alice")), "renew"));
    assert_eq!(kept.clone().count() + 1, 200);
    assert_eq!(kept.next_back().unwrap().at_ms, 1050);
}

pub(crate) async fn a_ping_changes_nothing(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    store.record(&Author::new().enrolment("alice")).await.unwrap();
    let before = counts(&store).await;
    store.ping().await.unwrap();
    store.ping().await.unwrap();
    assert_eq!(counts(&store).await, before);
    let wanted = Wanted { uids: vec![uid("alice")], ..Wanted::default() };
    assert_eq!(store.books(&wanted).await.unwrap().identities.len(), 1);
    assert_eq!(store.edge().await.unwrap().size(), 2);
}
