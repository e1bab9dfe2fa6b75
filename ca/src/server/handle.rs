//! One request: parsed, then put at the beginning of its walk, or answered from the store.

use std::collections::HashMap;
use std::sync::Arc;

use evidence::dossier::{self, DossierError, Piece};
use wire::event::{EvidenceKind, RevocationReason, TransportSource, TransportWord};
use wire::problem::{Problem, ProblemCode};
use wire::socket::{Peer, Request, RequestBody, ResponseBody, Signed};
use wire::statement::SignedStatement;
use wire::{Encoded, Hash32, IdempotencyKey, UserId};
use x509::Csr;

use super::Door;
use crate::authority::Authority;
use crate::store::Wanted;
use crate::walk::{Action, Ask, Idempotency, Reply};
use crate::{proofs, queries, search};

type Result<T> = std::result::Result<T, Box<Problem>>;

/// Answers one request.
pub(super) async fn handle(
    authority: &Arc<Authority>,
    door: Door,
    request: Request,
) -> Result<ResponseBody> {
    let may_search = may_search(authority, door, request.peer.as_ref());
    let peer = transport(door, request.peer);
    match request.body {
        RequestBody::Issue { uid, csr, idempotency_key, signed } => {
            issue(authority, peer, uid, &csr, idempotency_key, signed).await
        }
        RequestBody::Revoke { serial, reason, signed } => {
            revoke(authority, peer, &serial, &reason, signed).await
        }
        RequestBody::Identity { uid } => {
            queries::identity(authority, &uid).await.map(|i| ResponseBody::Identity(Box::new(i)))
        }
        RequestBody::Certificates { uid, page } => {
            queries::certificates(authority, &uid, &page).await.map(ResponseBody::Certificates)
        }
        RequestBody::History { uid, page } => {
            queries::history(authority, &uid, &page).await.map(ResponseBody::History)
        }
        RequestBody::Certificate { serial } => {
            let row = queries::certificate_row(authority, &serial).await?;
            let certificate = Box::new(queries::certificate(authority, &row));
            Ok(ResponseBody::Certificate { certificate, created: false })
        }
        RequestBody::Installation => {
            Ok(ResponseBody::Installation(Box::new(queries::installation(authority))))
        }
        RequestBody::Crl { issuer, shard } => {
            let (der, next_update) = queries::crl(authority, &issuer, shard).await?;
            Ok(ResponseBody::Crl { der: der.into(), next_update })
        }
        RequestBody::Checkpoint => {
            proofs::checkpoint(authority).await.map(|row| ResponseBody::Checkpoint(row.note))
        }
        RequestBody::Tile { path } => {
            proofs::tile(authority, &path).await.map(|bytes| ResponseBody::Tile(bytes.into()))
        }
        RequestBody::Bundle { uid, since } => {
            let bundle = proofs::bundle(authority, &uid, since).await?;
            Ok(ResponseBody::Bundle(Box::new(bundle)))
        }
        RequestBody::Health => Ok(ResponseBody::Health(queries::health(authority).await)),
        RequestBody::SearchCertificates { query, page } => {
            may_search?;
            search::certificates(authority, &query, &page).await.map(ResponseBody::Certificates)
        }
        RequestBody::SearchIdentities { query, page } => {
            may_search?;
            search::identities(authority, &query, &page).await.map(ResponseBody::Identities)
        }
        RequestBody::Ask { .. }
        | RequestBody::Approve { .. }
        | RequestBody::Veto { .. }
        | RequestBody::Change { .. }
        | RequestBody::Switch { .. }
        | RequestBody::Switches { .. }
        | RequestBody::Policy
        | RequestBody::Ways { .. }
        | RequestBody::KeyChanges { .. } => {
            let detail = "this authority enrols, renews and revokes";
            Err(Box::new(Problem::new(ProblemCode::NotOffered, detail)))
        }
    }
}

/// Whether the caller may look for people: else strangers could list them. This decides who may
/// look, not what happens, so the transport's word is enough.
fn may_search(authority: &Authority, door: Door, peer: Option<&Peer>) -> Result<()> {
    let agent = |peer: &Peer| authority.installation().agent(Hash32::of(&peer.spki)).is_some();
    if door == Door::Admin || peer.is_some_and(agent) {
        return Ok(());
    }
    let detail = "only enrolment agents and the local administrator may search";
    let found = if peer.is_some() { "another TLS certificate" } else { "no TLS certificate" };
    let problem = Problem::new(ProblemCode::AgentsOnly, detail).rule("who-may-search");
    Err(Box::new(problem.expected("an agent's TLS certificate", found)))
}

/// What the transport says of the caller. It counts only if the policy lets it.
fn transport(door: Door, peer: Option<Peer>) -> Option<Piece> {
    let word = match (door, peer) {
        (Door::Admin, _) => TransportWord {
            version: 1,
            source: TransportSource::AdminSocket,
            peer: Hash32::from_bytes([0; 32]),
            name: "local administrator".to_owned(),
        },
        (Door::Gateway, Some(peer)) => TransportWord {
            version: 1,
            source: TransportSource::Mtls,
            peer: Hash32::of(&peer.spki),
            name: peer.name.chars().take(64).collect(),
        },
        (Door::Gateway, None) => return None,
    };
    Some(dossier::piece(EvidenceKind::Transport, word.to_canonical()))
}

