//! schemathesis: makes requests from the API's own description, sound ones and broken ones, and
//! compares the answers with it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Installation;
use crate::openssl::text;

/// Holds a running installation against its description, as its enrolment agent.
///
/// `examples` is the number of requests for each operation and phase. `seed` makes a run
/// repeatable; without one it is another each time, and printed with a failure.
pub fn run(installation: &Installation, examples: u32, seed: Option<u32>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemathesis");
    let anywhere = tempfile::tempdir().expect("a temporary folder");
    let url = installation.url();
    let mut command = Command::new(program());
    command
        .args(["--config-file", text(&folder.join("schemathesis.toml")), "--no-color", "run"])
        .args([&format!("{url}/openapi.json"), "--url", url])
        .args(["--tls-verify", text(&installation.file("tls-ca.pem"))])
        .args(["--request-cert", text(&installation.file("agent.pem"))])
        .args(["--request-cert-key", text(&installation.file("agent.key"))])
        .args(["--max-examples", &examples.to_string()])
        .env("AVOUCH_SCHEMATHESIS_HOOKS", folder.join("hooks.py"))
        // It leaves what it found in the current folder.
        .current_dir(anywhere.path())
        .stdin(Stdio::null());
    if let Some(seed) = seed {
        command.args(["--seed", &seed.to_string()]);
    }
    let output = command.output().unwrap_or_else(|e| {
        panic!("{}: {e} (`make setup` installs it)", program().display());
    });
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}\n{complaint}", output.status);
    // A run that finds no operation, or sends nothing, proves nothing.
    let counted = said.lines().find_map(|line| line.trim().split_once(" generated, "));
    let sent = counted.and_then(|(sent, rest)| Some((sent.parse().ok()?, rest)));
    let (sent, rest): (u32, _) = sent.unwrap_or_else(|| panic!("no count of requests:\n{said}"));
    assert!(sent > 500 && rest == format!("{sent} passed"), "{said}");
    println!("{sent} requests passed");
}

fn program() -> PathBuf {
    let name = "schemathesis";
    std::env::var_os("AVOUCH_SCHEMATHESIS_BIN")
        .map_or_else(|| PathBuf::from(name), |folder| Path::new(&folder).join(name))
}
