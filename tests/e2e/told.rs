//! People are told what happens to their identity: by a real mail server and a real webhook, on
//! the addresses that only the authority knows.

use std::path::Path;
use std::process::{Command, Stdio};

use avouch_tests::openssl::text;
use avouch_tests::people::{Holder, Town, der, id};
use avouch_tests::receivers::{Receiver, Tls, free_port};
use avouch_tests::{Role as Process, patiently};
use client::address::{SealedChannel, seal};
use serde_bytes::ByteBuf;
use serde_json::Value;
use wire::body::{ChannelKind, Channels};
use wire::event::{EventKind as K, Revoked};
use wire::intent::Intent;
use wire::socket::{RequestBody, Signed};
use wire::statement::Role;
use wire::trust::TrustFile;
use wire::{Encoded, Hash32, octets};

const DAY: u64 = 86_400;
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ALICE: &str = "alice@people.example";

/// A town that tells people.
struct Told {
    town: Town,
    tls: Tls,
    mail_port: u16,
    hook_port: u16,
}

impl Told {
    fn new() -> Self {
        let (tls, mail_port, hook_port) = (Tls::new(), free_port(), free_port());
        let mut town = Town::new();
        let ca = tls.ca();
        town.installation.restart_after(|folder| {
            private(&folder.join("smtp-password"), "a long password\n");
            private(&folder.join("webhook-secret"), SECRET);
            let more = format!(
                "\n[notices]\nsmtp_server = \"localhost\"\nsmtp_port = {mail_port}\n\
                 smtp_ca = {ca:?}\nsmtp_user = \"avouch\"\nsmtp_password_file = \"smtp-password\"\n\
                 from = \"Avouch <avouch@town.example>\"\nhelp = \"ask at the town hall\"\n\
                 officers = [\"olga@town.example\"]\nwebhook_secret_file = \"webhook-secret\"\n\
                 webhook_hosts = [\"localhost\"]\nwebhook_ca = {ca:?}\nwebhook_private = true\n\
                 first_retry = \"200ms\"\n"
            );
            let file = folder.join("avouch.toml");
            let text = std::fs::read_to_string(&file).expect("a configuration");
            std::fs::write(&file, text + &more).expect("a configuration");
        });
        Self { town, tls, mail_port, hook_port }
    }

    fn mail(&self) -> Receiver {
        Receiver::mail(self.mail_port, &self.tls, Some(("avouch", "a long password")))
    }

    fn hook(&self, status: u16) -> Receiver {
        Receiver::hook(self.hook_port, &self.tls, status)
    }

    fn hook_address(&self) -> String {
        format!("https://localhost:{}/alice", self.hook_port)
    }

    fn sealed(&self, uid: &str, kind: ChannelKind, address: &str) -> SealedChannel {
        let text = String::from_utf8(self.town.installation.read("trust.json")).expect("text");
        let trust = TrustFile::parse(&text).expect("a trust file");
        seal(&trust, &id(uid), kind, address).expect("an address")
    }

    /// Enrols alice with channels, as the program does it.
    fn enrol(&self, key: &Holder, recovery: Option<&Holder>, channels: &[SealedChannel]) {
        let town = &self.town;
        let csr = key.csr("alice");
        let mut intent = town.first_intent(K::Enrol, Some("alice"));
        intent.csr = Some(Hash32::of(&csr));
        intent.new_spki = Some(key.hash());
        intent.recovery_commitment = recovery.map(Holder::commitment);
        intent.body = Some(octets(&body(channels)));
        let signed = Signed {
            intent: der(&intent),
            statements: vec![
                town.signed(&intent, Role::Officer, &town.officers[0]),
                town.signed(&intent, Role::NewKey, key),
            ],
            addresses: sealed(channels),
            ..Signed::default()
        };
        let (uid, csr) = (id("alice"), ByteBuf::from(csr));
        let asked = RequestBody::Issue { uid, csr, idempotency_key: None, signed };
        let answer = town.gateway().ask(asked).result;
        assert!(answer.is_ok(), "{answer:?}");
    }

    /// Asks for other channels.
    fn change(
        &self,
        key: &Holder,
        channels: &[SealedChannel],
        addresses: Vec<ByteBuf>,
    ) -> Result<(), wire::problem::Problem> {
        let mut intent = self.town.intent(K::ChannelChange, "alice");
        intent.body = Some(octets(&body(channels)));
        let statements = vec![self.town.signed(&intent, Role::CurrentKey, key)];
        let signed = Signed { intent: der(&intent), statements, addresses, ..Signed::default() };
        let uid = id("alice");
        let asked = RequestBody::Ask { uid, csr: None, signed, idempotency_key: None };
        self.town.gateway().ask(asked).result.map(drop)
    }

