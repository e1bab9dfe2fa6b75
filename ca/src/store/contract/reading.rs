//! Reading calls.

use std::collections::HashSet;

use wire::IdempotencyKey;

use super::{Author, Harness, certificates, key, refused, uid};
use crate::store::rows::{HistoryCursor, HistoryRow};
use crate::store::{RecordGroup, Store, Wanted};

pub(crate) async fn an_empty_store_is_empty(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    assert!(store.genesis().await.unwrap().is_none());
    assert_eq!(store.edge().await.unwrap().size(), 0);
    assert!(store.identity(&uid("alice")).await.unwrap().is_none());
    assert!(store.certificate(0).await.unwrap().is_none());
    assert!(store.events_of(&uid("alice")).await.unwrap().is_empty());
    assert!(store.history(&uid("alice"), None, 10).await.unwrap().is_empty());
    assert!(store.unfinished(None, 10).await.unwrap().is_empty());
    assert!(store.books(&Wanted::default()).await.unwrap().identities.is_empty());
}

pub(crate) async fn the_genesis_event_is_leaf_0(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let mut author = Author::new();
    let mut group = author.group();
    author.genesis(&mut group);
    author.enrol(&mut group, "alice");
    let group = author.seal(group);
    store.record(&group).await.unwrap();
    let row = store.genesis().await.unwrap().unwrap();
    assert_eq!((&row.event, row.salt), (&group.events[0].event, group.events[0].salt));
    assert_eq!(row.leaf, group.events[0].leaf);
}

pub(crate) async fn unfinished_is_paged(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let mut author = Author::new();
    let mut group = author.group();
    author.genesis(&mut group);
    for n in 0..9 {
        author.enrol(&mut group, &format!("user {n}"));
    }
    let group = author.seal(group);
    store.record(&group).await.unwrap();
    store.publish(&certificates(&[(1, b"a"), (4, b"b")])).await.unwrap();
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = store.unfinished(after, 3).await.unwrap();
        assert!(page.len() <= 3);
        let Some(last) = page.last() else { break };
        after = Some(last.leaf_index);
        seen.extend(page.iter().map(|row| (row.leaf_index, row.uid.as_str().to_owned())));
    }
    let leaves: Vec<u64> = seen.iter().map(|(leaf_index, _)| *leaf_index).collect();
    assert_eq!(leaves, [2, 3, 5, 6, 7, 8, 9]);
    assert_eq!(seen[0].1, "user 1");
}

pub(crate) async fn a_history_is_read_in_pages_and_an_event_by_its_leaf(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let group = alice_renewed_four_times();
    store.record(&group).await.unwrap();
    let leaves = async |from, limit| {
        let rows = store.events_from(&uid("alice"), from, limit).await.unwrap();
        rows.iter().map(|row| row.leaf_index).collect::<Vec<_>>()
    };
    assert_eq!(leaves(0, 3).await, [0, 2, 3]);
    assert_eq!(leaves(3, 3).await, [4, 5]);
    assert!(leaves(5, 3).await.is_empty());
    let third = store.event(3).await.unwrap().unwrap();
    assert_eq!((third.event.sequence, &third.event), (2, &group.events[3].event));
    assert_eq!(third.evidence, group.events[3].evidence);
    assert!(store.event(6).await.unwrap().is_none(), "a map root is no event");
    assert!(store.event(7).await.unwrap().is_none());
    let head = group.events[5].identity.as_ref().unwrap().identity.head;
    assert_eq!(store.with_head(head).await.unwrap(), Some(uid("alice")));
    assert_eq!(store.with_head(group.events[0].leaf.leaf_hash()).await.unwrap(), None);
}

pub(crate) async fn certificates_are_paged_newest_first(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    store.record(&alice_renewed_four_times()).await.unwrap();
    let leaves = async |before, limit| {
        let rows = store.certificates_of(&uid("alice"), before, limit).await.unwrap();
        rows.iter().map(|row| row.leaf_index).collect::<Vec<_>>()
    };
    assert_eq!(leaves(None, 3).await, [5, 4, 3]);
    assert_eq!(leaves(Some(3), 3).await, [2, 0]);
    assert!(leaves(Some(0), 3).await.is_empty());
}

pub(crate) async fn a_history_merges_events_and_refusals(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let mut author = Author::new();
    let at = author.now_ms;
    let mut group = author.group();
    author.enrol(&mut group, "alice");
    author.now_ms = at;
    author.renew(&mut group, "alice");
    author.now_ms = at + 5;
    author.renew(&mut group, "alice");
    author.enrol(&mut group, "bob");
    let group = author.seal(group);
    store.record(&group).await.unwrap();
    // All in one millisecond, two in one call and one after.
    store.refuse(&[refused("alice", at, "one"), refused("alice", at, "two")]).await.unwrap();
    store.refuse(&[refused("alice", at, "three"), refused("bob", at, "not hers")]).await.unwrap();

    let told = |line: &HistoryRow| match line {
        HistoryRow::Accepted { leaf_index, event } => format!("{} {leaf_index}", event.kind),
        HistoryRow::Refused(refused) => refused.detail.clone(),
    };
    let whole = store.history(&uid("alice"), None, 100).await.unwrap();
    let lines: Vec<String> = whole.iter().map(|(_, line)| told(line)).collect();
    assert_eq!(lines, ["renew 2", "three", "two", "one", "renew 1", "enrol 0"]);
    let cursors: Vec<HistoryCursor> = whole.iter().map(|(cursor, _)| *cursor).collect();
    assert!(cursors.is_sorted_by(|a, b| a > b), "{cursors:?}");
    for size in 1..=4 {
        let (mut before, mut paged) = (None, Vec::new());
        loop {
            let page = store.history(&uid("alice"), before, size).await.unwrap();
            let Some((cursor, _)) = page.last() else { break };
            before = Some(*cursor);
            paged.extend(page.iter().map(|(_, line)| told(line)));
        }
        assert_eq!(paged, lines, "in pages of {size}");
    }
}

