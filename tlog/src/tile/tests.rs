use std::collections::BTreeMap;

use proptest::prelude::*;
use tlog_tiles::HashReader;

use super::*;
use crate::Edge;
use crate::proof::leaf_hash;

const SIZE: u64 = 70_000;

fn hashes(level: u8) -> TileKind {
    TileKind::Hashes { level }
}

fn stored(size: u64) -> BTreeMap<u64, Hash32> {
    let mut edge = Edge::empty();
    let appended = (0..size).flat_map(|leaf| edge.append(leaf_hash(&leaf.to_be_bytes())).stored);
    appended.map(|s| (s.index, s.hash)).collect()
}

struct Tiles<'a>(&'a BTreeMap<u64, Hash32>);

impl HashReader for Tiles<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|i| tlog_tiles::Hash(*self.0[i].as_bytes())).collect())
    }
}

/// C2SP tlog-tiles' own example of a path, and of the tiles of a tree of 70,000 leaves.
#[test]
fn the_specifications_examples_hold() {
    let tile = Tile::new(hashes(0), 1_234_067, 256).unwrap();
    assert_eq!(tile.path(), "tile/0/x001/x234/067");
    assert_eq!(Tile::parse("tile/0/x001/x234/067"), Ok(tile));

    let tiles = Tile::new_tiles(0, SIZE);
    let of = |kind, full| {
        let of_kind = tiles.iter().filter(move |t| t.kind() == kind && t.is_full() == full);
        of_kind.map(Tile::width).collect::<Vec<_>>()
    };
    assert_eq!((of(hashes(0), true).len(), of(hashes(0), false)), (273, vec![112]));
    assert_eq!((of(hashes(1), true).len(), of(hashes(1), false)), (1, vec![17]));
    assert_eq!((of(hashes(2), true).len(), of(hashes(2), false)), (0, vec![1]));
    assert_eq!((of(TileKind::Entries, true).len(), of(TileKind::Entries, false)), (273, vec![112]));
    assert_eq!(tiles.len(), 274 + 274 + 2 + 1);
    let of_256: Vec<_> = Tile::new_tiles(0, 256).iter().map(Tile::path).collect();
    assert_eq!(of_256, ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]);
}

/// The same tiles, paths (but for the height) and bytes as `tlog_tiles`, whatever was there before.
#[test]
fn hash_tiles_agree_with_another_implementation() {
    let stored = stored(SIZE);
    for (old, new) in
        [(0, SIZE), (0, 1), (255, 257), (256, 513), (65_535, 65_536), (SIZE - 1, SIZE)]
    {
        let ours: Vec<Tile> = Tile::new_tiles(old, new)
            .into_iter()
            .filter(|tile| tile.kind() != TileKind::Entries)
            .collect();
        let theirs = tlog_tiles::Tile::new_tiles(8, old, new);
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(theirs) {
            assert_eq!(ours.path(), theirs.path().replacen("tile/8/", "tile/", 1));
            assert_eq!(Tile::parse(&ours.path()), Ok(*ours));
            let hashes: Vec<Hash32> = ours.hash_indexes().iter().map(|i| stored[i]).collect();
            let bytes = ours.encode_hashes(&hashes).unwrap();
            assert_eq!(bytes, theirs.read_data(&Tiles(&stored)).unwrap());
            assert_eq!(ours.decode_hashes(&bytes).unwrap(), hashes);
            assert!(ours.needs_size() <= new);
            assert!(ours.needs_size() > old, "{} was there before", ours.path());
        }
    }
}

/// Tiles alone, read by another implementation's client, give every leaf of the tree.
#[test]
fn another_implementation_reads_the_tree_from_tiles() {
    struct Files(BTreeMap<String, Vec<u8>>);
    impl tlog_tiles::TileReader for Files {
        fn height(&self) -> u8 {
            8
        }
        fn read_tiles(
            &self,
            tiles: &[tlog_tiles::Tile],
        ) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
            let path = |tile: &tlog_tiles::Tile| tile.path().replacen("tile/8/", "tile/", 1);
            Ok(tiles.iter().map(|tile| self.0[&path(tile)].clone()).collect())
        }
        fn save_tiles(&self, _: &[tlog_tiles::Tile], _: &[Vec<u8>]) {}
    }
    let size = 1000;
    let stored = stored(size);
    let edge: Vec<_> = Edge::indexes(size)
        .into_iter()
        .map(|index| crate::StoredHash { index, hash: stored[&index] })
        .collect();
    let root = Edge::load(size, &edge).unwrap().root();
    let files = Tile::new_tiles(0, size).into_iter().map(|tile| {
        let hashes: Vec<Hash32> = tile.hash_indexes().iter().map(|i| stored[i]).collect();
        (tile.path(), tile.encode_hashes(&hashes).unwrap())
    });
    let files = Files(files.collect());
    let reader = tlog_tiles::TileHashReader::new(size, tlog_tiles::Hash(*root.as_bytes()), &files);
    for leaf in (0..size).step_by(37) {
        let read = reader.read_hashes(&[stored_hash_index(0, leaf)]).unwrap();
        assert_eq!(read[0].0, *leaf_hash(&leaf.to_be_bytes()).as_bytes());
    }
}

