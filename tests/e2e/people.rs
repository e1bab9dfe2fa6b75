//! The command line as people use it: keys, shares, and an exit code for each way it can end.

use std::path::PathBuf;
use std::process::Output;

use avouch_tests::openssl::{self, Key, text};
use avouch_tests::{Installation, load_csr, load_key};

use crate::revoke::crl_file;
use crate::{enrolled, leaf_file, refusals};

/// Somebody with the trust file and a contacts file.
pub(crate) struct Person<'a> {
    installation: &'a Installation,
    folder: tempfile::TempDir,
}

impl<'a> Person<'a> {
    pub(crate) fn new(installation: &'a Installation) -> Self {
        Self { installation, folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.file(name);
        std::fs::write(&path, content).expect("a file in a temporary folder");
        path
    }

    /// Runs a command that talks to the server.
    fn online(&self, arguments: &[&str]) -> Output {
        let trust = self.installation.file("trust.json");
        self.installation.avouch(&[arguments, &["--trust", text(&trust)]].concat())
    }

    /// Runs a command that also remembers contacts.
    pub(crate) fn with_contacts(&self, arguments: &[&str]) -> Output {
        let contacts = self.file("contacts.json");
        self.online(&[arguments, &["--contacts", text(&contacts)]].concat())
    }

    fn agent(&self, arguments: &[&str]) -> Output {
        let (cert, key) =
            (self.installation.file("agent.pem"), self.installation.file("agent.key"));
        let agent = ["--agent-cert", text(&cert), "--agent-key", text(&key)];
        self.online(&[arguments, &agent].concat())
    }
}

#[track_caller]
pub(crate) fn ends(output: &Output, code: i32) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    if code != 0 {
        assert!(!said.trim().is_empty(), "a failure says why");
    }
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
pub(crate) fn a_share_opens_for_its_recipients_and_in_openssl() {
    let installation = Installation::start();
    let person = Person::new(&installation);
    let secret = b"the secret of the share\n\0\xff".repeat(5000);
    let input = person.write("secret", &secret);
    let sealed = person.file("sealed");
    let people = [("alice", Key::p256()), ("anna", Key::ec("P-384")), ("bob", Key::rsa(2048))];
    let mut leaves = Vec::new();
    for (uid, key) in &people {
        let certificate = enrolled(&installation, uid, &key.csr(&format!("/CN={uid}"), &[]));
        leaves.push(leaf_file(key, &certificate));
    }
    let seal =
        ["seal", "--in", text(&input), "--out", text(&sealed), "--to", "alice", "anna", "bob"];
    let shown = ends(&person.with_contacts(&seal), 0);
    for (uid, _) in &people {
        assert!(shown.contains(uid), "a result for each: {shown}");
    }
    for ((uid, key), leaf) in people.iter().zip(&leaves) {
        let (key, out) = (key.path(), person.file("opened"));
        let cms = ["cms", "-decrypt", "-binary", "-inform", "DER", "-in", text(&sealed)];
        let with = ["-inkey", text(&key), "-recip", text(leaf), "-out", text(&out)];
        let _ = openssl::run(&[&cms[..], &with].concat());
        assert_eq!(std::fs::read(&out).expect("written"), secret, "openssl for {uid}");
        let open = ["open", "--key", text(&key), "--in", text(&sealed)];
        assert_eq!(installation.avouch(&open).stdout, secret, "avouch for {uid}");
    }
    let stranger = Key::p256().path();
    let open = installation.avouch(&["open", "--key", text(&stranger), "--in", text(&sealed)]);
    ends(&open, 1);
    assert!(open.stdout.is_empty(), "nothing comes out for somebody else");
}

#[test]
fn a_share_goes_to_nobody_unless_all_pass() {
    let installation = Installation::start();
    let person = Person::new(&installation);
    let key = Key::p256();
    let _ = enrolled(&installation, "alice", &key.csr("/CN=alice", &[]));
    let (input, sealed) = (person.write("secret", b"secret"), person.file("sealed"));
    let seal = ["seal", "--in", text(&input), "--out", text(&sealed), "--to", "alice", "nobody"];
    ends(&person.with_contacts(&seal), 10);
    assert!(!sealed.exists(), "nothing is written when one is refused");

    ends(&person.with_contacts(&[&seal[..], &["--skip-refused"]].concat()), 0);
    let opened = installation.avouch(&["open", "--key", text(&key.path()), "--in", text(&sealed)]);
    assert_eq!(opened.stdout, b"secret");

    std::fs::remove_file(&sealed).expect("it is there");
    let nobody = ["seal", "--in", text(&input), "--out", text(&sealed), "--to", "nobody"];
    ends(&person.with_contacts(&[&nobody[..], &["--skip-refused"]].concat()), 10);
    assert!(!sealed.exists(), "a share to no one is no share");
}

#[test]
pub(crate) fn a_person_enrols_renews_and_revokes_with_the_command_line() {
    let installation = Installation::start();
    let person = Person::new(&installation);
    let (key, leaf) = (person.file("zoe.key"), person.file("zoe.pem"));
    let uid = "zoë@example.org";
    ends(&installation.avouch(&["key", "new", "--out", text(&key)]), 0);
    let made = std::fs::read(&key).expect("written");
    ends(&installation.avouch(&["key", "new", "--out", text(&key)]), 1);
    assert_eq!(std::fs::read(&key).expect("still there"), made, "an existing key stays");

    let csr = ends(&installation.avouch(&["csr", uid, "--key", text(&key)]), 0);
    let csr = person.write("zoe.csr", csr.as_bytes());
    let _ = openssl::run(&["req", "-verify", "-noout", "-in", text(&csr)]);

    let enrol = ["enrol", uid, "--key", text(&key), "--out", text(&leaf)];
    ends(&person.online(&enrol), 20); // nobody vouches
    ends(&person.agent(&enrol), 0);
    installation.openssl_accepts(&leaf, &[]);

    // The holder needs no agent: the key itself signs.
    let first = std::fs::read(&leaf).expect("written");
    ends(&person.online(&["renew", uid, "--key", text(&key), "--out", text(&leaf)]), 0);
    assert_ne!(std::fs::read(&leaf).expect("written"), first);
    installation.openssl_accepts(&leaf, &[]);
    ends(&person.with_contacts(&["verify", "identity", uid]), 0);

    let other = person.file("mallory.key");
    ends(&installation.avouch(&["key", "new", "--out", text(&other)]), 0);
    ends(&person.online(&["revoke", uid, "--key", text(&other)]), 20);
    ends(&person.with_contacts(&["verify", "identity", uid]), 0);
    let revoke = ["revoke", uid, "--key", text(&key), "--reason", "key-compromise"];
    ends(&person.online(&revoke), 0);
    ends(&person.with_contacts(&["verify", "identity", uid]), 12);

    let history = ends(&person.online(&["history", uid]), 0);
    for what in ["enrol", "renew", "revoke", "key-compromise"] {
        assert!(history.contains(what), "{what}: {history}");
    }
}

#[test]
fn every_failure_has_its_exit_code() {
    let installation = Installation::start();
    let person = Person::new(&installation);
    let key = Key::p256();
    let alice = enrolled(&installation, "alice", &key.csr("/CN=alice", &[]));
    let (leaf, root, chain) =
        (leaf_file(&key, &alice), installation.file("root.pem"), installation.file("chain.pem"));

    // 1: usage and local files; clap's own 2 means "remote" here.
    ends(&installation.avouch(&["seal", "--no-such-option"]), 1);
    ends(&installation.avouch(&["verify", "chain", "--root", "nowhere.pem", text(&leaf)]), 1);
    // 2: nobody answers.
    let verify = ["verify", "identity", "alice"];
    let nobody = [&verify[..], &["--server", "https://127.0.0.1:1"]].concat();
    ends(&person.with_contacts(&nobody), 2);
    // 10: no such identity.
    ends(&person.with_contacts(&["verify", "identity", "nobody"]), 10);
    // 20: Mallory's key for Alice.
    let mallory = Key::p256();
    let enrol = ["enrol", "alice", "--key", text(&mallory.path())].map(str::to_owned);
    let output = person.agent(&enrol.each_ref().map(String::as_str));
    ends(&output, 20);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("identity-change-required"), "{said}");
    assert_eq!(refusals(&installation, "alice"), ["identity-change-required"]);

