//! Switch and veto.

use wire::event::EventKind as K;
use wire::intent::Intent;

use super::moves::{recover, rekey};
use super::world::*;
use super::*;
use crate::fact::mint;

/// Asks for a switch of Alice to `key`; returns the intent.
pub(crate) fn request(world: &mut World, key: &str) -> Result<Intent, Refusal> {
    request_with(world, key, &[])
}

pub(super) fn request_with(
    world: &mut World,
    key: &str,
    approvers: &[&str],
) -> Result<Intent, Refusal> {
    let intent = over_key(world.anchored(K::SwitchRequest), key);
    let mut facts = vec![possession(key), world.signs(Role::NewKey, key, &intent)];
    facts.extend(approvers.iter().map(|o| world.says(K::SwitchApprove, Role::Officer, o, &intent)));
    world.ask(&intent, &facts).map(|_| intent)
}

pub(crate) fn approve(
    world: &mut World,
    intent: &Intent,
    officer: &str,
) -> Result<EventKind, Refusal> {
    let fact = world.says(K::SwitchApprove, Role::Officer, officer, intent);
    world.act("alice", &Request::Approve { uid: uid("alice"), intent: intent.hash() }, &[fact])
}

pub(super) fn complete(world: &mut World) -> Result<EventKind, Refusal> {
    world.act("alice", &Request::CompleteSwitch { uid: uid("alice") }, &[])
}

pub(super) fn veto(
    world: &mut World,
    intent: &Intent,
    facts: &[Fact],
) -> Result<EventKind, Refusal> {
    world.act("alice", &Request::Veto { uid: uid("alice"), intent: intent.hash() }, facts)
}

pub(super) fn veto_by_key(
    world: &mut World,
    intent: &Intent,
    key: &str,
) -> Result<EventKind, Refusal> {
    let fact = world.says(K::Veto, Role::CurrentKey, key, intent);
    veto(world, intent, &[fact])
}

pub(crate) fn suspend(world: &mut World, officer: &str) -> Result<EventKind, Refusal> {
    let intent = world.anchored(K::Suspend);
    let fact = world.signs(Role::Officer, officer, &intent);
    world.ask(&intent, &[fact])
}

#[test]
fn two_officers_and_the_wait() {
    let mut world = World::new();
    let intent = request(&mut world, "new").unwrap();
    assert_eq!(complete(&mut world).unwrap_err().rule, "threshold-of-officers");
    approve(&mut world, &intent, "olga").unwrap();
    assert_eq!(complete(&mut world).unwrap_err().found, "1");
    approve(&mut world, &intent, "omar").unwrap();
    let refusal = complete(&mut world).unwrap_err();
    assert_eq!((refusal.code, refusal.rule), (ProblemCode::NotYet, "the-wait-is-over"));
    world.tick(WAIT_MS - 1);
    assert_eq!(complete(&mut world).unwrap_err().rule, "the-wait-is-over");
    world.tick(1);
    assert_eq!(complete(&mut world), Ok(K::SwitchComplete));
    let key = world.alice().key.unwrap();
    assert_eq!((key.spki, key.number), (h("new"), 1));
    assert_eq!(world.alice().pending(), None);
    assert_eq!(complete(&mut world).unwrap_err().code, ProblemCode::NoPendingSwitch);
}

