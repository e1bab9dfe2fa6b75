//! Switches with an issuing authority of their own, whose token operators open and close.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use avouch_tests::openssl::{self, text};
use avouch_tests::{Desk, Said, patiently};

const DAY: u64 = 24;

fn desk() -> Desk {
    Desk::with(&["--switch-issuer"])
}

fn lock(desk: &Desk) {
    desk.run(0, "hsm lock switch_issuer --config ca:avouch.toml").says(&["switch_issuer: locked"]);
}

fn unlock(desk: &Desk) {
    let line = "unlock switch_issuer --pin-file ca:switch-pin --config ca:avouch.toml";
    desk.run(0, line).says(&["switch_issuer: ready"]);
}

fn opened(desk: &Desk) {
    patiently("the token for switches to be open", || {
        let status = desk.run(0, "hsm status --config ca:avouch.toml");
        status.out.contains("switch_issuer: ready").then_some(())
    });
}

fn doctor(desk: &Desk) -> Said {
    desk.run(0, "doctor --config ca:avouch.toml")
}

/// Somebody loses the phone, two officers approve; returns the switch.
fn approved(desk: &Desk, uid: &str) -> String {
    let asked = desk.run(0, &format!("switch request {uid} --new-key @{uid}-new.key"));
    for n in [1, 2] {
        let officer = format!("--key ca:officer-{n}.key --remark \"met, passport\" --yes");
        desk.run(0, &format!("approve {uid} {officer}"));
    }
    asked.value("switch")
}

fn completed(desk: &Desk, uid: &str, id: &str) {
    patiently("the switch to be complete", || {
        let said = desk.try_run(&format!("switch status {uid} --id {id}"));
        said.out.contains("completed").then_some(())
    });
}

/// The CRL that a certificate names, PEM.
fn crl(desk: &Desk, leaf: &str) -> PathBuf {
    let points = openssl::show(&desk.file(leaf), &["-ext", "crlDistributionPoints"]);
    let uri = points.lines().find_map(|line| line.trim().strip_prefix("URI:")).expect("a URI");
    let (_, rest) = uri.split_once("://").expect("an absolute URI");
    let path = &rest[rest.find('/').expect("a path")..];
    let answer = desk.installation.stranger().get(path);
    assert_eq!(answer.status, 200, "{uri}: {}", answer.text());
    std::fs::write(desk.file("crl.der"), &answer.body).expect("a file");
    let (der, pem) = (desk.file("crl.der"), desk.file("crl.pem"));
    let _ = openssl::run(&["crl", "-inform", "DER", "-in", text(&der), "-out", text(&pem)]);
    pem
}

/// What OpenSSL says of a certificate and its CRL, so many hours from now.
fn openssl_says(desk: &Desk, leaf: &str, hours: u64) -> Result<(), String> {
    let at = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs() + hours * 3600;
    let (at, crl) = (at.to_string(), crl(desk, leaf));
    let more = ["-crl_check", "-CRLfile", text(&crl), "-attime", &at];
    let (root, chain) = (desk.installation.file("root.pem"), desk.installation.file("chain.pem"));
    openssl::verify(&root, &chain, &desk.file(leaf), &more)
}

fn issuer(desk: &Desk, leaf: &str) -> String {
    openssl::show(&desk.file(leaf), &["-issuer"])
}