#[test]
fn entry_bundles_give_their_entries_back() {
    let entries: Vec<Vec<u8>> = (0..5u8).map(|i| vec![i; usize::from(i) * 70]).collect();
    let tile = Tile::new(TileKind::Entries, 3, 5).unwrap();
    assert_eq!(tile.path(), "tile/entries/003.p/5");
    assert_eq!(tile.items(), 768..773);
    let bytes = tile.encode_entries(&entries).unwrap();
    assert_eq!(&bytes[..4], [0, 0, 0, 70]);
    assert_eq!(tile.decode_entries(&bytes).unwrap(), entries);
    for cut in 0..bytes.len() {
        assert!(tile.decode_entries(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    let refused = tile.encode_entries(&entries[1..]);
    assert!(matches!(refused, Err(TileError::Width { expected: 5, found: 4, .. })), "{refused:?}");
    let one = Tile::new(TileKind::Entries, 0, 1).unwrap();
    assert_eq!(one.encode_entries(&[vec![0; 65_536]]), Err(TileError::Entry { found: 65_536 }));
    assert!(one.encode_entries(&[vec![0; 65_535]]).is_ok());
}

#[test]
fn paths_have_one_spelling() {
    for path in [
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "tile/0/1",
        "tile/0/01",
        "tile/0/0001",
        "tile/0/001/",
        "tile/0/x001",
        "tile/0/001/002",
        "tile/0/x000/001",
        "tile/00/001",
        "tile/+0/001",
        "tile/-1/001",
        "tile/8/000",
        "tile/64/000",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/001.p/01",
        "tile/0/001.p/",
        "tile/0/001.p/1.p/1",
        "tile/0/00a",
        "tile/data/001",
        "/tile/0/001",
        "tile/0/001?",
        "tile/0/../001",
        "tile/7/x001/000",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
    ] {
        assert!(matches!(Tile::parse(path), Err(TileError::Path { .. })), "{path}");
    }
}

proptest! {
    #[test]
    fn strangers_paths_and_bytes_do_no_harm(
        path in "tile/([0-9]{1,2}|entries)(/x?[0-9]{3}){1,7}(\\.p/[0-9]{1,3})?|.{0,40}",
        bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        if let Ok(tile) = Tile::parse(&path) {
            prop_assert_eq!(tile.path(), path);
            prop_assert!(tile.needs_size() <= MAX_SIZE);
            prop_assert!(tile.hash_indexes().iter().all(|i| *i < i64::MAX as u64));
            let _ = tile.decode_hashes(&bytes);
            if let Ok(entries) = tile.decode_entries(&bytes) {
                prop_assert_eq!(tile.encode_entries(&entries).unwrap(), bytes);
            }
        }
    }
}

/// Every stored hash of trees of awkward sizes follows from the tile that is said to hold it.
#[test]
fn stored_hashes_follow_from_tiles() {
    for size in [1u64, 2, 255, 256, 257, 700, 65_536, 65_600] {
        let mut edge = crate::Edge::empty();
        let mut stored = std::collections::BTreeMap::new();
        for leaf in 0..size {
            let appended = edge.append(Hash32::of(&leaf.to_be_bytes()));
            stored.extend(appended.stored.iter().map(|s| (s.index, s.hash)));
        }
        let step = if size > 1000 { 97 } else { 1 };
        for (index, hash) in stored.iter().step_by(step) {
            let tile = Tile::holding(*index, size).unwrap();
            assert!(tile.needs_size() <= size);
            let hashes: Vec<Hash32> = tile.hash_indexes().iter().map(|i| stored[i]).collect();
            assert_eq!(tile.stored_hash(*index, &hashes), Some(*hash), "{size}: {index}");
        }
        let beyond = stored.keys().next_back().unwrap() + 1;
        let tile = Tile::holding(beyond, size);
        assert!(tile.is_none_or(|tile| tile.needs_size() > size || size == 0), "{size}");
    }
}
