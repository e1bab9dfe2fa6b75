//! Record: the event, its serial number and the hash of its TBS become durable before anything is
//! signed.

use evidence::issuance::PROFILE;
use policy::Outcome;
use tlog::Edge;
use tlog::map::Staged;
use wire::event::{Certified, Event, EventKind, EvidenceKind, EvidenceRef, Revoked};
use wire::leaf::{Leaf, LeafKind, blinded_id, commitment};
use wire::problem::{Problem, ProblemCode};
use wire::{Encoded, Hash32, SerialNumber, octets};

use super::ask::{store_unavailable, vouched};
use super::decide::Decision;
use super::{Action, Ask, Reply, TreeHead};
use crate::authority::{Authority, Fatal};
use crate::crl::Revocation;
use crate::random;
use crate::store::StoreError;
use crate::store::rows::{
    self, CertificateRow, IdentityRow, KeyRow, NewEvent, NoticeRows, RecordGroup,
};

/// The log as this authority, its only writer, last left it.
#[derive(Debug)]
pub(crate) struct Ledger {
    edge: Edge,
}

impl Ledger {
    /// Reads the log's edge.
    ///
    /// # Errors
    /// When the store cannot be read or its tree is not whole.
    pub(crate) async fn open(authority: &Authority) -> Result<Self, Fatal> {
        let edge = authority.store().edge().await?;
        authority.note_tree_head(TreeHead::of_edge(&edge));
        Ok(Self { edge })
    }

    /// The log's size and root, durable.
    pub(crate) fn tree_head(&self) -> TreeHead {
        TreeHead::of_edge(&self.edge)
    }
}

/// A request whose event is durable.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(super) leaf_index: u64,
    pub(super) leaf_hash: Hash32,
    pub(super) what: What,
    pub(super) reply: Option<Reply>,
}

/// What follows from a recorded event.
#[derive(Debug)]
pub(crate) enum What {
    /// A certificate is signed over exactly this TBS.
    Certificate(Box<x509::Linted>),
    /// Nothing is signed; the answer is about the certificate that follows from this leaf.
    Revocation { about: u64 },
}

impl Recorded {
    /// Index and hash of its leaf.
    pub(crate) fn leaf(&self) -> (u64, Hash32) {
        (self.leaf_index, self.leaf_hash)
    }

    /// Takes up again what an event in the log calls for, after the whole of it was decided and
    /// built anew (`reopen.rs`).
    pub(crate) fn reopened(leaf_index: u64, leaf_hash: Hash32, tbs: x509::Linted) -> Self {
        Self { leaf_index, leaf_hash, what: What::Certificate(Box::new(tbs)), reply: None }
    }
}

/// Records a group in one transaction. Who cannot be recorded is answered here.
///
/// # Errors
/// [`Fatal`] when another authority writes, or the log is not what it was.
pub(crate) async fn record(
    authority: &Authority,
    ledger: &mut Ledger,
    decisions: Vec<Decision>,
) -> Result<Vec<Recorded>, Fatal> {
    if decisions.is_empty() {
        return Ok(Vec::new());
    }
    let mut edge = ledger.edge.clone();
    let expected_size = edge.size();
    let (mut events, mut hashes) = (Vec::new(), Vec::new());
    let mut recorded = Vec::with_capacity(decisions.len());
    for decision in decisions {
        match draft(authority, edge.size(), decision) {
            Ok((new, entry)) => {
                hashes.extend(edge.append(new.leaf.leaf_hash()).stored);
                events.push(new);
                recorded.push(entry);
            }
            Err(failed) => {
                let (reply, problem) = *failed;
                reply.send(Err(problem));
            }
        }
    }
    if events.is_empty() {
        return Ok(recorded);
    }
    let staged = stage(authority, &events).await?;
    let map_root = root_leaf(staged.root());
    hashes.extend(edge.append(map_root.leaf_hash()).stored);
    let group = RecordGroup {
        expected_size,
        events,
        map_root,
        hashes,
        secret: None,
        notices: NoticeRows::default(),
    };
    match authority.store().record(&group).await {
        Ok(()) => {
            authority.heads().commit(staged, edge.size());
            authority.note_log_size(edge.size());
            authority.note_tree_head(TreeHead::of_edge(&edge));
            authority.revocations().grew(expected_size, edge.size(), revocations(&group));
            ledger.edge = edge;
            if let Err(error) = authority.heads().flush(authority.store(), false).await {
                tracing::warn!(%error, "the map is flushed later");
            }
            Ok(recorded)
        }
        Err(error @ (StoreError::Moved { .. } | StoreError::Corrupt { .. })) => Err(error.into()),
        Err(error) => {
            tracing::error!(%error, "cannot record a group of {}", group.events.len());
            for entry in recorded {
                if let Some(reply) = entry.reply {
                    reply.send(Err(store_unavailable()));
                }
            }
            // The transaction may have been kept though the answer was lost: the log tells.
            ledger.reload(authority).await?;
            authority.catch_up().await?;
            authority.finish_later();
            Ok(Vec::new())
        }
    }
}

