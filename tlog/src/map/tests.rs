use std::collections::BTreeMap;

use proptest::prelude::*;

use super::page::{inner_hash, leaf_hash};
use super::*;
use crate::proof::ProofError;

type Pairs = BTreeMap<[u8; 32], [u8; 32]>;

fn h(bytes: [u8; 32]) -> Hash32 {
    Hash32::from_bytes(bytes)
}

/// The three rules of the module's documentation, and nothing else.
fn naive(pairs: &[(Hash32, Hash32)], depth: usize) -> Hash32 {
    match pairs {
        [] => EMPTY_ROOT,
        [(key, value)] => leaf_hash(key, value),
        _ => {
            let right = |(key, _): &&(Hash32, Hash32)| {
                key.as_bytes()[depth / 8] & (0x80 >> (depth % 8)) != 0
            };
            let (ones, zeros): (Vec<_>, Vec<_>) = pairs.iter().partition(right);
            inner_hash(&naive(&zeros, depth + 1), &naive(&ones, depth + 1))
        }
    }
}

fn naive_root(pairs: &Pairs) -> Hash32 {
    naive(&pairs.iter().map(|(k, v)| (h(*k), h(*v))).collect::<Vec<_>>(), 0)
}

/// Pages in a table, as the authority keeps them.
#[derive(Default, Clone)]
struct Store(BTreeMap<PageId, Vec<u8>>);

impl Store {
    fn flush(&mut self, map: &mut Map) {
        self.0.extend(map.take_dirty());
        map.mark_clean();
    }

    fn open(&self, root: Hash32, capacity: usize) -> Result<Map, MapError> {
        let bytes = self.0.get(&PageId::ROOT);
        let page = bytes.map(|bytes| Page::decode(PageId::ROOT, bytes)).transpose()?;
        Map::open(page, root, capacity)
    }

    fn load(&self, map: &mut Map, keys: &[Hash32]) -> Result<(), MapError> {
        loop {
            let missing = map.missing(keys);
            if missing.is_empty() {
                return Ok(());
            }
            for id in missing {
                map.supply(id, self.0.get(&id).map(Vec::as_slice))?;
            }
        }
    }

    fn update(&self, map: &mut Map, changes: &[(Hash32, Hash32)]) -> Result<(), MapError> {
        let keys: Vec<Hash32> = changes.iter().map(|(key, _)| *key).collect();
        self.load(map, &keys)?;
        let before = map.root();
        let staged = map.stage(changes)?;
        assert_eq!((map.root(), staged.base()), (before, before), "staging changes nothing");
        let root = staged.root();
        map.commit(staged);
        assert_eq!(map.root(), root);
        Ok(())
    }
}

/// Keys that share long prefixes more often than chance would have it.
fn key() -> impl Strategy<Value = [u8; 32]> {
    let stems = prop::sample::select(vec![[0u8; 32], [0xff; 32], [0x5a; 32]]);
    let crowded = (stems, 0usize..32, 0u8..4, any::<u8>()).prop_map(|(mut key, at, with, last)| {
        key[at] ^= with;
        key[31] ^= last & 3;
        key
    });
    prop_oneof![any::<[u8; 32]>(), crowded]
}

fn pairs(max: usize) -> impl Strategy<Value = Vec<(Hash32, Hash32)>> {
    prop::collection::vec((key().prop_map(h), any::<[u8; 32]>().prop_map(h)), 0..max)
}

fn as_map(changes: &[(Hash32, Hash32)]) -> Pairs {
    changes.iter().map(|(k, v)| (*k.as_bytes(), *v.as_bytes())).collect()
}

