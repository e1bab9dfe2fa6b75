use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;

fn leaf_hash(data: &[u8]) -> Hash32 {
    let digest = Sha256::new().chain_update([0]).chain_update(data).finalize();
    Hash32::from_bytes(digest.into())
}

proptest! {
    /// Another implementation of RFC 6962 gives the same root after every append, and an edge
    /// loaded from what was stored goes on as if nothing had happened.
    #[test]
    fn roots_agree_with_another_implementation(
        leaves in prop::collection::vec(any::<[u8; 8]>(), 1..200),
        reload in any::<prop::sample::Index>(),
    ) {
        let mut theirs = MemoryBackedTree::<sha2::Sha256, [u8; 8]>::new();
        let mut ours = Edge::empty();
        let mut stored = Vec::new();
        for (i, leaf) in leaves.iter().enumerate() {
            if i == reload.index(leaves.len()) {
                ours = Edge::load(ours.size(), &stored).unwrap();
            }
            theirs.push(*leaf);
            let appended = ours.append(leaf_hash(leaf));
            prop_assert_eq!(appended.leaf_index, i as u64);
            stored.extend(appended.stored);
            let root: [u8; 32] = (*theirs.root().as_bytes()).into();
            prop_assert_eq!(ours.root(), Hash32::from_bytes(root));
        }
        let mut indexes: Vec<u64> = stored.iter().map(|s| s.index).collect();
        indexes.sort_unstable();
        prop_assert!(indexes.iter().copied().eq(0..indexes.len() as u64));
    }
}

#[test]
fn a_missing_hash_is_named() {
    let mut edge = Edge::empty();
    let mut stored = Vec::new();
    for i in 0..3u8 {
        stored.extend(edge.append(leaf_hash(&[i])).stored);
    }
    stored.retain(|s| s.index != 2);
    assert_eq!(Edge::load(3, &stored), Err(EdgeError::Missing { size: 3, index: 2 }));
}
