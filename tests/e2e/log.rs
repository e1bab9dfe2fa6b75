//! The log as others see it: checkpoints, tiles, bundles, exports.

mod foreign;

use avouch_tests::Installation;
use avouch_tests::openssl::Key;
use serde_json::Value;

use crate::enrolled;

const UIDS: [&str; 3] = ["alice", "robert-the-second", "carol"];

fn populated() -> Installation {
    let installation = Installation::start();
    for uid in UIDS {
        let csr = Key::p256().csr(&format!("/CN={uid}"), &[]);
        let _ = enrolled(&installation, uid, &csr);
    }
    installation
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn bundle(installation: &Installation, uid: &str) -> Value {
    let path = format!("/api/v1/identities/{uid}/bundle");
    installation.stranger().get(&path).json(200)
}

/// Verifies a bundle from a file; the exit code, and what was said.
fn verify(installation: &Installation, uid: &str, bundle: &Value) -> (Option<i32>, String) {
    let file = installation.file("bundle.json");
    std::fs::write(&file, bundle.to_string()).expect("a file in the folder");
    let trust = installation.file("trust.json");
    let args = ["verify", "bundle", uid, text(&file), "--trust", text(&trust)];
    let output = installation.avouch(&args);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
pub(crate) fn a_bundle_is_verified_offline_and_every_part_of_it_counts() {
    let installation = populated();
    let whole = bundle(&installation, "alice");
    assert!(installation.stop().success(), "from here on there is no server");
    let (code, said) = verify(&installation, "alice", &whole);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("proven by 1 events"), "{said}");

    let (code, said) = verify(&installation, "carol", &whole);
    assert_ne!(code, Some(0), "it is about alice: {said}");
    // One character of each part is changed in turn.
    let parts = [
        "/certificate",
        "/installation/0/leaf",
        "/installation/0/salt",
        "/installation/0/event",
        "/installation/0/proof/0",
        "/installation_proof",
        "/blinding_key",
        "/events/0/leaf",
        "/events/0/salt",
        "/events/0/event",
        "/events/0/evidence/0",
        "/events/0/proof/0",
        "/head",
        "/map_proof",
        "/map_leaf",
        "/map_leaf_proof/0",
        "/checkpoint",
    ];
    for part in parts {
        let mut altered = whole.clone();
        let value = altered.pointer_mut(part).unwrap_or_else(|| panic!("no {part}"));
        *value = changed(value.as_str().expect("a text")).into();
        let (code, said) = verify(&installation, "alice", &altered);
        assert!(matches!(code, Some(11 | 14 | 15)), "{part}: exit code {code:?}: {said}");
    }
}

/// The text with the character in its middle replaced by another of the same alphabet.
fn changed(text: &str) -> String {
    let middle = text.len() / 2;
    let at = (middle..text.len())
        .chain(0..middle)
        .find(|at| text.as_bytes()[*at].is_ascii_hexdigit())
        .expect("a digit");
    let other = if text.as_bytes()[at] == b'1' { "2" } else { "1" };
    format!("{}{other}{}", &text[..at], &text[at + 1..])
}

#[test]
fn no_tile_tells_whose_identities_there_are() {
    let installation = populated();
    let checkpoint = installation.stranger().get("/api/v1/log/checkpoint").text();
    let size: u64 = checkpoint.lines().nth(1).expect("a size").parse().expect("a number");
    assert!(size >= 8, "genesis, three identities, a map root after each: {checkpoint}");
    let path = format!("/api/v1/log/tile/entries/000.p/{size}");
    let entries = installation.stranger().get(&path);
    assert_eq!(entries.status, 200, "{}", entries.text());
    let hashes = installation.stranger().get(&format!("/api/v1/log/tile/0/000.p/{size}"));
    assert_eq!(hashes.body.len() as u64, 32 * size);
    for tile in [&entries.body, &hashes.body] {
        for uid in UIDS {
            let found = tile.windows(uid.len()).any(|window| window == uid.as_bytes());
            assert!(!found, "{uid} stands in a tile");
        }
    }
    let beyond = installation.stranger().get("/api/v1/log/tile/0/001");
    assert_eq!(beyond.status, 404);
}

#[test]
pub(crate) fn the_whole_log_is_verified_exported_and_verified_elsewhere() {
    let installation = populated();
    let (config, export) = (installation.file("avouch.toml"), installation.file("log.jsonl"));
    let trust = installation.file("trust.json");
    let verified =
        installation.avouch(&["log", "verify", "--config", text(&config), "--format", "json"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let verified: Value = serde_json::from_slice(&verified.stdout).expect("JSON");
    assert_eq!(verified["identities"], 3);
    let exported = ["audit", "export", "--config", text(&config), "--out", text(&export)];
    assert!(installation.avouch(&exported).status.success());
    let check = ["audit", "verify", text(&export), "--trust", text(&trust), "--format", "json"];
    let audited = installation.avouch(&check);
    assert!(audited.status.success(), "{}", String::from_utf8_lossy(&audited.stderr));
    let audited: Value = serde_json::from_slice(&audited.stdout).expect("JSON");
    assert_eq!(audited["root"], verified["root"], "two ways to one root");

    // Without its last group it is another log than the one that was signed.
    let lines = std::fs::read_to_string(&export).expect("a file");
    let kept: Vec<&str> = lines.lines().collect();
    std::fs::write(&export, kept[..kept.len() - 2].join("\n") + "\n").expect("a file");
    let cut = installation.avouch(&check);
    assert_eq!(cut.status.code(), Some(15), "{}", String::from_utf8_lossy(&cut.stderr));
}