#[test]
fn an_approval_counts_once_for_this_intent_verb_installation_and_by_a_present_officer() {
    let mut world = World::new();
    let other = request(&mut world, "other").unwrap();
    let intent = request(&mut world, "new").unwrap();
    approve(&mut world, &intent, "olga").unwrap();
    let refusal = approve(&mut world, &intent, "olga").unwrap_err();
    assert_eq!(refusal.rule, "one-officer-counts-once");
    for who in ["k0", "new", "agent", "mallory", "r0"] {
        assert_eq!(approve(&mut world, &intent, who).unwrap_err().rule, "signer", "{who}");
    }
    // The displaced request is gone, and so is whatever is said about it.
    assert_eq!(approve(&mut world, &other, "omar").unwrap_err().rule, "another-intent");
    let ask = Request::Approve { uid: uid("alice"), intent: intent.hash() };
    for (fact, rule) in [
        (world.says(K::SwitchApprove, Role::Officer, "omar", &other), "intent"),
        (world.says(K::Veto, Role::Officer, "omar", &intent), "verb"),
        (world.says(K::SwitchRequest, Role::Officer, "omar", &intent), "verb"),
    ] {
        assert_eq!(world.act("alice", &ask, &[fact]).unwrap_err().rule, rule);
    }
    let elsewhere = World::with(installation(|rules| rules.cooldown += 1));
    let fact = elsewhere.says(K::SwitchApprove, Role::Officer, "omar", &intent);
    assert_eq!(world.act("alice", &ask, &[fact]).unwrap_err().rule, "installation");
    // How the person was identified is signed along, or it is no approval.
    let silent = wire::statement::Statement::new(
        world.installation.genesis(),
        K::SwitchApprove,
        Role::Officer,
        intent.hash(),
    );
    let fact = mint::signed(silent, h("omar"), intent.clone());
    assert_eq!(world.act("alice", &ask, &[fact]).unwrap_err().rule, "approval-says-how");
    assert_eq!(world.alice().pending().unwrap().approved_by().count(), 1);
}

#[test]
fn an_officer_does_not_decide_about_herself() {
    let mut body = genesis_body(wire::rules::Rules::standard(), &hsm());
    body.roster[0].scope = vec!["uid=alice".into()];
    body.roster[1].name = "alice".into();
    let mut world = World::with(installed(&body));
    let intent = request(&mut world, "new").unwrap();
    for officer in ["olga", "omar"] {
        let refusal = approve(&mut world, &intent, officer).unwrap_err();
        assert_eq!(refusal.rule, "officer-is-not-the-subject");
    }
    approve(&mut world, &intent, "oskar").unwrap();
    // With a key of hers under another name neither.
    let mut world = World::new();
    let refusal = request_with(&mut world, "olga", &["olga"]).unwrap_err();
    assert_eq!(refusal.rule, "officer-is-not-the-subject");
}

#[test]
fn filing_a_request_locks_nobody_out() {
    let mut world = World::new();
    request(&mut world, "stranger").unwrap();
    assert_eq!(world.alice().status, Status::Active);
    rekey(&mut world, "k0", "k1").unwrap();
    request(&mut world, "stranger").unwrap();
    recover(&mut world, "r0", "k2", Some("r1")).unwrap();
    assert_eq!(world.alice().pending(), None);
    // A stranger's request gives way to any other; one that officers looked at does not.
    request(&mut world, "stranger").unwrap();
    let mine = request(&mut world, "mine").unwrap();
    approve(&mut world, &mine, "olga").unwrap();
    let refusal = request(&mut world, "stranger 2").unwrap_err();
    assert_eq!((refusal.code, refusal.rule), (ProblemCode::SwitchPending, "one-pending-switch"));
    request_with(&mut world, "better", &["omar", "oskar"]).unwrap();
}

#[test]
fn another_intent_restarts_the_clock_and_drops_the_approvals() {
    let mut world = World::new();
    let first = request(&mut world, "new").unwrap();
    approve(&mut world, &first, "olga").unwrap();
    world.tick(WAIT_MS);
    // The same new key may change its own request.
    let second = request(&mut world, "new").unwrap();
    assert_ne!(first.hash(), second.hash());
    let pending = world.alice().pending().unwrap();
    assert_eq!((pending.approved_by().count(), pending.requested_ms()), (0, world.now_ms));
    let refusal = {
        let facts = [possession("new"), world.signs(Role::NewKey, "new", &second)];
        world.ask(&second, &facts).unwrap_err()
    };
    assert_eq!(refusal.rule, "one-request-per-intent");
    approve(&mut world, &second, "olga").unwrap();
    approve(&mut world, &second, "omar").unwrap();
    assert_eq!(complete(&mut world).unwrap_err().rule, "the-wait-is-over");
}

