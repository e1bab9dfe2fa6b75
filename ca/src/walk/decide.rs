//! Decide: the policy's answer to each request, on rows of one moment.

use policy::{KeyUse, Refusal, State, Time};
use wire::problem::{Problem, ProblemCode};

use super::ask::store_unavailable;
use super::publish::answer_when_published;
use super::{Action, Ask};
use crate::authority::Authority;
use crate::heads::HeadsError;
use crate::store::rows::{Books, Refused};
use crate::store::{StoreError, Wanted};

/// A request that the policy lets happen.
#[derive(Debug)]
pub(crate) struct Decision {
    pub(super) ask: Ask,
    pub(super) approved: policy::Approved,
    /// When it was decided, milliseconds since 1970.
    pub(super) now_ms: u64,
    /// When its first event was, milliseconds since 1970; none if the identity is new.
    pub(super) known: Option<u64>,
    /// The key was never seen before.
    pub(super) new_key: bool,
}

/// Decides a group in which no identity and no key is twice. Who is refused, or asks again for
/// what is there, is answered here.
pub(crate) async fn decide(authority: &Authority, group: Vec<Ask>) -> Vec<Decision> {
    let books = match authority.store().books(&wanted(&group)).await {
        Ok(books) => books,
        Err(error) => {
            tracing::error!(%error, "cannot read what decisions rest on");
            group.into_iter().for_each(|ask| ask.reply.send(Err(store_unavailable())));
            return Vec::new();
        }
    };
    let mut decisions = Vec::with_capacity(group.len());
    let mut refused = Vec::new();
    for ask in group {
        if let Some(leaf_index) = replayed(&books, &ask) {
            match leaf_index {
                Ok(leaf_index) => answer_when_published(authority, leaf_index, ask.reply),
                Err(problem) => ask.reply.send(Err(problem)),
            }
            continue;
        }
        let Some(ask) = proven(authority, &books, ask).await else { continue };
        match decide_one(authority, &books, ask) {
            Ok(decision) => decisions.push(decision),
            Err(refusal) => refused.push(*refusal),
        }
    }
    answer_refused(authority, refused).await;
    decisions
}

fn wanted(group: &[Ask]) -> Wanted {
    Wanted {
        uids: group.iter().map(|ask| ask.uid.clone()).collect(),
        keys: group.iter().map(Ask::key).collect(),
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
    books: &Books,
    ask: Ask,
) -> Result<Decision, Box<(Ask, Refusal, u64)>> {
    let row = books.identities.get(&ask.uid);
    let known_key = books.keys.get(&ask.key());
    let state = State {
        installation: authority.installation(),
        identity: row.map(|row| row.identity.clone()),
        key_use: known_key.map_or(KeyUse::Unknown, |key| KeyUse::Known { by: key.uid.clone() }),
    };
    let now_ms = authority.clock().now_ms();
    match policy::decide(&state, &ask.request(), &ask.facts, Time::at_ms(now_ms)) {
        Ok(approved) => Ok(Decision {
            approved,
            now_ms,
            known: row.map(|row| row.created_ms),
            new_key: known_key.is_none() && matches!(ask.action, Action::Certify(_)),
            ask,
        }),
        Err(refusal) => Err(Box::new((ask, refusal, now_ms))),
    }
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
                key: Some(ask.key()),
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
