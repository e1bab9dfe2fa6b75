//! Suspend, resume, void, retire.

use std::collections::BTreeSet;

use wire::Encoded;
use wire::body::{self, Ended, Phase};
use wire::event::EventKind;
use wire::intent::Intent;
use wire::problem::ProblemCode;
use wire::statement::Role;

use super::guard::{self, Case, Freshness, unsigned};
use super::moves::{commit_at_once, recovery_key};
use super::{Approved, NOT_YET_LOGGED, living};
use crate::identity::{Retiring, Standing, Suspender};
use crate::{Fact, Refusal, State, Time};

/// Active → suspended: the holder, one officer, the directory.
pub(super) fn suspend(
    state: &State<'_>,
    intent: &Intent,
    facts: &[Fact],
    time: Time,
) -> Result<Approved, Refusal> {
    let (identity, standing) = living(state)?;
    guard::fresh(state, identity, intent, Freshness::SinceResumed, time)?;
    let case = Case::new(state, facts, EventKind::Suspend, intent.hash(), time);
    let key = identity.key;
    let officers = case.officers()?;
    let (by, suspender) = if !officers.is_empty() {
        (Role::Officer, Suspender::Officer)
    } else if case.by_directory()? {
        (Role::Directory, Suspender::Directory)
    } else if case.by(Role::CurrentKey, |signer| key.is_some_and(|key| key.spki == signer))? {
        (Role::CurrentKey, Suspender::Holder)
    } else {
        let expected = "a statement by the current key, an officer or the directory".to_owned();
        return Err(unsigned("a suspension", expected));
    };
    let mut suspenders = match &standing {
        Standing::Suspended { by, .. } => by.clone(),
        _ => BTreeSet::new(),
    };
    if !suspenders.insert(suspender) {
        return Err(Refusal {
            code: ProblemCode::AlreadyDone,
            rule: "suspended-once",
            detail: "the identity is suspended by the same side".to_owned(),
            expected: "an identity that is not".to_owned(),
            found: format!("{suspenders:?}"),
            remedy: "nothing needs to be done",
        });
    }
    let wait_ms = state.installation.rules().wait.saturating_mul(1000);
    let spent = |officer| {
        let last = identity.details.officers_suspended.get(officer);
        last.is_some_and(|at| time.lower_ms() < at.saturating_add(wait_ms))
    };
    if !officers.is_empty() && officers.keys().all(spent) {
        return Err(Refusal {
            code: ProblemCode::NotYet,
            rule: "one-officer-suspends-once-per-wait",
            detail: "the officer suspended this identity before, and that was lifted".to_owned(),
            expected: "another officer, or one wait later".to_owned(),
            found: "the same officer".to_owned(),
            remedy: "ask another officer",
        });
    }
    let body = body::Standing { version: 1, by };
    let approved = Approved::step(state, identity, EventKind::Suspend, |next| {
        next.stand(Standing::Suspended { key, by: suspenders });
        for officer in officers.into_keys() {
            next.details.officers_suspended.insert(officer, time.upper_ms());
        }
    });
    Ok(approved.over(Some(intent)).ruled(&body))
}

/// Suspended → active: the recovery key or the threshold; the directory lifts its own only. A
/// current key lifts nothing: the thief has it too.
pub(super) fn resume(
    state: &State<'_>,
    intent: &Intent,
    facts: &[Fact],
    time: Time,
) -> Result<Approved, Refusal> {
    let (identity, standing) = living(state)?;
    let refuse = |rule, expected: &str, found: &str| Refusal {
        code: ProblemCode::AlreadyDone,
        rule,
        detail: "there is nothing that this could resume".to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
        remedy: "an identity without a key is recovered or switched",
    };
    let Standing::Suspended { key, mut by } = standing else {
        return Err(refuse("resume-what-is-suspended", "a suspended identity", "an active one"));
    };
    let Some(key) = key else {
        return Err(refuse("resume-needs-a-key", "an identity with a key", "its key is revoked"));
    };
    guard::fresh(state, identity, intent, Freshness::HeadOrAnchor, time)?;
    let case = Case::new(state, facts, EventKind::Resume, intent.hash(), time);
    let mut commitment = None;
    let role = if case.by_threshold()? {
        by.clear();
        Role::Officer
    } else if case.by_directory()? {
        if !by.remove(&Suspender::Directory) {
            return Err(refuse(
                "the-directory-lifts-its-own",
                "a suspension by the directory",
                "one by others",
            ));
        }
        Role::Directory
    } else {
        commitment = Some(recovery_key(&case, identity, intent, time)?);
        by.clear();
        Role::RecoveryKey
    };
    let body = body::Standing { version: 1, by: role };
    let approved = Approved::step(state, identity, EventKind::Resume, |next| {
        // Also where others' suspensions stand: what was lifted is not brought back by a replay.
        next.details.resumed = next.sequence;
        next.stand(if by.is_empty() {
            Standing::Active(key)
        } else {
            Standing::Suspended { key: Some(key), by }
        });
        if let Some(commitment) = commitment {
            commit_at_once(next, commitment);
        }
    });
    Ok(approved.over(Some(intent)).ruled(&body))
}