pub(crate) async fn revoked_ones_leave_with_their_expiry(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let mut author = Author::new();
    let mut group = author.group();
    author.enrol(&mut group, "alice");
    author.revoke(&mut group, "alice");
    let group = author.seal(group);
    store.record(&group).await.unwrap();
    let count = async |until| store.revoked(Author::ISSUER, 3, until).await.unwrap().len();
    assert_eq!(count(Author::NOT_AFTER).await, 1);
    assert_eq!(count(Author::NOT_AFTER + 1).await, 0);
}

pub(crate) async fn the_edge_is_that_of_the_leaves(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let mut author = Author::new();
    let mut count = 0;
    for groups in 1..40_u32 {
        let mut group = author.group();
        for _ in 0..=groups % 7 {
            author.enrol(&mut group, &format!("user {count}"));
            count += 1;
        }
        let group = author.seal(group);
        store.record(&group).await.unwrap();
        let edge = store.edge().await.unwrap();
        assert_eq!((edge.size(), edge.root()), (author.edge.size(), author.edge.root()));
    }
}

pub(crate) async fn books_hold_what_was_wanted(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let mut author = Author::new();
    let mut group = author.group();
    author.enrol(&mut group, "alice");
    author.enrol(&mut group, "bob");
    let group = author.seal(group);
    store.record(&group).await.unwrap();
    let (once, request) = group.events[1].idempotency.clone().unwrap();
    let wanted = Wanted {
        uids: vec![uid("alice"), uid("nobody"), uid("alice")],
        keys: vec![key("bob"), key("nobody")],
        idempotency: vec![once.clone(), IdempotencyKey::parse("never-used-key").unwrap()],
    };
    let books = store.books(&wanted).await.unwrap();
    let names: HashSet<_> = books.identities.keys().cloned().collect();
    assert_eq!(names, HashSet::from([uid("alice")]));
    assert_eq!(books.keys.len(), 1);
    let row = &books.keys[&key("bob")];
    assert_eq!((&row.uid, row.algorithm.as_str()), (&uid("bob"), "P-256"));
    assert_eq!(row.spki, b"key of bob");
    assert_eq!(books.idempotency.len(), 1);
    assert_eq!(
        (books.idempotency[&once].request, books.idempotency[&once].leaf_index),
        (request, 1)
    );
}

pub(crate) async fn ids_compare_bytewise(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let mut author = Author::new();
    let names =
        ["alice", "Alice", "ALICE", "alice ", "\u{e9}", "e\u{301}", "ß", "ss", "'; --", "%", "_"];
    let mut group = author.group();
    names.iter().for_each(|name| author.enrol(&mut group, name));
    let group = author.seal(group);
    store.record(&group).await.unwrap();
    for (n, name) in names.iter().enumerate() {
        let rows = store.certificates_of(&uid(name), None, 10).await.unwrap();
        let leaves: Vec<u64> = rows.iter().map(|row| row.leaf_index).collect();
        assert_eq!(leaves, [n as u64], "{name:?}");
        let row = store.identity(&uid(name)).await.unwrap().unwrap();
        assert_eq!(row.identity.uid, uid(name));
    }
    let wanted = Wanted { uids: vec![uid("alice"), uid("ss")], ..Wanted::default() };
    assert_eq!(store.books(&wanted).await.unwrap().identities.len(), 2);
}

pub(crate) async fn the_largest_cursor_is_harmless(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    store.record(&Author::new().enrolment("alice")).await.unwrap();
    let end = HistoryCursor { at_ms: u64::MAX, source: u8::MAX, number: u64::MAX };
    assert_eq!(store.history(&uid("alice"), Some(end), 10).await.unwrap().len(), 1);
    let alice = uid("alice");
    assert_eq!(store.certificates_of(&alice, Some(u64::MAX), 10).await.unwrap().len(), 1);
    assert!(store.unfinished(Some(u64::MAX), u32::MAX).await.unwrap().is_empty());
    assert!(store.certificate(u64::MAX).await.unwrap().is_none());
    assert!(store.revoked(Author::ISSUER, u32::MAX, u64::MAX).await.unwrap().is_empty());
}

/// Alice at leaves 0, 2, 3, 4 and 5, bob between.
fn alice_renewed_four_times() -> RecordGroup {
    let mut author = Author::new();
    let mut group = author.group();
    author.enrol(&mut group, "alice");
    author.enrol(&mut group, "bob");
    for _ in 0..4 {
        author.renew(&mut group, "alice");
    }
    author.seal(group)
}
