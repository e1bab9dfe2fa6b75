//! OpenSSL's command line: makes keys and requests as users do, and gives second opinions.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs `openssl` with arguments and gives its standard output.
///
/// # Errors
/// Standard error (and output), when it exits with another code than 0.
pub fn try_run(arguments: &[&str]) -> Result<Vec<u8>, String> {
    let output = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("openssl is installed (`make setup`)");
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = [output.stderr, output.stdout].concat();
    Err(format!("openssl {}: {}", arguments.join(" "), String::from_utf8_lossy(&said)))
}

/// Runs `openssl`, which must succeed.
#[must_use]
pub fn run(arguments: &[&str]) -> Vec<u8> {
    try_run(arguments).unwrap_or_else(|e| panic!("{e}"))
}

/// A path as text.
#[must_use]
pub fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

/// A private key in a file of its own.
pub struct Key {
    folder: tempfile::TempDir,
}

impl Key {
    /// Makes a key with `openssl genpkey` and these arguments.
    #[must_use]
    pub fn generate(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("key.pem");
        let mut all = vec!["genpkey", "-out", text(&path)];
        all.extend(arguments);
        let _ = run(&all);
        Self { folder }
    }

    /// P-256.
    #[must_use]
    pub fn p256() -> Self {
        Self::ec("P-256")
    }

    /// Of another curve.
    #[must_use]
    pub fn ec(curve: &str) -> Self {
        let curve = format!("ec_paramgen_curve:{curve}");
        Self::generate(&["-algorithm", "EC", "-pkeyopt", &curve])
    }

    /// RSA of some bits.
    #[must_use]
    pub fn rsa(bits: u32) -> Self {
        let bits = format!("rsa_keygen_bits:{bits}");
        Self::generate(&["-algorithm", "RSA", "-pkeyopt", &bits])
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// A file beside it.
    #[must_use]
    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).expect("a file in a temporary folder");
        path
    }

    /// `openssl req -new` with a subject, DER.
    #[must_use]
    pub fn csr(&self, subject: &str, more: &[&str]) -> Vec<u8> {
        self.request(subject, &[&["-outform", "DER"], more].concat())
    }

    /// `openssl req -new` with a subject, PEM.
    #[must_use]
    pub fn csr_pem(&self, subject: &str) -> Vec<u8> {
        self.request(subject, &[])
    }

    fn request(&self, subject: &str, more: &[&str]) -> Vec<u8> {
        let path = self.path();
        let mut all = vec!["req", "-new", "-utf8", "-key", text(&path), "-subj", subject];
        all.extend(more);
        run(&all)
    }
}

/// `openssl verify -x509_strict` of a leaf with one root and the issuing certificates.
///
/// # Errors
/// What OpenSSL objects to.
pub fn verify(root: &Path, chain: &Path, leaf: &Path, more: &[&str]) -> Result<(), String> {
    let mut all = vec!["verify", "-x509_strict", "-CAfile", text(root), "-untrusted", text(chain)];
    all.extend(more);
    all.push(text(leaf));
    try_run(&all).map(drop)
}

/// What `openssl x509 -noout` prints about a certificate file with these options.
#[must_use]
pub fn show(certificate: &Path, options: &[&str]) -> String {
    let mut all = vec!["x509", "-noout", "-in", text(certificate), "-nameopt", "RFC2253,-esc_msb"];
    all.extend(options);
    String::from_utf8_lossy(&run(&all)).into_owned()
}

/// Sends bytes over TLS with `openssl s_client`, which trusts `ca` alone; returns all that it says,
/// the answer among it.
///
/// # Panics
/// When it cannot be run.
#[must_use]
pub fn s_client(address: &str, ca: &Path, bytes: &[u8]) -> String {
    use std::io::Write;
    use std::process::Stdio;
    let mut child = Command::new("openssl")
        .args(["s_client", "-connect", address, "-CAfile", text(ca), "-ign_eof"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl can be run");
    child.stdin.take().expect("a pipe").write_all(bytes).expect("it reads");
    let output = child.wait_with_output().expect("a child of this process");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