/// The enrolment was false. Whatever it set goes; the id stays, for a switch to the right person.
pub(super) fn void(
    state: &State<'_>,
    intent: &Intent,
    facts: &[Fact],
    time: Time,
) -> Result<Approved, Refusal> {
    let (identity, _) = living(state)?;
    guard::fresh(state, identity, intent, Freshness::HeadOrAnchor, time)?;
    Case::new(state, facts, EventKind::Void, intent.hash(), time).threshold()?;
    let body = Ended { version: 1, phase: Phase::Effective };
    let approved = Approved::step(state, identity, EventKind::Void, |next| {
        next.stand(Standing::Suspended { key: None, by: BTreeSet::from([Suspender::Void]) });
        next.recovery_commitment = None;
        let details = &mut next.details;
        (details.pending, details.still_wins, details.binding) = (None, None, None);
        (details.channels, details.former_channels) = (Vec::new(), None);
        details.names = Vec::new();
    });
    Ok(approved.over(Some(intent)).ruled(&body))
}

/// Announces the end. Threshold; never the holder alone.
pub(super) fn retire(
    state: &State<'_>,
    intent: &Intent,
    facts: &[Fact],
    time: Time,
) -> Result<Approved, Refusal> {
    let (identity, _) = living(state)?;
    guard::fresh(state, identity, intent, Freshness::HeadOrAnchor, time)?;
    Case::new(state, facts, EventKind::Retire, intent.hash(), time).threshold()?;
    if identity.retiring().is_some() {
        return Err(Refusal {
            code: ProblemCode::AlreadyDone,
            rule: "retire-once",
            detail: "the retirement is announced".to_owned(),
            expected: "an identity that goes on".to_owned(),
            found: "one about to end".to_owned(),
            remedy: "wait until it takes effect, or veto it",
        });
    }
    let announced = Retiring {
        intent: intent.hash(),
        leaf: NOT_YET_LOGGED,
        announced_ms: time.upper_ms(),
        wait: state.installation.rules().wait,
    };
    let body = Ended { version: 1, phase: Phase::Announced };
    let approved = Approved::step(state, identity, EventKind::Retire, |next| {
        next.details.retiring = Some(announced);
    });
    Ok(approved.over(Some(intent)).ruled(&body))
}

/// The announced end takes effect. Terminal.
pub(super) fn complete_retire(
    state: &State<'_>,
    facts: &[Fact],
    time: Time,
) -> Result<Approved, Refusal> {
    let (identity, _) = living(state)?;
    let Some(retiring) = identity.retiring() else {
        return Err(Refusal {
            code: ProblemCode::NoPendingSwitch,
            rule: "a-retirement-is-announced",
            detail: "no retirement is announced".to_owned(),
            expected: "an announcement by the threshold of officers".to_owned(),
            found: "none".to_owned(),
            remedy: "have the officers announce it",
        });
    };
    let wait = retiring.wait.max(state.installation.rules().wait);
    let (leaf, began) = (retiring.leaf, retiring.announced_ms);
    guard::wait_over(state.installation, facts, leaf, began, wait, time)?;
    let body = Ended { version: 1, phase: Phase::Effective };
    let approved = Approved::step(state, identity, EventKind::Retire, |next| {
        next.stand(Standing::Retired);
        next.details.pending = None;
        next.details.retiring = None;
    });
    Ok(approved.ruled(&body))
}
