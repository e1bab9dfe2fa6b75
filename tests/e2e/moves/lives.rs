//! Lawful lives: what people and officers can do, and in what time.

use avouch_tests::patiently;
use avouch_tests::people::{Holder, Town};
use wire::Encoded;
use wire::event::EventKind as K;
use wire::problem::ProblemCode;
use wire::rest::{IdentityStatus, SwitchStatus};
use wire::socket::{RequestBody, ResponseBody};
use wire::statement::Role;

use super::refused;

const DAY: u64 = 86_400;

/// The key of an identity, once it is this one.
fn becomes(town: &Town, uid: &str, key: &Holder) {
    patiently("the switch to take effect", || (town.key(uid) == Some(key.hash())).then_some(()));
}

#[test]
pub(crate) fn whoever_lost_every_key_gets_the_identity_back_by_officers_and_a_wait() {
    let town = Town::new();
    let (old, new) = (Holder::new(), Holder::new());
    town.enrol("alice", &old, None);
    let switch = town.request_switch("alice", &new);
    assert_eq!(town.key("alice"), Some(old.hash()), "a request locks nobody out");
    town.approve(&switch, &town.officers[0]).unwrap();
    refused(
        town.approve(&switch, &town.officers[0]),
        ProblemCode::AlreadyDone,
        "one-officer-counts-once",
    );
    town.approve(&switch, &town.officers[2]).unwrap();
    let shown = |town: &Town| match town
        .gateway()
        .ask(RequestBody::Switch { switch: switch.hash() })
        .result
    {
        Ok(ResponseBody::Switch(shown)) => *shown,
        other => panic!("{other:?}"),
    };
    let seen = shown(&town);
    assert_eq!((seen.status, seen.approvals.len()), (SwitchStatus::Waiting, 2), "{seen:?}");
    assert_eq!(seen.approvals[0].remark.as_deref(), Some("met in person, passport seen"));
    assert_eq!((seen.old_key, seen.new_key), (Some(old.hash()), new.hash()));
    assert_eq!(town.key("alice"), Some(old.hash()), "the wait is not over");
    town.clock_at(3 * DAY + 60);
    becomes(&town, "alice", &new);
    let seen = shown(&town);
    assert_eq!(seen.status, SwitchStatus::Completed, "{seen:?}");
    let identity = town.identity("alice");
    assert_eq!(identity.key.map(|key| key.number), Some(1));
    let serial = identity.serial.expect("a certificate over the new key");
    let crl = town.installation.stranger();
    let page: wire::rest::Page<wire::rest::Certificate> =
        crl.get("/api/v1/identities/alice/certificates").json(200);
    let old_ones = page.items.iter().filter(|c| c.serial != serial);
    for certificate in old_ones {
        assert_eq!(certificate.revocation_reason.as_deref(), Some("superseded"));
    }
}

#[test]
fn the_old_key_rekeys_and_the_recovery_key_recovers_at_once() {
    let town = Town::new();
    let keys: Vec<Holder> = (0..4).map(|_| Holder::new()).collect();
    let recovery: Vec<Holder> = (0..2).map(|_| Holder::new()).collect();
    town.enrol("alice", &keys[0], Some(&recovery[0]));

    let (intent, csr) = town.move_to(K::Rekey, "alice", &keys[1]);
    let by_old = town.signed(&intent, Role::CurrentKey, &keys[0]);
    let by_new = town.signed(&intent, Role::NewKey, &keys[1]);
    let unsigned = town.ask(&intent, Some(csr.clone()), vec![by_new.clone()], &[]);
    refused(unsigned, ProblemCode::EvidenceRequired, "only-signed-statements-decide");
    let done = town.ask(&intent, Some(csr), vec![by_old, by_new], &[]).unwrap();
    let certificate = done.certificate.expect("a certificate over the new key");
    assert_eq!(certificate.spki_sha256, keys[1].hash());

    let (mut intent, csr) = town.move_to(K::Recover, "alice", &keys[2]);
    intent.recovery_commitment = Some(recovery[1].commitment());
    let statements = |intent: &wire::intent::Intent| {
        vec![
            town.signed(intent, Role::RecoveryKey, &recovery[0]),
            town.signed(intent, Role::NewKey, &keys[2]),
        ]
    };
    let unrevealed = town.ask(&intent, Some(csr.clone()), statements(&intent), &[]);
    assert_eq!(unrevealed.unwrap_err().code, ProblemCode::EvidenceRefused);
    town.ask(&intent, Some(csr), statements(&intent), &[&recovery[0]]).unwrap();
    assert_eq!(town.key("alice"), Some(keys[2].hash()));

    // Used once: the same recovery key does nothing any more.
    let (mut intent, csr) = town.move_to(K::Recover, "alice", &keys[3]);
    intent.recovery_commitment = Some(recovery[0].commitment());
    let statements = vec![
        town.signed(&intent, Role::RecoveryKey, &recovery[0]),
        town.signed(&intent, Role::NewKey, &keys[3]),
    ];
    let again = town.ask(&intent, Some(csr), statements, &[&recovery[0]]);
    assert_eq!(again.unwrap_err().code, ProblemCode::EvidenceRefused);

    // A key once left is not taken up again.
    let (intent, csr) = town.move_to(K::Rekey, "alice", &keys[0]);
    let statements = vec![
        town.signed(&intent, Role::CurrentKey, &keys[2]),
        town.signed(&intent, Role::NewKey, &keys[0]),
    ];
    let back = town.ask(&intent, Some(csr), statements, &[]);
    assert_eq!(back.unwrap_err().code, ProblemCode::KeyWasUsed);
}

