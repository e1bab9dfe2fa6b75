//! Adopt, reissue, rekey, recover.

use wire::event::EventKind;
use wire::intent::Intent;
use wire::problem::ProblemCode;
use wire::statement::Role;
use wire::{Encoded, Hash32};

use super::guard::{self, Case, Freshness, unsigned};
use super::{Approved, active, living, named_key, no_new_key};
use super::{names, rate};
use crate::identity::{Identity, Key, Standing, StillWins, besides_the_id};
use crate::{Fact, Refusal, State, Time};

/// None → active: a key that exists already, from a list that the officers' threshold signed.
pub(super) fn adopt(
    state: &State<'_>,
    intent: &Intent,
    facts: &[Fact],
    time: Time,
) -> Result<Approved, Refusal> {
    if let Some(identity) = &state.identity {
        return Err(Refusal {
            code: ProblemCode::IdentityChangeRequired,
            rule: "adopt-only-what-is-new",
            detail: "the identity exists".to_owned(),
            expected: "an id that was never used".to_owned(),
            found: identity.uid.to_string(),
            remedy: "whoever has no key of it any more asks for a switch",
        });
    }
    let (Some(uid), Some(spki)) = (&intent.subject, intent.new_spki) else {
        return Err(no_new_key("intent.new-spki"));
    };
    guard::stale("head", guard::shown(None), guard::shown(intent.head))?;
    guard::stale("sequence", 0, intent.sequence)?;
    guard::in_force(state.installation, intent, time)?;
    guard::unused(state, spki)?;
    Case::new(state, facts, EventKind::Adopt, intent.hash(), time).threshold()?;
    let key = Key { spki, number: 0, possession_proven: false };
    let mut approved = Approved::begin(state, uid, EventKind::Adopt, key).over(Some(intent));
    approved.after.identity.details.names = besides_the_id(&intent.names);
    Ok(approved)
}

/// Same key and names, by campaign: the threshold signs, the holder does not.
pub(super) fn reissue(
    state: &State<'_>,
    intent: &Intent,
    facts: &[Fact],
    time: Time,
) -> Result<Approved, Refusal> {
    let (identity, key) = active(state)?;
    guard::fresh(state, identity, intent, Freshness::HeadOrAnchor, time)?;
    guard::same("intent.new-spki", Some(key.spki), intent.new_spki)?;
    names::as_they_are(identity, intent)?;
    Case::new(state, facts, EventKind::Reissue, intent.hash(), time).threshold()?;
    guard::switch_signed(state, identity, facts)?;
    let approved = Approved::step(state, identity, EventKind::Reissue, |next| {
        next.details.unshown = None;
    });
    Ok(approved.over(Some(intent)).certifies(None))
}

/// Next key, at once: the old key signs, the new one counter-signs.
pub(super) fn rekey(
    state: &State<'_>,
    intent: &Intent,
    facts: &[Fact],
    time: Time,
) -> Result<Approved, Refusal> {
    let (identity, key) = active(state)?;
    guard::movable(state.installation, EventKind::Rekey)?;
    let (spki, csr) = named_key(intent)?;
    guard::fresh(state, identity, intent, Freshness::HeadOrAnchor, time)?;
    guard::same("intent.recovery-commitment", None, intent.recovery_commitment)?;
    names::as_they_are(identity, intent)?;
    let case = Case::new(state, facts, EventKind::Rekey, intent.hash(), time);
    case.new_key(state, spki, csr)?;
    if !case.by(Role::CurrentKey, |signer| signer == key.spki)? {
        return Err(unsigned(
            "the old key's signature",
            format!("a statement by key {}", key.spki),
        ));
    }
    guard::switch_signed(state, identity, facts)?;
    let certified = rate::one_more_today(state, identity, time)?;
    let approved = Approved::step(state, identity, EventKind::Rekey, |next| {
        next.details.unshown = None;
        next.details.certified = certified;
        next.stand(Standing::Active(new_key(identity, spki)));
        // Whoever moves the identity with its own key has answered the request, as by a veto.
        next.details.pending = None;
    });
    Ok(approved.over(Some(intent)).request(csr).certifies(None))
}

/// Next key, at once, also from suspended; cancels a pending switch. The recovery key signs, is
/// revealed by that, and replaced.
pub(super) fn recover(
    state: &State<'_>,
    intent: &Intent,
    facts: &[Fact],
    time: Time,
) -> Result<Approved, Refusal> {
    let (identity, _) = living(state)?;
    guard::movable(state.installation, EventKind::Recover)?;
    let (spki, csr) = named_key(intent)?;
    guard::fresh(state, identity, intent, Freshness::Any, time)?;
    names::as_they_are(identity, intent)?;
    let case = Case::new(state, facts, EventKind::Recover, intent.hash(), time);
    case.new_key(state, spki, csr)?;
    let commitment = recovery_key(&case, identity, intent, time)?;
    // A recovery key of before the switch owes it nothing.
    let earlier = identity.details.unshown.map(|unshown| unshown.recovery);
    if earlier != Some(identity.recovery_key(time.lower_ms())) {
        guard::switch_signed(state, identity, facts)?;
    }
    let approved = Approved::step(state, identity, EventKind::Recover, |next| {
        next.details.unshown = None;
        next.stand(Standing::Active(new_key(identity, spki)));
        next.details.resumed = next.sequence;
        next.details.pending = None;
        commit_at_once(next, commitment);
    });
    Ok(approved.over(Some(intent)).request(csr).certifies(Some(commitment)))
}

/// Demands the recovery key that wins now, and a commitment to the one that replaces it.
pub(super) fn recovery_key(
    case: &Case<'_>,
    identity: &Identity,
    intent: &Intent,
    time: Time,
) -> Result<Hash32, Refusal> {
    let used = identity.recovery_key(time.lower_ms());
    if !case.by_recovery_key(used)? {
        return Err(unsigned(
            "the recovery key's signature",
            used.map_or("a recovery key, and none is set".to_owned(), |commitment| {
                format!("a statement by the recovery key with commitment {commitment}")
            }),
        ));
    }
    match intent.recovery_commitment {
        Some(next) if Some(next) != used => Ok(next),
        found => Err(Refusal {
            code: ProblemCode::MalformedRequest,
            rule: "recovery-key-is-used-once",
            detail: "a recovery key is replaced when it is used".to_owned(),
            expected: "a commitment to a new recovery key in the intent".to_owned(),
            found: guard::shown(found),
            remedy: "make a new recovery key and name its commitment",
        }),
    }
}

/// The commitment holds from now on, and none before it does.
pub(super) fn commit_at_once(identity: &mut Identity, commitment: Hash32) {
    identity.recovery_commitment = Some(commitment);
    identity.details.still_wins = None;
}

/// The commitment holds after the window; until then the one that wins now goes on winning, also
/// over further changes.
pub(super) fn commit_later(
    identity: &mut Identity,
    commitment: Hash32,
    window: u64,
    time: Time,
) -> u64 {
    let until_ms = time.upper_ms().saturating_add(window.saturating_mul(1000));
    let winning = identity.recovery_key(time.lower_ms());
    identity.details.still_wins = Some(StillWins { commitment: winning, until_ms });
    identity.recovery_commitment = Some(commitment);
    until_ms
}

/// The key after the latest one.
pub(super) fn new_key(identity: &Identity, spki: Hash32) -> Key {
    Key { spki, number: identity.next_key(), possession_proven: true }
}
