//! Changes of the installation.

use wire::body::{Changed, Cosigners, Phase, Roster, Struck};
use wire::event::EventKind as K;
use wire::genesis::{Cosigner, CosignerKind, Keyholder};
use wire::intent::Intent;
use wire::rules::Rules;

use super::switch::{approve, complete, request_with};
use super::world::*;
use super::*;
use crate::v1::{ChangeRequest, apply_change, decide_change};
use crate::{Installation, ReplayError, Time};

fn intent_for(installation: &Installation, verb: EventKind, body: &[u8]) -> Intent {
    let sequence = installation.sequence() + 1;
    let mut intent = intent(installation, verb, "x", installation.head(), sequence);
    intent.subject = None;
    intent.body = Some(octets(body));
    intent.expiry += 365 * 86400;
    intent
}

fn signed_by(installation: &Installation, officers: &[&str], intent: &Intent) -> Vec<Fact> {
    officers.iter().map(|o| signed(installation, Role::Officer, o, intent)).collect()
}

/// Decides, replays, and tells the leaf.
fn step(
    installation: &Installation,
    request: &ChangeRequest,
    facts: &[Fact],
    now_ms: u64,
) -> Result<(Phase, Installation), Refusal> {
    let time = Time::at_ms(now_ms);
    let approved = decide_change(installation, request, facts, time)?;
    let leaf = h(&format!("installation {}", approved.sequence()));
    let (event, outcome) = approved.into_event(now_ms, evidence());
    let after = outcome.with_head(leaf);
    assert_eq!(apply_change(installation, &event, leaf, facts, time).unwrap(), after);
    for (what, event) in [
        ("sequence", wire::event::Event { sequence: event.sequence + 1, ..event.clone() }),
        ("policy", wire::event::Event { policy: h("x"), ..event.clone() }),
        ("body", wire::event::Event { body: octets(b""), ..event.clone() }),
        ("kind", wire::event::Event { kind: K::Genesis, ..event.clone() }),
    ] {
        let refused: Result<_, ReplayError> = apply_change(installation, &event, leaf, facts, time);
        assert!(refused.is_err(), "{what}");
    }
    let body = Changed::from_canonical(event.body.as_bytes()).unwrap();
    Ok((body.phase, after))
}

fn change(
    installation: &Installation,
    verb: EventKind,
    body: &[u8],
    officers: &[&str],
    now_ms: u64,
) -> Result<(Phase, Installation), Refusal> {
    let intent = intent_for(installation, verb, body);
    let facts = signed_by(installation, officers, &intent);
    step(installation, &ChangeRequest::Intent(Box::new(intent)), &facts, now_ms)
}

fn fresh() -> Installation {
    installation(|_| {}).logged_at(h("genesis leaf"))
}

const TWO: &[&str] = &["olga", "omar"];

#[test]
fn each_loosening_of_the_policy_waits_and_each_tightening_does_not() {
    type Change = fn(&mut Rules);
    let table: &[(&str, bool, Change)] = &[
        ("shorter wait", true, |r| r.wait -= 3600),
        ("longer wait", false, |r| r.wait += 3600),
        ("longer expiry", true, |r| r.request_expiry += 1),
        ("shorter expiry", false, |r| r.request_expiry -= 1),
        ("shorter window", true, |r| r.recovery_window -= 1),
        ("longer window", false, |r| r.recovery_window += 1),
        ("shorter cooldown", true, |r| r.cooldown -= 1),
        ("longer cooldown", false, |r| r.cooldown += 1),
        ("fewer approvals", true, |r| r.approvals = 1),
        ("longer validity", true, |r| r.certificate_validity += 1),
        ("shorter validity", false, |r| r.certificate_validity -= 1),
        ("older status", true, |r| r.max_status_age += 1),
        ("younger status", false, |r| r.max_status_age -= 1),
        ("bigger keys", false, |r| r.min_rsa_bits = 3072),
        ("more certificates a day", true, |r| r.certificates_per_day += 1),
        ("fewer certificates a day", false, |r| r.certificates_per_day -= 1),
        ("transport", true, |r| r.allow_transport_evidence = true),
        ("software", true, |r| r.allow_software_token = true),
        ("no clock", false, |r| r.allow_unwitnessed = false),
        ("one tighter, one looser", true, |r| {
            r.wait += 1;
            r.cooldown -= 1;
        }),
    ];
    for (what, waits, alter) in table {
        let before = fresh();
        let mut rules = before.rules().clone();
        alter(&mut rules);
        let body = rules.to_canonical();
        for officers in
            [&[][..], &["olga"], &["olga", "olga"], &["olga", "mallory"], &["agent", "other-agent"]]
        {
            assert!(change(&before, K::PolicyChange, &body, officers, NOON_MS).is_err(), "{what}");
        }
        let (phase, after) = change(&before, K::PolicyChange, &body, TWO, NOON_MS).unwrap();
        assert_eq!(phase == Phase::Announced, *waits, "{what}");
        if *waits {
            assert_eq!(after.rules(), before.rules(), "{what}");
            let effect = ChangeRequest::Effect(K::PolicyChange);
            let early = step(&after, &effect, &[], NOON_MS + WAIT_MS - 1).unwrap_err();
            assert_eq!(early.rule, "the-wait-is-over", "{what}");
            let (_, later) = step(&after, &effect, &[], NOON_MS + WAIT_MS).unwrap();
            assert_eq!(later.rules(), &rules, "{what}");
            assert!(step(&later, &effect, &[], NOON_MS + 2 * WAIT_MS).is_err(), "once");
        } else {
            assert_eq!(after.rules(), &rules, "{what}");
        }
    }
}

