//! `avouch witness` and `avouch auditor` beside a running authority, and what may go wrong with
//! them: there is progress or there is refusal, and never two histories are co-signed.

use std::path::Path;

use avouch_tests::people::{Holder, Town};
use avouch_tests::thief::Thief;
use avouch_tests::{Installation, Proxy, TestLog, Witness, patiently};
use evidence::audit::{ADD_ENTRIES, RefusedProblem};
use evidence::testing::{Book, Key};
use tlog::note::{LogKey, Note};
use tlog::quorum::Quorum;
use tlog::witness::Answer;
use wire::problem::ProblemCode;
use wire::rest::{Certificate, Page};
use wire::trust::TrustFile;

use super::copy_database;
use super::rollback::refused;
use crate::people::{Person, ends};

/// An installation with real co-signers, each behind a way that can be held up.
pub(super) struct Real {
    pub(super) town: Town,
    pub(super) cosigners: Vec<Witness>,
    ways: Vec<Proxy>,
}

const NAMES: [&str; 5] = ["one", "two", "three", "four", "five"];

impl Real {
    /// With as many auditors and witnesses. All of them run.
    pub(super) fn start(auditors: usize, witnesses: usize) -> Self {
        let auditor = |n: &&str| Witness::auditor(&format!("{n}.example/a"));
        let witness = |n: &&str| Witness::to_be_named(&format!("{n}.example/w"));
        let (first, rest) = NAMES.split_at(auditors);
        let mut cosigners: Vec<Witness> = first.iter().map(auditor).collect();
        cosigners.extend(rest[..witnesses].iter().map(witness));
        let ways: Vec<Proxy> = cosigners.iter().map(|c| Proxy::to(c.url())).collect();
        let mut environment = Vec::new();
        for ((cosigner, way), name) in cosigners.iter().zip(&ways).zip(NAMES) {
            environment.extend(cosigner.environment(name));
            environment
                .push((format!("AVOUCH_COSIGNERS__{}__URL", name.to_uppercase()), way.url()));
        }
        environment.push(("AVOUCH_COSIGNING__DEADLINE".to_owned(), "2s".to_owned()));
        // The co-signers need the trust file, which is made at the first start.
        environment.push(("AVOUCH_COSIGNING__WHEN_UNREACHABLE".to_owned(), "run".to_owned()));
        let town = Town::under(&[], environment);
        let trust = String::from_utf8(town.installation.read("trust.json")).expect("text");
        for cosigner in &mut cosigners {
            cosigner.serves(&trust);
            cosigner.start().expect("it starts");
        }
        Self { town, cosigners, ways }
    }

    /// One more witness, which runs and which the configuration names from a new start on.
    pub(super) fn joins(&mut self, name: &str) -> Witness {
        let mut witness = Witness::to_be_named(name);
        let trust = String::from_utf8(self.town.installation.read("trust.json")).expect("text");
        witness.serves(&trust);
        witness.start().expect("it starts");
        self.town.installation.restart_with(witness.environment(NAMES[self.cosigners.len()]));
        witness
    }

    /// Records an enrolment. Its certificate may have to wait.
    fn records(&self, uid: &str) {
        match self.town.try_enrol(uid, &Holder::new(), None) {
            Ok(_) => {}
            Err(problem) => assert_eq!(problem.code, ProblemCode::Pending, "{}", problem.detail),
        }
    }

    fn certified(&self, uid: &str) -> bool {
        certified(&self.town.installation, uid)
    }

    fn quorum(&self) -> Quorum {
        let trust = self.town.installation.read("trust.json");
        let trust = TrustFile::parse(std::str::from_utf8(&trust).expect("text")).expect("a file");
        Quorum::parse(trust.quorum()).expect("a quorum")
    }

    pub(super) fn doctor(&self) -> String {
        let config = self.town.installation.file("avouch.toml");
        let config = config.to_str().expect("a plain path");
        let doctor = self.town.installation.avouch(&["doctor", "--config", config]);
        String::from_utf8_lossy(&doctor.stdout).into_owned()
    }

    /// The log as it is, in a thief's hands, and its size.
    fn stolen(&self, thief: &Thief) -> (Book, u64) {
        (0..self.cosigners.len()).for_each(|n| self.catches_up(n));
        let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_millis();
        let now = u64::try_from(now).expect("a time");
        let size = self.cosigners[0].size();
        patiently("the whole log", || {
            let book = thief.books(&self.town.installation, now);
            (book.edge.size() == size).then_some((book, size))
        })
    }

    /// Enrols somebody; there is a certificate in the end, and what is shown has the quorum.
    pub(super) fn goes_on(&self, uid: &str) {
        self.records(uid);
        patiently(uid, || self.certified(uid).then_some(()));
        let text = self.town.installation.stranger().get("/api/v1/log/checkpoint").text();
        self.quorum().check(&Note::parse(&text).expect("a note")).expect("the quorum");
    }

