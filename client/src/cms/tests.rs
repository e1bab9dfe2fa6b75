use std::fs;
use std::path::PathBuf;
use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::keys::{KeyAlgorithm, PrivateKey};

/// Keys and self-signed certificates by openssl.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, args: &[&str]) -> bool {
        let output = Command::new("openssl").args(args).current_dir(self.0.path()).output();
        output.unwrap().status.success()
    }

    fn person(
        &self,
        name: &str,
        algorithm: KeyAlgorithm,
        extra: &[&str],
    ) -> (PrivateKey, Certificate) {
        let key = PrivateKey::generate(algorithm).unwrap();
        let (key_file, certificate) = (format!("{name}.key"), format!("{name}.pem"));
        key.save_new(&self.file(&key_file)).unwrap();
        let subject = format!("/O=Example/CN={name}");
        let mut args =
            vec!["req", "-x509", "-key", &key_file, "-subj", &subject, "-out", &certificate];
        args.extend(extra);
        assert!(self.run(&args));
        let pem = fs::read(self.file(&certificate)).unwrap();
        (key, Certificate::from_pem_or_der(&pem).unwrap().remove(0))
    }

    /// `openssl cms -decrypt` as this person.
    fn decrypt(&self, name: &str, with_certificate: bool) -> Option<Vec<u8>> {
        let (key, certificate) = (format!("{name}.key"), format!("{name}.pem"));
        let mut args = vec![
            "cms", "-decrypt", "-inform", "DER", "-in", "sealed", "-out", "opened", "-inkey", &key,
        ];
        if with_certificate {
            args.extend(["-recip", &certificate]);
        }
        let _ = fs::remove_file(self.file("opened"));
        self.run(&args).then(|| fs::read(self.file("opened")).unwrap())
    }
}

const NO_KEY_ID: &[&str] = &["-addext", "subjectKeyIdentifier=none"];

#[test]
fn openssl_opens_for_every_recipient() {
    let folder = Folder::new();
    let people: Vec<_> = [
        ("p256", KeyAlgorithm::P256, &[][..]),
        ("p384", KeyAlgorithm::P384, &[]),
        ("rsa2048", KeyAlgorithm::Rsa2048, &[]),
        ("rsa3072", KeyAlgorithm::Rsa3072, &[]),
        ("p256-by-serial", KeyAlgorithm::P256, NO_KEY_ID),
        ("rsa-by-serial", KeyAlgorithm::Rsa2048, NO_KEY_ID),
    ]
    .into_iter()
    .map(|(name, algorithm, extra)| {
        let (key, certificate) = folder.person(name, algorithm, extra);
        assert_eq!(certificate.subject_key_id().is_none(), name.ends_with("serial"));
        (name, key, certificate)
    })
    .collect();
    let content: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
    let all: Vec<&Certificate> = people.iter().map(|(_, _, c)| c).collect();
    let sealed = seal_to(&content, &all).unwrap();
    fs::write(folder.file("sealed"), &sealed).unwrap();
    for (name, key, certificate) in &people {
        assert_eq!(folder.decrypt(name, true).as_ref(), Some(&content), "{name}");
        assert_eq!(folder.decrypt(name, false).as_ref(), Some(&content), "{name} by trying");
        let own = std::slice::from_ref(certificate);
        assert_eq!(*open(&sealed, key, own).unwrap(), content, "{name}");
        assert_eq!(*open(&sealed, key, &[]).unwrap(), content, "{name} by trying");
        // Alone, too.
        let single = seal_to(b"", &[certificate]).unwrap();
        fs::write(folder.file("sealed"), &single).unwrap();
        assert_eq!(folder.decrypt(name, true).as_deref(), Some(&b""[..]), "{name}");
        fs::write(folder.file("sealed"), &sealed).unwrap();
    }
    let (stranger, _) = folder.person("stranger", KeyAlgorithm::P256, &[]);
    assert_eq!(open(&sealed, &stranger, &[]), Err(OpenError::CannotOpen));
    assert_eq!(folder.decrypt("stranger", true), None);
}

