//! One fixed body of each kind that moves an identity or changes the installation.

use wire::address::{Address, SealedAddress};
use wire::body::{
    Agents, Approval, Changed, Channel, ChannelKind, Channels, Cosigners, Ended, Escrow, Issuers,
    Phase, Providers, Recommitted, Roster, Standing, Struck, SwitchApproved, SwitchRequested,
    VetoEffect, Vetoed,
};
use wire::event::EventKind;
use wire::rules::Rules;
use wire::statement::{Role, SignatureAlgorithm, Statement};
use wire::waited::{Holding, WaitProof};
use wire::webauthn::Assertion;
use wire::{Encoded, Hash32, octets};

use super::{NOW, genesis, genesis_event};

/// Made once with a random ephemeral key; opened by a test of the authority.
const ENC: &str = "04b80c31392d1570b1d85660fb0f3c5c9893c7d197ac4c495d696b6ebf29eb1145\
    54fc7d74a4ebf7677f87250b0bae3f0b53ad5279ad7db05032d74cd4209af37b";
const CIPHERTEXT: &str = "0bc6f8774c3512883ce1769590df58828eaaf03f8961cc1238b2e837beff357c50445192581c6e2b\
    42a5d882a03f760f94e502ef6fe1539a5f7167200e5c1f4f6b7f2153e4d9f39c91431f298a";

fn address() -> Address {
    Address::new(ChannelKind::Mail, [1; 32], "alice@example.org").unwrap()
}

macro_rules! bodies {
    ($($name:literal, $type:ty, $about:literal, $value:expr;)+) => {
        /// Name, encoding, format and description of each.
        pub(crate) fn all() -> Vec<(&'static str, Vec<u8>, &'static str, &'static str)> {
            vec![$(($name, <$type as Encoded>::to_canonical(&$value), <$type>::FORMAT, $about),)+]
        }

        /// Each file gives the value that it was made of.
        pub(crate) fn read_back(read: impl Fn(&str) -> Vec<u8>) {
            $(assert_eq!(<$type>::from_canonical(&read($name)).unwrap(), $value, $name);)+
        }
    };
}

fn intent() -> Hash32 {
    Hash32::of(b"intent")
}

fn approval() -> Approval {
    Approval { officer: Hash32::of(b"officer"), remark: Hash32::of(b"shown a passport") }
}

fn approving() -> Statement {
    Statement::new(genesis_event().hash(), EventKind::SwitchApprove, Role::Officer, intent())
        .with_remark("shown a passport")
}

bodies! {
    "body-switch-requested", SwitchRequested, "a switch request that brought one approval",
    SwitchRequested {
        version: 1,
        intent: intent(),
        spki: Hash32::of(b"new key"),
        approvals: 2,
        wait: 259_200,
        expires_ms: NOW * 1000,
        approved: vec![approval()],
    };
    "body-switch-approved", SwitchApproved, "one officer's approval",
    SwitchApproved { version: 1, intent: intent(), approved: vec![approval()] };
    "body-vetoed", Vetoed, "a veto by the current key under an officer's suspension",
    Vetoed { version: 1, intent: intent(), by: Role::CurrentKey, effect: VetoEffect::Slowed };
    "body-standing", Standing, "of suspend and resume", Standing { version: 1, by: Role::Officer };
    "body-ended", Ended, "of void and retire", Ended { version: 1, phase: Phase::Announced };
    "body-channels", Channels, "of a channel change and its intent",
    Channels {
        version: 1,
        channels: vec![Channel { kind: ChannelKind::Mail, address: Hash32::of(b"salted address") }],
    };
    "address", Address, "what `sealed-address` holds",
    address();
    "sealed-address", SealedAddress, "sealed for the secret of 32 bytes 7, genesis hash \
        SHA-256(`genesis`), user id alice",
    SealedAddress {
        version: 1,
        channel: address().channel().address,
        enc: octets(&hex::decode(ENC).unwrap()),
        ciphertext: octets(&hex::decode(CIPHERTEXT).unwrap()),
    };
    "body-recommitted", Recommitted, "a recovery key set by the holder",
    Recommitted {
        version: 1,
        commitment: Hash32::of(b"recovery key"),
        by: Role::CurrentKey,
        old_wins_until_ms: NOW * 1000,
    };
    "body-changed", Changed, "a policy change, announced",
    Changed { version: 1, phase: Phase::Announced, change: octets(&Rules::standard().to_canonical()) };
    "change-roster", Roster, "of a roster change's intent",
    Roster { version: 1, officers: genesis().roster };
    "change-agents", Agents, "of an agents change's intent",
    Agents { version: 1, agents: genesis().agents };
    "change-providers", Providers, "of a providers change's intent",
    Providers { version: 1, providers: genesis().providers };
    "change-issuers", Issuers, "of an issuers change's intent",
    Issuers { version: 1, keys: vec![genesis().keys[1].clone()] };
    "change-cosigners", Cosigners, "of a co-signers change's intent",
    Cosigners { version: 1, cosigners: genesis().cosigners };
    "change-escrow", Escrow, "of an escrow change's intent: off",
    Escrow { version: 1, certificate: None };
    "change-strike", Struck, "of a strike's intent",
    Struck { version: 1, leaf: Hash32::of(b"leaf"), index: Some(7) };
    "statement-with-remark", Statement, "an approval that says how the person was identified",
    approving();
    "webauthn-assertion", Assertion, "an approval by a passkey, with a made-up signature",
    Assertion {
        version: 1,
        statement: approving(),
        signer: Hash32::of(b"officer"),
        algorithm: SignatureAlgorithm::EcdsaP256Sha256,
        authenticator_data: octets(&[5; 37]),
        client_data: octets(b"{}"),
        signature: octets(&[0x30, 0]),
        remark: Some("shown a passport".into()),
    };
    "wait-proof", WaitProof, "a request's leaf in one checkpoint, and another 72 h later",
    WaitProof {
        version: 1,
        leaf: Hash32::of(b"request"),
        leaf_index: 5,
        earlier: vec![Holding {
            note: note(8, NOW),
            inclusion: vec![Hash32::of(b"left"), Hash32::of(b"right")],
        }],
        later: vec![note(8, NOW + 72 * 3600), note(12, NOW + 72 * 3600)],
    };
}

/// A note of a checkpoint's shape, with a made-up co-signature at a time in seconds.
fn note(size: u64, time: u64) -> String {
    use base64::Engine;
    let encoded = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let line = [&[1, 2, 3, 4][..], &time.to_be_bytes(), &[9; 64]].concat();
    let root = encoded(Hash32::of(b"root").as_bytes());
    format!("log.example/avouch\n{size}\n{root}\n\n\u{2014} w.example {}\n", encoded(&line))
}