#[test]
fn a_switch_waits_for_its_own_token_and_all_else_goes_on_through_kills() {
    let mut desk = desk();
    desk.enrol("alice");
    desk.enrol("carol");
    opened(&desk);
    doctor(&desk).says(&[
        "Avouch Switch CA",
        "signs switches and nothing else",
        "signs everything but switches",
    ]);
    let keys = desk.run(0, "hsm keys --config ca:avouch.toml");
    keys.says(&["«avouch issuing»", "«avouch switches»"]);

    // From the next start on nothing on the host holds its PIN.
    desk.installation.restart_after(|folder| {
        let config = folder.join("avouch.toml");
        let file = std::fs::read_to_string(&config).expect("a configuration");
        let unlocked = file.replace("pin_file = \"switch-pin\"", "pin_unlock = true");
        assert_ne!(file, unlocked);
        std::fs::write(&config, unlocked).expect("a configuration");
    });
    let status = desk.run(0, "hsm status --config ca:avouch.toml");
    status.says(&["hsm: ready", "switch_issuer: locked", "avouch unlock switch_issuer"]);
    doctor(&desk).says(&["locked since"]);

    let id = approved(&desk, "alice");
    desk.hours_ahead(73);
    completed(&desk, "alice", &id);
    let waiting = desk.run(21, "switch status alice --out @alice-new.pem");
    waiting.says(&["not signed yet"]);
    doctor(&desk).says(&["completed switches that wait for its signature: 1"]);
    // Who sends something is not told of a key that nobody certified, and everybody else is there.
    desk.until(12, "verify identity alice").says(&["without an issued certificate"]);
    desk.enrol("bob");
    desk.until(0, "verify identity bob");
    desk.run(0, "verify identity carol");

    // The record outlasts a power failure, and the token stays closed.
    desk.installation.restart(true);
    desk.run(12, "verify identity alice").says(&["without an issued certificate"]);
    desk.write("wrong", "0000-wrong\n");
    // A PIN is read from a file of its owner's alone.
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(desk.file("wrong"), private).expect("a file of ours");
    let wrong = "unlock switch_issuer --pin-file @wrong --config ca:avouch.toml";
    desk.run(3, wrong).says(&["refused the PIN"]);
    desk.run(12, "verify identity alice").says(&["without an issued certificate"]);
    unlock(&desk);
    desk.until(0, "switch status alice --out @alice-new.pem");
    assert!(issuer(&desk, "alice-new.pem").contains("Avouch Switch CA"));
    assert!(issuer(&desk, "bob.pem").contains("Avouch Issuing CA"));
    for leaf in ["alice-new.pem", "bob.pem"] {
        assert_eq!(openssl_says(&desk, leaf, 73), Ok(()), "{leaf}");
    }
    // The chain that is served is the certificate's own.
    let serial = openssl::show(&desk.file("alice-new.pem"), &["-serial"]);
    let serial = serial.trim().trim_start_matches("serial=").to_lowercase();
    let seen = desk.installation.agent().get(&format!("/api/v1/certificates/{serial}"));
    let seen: wire::rest::Certificate = seen.json(200);
    let chain =
        desk.installation.stranger().get(&format!("/api/v1/issuers/{}/chain.pem", seen.issuer));
    assert_eq!(chain.text().trim(), seen.chain.concat().trim());
    let issuers: Vec<wire::rest::Issuer> =
        desk.installation.stranger().get("/api/v1/issuers").json(200);
    let ids: Vec<_> = issuers.iter().map(|issuer| issuer.id.as_str()).collect();
    assert_eq!((ids.len(), ids[1]), (2, seen.issuer.as_str()));
    let found: wire::rest::Page<wire::rest::Certificate> =
        desk.installation.agent().get(&format!("/api/v1/certificates?issuer={}", ids[1])).json(200);
    assert_eq!(found.items.len(), 1, "{found:?}");

    // Alice goes on under the first authority, and all of it is replayed by whoever looks.
    lock(&desk);
    desk.run(0, "renew alice --key @alice-new.key --out @renewed.pem");
    assert!(issuer(&desk, "renewed.pem").contains("Avouch Issuing CA"));
    desk.write("letter", "Dear Alice");
    desk.run(0, "verify identity alice");
    desk.run(0, "log verify --config ca:avouch.toml");
    desk.run(0, "audit export --config ca:avouch.toml --out @log");
    desk.run(0, "audit verify @log --trust ca:trust.json");
}

#[test]
fn what_is_revoked_while_the_token_is_locked_shows_when_it_is_opened() {
    let desk = desk();
    desk.enrol("alice");
    opened(&desk);
    let id = approved(&desk, "alice");
    desk.hours_ahead(73);
    completed(&desk, "alice", &id);
    desk.until(0, "switch status alice --out @alice-new.pem");
    assert_eq!(openssl_says(&desk, "alice-new.pem", 73), Ok(()));
    // Its list holds for a month; the first authority's for a day.
    lock(&desk);
    desk.hours_ahead(20 * DAY);
    assert_eq!(openssl_says(&desk, "alice-new.pem", 20 * DAY), Ok(()));
    desk.run(0, "revoke alice --key @alice-new.key --reason key-compromise");
    // To those who ask for the proof it shows at once.
    desk.until(12, "verify identity alice");
    patiently("the doctor to say so", || {
        doctor(&desk).out.contains("its CRL lacks revocations").then_some(())
    });
    assert_eq!(openssl_says(&desk, "alice-new.pem", 20 * DAY), Ok(()));
    unlock(&desk);
    let refused =
        patiently("the list to have it", || openssl_says(&desk, "alice-new.pem", 20 * DAY).err());
    assert!(refused.contains("certificate revoked"), "{refused}");
    patiently("the doctor to say so", || {
        (!doctor(&desk).out.contains("its CRL lacks revocations")).then_some(())
    });
}
