//! Pages in a store that is not trusted, and in memory that is not endless.

use super::*;

fn page_fault(id: PageId, bytes: &[u8]) -> &'static str {
    match Page::decode(id, bytes) {
        Err(MapError::Format { page, reason, .. }) if page == id => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_page_has_one_encoding() {
    let id = PageId::new(&[7; 30]).unwrap();
    let leaf = |byte: u8| [&[byte, 0, 1][..], &[2; 32]].concat();
    let page = |count: u8, slots: &[Vec<u8>]| [&[1, 0, count][..], &slots.concat()].concat();
    let good = page(2, &[leaf(3), leaf(4)]);
    assert_eq!(Page::decode(id, &good).unwrap().encode(), good);

    let last = PageId::new(&[7; 31]).unwrap();
    let below = [&[1, 0, 1, 3, 1][..], &[2; 32]].concat();
    assert!(Page::decode(id, &below).is_ok());
    assert_eq!(page_fault(last, &below), "a page below the last byte of the key");

    assert_eq!(page_fault(id, &[&good[..], &[0]].concat()), "trailing bytes");
    assert_eq!(page_fault(id, &page(2, &[leaf(3), leaf(3)])), "slots out of order");
    assert_eq!(page_fault(id, &page(2, &[leaf(4), leaf(3)])), "slots out of order");
    assert_eq!(page_fault(id, &page(1, &[leaf(3)])), "less than two keys");
    assert_eq!(page_fault(id, &page(0, &[])), "less than two keys");
    assert_eq!(page_fault(id, &[2, 0, 0]), "unknown version");
    assert_eq!(page_fault(id, &[1, 1, 1]), "more than 256 slots");
    assert_eq!(page_fault(id, &[1, 0, 1, 3, 2]), "unknown slot tag");
    for cut in 0..good.len() {
        assert_eq!(page_fault(id, &good[..cut]), "ends too early");
    }
    assert_eq!(Page::decode(PageId::ROOT, &[1, 0, 0]).unwrap().hash(), EMPTY_ROOT);
}

#[test]
fn a_page_edited_by_a_bit_is_named() {
    let (map, store, keys) = filled(400);
    let root = map.root();
    let (id, bytes) = store.0.iter().find(|(id, _)| **id != PageId::ROOT).unwrap();
    let key = *keys.iter().find(|key| key.as_bytes()[0] == id.as_bytes()[0]).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut edited = store.clone();
        edited.0.get_mut(id).unwrap()[bit / 8] ^= 1 << (bit % 8);
        let mut map = store.open(root, 10).unwrap();
        match edited.load(&mut map, &[key]) {
            Err(MapError::Altered { page, .. } | MapError::Format { page, .. }) => {
                assert_eq!(page, *id);
            }
            other => panic!("bit {bit} edited: {other:?}"),
        }
        assert_eq!(map.get(&key), Err(MapError::Missing { page: *id }), "nothing was taken");
    }
}

#[test]
fn a_page_rolled_back_lost_or_swapped_is_named() {
    let (mut map, mut store, keys) = filled(400);
    let old = store.clone();
    let (id, _) = store.0.iter().find(|(id, _)| **id != PageId::ROOT).unwrap();
    let id = *id;
    let key = *keys.iter().find(|key| key.as_bytes()[0] == id.as_bytes()[0]).unwrap();
    store.update(&mut map, &[(key, h([9; 32]))]).unwrap();
    store.flush(&mut map);
    let open = || store.open(map.root(), 10).unwrap();

    let mut rolled_back = store.clone();
    rolled_back.0.insert(id, old.0[&id].clone());
    let refused = rolled_back.load(&mut open(), &[key]).unwrap_err();
    assert!(matches!(refused, MapError::Altered { page, .. } if page == id), "{refused}");

    let mut lost = store.clone();
    lost.0.remove(&id);
    let refused = lost.load(&mut open(), &[key]).unwrap_err();
    assert!(matches!(refused, MapError::Lost { page, .. } if page == id), "{refused}");

    let mut swapped = store.clone();
    let other = store.0.iter().find(|(other, _)| ![PageId::ROOT, id].contains(other)).unwrap();
    swapped.0.insert(id, other.1.clone());
    let refused = swapped.load(&mut open(), &[key]).unwrap_err();
    assert!(matches!(refused, MapError::Altered { page, .. } if page == id), "{refused}");

    let refused = old.open(map.root(), 10).unwrap_err();
    assert!(matches!(refused, MapError::Altered { page: PageId::ROOT, .. }), "{refused}");
    let refused = Store::default().open(map.root(), 10).unwrap_err();
    assert_eq!(refused, MapError::Lost { page: PageId::ROOT, expected: map.root() });
}

