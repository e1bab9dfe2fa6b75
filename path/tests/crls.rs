//! Revocation by CRLs made with openssl; each case also put to `openssl verify -crl_check`.

mod support;

use avouch_path::{Crl, Options, Report, Revocation};
use base64::Engine as _;
use support::{CA, DAY, LEAF, Opinion, Pki, code, now, verify};

const FRESH: (i64, i64) = (-60, DAY);

fn ask(pki: &Pki, leaf: &str, crls: &[&str]) -> Report {
    let options = Options::at(now()).revocation(Revocation::Leaf);
    pki.verify(leaf, &["ca"], &["root"], crls, &options)
}

/// Ours gives this code; openssl agrees on yes or no.
#[track_caller]
fn both(pki: &Pki, leaf: &str, crls: &[&str], expected: &str) {
    let report = ask(pki, leaf, crls);
    assert_eq!(code(&report), expected, "{report}");
    let opinion = pki.opinion(leaf, &["ca"], &["root"], crls, &["-crl_check", "-extended_crl"]);
    assert_eq!(opinion == Opinion::Ok, expected == "ok", "{opinion:?}\n{report}");
}

#[test]
fn listed_and_not_listed() {
    let pki = Pki::three();
    pki.crl("empty", "ca", &[], "", FRESH);
    both(&pki, "leaf", &["empty"], "ok");
    pki.crl("listed", "ca", &[("leaf", "keyCompromise")], "", FRESH);
    both(&pki, "leaf", &["listed"], "revoked");
    let report = ask(&pki, "leaf", &["listed"]);
    assert_eq!(report.exit_code(), 12);
    assert!(report.failure().unwrap().to_string().contains("keyCompromise"));
    pki.crl("hold", "ca", &[("leaf", "certificateHold")], "", FRESH);
    both(&pki, "leaf", &["hold"], "revoked");
    pki.crl("plain", "ca", &[("leaf", "")], "", FRESH);
    both(&pki, "leaf", &["plain"], "revoked");
    pki.cert("other", "/CN=bob", "ca", LEAF);
    both(&pki, "other", &["listed"], "ok");
}

#[test]
fn missing_stale_early_and_foreign_lists() {
    let pki = Pki::three();
    both(&pki, "leaf", &[], "status-missing");
    assert_eq!(ask(&pki, "leaf", &[]).exit_code(), 16);
    pki.crl("stale", "ca", &[], "", (-2 * DAY, -DAY));
    both(&pki, "leaf", &["stale"], "status-stale");
    assert_eq!(ask(&pki, "leaf", &["stale"]).exit_code(), 16);
    pki.crl("early", "ca", &[], "", (DAY, 2 * DAY));
    both(&pki, "leaf", &["early"], "status-stale");
    let skewed = Options::at(now()).revocation(Revocation::Leaf).clock_skew(2 * DAY);
    assert!(pki.verify("leaf", &["ca"], &["root"], &["early"], &skewed).is_valid());
    // By the root: says nothing of the issuing CA's leaves.
    pki.crl("above", "root", &[], "", FRESH);
    both(&pki, "leaf", &["above"], "status-missing");
    // The right name, another key.
    let other = Pki::three();
    other.crl("forged", "ca", &[], "", FRESH);
    std::fs::copy(other.file("forged.crl"), pki.file("forged.crl")).unwrap();
    both(&pki, "leaf", &["forged"], "status-missing");
    // A fresh list beside bad ones.
    pki.crl("good", "ca", &[], "", FRESH);
    assert!(ask(&pki, "leaf", &["forged", "stale", "above", "good"]).is_valid());
    // A list past its time still tells of a key compromise; of a hold it does not.
    pki.crl("stale-listed", "ca", &[("leaf", "keyCompromise")], "", (-2 * DAY, -DAY));
    assert_eq!(code(&ask(&pki, "leaf", &["stale-listed"])), "revoked");
    pki.crl("stale-hold", "ca", &[("leaf", "certificateHold")], "", (-2 * DAY, -DAY));
    assert_eq!(code(&ask(&pki, "leaf", &["stale-hold"])), "status-stale");
    // Policy may ask for more than the list promises.
    pki.crl("days", "ca", &[], "", (-3 * DAY, DAY));
    let strict = Options::at(now()).revocation(Revocation::Leaf).max_status_age(DAY);
    let report = pki.verify("leaf", &["ca"], &["root"], &["days"], &strict);
    assert_eq!(code(&report), "status-stale");
    assert!(ask(&pki, "leaf", &["days"]).is_valid());
}