#[test]
fn what_openssl_seals_is_opened() {
    let folder = Folder::new();
    fs::write(folder.file("plain"), b"from openssl").unwrap();
    let cases: &[(&str, KeyAlgorithm, &[&str])] = &[
        ("default-kdf", KeyAlgorithm::P256, &[]),
        ("sha256-kdf", KeyAlgorithm::P256, &["-keyopt", "ecdh_kdf_md:sha256"]),
        ("p384", KeyAlgorithm::P384, &["-keyopt", "ecdh_kdf_md:sha384"]),
        (
            "oaep",
            KeyAlgorithm::Rsa2048,
            &[
                "-keyopt",
                "rsa_padding_mode:oaep",
                "-keyopt",
                "rsa_oaep_md:sha256",
                "-keyopt",
                "rsa_mgf1_md:sha256",
            ],
        ),
    ];
    for (name, algorithm, options) in cases {
        let (key, certificate) = folder.person(name, *algorithm, &[]);
        let recipient = format!("{name}.pem");
        for (cipher, form, extra) in [
            ("-aes-256-gcm", "DER", &[][..]),
            ("-aes-128-gcm", "PEM", &[]),
            ("-aes-256-gcm", "DER", &["-keyid"]),
        ] {
            let mut args = vec![
                "cms", "-encrypt", cipher, "-binary", "-in", "plain", "-outform", form, "-out",
                "sealed", "-recip", &recipient,
            ];
            args.extend(*options);
            args.extend(extra);
            assert!(folder.run(&args), "{name}");
            let sealed = fs::read(folder.file("sealed")).unwrap();
            let own = std::slice::from_ref(&certificate);
            assert_eq!(*open(&sealed, &key, own).unwrap(), b"from openssl", "{name} {cipher}");
        }
    }
    // Without authentication: not opened, whatever the key.
    let (key, _) = folder.person("cbc", KeyAlgorithm::P256, &[]);
    let args = [
        "cms",
        "-encrypt",
        "-aes-256-cbc",
        "-in",
        "plain",
        "-outform",
        "DER",
        "-out",
        "sealed",
        "-recip",
        "cbc.pem",
    ];
    assert!(folder.run(&args));
    let sealed = fs::read(folder.file("sealed")).unwrap();
    assert!(matches!(open(&sealed, &key, &[]), Err(OpenError::Unsupported(_))));
}

#[test]
fn one_changed_bit_and_nothing_is_released() {
    let folder = Folder::new();
    let (ec, ec_certificate) = folder.person("ec", KeyAlgorithm::P256, &[]);
    let (rsa, rsa_certificate) = folder.person("rsa", KeyAlgorithm::Rsa2048, &[]);
    for (key, certificate) in [(&ec, &ec_certificate), (&rsa, &rsa_certificate)] {
        let sealed = seal_to(b"attack at dawn", &[certificate]).unwrap();
        let own = std::slice::from_ref(certificate);
        for index in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[index] ^= 1;
            // Some bits say nothing: versions, the recipient's name, the content's type.
            match open(&altered, key, own) {
                Ok(content) => assert_eq!(*content, b"attack at dawn", "byte {index}"),
                Err(OpenError::TooLarge { .. }) => panic!("byte {index}"),
                Err(_) => {}
            }
            assert!(open(&sealed[..index], key, own).is_err());
        }
        // The last 16 bytes are the tag.
        let mut altered = sealed.clone();
        *altered.last_mut().unwrap() ^= 1;
        assert_eq!(open(&altered, key, own), Err(OpenError::CannotOpen));
    }
}

