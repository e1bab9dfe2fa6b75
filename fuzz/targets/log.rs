//! Everything of the log that a client, a witness or the authority's own store hands over: notes,
//! keys, proofs, tiles and pages of the map. What is taken writes itself again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tlog::map::{MapProof, Page, PageId};
use tlog::note::{LogKey, Note, SignedCheckpoint};
use tlog::proof::{TlogProof, check_consistency, check_inclusion};
use tlog::tile::Tile;
use wire::Hash32;

const KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

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
