//! Somebody who took an installation's database and its token with the PIN, and writes what he
//! likes: a log's books ([`Book`]) that go on from the stolen ones, signed by the token through a
//! program of his own, and a server in the place of the gateway that shows them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use evidence::testing::{Book, Signer};
use rcgen::KeyPair;
use serde_json::Value;
use wire::bundle::Bundle;

use crate::openssl::text;
use crate::receivers::{Receiver, Tls, free_port};
use crate::{Answer, Installation};

/// Where SoftHSM's module is.
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// The thief's hand on an installation's folder.
pub struct Thief {
    folder: PathBuf,
}

impl Thief {
    /// Takes everything that is in the folder.
    #[must_use]
    pub fn of(installation: &Installation) -> Self {
        Self { folder: installation.file("") }
    }

    /// The log as the database has it, to be gone on with at this time (milliseconds since 1970).
    /// Two officers sign what is lawful in it; one of them vouches for people.
    ///
    /// # Panics
    /// When the database does not give it.
    #[must_use]
    pub fn books(&self, installation: &Installation, now_ms: u64) -> Book {
        let export = self.folder.join("stolen.jsonl");
        let _ = std::fs::remove_file(&export);
        let config = self.folder.join("avouch.toml");
        let output = ["audit", "export", "--config", text(&config), "--out", text(&export)];
        let output = installation.avouch(&output);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let export = std::fs::read_to_string(&export).expect("it was just written");
        let officers = [1, 2, 3].map(|n| self.officer(n));
        let hand = Self { folder: self.folder.clone() };
        let sign = move |text: &[u8]| hand.token_signs("avouch log", "EDDSA", text);
        Book::stolen(&export, officers, self.officer(1), now_ms, sign)
    }

    fn officer(&self, n: usize) -> Signer {
        let pem = std::fs::read_to_string(self.folder.join(format!("officer-{n}.key")));
        let key = KeyPair::from_pem(&pem.expect("an officer's key")).expect("a P-256 key");
        Signer::from_der(key.serialized_der())
    }

    /// What the token signs for whoever has the PIN.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn token_signs(&self, label: &str, mechanism: &str, data: &[u8]) -> Vec<u8> {
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("receivers").join("stolen_token.py");
        let pin = std::fs::read_to_string(self.folder.join("pin")).expect("the PIN");
        let mut program = Command::new("python3")
            .arg(script)
            .args([MODULE, pin.trim(), label, mechanism])
            .env("SOFTHSM2_CONF", self.folder.join("softhsm2.conf"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("python3 can be run");
        let sent = program.stdin.take().expect("a pipe").write_all(data);
        let signed = program.wait_with_output().expect("a child of this process");
        assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
        sent.expect("it reads to the end");
        signed.stdout
    }

    /// The certificate, signed by the issuing key, which is a P-256 one.
    #[must_use]
    pub fn certifies(&self, called_for: x509::Linted) -> Vec<u8> {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, called_for.tbs_der());
        let signature = self.token_signs("avouch issuing", "ECDSA", digest.as_ref());
        called_for.assemble_der(&signature).expect("the issuer's own signature")
    }
}

/// A server in the gateway's place. What it does not lie about it asks the gateway.
pub struct Impostor {
    tls: Tls,
    folder: tempfile::TempDir,
    server: Receiver,
}

impl Impostor {
    /// In the place of an installation's gateway.
    #[must_use]
    pub fn of(installation: &Installation) -> Self {
        let (tls, folder) = (Tls::new(), tempfile::tempdir().expect("a temporary folder"));
        let server = Receiver::impostor(free_port(), &tls, installation.url(), text(folder.path()));
        Self { tls, folder, server }
    }

    /// Shows a bundle of alice's, and its certificate. `honest` are the gateway's answers about
    /// somebody: the identity, and the certificate.
    pub fn shows(&self, bundle: &Bundle, honest: (&Answer, &Answer)) {
        let der = &bundle.certificate.as_ref().expect("a certificate").0;
        let parsed = x509::Certificate::parse(der).expect("a certificate");
        let serial = wire::SerialNumber::from_slice(parsed.serial()).expect("16 octets");
        let serial = serial.to_string();
        let (mut identity, mut certificate): (Value, Value) =
            (honest.0.json(200), honest.1.json(200));
        identity["uid"] = "alice".into();
        identity["serial"] = serial.clone().into();
        identity["status"] = "active".into();
        certificate["serial"] = serial.clone().into();
        certificate["certificate"] = pem(der).into();
        self.puts("identities/alice", &identity);
        self.puts(&format!("certificates/{serial}"), &certificate);
        let bundle = serde_json::to_value(bundle).expect("JSON");
        self.puts("identities/alice/bundle", &bundle);
    }

    fn puts(&self, path: &str, answer: &Value) {
        let name = format!("_api_v1_{}", path.replace('/', "_"));
        std::fs::write(self.folder.path().join(name), answer.to_string())
            .expect("a file in a temporary folder");
    }

    /// Arguments with which people ask this server.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let ca = text(&self.tls.ca()).to_owned();
        let url = format!("https://localhost:{}", self.server.port);
        vec!["--server".to_owned(), url, "--tls-ca".to_owned(), ca]
    }
}

fn pem(der: &[u8]) -> String {
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// A trust file like this one which demands nobody's word beside the log's.
///
/// # Panics
/// When it cannot be read or written.
pub fn without_quorum(trust: &Path, to: &Path) {
    let text = std::fs::read_to_string(trust).expect("a trust file");
    let mut json: Value = serde_json::from_str(&text).expect("JSON");
    json["quorum"] = "quorum none\n".into();
    std::fs::write(to, json.to_string()).expect("a file in a temporary folder");
}
