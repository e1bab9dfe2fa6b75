//! What the tests of this crate share: keys that sign as a token does, authorities made of them,
//! and the foreign programs that judge the results.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use avouch_x509 as x509;
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, KeyPair, RsaKeyPair};
use tempfile::TempDir;
use wire::{Realm, SerialNumber, UserId};
use x509::{
    CaName, CaParameters, Certificate, Csr, Issuer, KeyRules, Leaf, LeafParameters, LeafProfile,
    Purpose, issuing_tbs, leaf_tbs, lint, root_tbs,
};

/// 2026-01-01T00:00:00Z.
pub(crate) const NOW: u64 = 1_767_225_600;
pub(crate) const YEAR: u64 = 365 * 86_400;
pub(crate) const ROOT_CRL: &str = "http://ca.example.org/root.crl";

/// A key that signs as PKCS #11 does: r ‖ s, or RSA PKCS #1 v1.5.
pub(crate) enum TestKey {
    Ec(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    P256,
    P384,
    Rsa3072,
}

impl TestKey {
    pub(crate) fn generate(kind: Kind) -> Self {
        match kind {
            Kind::P256 => Self::Ec(
                EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            ),
            Kind::P384 => Self::Ec(
                EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(),
            ),
            Kind::Rsa3072 => Self::Rsa(RsaKeyPair::generate(KeySize::Rsa3072).unwrap()),
        }
    }

    pub(crate) fn spki(&self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = match self {
            Self::Ec(key) => key.public_key().as_der().unwrap(),
            Self::Rsa(key) => key.public_key().as_der().unwrap(),
        };
        der.as_ref().to_vec()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Ec(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }
}

/// A root and an issuing authority.
pub(crate) struct Authority {
    pub(crate) root_key: TestKey,
    pub(crate) root: Certificate,
    pub(crate) issuing_key: TestKey,
    pub(crate) issuing: Certificate,
}

impl Authority {
    pub(crate) fn new(kind: Kind) -> Self {
        let root_key = TestKey::generate(kind);
        let name = CaName::new("Test Root", Some("Example")).unwrap();
        let unsigned = Issuer::for_root(&name, &root_key.spki()).unwrap();
        let tbs = root_tbs(&unsigned, &ca_parameters(1, 20)).unwrap();
        let linted = lint::root(tbs, &unsigned).unwrap();
        let signature = root_key.sign(linted.tbs_der());
        let root = linted.assemble(&signature).unwrap();

        let issuing_key = TestKey::generate(kind);
        let name = CaName::new("Test Issuing 1", Some("Example")).unwrap();
        let issuer = Issuer::from_certificate(root.der()).unwrap();
        let mut parameters = ca_parameters(2, 10);
        parameters.crl_url = Some(ROOT_CRL.into());
        parameters.ca_issuers_url = Some("http://ca.example.org/root.cer".into());
        let tbs = issuing_tbs(&issuer, &name, &issuing_key.spki(), &parameters).unwrap();
        let linted = lint::issuing(tbs, &issuer).unwrap();
        let signature = root_key.sign(linted.tbs_der());
        let issuing = linted.assemble(&signature).unwrap();
        Self { root_key, root, issuing_key, issuing }
    }

    pub(crate) fn issuer(&self) -> Issuer {
        Issuer::from_certificate(self.issuing.der()).unwrap()
    }

    pub(crate) fn root_issuer(&self) -> Issuer {
        Issuer::from_certificate(self.root.der()).unwrap()
    }