#[test]
fn strangers_file_so_many_requests_a_day_and_an_officers_word_always_passes() {
    let mut world = World::new();
    for n in 0..16 {
        request(&mut world, if n % 2 == 0 { "s0" } else { "s1" }).unwrap();
        world.tick(1000);
    }
    let refusal = request(&mut world, "k1").unwrap_err();
    assert_eq!(
        (refusal.code, refusal.rule),
        (ProblemCode::TooManyRequests, "bare-requests-per-day")
    );
    request_with(&mut world, "k1", &["olga"]).unwrap();
    world.tick(24 * HOUR_MS);
    request_with(&mut world, "k1", &["olga", "omar"]).unwrap();
}

#[test]
fn a_request_expires() {
    let mut world = World::new();
    let intent = request_with(&mut world, "new", &["olga", "omar"]).unwrap();
    world.tick(14 * 24 * HOUR_MS + 1);
    assert_eq!(complete(&mut world).unwrap_err().code, ProblemCode::RequestExpired);
    assert_eq!(approve(&mut world, &intent, "oskar").unwrap_err().rule, "request-expiry");
    request(&mut world, "another").unwrap();
}

#[test]
fn the_cooldown_holds_between_switches() {
    let mut world = World::new();
    request_with(&mut world, "s1", &["olga", "omar"]).unwrap();
    world.tick(WAIT_MS);
    complete(&mut world).unwrap();
    request_with(&mut world, "s2", &["olga", "omar"]).unwrap();
    world.tick(WAIT_MS);
    assert_eq!(complete(&mut world).unwrap_err().rule, "cooldown");
    world.tick(7 * 24 * HOUR_MS - WAIT_MS);
    complete(&mut world).unwrap();
}

#[test]
fn who_vetoes_to_what_effect() {
    // The current key: final, while nobody doubts it.
    let mut world = World::new();
    let intent = request_with(&mut world, "new", &["olga", "omar"]).unwrap();
    veto_by_key(&mut world, &intent, "k0").unwrap();
    assert_eq!(world.alice().pending(), None);
    let facts = [possession("new"), world.signs(Role::NewKey, "new", &intent)];
    assert!(world.ask(&intent, &facts).is_err(), "a vetoed intent is dead");
    // The recovery key: final. Officers: the threshold.
    let intent = request_with(&mut world, "new", &["olga", "omar"]).unwrap();
    let facts = world.recovers(K::Veto, "r0", &intent);
    veto(&mut world, &intent, &facts).unwrap();
    let intent = request_with(&mut world, "new", &["olga", "omar"]).unwrap();
    let one = world.says(K::Veto, Role::Officer, "olga", &intent);
    let two = world.says(K::Veto, Role::Officer, "omar", &intent);
    let refusal = veto(&mut world, &intent, std::slice::from_ref(&one)).unwrap_err();
    assert_eq!(refusal.rule, "threshold-of-officers");
    veto(&mut world, &intent, &[one, two]).unwrap();
    // The new key, an agent, a stranger: nobody.
    let intent = request(&mut world, "new").unwrap();
    for (role, who) in [(Role::NewKey, "new"), (Role::CurrentKey, "new"), (Role::Agent, "agent")] {
        let fact = world.says(K::Veto, role, who, &intent);
        assert!(veto(&mut world, &intent, &[fact]).is_err(), "{who}");
    }
    // An approval's signature is no veto.
    let facts = ["olga", "omar"].map(|o| world.says(K::SwitchApprove, Role::Officer, o, &intent));
    assert_eq!(veto(&mut world, &intent, &facts).unwrap_err().rule, "verb");
}

