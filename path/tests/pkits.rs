//! NIST's path validation test suite (PKITS), for whoever has it:
//! `AVOUCH_PKITS=DIR cargo test -p avouch-path --test pkits -- --ignored --nocapture`,
//! DIR holding `pkits.json`, `certs/` and `crls/` as the source package of pyhanko-certvalidator
//! does under `tests/fixtures/nist_pkits`.

use std::fs;
use std::path::PathBuf;

use avouch_path::{Certificate, Crl, Options, Revocation, verify};
use serde_json::Value;

/// Sections that need what is not here yet, or that ask for what is refused on purpose.
fn expected_to_differ(id: &str) -> Option<&'static str> {
    let section = &id[..3];
    match (section, id) {
        (_, "40104" | "40105") => Some("DSA is refused"),
        ("408" | "409" | "410" | "411" | "412", _) => Some("certificate policies"),
        _ => None,
    }
}

#[test]
#[ignore = "needs the suite's files"]
fn the_suite() {
    let folder = PathBuf::from(std::env::var("AVOUCH_PKITS").expect("AVOUCH_PKITS names a folder"));
    let cases: Value =
        serde_json::from_slice(&fs::read(folder.join("pkits.json")).unwrap()).unwrap();
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    let root = Certificate::from_der(&read("certs/TrustAnchorRootCertificate.crt")).unwrap();
    let anchor_crl = Crl::from_der(&read("crls/TrustAnchorRootCRL.crl")).unwrap();
    let (mut right, mut later, mut wrong) = (0, 0, Vec::new());
    for case in cases.as_array().unwrap() {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let list = |key: &str| -> Vec<String> {
            case[key].as_array().map(|l| l.iter().map(text).collect()).unwrap_or_default()
        };
        let (id, name) = (text(&case["id"]), text(&case["name"]));
        let valid = case.get("error").is_none();
        // 2020-01-01, within the suite's validity.
        let options = Options::at(1_577_836_800).revocation(Revocation::Chain);
        let leaf = Certificate::from_der(&read(&format!("certs/{}", text(&case["cert"]))));
        let others = list("other_certs")
            .iter()
            .filter_map(|n| Certificate::from_der(&read(&format!("certs/{n}"))).ok())
            .collect::<Vec<_>>();
        let mut crls = vec![anchor_crl.clone()];
        crls.extend(
            list("crls").iter().filter_map(|n| Crl::from_der(&read(&format!("crls/{n}"))).ok()),
        );
        let answer = match leaf {
            Ok(leaf) => {
                let report = verify(&leaf, &others, std::slice::from_ref(&root), &crls, &options);
                report.failure().map(|f| format!("{}: {f}", f.code()))
            }
            Err(e) => Some(format!("unreadable: {e}")),
        };
        if answer.is_none() == valid {
            right += 1;
        } else if let Some(why) = expected_to_differ(&id) {
            later += 1;
            println!("{id} {name}: {why} ({answer:?})");
        } else {
            wrong.push(format!("{id} {name}: {answer:?}, should be valid: {valid}"));
        }
    }
    println!("{right} right, {later} differ for a known reason");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
