//! Adopt, reissue, rekey, recover.

use wire::event::EventKind as K;
use wire::genesis::Protection;

use super::world::*;
use super::*;
use crate::fact::mint;

pub(super) fn rekey(world: &mut World, old: &str, new: &str) -> Result<EventKind, Refusal> {
    let intent = world.over(K::Rekey, new);
    let facts = [
        possession(new),
        world.signs(Role::NewKey, new, &intent),
        world.signs(Role::CurrentKey, old, &intent),
    ];
    world.ask(&intent, &facts)
}

pub(super) fn recover(
    world: &mut World,
    recovery: &str,
    new: &str,
    next: Option<&str>,
) -> Result<EventKind, Refusal> {
    let mut intent = world.over(K::Recover, new);
    intent.recovery_commitment = next.map(commitment);
    let mut facts = vec![possession(new), world.signs(Role::NewKey, new, &intent)];
    facts.extend(world.recovers(K::Recover, recovery, &intent));
    world.ask(&intent, &facts)
}

#[test]
fn rekey_needs_the_old_key_the_new_key_and_its_possession() {
    let mut world = World::new();
    let intent = world.over(K::Rekey, "k1");
    let all = [
        possession("k1"),
        world.signs(Role::NewKey, "k1", &intent),
        world.signs(Role::CurrentKey, "k0", &intent),
    ];
    for missing in 0..3 {
        let mut facts = all.to_vec();
        facts.remove(missing);
        assert!(world.ask(&intent, &facts).is_err(), "without {missing}");
    }
    // Nobody else's signature stands in for the old key's.
    for (role, who) in [
        (Role::Officer, "olga"),
        (Role::Agent, "agent"),
        (Role::CurrentKey, "b0"),
        (Role::NewKey, "k0"),
    ] {
        let facts = [all[0].clone(), all[1].clone(), world.signs(role, who, &intent)];
        assert!(world.ask(&intent, &facts).is_err(), "{role} {who}");
    }
    assert_eq!(world.ask(&intent, &all), Ok(K::Rekey));
    assert_eq!(world.alice().key.unwrap().spki, h("k1"));
    // The same again is stale, and the old key is nobody any more.
    assert!(world.ask(&intent, &all).is_err());
    let refusal = rekey(&mut world, "k0", "k2").unwrap_err();
    assert_eq!(refusal.rule, "signer");
}

#[test]
fn a_key_that_is_or_was_in_use_is_no_next_key() {
    let mut world = World::new();
    rekey(&mut world, "k0", "k1").unwrap();
    assert_eq!(rekey(&mut world, "k1", "k0").unwrap_err().code, ProblemCode::KeyWasUsed);
    assert_eq!(rekey(&mut world, "k1", "b0").unwrap_err().code, ProblemCode::KeyInUse);
}

#[test]
fn recover_replaces_key_and_recovery_key_from_any_state_but_retired() {
    let mut world = World::new();
    assert_eq!(
        recover(&mut world, "r0", "k1", None).unwrap_err().rule,
        "recovery-key-is-used-once"
    );
    assert_eq!(
        recover(&mut world, "r0", "k1", Some("r0")).unwrap_err().rule,
        "recovery-key-is-used-once"
    );
    assert!(recover(&mut world, "r9", "k1", Some("r1")).is_err());
    assert_eq!(recover(&mut world, "r0", "k1", Some("r1")), Ok(K::Recover));
    assert_eq!(world.alice().recovery_key(world.now_ms), Some(commitment("r1")));
    assert!(recover(&mut world, "r0", "k2", Some("r2")).is_err(), "used once");
    assert_eq!(recover(&mut world, "r1", "k2", Some("r2")), Ok(K::Recover));
    assert_eq!(world.alice().key.unwrap().number, 2);
}

#[test]
fn a_revealed_key_that_did_not_sign_and_a_signer_that_was_not_revealed_count_for_nothing() {
    let mut world = World::new();
    let mut intent = world.over(K::Recover, "k1");
    intent.recovery_commitment = Some(commitment("r1"));
    let base = [possession("k1"), world.signs(Role::NewKey, "k1", &intent)];
    let by_thief = world.signs(Role::RecoveryKey, "thief", &intent);
    for last in [
        vec![mint::revealed(h("r0"), commitment("r0"))],
        vec![world.signs(Role::RecoveryKey, "r0", &intent)],
        vec![by_thief.clone(), mint::revealed(h("r0"), commitment("r0"))],
        vec![by_thief, mint::revealed(h("thief"), commitment("thief"))],
    ] {
        assert!(world.ask(&intent, &[&base[..], &last].concat()).is_err());
    }
}

#[test]
fn adoption_takes_the_threshold_and_proves_no_possession() {
    let mut world = World::new();
    let mut intent = intent(&world.installation, K::Adopt, "carol", None, 0);
    intent.new_spki = Some(h("c0"));
    let one = world.signs(Role::Officer, "olga", &intent);
    let two = world.signs(Role::Officer, "omar", &intent);
    let request = Request::Intent(Box::new(intent.clone()));
    let refusal = world.act("carol", &request, std::slice::from_ref(&one)).unwrap_err();
    assert_eq!(refusal.rule, "threshold-of-officers");
    let refusal = world.act("carol", &request, &[one.clone(), one.clone()]).unwrap_err();
    assert_eq!((refusal.expected.as_str(), refusal.found.as_str()).1, "1");
    assert_eq!(world.act("carol", &request, &[one, two]), Ok(K::Adopt));
    assert!(!world.people["carol"].key.unwrap().possession_proven);
}

#[test]
fn a_campaign_reissues_the_same_key_only() {
    let mut world = World::new();
    for (key, works) in [("k1", false), ("k0", true)] {
        let mut intent = world.intent(K::Reissue);
        intent.new_spki = Some(h(key));
        let facts = ["olga", "omar"].map(|o| world.signs(Role::Officer, o, &intent));
        assert_eq!(world.ask(&intent, &facts).is_ok(), works, "{key}");
    }
}

#[test]
fn no_hsm_no_move() {
    use wire::rules::Rules;
    let software = Protection { software_token: true, ..hsm() };
    for protection in [key_file(), software] {
        let body = genesis_body(Rules::standard(), &protection);
        let mut world = World::with(installed(&body));
        let rule = "no-hsm-no-move";
        assert_eq!(rekey(&mut world, "k0", "k1").unwrap_err().rule, rule);
        assert_eq!(recover(&mut world, "r0", "k1", Some("r1")).unwrap_err().rule, rule);
        assert_eq!(super::switch::request(&mut world, "k1").unwrap_err().rule, rule);
        let refusal = world.act("alice", &Request::CompleteSwitch { uid: uid("alice") }, &[]);
        assert_eq!(refusal.unwrap_err().rule, rule);
        assert_eq!(rekey(&mut world, "k0", "k1").unwrap_err().code, ProblemCode::HsmRequired);
    }
}

#[test]
fn a_day_of_rekeys_ends_and_the_recovery_key_is_not_counted() {
    use wire::rules::Rules;
    let rules = Rules { certificates_per_day: 2, ..Rules::standard() };
    let mut world = World::with(installed(&genesis_body(rules, &hsm())));
    rekey(&mut world, "k0", "k1").unwrap();
    rekey(&mut world, "k1", "k2").unwrap();
    let refusal = rekey(&mut world, "k2", "k3").unwrap_err();
    assert_eq!(
        (refusal.code, refusal.rule),
        (ProblemCode::TooManyRequests, "certificates-per-day",)
    );
    assert_eq!(recover(&mut world, "r0", "k3", Some("r1")), Ok(K::Recover));
}
