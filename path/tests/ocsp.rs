//! Revocation by OCSP: openssl's own test cases (as packed in the source package of
//! pyhanko-certvalidator, see pkits.rs), and answers made by `openssl ocsp` to our questions.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use avouch_path::{
    Certificate, Given, NonceMatch, OcspResponse, Options, Profile, Report, Revocation,
    ocsp_request, verify,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use support::{CA, DAY, LEAF, Pki, code, now};

/// `2012-10-12T00:00:00+00:00` at midnight or on a full hour.
fn moment(text: &str) -> i64 {
    let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
    let (year, month, day, hour) = (number(0..4), number(5..7), number(8..10), number(11..13));
    let days_before: i64 =
        [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][month as usize - 1];
    let leap_days = (year - 1969) / 4 + i64::from(year % 4 == 0 && month > 2);
    ((year - 1970) * 365 + leap_days + days_before + day - 1) * DAY + hour * 3600
}

#[test]
fn the_cases_of_openssl() {
    let Some(package) = std::env::var_os("AVOUCH_CERTVALIDATOR") else {
        eprintln!("AVOUCH_CERTVALIDATOR is not set: the OCSP cases are not run");
        return;
    };
    let folder: PathBuf = Path::new(&package).join("tests/fixtures/openssl-ocsp");
    let read = |name: &Value| fs::read(folder.join(name.as_str().unwrap())).unwrap();
    let certificate = |name: &Value| Certificate::from_pem_or_der(&read(name)).unwrap().remove(0);
    let answer = |name: &Value| {
        let text: Vec<u8> = read(name).into_iter().filter(|b| !b.is_ascii_whitespace()).collect();
        OcspResponse::from_der(&STANDARD.decode(text).unwrap()).unwrap()
    };
    let cases: Value =
        serde_json::from_slice(&fs::read(folder.join("openssl-ocsp.json")).unwrap()).unwrap();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let (mut right, mut wrong) = (0, Vec::new());
    for case in cases.as_array().unwrap() {
        let roots = [certificate(&case["root"])];
        let untrusted: Vec<_> = list(&case["other_certs"]).iter().map(certificate).collect();
        let ocsp: Vec<_> = list(&case["ocsps"]).iter().map(answer).collect();
        // A case brings an answer for the leaf alone, or for the whole chain.
        let revocation = if ocsp.len() > 1 { Revocation::Chain } else { Revocation::Leaf };
        let options = Options::at(moment(case["moment"].as_str().unwrap())).revocation(revocation);
        let given = Given { roots: &roots, untrusted: &untrusted, crls: &[], ocsp: &ocsp };
        let report = verify(&certificate(&case["cert"]), &given, &options);
        let expected = match case["error"]["class"].as_str() {
            None => 0,
            Some(_) => 16,
        };
        if report.exit_code() == expected {
            right += 1;
        } else {
            wrong.push(format!("{}: {report}, should be {expected}", case["name"]));
        }
    }
    println!("OCSP: {right} of {} right", right + wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(right, 29);
}

/// A chain of three, and an answer by `openssl ocsp` to our question about the leaf, signed by
/// SIGNER; ROW is the leaf's line in openssl's index: `V` or `R\tDATE,REASON`.
struct Asked {
    pki: Pki,
    nonce: Vec<u8>,
}

const RESPONDER: &str = "basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=OCSPSigning
noCheck=ignored
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
";

impl Asked {
    fn new() -> Self {
        let pki = Pki::three();
        pki.cert("responder", "/CN=Responder", "ca", RESPONDER);
        Self { pki, nonce: vec![7; 32] }
    }

    fn answer(&self, name: &str, signer: &str, revoked: Option<&str>, extra: &[&str]) {
        let pki = &self.pki;
        let serial: String =
            pki.certificate("leaf").serial().iter().map(|b| format!("{b:02X}")).collect();
        let (status, since) = match revoked {
            None => ("V", String::new()),
            Some(reason) => ("R", format!("260101000000Z,{reason}")),
        };
        let row = format!("{status}\t491231235959Z\t{since}\t{serial}\tunknown\t/CN=alice\n");
        fs::write(pki.file("index"), row).unwrap();
        let question = ocsp_request(&pki.certificate("leaf"), &pki.certificate("ca"), &self.nonce);
        fs::write(pki.file("question"), question).unwrap();
        let (signer_cert, signer_key) = (format!("{signer}.pem"), format!("{signer}.key"));
        let mut args = vec![
            "ocsp",
            "-index",
            "index",
            "-CA",
            "ca.pem",
            "-rsigner",
            &signer_cert,
            "-rkey",
            &signer_key,
            "-reqin",
            "question",
            "-respout",
            name,
        ];
        if !extra.contains(&"-ndays") {
            args.extend(["-ndays", "1"]);
        }
        args.extend(extra);
        let output = pki.openssl(&args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn read(&self, name: &str) -> OcspResponse {
        OcspResponse::from_der(&fs::read(self.pki.file(name)).unwrap()).unwrap()
    }

    fn ask(&self, answers: &[&str], options: Options) -> Report {
        let pki = &self.pki;
        let ocsp: Vec<_> = answers.iter().map(|name| self.read(name)).collect();
        let given = Given {
            roots: &pki.certificates(&["root"]),
            untrusted: &pki.certificates(&["ca"]),
            crls: &[],
            ocsp: &ocsp,
        };
        verify(&pki.certificate("leaf"), &given, &options.revocation(Revocation::Leaf))
    }
}

#[test]
fn openssl_answers_our_questions() {
    let asked = Asked::new();
    let at = || Options::at(now() + 1).profile(Profile::Strict);
    for signer in ["ca", "responder"] {
        asked.answer("good", signer, None, &[]);
        let report = asked.ask(&["good"], at());
        assert!(report.is_valid(), "{signer}: {report}");
        asked.answer("bad", signer, Some("keyCompromise"), &[]);
        let report = asked.ask(&["bad"], at());
        assert_eq!((code(&report), report.exit_code()), ("revoked", 12), "{signer}: {report}");
        assert!(report.failure().unwrap().to_string().contains("keyCompromise"));
        // One source that says revoked is enough.
        assert_eq!(code(&asked.ask(&["good", "bad"], at())), "revoked");
        asked.answer("by-key", signer, None, &["-resp_key_id"]);
        assert!(asked.ask(&["by-key"], at()).is_valid());
    }
    let answer = asked.read("good");
    assert_eq!(answer.nonce_match(&asked.nonce), NonceMatch::Same);
    assert_eq!(answer.nonce_match(b"another"), NonceMatch::Different);
    assert!(answer.produced_at().unwrap() <= now());
    // One that was not asked for a nonce gives none.
    let asked = Asked { nonce: Vec::new(), ..asked };
    asked.answer("bare", "ca", None, &[]);
    assert_eq!(asked.read("bare").nonce_match(b"x"), NonceMatch::Absent);
}

#[test]
fn answers_get_old() {
    let asked = Asked::new();
    asked.answer("good", "ca", None, &[]);
    let late = asked.ask(&["good"], Options::at(now() + 2 * DAY));
    assert_eq!((code(&late), late.exit_code()), ("status-stale", 16), "{late}");
    let strict = Options::at(now() + 7200).max_status_age(3600);
    assert_eq!(code(&asked.ask(&["good"], strict)), "status-stale");
    // A revocation stands although the answer is old; a hold may have been lifted.
    asked.answer("bad", "ca", Some("keyCompromise"), &[]);
    assert_eq!(code(&asked.ask(&["bad"], Options::at(now() + 2 * DAY))), "revoked");
    asked.answer("hold", "ca", Some("certificateHold"), &[]);
    assert_eq!(code(&asked.ask(&["hold"], Options::at(now() + 2 * DAY))), "status-stale");
}

#[test]
fn who_may_answer() {
    let asked = Asked::new();
    let pki = &asked.pki;
    let code_of = |name: &str| code(&asked.ask(&[name], Options::at(now() + 1)));
    // No OCSPSigning.
    pki.cert("other", "/CN=Other", "ca", LEAF);
    asked.answer("by-other", "other", None, &[]);
    assert_eq!(code_of("by-other"), "status-missing");
    // Of another issuer, here the one above.
    pki.cert("foreign", "/CN=Foreign", "root", RESPONDER);
    asked.answer("by-foreign", "foreign", None, &[]);
    assert_eq!(code_of("by-foreign"), "status-missing");
    // The right name, another key.
    pki.root("impostor", CA);
    fs::copy(pki.file("impostor.key"), pki.file("forged.key")).unwrap();
    pki.cert("forged", "/O=Example/CN=Issuing CA", "forged", CA);
    asked.answer("by-forged", "forged", None, &[]);
    assert_eq!(code_of("by-forged"), "status-missing");
    // Any changed byte of the answer's content.
    asked.answer("good", "responder", None, &["-resp_no_certs"]);
    assert_eq!(code_of("good"), "status-missing", "without the responder's certificate");
    asked.answer("good", "responder", None, &[]);
    let good = fs::read(pki.file("good")).unwrap();
    for index in 0..good.len() {
        let mut altered = good.clone();
        altered[index] ^= 0x01;
        let Ok(response) = OcspResponse::from_der(&altered) else { continue };
        let given = Given {
            roots: &pki.certificates(&["root"]),
            untrusted: &pki.certificates(&["ca"]),
            crls: &[],
            ocsp: &[response],
        };
        let options = Options::at(now() + 1).revocation(Revocation::Leaf);
        let report = verify(&pki.certificate("leaf"), &given, &options);
        assert!(!report.is_valid(), "byte {index}: {report}");
    }
}

#[test]
fn a_responder_without_no_check() {
    let asked = Asked::new();
    let pki = &asked.pki;
    pki.cert("checked", "/CN=Checked", "ca", &RESPONDER.replace("noCheck=ignored\n", ""));
    asked.answer("good", "checked", None, &[]);
    let options = || Options::at(now() + 1).revocation(Revocation::Leaf);
    assert!(asked.ask(&["good"], options()).is_valid());
    // Nobody says that it is still good: too little for the strict profile.
    assert_eq!(code(&asked.ask(&["good"], options().profile(Profile::Strict))), "status-missing");
    // Its issuer says that it is not.
    pki.crl("list", "ca", &[("checked", "keyCompromise")], "", (-60, DAY));
    let given = Given {
        roots: &pki.certificates(&["root"]),
        untrusted: &pki.certificates(&["ca"]),
        crls: &pki.crls(&["list"]),
        ocsp: &[asked.read("good")],
    };
    let report = verify(&pki.certificate("leaf"), &given, &options());
    let revocation = report.checks().iter().find(|c| c.check == "revocation" && c.certificate == 0);
    // The leaf is not in that list either, so its status is known all the same.
    assert!(revocation.unwrap().detail.as_ref().unwrap().contains("CRL"), "{report}");
}
