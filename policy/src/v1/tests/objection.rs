//! What was receipted stops a completion that the log alone would allow.

use wire::body::VetoEffect::{Dropped, Slowed};
use wire::event::{Event, EventKind as K};

use super::switch::{approve, request, suspend};
use super::world::*;
use super::*;
use crate::Time;

fn weighed(world: &World, request: &Request, facts: &[Fact]) -> Result<Vec<Objection>, Refusal> {
    let identity = Some(world.alice().clone());
    let state = State { installation: &world.installation, identity, key_use: KeyUse::Unknown };
    objections(&state, request, facts, Time::at_ms(world.now_ms))
}

fn completion() -> Event {
    Event {
        version: 1,
        engine: ENGINE,
        kind: K::SwitchComplete,
        time_ms: 0,
        subject: Some(uid("alice")),
        sequence: 0,
        previous: None,
        policy: h("policy"),
        intent: None,
        evidence: vec![],
        body: octets(&[]),
    }
}

#[test]
fn a_veto_stops_the_switch_that_it_is_about() {
    let mut world = World::new();
    let intent = request(&mut world, "new").unwrap();
    approve(&mut world, &intent, "olga").unwrap();
    let veto = Request::Veto { uid: uid("alice"), intent: intent.hash() };
    let fact = world.says(K::Veto, Role::CurrentKey, "k0", &intent);
    let dropped = Objection { intent: intent.hash(), effect: Dropped };
    assert_eq!(weighed(&world, &veto, std::slice::from_ref(&fact)), Ok(vec![dropped]));
    let alice = world.alice();
    let refusal = heeds(&[dropped], Some(alice), &completion()).unwrap_err();
    assert_eq!(refusal.rule, "a-receipted-veto-counts");
    let other = Objection { intent: h("another intent"), effect: Dropped };
    assert_eq!(heeds(&[other], Some(alice), &completion()), Ok(()));
    // Under an officer's suspension it slows, and what was slowed in the log heeds it.
    suspend(&mut world, "olga").unwrap();
    let slowed = Objection { intent: intent.hash(), effect: Slowed };
    assert_eq!(weighed(&world, &veto, std::slice::from_ref(&fact)), Ok(vec![slowed]));
    assert!(heeds(&[slowed], Some(world.alice()), &completion()).is_err());
    world.act("alice", &veto, &[fact]).unwrap();
    assert_eq!(heeds(&[slowed], Some(world.alice()), &completion()), Ok(()));
    assert!(heeds(&[dropped], Some(world.alice()), &completion()).is_err());
}

#[test]
fn nobody_stops_anything_by_what_would_not_be_logged() {
    let mut world = World::new();
    let intent = request(&mut world, "new").unwrap();
    let veto = Request::Veto { uid: uid("alice"), intent: intent.hash() };
    for (fact, rule) in [
        (world.says(K::Veto, Role::CurrentKey, "new", &intent), "signer"),
        (world.says(K::SwitchApprove, Role::CurrentKey, "k0", &intent), "verb"),
    ] {
        assert_eq!(weighed(&world, &veto, &[fact]).unwrap_err().rule, rule);
    }
    let suspend = world.anchored(K::Suspend);
    let fact = world.signs(Role::CurrentKey, "k0", &suspend);
    let asked = Request::Intent(Box::new(suspend));
    assert_eq!(weighed(&world, &asked, &[fact]), Ok(vec![]), "a suspension stops no switch");
}
