//! Decide: the policy's answer to each request, on rows of one moment.

use std::borrow::Cow;
use std::sync::Arc;

use evidence::dossier;
use policy::{Fact, Installation, KeyUse, Refusal, State, Time};
use wire::Hash32;
use wire::problem::{Problem, ProblemCode};

use super::ask::{changed_meanwhile, store_unavailable};
use super::publish::answer_when_published;
use super::{Action, Ask, Brings, Group};
use crate::authority::Authority;
use crate::heads::HeadsError;
use crate::store::rows::{Books, IdentityRow, KeyRow, Refused};
use crate::store::{StoreError, Wanted};

/// A request that the policy lets happen.
#[derive(Debug)]
pub(crate) struct Decision {
    pub(super) ask: Ask,
    pub(super) approved: policy::Approved,
    /// When it was decided, milliseconds since 1970.
    pub(super) now_ms: u64,
    /// The identity before; none if it is new.
    pub(super) before: Option<IdentityRow>,
    /// The key that it is about, if it was seen before.
    pub(super) known_key: Option<KeyRow>,
}

/// Decides a group in which no identity and no key is twice. Who is refused, or asks again for
/// what is there, is answered here.
pub(crate) async fn decide(authority: &Authority, group: Vec<Ask>) -> Vec<Decision> {
    let books = match authority.store().books(&wanted(&group)).await {
        Ok(books) => books,
        Err(error) => {
            tracing::error!(%error, "cannot read what decisions rest on");
            turn_away(Group::Identities(group));
            return Vec::new();
        }
    };
    // It changes between groups only.
    let installation = authority.installation();
    let mut decisions = Vec::with_capacity(group.len());
    let mut refused = Vec::new();
    for ask in group {
        if let Some(leaf_index) = replayed(&books, &ask) {
            match leaf_index {
                Ok(leaf_index) => {
                    answer_when_published(authority, ask.uid, leaf_index, ask.reply);
                }
                Err(problem) => ask.reply.send(Err(problem)),
            }
            continue;
        }
        if !Arc::ptr_eq(&installation, &ask.installation) {
            ask.reply.send(Err(changed_meanwhile()));
            continue;
        }
        let Some(ask) = proven(authority, &books, ask).await else { continue };
        match decide_one(authority, &installation, &books, ask) {
            Ok(decision) => decisions.push(decision),
            Err(refusal) => refused.push(*refusal),
        }
    }
    answer_refused(authority, refused).await;
    decisions
}

/// Answers a group for which there is no database.
pub(crate) fn turn_away(group: Group) {
    let replies = match group {
        Group::Identities(asks) => asks.into_iter().map(|ask| ask.reply).collect(),
        Group::Installation(ask) => vec![ask.reply],
    };
    replies.into_iter().for_each(|reply| reply.send(Err(store_unavailable())));
}

fn wanted(group: &[Ask]) -> Wanted {
    Wanted {
        uids: group.iter().map(|ask| ask.uid.clone()).collect(),
        keys: group.iter().filter_map(Ask::key).collect(),
        idempotency: group
            .iter()
            .filter_map(|ask| ask.idempotency.as_ref().map(|i| i.key.clone()))
            .collect(),
    }
}

/// The leaf that the same request led to before, or that its key was used for another request.
fn replayed(books: &Books, ask: &Ask) -> Option<Result<u64, Problem>> {
    let idempotency = ask.idempotency.as_ref()?;
    let used = books.idempotency.get(&idempotency.key)?;
    if used.request == idempotency.request {
        return Some(Ok(used.leaf_index));
    }
    let detail = "the Idempotency-Key was used for another request";
    Some(Err(Problem::new(ProblemCode::IdempotencyConflict, detail)
        .rule("idempotency-key")
        .expected(format!("request {}", used.request), format!("request {}", idempotency.request))
        .remedy("use a new key for a new request")))
}

