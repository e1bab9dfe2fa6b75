//! Everything of the log that a client, a witness or the authority's own store hands over: notes,
//! keys, proofs, tiles and pages of the map. What is taken writes itself again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tlog::cosign::CosignerKey;
use tlog::map::{MapProof, Page, PageId};
use tlog::note::{LogKey, Note, SignedCheckpoint};
use tlog::proof::{TlogProof, check_consistency, check_inclusion};
use tlog::quorum::Quorum;
use tlog::tile::Tile;
use tlog::witness::{AddCheckpoint, LogState, read_answer};
use wire::Hash32;

const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

/// The first test key of RFC 8032 section 7.1.
const PUBLIC: [u8; 32] = [
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
    0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
];

fuzz_target!(|data: &[u8]| {
    let hash = Hash32::of(data);
    if let Ok(text) = std::str::from_utf8(data) {
        let key = LogKey::parse_vkey(KEY).expect("a published key");
        if let Ok(key) = LogKey::parse_vkey(text) {
            assert_eq!(key.vkey(), text);
        }
        if let Ok(note) = Note::parse(text) {
            assert_eq!(note.to_text(), text);
            let _ = SignedCheckpoint::open(text, &key);
        }
        if let Ok(proof) = TlogProof::parse(text) {
            assert_eq!(proof.to_text(), text);
            assert!(proof.verify(&key, hash).is_err());
        }
        if let Ok(tile) = Tile::parse(text) {
            assert_eq!(tile.path(), text);
        }
        let cosigner = CosignerKey::new("w.example", PUBLIC).expect("a published key");
        if let Ok(key) = CosignerKey::parse_vkey(text) {
            assert_eq!(key.vkey(), text);
        }
        if let Ok(quorum) = Quorum::parse(text) {
            assert!(quorum.met(|_| true));
            assert_eq!(quorum.met(|_| false), quorum.missing(|_| false).is_none());
        }
        if let Ok(request) = AddCheckpoint::parse(text) {
            assert_eq!(request.to_text(), text);
            let origin = request.checkpoint().origin().to_owned();
            let state = LogState { origin, keys: vec![key], latest: None };
            assert!(state.advance(&request).is_err());
            let note = request.checkpoint();
            assert!(read_answer(200, data, note, &cosigner).is_err());
        }
    }
    let (tile, bytes) = match data.split_first() {
        Some((width, bytes)) => (format!("tile/entries/000.p/{width}"), bytes),
        None => return,
    };
    if let Ok(tile) = Tile::parse(&tile) {
        let _ = tile.decode_hashes(bytes);
        if let Ok(entries) = tile.decode_entries(bytes) {
            assert_eq!(tile.encode_entries(&entries).expect("read ourselves"), bytes);
        }
    }
    if let Some(id) = PageId::new(&vec![0x5a; usize::from(data[0] % 33)])
        && let Ok(page) = Page::decode(id, bytes)
    {
        assert_eq!(page.encode(), bytes);
    }
    if let Ok(proof) = MapProof::from_bytes(data) {
        assert_eq!(proof.to_bytes(), data);
        assert!(proof.check(hash, &hash).is_err());
    }
    if let Some((numbers, rest)) = data.split_first_chunk::<16>() {
        let (first, second) = numbers.split_at(8);
        let number = |bytes: &[u8]| bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b));
        let hashes: Vec<Hash32> = rest.chunks_exact(32).filter_map(Hash32::from_slice).collect();
        let (a, b) = (number(first), number(second));
        let _ = check_inclusion(&hashes, a, hash, b, hash);
        let _ = check_consistency(&hashes, b, hash, a, hash);
    }
});
