//! Tokens that several operators open together, and what a token's maker attests of its keys.

use std::path::{Path, PathBuf};
use std::process::Command;

use avouch_tests::{Installation, load_csr, load_key, patiently, program};
use pkcs11_shim::{Call, Shim};
use serde_json::Value;
use wire::rest::Certificate;

use crate::hsm::{MODULE, ask, behind_a_shim, change_pin, state};

/// Splits the PIN in a file, two of three, and gives the files of the shares.
fn split(installation: &Installation, pin: &Path, set: &Path, into: &str) -> Vec<PathBuf> {
    let folder = installation.file(into);
    std::fs::create_dir(&folder).expect("a folder");
    let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let (pin, set, dir) = (path(pin), path(set), path(&folder));
    let arguments = ["hsm", "split", "--needed", "2", "--shares", "3", "--out", &set];
    let files = ["--pin-file", &pin, "--share-files", &dir];
    let output = installation.avouch(&[&arguments[..], &files].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let entries = std::fs::read_dir(&folder).expect("a folder");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert_eq!(files.len(), 3);
    files
}

/// Hands in what a file holds, with this option: exit code 0 and the answer, or what was said.
fn hand_in(folder: &Path, option: &str, file: &Path) -> Result<Value, String> {
    let mut command = Command::new(program());
    command.args(["unlock", "hsm", "--format", "json", option]).arg(file);
    let output = command.arg("--config").arg(folder.join("avouch.toml")).output();
    let output = output.expect("avouch runs");
    if output.status.success() {
        return Ok(serde_json::from_slice(&output.stdout).expect("JSON"));
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

fn logins(shim: &Shim) -> usize {
    usize::try_from(shim.calls(Call::Login).expect("a number")).expect("not that many")
}

#[test]
fn a_token_is_opened_by_two_of_three_operators_with_exactly_one_login() {
    let mut installation = Installation::start();
    let shim = behind_a_shim(&mut installation);
    let folder = installation.file("");
    let (pin, set) = (folder.join("pin"), folder.join("hsm.shares"));
    let shares = split(&installation, &pin, &set, "shares");
    let others = split(&installation, &pin, &folder.join("other.shares"), "others");
    let config = folder.join("avouch.toml");
    let text = std::fs::read_to_string(&config).expect("a configuration");
    std::fs::write(&config, text.replace("pin_file = \"pin\"", "pin_shares = \"hsm.shares\""))
        .expect("a configuration");
    let secret = std::fs::read_to_string(&pin).expect("a PIN").trim().to_owned();
    let wrong = folder.join("wrong");
    let slipped = std::fs::read_to_string(&shares[1]).expect("a share").replacen('q', "p", 1);
    private(&wrong, &slipped.replacen("pinshare1", "pinshare1q", 1));

    std::thread::scope(|scope| {
        scope.spawn(|| {
            let log = || std::fs::read_to_string(folder.with_extension("log")).ok();
            patiently("the authority to wait for shares", || {
                log()?.contains("waiting for a PIN").then_some(())
            });
            let before = logins(&shim);
            let report = patiently("the first share to be taken", || {
                hand_in(&folder, "--share-file", &shares[2]).ok()
            });
            let token = &report["tokens"][0];
            assert_eq!(token["state"], "locked", "{token}");
            assert_eq!(token["shares"]["given"], serde_json::json!([3]), "{token}");
            assert_eq!(token["shares"]["needed"], 2, "{token}");

            // Neither a slip, nor a share of another set, nor the whole PIN costs a login.
            let said = hand_in(&folder, "--share-file", &wrong).expect_err("a slip");
            assert!(said.contains("mistyped"), "{said}");
            let said = hand_in(&folder, "--share-file", &others[0]).expect_err("another set");
            assert!(said.contains("is of the set"), "{said}");
            let said = hand_in(&folder, "--pin-file", &pin).expect_err("a whole PIN");
            assert!(said.contains("opened by shares"), "{said}");
            // The same share again is no second one.
            let report = hand_in(&folder, "--share-file", &shares[2]).expect("nothing new");
            assert_eq!(report["tokens"][0]["shares"]["given"], serde_json::json!([3]));
            assert_eq!(logins(&shim), before);
            hand_in(&folder, "--share-file", &shares[0]).expect("two of them open it");
            assert_eq!(logins(&shim), before + 1);
        });
        installation.restart(false);
    });
    let agent = installation.agent();
    let _: Certificate = agent.enrol("alice", &load_csr("alice", &load_key())).json(201);

    // The PIN is changed on the token, and split anew, while it serves. The old shares combine, and
    // are refused by the token: one login.
    change_pin(&folder, &secret, "changed-4711-pin");
    hand_in(&folder, "--share-file", &shares[1]).expect("the first");
    let status = ask(&installation, &["hsm", "status"]).expect("a status");
    assert_eq!(status["tokens"][0]["shares"]["given"], serde_json::json!([2]), "{status}");
    let before = logins(&shim);
    let said = hand_in(&folder, "--share-file", &shares[0]).expect_err("the old PIN");
    assert!(said.contains("refused the PIN"), "{said}");
    assert_eq!(logins(&shim), before + 1);
    assert_eq!(state(&installation, 0), "ready");

    private(&folder.join("new-pin"), "changed-4711-pin\n");
    std::fs::remove_file(&set).expect("the old set");
    let shares = split(&installation, &folder.join("new-pin"), &set, "new");
    hand_in(&folder, "--share-file", &shares[1]).expect("the first");
    hand_in(&folder, "--share-file", &shares[2]).expect("the second");
    let _: Certificate = agent.enrol("bob", &load_csr("bob", &load_key())).json(201);

    // Neither the PIN nor a share is in the log or in the configuration as it is shown.
    let dump =
        installation.avouch(&["config", "dump", "--config", config.to_str().expect("UTF-8")]);
    let shown = installation.log() + &String::from_utf8_lossy(&dump.stdout);
    assert!(shown.contains("pin_shares"), "{shown}");
    let share = std::fs::read_to_string(&shares[1]).expect("a share");
    let begin: String = share.chars().filter(|c| !c.is_whitespace()).take(24).collect();
    for secret in [secret.as_str(), "4711-pin", &begin] {
        assert!(!shown.contains(secret), "{secret} is shown");
    }
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").current_dir(folder).args(arguments).output();
    let output = output.expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_a_tokens_maker_attests_is_shown_with_the_key() {
    let mut installation = Installation::start();
    let keys = ask(&installation, &["hsm", "keys"]).expect("keys");
    for key in keys["keys"].as_array().expect("a list") {
        assert_eq!(key["attestation"], "none", "{key}");
    }
    // Somebody plays the maker: a root of its own, and a certificate of the issuing key.
    installation.restart_after(|folder| {
        let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
        let root = ["-nodes", "-keyout", "maker.key", "-out", "maker.pem", "-days", "30"];
        openssl(folder, &[&new[..], &root, &["-subj", "/CN=Maker of tokens"]].concat());
        openssl(folder, &["x509", "-in", "chain.pem", "-pubkey", "-noout", "-out", "issuing.pub"]);
        let made = ["x509", "-new", "-force_pubkey", "issuing.pub", "-subj", "/CN=Attested key"];
        let by = ["-CA", "maker.pem", "-CAkey", "maker.key", "-days", "30"];
        openssl(folder, &[&made[..], &by, &["-outform", "DER", "-out", "attested.der"]].concat());
        let pin = std::fs::read_to_string(folder.join("pin")).expect("a PIN");
        let written = Command::new("pkcs11-tool")
            .env("SOFTHSM2_CONF", folder.join("softhsm2.conf"))
            .args(["--module", MODULE, "--token-label", "avouch-dev", "--login"])
            .args(["--pin", pin.trim(), "--type", "cert", "--label", "attestation", "--id", "77"])
            .arg("--write-object")
            .arg(folder.join("attested.der"))
            .output()
            .expect("pkcs11-tool (opensc) is installed");
        assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
        let config = folder.join("avouch.toml");
        let text = std::fs::read_to_string(&config).expect("a configuration");
        let text = text.replacen("[hsm]\n", "[hsm]\nattestation_ca = \"maker.pem\"\n", 1);
        std::fs::write(&config, text).expect("a configuration");
    });
    let keys = ask(&installation, &["hsm", "keys"]).expect("keys");
    let said = |key: &Value| key["attestation"].as_str().expect("a text").to_owned();
    let keys = keys["keys"].as_array().expect("a list");
    let (attested, others): (Vec<_>, Vec<_>) =
        keys.iter().partition(|key| key["label"] == "avouch issuing");
    assert!(said(attested[0]).contains("Maker of tokens"), "{:?}", attested[0]);
    assert!(said(attested[0]).contains("proven up to the root"), "{:?}", attested[0]);
    assert!(others.iter().all(|key| said(key) == "none"), "{others:?}");
}

/// Writes a file that this user alone can read, as shares and PINs must be.
fn private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).expect("a file");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("our file");
}
