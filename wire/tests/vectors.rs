//! The formats are frozen: each file in `wire/vectors/` is compared byte for byte with the value
//! it was made of, read back, and (for DER) read by OpenSSL.
//!
//! `AVOUCH_WRITE_VECTORS=1 cargo test -p avouch-wire --test vectors` writes the files anew. A
//! difference in an existing file is a new format and needs a new version number.

extern crate avouch_wire as wire;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use wire::body::recovery_commitment;
use wire::event::{Certified, Event, Revoked, TransportWord};
use wire::genesis::Genesis;
use wire::head::Head;
use wire::intent::Intent;
use wire::leaf::{Leaf, blinded_id, blinded_key, blinding_commitment, commitment};
use wire::receipt::Receipt;
use wire::request::RequestFile;
use wire::rules::Rules;
use wire::statement::{SignedStatement, Statement};
use wire::trust::TrustFile;
use wire::{Encoded, Hash32, frame};

mod samples;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name)
}

/// Compares with the frozen file, or writes it when that was asked for.
fn frozen(name: &str, bytes: &[u8]) {
    let path = file(name);
    if std::env::var_os("AVOUCH_WRITE_VECTORS").is_some() {
        std::fs::write(&path, bytes).unwrap();
    }
    let found = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(
        hex::encode(found),
        hex::encode(bytes),
        "{name} changed: a changed format needs a new version"
    );
}

/// One DER format's file: same bytes, same value, DER in OpenSSL's eyes.
fn frozen_der<T: Encoded + PartialEq + std::fmt::Debug>(name: &str, value: &T) {
    let name = format!("{name}.der");
    frozen(&name, &value.to_canonical());
    let bytes = std::fs::read(file(&name)).unwrap();
    assert_eq!(&T::from_canonical(&bytes).unwrap(), value, "{name}");
    let openssl = Command::new("openssl")
        .args(["asn1parse", "-inform", "DER", "-in"])
        .arg(file(&name))
        .output()
        .expect("openssl is installed (`make setup`)");
    assert!(openssl.status.success(), "{name}: {}", String::from_utf8_lossy(&openssl.stderr));
    // OpenSSL has read the whole file when its first line says so.
    let text = String::from_utf8(openssl.stdout).unwrap();
    let first = text.lines().next().unwrap();
    let number = |key: &str| -> usize {
        let rest = &first[first.find(key).unwrap() + key.len()..];
        rest.trim_start().split([' ', ':']).next().unwrap().parse().unwrap()
    };
    assert_eq!(number("hl=") + number(" l="), bytes.len(), "{name}: {first}");
}

#[test]
fn events() {
    frozen_der("event-genesis", &samples::genesis_event());
    frozen_der("event-enrol", &samples::enrol_event());
    frozen_der("event-revoke", &samples::revoke_event());
}

#[test]
fn bodies() {
    frozen_der("body-genesis", &samples::genesis());
    frozen_der("body-genesis-switch-issuer", &samples::genesis_with_switch_issuer());
    frozen_der("body-certified", &samples::certified());
    frozen_der("body-revoked", &samples::revoked());
    frozen_der("transport-word", &samples::transport_word());
    frozen_der("rules-standard", &Rules::standard());
}

#[test]
fn bodies_of_moves_and_changes() {
    for (name, bytes, _, _) in samples::bodies::all() {
        frozen(&format!("{name}.der"), &bytes);
    }
    samples::bodies::read_back(|name| std::fs::read(file(&format!("{name}.der"))).unwrap());
}

#[test]
fn intents_and_statements() {
    frozen_der("intent-enrol", &samples::enrol_intent());
    frozen_der("intent-revoke", &samples::revoke_intent());
    frozen_der("statement", &samples::statement());
    frozen_der("signed-statement", &samples::signed_statement());
}

#[test]
fn leaves_and_heads() {
    frozen_der("head", &samples::head());
    frozen_der("leaf-event", &samples::enrol_leaf());
    frozen_der("leaf-map-root", &samples::map_root_leaf());
}

#[test]
fn trust_file() {
    frozen("trust.json", samples::trust_file().to_text().as_bytes());
    let text = std::fs::read_to_string(file("trust.json")).unwrap();
    assert_eq!(TrustFile::parse(&text).unwrap(), samples::trust_file());
}

