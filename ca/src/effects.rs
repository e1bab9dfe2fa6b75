//! What waits takes effect by itself when its guards hold: switches, retirements, changes of the
//! installation. Rows only say when to ask; the policy decides on what the log proves, and, where
//! checkpoints are co-signed, on the times that co-signers said (`waited.rs`).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use evidence::dossier::Piece;
use policy::{ChangeRequest, Due, Fact, Installation};
use wire::event::EventKind;
use wire::problem::{Problem, ProblemCode};
use wire::{Hash32, UserId};
use x509::Csr;

use crate::authority::{Authority, Fatal};
use crate::cosign::{self, Doors};
use crate::store::StoreError;
use crate::store::rows::EventRow;
use crate::waited::{self, Over};
use crate::walk::{Action, Ask, ChangeAsk, Reply};

/// Identities asked about at once.
const BATCH: u32 = 64;

/// Longest time between two looks at what waits, milliseconds.
const LOOK_MS: u64 = 30_000;

/// The same where the clock is a test's, which jumps.
const LOOK_TEST_MS: u64 = 200;

/// How long what was refused is left alone, milliseconds: whoever changes something asks at once.
const REFUSED_MS: u64 = 60_000;

/// What may take effect.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Waiting {
    Identity(UserId),
    Installation(EventKind),
}

impl Waiting {
    /// Without the name of anybody: log lines name no user.
    fn in_short(&self) -> String {
        match self {
            Self::Identity(_) => "of an identity".to_owned(),
            Self::Installation(kind) => kind.to_string(),
        }
    }
}

/// Has what waits take effect, until the authority stops.
///
/// # Errors
/// [`Fatal`] when the store is not whole.
pub(crate) async fn run(authority: Arc<Authority>) -> Result<(), Fatal> {
    let mut refused: HashMap<Waiting, u64> = HashMap::new();
    // Said once of each, since they are looked at often.
    let mut early = HashSet::new();
    loop {
        let look = if authority.clock().test_file().is_some() { LOOK_TEST_MS } else { LOOK_MS };
        let next_ms = match take_effect(&authority, &mut refused, &mut early).await {
            Ok(next_ms) => next_ms,
            Err(StoreError::Engine(error)) => {
                tracing::warn!(%error, "what waits cannot be read");
                0
            }
            Err(error) => return Err(error.into()),
        };
        let sleep = next_ms.saturating_sub(authority.clock().now_ms()).clamp(LOOK_TEST_MS, look);
        tokio::select! {
            () = authority.effects() => refused.clear(),
            () = tokio::time::sleep(Duration::from_millis(sleep)) => {}
            () = authority.stopping().cancelled() => return Ok(()),
        }
    }
}

/// Asks for everything that is due; returns when the next is, milliseconds since 1970.
async fn take_effect(
    authority: &Authority,
    refused: &mut HashMap<Waiting, u64>,
    early: &mut HashSet<Waiting>,
) -> Result<u64, StoreError> {
    // Nothing ends a wait that could not be in a signed checkpoint soon (`tail.rs`).
    if authority.hsm_state().is_err() {
        return Ok(authority.clock().now_ms() + LOOK_MS);
    }
    let installation = authority.installation();
    // Clocks of others may have gone on where this one has not.
    let ahead_ms = waited::witnessed_ms(authority.store(), &installation).await?.unwrap_or(0);
    let changes = installation.due().map(|due| (due.due_ms, Waiting::Installation(due.kind)));
    let mut waits: Vec<_> = changes.collect();
    // All that may be due, however many of them are refused for now, and the next one after.
    loop {
        let last = waits.iter().rev().find_map(|(due, waiting)| match waiting {
            Waiting::Identity(uid) => Some((*due, uid.clone())),
            Waiting::Installation(_) => None,
        });
        let batch = authority.store().due(last.as_ref(), BATCH).await?;
        let more = batch.len() == BATCH as usize
            && batch
                .last()
                .is_some_and(|(due, _)| *due <= authority.clock().now_ms().max(ahead_ms));
        waits.extend(batch.into_iter().map(|(due, uid)| (due, Waiting::Identity(uid))));
        if !more {
            break;
        }
    }
    let mut next_ms = u64::MAX;
    for (due_ms, waiting) in waits {
        let now_ms = authority.clock().now_ms();
        let left_alone_ms = refused.get(&waiting).copied().unwrap_or(0);
        if due_ms > now_ms.max(ahead_ms) || left_alone_ms > now_ms {
            next_ms = next_ms.min(due_ms.max(left_alone_ms));
            continue;
        }
        let outcome = match &waiting {
            Waiting::Identity(uid) => of_identity(authority, uid).await?,
            Waiting::Installation(kind) => of_installation(authority, *kind).await?,
        };
        match outcome {
            // Nothing is asked that would be refused: co-signers' clocks are looked at again soon.
            Ok(Asked::NotOver) => {
                let what = waiting.in_short();
                if early.insert(waiting) {
                    tracing::info!(what, "its row says that it is due, and its wait is not over");
                }
            }
            Ok(Asked::Done) => {
                early.remove(&waiting);
                refused.remove(&waiting);
            }
            Err(problem) => {
                let (what, rule) = (waiting.in_short(), problem.rule.as_deref());
                tracing::info!(what, rule, "it does not take effect yet");
                refused.insert(waiting, now_ms + REFUSED_MS);
                next_ms = next_ms.min(now_ms + REFUSED_MS);
            }
        }
    }
    Ok(next_ms)
}

