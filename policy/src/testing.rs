//! A small installation for tests: three officers, two agents, an HSM-held issuing key.

use wire::event::{Event, EventKind, EvidenceRef, RevocationReason, Revoked, TransportSource};
use wire::genesis::{Genesis, InstallationKey, KeyPurpose, Keyholder, Protection};
use wire::intent::Intent;
use wire::rules::Rules;
use wire::statement::{Role, Statement};
use wire::{Encoded, Hash32, Realm, SerialNumber, UserId, octets};

use crate::fact::mint;
use crate::{Fact, Installation, Time};

/// Noon of some day, in milliseconds.
pub(crate) const NOON_MS: u64 = 1_800_000_000_000;

pub(crate) fn noon() -> Time {
    Time::at_ms(NOON_MS)
}

/// A hash by name.
pub(crate) fn h(name: &str) -> Hash32 {
    Hash32::of(name.as_bytes())
}

pub(crate) fn uid(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

/// The key of an officer or agent: any bytes stand for its SubjectPublicKeyInfo.
pub(crate) fn keyholder(name: &str) -> Keyholder {
    Keyholder { name: name.into(), spki: octets(name.as_bytes()), scope: vec![] }
}

pub(crate) fn hsm() -> Protection {
    Protection {
        on_token: true,
        local: true,
        always_sensitive: true,
        never_extractable: true,
        modifiable: false,
        manufacturer: "Example".into(),
        model: "HSM".into(),
        token_serial: "1".into(),
        software_token: false,
    }
}

pub(crate) fn key_file() -> Protection {
    Protection { on_token: false, ..hsm() }
}

pub(crate) fn genesis_body(rules: Rules, protection: &Protection) -> Genesis {
    let key = |purpose| InstallationKey {
        purpose,
        id: octets(&[purpose as u8]),
        spki: octets(&[purpose as u8; 3]),
        certificate: octets(b""),
        protection: protection.clone(),
    };
    Genesis {
        version: 1,
        realm: Realm::parse("example.org").unwrap(),
        base_url: "https://example.org".into(),
        log_number: 0x0100,
        nonce: octets(&[7; 32]),
        rules,
        roster: ["olga", "omar", "oskar"].map(keyholder).to_vec(),
        agents: ["agent", "other-agent"].map(keyholder).to_vec(),
        providers: vec![],
        cosigners: vec![],
        keys: [KeyPurpose::Root, KeyPurpose::Issuing, KeyPurpose::Log].map(key).to_vec(),
        blinding: h("blinding"),
        origin: "log.example.org".into(),
        previous_log: None,
        escrow: None,
    }
}

pub(crate) fn genesis_event(body: &Genesis) -> Event {
    Event {
        version: 1,
        engine: 1,
        kind: EventKind::Genesis,
        time_ms: 0,
        subject: None,
        sequence: 0,
        previous: None,
        policy: body.rules.hash(),
        intent: None,
        evidence: vec![],
        body: octets(&body.to_canonical()),
    }
}

pub(crate) fn installed(body: &Genesis) -> Installation {
    Installation::from_genesis(&genesis_event(body)).unwrap()
}

/// The policy `standard`, changed a little, with a good HSM.
pub(crate) fn installation(change: impl FnOnce(&mut Rules)) -> Installation {
    let mut rules = Rules::standard();
    change(&mut rules);
    installed(&genesis_body(rules, &hsm()))
}

/// An intent about `name` on the state given.
pub(crate) fn intent(
    installation: &Installation,
    verb: EventKind,
    name: &str,
    head: Option<Hash32>,
    sequence: u64,
) -> Intent {
    Intent {
        version: 1,
        verb,
        subject: Some(uid(name)),
        head,
        sequence,
        csr: None,
        new_spki: None,
        names: vec![],
        profile: String::new(),
        policy: installation.rules_hash(),
        recovery_commitment: None,
        body: None,
        nonce: octets(&[1; 16]),
        expiry: NOON_MS / 1000 + 30 * 86400,
    }
}

/// The same intent with a certification request over a key.
pub(crate) fn over_key(mut intent: Intent, key: &str) -> Intent {
    intent.csr = Some(csr(key));
    intent.new_spki = Some(h(key));
    intent
}

/// The certification request over a key.
pub(crate) fn csr(key: &str) -> Hash32 {
    h(&format!("request over {key}"))
}

pub(crate) fn possession(key: &str) -> Fact {
    mint::possession(h(key), csr(key))
}

/// `signer` signs `intent` for its own verb.
pub(crate) fn signed(
    installation: &Installation,
    role: Role,
    signer: &str,
    intent: &Intent,
) -> Fact {
    signed_for(installation, intent.verb, role, signer, intent)
}

pub(crate) fn signed_for(
    installation: &Installation,
    verb: EventKind,
    role: Role,
    signer: &str,
    intent: &Intent,
) -> Fact {
    let statement = Statement::new(installation.genesis(), verb, role, intent.hash());
    mint::signed(statement, h(signer), intent.clone())
}

pub(crate) fn admin() -> Fact {
    mint::transport(TransportSource::AdminSocket, Hash32::from_bytes([0; 32]))
}

pub(crate) fn mtls(peer: &str) -> Fact {
    mint::transport(TransportSource::Mtls, h(peer))
}

pub(crate) fn serial() -> SerialNumber {
    SerialNumber::new(0x0100, 1, [9; 8]).unwrap()
}

pub(crate) fn revoked(reason: RevocationReason) -> Vec<u8> {
    Revoked { version: 1, serial: octets(serial().as_bytes()), reason }.to_canonical()
}

pub(crate) fn evidence() -> Vec<EvidenceRef> {
    vec![EvidenceRef { kind: wire::event::EvidenceKind::Csr, hash: h("evidence") }]
}
