//! Tests of engine 1.

mod change;
mod enrol;
mod model;
mod moves;
mod objection;
mod particulars;
mod renew;
mod replay;
mod revoke;
mod standing;
mod statements;
pub(crate) mod switch;
pub(crate) mod world;

use wire::event::{Certified, EventKind, RevocationReason};
use wire::problem::ProblemCode;
use wire::statement::Role;
use wire::{Encoded, octets};

use super::*;
use crate::testing::*;
use crate::{Installation, KeyUse, Status};

/// A refusal's code, rule, expectation and finding.
#[track_caller]
fn refused<T: std::fmt::Debug>(
    outcome: Result<T, Refusal>,
    code: ProblemCode,
    rule: &str,
    expected: &str,
    found: &str,
) {
    let refusal = outcome.unwrap_err();
    assert_eq!((refusal.code, refusal.rule), (code, rule), "{refusal:?}");
    assert!(refusal.expected.contains(expected), "{refusal:?}");
    assert!(refusal.found.contains(found), "{refusal:?}");
    assert!(!refusal.remedy.is_empty() && !refusal.detail.is_empty());
}

fn certify(name: &str, key: &str) -> Request {
    Request::Certify { uid: uid(name), spki: h(key), csr: csr(key) }
}

fn revoke(name: &str, key: &str) -> Request {
    let reason = RevocationReason::KeyCompromise;
    Request::Revoke { uid: uid(name), serial: serial(), spki: h(key), reason }
}

fn certified(key: &str) -> Vec<u8> {
    Certified {
        version: 1,
        spki: h(key),
        issuer: h("issuer"),
        serial: octets(serial().as_bytes()),
        not_before: 0,
        not_after: 1,
        profile: "person".into(),
        tbs: h("tbs"),
        possession_proven: true,
        recovery_commitment: None,
    }
    .to_canonical()
}

/// Alice, enrolled by the agent with key `k0`; her head is `leaf 0`.
fn alice(installation: &Installation) -> Identity {
    let state = State { installation, identity: None, key_use: KeyUse::Unknown };
    let intent = over_key(intent(installation, EventKind::Enrol, "alice", None, 0), "k0");
    let facts = [possession("k0"), signed(installation, Role::Agent, "agent", &intent)];
    let approved = decide(&state, &certify("alice", "k0"), &facts, noon()).unwrap();
    let decided =
        approved.into_event(NOON_MS, evidence(), Some(&intent.to_canonical()), &certified("k0"));
    decided.outcome.with_head(h("leaf 0"))
}

fn on<'a>(installation: &'a Installation, identity: &Identity, key_use: KeyUse) -> State<'a> {
    State { installation, identity: Some(identity.clone()), key_use }
}

fn known(name: &str) -> KeyUse {
    KeyUse::Known { by: uid(name) }
}
