//! `avouch auditor` beside a running authority: what is lawful is co-signed and believed, what is not
//! is believed by nobody.

mod thief;

use avouch_tests::openssl::Key;
use avouch_tests::people::{Holder, Town};
use avouch_tests::silencer::Silencer;
use avouch_tests::{Witness, patiently};
use wire::body::Struck;
use wire::event::EventKind;
use wire::rules::Rules;
use wire::{Encoded, Hash32};

use crate::people::{Person, ends};

/// An installation with one auditor, which runs.
pub(crate) struct Audited {
    pub(crate) town: Town,
    pub(crate) auditor: Witness,
    _between: Option<Silencer>,
}

impl Audited {
    pub(crate) fn start() -> Self {
        let mut audited = Self::alone();
        audited.join();
        audited
    }

    /// The authority is told that nobody handed anything to the auditor.
    pub(crate) fn start_silenced() -> Self {
        let auditor = Witness::auditor("auditor.example/e2e");
        let between = Silencer::start(auditor.url());
        let mut environment = auditor.environment("elsewhere");
        let url = environment.iter_mut().find(|(name, _)| name.ends_with("__URL"));
        url.expect("its address").1 = between.url().to_owned();
        let mut audited = Self::with(auditor, environment, "10s");
        audited._between = Some(between);
        audited.join();
        audited
    }

    /// The auditor does not run yet: it waits for the trust file.
    fn alone() -> Self {
        Self::alone_within("10s")
    }

    /// The same; certificates wait so long.
    fn alone_within(deadline: &str) -> Self {
        let auditor = Witness::auditor("auditor.example/e2e");
        let environment = auditor.environment("elsewhere");
        Self::with(auditor, environment, deadline)
    }

    fn with(auditor: Witness, mut environment: Vec<(String, String)>, deadline: &str) -> Self {
        environment.push(("AVOUCH_COSIGNING__DEADLINE".to_owned(), deadline.to_owned()));
        environment.push(("AVOUCH_COSIGNING__WHEN_UNREACHABLE".to_owned(), "run".to_owned()));
        Self { town: Town::under(&[], environment), auditor, _between: None }
    }

    fn join(&mut self) {
        let trust = self.town.installation.read("trust.json");
        std::fs::write(self.auditor.file("trust.json"), trust).expect("a file in its folder");
        self.auditor.start().expect("it starts");
    }

    fn doctor(&self) -> String {
        let config = self.town.installation.file("avouch.toml");
        let config = config.to_str().expect("a plain path");
        let doctor = self.town.installation.avouch(&["doctor", "--config", config]);
        String::from_utf8_lossy(&doctor.stdout).into_owned()
    }

    /// What the auditor's alarm says; none without one.
    pub(crate) fn alarm(&self) -> Option<serde_json::Value> {
        let status = self.auditor.avouch(&["status", "--format", "json"]);
        let json: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
        let stands = !json["alarm"].is_null();
        assert_eq!(status.status.code(), Some(if stands { 20 } else { 0 }));
        stands.then(|| json["alarm"]["refused"].clone())
    }
}

#[test]
fn whom_the_auditor_has_looked_at_is_believed_also_after_kills_on_both_sides() {
    let mut audited = Audited::start();
    let (alice, bob) = (Holder::new(), Holder::new());
    audited.town.enrol("alice", &alice, None);
    let person = Person::new(&audited.town.installation);
    ends(&person.with_contacts(&["verify", "identity", "alice"]), 0);
    drop(person);
    audited.auditor.kill();
    audited.auditor.start().unwrap();
    audited.town.installation.restart(true);
    audited.town.enrol("bob", &bob, None);
    let person = Person::new(&audited.town.installation);
    ends(&person.with_contacts(&["verify", "identity", "bob"]), 0);
    assert!(audited.alarm().is_none());
    assert!(audited.auditor.stop().success());
}

#[test]
fn an_auditor_that_comes_late_is_given_everything() {
    let mut audited = Audited::alone();
    // The installation's events need no certificate: there are some before the auditor comes.
    let rules = Rules {
        allow_transport_evidence: true,
        allow_software_token: true,
        certificates_per_day: 7,
        ..Rules::standard()
    };
    let intent = audited.town.change_intent(EventKind::PolicyChange, &rules.to_canonical());
    audited.town.change(&intent, 2).unwrap();
    audited.join();
    audited.town.enrol("alice", &Holder::new(), None);
    let person = Person::new(&audited.town.installation);
    ends(&person.with_contacts(&["verify", "identity", "alice"]), 0);
}

