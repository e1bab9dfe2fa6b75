//! Whoever holds exactly what a compromised gateway holds: its socket, its credentials, all traffic
//! so far. Each attempt is refused by name, and alice keeps her key. (That a retired id is not
//! enrolled again stands in `lives.rs`; that notices do not pass him, in `e2e/told.rs`.)

use avouch_tests::Socket;
use avouch_tests::people::{Holder, Town, der, id};
use serde_bytes::ByteBuf;
use wire::body::{Issuers, Roster};
use wire::event::EventKind as K;
use wire::genesis::{InstallationKey, KeyPurpose, Keyholder, Protection};
use wire::intent::Intent;
use wire::problem::{Problem, ProblemCode};
use wire::rules::Rules;
use wire::socket::{RequestBody, Signed};
use wire::statement::{Role, Statement};
use wire::{Encoded, Hash32, octets};

use super::refused;

const DAY: u64 = 86_400;

/// Alice, and mallory, who holds the gateway.
struct Scene {
    town: Town,
    alice: Holder,
    recovery: Holder,
    mallory: Holder,
}

impl Scene {
    fn new() -> Self {
        let (town, alice, recovery) = (Town::new(), Holder::new(), Holder::new());
        town.enrol("alice", &alice, Some(&recovery));
        Self { town, alice, recovery, mallory: Holder::new() }
    }

    /// Mallory's own request for alice's identity: anybody can file one.
    fn request(&self) -> Intent {
        self.town.request_switch("alice", &self.mallory)
    }

    fn officers_say(&self, verb: K, intent: &Intent) -> Vec<ByteBuf> {
        let officers = self.town.officers.iter().take(2);
        officers.map(|o| self.town.signed_for(verb, intent, Role::Officer, o)).collect()
    }

    fn alice_is_alice(&self) {
        assert_eq!(self.town.key("alice"), Some(self.alice.hash()));
    }
}

#[test]
fn no_new_key_for_an_existing_identity_without_signatures() {
    let scene = Scene::new();
    let Scene { town, mallory, .. } = &scene;
    let csr = mallory.csr("alice");
    let body = RequestBody::Issue {
        uid: id("alice"),
        csr: ByteBuf::from(&csr[..]),
        idempotency_key: None,
        signed: Signed::default(),
    };
    let answer = town.gateway().ask(body).result.map(|_| ());
    assert_eq!(answer.unwrap_err().code, ProblemCode::IdentityChangeRequired);
    for verb in [K::Rekey, K::Recover] {
        let (mut intent, csr) = town.move_to(verb, "alice", mallory);
        if verb == K::Recover {
            intent.recovery_commitment = Some(Holder::new().commitment());
        }
        let own = |role| town.signed(&intent, role, mallory);
        // Only his own signatures, in whatever role he claims.
        for role in [Role::NewKey, Role::CurrentKey, Role::RecoveryKey, Role::Officer, Role::Agent]
        {
            let statements = vec![own(Role::NewKey), own(role)];
            let answer = town.ask(&intent, Some(csr.clone()), statements, &[mallory]);
            assert!(answer.is_err(), "{verb} by {role}: {answer:?}");
        }
    }
    scene.alice_is_alice();
}