    fn suspend(&self, key: &Holder) {
        let intent = self.town.intent(K::Suspend, "alice");
        let statements = vec![self.town.signed(&intent, Role::CurrentKey, key)];
        self.town.ask(&intent, None, statements, &[]).expect("suspended");
    }
}

fn private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).expect("a file of ours");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("ours");
}

fn body(channels: &[SealedChannel]) -> Vec<u8> {
    let channels = channels.iter().map(|sealed| sealed.channel.clone()).collect();
    Channels { version: 1, channels }.to_canonical()
}

fn sealed(channels: &[SealedChannel]) -> Vec<ByteBuf> {
    channels.iter().map(|channel| ByteBuf::from(channel.sealed.clone())).collect()
}

/// A mail to somebody of which the subject has these words.
fn mail_to<'a>(who: &'a str, words: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |mail| {
        let content = mail["content"].as_str().unwrap_or_default().replace("\r\n ", " ");
        mail["to"][0] == who
            && content.lines().any(|line| line.starts_with("Subject:") && line.contains(words))
    }
}

/// Every event that a user should hear of arrives by mail, with what it takes to object.
#[test]
fn each_event_of_an_identity_is_told_by_mail() {
    let told = Told::new();
    let mail = told.mail();
    let town = &told.town;
    let keys: Vec<Holder> = (0..5).map(|_| Holder::new()).collect();
    let recovery: Vec<Holder> = (0..3).map(|_| Holder::new()).collect();
    let awaits = |words: &str| mail.awaits(words, mail_to(ALICE, words));

    let channels = [told.sealed("alice", ChannelKind::Mail, ALICE)];
    told.enrol(&keys[0], Some(&recovery[0]), &channels);
    let first = awaits("Your identity was enrolled");
    assert_eq!((&first["tls"], &first["login"]), (&true.into(), &"avouch".into()), "{first}");
    assert_eq!(first["sender"], "avouch@town.example");

    let switch = town.request_switch("alice", &keys[1]);
    let asked = awaits("A switch to another key was asked for");
    let content = asked["content"].as_str().expect("text").replace("=\r\n", "");
    let veto = format!("avouch veto alice --id {} --key KEY", switch.hash());
    assert!(content.contains(&veto), "{content}");
    assert!(content.contains("ask at the town hall"), "{content}");
    mail.awaits("the officers", mail_to("olga@town.example", "A switch to another key"));

    town.approve(&switch, &town.officers[0]).expect("approved");
    awaits("An officer approved");
    town.veto(&switch, Role::CurrentKey, &keys[0]).expect("vetoed");
    awaits("A pending change was vetoed");

    let (intent, csr) = town.move_to(K::Rekey, "alice", &keys[1]);
    let statements = vec![
        town.signed(&intent, Role::CurrentKey, &keys[0]),
        town.signed(&intent, Role::NewKey, &keys[1]),
    ];
    town.ask(&intent, Some(csr), statements, &[]).expect("rekeyed");
    awaits("The key was changed by the key before it");

    told.suspend(&keys[1]);
    awaits("The identity was suspended");

    let (mut intent, csr) = town.move_to(K::Recover, "alice", &keys[2]);
    intent.recovery_commitment = Some(recovery[1].commitment());
    let statements = vec![
        town.signed(&intent, Role::RecoveryKey, &recovery[0]),
        town.signed(&intent, Role::NewKey, &keys[2]),
    ];
    town.ask(&intent, Some(csr), statements, &[&recovery[0]]).expect("recovered");
    awaits("taken back with the recovery key");

    // A switch that takes effect by itself is told, too: nobody asked for that event.
    let switch = town.request_switch("alice", &keys[3]);
    town.approve(&switch, &town.officers[0]).expect("approved");
    town.approve(&switch, &town.officers[1]).expect("approved");
    town.clock_at(4 * DAY);
    let completed = awaits("The switch to another key took effect");
    let content = completed["content"].as_str().expect("text").replace("=\r\n", "");
    assert!(content.contains(&switch.hash().to_string()), "{content}");
    assert!(content.contains(&keys[3].hash().to_string()), "{content}");

    revoke(town, &keys[3]);
    awaits("The certificate was revoked");
    let ids = mail.received().iter().map(message_id).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(ids.len(), mail.received().len(), "no mail twice");
}

