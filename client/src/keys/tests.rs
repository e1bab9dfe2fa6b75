use std::process::Command;

use super::*;

fn openssl(args: &[&str], folder: &Path) -> (bool, String) {
    let output = Command::new("openssl").args(args).current_dir(folder).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn openssl_takes_every_kind_of_key_and_request() {
    let folder = tempfile::tempdir().unwrap();
    let uid = UserId::parse("älice, O=x/y \"+\"").unwrap();
    for algorithm in KeyAlgorithm::ALL {
        let key = PrivateKey::generate(algorithm).unwrap();
        let name = algorithm.name();
        let file = folder.path().join(name);
        key.save_new(&file).unwrap();
        let (ok, text) = openssl(&["pkey", "-in", name, "-check", "-noout"], folder.path());
        assert!(ok && text.contains("is valid"), "{name}: {text}");
        // Never over an existing key.
        assert!(matches!(key.save_new(&file), Err(KeyError::File(_))));
        let again = PrivateKey::load(&file).unwrap();
        assert_eq!(again.spki_der(), key.spki_der());

        let request = certification_request_pem(&key, &uid).unwrap();
        // The authority's own reading.
        let rules = x509::KeyRules::identity(std::sync::Arc::default());
        let parsed = x509::Csr::parse(request.as_bytes(), &rules).unwrap();
        parsed.check_subject(&uid).unwrap();
        assert_eq!(parsed.spki_der(), key.spki_der());
        let csr = format!("{name}.csr");
        fs::write(folder.path().join(&csr), &request).unwrap();
        let args =
            ["req", "-in", &csr, "-verify", "-noout", "-subject", "-nameopt", "utf8,sep_multiline"];
        let (ok, text) = openssl(&args, folder.path());
        assert!(ok && text.contains("self-signature verify OK"), "{name}: {text}");
        assert!(text.contains("CN=älice, O=x/y \"+\""), "{name}: {text}");
    }
}

#[test]
fn keys_as_openssl_writes_them() {
    let folder = tempfile::tempdir().unwrap();
    for (name, args) in [
        ("pkcs8", vec!["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]),
        ("sec1", vec!["ecparam", "-name", "prime256v1", "-genkey"]),
        ("sec1-384", vec!["ecparam", "-name", "secp384r1", "-genkey", "-noout"]),
        ("rsa8", vec!["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
        ("rsa1", vec!["genrsa", "-traditional", "2048"]),
    ] {
        let mut args = args;
        args.extend(["-out", name]);
        // The length of an RSA key comes last.
        if let Some(position) = args.iter().position(|a| *a == "2048") {
            let bits = args.remove(position);
            args.push(bits);
        }
        let (ok, text) = openssl(&args, folder.path());
        assert!(ok, "{name}: {text}");
        let key = PrivateKey::load(&folder.path().join(name)).unwrap();
        let (ok, _) = openssl(
            &["pkey", "-in", name, "-pubout", "-outform", "DER", "-out", "pub"],
            folder.path(),
        );
        assert!(ok);
        assert_eq!(fs::read(folder.path().join("pub")).unwrap(), key.spki_der(), "{name}");
    }
    for (name, args) in [
        (
            "locked",
            vec![
                "genpkey",
                "-algorithm",
                "EC",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-aes256",
                "-pass",
                "pass:x",
            ],
        ),
        ("ed", vec!["genpkey", "-algorithm", "Ed25519"]),
        ("p521", vec!["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"]),
        ("small", vec!["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"]),
    ] {
        let mut args = args;
        args.extend(["-out", name]);
        assert!(openssl(&args, folder.path()).0);
        let error = PrivateKey::load(&folder.path().join(name)).unwrap_err();
        match name {
            "locked" => assert!(matches!(error, KeyError::Encrypted), "{error}"),
            _ => assert!(error.to_string().contains(name), "{error}"),
        }
    }
    assert!(matches!(PrivateKey::load(&folder.path().join("none")), Err(KeyError::File(_))));
    let shown = format!("{:?}", PrivateKey::generate(KeyAlgorithm::P256).unwrap());
    assert_eq!(shown, "PrivateKey { .. }");
}
