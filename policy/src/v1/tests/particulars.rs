//! Rename, channel change, recovery commitment change.

use wire::event::EventKind as K;
use wire::intent::{Name, NameKind};

use super::moves::{recover, rekey};
use super::standing::by_officers;
use super::world::*;
use super::*;

pub(super) fn recommit(world: &mut World, key: &str, next: &str) -> Result<EventKind, Refusal> {
    let mut intent = world.intent(K::RecoveryCommitmentChange);
    intent.recovery_commitment = Some(commitment(next));
    let fact = world.signs(Role::CurrentKey, key, &intent);
    world.ask(&intent, &[fact])
}

pub(super) fn rechannel(world: &mut World, key: &str, to: &str) -> Result<EventKind, Refusal> {
    let mut intent = world.intent(K::ChannelChange);
    intent.body = Some(octets(&channels(to).to_canonical()));
    let fact = world.signs(Role::CurrentKey, key, &intent);
    world.ask(&intent, &[fact])
}

#[test]
fn the_old_recovery_key_wins_within_its_window_over_any_chain_of_rekeys() {
    let mut world = World::new();
    let mut key = "k0".to_owned();
    for n in 0..4 {
        recommit(&mut world, &key, &format!("thief {n}")).unwrap();
        rekey(&mut world, &key, &format!("thief key {n}")).unwrap();
        key = format!("thief key {n}");
        // Not the thief's, neither the one to come nor those before it.
        let mine = recover(&mut world.clone(), &format!("thief {n}"), "t", Some("x"));
        assert!(mine.is_err());
        world.tick(WAIT_MS - 1);
        recover(&mut world.clone(), "r0", "mine", Some("r1")).unwrap();
    }
    let mut owner = world.clone();
    recover(&mut owner, "r0", "mine", Some("r1")).unwrap();
    assert!(recover(&mut owner, "thief 3", "t", Some("x")).is_err());
    owner.tick(10 * WAIT_MS);
    assert!(recover(&mut owner, "thief 3", "t", Some("x")).is_err());
    assert_eq!(owner.alice().recovery_key(owner.now_ms), Some(commitment("r1")));
    // When the window is over the later one holds.
    world.tick(2);
    assert!(recover(&mut world.clone(), "r0", "mine", Some("r1")).is_err());
    recover(&mut world, "thief 3", "t", Some("x")).unwrap();
}

#[test]
fn the_current_key_changes_the_recovery_key_so_often_a_day_and_the_owner_always() {
    let mut world = World::new();
    let limit = world.installation.rules().certificates_per_day;
    for n in 0..limit {
        recommit(&mut world, "k0", if n % 2 == 0 { "t0" } else { "t1" }).unwrap();
    }
    let refusal = recommit(&mut world, "k0", "t2").unwrap_err();
    assert_eq!(refusal.rule, "certificates-per-day");
    recover(&mut world, "r0", "k1", Some("r1")).unwrap();
}

#[test]
fn the_old_recovery_key_changes_itself_at_once() {
    let mut world = World::new();
    let mut intent = world.intent(K::RecoveryCommitmentChange);
    intent.recovery_commitment = Some(commitment("r1"));
    let facts = world.recovers(K::RecoveryCommitmentChange, "r0", &intent);
    world.ask(&intent, &facts).unwrap();
    assert_eq!(world.alice().recovery_key(0), Some(commitment("r1")));
    assert!(recover(&mut world, "r0", "k1", Some("r2")).is_err());
}

#[test]
fn channels_change_once_per_wait_and_the_old_ones_stay_for_one() {
    let mut world = World::new();
    rechannel(&mut world, "k0", "thief").unwrap();
    let addresses = |world: &World| -> Vec<_> {
        world.alice().channels(world.now_ms).map(|channel| channel.address).collect()
    };
    assert_eq!(addresses(&world), [h("thief"), h("old")]);
    let refusal = rechannel(&mut world, "k0", "thief 2").unwrap_err();
    assert_eq!(refusal.rule, "one-channel-change-per-wait");
    // Officers need not wait; the owner's first channel goes on.
    let mut intent = world.anchored(K::ChannelChange);
    intent.body = Some(octets(&channels("right").to_canonical()));
    by_officers(&mut world, &intent).unwrap();
    assert_eq!(addresses(&world), [h("right"), h("old")]);
    world.tick(WAIT_MS);
    assert_eq!(addresses(&world), [h("right")]);
    rechannel(&mut world, "k0", "next").unwrap();
}

#[test]
fn names_change_by_holder_or_threshold_and_the_key_stays() {
    let named = |world: &World, value: &str| {
        let mut intent = world.intent(K::Rename);
        intent.new_spki = Some(h("k0"));
        intent.names = vec![Name { kind: NameKind::Rfc822, value: value.into() }];
        intent
    };
    let mut world = World::new();
    let intent = named(&world, "alice@example.org");
    for (role, who) in [(Role::Officer, "olga"), (Role::Agent, "agent"), (Role::RecoveryKey, "r0")]
    {
        let fact = world.signs(role, who, &intent);
        assert!(world.ask(&intent, &[fact]).is_err());
    }
    let fact = world.signs(Role::CurrentKey, "k0", &intent);
    world.ask(&intent, &[fact]).unwrap();
    let intent = named(&world, "alice@example.org");
    assert_eq!(by_officers(&mut world, &intent).unwrap_err().rule, "rename-to-other-names");
    let intent = named(&world, "a@example.org");
    by_officers(&mut world, &intent).unwrap();
    assert_eq!(world.alice().names()[0].value, "a@example.org");
    assert_eq!(world.alice().key.unwrap().number, 0);
}
