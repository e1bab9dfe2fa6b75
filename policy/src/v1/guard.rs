//! Guards that several verbs share.

use wire::event::{EventKind, TransportSource};
use wire::intent::Intent;
use wire::problem::ProblemCode;
use wire::statement::Role;
use wire::{Hash32, UserId};

use crate::fact::Proven;
use crate::{Fact, Refusal, State, Time};

/// What a statement must be about to count for one act.
pub(super) struct Act<'a> {
    pub(super) verb: EventKind,
    pub(super) uid: &'a UserId,
    pub(super) csr: Option<Hash32>,
    pub(super) spki: Option<Hash32>,
    pub(super) body: Option<&'a [u8]>,
}

/// Whether the holder of the private key to `spki` made the request `csr`.
pub(super) fn possession(facts: &[Fact], spki: Hash32, csr: Hash32) -> Result<(), Refusal> {
    let proven = Fact(Proven::Possession { spki, csr });
    if facts.contains(&proven) {
        return Ok(());
    }
    Err(Refusal {
        code: ProblemCode::BadSignature,
        rule: "proof-of-possession",
        detail: "the holder of the key did not prove possession of it".to_owned(),
        expected: format!("a certification request signed by key {spki}"),
        found: "none".to_owned(),
        remedy: "sign the certification request with the private key itself",
    })
}

/// Whether the word of a transport is there and counts: that of the administrator's socket, or of
/// a TLS peer whose key is an enrolment agent's.
pub(super) fn transport(state: &State<'_>, facts: &[Fact]) -> bool {
    state.installation.rules().allow_transport_evidence
        && facts.iter().any(|fact| match fact.0 {
            Proven::Transport { source: TransportSource::AdminSocket, .. } => true,
            Proven::Transport { source: TransportSource::Mtls, peer } => {
                state.installation.agent(peer).is_some()
            }
            _ => false,
        })
}

/// Whether somebody in `role` with the key `signer` signed exactly this act, in this installation,
/// on this state, under this policy, in time; if so, the intent. `Ok(None)`: no such statement at
/// all.
pub(super) fn signed<'a>(
    state: &State<'_>,
    facts: &'a [Fact],
    role: Role,
    signer: impl Fn(Hash32) -> bool,
    act: &Act<'_>,
    time: Time,
) -> Result<Option<&'a Intent>, Refusal> {
    let mut refused = None;
    for fact in facts {
        let Proven::Signed { statement, signer: key, intent } = &fact.0 else { continue };
        if statement.role != role {
            continue;
        }
        let genesis = state.installation.genesis();
        let outcome = same("installation", genesis, statement.genesis)
            .and_then(|()| same("verb", act.verb, statement.verb))
            .and_then(|()| {
                if signer(*key) {
                    Ok(())
                } else {
                    Err(evidence("signer", &format!("a key that is a {role} here"), key))
                }
            })
            .and_then(|()| fits(state, act, intent, time));
        match outcome {
            Ok(()) => return Ok(Some(intent)),
            Err(refusal) => refused = Some(refusal),
        }
    }
    refused.map_or(Ok(None), Err)
}

/// Whether an intent is about this act, on this state.
fn fits(state: &State<'_>, act: &Act<'_>, intent: &Intent, time: Time) -> Result<(), Refusal> {
    let shown = |hash: Option<Hash32>| hash.map_or_else(|| "none".to_owned(), |h| h.to_string());
    same("intent.verb", act.verb, intent.verb)?;
    same("intent.subject", Some(act.uid), intent.subject.as_ref())?;
    same("intent.csr", shown(act.csr), shown(intent.csr))?;
    same("intent.new-spki", shown(act.spki), shown(intent.new_spki))?;
    same("intent.body", act.body, intent.body.as_ref().map(der_bytes))?;
    let identity = state.identity.as_ref();
    stale("head", shown(identity.map(|i| i.head)), shown(intent.head))?;
    stale("sequence", identity.map_or(0, |i| i.sequence + 1), intent.sequence)?;
    stale("policy", state.installation.rules_hash(), intent.policy)?;
    if time.upper_ms() > intent.expiry.saturating_mul(1000) {
        return Err(Refusal {
            code: ProblemCode::StaleIntent,
            rule: "intent.expiry",
            detail: "the intent has expired".to_owned(),
            expected: format!("an expiry after {} s since 1970", time.upper_ms() / 1000),
            found: intent.expiry.to_string(),
            remedy: "make a new intent and sign that",
        });
    }
    Ok(())
}

fn der_bytes(octets: &impl AsRef<[u8]>) -> &[u8] {
    octets.as_ref()
}

fn same<T: PartialEq + std::fmt::Debug>(
    rule: &'static str,
    expected: T,
    found: T,
) -> Result<(), Refusal> {
    if expected == found {
        return Ok(());
    }
    Err(evidence(rule, &format!("{expected:?}"), &format!("{found:?}")))
}

fn evidence(rule: &'static str, expected: &str, found: &impl std::fmt::Display) -> Refusal {
    Refusal {
        code: ProblemCode::EvidenceRefused,
        rule,
        detail: format!("a signed statement does not count here: its {rule} does not fit"),
        expected: expected.to_owned(),
        found: found.to_string(),
        remedy: "sign a statement for exactly this request, in this installation",
    }
}

fn stale<T: PartialEq + std::fmt::Display>(
    rule: &'static str,
    expected: T,
    found: T,
) -> Result<(), Refusal> {
    if expected == found {
        return Ok(());
    }
    Err(Refusal {
        code: ProblemCode::StaleIntent,
        rule,
        detail: format!("the intent was made for another state: its {rule} has moved on"),
        expected: expected.to_string(),
        found: found.to_string(),
        remedy: "fetch the present state, look at it, and sign again",
    })
}
