//! A log for tests: its leaves are numbers, its key is made of one byte.

use std::collections::BTreeMap;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use tlog::Edge;
use tlog::note::{Checkpoint, LogKey, SignedCheckpoint};
use tlog::proof::{consistency, leaf_hash};
use tlog::witness::{AddCheckpoint, AnyCheckpoint};
use wire::Hash32;

use crate::Served;

pub(crate) const ORIGIN: &str = "log.example/avouch";

pub(crate) struct Log {
    pair: Ed25519KeyPair,
    key: LogKey,
    edge: Edge,
    hashes: BTreeMap<u64, Hash32>,
    pub(crate) notes: Vec<String>,
}

impl Log {
    /// A log whose leaves are numbers from `first` on.
    pub(crate) fn of(seed: u8, first: u64, leaves: u64) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let mut spki = hex::decode("302a300506032b6570032100").unwrap();
        spki.extend_from_slice(pair.public_key().as_ref());
        let key = LogKey::from_spki(ORIGIN, &spki).unwrap();
        let (edge, hashes, notes) = (Edge::empty(), BTreeMap::new(), Vec::new());
        let mut log = Self { pair, key, edge, hashes, notes };
        log.note();
        for leaf in first..first + leaves {
            let appended = log.edge.append(leaf_hash(&leaf.to_be_bytes()));
            log.hashes.extend(appended.stored.iter().map(|s| (s.index, s.hash)));
            log.note();
        }
        log
    }

    fn note(&mut self) {
        let checkpoint = Checkpoint::new(ORIGIN, self.edge.size(), self.edge.root()).unwrap();
        let signature = self.pair.sign(&checkpoint.to_be_signed());
        let signed = SignedCheckpoint::assemble(checkpoint, &self.key, signature.as_ref()).unwrap();
        self.notes.push(signed.text().to_owned());
    }

    pub(crate) fn request(&self, old: u64, new: usize) -> AddCheckpoint {
        let proof = consistency(old, new as u64, &self.hashes).unwrap();
        AddCheckpoint::new(old, proof, AnyCheckpoint::parse(&self.notes[new]).unwrap()).unwrap()
    }

    pub(crate) fn served(&self) -> Served {
        Served { origin: ORIGIN.to_owned(), keys: vec![self.key.clone()] }
    }
}
