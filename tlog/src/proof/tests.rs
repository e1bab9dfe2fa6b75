use std::collections::BTreeMap;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use proptest::prelude::*;
use tlog_tiles::HashReader;

use super::*;
use crate::Edge;

type Theirs = MemoryBackedTree<sha2::Sha256, [u8; 8]>;

/// A tree in three implementations, and its root after every append.
struct Trees {
    stored: BTreeMap<u64, Hash32>,
    roots: Vec<Hash32>,
    theirs: Theirs,
}

fn trees(size: u64) -> Trees {
    let mut edge = Edge::empty();
    let mut trees =
        Trees { stored: BTreeMap::new(), roots: vec![edge.root()], theirs: Theirs::new() };
    for leaf in 0..size {
        let entry = leaf.to_be_bytes();
        let appended = edge.append(leaf_hash(&entry));
        trees.stored.extend(appended.stored.iter().map(|s| (s.index, s.hash)));
        trees.roots.push(edge.root());
        trees.theirs.push(entry);
    }
    trees
}

struct Tiles<'a>(&'a BTreeMap<u64, Hash32>);

impl HashReader for Tiles<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|i| tlog_tiles::Hash(*self.0[i].as_bytes())).collect())
    }
}

fn theirs(hash: &Hash32) -> tlog_tiles::Hash {
    tlog_tiles::Hash(*hash.as_bytes())
}

