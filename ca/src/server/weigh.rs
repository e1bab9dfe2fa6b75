//! What came with a request, and what it proves. It is kept for ever and shown to everybody who
//! shares with the identity, so nothing is taken that nobody needs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use evidence::dossier::{self, DossierError, Piece};
use policy::{Fact, Installation};
use serde_bytes::ByteBuf;
use wire::address::Address;
use wire::event::{EventKind, EvidenceKind};
use wire::intent::Intent;
use wire::problem::{Problem, ProblemCode};
use wire::socket::Signed;
use wire::statement::{Role, SignedStatement};
use wire::{Encoded, Hash32, UserId};
use x509::Csr;

use super::addresses;
use super::handle::Result;
use crate::authority::Authority;
use crate::store::Wanted;

/// Evidence that was weighed, but for what counts at a certain time only.
pub(super) struct Weighed {
    pub(super) installation: Arc<Installation>,
    pub(super) evidence: Vec<Piece>,
    pub(super) facts: Vec<Fact>,
    pub(super) signers: HashMap<Hash32, Vec<u8>>,
    pub(super) intent: Option<Vec<u8>>,
    pub(super) addresses: Vec<Address>,
}

/// What a request is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bringer<'a> {
    /// Whose keys may have signed; none for a change of the installation.
    pub(super) uid: Option<&'a UserId>,
    /// The certification request that came along.
    pub(super) csr: Option<&'a Csr>,
}

/// Collects the evidence and what it proves. `installation` is the one that the request was parsed
/// under.
pub(super) async fn weigh(
    authority: &Authority,
    installation: Arc<Installation>,
    bringer: Bringer<'_>,
    mut evidence: Vec<Piece>,
    signed: Signed,
) -> Result<Weighed> {
    nothing_to_spare(&signed)?;
    let Bringer { uid, csr } = bringer;
    let (signers, addresses) = match uid {
        Some(uid) => (
            signers(authority, uid, &signed).await?,
            addresses::open(authority, uid, &signed).await?,
        ),
        None => (HashMap::new(), Vec::new()),
    };
    let pieces = |kind: EvidenceKind, data: Vec<ByteBuf>| {
        data.into_iter().map(move |data| dossier::piece(kind, data.into_vec()))
    };
    evidence.extend(pieces(EvidenceKind::Statement, signed.statements));
    evidence.extend(pieces(EvidenceKind::WebAuthn, signed.assertions));
    evidence.extend(pieces(EvidenceKind::PublicKey, signed.public_keys));
    let timeless = evidence.len();
    let tokens = signed.id_tokens.into_iter().map(|token| ByteBuf::from(token.into_bytes()));
    evidence.extend(pieces(EvidenceKind::IdToken, tokens.collect()));
    let intent = signed.intent.map(ByteBuf::into_vec);
    let spki_of = |hash: Hash32| signers.get(&hash).cloned();
    let facts =
        dossier::facts(&installation, csr, intent.as_deref(), &evidence[..timeless], &spki_of)
            .map_err(|error| evidence_problem(&error))?;
    Ok(Weighed { installation, evidence, facts, signers, intent, addresses })
}

/// Whether everything that came along is somebody's word, and each said once. Strangers may file
/// requests: what they could add without end would make a history that nobody can read.
fn nothing_to_spare(signed: &Signed) -> Result<()> {
    let refuse = |detail: String| {
        let problem = Problem::new(ProblemCode::EvidenceRefused, detail.clone())
            .rule("nothing-to-spare")
            .expected("what the decision rests on, each once", detail);
        Box::new(problem.remedy("send each statement once, and the keys that signed, and no more"))
    };
    let (mut said, mut recovering) = (HashSet::new(), HashSet::new());
    // What is no statement is refused where it is weighed.
    let parsed =
        signed.statements.iter().filter_map(|der| SignedStatement::from_canonical(der).ok());
    for SignedStatement { statement, signer, .. } in parsed {
        if !said.insert((statement.verb, statement.role, signer)) {
            let detail = format!("two {} statements by key {signer}", statement.verb);
            return Err(refuse(detail));
        }
        if statement.role == Role::RecoveryKey {
            recovering.insert(signer);
        }
    }
    let intent = signed.intent.as_ref().and_then(|der| Intent::from_canonical(der).ok());
    let adopted = intent.filter(|intent| intent.verb == EventKind::Adopt);
    let adopted = adopted.and_then(|intent| intent.new_spki);
    let mut shown = HashSet::new();
    for key in &signed.public_keys {
        let hash = Hash32::of(key);
        if !(recovering.contains(&hash) || adopted == Some(hash)) || !shown.insert(hash) {
            return Err(refuse(format!("public key {hash} is shown, and nothing needs it")));
        }
    }
    Ok(())
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

/// The one place where evidence that does not hold becomes a problem.
fn evidence_problem(error: &DossierError) -> Box<Problem> {
    Box::new(
        Problem::new(ProblemCode::EvidenceRefused, error.to_string())
            .rule("evidence")
            .expected(
                "evidence that holds for this request and this installation",
                error.to_string(),
            )
            .remedy("send evidence that was made for exactly this request"),
    )
}
