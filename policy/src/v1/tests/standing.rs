//! Suspend, resume, void, retire.

use wire::event::EventKind as K;
use wire::intent::Intent;

use super::moves::{recover, rekey};
use super::switch::{complete, request, request_with, suspend, veto_by_key};
use super::world::*;
use super::*;
use crate::Suspender;

pub(super) fn by_officers(world: &mut World, intent: &Intent) -> Result<EventKind, Refusal> {
    let facts = ["olga", "omar"].map(|officer| world.signs(Role::Officer, officer, intent));
    world.ask(intent, &facts)
}

fn by(world: &mut World, verb: EventKind, role: Role, who: &str) -> Result<EventKind, Refusal> {
    let intent = world.intent(verb);
    let fact = world.signs(role, who, &intent);
    world.ask(&intent, &[fact])
}

#[test]
fn who_suspends_and_who_lifts() {
    let suspended = |role, who| {
        let mut world = World::new();
        by(&mut world, K::Suspend, role, who).map(|_| world)
    };
    for (role, who) in [(Role::Agent, "agent"), (Role::NewKey, "k0"), (Role::CurrentKey, "b0")] {
        assert!(suspended(role, who).is_err(), "{role} {who}");
    }
    for (role, who, suspender) in [
        (Role::CurrentKey, "k0", Suspender::Holder),
        (Role::Officer, "olga", Suspender::Officer),
        (Role::Directory, "agent", Suspender::Directory),
    ] {
        let world = suspended(role, who).unwrap();
        assert_eq!(world.alice().status, Status::Suspended);
        assert!(world.alice().suspended_by().contains(&suspender));
        // A current key lifts nothing, nor does one officer, nor the directory what others did.
        for (role, who) in
            [(Role::CurrentKey, "k0"), (Role::Officer, "olga"), (Role::Agent, "agent")]
        {
            assert!(by(&mut world.clone(), K::Resume, role, who).is_err(), "{role}");
        }
        let directory = by(&mut world.clone(), K::Resume, Role::Directory, "agent");
        assert_eq!(directory.is_ok(), suspender == Suspender::Directory);
        let mut lifted = world.clone();
        let intent = lifted.intent(K::Resume);
        by_officers(&mut lifted, &intent).unwrap();
        assert_eq!(lifted.alice().status, Status::Active);
        let mut lifted = world.clone();
        let mut intent = lifted.intent(K::Resume);
        intent.recovery_commitment = Some(commitment("r1"));
        let facts = lifted.recovers(K::Resume, "r0", &intent);
        lifted.ask(&intent, &facts).unwrap();
        assert_eq!(lifted.alice().status, Status::Active);
        assert_eq!(lifted.alice().recovery_key(0), Some(commitment("r1")));
    }
}

#[test]
fn suspensions_by_several_stand_until_each_is_lifted() {
    let mut world = World::new();
    by(&mut world, K::Suspend, Role::Directory, "agent").unwrap();
    by(&mut world, K::Suspend, Role::Officer, "olga").unwrap();
    assert_eq!(
        by(&mut world, K::Suspend, Role::Officer, "omar").unwrap_err().rule,
        "suspended-once"
    );
    by(&mut world, K::Resume, Role::Directory, "agent").unwrap();
    assert_eq!(world.alice().status, Status::Suspended);
}

#[test]
fn an_officer_whose_suspension_was_lifted_waits_before_the_next() {
    let mut world = World::new();
    suspend(&mut world, "olga").unwrap();
    let intent = world.intent(K::Resume);
    by_officers(&mut world, &intent).unwrap();
    let refusal = suspend(&mut world, "olga").unwrap_err();
    assert_eq!(refusal.rule, "one-officer-suspends-once-per-wait");
    suspend(&mut world.clone(), "omar").unwrap();
    world.tick(WAIT_MS);
    suspend(&mut world, "olga").unwrap();
}

#[test]
fn a_thief_cannot_outrun_a_suspension_nor_replay_one() {
    let mut world = World::new();
    let intent = world.intent(K::Suspend);
    rekey(&mut world, "k0", "t1").unwrap();
    rekey(&mut world, "t1", "t2").unwrap();
    let fact = world.signs(Role::Officer, "olga", &intent);
    world.ask(&intent, std::slice::from_ref(&fact)).unwrap();
    let resume = world.intent(K::Resume);
    by_officers(&mut world, &resume).unwrap();
    world.tick(WAIT_MS);
    assert_eq!(world.ask(&intent, &[fact]).unwrap_err().code, ProblemCode::StaleIntent);
}

#[test]
fn a_suspension_that_the_directory_lifted_is_not_brought_back_by_a_replay() {
    let mut world = World::new();
    suspend(&mut world, "olga").unwrap();
    let intent = world.intent(K::Suspend);
    let fact = world.signs(Role::Directory, "agent", &intent);
    world.ask(&intent, std::slice::from_ref(&fact)).unwrap();
    by(&mut world, K::Resume, Role::Directory, "agent").unwrap();
    assert_eq!(world.ask(&intent, &[fact]).unwrap_err().code, ProblemCode::StaleIntent);
}