/// What became of something that may be due.
enum Asked {
    /// It took effect, or there is nothing to do.
    Done,
    /// Its wait is not over.
    NotOver,
}

async fn of_identity(
    authority: &Authority,
    uid: &UserId,
) -> Result<Result<Asked, Problem>, StoreError> {
    let Some(row) = authority.store().identity(uid).await? else { return Ok(Ok(Asked::Done)) };
    let installation = authority.installation();
    let now_ms = authority.clock().now_ms();
    let Some(due) = policy::due(&installation, &row.identity, now_ms) else {
        return Ok(Ok(Asked::Done));
    };
    let switch = row.identity.pending().map(policy::Pending::intent);
    let intent = match due.kind {
        EventKind::SwitchComplete => switch,
        _ => row.identity.retiring().map(policy::Retiring::intent),
    };
    let began = match intent {
        Some(intent) => authority.store().proposal(intent).await?,
        None => None,
    };
    let Some(leaf_index) = began.map(|proposal| proposal.leaf_index) else {
        let detail = "the event that the wait began with is not there";
        return Ok(Err(Problem::new(ProblemCode::Internal, detail)));
    };
    let Some(over) = over(authority, &installation, &due, leaf_index).await? else {
        return Ok(Ok(Asked::NotOver));
    };
    // What auditors were handed counts if they receipted it before this.
    let stopped = match intent {
        Some(intent) => cosign::close(authority, uid, intent).await == Doors::Open,
        None => false,
    };
    if stopped {
        return Ok(Ok(Asked::NotOver));
    }
    let (evidence, facts) = over.brought();
    let action = match due.kind {
        EventKind::SwitchComplete => {
            let event = authority.store().event(leaf_index).await?;
            let event = event.filter(|row| row.event.subject.as_ref() == Some(uid));
            let request =
                switch.zip(event).and_then(|(intent, event)| requested(authority, &event, intent));
            let Some(csr) = request else {
                let detail = "the certification request of the switch is not there";
                return Ok(Err(Problem::new(ProblemCode::Internal, detail)));
            };
            Action::CompleteSwitch(Box::new(csr))
        }
        _ => Action::CompleteRetire,
    };
    let (reply, answer) = Reply::channel();
    let ask = Ask {
        uid: uid.clone(),
        installation,
        action,
        evidence,
        facts,
        signers: HashMap::new(),
        intent: None,
        addresses: Vec::new(),
        idempotency: None,
        reply,
    };
    if let Err(problem) = authority.submit(ask) {
        return Ok(Err(*problem));
    }
    Ok(answered(answer.await))
}

/// The certification request that came with the switch-request of this intent.
fn requested(authority: &Authority, asked: &EventRow, intent: Hash32) -> Option<Csr> {
    let is_it = asked.event.kind == EventKind::SwitchRequest
        && asked.event.intent.as_ref().is_some_and(|i| Hash32::of(i.as_bytes()) == intent);
    if !is_it {
        return None;
    }
    evidence::dossier::csr(&asked.evidence, authority.certificates().key_rules()).ok().flatten()
}

async fn of_installation(
    authority: &Authority,
    kind: EventKind,
) -> Result<Result<Asked, Problem>, StoreError> {
    let installation = authority.installation();
    let Some(due) = installation.due().find(|due| due.kind == kind) else {
        return Ok(Ok(Asked::Done));
    };
    let Some(leaf_index) = authority.timeline().index_of(due.leaf()) else {
        let detail = "the event that announced the change is not there";
        return Ok(Err(Problem::new(ProblemCode::Internal, detail)));
    };
    let Some(over) = over(authority, &installation, &due, leaf_index).await? else {
        return Ok(Ok(Asked::NotOver));
    };
    let (evidence, facts) = over.brought();
    let (reply, answer) = Reply::channel();
    let request = ChangeRequest::Effect(kind);
    let ask = ChangeAsk { installation, request, evidence, facts, reply };
    if let Err(problem) = authority.submit_change(ask) {
        return Ok(Err(*problem));
    }
    Ok(answered(answer.await))
}

/// How the wait is over by now.
async fn over(
    authority: &Authority,
    installation: &Installation,
    due: &Due,
    leaf_index: u64,
) -> Result<Option<Over>, StoreError> {
    let now_ms = authority.clock().now_ms();
    waited::over(authority.store(), installation, due, leaf_index, now_ms).await
}

impl Over {
    /// The evidence of the event that takes effect, with its facts.
    fn brought(self) -> (Vec<Piece>, Vec<Fact>) {
        match self {
            Self::Here => (Vec::new(), Vec::new()),
            Self::Witnessed { proof, facts } => (vec![proof], facts),
        }
    }
}

fn answered<T, E>(answer: Result<Result<T, Problem>, E>) -> Result<Asked, Problem> {
    match answer {
        Ok(Ok(_)) => Ok(Asked::Done),
        Ok(Err(problem)) if problem.code == ProblemCode::Pending => Ok(Asked::Done),
        Ok(Err(problem)) => Err(problem),
        Err(_) => {
            let detail = "the authority stopped before it answered";
            Err(Problem::new(ProblemCode::AuthorityUnavailable, detail))
        }
    }
}
