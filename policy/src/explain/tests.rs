use wire::rules::Rules;

use super::*;
use crate::testing::{genesis_body, hsm, installation, installed, noon};
use crate::v1::tests::switch::{approve, request, suspend};
use crate::v1::tests::world::{WAIT_MS, World};

fn way(ways: &[Way], verb: EventKind) -> &Way {
    ways.iter().find(|way| way.verb == verb).unwrap()
}

fn ways(world: &World) -> Vec<Way> {
    explain(&world.installation, Some(world.alice()), Time::at_ms(world.now_ms))
}

#[test]
fn an_id_that_does_not_exist_can_be_enrolled() {
    let told = explain(&installation(|_| {}), None, noon());
    assert_eq!(told[0].signed_by, ["an enrolment agent", "an officer"]);
    let told = explain(&installation(|r| r.allow_transport_evidence = true), None, noon());
    assert!(told[0].signed_by[2].contains("transport"));
}

#[test]
fn what_is_missing_for_a_switch_is_counted_down() {
    let mut world = World::new();
    let told = ways(&world);
    assert!(told.iter().all(|way| way.verb != EventKind::SwitchComplete));
    assert!(way(&told, EventKind::SwitchRequest).takes[1].contains("2 of 3 officers"));
    let intent = request(&mut world, "new").unwrap();
    let started = world.now_ms;
    let complete = way(&ways(&world), EventKind::SwitchComplete).clone();
    assert_eq!(complete.takes, ["2 more approvals"]);
    assert_eq!(complete.not_before_ms, Some(started + WAIT_MS));
    approve(&mut world, &intent, "olga").unwrap();
    let told = ways(&world);
    assert_eq!(way(&told, EventKind::SwitchComplete).takes, ["1 more approvals"]);
    assert!(way(&told, EventKind::SwitchApprove).takes[0].contains("olga"));
    world.tick(15 * 24 * 3_600_000);
    assert!(way(&ways(&world), EventKind::SwitchComplete).closed.is_some());
}

#[test]
fn what_is_closed_says_why() {
    let mut world = World::new();
    suspend(&mut world, "olga").unwrap();
    let told = ways(&world);
    for verb in [EventKind::Renew, EventKind::Rekey, EventKind::Rename, EventKind::Suspend] {
        assert!(way(&told, verb).closed.is_some(), "{verb}");
    }
    for verb in [EventKind::Recover, EventKind::SwitchRequest, EventKind::Resume] {
        assert_eq!(way(&told, verb).closed, None, "{verb}");
    }
    let soft =
        crate::testing::genesis_body(wire::rules::Rules::standard(), &crate::testing::key_file());
    let told = ways(&World::with(crate::testing::installed(&soft)));
    for verb in [EventKind::Rekey, EventKind::Recover, EventKind::SwitchRequest] {
        assert!(way(&told, verb).closed.as_ref().unwrap().contains("HSM"), "{verb}");
    }
}

#[test]
fn one_can_ask_how_it_would_be_under_other_rules() {
    let world = World::new();
    let strict = crate::file::Preset::Strict.rules();
    let told = explain(
        &world.installation.supposing(strict),
        Some(world.alice()),
        Time::at_ms(world.now_ms),
    );
    assert!(way(&told, EventKind::Retire).takes[0].contains("7d"));
    assert!(way(&ways(&world), EventKind::Retire).takes[0].contains("3d"));
}

#[test]
fn by_whose_clocks_a_wait_runs_is_told() {
    let told = |unwitnessed: bool, vkeys: &[&str]| {
        let rules = Rules { allow_unwitnessed: unwitnessed, ..Rules::standard() };
        let mut body = genesis_body(rules, &hsm());
        let witness = |vkey: &&str| wire::genesis::Cosigner {
            kind: wire::genesis::CosignerKind::Witness,
            vkey: (*vkey).to_owned(),
        };
        body.cosigners = vkeys.iter().map(witness).collect();
        let mut world = World::with(installed(&body));
        request(&mut world, "new").unwrap();
        let told = ways(&world);
        let takes = way(&told, EventKind::SwitchRequest).takes.join(", ");
        (takes, way(&told, EventKind::SwitchComplete).closed.is_some())
    };
    let vkeys = ["w1.example+01+BAAB", "w2.example+02+BAAC"];
    let both = "the clocks of more than half of w1.example, w2.example";
    for (unwitnessed, vkeys, clocks, ends) in [
        (true, &[][..], "the authority's clock, in which", true),
        (true, &vkeys[..], "w2.example, or by the authority's", true),
        (false, &vkeys[..], both, true),
        (false, &[][..], "of whom there are none", false),
    ] {
        let (takes, closed) = told(unwitnessed, vkeys);
        assert!(takes.contains(clocks), "{takes}");
        assert_eq!(closed, !ends, "{takes}");
    }
}