#[test]
fn replayed_altered_mixed_and_foreign_approvals_do_not_count() {
    let scene = Scene::new();
    let Scene { town, alice, mallory, .. } = &scene;
    let switch = scene.request();

    // Made for another identity's switch, by officers who mean it.
    let bob = Holder::new();
    town.enrol("bob", &bob, None);
    let honest = town.request_switch("bob", &Holder::new());
    let for_bob = scene.officers_say(K::SwitchApprove, &honest);
    let mixed = town.approve_with(&switch, for_bob);
    assert_eq!(mixed.unwrap_err().code, ProblemCode::EvidenceRefused, "mixed");

    // One bit of a real one.
    let mut altered = town.signed_for(K::SwitchApprove, &switch, Role::Officer, &town.officers[0]);
    let last = altered.len() - 30;
    altered[last] ^= 1;
    assert!(town.approve_with(&switch, vec![altered]).is_err(), "altered");

    // His own key in the officer's role.
    let own = town.signed_for(K::SwitchApprove, &switch, Role::Officer, mallory);
    assert!(town.approve_with(&switch, vec![own]).is_err(), "self-made");

    // A veto, a suspension, a policy change: signatures over the same hash for other acts.
    for verb in [K::Veto, K::Suspend, K::SwitchRequest, K::Retire, K::Rekey] {
        let other = vec![town.signed_for(verb, &switch, Role::Officer, &town.officers[0])];
        let answer = town.approve_with(&switch, other);
        assert!(answer.is_err(), "a {verb} is no approval: {answer:?}");
    }

    // Another installation's officers, with the same keys.
    let statement = Statement::new(
        Hash32::of(b"another installation"),
        K::SwitchApprove,
        Role::Officer,
        switch.hash(),
    );
    let foreign = town.officers[0].signs(statement, Some("met"));
    assert!(town.approve_with(&switch, vec![foreign]).is_err(), "another installation");

    // Without saying how the person was identified.
    let bare = Statement::new(town.genesis, K::SwitchApprove, Role::Officer, switch.hash());
    let bare = town.officers[0].signs(bare, None);
    assert!(town.approve_with(&switch, vec![bare]).is_err(), "no remark");

    // One officer, twice in one message and once again later.
    let once = town.signed_for(K::SwitchApprove, &switch, Role::Officer, &town.officers[0]);
    let twice = town.approve_with(&switch, vec![once.clone(), once.clone()]);
    refused(twice, ProblemCode::EvidenceRefused, "nothing-to-spare");
    town.approve_with(&switch, vec![once.clone()]).unwrap();
    refused(
        town.approve_with(&switch, vec![once]),
        ProblemCode::AlreadyDone,
        "one-officer-counts-once",
    );
    town.clock_at(4 * DAY);
    // Alice vetoes, and the one approval dies with the request: another round needs new ones.
    town.veto(&switch, Role::CurrentKey, alice).unwrap();
    let again = town.request_switch("alice", mallory);
    let stale = town.signed_for(K::SwitchApprove, &switch, Role::Officer, &town.officers[1]);
    assert!(town.approve_with(&again, vec![stale]).is_err(), "of the dropped request");
    scene.alice_is_alice();
}

#[test]
fn an_intent_shown_as_another_persons_and_one_changed_after_approval_are_worth_nothing() {
    let scene = Scene::new();
    let Scene { town, mallory, .. } = &scene;
    town.enrol("bob", &Holder::new(), None);
    // He shows officers an intent about bob, and hands it in for alice.
    let (about_bob, _) = town.move_to(K::SwitchRequest, "bob", mallory);
    let statements = vec![town.signed(&about_bob, Role::NewKey, mallory)];
    let signed = Signed { intent: der(&about_bob), statements, ..Signed::default() };
    let body = RequestBody::Ask {
        uid: id("alice"),
        csr: Some(ByteBuf::from(mallory.csr("alice"))),
        signed,
        idempotency_key: None,
    };
    let answer = town.gateway().ask(body).result.map(|_| ());
    refused(answer, ProblemCode::EvidenceRefused, "intent.subject");

    // Another key's request with the intent that was agreed to.
    let (intent, _) = town.move_to(K::SwitchRequest, "alice", mallory);
    let other = Holder::new();
    let statements = vec![town.signed(&intent, Role::NewKey, mallory)];
    let answer = town.ask(&intent, Some(other.csr("alice")), statements, &[]);
    assert!(answer.is_err(), "{answer:?}");
    scene.alice_is_alice();
}

#[test]
fn no_wait_is_shortened_and_no_clock_but_the_authoritys_counts() {
    let scene = Scene::new();
    let Scene { town, mallory, .. } = &scene;
    let switch = scene.request();
    // The officers are deceived and approve. Alice has three days in which she is told.
    for officer in &town.officers[..2] {
        town.approve(&switch, officer).unwrap();
    }
    town.clock_at(3 * DAY - 600);
    // Nothing that he can send makes it happen: there is no message for it.
    let (rekey, csr) = town.move_to(K::SwitchComplete, "alice", mallory);
    let statements = vec![town.signed(&rekey, Role::NewKey, mallory)];
    refused(town.ask(&rekey, Some(csr), statements, &[]), ProblemCode::NotOffered, "verb");
    // A shorter wait is a looser policy: officers, and it waits itself.
    let dev =
        Rules { allow_transport_evidence: true, allow_software_token: true, ..Rules::standard() };
    let short = Rules { wait: 3600, recovery_window: 3600, ..dev };
    let intent = town.change_intent(K::PolicyChange, &short.to_canonical());
    let by_himself = Signed {
        intent: der(&intent),
        statements: vec![town.signed(&intent, Role::Officer, mallory)],
        ..Signed::default()
    };
    let answer = town.gateway().ask(RequestBody::Change { signed: by_himself }).result.map(|_| ());
    assert_eq!(answer.unwrap_err().code, ProblemCode::EvidenceRefused);
    scene.alice_is_alice();
    town.veto(&switch, Role::RecoveryKey, &scene.recovery).unwrap();
    town.clock_at(30 * DAY);
    scene.alice_is_alice();
}