fn revoke(town: &Town, key: &Holder) {
    let serial = town.identity("alice").serial.expect("a certificate");
    let der_serial = wire::SerialNumber::from_hex(&serial).expect("a serial number");
    let mut intent: Intent = town.intent(K::Revoke, "alice");
    let reason = wire::event::RevocationReason::KeyCompromise;
    let revoked = Revoked { version: 1, serial: octets(der_serial.as_bytes()), reason };
    intent.body = Some(octets(&revoked.to_canonical()));
    let statements = vec![town.signed(&intent, Role::CurrentKey, key)];
    let signed = Signed { intent: der(&intent), statements, ..Signed::default() };
    let reason = reason.name().to_owned();
    let answer = town.gateway().ask(RequestBody::Revoke { serial, reason, signed }).result;
    assert!(answer.is_ok(), "{answer:?}");
}

fn message_id(mail: &Value) -> String {
    let content = mail["content"].as_str().unwrap_or_default();
    let line = content.lines().find(|line| line.starts_with("Message-ID:"));
    line.unwrap_or_else(|| panic!("no Message-ID: {content}")).to_owned()
}

/// The event is durable and the mail server is down; the authority is killed; the mail comes.
#[test]
fn neither_a_server_that_is_down_nor_a_kill_loses_a_notice() {
    let mut told = Told::new();
    let key = Holder::new();
    let channels = [told.sealed("alice", ChannelKind::Mail, ALICE)];
    told.enrol(&key, None, &channels);
    // It was tried, and there was nobody.
    patiently("a try", || {
        told.town.installation.log().contains("a notice was not taken").then_some(())
    });
    told.suspend(&key);
    told.town.installation.kill(Process::Authority);
    told.town.installation.restart(true);
    let config = told.town.installation.file("avouch.toml");
    let doctor = told.town.installation.avouch(&["doctor", "--config", text(&config)]);
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(!doctor.contains("no mail server is configured"), "{doctor}");

    let mail = told.mail();
    mail.awaits("the enrolment", mail_to(ALICE, "Your identity was enrolled"));
    mail.awaits("the suspension", mail_to(ALICE, "The identity was suspended"));
    assert!(!told.town.installation.log().contains(ALICE), "addresses are in no log");
}

/// Nobody takes it for days: an operator hears of it, and nothing names the user.
#[test]
fn a_notice_that_nobody_takes_is_given_up_with_an_alarm() {
    let told = Told::new();
    let channels = [told.sealed("alice", ChannelKind::Mail, ALICE)];
    told.enrol(&Holder::new(), None, &channels);
    let doctor = |word: &str| {
        patiently(word, || {
            let config = told.town.installation.file("avouch.toml");
            let output = told.town.installation.avouch(&["doctor", "--config", text(&config)]);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            said.contains(word).then_some(said)
        })
    };
    let waits = doctor("notices wait");
    assert!(waits.contains("no connection to the mail server"), "{waits}");
    told.town.clock_at(4 * DAY);
    let given_up = doctor("somebody was not told by mail of the event in leaf");
    assert!(!given_up.contains("alice"), "{given_up}");
    // It is not sent any more: somebody has to speak to her.
    let mail = told.mail();
    let key = Holder::new();
    told.town.enrol("bob", &key, None);
    let intent = told.town.intent(K::Suspend, "bob");
    let statements = vec![told.town.signed(&intent, Role::CurrentKey, &key)];
    told.town.ask(&intent, None, statements, &[]).expect("suspended");
    mail.awaits("the officers", mail_to("olga@town.example", "The identity was suspended"));
    assert!(!mail.received().iter().any(mail_to(ALICE, "")), "{:?}", mail.received());
}

