//! Writes groups for tests: well-formed rows, without the decisions behind them.

use std::collections::HashMap;

use policy::{Identity, Key, Status};
use tlog::Edge;
use wire::event::{Event, EventKind, Evidence, EvidenceKind, RevocationReason};
use wire::leaf::{Leaf, LeafKind, blinded_id, commitment};
use wire::{Encoded, Hash32, IdempotencyKey, SerialNumber, UserId, octets};

use crate::store::rows::{
    CertificateRow, IdentityRow, KeyRow, NewEvent, NoticeRows, Publication, RecordGroup, Refused,
    Revocation,
};

/// A user id.
pub(crate) fn uid(text: &str) -> UserId {
    UserId::parse(text).unwrap()
}

/// A key's hash.
pub(crate) fn key(name: &str) -> Hash32 {
    Hash32::of(name.as_bytes())
}

/// Knows what the next group builds on.
#[derive(Debug, Clone)]
pub(crate) struct Author {
    pub(crate) edge: Edge,
    pub(crate) identities: HashMap<UserId, IdentityRow>,
    pub(crate) now_ms: u64,
}

impl Author {
    /// The issuer of all certificates.
    pub(crate) const ISSUER: Hash32 = Hash32::from_bytes([7; 32]);
    /// Their notAfter, seconds since 1970.
    pub(crate) const NOT_AFTER: u64 = 1_800_000_000;

    pub(crate) fn new() -> Self {
        Self { edge: Edge::empty(), identities: HashMap::new(), now_ms: 1_700_000_000_000 }
    }

    /// An empty group on top of what was written; [`Self::seal`] completes it.
    pub(crate) fn group(&self) -> RecordGroup {
        RecordGroup {
            expected_size: self.edge.size(),
            events: Vec::new(),
            map_root: Leaf {
                version: 1,
                engine: 1,
                kind: LeafKind::MapRoot,
                blinded_id: Hash32::from_bytes([0; 32]),
                commitment: Hash32::of(&self.edge.size().to_be_bytes()),
            },
            hashes: Vec::new(),
            secret: None,
            notices: NoticeRows::default(),
        }
    }

    /// Adds the last leaf.
    pub(crate) fn seal(&mut self, mut group: RecordGroup) -> RecordGroup {
        group.hashes.extend(self.edge.append(group.map_root.leaf_hash()).stored);
        group
    }

    /// A group of one.
    pub(crate) fn enrolment(&mut self, name: &str) -> RecordGroup {
        let mut group = self.group();
        self.enrol(&mut group, name);
        self.seal(group)
    }

    /// A new identity with a key of its name.
    pub(crate) fn enrol(&mut self, group: &mut RecordGroup, name: &str) {
        let new = self.event(group, Some(name), EventKind::Enrol);
        let hash = key(name);
        self.certify(new, hash);
        new.new_key = Some(KeyRow {
            hash,
            uid: uid(name),
            spki: format!("key of {name}").into_bytes(),
            algorithm: "P-256".to_owned(),
        });
        let once = IdempotencyKey::parse(&format!("once-{}", hex::encode(name))).unwrap();
        new.idempotency = Some((once, Hash32::of(b"request")));
    }

    /// Another certificate for the same key.
    pub(crate) fn renew(&mut self, group: &mut RecordGroup, name: &str) {
        let new = self.event(group, Some(name), EventKind::Renew);
        self.certify(new, key(name));
    }

    /// The revocation of an identity's key.
    pub(crate) fn revoke(&mut self, group: &mut RecordGroup, name: &str) {
        let at_ms = self.now_ms;
        let new = self.event(group, Some(name), EventKind::Revoke);
        let reason = RevocationReason::KeyCompromise;
        new.revocation = Some(Revocation { key: key(name), at_ms, reason });
        let row = new.identity.as_mut().unwrap();
        (row.identity.status, row.identity.key) = (Status::Suspended, None);
        self.identities.insert(uid(name), row.clone());
    }

