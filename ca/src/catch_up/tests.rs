//! A key that the log gives to two identities.

use super::*;
use crate::store::sqlite::Sqlite;

fn owner(key: &str, of: &str) -> Change {
    Change { at: Hash32::of(key.as_bytes()), value: Hash32::of(of.as_bytes()), is_owner: true }
}

/// Takes on a group whose map root is the right one.
async fn group(store: &Sqlite, heads: &Heads, changes: &[Change]) -> Result<(), CatchUpError> {
    let pairs: Vec<_> = changes.iter().map(|change| (change.at, change.value)).collect();
    let places: Vec<_> = pairs.iter().map(|(at, _)| *at).collect();
    let staged = heads.with(store, &places, |map, _| map.stage(&pairs)).await?;
    take_on(store, heads, changes, 7, staged.root()).await
}

#[tokio::test]
async fn a_key_stays_with_its_first_identity() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("db")).await.unwrap();
    let heads = Heads::in_memory([1; 32]);
    group(&store, &heads, &[owner("key", "alice"), owner("other", "bob")]).await.unwrap();
    group(&store, &heads, &[owner("key", "alice")]).await.unwrap();
    for changes in [&[owner("key", "bob")][..], &[owner("new", "alice"), owner("new", "bob")]] {
        let shared = group(&store, &heads, changes).await;
        assert!(matches!(shared, Err(CatchUpError::SharedKey { index: 7 })), "{shared:?}");
    }
    // Heads move as they like.
    let moves = Change { is_owner: false, ..owner("key", "bob") };
    group(&store, &heads, &[moves]).await.unwrap();
}
