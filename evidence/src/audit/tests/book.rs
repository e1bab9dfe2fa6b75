//! A log's books, kept by somebody who may write anything into them that fits together: events,
//! leaves, the map and its roots.

use policy::{Installation, Request, State, Time};
use tlog::Edge;
use tlog::map::Map;
use wire::bundle::{Blob, ExportEvent, ExportLeaf};
use wire::event::{Certified, Event, EventKind, EvidenceKind, TransportSource, TransportWord};
use wire::genesis::{Genesis, InstallationKey, KeyPurpose, Protection};
use wire::intent::Intent;
use wire::leaf::{
    Leaf, LeafKind, blinded_id, blinded_key, blinding_commitment, blinding_key, commitment,
};
use wire::rules::Rules;
use wire::statement::{Role, Statement};
use wire::{Encoded, Hash32, Realm, SerialNumber, UserId, octets};

use crate::dossier::{self, Piece, piece};
use crate::replay::tests::{Key, NOON_MS, holder, issuing_certificate};
use crate::statement::tests::Signer;
use crate::{History, Timeline};

pub(super) const SECRET: [u8; 32] = [9; 32];
pub(super) const HOUR_MS: u64 = 3_600_000;

pub(super) struct Book {
    pub(super) genesis: Event,
    pub(super) timeline: Timeline,
    pub(super) officers: [Signer; 3],
    pub(super) agent: Signer,
    pub(super) now_ms: u64,
    pub(super) entries: Vec<ExportLeaf>,
    pub(super) edge: Edge,
    map: Map,
    changed: Vec<(Hash32, Hash32)>,
    /// Alice, as the books have her.
    pub(super) alice: History,
    nonces: u8,
}

pub(super) fn alice() -> UserId {
    UserId::parse("alice").unwrap()
}

/// The leaf of an event, with its salt.
pub(super) fn leaf_of(event: &Event, blinded: Hash32) -> (Leaf, [u8; 32]) {
    let salt = *event.hash().as_bytes();
    let commitment = commitment(&salt, &event.to_canonical());
    let kind = LeafKind::Event;
    (Leaf { version: 1, engine: event.engine, kind, blinded_id: blinded, commitment }, salt)
}

pub(super) fn blinded(uid: &UserId) -> Hash32 {
    blinded_id(&blinding_key(&SECRET, uid), uid)
}