#[test]
fn what_the_auditor_refuses_is_believed_by_nobody_and_a_strike_lets_the_log_go_on() {
    let mut audited = Audited::start();
    let alice = Holder::new();
    audited.town.enrol("alice", &alice, None);
    // Whoever has the authority's host, or an agent's certificate: bob is enrolled, and nobody
    // signed for it.
    let csr = Key::p256().csr("/CN=bob", &[]);
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let agent = audited.town.installation.agent();
            agent.try_enrol_once("bob", &csr, "bob-1").map(|answer| answer.status)
        });
        let refused = patiently("the alarm", || audited.alarm());
        assert_eq!(refused["rule"], "transport-is-not-evidence");
        assert_eq!(refused["event"], "enrol");
        patiently("the doctor to name it", || {
            audited.doctor().contains("transport-is-not-evidence").then_some(())
        });
        let person = Person::new(&audited.town.installation);
        let bob = person.with_contacts(&["verify", "identity", "bob"]);
        assert!(!bob.status.success(), "bob's key is believed");
        // The refused leaf is struck by two officers.
        let leaf = refused["leaf"].as_str().expect("a leaf hash");
        let leaf = Hash32::from_hex(leaf).expect("a hash");
        let strike = Struck { version: 1, leaf, index: None }.to_canonical();
        let intent = audited.town.change_intent(EventKind::Strike, &strike);
        audited.town.change(&intent, 2).unwrap();
        patiently("the end of the alarm", || audited.alarm().is_none().then_some(()));
        assert_ne!(asked.join().expect("no panic").ok(), Some(201), "bob has a certificate");
    });
    // Others go on, and bob is nobody.
    let carol = Holder::new();
    audited.town.enrol("carol", &carol, None);
    let person = Person::new(&audited.town.installation);
    ends(&person.with_contacts(&["verify", "identity", "carol"]), 0);
    assert!(!person.with_contacts(&["verify", "identity", "bob"]).status.success());
    drop(person);
    // What was passed over is passed over after a restart, too.
    audited.auditor.kill();
    audited.auditor.start().unwrap();
    audited.town.enrol("dave", &Holder::new(), None);
    assert!(audited.alarm().is_none());
}

#[test]
#[ignore = "two thousand enrolments"]
fn a_long_way_is_gone_in_parts() {
    let mut audited = Audited::alone_within("100ms");
    let town = &audited.town;
    std::thread::scope(|scope| {
        for n in 0..8 {
            scope.spawn(move || {
                for m in 0..300 {
                    // Recorded; its certificate waits.
                    let _ = town.try_enrol(&format!("user-{n}-{m}"), &Holder::new(), None);
                }
            });
        }
    });
    audited.join();
    let person = Person::new(&audited.town.installation);
    patiently("the last of them", || {
        let seen = person.with_contacts(&["verify", "identity", "user-7-299"]);
        seen.status.success().then_some(())
    });
    assert!(audited.alarm().is_none());
}

/// Clock ticks of a process so far, in user and system mode (proc(5)).
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields: Vec<&str> =
        stat.rsplit(')').next().expect("a name in brackets").split(' ').collect();
    fields[12].parse::<u64>().expect("utime") + fields[13].parse::<u64>().expect("stime")
}

/// A figure: `AVOUCH_BIN=… cargo test --test e2e auditor::processor_time -- --ignored --nocapture`.
#[test]
#[ignore = "a figure, not a test"]
fn processor_time_of_the_auditor_and_of_the_authority() {
    const PEOPLE: usize = 2000;
    const AT_ONCE: usize = 16;
    let audited = Audited::start();
    let town = &audited.town;
    let holders: Vec<Holder> = (0..PEOPLE).map(|_| Holder::new()).collect();
    town.enrol("first", &Holder::new(), None);
    let authority = town.installation.pids(avouch_tests::Role::Authority)[0];
    let auditor = audited.auditor.pid();
    let before = (ticks(authority), ticks(auditor));
    std::thread::scope(|scope| {
        for (n, part) in holders.chunks(PEOPLE / AT_ONCE).enumerate() {
            scope.spawn(move || {
                for (m, holder) in part.iter().enumerate() {
                    town.enrol(&format!("user-{n}-{m}"), holder, None);
                }
            });
        }
    });
    let spent = (ticks(authority) - before.0, ticks(auditor) - before.1);
    // A tick is a hundredth of a second on every system that this runs on.
    let each = |ticks: u64| ticks as f64 * 10_000.0 / PEOPLE as f64;
    println!(
        "processor time of an event: authority {:.0} µs, auditor {:.0} µs, ratio {:.2}",
        each(spent.0),
        each(spent.1),
        spent.1 as f64 / spent.0 as f64
    );
}
