//! A life from evidence alone: enrolled, recovered, switched; replayed from the bytes.

use policy::{Installation, Request, Status};
use wire::event::{Certified, EvidenceKind};
use wire::genesis::{Cosigner, Genesis, InstallationKey, KeyPurpose, Protection};
use wire::intent::Intent;
use wire::rules::Rules;
use wire::statement::{Role, Statement};
use wire::{Encoded, Realm, octets};

use super::*;
use crate::dossier::piece;
use crate::testing::{Key, NOON_MS, Signer, holder, issuing_certificate};
use crate::waited::tests::{TestLog, a_proof, cosigners};

pub(crate) struct World {
    pub(crate) era: Era,
    officers: [Signer; 3],
    agent: Signer,
    now_ms: u64,
    log: Vec<(Event, Vec<Piece>)>,
    identity: Option<Identity>,
    keys: HashMap<Hash32, Vec<u8>>,
}

impl World {
    fn new() -> Self {
        Self::under(Rules::standard(), None, vec![])
    }

    /// An installation under these rules, with the log's key if it is to be another than the
    /// issuing key, and these co-signers.
    pub(crate) fn under(rules: Rules, log: Option<&[u8]>, cosigners: Vec<Cosigner>) -> Self {
        let officers = [(); 3].map(|()| Signer::new());
        let agent = Signer::new();
        let protection = Protection {
            on_token: true,
            local: true,
            always_sensitive: true,
            never_extractable: true,
            modifiable: false,
            manufacturer: String::new(),
            model: String::new(),
            token_serial: String::new(),
            software_token: false,
        };
        let (certificate, spki) = issuing_certificate();
        let key = |purpose| InstallationKey {
            purpose,
            id: octets(b""),
            spki: octets(log.filter(|_| purpose == KeyPurpose::Log).unwrap_or(&spki)),
            certificate: octets(&certificate),
            protection: protection.clone(),
        };
        let body = Genesis {
            version: 1,
            realm: Realm::parse("example.org").unwrap(),
            base_url: "https://example.org".into(),
            log_number: 0x0100,
            nonce: octets(&[7; 32]),
            origin: "log.example.org".into(),
            blinding: Hash32::of(b"blinding"),
            rules,
            roster: ["olga", "omar", "oskar"]
                .iter()
                .zip(&officers)
                .map(|(name, signer)| holder(name, signer))
                .collect(),
            agents: vec![holder("agent", &agent)],
            providers: vec![],
            cosigners,
            keys: [KeyPurpose::Root, KeyPurpose::Issuing, KeyPurpose::Log].map(key).to_vec(),
            previous_log: None,
            escrow: None,
        };
        let event = Event {
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
        };
        Self {
            era: Era::of(Installation::from_genesis(&event).unwrap()).unwrap(),
            officers,
            agent,
            now_ms: NOON_MS,
            log: Vec::new(),
            identity: None,
            keys: HashMap::new(),
        }
    }

    fn intent(&self, verb: EventKind, key: &Key) -> Intent {
        Intent {
            version: 1,
            verb,
            subject: Some(UserId::parse("alice").unwrap()),
            head: self.identity.as_ref().map(|identity| identity.head),
            sequence: self.identity.as_ref().map_or(0, |identity| identity.sequence + 1),
            csr: Some(Hash32::of(&key.csr)),
            new_spki: Some(Hash32::of(&key.signer.spki)),
            names: vec![],
            profile: "person".into(),
            policy: self.era.installation().rules_hash(),
            recovery_commitment: None,
            body: None,
            nonce: octets(&[u8::try_from(self.log.len()).unwrap(); 16]),
            expiry: NOON_MS / 1000 + 30 * 86400,
        }
    }