#[test]
fn an_officer_suspends_and_the_threshold_resumes_and_retires() {
    let town = Town::new();
    let key = Holder::new();
    town.enrol("alice", &key, None);
    let suspend = town.intent(K::Suspend, "alice");
    let by_one = vec![town.signed(&suspend, Role::Officer, &town.officers[0])];
    town.ask(&suspend, None, by_one, &[]).unwrap();
    assert_eq!(town.identity("alice").status, IdentityStatus::Suspended);

    let resume = town.intent(K::Resume, "alice");
    let officers = |n: usize| -> Vec<_> {
        town.officers.iter().take(n).map(|o| town.signed(&resume, Role::Officer, o)).collect()
    };
    let alone = town.ask(&resume, None, officers(1), &[]);
    refused(alone, ProblemCode::EvidenceRequired, "threshold-of-officers");
    let by_key = vec![town.signed(&resume, Role::CurrentKey, &key)];
    assert!(town.ask(&resume, None, by_key, &[]).is_err(), "a current key lifts nothing");
    town.ask(&resume, None, officers(2), &[]).unwrap();
    assert_eq!(town.identity("alice").status, IdentityStatus::Active);

    let retire = town.intent(K::Retire, "alice");
    let statements = town.officers.iter().map(|o| town.signed(&retire, Role::Officer, o)).collect();
    let done = town.ask(&retire, None, statements, &[]).unwrap();
    assert!(done.announced, "it waits: {done:?}");
    assert_eq!(town.identity("alice").status, IdentityStatus::Active);
    town.clock_at(3 * DAY + 60);
    patiently("the retirement to take effect", || {
        (town.identity("alice").status == IdentityStatus::Retired).then_some(())
    });
    // The id is never used again.
    let csr = Holder::new();
    let (intent, request) = {
        let request = csr.csr("alice");
        let mut intent = town.first_intent(K::Enrol, Some("alice"));
        intent.csr = Some(wire::Hash32::of(&request));
        intent.new_spki = Some(csr.hash());
        (intent, request)
    };
    let statements = vec![town.signed(&intent, Role::Officer, &town.officers[0])];
    let signed = wire::socket::Signed {
        intent: avouch_tests::people::der(&intent),
        statements,
        ..Default::default()
    };
    let body = RequestBody::Issue {
        uid: avouch_tests::people::id("alice"),
        csr: request.into(),
        idempotency_key: None,
        signed,
    };
    let again = town.gateway().ask(body).result.expect_err("the id has ended");
    assert_eq!(again.code, ProblemCode::IdentityRetired, "{again:?}");
}