#[test]
fn requests_and_receipts() {
    let request = samples::veto_file();
    frozen("request-veto.json", request.to_text().as_bytes());
    assert_eq!(RequestFile::parse(request.to_text().as_bytes()).unwrap(), request);
    let receipt = samples::receipt();
    frozen("receipt.txt", receipt.to_text().as_bytes());
    assert_eq!(Receipt::parse(&receipt.to_text()), Ok(receipt.clone()));
    // One receipt has one text.
    for other in [
        receipt.to_text().replace("at size ", "at size 0"),
        receipt.to_text().replace("drops", "delays"),
        receipt.to_text() + "\n",
        receipt.to_text().replace("drops", "drops "),
        receipt.to_text().repeat(2),
    ] {
        assert!(Receipt::parse(&other).is_err(), "{other}");
    }
}

#[test]
fn bundles() {
    let bundle = samples::bundle();
    let mut text = serde_json::to_string_pretty(&bundle).unwrap();
    text.push('\n');
    frozen("bundle.json", text.as_bytes());
    let text = std::fs::read_to_string(file("bundle.json")).unwrap();
    assert_eq!(serde_json::from_str::<wire::bundle::Bundle>(&text).unwrap(), bundle);
    frozen("bundle.bin", &frame::encode(&bundle, wire::bundle::MAX_BUNDLE).unwrap());
    let bytes = std::fs::read(file("bundle.bin")).unwrap();
    let read: wire::bundle::Bundle = frame::decode(&bytes, wire::bundle::MAX_BUNDLE).unwrap();
    assert_eq!(read, bundle);
}
fn frozen_message<T>(name: &str, message: &T, limit: usize)
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let name = format!("socket-{name}.bin");
    frozen(&name, &frame::encode(message, limit).unwrap());
    let bytes = std::fs::read(file(&name)).unwrap();
    assert_eq!(&frame::decode::<T>(&bytes, limit).unwrap(), message, "{name}");
}

#[test]
fn socket_messages() {
    frozen_message("hello", &samples::hello(), frame::MAX_REQUEST);
    for (name, welcome) in samples::welcomes() {
        frozen_message(&format!("welcome-{name}"), &welcome, frame::MAX_RESPONSE);
    }
    for (name, request) in samples::requests() {
        frozen_message(&format!("request-{name}"), &request, frame::MAX_REQUEST);
    }
    for (name, response) in samples::responses() {
        frozen_message(&format!("response-{name}"), &response, frame::MAX_RESPONSE);
    }
}

