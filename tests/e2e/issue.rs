//! What is issued, for every shape of request that clients send.

use avouch_tests::openssl::{self, Key};
use avouch_tests::{Body, Installation, load_csr, load_key};
use serde_json::json;
use wire::SerialNumber;
use wire::rest::{Certificate, CertificateStatus, Identity, IdentityStatus};

use crate::{enrolled, leaf_file};

#[test]
pub(crate) fn every_key_kind_as_der_and_as_pem() {
    let installation = Installation::start();
    for kind in ["p256", "p384", "rsa"] {
        for form in ["der", "pem"] {
            let key = match kind {
                "p256" => Key::p256(),
                "p384" => Key::ec("P-384"),
                _ => Key::rsa(2048),
            };
            let uid = format!("{kind}-{form}");
            let subject = format!("/CN={uid}");
            let csr = if form == "pem" { key.csr_pem(&subject) } else { key.csr(&subject, &[]) };
            let certificate = enrolled(&installation, &uid, &csr);
            assert_eq!(certificate.status, CertificateStatus::Good);
            assert_eq!(certificate.event, "enrol");
            let leaf = leaf_file(&key, &certificate);
            installation.openssl_accepts(&leaf, &[]);
            let text = openssl::show(&leaf, &["-subject", "-ext", "keyUsage,extendedKeyUsage"]);
            assert!(text.contains(&format!("CN={uid}")), "{text}");
            let use_ = if kind == "rsa" { "Key Encipherment" } else { "Key Agreement" };
            assert!(text.contains(use_) && text.contains("Digital Signature"), "{text}");
            assert!(text.contains("E-mail Protection"), "{text}");
        }
    }
}

/// The subjects and wishes that file-sync clients send today.
#[test]
fn shapes_of_todays_clients() {
    let installation = Installation::start();
    let wish = "basicConstraints=critical,CA:TRUE";
    let usage = "keyUsage=critical,digitalSignature,keyEncipherment,dataEncipherment,keyAgreement";
    let desktop = "/C=DE/ST=Baden-Wuerttemberg/L=Stuttgart/O=Nextcloud/CN=desktop";
    for (uid, subject, wishes) in [
        ("desktop", desktop, vec![]),
        ("android", "/CN=android", vec!["-addext", wish]),
        ("ios", "/CN=ios/OU=Nextcloud/O=Nextcloud/L=Stuttgart/C=DE", vec![]),
        ("web", "/CN=web", vec!["-addext", usage]),
        ("nobody", "/", vec![]),
    ] {
        let key = Key::rsa(2048);
        let certificate = enrolled(&installation, uid, &key.csr(subject, &wishes));
        let leaf = leaf_file(&key, &certificate);
        installation.openssl_accepts(&leaf, &[]);
        // The subject is the identity and nothing else; wishes for powers are not granted.
        let text = openssl::show(&leaf, &["-subject", "-ext", "basicConstraints,subjectAltName"]);
        assert!(text.contains(&format!("subject=CN={uid}\n")), "{text}");
        assert!(text.contains("CA:FALSE") && !text.contains("CA:TRUE"), "{text}");
        assert!(text.contains(&format!("/{uid}")) && text.contains("URI:avouch://"), "{text}");
    }
}

#[test]
pub(crate) fn ids_outside_of_ascii_are_taken_byte_for_byte() {
    let installation = Installation::start();
    for uid in ["zoë@example.org", "山田/太郎", "a b+c%", "O'Neil, \"Tip\""] {
        let key = Key::p256();
        let certificate = enrolled(&installation, uid, &load_csr(uid, &load_key()));
        assert_eq!(certificate.uid.as_str(), uid);
        let leaf = leaf_file(&key, &certificate);
        installation.openssl_accepts(&leaf, &[]);
        let encoded = wire::UserId::parse(uid).expect("an id").percent_encoded();
        let text = openssl::show(&leaf, &["-ext", "subjectAltName"]);
        assert!(text.contains(&format!("/{encoded}")), "{text}");
        let identity: Identity =
            installation.agent().get(&format!("/api/v1/identities/{encoded}")).json(200);
        assert_eq!(identity.uid.as_str(), uid);
        assert_eq!(identity.status, IdentityStatus::Active);
    }
}

#[test]
fn json_and_pem_chain_and_der_say_the_same() {
    let installation = Installation::start();
    let agent = installation.agent();
    let key = Key::p256();
    let csr = String::from_utf8(key.csr_pem("/CN=alice")).expect("PEM is text");
    let answer =
        agent.post("/api/v1/identities/alice/certificates", Body::Json(json!({ "csr": csr })));
    let certificate: Certificate = answer.json(201);
    let path = format!("/api/v1/certificates/{}", certificate.serial);
    assert_eq!(answer.header("location"), path);
    let chain = agent.get_as(&path, "application/pem-certificate-chain");
    assert_eq!(chain.header("content-type"), "application/pem-certificate-chain");
    let mut expected = certificate.certificate.clone().expect("a finished certificate");
    expected.extend(certificate.chain.iter().map(String::as_str));
    assert_eq!(chain.text(), expected);
    assert_eq!(agent.get(&path).json::<Certificate>(200), certificate);

    // The chain's file alone is enough beside the root.
    let file = key.file("chain.pem", &chain.body);
    openssl::verify(&installation.file("root.pem"), &file, &file, &[]).expect("a valid chain");
}

#[test]
fn the_serial_number_points_at_its_leaf() {
    let installation = Installation::start();
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..5 {
        let uid = format!("user-{n}");
        let certificate = enrolled(&installation, &uid, &load_csr(&uid, &load_key()));
        let serial = SerialNumber::from_hex(&certificate.serial).expect("16 octets");
        assert_eq!(serial.leaf_index(), certificate.leaf_index);
        assert!(seen.insert(certificate.leaf_index), "leaf {} twice", certificate.leaf_index);
    }
}

#[test]
pub(crate) fn a_repeated_request_gives_the_same_certificate() {
    let installation = Installation::start();
    let agent = installation.agent();
    let csr = load_csr("alice", &load_key());
    let first: Certificate = agent.enrol_once("alice", &csr, "key-1").json(201);
    let again = agent.enrol_once("alice", &csr, "key-1");
    assert!([200, 201].contains(&again.status), "{}", again.text());
    assert_eq!(again.json::<Certificate>(again.status), first);

    let problem = agent.enrol_once("alice", &load_csr("alice", &load_key()), "key-1").problem();
    assert_eq!((problem.status, problem.code.as_str()), (409, "idempotency-conflict"));
}

#[test]
fn the_chain_is_served_to_strangers() {
    let installation = Installation::start();
    let stranger = installation.stranger();
    let certificate = enrolled(&installation, "alice", &load_csr("alice", &load_key()));
    let chain = stranger.get(&format!("/api/v1/issuers/{}/chain.pem", certificate.issuer));
    assert_eq!(chain.status, 200);
    let served = chain.text();
    let issuing = String::from_utf8(installation.read("chain.pem")).expect("PEM is text");
    assert!(served.contains(issuing.trim()), "{served}\n{issuing}");
    assert_eq!(stranger.get("/api/v1/health/live").status, 200);
    assert_eq!(stranger.get("/api/v1/health/ready").status, 200);
}
