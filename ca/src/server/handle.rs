//! One request: parsed, then put at the beginning of its walk, or answered from the store.

use std::sync::Arc;

use evidence::dossier::{self, Piece};
use tokio::sync::oneshot;
use wire::event::{EventKind, EvidenceKind, RevocationReason, TransportSource, TransportWord};
use wire::problem::{Problem, ProblemCode};
use wire::socket::{Peer, Request, RequestBody, ResponseBody, Signed};
use wire::{Encoded, Hash32, IdempotencyKey, UserId};
use x509::Csr;

use super::Door;
use super::moves::{self, About};
use super::weigh::{Bringer, Weighed, weigh};
use crate::authority::Authority;
use crate::certificates::Certificates;
use crate::walk::{Action, Answer, Ask, Guest, Idempotency, Reply};
use crate::{proofs, queries, search, switches};

/// The latest switch's certificate is among so many of the identity's latest ones: none follows
/// from anything before it is shown, but from another switch or a recovery.
const SWITCH_AMONG: u32 = 4;

pub(super) type Result<T> = std::result::Result<T, Box<Problem>>;

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
        RequestBody::Ask { uid, csr, signed, idempotency_key } => {
            moves::ask(authority, uid, csr.as_ref().map(|csr| &csr[..]), signed, idempotency_key)
                .await
        }
        RequestBody::Approve { switch, signed } => {
            moves::about(authority, switch, About::Approve, signed).await
        }
        RequestBody::Veto { switch, signed } => {
            moves::about(authority, switch, About::Veto, signed).await
        }
        RequestBody::Change { signed } => moves::change(authority, signed).await,
        RequestBody::Hsm(ask) => super::hsm::answer(authority, door, ask).await,
        RequestBody::Switch { switch } => {
            switches::switch(authority, switch).await.map(|s| ResponseBody::Switch(Box::new(s)))
        }
        RequestBody::Switches { page } => {
            may_search?;
            switches::switches(authority, &page).await.map(ResponseBody::Switches)
        }
        RequestBody::Policy => Ok(ResponseBody::Policy(Box::new(switches::policy(authority)))),
        RequestBody::Ways { uid, rules } => {
            switches::ways(authority, &uid, rules.as_ref().map(|der| &der[..]))
                .await
                .map(ResponseBody::Ways)
        }
        RequestBody::KeyChanges { page } => {
            may_search?;
            switches::key_changes(authority, &page).await.map(ResponseBody::KeyChanges)
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
    let guest = authority.announce();
    let (installation, certificates) = authority.at_once();
    let csr = parse(&certificates, &uid, csr)?;
    can_sign(authority)?;
    let request = request_hash(&uid, csr.der(), &signed);
    let mut evidence = vec![dossier::piece(EvidenceKind::Csr, csr.der().to_vec())];
    evidence.extend(peer);
    evidence.extend(signed_switch(authority, &uid).await?);
    let bringer = Bringer { uid: Some(&uid), csr: Some(&csr) };
    let weighed = weigh(authority, installation, bringer, evidence, signed).await?;
    let action = Action::Certify(Box::new(csr));
    let idempotency = idempotency_key.map(|key| Idempotency { key, request });
    let answer = put(authority, uid, action, weighed, idempotency, Some(guest)).await?;
    certificate(authority, &answer)
}

/// Reads a certification request; its subject must be the identity.
pub(super) fn parse(certificates: &Certificates, uid: &UserId, csr: &[u8]) -> Result<Csr> {
    Csr::parse(csr, certificates.key_rules())
        .and_then(|csr| csr.check_subject(uid).map(|()| csr))
        .map_err(|error| csr_problem(&error))
}

/// Nothing is recorded that could not be signed soon. The request itself is not at fault.
pub(super) fn can_sign(authority: &Authority) -> Result<()> {
    authority.hsm_state().map_err(|state| {
        Box::new(Problem::new(ProblemCode::HsmUnavailable, state).retry_after(2))
    })?;
    authority.cosigning().has_room(authority.log_size())
}