#[test]
pub(crate) fn what_loosens_waits_and_what_tightens_holds_at_once_and_both_outlast_a_restart() {
    use wire::rules::Rules;
    let mut town = Town::new();
    let key = Holder::new();
    town.enrol("alice", &key, None);
    let present = |town: &Town| match town.gateway().ask(RequestBody::Policy).result {
        Ok(ResponseBody::Policy(policy)) => *policy,
        other => panic!("{other:?}"),
    };
    let before = present(&town);
    let dev =
        Rules { allow_transport_evidence: true, allow_software_token: true, ..Rules::standard() };
    assert_eq!(dev.hash(), before.hash, "the rules of `avouch dev`");

    let tighter = Rules { approvals: 2, cooldown: 30 * DAY, ..dev.clone() };
    let intent = town.change_intent(K::PolicyChange, &tighter.to_canonical());
    refused(town.change(&intent, 1), ProblemCode::EvidenceRequired, "threshold-of-officers");
    assert!(!town.change(&intent, 2).unwrap().announced);
    assert_eq!(present(&town).hash, tighter.hash());

    // Lists of before it are good for less than they say, so they are made anew in time.
    let list = || {
        let path = format!("/api/v1/issuers/{}/crl/0.crl", town.issuer());
        let file = town.installation.file("list.crl");
        std::fs::write(&file, town.installation.stranger().get(&path).body).expect("a file");
        let file = avouch_tests::openssl::text(&file).to_owned();
        let next = ["crl", "-inform", "DER", "-noout", "-nextupdate", "-in", &file];
        String::from_utf8(avouch_tests::openssl::run(&next)).expect("text")
    };
    let before = list();
    let tighter = Rules { max_status_age: 3600, ..tighter };
    let intent = town.change_intent(K::PolicyChange, &tighter.to_canonical());
    assert!(!town.change(&intent, 2).unwrap().announced);
    town.clock_at(2400);
    patiently("a list that is good for an hour", || (list() != before).then_some(()));
    // Nothing else than a policy is what it says: issuing keys do not change in this version.
    let issuers = town.change_intent(K::IssuersChange, &tighter.to_canonical());
    refused(town.change(&issuers, 3), ProblemCode::NotOffered, "one-issuer");

    let looser = Rules { cooldown: 0, ..tighter.clone() };
    let intent = town.change_intent(K::PolicyChange, &looser.to_canonical());
    assert!(town.change(&intent, 2).unwrap().announced);
    assert_eq!(present(&town).hash, tighter.hash(), "not before the wait is over");
    assert_eq!(present(&town).announced, ["policy-change"]);
    town.installation.restart(true);
    assert_eq!(present(&town).announced, ["policy-change"], "the log tells of it");
    town.clock_at(3 * DAY + 3000);
    patiently("the policy to take effect", || (present(&town).hash == looser.hash()).then_some(()));
    // What was decided under other rules is still proven.
    town.installation.stop();
    let config = town.installation.file("avouch.toml");
    let config = config.to_str().expect("a plain path");
    let verified = town.installation.avouch(&["log", "verify", "--config", config]);
    let said = String::from_utf8_lossy(&[verified.stdout, verified.stderr].concat()).into_owned();
    assert!(verified.status.success(), "{said}");
}

/// Neither key nor officers nor recovery key move an identity here, and all are told why.
fn nothing_moves(town: &Town, key: &Holder, recovery: &Holder) {
    let new = Holder::new();
    for verb in [K::Rekey, K::Recover, K::SwitchRequest] {
        let (mut intent, csr) = town.move_to(verb, "alice", &new);
        intent.recovery_commitment = (verb == K::Recover).then(|| Holder::new().commitment());
        let statements = vec![
            town.signed(&intent, Role::NewKey, &new),
            town.signed(&intent, Role::CurrentKey, key),
            town.signed(&intent, Role::RecoveryKey, recovery),
        ];
        let answer = town.ask(&intent, Some(csr), statements, &[recovery]);
        refused(answer, ProblemCode::HsmRequired, "no-hsm-no-move");
    }
    assert_eq!(town.key("alice"), Some(key.hash()));
}

#[test]
fn no_identity_moves_while_the_issuing_key_is_in_software() {
    let town = Town::with(&["--software"]);
    let (key, recovery) = (Holder::new(), Holder::new());
    town.enrol("alice", &key, Some(&recovery));
    nothing_moves(&town, &key, &recovery);
}

