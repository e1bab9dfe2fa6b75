//! Revoke: the key goes, the identity is suspended and can be recovered or switched.

use std::collections::BTreeSet;

use wire::event::{Event, EventKind, RevocationReason, Revoked};
use wire::problem::ProblemCode;
use wire::statement::Role;
use wire::{Encoded, Hash32, SerialNumber, UserId, octets};

use super::guard::{self, Act};
use super::{Approved, Follows};
use crate::identity::{Standing, Suspender};
use crate::{Fact, Refusal, State, Time};

/// The key that an event takes from its identity, and why: every certificate over it is revoked
/// by the event. Given are SHA-256 of the SubjectPublicKeyInfo of the key before and after it.
#[must_use]
pub fn key_taken(
    event: &Event,
    before: Option<Hash32>,
    after: Option<Hash32>,
) -> Option<(Hash32, RevocationReason)> {
    let key = before.filter(|key| after != Some(*key))?;
    let reason = match event.kind {
        EventKind::Revoke => Revoked::from_canonical(event.body.as_bytes()).ok()?.reason,
        EventKind::Retire => RevocationReason::CessationOfOperation,
        // The enrolment was somebody else's.
        EventKind::Void => RevocationReason::KeyCompromise,
        _ => RevocationReason::Superseded,
    };
    Some((key, reason))
}

pub(super) fn decide(
    state: &State<'_>,
    uid: &UserId,
    serial: SerialNumber,
    spki: Hash32,
    reason: RevocationReason,
    facts: &[Fact],
    time: Time,
) -> Result<Approved, Refusal> {
    let Some(identity) = &state.identity else {
        return Err(Refusal {
            code: ProblemCode::UnknownIdentity,
            rule: "identity-exists",
            detail: "there is no such identity".to_owned(),
            expected: "an enrolled identity".to_owned(),
            found: "none".to_owned(),
            remedy: "check the id; ids are compared byte for byte",
        });
    };
    let Some(key) = identity.key.filter(|key| key.spki == spki) else {
        return Err(Refusal {
            code: ProblemCode::AlreadyRevoked,
            rule: "revoke-once",
            detail: "the certificate's key is not the identity's key any more".to_owned(),
            expected: "a certificate over the identity's current key".to_owned(),
            found: format!("a certificate over key {spki}"),
            remedy: "nothing needs to be done: clients refuse the certificate already",
        });
    };
    let body = Revoked { version: 1, serial: octets(serial.as_bytes()), reason }.to_canonical();
    let act = Act { verb: EventKind::Revoke, uid, csr: None, spki: None, body: Some(&body) };
    let is_current = |signer| signer == key.spki;
    let mut signed = guard::signed(state, facts, Role::CurrentKey, is_current, &act, time)?;
    if signed.is_none() {
        let is_officer = |signer| state.installation.officer(signer).is_some();
        signed = guard::signed(state, facts, Role::Officer, is_officer, &act, time)?;
    }
    if signed.is_none() && !guard::transport(state, uid, facts) {
        return Err(Refusal {
            code: ProblemCode::EvidenceRequired,
            rule: "transport-is-not-evidence",
            detail: "nothing that was signed asks for this revocation".to_owned(),
            expected: format!("a statement signed by the identity's current key {}", key.spki),
            found: "no signed statement".to_owned(),
            remedy: "sign the revocation with the key itself, or turn to an officer",
        });
    }
    let by = match identity.standing() {
        Standing::Suspended { mut by, .. } => {
            by.insert(Suspender::Revocation);
            by
        }
        _ => BTreeSet::from([Suspender::Revocation]),
    };
    let approved = Approved::step(state, identity, EventKind::Revoke, |next| {
        next.stand(Standing::Suspended { key: None, by });
    });
    Ok(Approved { follows: Follows::Asked(body), ..approved.over(signed) })
}
