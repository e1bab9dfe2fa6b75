//! Many at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tlog::Edge;
use wire::Encoded;
use wire::leaf::commitment;

use super::{Author, Harness, key, uid};
use crate::store::rows::{Publication, RecordGroup};
use crate::store::{Store, StoreError, Wanted};

/// An identity and its key are enrolled together, so nobody may see one without the other.
pub(crate) async fn books_are_of_one_moment<H: Harness>(harness: &H) {
    let store = Arc::new(harness.open().await.unwrap());
    let names: Vec<String> = (0..60).map(|n| format!("user {n}")).collect();
    let wanted = Arc::new(Wanted {
        uids: names.iter().map(|name| uid(name)).collect(),
        keys: names.iter().map(|name| key(name)).collect(),
        idempotency: Vec::new(),
    });
    let done = Arc::new(AtomicU64::new(0));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (store, wanted, done) =
                (Arc::clone(&store), Arc::clone(&wanted), Arc::clone(&done));
            tokio::spawn(async move {
                while done.load(Ordering::Relaxed) == 0 {
                    let books = store.books(&wanted).await.unwrap();
                    assert_eq!(books.identities.len(), books.keys.len());
                    let edge = store.edge().await.unwrap();
                    assert!(edge.size() >= books.identities.len() as u64);
                }
            })
        })
        .collect();
    let mut author = Author::new();
    for name in &names {
        store.record(&author.enrolment(name)).await.unwrap();
    }
    done.store(1, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
}

/// Every writer reads the state, decides on it and records; whoever was overtaken decides again.
/// What is stored afterwards is one history: replayed, it gives the same log and identities.
pub(crate) async fn conflicting_writers_make_one_history<H: Harness>(harness: &H) {
    const WRITERS: usize = 12;
    const EACH: usize = 6;
    let store = Arc::new(harness.open().await.unwrap());
    let names: Arc<Vec<String>> = Arc::new((0..5).map(|n| format!("shared {n}")).collect());
    let overtaken = Arc::new(AtomicU64::new(0));
    let writers: Vec<_> = (0..WRITERS)
        .map(|n| {
            let (store, names) = (Arc::clone(&store), Arc::clone(&names));
            let overtaken = Arc::clone(&overtaken);
            tokio::spawn(async move {
                let mut done = 0;
                while done < EACH {
                    let group = decide(&*store, &names, n + done).await;
                    match store.record(&group).await {
                        Ok(()) => done += 1,
                        Err(StoreError::Moved { .. }) => {
                            overtaken.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => panic!("{error}"),
                    }
                    let events = group.events.iter();
                    let signed = events.map(|new| (new.leaf_index, vec![n as u8])).collect();
                    let signed = Publication { certificates: signed, ..Publication::default() };
                    store.publish(&signed).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(overtaken.load(Ordering::Relaxed) > 0, "nobody was overtaken: nothing was tested");

    let mut leaves = HashMap::new();
    for name in names.iter() {
        let events = store.events_of(&uid(name)).await.unwrap();
        let mut previous = None;
        for (sequence, row) in events.iter().enumerate() {
            assert_eq!(row.event.sequence, sequence as u64);
            assert_eq!(row.event.previous, previous);
            assert_eq!(row.leaf.commitment, commitment(&row.salt, &row.event.to_canonical()));
            previous = Some(row.leaf.leaf_hash());
            assert!(leaves.insert(row.leaf_index, row.leaf.leaf_hash()).is_none());
        }
        let row = store.identity(&uid(name)).await.unwrap().unwrap();
        assert_eq!(Some(row.identity.head), previous);
        assert_eq!(row.identity.sequence + 1, events.len() as u64);
    }
    assert_eq!(leaves.len(), 2 * WRITERS * EACH);
    let mut edge = Edge::empty();
    let stored = store.edge().await.unwrap();
    for row in store.leaves(0, u64::MAX).await.unwrap() {
        let hash = row.leaf.leaf_hash();
        assert_eq!(row.leaf_index, edge.size());
        assert_eq!(leaves.contains_key(&row.leaf_index), row.uid.is_some());
        assert_eq!(*leaves.get(&row.leaf_index).unwrap_or(&hash), hash);
        edge.append(hash);
    }
    assert_eq!(edge.size(), 3 * (WRITERS * EACH) as u64);
    assert_eq!((stored.size(), stored.root()), (edge.size(), edge.root()));
    assert!(store.unfinished(None, 10).await.unwrap().is_empty());
}

/// Two of the names, as they are now.
async fn decide(store: &dyn Store, names: &[String], turn: usize) -> RecordGroup {
    loop {
        let mut author = Author::new();
        author.edge = store.edge().await.unwrap();
        let two = [&names[turn % names.len()], &names[(turn + 1) % names.len()]];
        let wanted = Wanted { uids: two.map(|name| uid(name)).to_vec(), ..Wanted::default() };
        author.identities = store.books(&wanted).await.unwrap().identities;
        // The books are newer than the edge when somebody wrote in between: read again.
        if store.edge().await.unwrap().size() != author.edge.size() {
            continue;
        }
        let mut group = author.group();
        for name in two {
            if author.identities.contains_key(&uid(name)) {
                author.renew(&mut group, name);
            } else {
                author.enrol(&mut group, name);
            }
        }
        return author.seal(group);
    }
}
