//! Tails that a database writer could have made, and those that a crash leaves.

use super::*;
use crate::store::contract::Author;
use crate::store::sqlite::Sqlite;

const HOUR_MS: u64 = 3_600_000;

/// A log in which alice is enrolled and, so much later, something else happens to her.
async fn tail(kind: EventKind, later_ms: u64) -> (tempfile::TempDir, Sqlite, u64) {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("db")).await.unwrap();
    let mut author = Author::new();
    let mut group = author.group();
    author.genesis(&mut group);
    store.record(&author.seal(group)).await.unwrap();
    store.record(&author.enrolment("alice")).await.unwrap();
    author.now_ms += later_ms;
    let mut group = author.group();
    author.event(&mut group, Some("alice"), kind);
    store.record(&author.seal(group)).await.unwrap();
    (folder, store, author.now_ms)
}

/// Leaves of genesis and the map's root after it.
const SIGNED: u64 = 2;

#[tokio::test]
async fn what_a_crash_leaves_is_believed() {
    for (kind, later_ms) in [(EventKind::Recover, HOUR_MS / 2), (EventKind::Suspend, 100 * HOUR_MS)]
    {
        let (_folder, store, now_ms) = tail(kind, later_ms).await;
        check(&store, SIGNED, now_ms).await.unwrap();
    }
}

#[tokio::test]
async fn an_event_of_the_future_is_refused_until_it_is_not() {
    let (_folder, store, now_ms) = tail(EventKind::Suspend, HOUR_MS).await;
    let early = check(&store, SIGNED, now_ms - HOUR_MS).await;
    assert!(matches!(early, Err(TailError::Future { index: 4, .. })), "{early:?}");
    check(&store, SIGNED, now_ms).await.unwrap();
}

#[tokio::test]
async fn no_wait_begins_and_ends_where_nobody_signed_for_its_beginning() {
    for kind in [EventKind::SwitchComplete, EventKind::Recover] {
        let (_folder, store, now_ms) = tail(kind, 73 * HOUR_MS).await;
        let refused = check(&store, SIGNED, now_ms).await;
        assert!(matches!(refused, Err(TailError::Wait { index: 4, .. })), "{refused:?}");
        // Its beginning is signed: it may end.
        check(&store, SIGNED + 2, now_ms).await.unwrap();
    }
}
