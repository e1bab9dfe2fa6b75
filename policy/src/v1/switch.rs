//! Switch: requested, approved, completed; veto.

use std::collections::BTreeMap;

use wire::body::{Approval, SwitchApproved, SwitchRequested, VetoEffect, Vetoed};
use wire::event::EventKind;
use wire::genesis::KeyPurpose;
use wire::intent::Intent;
use wire::problem::ProblemCode;
use wire::statement::Role;
use wire::{Encoded, Hash32};

use super::guard::{self, Case, Freshness, unsigned};
use super::moves::{commit_at_once, commit_later, new_key};
use super::rate;
use super::{Approved, NOT_YET_LOGGED, living, named_key};
use crate::identity::{Identity, Pending, Standing, Suspender, Unshown, besides_the_id};
use crate::{Fact, Installation, Refusal, State, Time};

/// Asks for a switch. The new key counter-signs; officers may approve along with it.
pub(super) fn request(
    state: &State<'_>,
    intent: &Intent,
    facts: &[Fact],
    time: Time,
) -> Result<Approved, Refusal> {
    let (identity, _) = living(state)?;
    guard::movable(state.installation, EventKind::SwitchRequest)?;
    let (spki, csr) = named_key(intent)?;
    guard::fresh(state, identity, intent, Freshness::HeadOrAnchor, time)?;
    let hash = intent.hash();
    let case = Case::new(state, facts, EventKind::SwitchRequest, hash, time);
    case.new_key(state, spki, csr)?;
    guard::person(facts, intent, identity.binding(), true)?;
    let approvals = approvals(&case.for_verb(EventKind::SwitchApprove))?;
    if approvals.contains_key(&spki) {
        return Err(guard::evidence(
            "officer-is-not-the-subject",
            "officers other than whoever holds the new key",
            &spki,
        ));
    }
    displaces(identity, hash, spki, approvals.len(), time)?;
    let requested = if approvals.is_empty() {
        rate::one_more_request(identity, time)?
    } else {
        identity.details.requested
    };
    let rules = state.installation.rules();
    let request_expiry = time.upper_ms().saturating_add(rules.request_expiry * 1000);
    let pending = Pending {
        intent: hash,
        spki,
        csr,
        commitment: intent.recovery_commitment,
        names: besides_the_id(&intent.names),
        leaf: NOT_YET_LOGGED,
        requested_ms: time.upper_ms(),
        expires_ms: request_expiry.min(intent.expiry.saturating_mul(1000)),
        wait: rules.wait,
        needed: rules.approvals,
        approvals,
        slowed: false,
    };
    let body = SwitchRequested {
        version: 1,
        intent: hash,
        spki,
        approvals: pending.needed,
        wait: pending.wait,
        expires_ms: pending.expires_ms,
        approved: listed(&pending.approvals),
    };
    let approved = Approved::step(state, identity, EventKind::SwitchRequest, |next| {
        next.details.pending = Some(pending);
        next.details.requested = requested;
    });
    // Anybody can file a request: it moves no anchor, so it makes nobody's intent stale.
    Ok(approved.over(Some(intent)).ruled(&body).anchors(false))
}

/// Whether a request may take the place of the pending one: it is by the same new key, or more
/// officers stand behind it. So a stranger's request keeps nobody from asking, and replaces none
/// that an officer has looked at.
fn displaces(
    identity: &Identity,
    intent: Hash32,
    spki: Hash32,
    brought: usize,
    time: Time,
) -> Result<(), Refusal> {
    let Some(pending) = identity.pending() else { return Ok(()) };
    if pending.intent == intent {
        return Err(Refusal {
            code: ProblemCode::AlreadyDone,
            rule: "one-request-per-intent",
            detail: "this very request was made before".to_owned(),
            expected: "another intent".to_owned(),
            found: format!("intent {intent}, pending"),
            remedy: "wait for approvals, or make a new intent",
        });
    }
    let expired = time.upper_ms() > pending.expires_ms;
    if expired
        || pending.spki == spki
        || pending.approvals.is_empty()
        || brought > pending.approvals.len()
    {
        return Ok(());
    }
    Err(Refusal {
        code: ProblemCode::SwitchPending,
        rule: "one-pending-switch",
        detail: "another request is pending, and officers have approved it".to_owned(),
        expected: format!("more than {} approvals with this request", pending.approvals.len()),
        found: brought.to_string(),
        remedy: "have officers approve this request first, and send it with their approvals",
    })
}

/// Officers' approvals, each with how the person was identified.
fn approvals(case: &Case<'_>) -> Result<BTreeMap<Hash32, Hash32>, Refusal> {
    case.officers()?
        .into_iter()
        .map(|(officer, remark)| match remark {
            Some(remark) => Ok((officer, remark)),
            None => Err(guard::evidence(
                "approval-says-how",
                "how the person was identified, signed along",
                &"no signed remark",
            )),
        })
        .collect()
}

