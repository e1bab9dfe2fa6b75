//! Old databases, and two authorities of one installation.

use avouch_tests::Installation;
use avouch_tests::cosigner::Manner;
use avouch_tests::openssl::Key;
use wire::rest::Certificate;

use super::{LONG, SHORT, Watched, copy_database, variables, with};

/// What `avouch authority` says and ends with on this installation's folder.
fn refused(installation: &Installation) -> String {
    let config = installation.file("avouch.toml");
    let ended = installation.avouch(&["authority", "--config", config.to_str().expect("UTF-8")]);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    said
}

#[test]
fn a_database_of_yesterday_is_not_started_on() {
    let watched = Watched::start(&["witness", "witness"], LONG);
    let installation = &watched.installation;
    let _: Certificate = watched.enrol("alice").json(201);
    assert!(installation.stop().success());
    let backup = watched.folder.with_extension("backup");
    copy_database(&watched.folder, &backup);

    let kinds = ["witness", "witness"];
    let environment = || {
        let mut all = variables(&kinds, &watched.cosigners);
        all.push(with("DEADLINE", LONG));
        all
    };
    let today = Installation::start_in(&watched.folder, &["--software"], environment());
    let csr = Key::p256().csr("/CN=bob", &[]);
    let _: Certificate = today.agent().enrol("bob", &csr).json(201);
    assert!(today.stop().success());
    let newest = watched.folder.with_extension("newest");
    copy_database(&watched.folder, &newest);

    copy_database(&backup, &watched.folder);
    let said = refused(&today);
    assert!(said.contains("failure-scenarios") && said.contains("leaves"), "{said}");

    // The newest one is taken.
    copy_database(&newest, &watched.folder);
    let again = Installation::start_in(&watched.folder, &["--software"], environment());
    let csr = Key::p256().csr("/CN=carol", &[]);
    let _: Certificate = again.agent().enrol("carol", &csr).json(201);
}

#[test]
fn without_the_quorum_nothing_starts_unless_it_is_allowed() {
    let watched = Watched::start(&["witness", "witness"], SHORT);
    let installation = &watched.installation;
    assert!(installation.stop().success());
    watched.cosigners[0].behave(Manner::Away);
    let config = installation.file("avouch.toml");
    let ended = installation.avouch(&["authority", "--config", config.to_str().expect("UTF-8")]);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    // Whoever supervises it tries again: they may come back.
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(said.contains("when_unreachable"), "{said}");

    let mut environment = variables(&["witness", "witness"], &watched.cosigners);
    environment.extend([with("DEADLINE", SHORT), with("WHEN_UNREACHABLE", "run")]);
    let running = Installation::start_in(&watched.folder, &["--software"], environment);
    let csr = Key::p256().csr("/CN=alice", &[]);
    let answer = running.agent().enrol_once("alice", &csr, "alice-1");
    assert_eq!(answer.problem().code, "pending");
    watched.cosigners[0].behave(Manner::Honest);
    let _: Certificate = avouch_tests::patiently("alice's certificate", || {
        let answer = running.agent().enrol_once("alice", &csr, "alice-1");
        [200, 201].contains(&answer.status).then(|| answer.json(answer.status))
    });
}

/// Two authorities with the same keys and yesterday's log: each goes on by itself, and the
/// co-signers go on with one of them. The other gets nothing signed, whatever it records.
#[test]
fn of_two_authorities_one_goes_on() {
    let watched = Watched::start(&["witness", "witness"], SHORT);
    let installation = &watched.installation;
    assert!(installation.stop().success());
    let other = watched.folder.with_file_name("other");
    let copied =
        std::process::Command::new("cp").arg("-a").arg(&watched.folder).arg(&other).status();
    assert!(copied.expect("cp can be run").success());

    let environment = || {
        let mut all = variables(&["witness", "witness"], &watched.cosigners);
        all.extend([with("DEADLINE", SHORT), with("WHEN_UNREACHABLE", "run")]);
        all
    };
    // The second one is up before the first goes on, so its start finds nothing wrong.
    let first = Installation::start_in(&watched.folder, &["--software"], environment());
    let second = Installation::start_in(&other, &["--software"], environment());
    let csr = Key::p256().csr("/CN=alice", &[]);
    let _: Certificate = avouch_tests::patiently("alice's certificate", || {
        let answer = first.agent().enrol_once("alice", &csr, "alice-1");
        [200, 201].contains(&answer.status).then(|| answer.json(answer.status))
    });
    let csr = Key::p256().csr("/CN=mallory", &[]);
    let answer = second.agent().enrol_once("mallory", &csr, "mallory-1");
    let problem = answer.problem();
    assert_eq!(problem.code, "pending", "{}", problem.detail);
    let config = other.join("avouch.toml");
    let doctor = second.avouch(&["doctor", "--config", config.to_str().expect("UTF-8")]);
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(said.contains("does not go on"), "{said}");
    // Its next start is refused: what the co-signers have is not its own.
    assert!(second.stop().success());
    assert!(refused(&second).contains("failure-scenarios"));
}
