use wire::event::TransportSource;

use super::*;
use crate::fact::mint;

fn nobody(installation: &Installation) -> State<'_> {
    State { installation, identity: None, key_use: KeyUse::Unknown }
}

#[test]
fn an_agents_statement_enrols_with_key_0() {
    let installation = installation(|_| {});
    let alice = alice(&installation);
    assert_eq!(alice.status, Status::Active);
    assert_eq!((alice.sequence, alice.head), (0, h("leaf 0")));
    let key = alice.key.unwrap();
    assert_eq!((key.spki, key.number, key.possession_proven), (h("k0"), 0, true));
    assert_eq!(alice.recovery_commitment, None);
}

#[test]
fn nobody_vouches() {
    let installation = installation(|_| {});
    let outcome =
        decide(&nobody(&installation), &certify("alice", "k0"), &[possession("k0")], noon());
    refused(
        outcome,
        ProblemCode::EvidenceRequired,
        "transport-is-not-evidence",
        "an enrolment agent's signed statement",
        "no signed statement",
    );
}

#[test]
fn possession_must_be_proven_of_this_key_by_this_request() {
    let installation = installation(|rules| rules.allow_transport_evidence = true);
    for facts in [
        vec![admin()],
        vec![admin(), possession("k1")],
        vec![admin(), mint::possession(h("k0"), csr("k1"))],
    ] {
        let outcome = decide(&nobody(&installation), &certify("alice", "k0"), &facts, noon());
        refused(
            outcome,
            ProblemCode::BadSignature,
            "proof-of-possession",
            &h("k0").to_string(),
            "none",
        );
    }
}

#[test]
fn a_key_that_is_or_was_anothers_is_refused() {
    let installation = installation(|rules| rules.allow_transport_evidence = true);
    for owner in ["bob", "alice"] {
        let state = State { installation: &installation, identity: None, key_use: known(owner) };
        let outcome = decide(&state, &certify("alice", "k0"), &[possession("k0"), admin()], noon());
        refused(
            outcome,
            ProblemCode::KeyInUse,
            "one-key-one-identity",
            "no identity",
            &h("k0").to_string(),
        );
    }
}

#[test]
fn the_word_of_a_transport_counts_where_the_policy_lets_it() {
    for (allowed, fact, enrols) in [
        (true, admin(), true),
        (true, mtls("agent"), true),
        (true, mtls("mallory"), false),
        (true, mtls("olga"), false),
        (false, admin(), false),
        (false, mtls("agent"), false),
        (true, mint::transport(TransportSource::Mtls, wire::Hash32::from_bytes([0; 32])), false),
    ] {
        let installation = installation(|rules| rules.allow_transport_evidence = allowed);
        let facts = [possession("k0"), fact.clone()];
        let outcome = decide(&nobody(&installation), &certify("alice", "k0"), &facts, noon());
        assert_eq!(outcome.is_ok(), enrols, "{allowed} {fact:?}");
        if !enrols {
            assert_eq!(outcome.unwrap_err().code, ProblemCode::EvidenceRequired);
        }
    }
}