fn bytes(proof: &[Hash32]) -> Vec<u8> {
    proof.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

fn ct_root(root: Hash32, size: u64) -> RootHash<sha2::Sha256> {
    RootHash::new((*root.as_bytes()).into(), size)
}

/// The eight leaves by which Certificate Transparency's implementations are tested, and their roots.
#[test]
fn agrees_with_published_roots() {
    let leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"];
    let last = "606162636465666768696a6b6c6d6e6f";
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut edge = Edge::empty();
    let mut hexes = leaves.into_iter().chain([last]);
    for root in roots {
        assert_eq!(edge.root().to_string(), root, "size {}", edge.size());
        if let Some(leaf) = hexes.next() {
            edge.append(leaf_hash(&hex::decode(leaf).unwrap()));
        }
    }
}

/// Every leaf of every tree up to 130 leaves: the same proofs as two other implementations, and
/// each checks the other's.
#[test]
fn inclusion_agrees_with_two_implementations() {
    let trees = trees(130);
    for size in 1..=130u64 {
        let root = trees.roots[size as usize];
        for index in 0..size {
            let leaf = leaf_hash(&index.to_be_bytes());
            let proof = inclusion(size, index, &trees.stored).unwrap();
            check_inclusion(&proof, size, root, index, leaf).unwrap();
            let tiles = tlog_tiles::prove_record(size, index, &Tiles(&trees.stored)).unwrap();
            assert_eq!(proof.iter().map(theirs).collect::<Vec<_>>(), tiles);
            let ct = InclusionProof::try_from_bytes(bytes(&proof)).unwrap();
            ct_root(root, size).verify_inclusion(&index.to_be_bytes(), index, &ct).unwrap();
            if size == 130 {
                let made = trees.theirs.prove_inclusion(index as usize);
                assert_eq!(made.as_bytes(), bytes(&proof));
            }
        }
    }
}

#[test]
fn consistency_agrees_with_two_implementations() {
    let trees = trees(130);
    for new in 1..=130u64 {
        for old in 1..=new {
            let (old_root, new_root) = (trees.roots[old as usize], trees.roots[new as usize]);
            let proof = consistency(old, new, &trees.stored).unwrap();
            check_consistency(&proof, old, old_root, new, new_root).unwrap();
            let tiles = tlog_tiles::prove_tree(new, old, &Tiles(&trees.stored)).unwrap();
            assert_eq!(proof.iter().map(theirs).collect::<Vec<_>>(), tiles);
            let ct = ConsistencyProof::try_from_bytes(bytes(&proof)).unwrap();
            ct_root(new_root, new).verify_consistency(&ct_root(old_root, old), &ct).unwrap();
            if new == 130 {
                let made = trees.theirs.prove_consistency((new - old) as usize);
                assert_eq!(made.as_bytes(), bytes(&proof));
            }
        }
    }
}

proptest! {
    /// A proof for one leaf, size or root is none for another, and no bit of it can change.
    #[test]
    fn inclusion_refuses_everything_else(size in 1u64..200, which in any::<prop::sample::Index>()) {
        let trees = trees(size);
        let index = which.index(size as usize) as u64;
        let root = trees.roots[size as usize];
        let leaf = leaf_hash(&index.to_be_bytes());
        let proof = inclusion(size, index, &trees.stored).unwrap();
        prop_assert!(check_inclusion(&proof, size, root, index, leaf).is_ok());
        for other in (0..size).filter(|other| *other != index) {
            prop_assert!(check_inclusion(&proof, size, root, other, leaf).is_err());
        }
        prop_assert!(check_inclusion(&proof, size, trees.roots[size as usize - 1], index, leaf).is_err());
        prop_assert!(check_inclusion(&proof, size, root, index, root).is_err() || size == 1);
        let mut longer = proof.clone();
        longer.push(root);
        prop_assert!(check_inclusion(&longer, size, root, index, leaf).is_err());
        for at in 0..proof.len() {
            let mut forged = proof.clone();
            let mut bytes = *forged[at].as_bytes();
            bytes[at % 32] ^= 1 << (index % 8);
            forged[at] = Hash32::from_bytes(bytes);
            prop_assert!(check_inclusion(&forged, size, root, index, leaf).is_err());
        }
        prop_assert!(check_inclusion(&proof[..proof.len().saturating_sub(1)], size, root, index, leaf).is_err() || size == 1);
    }

    /// A log that changed, dropped or reordered anything has no consistency proof.
    #[test]
    fn consistency_refuses_everything_else(old in 1u64..120, more in 1u64..80) {
        let new = old + more;
        let trees = trees(new);
        let root = |size: u64| trees.roots[size as usize];
        let proof = consistency(old, new, &trees.stored).unwrap();
        prop_assert!(check_consistency(&proof, old, root(old), new, root(new)).is_ok());
        prop_assert!(check_consistency(&proof, old, root(old - 1), new, root(new)).is_err());
        prop_assert!(check_consistency(&proof, old, root(old), new, root(new - 1)).is_err());
        prop_assert!(check_consistency(&proof, new, root(new), old, root(old)).is_err());
        for at in 0..proof.len() {
            let mut forged = proof.clone();
            let mut bytes = *forged[at].as_bytes();
            bytes[at % 32] ^= 1;
            forged[at] = Hash32::from_bytes(bytes);
            prop_assert!(check_consistency(&forged, old, root(old), new, root(new)).is_err());
        }
    }

    /// Sizes of any magnitude: no panic, no endless loop, and indexes that a database can hold.
    #[test]
    fn sizes_of_strangers_do_no_harm(size in any::<u64>(), index in any::<u64>(), hashes in 0usize..70) {
        let proof = vec![Hash32::of(b"x"); hashes];
        let root = Hash32::of(b"root");
        prop_assert!(check_inclusion(&proof, size, root, index, root).is_err());
        prop_assert!(check_inclusion(&proof, size, root, index % size.max(1), root).is_err() || size == 1);
        prop_assert!(check_consistency(&proof, index, root, size, Hash32::of(b"other")).is_err());
        let below = i64::MAX as u64;
        prop_assert!(inclusion_indexes(size, index % size.max(1)).iter().all(|i| *i < below));
        prop_assert!(consistency_indexes(index % size.max(1), size).iter().all(|i| *i < below));
    }
}

#[test]
fn every_tree_continues_the_empty_one() {
    let trees = trees(5);
    assert_eq!(consistency(0, 5, &trees.stored), Ok(Vec::new()));
    assert_eq!(check_consistency(&[], 0, trees.roots[0], 5, trees.roots[5]), Ok(()));
    let refused = check_consistency(&[], 0, trees.roots[1], 5, trees.roots[5]);
    assert!(matches!(refused, Err(ProofError::Root { size: 0, .. })), "{refused:?}");
    let refused = check_consistency(&[], 5, trees.roots[4], 5, trees.roots[5]);
    assert!(matches!(refused, Err(ProofError::Root { size: 5, .. })), "{refused:?}");
}

#[test]
fn the_named_indexes_are_the_ones_read() {
    let trees = trees(100);
    for index in 0..100 {
        let only: BTreeMap<u64, Hash32> =
            inclusion_indexes(100, index).into_iter().map(|i| (i, trees.stored[&i])).collect();
        assert!(inclusion(100, index, &only).is_ok());
        let only: BTreeMap<u64, Hash32> =
            consistency_indexes(index, 100).into_iter().map(|i| (i, trees.stored[&i])).collect();
        assert!(consistency(index, 100, &only).is_ok());
    }
    let none = inclusion(100, 3, &BTreeMap::new());
    assert_eq!(none, Err(ProveError::Source(MissingHash { index: stored_index(2) })));
}

fn stored_index(leaf: u64) -> u64 {
    tlog_tiles::stored_hash_index(0, leaf)
}

mod as_text {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

    use super::*;
    use crate::note::{Checkpoint, LogKey, SignedCheckpoint};

    fn proof(extra: &[u8]) -> (LogKey, TlogProof) {
        let trees = trees(70);
        let pair = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
        let mut spki = hex::decode("302a300506032b6570032100").unwrap();
        spki.extend_from_slice(pair.public_key().as_ref());
        let key = LogKey::from_spki("log.example", &spki).unwrap();
        let checkpoint = Checkpoint::new("log.example", 70, trees.roots[70]).unwrap();
        let signature = pair.sign(&checkpoint.to_be_signed());
        let signed = SignedCheckpoint::assemble(checkpoint, &key, signature.as_ref()).unwrap();
        let hashes = inclusion(70, 41, &trees.stored).unwrap();
        (key, TlogProof::new(41, hashes, &signed, extra).unwrap())
    }

    #[test]
    fn a_proof_travels_as_text() {
        for extra in [&b""[..], b"salt"] {
            let (key, proof) = proof(extra);
            let text = proof.to_text();
            assert!(text.starts_with("c2sp.org/tlog-proof@v1\n"), "{text}");
            let parsed = TlogProof::parse(&text).unwrap();
            assert_eq!(parsed, proof);
            assert_eq!(parsed.extra().unwrap_or_default(), extra);
            let leaf = leaf_hash(&41u64.to_be_bytes());
            assert_eq!(parsed.verify(&key, leaf).unwrap().checkpoint().size(), 70);
            let other = parsed.verify(&key, leaf_hash(b"other"));
            assert!(matches!(other, Err(ProofError::Root { .. })), "{other:?}");
        }
    }

    #[test]
    fn every_bit_of_the_text_counts() {
        let (key, proof) = proof(b"");
        let text = proof.to_text();
        let leaf = leaf_hash(&41u64.to_be_bytes());
        for bit in 0..text.len() * 8 {
            let mut forged = text.clone().into_bytes();
            forged[bit / 8] ^= 1 << (bit % 8);
            let Ok(forged) = String::from_utf8(forged) else { continue };
            let checked = TlogProof::parse(&forged).and_then(|p| p.verify(&key, leaf));
            assert!(checked.is_err(), "bit {bit}: {forged}");
        }
    }

    #[test]
    fn other_shapes_are_refused() {
        let (_, proof) = proof(b"salt");
        let text = proof.to_text();
        for (from, to) in [
            ("tlog-proof@v1", "tlog-proof@v2"),
            ("index 41", "index 041"),
            ("index 41", "index -1"),
            ("index 41\n", ""),
            ("extra c2FsdA==", "extra c2FsdA"),
            ("extra c2FsdA==", "extra "),
            ("=\n", "\n"),
            ("\n\n", "\n"),
        ] {
            assert!(text.contains(from), "{from}");
            let refused = TlogProof::parse(&text.replacen(from, to, 1));
            let expected = matches!(refused, Err(ProofError::Encoding { what: "tlog-proof", .. }));
            assert!(expected, "{from} → {to}: {refused:?}");
        }
    }

    proptest! {
        #[test]
        fn strangers_texts_do_no_harm(
            lines in "(extra [a-zA-Z0-9=]{0,9}\n)?(index [0-9]{0,3}\n)?([A-Za-z0-9+/]{43}=\n){0,3}\n?[a-z\n]{0,9}",
        ) {
            let text = format!("c2sp.org/tlog-proof@v1\n{lines}");
            if let Ok(proof) = TlogProof::parse(&text) {
                prop_assert_eq!(proof.to_text(), text);
            }
        }
    }
}
