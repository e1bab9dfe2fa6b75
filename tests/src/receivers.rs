//! Where notices arrive: a real mail server (aiosmtpd), and an HTTPS server for webhooks.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;

use crate::openssl::text;
use crate::patiently;

/// A program that prints a JSON line for each thing it receives.
pub struct Receiver {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    child: Child,
    lines: Arc<Mutex<Vec<Value>>>,
}

/// A CA of the test's own, and a certificate for `localhost` from it.
pub struct Tls {
    folder: tempfile::TempDir,
}

impl Default for Tls {
    fn default() -> Self {
        Self::new()
    }
}

impl Tls {
    /// New keys.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (ca_key, key) = (pair(), pair());
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_certificate = ca.self_signed(&ca_key).expect("a certificate");
        let leaf = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).expect("a certificate");
        let write = |name: &str, text: String| {
            std::fs::write(folder.path().join(name), text).expect("a file of ours");
        };
        write("ca.pem", ca_certificate.pem());
        write("server.pem", leaf.pem());
        write("server.key", key.serialize_pem());
        Self { folder }
    }

    /// The CA's certificate.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn pair() -> KeyPair {
    KeyPair::generate().expect("a key")
}

/// A port that nobody listens on now.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

impl Receiver {
    /// A mail server that wants STARTTLS and a login.
    #[must_use]
    pub fn mail(port: u16, tls: &Tls, login: Option<(&str, &str)>) -> Self {
        let login: Vec<&str> = login.into_iter().flat_map(|(user, word)| [user, word]).collect();
        Self::start(&python(), "mail.py", port, tls, &login)
    }

    /// A receiver of webhooks that answers with a status.
    #[must_use]
    pub fn hook(port: u16, tls: &Tls, status: u16) -> Self {
        Self::start(Path::new("python3"), "hook.py", port, tls, &[&status.to_string()])
    }

    /// A server in the place of a gateway, which answers what lies in a folder.
    #[must_use]
    pub fn impostor(port: u16, tls: &Tls, gateway: &str, folder: &str) -> Self {
        Self::start(Path::new("python3"), "impostor.py", port, tls, &[gateway, folder])
    }

    fn start(python: &Path, script: &str, port: u16, tls: &Tls, more: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("receivers").join(script);
        let mut child = Command::new(python)
            .arg(script)
            .args([&port.to_string(), text(&tls.file("server.pem")), text(&tls.file("server.key"))])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e} (`make setup` installs it)", python.display()));
        let stdout = child.stdout.take().expect("standard output is a pipe");
        let lines: Arc<Mutex<Vec<Value>>> = Arc::default();
        let read = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).expect("a JSON line");
                read.lock().expect("no panic while held").push(line);
            }
        });
        let mut receiver = Self { port, child, lines };
        let started = patiently("a receiver to listen", || {
            if let Ok(Some(status)) = receiver.child.try_wait() {
                panic!("{} ended with {status}; `make setup` installs it", python.display());
            }
            receiver.all().first().cloned()
        });
        receiver.port = started["port"].as_u64().and_then(|p| p.try_into().ok()).expect("a port");
        receiver
    }

    fn all(&self) -> Vec<Value> {
        self.lines.lock().expect("no panic while held").clone()
    }

    /// What was received, in order; its `content` is text.
    #[must_use]
    pub fn received(&self) -> Vec<Value> {
        self.all().into_iter().skip(1).collect()
    }

    /// Waits for something received that fits.
    pub fn awaits(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        patiently(what, || self.received().into_iter().find(&fits))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The Python that has aiosmtpd.
fn python() -> PathBuf {
    std::env::var_os("AVOUCH_AIOSMTPD_BIN")
        .map_or_else(|| PathBuf::from("python3"), |folder| Path::new(&folder).join("python3"))
}