#[test]
fn a_new_roster_is_signed_by_the_old_one_and_new_officers_wait() {
    let before = fresh();
    let new: Vec<Keyholder> = ["mallory", "trudy", "eve"].map(keyholder).to_vec();
    let body = Roster { version: 1, officers: new }.to_canonical();
    assert!(change(&before, K::RosterChange, &body, &["mallory", "trudy"], NOON_MS).is_err());
    let (phase, after) = change(&before, K::RosterChange, &body, TWO, NOON_MS).unwrap();
    assert_eq!(phase, Phase::Announced);
    assert!(after.officer(h("mallory")).is_none() && after.officer(h("olga")).is_some());
    let few = Roster { version: 1, officers: vec![keyholder("olga"), keyholder("omar")] };
    let refusal = change(&before, K::RosterChange, &few.to_canonical(), TWO, NOON_MS).unwrap_err();
    assert_eq!(refusal.rule, "enough-officers");
    let twice = ["olga", "omar", "omar"].map(keyholder).to_vec();
    let twice = Roster { version: 1, officers: twice }.to_canonical();
    let refusal = change(&before, K::RosterChange, &twice, TWO, NOON_MS).unwrap_err();
    assert_eq!(refusal.rule, "officers-are-distinct");
}

/// One voice under two names would be more of a quorum than it is.
#[test]
fn co_signers_have_keys_of_their_own() {
    let before = fresh();
    let refused = |vkeys: &[&str]| {
        let cosigner =
            |vkey: &&str| Cosigner { kind: CosignerKind::Witness, vkey: (*vkey).to_owned() };
        let body = Cosigners { version: 1, cosigners: vkeys.iter().map(cosigner).collect() };
        let asked = change(&before, K::CosignersChange, &body.to_canonical(), TWO, NOON_MS);
        asked.map(|_| ()).map_err(|refusal| refusal.rule)
    };
    assert_eq!(refused(&["w1.example+01+BAAB", "w2.example+02+BAAC"]), Ok(()));
    for twice in [&["w1.example+01+BAAB", "w2.example+02+BAAB"][..], &["w1.example"]] {
        assert_eq!(refused(twice), Err("cosigners-are-distinct"));
    }
    let mut body = genesis_body(Rules::standard(), &hsm());
    body.cosigners = ["w1.example+01+BAAB", "w2.example+02+BAAB"]
        .map(|vkey| Cosigner { kind: CosignerKind::Witness, vkey: vkey.to_owned() })
        .to_vec();
    let genesis = genesis_event(&body);
    let error = Installation::from_genesis(&genesis).unwrap_err();
    assert_eq!(error, crate::InstallationError::Cosigners);
}

