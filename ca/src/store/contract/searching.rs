//! Searches.

use policy::Status;
use wire::{Hash32, UserId};

use super::{Author, Harness, certificates, key, uid};
use crate::store::Store;
use crate::store::rows::{
    CertificateCursor, CertificateRow, CertificateSearch, CertificateState, IdentitySearch,
};

/// Eve is in it, and her namesakes; leaf 2 is revoked, leaf 0 and 3 are published.
async fn written(store: &impl Store) -> Author {
    let mut author = Author::new();
    let mut group = author.group();
    author.enrol(&mut group, "eve");
    author.enrol(&mut group, "evelyn");
    author.enrol(&mut group, "ev");
    author.renew(&mut group, "eve");
    author.enrol(&mut group, "evf");
    author.revoke(&mut group, "ev");
    // Expiries differ, and not in the order of the leaves.
    for (event, not_after) in group.events.iter_mut().zip([50, 40, 30, 20, 40]) {
        event.certificate.as_mut().unwrap().not_after = not_after;
    }
    let group = author.seal(group);
    store.record(&group).await.unwrap();
    store.publish(&certificates(&[(0, b"zero"), (3, b"three")])).await.unwrap();
    author
}

fn leaves(rows: &[CertificateRow]) -> Vec<u64> {
    rows.iter().map(|row| row.leaf_index).collect()
}

async fn found(store: &impl Store, search: CertificateSearch) -> Vec<u64> {
    leaves(&store.search_certificates(&search, None, 100).await.unwrap())
}

fn all() -> CertificateSearch {
    CertificateSearch::default()
}

fn user(prefix: &str) -> CertificateSearch {
    CertificateSearch { user: Some(prefix.to_owned()), ..all() }
}

pub(crate) async fn certificates_are_found_by_each_property(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    written(&store).await;
    assert_eq!(found(&store, all()).await, [4, 3, 2, 1, 0], "newest first");
    assert_eq!(found(&store, user("ev")).await, [2, 0, 3, 1, 4], "by id, then oldest first");
    assert_eq!(found(&store, user("eve")).await, [0, 3, 1]);
    assert_eq!(found(&store, user("evelyn")).await, [1]);
    assert!(found(&store, user("Eve")).await.is_empty(), "ids compare bytewise");
    assert!(found(&store, user("%")).await.is_empty(), "a prefix is no pattern");

    let by_key = |name| CertificateSearch { key: Some(key(name)), ..all() };
    assert_eq!(found(&store, by_key("eve")).await, [3, 0]);
    assert!(found(&store, by_key("nobody")).await.is_empty());

    let state = |state| CertificateSearch { state: Some(state), ..all() };
    assert_eq!(found(&store, state(CertificateState::Pending)).await, [4, 1]);
    assert_eq!(found(&store, state(CertificateState::Good)).await, [3, 0]);
    assert_eq!(found(&store, state(CertificateState::Revoked)).await, [2]);

    let expiry =
        |after, before| CertificateSearch { expires_after: after, expires_before: before, ..all() };
    assert_eq!(found(&store, expiry(Some(30), None)).await, [2, 1, 4, 0], "the next first");
    assert_eq!(found(&store, expiry(None, Some(40))).await, [3, 2]);
    assert_eq!(found(&store, expiry(Some(30), Some(40))).await, [2]);
    assert!(found(&store, expiry(Some(u64::MAX), None)).await.is_empty());

    let by_issuer = |issuer| CertificateSearch { issuer: Some(issuer), ..all() };
    assert_eq!(found(&store, by_issuer(Author::ISSUER)).await.len(), 5);
    assert!(found(&store, by_issuer(Hash32::of(b"another"))).await.is_empty());

    let row = store.certificate(3).await.unwrap().unwrap();
    let by_serial = CertificateSearch { serial: Some(row.serial), ..all() };
    assert_eq!(found(&store, by_serial).await, [3]);
    let mut other = *row.serial.as_bytes();
    other[15] ^= 1;
    let other = wire::SerialNumber::from_slice(&other);
    assert!(found(&store, CertificateSearch { serial: other, ..all() }).await.is_empty());

    let both = CertificateSearch { state: Some(CertificateState::Good), ..user("eve") };
    assert_eq!(found(&store, both).await, [0, 3], "all that is given must hold");
}

pub(crate) async fn pages_of_each_order_join_without_gap_or_repetition(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    written(&store).await;
    let expiry = CertificateSearch { expires_before: Some(1000), ..all() };
    for search in [all(), user("ev"), expiry] {
        let whole = found(&store, search.clone()).await;
        assert_eq!(whole.len(), 5);
        for limit in [1, 2, 4] {
            let (mut joined, mut after) = (Vec::new(), None);
            loop {
                let page = store.search_certificates(&search, after.as_ref(), limit).await.unwrap();
                let Some(last) = page.last() else { break };
                after = Some(CertificateCursor {
                    leaf_index: last.leaf_index,
                    not_after: last.not_after,
                    uid: last.uid.clone(),
                });
                joined.extend(leaves(&page));
            }
            assert_eq!(joined, whole, "{search:?} by {limit}");
        }
    }
}

pub(crate) async fn identities_are_found_with_what_is_shown_of_them(harness: &impl Harness) {
    let store = harness.open().await.unwrap();
    written(&store).await;
    let search = IdentitySearch::default();
    let names = async |search: IdentitySearch, after: Option<UserId>, limit| {
        let rows = store.search_identities(&search, after.as_ref(), limit).await.unwrap();
        rows.iter().map(|f| f.row.identity.uid.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(search.clone(), None, 10).await, ["ev", "eve", "evelyn", "evf"]);
    assert_eq!(names(search.clone(), None, 2).await, ["ev", "eve"]);
    assert_eq!(names(search.clone(), Some(uid("eve")), 10).await, ["evelyn", "evf"]);
    let by_user = IdentitySearch { user: Some("eve".to_owned()), ..search.clone() };
    assert_eq!(names(by_user, None, 10).await, ["eve", "evelyn"]);
    let status = |status| IdentitySearch { status: Some(status), ..search.clone() };
    assert_eq!(names(status(Status::Active), None, 10).await, ["eve", "evelyn", "evf"]);
    assert_eq!(names(status(Status::Suspended), None, 10).await, ["ev"]);
    assert!(names(status(Status::Retired), None, 10).await.is_empty());
    let past = IdentitySearch { key: Some(key("ev")), ..search.clone() };
    assert_eq!(names(past, None, 10).await, ["ev"], "a key that was left finds its identity too");
    let serial = store.certificate(3).await.unwrap().unwrap().serial;
    let by_serial = IdentitySearch { serial: Some(serial), ..search.clone() };
    assert_eq!(names(by_serial, None, 10).await, ["eve"]);

    let rows = store.search_identities(&search, None, 2).await.unwrap();
    assert_eq!((&rows[0].algorithm, rows[0].row.identity.key), (&None, None));
    assert_eq!(rows[1].algorithm.as_deref(), Some("P-256"));
    assert_eq!(rows[1].serial, Some(serial), "the latest certificate's");
}
