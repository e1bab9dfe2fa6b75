//! How fast groups are recorded. Figures to read, never asserted:
//! `cargo test --release -p avouch-ca --lib -- --ignored --nocapture records_per_second`.

use std::time::Instant;

use super::{Author, Harness};
use crate::store::Store;
use crate::store::rows::Publication;

/// Enrolments in groups of 1, 64 and 256, each group durable before the next; then with the
/// certificates published, as the walk does.
pub(crate) async fn records_per_second<H: Harness>(harness: &H) {
    let engine = std::any::type_name::<H::Engine>();
    for (size, publishing) in [(1, false), (64, false), (256, false), (64, true)] {
        let store = harness.open().await.unwrap();
        let mut author = Author::new();
        author.edge = store.edge().await.unwrap();
        let count = if size == 1 { 300 } else { 19_200 / size };
        let mut groups = Vec::new();
        for g in 0..count {
            let mut group = author.group();
            let names = (0..size).map(|n| format!("{size} {publishing} {g} {n}"));
            names.for_each(|name| author.enrol(&mut group, &name));
            groups.push(author.seal(group));
        }
        let start = Instant::now();
        for group in &groups {
            store.record(group).await.unwrap();
            if publishing {
                let events = group.events.iter();
                let certificates = events.map(|new| (new.leaf_index, vec![7; 700])).collect();
                store
                    .publish(&Publication { certificates, ..Publication::default() })
                    .await
                    .unwrap();
            }
        }
        let took = start.elapsed();
        let rate = (count * size) as f64 / took.as_secs_f64();
        let each = took.as_secs_f64() * 1000.0 / count as f64;
        println!("{engine}: groups of {size}, published {publishing}: {rate:.0}/s, {each:.2} ms");
        store.close().await;
    }
}