    let verify = |more: &[&str]| {
        let (root, chain) = (text(&root), text(&chain));
        let head = ["verify", "chain", "--root", root, "--untrusted", chain, "--purpose", "email"];
        installation.avouch(&[&head[..], more, &[text(&leaf)]].concat())
    };
    ends(&verify(&[]), 0);
    // 11: another root, another purpose.
    let own = key.file("own.pem", b"");
    let args = ["req", "-x509", "-new", "-key", text(&key.path()), "-subj", "/CN=Root", "-out"]
        .map(str::to_owned);
    let _ = openssl::run(&[&args.each_ref().map(String::as_str)[..], &[text(&own)]].concat());
    let other = ["verify", "chain", "--root", text(&own), "--untrusted", text(&chain), text(&leaf)];
    ends(&installation.avouch(&other), 11);
    let root_ = text(&root);
    let client = ["verify", "chain", "--root", root_, "--untrusted", text(&chain), "--purpose"];
    ends(&installation.avouch(&[&client[..], &["client", text(&leaf)]].concat()), 11);
    // 13: after its time.
    ends(&verify(&["--at", "2099-01-01T00:00:00Z"]), 13);
    // 16: the CRL is older than its nextUpdate.
    let crl = crl_file(&installation, &key, &leaf);
    ends(&verify(&["--crl", text(&crl)]), 0);
    let crl_text = openssl::run(&["crl", "-noout", "-nextupdate", "-in", text(&crl)]);
    assert!(crl_text.starts_with(b"nextUpdate="));
    let later = rfc3339_in_days(20);
    ends(&verify(&["--crl", text(&crl), "--at", &later]), 16);
}