#[test]
fn no_two_messages_share_anything() {
    let folder = Folder::new();
    let (_, certificate) = folder.person("ec", KeyAlgorithm::P256, &[]);
    let (one, two) =
        (seal_to(b"same", &[&certificate]).unwrap(), seal_to(b"same", &[&certificate]).unwrap());
    let windows: std::collections::HashSet<&[u8]> = one.windows(8).collect();
    let shared = two.windows(8).filter(|w| windows.contains(w)).count();
    let first_key = one.windows(4).position(|w| w == [0x03, 0x42, 0x00, 0x04]).unwrap();
    let second_key = two.windows(4).position(|w| w == [0x03, 0x42, 0x00, 0x04]).unwrap();
    assert_ne!(one[first_key + 4..first_key + 68], two[second_key + 4..second_key + 68]);
    // What is left in common is structure.
    assert!(shared < one.len() / 2, "{shared} of {}", one.len());
}

#[test]
fn keys_that_cannot_receive() {
    let folder = Folder::new();
    assert!(folder.run(&[
        "req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", "ed.key", "-subj", "/CN=ed",
        "-out", "ed.pem"
    ]));
    let pem = fs::read(folder.file("ed.pem")).unwrap();
    let ed = Certificate::from_pem_or_der(&pem).unwrap().remove(0);
    let (_, good) = folder.person("good", KeyAlgorithm::P256, &[]);
    let error = seal_to(b"x", &[&good, &ed]).unwrap_err();
    assert_eq!(error, SealError::Key { index: 1, key: "Ed25519".into() });
    assert_eq!(seal_to(b"x", &[]), Err(SealError::NoRecipients));
}

#[test]
fn the_key_derivation_of_x9_63() {
    // RFC 5753 and SEC 1 give none; this one is from NIST's CAVS vectors for ANSI X9.63, SHA-256.
    let secret = hex("96c05619d56c328ab95fe84b18264b08725b85e33fd34f08");
    let expected = hex("443024c3dae66b95e6f5670601558f71");
    assert_eq!(*derive(&digest::SHA256, &secret, &[], 16), expected);
}

fn hex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

fn shared() -> &'static (Folder, PrivateKey, Certificate) {
    static SHARED: std::sync::OnceLock<(Folder, PrivateKey, Certificate)> =
        std::sync::OnceLock::new();
    SHARED.get_or_init(|| {
        let folder = Folder::new();
        let (key, certificate) = folder.person("any", KeyAlgorithm::P256, &[]);
        (folder, key, certificate)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn whatever_is_sealed_is_opened(content in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let (_, key, certificate) = shared();
        let sealed = seal_to(&content, &[certificate]).unwrap();
        prop_assert_eq!(&*open(&sealed, key, &[]).unwrap(), &content);
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (_, key, _) = shared();
        prop_assert!(open(&bytes, key, &[]).is_err());
    }
}

/// `cargo test -p avouch-client -- --ignored --nocapture`
#[test]
#[ignore = "prints figures"]
fn what_sealing_costs() {
    let folder = Folder::new();
    let content = vec![7; 1 << 20];
    for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Rsa2048] {
        let (key, certificate) = folder.person(algorithm.name(), algorithm, &[]);
        let rounds = 200;
        let start = std::time::Instant::now();
        for _ in 0..rounds {
            seal_to(b"", &[&certificate]).unwrap();
        }
        let seal = start.elapsed() / rounds;
        let sealed = seal_to(b"", &[&certificate]).unwrap();
        let start = std::time::Instant::now();
        for _ in 0..rounds {
            open(&sealed, &key, &[]).unwrap();
        }
        let opened = start.elapsed() / rounds;
        let start = std::time::Instant::now();
        let large = seal_to(&content, &[&certificate]).unwrap();
        let megabyte = start.elapsed();
        println!(
            "{}: seal {seal:?}, open {opened:?} a recipient; 1 MiB {megabyte:?}, {} bytes more",
            algorithm.name(),
            large.len() - content.len()
        );
    }
}
