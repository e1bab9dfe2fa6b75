//! A database of yesterday gets back from an auditor what it lost.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use avouch_tests::people::Holder;
use avouch_tests::{patiently, program};
use wire::Encoded;
use wire::event::EventKind;
use wire::rules::Rules;

use crate::auditor::Audited;
use crate::cosign::copy_database;
use crate::people::{Person, ends};

/// A command on a stopped installation.
fn avouch(folder: &Path, environment: &[(String, String)], line: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.args(line).arg("--config").arg(folder.join("avouch.toml"));
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).output().expect("avouch can be run")
}

#[test]
fn what_a_restored_database_lost_comes_back_from_the_auditor_and_verifies() {
    let mut audited = Audited::start();
    let backup = audited.town.installation.file("backup");
    let (alice, bob) = (Holder::new(), Holder::new());
    let (new, moved) = (Holder::new(), Holder::new());
    audited.town.enrol("alice", &alice, None);
    audited.town.installation.restart_after(|folder| copy_database(folder, &backup));

    // A day goes by: people come, keys move, the installation changes.
    let town = &audited.town;
    let switch = town.request_switch("alice", &new);
    town.approve(&switch, &town.officers[0]).expect("approved");
    let rules = Rules {
        allow_transport_evidence: true,
        allow_software_token: true,
        certificates_per_day: 7,
        ..Rules::standard()
    };
    let intent = town.change_intent(EventKind::PolicyChange, &rules.to_canonical());
    town.change(&intent, 2).expect("changed");
    town.enrol("bob", &bob, None);
    let (rekey, csr) = town.move_to(EventKind::Rekey, "bob", &moved);
    let statements = vec![
        town.signed(&rekey, wire::statement::Role::CurrentKey, &bob),
        town.signed(&rekey, wire::statement::Role::NewKey, &moved),
    ];
    town.ask(&rekey, Some(csr), statements, &[]).expect("moved");

    let mut environment = audited.auditor.environment("elsewhere");
    environment.push(("AVOUCH_COSIGNING__DEADLINE".to_owned(), "10s".to_owned()));
    let newest = audited.town.installation.file("newest");
    audited.town.installation.restart_after(|folder| {
        copy_database(folder, &newest);
        copy_database(&backup, folder);
        let refused = avouch(folder, &environment, &["authority"]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains("failure-scenarios"), "{said}");
        let unknown = avouch(folder, &environment, &["db", "refill", "--from", "nobody"]);
        assert_eq!(unknown.status.code(), Some(1));
        let refilled = avouch(folder, &environment, &["db", "refill", "--from", "elsewhere"]);
        let said = ends(&refilled, 0);
        assert!(said.contains("2 certificates are signed at the next start"), "{said}");
        ends(&avouch(folder, &environment, &["log", "verify"]), 0);
        // Nothing is missing any more.
        let again = avouch(folder, &environment, &["db", "refill", "--from", "elsewhere"]);
        assert_eq!(again.status.code(), Some(1));
    });

    // It goes on as if nothing had been: keys, a pending switch, the policy.
    let town = &audited.town;
    assert_eq!(town.key("bob"), Some(moved.hash()));
    let person = Person::new(&town.installation);
    for uid in ["alice", "bob"] {
        patiently(uid, || {
            let seen = person.with_contacts(&["verify", "identity", uid]);
            seen.status.success().then_some(())
        });
    }
    town.approve(&switch, &town.officers[1]).expect("the switch is pending still");
    town.enrol("carol", &Holder::new(), None);
    ends(&person.with_contacts(&["verify", "identity", "carol"]), 0);
    assert!(audited.alarm().is_none());
    let config = town.installation.file("avouch.toml");
    let config = config.to_str().expect("UTF-8");
    ends(&town.installation.avouch(&["log", "verify", "--config", config]), 0);
}
