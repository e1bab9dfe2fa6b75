//! A SoftHSM of one test's own, and foreign eyes to look at the results with.
#![allow(dead_code, reason = "each test program uses a part of this")]

use avouch_pkcs11::{
    Algorithm, Hsm, KeyInfo, KeySpec, Pin, TokenConfig, TokenSelector, WorkerCommand, provision,
};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

pub(crate) const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
pub(crate) const LABEL: &str = "avouch test";
pub(crate) const PIN: &str = "correct-horse-7351";
pub(crate) const SO_PIN: &str = "security-officer-9137";

pub(crate) fn worker() -> WorkerCommand {
    WorkerCommand::new(env!("CARGO_BIN_EXE_avouch-hsm-worker"))
}

/// A folder with SoftHSM's configuration and tokens.
pub(crate) struct SoftHsm {
    pub(crate) dir: TempDir,
}

impl SoftHsm {
    /// Without any token.
    pub(crate) fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("tokens")).unwrap();
        let conf = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            dir.path().join("tokens").display()
        );
        std::fs::write(dir.path().join("softhsm2.conf"), conf).unwrap();
        SoftHsm { dir }
    }

    /// With a token named [`LABEL`].
    pub(crate) async fn new() -> Self {
        let soft = Self::empty();
        let (so_pin, pin) = (Pin::new(SO_PIN.to_owned()), Pin::new(PIN.to_owned()));
        provision::init_token(&soft.command(), Path::new(MODULE), LABEL, &so_pin, &pin)
            .await
            .unwrap();
        soft
    }

    pub(crate) fn conf(&self) -> PathBuf {
        self.dir.path().join("softhsm2.conf")
    }

    pub(crate) fn command(&self) -> WorkerCommand {
        worker().env("SOFTHSM2_CONF", self.conf().to_str().unwrap())
    }

    pub(crate) fn config(&self) -> TokenConfig {
        TokenConfig::token(MODULE, TokenSelector::Label(LABEL.to_owned()))
    }

    pub(crate) async fn start(&self) -> Hsm {
        Hsm::start(self.command(), self.config(), pin()).await.unwrap()
    }

    /// `pkcs11-tool` on this token.
    pub(crate) fn tool(&self, args: &[&str]) -> String {
        let output = Command::new("pkcs11-tool")
            .env("SOFTHSM2_CONF", self.conf())
            .args(["--module", MODULE])
            .args(args)
            .output()
            .expect("pkcs11-tool (opensc) is installed");
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    }
}

pub(crate) fn pin() -> Pin {
    Pin::new(PIN.to_owned())
}

pub(crate) fn spec(algorithm: Algorithm, number: u8) -> KeySpec {
    KeySpec { algorithm, id: [number; 16], label: format!("key {number} {algorithm}") }
}

/// Has `openssl` verify a signature in our form.
pub(crate) fn openssl_verifies(key: &KeyInfo, message: &[u8], signature: &[u8]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let public = file("public.der", &key.spki_der);
    let message = file("message", message);
    let signature = match key.algorithm {
        Algorithm::P256 | Algorithm::P384 => ecdsa_der(signature),
        _ => signature.to_vec(),
    };
    let signature = file("signature", &signature);
    let mut command = Command::new("openssl");
    command.args(["pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-rawin"]);
    match key.algorithm {
        Algorithm::Ed25519 => &mut command,
        Algorithm::P384 => command.args(["-digest", "sha384"]),
        _ => command.args(["-digest", "sha256"]),
    };
    command.arg("-inkey").arg(public).arg("-in").arg(message).arg("-sigfile").arg(signature);
    command.output().unwrap()
}

/// r‖s as ECDSA-Sig-Value.
fn ecdsa_der(signature: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let bytes = &bytes[bytes.iter().take_while(|b| **b == 0).count()..];
        let mut der = if bytes[0] >= 0x80 { vec![0] } else { vec![] };
        der.extend(bytes);
        [vec![2, der.len() as u8], der].concat()
    };
    let (r, s) = signature.split_at(signature.len() / 2);
    let body = [integer(r), integer(s)].concat();
    [vec![0x30, body.len() as u8], body].concat()
}
