//! Key files: the same protocol, and never an HSM.

mod common;

use avouch_pkcs11::{Algorithm, Hsm, HsmError, Pin, TokenConfig};
use common::{openssl_verifies, spec, worker};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

#[tokio::test]
async fn key_files_sign_and_never_count_as_hsm_held() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    let start = || Hsm::start(worker(), TokenConfig::software(&keys), Pin::none());
    let hsm = start().await.unwrap();
    let algorithms = [Algorithm::P256, Algorithm::P384, Algorithm::Rsa3072, Algorithm::Ed25519];
    for (number, algorithm) in (1..).zip(algorithms) {
        let key = hsm.generate(spec(algorithm, number)).await.unwrap();
        assert_eq!(key.algorithm, algorithm);
        assert_eq!(key.label, format!("key {number} {algorithm}"));
        let signature = hsm.sign(&key.id, b"message").await.unwrap();
        assert_eq!(signature.len(), algorithm.signature_len());
        let verdict = openssl_verifies(&key, b"message", &signature);
        assert!(verdict.status.success(), "{algorithm}: {verdict:?}");
        for allow in [false, true] {
            assert!(!key.protection.hsm_held(allow));
            assert!(key.protection.why(allow).contains("file"));
        }

        let path = keys.join(format!("{}.pem", hex::encode(&key.id)));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        // OpenSSL reads the file and finds the same public key.
        let public = Command::new("openssl")
            .args(["pkey", "-pubout", "-outform", "DER", "-in"])
            .arg(&path)
            .output()
            .unwrap();
        assert_eq!(public.stdout, key.spki_der, "{algorithm}: {public:?}");
    }
    assert_eq!(keys.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let again = hsm.generate(spec(Algorithm::P256, 1)).await;
    assert_eq!(again, Err(HsmError::KeyExists { id: vec![1; 16] }));
    let before = hsm.keys().await.unwrap();
    hsm.shut_down().await;

    let hsm = start().await.unwrap();
    assert_eq!(hsm.keys().await.unwrap(), before);
    for key in before {
        hsm.prove(&key.id, &key.spki_der).await.unwrap();
    }
    hsm.shut_down().await;
}

#[tokio::test]
async fn a_file_that_is_no_key_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("07.pem"), "label: x\n\nnothing").unwrap();
    let config = TokenConfig::software(dir.path());
    let hsm = Hsm::start(worker(), config, Pin::none()).await.unwrap();
    let error = hsm.find(&[7]).await.unwrap_err();
    assert!(error.to_string().contains("07.pem: no PEM block"), "{error}");
    hsm.shut_down().await;
}

#[tokio::test]
async fn a_program_that_is_no_worker_is_named() {
    let config = TokenConfig::software("/nowhere");
    let command = avouch_pkcs11::WorkerCommand::new("/bin/true");
    let error = Hsm::start(command, config, Pin::none()).await.unwrap_err();
    assert!(error.to_string().contains("/bin/true"), "{error}");
}
