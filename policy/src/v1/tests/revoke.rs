use super::*;

fn by_holder(installation: &Installation, alice: &Identity, reason: RevocationReason) -> Fact {
    let mut intent = intent(installation, EventKind::Revoke, "alice", Some(alice.head), 1);
    intent.body = Some(octets(&crate::testing::revoked(reason)));
    signed(installation, Role::CurrentKey, "k0", &intent)
}

#[test]
fn the_holder_revokes_and_is_left_without_a_key() {
    let installation = installation(|_| {});
    let alice = alice(&installation);
    let state = on(&installation, &alice, known("alice"));
    let fact = by_holder(&installation, &alice, RevocationReason::KeyCompromise);
    let approved = decide(&state, &revoke("alice", "k0"), &[fact], noon()).unwrap();
    assert_eq!(approved.kind(), EventKind::Revoke);
    let body = crate::testing::revoked(RevocationReason::KeyCompromise);
    let after = approved.into_event(NOON_MS, vec![], None, &body).outcome.with_head(h("1"));
    assert_eq!((after.status, after.key), (Status::Suspended, None));
}

#[test]
fn who_says_another_reason_has_not_asked_for_this() {
    let installation = installation(|_| {});
    let alice = alice(&installation);
    let state = on(&installation, &alice, known("alice"));
    let fact = by_holder(&installation, &alice, RevocationReason::Superseded);
    refused(
        decide(&state, &revoke("alice", "k0"), &[fact], noon()),
        ProblemCode::EvidenceRefused,
        "intent.body",
        "Some",
        "Some",
    );
}

#[test]
fn nobody_asked() {
    let installation = installation(|_| {});
    let alice = alice(&installation);
    let state = on(&installation, &alice, known("alice"));
    for facts in [vec![], vec![admin()], vec![mtls("agent")]] {
        refused(
            decide(&state, &revoke("alice", "k0"), &facts, noon()),
            ProblemCode::EvidenceRequired,
            "transport-is-not-evidence",
            &h("k0").to_string(),
            "no signed statement",
        );
    }
}

#[test]
fn who_does_not_exist_cannot_be_revoked() {
    let installation = installation(|rules| rules.allow_transport_evidence = true);
    let state = State { installation: &installation, identity: None, key_use: KeyUse::Unknown };
    refused(
        decide(&state, &revoke("alice", "k0"), &[admin()], noon()),
        ProblemCode::UnknownIdentity,
        "identity-exists",
        "an enrolled identity",
        "none",
    );
}

#[test]
fn a_key_that_is_gone_is_revoked_already() {
    let installation = installation(|rules| rules.allow_transport_evidence = true);
    let alice = alice(&installation);
    let state = on(&installation, &alice, known("alice"));
    refused(
        decide(&state, &revoke("alice", "k1"), &[admin()], noon()),
        ProblemCode::AlreadyRevoked,
        "revoke-once",
        "current key",
        &h("k1").to_string(),
    );
    let body = crate::testing::revoked(RevocationReason::KeyCompromise);
    let after = decide(&state, &revoke("alice", "k0"), &[admin()], noon())
        .unwrap()
        .into_event(NOON_MS, vec![], None, &body)
        .outcome
        .with_head(h("1"));
    refused(
        decide(
            &on(&installation, &after, known("alice")),
            &revoke("alice", "k0"),
            &[admin()],
            noon(),
        ),
        ProblemCode::AlreadyRevoked,
        "revoke-once",
        "current key",
        &h("k0").to_string(),
    );
}
