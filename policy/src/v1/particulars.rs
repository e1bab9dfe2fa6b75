//! Rename, channel change, recovery commitment change.

use wire::Encoded;
use wire::body::{Channels, Recommitted};
use wire::event::EventKind;
use wire::intent::Intent;
use wire::problem::ProblemCode;
use wire::statement::Role;

use super::guard::{self, Case, Freshness, unsigned};
use super::moves::{commit_at_once, commit_later};
use super::{Approved, active, living, suspended};
use super::{names, rate};
use crate::identity::{Identity, Standing};
use crate::{Fact, Refusal, State, Time};

/// The holder of an active identity on its very head, or the threshold of officers. Says whether
/// it was the threshold.
fn holder_or_threshold(
    state: &State<'_>,
    case: &Case<'_>,
    identity: &Identity,
    is_on_head: bool,
) -> Result<bool, Refusal> {
    if case.by_threshold()? {
        return Ok(true);
    }
    let (_, key) = active(state)?;
    if !case.by(Role::CurrentKey, |signer| signer == key.spki)? {
        let expected = format!("a statement by key {} or the threshold of officers", key.spki);
        return Err(unsigned("a signature", expected));
    }
    guard::on_head(identity, is_on_head)?;
    Ok(false)
}

/// Other names in the certificate, same key. The holder lets names go; each that is new somebody
/// vouches for.
pub(super) fn rename(
    state: &State<'_>,
    intent: &Intent,
    facts: &[Fact],
    time: Time,
) -> Result<Approved, Refusal> {
    let (identity, standing) = living(state)?;
    let head = guard::fresh(state, identity, intent, Freshness::HeadOrAnchor, time)?;
    let case = Case::new(state, facts, EventKind::Rename, intent.hash(), time);
    let by_officers = holder_or_threshold(state, &case, identity, head)?;
    let Standing::Active(key) = standing else {
        return Err(suspended());
    };
    guard::switch_signed(state, identity, facts)?;
    guard::same("intent.new-spki", Some(key.spki), intent.new_spki)?;
    let names = names::vouched(&case, facts, intent, &identity.details.names)?;
    if names == identity.details.names {
        return Err(Refusal {
            code: ProblemCode::AlreadyDone,
            rule: "rename-to-other-names",
            detail: "the names are the same".to_owned(),
            expected: "other names".to_owned(),
            found: format!("{} names as before", names.len()),
            remedy: "renew instead",
        });
    }
    guard::person(facts, intent, identity.binding(), false)?;
    let certified = if by_officers {
        identity.details.certified
    } else {
        rate::one_more_today(state, identity, time)?
    };
    let approved = Approved::step(state, identity, EventKind::Rename, |next| {
        next.details.unshown = None;
        next.details.certified = certified;
        next.details.names = names;
    });
    Ok(approved.over(Some(intent)).certifies(None).anchors(by_officers))
}

/// Notices go elsewhere; the old channels stay valid for one wait.
pub(super) fn channels(
    state: &State<'_>,
    intent: &Intent,
    facts: &[Fact],
    time: Time,
) -> Result<Approved, Refusal> {
    let (identity, _) = living(state)?;
    let head = guard::fresh(state, identity, intent, Freshness::HeadOrAnchor, time)?;
    let body = channels_of(intent)?;
    let case = Case::new(state, facts, EventKind::ChannelChange, intent.hash(), time);
    let by_officers = holder_or_threshold(state, &case, identity, head)?;
    let running = identity.details.former_channels.as_ref();
    let running = running.filter(|(_, until)| time.lower_ms() < *until);
    if let (false, Some((_, until))) = (by_officers, running) {
        return Err(Refusal {
            code: ProblemCode::NotYet,
            rule: "one-channel-change-per-wait",
            detail: "the channels changed a short while ago".to_owned(),
            expected: format!("{} s since 1970 or later", until.div_ceil(1000)),
            found: format!("{} s", time.lower_ms() / 1000),
            remedy: "wait, or turn to the officers",
        });
    }
    let wait = state.installation.rules().wait.saturating_mul(1000);
    let until_ms = time.upper_ms().saturating_add(wait);
    let former = match running {
        // What the officers put right in a hurry was not the owner's: the first ones go on.
        Some((first, _)) => first.clone(),
        None => identity.details.channels.clone(),
    };
    let approved = Approved::step(state, identity, EventKind::ChannelChange, |next| {
        next.details.former_channels = Some((former, until_ms));
        next.details.channels.clone_from(&body.channels);
    });
    Ok(approved.over(Some(intent)).ruled(&body).anchors(by_officers))
}

/// The channels that an intent names in its body.
pub(super) fn channels_of(intent: &Intent) -> Result<Channels, Refusal> {
    let malformed = |found: String| Refusal {
        code: ProblemCode::MalformedRequest,
        rule: "intent.body",
        detail: "the intent's body does not name channels".to_owned(),
        expected: "a channels body".to_owned(),
        found,
        remedy: "put the channels into the intent's body",
    };
    let body = intent.body.as_ref().ok_or_else(|| malformed("none".to_owned()))?;
    Channels::from_canonical(body.as_bytes()).map_err(|error| malformed(error.to_string()))
}

/// Another recovery key: at once by the old one; by the holder after the recovery window, until
/// when the old one wins.
pub(super) fn recommit(
    state: &State<'_>,
    intent: &Intent,
    facts: &[Fact],
    time: Time,
) -> Result<Approved, Refusal> {
    let (identity, _) = living(state)?;
    let head = guard::fresh(state, identity, intent, Freshness::HeadOrAnchor, time)?;
    let winning = identity.recovery_key(time.lower_ms());
    let commitment = match intent.recovery_commitment {
        Some(next) if Some(next) != winning => next,
        found => {
            return Err(Refusal {
                code: ProblemCode::MalformedRequest,
                rule: "intent.recovery-commitment",
                detail: "the intent names no other recovery key".to_owned(),
                expected: "a commitment to a new recovery key".to_owned(),
                found: guard::shown(found),
                remedy: "make a new recovery key and name its commitment",
            });
        }
    };
    let verb = EventKind::RecoveryCommitmentChange;
    let case = Case::new(state, facts, verb, intent.hash(), time);
    let by_recovery_key = case.by_recovery_key(winning)?;
    if !by_recovery_key {
        let (_, key) = active(state)?;
        if !case.by(Role::CurrentKey, |signer| signer == key.spki)? {
            let expected = "a statement by the old recovery key or the current key".to_owned();
            return Err(unsigned("a signature", expected));
        }
        guard::on_head(identity, head)?;
    }
    let certified = if by_recovery_key {
        identity.details.certified
    } else {
        rate::one_more_today(state, identity, time)?
    };
    let window = state.installation.rules().recovery_window;
    let mut old_wins_until_ms = 0;
    let approved = Approved::step(state, identity, verb, |next| {
        next.details.certified = certified;
        if by_recovery_key {
            commit_at_once(next, commitment);
        } else {
            old_wins_until_ms = commit_later(next, commitment, window, time);
        }
    });
    let by = if by_recovery_key { Role::RecoveryKey } else { Role::CurrentKey };
    let body = Recommitted { version: 1, commitment, by, old_wins_until_ms };
    Ok(approved.over(Some(intent)).ruled(&body).anchors(by_recovery_key))
}
