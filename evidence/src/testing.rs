//! For tests: people's keys, and a log's books, kept by somebody who has the database and the HSM
//! and may write anything into them that fits together: events, leaves, the map and its roots.

use std::collections::BTreeMap;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use policy::{Installation, Request, State, Time};
use tlog::Edge;
use tlog::map::Map;
use tlog::note::{Checkpoint, LogKey, Note, NoteSignature, SignedCheckpoint};
use tlog::proof::consistency;
use tlog::witness::{AddCheckpoint, AnyCheckpoint};
use wire::body::Struck;
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

use x509::Linted;

use crate::audit::AddEntries;
use crate::dossier::{self, Piece, piece};
use crate::{History, Timeline};

mod keys;
mod stolen;

pub use keys::{Key, NOON_MS, Signer, certificate_of_issuer, holder, issuing_certificate};

pub const SECRET: [u8; 32] = [9; 32];
pub const ORIGIN: &str = "log.example.org";
pub const HOUR_MS: u64 = 3_600_000;

pub struct Book {
    pub genesis: Event,
    pub timeline: Timeline,
    pub officers: [Signer; 3],
    pub agent: Signer,
    pub now_ms: u64,
    pub entries: Vec<ExportLeaf>,
    pub edge: Edge,
    map: Map,
    changed: Vec<(Hash32, Hash32)>,
    /// Alice, as the books have her.
    pub alice: History,
    nonces: u8,
    secret: [u8; 32],
    log: LogHand,
    /// What blinds alice's id.
    blinding: [u8; 32],
    hashes: BTreeMap<u64, Hash32>,
    /// The certificate that was called for last.
    pub called_for: Option<Linted>,
    /// As what `agent` vouches for people.
    sponsor: Role,
}

/// The key that signs checkpoints: whoever has the token has it at hand.
struct LogHand {
    key: LogKey,
    sign: Sign,
}

type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

pub fn alice() -> UserId {
    UserId::parse("alice").unwrap()
}

/// The leaf of an event, with its salt.
pub fn leaf_of(event: &Event, blinded: Hash32) -> (Leaf, [u8; 32]) {
    let salt = *event.hash().as_bytes();
    let commitment = commitment(&salt, &event.to_canonical());
    let kind = LeafKind::Event;
    (Leaf { version: 1, engine: event.engine, kind, blinded_id: blinded, commitment }, salt)
}

pub fn blinded(uid: &UserId) -> Hash32 {
    blinded_id(&blinding_key(&SECRET, uid), uid)
}

impl Book {
    pub fn new(rules: Rules) -> Self {
        Self::begun(rules, false)
    }

    /// Books in which switches have an issuing authority of their own.
    pub fn two_issuers(rules: Rules) -> Self {
        Self::begun(rules, true)
    }

    fn begun(rules: Rules, two_issuers: bool) -> Self {
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
        let log = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
        let (certificate, spki) = issuing_certificate();
        let log_spki = ed25519_spki(&log);
        let key = |purpose| InstallationKey {
            purpose,
            id: octets(b""),
            spki: octets(if purpose == KeyPurpose::Log { &log_spki } else { &spki }),
            certificate: octets(&certificate),
            protection: protection.clone(),
        };
        let mut keys = [KeyPurpose::Root, KeyPurpose::Issuing, KeyPurpose::Log].map(key).to_vec();
        if two_issuers {
            let (certificate, spki) = certificate_of_issuer("switches");
            keys.push(InstallationKey {
                spki: octets(&spki),
                certificate: octets(&certificate),
                ..key(KeyPurpose::SwitchIssuing)
            });
        }
        let names = ["olga", "omar", "oskar"].iter().zip(&officers);
        let body = Genesis {
            version: 1,
            realm: Realm::parse("example.org").unwrap(),
            base_url: "https://example.org".into(),
            log_number: 0x0100,
            nonce: octets(&[7; 32]),
            origin: ORIGIN.into(),
            blinding: blinding_commitment(&SECRET),
            rules,
            roster: names.map(|(name, signer)| holder(name, signer)).collect(),
            agents: vec![holder("agent", &agent)],
            providers: vec![],
            cosigners: vec![],
            keys,
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
            secret: SECRET,
            log: LogHand {
                key: LogKey::from_spki(ORIGIN, &log_spki).unwrap(),
                sign: Box::new(move |text| log.sign(text).as_ref().to_vec()),
            },
            hashes: BTreeMap::new(),
            blinding: blinding_key(&SECRET, &alice()),
            called_for: None,
            sponsor: Role::Agent,
        };
        book.write(&genesis, leaf, &[]);
        book.end_group();
        book
    }

