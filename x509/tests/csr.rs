//! Requests that openssl makes, as deployed clients do, and what is wrong with bad ones.

mod common;

use avouch_x509 as x509;
use common::{Openssl, P256, P384, RSA_2048, rules, uid};
use x509::csr::{MAX_CSR, RequestedName};
use x509::{Csr, CsrError, DerKind, KeyAlgorithm, KeyError, pem};

fn der_of(pem_text: &[u8]) -> Vec<u8> {
    pem::decode_one(pem_text, &[pem::CERTIFICATE_REQUEST]).unwrap()
}

fn refusal(input: &[u8]) -> CsrError {
    let error = Csr::parse(input, &rules()).unwrap_err();
    assert!(!error.to_string().is_empty());
    error
}

#[test]
fn requests_of_deployed_clients_are_accepted() {
    let openssl = Openssl::new();
    let desktop = "/C=DE/ST=Baden-Wuerttemberg/L=Stuttgart/O=Nextcloud/CN=alice";
    let ios = "/CN=alice/OU=Example/O=Example/L=Berlin/C=DE";
    let ca = ["-addext", "basicConstraints=critical,CA:TRUE"];
    let usage = ["-addext", "keyUsage=digitalSignature,keyEncipherment"];
    for (key, subject, more) in [
        (RSA_2048, desktop, &[][..]),
        (RSA_2048, "/CN=alice", &ca[..]),
        (RSA_2048, ios, &[]),
        (RSA_2048, "/CN=alice", &usage),
        (P256, "/CN=alice", &["-sha384"]),
        (P384, "/CN=alice", &["-sha512"]),
        (P256, "/", &[]),
        (
            RSA_2048,
            "/CN=alice",
            &["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"],
        ),
    ] {
        let text = openssl.request(key, subject, more);
        let csr = Csr::parse(&text, &rules()).unwrap_or_else(|e| panic!("{subject} {more:?}: {e}"));
        csr.check_subject(&uid("alice")).unwrap();
        let expected = (subject != "/").then_some("alice");
        assert_eq!(csr.subject_common_name(), expected);
        // The same as DER, and as the one long line that Android sends.
        let der = der_of(&text);
        let body: String =
            std::str::from_utf8(&text).unwrap().lines().filter(|l| !l.starts_with('-')).collect();
        let unwrapped = format!(
            "-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----"
        );
        for input in [der.as_slice(), unwrapped.as_bytes()] {
            assert_eq!(Csr::parse(input, &rules()).unwrap(), csr);
        }
        // What openssl says of the key agrees.
        openssl.write("csr.pem", &text);
        openssl.run(&["req", "-in", "csr.pem", "-noout", "-pubkey", "-out", "pub.pem"]);
        openssl.run(&["pkey", "-pubin", "-in", "pub.pem", "-outform", "DER", "-out", "pub.der"]);
        assert_eq!(csr.spki_der(), openssl.read("pub.der"));
    }
}

#[test]
fn debians_list_is_read_as_openssl_prints_moduli() {
    let openssl = Openssl::new();
    let text = openssl.request(RSA_2048, "/CN=alice", &[]);
    let modulus = openssl.run(&["rsa", "-in", "key.pem", "-noout", "-modulus"]);
    openssl.write("modulus", &modulus);
    let sha1 = openssl.run(&["dgst", "-sha1", "-r", "modulus"]);
    let entry = &sha1[20..40];
    let list = x509::Blocklist::parse(&format!("{entry}\n")).unwrap();
    let rules = x509::KeyRules::identity(list.into());
    let error = Csr::parse(&text, &rules).unwrap_err();
    assert_eq!(error.code(), "compromised-key");
    assert!(error.to_string().contains("CVE-2008-0166"), "{error}");
}