    pub(crate) fn issue(&self, csr: &Csr, uid: &UserId, serial: SerialNumber) -> Certificate {
        let (profile, issuer) = (profile(), self.issuer());
        let leaf = Leaf { key: csr.key(), uid, names: &[], serial, now: NOW };
        let tbs = leaf_tbs(&profile, &issuer, &leaf).unwrap();
        let linted = lint::leaf(tbs, &profile, &issuer, &leaf).unwrap();
        let signature = self.issuing_key.sign(linted.tbs_der());
        linted.assemble(&signature).unwrap()
    }
}

fn ca_parameters(serial: u8, years: u64) -> CaParameters {
    CaParameters {
        serial: [serial; 16],
        not_before: NOW - 600,
        not_after: NOW + years * YEAR,
        crl_url: None,
        ca_issuers_url: None,
    }
}

pub(crate) fn profile() -> LeafProfile {
    LeafProfile::new(LeafParameters {
        realm: Realm::parse("example.org").unwrap(),
        validity_seconds: YEAR,
        backdate_seconds: 300,
        crl_url: "http://ca.example.org/crl/{issuer}/{shard}.crl".into(),
        leaves_per_shard: 10_000.try_into().unwrap(),
        ca_issuers_url: Some("http://ca.example.org/{issuer}.cer".into()),
        purposes: vec![Purpose::EmailProtection],
    })
    .unwrap()
}

pub(crate) fn rules() -> KeyRules {
    KeyRules::identity(Arc::default())
}

pub(crate) fn uid(text: &str) -> UserId {
    UserId::parse(text).unwrap()
}

pub(crate) fn serial(index: u64) -> SerialNumber {
    SerialNumber::new(0x0100, index, [0xa5; 8]).unwrap()
}

/// A folder with openssl in it.
pub(crate) struct Openssl {
    pub(crate) dir: TempDir,
}

impl Openssl {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn try_run(&self, arguments: &[&str]) -> Output {
        Command::new("openssl")
            .args(arguments)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .output()
            .expect("openssl runs: apt-get install openssl")
    }

    /// Runs openssl; it must succeed. Returns what it wrote on stdout.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.try_run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Makes a key and returns the PEM request that `openssl req` makes of it.
    pub(crate) fn request(&self, genpkey: &[&str], subject: &str, more: &[&str]) -> Vec<u8> {
        self.run(&[&["genpkey", "-out", "key.pem"], genpkey].concat());
        let base = ["req", "-new", "-utf8", "-key", "key.pem", "-out", "csr.pem", "-subj", subject];
        self.run(&[&base, more].concat());
        self.read("csr.pem")
    }
}

pub(crate) const P256: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
pub(crate) const P384: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"];
pub(crate) const RSA_2048: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];

/// Where one of pkilint's programs is.
pub(crate) fn pkilint(program: &str) -> PathBuf {
    let mut places: Vec<PathBuf> =
        std::env::var_os("AVOUCH_PKILINT_BIN").map(PathBuf::from).into_iter().collect();
    // target/debug/deps/this-test
    let test = std::env::current_exe().unwrap();
    places.extend(test.ancestors().nth(3).map(|target| target.join("tools/pkilint/bin")));
    places.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    places.iter().map(|place| place.join(program)).find(|path| path.is_file()).unwrap_or_else(|| {
        panic!(
            "{program} of pkilint is not in {places:?}: run `cargo xtask setup`, or `pip install \
             pkilint` and set AVOUCH_PKILINT_BIN to the folder of its programs"
        )
    })
}

/// Runs one of pkilint's programs on a file and demands that it has nothing to say from notices on.
///
/// One thing it may say: its URI check knows a fixed list of schemes, and `avouch` is not on it.
pub(crate) fn assert_lint(program: &str, arguments: &[&str], file: &Path) {
    const UNKNOWN_SCHEME: &str =
        "    pkix.invalid_uri_syntax (ERROR): Invalid URI syntax: \"avouch://";
    let output = Command::new(pkilint(program))
        .args(["lint", "-s", "NOTICE"])
        .args(arguments)
        .arg(file)
        .output()
        .unwrap();
    // Findings are indented below the place that they are about.
    let said = String::from_utf8_lossy(&output.stdout);
    let findings: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with(' ') && !line.starts_with(UNKNOWN_SCHEME))
        .collect();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(findings.is_empty() && errors.is_empty(), "{file:?}: {said}{errors}");
}

/// pkilint does find something in this file.
pub(crate) fn lint_finds(program: &str, arguments: &[&str], file: &Path) -> String {
    let output = Command::new(pkilint(program)).arg("lint").args(arguments).arg(file).output();
    String::from_utf8_lossy(&output.unwrap().stdout).into_owned()
}
