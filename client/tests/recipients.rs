//! Who may be sealed to: certificates made by openssl, one wrong in each way.

#[allow(unused_extern_crates)]
extern crate path as avouch_path;

#[path = "../../path/tests/support/mod.rs"]
mod support;

use avouch_client::cms::{open, seal};
use avouch_client::contacts::{AcknowledgeError, Contacts, ContactsError, Pin, safety_number};
use avouch_client::keys::PrivateKey;
use avouch_client::recipient::{Material, RecipientRefusal, VerifiedRecipient, verify_recipient};
use avouch_client::trust::Trust;
use support::{CA, DAY, LEAF, Pki, now};
use wire::trust::TrustFile;
use wire::{Hash32, Realm, UserId};

const FRESH: (i64, i64) = (-60, DAY);

fn trust(pki: &Pki) -> Trust {
    let realm = Realm::parse("realm.example").unwrap();
    let root = pki.certificate("root");
    let (log, quorum, server) = (String::new(), String::new(), String::new());
    let file =
        TrustFile::new(realm, Hash32::of(b"genesis"), root.der(), log, quorum, 86_400, server);
    Trust::of(file.unwrap()).unwrap()
}

fn uid(text: &str) -> UserId {
    UserId::parse(text).unwrap()
}

fn material(pki: &Pki, leaf: &str, crls: &[&str]) -> Material {
    Material {
        certificate: pki.certificate(leaf),
        chain: pki.certificates(&["ca"]),
        crls: pki.crls(crls),
    }
}

fn ask(
    pki: &Pki,
    contacts: &Contacts,
    who: &str,
    leaf: &str,
    crls: &[&str],
    at: i64,
) -> Result<VerifiedRecipient, RecipientRefusal> {
    verify_recipient(&trust(pki), contacts, &uid(who), material(pki, leaf, crls), at)
}

#[track_caller]
fn refused(pki: &Pki, who: &str, leaf: &str, crls: &[&str], code: &str, exit: u8) {
    let refusal = ask(pki, &Contacts::new(), who, leaf, crls, now()).unwrap_err();
    assert_eq!((refusal.code(), refusal.exit_code()), (code, exit), "{refusal}");
    assert!(refusal.to_string().starts_with(&format!("{who}: ")), "{refusal}");
}