#[test]
fn a_request_for_somebody_else_is_refused_with_both_names() {
    let openssl = Openssl::new();
    for (subject, more, says) in [
        ("/CN=mallory", &[][..], "the common name \"mallory\""),
        ("/CN=Alice", &[], "the common name \"Alice\""),
        ("/CN=alice/CN=mallory", &[], "2 common names"),
        ("/CN=alice", &["-addext", "subjectAltName=URI:avouch://r/mallory"], "avouch://r/mallory"),
        ("/CN=alice", &["-addext", "subjectAltName=URI:AVOUCH://r/mallory"], "AVOUCH://r/mallory"),
    ] {
        let csr = Csr::parse(&openssl.request(P256, subject, more), &rules()).unwrap();
        let error = csr.check_subject(&uid("alice")).unwrap_err();
        assert_eq!(error.code(), "wrong-subject");
        let text = error.to_string();
        assert!(text.contains(says) && text.contains("\"alice\""), "{text}");
    }
    let names = "subjectAltName=email:a@example.org,URI:avouch://r/alice,DNS:example.org,\
                 otherName:1.3.6.1.4.1.311.20.2.3;UTF8:alice@EXAMPLE";
    let text = openssl.request(P256, "/CN=alice", &["-addext", names]);
    let csr = Csr::parse(&text, &rules()).unwrap();
    csr.check_subject(&uid("alice")).unwrap();
    assert_eq!(
        csr.requested_names(),
        [
            RequestedName::Email("a@example.org".into()),
            RequestedName::Uri("avouch://r/alice".into()),
            RequestedName::Other(2),
            RequestedName::Upn("alice@EXAMPLE".into()),
        ]
    );
}

#[test]
fn a_request_signed_by_another_key_is_refused() {
    let openssl = Openssl::new();
    for key in [P256, P384, RSA_2048] {
        // Two requests that differ in the key only, with their signatures exchanged.
        let one = der_of(&openssl.request(key, "/CN=alice", &[]));
        let two = der_of(&openssl.request(key, "/CN=alice", &[]));
        let offset = openssl_signature_offset(&openssl, &two);
        let cut = openssl_signature_offset(&openssl, &one);
        let mut forged = one[..cut].to_vec();
        forged.extend_from_slice(&two[offset..]);
        // ECDSA signatures vary in length: mend the outer header.
        let length = (forged.len() - header(&one)) as u16;
        if header(&one) == 4 {
            forged[2..4].copy_from_slice(&length.to_be_bytes());
        } else if length < 256 {
            forged[2] = length as u8;
        }
        let error = refusal(&forged);
        assert_eq!(error.code(), "bad-signature", "{error}");
    }
}

fn header(der: &[u8]) -> usize {
    2 + if der[1] < 0x80 { 0 } else { usize::from(der[1] & 0x7f) }
}

/// Where the signature's BIT STRING starts, by openssl's own parser.
fn openssl_signature_offset(openssl: &Openssl, der: &[u8]) -> usize {
    openssl.write("parse.der", der);
    let text = openssl.run(&["asn1parse", "-inform", "DER", "-in", "parse.der"]);
    let line = text.lines().rfind(|line| line.contains(":d=1")).unwrap();
    line.split(':').next().unwrap().trim().parse().unwrap()
}

