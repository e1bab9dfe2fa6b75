//! The rows of one event, and what follows once they are durable.

use evidence::issuance::PROFILE;
use policy::{Approved, Identity, Pending};
use wire::event::{Certified, EventKind, EvidenceKind, EvidenceRef, Revoked};
use wire::problem::{Problem, ProblemCode};
use wire::{Encoded, Hash32, SerialNumber, UserId, octets};
use x509::PublicKey;

use super::ask::{Done, vouched};
use super::decide::Decision;
use super::record::{Recorded, What, leaf_of};
use super::{Action, Ask, Brings, Caller, Reply};
use crate::authority::Authority;
use crate::certificates::ToSign;
use crate::random;
use crate::store::rows::{CertificateRow, IdentityRow, KeyRow, NewEvent, Revocation};

/// A caller who is told why nothing is recorded.
pub(super) type Failed = Box<(Reply, Problem)>;

/// Drafts the event of a decision; its leaf will have this index.
pub(super) fn draft(
    authority: &Authority,
    leaf_index: u64,
    decision: Decision,
) -> Result<(NewEvent, Recorded), Failed> {
    let Decision { ask, approved, now_ms, before, known_key } = decision;
    let Ask { uid, action, evidence, intent, addresses, idempotency, reply, .. } = ask;
    let references: Vec<EvidenceRef> = evidence.iter().map(|(r, _)| r.clone()).collect();

    let at = At { leaf_index, now_ms, vouched: vouched(references.iter()) };
    let built = follows(authority, &at, &uid, &action, &approved, known_key);
    let (body, certificate, new_key, what) = match built {
        Ok(Some(following)) => {
            let Following { body, certificate, new_key, tbs } = following;
            let what = What::Certificate(Box::new(tbs));
            (body.to_canonical(), Some(certificate), new_key, what)
        }
        Ok(None) => match &action {
            Action::Revoke { leaf_index, serial, reason, .. } => {
                let serial = octets(serial.as_bytes());
                let body = Revoked { version: 1, serial, reason: *reason };
                (body.to_canonical(), None, None, What::Revocation { about: *leaf_index })
            }
            _ => (Vec::new(), None, None, What::Nothing),
        },
        Err(reason) => {
            tracing::error!(%reason, "a certificate was not built");
            return Err(Box::new((reply, Problem::new(ProblemCode::Internal, reason))));
        }
    };

    let decided = approved.into_event(now_ms, references, intent.as_deref(), &body);
    let event = decided.event;
    // Whoever replays the event weighs all of its evidence: a statement that nothing rests on would
    // make it fail there for good.
    let signs = |e: &EvidenceRef| {
        matches!(e.kind, EvidenceKind::Statement | EvidenceKind::WebAuthn | EvidenceKind::IdToken)
    };
    if event.intent.is_none() && event.evidence.iter().any(signs) {
        let detail = "a statement was sent that this decision does not rest on";
        let problem = Problem::new(ProblemCode::EvidenceRefused, detail)
            .rule("evidence")
            .expected("what the decision rests on", "a statement beside it");
        return Err(Box::new((reply, problem)));
    }
    let blinding_key = authority.heads().blinding_key(&uid);
    let salt = random::bytes();
    let leaf = leaf_of(&event, &blinding_key, &salt);
    let leaf_hash = leaf.leaf_hash();
    let identity = decided.outcome.with_head(leaf_hash);
    let key_of = |identity: &Identity| identity.key.map(|key| key.spki);
    let earlier = before.as_ref().and_then(|row| key_of(&row.identity));
    let revocation = policy::key_taken(&event, earlier, key_of(&identity))
        .map(|(key, reason)| Revocation { key, at_ms: now_ms, reason });
    let pending = before.as_ref().and_then(|row| row.identity.pending()).map(Pending::intent);
    let completes = pending.filter(|_| event.kind == EventKind::SwitchComplete);
    let done = Done::of(&event, leaf_index, leaf_hash);
    let proposes = event.kind == EventKind::SwitchRequest || done.announced;
    let proposal = event.intent.as_ref().filter(|_| proposes);
    let new = NewEvent {
        leaf_index,
        leaf,
        salt,
        proposal: proposal.map(|intent| Hash32::of(intent.as_bytes())),
        evidence,
        identity: Some(IdentityRow {
            due_ms: policy::due(&authority.installation(), &identity, now_ms).map(|due| due.due_ms),
            identity,
            blinding_key,
            created_ms: before.map_or(now_ms, |row| row.created_ms),
            updated_ms: now_ms,
        }),
        new_key,
        certificate,
        revocation,
        addresses,
        completes,
        idempotency: idempotency.map(|i| (i.key, i.request)),
        event,
    };
    let revokes = new.revocation.is_some();
    let caller = Some(Caller { reply, done });
    Ok((new, Recorded { leaf_index, leaf_hash, what, revokes, caller }))
}

