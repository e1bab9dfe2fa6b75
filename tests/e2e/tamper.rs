//! Somebody with write access to the database. Whatever he writes, nothing is signed on it, and it
//! is found and named.

use std::path::Path;

use avouch_tests::Installation;
use avouch_tests::database::tamper;
use avouch_tests::openssl::Key;

use crate::{enrolled, history, refusals};

/// Certificates that are stored, signed.
fn signed(installation: &Installation) -> usize {
    let count = "SELECT count(*) FROM certificate WHERE certificate IS NOT NULL";
    tamper(&installation.file("avouch.db"), &[count])[0][0].parse().expect("a number")
}

/// Nothing was signed, the answer says that an operator has to look, and the doctor says why.
fn is_stopped(installation: &Installation, uid: &str, csr: &[u8], why: &str) {
    let before = signed(installation);
    let answer = installation.agent().enrol(uid, csr);
    assert_eq!(answer.status, 503, "{}", answer.text());
    let problem = answer.problem();
    assert_eq!(problem.code, "stopped", "{}", problem.detail);
    assert!(problem.detail.contains(why), "{}", problem.detail);
    assert_eq!(signed(installation), before, "something was signed");
    let config = installation.file("avouch.toml");
    let doctor = installation.avouch(&["doctor", "--config", config.to_str().expect("UTF-8")]);
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(said.contains(why), "{said}");
}

#[test]
fn a_row_that_names_another_key_signs_nothing_for_it() {
    let installation = Installation::start();
    let (alice, mallory) = (Key::p256(), Key::p256());
    let certificate = enrolled(&installation, "alice", &alice.csr("/CN=alice", &[]));
    let csr = mallory.csr("/CN=alice", &[]);
    // His key's hash, from the refusal that he gets as anybody would.
    let _ = installation.agent().enrol("alice", &csr).problem();
    assert_eq!(refusals(&installation, "alice"), ["identity-change-required"]);
    let key = history(&installation, "alice")[0].spki_sha256.expect("the key he asked for");
    let statement = format!("UPDATE identity SET key_hash = x'{key}' WHERE uid = 'alice'");
    tamper(&installation.file("avouch.db"), &[&statement]);
    is_stopped(&installation, "alice", &csr, "row of this identity");
    // Bob has nothing to do with it.
    let _ = enrolled(&installation, "bob", &Key::p256().csr("/CN=bob", &[]));
    assert_eq!(certificate.sequence, 0);
}

#[test]
fn a_deleted_row_does_not_make_an_identity_new() {
    let installation = Installation::start();
    let _ = enrolled(&installation, "alice", &Key::p256().csr("/CN=alice", &[]));
    let statements = ["DELETE FROM identity WHERE uid = 'alice'"];
    tamper(&installation.file("avouch.db"), &statements);
    let csr = Key::p256().csr("/CN=alice", &[]);
    is_stopped(&installation, "alice", &csr, "the database has no row of this identity");
}

#[test]
fn a_deleted_key_does_not_become_free_for_somebody_else() {
    let installation = Installation::start();
    let key = Key::p256();
    let _ = enrolled(&installation, "alice", &key.csr("/CN=alice", &[]));
    tamper(&installation.file("avouch.db"), &["DELETE FROM subject_key"]);
    let csr = key.csr("/CN=bob", &[]);
    is_stopped(&installation, "bob", &csr, "the database has no row of this key");
}

#[test]
fn a_state_rolled_back_by_one_event_signs_nothing() {
    let installation = Installation::start();
    let key = Key::p256();
    let alice = enrolled(&installation, "alice", &key.csr("/CN=alice", &[]));
    let database = installation.file("avouch.db");
    let columns = "status, sequence, hex(head), hex(key_hash), key_number";
    let before = tamper(&database, &[&format!("SELECT {columns} FROM identity")]).remove(0);
    let path = format!("/api/v1/certificates/{}/revocation", alice.serial);
    let reason = serde_json::json!({ "reason": "key-compromise" });
    assert_eq!(installation.agent().post(&path, avouch_tests::Body::Json(reason)).status, 200);
    let back = format!(
        "UPDATE identity SET status = {}, sequence = {}, head = x'{}', key_hash = x'{}', \
         key_number = {}",
        before[0], before[1], before[2], before[3], before[4]
    );
    tamper(&database, &[&back]);
    is_stopped(&installation, "alice", &key.csr("/CN=alice", &[]), "row of this identity");
}

