//! The quick start of the README, word for word: `openssl req`, `curl`, `openssl verify`.

use std::process::{Command, Stdio};

use avouch_tests::Installation;
use avouch_tests::openssl::{Key, text};

#[test]
fn the_quick_start_works_with_curl() {
    let installation = Installation::start();
    let key = Key::p256();
    let csr = key.file("alice.csr", &key.csr_pem("/CN=alice"));
    let chain = key.file("alice.pem", b"");
    let file = |name: &str| text(&installation.file(name)).to_owned();
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--fail-with-body"])
        .args(["--cacert", &file("tls-ca.pem")])
        .args(["--cert", &file("agent.pem"), "--key", &file("agent.key")])
        .args(["--header", "Content-Type: application/pkcs10"])
        .args(["--header", "Accept: application/pem-certificate-chain"])
        .args(["--data-binary", &format!("@{}", text(&csr)), "--output", text(&chain)])
        .arg(format!("{}/api/v1/identities/alice/certificates", installation.url()))
        .stdin(Stdio::null())
        .output()
        .expect("curl is installed (`make setup`)");
    assert!(output.status.success(), "{output:?}");
    installation.openssl_accepts(&chain, &[]);
}
