//! Enrol and renew: a certificate over a key.

use wire::event::EventKind;
use wire::intent::Intent;
use wire::problem::ProblemCode;
use wire::statement::Role;
use wire::{Encoded, Hash32, UserId};

use super::Approved;
use super::guard::{self, Act, Case, unsigned};
use super::particulars::channels_of;
use super::{names, rate};
use crate::fact::Proven;
use crate::{Fact, Identity, Key, KeyUse, Refusal, State, Status, Time};

pub(super) fn decide(
    state: &State<'_>,
    uid: &UserId,
    spki: Hash32,
    csr: Hash32,
    facts: &[Fact],
    time: Time,
) -> Result<Approved, Refusal> {
    guard::possession(facts, spki, csr)?;
    match &state.identity {
        None => enrol(state, uid, spki, csr, facts, time),
        Some(identity) => renew(state, identity, spki, csr, facts, time),
    }
}

/// None → active, key 0.
fn enrol(
    state: &State<'_>,
    uid: &UserId,
    spki: Hash32,
    csr: Hash32,
    facts: &[Fact],
    time: Time,
) -> Result<Approved, Refusal> {
    if let KeyUse::Known { .. } = &state.key_use {
        return Err(Refusal {
            code: ProblemCode::KeyInUse,
            rule: "one-key-one-identity",
            detail: "the key in the request is, or was, another identity's".to_owned(),
            expected: "a key that no identity of this installation ever had".to_owned(),
            found: format!("key {spki} of another identity"),
            remedy: "make a new key for this identity",
        });
    }
    let act = Act { verb: EventKind::Enrol, uid, csr: Some(csr), spki: Some(spki), body: None };
    within_scope(state, facts, uid)?;
    let is_agent = |key| state.installation.agent(key).is_some();
    let is_officer = |key| state.installation.officer(key).is_some();
    let by = |role, signer: &dyn Fn(Hash32) -> bool| {
        guard::signed(state, facts, role, signer, &act, time)
    };
    let mut vouched = by(Role::Agent, &is_agent)?;
    if vouched.is_none() {
        vouched = by(Role::Officer, &is_officer)?;
    }
    // What the holder's own key signs is what the holder sets.
    let holder = by(Role::NewKey, &|key| key == spki)?;
    let intent = vouched.or(holder);
    let person = match intent {
        Some(intent) => guard::person(facts, intent, None, false)?,
        None => None,
    };
    if vouched.is_none() && person.is_none() && !guard::transport(state, uid, facts) {
        return Err(unvouched(
            "enrolment",
            "an enrolment agent's signed statement over this request".to_owned(),
            "ask an enrolment agent of this installation to vouch for you",
        ));
    }
    if let (Some(vouched), Some(holder)) = (vouched, holder) {
        guard::same("intent", vouched.hash(), holder.hash())?;
    }
    let sets = |intent: &Intent| intent.recovery_commitment.is_some() || intent.body.is_some();
    if let (Some(intent), None) = (intent, holder)
        && sets(intent)
    {
        return Err(unsigned(
            "the holder's own signature over the first recovery key and channels",
            format!("a statement by the new key {spki}"),
        ));
    }
    let names = match intent {
        Some(intent) => {
            let case = Case::new(state, facts, EventKind::Enrol, intent.hash(), time);
            names::vouched(&case, facts, intent, &[])?
        }
        None => Vec::new(),
    };
    let key = Key { spki, number: 0, possession_proven: true };
    let mut approved = Approved::begin(state, uid, EventKind::Enrol, key).over(intent).request(csr);
    let identity = &mut approved.after.identity;
    identity.details.binding = person;
    identity.details.names = names;
    let commitment = intent.and_then(|intent| intent.recovery_commitment);
    if let Some(intent) = intent {
        identity.recovery_commitment = commitment;
        if intent.body.is_some() {
            identity.details.channels = channels_of(intent)?.channels;
        }
    }
    Ok(approved.certifies(commitment))
}

