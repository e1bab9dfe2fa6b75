//! Starts without the co-signers' word.

use avouch_tests::Installation;
use avouch_tests::cosigner::Manner;
use avouch_tests::openssl::Key;
use wire::rest::Certificate;

use super::{LONG, SHORT, Watched, variables, with};

/// What `avouch authority` says and ends with on this installation's folder.
pub(super) fn refused(installation: &Installation) -> String {
    let config = installation.file("avouch.toml");
    let ended = installation.avouch(&["authority", "--config", config.to_str().expect("UTF-8")]);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    said
}

/// Its word is not signed: without a checkpoint that the log's key signed it is an alarm, and no more.
#[test]
fn one_who_says_that_it_saw_more_and_shows_nothing_keeps_nobody_from_starting() {
    let mut watched = Watched::start(&["witness", "witness", "witness"], LONG);
    let _: Certificate = watched.enrol("alice").json(201);
    watched.cosigners[0].behave(Manner::WrongSize);
    watched.installation.restart(false);
    let _: Certificate = watched.enrol("bob").json(201);
    let said = watched.health();
    assert!(said.contains("does not show it"), "{said}");
}

/// What the quorum vouched for is shown after a crash as before it, whether the quorum answers or
/// not; what was recorded since then waits.
#[test]
fn after_a_crash_what_was_vouched_for_is_shown_without_the_quorum() {
    let mut watched = Watched::start_with(
        &["witness", "witness"],
        &[with("DEADLINE", SHORT), with("WHEN_UNREACHABLE", "run")],
    );
    let agent = watched.installation.agent();
    let csr = Key::p256().csr("/CN=alice", &[]);
    let _: Certificate = avouch_tests::patiently("alice's certificate", || {
        let answer = agent.enrol_once("alice", &csr, "alice-1");
        [200, 201].contains(&answer.status).then(|| answer.json(answer.status))
    });
    let before = watched.shown().0;
    watched.cosigners[1].behave(Manner::Away);
    assert_eq!(watched.enrol("bob").problem().code, "pending");
    for power_failure in [true, false] {
        watched.installation.restart(power_failure);
        assert_eq!(watched.shown().0, before);
        let bundle = watched.installation.stranger().get("/api/v1/identities/alice/bundle");
        assert_eq!(bundle.status, 200, "{}", bundle.text());
        let person = crate::people::Person::new(&watched.installation);
        crate::people::ends(&person.with_contacts(&["verify", "identity", "alice"]), 0);
    }
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