/// Names and numbers are as frozen as encodings: statements sign them and URIs end in them.
#[test]
fn the_index_describes_every_file_and_pins_what_is_derived() {
    let about: &[(&str, &str, &str)] = &[
        ("event-genesis.der", Event::FORMAT, "leaf 0; its hash names the installation"),
        ("event-enrol.der", Event::FORMAT, "an enrolment by an agent's statement"),
        ("event-revoke.der", Event::FORMAT, "the revocation that follows, by transport evidence"),
        (
            "body-genesis.der",
            Genesis::FORMAT,
            "body of event-genesis, all lists and options filled",
        ),
        (
            "body-genesis-switch-issuer.der",
            Genesis::FORMAT,
            "the same with an issuing authority of their own for switches",
        ),
        ("body-certified.der", Certified::FORMAT, "body of event-enrol"),
        ("body-revoked.der", Revoked::FORMAT, "body of event-revoke and of intent-revoke"),
        ("transport-word.der", TransportWord::FORMAT, "evidence of event-revoke"),
        ("rules-standard.der", Rules::FORMAT, "the preset `standard`; its hash is the policy hash"),
        ("intent-enrol.der", Intent::FORMAT, "what the agent agrees to"),
        ("intent-revoke.der", Intent::FORMAT, "what the holder agrees to"),
        ("statement.der", Statement::FORMAT, "the bytes that the agent signs"),
        ("signed-statement.der", SignedStatement::FORMAT, "the statement, its signature made up"),
        ("leaf-event.der", Leaf::FORMAT, "the leaf of event-enrol"),
        ("leaf-map-root.der", Leaf::FORMAT, "the last leaf of a checkpoint"),
        ("head.der", Head::FORMAT, "the map's value after event-enrol"),
        ("bundle.json", "bundle", "the bundle after event-enrol"),
        ("bundle.bin", "bundle", "the same in the compact form, postcard"),
        ("trust.json", "trust file", "its fingerprint is below"),
        ("request-veto.json", "request file", "a veto, its statement made up"),
        ("receipt.txt", "auditor's receipt", "for request-veto.json: what the auditor signs"),
    ];
    let entry = |file: &str, format: &str, about: &str| {
        let bytes = std::fs::read(self::file(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        let sha256 = Hash32::of(&bytes).to_string();
        json!({ "file": file, "format": format, "about": about, "sha256": sha256 })
    };
    let mut files: Vec<Value> =
        about.iter().map(|(f, format, about)| entry(f, format, about)).collect();
    for (name, _, format, about) in samples::bodies::all() {
        files.push(entry(&format!("{name}.der"), format, about));
    }
    let message = "socket message, postcard";
    files.push(entry("socket-hello.bin", message, "the caller's first frame"));
    for (name, _) in samples::welcomes() {
        let file = format!("socket-welcome-{name}.bin");
        files.push(entry(&file, message, "the authority's first frame"));
    }
    for (name, _) in samples::requests() {
        files.push(entry(&format!("socket-request-{name}.bin"), message, "a request"));
    }
    for (name, _) in samples::responses() {
        files.push(entry(&format!("socket-response-{name}.bin"), message, "a response"));
    }
    let uid = samples::uid();
    let event = samples::enrol_event().to_canonical();
    macro_rules! numbers {
        ($type:ty) => {{
            let pairs = <$type>::ALL.iter().map(|k| (k.name().to_owned(), k.number().into()));
            Value::Object(pairs.collect())
        }};
    }
    let index = json!({
        "files": files,
        "derived": {
            "commitment to a recovery key": recovery_commitment(&samples::spki()).to_string(),
            "user id": uid.as_str(),
            "user id in a path": uid.percent_encoded(),
            "installation's secret": hex::encode(samples::SECRET),
            "commitment to the secret": blinding_commitment(&samples::SECRET).to_string(),
            "per-identity key": hex::encode(samples::identity_key()),
            "blinded id": blinded_id(&samples::identity_key(), &uid).to_string(),
            "blinded key": blinded_key(&samples::SECRET, Hash32::of(&samples::spki())).to_string(),
            "salt": hex::encode(samples::SALT),
            "commitment to event-enrol": commitment(&samples::SALT, &event).to_string(),
            "leaf hash of leaf-event": samples::enrol_leaf().leaf_hash().to_string(),
            "leaf hash of leaf-map-root": samples::map_root_leaf().leaf_hash().to_string(),
            "fingerprint of trust.json": samples::trust_file().fingerprint().to_string(),
        },
        "numbers": {
            "event kinds": numbers!(wire::event::EventKind),
            "evidence kinds": numbers!(wire::event::EvidenceKind),
            "transport sources": numbers!(wire::event::TransportSource),
            "revocation reasons": numbers!(wire::event::RevocationReason),
            "roles": numbers!(wire::statement::Role),
            "signature algorithms": numbers!(wire::statement::SignatureAlgorithm),
            "name kinds": numbers!(wire::intent::NameKind),
            "leaf kinds": numbers!(wire::leaf::LeafKind),
            "head statuses": numbers!(wire::head::HeadStatus),
            "key purposes": numbers!(wire::genesis::KeyPurpose),
            "veto effects": numbers!(wire::body::VetoEffect),
            "phases": numbers!(wire::body::Phase),
            "channel kinds": numbers!(wire::body::ChannelKind),
            "cosigner kinds": numbers!(wire::genesis::CosignerKind),
        },
    });
    let mut text = serde_json::to_string_pretty(&index).unwrap();
    text.push('\n');
    if std::env::var_os("AVOUCH_WRITE_VECTORS").is_some() {
        std::fs::write(file("index.json"), &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(file("index.json")).unwrap(), text);

    let listed: std::collections::BTreeSet<String> = index["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["file"].as_str().unwrap().to_owned())
        .chain(["index.json".into(), "README.md".into()])
        .collect();
    let present: std::collections::BTreeSet<String> = std::fs::read_dir(file(""))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(present, listed);
}