    fn says(&self, verb: EventKind, role: Role, signer: &Signer, intent: &Intent) -> Piece {
        let statement =
            Statement::new(self.era.installation().genesis(), verb, role, intent.hash());
        let mut signed = if role == Role::Officer {
            signer.sign(statement.with_remark("in person"))
        } else {
            signer.sign(statement)
        };
        signed.remark = (role == Role::Officer).then(|| "in person".into());
        piece(EvidenceKind::Statement, signed.to_canonical())
    }

    fn act(&mut self, request: &Request, intent: Option<&Intent>, evidence: Vec<Piece>) {
        let der = intent.map(Encoded::to_canonical);
        let csr = dossier::csr(&evidence, self.era.issuance().key_rules()).unwrap();
        let time = Time::at_ms(self.now_ms);
        let spki_of = |hash: Hash32| self.keys.get(&hash).cloned();
        let (at, pieces) = (self.era.installation(), &evidence);
        let facts =
            dossier::facts_at(at, csr.as_ref(), der.as_deref(), pieces, &spki_of, time).unwrap();
        let state = State {
            installation: self.era.installation(),
            identity: self.identity.clone(),
            key_use: KeyUse::Unknown,
        };
        let approved = policy::decide(&state, request, &facts, time).unwrap();
        let body = Certified {
            version: 1,
            spki: approved.spki(),
            issuer: Hash32::of(b"issuer"),
            serial: octets(&[1; 16]),
            not_before: 0,
            not_after: 1,
            profile: "person".into(),
            tbs: Hash32::of(b"tbs"),
            possession_proven: true,
            recovery_commitment: approved.recovery_commitment_set(),
        };
        if approved.certificate_follows()
            && let Some(csr) = &csr
        {
            self.keys.insert(csr.spki_hash(), csr.spki_der().to_vec());
        }
        let references = evidence.iter().map(|(reference, _)| reference.clone()).collect();
        let body = body.to_canonical();
        let decided = approved.into_event(self.now_ms, references, der.as_deref(), &body);
        let leaf = decided.event.hash();
        self.identity = Some(decided.outcome.with_head(leaf));
        self.log.push((decided.event, evidence));
    }

    fn replay(&self) -> Result<Identity, HistoryError> {
        let uid = UserId::parse("alice").unwrap();
        let mut history = History::new(uid);
        for (event, evidence) in &self.log {
            history.apply(&self.era, event, event.hash(), evidence, |_| None)?;
        }
        Ok(history.identity().unwrap().clone())
    }
}

/// Alice enrols with a recovery key, recovers, loses everything, and is switched.
fn a_life() -> World {
    let mut world = World::new();
    lives_up_to_the_switch(&mut world);
    world.now_ms += 72 * 3_600_000;
    let uid = UserId::parse("alice").unwrap();
    world.act(&Request::CompleteSwitch { uid }, None, vec![]);
    world
}

/// The same by the clocks of two of three co-signers; the authority's own does not count.
fn a_witnessed_life() -> World {
    let rules = Rules { allow_unwitnessed: false, ..Rules::standard() };
    let log = TestLog::new();
    let mut world = World::under(rules, Some(&log.spki()), cosigners(3));
    lives_up_to_the_switch(&mut world);
    let leaf = world.identity.as_ref().unwrap().pending().unwrap().leaf();
    world.now_ms += 72 * 3_600_000;
    let proof = a_proof(log, leaf, &[1, 2], 72 * 3600);
    let evidence = vec![piece(EvidenceKind::WaitProof, proof.to_canonical())];
    let uid = UserId::parse("alice").unwrap();
    world.act(&Request::CompleteSwitch { uid }, None, evidence);
    world
}

