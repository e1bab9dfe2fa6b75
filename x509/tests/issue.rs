//! What is issued, judged by openssl and pkilint.

mod common;

use avouch_x509 as x509;
use common::{
    Authority, Kind, NOW, Openssl, P256, P384, RSA_2048, TestKey, YEAR, assert_lint, lint_finds,
    profile, rules, serial, uid,
};
use wire::SerialNumber;
use wire::intent::{Name, NameKind};
use x509::crl::{self, CrlParameters, CrlScope, Reason, Revoked};
use x509::{Certificate, Crl, Csr, Issuer, Leaf, LintError, SignatureError, Tbs, leaf_tbs, lint};

const AT: &str = "1767225700"; // NOW + 100 s

fn kinds() -> [(Kind, &'static [&'static str]); 3] {
    [(Kind::P256, P256), (Kind::P384, P384), (Kind::Rsa3072, RSA_2048)]
}

fn crl(key: &TestKey, issuer: &Issuer, scope: CrlScope, revoked: Vec<Revoked>) -> Vec<u8> {
    let parameters =
        CrlParameters { this_update: NOW, next_update: NOW + 86_400, number: 7, scope, revoked };
    let linted = crl::tbs(issuer, parameters).unwrap().lint(issuer).unwrap();
    let signature = key.sign(linted.tbs_der());
    linted.assemble(&signature).unwrap()
}

#[test]
fn openssl_and_pkilint_accept_everything_that_is_issued() {
    for (kind, user_key) in kinds() {
        let (ca, openssl, alice) = (Authority::new(kind), Openssl::new(), uid("alice@example/ü"));
        let pem = openssl.request(user_key, &format!("/CN={}", "alice@example\\/ü"), &[]);
        let csr = Csr::parse(&pem, &rules()).unwrap();
        csr.check_subject(&alice).unwrap();
        let leaf = ca.issue(&csr, &alice, serial(12_345));

        openssl.write("root.pem", ca.root.to_pem());
        openssl.write("issuing.pem", ca.issuing.to_pem());
        openssl.write("leaf.pem", leaf.to_pem());
        let verify = ["verify", "-x509_strict", "-attime", AT, "-CAfile", "root.pem"];
        // OpenSSL knows encryption to people by RSA only: with EC keys it asks for keyEncipherment,
        // which RFC 8813 section 3 does not let them have.
        let purpose = if user_key == RSA_2048 { "smimeencrypt" } else { "smimesign" };
        let chain = ["-purpose", purpose, "-untrusted", "issuing.pem", "leaf.pem"];
        openssl.run(&[&verify[..], &chain].concat());
        let before = ["verify", "-x509_strict", "-attime", "1767225200", "-CAfile", "root.pem"];
        let output = openssl.try_run(&[&before[..], &chain].concat());
        assert!(!output.status.success(), "valid before it was made");

        let text = openssl.run(&[
            "x509",
            "-in",
            "leaf.pem",
            "-noout",
            "-text",
            "-nameopt",
            "utf8,sep_comma_plus",
        ]);
        for line in [
            "Subject: CN=alice@example/ü",
            "URI:avouch://example.org/alice%40example%2F%C3%BC",
            "CA:FALSE",
            "E-mail Protection",
            "Serial Number:",
            "01:00:00:00:00:00:30:39:a5:a5:a5:a5:a5:a5:a5:a5",
        ] {
            assert!(text.contains(line), "{line:?} is not in {text}");
        }
        let usage = if user_key == RSA_2048 { "Key Encipherment" } else { "Key Agreement" };
        assert!(text.contains(&format!("Digital Signature, {usage}\n")), "{text}");

        for (name, cert) in [("root", &ca.root), ("issuing", &ca.issuing), ("leaf", &leaf)] {
            let file = openssl.path(&format!("{name}.pem"));
            assert_lint("lint_pkix_cert", &[], &file);
            assert_eq!(
                Certificate::parse_any(&openssl.read(&format!("{name}.pem"))).unwrap(),
                *cert
            );
        }
    }
}

