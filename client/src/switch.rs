//! A pending switch as the identity's own proven history shows it: what an officer looks at before
//! she approves, on her own machine, whatever the server says of it.

use policy::{Way, explain};
use serde::Serialize;
use wire::body::{SwitchApproved, SwitchRequested};
use wire::event::{EventKind, EvidenceKind};
use wire::intent::Intent;
use wire::statement::SignedStatement;
use wire::{Encoded, Hash32, UserId};

use crate::bundle::{ProvenEvent, ProvenIdentity};

/// A pending switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PendingSwitch {
    /// Hash of the intent: what approvals and vetoes are about.
    pub id: Hash32,
    /// Whose.
    pub uid: UserId,
    /// The identity's key now; none if it was revoked.
    pub old_key: Option<Hash32>,
    /// The key it would have.
    pub new_key: Hash32,
    /// All names that the certificate would carry.
    pub names: Vec<String>,
    /// Whether the request sets another recovery key.
    pub sets_recovery_key: bool,
    /// What the person says of it, signed by the new key.
    pub reason: Option<String>,
    /// When it was asked for, milliseconds since 1970.
    pub requested_ms: u64,
    /// When it expires, milliseconds since 1970.
    pub expires_ms: u64,
    /// Not before this it takes effect, milliseconds since 1970.
    pub not_before_ms: Option<u64>,
    /// Officers who must approve, by the request's own terms.
    pub needed: u32,
    /// Those who have.
    pub approvals: Vec<Approval>,
    /// Whether the current key objected while an officer's suspension stands.
    pub slowed: bool,
    /// What else it takes, in words.
    pub remains: Vec<String>,
}

/// An officer's approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Approval {
    /// The officer, as the roster names her; the hash of her key where it does not.
    pub officer: String,
    /// SHA-256 of her SubjectPublicKeyInfo.
    pub key: Hash32,
    /// How the person was identified.
    pub remark: Option<String>,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
}

/// The pending switch of a proven identity, if it has one; as of `now_ms`.
#[must_use]
pub fn pending(proven: &ProvenIdentity, now_ms: u64) -> Option<PendingSwitch> {
    let identity = proven.identity();
    let pending = identity.pending()?;
    let id = pending.intent();
    let is_it = |event: &&ProvenEvent| {
        let intent = event.event.intent.as_ref().map(|intent| Hash32::of(intent.as_bytes()));
        event.event.kind == EventKind::SwitchRequest && intent == Some(id)
    };
    let asked = proven.events().iter().rev().find(is_it)?;
    // The history was replayed: the intent is the one whose hash is pending, and it parses.
    let intent = Intent::from_canonical(asked.event.intent.as_ref()?.as_bytes()).ok()?;
    let terms = SwitchRequested::from_canonical(asked.event.body.as_bytes()).ok()?;
    let installation = proven.installation();
    let ways = explain(installation, Some(identity), policy::Time::at_ms(now_ms));
    let completes = ways.into_iter().find(|way| way.verb == EventKind::SwitchComplete);
    let (not_before_ms, remains) = match completes {
        Some(Way { not_before_ms, takes, closed, .. }) => {
            (not_before_ms, takes.into_iter().chain(closed).collect())
        }
        None => (None, Vec::new()),
    };
    let remark_of = |step: &ProvenEvent, by: Hash32| {
        // A remark counts where it was signed along.
        let counts = |s: &SignedStatement| s.signer == by && s.statement.remark.is_some();
        statements(step).find(counts).and_then(|signed| signed.remark)
    };
    let mut approvals = Vec::new();
    for step in proven.events().iter().filter(|step| step.event.sequence >= asked.event.sequence) {
        let body = step.event.body.as_bytes();
        let approved = match step.event.kind {
            EventKind::SwitchRequest if step.event.sequence == asked.event.sequence => {
                terms.approved.clone()
            }
            EventKind::SwitchApprove => match SwitchApproved::from_canonical(body) {
                Ok(approved) if approved.intent == id => approved.approved,
                _ => continue,
            },
            _ => continue,
        };
        approvals.extend(approved.into_iter().map(|approval| {
            let key = approval.officer;
            let officer = installation.officer(key).map(|officer| officer.name.clone());
            Approval {
                officer: officer.unwrap_or_else(|| key.to_string()),
                key,
                remark: remark_of(step, key),
                at_ms: step.event.time_ms,
            }
        }));
    }
    Some(PendingSwitch {
        id,
        uid: identity.uid.clone(),
        old_key: identity.key.map(|key| key.spki),
        new_key: pending.spki(),
        names: intent.names.iter().map(|name| format!("{}: {}", name.kind, name.value)).collect(),
        sets_recovery_key: intent.recovery_commitment.is_some(),
        reason: remark_of(asked, pending.spki()),
        requested_ms: pending.requested_ms(),
        expires_ms: pending.expires_ms(),
        not_before_ms,
        needed: terms.approvals,
        approvals,
        slowed: pending.is_slowed(),
        remains,
    })
}

/// The statements among an event's evidence. Their signatures were verified by the replay.
fn statements(step: &ProvenEvent) -> impl Iterator<Item = SignedStatement> {
    step.evidence
        .iter()
        .filter(|(reference, _)| reference.kind == EvidenceKind::Statement)
        .filter_map(|(_, der)| SignedStatement::from_canonical(der).ok())
}