fn lives_up_to_the_switch(world: &mut World) {
    let alice = UserId::parse("alice").unwrap();
    let (first, recovery, next_recovery) = (Key::new(), Signer::new(), Signer::new());
    let mut intent = world.intent(EventKind::Enrol, &first);
    intent.recovery_commitment = Some(wire::body::recovery_commitment(&recovery.spki));
    let evidence = vec![
        piece(EvidenceKind::Csr, first.csr.clone()),
        world.says(EventKind::Enrol, Role::Agent, &world.agent, &intent),
        world.says(EventKind::Enrol, Role::NewKey, &first.signer, &intent),
    ];
    let (spki, csr) = (Hash32::of(&first.signer.spki), Hash32::of(&first.csr));
    world.act(&Request::Certify { uid: alice.clone(), spki, csr }, Some(&intent), evidence);

    let second = Key::new();
    let mut intent = world.intent(EventKind::Recover, &second);
    intent.recovery_commitment = Some(wire::body::recovery_commitment(&next_recovery.spki));
    let evidence = vec![
        piece(EvidenceKind::Csr, second.csr.clone()),
        piece(EvidenceKind::PublicKey, recovery.spki.clone()),
        world.says(EventKind::Recover, Role::RecoveryKey, &recovery, &intent),
        world.says(EventKind::Recover, Role::NewKey, &second.signer, &intent),
    ];
    world.act(&Request::Intent(Box::new(intent.clone())), Some(&intent), evidence);

    let third = Key::new();
    let intent = world.intent(EventKind::SwitchRequest, &third);
    let evidence = vec![
        piece(EvidenceKind::Csr, third.csr.clone()),
        world.says(EventKind::SwitchRequest, Role::NewKey, &third.signer, &intent),
    ];
    world.act(&Request::Intent(Box::new(intent.clone())), Some(&intent), evidence);
    for officer in 0..2 {
        let signer = &world.officers[officer];
        let evidence = vec![world.says(EventKind::SwitchApprove, Role::Officer, signer, &intent)];
        let request = Request::Approve { uid: alice.clone(), intent: intent.hash() };
        world.act(&request, Some(&intent), evidence);
    }
}

#[test]
fn a_life_replays_from_its_evidence() {
    let world = a_life();
    let replayed = world.replay().unwrap();
    assert_eq!(Some(&replayed), world.identity.as_ref());
    assert_eq!((replayed.status, replayed.key.unwrap().number), (Status::Active, 2));
}

#[test]
fn leaving_out_or_changing_any_piece_of_evidence_breaks_the_replay() {
    every_piece_counts(a_life());
    every_piece_counts(a_witnessed_life());
}

#[test]
fn a_wait_is_witnessed_under_the_co_signers_of_the_time() {
    let mut world = a_witnessed_life();
    assert!(world.replay().is_ok());
    let others = World::under(
        Rules { allow_unwitnessed: false, ..Rules::standard() },
        Some(&TestLog::new().spki()),
        cosigners(5),
    );
    world.era = others.era;
    assert!(world.replay().is_err(), "two of five");
}

fn every_piece_counts(mut world: World) {
    for event in 0..world.log.len() {
        for n in 0..world.log[event].1.len() {
            let whole = world.log[event].clone();
            let removed = world.log[event].1.remove(n);
            assert!(world.replay().is_err(), "evidence {n} of event {event} left out");
            // Left out of the event too, so that its list fits.
            world.log[event].0.evidence.remove(n);
            assert!(world.replay().is_err(), "evidence {n} of event {event} not named");
            world.log[event] = whole.clone();
            let last = removed.1.len() - 1;
            world.log[event].1[n].1[last] ^= 1;
            assert!(world.replay().is_err(), "evidence {n} of event {event} changed");
            let changed = piece(removed.0.kind, world.log[event].1[n].1.clone());
            world.log[event].0.evidence[n] = changed.0.clone();
            world.log[event].1[n] = changed;
            assert!(world.replay().is_err(), "evidence {n} of event {event} changed and named");
            world.log[event] = whole;
        }
    }
    assert!(world.replay().is_ok());
}

#[test]
fn a_wait_that_was_not_waited_breaks_the_replay() {
    let mut world = a_life();
    world.log.last_mut().unwrap().0.time_ms -= 1;
    assert!(world.replay().is_err());
}