    /// Enrols somebody, and there is no certificate as long as something is wrong.
    fn waits(&self, uid: &str) {
        self.records(uid);
        assert!(!self.certified(uid), "{uid} has a certificate");
    }

    /// Waits until a co-signer has seen the log as it is.
    fn catches_up(&self, n: usize) {
        let database = self.town.installation.file("avouch.db");
        patiently("a co-signer to catch up", || {
            let rows = avouch_tests::database::tamper(&database, &["SELECT size FROM tree"]);
            (self.cosigners[n].size().to_string() == rows[0][0]).then_some(())
        });
    }
}

/// Whether somebody has a certificate that is signed.
pub(super) fn certified(installation: &Installation, uid: &str) -> bool {
    let path = format!("/api/v1/identities/{uid}/certificates");
    let answer = installation.agent().get(&path);
    answer.status == 200
        && answer.json::<Page<Certificate>>(200).items.iter().any(|c| c.certificate.is_some())
}

#[test]
fn whoever_is_down_slow_or_has_a_clock_that_jumps_stops_nobody_where_others_are_the_quorum() {
    let mut real = Real::start(0, 3);
    real.goes_on("alice");
    real.cosigners[0].kill();
    real.goes_on("bob");
    real.cosigners[0].start().unwrap();
    real.catches_up(0);
    real.ways[1].hold();
    real.goes_on("carol");
    real.ways[1].release();
    real.catches_up(1);
    // A day ahead, and then right again: it says nothing until a day is over.
    real.cosigners[2].set_clock(86_400);
    real.goes_on("dave");
    real.catches_up(2);
    let before = real.cosigners[2].size();
    real.cosigners[2].set_clock(0);
    real.goes_on("erin");
    assert_eq!(real.cosigners[2].size(), before);
    // With another one away there is no majority, and no certificate.
    real.cosigners[1].kill();
    real.waits("frank");
    real.cosigners[1].start().unwrap();
    patiently("frank's certificate", || real.certified("frank").then_some(()));
}

#[test]
fn nothing_is_signed_while_the_auditor_is_down_or_slow_and_all_of_it_afterwards() {
    let mut real = Real::start(1, 1);
    real.goes_on("alice");
    real.cosigners[0].kill();
    real.waits("bob");
    real.cosigners[0].start().unwrap();
    patiently("bob's certificate", || real.certified("bob").then_some(()));
    real.ways[0].hold();
    real.waits("carol");
    real.ways[0].release();
    patiently("carol's certificate", || real.certified("carol").then_some(()));
    // An auditor whose clock is a day behind refuses events of its future, and is heard again
    // once it is right.
    real.cosigners[0].set_clock(2 * 86_400);
    real.town.clock_at(2 * 86_400);
    real.goes_on("dave");
    let person = Person::new(&real.town.installation);
    ends(&person.with_contacts(&["verify", "identity", "alice"]), 0);
}

/// A database of yesterday, and two authorities on copies of one.
#[test]
fn an_old_database_is_not_started_on_and_of_two_authorities_one_goes_on() {
    let real = Real::start(1, 1);
    let installation = &real.town.installation;
    real.goes_on("alice");
    let environment = installation.environment().to_vec();
    let folder = installation.file("trust.json").with_file_name("");
    let (other, backup) = (folder.join("../other"), folder.join("../backup"));
    assert!(installation.stop().success());
    let copied = std::process::Command::new("cp").arg("-a").arg(&folder).arg(&other).status();
    assert!(copied.expect("cp can be run").success());
    copy_database(&folder, &backup);

    // The second one is up before the first goes on, so its start finds nothing wrong.
    let clock = ["--test-clock", real.town.clock().to_str().expect("a plain path")];
    let start = |folder: &Path| Installation::start_in(folder, &clock, environment.clone());
    let (first, second) = (Town::of(start(&folder)), Town::of(start(&other)));
    let _ = first.try_enrol("bob", &Holder::new(), None);
    patiently("bob's certificate", || certified(&first.installation, "bob").then_some(()));
    let waits = second.try_enrol("mallory", &Holder::new(), None).expect_err("nobody vouches");
    assert_eq!(waits.code, ProblemCode::Pending, "{}", waits.detail);
    let config = second.installation.file("avouch.toml");
    let config = config.to_str().expect("a plain path");
    let doctor = second.installation.avouch(&["doctor", "--config", config]);
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(said.contains("does not go on"), "{said}");
    assert!(!certified(&second.installation, "mallory"));
    assert!(second.installation.stop().success());
    assert!(refused(&second.installation).contains("failure-scenarios"));

    // Yesterday's database in the first one's place; and then its own again.
    assert!(first.installation.stop().success());
    let newest = folder.join("../newest");
    copy_database(&folder, &newest);
    copy_database(&backup, &folder);
    let said = refused(&first.installation);
    assert!(said.contains("failure-scenarios") && said.contains("leaves"), "{said}");
    copy_database(&newest, &folder);
    let again = Town::of(start(&folder));
    let _ = again.try_enrol("carol", &Holder::new(), None);
    patiently("carol's certificate", || certified(&again.installation, "carol").then_some(()));
}