    /// Appends the entry of an event.
    pub fn write(&mut self, event: &Event, leaf: Leaf, evidence: &[Piece]) {
        let event = ExportEvent {
            salt: Blob(event.hash().as_bytes().to_vec()),
            event: Blob(event.to_canonical()),
            evidence: evidence.iter().map(|(_, data)| Blob(data.clone())).collect(),
            proof: vec![],
            after: None,
        };
        self.put(leaf, Some(event));
    }

    fn put(&mut self, leaf: Leaf, event: Option<ExportEvent>) {
        let appended = self.edge.append(leaf.leaf_hash());
        self.hashes.extend(appended.stored.iter().map(|stored| (stored.index, stored.hash)));
        let leaf = Blob(leaf.to_canonical());
        self.entries.push(ExportLeaf { leaf_index: appended.leaf_index, leaf, event });
    }

    /// What the map is to have from the next root on.
    pub fn set(&mut self, at: Hash32, value: Hash32) {
        self.changed.push((at, value));
    }

    pub fn end_group(&mut self) {
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
        self.put(leaf, None);
    }

    /// Ends a group with a root that is none of the map's. What is returned takes it back.
    pub fn forge_root(&mut self) -> impl FnOnce(&mut Self) + use<> {
        let (edge, hashes, count) = (self.edge.clone(), self.hashes.clone(), self.entries.len());
        let leaf = Leaf {
            version: 1,
            engine: 1,
            kind: LeafKind::MapRoot,
            blinded_id: Hash32::from_bytes([0; 32]),
            commitment: Hash32::of(b"a root of mallory's making"),
        };
        self.put(leaf, None);
        move |book| {
            (book.edge, book.hashes) = (edge, hashes);
            book.entries.truncate(count);
        }
    }

    /// The key that signs its checkpoints.
    pub fn log_key(&self) -> LogKey {
        self.log.key.clone()
    }

    /// A signed checkpoint of all that is written.
    pub fn checkpoint(&self) -> String {
        let (size, root) = self.end();
        let LogHand { key, sign } = &self.log;
        let checkpoint = Checkpoint::new(key.origin(), size, root).unwrap();
        let signature = sign(&checkpoint.to_be_signed());
        SignedCheckpoint::assemble(checkpoint, key, &signature).unwrap().text().to_owned()
    }

    /// A note of another text by the log's key.
    pub fn note(&self, text: &str) -> String {
        let LogHand { key, sign } = &self.log;
        let signature = key.signature_from_raw(&sign(text.as_bytes())).unwrap();
        let line = NoteSignature::new(key.origin(), key.id(), &signature).unwrap();
        Note::new(text, &[line]).unwrap().to_text()
    }

    /// What a witness is asked that co-signed `old` leaves.
    pub fn add_checkpoint(&self, old: u64) -> AddCheckpoint {
        let proof = consistency(old, self.edge.size(), &self.hashes).unwrap();
        let checkpoint = AnyCheckpoint::parse(&self.checkpoint()).unwrap();
        AddCheckpoint::new(old, proof, checkpoint).unwrap()
    }