/// Lets pass who rests on rows that the log proves; others are answered, and an operator is told.
async fn proven(authority: &Authority, books: &Books, ask: Ask) -> Option<Ask> {
    let checked = authority.heads().check(authority.store(), books, &ask.uid, ask.key()).await;
    let (code, detail) = match checked {
        Ok(Ok(())) => return Some(ask),
        Ok(Err(difference)) => (ProblemCode::Stopped, difference),
        Err(HeadsError::Store(error)) => {
            tracing::error!(%error, "cannot read the map");
            ask.reply.send(Err(store_unavailable()));
            return None;
        }
        Err(error) => (ProblemCode::Stopped, error.to_string()),
    };
    authority.alarm(format!("nothing is signed for an identity: {detail}"));
    let detail = format!("{detail}; nothing is signed on it until an operator has looked");
    ask.reply.send(Err(Problem::new(code, detail).rule("decisions-rest-on-proven-state")));
    None
}

fn decide_one(
    authority: &Authority,
    installation: &Installation,
    books: &Books,
    ask: Ask,
) -> Result<Decision, Box<(Ask, Refusal, u64)>> {
    let before = books.identities.get(&ask.uid);
    let known_key = ask.key().and_then(|key| books.keys.get(&key));
    let state = State {
        installation,
        identity: before.map(|row| row.identity.clone()),
        key_use: known_key.map_or(KeyUse::Unknown, |key| KeyUse::Known { by: key.uid.clone() }),
    };
    let now_ms = authority.clock().now_ms();
    let time = Time::at_ms(now_ms);
    let decided = weighed(installation, &ask, time)
        .and_then(|facts| policy::decide(&state, &ask.request(), &facts, time));
    match decided {
        Ok(approved) => Ok(Decision {
            approved,
            now_ms,
            before: before.cloned(),
            known_key: known_key.cloned(),
            ask,
        }),
        Err(refusal) => Err(Box::new((ask, refusal, now_ms))),
    }
}

/// The facts; those that time makes and unmakes are weighed now.
fn weighed<'a>(
    installation: &Installation,
    ask: &'a Ask,
    time: Time,
) -> Result<Cow<'a, [Fact]>, Refusal> {
    if !ask.is_timely() {
        return Ok(Cow::Borrowed(&ask.facts));
    }
    let csr = match &ask.action {
        Action::Certify(csr) => Some(&**csr),
        Action::Intent { brings: Some(Brings::Request(csr)), .. } => Some(&**csr),
        _ => None,
    };
    let spki_of = |hash: Hash32| ask.signers.get(&hash).cloned();
    dossier::facts_at(installation, csr, ask.intent.as_deref(), &ask.evidence, &spki_of, time)
        .map(Cow::Owned)
        .map_err(|error| Refusal {
            code: ProblemCode::EvidenceRefused,
            rule: "evidence",
            detail: error.to_string(),
            expected: "evidence that holds now".to_owned(),
            found: "evidence that does not".to_owned(),
            remedy: "send evidence that was made for exactly this request",
        })
}

/// Keeps refusals for the histories, then answers.
async fn answer_refused(authority: &Authority, refused: Vec<(Ask, Refusal, u64)>) {
    if refused.is_empty() {
        return;
    }
    let rows: Vec<Refused> = refused
        .iter()
        .map(|entry| {
            let (ask, refusal, at_ms) = entry;
            Refused {
                uid: ask.uid.clone(),
                at_ms: *at_ms,
                verb: ask.verb().to_owned(),
                key: ask.key(),
                code: refusal.code.slug().to_owned(),
                detail: refusal.detail.clone(),
                vouched: ask.vouched(),
            }
        })
        .collect();
    let kept: Result<(), StoreError> = authority.store().refuse(&rows).await;
    if let Err(error) = &kept {
        tracing::error!(%error, "cannot keep {} refusals for the histories", rows.len());
    }
    for entry in refused {
        let (ask, refusal, _) = entry;
        ask.reply.send(Err(refusal.into()));
    }
}