/// The certificate of the identity's latest switch, if it is signed and nothing in the log shows it:
/// what a certificate follows from shows it.
pub(super) async fn signed_switch(authority: &Authority, uid: &UserId) -> Result<Option<Piece>> {
    if authority.switch_token().is_none() {
        return Ok(None);
    }
    let row = authority.store().identity(uid).await.map_err(queries::store_error)?;
    let Some(spki) = row.and_then(|row| row.identity.unshown_switch()) else { return Ok(None) };
    let rows = authority.store().certificates_of(uid, None, SWITCH_AMONG);
    let mut rows = rows.await.map_err(queries::store_error)?.into_iter();
    let switch = rows.find(|row| row.kind == EventKind::SwitchComplete && row.key == spki);
    let der = switch.and_then(|row| row.certificate);
    Ok(der.map(|der| dossier::piece(EvidenceKind::SwitchCertificate, der)))
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
    let (installation, evidence) = (authority.installation(), peer.into_iter().collect());
    let bringer = Bringer { uid: Some(&row.uid), csr: None };
    let weighed = weigh(authority, installation, bringer, evidence, signed).await?;
    let answer = put(authority, row.uid, action, weighed, None, None).await?;
    certificate(authority, &answer)
}

/// Lets a request walk, and waits for the answer.
pub(super) async fn put(
    authority: &Arc<Authority>,
    uid: UserId,
    action: Action,
    weighed: Weighed,
    idempotency: Option<Idempotency>,
    guest: Option<Guest>,
) -> Result<Answer> {
    let Weighed { installation, evidence, facts, signers, intent, addresses } = weighed;
    let (reply, answer) = Reply::channel();
    let reply = reply.of(guest);
    authority.submit(Ask {
        uid,
        installation,
        action,
        evidence,
        facts,
        signers,
        intent,
        addresses,
        idempotency,
        reply,
    })?;
    awaited(answer).await
}

/// Waits for the end of a walk.
pub(super) async fn awaited(
    answer: oneshot::Receiver<std::result::Result<Answer, Problem>>,
) -> Result<Answer> {
    answer.await.unwrap_or_else(|_| Err(stopped())).map_err(Box::new)
}

fn stopped() -> Problem {
    let detail = "the authority stopped before it answered; ask again with the same key";
    Problem::new(ProblemCode::AuthorityUnavailable, detail).retry_after(2)
}

/// The answer about a certificate.
fn certificate(authority: &Authority, answer: &Answer) -> Result<ResponseBody> {
    let row = answer.certificate.as_ref().ok_or_else(|| Box::new(stopped()))?;
    let certificate = Box::new(queries::certificate(authority, row));
    Ok(ResponseBody::Certificate { certificate, created: answer.created })
}

/// What makes two requests the same one.
pub(super) fn request_hash(uid: &UserId, csr: &[u8], signed: &Signed) -> Hash32 {
    let intent = signed.intent.as_ref().map_or(&[][..], |intent| intent);
    let Signed { statements, assertions, public_keys, .. } = signed;
    let rest = statements.iter().chain(assertions).chain(public_keys).map(|part| &part[..]);
    let rest = rest.chain(signed.id_tokens.iter().map(|token| token.as_bytes()));
    let parts = [uid.as_str().as_bytes(), csr, intent].into_iter().chain(rest);
    let hashes: Vec<u8> = parts.flat_map(|part| *Hash32::of(part).as_bytes()).collect();
    Hash32::of(&hashes)
}

/// The one place where a refused certification request becomes a problem.
fn csr_problem(error: &x509::CsrError) -> Box<Problem> {
    let code = ProblemCode::from_slug(error.code()).unwrap_or(ProblemCode::BadEncoding);
    let (expected, found) = error.expected_and_found();
    let problem = Problem::new(code, error.to_string()).rule("csr").offset(error.offset());
    Box::new(problem.expected(expected, found))
}

#[cfg(test)]
mod tests;