#[test]
fn the_issuing_ca_is_revoked() {
    let pki = Pki::three();
    pki.crl("by-ca", "ca", &[], "", FRESH);
    pki.crl("by-root", "root", &[("ca", "cACompromise")], "", FRESH);
    let report = ask(&pki, "leaf", &["by-ca", "by-root"]);
    assert_eq!((code(&report), report.failed_certificate()), ("revoked", Some(1)));
    assert!(ask(&pki, "leaf", &["by-ca"]).is_valid());
    let chain = Options::at(now()).revocation(Revocation::Chain);
    let report = pki.verify("leaf", &["ca"], &["root"], &["by-ca"], &chain);
    assert_eq!(code(&report), "status-missing");
    let all = ["-crl_check", "-crl_check_all"];
    let crls = ["by-ca", "by-root"];
    assert_ne!(pki.opinion("leaf", &["ca"], &["root"], &crls, &all), Opinion::Ok);
}

#[test]
fn a_ca_without_crl_sign_and_unknown_critical_extensions() {
    let pki = Pki::new();
    pki.root("root", CA);
    pki.cert("ca", "/CN=CA", "root", &CA.replace(",cRLSign", ""));
    pki.cert("leaf", "/CN=alice", "ca", LEAF);
    pki.crl("list", "ca", &[], "", FRESH);
    both(&pki, "leaf", &["list"], "status-missing");
    let pki = Pki::three();
    pki.crl("odd", "ca", &[], "1.2.3.4=critical,DER:0500", FRESH);
    both(&pki, "leaf", &["odd"], "status-missing");
    pki.crl("fine", "ca", &[], "1.2.3.4=DER:0500", FRESH);
    both(&pki, "leaf", &["fine"], "ok");
}

#[test]
fn distribution_points() {
    let pki = Pki::three();
    let point = |uri: &str| format!("{LEAF}crlDistributionPoints=URI:{uri}\n");
    let issuing = |body: &str| format!("issuingDistributionPoint=critical,@p\n[p]\n{body}");
    let one = "fullname=URI:http://crl.example/1\nonlyuser=TRUE";
    pki.cert("in1", "/CN=alice", "ca", &point("http://crl.example/1"));
    pki.cert("in2", "/CN=bob", "ca", &point("http://crl.example/2"));
    pki.crl("shard1", "ca", &[], &issuing(one), FRESH);
    both(&pki, "in1", &["shard1"], "ok");
    both(&pki, "in2", &["shard1"], "status-missing");
    both(&pki, "leaf", &["shard1"], "status-missing");
    pki.crl("shard1r", "ca", &[("in1", "superseded")], &issuing(one), FRESH);
    both(&pki, "in1", &["shard1r"], "revoked");
    // A complete list without a point serves all.
    pki.crl("whole", "ca", &[], "", FRESH);
    both(&pki, "in2", &["whole"], "ok");
    pki.crl("cas", "ca", &[], &issuing("onlyCA=TRUE"), FRESH);
    both(&pki, "leaf", &["cas"], "status-missing");
    pki.crl("attributes", "ca", &[], &issuing("onlyAA=TRUE"), FRESH);
    both(&pki, "leaf", &["attributes"], "status-missing");
    // By reasons: only together do they cover all.
    let some = "onlysomereasons=keyCompromise,CACompromise";
    let rest = "onlysomereasons=affiliationChanged,superseded,cessationOfOperation,\
                certificateHold,privilegeWithdrawn,AACompromise";
    pki.crl("some", "ca", &[], &issuing(some), FRESH);
    pki.crl("rest", "ca", &[], &issuing(rest), FRESH);
    both(&pki, "leaf", &["some"], "status-missing");
    both(&pki, "leaf", &["some", "rest"], "ok");
}