/// Where and when an event will be, and how it was vouched for.
struct At {
    leaf_index: u64,
    now_ms: u64,
    vouched: String,
}

/// What a certificate needs.
struct Following {
    body: Certified,
    certificate: CertificateRow,
    new_key: Option<KeyRow>,
    tbs: ToSign,
}

/// The certificate that follows from a decision, if one does.
fn follows(
    authority: &Authority,
    at: &At,
    uid: &UserId,
    action: &Action,
    approved: &Approved,
    known: Option<KeyRow>,
) -> Result<Option<Following>, String> {
    if !approved.certificate_follows() {
        return Ok(None);
    }
    let certificates = authority.certificates();
    let new_key = known.is_none();
    let key = certified_key(authority, action, approved, known)?;
    let At { leaf_index, now_ms, ref vouched } = *at;
    let log_number = authority.installation().log_number();
    let serial = SerialNumber::new(log_number, leaf_index, random::bytes())
        .ok_or_else(|| format!("leaf index {leaf_index} does not fit a serial number"))?;
    let issuance = certificates.issuance();
    let ca = issuance.ca(approved.kind());
    let tbs = issuance.leaf(ca, &key, (uid, approved.names()), serial, now_ms)?;
    certificates
        .validator()
        .leaf(ca.purpose(), tbs.tbs_der(), now_ms / 1000)
        .map_err(|unfit| format!("clients would refuse the certificate: {unfit}"))?;
    let (not_before, not_after) = issuance.validity(ca, now_ms);
    let (spki, issuer) = (approved.spki(), ca.hash());
    let certificate = CertificateRow {
        leaf_index,
        serial,
        uid: uid.clone(),
        kind: approved.kind(),
        sequence: approved.sequence(),
        key: spki,
        issuer,
        shard: certificates.shard(&serial),
        not_before,
        not_after,
        vouched: vouched.clone(),
        certificate: None,
        revoked: None,
    };
    let new_key = new_key.then(|| KeyRow {
        hash: spki,
        uid: uid.clone(),
        spki: key.spki_der().to_vec(),
        algorithm: key.algorithm().to_string(),
    });
    let body = Certified {
        version: 1,
        spki,
        issuer,
        serial: octets(serial.as_bytes()),
        not_before,
        not_after,
        profile: PROFILE.to_owned(),
        tbs: Hash32::of(tbs.tbs_der()),
        possession_proven: approved.possession_proven(),
        recovery_commitment: approved.recovery_commitment_set(),
    };
    let tbs = ToSign::new(tbs, ca.purpose());
    Ok(Some(Following { body, certificate, new_key, tbs }))
}

/// The key that the policy let be certified: the request's, the one that is adopted, or the one
/// that the identity has.
fn certified_key(
    authority: &Authority,
    action: &Action,
    approved: &Approved,
    known: Option<KeyRow>,
) -> Result<PublicKey, String> {
    let brought = match action {
        Action::Certify(csr) | Action::CompleteSwitch(csr) => Some(csr.key()),
        Action::Intent { brings, .. } => brings.as_ref().map(Brings::key),
        _ => None,
    };
    let key = match (brought, known) {
        (Some(key), _) => key.clone(),
        (None, Some(row)) => PublicKey::parse(&row.spki, authority.certificates().key_rules())
            .map_err(|error| format!("the identity's key: {error}"))?,
        (None, None) => return Err("the key to be certified is not there".to_owned()),
    };
    let request = match action {
        Action::Certify(csr)
        | Action::CompleteSwitch(csr)
        | Action::Intent { brings: Some(Brings::Request(csr)), .. } => Some(csr.hash()),
        _ => None,
    };
    if key.spki_hash() != approved.spki() || request != approved.csr() {
        return Err("the key is not the one that was decided on".to_owned());
    }
    Ok(key)
}