#[test]
fn under_an_officers_suspension_the_current_key_slows_once_and_stops_nothing() {
    let mut world = World::new();
    suspend(&mut world, "olga").unwrap();
    let intent = request_with(&mut world, "new", &["olga", "omar"]).unwrap();
    veto_by_key(&mut world, &intent, "k0").unwrap();
    assert!(world.alice().pending().unwrap().is_slowed());
    let refusal = veto_by_key(&mut world, &intent, "k0").unwrap_err();
    assert_eq!(refusal.rule, "the-current-key-objects-once");
    world.tick(WAIT_MS);
    assert_eq!(
        complete(&mut world).unwrap_err().expected,
        "3 approvals by officers of the present roster"
    );
    approve(&mut world, &intent, "oskar").unwrap();
    assert_eq!(complete(&mut world).unwrap_err().rule, "the-wait-is-over");
    world.tick(WAIT_MS);
    complete(&mut world).unwrap();
    assert_eq!((world.alice().status, world.alice().key.unwrap().spki), (Status::Active, h("new")));
}

#[test]
fn the_holders_own_suspension_does_not_weaken_the_holders_veto() {
    let mut world = World::new();
    let pause = world.intent(K::Suspend);
    let fact = world.signs(Role::CurrentKey, "k0", &pause);
    world.ask(&pause, &[fact]).unwrap();
    let intent = request_with(&mut world, "new", &["olga", "omar"]).unwrap();
    veto_by_key(&mut world, &intent, "k0").unwrap();
    assert_eq!(world.alice().pending(), None);
}

#[test]
fn waits_are_witnessed_where_the_policy_says_so() {
    let mut body = genesis_body(
        wire::rules::Rules { allow_unwitnessed: false, ..wire::rules::Rules::standard() },
        &hsm(),
    );
    let vkey = |name: &str| format!("{name}+00000000+{}", name.replace('w', "BAA"));
    body.cosigners = ["w1", "w2", "w3"]
        .map(|name| wire::genesis::Cosigner {
            kind: wire::genesis::CosignerKind::Witness,
            vkey: vkey(name),
        })
        .to_vec();
    let mut world = World::with(installed(&body));
    request_with(&mut world, "new", &["olga", "omar"]).unwrap();
    let leaf = world.alice().pending().unwrap().leaf();
    world.tick(WAIT_MS * 3);
    let ask = Request::CompleteSwitch { uid: uid("alice") };
    let (from, wait) = (1_000_000, WAIT_MS / 1000);
    let waited = |who: &str, leaf, length| mint::waited(h(&vkey(who)), leaf, from, from + length);
    for (facts, enough) in [
        (vec![], false),
        (vec![waited("w1", leaf, wait)], false),
        (vec![waited("w1", leaf, wait), waited("w1", leaf, wait + 1)], false),
        (vec![waited("w1", leaf, wait), waited("w2", leaf, wait - 1)], false),
        (vec![waited("w1", leaf, wait), waited("w2", h("other"), wait)], false),
        (vec![waited("w1", leaf, wait), waited("mallory", leaf, wait)], false),
        (vec![waited("w1", leaf, wait), waited("w2", leaf, wait)], true),
    ] {
        let mut world = world.clone();
        let outcome = world.act("alice", &ask, &facts);
        assert_eq!(outcome.is_ok(), enough, "{facts:?}");
        if !enough {
            assert_eq!(outcome.unwrap_err().rule, "the-wait-is-over");
        }
    }
}

#[test]
fn a_key_that_somebody_else_took_meanwhile_is_no_next_key() {
    let mut world = World::new();
    request_with(&mut world, "new", &["olga", "omar"]).unwrap();
    world.enrol("carol", "new", None).unwrap();
    world.tick(WAIT_MS);
    assert_eq!(complete(&mut world).unwrap_err().code, ProblemCode::KeyInUse);
}

/// An installation in which switches have an issuing authority of their own, whose key is held so.
fn two_issuers(held: &wire::genesis::Protection) -> World {
    use wire::genesis::{InstallationKey, KeyPurpose};
    let mut body = genesis_body(wire::rules::Rules::standard(), &hsm());
    let issuing = body.keys[1].clone();
    body.keys.push(InstallationKey {
        purpose: KeyPurpose::SwitchIssuing,
        spki: wire::octets(b"switches"),
        protection: held.clone(),
        ..issuing
    });
    World::with(installed(&body))
}

