use super::*;

fn renewal(installation: &Installation, alice: &Identity) -> [Fact; 2] {
    let intent = intent(installation, EventKind::Renew, "alice", Some(alice.head), 1);
    let intent = over_key(intent, "k0");
    [possession("k0"), signed(installation, Role::CurrentKey, "k0", &intent)]
}

#[test]
fn the_current_key_renews_itself() {
    let installation = installation(|_| {});
    let alice = alice(&installation);
    let state = on(&installation, &alice, known("alice"));
    let facts = renewal(&installation, &alice);
    let approved = decide(&state, &certify("alice", "k0"), &facts, noon()).unwrap();
    assert_eq!((approved.kind(), approved.sequence()), (EventKind::Renew, 1));
    assert_eq!(approved.previous(), Some(h("leaf 0")));
    let after =
        approved.into_event(NOON_MS, evidence(), None, &certified("k0")).outcome.with_head(h("1"));
    assert_eq!(after.key, alice.key);
    assert_eq!((after.sequence, after.head), (1, h("1")));
}

#[test]
fn the_current_key_renews_so_often_a_day_and_again_on_the_next() {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let installation = installation(|rules| rules.certificates_per_day = 3);
    let mut alice = alice(&installation);
    let ask = |alice: &Identity, now_ms: u64| {
        let intent =
            intent(&installation, EventKind::Renew, "alice", Some(alice.head), alice.sequence + 1);
        let intent = wire::intent::Intent { expiry: now_ms / 1000 + 60, ..over_key(intent, "k0") };
        let facts = [possession("k0"), signed(&installation, Role::CurrentKey, "k0", &intent)];
        let state = on(&installation, alice, known("alice"));
        let at = Time::at_ms(now_ms);
        decide(&state, &certify("alice", "k0"), &facts, at).map(|approved| {
            let head = h(&format!("leaf {}", approved.sequence()));
            approved.into_event(now_ms, evidence(), None, &certified("k0")).outcome.with_head(head)
        })
    };
    let midnight = NOON_MS - NOON_MS % DAY_MS + DAY_MS;
    for day in [NOON_MS, midnight] {
        for _ in 0..3 {
            alice = ask(&alice, day).unwrap();
        }
        let refusal = ask(&alice, day + 1).map(|_| ()).unwrap_err();
        assert_eq!(
            (refusal.code, refusal.rule),
            (ProblemCode::TooManyRequests, "certificates-per-day",)
        );
        let next = (day - day % DAY_MS + DAY_MS) / 1000;
        assert!(refusal.expected.contains(&next.to_string()), "{}", refusal.expected);
    }
    // A clock that is put back gives no more.
    assert!(ask(&alice, NOON_MS).is_err());
}

#[test]
fn nobody_renews_for_the_holder() {
    let installation = installation(|_| {});
    let alice = alice(&installation);
    let state = on(&installation, &alice, known("alice"));
    refused(
        decide(&state, &certify("alice", "k0"), &[possession("k0")], noon()),
        ProblemCode::EvidenceRequired,
        "transport-is-not-evidence",
        &h("k0").to_string(),
        "no signed statement",
    );
    // An agent enrols, and touches nobody who is enrolled.
    let intent = intent(&installation, EventKind::Renew, "alice", Some(alice.head), 1);
    let by_agent = signed(&installation, Role::Agent, "agent", &over_key(intent, "k0"));
    refused(
        decide(&state, &certify("alice", "k0"), &[possession("k0"), by_agent], noon()),
        ProblemCode::EvidenceRequired,
        "transport-is-not-evidence",
        "current key",
        "no signed statement",
    );
}

#[test]
fn another_key_is_no_renewal_whoever_vouches() {
    let installation = installation(|rules| rules.allow_transport_evidence = true);
    let alice = alice(&installation);
    let intent = over_key(intent(&installation, EventKind::Enrol, "alice", None, 0), "k1");
    let facts = [possession("k1"), admin(), signed(&installation, Role::Agent, "agent", &intent)];
    refused(
        decide(
            &on(&installation, &alice, KeyUse::Unknown),
            &certify("alice", "k1"),
            &facts,
            noon(),
        ),
        ProblemCode::IdentityChangeRequired,
        "one-identity-one-key",
        &h("k0").to_string(),
        &h("k1").to_string(),
    );
    refused(
        decide(&on(&installation, &alice, known("bob")), &certify("alice", "k1"), &facts, noon()),
        ProblemCode::IdentityChangeRequired,
        "one-identity-one-key",
        &h("k0").to_string(),
        &h("k1").to_string(),
    );
    refused(
        decide(&on(&installation, &alice, known("alice")), &certify("alice", "k1"), &facts, noon()),
        ProblemCode::KeyWasUsed,
        "no-way-back-to-a-past-key",
        &h("k0").to_string(),
        &h("k1").to_string(),
    );
}

#[test]
fn a_suspended_identity_gets_no_certificate() {
    let installation = installation(|rules| rules.allow_transport_evidence = true);
    let alice = alice(&installation);
    let state = on(&installation, &alice, known("alice"));
    let revoked = decide(&state, &revoke("alice", "k0"), &[admin()], noon()).unwrap();
    let after = revoked
        .into_event(NOON_MS, vec![], None, &testing_revoked())
        .outcome
        .with_head(h("revoked"));
    for key in ["k0", "k1"] {
        refused(
            decide(
                &on(&installation, &after, KeyUse::Unknown),
                &certify("alice", key),
                &[possession(key), admin()],
                noon(),
            ),
            ProblemCode::IdentitySuspended,
            "suspended-gets-no-certificate",
            "an active identity",
            &h(key).to_string(),
        );
    }
}

fn testing_revoked() -> Vec<u8> {
    crate::testing::revoked(RevocationReason::KeyCompromise)
}
