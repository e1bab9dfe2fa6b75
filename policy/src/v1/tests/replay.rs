//! Replay takes what was decided, and nothing that differs from it in any field.

use wire::event::Event;
use wire::intent::Intent;

use super::*;

struct Case {
    installation: Installation,
    before: Option<Identity>,
    event: Event,
    facts: Vec<Fact>,
    csr: Option<wire::Hash32>,
    after: Identity,
}

impl Case {
    fn new(before: Option<Identity>, request: &Request, facts: Vec<Fact>, intent: &Intent) -> Self {
        let installation = installation(|_| {});
        let key_use =
            before.as_ref().map_or(KeyUse::Unknown, |b| KeyUse::Known { by: b.uid.clone() });
        let state = State { installation: &installation, identity: before.clone(), key_use };
        let approved = decide(&state, request, &facts, noon()).unwrap();
        let (body, csr) = match request {
            Request::Revoke { reason, .. } => (crate::testing::revoked(*reason), None),
            _ => (certified("k0"), Some(csr("k0"))),
        };
        let decided = approved.into_event(NOON_MS, evidence(), Some(&intent.to_canonical()), &body);
        let after = decided.outcome.with_head(h("leaf"));
        Self { installation, before, event: decided.event, facts, csr, after }
    }

    fn apply(&self, event: &Event, csr: Option<wire::Hash32>) -> Result<Identity, ReplayError> {
        let key_use =
            self.before.as_ref().map_or(KeyUse::Unknown, |b| KeyUse::Known { by: b.uid.clone() });
        let state =
            State { installation: &self.installation, identity: self.before.clone(), key_use };
        apply(&state, event, h("leaf"), &self.facts, csr, h("k0"), noon())
    }
}

fn cases() -> [Case; 3] {
    let installation = installation(|_| {});
    let enrol = over_key(intent(&installation, EventKind::Enrol, "alice", None, 0), "k0");
    let alice = alice(&installation);
    let renew = intent(&installation, EventKind::Renew, "alice", Some(alice.head), 1);
    let renew = over_key(renew, "k0");
    let mut revocation = intent(&installation, EventKind::Revoke, "alice", Some(alice.head), 1);
    revocation.body = Some(octets(&crate::testing::revoked(RevocationReason::KeyCompromise)));
    let holder = |intent: &Intent| signed(&installation, Role::CurrentKey, "k0", intent);
    let by_agent = signed(&installation, Role::Agent, "agent", &enrol);
    [
        Case::new(None, &certify("alice", "k0"), vec![possession("k0"), by_agent], &enrol),
        Case::new(
            Some(alice.clone()),
            &certify("alice", "k0"),
            vec![possession("k0"), holder(&renew)],
            &renew,
        ),
        Case::new(Some(alice), &revoke("alice", "k0"), vec![holder(&revocation)], &revocation),
    ]
}

#[test]
fn what_was_decided_replays_to_the_same_identity() {
    for case in cases() {
        assert_eq!(case.apply(&case.event, case.csr).unwrap(), case.after);
    }
}

#[test]
fn a_difference_in_any_field_is_refused() {
    type Change = fn(&mut Event);
    let changes: &[(&str, Change)] = &[
        ("engine", |e| e.engine = 2),
        ("kind", |e| {
            e.kind = if e.kind == EventKind::Enrol { EventKind::Renew } else { EventKind::Enrol }
        }),
        ("kind without a rule", |e| e.kind = EventKind::Genesis),
        ("subject", |e| e.subject = Some(uid("bob"))),
        ("no subject", |e| e.subject = None),
        ("sequence", |e| e.sequence += 1),
        ("previous", |e| e.previous = Some(h("elsewhere"))),
        ("policy", |e| e.policy = h("other")),
        ("time", |e| e.time_ms += 1),
        ("no intent", |e| e.intent = None),
        ("intent", |e| {
            let mut intent = Intent::from_canonical(e.intent.as_ref().unwrap().as_bytes()).unwrap();
            intent.nonce = octets(&[2; 16]);
            e.intent = Some(octets(&intent.to_canonical()));
        }),
        ("body", |e| e.body = octets(b"")),
        ("another body", |e| {
            e.body = octets(&if e.kind == EventKind::Revoke {
                crate::testing::revoked(RevocationReason::Superseded)
            } else {
                certified("k1")
            });
        }),
    ];
    for case in cases() {
        for (what, change) in changes {
            let mut event = case.event.clone();
            change(&mut event);
            let outcome = case.apply(&event, case.csr);
            assert!(outcome.is_err(), "{what} of a {} event", case.event.kind);
        }
        if case.csr.is_some() {
            assert!(case.apply(&case.event, Some(csr("k1"))).is_err());
            assert!(case.apply(&case.event, None).is_err());
        }
    }
}

#[test]
fn what_the_body_says_of_possession_and_recovery_is_held_against_the_rules() {
    let [enrol, ..] = cases();
    let body = Certified::from_canonical(enrol.event.body.as_bytes()).unwrap();
    for (field, body) in [
        ("body.possession-proven", Certified { possession_proven: false, ..body.clone() }),
        ("body.recovery-commitment", Certified { recovery_commitment: Some(h("r")), ..body }),
    ] {
        let event = Event { body: octets(&body.to_canonical()), ..enrol.event.clone() };
        let Err(ReplayError::Differs { field: found, .. }) = enrol.apply(&event, enrol.csr) else {
            panic!("{field} was taken");
        };
        assert_eq!(found, field);
    }
}