#[test]
fn each_kind_of_bad_request_is_refused_for_its_own_reason() {
    let openssl = Openssl::new();
    let text = openssl.request(P256, "/CN=alice", &[]);
    let der = der_of(&text);

    let error = refusal(&vec![0x30; MAX_CSR + 1]);
    assert_eq!(error, CsrError::Oversize { len: MAX_CSR + 1, limit: MAX_CSR });

    openssl.run(&["req", "-x509", "-key", "key.pem", "-subj", "/CN=alice", "-out", "cert.pem"]);
    let error = refusal(&openssl.read("cert.pem"));
    let (found, expected) = ("CERTIFICATE".to_owned(), pem::CERTIFICATE_REQUEST);
    assert_eq!(error, CsrError::PemLabel { found, expected });
    assert_eq!(error.code(), "wrong-pem-label");

    let error = refusal(&[&text[..], b"more"].concat());
    assert!(matches!(error, CsrError::Pem(_)), "{error}");

    let error = refusal(&[&der[..], b"xyz"].concat());
    assert_eq!(error, CsrError::TrailingBytes { offset: der.len() as u64, count: 3 });

    // The version is the first element of the second sequence.
    let at = header(&der) + header(&der[header(&der)..]);
    let mut other = der.clone();
    other[at + 2] = 1;
    assert_eq!(refusal(&other), CsrError::Version { offset: at as u64 });

    let mut other = der.clone();
    other[at] = 0x0a;
    let CsrError::Der(fault) = refusal(&other) else { panic!("{}", refusal(&other)) };
    let kind = DerKind::Tag { expected: "the version", found: 0x0a };
    assert_eq!((fault.offset, fault.kind), (at as u64, kind));

    for (digest, code) in [("-sha1", "sha1"), ("-md5", "weak-digest")] {
        let text = openssl.request(RSA_2048, "/CN=alice", &[digest]);
        let error = refusal(&text);
        assert_eq!(error.code(), code, "{error}");
        let at = error.offset().unwrap() as usize;
        assert_eq!(der_of(&text)[at], 0x30);
    }
    let error = refusal(&openssl.request(P256, "/CN=alice", &["-sha1"]));
    assert!(matches!(error, CsrError::WeakDigest { name: "ECDSA with SHA-1", .. }), "{error}");
    let error = refusal(&openssl.request(P256, "/CN=alice", &["-sha224"]));
    assert!(matches!(error, CsrError::SignatureAlgorithm { .. }), "{error}");
    let odd_salt = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:20"];
    let error = refusal(&openssl.request(RSA_2048, "/CN=alice", &odd_salt));
    assert!(matches!(error, CsrError::SignatureParameters { .. }), "{error}");

    let error = refusal(&openssl.request(&["-algorithm", "Ed25519"], "/CN=alice", &[]));
    assert_eq!(error.code(), "unsupported-key");
    assert!(error.to_string().contains("an identity must be able to receive"), "{error}");
    let p521 = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"];
    let error = refusal(&openssl.request(&p521, "/CN=alice", &[]));
    assert_eq!(error, CsrError::Key(KeyError::Curve { name: "P-521".into() }));
    let explicit = [P256, &["-pkeyopt", "ec_param_enc:explicit"]].concat();
    let error = refusal(&openssl.request(&explicit, "/CN=alice", &[]));
    assert!(error.to_string().contains("explicit parameters"), "{error}");
    let small = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"];
    let error = refusal(&openssl.request(&small, "/CN=alice", &[]));
    assert_eq!(error, CsrError::Key(KeyError::RsaTooSmall { bits: 1024, min: 2048 }));
    let exponent = [RSA_2048, &["-pkeyopt", "rsa_keygen_pubexp:3"]].concat();
    let error = refusal(&openssl.request(&exponent, "/CN=alice", &[]));
    assert_eq!(error, CsrError::Key(KeyError::RsaExponent { found: "3".into() }));
    assert_eq!(error.code(), "weak-key");

    // A point moved off the curve, where it stands.
    let key = Csr::parse(&der, &rules()).unwrap().key().key_bits().to_vec();
    let at = der.windows(65).position(|w| w == key).unwrap();
    let mut other = der.clone();
    other[at + 64] ^= 1;
    let (curve, offset) = (KeyAlgorithm::P256, at as u64);
    assert_eq!(refusal(&other), CsrError::Key(KeyError::OffCurve { curve, offset }));
}

/// Whoever is refused is told what would have been taken, and what was there.
#[test]
fn refusals_say_what_was_expected_and_found() {
    for (der, expected, found) in [
        (&b"hello"[..], "a CertificationRequest in DER", "byte"),
        (&[0x30; 20_000][..], "at most", "20000 bytes"),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "CERTIFICATE REQUEST",
            "CERTIFICATE",
        ),
    ] {
        let (wanted, there) = refusal(der).expected_and_found();
        assert!(wanted.contains(expected) && there.contains(found), "{wanted} {there}");
    }
}
