//! NIST's path validation test suite (PKITS) with its policy settings, all 246 cases of the source
//! package of pyhanko-certvalidator. `make setup` fetches it and `make test` names it in
//! `AVOUCH_CERTVALIDATOR`, the unpacked package; without that, the test says so and passes.

use std::fs;
use std::path::PathBuf;

use avouch_path::{Certificate, Crl, Given, Oid, Options, Profile, Revocation, verify};
use serde_json::Value;

#[test]
fn the_suite() {
    let Some(package) = std::env::var_os("AVOUCH_CERTVALIDATOR") else {
        eprintln!("AVOUCH_CERTVALIDATOR is not set: PKITS is not run");
        return;
    };
    let folder = PathBuf::from(package).join("tests/fixtures/nist_pkits");
    let cases: Value =
        serde_json::from_slice(&fs::read(folder.join("pkits.json")).unwrap()).unwrap();
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    let root = Certificate::from_der(&read("certs/TrustAnchorRootCertificate.crt")).unwrap();
    let anchor_crl = Crl::from_der(&read("crls/TrustAnchorRootCRL.crl")).unwrap();
    let (mut right, mut stricter, mut wrong) = (0, 0, Vec::new());
    for case in cases.as_array().unwrap() {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let list = |value: &Value| -> Vec<String> {
            value.as_array().map(|l| l.iter().map(text).collect()).unwrap_or_default()
        };
        let (id, name) = (text(&case["id"]), text(&case["name"]));
        let valid = case.get("error").is_none();
        let flag = |name: &str| case["params"][name].as_bool().unwrap_or(false);
        let policies = list(&case["params"]["user_initial_policy_set"]);
        // 2020-01-01, within the suite's validity.
        let options = Options::at(1_577_836_800)
            .revocation(Revocation::Chain)
            .policies(policies.iter().map(|p| p.parse::<Oid>().unwrap()))
            .require_explicit_policy(flag("initial_explicit_policy"))
            .inhibit_policy_mapping(flag("initial_policy_mapping_inhibit"))
            .inhibit_any_policy(flag("initial_any_policy_inhibit"));
        let leaf = Certificate::from_der(&read(&format!("certs/{}", text(&case["cert"]))));
        let others = list(&case["other_certs"])
            .iter()
            .filter_map(|n| Certificate::from_der(&read(&format!("certs/{n}"))).ok())
            .collect::<Vec<_>>();
        let mut crls = vec![anchor_crl.clone()];
        let named = list(&case["crls"]);
        crls.extend(named.iter().filter_map(|n| Crl::from_der(&read(&format!("crls/{n}"))).ok()));
        let roots = std::slice::from_ref(&root);
        let given = Given { roots, untrusted: &others, crls: &crls, ocsp: &[] };
        let ask = |options: &Options| match &leaf {
            Ok(leaf) => {
                let report = verify(leaf, &given, options);
                report.failure().map(|f| format!("{}: {f}", f.code()))
            }
            Err(e) => Some(format!("unreadable: {e}")),
        };
        let answer = ask(&options);
        match ask(&options.clone().profile(Profile::Strict)) {
            Some(_) if valid => stricter += 1,
            None if !valid => wrong.push(format!("{id} {name}: valid under strict")),
            _ => {}
        }
        if answer.is_none() == valid {
            right += 1;
        } else {
            wrong.push(format!("{id} {name}: {answer:?}, should be valid: {valid}"));
        }
    }
    println!("PKITS: {right} of {} right; strict refuses {stricter} more", right + wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!((right, stricter), (246, 33));
}