/// No agent vouches for who is not within its scope.
fn within_scope(state: &State<'_>, facts: &[Fact], uid: &UserId) -> Result<(), Refusal> {
    for fact in facts {
        let Proven::Signed { statement, signer, .. } = &fact.0 else { continue };
        let scope = state.installation.agent(*signer).filter(|_| statement.role == Role::Agent);
        if scope.is_some_and(|scope| !scope.covers(uid)) {
            return Err(Refusal {
                code: ProblemCode::EvidenceRefused,
                rule: "within-the-agents-scope",
                detail: "the agent does not vouch for ids like this one".to_owned(),
                expected: "an id with a prefix or suffix of the agent's scope".to_owned(),
                found: uid.to_string(),
                remedy: "ask another agent, or an officer",
            });
        }
    }
    Ok(())
}

/// Same key, new certificate.
fn renew(
    state: &State<'_>,
    identity: &Identity,
    spki: Hash32,
    csr: Hash32,
    facts: &[Fact],
    time: Time,
) -> Result<Approved, Refusal> {
    let key = current_key(state, identity, spki)?;
    let act = Act {
        verb: EventKind::Renew,
        uid: &identity.uid,
        csr: Some(csr),
        spki: Some(spki),
        body: None,
    };
    let is_current = |signer| signer == key.spki;
    let signed = guard::signed(state, facts, Role::CurrentKey, is_current, &act, time)?;
    if signed.is_none() && !guard::transport(state, &identity.uid, facts) {
        return Err(unvouched(
            "renewal",
            format!("a statement signed by the identity's current key {}", key.spki),
            "sign the renewal with the key itself",
        ));
    }
    if let Some(intent) = signed {
        names::as_they_are(identity, intent)?;
    }
    guard::switch_signed(state, identity, facts)?;
    let certified = rate::one_more_today(state, identity, time)?;
    let approved = Approved::step(state, identity, EventKind::Renew, |next| {
        next.details.unshown = None;
        next.key = Some(Key { possession_proven: true, ..key });
        next.details.certified = certified;
    });
    // A thief may renew too: that moves no anchor.
    Ok(approved.over(signed).request(csr).certifies(None).anchors(false))
}

/// The identity's key, if a request over `spki` may be a renewal at all.
fn current_key(state: &State<'_>, identity: &Identity, spki: Hash32) -> Result<Key, Refusal> {
    let refuse = |code, rule, detail: &str, expected: String, remedy| {
        let (detail, found) = (detail.to_owned(), format!("key {spki}"));
        Err(Refusal { code, rule, detail, expected, found, remedy })
    };
    match (identity.status, identity.key) {
        (Status::Retired, _) => refuse(
            ProblemCode::IdentityRetired,
            "retired-stays-retired",
            "the identity is retired",
            "an id that was never used".to_owned(),
            "enrol under another id",
        ),
        (Status::Active, Some(key)) if key.spki == spki => Ok(key),
        (Status::Active, Some(key)) => match &state.key_use {
            KeyUse::Known { by } if *by == identity.uid => refuse(
                ProblemCode::KeyWasUsed,
                "no-way-back-to-a-past-key",
                "the key in the request is a past key of this identity",
                format!("the current key {}", key.spki),
                "renew with the current key",
            ),
            _ => refuse(
                ProblemCode::IdentityChangeRequired,
                "one-identity-one-key",
                "this identity has another key, and enrolling again does not replace it",
                format!("the current key {}", key.spki),
                "renew with the current key; whoever has the old key may rekey, whoever has the \
                 recovery key recover, whoever has neither asks for a switch",
            ),
        },
        (Status::Suspended, _) | (Status::Active, None) => refuse(
            ProblemCode::IdentitySuspended,
            "suspended-gets-no-certificate",
            "the identity is suspended and gets no certificate",
            "an active identity".to_owned(),
            "recover it with its recovery key, or ask for a switch",
        ),
    }
}

fn unvouched(what: &str, expected: String, remedy: &'static str) -> Refusal {
    Refusal {
        code: ProblemCode::EvidenceRequired,
        rule: "transport-is-not-evidence",
        detail: format!("nothing that was signed vouches for this {what}"),
        expected,
        found: "no signed statement, and this policy does not let the transport's word stand alone"
            .to_owned(),
        remedy,
    }
}
