//! A change of the installation: it walks alone, since all else is decided under it.

use std::sync::Arc;

use evidence::Era;
use evidence::dossier::Piece;
use policy::{ChangeRequest, Fact, Installation, Time};
use tlog::quorum::Quorum;
use wire::head::installation_position;
use wire::problem::{Problem, ProblemCode};

use super::ask::{Done, changed_meanwhile, store_unavailable};
use super::record::{Ledger, Recorded, What, leaf_of};
use super::sign::SignedGroup;
use super::{Caller, Reply, strike};
use crate::authority::{Authority, Fatal};
use crate::random;
use crate::store::rows::NewEvent;

/// A request to change the installation: parsed, with its facts, and somebody who waits.
#[derive(Debug)]
pub(crate) struct ChangeAsk {
    /// What its evidence was weighed under.
    pub(crate) installation: Arc<Installation>,
    pub(crate) request: ChangeRequest,
    pub(crate) evidence: Vec<Piece>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) reply: Reply,
}

/// Decides and records a change, which is in force from then on. A caller who is refused, or whose
/// change cannot be recorded, is answered here.
///
/// # Errors
/// As [`fn@super::record`].
pub(crate) async fn change(
    authority: &Arc<Authority>,
    ledger: &mut Ledger,
    ask: ChangeAsk,
    signed: Vec<SignedGroup>,
) -> Result<Vec<Recorded>, Fatal> {
    // A change is rare: whoever waits for a signature does not wait for what it takes to weigh it.
    ledger.append(authority, ledger.drafts(), &[], signed).await?;
    let ChangeAsk { installation, request, evidence, facts, reply } = ask;
    let present = authority.installation();
    if !Arc::ptr_eq(&present, &installation) {
        reply.send(Err(changed_meanwhile()));
        return Ok(Vec::new());
    }
    let now_ms = authority.clock().now_ms();
    let approved = match policy::decide_change(&present, &request, &facts, Time::at_ms(now_ms)) {
        Ok(approved) => approved,
        Err(refusal) => {
            reply.send(Err(refusal.into()));
            return Ok(Vec::new());
        }
    };
    match strike::takes_the_latest_along(authority, &request).await {
        Ok(Ok(())) => {}
        Ok(Err(refusal)) => {
            reply.send(Err(refusal.into()));
            return Ok(Vec::new());
        }
        Err(error) => {
            tracing::error!(%error, "cannot read what a strike is about");
            reply.send(Err(store_unavailable()));
            return Ok(Vec::new());
        }
    }
    let references = evidence.iter().map(|(reference, _)| reference.clone()).collect();
    let (event, outcome) = approved.into_event(now_ms, references);
    let salt = random::bytes();
    let leaf = leaf_of(&event, &[0; 32], &salt);
    let leaf_hash = leaf.leaf_hash();
    let after = outcome.with_head(leaf_hash);
    // Before it is recorded: what could not be issued under is not taken on.
    let head = after.proven_head();
    let certificates = authority.certificates().under(&after, authority.hsm()).await;
    let (certificates, era) = match (certificates, Era::of(after)) {
        (Ok(certificates), Ok(era)) => (certificates, era),
        (Err(error), _) => {
            let detail = format!("nothing could be issued after this change: {error}");
            let problem = Problem::new(ProblemCode::HsmUnavailable, detail).retry_after(2);
            reply.send(Err(problem));
            return Ok(Vec::new());
        }
        (_, Err(error)) => {
            let detail = format!("nothing could be issued after this change: {error}");
            let problem = Problem::new(ProblemCode::MalformedRequest, detail);
            let expected = "a change after which certificates can be issued";
            reply.send(Err(problem.expected(expected, error.to_string())));
            return Ok(Vec::new());
        }
    };
    if let Err(error) = Quorum::of(era.installation().cosigners()) {
        let detail = format!("the co-signers: {error}");
        let problem = Problem::new(ProblemCode::MalformedRequest, detail).rule("cosigners");
        let problem =
            problem.expected("co-signers of which a quorum can be made", error.to_string());
        reply.send(Err(problem.remedy("name each co-signer once, by its verifier key")));
        return Ok(Vec::new());
    }
    let mut drafts = ledger.drafts();
    let leaf_index = drafts.next_index();
    let done = Done::of(&event, leaf_index, leaf_hash);
    let new = NewEvent {
        leaf_index,
        leaf,
        salt,
        event,
        evidence,
        identity: None,
        new_key: None,
        certificate: None,
        revocation: None,
        proposal: None,
        addresses: Vec::new(),
        completes: None,
        idempotency: None,
    };
    let caller = Some(Caller { reply, done });
    let what = What::Nothing;
    drafts.push(new, Recorded { leaf_index, leaf_hash, what, revokes: false, caller });
    let changes: Vec<_> = head.map(|head| (installation_position(), head)).into_iter().collect();
    // Where the answer to a commit is lost and the change is there, the map meets an event that
    // this authority does not know, and it starts again.
    let recorded = ledger.append(authority, drafts, &changes, Vec::new()).await?;
    if !recorded.is_empty() {
        authority.take_on(leaf_index, era, certificates);
    }
    Ok(recorded)
}
