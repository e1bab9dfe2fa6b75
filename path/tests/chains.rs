//! Chains made by openssl, good ones and one bad one of every kind; each also put to
//! `openssl verify -x509_strict`.

mod support;

use avouch_path::{Certificate, Options, Profile, Purpose};
use support::{CA, DAY, LEAF, Opinion, Pki, code, now, verify};

/// Both verifiers accept, or ours refuses with this code and openssl refuses too.
#[track_caller]
fn both(pki: &Pki, leaf: &str, untrusted: &[&str], roots: &[&str], expected: &str) {
    let report = pki.verify(leaf, untrusted, roots, &[], &Options::at(now()));
    assert_eq!(code(&report), expected, "{report}");
    let opinion = pki.opinion(leaf, untrusted, roots, &[], &[]);
    assert_eq!(opinion == Opinion::Ok, expected == "ok", "{opinion:?}\n{report}");
}

#[test]
fn a_good_chain_and_its_report() {
    let pki = Pki::three();
    both(&pki, "leaf", &["ca"], &["root"], "ok");
    let options = Options::at(now()).purpose(Purpose::Email);
    let report = pki.verify("leaf", &["ca"], &["root"], &[], &options);
    assert_eq!(report.exit_code(), 0);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["valid"], true);
    assert_eq!(json["path"][0]["subject"], "CN=alice");
    assert_eq!(json["path"][2]["subject"], "CN=root,O=Example");
    let signature = json["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["check"] == "signature" && c["certificate"] == 0)
        .unwrap();
    assert_eq!(signature["outcome"], "passed");
    assert_eq!(signature["rfc"], "6.1.3 (a) (1)");
    // An issuing CA may be the anchor itself, and an anchor may be the leaf.
    both(&pki, "root", &[], &["root"], "ok");
    let anchored = pki.verify("leaf", &[], &["ca"], &[], &options);
    assert!(anchored.is_valid(), "{anchored}");
}

#[test]
fn no_way_to_a_root() {
    let pki = Pki::three();
    let other = Pki::three();
    both(&pki, "leaf", &[], &["root"], "no-issuer");
    // The same names under other keys.
    let report = verify(
        &pki.certificate("leaf"),
        &other.certificates(&["ca"]),
        &pki.certificates(&["root"]),
        &[],
        &Options::at(now()),
    );
    assert_eq!(code(&report), "bad-signature", "{report}");
    assert_eq!(report.exit_code(), 11);
    assert_eq!(report.failed_certificate(), Some(0));
    // A self-signed stranger.
    pki.root("stranger", CA);
    both(&pki, "stranger", &[], &["root"], "no-issuer");
}

#[test]
fn any_changed_byte_is_refused() {
    let pki = Pki::three();
    let good = pki.certificate("leaf");
    let (untrusted, roots) = (pki.certificates(&["ca"]), pki.certificates(&["root"]));
    let options = Options::at(now());
    for index in 0..good.der().len() {
        let mut der = good.der().to_vec();
        der[index] ^= 0x01;
        if let Ok(bad) = Certificate::from_der(&der) {
            let report = verify(&bad, &untrusted, &roots, &[], &options);
            assert!(!report.is_valid(), "byte {index}: {report}");
        }
    }
}

