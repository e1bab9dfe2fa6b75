//! Rename, channel change, recovery commitment change.

use wire::event::EventKind as K;
use wire::intent::{Name, NameKind};
use wire::rules::Rules;

use crate::fact::mint;

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

fn named(world: &World, verb: K, values: &[&str]) -> Intent {
    let mut intent = world.intent(verb);
    intent.new_spki = Some(h("k0"));
    let name = |value: &&str| Name { kind: NameKind::Rfc822, value: (*value).into() };
    intent.names = values.iter().map(name).collect();
    intent
}

/// An installation where `agent` may vouch for addresses at example.org, of ids that end so.
fn scoped(scope: &[&str]) -> World {
    let mut body = genesis_body(Rules::standard(), &hsm());
    body.agents[1].scope = scope.iter().map(|entry| (*entry).to_owned()).collect();
    World::with(installed(&body))
}

#[test]
fn names_change_by_holder_or_threshold_and_the_key_stays() {
    let mut world = World::new();
    let intent = named(&world, K::Rename, &["alice@example.org"]);
    for (role, who) in [(Role::Officer, "olga"), (Role::Agent, "agent"), (Role::RecoveryKey, "r0")]
    {
        let fact = world.signs(role, who, &intent);
        assert!(world.ask(&intent, &[fact]).is_err());
    }
    by_officers(&mut world, &intent).unwrap();
    let intent = named(&world, K::Rename, &["alice@example.org"]);
    assert_eq!(by_officers(&mut world, &intent).unwrap_err().rule, "rename-to-other-names");
    let intent = named(&world, K::Rename, &["a@example.org", "alice@example.org"]);
    by_officers(&mut world, &intent).unwrap();
    assert_eq!(world.alice().names()[0].value, "a@example.org");
    assert_eq!(world.alice().key.unwrap().number, 0);
    // The holder lets names go, and takes none by herself.
    let intent = named(&world, K::Rename, &["a@example.org", "b@example.org"]);
    let own = world.signs(Role::CurrentKey, "k0", &intent);
    let refusal = world.ask(&intent, &[own]).unwrap_err();
    assert_eq!((refusal.rule, &*refusal.found), ("names-are-vouched-for", "b@example.org"));
    let intent = named(&world, K::Rename, &["a@example.org"]);
    let own = world.signs(Role::CurrentKey, "k0", &intent);
    world.ask(&intent, &[own]).unwrap();
    assert_eq!(world.alice().names().len(), 1);
}

#[test]
fn agents_vouch_for_names_within_their_scope_and_providers_for_verified_addresses() {
    let mut world = scoped(&["email=example.org", "uid-prefix=al"]);
    let renames = |world: &mut World, value: &str, by: &[(Role, &str)], token: Option<&str>| {
        let intent = named(world, K::Rename, &[value]);
        let mut facts: Vec<Fact> =
            by.iter().map(|(role, who)| world.signs(*role, who, &intent)).collect();
        facts.extend(token.map(|email| {
            let email = Some(email.to_owned());
            mint::identified("https://idp".into(), "alice".into(), email, intent.hash())
        }));
        world.ask(&intent, &facts).map_err(|refusal| refusal.rule)
    };
    let (own, scoped, other) =
        ((Role::CurrentKey, "k0"), (Role::Agent, "other-agent"), (Role::Agent, "agent"));
    let unvouched = Err("names-are-vouched-for");
    // An empty scope lets nobody vouch for names.
    assert_eq!(renames(&mut world, "a@example.org", &[own, other], None), unvouched);
    assert_eq!(renames(&mut world, "a@example.com", &[own, scoped], None), unvouched);
    renames(&mut world, "a@example.org", &[own, scoped], None).unwrap();
    // An agent alone renames nobody.
    assert!(renames(&mut world, "b@example.org", &[scoped], None).is_err());
    // A token proves its own address, and no other.
    assert_eq!(renames(&mut world, "a@idp.example", &[own], Some("b@idp.example")), unvouched);
    renames(&mut world, "a@idp.example", &[own], Some("a@idp.example")).unwrap();
    // Not within the scope of ids.
    let mut world = self::scoped(&["email=example.org", "uid-prefix=bob"]);
    assert_eq!(renames(&mut world, "a@example.org", &[own, scoped], None), unvouched);
}

#[test]
fn what_changes_no_names_gives_none_or_those_that_are_there() {
    let mut world = World::new();
    let intent = named(&world, K::Rename, &["a@example.org"]);
    by_officers(&mut world, &intent).unwrap();
    let rekey = |world: &World, names: Vec<Name>| {
        let mut intent = over_key(world.intent(K::Rekey), "k1");
        intent.names = names;
        let facts = vec![
            possession("k1"),
            world.signs(Role::NewKey, "k1", &intent),
            world.signs(Role::CurrentKey, "k0", &intent),
        ];
        let mut world = world.clone();
        world.ask(&intent, &facts).map(|_| world.alice().names().to_vec())
    };
    let has = world.alice().names().to_vec();
    assert_eq!(rekey(&world, vec![]).unwrap(), has);
    assert_eq!(rekey(&world, has.clone()).unwrap(), has);
    let other = vec![Name { kind: NameKind::Rfc822, value: "thief@example.org".into() }];
    assert_eq!(rekey(&world, other).unwrap_err().rule, "names-as-they-are");
}

#[test]
fn an_enrolment_has_the_names_that_somebody_vouches_for() {
    let enrols = |world: &World, value: &str, by: &[(Role, &str)]| {
        let mut intent = over_key(intent(&world.installation, K::Enrol, "carol", None, 0), "c0");
        intent.names = vec![Name { kind: NameKind::Upn, value: value.into() }];
        let mut facts = vec![possession("c0"), world.signs(Role::NewKey, "c0", &intent)];
        facts.extend(by.iter().map(|(role, who)| world.signs(*role, who, &intent)));
        let request = Request::Certify { uid: uid("carol"), spki: h("c0"), csr: csr("c0") };
        let mut world = world.clone();
        world.act("carol", &request, &facts).map_err(|refusal| refusal.rule)?;
        Ok::<_, &'static str>(world.people["carol"].names().len())
    };
    let world = scoped(&["upn=corp.example", "uid-suffix=ol"]);
    let (plain, scoped) = ((Role::Agent, "agent"), (Role::Agent, "other-agent"));
    assert_eq!(enrols(&world, "carol@corp.example", &[scoped]), Ok(1));
    assert_eq!(enrols(&world, "carol@corp.example", &[plain]), Err("names-are-vouched-for"));
    assert_eq!(enrols(&world, "carol@other.example", &[scoped]), Err("names-are-vouched-for"));
    let (olga, omar) = ((Role::Officer, "olga"), (Role::Officer, "omar"));
    assert_eq!(enrols(&world, "carol@other.example", &[olga]), Err("names-are-vouched-for"));
    assert_eq!(enrols(&world, "carol@other.example", &[olga, omar]), Ok(1));
    let world = self::scoped(&["upn=corp.example", "uid-suffix=bert"]);
    assert_eq!(enrols(&world, "carol@corp.example", &[scoped]), Err("within-the-agents-scope"));
}