fn filled(count: u64) -> (Map, Store, Vec<Hash32>) {
    let keys: Vec<Hash32> = (0..count).map(|i| Hash32::of(&i.to_be_bytes())).collect();
    let changes: Vec<_> = keys.iter().map(|key| (*key, Hash32::of(key.as_bytes()))).collect();
    let mut map = Map::empty(1000);
    let mut store = Store::default();
    store.update(&mut map, &changes).unwrap();
    store.flush(&mut map);
    (map, store, keys)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However the changes are grouped and ordered, flushed, evicted and reopened in between, the
    /// root and every answer are those of a naive map.
    #[test]
    fn agrees_with_a_naive_map(
        changes in pairs(80),
        group in 1usize..20,
        capacity in 0usize..6,
        flush_every in 1usize..4,
        others in prop::collection::vec(key().prop_map(h), 5),
    ) {
        let mut store = Store::default();
        let mut map = Map::empty(capacity);
        let mut expected = Pairs::new();
        for (at, group) in changes.chunks(group).enumerate() {
            store.update(&mut map, group).unwrap();
            expected.extend(as_map(group));
            prop_assert_eq!(map.root(), naive_root(&expected));
            if at % flush_every == 0 {
                store.flush(&mut map);
                prop_assert_eq!(map.unsaved_pages(), 0);
            }
            if at % 3 == 2 && map.unsaved_pages() == 0 {
                map = store.open(map.root(), capacity).unwrap();
            }
        }
        store.flush(&mut map);
        map = store.open(map.root(), capacity).unwrap();
        let root = naive_root(&expected);
        for key in expected.keys().map(|key| h(*key)).chain(others) {
            let value = expected.get(key.as_bytes()).map(|value| h(*value));
            store.load(&mut map, &[key]).unwrap();
            prop_assert_eq!(map.get(&key).unwrap(), value);
            let proof = map.prove(&key).unwrap();
            prop_assert_eq!(proof.check(root, &key), Ok(value));
            prop_assert_eq!(MapProof::from_bytes(&proof.to_bytes()), Ok(proof));
        }
        prop_assert_eq!(map.root(), root);
    }

    /// The order in which keys came is not in the root.
    #[test]
    fn order_does_not_matter(pairs in pairs(40), seed in any::<u64>()) {
        let expected = as_map(&pairs);
        let mut changes: Vec<_> = expected.iter().map(|(k, v)| (h(*k), h(*v))).collect();
        changes.sort_by_key(|(key, _)| Hash32::of(&[key.as_bytes(), &seed.to_be_bytes()[..]].concat()));
        let store = Store::default();
        let mut one_by_one = Map::empty(10);
        for change in &changes {
            store.update(&mut one_by_one, &[*change]).unwrap();
        }
        prop_assert_eq!(one_by_one.root(), naive_root(&expected));
    }

    /// No bit of a proof, of the root or of the key can be turned over.
    #[test]
    fn every_bit_of_a_proof_counts(count in 1u64..40, which in any::<prop::sample::Index>()) {
        let (map, _, keys) = filled(count);
        let absent = Hash32::of(b"nobody");
        for key in [keys[which.index(keys.len())], absent] {
            let proof = map.prove(&key).unwrap();
            let bytes = proof.to_bytes();
            let expected = proof.check(map.root(), &key).unwrap();
            prop_assert_eq!(expected.is_some(), key != absent);
            for bit in 0..bytes.len() * 8 {
                let mut forged = bytes.clone();
                forged[bit / 8] ^= 1 << (bit % 8);
                let outcome = MapProof::from_bytes(&forged).and_then(|p| p.check(map.root(), &key));
                prop_assert!(outcome.is_err(), "bit {} of {} proves {:?}", bit, bytes.len(), outcome);
            }
            for bit in 0..256 {
                let mut root = *map.root().as_bytes();
                root[bit / 8] ^= 1 << (bit % 8);
                prop_assert!(proof.check(h(root), &key).is_err());
                // Another key's absence may follow from the same proof; a value may not.
                let mut other = *key.as_bytes();
                other[bit / 8] ^= 1 << (bit % 8);
                let outcome = proof.check(map.root(), &h(other));
                prop_assert!(!matches!(outcome, Ok(Some(_))), "bit {} of the key", bit);
                if let Ok(None) = outcome {
                    prop_assert!(!keys.contains(&h(other)));
                }
            }
        }
    }

    /// Bytes that are taken for a page or a proof are what writing it again gives.
    #[test]
    fn strangers_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300), depth in 0usize..32) {
        let id = PageId::new(&vec![7; depth]).unwrap();
        if let Ok(page) = Page::decode(id, &bytes) {
            prop_assert_eq!(page.encode(), bytes.clone());
        }
        if let Ok(proof) = MapProof::from_bytes(&bytes) {
            prop_assert_eq!(proof.to_bytes(), bytes);
        }
    }
}

#[test]
fn the_empty_map_proves_that_it_is_empty() {
    let map = Map::empty(0);
    assert_eq!(map.root(), EMPTY_ROOT);
    let key = Hash32::of(b"anybody");
    assert_eq!(map.prove(&key).unwrap().check(EMPTY_ROOT, &key), Ok(None));
}

