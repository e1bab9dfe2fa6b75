mod pages;

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
    fn strangers_bytes_do_no_harm(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        depth in 0usize..32,
    ) {
        let id = PageId::new(&vec![7; depth]).unwrap();
        if let Ok(page) = Page::decode(id, &bytes) {
            prop_assert_eq!(page.encode(), bytes.clone());
        }
        if let Ok(proof) = MapProof::from_bytes(&bytes) {
            prop_assert_eq!(proof.to_bytes(), bytes);
        }
    }
}

/// Roots and proofs, byte for byte, as a program in another language makes them from the rules.
/// The format is logged: these bytes never change.
#[test]
fn agrees_with_frozen_vectors() {
    #[derive(serde::Deserialize)]
    struct Case {
        entries: Vec<(Hash32, Hash32)>,
        root: Hash32,
        proofs: Vec<ProofCase>,
    }
    #[derive(serde::Deserialize)]
    struct ProofCase {
        key: Hash32,
        value: Option<Hash32>,
        proof: MapProof,
    }
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../vectors/map.json")).unwrap();
    assert_eq!(cases.len(), 5);
    for Case { entries, root, proofs } in cases {
        let mut map = Map::empty(100);
        Store::default().update(&mut map, &entries).unwrap();
        assert_eq!(map.root(), root, "{} entries", entries.len());
        for ProofCase { key, value, proof } in proofs {
            assert_eq!(map.prove(&key).unwrap(), proof, "{key}");
            assert_eq!(proof.check(root, &key), Ok(value));
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