#[test]
fn openssl_and_pkilint_accept_revocation_lists_and_openssl_obeys_them() {
    for (kind, user_key) in kinds() {
        let (ca, openssl, bob) = (Authority::new(kind), Openssl::new(), uid("bob"));
        let csr = Csr::parse(&openssl.request(user_key, "/CN=bob", &[]), &rules()).unwrap();
        let leaf = ca.issue(&csr, &bob, serial(1));
        let (issuer, root) = (ca.issuer(), ca.root_issuer());
        let url = profile().crl_url(&issuer, profile().shard(serial(1)));
        assert_eq!(leaf.crl_urls(), std::slice::from_ref(&url));
        let shard = CrlScope::UserCertificates { url };
        let entry = |serial: SerialNumber, reason| Revoked {
            serial: *serial.as_bytes(),
            at: NOW - 5,
            reason,
        };

        let root_crl = crl(&ca.root_key, &root, CrlScope::Everything, vec![]);
        let good =
            vec![entry(serial(9), Reason::KeyCompromise), entry(serial(2), Reason::Unspecified)];
        let bad = vec![entry(serial(1), Reason::Superseded)];
        let lists = [
            ("empty", crl(&ca.issuing_key, &issuer, shard.clone(), vec![]), true),
            ("others", crl(&ca.issuing_key, &issuer, shard.clone(), good), true),
            ("his", crl(&ca.issuing_key, &issuer, shard.clone(), bad.clone()), false),
            ("complete", crl(&ca.issuing_key, &issuer, CrlScope::Everything, bad), false),
        ];

        openssl.write("root.pem", ca.root.to_pem());
        openssl.write("issuing.pem", ca.issuing.to_pem());
        openssl.write("leaf.pem", leaf.to_pem());
        openssl.write("root.crl", x509::pem::encode(x509::pem::CRL, &root_crl));
        assert_lint("lint_crl", &["-t", "ARL", "-p", "PKIX"], &openssl.path("root.crl"));
        openssl.run(&["crl", "-in", "root.crl", "-noout", "-CAfile", "root.pem", "-verify"]);
        for (name, der, accepted) in lists {
            let file = format!("{name}.crl");
            openssl.write(&file, x509::pem::encode(x509::pem::CRL, &der));
            openssl.run(&["crl", "-in", &file, "-noout", "-CAfile", "issuing.pem", "-verify"]);
            assert_lint("lint_crl", &["-t", "CRL", "-p", "PKIX"], &openssl.path(&file));
            let output = openssl.try_run(&[
                "verify",
                "-x509_strict",
                "-crl_check_all",
                "-extended_crl",
                "-attime",
                AT,
                "-CAfile",
                "root.pem",
                "-CRLfile",
                "root.crl",
                "-CRLfile",
                &file,
                "-untrusted",
                "issuing.pem",
                "leaf.pem",
            ]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.success(), accepted, "{name}: {said}");
            assert!(accepted || said.contains("certificate revoked"), "{name}: {said}");

            let parsed = Crl::parse_any(&openssl.read(&file)).unwrap();
            assert!(parsed.is_signed_by(&issuer) && !parsed.is_signed_by(&root));
            let expected = (!accepted).then_some((NOW - 5, Some(Reason::Superseded)));
            assert_eq!(parsed.find(leaf.serial()), expected);
        }
    }
}

#[test]
fn the_same_input_gives_the_same_bytes_and_anothers_signature_does_not_fit() {
    let (ca, openssl, uid) = (Authority::new(Kind::P256), Openssl::new(), uid("carol"));
    let csr = Csr::parse(&openssl.request(P256, "/CN=carol", &[]), &rules()).unwrap();
    let (profile, issuer) = (profile(), ca.issuer());
    let leaf = Leaf { key: csr.key(), uid: &uid, names: &[], serial: serial(3), now: NOW };
    let tbs = leaf_tbs(&profile, &issuer, &leaf).unwrap();
    // As recovery does it: the recorded request is parsed again.
    let again = Csr::parse(csr.der(), &rules()).unwrap();
    let rebuilt = Leaf { key: again.key(), ..leaf };
    assert_eq!(tbs, leaf_tbs(&profile, &issuer, &rebuilt).unwrap());

    let lint =
        || lint::leaf(Tbs::from_recorded(tbs.der().to_vec()), &profile, &issuer, &leaf).unwrap();
    for (key, fits) in [(&ca.issuing_key, true), (&ca.root_key, false)] {
        let linted = lint();
        let signature = key.sign(linted.tbs_der());
        assert_eq!(linted.assemble(&signature).is_ok(), fits);
    }
    let error = lint().assemble(&[0; 70]).unwrap_err();
    assert!(
        matches!(&error, x509::AssembleError::Signature(SignatureError::Length { found: 70, .. })),
        "{error}"
    );
}