fn listed(approvals: &BTreeMap<Hash32, Hash32>) -> Vec<Approval> {
    approvals.iter().map(|(&officer, &remark)| Approval { officer, remark }).collect()
}

/// The pending switch that a request is about.
fn pending(identity: &Identity, intent: Option<Hash32>, time: Time) -> Result<&Pending, Refusal> {
    let refuse = |code, rule, expected: String, found: String| Refusal {
        code,
        rule,
        detail: "this switch is not pending".to_owned(),
        expected,
        found,
        remedy: "look at the identity's present state; ask for a switch anew if need be",
    };
    let asked = intent.map_or("a pending switch".to_owned(), |hash| format!("intent {hash}"));
    let Some(pending) = identity.pending() else {
        let rule = "a-switch-is-pending";
        return Err(refuse(ProblemCode::NoPendingSwitch, rule, asked, "none".to_owned()));
    };
    if intent.is_some_and(|intent| intent != pending.intent) {
        let found = format!("intent {}", pending.intent);
        return Err(refuse(ProblemCode::NoPendingSwitch, "another-intent", asked, found));
    }
    if time.upper_ms() > pending.expires_ms {
        let expected = format!("a decision by {} s since 1970", pending.expires_ms / 1000);
        let found = format!("{} s", time.upper_ms() / 1000);
        return Err(refuse(ProblemCode::RequestExpired, "request-expiry", expected, found));
    }
    Ok(pending)
}

/// Officers approve.
pub(super) fn approve(
    state: &State<'_>,
    intent: Hash32,
    facts: &[Fact],
    time: Time,
) -> Result<Approved, Refusal> {
    let (identity, _) = living(state)?;
    let pending = pending(identity, Some(intent), time)?;
    let case = Case::new(state, facts, EventKind::SwitchApprove, intent, time);
    let mut fresh = approvals(&case)?;
    if fresh.is_empty() {
        return Err(unsigned("an approval", "an officer's statement over the request".to_owned()));
    }
    fresh.retain(|officer, _| !pending.approvals.contains_key(officer));
    if fresh.is_empty() {
        return Err(Refusal {
            code: ProblemCode::AlreadyDone,
            rule: "one-officer-counts-once",
            detail: "the officer has approved this request before".to_owned(),
            expected: "an officer who has not approved yet".to_owned(),
            found: format!("{} approvals, these among them", pending.approvals.len()),
            remedy: "ask another officer",
        });
    }
    let body = SwitchApproved { version: 1, intent, approved: listed(&fresh) };
    let approved = Approved::step(state, identity, EventKind::SwitchApprove, |next| {
        if let Some(pending) = &mut next.details.pending {
            pending.approvals.extend(fresh);
        }
    });
    Ok(approved.over(case.the_intent()).ruled(&body).anchors(false))
}

/// What a pending switch still needs, under the rules in force.
pub(crate) struct Terms {
    /// Officers who must approve.
    pub(crate) needed: usize,
    /// Officers who approved and are in the roster still.
    pub(crate) have: usize,
    /// Seconds from the request.
    pub(crate) wait: u64,
    /// Not before this, milliseconds since 1970, for the cooldown.
    pub(crate) cooled_ms: u64,
}

/// The stricter of the request's terms and today's, so that no change of policy or roster eases a
/// pending switch.
pub(crate) fn terms(installation: &Installation, identity: &Identity, pending: &Pending) -> Terms {
    let rules = installation.rules();
    let (mut needed, mut wait) =
        (pending.needed.max(rules.approvals), pending.wait.max(rules.wait));
    if pending.slowed {
        // One more, unless there is nobody left to ask.
        let others = installation.officers_besides(identity).max(needed as usize);
        needed = (needed + 1).min(u32::try_from(others).unwrap_or(u32::MAX));
        wait = wait.saturating_mul(2);
    }
    let have = pending.approvals.keys().filter(|key| installation.officer(**key).is_some()).count();
    let cooled_ms =
        identity.details.switched_ms.map_or(0, |at| at.saturating_add(rules.cooldown * 1000));
    Terms { needed: needed as usize, have, wait, cooled_ms }
}