#[test]
fn a_good_one_is_sealed_to_and_opens() {
    let pki = Pki::three();
    pki.crl("list", "ca", &[], "", FRESH);
    let alice = ask(&pki, &Contacts::new(), "alice", "leaf", &["list"], now()).unwrap();
    assert!(alice.is_new_contact());
    assert_eq!(alice.uid().as_str(), "alice");
    let sealed = seal(b"for alice", std::slice::from_ref(&alice)).unwrap();
    let key = PrivateKey::load(&pki.file("leaf.key")).unwrap();
    assert_eq!(*open(&sealed, &key, &[]).unwrap(), b"for alice");
    // RSA, with the usage of an RSA key.
    pki.key("rsa", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    pki.cert("rsa", "/CN=alice", "ca", &LEAF.replace("keyAgreement", "keyEncipherment"));
    assert!(ask(&pki, &Contacts::new(), "alice", "rsa", &["list"], now()).is_ok());
}

#[test]
fn each_check_refuses_with_its_own_reason() {
    let pki = Pki::three();
    pki.crl("list", "ca", &[], "", FRESH);
    let list = &["list"][..];

    refused(&pki, "bob", "leaf", list, "wrong-name", 11);
    // The names must agree byte for byte, though certificates compare them loosely.
    refused(&pki, "Alice", "leaf", list, "wrong-name", 11);
    for (leaf, subject, uri) in [
        ("two", "/CN=alice/CN=bob", "URI:avouch://realm.example/alice"),
        ("other-uri", "/CN=alice", "URI:avouch://realm.example/bob"),
        ("other-realm", "/CN=alice", "URI:avouch://other.example/alice"),
        (
            "both-uris",
            "/CN=alice",
            "URI:avouch://realm.example/alice,URI:AVOUCH://realm.example/bob",
        ),
        ("no-uri", "/CN=alice", "email:alice@realm.example"),
    ] {
        pki.cert(leaf, subject, "ca", &LEAF.replace("URI:avouch://realm.example/alice", uri));
        refused(&pki, "alice", leaf, list, "wrong-name", 11);
    }

    pki.cert("sign", "/CN=alice", "ca", &LEAF.replace(",keyAgreement", ""));
    refused(&pki, "alice", "sign", list, "key-usage", 11);
    pki.cert("tls", "/CN=alice", "ca", &LEAF.replace("emailProtection", "clientAuth"));
    refused(&pki, "alice", "tls", list, "extended-key-usage", 11);
    pki.key("ed", &["-algorithm", "Ed25519"]);
    pki.cert("ed", "/CN=alice", "ca", &LEAF.replace(",keyAgreement", ""));
    refused(&pki, "alice", "ed", list, "key-usage", 11);
    // A key that only signs is not for key agreement (RFC 8410 section 5).
    pki.cert("ed", "/CN=alice", "ca", LEAF);
    refused(&pki, "alice", "ed", list, "nonconforming", 11);

    refused(&pki, "alice", "leaf", &[], "status-missing", 16);
    pki.crl("stale", "ca", &[], "", (-2 * DAY, -DAY));
    refused(&pki, "alice", "leaf", &["stale"], "status-stale", 16);
    // Still good by its own word, but older than the trust file allows.
    pki.crl("old", "ca", &[], "", (-2 * DAY, DAY));
    refused(&pki, "alice", "leaf", &["old"], "status-stale", 16);
    pki.crl("listed", "ca", &[("leaf", "keyCompromise")], "", FRESH);
    refused(&pki, "alice", "leaf", &["listed"], "revoked", 12);

    let late = now() + 31 * DAY;
    pki.crl("later", "ca", &[], "", (31 * DAY - 60, 40 * DAY));
    let refusal = ask(&pki, &Contacts::new(), "alice", "leaf", &["later"], late).unwrap_err();
    assert_eq!((refusal.code(), refusal.exit_code()), ("expired", 13));

    // Everything right, under another root.
    let other = Pki::three();
    other.crl("list", "ca", &[], "", FRESH);
    let at = now();
    let refusal = verify_recipient(
        &trust(&pki),
        &Contacts::new(),
        &uid("alice"),
        material(&other, "leaf", &["list"]),
        at,
    )
    .unwrap_err();
    assert_eq!(refusal.exit_code(), 11, "{refusal}");
}

#[test]
fn ids_that_need_encoding() {
    let pki = Pki::new();
    pki.root("root", CA);
    pki.cert("ca", "/CN=CA", "root", CA);
    pki.crl("list", "ca", &[], "", FRESH);
    let uri = "URI:avouch://realm.example/j%C3%BCrgen%40x%2Fy";
    let leaf = LEAF.replace("URI:avouch://realm.example/alice", uri);
    pki.cert("leaf", "/CN=jürgen@x\\/y", "ca", &leaf);
    let who = "jürgen@x/y";
    let verified = ask(&pki, &Contacts::new(), who, "leaf", &["list"], now());
    assert_eq!(verified.unwrap().uid().as_str(), who);
}

#[test]
fn a_changed_key_is_refused_and_kept_as_evidence() {
    let pki = Pki::three();
    pki.crl("list", "ca", &[], "", FRESH);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("contacts.json");
    let alice = ask(&pki, &Contacts::load(&file).unwrap(), "alice", "leaf", &["list"], now());
    let alice = alice.unwrap();
    Contacts::update(&file, |c| c.pin(&alice, now())).unwrap().unwrap();

    // Renewed with the same key: as before, but no stranger any more.
    std::fs::copy(pki.file("leaf.key"), pki.file("renewed.key")).unwrap();
    pki.cert("renewed", "/CN=alice", "ca", LEAF);
    let contacts = Contacts::load(&file).unwrap();
    let again = ask(&pki, &contacts, "alice", "renewed", &["list"], now()).unwrap();
    assert!(!again.is_new_contact());
    Contacts::update(&file, |c| c.pin(&again, now())).unwrap().unwrap();

    // The authority certifies another key, everything else being right.
    pki.cert("mallory", "/CN=alice", "ca", LEAF);
    let refusal = ask(&pki, &contacts, "alice", "mallory", &["list"], now()).unwrap_err();
    assert_eq!((refusal.code(), refusal.exit_code()), ("identity-changed", 14));
    let genesis = Hash32::of(b"genesis");
    Contacts::update(&file, |c| c.keep_refusal(genesis, &refusal, now())).unwrap();
    Contacts::update(&file, |c| c.keep_refusal(genesis, &refusal, now())).unwrap();
    let contacts = Contacts::load(&file).unwrap();
    assert_eq!(contacts.evidence().len(), 1);
    assert_eq!(contacts.evidence()[0].certificate, hex::encode(pki.certificate("mallory").der()));
    assert_eq!(contacts.contacts().len(), 1);

    // A race: verified against contacts that did not know her yet, pinned after they did.
    let late = ask(&pki, &Contacts::new(), "alice", "mallory", &["list"], now()).unwrap();
    let refusal = Contacts::update(&file, |c| c.pin(&late, now())).unwrap().unwrap_err();
    assert_eq!(refusal.exit_code(), 14);
    assert_eq!(Contacts::load(&file).unwrap().contacts(), contacts.contacts());

    assert!(Contacts::update(&file, |c| c.forget(genesis, &uid("alice"))).unwrap());
    let contacts = Contacts::load(&file).unwrap();
    assert!(ask(&pki, &contacts, "alice", "mallory", &["list"], now()).is_ok());
}

#[test]
fn a_contacts_file_that_is_not_understood_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("contacts.json");
    for (text, later) in [
        (r#"{"version": 3, "contacts": "another shape"}"#, true),
        (r#"{"version": 1, "contacts": [], "unknown": 1}"#, false),
        (r#"{"contacts": []}"#, false),
        ("{", false),
        ("", false),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = Contacts::load(&file).unwrap_err();
        assert_eq!(matches!(error, ContactsError::Version { found: 3, .. }), later, "{error}");
        assert!(Contacts::update(&file, |_| ()).is_err());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }
}

#[test]
fn the_file_is_private_and_changes_of_many_at_once_are_all_kept() {
    use std::os::unix::fs::PermissionsExt;
    let pki = Pki::three();
    pki.crl("list", "ca", &[], "", FRESH);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("contacts.json");
    let names: Vec<String> = (0..8).map(|n| format!("user{n}")).collect();
    let people: Vec<VerifiedRecipient> = names
        .iter()
        .map(|name| {
            let leaf = LEAF.replace("example/alice", &format!("example/{name}"));
            pki.cert(name, &format!("/CN={name}"), "ca", &leaf);
            ask(&pki, &Contacts::new(), name, name, &["list"], now()).unwrap()
        })
        .collect();
    std::thread::scope(|scope| {
        for person in &people {
            scope.spawn(|| Contacts::update(&file, |c| c.pin(person, now())).unwrap().unwrap());
        }
    });
    assert_eq!(Contacts::load(&file).unwrap().contacts().len(), people.len());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

/// What officers moved stops the contact until its owner has said that it is known.
#[test]
fn a_switched_contact_stays_until_it_is_acknowledged_or_verified_again() {
    let (folder, genesis) = (tempfile::tempdir().unwrap(), Hash32::of(b"genesis"));
    let (file, alice) = (folder.path().join("contacts.json"), uid("alice"));
    let (old, new) = (Hash32::of(b"old"), Hash32::of(b"new"));
    let text = format!(
        r#"{{"version": 1, "contacts": [{{"genesis": "{genesis}", "uid": "alice", "spki_sha256": "{old}", "first_seen": "2026-01-01T00:00:00Z", "last_seen": "2026-01-01T00:00:00Z"}}], "evidence": []}}"#
    );
    std::fs::write(&file, text).unwrap();
    let nothing = Contacts::update(&file, |c| c.acknowledge(genesis, &alice)).unwrap();
    assert!(matches!(nothing, Err(AcknowledgeError::Nothing(_))), "{nothing:?}");
    let refusal = RecipientRefusal::Switched {
        uid: alice.clone(),
        expected: old,
        found: new,
        verified: false,
        told: "switched".to_owned(),
    };
    Contacts::update(&file, |c| c.keep_refusal(genesis, &refusal, now())).unwrap();
    assert_eq!(Contacts::load(&file).unwrap().check(genesis, &alice, new), Pin::Other(old));
    Contacts::update(&file, |c| c.acknowledge(genesis, &alice)).unwrap().unwrap();
    assert_eq!(Contacts::load(&file).unwrap().check(genesis, &alice, new), Pin::Same);

    // Whoever was verified in person is verified again.
    let number = |key| safety_number(genesis, &alice, key);
    let wrong = Contacts::update(&file, |c| c.verify(genesis, &alice, &number(old), now()));
    assert!(matches!(wrong.unwrap(), Err(AcknowledgeError::Number { .. })));
    let spoken = number(new).replace(' ', "");
    Contacts::update(&file, |c| c.verify(genesis, &alice, &spoken, now())).unwrap().unwrap();
    let third = Hash32::of(b"third");
    let refusal = RecipientRefusal::Switched {
        uid: alice.clone(),
        expected: new,
        found: third,
        verified: true,
        told: "switched again".to_owned(),
    };
    Contacts::update(&file, |c| c.keep_refusal(genesis, &refusal, now())).unwrap();
    let refused = Contacts::update(&file, |c| c.acknowledge(genesis, &alice)).unwrap();
    assert!(matches!(refused, Err(AcknowledgeError::Verify(_))), "{refused:?}");
    let again = Contacts::update(&file, |c| c.verify(genesis, &alice, &number(third), now()));
    again.unwrap().unwrap();
    assert_eq!(Contacts::load(&file).unwrap().check(genesis, &alice, third), Pin::Same);
}

#[test]
fn the_safety_number_is_the_one_that_the_formats_page_shows() {
    let page = include_str!("../../docs/formats.md");
    let alice = UserId::parse("alice").unwrap();
    let number = safety_number(Hash32::of(b"genesis"), &alice, Hash32::of(b"key"));
    assert!(page.contains(&number), "{number}");
}
