//! A witness that a log lies to: requests made of two histories that part somewhere, all signed by
//! the log's key, whole or with their proofs and sizes tampered with, in any order. Whatever is
//! co-signed is one history, and no smaller tree follows a larger one.
#![no_main]

use std::collections::BTreeMap;
use std::sync::OnceLock;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use libfuzzer_sys::fuzz_target;
use tlog::Edge;
use tlog::note::{Checkpoint, LogKey, SignedCheckpoint};
use tlog::proof::{consistency, leaf_hash};
use tlog::witness::{AddCheckpoint, AnyCheckpoint, Head, LogState};
use wire::Hash32;

const ORIGIN: &str = "log.example/fuzzed";
/// Leaves of each history.
const LEAVES: u64 = 40;

/// One history: its stored hashes, and a checkpoint of each size.
struct History {
    hashes: BTreeMap<u64, Hash32>,
    checkpoints: Vec<AnyCheckpoint>,
}

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("any seed is a key")
}

fn key() -> LogKey {
    const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
    let spki = [&SPKI, pair().public_key().as_ref()].concat();
    LogKey::from_spki(ORIGIN, &spki).expect("an Ed25519 key")
}

/// A history whose leaves from `parts` on are others than the first history's.
fn history(parts: u64) -> History {
    let (pair, key, mut edge) = (pair(), key(), Edge::empty());
    let (mut hashes, mut checkpoints) = (BTreeMap::new(), Vec::new());
    for leaf in 0..=LEAVES {
        let checkpoint = Checkpoint::new(ORIGIN, edge.size(), edge.root()).expect("an origin");
        let signature = pair.sign(&checkpoint.to_be_signed());
        let signed = SignedCheckpoint::assemble(checkpoint, &key, signature.as_ref());
        let text = signed.expect("its own key").text().to_owned();
        checkpoints.push(AnyCheckpoint::parse(&text).expect("a checkpoint"));
        let appended = edge.append(leaf_hash(&[u8::from(leaf >= parts), leaf as u8]));
        hashes.extend(appended.stored.iter().map(|stored| (stored.index, stored.hash)));
    }
    History { hashes, checkpoints }
}

fuzz_target!(|data: &[u8]| {
    static HISTORIES: OnceLock<Vec<History>> = OnceLock::new();
    let histories = HISTORIES.get_or_init(|| [LEAVES, 0, 1, 13, 32].map(history).into());
    let mut state = LogState { origin: ORIGIN.to_owned(), keys: vec![key()], latest: None };
    let mut heads: Vec<Head> = Vec::new();
    for bytes in data.chunks_exact(5).take(64) {
        let [which, old, new, claimed, tamper] = [bytes[0], bytes[1], bytes[2], bytes[3], bytes[4]];
        let history = &histories[usize::from(which) % histories.len()];
        let new = u64::from(new) % (LEAVES + 1);
        // Most requests begin where the witness is; a few where it is not.
        let at = state.latest.map_or(0, |head| head.size);
        let old = if old < 200 { at } else { u64::from(old) % (LEAVES + 1) };
        let proof = consistency(old.min(new), new, &history.hashes);
        let mut proof = proof.expect("sizes of this history");
        match tamper % 8 {
            0 => proof.push(Hash32::of(bytes)),
            1 => drop(proof.pop()),
            2 => proof.reverse(),
            _ => {}
        }
        let claimed = if claimed < 200 { old } else { u64::from(claimed) % (LEAVES + 1) };
        let checkpoint = history.checkpoints[new as usize].clone();
        let request = AddCheckpoint::new(claimed, proof, checkpoint).expect("a short proof");
        if let Ok(head) = state.advance(&request) {
            assert_eq!(head.root, history.checkpoints[new as usize].root());
            state.latest = Some(head);
            heads.push(head);
        }
    }
    assert!(heads.windows(2).all(|pair| pair[0].size <= pair[1].size), "{heads:?}");
    let one = histories.iter().any(|history| {
        heads.iter().all(|head| history.checkpoints[head.size as usize].root() == head.root)
    });
    assert!(one, "two histories were co-signed: {heads:?}");
});
