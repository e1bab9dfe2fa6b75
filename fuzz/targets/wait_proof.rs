//! Wait proofs, which whoever completes a switch hands over: of all bytes only the proof itself is
//! one, since every byte of it is signed for or hashed.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use policy::Installation;
use wire::event::Event;
use wire::genesis::{Cosigner, CosignerKind, Genesis, KeyPurpose};
use wire::{Encoded, octets};

/// Made by a test of `evidence`, with the keys below.
const PROOF: &[u8] = include_bytes!("../seeds/wait_proof/proof");
const KEYS: &str = include_str!("../seeds/wait_proof.keys");

static INSTALLATION: LazyLock<Installation> = LazyLock::new(|| {
    let event = include_bytes!("../../wire/vectors/event-genesis.der");
    let mut event = Event::from_canonical(event).expect("a vector");
    let mut body = Genesis::from_canonical(event.body.as_bytes()).expect("a vector");
    let mut lines = KEYS.lines();
    body.origin = lines.next().expect("an origin").to_owned();
    let log = hex::decode(lines.next().expect("the log's key")).expect("hexadecimal");
    for key in body.keys.iter_mut().filter(|key| key.purpose == KeyPurpose::Log) {
        key.spki = octets(&log);
    }
    let witness = |vkey: &str| Cosigner { kind: CosignerKind::Witness, vkey: vkey.to_owned() };
    body.cosigners = lines.map(witness).collect();
    event.body = octets(&body.to_canonical());
    Installation::from_genesis(&event).expect("it names all that it must")
});

fuzz_target!(|data: &[u8]| {
    match evidence::waited(&INSTALLATION, data) {
        Ok(facts) => assert!(data == PROOF && facts.len() == 3, "another proof"),
        Err(error) => assert!(data != PROOF, "{error}"),
    }
});
