//! Revocation lists against somebody who writes to the database: what is listed follows from the
//! log, whatever the rows say.

use avouch_tests::database::tamper;
use avouch_tests::openssl::{self, Key};
use avouch_tests::{Body, Installation};
use serde_json::json;

use crate::revoke::crl_file;
use crate::{enrolled, leaf_file};

/// A person with a certificate: key, serial number, and the certificate's file.
struct Person {
    key: Key,
    serial: String,
    leaf: std::path::PathBuf,
}

fn person(installation: &Installation, uid: &str) -> Person {
    let key = Key::p256();
    let certificate = enrolled(installation, uid, &key.csr(&format!("/CN={uid}"), &[]));
    let leaf = leaf_file(&key, &certificate);
    Person { key, serial: certificate.serial, leaf }
}

fn revoke(installation: &Installation, person: &Person) {
    let path = format!("/api/v1/certificates/{}/revocation", person.serial);
    let body = Body::Json(json!({ "reason": "key-compromise" }));
    let answer = installation.agent().post(&path, body);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// The list as OpenSSL shows it.
fn list(installation: &Installation, anybody: &Person) -> String {
    let file = crl_file(installation, &anybody.key, &anybody.leaf);
    let text = openssl::run(&["crl", "-noout", "-text", "-in", openssl::text(&file)]);
    String::from_utf8_lossy(&text).into_owned()
}

/// The entry of a certificate in a list: its serial number and the date below it.
fn entry(list: &str, person: &Person) -> Option<String> {
    let serial = person.serial.to_uppercase();
    let lines: Vec<&str> = list.lines().collect();
    let at = lines.iter().position(|line| line.contains(&serial))?;
    Some(lines[at + 1].trim().to_owned())
}

fn doctor(installation: &Installation) -> String {
    let config = installation.file("avouch.toml");
    let doctor = installation.avouch(&["doctor", "--config", openssl::text(&config)]);
    String::from_utf8_lossy(&doctor.stdout).into_owned()
}

const FORGET: &str =
    "UPDATE certificate SET revoked_leaf = NULL, revoked_ms = NULL, revoked_reason = NULL";

#[test]
fn rows_take_nothing_from_a_list_and_add_nothing_and_change_no_date() {
    let installation = Installation::start();
    let [alice, bob, carol, dave] =
        ["alice", "bob", "carol", "dave"].map(|uid| person(&installation, uid));
    let database = installation.file("avouch.db");
    revoke(&installation, &alice);
    let before = list(&installation, &alice);
    let date = entry(&before, &alice).expect("alice is listed");
    assert!(date.contains("Revocation Date"), "{before}");

    // Alice's revocation is taken away, and carol's made up.
    let take = format!("{FORGET} WHERE uid = 'alice'");
    let add = "UPDATE certificate SET revoked_leaf = 2, revoked_ms = 1700000000000, \
               revoked_reason = 1 WHERE uid = 'carol'";
    tamper(&database, &[&take, add]);
    revoke(&installation, &bob);
    let after = list(&installation, &alice);
    assert_eq!(entry(&after, &alice).as_ref(), Some(&date), "{after}");
    assert!(entry(&after, &bob).is_some(), "{after}");
    assert_eq!(entry(&after, &carol), None, "{after}");
    let said = doctor(&installation);
    let named = |person: &Person, what: &str| {
        let expected = format!("the row of certificate {} {what}", person.serial);
        assert!(said.contains(&expected), "{expected}: {said}");
    };
    named(&alice, "does not say that it is revoked");
    named(&carol, "says that it is revoked; no event");

    // Bob's key is said to have been lost a day earlier.
    let earlier = "UPDATE certificate SET revoked_ms = revoked_ms - 86400000 WHERE uid = 'bob'";
    tamper(&database, &[earlier]);
    revoke(&installation, &dave);
    let last = list(&installation, &alice);
    assert_eq!(entry(&last, &bob), entry(&after, &bob), "{last}");
    assert!(entry(&last, &dave).is_some(), "{last}");
    let said = doctor(&installation);
    assert!(said.contains(&format!("the row of certificate {} says that it was", bob.serial)));
    // Whoever verifies the whole log is told, too.
    let config = installation.file("avouch.toml");
    let verified = installation.avouch(&["log", "verify", "--config", openssl::text(&config)]);
    assert_eq!(verified.status.code(), Some(15));
}

#[test]
fn an_older_list_that_is_put_back_is_made_again_with_what_was_revoked_since() {
    let mut installation = Installation::start();
    let [alice, bob] = ["alice", "bob"].map(|uid| person(&installation, uid));
    revoke(&installation, &bob);
    assert_eq!(entry(&list(&installation, &alice), &alice), None);
    let database = installation.file("avouch.db");
    let columns = "SELECT shard, number, size, next_update, crl FROM crl";
    let old = tamper(&database, &[columns]).remove(0);
    revoke(&installation, &alice);
    let date = entry(&list(&installation, &alice), &alice).expect("alice is listed");
    installation.restart_after(|folder| {
        let back = format!(
            "UPDATE crl SET number = {}, size = {}, next_update = {}, crl = x'{}'",
            old[1], old[2], old[3], old[4]
        );
        let take = format!("{FORGET} WHERE uid = 'alice'");
        tamper(&folder.join("avouch.db"), &[&back, &take]);
    });
    let again = crate::tamper::until(|| entry(&list(&installation, &bob), &alice));
    assert_eq!(again, date);
    assert!(entry(&list(&installation, &bob), &bob).is_some());
}

#[test]
fn a_number_that_nobody_reaches_keeps_no_list_from_being_made() {
    let installation = Installation::start();
    let [alice, bob] = ["alice", "bob"].map(|uid| person(&installation, uid));
    revoke(&installation, &bob);
    let database = installation.file("avouch.db");
    tamper(&database, &["UPDATE crl SET number = 9223372036854775807"]);
    revoke(&installation, &alice);
    let after = list(&installation, &alice);
    assert!(entry(&after, &alice).is_some() && entry(&after, &bob).is_some(), "{after}");
}

#[test]
fn without_the_event_of_a_revocation_no_list_is_signed() {
    let mut installation = Installation::start();
    let alice = person(&installation, "alice");
    revoke(&installation, &alice);
    let _ = list(&installation, &alice);
    // A clean stop stores the map: the start does not read the event again.
    installation.restart(false);
    installation.restart_after(|folder| {
        let last = "DELETE FROM event WHERE leaf_index = (SELECT max(leaf_index) - 1 FROM event)";
        let take = format!("{FORGET} WHERE uid = 'alice'");
        tamper(&folder.join("avouch.db"), &["DELETE FROM crl", last, &take]);
    });
    let said = crate::tamper::until(|| {
        let said = doctor(&installation);
        said.contains("no CRL is signed").then_some(said)
    });
    assert!(said.contains("does not commit to an event"), "{said}");
    let stored = tamper(&installation.file("avouch.db"), &["SELECT count(*) FROM crl"]);
    assert_eq!(stored, [["0"]]);
}