#[test]
fn an_announcement_is_withdrawn_by_saying_what_holds_already() {
    let before = fresh();
    let looser = Rules { cooldown: 0, ..before.rules().clone() }.to_canonical();
    let (_, announced) = change(&before, K::PolicyChange, &looser, TWO, NOON_MS).unwrap();
    let same = before.rules().to_canonical();
    let (_, after) = change(&announced, K::PolicyChange, &same, TWO, NOON_MS).unwrap();
    assert_eq!(after.waiting().count(), 0);
    let effect = ChangeRequest::Effect(K::PolicyChange);
    assert!(step(&after, &effect, &[], NOON_MS + 9 * WAIT_MS).is_err());
}

#[test]
fn a_change_of_roster_or_policy_never_eases_a_pending_switch() {
    let mut world = World::with(fresh());
    let intent = request_with(&mut world, "new", &["olga", "omar"]).unwrap();
    // Omar leaves: his approval does not count any more.
    let mut body = genesis_body(Rules::standard(), &hsm());
    body.roster[1] = keyholder("otto");
    let roster = Roster { version: 1, officers: body.roster }.to_canonical();
    let now = world.now_ms;
    let (_, announced) = change(&world.installation, K::RosterChange, &roster, TWO, now).unwrap();
    world.tick(WAIT_MS);
    let effect = ChangeRequest::Effect(K::RosterChange);
    (_, world.installation) = step(&announced, &effect, &[], world.now_ms).unwrap();
    assert_eq!(complete(&mut world).unwrap_err().found, "1");
    assert_eq!(approve(&mut world, &intent, "omar").unwrap_err().rule, "signer");
    approve(&mut world, &intent, "otto").unwrap();
    complete(&mut world).unwrap();
}

#[test]
fn the_ranges_of_crls_stay_as_certificates_name_them() {
    let before = fresh();
    let rules = Rules { leaves_per_crl: 1024, ..before.rules().clone() };
    let refused = change(&before, K::PolicyChange, &rules.to_canonical(), TWO, NOON_MS);
    assert_eq!(refused.unwrap_err().rule, "crl-ranges-stay");
}

#[test]
fn nothing_follows_from_a_struck_leaf() {
    let mut world = World::with(fresh());
    let body = Struck { version: 1, leaf: world.alice().head, index: None }.to_canonical();
    (_, world.installation) =
        change(&world.installation, K::Strike, &body, TWO, world.now_ms).unwrap();
    let refusal = super::moves::rekey(&mut world, "k0", "k1").unwrap_err();
    assert_eq!(refusal.rule, "nothing-follows-from-a-struck-leaf");
    assert!(super::moves::recover(&mut world, "r0", "k1", Some("r1")).is_err());
    // Nor does anything else come between, behind which the dead event would be forgotten.
    for verb in [K::Suspend, K::Retire] {
        let intent = world.intent(verb);
        let refusal = super::standing::by_officers(&mut world, &intent).unwrap_err();
        assert_eq!(refusal.rule, "nothing-follows-from-a-struck-leaf");
    }
    let intent = world.intent(K::Void);
    super::standing::by_officers(&mut world, &intent).unwrap();
    let again = change(&world.installation, K::Strike, &body, TWO, world.now_ms);
    assert_eq!(again.unwrap_err().rule, "strike-once");
}

#[test]
fn a_stale_or_foreign_intent_changes_nothing() {
    let before = fresh();
    let rules = Rules { wait: before.rules().wait + 1, ..before.rules().clone() };
    let good = intent_for(&before, K::PolicyChange, &rules.to_canonical());
    type Change = fn(&mut Intent);
    let changes: &[(&str, Change)] = &[
        ("head", |i| i.head = Some(h("x"))),
        ("sequence", |i| i.sequence += 1),
        ("policy", |i| i.policy = h("x")),
        ("intent.expiry", |i| i.expiry = 1),
        ("intent.body", |i| i.body = None),
        ("intent.body", |i| i.body = Some(octets(b"x"))),
        ("intent.body", |i| i.verb = K::RosterChange),
    ];
    for (rule, alter) in changes {
        let mut intent = good.clone();
        alter(&mut intent);
        let facts = signed_by(&before, TWO, &intent);
        let request = ChangeRequest::Intent(Box::new(intent));
        assert_eq!(step(&before, &request, &facts, NOON_MS).unwrap_err().rule, *rule);
    }
}
