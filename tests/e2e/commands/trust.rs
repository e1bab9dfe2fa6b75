//! Whom a client believes: shown, handed on, taken over, and demanded of every checkpoint.

use avouch_tests::Desk;

/// The verifier key of somebody who co-signs nothing here.
const STRANGER: &str = "w.example+4a98ebc3+BNdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea";

fn trust_file(desk: &Desk) -> serde_json::Value {
    let text = std::fs::read_to_string(desk.installation.file("trust.json")).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}

fn fingerprint(desk: &Desk, file: &str) -> String {
    let shown = desk.run(0, &format!("trust show --trust {file} --format json"));
    let shown: serde_json::Value = serde_json::from_str(&shown.out).expect("JSON");
    shown["fingerprint"].as_str().expect("a fingerprint").to_owned()
}

#[test]
fn a_trust_file_is_taken_by_its_fingerprint_or_by_what_the_log_proves() {
    let desk = Desk::new();
    desk.enrol("alice");
    desk.run(0, "trust show").says(&["nobody co-signs", "at most 1d old", "fingerprint"]);
    let first = fingerprint(&desk, "ca:trust.json");
    desk.run(0, "trust export --out @handed").says(&[&first]);

    // Nobody has said yet that this is the one.
    desk.run(15, "trust import @handed --trust @mine").says(&["no trust file yet", &first]);
    assert!(!desk.has("mine"));
    let wrong = "0".repeat(64);
    desk.run(15, &format!("trust import @handed --trust @mine --fingerprint {wrong}"));
    desk.run(0, &format!("trust import @handed --trust @mine --fingerprint {first}"));
    desk.run(0, "trust import @handed --trust @mine").says(&["nothing changes"]);

    // Another installation's, or another quorum's, is not taken because somebody sent it.
    let mut other = trust_file(&desk);
    other["genesis"] = "ab".repeat(32).into();
    desk.write("other", &other.to_string());
    desk.run(15, "trust import @other --trust @mine").says(&["another installation"]);
    let mut other = trust_file(&desk);
    other["max_status_age"] = 3600.into();
    desk.write("other", &other.to_string());
    desk.run(15, "trust import @other --trust @mine").says(&["nothing proves"]);

    // What officers changed is proven by the log under the file before it.
    desk.run(1, "trust export --proven alice --out @next").says(&["that of now"]);
    let policy = "max_status_age = \"12h\"\nallow_software_token = true\n\
                  allow_transport_evidence = true\n";
    desk.write("policy.toml", policy);
    desk.run(0, "change policy @policy.toml --key ca:officer-1.key --yes --out @change");
    desk.run(0, "request sign @change --key ca:officer-2.key --yes");
    desk.run(0, "request submit @change");
    desk.run(0, "trust export --proven alice --out @next");
    let next = std::fs::read_to_string(desk.file("next")).expect("a file");
    let next: serde_json::Value = serde_json::from_str(&next).expect("JSON");
    for (member, put) in
        [("max_status_age", 86_399.into()), ("quorum", "# nobody\nquorum none\n".into())]
    {
        let mut forged = next.clone();
        let text = forged["trust"].as_str().expect("a text");
        let mut trust: serde_json::Value = serde_json::from_str(text).expect("JSON");
        trust[member] = put;
        forged["trust"] = trust.to_string().into();
        desk.write("forged", &forged.to_string());
        desk.run(15, "trust import @forged --trust @mine");
    }
    let mut forged = next.clone();
    forged["installation"].as_array_mut().expect("a list").pop();
    desk.write("forged", &forged.to_string());
    desk.run(15, "trust import @forged --trust @mine");
    assert_eq!(fingerprint(&desk, "@mine"), first, "nothing of that was taken");
    // The log has gone on since, as this client saw: a quorum may be another by now.
    desk.enrol("bob");
    desk.run(0, "verify identity bob");
    desk.run(15, "trust import @next --trust @mine").says(&["were seen before"]);
    let told = desk.run(0, "trust export --proven alice --out @later");
    desk.run(0, "trust import @later --trust @mine").says(&["at most 12h old"]);
    told.says(&[&fingerprint(&desk, "@mine")]);
    assert_ne!(fingerprint(&desk, "@mine"), first);
    desk.run(0, "verify identity alice --trust @mine --tls-ca ca:tls-ca.pem");
}

#[test]
fn a_quorum_in_the_trust_file_is_demanded_of_every_checkpoint() {
    let desk = Desk::new();
    desk.enrol("alice");
    let server = trust_file(&desk)["server"].as_str().expect("an address").to_owned();
    let bundle = desk.installation.stranger().get("/api/v1/identities/alice/bundle").text();
    desk.write("bundle", &bundle);
    desk.run(0, "audit export --config ca:avouch.toml --out @log");
    desk.run(0, "verify bundle alice @bundle")
        .says(&["nobody vouches that there is nothing later"]);
    let mut demanding = trust_file(&desk);
    demanding["quorum"] = format!("witness outside {STRANGER}\nquorum outside\n").into();
    desk.write("demanding", &demanding.to_string());
    desk.run(0, "trust show --trust @demanding").says(&["co-signed by: outside"]);
    let online = format!("--trust @demanding --server {server} --tls-ca ca:tls-ca.pem");
    desk.write("letter", "Dear Alice");
    for line in [
        "verify bundle alice @bundle --trust @demanding".to_owned(),
        "audit verify @log --trust @demanding".to_owned(),
        format!("verify identity alice {online}"),
        format!("seal --to alice --in @letter --out @sealed {online}"),
        format!("renew alice --key @alice.key {online}"),
    ] {
        desk.run(15, &line).says(&["not co-signed as the quorum demands", "missing: outside"]);
    }
    assert!(!desk.has("sealed"));
    demanding["quorum"] = "quorum outside\n".into();
    desk.write("broken", &demanding.to_string());
    desk.run(1, "verify bundle alice @bundle --trust @broken").says(&["quorum"]);
}
