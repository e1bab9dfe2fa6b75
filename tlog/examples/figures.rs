//! Figures: sizes and times of proofs beside `ct-merkle`'s, and the map's throughput and memory.
//!
//! `cargo run --release -p avouch-tlog --example figures [LEAVES] [IDENTITIES]`, a million each if
//! not told otherwise. In the development profile the times are worth little unless this crate is
//! optimised: `--config profile.dev.package.avouch-tlog.opt-level=3`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use avouch_tlog::map::{Map, Page, PageId};
use avouch_tlog::proof::{self, HashSource};
use avouch_tlog::{Edge, StoredHash};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use wire::Hash32;

type Failure = Box<dyn std::error::Error>;

/// Requests of a group, as the authority records them together.
const GROUP: usize = 64;
/// Groups between two flushes.
const FLUSH: usize = 64;
/// Pages that the map keeps.
const CAPACITY: usize = 4096;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse::<u64>());
    let leaves = arguments.next().transpose()?.unwrap_or(1_000_000);
    let identities = arguments.next().transpose()?.unwrap_or(1_000_000);
    if leaves > 2 {
        tree(leaves)?;
    }
    map(identities)?;
    dense()
}

/// One 256th of a map of ten million, as dense as the whole: what its pages take.
fn dense() -> Result<(), Failure> {
    let changes: Vec<(Hash32, Hash32)> = (0..10_000_000u64 / 256)
        .map(|i| {
            let mut key = *Hash32::of(&i.to_be_bytes()).as_bytes();
            key[0] = 0;
            (Hash32::from_bytes(key), Hash32::of(&key))
        })
        .collect();
    let mut map = Map::empty(usize::MAX);
    for group in changes.chunks(GROUP) {
        let staged = map.stage(group)?;
        map.commit(staged);
    }
    let (pages, bytes) = (map.loaded_pages(), map.loaded_bytes());
    let stored = map.take_dirty();
    let third = |pages: &[(PageId, Vec<u8>)]| {
        let third = pages.iter().filter(|(id, _)| id.as_bytes().len() == 2);
        let (count, sum) = third.fold((0, 0), |(n, sum), (_, page)| (n + 1, sum + page.len()));
        sum / count.max(1)
    };
    println!(
        "at ten million: {} pages, {} bytes each in memory, {} MiB stored; a page of the third \
         level is stored in {} bytes",
        pages * 256,
        bytes / pages,
        (stored.iter().map(|(_, page)| page.len() + 8).sum::<usize>() * 256) >> 20,
        third(&stored),
    );
    Ok(())
}

struct Dense(Vec<Hash32>);

impl HashSource for Dense {
    type Error = u64;
    fn read(&self, indexes: &[u64]) -> Result<Vec<Hash32>, u64> {
        indexes.iter().map(|i| self.0.get(*i as usize).copied().ok_or(*i)).collect()
    }
}

fn tree(size: u64) -> Result<(), Failure> {
    let mut theirs = MemoryBackedTree::<sha2::Sha256, [u8; 8]>::new();
    let start = Instant::now();
    (0..size).for_each(|leaf| theirs.push(leaf.to_be_bytes()));
    println!("ct-merkle: {size} leaves appended, {} each", each(start.elapsed(), size));

    let mut edge = Edge::empty();
    let mut stored = Vec::new();
    let mut roots = BTreeMap::from([(0, edge.root())]);
    let start = Instant::now();
    for leaf in 0..size {
        let appended = edge.append(proof::leaf_hash(&leaf.to_be_bytes()));
        stored.extend(appended.stored.iter().map(|StoredHash { hash, .. }| *hash));
        if leaf % 997 == 0 {
            roots.insert(edge.size(), edge.root());
        }
    }
    println!("ours: {size} leaves appended, {} each", each(start.elapsed(), size));
    let stored = Dense(stored);
    let root = edge.root();
    assert_eq!(theirs.root().as_bytes().as_slice(), root.as_bytes());
    let ct_root =
        |root: Hash32, size| RootHash::<sha2::Sha256>::new((*root.as_bytes()).into(), size);

    let samples: Vec<u64> = (0..size).step_by((size / 1000).max(1) as usize).collect();
    let start = Instant::now();
    let proofs: Vec<Vec<Hash32>> = samples
        .iter()
        .map(|i| proof::inclusion(size, *i, &stored))
        .collect::<Result<_, _>>()
        .map_err(|e| format!("{e:?}"))?;
    let made = each(start.elapsed(), samples.len() as u64);
    let start = Instant::now();
    for (index, hashes) in samples.iter().zip(&proofs) {
        proof::check_inclusion(hashes, size, root, *index, proof::leaf_hash(&index.to_be_bytes()))?;
    }
    let checked = each(start.elapsed(), samples.len() as u64);
    println!("inclusion, ours: {}, made in {made}, checked in {checked}", sizes(&proofs));
    let theirs_read: Vec<_> = proofs
        .iter()
        .map(|p| InclusionProof::try_from_bytes(bytes(p)))
        .collect::<Result<_, _>>()
        .map_err(|e| format!("{e:?}"))?;
    let start = Instant::now();
    for (index, read) in samples.iter().zip(&theirs_read) {
        let checked = ct_root(root, size).verify_inclusion(&index.to_be_bytes(), *index, read);
        checked.map_err(|e| format!("{e:?}"))?;
    }
    println!("inclusion, ct-merkle: checked in {}", each(start.elapsed(), samples.len() as u64));

    let olds: Vec<(u64, Hash32)> = roots.into_iter().filter(|(old, _)| *old > 0).collect();
    let start = Instant::now();
    let proofs: Vec<Vec<Hash32>> = olds
        .iter()
        .map(|(old, _)| proof::consistency(*old, size, &stored))
        .collect::<Result<_, _>>()
        .map_err(|e| format!("{e:?}"))?;
    let made = each(start.elapsed(), olds.len() as u64);
    let start = Instant::now();
    for ((old, old_root), hashes) in olds.iter().zip(&proofs) {
        proof::check_consistency(hashes, *old, *old_root, size, root)?;
    }
    let checked = each(start.elapsed(), olds.len() as u64);
    println!("consistency, ours: {}, made in {made}, checked in {checked}", sizes(&proofs));
    let theirs_read: Vec<_> = proofs
        .iter()
        .map(|p| ConsistencyProof::try_from_bytes(bytes(p)))
        .collect::<Result<_, _>>()
        .map_err(|e| format!("{e:?}"))?;
    let start = Instant::now();
    for ((old, old_root), read) in olds.iter().zip(&theirs_read) {
        let checked = ct_root(root, size).verify_consistency(&ct_root(*old_root, *old), read);
        checked.map_err(|e| format!("{e:?}"))?;
    }
    println!("consistency, ct-merkle: checked in {}", each(start.elapsed(), olds.len() as u64));
    Ok(())
}