/// Whoever takes a stolen key's notices elsewhere is told on by the address before.
#[test]
fn a_change_of_channels_is_told_on_the_old_and_the_new() {
    let told = Told::new();
    let mail = told.mail();
    let key = Holder::new();
    let old = told.sealed("alice", ChannelKind::Mail, ALICE);
    told.enrol(&key, None, std::slice::from_ref(&old));
    let new = [told.sealed("alice", ChannelKind::Mail, "thief@elsewhere.example")];

    // A channel without its address, with somebody else's, or beside the intent is refused.
    let refused = |addresses| {
        let problem = told.change(&key, &new, addresses).expect_err("refused");
        assert_eq!(problem.rule.as_deref(), Some("channels-have-addresses"), "{problem:?}");
    };
    refused(Vec::new());
    refused(sealed(&[told.sealed("bob", ChannelKind::Mail, "thief@elsewhere.example")]));
    refused(sealed(&[new[0].clone(), old.clone()]));
    refused(vec![ByteBuf::from(b"nonsense".to_vec())]);

    told.change(&key, &new, sealed(&new)).expect("changed");
    let words = "The addresses for notices were changed";
    mail.awaits("the old address", mail_to(ALICE, words));
    mail.awaits("the new address", mail_to("thief@elsewhere.example", words));

    // For one wait the owner hears of everything; afterwards the new address alone.
    told.town.clock_at(2 * DAY);
    told.suspend(&key);
    mail.awaits("the suspension", mail_to(ALICE, "The identity was suspended"));
    told.town.clock_at(8 * DAY);
    revoke_by_officers(&told.town);
    let words = "The certificate was revoked";
    mail.awaits("the revocation", mail_to("thief@elsewhere.example", words));
    assert!(!mail.received().iter().any(mail_to(ALICE, words)));
}

fn revoke_by_officers(town: &Town) {
    let serial = town.identity("alice").serial.expect("a certificate");
    let der_serial = wire::SerialNumber::from_hex(&serial).expect("a serial number");
    let mut intent: Intent = town.intent(K::Revoke, "alice");
    let reason = wire::event::RevocationReason::KeyCompromise;
    let revoked = Revoked { version: 1, serial: octets(der_serial.as_bytes()), reason };
    intent.body = Some(octets(&revoked.to_canonical()));
    let statements = vec![town.signed(&intent, Role::Officer, &town.officers[0])];
    let signed = Signed { intent: der(&intent), statements, ..Signed::default() };
    let reason = reason.name().to_owned();
    let answer = town.gateway().ask(RequestBody::Revoke { serial, reason, signed }).result;
    assert!(answer.is_ok(), "{answer:?}");
}

/// OpenSSL is asked what the signature must be.
#[test]
fn webhooks_are_signed_and_called_again_until_they_are_taken() {
    let told = Told::new();
    let key = Holder::new();
    let failing = told.hook(503);
    let channels = [told.sealed("alice", ChannelKind::Webhook, &told.hook_address())];
    told.enrol(&key, None, &channels);
    let first = failing.awaits("a call", |_| true);
    drop(failing);
    // A redirection is followed nowhere.
    let moved = told.hook(307);
    moved.awaits("another call", |_| true);
    assert!(moved.received().iter().all(|call| call["path"] == "/alice"));
    drop(moved);
    let hook = told.hook(204);
    let call = hook.awaits("a call that is taken", |_| true);
    assert_eq!(call["headers"]["webhook-id"], first["headers"]["webhook-id"], "the same notice");
    assert_eq!(call["path"], "/alice");
    let header = |name: &str| call["headers"][name].as_str().expect("a header").to_owned();
    let content = call["content"].as_str().expect("text");
    let signed = format!("{}.{}.{content}", header("webhook-id"), header("webhook-timestamp"));
    assert_eq!(header("webhook-signature"), format!("v1,{}", hmac(&signed)));
    let json: Value = serde_json::from_str(content).expect("JSON");
    assert_eq!(json["type"], "identity.enrol");
    assert_eq!(json["data"]["uid"], "alice");
    assert_eq!(json["data"]["key"], key.hash().to_string());
    assert_eq!(header("content-type"), "application/json");

    // What an operator tries arrives the same way; what may not be called is named.
    let config = told.town.installation.file("avouch.toml");
    let tries = |address: &str| {
        told.town.installation.avouch(&["notices", "test", address, "--config", text(&config)])
    };
    assert_eq!(tries(&told.hook_address()).status.code(), Some(0));
    hook.awaits("the test", |call| call["content"].as_str().is_some_and(|c| c.contains(".test")));
    let elsewhere = tries("https://127.0.0.1/");
    assert_eq!(elsewhere.status.code(), Some(2));
    let said = String::from_utf8_lossy(&elsewhere.stderr).into_owned();
    assert!(said.contains("webhook_hosts"), "{said}");
    // No mail server is there.
    assert_eq!(tries(ALICE).status.code(), Some(2));
    assert_eq!(tries("alice").status.code(), Some(1));
}

