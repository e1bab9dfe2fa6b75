//! The served log read by somebody else's implementation: the C2SP crates `tlog_tiles` and
//! `signed_note` over HTTP, with nothing of ours between them and the bytes.

use std::collections::BTreeMap;

use avouch_tests::Http;
use avouch_tests::Installation;
use avouch_tests::openssl::Key;
use signed_note::{Note, StandardVerifier, VerifierList};
use tlog_tiles::{Checkpoint, Error, Hash, HashReader, Tile, TileHashReader, TileReader};
use wire::bundle::Bundle;

use crate::enrolled;

/// More than fit one tile of 256: each enrolment that comes alone is a leaf and a map root.
const ENROLLED: usize = 132;

/// The installation's tiles, fetched one by one.
struct Served(Http);

impl Served {
    fn fetch(&self, tile: &Tile) -> Vec<u8> {
        // That crate writes the height into the path, C2SP tlog-tiles does not.
        let path = tile.path().replacen("tile/8/", "tile/", 1);
        let answer = self.0.get(&format!("/api/v1/log/{path}"));
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.body
    }

    /// The checkpoint, its signature checked.
    fn checkpoint(&self, vkey: &str) -> Checkpoint {
        let note = Note::from_bytes(&self.0.get("/api/v1/log/checkpoint").body).expect("a note");
        let key = StandardVerifier::new(vkey).expect("a key");
        let (signed, _) = note.verify(&VerifierList::new(vec![Box::new(key)])).expect("keys");
        assert_eq!(signed.len(), 1, "by the log");
        Checkpoint::from_bytes(note.text()).expect("a checkpoint")
    }
}

impl TileReader for Served {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, Error> {
        Ok(tiles.iter().map(|tile| self.fetch(tile)).collect())
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

/// The entries of the tree in order, out of its entry bundles: each after its length in two octets.
fn entries(served: &Served, size: u64) -> Vec<Vec<u8>> {
    let full = (0..size / 256).map(|n| format!("{n:03}"));
    let rest = (!size.is_multiple_of(256)).then(|| format!("{:03}.p/{}", size / 256, size % 256));
    let mut entries = Vec::new();
    for path in full.chain(rest) {
        let answer = served.0.get(&format!("/api/v1/log/tile/entries/{path}"));
        assert_eq!(answer.status, 200, "{path}");
        let mut left = answer.body.as_slice();
        while let Some((length, more)) = left.split_first_chunk::<2>() {
            let (entry, more) = more.split_at(usize::from(u16::from_be_bytes(*length)));
            entries.push(entry.to_vec());
            left = more;
        }
    }
    entries
}

fn hashes(proof: &[wire::Hash32]) -> Vec<Hash> {
    proof.iter().map(|hash| Hash(*hash.as_bytes())).collect()
}

#[test]
fn somebody_elses_implementation_follows_the_served_log() {
    let installation = Installation::start();
    let trust: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(&installation.read("trust.json")).expect("JSON");
    let vkey = trust["log"].as_str().expect("a verifier key");
    let served = Served(installation.stranger());
    let enrol =
        |uid: &str| enrolled(&installation, uid, &Key::p256().csr(&format!("/CN={uid}"), &[]));

    let early = {
        let _ = enrol("first");
        served.checkpoint(vkey)
    };
    for n in 1..ENROLLED {
        let _ = enrol(&format!("user-{n}"));
    }
    let bundle: Bundle = installation.stranger().get("/api/v1/identities/user-7/bundle").json(200);
    let late = served.checkpoint(vkey);
    assert!(late.size() > 256, "a full tile and a part of one: {}", late.size());

    // Tiles lead from the signed root to every entry, and from one signed root to the next.
    let tree = TileHashReader::new(late.size(), *late.hash(), &served);
    let entries = entries(&served, late.size());
    assert_eq!(entries.len() as u64, late.size());
    let indexes: Vec<u64> = (0..late.size()).map(|n| tlog_tiles::stored_hash_index(0, n)).collect();
    let leaves = tree.read_hashes(&indexes).expect("tiles under the signed root");
    for (entry, leaf) in entries.iter().zip(&leaves) {
        assert_eq!(tlog_tiles::record_hash(entry), *leaf);
    }
    let grown = tlog_tiles::prove_tree(late.size(), early.size(), &tree).expect("a proof");
    tlog_tiles::check_tree(&grown, late.size(), *late.hash(), early.size(), *early.hash())
        .expect("the later log continues the earlier one");

    // What a bundle proves, that implementation takes and would have said itself.
    let note = Note::from_bytes(bundle.checkpoint.as_bytes()).expect("a note");
    let of_bundle = Checkpoint::from_bytes(note.text()).expect("a checkpoint");
    let tree = TileHashReader::new(of_bundle.size(), *of_bundle.hash(), &served);
    let events = bundle.installation.iter().chain(&bundle.events);
    let proven = events.map(|event| (event.leaf_index, &event.leaf, &event.proof));
    let map_leaf = (of_bundle.size() - 1, &bundle.map_leaf, &bundle.map_leaf_proof);
    let mut count = 0;
    for (index, leaf, proof) in proven.chain([map_leaf]) {
        let (size, leaf) = (of_bundle.size(), tlog_tiles::record_hash(&leaf.0));
        tlog_tiles::check_record(&hashes(proof), size, *of_bundle.hash(), index, leaf)
            .expect("an inclusion proof");
        assert_eq!(
            tlog_tiles::prove_record(size, index, &tree).expect("from tiles"),
            hashes(proof)
        );
        count += 1;
    }
    assert_eq!(count, 3, "genesis, the enrolment, the map's root");
}