fn switched(world: &mut World, key: &str) {
    let intent = request(world, key).unwrap();
    approve(world, &intent, "olga").unwrap();
    approve(world, &intent, "omar").unwrap();
    world.tick(WAIT_MS);
    complete(world).unwrap();
}

/// The key signs a renewal, with whatever else is known.
fn renew(world: &mut World, key: &str, more: &[Fact]) -> Result<EventKind, Refusal> {
    let intent = world.over(K::Renew, key);
    let facts = [possession(key), world.signs(Role::CurrentKey, key, &intent)];
    let request = Request::Certify { uid: uid("alice"), spki: h(key), csr: csr(key) };
    world.act("alice", &request, &[&facts, more].concat())
}

#[test]
fn nothing_follows_from_a_switch_that_its_own_authority_did_not_sign() {
    let rule = "a-switch-is-signed-first";
    let mut world = two_issuers(&hsm());
    switched(&mut world, "new");
    assert_eq!(world.alice().unshown_switch(), Some(h("new")));
    assert_eq!(renew(&mut world, "new", &[]).unwrap_err().rule, rule);
    assert_eq!(rekey(&mut world, "new", "k2").unwrap_err().rule, rule);
    for verb in [K::Reissue, K::Rename] {
        let mut intent = world.over(verb, "new");
        intent.csr = None;
        intent.names.extend((verb == K::Rename).then(|| wire::intent::Name {
            kind: wire::intent::NameKind::Rfc822,
            value: "alice@example.org".into(),
        }));
        let facts = ["olga", "omar"].map(|o| world.signs(Role::Officer, o, &intent));
        assert_eq!(world.ask(&intent, &facts).unwrap_err().rule, rule, "{verb}");
    }
    // Somebody else's certificate over it, or the right authority's over another key.
    let issuer = h("switches");
    for fact in [mint::certified(h("new"), h("issuing")), mint::certified(h("k2"), issuer)] {
        assert_eq!(renew(&mut world, "new", &[fact]).unwrap_err().rule, rule);
    }
    let shown = [mint::certified(h("new"), issuer)];
    let mut other = world.clone();
    assert_eq!(renew(&mut world, "new", &shown), Ok(K::Renew));
    // Once it is shown, that is that.
    assert_eq!(world.alice().unshown_switch(), None);
    assert_eq!(renew(&mut world, "new", &[]), Ok(K::Renew));
    assert_eq!(rekey(&mut world, "new", "k2"), Ok(K::Rekey));
    // The recovery key of before it needs nothing of it.
    assert_eq!(recover(&mut other, "r0", "k3", Some("r1")), Ok(K::Recover));
    assert_eq!(renew(&mut other, "k3", &[]), Ok(K::Renew));
}

#[test]
fn a_recovery_key_that_a_switch_set_is_worth_what_the_switch_is() {
    let mut world = two_issuers(&hsm());
    let mut intent = over_key(world.anchored(K::SwitchRequest), "new");
    intent.recovery_commitment = Some(commitment("r-new"));
    let facts = [possession("new"), world.signs(Role::NewKey, "new", &intent)];
    world.ask(&intent, &facts).unwrap();
    approve(&mut world, &intent, "olga").unwrap();
    approve(&mut world, &intent, "omar").unwrap();
    world.tick(WAIT_MS);
    complete(&mut world).unwrap();
    let mut within = world.clone();
    assert_eq!(recover(&mut within, "r0", "k3", Some("r1")), Ok(K::Recover));
    world.tick(world.installation.rules().recovery_window * 1000);
    let refused = recover(&mut world, "r-new", "k3", Some("r1")).unwrap_err();
    assert_eq!(refused.rule, "a-switch-is-signed-first");
}

#[test]
fn the_key_that_signs_a_move_is_the_one_that_has_to_be_held() {
    let mut world = two_issuers(&key_file());
    assert_eq!(request(&mut world, "new").unwrap_err().rule, "no-hsm-no-move");
    assert_eq!(rekey(&mut world, "k0", "k1"), Ok(K::Rekey));
}