/// HMAC-SHA256 under the test's secret, in base64, by OpenSSL.
fn hmac(text: &str) -> String {
    let script = "key=$(printf %s \"${SECRET#whsec_}\" | base64 -d | od -An -vtx1 | tr -d ' \\n'); \
                  printf %s \"$TEXT\" | openssl dgst -sha256 -mac HMAC -macopt hexkey:$key -binary \
                  | base64 -w0";
    let output = Command::new("sh")
        .args(["-c", script])
        .env("SECRET", SECRET)
        .env("TEXT", text)
        .stdin(Stdio::null())
        .output()
        .expect("a shell and OpenSSL");
    String::from_utf8(output.stdout).expect("base64")
}

/// What the gateway is given, and what it and its log hold, names no address.
#[test]
fn no_address_passes_the_gateway_in_the_clear() {
    let told = Told::new();
    let mail = told.mail();
    let key = Holder::new();
    let channels = [told.sealed("alice", ChannelKind::Mail, ALICE)];
    assert!(!contains(&channels[0].sealed, b"people.example"), "sealed");
    told.enrol(&key, None, &channels);
    mail.awaits("the mail", mail_to(ALICE, "Your identity was enrolled"));
    let agent = told.town.installation.agent();
    for path in ["", "/history", "/bundle", "/certificates"] {
        let answer = agent.get(&format!("/api/v1/identities/alice{path}"));
        assert!(!answer.text().contains("people.example"), "{path}: {}", answer.text());
    }
    for pid in told.town.installation.pids(Process::Gateway) {
        assert!(!holds(pid, b"alice@people.example"), "in the gateway's memory");
    }
    let authority = told.town.installation.pids(Process::Authority);
    assert!(authority.iter().any(|_| !told.town.installation.log().contains("people.example")));
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

/// Whether a process's writable memory holds these bytes.
fn holds(pid: u32, what: &[u8]) -> bool {
    use std::os::unix::fs::FileExt;
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("a process of ours");
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).expect("a process of ours");
    maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|p| p.starts_with("rw"))).any(
        |line| {
            let (from, to) =
                line.split(' ').next().and_then(|r| r.split_once('-')).expect("a range");
            let at = |text| u64::from_str_radix(text, 16).expect("hexadecimal");
            let mut bytes = vec![0; usize::try_from(at(to) - at(from)).expect("fits")];
            memory.read_at(&mut bytes, at(from)).is_ok_and(|n| contains(&bytes[..n], what))
        },
    )
}

/// The program itself: addresses at the enrolment and later, what is new at each contact, and the
/// very command that the mail gives.
#[test]
fn the_command_line_sets_addresses_shows_news_and_obeys_the_mail() {
    let told = Told::new();
    let mail = told.mail();
    let installation = &told.town.installation;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pair = avouch_tests::openssl::Key::p256();
    let key = pair.path();
    let out = folder.path().join("alice.pem");
    let [trust, cert, agent_key] =
        ["trust.json", "agent.pem", "agent.key"].map(|name| installation.file(name));
    let run = |words: &[&str]| {
        let output = installation.avouch(&[words, &["--trust", text(&trust)]].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {said}");
        said
    };
    let agent = ["--agent-cert", text(&cert), "--agent-key", text(&agent_key)];
    let with = ["enrol", "alice", "--key", text(&key), "--out", text(&out), "--mail", ALICE];
    run(&[&with[..], &agent].concat());
    mail.awaits("the enrolment", mail_to(ALICE, "Your identity was enrolled"));

    let switch = told.town.request_switch("alice", &Holder::new());
    let elsewhere = "alice@elsewhere.example";
    let change = ["channels", "change", "alice", "--key", text(&key), "--mail", elsewhere];
    let asked =
        "alice: a switch to another key was asked for; if this was not you: `avouch veto alice`";
    assert!(run(&change).contains(asked));
    mail.awaits("the new address", mail_to(elsewhere, "The addresses for notices were changed"));
    let said = run(&["history", "alice"]);
    assert!(said.contains("alice: the addresses for notices were changed"), "{said}");
    assert!(!said.contains(asked), "news is new once: {said}");

    let told_of = mail.awaits("the request", mail_to(ALICE, "A switch to another key was asked"));
    let content = told_of["content"].as_str().expect("text").replace("=\r\n", "");
    let veto = content.lines().map(str::trim).find(|line| line.starts_with("avouch veto "));
    let veto = veto.expect("a command").replace("KEY", text(&key));
    run(&veto.split(' ').skip(1).collect::<Vec<_>>());
    mail.awaits("the veto", mail_to(elsewhere, "A pending change was vetoed"));
    assert!(veto.contains(&switch.hash().to_string()));
}