/// The day in some days, by coreutils' `date`.
fn rfc3339_in_days(days: u32) -> String {
    let output = std::process::Command::new("date")
        .args(["--utc", "--date", &format!("{days} days"), "+%Y-%m-%dT%H:%M:%SZ"])
        .output()
        .expect("date is installed");
    String::from_utf8(output.stdout).expect("a date is text").trim().to_owned()
}

#[test]
fn a_contact_under_another_key_is_an_alarm() {
    let installation = Installation::start();
    let person = Person::new(&installation);
    let alice = enrolled(&installation, "alice", &load_csr("alice", &load_key()));
    let (input, sealed) = (person.write("secret", b"secret"), person.file("sealed"));
    let seal = ["seal", "--in", text(&input), "--out", text(&sealed), "--to", "alice"];
    ends(&person.with_contacts(&seal), 0);

    // The contacts remember another key than the one that the authority now vouches for.
    let contacts = std::fs::read_to_string(person.file("contacts.json")).expect("remembered");
    let (now, before) = (alice.spki_sha256.to_string(), "ab".repeat(32));
    assert!(contacts.contains(&now), "{contacts}");
    person.write("contacts.json", contacts.replace(&now, &before).as_bytes());
    std::fs::remove_file(&sealed).expect("it is there");
    ends(&person.with_contacts(&seal), 14);
    ends(&person.with_contacts(&["verify", "identity", "alice"]), 14);
    assert!(!sealed.exists());
    // It is not forgotten by looking again.
    ends(&person.with_contacts(&seal), 14);
}

/// Whoever runs the server may serve what he likes; the trust file decides.
#[test]
fn a_server_with_another_root_convinces_nobody() {
    let (honest, hostile) = (Installation::start(), Installation::start());
    let person = Person::new(&honest);
    for installation in [&honest, &hostile] {
        let _ = enrolled(installation, "alice", &load_csr("alice", &load_key()));
    }
    let (input, sealed) = (person.write("secret", b"secret"), person.file("sealed"));
    let ca = hostile.file("tls-ca.pem");
    let seal = ["seal", "--in", text(&input), "--out", text(&sealed), "--to", "alice"];
    let there = ["--server", hostile.url(), "--tls-ca", text(&ca)];
    ends(&person.with_contacts(&[&seal[..], &there].concat()), 11);
    assert!(!sealed.exists());
    ends(&person.with_contacts(&seal), 0);
}

#[test]
fn doctor_shows_the_step_and_every_warning() {
    let installation = Installation::start();
    let config = installation.file("avouch.toml");
    let shown = ends(&installation.avouch(&["doctor", "--config", text(&config)]), 0);
    for what in ["hsm", "allow_software_token", "allow_transport_evidence"] {
        assert!(shown.contains(what), "{what}: {shown}");
    }
    let json = ["doctor", "--config", text(&config), "--format", "json"];
    let json = ends(&installation.avouch(&json), 0);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["health"]["ready"], true, "{json}");
}

#[test]
fn an_installation_of_key_files_says_that_no_identity_will_move() {
    let installation = Installation::start_with(&["--software"]);
    let key = Key::p256();
    let alice = enrolled(&installation, "alice", &key.csr("/CN=alice", &[]));
    installation.openssl_accepts(&leaf_file(&key, &alice), &[]);
    let config = installation.file("avouch.toml");
    let shown = ends(&installation.avouch(&["doctor", "--config", text(&config)]), 0);
    assert!(shown.contains("software-key") && shown.contains("no identity"), "{shown}");
}

#[test]
fn all_kinds_of_issuing_keys_work() {
    for kind in ["p384", "rsa3072"] {
        let installation = Installation::start_with(&["--key", kind]);
        let key = Key::p256();
        let alice = enrolled(&installation, "alice", &key.csr("/CN=alice", &[]));
        let leaf = leaf_file(&key, &alice);
        installation.openssl_accepts(&leaf, &[]);
        avouch_tests::pkilint::certificate(&installation.file("root.pem"));
        avouch_tests::pkilint::certificate(&installation.file("chain.pem"));
        avouch_tests::pkilint::certificate(&leaf);
        avouch_tests::pkilint::crl(&crl_file(&installation, &key, &leaf));
    }
}