#[test]
fn the_lint_notices_every_part_that_is_not_as_asked_for() {
    let (ca, openssl) = (Authority::new(Kind::P256), Openssl::new());
    let (profile, issuer, dora, eve) = (profile(), ca.issuer(), uid("dora"), uid("eve"));
    let csr = Csr::parse(&openssl.request(P256, "/CN=dora", &[]), &rules()).unwrap();
    let other = Csr::parse(&openssl.request(P256, "/CN=dora", &[]), &rules()).unwrap();
    let named = |kind, value: &str| Name { kind, value: value.to_owned() };
    let names = [
        named(NameKind::Rfc822, "dora@example.org"),
        named(NameKind::Upn, "dóra@corp.example"),
        named(NameKind::Rfc822, "d@example.com"),
    ];
    let leaf = Leaf { key: csr.key(), uid: &dora, names: &names, serial: serial(4), now: NOW };
    let refused = |made: &Leaf<'_>, by: &Issuer| -> LintError {
        let tbs = leaf_tbs(&profile, by, made).unwrap();
        lint::leaf(tbs, &profile, &issuer, &leaf).unwrap_err()
    };
    assert_eq!(refused(&Leaf { key: other.key(), ..leaf }, &issuer).rule, "public key");
    assert_eq!(refused(&Leaf { uid: &eve, ..leaf }, &issuer).rule, "subject");
    assert_eq!(refused(&Leaf { serial: serial(5), ..leaf }, &issuer).rule, "serial number");
    assert_eq!(refused(&Leaf { now: NOW + YEAR * 2, ..leaf }, &issuer).rule, "valid now");
    assert_eq!(refused(&Leaf { names: &names[..2], ..leaf }, &issuer).rule, "rfc822Name");
    assert_eq!(refused(&Leaf { names: &[], ..leaf }, &issuer).rule, "rfc822Name");
    let fewer = [names[0].clone(), names[2].clone()];
    assert_eq!(refused(&Leaf { names: &fewer, ..leaf }, &issuer).rule, "otherName UPN");
    assert_eq!(refused(&leaf, &ca.root_issuer()).rule, "issuer");

    // Every single bit of what would be signed matters, but for where the lint cannot know better:
    // the exact second of the validity.
    let tbs = leaf_tbs(&profile, &issuer, &leaf).unwrap();
    let times = tbs.der().windows(2).position(|w| w == [0x17, 13]).unwrap();
    let mut passed = 0;
    for bit in 0..tbs.der().len() * 8 {
        let mut bytes = tbs.der().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let in_times = (times..times + 30).contains(&(bit / 8));
        let linted = lint::leaf(Tbs::from_recorded(bytes), &profile, &issuer, &leaf).is_ok();
        assert!(!linted || in_times, "bit {bit} of {}", hex::encode(tbs.der()));
        passed += usize::from(linted);
    }
    assert!(passed < 60, "{passed} changes passed");
}

#[test]
fn a_leaf_cannot_issue_and_outlives_no_issuer() {
    let (ca, openssl, uid) = (Authority::new(Kind::P256), Openssl::new(), uid("frank"));
    let csr = Csr::parse(&openssl.request(P256, "/CN=frank", &[]), &rules()).unwrap();
    let leaf = ca.issue(&csr, &uid, serial(6));
    let error = Issuer::from_certificate(leaf.der()).unwrap_err();
    assert!(error.to_string().contains("basicConstraints does not say CA"), "{error}");

    let (profile, issuer) = (profile(), ca.issuer());
    let late = Leaf {
        key: csr.key(),
        uid: &uid,
        names: &[],
        serial: serial(7),
        now: issuer.not_after() - 86_400,
    };
    let tbs = leaf_tbs(&profile, &issuer, &late).unwrap();
    let linted = lint::leaf(tbs, &profile, &issuer, &late).unwrap();
    let signature = ca.issuing_key.sign(linted.tbs_der());
    let last = linted.assemble(&signature).unwrap();
    assert_eq!(last.not_after(), issuer.not_after());
    let too_late = Leaf { now: issuer.not_after(), ..late };
    let error = leaf_tbs(&profile, &issuer, &too_late).unwrap_err();
    assert!(matches!(error, x509::TbsError::IssuerExpired { .. }), "{error}");
}

#[test]
fn pkilint_is_able_to_object() {
    let openssl = Openssl::new();
    openssl.run(&[&["genpkey", "-out", "key.pem"], P256].concat());
    openssl.run(&[
        "req",
        "-x509",
        "-key",
        "key.pem",
        "-subj",
        "/CN=x",
        "-out",
        "cert.pem",
        "-config",
        "/dev/null",
        "-addext",
        "basicConstraints=CA:TRUE",
    ]);
    let said = lint_finds("lint_pkix_cert", &[], &openssl.path("cert.pem"));
    assert!(said.contains("basic_constraints"), "{said}");
}