#[test]
fn a_page_of_the_map_that_was_edited_is_named() {
    let mut installation = Installation::start();
    for uid in ["alice", "bob", "carol"] {
        let csr = Key::p256().csr(&format!("/CN={uid}"), &[]);
        let _ = enrolled(&installation, uid, &csr);
    }
    // A clean stop stores the map; then its root page is changed by a byte.
    installation.restart(false);
    let database = installation.file("avouch.db");
    let config = installation.file("avouch.toml");
    let check = ["log", "verify", "--config", config.to_str().expect("UTF-8")];
    assert!(installation.avouch(&check).status.success());
    assert!(installation.stop().success());
    tamper(
        &database,
        &[
            "UPDATE map_page SET page = CAST(substr(page, 1, length(page) - 1) || CASE WHEN substr(page, -1) = x'00' THEN x'01' ELSE x'00' END AS BLOB)",
        ],
    );
    let again = installation.avouch(&["authority", "--config", config.to_str().expect("UTF-8")]);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(1), "{said}");
    assert!(said.contains("of the map"), "{said}");
}

/// What a crash left is not signed where its leaf was changed for another's; others are.
#[test]
fn what_a_crash_left_is_not_signed_at_a_swapped_leaf() {
    let mut installation = Installation::start();
    for uid in ["alice", "bob"] {
        let _ = enrolled(&installation, uid, &Key::p256().csr(&format!("/CN={uid}"), &[]));
    }
    installation.restart(false);
    installation.restart_after(|folder: &Path| {
        let swap = "UPDATE event SET leaf = (SELECT leaf FROM event WHERE uid = 'bob') \
                    WHERE uid = 'alice'";
        let forget = "UPDATE certificate SET certificate = NULL";
        tamper(&folder.join("avouch.db"), &[swap, forget]);
    });
    let config = installation.file("avouch.toml");
    let said = until(|| {
        let doctor = installation.avouch(&["doctor", "--config", config.to_str().expect("UTF-8")]);
        let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
        (said.contains("will not be signed") && signed(&installation) == 1).then_some(said)
    });
    assert!(said.contains("its leaf does not commit to it"), "{said}");
    let _ = enrolled(&installation, "carol", &Key::p256().csr("/CN=carol", &[]));
}

/// The map as it was stored once, put back: with the size that it had then it is brought up to the
/// log again; under the size of today it is refused.
#[test]
fn a_map_that_was_rolled_back_is_made_good_or_refused() {
    let mut installation = Installation::start();
    let _ = enrolled(&installation, "alice", &Key::p256().csr("/CN=alice", &[]));
    installation.restart(false);
    let database = installation.file("avouch.db");
    let page = tamper(&database, &["SELECT page FROM map_page WHERE length(prefix) = 0"]);
    let size = tamper(&database, &["SELECT size FROM map_flush"]).remove(0).remove(0);
    let page = format!(
        "UPDATE map_page SET page = x'{}' WHERE length(prefix) = 0",
        page.first().expect("a root page")[0]
    );
    let bob = Key::p256();
    let _ = enrolled(&installation, "bob", &bob.csr("/CN=bob", &[]));
    installation.restart(false);
    installation.restart_after(|folder: &Path| {
        let back = format!("UPDATE map_flush SET size = {size}");
        tamper(&folder.join("avouch.db"), &[&page, &back]);
    });
    let _ = enrolled(&installation, "bob", &bob.csr("/CN=bob", &[]));
    assert!(installation.stop().success());
    tamper(&database, &[&page]);
    let config = installation.file("avouch.toml");
    let again = installation.avouch(&["authority", "--config", config.to_str().expect("UTF-8")]);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(1), "{said}");
    assert!(said.contains("of the map"), "{said}");
}