/// Whoever has the log's key shows each of two witnesses another history. Neither history has the
/// quorum, no witness goes on with the other's, and the authority does not go on with either.
#[test]
fn a_fork_that_is_shown_to_two_witnesses_is_nobodys_log() {
    let real = Real::start(0, 2);
    real.goes_on("alice");
    let thief = Thief::of(&real.town.installation);
    let fork = |key: &Key| -> (Book, u64) {
        let (mut book, size) = real.stolen(&thief);
        book.request_switch(key);
        book.end_group();
        (book, size)
    };
    let ((one, old), (other, _)) = (fork(&Key::new()), fork(&Key::new()));
    let [first, second] = &real.cosigners[..] else { panic!("two witnesses") };
    let mut said = Vec::new();
    for (witness, book) in [(first, &one), (second, &other)] {
        match witness.ask(&book.add_checkpoint(old)) {
            Ok(Answer::Cosigned { line, .. }) => said.push(line),
            other => panic!("not co-signed: {other:?}"),
        }
    }
    for (witness, book) in [(first, &other), (second, &one)] {
        let size = book.edge.size();
        match witness.ask(&book.add_checkpoint(size)) {
            Ok(Answer::Elsewhere { size: theirs }) => assert_eq!(theirs, size),
            answer => panic!("{answer:?}"),
        }
        let evidence = std::fs::read_dir(witness.file("state/evidence")).expect("a folder");
        let names: Vec<_> = evidence.flatten().map(|entry| entry.file_name()).collect();
        let is_fork = |name: &std::ffi::OsString| name.to_string_lossy().starts_with("fork-");
        assert!(names.iter().any(is_fork), "{names:?}");
    }
    for (book, line) in [(&one, &said[0]), (&other, &said[1])] {
        let note = format!("{}{}", book.checkpoint(), line.to_line());
        assert!(real.quorum().check(&Note::parse(&note).expect("a note")).is_err());
    }
    real.waits("bob");
    patiently("the alarm", || real.doctor().contains("does not go on").then_some(()));
    assert!(real.town.installation.stop().success());
    assert!(refused(&real.town.installation).contains("failure-scenarios"));
}

/// Checkpoints of logs that a co-signer was not told of, signed by whoever likes.
#[test]
fn a_checkpoint_of_another_log_is_co_signed_by_nobody() {
    let real = Real::start(1, 1);
    real.goes_on("alice");
    let trust = real.town.installation.read("trust.json");
    let trust = TrustFile::parse(std::str::from_utf8(&trust).expect("text")).expect("a file");
    let origin = LogKey::parse_vkey(trust.log()).expect("a key").origin().to_owned();
    let sizes: Vec<u64> = real.cosigners.iter().map(Witness::size).collect();
    for (log, status) in [
        (TestLog::with("another.example/log", 9, "entry", 3), 404),
        (TestLog::with(&origin, 9, "entry", 3), 403),
    ] {
        for cosigner in &real.cosigners {
            let refused = cosigner.ask(&log.request(0, 3)).expect_err("it is not co-signed");
            assert_eq!(refused.0, status, "{}", refused.1);
        }
    }
    real.goes_on("bob");
    assert!(real.cosigners.iter().zip(sizes).all(|(c, before)| c.size() > before));
}

/// The authority is newer, and decides by rules that the auditor does not know. It co-signs nothing
/// until officers strike what was decided so.
#[test]
fn an_auditor_older_than_the_authority_stops_until_what_it_does_not_know_is_struck() {
    let real = Real::start(1, 1);
    real.goes_on("bob");
    let thief = Thief::of(&real.town.installation);
    let (mut book, old) = real.stolen(&thief);
    assert!(real.town.installation.stop().success());
    let leaf = book.enrol_by_newer_rules(&Key::new());
    book.end_group();
    let auditor = &real.cosigners[0];
    let ask = |book: &Book| {
        auditor.try_call(ADD_ENTRIES, &book.add_entries(old).to_body()).expect("an answer")
    };
    let answer = ask(&book);
    assert_eq!(answer.status, 422, "{}", answer.text());
    let refused = RefusedProblem::parse(&answer.body).expect("a refusal by rule").refused;
    assert_eq!((refused.rule.as_str(), refused.index), ("engine-version", old));
    let (_, stands) = (auditor.size(), auditor.avouch(&["status"]));
    assert_eq!(stands.status.code(), Some(20));
    // Nor does it co-sign what it had co-signed before: that would pass for the present.
    book.strike(old, &leaf);
    book.end_group();
    let answer = ask(&book);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(auditor.avouch(&["status"]).status.code(), Some(0));
    assert_eq!(auditor.size(), book.edge.size());
}
