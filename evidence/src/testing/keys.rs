//! People's keys, and certificates by OpenSSL.

use std::process::Command;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use wire::genesis::Keyholder;
use wire::octets;
use wire::statement::{SignatureAlgorithm, SignedStatement, Statement};

use crate::sign_statement;

/// A time at which tests begin, milliseconds since 1970.
pub const NOON_MS: u64 = 1_800_000_000_000;

/// SubjectPublicKeyInfo of a P-256 key, up to its 65-byte point (RFC 5480 section 2).
const P256_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Somebody's key.
pub struct Signer {
    key: EcdsaKeyPair,
    /// SubjectPublicKeyInfo, DER.
    pub spki: Vec<u8>,
}

impl Signer {
    /// A new one.
    pub fn new() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let spki = [&P256_PREFIX, key.public_key().as_ref()].concat();
        Self { key, spki }
    }

    /// The key in a PKCS#8 or SEC 1 document.
    pub fn from_der(der: &[u8]) -> Self {
        let key = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, der).unwrap();
        let spki = [&P256_PREFIX, key.public_key().as_ref()].concat();
        Self { key, spki }
    }

    /// A signature over any bytes.
    pub fn raw(&self, message: &[u8]) -> Vec<u8> {
        self.key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }

    /// Signs a statement.
    pub fn sign(&self, statement: Statement) -> SignedStatement {
        sign_statement(statement, &self.spki, SignatureAlgorithm::EcdsaP256Sha256, |message| {
            self.key.sign(&SystemRandom::new(), message).map(|s| s.as_ref().to_vec())
        })
        .unwrap()
    }
}

/// An entry of a roster.
pub fn holder(name: &str, signer: &Signer) -> Keyholder {
    Keyholder { name: name.into(), spki: octets(&signer.spki), scope: vec![] }
}

/// A certificate that can issue, and its SubjectPublicKeyInfo, both DER; by openssl.
pub fn issuing_certificate() -> (Vec<u8>, Vec<u8>) {
    certificate_of_issuer("issuing")
}

/// The same of an issuer with this name.
pub fn certificate_of_issuer(name: &str) -> (Vec<u8>, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &str| {
        let mut command = Command::new("openssl");
        let command = command.args(arguments.split(' ')).current_dir(folder.path());
        assert!(command.stderr(std::process::Stdio::null()).status().unwrap().success());
    };
    run(&format!(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -outform DER \
         -out cert.der -days 36500 -subj /CN={name} -addext keyUsage=critical,keyCertSign,cRLSign"
    ));
    run("pkey -in key.pem -pubout -outform DER -out spki.der");
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    (read("cert.der"), read("spki.der"))
}

/// A key with its certification request for alice, by OpenSSL.
pub struct Key {
    /// The key.
    pub signer: Signer,
    /// The request, DER.
    pub csr: Vec<u8>,
}

impl Key {
    /// A new one.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.der");
        let openssl = |args: &[&str]| {
            let output = Command::new("openssl").args(args).arg(&path).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        };
        let curve = "ec_paramgen_curve:P-256";
        openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", curve, "-outform", "DER", "-out"]);
        let csr = openssl(&[
            "req",
            "-new",
            "-subj",
            "/CN=alice",
            "-outform",
            "DER",
            "-keyform",
            "DER",
            "-key",
        ]);
        Self { signer: Signer::from_der(&std::fs::read(&path).unwrap()), csr }
    }
}