#[test]
fn roster_policy_channels_and_recovery_key_do_not_change_by_his_word() {
    let scene = Scene::new();
    let Scene { town, mallory, .. } = &scene;
    let roster = Roster {
        version: 1,
        officers: (0..3)
            .map(|n| Keyholder {
                name: format!("officer-{n}"),
                spki: octets(Holder::new().spki()),
                scope: Vec::new(),
            })
            .collect(),
    };
    let change = town.change_intent(K::RosterChange, &roster.to_canonical());
    // An approval of a switch by real officers is no signature under a roster.
    let switch = scene.request();
    for statements in [
        vec![],
        vec![town.signed(&change, Role::Officer, mallory)],
        scene.officers_say(K::SwitchApprove, &switch),
        scene.officers_say(K::SwitchApprove, &change),
        vec![town.signed(&change, Role::Officer, &town.officers[0])],
    ] {
        let signed = Signed { intent: der(&change), statements, ..Signed::default() };
        let answer = town.gateway().ask(RequestBody::Change { signed }).result.map(|_| ());
        assert!(answer.is_err(), "{answer:?}");
    }
    for verb in [K::ChannelChange, K::RecoveryCommitmentChange, K::Retire, K::Void, K::Resume] {
        let mut intent = town.intent(verb, "alice");
        intent.recovery_commitment =
            (verb == K::RecoveryCommitmentChange).then(|| mallory.commitment());
        intent.body = (verb == K::ChannelChange).then(|| {
            octets(&wire::body::Channels { version: 1, channels: Vec::new() }.to_canonical())
        });
        for role in [Role::CurrentKey, Role::RecoveryKey, Role::Officer, Role::Directory] {
            let statements = vec![town.signed(&intent, role, mallory)];
            let answer = town.ask(&intent, None, statements, &[mallory]);
            assert!(answer.is_err(), "{verb} by {role}: {answer:?}");
        }
    }
    scene.alice_is_alice();
}

#[test]
fn two_switches_at_once_and_a_former_officers_approval() {
    let scene = Scene::new();
    let Scene { town, .. } = &scene;
    let switch = scene.request();
    // A second request with as little behind it does not take its place, nor the other way round.
    let (second, csr) = town.move_to(K::SwitchRequest, "alice", &Holder::new());
    let nobody = town.ask(&second, Some(csr), vec![], &[]);
    assert!(nobody.is_err(), "{nobody:?}");

    // Officer 3 leaves. What she signed before, and what she signs now, counts no more.
    let early = town.signed_for(K::SwitchApprove, &switch, Role::Officer, &town.officers[2]);
    let holder = |name: &str, officer: &Holder| Keyholder {
        name: name.into(),
        spki: octets(officer.spki()),
        scope: Vec::new(),
    };
    let present = match town.gateway().ask(RequestBody::Policy).result {
        Ok(wire::socket::ResponseBody::Policy(policy)) => policy.officers,
        other => panic!("{other:?}"),
    };
    let named = |n: usize| {
        let name = present.iter().find(|o| o.key == town.officers[n].hash());
        holder(&name.expect("an officer").name, &town.officers[n])
    };
    let fourth = Holder::new();
    let roster =
        Roster { version: 1, officers: vec![named(0), named(1), holder("fourth", &fourth)] };
    let change = town.change_intent(K::RosterChange, &roster.to_canonical());
    town.change(&change, 3).unwrap();
    town.clock_at(3 * DAY + 60);
    avouch_tests::patiently("the roster to take effect", || {
        match town.gateway().ask(RequestBody::Policy).result {
            Ok(wire::socket::ResponseBody::Policy(policy)) => {
                policy.officers.iter().any(|o| o.key == fourth.hash()).then_some(())
            }
            other => panic!("{other:?}"),
        }
    });
    let former: Result<_, Problem> = town.approve_with(&switch, vec![early]);
    assert_eq!(former.unwrap_err().code, ProblemCode::EvidenceRefused);
    scene.alice_is_alice();
}