    /// What an auditor is asked that co-signed `old` leaves.
    pub fn add_entries(&self, old: u64) -> AddEntries {
        let entries = self.entries[usize::try_from(old).unwrap()..].to_vec();
        AddEntries::new(self.add_checkpoint(old), (old == 0).then_some(self.secret), entries)
            .unwrap()
    }

    pub fn end(&self) -> (u64, Hash32) {
        (self.edge.size(), self.edge.root())
    }

    pub fn intent(&mut self, verb: EventKind, key: Option<&Key>) -> Intent {
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
            expiry: self.now_ms / 1000 + 30 * 86400,
        }
    }

    pub fn says(&self, role: Role, signer: &Signer, intent: &Intent) -> Piece {
        self.says_of(intent.verb, role, signer, intent)
    }

    pub fn says_of(&self, verb: EventKind, role: Role, signer: &Signer, intent: &Intent) -> Piece {
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

    /// The certificate that an event of this kind calls for at the end of the log is kept; returns
    /// what the event says of it.
    fn certify(
        &mut self,
        kind: EventKind,
        csr: &x509::Csr,
        spki: Hash32,
        recovery_commitment: Option<Hash32>,
    ) -> Vec<u8> {
        let era = self.timeline.current();
        let (issuance, number) = (era.issuance(), era.installation().log_number());
        let ca = issuance.ca(kind);
        let serial = SerialNumber::new(number, self.edge.size(), [5; 8]).unwrap();
        let tbs = issuance.leaf(ca, csr.key(), (&alice(), &[]), serial, self.now_ms).unwrap();
        let (not_before, not_after) = issuance.validity(ca, self.now_ms);
        let certified = Certified {
            version: 1,
            spki,
            issuer: ca.hash(),
            serial: octets(serial.as_bytes()),
            not_before,
            not_after,
            profile: "person".into(),
            tbs: Hash32::of(tbs.tbs_der()),
            possession_proven: true,
            recovery_commitment,
        };
        self.called_for = Some(tbs);
        certified.to_canonical()
    }

    /// The event that the policy makes of a request for alice; `bend` changes it before it is
    /// logged.
    pub fn act(
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
            let csr = csr.as_ref().or(self.alice.requested()).unwrap().clone();
            let commitment = approved.recovery_commitment_set();
            body = self.certify(approved.kind(), &csr, approved.spki(), commitment);
        }
        let references = evidence.iter().map(|(reference, _)| reference.clone()).collect();
        let decided = approved.into_event(self.now_ms, references, der.as_deref(), &body);
        let mut event = decided.event;
        bend(&mut event);
        let place = self.blinded();
        let (leaf, _) = leaf_of(&event, place);
        self.write(&event, leaf.clone(), evidence);
        let keys: Vec<Hash32> = self.alice.keys().collect();
        // Bent events do not replay; the map then stays as it was.
        // Newer rules lead where those of now do, for whoever has them.
        event.engine = policy::ENGINE;
        if self.alice.apply(&era, &event, leaf.leaf_hash(), evidence, |_| None).is_ok() {
            let new: Vec<Hash32> = self.alice.keys().filter(|key| !keys.contains(key)).collect();
            for key in new {
                self.set(blinded_key(&self.secret, key), place);
            }
            let head = self.alice.identity().unwrap().proven_head().hash();
            self.set(place, head);
        }
        leaf
    }

    pub fn enrol(&mut self, key: &Key) -> Leaf {
        let (request, intent, evidence) = self.enrolment(key);
        self.act(&request, Some(&intent), &evidence, |_| {})
    }

    /// Where alice is in the map.
    pub fn blinded(&self) -> Hash32 {
        blinded_id(&self.blinding, &alice())
    }

    /// An enrolment of alice, who is enrolled, as if she were not, at another place of the map. The
    /// book goes on with that one.
    pub fn enrol_again_elsewhere(&mut self, key: &Key) {
        self.alice = History::new(alice());
        self.blinding = [1; 32];
        self.enrol(key);
    }

    /// An enrolment with a certificate for a TBS of somebody's making.
    pub fn enrol_with_foreign_certificate(&mut self, key: &Key) {
        let (request, intent, evidence) = self.enrolment(key);
        self.act(&request, Some(&intent), &evidence, |event| {
            let mut body = Certified::from_canonical(event.body.as_bytes()).unwrap();
            body.tbs = Hash32::of(b"the TBS of mallory's certificate");
            event.body = octets(&body.to_canonical());
        });
    }

    /// An enrolment that was decided by rules which nobody knows yet.
    pub fn enrol_by_newer_rules(&mut self, key: &Key) -> Leaf {
        let (request, intent, evidence) = self.enrolment(key);
        self.act(&request, Some(&intent), &evidence, |event| event.engine = policy::ENGINE + 1)
    }

    /// Officers declare the leaf of an entry dead, whose event left alice as she is.
    pub fn strike(&mut self, at: u64, leaf: &Leaf) {
        let left_behind = crate::audit::after(&self.alice).unwrap();
        let strike = Struck { version: 1, leaf: leaf.leaf_hash(), index: None };
        self.change(EventKind::Strike, &strike.to_canonical());
        let at = usize::try_from(at).unwrap();
        self.entries[at].event.as_mut().unwrap().after = Some(Blob(left_behind));
    }

    /// What enrols alice with a key.
    pub fn enrolment(&mut self, key: &Key) -> (Request, Intent, Vec<Piece>) {
        let intent = self.intent(EventKind::Enrol, Some(key));
        let evidence = vec![
            piece(EvidenceKind::Csr, key.csr.clone()),
            self.says(self.sponsor, &self.agent, &intent),
            self.says(Role::NewKey, &key.signer, &intent),
        ];
        (certify(key), intent, evidence)
    }

    /// An enrolment that the administrator's socket alone vouches for.
    pub fn enrol_by_transport(&mut self, key: &Key) -> Leaf {
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
    pub fn ask_for_switch(&mut self, key: &Key) -> Intent {
        let intent = self.request_switch(key);
        for officer in 0..2 {
            let signer = &self.officers[officer];
            let evidence =
                vec![self.says_of(EventKind::SwitchApprove, Role::Officer, signer, &intent)];
            let request = Request::Approve { uid: alice(), intent: intent.hash() };
            self.act(&request, Some(&intent), &evidence, |_| {});
        }
        intent
    }

    /// A switch to this key, asked for.
    pub fn request_switch(&mut self, key: &Key) -> Intent {
        let intent = self.intent(EventKind::SwitchRequest, Some(key));
        let evidence = vec![
            piece(EvidenceKind::Csr, key.csr.clone()),
            self.says(Role::NewKey, &key.signer, &intent),
        ];
        self.act(&Request::Intent(Box::new(intent.clone())), Some(&intent), &evidence, |_| {});
        intent
    }

    pub fn complete_switch(&mut self, bend: impl FnOnce(&mut Event)) -> Leaf {
        self.act(&Request::CompleteSwitch { uid: alice() }, None, &[], bend)
    }

    /// A veto of what an intent asked for.
    pub fn veto(&mut self, intent: &Intent, evidence: &[Piece]) -> Leaf {
        let request = Request::Veto { uid: alice(), intent: intent.hash() };
        self.act(&request, Some(intent), evidence, |_| {})
    }

    /// What an intent asks for.
    pub fn ask(&mut self, intent: &Intent, evidence: &[Piece]) -> Leaf {
        let request = Request::Intent(Box::new(intent.clone()));
        self.act(&request, Some(intent), evidence, |_| {})
    }

    /// A change of the installation, signed by two officers.
    pub fn change(&mut self, verb: EventKind, body: &[u8]) {
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

/// SubjectPublicKeyInfo of an Ed25519 key (RFC 8410 section 4).
fn ed25519_spki(pair: &Ed25519KeyPair) -> Vec<u8> {
    let prefix = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    [&prefix, pair.public_key().as_ref()].concat()
}