impl Book {
    pub(super) fn new(rules: Rules) -> Self {
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
            spki: octets(&spki),
            certificate: octets(&certificate),
            protection: protection.clone(),
        };
        let names = ["olga", "omar", "oskar"].iter().zip(&officers);
        let body = Genesis {
            version: 1,
            realm: Realm::parse("example.org").unwrap(),
            base_url: "https://example.org".into(),
            log_number: 0x0100,
            nonce: octets(&[7; 32]),
            origin: "log.example.org".into(),
            blinding: blinding_commitment(&SECRET),
            rules,
            roster: names.map(|(name, signer)| holder(name, signer)).collect(),
            agents: vec![holder("agent", &agent)],
            providers: vec![],
            cosigners: vec![],
            keys: [KeyPurpose::Root, KeyPurpose::Issuing, KeyPurpose::Log].map(key).to_vec(),
            previous_log: None,
            escrow: None,
        };
        let genesis = Event {
            version: 1,
            engine: 1,
            kind: EventKind::Genesis,
            time_ms: NOON_MS,
            subject: None,
            sequence: 0,
            previous: None,
            policy: body.rules.hash(),
            intent: None,
            evidence: vec![],
            body: octets(&body.to_canonical()),
        };
        let (leaf, _) = leaf_of(&genesis, Hash32::from_bytes([0; 32]));
        let installation = Installation::from_genesis(&genesis).unwrap();
        let mut book = Self {
            timeline: Timeline::begin(installation.logged_at(leaf.leaf_hash())).unwrap(),
            genesis: genesis.clone(),
            officers,
            agent,
            now_ms: NOON_MS,
            entries: Vec::new(),
            edge: Edge::empty(),
            map: Map::empty(usize::MAX),
            changed: Vec::new(),
            alice: History::new(alice()),
            nonces: 0,
        };
        book.write(&genesis, leaf, &[]);
        book.end_group();
        book
    }

    /// Appends the entry of an event.
    pub(super) fn write(&mut self, event: &Event, leaf: Leaf, evidence: &[Piece]) {
        let leaf_index = self.edge.size();
        self.edge.append(leaf.leaf_hash());
        let event = ExportEvent {
            salt: Blob(event.hash().as_bytes().to_vec()),
            event: Blob(event.to_canonical()),
            evidence: evidence.iter().map(|(_, data)| Blob(data.clone())).collect(),
            proof: vec![],
            after: None,
        };
        self.entries.push(ExportLeaf {
            leaf_index,
            leaf: Blob(leaf.to_canonical()),
            event: Some(event),
        });
    }

    /// What the map is to have from the next root on.
    pub(super) fn set(&mut self, at: Hash32, value: Hash32) {
        self.changed.push((at, value));
    }

    pub(super) fn end_group(&mut self) {
        let staged = self.map.stage(&self.changed).unwrap();
        self.changed.clear();
        let leaf = Leaf {
            version: 1,
            engine: 1,
            kind: LeafKind::MapRoot,
            blinded_id: Hash32::from_bytes([0; 32]),
            commitment: staged.root(),
        };
        self.map.commit(staged);
        let leaf_index = self.edge.size();
        self.edge.append(leaf.leaf_hash());
        self.entries.push(ExportLeaf { leaf_index, leaf: Blob(leaf.to_canonical()), event: None });
    }

    pub(super) fn end(&self) -> (u64, Hash32) {
        (self.edge.size(), self.edge.root())
    }

    pub(super) fn intent(&mut self, verb: EventKind, key: Option<&Key>) -> Intent {
        self.nonces += 1;
        let identity = self.alice.identity();
        Intent {
            version: 1,
            verb,
            subject: Some(alice()),
            head: identity.map(|identity| identity.head),
            sequence: identity.map_or(0, |identity| identity.sequence + 1),
            csr: key.map(|key| Hash32::of(&key.csr)),
            new_spki: key.map(|key| Hash32::of(&key.signer.spki)),
            names: vec![],
            profile: "person".into(),
            policy: self.timeline.current().installation().rules_hash(),
            recovery_commitment: None,
            body: None,
            nonce: octets(&[self.nonces; 16]),
            expiry: NOON_MS / 1000 + 30 * 86400,
        }
    }

    pub(super) fn says(&self, role: Role, signer: &Signer, intent: &Intent) -> Piece {
        self.says_of(intent.verb, role, signer, intent)
    }

    pub(super) fn says_of(
        &self,
        verb: EventKind,
        role: Role,
        signer: &Signer,
        intent: &Intent,
    ) -> Piece {
        let genesis = self.timeline.current().installation().genesis();
        let statement = Statement::new(genesis, verb, role, intent.hash());
        let remark = (role == Role::Officer).then(|| "in person".to_owned());
        let mut signed = signer.sign(match &remark {
            Some(remark) => statement.with_remark(remark),
            None => statement,
        });
        signed.remark = remark;
        piece(EvidenceKind::Statement, signed.to_canonical())
    }

    /// The event that the policy makes of a request for alice; `bend` changes it before it is
    /// logged.
    pub(super) fn act(
        &mut self,
        request: &Request,
        intent: Option<&Intent>,
        evidence: &[Piece],
        bend: impl FnOnce(&mut Event),
    ) -> Leaf {
        let der = intent.map(Encoded::to_canonical);
        let era = self.timeline.current().clone();
        let csr = dossier::csr(evidence, era.issuance().key_rules()).unwrap();
        let time = Time::at_ms(self.now_ms);
        let spki_of = |hash: Hash32| self.alice.key(hash).map(<[u8]>::to_vec);
        let facts = dossier::facts_at(
            era.installation(),
            csr.as_ref(),
            der.as_deref(),
            evidence,
            &spki_of,
            time,
        )
        .unwrap();
        let state = State {
            installation: era.installation(),
            identity: self.alice.identity().cloned(),
            key_use: policy::KeyUse::Unknown,
        };
        let approved = policy::decide(&state, request, &facts, time).unwrap();
        let mut body = Vec::new();
        if approved.certificate_follows() {
            let csr = csr.as_ref().or(self.alice.requested()).unwrap();
            let serial = SerialNumber::new(0x0100, self.edge.size(), [5; 8]).unwrap();
            let issuance = era.issuance();
            let tbs = issuance.leaf(csr.key(), &alice(), serial, self.now_ms).unwrap();
            let (not_before, not_after) = issuance.validity(self.now_ms);
            let certified = Certified {
                version: 1,
                spki: approved.spki(),
                issuer: issuance.issuer_hash(),
                serial: octets(serial.as_bytes()),
                not_before,
                not_after,
                profile: "person".into(),
                tbs: Hash32::of(tbs.tbs_der()),
                possession_proven: true,
                recovery_commitment: approved.recovery_commitment_set(),
            };
            body = certified.to_canonical();
        }
        let references = evidence.iter().map(|(reference, _)| reference.clone()).collect();
        let decided = approved.into_event(self.now_ms, references, der.as_deref(), &body);
        let mut event = decided.event;
        bend(&mut event);
        let (leaf, _) = leaf_of(&event, blinded(&alice()));
        self.write(&event, leaf.clone(), evidence);
        let keys: Vec<Hash32> = self.alice.keys().collect();
        // Bent events do not replay; the map then stays as it was.
        if self.alice.apply(&era, &event, leaf.leaf_hash(), evidence, |_| None).is_ok() {
            let new: Vec<Hash32> = self.alice.keys().filter(|key| !keys.contains(key)).collect();
            for key in new {
                self.set(blinded_key(&SECRET, key), blinded(&alice()));
            }
            let head = self.alice.identity().unwrap().proven_head().hash();
            self.set(blinded(&alice()), head);
        }
        leaf
    }

    pub(super) fn enrol(&mut self, key: &Key) -> Leaf {
        let intent = self.intent(EventKind::Enrol, Some(key));
        let evidence = vec![
            piece(EvidenceKind::Csr, key.csr.clone()),
            self.says(Role::Agent, &self.agent, &intent),
            self.says(Role::NewKey, &key.signer, &intent),
        ];
        self.act(&certify(key), Some(&intent), &evidence, |_| {})
    }

    /// An enrolment that the administrator's socket alone vouches for.
    pub(super) fn enrol_by_transport(&mut self, key: &Key) -> Leaf {
        let word = TransportWord {
            version: 1,
            source: TransportSource::AdminSocket,
            peer: Hash32::from_bytes([0; 32]),
            name: "local administrator".into(),
        };
        let evidence = vec![
            piece(EvidenceKind::Csr, key.csr.clone()),
            piece(EvidenceKind::Transport, word.to_canonical()),
        ];
        self.act(&certify(key), None, &evidence, |_| {})
    }

    /// A switch to this key, asked for and approved by two officers; its intent.
    pub(super) fn ask_for_switch(&mut self, key: &Key) -> Intent {
        let intent = self.intent(EventKind::SwitchRequest, Some(key));
        let evidence = vec![
            piece(EvidenceKind::Csr, key.csr.clone()),
            self.says(Role::NewKey, &key.signer, &intent),
        ];
        self.act(&Request::Intent(Box::new(intent.clone())), Some(&intent), &evidence, |_| {});
        for officer in 0..2 {
            let signer = &self.officers[officer];
            let evidence =
                vec![self.says_of(EventKind::SwitchApprove, Role::Officer, signer, &intent)];
            let request = Request::Approve { uid: alice(), intent: intent.hash() };
            self.act(&request, Some(&intent), &evidence, |_| {});
        }
        intent
    }

    pub(super) fn complete_switch(&mut self, bend: impl FnOnce(&mut Event)) -> Leaf {
        self.act(&Request::CompleteSwitch { uid: alice() }, None, &[], bend)
    }

    /// A change of the installation, signed by two officers.
    pub(super) fn change(&mut self, verb: EventKind, body: &[u8]) {
        let installation = self.timeline.current().installation().clone();
        let intent = Intent {
            subject: None,
            head: installation.head(),
            sequence: installation.sequence() + 1,
            body: Some(octets(body)),
            profile: String::new(),
            ..self.intent(verb, None)
        };
        let evidence: Vec<Piece> = self.officers[..2]
            .iter()
            .map(|signer| self.says(Role::Officer, signer, &intent))
            .collect();
        let der = intent.to_canonical();
        let time = Time::at_ms(self.now_ms);
        let facts =
            dossier::facts_at(&installation, None, Some(&der), &evidence, &|_| None, time).unwrap();
        let request = policy::ChangeRequest::Intent(Box::new(intent));
        let approved = policy::decide_change(&installation, &request, &facts, time).unwrap();
        let references = evidence.iter().map(|(reference, _)| reference.clone()).collect();
        let (event, _) = approved.into_event(self.now_ms, references);
        let (leaf, _) = leaf_of(&event, Hash32::from_bytes([0; 32]));
        self.timeline.apply(self.edge.size(), &event, leaf.leaf_hash(), &evidence).unwrap();
        self.write(&event, leaf, &evidence);
        let head = self.timeline.current().installation().proven_head().unwrap();
        self.set(wire::head::installation_position(), head);
    }
}

fn certify(key: &Key) -> Request {
    let (spki, csr) = (Hash32::of(&key.signer.spki), Hash32::of(&key.csr));
    Request::Certify { uid: alice(), spki, csr }
}