#[test]
fn a_thief_cannot_outrun_the_recovery_key_nor_a_threshold() {
    let mut world = World::new();
    let mut intent = world.over(K::Recover, "mine");
    intent.recovery_commitment = Some(commitment("r1"));
    let mut facts = vec![possession("mine"), world.signs(Role::NewKey, "mine", &intent)];
    facts.extend(world.recovers(K::Recover, "r0", &intent));
    let retire = world.intent(K::Retire);
    // Strangers' requests and renewals move the head, and make no threshold's intent stale.
    request(&mut world, "stranger").unwrap();
    request(&mut world, "stranger 2").unwrap();
    by_officers(&mut world.clone(), &retire).unwrap();
    rekey(&mut world, "k0", "t1").unwrap();
    rekey(&mut world, "t1", "t2").unwrap();
    world.ask(&intent, &facts).unwrap();
    assert_eq!(world.alice().key.unwrap().spki, h("mine"));
    // The key changed since: what officers signed about the old one is stale now.
    assert_eq!(by_officers(&mut world, &retire).unwrap_err().code, ProblemCode::StaleIntent);
}

#[test]
fn a_void_takes_what_the_false_enrolment_set_and_leaves_the_id_to_a_switch() {
    let mut world = World::new();
    let intent = world.anchored(K::Void);
    let one = world.signs(Role::Officer, "olga", &intent);
    assert_eq!(world.ask(&intent, &[one]).unwrap_err().rule, "threshold-of-officers");
    by_officers(&mut world, &intent).unwrap();
    let alice = world.alice();
    assert_eq!(
        (alice.status, alice.key, alice.recovery_commitment),
        (Status::Suspended, None, None)
    );
    assert_eq!(alice.channels(world.now_ms).count(), 0);
    assert!(recover(&mut world, "r0", "k1", Some("r1")).is_err());
    assert!(world.enrol("alice", "k1", None).is_err());
    request_with(&mut world, "right", &["olga", "omar"]).unwrap();
    world.tick(WAIT_MS);
    complete(&mut world).unwrap();
    assert_eq!(world.alice().key.unwrap().number, 1);
}

#[test]
fn retirement_takes_threshold_and_wait_never_the_holder_alone_and_is_for_ever() {
    let mut world = World::new();
    assert!(by(&mut world, K::Retire, Role::CurrentKey, "k0").is_err());
    assert!(by(&mut world, K::Retire, Role::Officer, "olga").is_err());
    let intent = world.anchored(K::Retire);
    by_officers(&mut world, &intent).unwrap();
    assert_eq!(world.alice().status, Status::Active);
    let ask = Request::CompleteRetire { uid: uid("alice") };
    assert_eq!(world.act("alice", &ask, &[]).unwrap_err().rule, "the-wait-is-over");
    assert!(veto_by_key(&mut world, &intent, "k0").is_err());
    let mut spared = world.clone();
    let facts = spared.recovers(K::Veto, "r0", &intent);
    super::switch::veto(&mut spared, &intent, &facts).unwrap();
    spared.tick(WAIT_MS);
    assert!(spared.act("alice", &ask, &[]).is_err());
    world.tick(WAIT_MS);
    world.act("alice", &ask, &[]).unwrap();
    assert_eq!(world.alice().status, Status::Retired);
    // Nothing at all follows.
    let code = ProblemCode::IdentityRetired;
    assert_eq!(world.enrol("alice", "new", None).unwrap_err().code, code);
    assert_eq!(rekey(&mut world, "k0", "k1").unwrap_err().code, code);
    assert_eq!(recover(&mut world, "r0", "k1", Some("r1")).unwrap_err().code, code);
    assert_eq!(request(&mut world, "k1").unwrap_err().code, code);
    assert_eq!(suspend(&mut world, "olga").unwrap_err().code, code);
    for verb in [K::Resume, K::Void, K::Retire, K::Rename, K::ChannelChange] {
        let intent = world.intent(verb);
        assert_eq!(by_officers(&mut world, &intent).unwrap_err().code, code, "{verb}");
    }
}

#[test]
fn an_officer_revokes_and_the_identity_can_be_recovered() {
    let mut world = World::new();
    let mut intent = world.intent(K::Revoke);
    intent.body = Some(octets(&crate::testing::revoked(RevocationReason::KeyCompromise)));
    let fact = world.signs(Role::Officer, "olga", &intent);
    world.act("alice", &revoke("alice", "k0"), &[fact]).unwrap();
    let intent = world.intent(K::Resume);
    assert_eq!(by_officers(&mut world, &intent).unwrap_err().rule, "resume-needs-a-key");
    recover(&mut world, "r0", "k1", Some("r1")).unwrap();
    assert_eq!((world.alice().status, world.alice().key.unwrap().number), (Status::Active, 1));
}