#[test]
fn no_identity_moves_by_a_software_token_that_the_policy_does_not_let_count() {
    use wire::rules::Rules;
    let town = Town::new();
    let (key, recovery) = (Holder::new(), Holder::new());
    town.enrol("alice", &key, Some(&recovery));
    let switch = town.request_switch("alice", &Holder::new());
    for officer in &town.officers[..2] {
        town.approve(&switch, officer).unwrap();
    }
    let strict = Rules { allow_transport_evidence: true, ..Rules::standard() };
    let intent = town.change_intent(K::PolicyChange, &strict.to_canonical());
    assert!(!town.change(&intent, 2).unwrap().announced, "it tightens");
    nothing_moves(&town, &key, &recovery);
    // Not even what was approved before.
    town.clock_at(4 * DAY);
    patiently("the authority to try and refuse", || {
        town.installation.log().contains("it does not take effect yet").then_some(())
    });
    assert_eq!(town.key("alice"), Some(key.hash()));
    // It expires like that, and keeps nothing else from taking effect.
    let retire = town.intent(K::Retire, "alice");
    let statements = town.officers.iter().map(|o| town.signed(&retire, Role::Officer, o)).collect();
    assert!(town.ask(&retire, None, statements, &[]).unwrap().announced);
    town.clock_at(20 * DAY);
    patiently("the retirement to take effect", || {
        (town.identity("alice").status == IdentityStatus::Retired).then_some(())
    });
}

#[test]
fn a_strike_of_an_earlier_event_takes_the_latest_along() {
    use wire::body::Struck;
    let mut town = Town::new();
    town.enrol("alice", &Holder::new(), None);
    let by = |verb, officers: usize| {
        let intent = town.intent(verb, "alice");
        let officers = town.officers.iter().take(officers);
        let statements = officers.map(|o| town.signed(&intent, Role::Officer, o)).collect();
        town.ask(&intent, None, statements, &[])
    };
    let (earlier, latest) = (by(K::Suspend, 1).unwrap(), by(K::Resume, 2).unwrap());
    let strike = |leaf, index| {
        let body = Struck { version: 1, leaf, index }.to_canonical();
        town.change(&town.change_intent(K::Strike, &body), 2)
    };
    let rule = "a-strike-takes-the-latest-along";
    refused(strike(earlier.head, None), ProblemCode::MalformedRequest, rule);
    let at = Some(earlier.leaf_index);
    let told = strike(earlier.head, at).unwrap_err();
    let expected = told.expected.as_deref().unwrap_or_default();
    assert!(expected.contains(&latest.head.to_string()), "{told:?}");
    refused(strike(latest.head, at), ProblemCode::MalformedRequest, rule);
    assert!(by(K::Suspend, 1).is_err(), "the same officer; nothing was struck");

    strike(latest.head, None).unwrap();
    strike(earlier.head, at).unwrap();
    refused(by(K::Suspend, 2), ProblemCode::NotOffered, "nothing-follows-from-a-struck-leaf");
    by(K::Void, 2).unwrap();
    // What a void came after is dead anyway.
    let enrolled = strike(earlier.head, at);
    refused(enrolled, ProblemCode::AlreadyDone, "strike-once");
    town.installation.restart(true);
    assert_eq!(town.identity("alice").status, IdentityStatus::Suspended);
}

#[test]
fn a_roster_of_sixty_four_with_long_keys_can_be_changed_to() {
    use wire::body::Roster;
    use wire::genesis::Keyholder;
    let mut town = Town::new();
    let present = match town.gateway().ask(RequestBody::Policy).result {
        Ok(ResponseBody::Policy(policy)) => policy.officers,
        other => panic!("{other:?}"),
    };
    // Whoever stays is in it; the others' keys have the length of RSA-4096 ones.
    let mut officers: Vec<Keyholder> = present
        .iter()
        .map(|o| {
            let own = town.officers.iter().find(|own| own.hash() == o.key).expect("an officer");
            Keyholder { name: o.name.clone(), spki: wire::octets(own.spki()), scope: Vec::new() }
        })
        .collect();
    for n in officers.len()..64 {
        officers.push(Keyholder {
            name: format!("officer number {n} of a large organisation"),
            spki: wire::octets(&[n as u8; 550]),
            scope: vec![format!("uid=officer-{n}@a-large-organisation.example")],
        });
    }
    let roster = Roster { version: 1, officers };
    let intent = town.change_intent(K::RosterChange, &roster.to_canonical());
    assert!(intent.to_canonical().len() > 32 * 1024);
    assert!(town.change(&intent, 2).unwrap().announced);
    town.clock_at(3 * DAY + 60);
    patiently("the roster to take effect", || {
        match town.gateway().ask(RequestBody::Policy).result {
            Ok(ResponseBody::Policy(policy)) => (policy.officers.len() == 64).then_some(()),
            other => panic!("{other:?}"),
        }
    });
    town.installation.restart(true);
    town.enrol("alice", &Holder::new(), None);
}