fn map(identities: u64) -> Result<(), Failure> {
    let mut store: BTreeMap<PageId, Vec<u8>> = BTreeMap::new();
    let mut map = Map::empty(CAPACITY);
    let key = |i: u64| Hash32::of(&i.to_be_bytes());
    let (mut computing, mut loading, mut flushing) = <(Duration, Duration, Duration)>::default();
    let (mut loaded, mut flushed, mut most) = (0u64, 0u64, 0);
    let all: Vec<u64> = (0..identities).collect();
    for (at, group) in all.chunks(GROUP).enumerate() {
        let changes: Vec<(Hash32, Hash32)> =
            group.iter().map(|i| (key(*i), Hash32::of(key(*i).as_bytes()))).collect();
        let start = Instant::now();
        loaded += load(&mut map, &store, &changes.iter().map(|c| c.0).collect::<Vec<_>>())?;
        loading += start.elapsed();
        let start = Instant::now();
        let staged = map.stage(&changes)?;
        map.commit(staged);
        computing += start.elapsed();
        if at % FLUSH == FLUSH - 1 {
            most = most.max(map.loaded_bytes());
            let start = Instant::now();
            flushed += flush(&mut map, &mut store);
            flushing += start.elapsed();
        }
    }
    flush(&mut map, &mut store);
    let stored: usize = store.values().map(|page| page.len() + 8).sum();
    println!(
        "map: {identities} identities in groups of {GROUP}: staged in {} each, pages loaded in {} \
         each ({:.2} pages), flushed in {} each ({:.2} pages)",
        each(computing, identities),
        each(loading, identities),
        loaded as f64 / identities as f64,
        each(flushing, identities),
        flushed as f64 / identities as f64,
    );
    println!(
        "map: {} pages of {} MiB stored; at most {:.1} MiB in memory between flushes, {:.1} after",
        store.len(),
        stored >> 20,
        mib(most),
        mib(map.loaded_bytes()),
    );

    let root = map.root();
    let start = Instant::now();
    let page = Page::decode(PageId::ROOT, &store[&PageId::ROOT])?;
    let mut map = Map::open(Some(page), root, CAPACITY)?;
    println!("map: opened in {:.1?}", start.elapsed());
    let samples: Vec<u64> = (0..identities).step_by((identities / 1000).max(1) as usize).collect();
    let (mut size, mut making, mut checking) = (0, Duration::ZERO, Duration::ZERO);
    for i in &samples {
        load(&mut map, &store, &[key(*i)])?;
        let start = Instant::now();
        let proof = map.prove(&key(*i))?;
        making += start.elapsed();
        size += proof.to_bytes().len();
        let start = Instant::now();
        assert_eq!(proof.check(root, &key(*i))?, Some(Hash32::of(key(*i).as_bytes())));
        checking += start.elapsed();
    }
    let count = samples.len() as u64;
    println!(
        "head proof: {} bytes, made in {}, checked in {}",
        size / samples.len(),
        each(making, count),
        each(checking, count)
    );
    Ok(())
}

fn load(map: &mut Map, store: &BTreeMap<PageId, Vec<u8>>, keys: &[Hash32]) -> Result<u64, Failure> {
    let mut loaded = 0;
    loop {
        let missing = map.missing(keys);
        if missing.is_empty() {
            return Ok(loaded);
        }
        for id in missing {
            map.supply(id, store.get(&id).map(Vec::as_slice))?;
            loaded += 1;
        }
    }
}

fn flush(map: &mut Map, store: &mut BTreeMap<PageId, Vec<u8>>) -> u64 {
    let pages = map.take_dirty();
    let count = pages.len() as u64;
    store.extend(pages);
    map.mark_clean();
    count
}

fn each(time: Duration, count: u64) -> String {
    format!("{:.2} µs", time.as_secs_f64() * 1e6 / count.max(1) as f64)
}

fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn bytes(proof: &[Hash32]) -> Vec<u8> {
    proof.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

fn sizes(proofs: &[Vec<Hash32>]) -> String {
    let lengths = || proofs.iter().map(|p| 32 * p.len());
    let mean = lengths().sum::<usize>() / proofs.len().max(1);
    format!("{mean} bytes on average, {} at most", lengths().max().unwrap_or(0))
}