#[test]
fn algorithms() {
    let pki = Pki::new();
    let rsa = |bits| {
        vec![
            "-algorithm".into(),
            "RSA".into(),
            "-pkeyopt".into(),
            format!("rsa_keygen_bits:{bits}"),
        ]
    };
    let ec = |curve: &str| {
        vec![
            "-algorithm".into(),
            "EC".into(),
            "-pkeyopt".into(),
            format!("ec_paramgen_curve:{curve}"),
        ]
    };
    let pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"];
    let max_salt = ["-sigopt", "rsa_padding_mode:pss"];
    let cases: Vec<(&str, Vec<String>, Vec<&str>, &str)> = vec![
        ("rsa256", rsa(2048), vec!["-sha256"], "ok"),
        ("rsa384", rsa(3072), vec!["-sha384"], "ok"),
        ("rsa512", rsa(4096), vec!["-sha512"], "ok"),
        ("pss32", rsa(2048), [vec!["-sha256"], pss.to_vec()].concat(), "ok"),
        ("pssmax", rsa(2048), [vec!["-sha512"], max_salt.to_vec()].concat(), "ok"),
        ("p256", ec("P-256"), vec!["-sha256"], "ok"),
        ("p256-512", ec("P-256"), vec!["-sha512"], "ok"),
        ("p384", ec("P-384"), vec!["-sha384"], "ok"),
        ("p521", ec("P-521"), vec!["-sha512"], "ok"),
        ("ed25519", vec!["-algorithm".into(), "Ed25519".into()], vec![], "ok"),
        // openssl at its default level takes these three.
        ("sha1", ec("P-256"), vec!["-sha1"], "obsolete-algorithm"),
        ("rsa1024", rsa(1024), vec!["-sha256"], "weak-key"),
        ("koblitz", ec("secp256k1"), vec!["-sha256"], "unsupported-algorithm"),
    ];
    for (name, key, sign, expected) in cases {
        let key: Vec<&str> = key.iter().map(String::as_str).collect();
        let (root, leaf) = (format!("{name}-root"), format!("{name}-leaf"));
        pki.key(&root, &key);
        pki.cert_with(&root, &format!("/CN={name} root"), &root, CA, &sign);
        pki.cert_with(&leaf, "/CN=alice", &root, LEAF, &sign);
        let strict = Options::at(now()).profile(Profile::Strict);
        let report = pki.verify(&leaf, &[], &[&root], &[], &strict);
        assert_eq!(code(&report), expected, "{name}: {report}");
        // The profile of the RFC alone takes what is obsolete, and openssl does.
        let obsolete = matches!(expected, "obsolete-algorithm" | "weak-key");
        let report = pki.verify(&leaf, &[], &[&root], &[], &Options::at(now()));
        let of_rfc = if obsolete { "ok" } else { expected };
        assert_eq!(code(&report), of_rfc, "{name}: {report}");
        if of_rfc == "ok" {
            assert_eq!(pki.opinion(&leaf, &[], &[&root], &[], &[]), Opinion::Ok, "{name}");
        }
    }
    // The leaf's own key is held to the floor as well.
    pki.key("weak", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"]);
    pki.cert("weak", "/CN=alice", "p256-root", LEAF);
    let strict = Options::at(now()).profile(Profile::Strict);
    let report = pki.verify("weak", &[], &["p256-root"], &[], &strict);
    assert_eq!(code(&report), "weak-key");
    pki.key("curve", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp112r1"]);
    pki.cert("curve", "/CN=alice", "p256-root", LEAF);
    let report = pki.verify("curve", &[], &["p256-root"], &[], &strict);
    assert_eq!(code(&report), "unsupported-algorithm");
    let level = ["-auth_level", "2"];
    assert_ne!(pki.opinion("curve", &[], &["p256-root"], &[], &level), Opinion::Ok);
}

#[test]
fn validity() {
    let pki = Pki::three();
    let at = |seconds: i64| pki.verify("leaf", &["ca"], &["root"], &[], &Options::at(seconds));
    let late = at(now() + 31 * DAY);
    assert_eq!((code(&late), late.exit_code()), ("expired", 13));
    let early = at(now() - DAY);
    assert_eq!((code(&early), early.exit_code()), ("not-yet-valid", 13));
    let leaf = pki.certificate("leaf");
    // The root was made first, so it ends first, or with the others.
    let end = pki.certificate("root").not_after();
    assert!(at(end).is_valid());
    assert_eq!(code(&at(end + 1)), "expired");
    let attime = (now() + 31 * DAY).to_string();
    assert_ne!(pki.opinion("leaf", &["ca"], &["root"], &[], &["-attime", &attime]), Opinion::Ok);
    // A broken signature is not excused as expired.
    let other = Pki::three();
    let report = verify(
        &leaf,
        &other.certificates(&["ca"]),
        &other.certificates(&["root"]),
        &[],
        &Options::at(now() + 31 * DAY),
    );
    assert_eq!(report.exit_code(), 11);
}

#[test]
fn who_may_issue() {
    let pki = Pki::three();
    let not_ca = CA.replace("CA:TRUE", "CA:FALSE").replace("keyCertSign,", "");
    let no_sign = CA.replace("keyCertSign,", "");
    let none = "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";
    let critical = format!("{CA}1.2.3.4=critical,DER:0500\n");
    let harmless = format!("{CA}1.2.3.4=DER:0500\n");
    for (name, extensions, expected) in [
        ("a", not_ca.as_str(), "not-a-ca"),
        ("b", &no_sign, "key-usage"),
        ("c", none, "not-a-ca"),
        ("d", "", "not-a-ca"),
        ("e", &critical, "unknown-critical-extension"),
        ("f", &harmless, "ok"),
    ] {
        pki.cert(name, &format!("/CN=CA {name}"), "root", extensions);
        let leaf = format!("leaf-{name}");
        pki.cert(&leaf, "/CN=alice", name, &LEAF.replace("authorityKeyIdentifier=keyid\n", ""));
        let report = pki.verify(&leaf, &[name], &["root"], &[], &Options::at(now()));
        assert_eq!(code(&report), expected, "{name}: {report}");
        assert_eq!(report.exit_code(), if expected == "ok" { 0 } else { 11 });
        if expected != "ok" {
            assert_ne!(pki.opinion(&leaf, &[name], &["root"], &[], &[]), Opinion::Ok, "{name}");
        }
    }
    // A leaf that issues.
    pki.cert("sub", "/CN=mallory", "leaf", LEAF);
    both(&pki, "sub", &["leaf", "ca"], &["root"], "not-a-ca");
    pki.cert("strange", "/CN=alice", "ca", &format!("{LEAF}1.2.3.4=critical,DER:0500\n"));
    both(&pki, "strange", &["ca"], &["root"], "unknown-critical-extension");
}

#[test]
fn path_length() {
    let pki = Pki::new();
    pki.root("root", CA);
    let limited = CA.replace("CA:TRUE", "CA:TRUE,pathlen:0");
    pki.cert("zero", "/CN=Zero", "root", &limited);
    pki.cert("direct", "/CN=alice", "zero", LEAF);
    both(&pki, "direct", &["zero"], &["root"], "ok");
    pki.cert("below", "/CN=Below", "zero", CA);
    pki.cert("deep", "/CN=alice", "below", LEAF);
    both(&pki, "deep", &["below", "zero"], &["root"], "path-length");
    // A change of keys under one name is not counted.
    pki.cert("again", "/CN=Zero", "zero", &limited);
    pki.cert("self", "/CN=alice", "again", LEAF);
    both(&pki, "self", &["again", "zero"], &["root"], "ok");
    let short = Options::at(now()).max_depth(2);
    let report = pki.verify("direct", &["zero"], &["root"], &[], &short);
    assert_eq!(code(&report), "too-deep");
}

#[test]
fn purposes() {
    let pki = Pki::three();
    let ask = |leaf: &str, ca: &str, purpose| {
        let options = Options::at(now()).purpose(purpose);
        code(&pki.verify(leaf, &[ca], &["root"], &[], &options))
    };
    assert_eq!(ask("leaf", "ca", Purpose::Email), "ok");
    assert_eq!(ask("leaf", "ca", Purpose::Client), "extended-key-usage");
    assert_eq!(ask("leaf", "ca", Purpose::Any), "ok");
    pki.cert("any", "/CN=a", "ca", &LEAF.replace("emailProtection", "anyExtendedKeyUsage"));
    assert_eq!(ask("any", "ca", Purpose::Client), "ok");
    pki.cert("free", "/CN=a", "ca", &LEAF.replace("extendedKeyUsage=emailProtection\n", ""));
    assert_eq!(ask("free", "ca", Purpose::Client), "ok");
    pki.cert("bits", "/CN=a", "ca", &LEAF.replace("digitalSignature,keyAgreement", "cRLSign"));
    assert_eq!(ask("bits", "ca", Purpose::Email), "key-usage");
    // A CA for servers only does not vouch for mail, whatever its leaf says.
    pki.cert("tls", "/CN=TLS", "root", &format!("{CA}extendedKeyUsage=serverAuth\n"));
    pki.cert("odd", "/CN=a", "tls", LEAF);
    assert_eq!(ask("odd", "tls", Purpose::Email), "extended-key-usage");
    assert_ne!(
        pki.opinion("odd", &["tls"], &["root"], &[], &["-purpose", "smimesign"]),
        Opinion::Ok
    );
    assert_eq!(
        pki.opinion("leaf", &["ca"], &["root"], &[], &["-purpose", "smimesign"]),
        Opinion::Ok
    );
}

#[test]
fn name_constraints() {
    let pki = Pki::new();
    pki.root("root", CA);
    let cases: &[(&str, &str, &str, &str)] = &[
        ("permitted;DNS:example.com", "/CN=a", "DNS:host.example.com", "ok"),
        ("permitted;DNS:example.com", "/CN=a", "DNS:evil.org", "name-constraints"),
        ("excluded;DNS:example.com", "/CN=a", "DNS:host.example.com", "name-constraints"),
        ("excluded;DNS:example.com", "/CN=a", "DNS:evil.org", "ok"),
        ("permitted;email:example.com", "/CN=a", "email:a@example.com", "ok"),
        ("permitted;email:example.com", "/CN=a", "email:a@x.example.com", "name-constraints"),
        ("permitted;email:.example.com", "/CN=a", "email:a@x.example.com", "ok"),
        (
            "permitted;email:example.com",
            "/CN=a/emailAddress=a@evil.org",
            "email:a@example.com",
            "name-constraints",
        ),
        ("permitted;URI:example.com", "/CN=a", "URI:https://example.com/x", "ok"),
        ("permitted;URI:example.com", "/CN=a", "URI:https://evil.org/", "name-constraints"),
        ("permitted;URI:example.com", "/CN=a", "URI:urn:x", "name-constraints"),
        ("permitted;IP:192.0.2.0/255.255.255.0", "/CN=a", "IP:192.0.2.9", "ok"),
        ("permitted;IP:192.0.2.0/255.255.255.0", "/CN=a", "IP:192.0.3.9", "name-constraints"),
        ("permitted;IP:2001:db8::/ffff:ffff::", "/CN=a", "IP:2001:db8::1", "ok"),
        ("permitted;IP:2001:db8::/ffff:ffff::", "/CN=a", "IP:2001:db9::1", "name-constraints"),
        ("permitted;dirName:d", "/O=Example/CN=a", "DNS:a.example", "ok"),
        ("permitted;dirName:d", "/O=exAMPLE/CN=a", "DNS:a.example", "ok"),
        ("permitted;dirName:d", "/O=Other/CN=a", "DNS:a.example", "name-constraints"),
        ("excluded;dirName:d", "/O=Example/CN=a", "DNS:a.example", "name-constraints"),
    ];
    for (index, (constraint, subject, san, expected)) in cases.iter().enumerate() {
        let (ca, leaf) = (format!("ca{index}"), format!("leaf{index}"));
        let constrained = format!("{CA}nameConstraints=critical,{constraint}\n[d]\nO=Example\n");
        pki.cert(&ca, &format!("/CN=CA {index}"), "root", &constrained);
        let extensions = LEAF.replace("URI:avouch://realm.example/alice", san);
        pki.cert(&leaf, subject, &ca, &extensions);
        let report = pki.verify(&leaf, &[&ca], &["root"], &[], &Options::at(now()));
        assert_eq!(code(&report), *expected, "{constraint} {subject} {san}: {report}");
        let opinion = pki.opinion(&leaf, &[&ca], &["root"], &[], &[]);
        assert_eq!(opinion == Opinion::Ok, *expected == "ok", "{constraint} {subject} {san}");
    }
}

#[test]
fn names_match_as_the_rfc_says() {
    let pki = Pki::new();
    pki.root("root", CA);
    pki.cert("ca", "/O=Some  Organisation /CN=Straße CA", "root", CA);
    pki.cert("leaf", "/CN=alice", "ca", LEAF);
    // The same key under the same name, spelled otherwise.
    pki.key("ca2", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    std::fs::copy(pki.file("ca.key"), pki.file("ca2.key")).unwrap();
    pki.cert("ca2", "/O=some ORGANISATION/CN=straße ca", "root", CA);
    both(&pki, "leaf", &["ca2"], &["root"], "ok");
    std::fs::copy(pki.file("ca.key"), pki.file("ca3.key")).unwrap();
    pki.cert("ca3", "/O=someorganisation/CN=Straße CA", "root", CA);
    both(&pki, "leaf", &["ca3"], &["root"], "no-issuer");
}

#[test]
fn cross_certificates_loops_and_many_candidates() {
    let pki = Pki::new();
    pki.root("root", CA);
    pki.root("old", CA);
    pki.cert("ca", "/CN=CA", "root", CA);
    pki.cert("leaf", "/CN=alice", "ca", LEAF);
    // root certified by the old root; only the old one is trusted.
    std::fs::copy(pki.file("root.key"), pki.file("cross.key")).unwrap();
    pki.cert("cross", "/O=Example/CN=root", "old", CA);
    both(&pki, "leaf", &["ca", "cross"], &["old"], "ok");
    // openssl takes the first that fits and does not come back; here the other is found.
    let report = pki.verify("leaf", &["ca", "root", "cross"], &["old"], &[], &Options::at(now()));
    assert!(report.is_valid(), "{report}");
    // Two that certify each other lead nowhere.
    pki.root("x", CA);
    pki.root("y", CA);
    std::fs::copy(pki.file("x.key"), pki.file("xy.key")).unwrap();
    std::fs::copy(pki.file("y.key"), pki.file("yx.key")).unwrap();
    pki.cert("xy", "/O=Example/CN=x", "y", CA);
    pki.cert("yx", "/O=Example/CN=y", "x", CA);
    pki.cert("lost", "/CN=alice", "x", LEAF);
    both(&pki, "lost", &["xy", "yx"], &["root"], "no-issuer");
    // One good certificate among bad ones of the same name, whatever the order.
    let bad = CA.replace("CA:TRUE", "CA:TRUE,pathlen:0");
    pki.cert("deep", "/CN=Deep", "ca", CA);
    pki.cert("far", "/CN=alice", "deep", LEAF);
    std::fs::copy(pki.file("ca.key"), pki.file("narrow.key")).unwrap();
    pki.cert("narrow", "/CN=CA", "root", &bad);
    for order in [["narrow", "ca", "deep"], ["ca", "deep", "narrow"]] {
        let report = pki.verify("far", &order, &["root"], &[], &Options::at(now()));
        assert!(report.is_valid(), "{report}");
    }
    let report = pki.verify("far", &["narrow", "deep"], &["root"], &[], &Options::at(now()));
    assert_eq!(code(&report), "path-length");
}

/// Thirty CAs of one name, each certified by each layer above: more paths than atoms.
#[test]
fn an_explosion_of_paths_ends_within_the_budget() {
    let pki = Pki::new();
    pki.root("root", CA);
    pki.root("top", CA);
    let mut pool = Vec::new();
    let mut above = vec!["top".to_owned()];
    for layer in 0..5 {
        let mut here = Vec::new();
        for index in 0..3 {
            for (n, issuer) in above.iter().enumerate() {
                let name = format!("l{layer}-{index}-{n}");
                let key = format!("l{layer}-{index}-0.key");
                if n > 0 {
                    std::fs::copy(pki.file(&key), pki.file(&format!("{name}.key"))).unwrap();
                }
                pki.cert(&name, &format!("/CN=Layer {layer}"), issuer, CA);
                pool.push(name);
            }
            here.push(format!("l{layer}-{index}-0"));
        }
        above = here;
    }
    pki.cert("leaf", "/CN=alice", &above[0], LEAF);
    let pool: Vec<&str> = pool.iter().map(String::as_str).collect();
    let report = pki.verify("leaf", &pool, &["root"], &[], &Options::at(now()));
    assert!(!report.is_valid());
    assert_eq!(report.exit_code(), 11);
    assert!(report.work().signatures <= 200);
    let report = pki.verify("leaf", &pool, &["top"], &[], &Options::at(now()));
    assert!(report.is_valid(), "{report}");
}