    /// An event of the installation; the first is the genesis event.
    pub(crate) fn genesis(&mut self, group: &mut RecordGroup) {
        self.event(group, None, EventKind::Genesis);
    }

    fn certify(&self, new: &mut NewEvent, hash: Hash32) {
        let random = new.leaf_index.to_be_bytes();
        new.certificate = Some(CertificateRow {
            leaf_index: new.leaf_index,
            serial: SerialNumber::new(0x0100, new.leaf_index, random).unwrap(),
            uid: new.event.subject.clone().unwrap(),
            kind: new.event.kind,
            sequence: new.event.sequence,
            key: hash,
            issuer: Self::ISSUER,
            shard: 3,
            not_before: self.now_ms / 1000,
            not_after: Self::NOT_AFTER,
            vouched: "csr statement".to_owned(),
            certificate: None,
            revoked: None,
        });
    }

    pub(crate) fn event<'g>(
        &mut self,
        group: &'g mut RecordGroup,
        name: Option<&str>,
        kind: EventKind,
    ) -> &'g mut NewEvent {
        let known = name.and_then(|name| self.identities.get(&uid(name)));
        let leaf_index = self.edge.size();
        let salt = *Hash32::of(&leaf_index.to_be_bytes()).as_bytes();
        let blinding_key = known.map_or(salt, |row| row.blinding_key);
        let evidence =
            Evidence::new(EvidenceKind::Csr, format!("{name:?} {leaf_index}").as_bytes());
        let event = Event {
            version: 1,
            engine: 1,
            kind,
            time_ms: self.now_ms,
            subject: name.map(uid),
            sequence: known.map_or(0, |row| row.identity.sequence + 1),
            previous: known.map(|row| row.identity.head),
            policy: Hash32::of(b"policy"),
            intent: None,
            evidence: vec![evidence.reference()],
            body: octets(b"body"),
        };
        let blinded = event.subject.as_ref().map(|uid| blinded_id(&blinding_key, uid));
        let leaf = Leaf {
            version: 1,
            engine: 1,
            kind: LeafKind::Event,
            blinded_id: blinded.unwrap_or(Hash32::from_bytes([0; 32])),
            commitment: commitment(&salt, &event.to_canonical()),
        };
        let identity = name.map(|name| IdentityRow {
            identity: Identity {
                uid: uid(name),
                status: Status::Active,
                sequence: event.sequence,
                head: leaf.leaf_hash(),
                key: Some(Key { spki: key(name), number: 0, possession_proven: true }),
                recovery_commitment: None,
                details: policy::Details::default(),
            },
            blinding_key,
            created_ms: known.map_or(self.now_ms, |row| row.created_ms),
            updated_ms: self.now_ms,
            due_ms: None,
        });
        if let Some(row) = &identity {
            self.identities.insert(row.identity.uid.clone(), row.clone());
        }
        group.hashes.extend(self.edge.append(leaf.leaf_hash()).stored);
        self.now_ms += 1000;
        group.events.push(NewEvent {
            leaf_index,
            leaf,
            salt,
            event,
            evidence: vec![(evidence.reference(), evidence.data.as_bytes().to_vec())],
            identity,
            new_key: None,
            certificate: None,
            revocation: None,
            proposal: None,
            idempotency: None,
            addresses: Vec::new(),
            completes: None,
        });
        group.events.last_mut().unwrap()
    }
}

/// A refusal of an identity.
pub(crate) fn refused(name: &str, at_ms: u64, detail: &str) -> Refused {
    Refused {
        uid: uid(name),
        at_ms,
        verb: "renew".to_owned(),
        key: Some(key(name)),
        code: "refused".to_owned(),
        detail: detail.to_owned(),
        vouched: String::new(),
    }
}

/// Certificates to publish, without a checkpoint.
pub(crate) fn certificates(signed: &[(u64, &[u8])]) -> Publication {
    let certificates = signed.iter().map(|(leaf_index, der)| (*leaf_index, der.to_vec()));
    Publication { certificates: certificates.collect(), ..Publication::default() }
}