#[test]
fn a_lone_leaf_is_the_root() {
    let (map, _, keys) = filled(1);
    let leaf = leaf_hash(&keys[0], &Hash32::of(keys[0].as_bytes()));
    assert_eq!(map.root(), leaf);
    let other = Hash32::of(b"other");
    assert_eq!(map.prove(&other).unwrap().check(leaf, &other), Ok(None));
}

#[test]
fn a_leaf_does_not_prove_its_own_absence() {
    let (map, _, keys) = filled(1);
    let other = Hash32::of(b"other");
    let absence = map.prove(&other).unwrap();
    let refused = absence.check(map.root(), &keys[0]);
    assert_eq!(refused, Err(ProofError::OtherKey { agree: 256, depth: 0 }));
}

#[test]
fn a_far_leaf_proves_nothing_about_another_place() {
    // Hand-made: the leaf of one half of the tree, shown as if it stood in the other half.
    let (left, right) = (h([0x00; 32]), h([0xff; 32]));
    let store = Store::default();
    let mut map = Map::empty(0);
    store.update(&mut map, &[(left, h([1; 32])), (right, h([2; 32]))]).unwrap();
    let mut near = [0x00; 32];
    near[31] = 1;
    let proof = map.prove(&h(near)).unwrap();
    assert_eq!(proof.check(map.root(), &h(near)), Ok(None));
    let far = proof.check(map.root(), &h([0xfe; 32]));
    assert_eq!(far, Err(ProofError::OtherKey { agree: 0, depth: 1 }));
}

#[test]
fn of_a_key_named_twice_the_later_value_stays() {
    let mut map = Map::empty(0);
    let key = Hash32::of(b"key");
    Store::default().update(&mut map, &[(key, h([1; 32])), (key, h([2; 32]))]).unwrap();
    assert_eq!(map.get(&key), Ok(Some(h([2; 32]))));
}

#[test]
fn values_that_do_not_change_dirty_no_page() {
    let (mut map, store, keys) = filled(300);
    let same = (keys[7], map.get(&keys[7]).unwrap().unwrap());
    store.update(&mut map, &[same]).unwrap();
    assert_eq!(map.unsaved_pages(), 0);
    assert_eq!(map.stage(&[same]).unwrap().changed_pages(), 0);
}

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
fn a_proof_has_one_encoding() {
    let (map, _, keys) = filled(9);
    let good = map.prove(&keys[3]).unwrap().to_bytes();
    let depth = usize::from(good[3]);
    assert!(depth > 1 && depth < 8, "the cases below are made for this map");
    let refused = |bytes: &[u8]| match MapProof::from_bytes(bytes) {
        Err(ProofError::Encoding { what: "map proof", reason }) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&[&good[..], &[0; 32]].concat()), "trailing bytes");
    assert_eq!(refused(&[&good[..], &[0]].concat()), "not a whole number of hashes");
    let mut zero = good.clone();
    zero[5..37].fill(0);
    assert_eq!(refused(&zero), "an empty subtree is written out");
    let mut beyond = good.clone();
    beyond[4] |= 1;
    assert_eq!(refused(&beyond), "bits beyond the last level");
    let mut lone = good.clone();
    lone[4] &= !(0x80 >> (depth - 1));
    assert_eq!(refused(&lone), "nothing beside the last level: its end would be pulled up");
    assert_eq!(refused(&[1, 1, 1, 1]), "more than 256 levels");
    assert_eq!(refused(&[1, 3, 0, 0]), "unknown kind of end");
    assert_eq!(refused(&[2, 1, 0, 0]), "unknown version");
    for cut in 0..good.len() {
        assert!(MapProof::from_bytes(&good[..cut]).is_err());
    }
}

/// In JSON a proof is one string, in the compact form its own bytes and their length.
#[test]
fn a_proof_travels_in_other_formats() {
    let (map, _, keys) = filled(9);
    let proof = map.prove(&keys[3]).unwrap();
    let json = serde_json::to_string(&proof).unwrap();
    assert_eq!(json, format!("\"{}\"", hex::encode(proof.to_bytes())));
    assert_eq!(serde_json::from_str::<MapProof>(&json).unwrap(), proof);
    let compact = postcard::to_stdvec(&proof).unwrap();
    assert!(compact.len() <= proof.to_bytes().len() + 2);
    assert_eq!(postcard::from_bytes::<MapProof>(&compact).unwrap(), proof);
    assert!(serde_json::from_str::<MapProof>("\"00\"").is_err());
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
