//! Every field of a statement and its intent must fit, one by one.

use wire::intent::Intent;

use super::*;
use crate::Time;
use crate::fact::mint;

fn enrolment(installation: &Installation) -> Intent {
    over_key(intent(installation, EventKind::Enrol, "alice", None, 0), "k0")
}

fn attempt(installation: &Installation, fact: Fact, time: Time) -> Result<Approved, Refusal> {
    let state = State { installation, identity: None, key_use: KeyUse::Unknown };
    decide(&state, &certify("alice", "k0"), &[possession("k0"), fact], time)
}

#[test]
fn each_field_of_the_intent_must_fit() {
    let installation = installation(|_| {});
    type Change = fn(&mut Intent);
    let changes: &[(&str, ProblemCode, Change)] = &[
        ("intent.verb", ProblemCode::EvidenceRefused, |i| i.verb = EventKind::Renew),
        ("intent.subject", ProblemCode::EvidenceRefused, |i| i.subject = Some(uid("bob"))),
        ("intent.csr", ProblemCode::EvidenceRefused, |i| i.csr = Some(h("other"))),
        ("intent.csr", ProblemCode::EvidenceRefused, |i| i.csr = None),
        ("intent.new-spki", ProblemCode::EvidenceRefused, |i| i.new_spki = Some(h("k1"))),
        ("intent.new-spki", ProblemCode::EvidenceRefused, |i| i.new_spki = None),
        ("only-signed-statements-decide", ProblemCode::EvidenceRequired, |i| {
            i.body = Some(octets(b"x"));
        }),
        ("only-signed-statements-decide", ProblemCode::EvidenceRequired, |i| {
            i.recovery_commitment = Some(h("recovery"));
        }),
        ("head", ProblemCode::StaleIntent, |i| i.head = Some(h("leaf 0"))),
        ("sequence", ProblemCode::StaleIntent, |i| i.sequence = 1),
        ("policy", ProblemCode::StaleIntent, |i| i.policy = h("other policy")),
        ("intent.expiry", ProblemCode::StaleIntent, |i| i.expiry = NOON_MS / 1000 - 1),
    ];
    for (rule, code, change) in changes {
        let mut intent = enrolment(&installation);
        change(&mut intent);
        // The statement is for enrolment still: a verb that differs inside is found too.
        let fact = signed_for(&installation, EventKind::Enrol, Role::Agent, "agent", &intent);
        let refusal = attempt(&installation, fact, noon()).unwrap_err();
        assert_eq!((refusal.rule, refusal.code), (*rule, *code), "{refusal:?}");
        assert_ne!(refusal.expected, refusal.found);
    }
}

#[test]
fn each_field_of_the_statement_must_fit() {
    let installation = installation(|_| {});
    let elsewhere = crate::testing::installation(|rules| rules.wait += 1);
    let intent = enrolment(&installation);
    let (role, verb) = (Role::Agent, EventKind::Enrol);
    for (rule, fact) in [
        ("installation", signed_for(&elsewhere, verb, role, "agent", &intent)),
        ("verb", signed_for(&installation, EventKind::Renew, role, "agent", &intent)),
        ("signer", signed_for(&installation, verb, role, "mallory", &intent)),
        ("signer", signed_for(&installation, verb, role, "olga", &intent)),
    ] {
        let refusal = attempt(&installation, fact, noon()).unwrap_err();
        assert_eq!((refusal.rule, refusal.code), (rule, ProblemCode::EvidenceRefused));
    }
    for role in Role::ALL.iter().filter(|r| ![Role::Agent, Role::Officer, Role::NewKey].contains(r))
    {
        let fact = signed_for(&installation, verb, *role, "agent", &intent);
        let refusal = attempt(&installation, fact, noon()).unwrap_err();
        assert_eq!(refusal.code, ProblemCode::EvidenceRequired, "{role}");
    }
}

#[test]
fn an_intent_holds_up_to_its_last_second() {
    let installation = installation(|_| {});
    let mut intent = enrolment(&installation);
    intent.expiry = NOON_MS / 1000;
    let fact = signed(&installation, Role::Agent, "agent", &intent);
    assert!(attempt(&installation, fact.clone(), noon()).is_ok());
    assert!(attempt(&installation, fact, Time::at_ms(NOON_MS + 1)).is_err());
}

#[test]
fn a_statement_that_does_not_count_spoils_none_that_does() {
    let installation = installation(|_| {});
    let intent = enrolment(&installation);
    let state = State { installation: &installation, identity: None, key_use: KeyUse::Unknown };
    let facts = [
        possession("k0"),
        signed(&installation, Role::Agent, "agent", &intent),
        signed(&installation, Role::Agent, "mallory", &intent),
    ];
    assert!(decide(&state, &certify("alice", "k0"), &facts, noon()).is_ok());
}

#[test]
fn a_transports_word_does_not_heal_a_statement_that_does_not_fit() {
    let installation = installation(|rules| rules.allow_transport_evidence = true);
    let mut intent = enrolment(&installation);
    intent.sequence = 5;
    let state = State { installation: &installation, identity: None, key_use: KeyUse::Unknown };
    let statement = wire::statement::Statement::new(
        installation.genesis(),
        EventKind::Enrol,
        Role::Agent,
        intent.hash(),
    );
    let facts = [possession("k0"), admin(), mint::signed(statement, h("agent"), intent)];
    let refusal = decide(&state, &certify("alice", "k0"), &facts, noon()).unwrap_err();
    assert_eq!(refusal.rule, "sequence");
}
