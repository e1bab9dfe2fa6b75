use std::collections::HashMap;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use proptest::prelude::*;
use tlog::Edge;
use tlog::cosign::Cosigner;
use tlog::note::{Checkpoint, Note, NoteSignature};
use tlog::proof::inclusion;
use wire::genesis::{self, CosignerKind};
use wire::rules::Rules;
use wire::waited::Holding;

use super::*;
use crate::replay::tests::World;

const ORIGIN: &str = "log.example.org";
const WAIT: u64 = 72 * 3600;
const BEGAN: u64 = 1_800_000_000;

/// A log with its key; every log has the same.
pub(crate) struct TestLog {
    key: Ed25519KeyPair,
    edge: Edge,
    hashes: HashMap<u64, Hash32>,
}

impl TestLog {
    pub(crate) fn new() -> Self {
        let key = Ed25519KeyPair::from_seed_unchecked(&[40; 32]).unwrap();
        Self { key, edge: Edge::empty(), hashes: HashMap::new() }
    }

    /// SubjectPublicKeyInfo (RFC 8410).
    pub(crate) fn spki(&self) -> Vec<u8> {
        let head = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
        [&head, self.key.public_key().as_ref()].concat()
    }

    fn grow(&mut self, leaves: impl IntoIterator<Item = Hash32>) {
        for leaf in leaves {
            let stored = self.edge.append(leaf).stored;
            self.hashes.extend(stored.into_iter().map(|stored| (stored.index, stored.hash)));
        }
    }

    /// The checkpoint of now, co-signed by these at these times.
    fn note(&self, cosigned: &[(u8, u64)]) -> String {
        let checkpoint = Checkpoint::new(ORIGIN, self.edge.size(), self.edge.root()).unwrap();
        let text = String::from_utf8(checkpoint.to_be_signed()).unwrap();
        let log = LogKey::from_spki(ORIGIN, &self.spki()).unwrap();
        let own = self.key.sign(text.as_bytes());
        let own = NoteSignature::new(ORIGIN, log.id(), own.as_ref()).unwrap();
        let others = cosigned.iter().map(|(n, time)| cosigner(*n).cosign(&text, *time).unwrap());
        let lines: Vec<NoteSignature> = std::iter::once(own).chain(others).collect();
        Note::new(&text, &lines).unwrap().to_text()
    }

    fn holding(&self, index: u64, cosigned: &[(u8, u64)]) -> Holding {
        let inclusion = inclusion(self.edge.size(), index, &self.hashes).unwrap();
        Holding { note: self.note(cosigned), inclusion }
    }
}

fn cosigner(n: u8) -> Cosigner {
    Cosigner::from_seed(&format!("w{n}.example"), &[n; 32]).unwrap()
}

fn vkey(n: u8) -> String {
    cosigner(n).key().vkey()
}

/// w1 to wn, as the installation lists them.
pub(crate) fn cosigners(n: u8) -> Vec<genesis::Cosigner> {
    (1..=n).map(|n| genesis::Cosigner { kind: CosignerKind::Witness, vkey: vkey(n) }).collect()
}

/// A proof that these co-signers saw the leaf wait for so long, each by a clock of its own.
pub(crate) fn a_proof(mut log: TestLog, leaf: Hash32, by: &[u8], wait: u64) -> WaitProof {
    let at = |seconds: u64| -> Vec<(u8, u64)> {
        by.iter().map(|n| (*n, BEGAN + 1000 * u64::from(*n) + seconds)).collect()
    };
    log.grow((0..5).map(|n| Hash32::of(&[n])).chain([leaf, Hash32::of(b"map")]));
    let earlier = vec![log.holding(5, &at(0))];
    log.grow([Hash32::of(b"more"), Hash32::of(b"map again")]);
    WaitProof { version: 1, leaf, leaf_index: 5, earlier, later: vec![log.note(&at(wait))] }
}

fn installation() -> Installation {
    let world = World::under(Rules::standard(), Some(&TestLog::new().spki()), cosigners(3));
    Installation::clone(world.era.installation())
}

fn leaf() -> Hash32 {
    Hash32::of(b"request")
}

fn fact(n: u8, from: u64, until: u64) -> Fact {
    mint::waited(Hash32::of(vkey(n).as_bytes()), leaf(), from, until)
}

#[test]
fn each_co_signers_own_clock_counts() {
    let proof = a_proof(TestLog::new(), leaf(), &[1, 3], WAIT);
    let facts = waited(&installation(), &proof.to_canonical()).unwrap();
    let expected =
        [1, 3].map(|n| fact(n, BEGAN + 1000 * u64::from(n), BEGAN + 1000 * u64::from(n) + WAIT));
    assert_eq!(facts, expected);
}

#[test]
fn the_first_time_and_the_last_count_wherever_they_stand() {
    let mut log = TestLog::new();
    log.grow([Hash32::of(b"0"), leaf()]);
    let mut earlier = vec![log.holding(1, &[(1, BEGAN + 7)])];
    log.grow([Hash32::of(b"2")]);
    earlier.push(log.holding(1, &[(1, BEGAN + 5), (2, BEGAN)]));
    // Co-signed again at the same size, with a clock that has jumped back meanwhile.
    let later = vec![log.note(&[(1, BEGAN + 90), (2, BEGAN + 80)]), log.note(&[(1, BEGAN + 8)])];
    let proof = WaitProof { version: 1, leaf: leaf(), leaf_index: 1, earlier, later };
    let facts = waited(&installation(), &proof.to_canonical()).unwrap();
    assert_eq!(facts, [fact(1, BEGAN + 5, BEGAN + 90), fact(2, BEGAN, BEGAN + 80)]);
}

