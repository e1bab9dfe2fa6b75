//! Co-signatures.

use wire::Hash32;

use super::{Harness, certificates, reopen};
use crate::store::Store;
use crate::store::rows::{CheckpointRow, CosignatureRow, Publication, TimedLine};

fn line(time: u64) -> TimedLine {
    TimedLine { line: format!("— w {time}"), time }
}

fn word(cosigner: u8, size: u64, time: u64) -> CosignatureRow {
    CosignatureRow {
        cosigner: Hash32::from_bytes([cosigner; 32]),
        size,
        note: format!("note of {size}"),
        first: line(time),
        latest: line(time),
        kept: true,
    }
}

fn words(rows: Vec<CosignatureRow>) -> Publication {
    Publication { cosignatures: rows, ..certificates(&[]) }
}

pub(crate) async fn the_earliest_and_the_latest_word_stay(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let one = Hash32::from_bytes([1; 32]);
    let passing = CosignatureRow { kept: false, ..word(1, 5, 100) };
    store.publish(&words(vec![passing.clone(), word(2, 5, 7)])).await.unwrap();
    // In one call and in several, in any order, and a clock that goes back.
    store.publish(&words(vec![word(1, 5, 300), word(1, 5, 90), word(1, 5, 200)])).await.unwrap();
    store.publish(&words(vec![passing])).await.unwrap();
    let store = reopen(harness, store).await;
    let found = store.cosigned_latest(one, 9).await.unwrap();
    assert_eq!(found, [CosignatureRow { first: line(90), latest: line(300), ..word(1, 5, 0) }]);
    let other = store.cosigned_latest(Hash32::from_bytes([2; 32]), 9).await.unwrap();
    assert_eq!(other, [word(2, 5, 7)]);
    assert!(store.cosigned_latest(Hash32::from_bytes([3; 32]), 9).await.unwrap().is_empty());
}

pub(crate) async fn words_are_found_by_leaf_and_from_the_end(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let one = Hash32::from_bytes([1; 32]);
    store.publish(&words([9, 3, 5].map(|size| word(1, size, size)).to_vec())).await.unwrap();
    store.publish(&words(vec![word(2, 4, 4)])).await.unwrap();
    let sizes = |rows: Vec<CosignatureRow>| rows.iter().map(|row| row.size).collect::<Vec<_>>();
    // A checkpoint of five leaves covers leaf 4.
    assert_eq!(sizes(store.cosigned_since(one, 4, 9).await.unwrap()), [5, 9]);
    assert_eq!(sizes(store.cosigned_since(one, 5, 9).await.unwrap()), [9]);
    assert_eq!(sizes(store.cosigned_since(one, 0, 1).await.unwrap()), [3]);
    assert!(store.cosigned_since(one, u64::MAX >> 1, 1).await.unwrap().is_empty());
    assert_eq!(sizes(store.cosigned_latest(one, 2).await.unwrap()), [9, 5]);
}

pub(crate) async fn what_is_not_kept_goes_with_its_checkpoint(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    let passing = |size| CosignatureRow { kept: false, ..word(1, size, size) };
    store.publish(&words(vec![passing(899), word(1, 900, 1), passing(1000)])).await.unwrap();
    let sql = "INSERT INTO checkpoint WITH RECURSIVE n(size) AS (SELECT CAST(1 AS BIGINT) \
               UNION ALL SELECT size + 1 FROM n WHERE size < 5000) SELECT size, 'x' FROM n";
    super::edit(&store, sql).await;
    let row = CheckpointRow { size: 5056, note: "newest".to_owned() };
    // What is shown stays, however old it is, and so does everything where that is not known.
    for (vouched, stay) in
        [(None, &[899, 900, 1000][..]), (Some(899), &[899, 900, 1000]), (Some(5000), &[900, 1000])]
    {
        let checkpoints = vec![row.clone()];
        let publication = Publication { checkpoints, vouched, ..words(vec![]) };
        store.publish(&publication).await.unwrap();
        let found = store.cosigned_since(Hash32::from_bytes([1; 32]), 0, 9).await.unwrap();
        assert_eq!(found.iter().map(|row| row.size).collect::<Vec<_>>(), stay);
    }
}
