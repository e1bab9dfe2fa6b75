//! The books of an installation that runs somewhere, gone on with by somebody who took its database
//! and its token.

use std::collections::HashMap;

use policy::Identity;
use tlog::proof::inclusion;
use wire::bundle::{Bundle, BundleEvent, ExportHeader};
use wire::event::EvidenceRef;
use wire::head::{Head, HeadStatus, installation_position};

use super::*;

impl Book {
    /// Takes over an export (`avouch audit export`), which is what the database holds. `sign` is the
    /// token's log key; `officers` and `sponsor`, one of them, are who signs what is lawful.
    pub fn stolen(
        export: &str,
        officers: [Signer; 3],
        sponsor: Signer,
        now_ms: u64,
        sign: impl Fn(&[u8]) -> Vec<u8> + 'static,
    ) -> Self {
        let mut lines = export.lines();
        let header: ExportHeader = serde_json::from_str(lines.next().unwrap()).unwrap();
        let genesis = Event::from_canonical(&header.genesis.0).unwrap();
        let installation = Installation::from_genesis(&genesis).unwrap();
        let log = installation.keys(KeyPurpose::Log).last().unwrap();
        let key = LogKey::from_spki(installation.origin(), log.spki.as_bytes()).unwrap();
        let secret: [u8; 32] = header.blinding_secret.0.try_into().unwrap();
        let entries: Vec<ExportLeaf> =
            lines.map(|line| serde_json::from_str(line).unwrap()).collect();
        let first = Leaf::from_canonical(&entries[0].leaf.0).unwrap().leaf_hash();
        let mut book = Self {
            timeline: Timeline::begin(installation.logged_at(first)).unwrap(),
            genesis,
            officers,
            agent: sponsor,
            now_ms,
            entries: Vec::new(),
            edge: Edge::empty(),
            map: Map::empty(usize::MAX),
            changed: Vec::new(),
            alice: History::new(alice()),
            nonces: 0,
            secret,
            log: LogHand { key, sign: Box::new(sign) },
            blinding: blinding_key(&secret, &alice()),
            hashes: BTreeMap::new(),
            called_for: None,
            sponsor: Role::Officer,
        };
        let mut people = HashMap::new();
        for entry in entries {
            book.take_over(entry, &mut people);
        }
        book.alice = people.remove(&alice()).unwrap_or_else(|| History::new(alice()));
        book
    }

    fn take_over(&mut self, entry: ExportLeaf, people: &mut HashMap<UserId, History>) {
        let leaf = Leaf::from_canonical(&entry.leaf.0).unwrap();
        let Some(mut with) = entry.event else {
            let staged = self.map.stage(&self.changed).unwrap();
            assert_eq!(staged.root(), leaf.commitment, "the map as it is in the log");
            self.map.commit(staged);
            self.changed.clear();
            self.put(leaf, None);
            return;
        };
        with.proof.clear();
        let event = Event::from_canonical(&with.event.0).unwrap();
        let evidence = crate::audit::pieces(&with.evidence, &event);
        let (at, hash) = (entry.leaf_index, leaf.leaf_hash());
        match &event.subject {
            None if at == 0 => {}
            None => {
                self.timeline.apply(at, &event, hash, &evidence).unwrap();
                let head = self.timeline.current().installation().proven_head().unwrap();
                self.set(installation_position(), head);
            }
            Some(uid) => {
                let history =
                    people.entry(uid.clone()).or_insert_with(|| History::new(uid.clone()));
                let era = self.timeline.at(at);
                let step = history.apply(era, &event, hash, &evidence, |_| None).unwrap();
                let head = history.identity().unwrap().proven_head().hash();
                if let Some(key) = step.new_key {
                    self.set(blinded_key(&self.secret, key), leaf.blinded_id);
                }
                self.set(leaf.blinded_id, head);
            }
        }
        self.put(leaf, Some(with));
    }

    /// Alice's head, as the books have her.
    pub fn head(&self) -> Head {
        self.alice.identity().map(Identity::proven_head).unwrap()
    }

    /// Has the map say that this is alice's head.
    pub fn set_head(&mut self, head: &Head) {
        self.set(self.blinded(), head.hash());
    }