#[test]
fn any_changed_byte_of_a_list_is_refused() {
    let pki = Pki::three();
    pki.crl("listed", "ca", &[("leaf", "superseded")], "", FRESH);
    pki.cert("other", "/CN=bob", "ca", LEAF);
    let pem = std::fs::read_to_string(pki.file("listed.crl")).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let good = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    let (leaf, other) = (pki.certificate("leaf"), pki.certificate("other"));
    let (untrusted, roots) = (pki.certificates(&["ca"]), pki.certificates(&["root"]));
    let options = Options::at(now()).revocation(Revocation::Leaf);
    for index in 0..good.len() {
        let mut altered = good.clone();
        altered[index] ^= 0x01;
        let Ok(crl) = Crl::from_der(&altered) else { continue };
        for certificate in [&leaf, &other] {
            let report =
                verify(certificate, &untrusted, &roots, std::slice::from_ref(&crl), &options);
            assert_eq!(report.exit_code(), 16, "byte {index}: {report}");
        }
    }
}

#[test]
fn deltas_count_with_their_complete_list_only() {
    let pki = Pki::three();
    // openssl numbers each of these 0x1001.
    let base = |number: &str| format!("2.5.29.27=critical,DER:{number}");
    pki.crl("delta", "ca", &[("leaf", "superseded")], &base("02021001"), FRESH);
    assert_eq!(code(&ask(&pki, "leaf", &["delta"])), "status-missing");
    pki.crl("whole", "ca", &[], "", FRESH);
    assert_eq!(code(&ask(&pki, "leaf", &["whole", "delta"])), "revoked");
    // To a later list than the one at hand: changes in between are unknown.
    pki.crl("gap", "ca", &[("leaf", "superseded")], &base("02021002"), FRESH);
    assert_eq!(code(&ask(&pki, "leaf", &["whole", "gap"])), "ok");
    pki.crl("held", "ca", &[("leaf", "certificateHold")], "", FRESH);
    pki.crl("lifted", "ca", &[("leaf", "removeFromCRL")], &base("02021001"), FRESH);
    assert_eq!(code(&ask(&pki, "leaf", &["held"])), "revoked");
    assert_eq!(code(&ask(&pki, "leaf", &["held", "lifted"])), "ok");
}

#[test]
fn lists_signed_with_another_key_of_the_issuer() {
    let pki = Pki::three();
    // A second certificate of the same name for signing CRLs, by the same root.
    pki.cert("crl-ca", "/O=Example/CN=Issuing CA", "root", &CA.replace("keyCertSign,", ""));
    pki.crl("list", "crl-ca", &[("leaf", "superseded")], "", FRESH);
    pki.cert("other", "/CN=bob", "ca", LEAF);
    let options = Options::at(now()).revocation(Revocation::Leaf);
    let with = |leaf: &str, untrusted: &[&str]| {
        pki.verify(leaf, untrusted, &["root"], &["list"], &options)
    };
    assert_eq!(code(&with("leaf", &["ca", "crl-ca"])), "revoked");
    assert_eq!(code(&with("other", &["ca", "crl-ca"])), "ok");
    assert_eq!(code(&with("other", &["ca"])), "status-missing");
    // The same by a stranger who is trusted for other things: another anchor does not count.
    pki.root("stranger", CA);
    std::fs::remove_file(pki.file("crl-ca.pem")).unwrap();
    pki.cert("crl-ca", "/O=Example/CN=Issuing CA", "stranger", &CA.replace("keyCertSign,", ""));
    let report = pki.verify("other", &["ca", "crl-ca"], &["root", "stranger"], &["list"], &options);
    assert_eq!(code(&report), "status-missing", "{report}");
    // And without cRLSign.
    pki.cert("crl-ca", "/O=Example/CN=Issuing CA", "root", &CA.replace(",cRLSign", ""));
    assert_eq!(code(&with("other", &["ca", "crl-ca"])), "status-missing");
}

#[test]
fn entries_are_searched_by_serial() {
    let pki = Pki::three();
    let names: Vec<String> = (0..20).map(|n| format!("user{n}")).collect();
    for name in &names {
        pki.cert(name, &format!("/CN={name}"), "ca", LEAF);
    }
    let listed: Vec<(&str, &str)> =
        names.iter().step_by(2).map(|name| (name.as_str(), "superseded")).collect();
    pki.crl("many", "ca", &listed, "", FRESH);
    for (index, name) in names.iter().enumerate() {
        let expected = if index % 2 == 0 { "revoked" } else { "ok" };
        assert_eq!(code(&ask(&pki, name, &["many"])), expected, "{name}");
    }
}
