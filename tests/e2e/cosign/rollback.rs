//! Starts without the co-signers' word.

use avouch_tests::Installation;
use avouch_tests::cosigner::Manner;
use avouch_tests::openssl::Key;
use wire::rest::Certificate;

use super::{SHORT, Watched, variables, with};

/// What `avouch authority` says and ends with on this installation's folder.
pub(super) fn refused(installation: &Installation) -> String {
    let config = installation.file("avouch.toml");
    let ended = installation.avouch(&["authority", "--config", config.to_str().expect("UTF-8")]);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    said
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