    /// A switch to this key that no officer approved: two others signed where they ought to have.
    /// Returns the head that it would lead to.
    pub fn forge_switch(&mut self, key: &Key) -> Head {
        let intent = self.request_switch(key);
        let before = self.head();
        let mut after = Head { pending: None, private: None, ..before.clone() };
        for _ in 0..2 {
            let said =
                self.says_of(EventKind::SwitchApprove, Role::Officer, &Signer::new(), &intent);
            self.write_forged(&mut after, EventKind::SwitchApprove, &intent, &[said], &[]);
        }
        let csr = self.alice.requested().unwrap().clone();
        let spki = Hash32::of(&key.signer.spki);
        let body = self.certify(EventKind::SwitchComplete, &csr, spki, None);
        self.write_forged(&mut after, EventKind::SwitchComplete, &intent, &[], &body);
        after.status = HeadStatus::Active;
        after.key = Some(spki);
        after.key_number += 1;
        self.set(blinded_key(&self.secret, spki), self.blinded());
        self.set_head(&after);
        after
    }

    /// An event that nobody decided on.
    fn write_forged(
        &mut self,
        after: &mut Head,
        kind: EventKind,
        intent: &Intent,
        evidence: &[Piece],
        body: &[u8],
    ) {
        let references: Vec<EvidenceRef> =
            evidence.iter().map(|(reference, _)| reference.clone()).collect();
        let event = Event {
            version: 1,
            engine: policy::ENGINE,
            kind,
            time_ms: self.now_ms,
            subject: Some(alice()),
            sequence: after.sequence + 1,
            previous: Some(after.leaf),
            policy: self.timeline.current().installation().rules_hash(),
            intent: (!evidence.is_empty()).then(|| octets(&intent.to_canonical())),
            evidence: references,
            body: octets(body),
        };
        let (leaf, _) = leaf_of(&event, self.blinded());
        self.write(&event, leaf.clone(), evidence);
        (after.sequence, after.leaf) = (event.sequence, leaf.leaf_hash());
    }

    /// A certificate for alice over this key that stands nowhere in the log.
    pub fn unlogged(&self, key: &Key) -> Linted {
        let evidence = [piece(EvidenceKind::Csr, key.csr.clone())];
        let era = self.timeline.current();
        let csr = dossier::csr(&evidence, era.issuance().key_rules()).unwrap().unwrap();
        let number = era.installation().log_number();
        let serial = SerialNumber::new(number, self.edge.size(), [5; 8]).unwrap();
        let ca = era.issuance().ca(EventKind::Renew);
        era.issuance().leaf(ca, csr.key(), (&alice(), &[]), serial, self.now_ms).unwrap()
    }

    /// What would prove that this is alice's head, under a checkpoint of all that is written, which
    /// the log's key signs.
    pub fn bundle(&self, head: &Head, certificate: Vec<u8>) -> Bundle {
        let (size, place) = (self.edge.size(), self.blinded());
        let prove = |leaf| inclusion(size, leaf, &self.hashes).unwrap();
        let nobody = Hash32::from_bytes([0; 32]);
        let entries = |of: Hash32, last: u64| -> Vec<BundleEvent> {
            let there = self.entries.iter().filter_map(|entry| {
                let leaf = Leaf::from_canonical(&entry.leaf.0).unwrap();
                let with = entry.event.as_ref().filter(|_| leaf.blinded_id == of)?;
                let event = Event::from_canonical(&with.event.0).unwrap();
                (event.sequence <= last).then(|| BundleEvent {
                    leaf_index: entry.leaf_index,
                    leaf: entry.leaf.clone(),
                    salt: with.salt.clone(),
                    event: with.event.clone(),
                    evidence: with.evidence.clone(),
                    proof: prove(entry.leaf_index),
                })
            });
            there.collect()
        };
        let installation = self.timeline.current().installation();
        let issuing = installation.keys(KeyPurpose::Issuing);
        let proof = |at: Hash32| Blob(self.map.prove(&at).unwrap().to_bytes());
        Bundle {
            version: 1,
            uid: alice(),
            certificate: Some(Blob(certificate)),
            chain: issuing.map(|key| Blob(key.certificate.as_bytes().to_vec())).collect(),
            installation: entries(nobody, u64::MAX),
            installation_proof: proof(installation_position()),
            blinding_key: Blob(self.blinding.to_vec()),
            events: entries(place, head.sequence),
            head: Blob(head.to_canonical()),
            map_proof: proof(place),
            map_leaf: self.entries.last().unwrap().leaf.clone(),
            map_leaf_proof: prove(size - 1),
            checkpoint: self.checkpoint(),
            ladder: "hsm".into(),
        }
    }
}