#[test]
fn who_signed_on_one_side_only_says_nothing() {
    let mut log = TestLog::new();
    log.grow([leaf()]);
    let earlier = vec![log.holding(0, &[(1, BEGAN), (2, BEGAN)])];
    let mut proof = WaitProof {
        version: 1,
        leaf: leaf(),
        leaf_index: 0,
        earlier,
        later: vec![log.note(&[(2, BEGAN + WAIT), (3, BEGAN + WAIT)])],
    };
    let facts = waited(&installation(), &proof.to_canonical()).unwrap();
    assert_eq!(facts, [fact(2, BEGAN, BEGAN + WAIT)]);
    proof.later = vec![log.note(&[(3, BEGAN + WAIT)])];
    assert_eq!(waited(&installation(), &proof.to_canonical()), Err(WaitError::Nobody));
}

#[test]
fn what_is_not_this_log_and_its_co_signers_is_refused() {
    let whole = a_proof(TestLog::new(), leaf(), &[1, 2], WAIT);
    let refused = |change: &dyn Fn(&mut WaitProof)| {
        let mut proof = whole.clone();
        change(&mut proof);
        waited(&installation(), &proof.to_canonical()).unwrap_err()
    };
    let other_leaf = refused(&|proof| proof.leaf = Hash32::of(b"another"));
    assert!(matches!(other_leaf, WaitError::Inclusion { size: 7, .. }));
    let stranger = refused(&|proof| {
        let mut log = TestLog::new();
        log.grow((0..9).map(|n| Hash32::of(&[n])));
        proof.later = vec![log.note(&[(1, BEGAN + WAIT), (4, BEGAN + WAIT)])];
    });
    assert_eq!(stranger, WaitError::Line { name: "w4.example".into() });
    let twice = refused(&|proof| {
        let line = proof.later[0].lines().find(|line| line.contains(ORIGIN) && line.len() > 60);
        let line = format!("{}\n", line.unwrap());
        proof.later[0].push_str(&line);
    });
    assert!(matches!(twice, WaitError::Line { .. } | WaitError::Checkpoint(_)), "{twice}");
    let unsigned = refused(&|proof| {
        let other = Ed25519KeyPair::from_seed_unchecked(&[41; 32]).unwrap();
        let mut log = TestLog { key: other, ..TestLog::new() };
        log.grow((0..9).map(|n| Hash32::of(&[n])));
        proof.later = vec![log.note(&[(1, BEGAN + WAIT)])];
    });
    assert!(matches!(unsigned, WaitError::Checkpoint(_)));
    let before = refused(&|proof| {
        let mut log = TestLog::new();
        log.grow((0..6).map(|n| Hash32::of(&[n])));
        proof.later = vec![log.note(&[(1, BEGAN + WAIT)])];
    });
    assert_eq!(before, WaitError::Order { earlier: 7, later: 6 });
    let forked = refused(&|proof| {
        let mut log = TestLog::new();
        log.grow((1..8).map(|n| Hash32::of(&[n])));
        proof.later = vec![log.note(&[(1, BEGAN + WAIT)])];
    });
    assert_eq!(forked, WaitError::Fork { size: 7 });
}

/// What the fuzz target begins with, and is held against.
#[test]
fn the_fuzz_targets_seed_is_a_proof() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds");
    let proof = a_proof(TestLog::new(), leaf(), &[1, 2, 3], WAIT).to_canonical();
    let spki: String = TestLog::new().spki().iter().map(|byte| format!("{byte:02x}")).collect();
    let keys: String = [ORIGIN.to_owned(), spki, vkey(1), vkey(2), vkey(3)].join("\n");
    let (seed, beside) = (folder.join("wait_proof/proof"), folder.join("wait_proof.keys"));
    if std::env::var_os("AVOUCH_WRITE_VECTORS").is_some() {
        std::fs::create_dir_all(folder.join("wait_proof")).unwrap();
        std::fs::write(&seed, &proof).unwrap();
        std::fs::write(&beside, &keys).unwrap();
    }
    assert_eq!(
        (std::fs::read(&seed).unwrap(), std::fs::read_to_string(&beside).unwrap()),
        (proof, keys)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_byte_of_a_proof_is_there_for_nothing(at in any::<prop::sample::Index>(), change in 1u8..) {
        thread_local! {
            static MADE: (Installation, Vec<u8>) =
                (installation(), a_proof(TestLog::new(), leaf(), &[1, 2, 3], WAIT).to_canonical());
        }
        MADE.with(|(installation, proof)| {
            let mut altered = proof.clone();
            altered[at.index(proof.len())] ^= change;
            prop_assert!(waited(installation, &altered).is_err());
            Ok(())
        })?;
    }

    #[test]
    fn a_proof_cut_short_or_made_longer_is_none(end in any::<prop::sample::Index>(), more: u8) {
        thread_local! {
            static MADE: (Installation, Vec<u8>) =
                (installation(), a_proof(TestLog::new(), leaf(), &[1], WAIT).to_canonical());
        }
        MADE.with(|(installation, proof)| {
            let cut = &proof[..end.index(proof.len())];
            prop_assert!(waited(installation, cut).is_err());
            let longer = [&proof[..], &[more]].concat();
            prop_assert!(waited(installation, &longer).is_err());
            Ok(())
        })?;
    }
}
