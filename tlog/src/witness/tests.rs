use std::collections::BTreeMap;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use proptest::prelude::*;

use super::*;
use crate::Edge;
use crate::cosign::Cosigner;
use crate::note::{Checkpoint, SignedCheckpoint};
use crate::proof::{consistency, leaf_hash};

const ORIGIN: &str = "log.example/avouch";

/// Requests that another witness's own tests hand to it, and the answers that it gives to them.
const SIGSUM: &str =
    "sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562";

struct Log {
    pair: Ed25519KeyPair,
    key: LogKey,
    edge: Edge,
    hashes: BTreeMap<u64, Hash32>,
    notes: Vec<String>,
}

impl Log {
    /// A log whose leaves are numbers from `first` on.
    fn of(seed: u8, first: u64, leaves: u64) -> Self {
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

    fn request(&self, old: u64, new: u64) -> AddCheckpoint {
        let proof = consistency(old, new, &self.hashes).unwrap();
        let checkpoint = AnyCheckpoint::parse(&self.notes[new as usize]).unwrap();
        let request = AddCheckpoint::new(old, proof, checkpoint).unwrap();
        assert_eq!(AddCheckpoint::parse(&request.to_text()).unwrap(), request);
        request
    }

    fn state(&self, latest: Option<Head>) -> LogState {
        LogState { origin: ORIGIN.to_owned(), keys: vec![self.key.clone()], latest }
    }
}

fn status(state: &LogState, request: &AddCheckpoint) -> u16 {
    state.advance(request).map_or_else(|refusal| refusal.status(), |_| 200)
}

#[test]
fn a_witness_follows_its_log_and_nothing_else() {
    let log = Log::of(1, 0, 9);
    let head = log.state(None).advance(&log.request(0, 3)).unwrap();
    assert_eq!(head.size, 3);
    let at3 = log.state(Some(head));
    assert_eq!(status(&at3, &log.request(3, 9)), 200);
    // An idle log is co-signed again.
    assert_eq!(at3.advance(&log.request(3, 3)), Ok(head));
    let elsewhere = at3.advance(&log.request(2, 9)).unwrap_err();
    assert_eq!((elsewhere.status(), elsewhere.size()), (409, Some(3)));
    // Another key's checkpoint, another history's, another log's.
    assert_eq!(status(&at3, &Log::of(2, 0, 9).request(3, 9)), 403);
    let forked = Log::of(1, 100, 9);
    assert_eq!(status(&at3, &forked.request(3, 9)), 422);
    let fork = at3.advance(&forked.request(3, 3)).unwrap_err();
    assert!(fork.is_evidence() && fork.status() == 409, "{fork}");
    let stranger = LogState { origin: "log.example/other".into(), ..at3 };
    assert_eq!(status(&stranger, &log.request(3, 9)), 404);
}

#[test]
fn a_proof_that_begins_beyond_the_checkpoint_is_no_request() {
    let log = Log::of(1, 0, 4);
    let checkpoint = AnyCheckpoint::parse(&log.notes[2]).unwrap();
    let request = AddCheckpoint::new(4, Vec::new(), checkpoint).unwrap();
    let latest = log.state(None).advance(&log.request(0, 4)).unwrap();
    assert_eq!(status(&log.state(Some(latest)), &request), 400);
}

#[test]
fn answers_as_another_witness_does() {
    let public = "302a300506032b6570032100";
    let note = |size: &str, root: &str, signature: &str| {
        format!("{SIGSUM}\n{size}\n{root}\n\n\u{2014} {SIGSUM} {signature}\n")
    };
    let first = note(
        "1",
        "KgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "UgIom7fPZTqpxWWhyjWduBvTvGVqsokMbqTArsQilegKoFBJQjUFAmQ0+YeSPM3wfUQMFSzVnnNuWRTYrajXpNUbIQY=",
    );
    let seed =
        hex::decode("ffdc2d4d98e4124d3feaf788c0c2f9abfd796083d1f0495437f302ec79cf100f").unwrap();
    let spki = [hex::decode(public).unwrap(), seed].concat();
    let key = LogKey::from_spki(SIGSUM, &spki).unwrap();
    let mut state = LogState { origin: SIGSUM.to_owned(), keys: vec![key], latest: None };
    let request = AddCheckpoint::parse(&format!("old 0\n\n{first}")).unwrap();
    state.latest = Some(state.advance(&request).unwrap());
    let proof = "KgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nKgIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
    let third = |letter: &str| {
        let signature = format!(
            "UgIom2VbtIcdFbwFAy1n7s6IkAxIY6J/GQOTuZF2ORV39d75cbAj2aQYwyJre36kezNobZs4SUUdrcawfAB8WVrx6{letter}o="
        );
        note("3", "RcCI1Nk56ZcSmIEfIn0SleqtV7uvrlXNccFx595Iwl0=", &signature)
    };
    let asked = |body: String| status(&state, &AddCheckpoint::parse(&body).unwrap());
    assert_eq!(asked(format!("old 1\n{proof}\n{}", third("h"))), 403);
    assert_eq!(asked(format!("old 1\n\n{}", third("g"))), 422);
    assert_eq!(asked(format!("old 1\n{}\n{}", proof.replace("KgIA", "KgIB"), third("g"))), 422);
    assert_eq!(asked(format!("old 1\n{proof}\n{}", third("g"))), 200);
    assert_eq!(asked(format!("old 0\n\n{}", third("g"))), 409);
}

#[test]
fn requests_that_are_none_are_refused() {
    let log = Log::of(1, 0, 5);
    let good = log.request(3, 5).to_text();
    let hash = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
    let cases = [
        String::new(),
        good.replacen("old 3", "old 03", 1),
        good.replacen("old 3", "old +3", 1),
        good.replacen("old 3", "new 3", 1),
        good.replacen("old 3\n", "old 3\nAAAA\n", 1),
        good.replacen("old 3\n", &format!("old 3\n{}", hash.repeat(64)), 1),
        good.replacen("\n\n", "\n", 1),
        good.replacen("\n5\n", "\n5 \n", 1),
        good[..good.len() - 1].to_owned(),
        good.clone() + &"x".repeat(MAX_REQUEST),
    ];
    for case in cases {
        assert!(AddCheckpoint::parse(&case).is_err(), "{case}");
    }
    // Other logs' checkpoints may have extension lines.
    let extended = log.notes[5].replacen("\n\n", "\nmore\n\n", 1);
    assert_eq!(AnyCheckpoint::parse(&extended).unwrap().size(), 5);
}

#[test]
fn answers_are_believed_only_as_far_as_they_are_signed() {
    let log = Log::of(1, 0, 5);
    let checkpoint = AnyCheckpoint::parse(&log.notes[5]).unwrap();
    let witness = Cosigner::from_seed("w.example", &[3; 32]).unwrap();
    let lines = |note: &Note| note.to_text()[note.text().len() + 1..].to_owned();
    let answer_to = |checkpoint: &AnyCheckpoint, by: &Cosigner| {
        let text = checkpoint.note().text();
        lines(&Note::new(text, &[by.cosign(text, 77).unwrap()]).unwrap())
    };
    let read =
        |status, body: &str| read_answer(status, body.as_bytes(), &checkpoint, witness.key());
    let good = answer_to(&checkpoint, &witness);
    assert!(matches!(read(200, &good), Ok(Answer::Cosigned { time: 77, .. })));
    let other = AnyCheckpoint::parse(&log.notes[4]).unwrap();
    let lying = read(200, &answer_to(&other, &witness));
    assert!(matches!(lying, Err(AnswerError::Cosignature(_))), "{lying:?}");
    let stranger = Cosigner::from_seed("w.example", &[4; 32]).unwrap();
    let unsigned = read(200, &answer_to(&checkpoint, &stranger));
    assert!(matches!(unsigned, Err(AnswerError::Unsigned { .. })), "{unsigned:?}");
    assert!(read(200, &format!("more\n\n{good}")).is_err());
    assert!(read(200, "").is_err());
    assert_eq!(read(409, "3\n"), Ok(Answer::Elsewhere { size: 3 }));
    assert!(read(409, "three\n").is_err() && read(409, "3").is_err());
    let refused = read(404, "no such log\n");
    let expected = AnswerError::Refused { status: 404, reason: "no such log".into() };
    assert_eq!(refused, Err(expected));
}

proptest! {
    /// Whatever two histories under one key are shown in whatever order, what is co-signed is
    /// always of the first of them that was.
    #[test]
    fn never_two_histories(shown in prop::collection::vec((any::<bool>(), 1u64..9, 0u64..9), 1..24)) {
        let logs = [Log::of(1, 0, 8), Log::of(1, 100, 8)];
        let mut state = logs[0].state(None);
        let mut followed = None;
        for (which, new, old) in shown {
            let request = logs[usize::from(which)].request(old.min(new), new);
            if let Ok(head) = state.advance(&request) {
                let (size, root) = (request.checkpoint().size(), request.checkpoint().root());
                prop_assert_eq!(head, Head { size, root });
                prop_assert!(state.latest.is_none_or(|latest| latest.size <= size));
                prop_assert_eq!(*followed.get_or_insert(which), which);
                state.latest = Some(head);
            }
        }
    }
}