#[test]
fn a_log_cut_off_below_its_checkpoint_is_not_verified_and_not_served() {
    let mut installation = Installation::start();
    let _ = enrolled(&installation, "alice", &Key::p256().csr("/CN=alice", &[]));
    let (database, earlier) = (installation.file("avouch.db"), installation.file("earlier.db"));
    assert!(installation.stop().success());
    std::fs::copy(&database, &earlier).expect("a file of ours");
    installation.restart_after(|_| {});
    let _ = enrolled(&installation, "bob", &Key::p256().csr("/CN=bob", &[]));
    assert!(installation.stop().success());
    let latest = "SELECT size, hex(CAST(note AS BLOB)) FROM checkpoint ORDER BY size DESC LIMIT 1";
    let latest = tamper(&database, &[latest]).remove(0);
    std::fs::copy(&earlier, &database).expect("a file of ours");
    let insert =
        format!("INSERT INTO checkpoint VALUES ({}, CAST(x'{}' AS TEXT))", latest[0], latest[1]);
    tamper(&database, &[&insert]);
    let config = installation.file("avouch.toml");
    let config = config.to_str().expect("UTF-8");
    for command in [&["log", "verify", "--config", config][..], &["authority", "--config", config]]
    {
        let output = installation.avouch(command);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{command:?}: {said}");
        assert!(said.contains("checkpoint"), "{command:?}: {said}");
    }
}

#[test]
fn a_certificate_with_a_ruined_signature_is_not_verified() {
    let installation = Installation::start();
    let _ = enrolled(&installation, "alice", &Key::p256().csr("/CN=alice", &[]));
    assert!(installation.stop().success());
    let ruin = "UPDATE certificate SET certificate = CAST(substr(certificate, 1, \
                length(certificate) - 1) || CASE WHEN substr(certificate, -1) = x'00' \
                THEN x'01' ELSE x'00' END AS BLOB)";
    tamper(&installation.file("avouch.db"), &[ruin]);
    let config = installation.file("avouch.toml");
    let verify = ["log", "verify", "--config", config.to_str().expect("UTF-8")];
    let output = installation.avouch(&verify);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("not the one that its event calls for"), "{said}");
}

#[test]
fn without_its_trust_file_the_authority_does_not_start() {
    let installation = Installation::start();
    assert!(installation.stop().success());
    std::fs::remove_file(installation.file("trust.json")).expect("it was there");
    let config = installation.file("avouch.toml");
    let again = installation.avouch(&["authority", "--config", config.to_str().expect("UTF-8")]);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(1), "{said}");
    assert!(said.contains("--without-trust-file"), "{said}");
}

#[test]
fn what_a_crash_left_is_signed_again_only_as_it_was_decided() {
    let mut installation = Installation::start();
    let (alice, bob) = (Key::p256(), Key::p256());
    let first = enrolled(&installation, "alice", &alice.csr("/CN=alice", &[]));
    let request = bob.csr("/CN=bob", &[]);
    let _ = enrolled(&installation, "bob", &request);
    // As long as bob's: a signature's length varies.
    let foreign = until(|| {
        let foreign = Key::p256().csr("/CN=bob", &[]);
        (foreign.len() == request.len()).then_some(foreign)
    });
    // The map is stored, so that the start itself has nothing of these events to replay.
    installation.restart(false);
    // As if the crash had come after recording: both certificates are missing. Behind bob's event
    // stands another request now, with another key.
    installation.restart_after(|folder: &Path| {
        let database = folder.join("avouch.db");
        let stored = tamper(&database, &["SELECT evidence FROM event WHERE uid = 'bob'"]);
        let evidence = stored[0][0].replace(&hex(&request), &hex(&foreign));
        assert_ne!(evidence, stored[0][0], "the request stands with its event");
        let replace = format!("UPDATE event SET evidence = x'{evidence}' WHERE uid = 'bob'");
        tamper(&database, &["UPDATE certificate SET certificate = NULL", &replace]);
    });
    let path = format!("/api/v1/certificates/{}", first.serial);
    let again: wire::rest::Certificate = until(|| {
        let answer = installation.agent().get(&path);
        let certificate: wire::rest::Certificate = answer.json(200);
        certificate.certificate.is_some().then_some(certificate)
    });
    assert_eq!(again.spki_sha256, first.spki_sha256);
    assert_eq!(signed(&installation), 1, "bob's certificate was signed on foreign evidence");
    let config = installation.file("avouch.toml");
    let said = until(|| {
        let doctor = installation.avouch(&["doctor", "--config", config.to_str().expect("UTF-8")]);
        let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
        said.contains("will not be signed").then_some(said)
    });
    assert!(said.contains("event 0"), "{said}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Asks until there is an answer; the test's own time limit is the harness's.
pub(crate) fn until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    for _ in 0..6000 {
        if let Some(answer) = ask() {
            return answer;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("no answer within a minute");
}