async fn issue(
    authority: &Arc<Authority>,
    peer: Option<Piece>,
    uid: UserId,
    csr: &[u8],
    idempotency_key: Option<IdempotencyKey>,
    signed: Signed,
) -> Result<ResponseBody> {
    let csr = Csr::parse(csr, authority.certificates().key_rules())
        .and_then(|csr| csr.check_subject(&uid).map(|()| csr))
        .map_err(|error| csr_problem(&error))?;
    if let Err(state) = authority.hsm_state() {
        // Nothing is recorded that could not be signed soon. The request itself is not at fault.
        let problem = Problem::new(ProblemCode::HsmUnavailable, state).retry_after(2);
        return Err(Box::new(problem));
    }
    let request = request_hash(&uid, csr.der(), &signed);
    let mut evidence = vec![dossier::piece(EvidenceKind::Csr, csr.der().to_vec())];
    evidence.extend(peer);
    let action = Action::Certify(Box::new(csr));
    let idempotency = idempotency_key.map(|key| Idempotency { key, request });
    walk(authority, uid, action, evidence, signed, idempotency).await
}

async fn revoke(
    authority: &Arc<Authority>,
    peer: Option<Piece>,
    serial: &str,
    reason: &str,
    signed: Signed,
) -> Result<ResponseBody> {
    let reason = RevocationReason::from_name(reason).ok_or_else(|| {
        let names: Vec<_> = RevocationReason::ALL.iter().map(|r| r.name()).collect();
        let detail = format!("{reason:?} is not a reason for revocation");
        Box::new(
            Problem::new(ProblemCode::MalformedRequest, detail).expected(names.join(", "), reason),
        )
    })?;
    let row = queries::certificate_row(authority, serial).await?;
    let action =
        Action::Revoke { leaf_index: row.leaf_index, serial: row.serial, key: row.key, reason };
    walk(authority, row.uid, action, peer.into_iter().collect(), signed, None).await
}

/// Collects the evidence and what it proves, then lets the request walk.
async fn walk(
    authority: &Arc<Authority>,
    uid: UserId,
    action: Action,
    mut evidence: Vec<Piece>,
    signed: Signed,
    idempotency: Option<Idempotency>,
) -> Result<ResponseBody> {
    let keys = signers(authority, &uid, &signed).await?;
    for statement in signed.statements {
        evidence.push(dossier::piece(EvidenceKind::Statement, statement.into_vec()));
    }
    let intent = signed.intent.map(serde_bytes::ByteBuf::into_vec);
    let csr = match &action {
        Action::Certify(csr) => Some(&**csr),
        Action::Revoke { .. } => None,
    };
    let spki_of = |hash: Hash32| keys.get(&hash).cloned();
    let installation = authority.installation();
    let facts = dossier::facts(installation, csr, intent.as_deref(), &evidence, &spki_of)
        .map_err(|error| evidence_problem(&error))?;
    let (reply, answer) = Reply::channel();
    authority.submit(Ask { uid, action, evidence, facts, intent, idempotency, reply })?;
    let answer = answer.await.unwrap_or_else(|_| {
        let detail = "the authority stopped before it answered; ask again with the same key";
        Err(Problem::new(ProblemCode::AuthorityUnavailable, detail).retry_after(2))
    })?;
    let certificate = Box::new(queries::certificate(authority, &answer.row));
    Ok(ResponseBody::Certificate { certificate, created: answer.created })
}

/// Public keys of those who signed statements, as far as they are keys of this identity: whoever
/// replays the event from its own history finds no others.
async fn signers(
    authority: &Authority,
    uid: &UserId,
    signed: &Signed,
) -> Result<HashMap<Hash32, Vec<u8>>> {
    if signed.statements.is_empty() {
        return Ok(HashMap::new());
    }
    let keys = signed
        .statements
        .iter()
        .filter_map(|der| SignedStatement::from_canonical(der).ok())
        .map(|statement| statement.signer)
        .collect();
    let wanted = Wanted { keys, ..Wanted::default() };
    let books = authority.store().books(&wanted).await.map_err(|error| {
        tracing::error!(%error, "cannot read signers' keys");
        let detail = "the database does not answer";
        Box::new(Problem::new(ProblemCode::StoreUnavailable, detail).retry_after(2))
    })?;
    let own = books.keys.into_iter().filter(|(_, key)| key.uid == *uid);
    Ok(own.map(|(hash, key)| (hash, key.spki)).collect())
}

/// What makes two requests the same one.
fn request_hash(uid: &UserId, csr: &[u8], signed: &Signed) -> Hash32 {
    let intent = signed.intent.as_ref().map_or(&[][..], |intent| intent);
    let statements = signed.statements.iter().map(|statement| &statement[..]);
    let parts = [uid.as_str().as_bytes(), csr, intent].into_iter().chain(statements);
    let hashes: Vec<u8> = parts.flat_map(|part| *Hash32::of(part).as_bytes()).collect();
    Hash32::of(&hashes)
}

/// The one place where evidence that does not hold becomes a problem.
fn evidence_problem(error: &DossierError) -> Box<Problem> {
    Box::new(
        Problem::new(ProblemCode::EvidenceRefused, error.to_string())
            .rule("evidence")
            .remedy("send evidence that was made for exactly this request"),
    )
}

/// The one place where a refused certification request becomes a problem.
fn csr_problem(error: &x509::CsrError) -> Box<Problem> {
    let code = ProblemCode::from_slug(error.code()).unwrap_or(ProblemCode::BadEncoding);
    Box::new(Problem::new(code, error.to_string()).rule("csr").offset(error.offset()))
}

#[cfg(test)]
mod tests;
