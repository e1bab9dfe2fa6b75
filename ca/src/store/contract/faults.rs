//! Databases that are not as this program left them.

use super::{Author, Harness, edit, uid};
use crate::store::engine::{Engine, Given, Mode, Session, Value};
use crate::store::sheet::{self, Sheet};
use crate::store::{Store, StoreError};

/// The table and reason of a corrupt row.
fn corrupt<T: std::fmt::Debug>(result: Result<T, StoreError>) -> (&'static str, String) {
    match result {
        Err(StoreError::Corrupt { table, reason }) => (table, reason),
        other => panic!("not found corrupt: {other:?}"),
    }
}

pub(crate) async fn corrupt_rows_are_named(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let mut author = Author::new();
    let mut group = author.group();
    author.genesis(&mut group);
    author.enrol(&mut group, "alice");
    author.enrol(&mut group, "bob");
    author.revoke(&mut group, "bob");
    let group = author.seal(group);
    store.record(&group).await.unwrap();
    let alice = uid("alice");

    edit(&store, "UPDATE identity SET status = 9 WHERE uid = 'alice'").await;
    assert_eq!(corrupt(store.identity(&alice).await), ("identity", "status: unknown 9".to_owned()));
    edit(&store, "UPDATE identity SET status = 0, sequence = -1 WHERE uid = 'alice'").await;
    assert!(corrupt(store.identity(&alice).await).1.starts_with("sequence: "));
    edit(&store, "UPDATE event SET event = leaf WHERE leaf_index <= 1").await;
    assert_eq!(corrupt(store.genesis().await).0, "event");
    assert!(corrupt(store.events_of(&alice).await).1.starts_with("event: "));
    assert_eq!(corrupt(store.history(&alice, None, 10).await).0, "history");
    edit(&store, "UPDATE certificate SET kind = 255 WHERE leaf_index = 1").await;
    let (table, reason) = corrupt(store.certificate(1).await);
    assert_eq!((table, reason.as_str()), ("certificate", "kind: unknown 255"));
    edit(&store, "UPDATE certificate SET revoked_reason = 77 WHERE leaf_index = 2").await;
    assert_eq!(corrupt(store.revoked(Author::ISSUER, 3, 0).await).0, "certificate");
    edit(&store, "UPDATE certificate SET uid = '' WHERE leaf_index = 1").await;
    assert!(corrupt(store.unfinished(None, 10).await).1.starts_with("uid: "));

    edit(&store, "DELETE FROM stored_hash").await;
    assert_eq!(corrupt(store.edge().await).0, "stored_hash");
    edit(&store, "DELETE FROM tree").await;
    assert_eq!(corrupt(store.edge().await).0, "tree");
    // A row without the tree is no licence to write.
    assert_eq!(corrupt(store.record(&author.enrolment("carol")).await).0, "tree");
    assert!(store.identity(&uid("carol")).await.unwrap().is_none());
}

pub(crate) async fn a_missing_piece_of_evidence_is_named(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let mut author = Author::new();
    let group = author.enrolment("alice");
    store.record(&group).await.unwrap();
    edit(&store, "UPDATE event SET evidence = NULL WHERE uid = 'alice'").await;
    let (table, reason) = corrupt(store.events_of(&uid("alice")).await);
    let hash = group.events[0].evidence[0].0.hash.to_string();
    assert_eq!(table, "evidence");
    assert!(reason.contains(&hash), "{reason} does not name {hash}");

    // As it was recorded before evidence stood with its event.
    let mut sheet = Sheet::new(sheet::EVIDENCE.columns);
    for (reference, data) in &group.events[0].evidence {
        sheet.push([Value::blob(reference.hash.as_bytes()), Value::blob(data)]);
    }
    let mut session = store.begin(Mode::Write).await.unwrap();
    let sql = "INSERT INTO evidence SELECT hash, data FROM {rows}";
    session.execute(sql, Given::Rows(&sheet)).await.unwrap();
    session.commit().await.unwrap();
    let events = store.events_of(&uid("alice")).await.unwrap();
    assert_eq!(events[0].evidence, group.events[0].evidence);
}

pub(crate) async fn evidence_that_is_not_what_the_event_names_is_refused(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let mut author = Author::new();
    store.record(&author.enrolment("alice")).await.unwrap();
    edit(&store, "UPDATE event SET evidence = leaf WHERE uid = 'alice'").await;
    let (table, reason) = corrupt(store.events_of(&uid("alice")).await);
    assert!(table == "event" && reason.contains("evidence"), "{table}: {reason}");
}

pub(crate) async fn a_newer_schema_is_refused<H: Harness>(harness: &H) {
    let store = harness.open().await.unwrap();
    edit(&store, H::NEWER).await;
    store.close().await;
    let refused = harness.open().await.map(|_| ()).unwrap_err();
    assert!(matches!(refused, StoreError::Schema { found: 99, .. }), "{refused}");
}

pub(crate) async fn a_closed_store_fails(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    store.close().await;
    assert!(matches!(store.edge().await, Err(StoreError::Engine(_))));
    let group = Author::new().enrolment("alice");
    assert!(matches!(store.record(&group).await, Err(StoreError::Engine(_))));
}