#[test]
fn a_page_that_its_parent_does_not_name_is_refused() {
    let (mut map, store, _) = filled(20);
    let id = PageId::new(&[0, 0]).unwrap();
    assert_eq!(map.supply(id, None), Ok(()), "its parent is not loaded: not about this map");
    let free = (0..=255).map(|b| PageId::new(&[b]).unwrap()).find(|id| !store.0.contains_key(id));
    let free = free.unwrap();
    let refused = map.supply(free, Some(&[1, 0, 0]));
    assert_eq!(refused, Err(MapError::Unexpected { page: free }));
}

#[test]
fn what_changes_during_a_flush_is_flushed_next() {
    let (mut map, mut store, keys) = filled(50);
    store.update(&mut map, &[(keys[1], h([1; 32]))]).unwrap();
    let taken = map.take_dirty();
    let flushed_root = map.root();
    store.update(&mut map, &[(keys[2], h([2; 32]))]).unwrap();
    map.mark_clean();
    store.0.extend(taken);
    assert!(map.unsaved_pages() > 0);
    assert!(store.open(flushed_root, 10).is_ok(), "the flush is whole by itself");
    store.flush(&mut map);
    let mut reopened = store.open(map.root(), 10).unwrap();
    store.load(&mut reopened, &keys).unwrap();
    assert_eq!(reopened.get(&keys[1]), Ok(Some(h([1; 32]))));
    assert_eq!(reopened.get(&keys[2]), Ok(Some(h([2; 32]))));
}

#[test]
fn a_failed_flush_is_repeated() {
    let (mut map, mut store, keys) = filled(50);
    store.update(&mut map, &[(keys[1], h([1; 32]))]).unwrap();
    let lost = map.take_dirty();
    assert_eq!(map.take_dirty(), lost);
    store.flush(&mut map);
    assert!(store.open(map.root(), 10).is_ok());
}

#[test]
#[should_panic(expected = "cannot follow root")]
fn a_staged_change_follows_its_own_root_only() {
    let (mut map, _, keys) = filled(5);
    let first = map.stage(&[(keys[0], h([1; 32]))]).unwrap();
    let second = map.stage(&[(keys[1], h([2; 32]))]).unwrap();
    map.commit(first);
    map.commit(second);
}

/// The cache forgets, and a request far larger than it still ends.
#[test]
fn memory_stays_within_the_limit() {
    let (map, store, keys) = filled(5000);
    let mut small = store.open(map.root(), 16).unwrap();
    for key in &keys {
        store.load(&mut small, &[*key]).unwrap();
        assert!(small.get(key).unwrap().is_some());
        assert!(small.loaded_pages() <= 16 + 1 + 2, "{}", small.loaded_pages());
    }
    store.load(&mut small, &keys).unwrap();
    assert!(keys.iter().all(|key| small.get(key).unwrap().is_some()));
    assert!(small.loaded_pages() > 100, "what one request needs stays until it has it");
    store.update(&mut small, &[(keys[0], h([3; 32]))]).unwrap();
    assert!(small.loaded_pages() <= 16 + 1 + 3, "{}", small.loaded_pages());
    assert!(small.loaded_bytes() < 100 * 1024, "{}", small.loaded_bytes());
}