#[test]
fn oversize_slow_and_malformed_messages_cost_him_a_connection() {
    let scene = Scene::new();
    let Scene { town, .. } = &scene;
    let switch = scene.request();
    for junk in [vec![], vec![0x30, 0x00], vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff], vec![0; 9000]]
    {
        let statements = vec![ByteBuf::from(junk.clone())];
        let answer = town.approve_with(&switch, statements);
        assert!(answer.is_err(), "{answer:?}");
        let signed = Signed { intent: Some(ByteBuf::from(junk)), ..Signed::default() };
        let body = RequestBody::Change { signed };
        refused(
            town.gateway().ask(body).result.map(|_| ()),
            ProblemCode::MalformedRequest,
            "intent",
        );
    }
    // What nobody needs is not kept: a key that signed nothing, and a token beside a change.
    let (suspend, key) = (town.intent(K::Suspend, "alice"), Holder::new());
    let statements = vec![town.signed(&suspend, Role::Officer, &town.officers[0])];
    refused(
        town.ask(&suspend, None, statements, &[&key]),
        ProblemCode::EvidenceRefused,
        "nothing-to-spare",
    );
    let dev =
        Rules { allow_transport_evidence: true, allow_software_token: true, ..Rules::standard() };
    let tighter = Rules { cooldown: 30 * DAY, ..dev };
    let change = town.change_intent(K::PolicyChange, &tighter.to_canonical());
    let officers = town.officers.iter();
    let signed = Signed {
        intent: der(&change),
        statements: officers.map(|o| town.signed(&change, Role::Officer, o)).collect(),
        id_tokens: vec!["x".into()],
        ..Signed::default()
    };
    let answer = town.gateway().ask(RequestBody::Change { signed }).result.map(|_| ());
    refused(answer, ProblemCode::EvidenceRefused, "evidence");
    let flood = (0..65)
        .map(|_| town.signed_for(K::SwitchApprove, &switch, Role::Officer, &scene.mallory))
        .collect();
    let answer = town.approve_with(&switch, flood);
    assert_eq!(answer.unwrap_err().code, ProblemCode::EvidenceRefused);
    scene.alice_is_alice();
}

#[test]
fn an_approval_that_comes_when_the_request_has_expired_counts_for_nothing() {
    let scene = Scene::new();
    let Scene { town, .. } = &scene;
    let switch = scene.request();
    let kept = scene.officers_say(K::SwitchApprove, &switch);
    town.clock_at(15 * DAY);
    refused(town.approve_with(&switch, kept), ProblemCode::RequestExpired, "request-expiry");
    // Nor does what was signed for a request that names another time of expiry.
    let intent = Intent { expiry: switch.expiry + 400 * DAY, ..switch.clone() };
    let other = scene.officers_say(K::SwitchApprove, &intent);
    assert!(town.approve_with(&switch, other).is_err());
    scene.alice_is_alice();
}

#[test]
fn nobody_issues_with_a_key_in_software_by_his_word() {
    let scene = Scene::new();
    let Scene { town, mallory, .. } = &scene;
    let key = InstallationKey {
        purpose: KeyPurpose::Issuing,
        id: octets(b"key file"),
        spki: octets(mallory.spki()),
        certificate: octets(b""),
        protection: Protection {
            on_token: false,
            local: false,
            always_sensitive: false,
            never_extractable: false,
            modifiable: true,
            manufacturer: String::new(),
            model: String::new(),
            token_serial: String::new(),
            software_token: true,
        },
    };
    let change = town
        .change_intent(K::IssuersChange, &Issuers { version: 1, keys: vec![key] }.to_canonical());
    for statements in [
        vec![],
        vec![town.signed(&change, Role::Officer, mallory)],
        scene.officers_say(K::SwitchApprove, &change),
    ] {
        let signed = Signed { intent: der(&change), statements, ..Signed::default() };
        let answer = town.gateway().ask(RequestBody::Change { signed }).result.map(|_| ());
        assert!(answer.is_err(), "{answer:?}");
    }
    // Whoever may move, moves still: the issuing key is where it was.
    let next = Holder::new();
    let (intent, csr) = town.move_to(K::Rekey, "alice", &next);
    let statements = vec![
        town.signed(&intent, Role::CurrentKey, &scene.alice),
        town.signed(&intent, Role::NewKey, &next),
    ];
    town.ask(&intent, Some(csr), statements, &[]).unwrap();
}

#[test]
fn a_veto_that_he_keeps_back_reaches_the_authority_past_him() {
    let scene = Scene::new();
    let Scene { town, alice, .. } = &scene;
    let switch = scene.request();
    for officer in &town.officers[..2] {
        town.approve(&switch, officer).unwrap();
    }
    // He passes nothing on. Alice's veto is carried to whoever runs the authority.
    let statements = vec![town.signed_for(K::Veto, &switch, Role::CurrentKey, alice)];
    let signed = Signed { statements, ..Signed::default() };
    let mut admin = Socket::open(&town.installation.file("run/admin.sock"));
    let vetoed = admin.ask(RequestBody::Veto { switch: switch.hash(), signed }).result;
    assert!(vetoed.is_ok(), "{vetoed:?}");
    town.clock_at(4 * DAY);
    let late = town.approve(&switch, &town.officers[2]);
    assert_eq!(late.unwrap_err().code, ProblemCode::NoPendingSwitch);
    scene.alice_is_alice();
}
