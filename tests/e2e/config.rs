//! The configuration as an operator meets it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use avouch_tests::{Installation, load_csr, load_key, program};

use crate::enrolled;

fn avouch(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(program());
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command.envs(variables.iter().copied()).output().expect("avouch can be run")
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_configuration_is_checked_and_shown_before_it_is_used() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (dir, data) = (folder.path(), folder.path().join("data"));
    let data_text = data.to_str().expect("UTF-8");
    let made = avouch(dir, &["dev", "--data", data_text, "--software", "--no-serve"], &[]);
    assert!(made.status.success(), "{}", err(&made));

    let file = data.join("avouch.toml");
    let check = ["config", "check", "--config", file.to_str().expect("UTF-8")];
    let checked = avouch(dir, &check, &[]);
    assert!(checked.status.success(), "{}", err(&checked));

    let refused = avouch(dir, &check, &[("AVOUCH_GATEWAY__LISEN", "127.0.0.1:1")]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(err(&refused).contains("did you mean `listen`?"), "{}", err(&refused));

    let lists = data.join("blocked");
    std::fs::write(&lists, "not a key\n").expect("a file");
    let variable = ("AVOUCH_KEYS__BLOCKLIST", "blocked");
    let refused = avouch(dir, &check, &[variable]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(err(&refused).contains("`keys.blocklist`"), "{}", err(&refused));

    let dump = ["config", "dump", "--config", file.to_str().expect("UTF-8")];
    let secret = ("AVOUCH_HSM__ENV__VENDOR_PASSWORD", "swordfish");
    let shown = avouch(dir, &dump, &[secret, ("AVOUCH_LIMITS__QUEUE", "77")]);
    assert!(shown.status.success(), "{}", err(&shown));
    let text = out(&shown);
    assert!(!text.contains("swordfish"), "{text}");
    assert!(text.contains("queue = 77 # environment variable AVOUCH_LIMITS__QUEUE"), "{text}");
    assert!(text.contains("group = 256 # default"), "{text}");
    let json = avouch(dir, &[&dump[..], &["--format", "json"]].concat(), &[secret]);
    assert!(!out(&json).contains("swordfish"));
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(value["gateway"]["tls_key"], "tls.key");
}

#[test]
fn a_listed_key_gets_no_certificate() {
    let mut installation = Installation::start();
    let key = load_key();
    let spki = wire::Hash32::of(&rcgen::PublicKeyData::subject_public_key_info(&key));
    let path = installation.file("avouch.toml");
    let mut text = std::fs::read_to_string(&path).expect("a configuration");
    text.push_str("\n[keys]\nblocklist = \"blocked\"\n");
    std::fs::write(installation.file("blocked"), format!("# known\n{spki}\n")).expect("a file");
    std::fs::write(&path, text).expect("a configuration");
    installation.restart(false);

    let answer = installation.agent().enrol("mallory", &load_csr("mallory", &key));
    let problem = answer.problem();
    assert_eq!(problem.code, "compromised-key", "{problem:?}");
    let _ = enrolled(&installation, "alice", &load_csr("alice", &load_key()));
}

/// Everything but certificates and the trust file, with any umask.
#[test]
fn what_is_private_is_the_operators_alone() {
    let installation = Installation::start();
    let _ = enrolled(&installation, "alice", &load_csr("alice", &load_key()));
    let public = ["root.pem", "chain.pem", "trust.json", "tls-ca.pem", "tls.pem", "agent.pem"];
    let mut folders = vec![installation.file("")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
            let name = entry.file_name().into_string().expect("UTF-8");
            let found = entry.metadata().expect("a file");
            let mode = found.permissions().mode() & 0o777;
            if found.is_dir() {
                folders.push(entry.path());
            }
            let wanted = if public.contains(&name.as_str()) { 0o644 } else { mode & 0o700 };
            assert_eq!(mode, wanted, "{} has mode {mode:o}", entry.path().display());
            seen += 1;
        }
    }
    assert!(seen > 15, "{seen} files");
}
