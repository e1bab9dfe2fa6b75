//! Checkpoints, leaves, pages of the map.

use tlog::map::PageId;

use super::{Author, Harness, certificates, reopen, uid};
use crate::store::rows::{CheckpointRow, Publication};
use crate::store::{Store, StoreError};

fn note(size: u64, note: &str) -> Publication {
    let row = CheckpointRow { size, note: note.to_owned() };
    Publication { checkpoints: vec![row], ..certificates(&[]) }
}

pub(crate) async fn the_first_note_of_a_size_stays(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    assert!(store.checkpoint(None).await.unwrap().is_none());
    store.publish(&note(2, "two")).await.unwrap();
    store.publish(&note(5, "five")).await.unwrap();
    store.publish(&note(5, "another five")).await.unwrap();
    store.publish(&note(3, "three, late")).await.unwrap();
    let store = reopen(harness, store).await;
    let latest = store.checkpoint(None).await.unwrap().unwrap();
    assert_eq!((latest.size, latest.note.as_str()), (5, "five"));
    assert_eq!(store.checkpoint(Some(3)).await.unwrap().unwrap().note, "three, late");
    assert!(store.checkpoint(Some(4)).await.unwrap().is_none());
}

pub(crate) async fn old_checkpoints_go(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    // Written underneath: thousands of transactions would show no more.
    let sql = "INSERT INTO checkpoint WITH RECURSIVE n(size) AS (SELECT CAST(1 AS BIGINT) \
               UNION ALL SELECT size + 1 FROM n WHERE size < 5000) SELECT size, 'x' FROM n";
    super::edit(&store, sql).await;
    // Now and then they are trimmed; at multiples of 64, for one.
    store.publish(&note(5056, "newest")).await.unwrap();
    assert!(store.checkpoint(Some(900)).await.unwrap().is_none());
    assert!(store.checkpoint(Some(1000)).await.unwrap().is_some());
    assert_eq!(store.checkpoint(None).await.unwrap().unwrap().note, "newest");
}

pub(crate) async fn leaves_and_hashes_are_found_by_place(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let mut author = Author::new();
    let mut group = author.group();
    author.genesis(&mut group);
    author.enrol(&mut group, "alice");
    let group = author.seal(group);
    store.record(&group).await.unwrap();
    let rows = store.leaves(1, 3).await.unwrap();
    let indexes: Vec<_> = rows.iter().map(|row| (row.leaf_index, row.uid.clone())).collect();
    assert_eq!(indexes, [(1, Some(uid("alice"))), (2, None)]);
    assert_eq!((&rows[0].leaf, &rows[1].leaf), (&group.events[1].leaf, &group.map_root));
    assert!(store.leaves(3, 9).await.unwrap().is_empty());
    for with_evidence in [false, true] {
        let entries = store.entries(1, 9, with_evidence).await.unwrap();
        assert_eq!(entries.iter().map(|row| row.leaf_index).collect::<Vec<_>>(), [1, 2]);
        assert_eq!((&entries[0].leaf, &entries[1].leaf), (&rows[0].leaf, &rows[1].leaf));
        assert_eq!(entries[0].event.as_ref(), Some(&group.events[1].event));
        assert_eq!(entries[0].salt, group.events[1].salt);
        let evidence = if with_evidence { &group.events[1].evidence[..] } else { &[] };
        assert_eq!(entries[0].evidence, evidence);
        assert!(entries[1].event.is_none() && entries[1].evidence.is_empty());
    }

    let wanted: Vec<u64> = group.hashes.iter().map(|stored| stored.index).chain([999]).collect();
    let mut found = store.stored_hashes(&wanted).await.unwrap();
    found.sort_by_key(|stored| stored.index);
    let mut written: Vec<_> = group.hashes.iter().map(|s| (s.index, s.hash)).collect();
    written.sort_by_key(|(index, _)| *index);
    assert_eq!(found.iter().map(|s| (s.index, s.hash)).collect::<Vec<_>>(), written);
    assert!(store.stored_hashes(&[]).await.unwrap().is_empty());
}

pub(crate) async fn pages_of_the_map_change_together(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    assert_eq!(store.map_size().await.unwrap(), 0);
    let ids = [&[][..], &[1], &[1, 2]].map(|prefix| PageId::new(prefix).unwrap());
    let pages = |n: u8| ids.iter().take(2).map(|id| (*id, vec![n; 9])).collect::<Vec<_>>();
    store.put_map_pages(&pages(1), 3).await.unwrap();
    store.put_map_pages(&pages(2)[..1], 7).await.unwrap();
    let store = reopen(harness, store).await;
    assert_eq!(store.map_size().await.unwrap(), 7);
    let found = store.map_pages(&ids).await.unwrap();
    let found: Vec<_> = found.into_iter().map(|(_, page)| page).collect();
    assert_eq!(found, [Some(vec![2; 9]), Some(vec![1; 9]), None]);
    // The root's name is empty, and it is asked for alone at every start.
    let root = store.map_pages(&ids[..1]).await.unwrap();
    assert_eq!(root[0].1, Some(vec![2; 9]));
    assert!(store.map_pages(&[]).await.unwrap().is_empty());
}

pub(crate) async fn the_secret_is_written_once(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    assert_eq!(store.secret().await.unwrap(), None);
    let mut author = Author::new();
    let mut group = author.enrolment("alice");
    group.secret = Some([5; 32]);
    store.record(&group).await.unwrap();
    let mut second = author.enrolment("bob");
    second.secret = Some([6; 32]);
    let refused = store.record(&second).await.unwrap_err();
    assert!(matches!(refused, StoreError::Engine(_)), "{refused}");
    assert_eq!(store.secret().await.unwrap(), Some([5; 32]));
    assert!(store.identity(&uid("bob")).await.unwrap().is_none());
}