/// The pending switch takes effect, also from suspended.
pub(super) fn complete(state: &State<'_>, facts: &[Fact], time: Time) -> Result<Approved, Refusal> {
    let (identity, _) = living(state)?;
    let installation = state.installation;
    guard::movable(installation, EventKind::SwitchComplete)?;
    let pending = pending(identity, None, time)?;
    guard::unused(state, pending.spki)?;
    let terms = terms(installation, identity, pending);
    if terms.have < terms.needed {
        return Err(Refusal {
            code: ProblemCode::EvidenceRequired,
            rule: "threshold-of-officers",
            detail: "more officers must approve".to_owned(),
            expected: format!("{} approvals by officers of the present roster", terms.needed),
            found: terms.have.to_string(),
            remedy: "ask further officers to approve",
        });
    }
    if time.lower_ms() < terms.cooled_ms {
        return Err(Refusal {
            code: ProblemCode::NotYet,
            rule: "cooldown",
            detail: "the identity was switched a short while ago".to_owned(),
            expected: format!("{} s since 1970 or later", terms.cooled_ms.div_ceil(1000)),
            found: format!("{} s", time.lower_ms() / 1000),
            remedy: "wait until the cooldown is over",
        });
    }
    let began = pending.requested_ms;
    guard::wait_over(installation, facts, pending.leaf, began, terms.wait, time)?;
    let (spki, csr, commitment) = (pending.spki, pending.csr, pending.commitment);
    let (names, window) = (pending.names.clone(), installation.rules().recovery_window);
    let own_issuer = installation.issuing_purpose(EventKind::SwitchComplete);
    let unshown = (own_issuer == KeyPurpose::SwitchIssuing).then(|| Unshown {
        spki,
        recovery: match identity.details.unshown {
            Some(before) => before.recovery,
            None => identity.recovery_key(time.lower_ms()),
        },
    });
    let approved = Approved::step(state, identity, EventKind::SwitchComplete, |next| {
        next.details.unshown = unshown;
        next.stand(Standing::Active(new_key(identity, spki)));
        next.details.resumed = next.sequence;
        next.details.pending = None;
        next.details.switched_ms = Some(time.upper_ms());
        next.details.names = names;
        if let Some(commitment) = commitment {
            if identity.recovery_key(time.lower_ms()).is_some() {
                commit_later(next, commitment, window, time);
            } else {
                commit_at_once(next, commitment);
            }
        }
    });
    Ok(approved.request(csr).certifies(commitment))
}

/// Drops or slows a pending switch, or drops an announced retirement.
pub(super) fn veto(
    state: &State<'_>,
    intent: Hash32,
    facts: &[Fact],
    time: Time,
) -> Result<Approved, Refusal> {
    let (identity, standing) = living(state)?;
    let case = Case::new(state, facts, EventKind::Veto, intent, time);
    let retiring = identity.retiring().is_some_and(|retiring| retiring.intent == intent);
    if !retiring {
        pending(identity, Some(intent), time)?;
    }
    let (by, effect) = if case.by_recovery_key(identity.recovery_key(time.lower_ms()))? {
        (Role::RecoveryKey, VetoEffect::Dropped)
    } else if case.by_threshold()? {
        (Role::Officer, VetoEffect::Dropped)
    } else {
        (Role::CurrentKey, by_current_key(&case, identity, &standing, retiring)?)
    };
    let body = Vetoed { version: 1, intent, by, effect };
    let approved = Approved::step(state, identity, EventKind::Veto, |next| match effect {
        VetoEffect::Dropped if retiring => next.details.retiring = None,
        VetoEffect::Dropped => next.details.pending = None,
        VetoEffect::Slowed => {
            let wait = state.installation.rules().wait;
            if let Some(pending) = &mut next.details.pending {
                pending.slowed = true;
                let more = pending.wait.max(wait).saturating_mul(1000);
                pending.expires_ms = pending.expires_ms.saturating_add(more);
            }
        }
    });
    Ok(approved.over(case.the_intent()).ruled(&body).anchors(effect == VetoEffect::Dropped))
}

/// The current key's veto is final unless an officer-made suspension stands: then whoever holds it
/// may be the thief, and the veto slows the switch, once.
fn by_current_key(
    case: &Case<'_>,
    identity: &Identity,
    standing: &Standing,
    retiring: bool,
) -> Result<VetoEffect, Refusal> {
    let missing =
        || unsigned("a veto", "a statement by recovery key, officers or current key".to_owned());
    let key = identity.key.ok_or_else(missing)?;
    if !case.by(Role::CurrentKey, |signer| signer == key.spki)? {
        return Err(missing());
    }
    if retiring {
        return Err(guard::evidence(
            "a-current-key-stops-no-retirement",
            "the recovery key or the threshold of officers",
            &"the current key",
        ));
    }
    let doubted =
        matches!(standing, Standing::Suspended { by, .. } if by.contains(&Suspender::Officer));
    match identity.pending() {
        Some(pending) if doubted && pending.slowed => Err(Refusal {
            code: ProblemCode::AlreadyDone,
            rule: "the-current-key-objects-once",
            detail: "the current key has objected to this switch before".to_owned(),
            expected: "the recovery key or the threshold of officers".to_owned(),
            found: "the current key, under an officer's suspension".to_owned(),
            remedy: "turn to the officers",
        }),
        Some(_) if doubted => Ok(VetoEffect::Slowed),
        _ => Ok(VetoEffect::Dropped),
    }
}