fn revocations(group: &RecordGroup) -> impl Iterator<Item = Revocation> {
    let revoked = group.events.iter().filter(|new| new.event.kind == EventKind::Revoke);
    revoked.filter_map(|new| {
        let (leaf_index, leaf) = (new.leaf_index, new.leaf.leaf_hash());
        Some(Revocation { leaf_index, leaf, uid: new.event.subject.clone()? })
    })
}

impl Ledger {
    async fn reload(&mut self, authority: &Authority) -> Result<(), Fatal> {
        let mut delays = authority.retry_delays();
        loop {
            match authority.store().edge().await {
                Ok(edge) => {
                    self.edge = edge;
                    return Ok(());
                }
                Err(StoreError::Engine(error)) => {
                    tracing::warn!(%error, "the database is not back yet");
                    authority.pause(delays.next().unwrap_or_default()).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The map with what these events change.
async fn stage(authority: &Authority, events: &[NewEvent]) -> Result<Staged, Fatal> {
    let heads = authority.heads();
    let mut changes = Vec::with_capacity(2 * events.len());
    for new in events {
        let Some(row) = &new.identity else { continue };
        let at = new.leaf.blinded_id;
        changes.push((at, row.identity.proven_head().hash()));
        changes.extend(new.new_key.as_ref().map(|key| (heads.of_key(key.hash), at)));
    }
    let keys: Vec<Hash32> = changes.iter().map(|(key, _)| *key).collect();
    Ok(heads.with(authority.store(), &keys, |map, _| map.stage(&changes)).await?)
}

/// The last leaf of a checkpoint.
pub(crate) fn root_leaf(root: Hash32) -> Leaf {
    let kind = LeafKind::MapRoot;
    let blinded_id = Hash32::from_bytes([0; 32]);
    Leaf { version: 1, engine: policy::ENGINE, kind, blinded_id, commitment: root }
}

type Failed = Box<(Reply, Problem)>;

/// The rows of one event, and what follows once they are durable.
fn draft(
    authority: &Authority,
    leaf_index: u64,
    decision: Decision,
) -> Result<(NewEvent, Recorded), Failed> {
    let Decision { ask, approved, now_ms, known, new_key } = decision;
    let Ask { uid, action, evidence, intent, idempotency, reply, .. } = ask;
    let references: Vec<EvidenceRef> = evidence.iter().map(|(r, _)| r.clone()).collect();
    let vouched = vouched(references.iter());
    let (sequence, key) = (approved.sequence(), approved.spki());
    let kind = approved.kind();

    let mut certificate = None;
    let mut new_key_row = None;
    let mut revocation = None;
    let (body, what) = match &action {
        Action::Certify(csr) => {
            let random = random::bytes();
            let serial =
                SerialNumber::new(authority.installation().log_number(), leaf_index, random);
            let built = serial
                .ok_or_else(|| format!("leaf index {leaf_index} does not fit a serial number"))
                .and_then(|serial| {
                    let tbs = authority.certificates().issuance().leaf(
                        csr.key(),
                        &uid,
                        serial,
                        now_ms,
                    )?;
                    Ok((serial, tbs))
                });
            let (serial, tbs) = match built {
                Ok(built) => built,
                Err(reason) => {
                    tracing::error!(%reason, "a certificate was not built");
                    let problem = Problem::new(ProblemCode::Internal, reason);
                    return Err(Box::new((reply, problem)));
                }
            };
            let (not_before, not_after) = authority.certificates().issuance().validity(now_ms);
            let issuer = authority.certificates().issuer();
            let shard = authority.certificates().shard(&serial);
            certificate = Some(CertificateRow {
                leaf_index,
                serial,
                uid: uid.clone(),
                kind,
                sequence,
                key,
                issuer,
                shard,
                not_before,
                not_after,
                vouched,
                certificate: None,
                revoked: None,
            });
            new_key_row = new_key.then(|| KeyRow {
                hash: key,
                uid: uid.clone(),
                spki: csr.spki_der().to_vec(),
                algorithm: csr.key().algorithm().to_string(),
            });
            let body = Certified {
                version: 1,
                spki: key,
                issuer,
                serial: octets(serial.as_bytes()),
                not_before,
                not_after,
                profile: PROFILE.to_owned(),
                tbs: Hash32::of(tbs.tbs_der()),
                possession_proven: approved.possession_proven(),
                recovery_commitment: approved.recovery_commitment_set(),
            };
            (body.to_canonical(), What::Certificate(Box::new(tbs)))
        }
        Action::Revoke { leaf_index, serial, key, reason } => {
            revocation = Some(rows::Revocation { key: *key, at_ms: now_ms, reason: *reason });
            let body = Revoked { version: 1, serial: octets(serial.as_bytes()), reason: *reason };
            (body.to_canonical(), What::Revocation { about: *leaf_index })
        }
    };

    let decided = approved.into_event(now_ms, references, intent.as_deref(), &body);
    // Whoever replays the event weighs all of its evidence: a statement that nothing rests on, or a
    // state that the store does not keep yet, would make it fail there for good.
    let stray = decided.event.intent.is_none()
        && decided.event.evidence.iter().any(|e| e.kind == EvidenceKind::Statement);
    if stray {
        let detail = "a statement was sent that this decision does not rest on";
        let problem = Problem::new(ProblemCode::EvidenceRefused, detail).rule("evidence");
        return Err(Box::new((reply, problem)));
    }
    let blinding_key = authority.heads().blinding_key(&uid);
    let created_ms = known.unwrap_or(now_ms);
    let salt = random::bytes();
    let leaf = leaf_of(&decided.event, &blinding_key, &salt);
    let leaf_hash = leaf.leaf_hash();
    let identity = identity_row(decided.outcome, leaf_hash, blinding_key, created_ms, now_ms);
    if identity.identity.proven_head().private.is_some() {
        let detail = "notification channels and what else stands beside a key are not kept yet";
        return Err(Box::new((reply, Problem::new(ProblemCode::NotOffered, detail))));
    }
    let new = NewEvent {
        leaf_index,
        leaf,
        salt,
        event: decided.event,
        evidence,
        identity: Some(identity),
        new_key: new_key_row,
        certificate,
        revocation,
        idempotency: idempotency.map(|i| (i.key, i.request)),
    };
    debug_assert_eq!(new.event.kind == EventKind::Revoke, new.revocation.is_some());
    Ok((new, Recorded { leaf_index, leaf_hash, what, reply: Some(reply) }))
}

/// The leaf of an event (DESIGN section 6): blinded id and salted commitment.
pub(crate) fn leaf_of(event: &Event, blinding_key: &[u8; 32], salt: &[u8; 32]) -> Leaf {
    let blinded = event.subject.as_ref().map(|uid| blinded_id(blinding_key, uid));
    Leaf {
        version: 1,
        engine: event.engine,
        kind: LeafKind::Event,
        blinded_id: blinded.unwrap_or(Hash32::from_bytes([0; 32])),
        commitment: commitment(salt, &event.to_canonical()),
    }
}

fn identity_row(
    outcome: Outcome,
    head: Hash32,
    blinding_key: [u8; 32],
    created_ms: u64,
    updated_ms: u64,
) -> IdentityRow {
    IdentityRow { identity: outcome.with_head(head), blinding_key, created_ms, updated_ms }
}
