//! Somebody has the database and the HSM, and writes what he likes; a server of his shows it. The
//! auditor refuses each of it by name, and whoever has the auditor in his trust file believes none
//! of it. Whoever has not is shown what he would take.

use std::cell::Cell;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use avouch_tests::database::tamper;
use avouch_tests::openssl::text;
use avouch_tests::people::Holder;
use avouch_tests::thief::{Impostor, Thief, without_quorum};
use avouch_tests::{Answer, patiently, program};
use evidence::audit::{ADD_ENTRIES, Refused, RefusedProblem};
use evidence::testing::{Book, HOUR_MS, Key};
use wire::event::EventKind;
use wire::head::Head;
use wire::rest::Identity;
use wire::statement::Role;

use super::Audited;

/// How far all clocks are ahead when the theft happens: long enough for a wait to be before it.
const AHEAD_S: u64 = 100 * 3600;

struct Scene {
    audited: Audited,
    thief: Thief,
    impostor: Impostor,
    folder: tempfile::TempDir,
    /// By how much all clocks are ahead.
    ahead_s: Cell<u64>,
    identity: Answer,
    certificate: Answer,
}

/// What a client ends with that has no auditor in its trust file.
enum Without {
    /// It takes it.
    Takes,
    /// It sees by itself that it is wrong, and says this.
    Sees(i32, &'static str),
}

impl Scene {
    /// Bob is enrolled, and nobody else.
    fn new() -> Self {
        let audited = Audited::start();
        let town = &audited.town;
        town.enrol("bob", &Holder::new(), None);
        let get = |path: &str| town.installation.agent().get(path);
        let identity = get("/api/v1/identities/bob");
        let serial = identity.json::<Identity>(200).serial.expect("a certificate");
        let certificate = get(&format!("/api/v1/certificates/{serial}"));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let trust = town.installation.file("trust.json");
        without_quorum(&trust, &folder.path().join("without.json"));
        let thief = Thief::of(&town.installation);
        let impostor = Impostor::of(&town.installation);
        Self { audited, thief, impostor, folder, ahead_s: Cell::new(0), identity, certificate }
    }

    fn enrol_alice(&self) {
        self.audited.town.enrol("alice", &Holder::new(), None);
    }

    /// Four days later, by all clocks, somebody else is enrolled.
    fn goes_on(&self) {
        self.ahead_s.set(AHEAD_S);
        self.audited.town.clock_at(AHEAD_S);
        self.audited.auditor.set_clock(AHEAD_S);
        self.audited.town.enrol("carol", &Holder::new(), None);
    }

    /// The log as it is, in the thief's hands, and its size. The auditor has seen all of it.
    fn stolen(&self) -> (Book, u64) {
        let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
        let now_ms = u64::try_from(now.as_millis()).expect("a time") + self.ahead_s.get() * 1000;
        let installation = &self.audited.town.installation;
        let database = installation.file("avouch.db");
        let count = || tamper(&database, &["SELECT size FROM tree"])[0][0].clone();
        // What was recorded is co-signed, and the database says so.
        let (book, size) = patiently("the auditor to be there", || {
            let book = self.thief.books(installation, now_ms);
            let size = book.edge.size();
            (size.to_string() == count() && self.audited.auditor.size() == size)
                .then_some((book, size))
        });
        (book, size)
    }

    /// The auditor's answer to what was written since it was at `old` leaves.
    fn refused(&self, book: &Book, old: u64) -> Refused {
        let body = book.add_entries(old).to_body();
        let answer = self.audited.auditor.try_call(ADD_ENTRIES, &body).expect("an answer");
        assert_eq!(answer.status, 422, "{}", answer.text());
        let refused = RefusedProblem::parse(&answer.body).expect("a refusal by rule").refused;
        let alarm = self.audited.alarm().expect("an alarm");
        assert_eq!(alarm["rule"], refused.rule.as_str());
        assert_eq!(self.audited.auditor.size(), old, "nothing of it is co-signed");
        refused
    }

    /// What people's programs make of what the thief's server shows of alice.
    fn is_shown(
        &self,
        case: &str,
        book: &Book,
        head: &Head,
        certificate: Vec<u8>,
        without: &Without,
    ) {
        let bundle = book.bundle(head, certificate);
        self.impostor.shows(&bundle, (&self.identity, &self.certificate));
        let trust = self.audited.town.installation.file("trust.json");
        for what in ["verify", "seal"] {
            let said = self.people(case, what, &trust, 15);
            assert!(said.contains("missing: auditor.example/e2e"), "{case}: {said}");
        }
        let trust = self.file("without.json");
        for what in ["verify", "seal"] {
            match without {
                Without::Takes => drop(self.people(case, what, &trust, 0)),
                Without::Sees(code, why) => {
                    let said = self.people(case, what, &trust, *code);
                    assert!(said.contains(why), "{case}: {said}");
                }
            }
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Somebody who never saw alice verifies her, or seals to her.
    fn people(&self, case: &str, what: &str, trust: &std::path::Path, code: i32) -> String {
        let (letter, sealed) = (self.file("letter"), self.file("sealed"));
        std::fs::write(&letter, "Dear Alice").expect("a file in a temporary folder");
        let _ = std::fs::remove_file(&sealed);
        let contacts = self.file(&format!("{what}-{case}-{code}.json"));
        let words: &[&str] = match what {
            "verify" => &["verify", "identity", "alice"],
            _ => &["seal", "--to", "alice", "--in", text(&letter), "--out", text(&sealed)],
        };
        let output = Command::new(program())
            .args(words)
            .args(self.impostor.arguments())
            .args(["--trust", text(trust), "--contacts", text(&contacts)])
            .env("AVOUCH_TEST_CLOCK", self.audited.town.clock())
            .env("AVOUCH_OWN", self.file("own.json"))
            .stdin(Stdio::null())
            .output()
            .expect("avouch can be run");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{case}, {what}: {said}");
        assert_eq!(sealed.exists(), what == "seal" && code == 0, "{case}");
        said
    }
}

fn named(refused: &Refused) -> (&str, u64) {
    (&refused.rule, refused.index)
}

#[test]
fn whoever_has_the_database_and_the_hsm_is_believed_by_nobody_who_has_the_auditor() {
    let scene = Scene::new();
    scene.enrol_alice();
    scene.goes_on();

    // A switch that no officer approved. Everybody sees that.
    let (mut book, size) = scene.stolen();
    let mallory = Key::new();
    let head = book.forge_switch(&mallory);
    let certificate = scene.thief.certifies(book.called_for.take().expect("a certificate"));
    book.end_group();
    let refused = scene.refused(&book, size);
    assert_eq!(named(&refused), ("evidence-holds", size + 1));
    assert_eq!(refused.event.as_deref(), Some("switch-approve"));
    scene.is_shown(
        "switch",
        &book,
        &head,
        certificate,
        &Without::Sees(14, "the history is not lawful"),
    );

    // A switch that officers approved, and the owner would have vetoed: request and completion are
    // written in one minute, three days apart. Nobody else can see that.
    let (mut book, size) = scene.stolen();
    book.now_ms -= 75 * HOUR_MS;
    book.ask_for_switch(&mallory);
    book.now_ms += 74 * HOUR_MS;
    book.complete_switch(|_| {});
    let certificate = scene.thief.certifies(book.called_for.take().expect("a certificate"));
    book.end_group();
    let refused = scene.refused(&book, size);
    assert_eq!(named(&refused), ("a-wait-begins-when-it-is-seen", size));
    assert_eq!(refused.event.as_deref(), Some("switch-request"));
    scene.is_shown("wait", &book, &book.head(), certificate, &Without::Takes);

    // Alice once more, at another place of the map.
    let (mut book, size) = scene.stolen();
    book.enrol_again_elsewhere(&mallory);
    let certificate = scene.thief.certifies(book.called_for.take().expect("a certificate"));
    book.end_group();
    let refused = scene.refused(&book, size);
    assert_eq!(named(&refused), ("one-blinded-id", size));
    assert_eq!(refused.event.as_deref(), Some("enrol"));
    scene.is_shown("again", &book, &book.head(), certificate, &Without::Takes);
}

#[test]
fn a_certificate_that_no_leaf_stands_for_is_taken_by_programs_that_ask_for_a_chain_alone() {
    let scene = Scene::new();
    // Under a leaf for another certificate than the one that its event calls for, before alice is
    // enrolled. Everybody sees that.
    let (mut book, size) = scene.stolen();
    let key = Key::new();
    book.enrol_with_foreign_certificate(&key);
    book.end_group();
    let refused = scene.refused(&book, size);
    assert_eq!(named(&refused), ("certificate-as-called-for", size));
    assert_eq!(refused.event.as_deref(), Some("enrol"));
    let certificate = scene.thief.certifies(book.unlogged(&key));
    let sees = Without::Sees(14, "not what it would be");
    scene.is_shown("leaf", &book, &book.head(), certificate, &sees);

    // Under none.
    scene.enrol_alice();
    let (book, _) = scene.stolen();
    let unlogged = scene.thief.certifies(book.unlogged(&key));
    let leaf = scene.file("unlogged.der");
    std::fs::write(&leaf, &unlogged).expect("a file in a temporary folder");
    let pem = scene.file("unlogged.pem");
    let read = ["x509", "-inform", "DER", "-in", text(&leaf), "-out", text(&pem)];
    let _ = avouch_tests::openssl::run(&read);
    scene.audited.town.installation.openssl_accepts(&pem, &["-no_check_time"]);
    // Under the log as it is, co-signed and all.
    let honest = scene.audited.town.installation.stranger();
    let mut bundle: wire::bundle::Bundle = honest.get("/api/v1/identities/alice/bundle").json(200);
    bundle.certificate = Some(wire::bundle::Blob(unlogged));
    scene.impostor.shows(&bundle, (&scene.identity, &scene.certificate));
    let trust = scene.audited.town.installation.file("trust.json");
    for trust in [trust, scene.file("without.json")] {
        for what in ["verify", "seal"] {
            let _ = scene.people("unlogged", what, &trust, 11);
        }
    }
}

#[test]
fn a_head_that_is_put_back_is_refused_by_the_auditor_and_believed_by_those_without_one() {
    let scene = Scene::new();
    scene.enrol_alice();
    let town = &scene.audited.town;
    let head = scene.stolen().0.head();
    let honest = town.installation.stranger().get("/api/v1/identities/alice/bundle");
    let honest: wire::bundle::Bundle = honest.json(200);
    let certificate = honest.certificate.expect("a certificate");
    // Her telephone is stolen, and an officer suspends her.
    let intent = town.intent(EventKind::Suspend, "alice");
    let by = town.signed(&intent, Role::Officer, &town.officers[0]);
    town.ask(&intent, None, vec![by], &[]).expect("she is suspended");
    let (mut book, size) = scene.stolen();
    book.set_head(&head);
    book.end_group();
    assert_eq!(named(&scene.refused(&book, size)), ("map-root", size));
    scene.is_shown("head", &book, &head, certificate.0, &Without::Takes);
}

/// The authority itself is what it was; somebody has put the clock of its host forward.
#[test]
fn a_host_whose_clock_is_put_forward_shortens_no_wait() {
    // His authority does not ask the auditor first: an honest one would not complete.
    let audited = Audited::start_silenced();
    let town = &audited.town;
    let (alice, new) = (Holder::new(), Holder::new());
    town.enrol("alice", &alice, None);
    let switch = town.request_switch("alice", &new);
    for officer in &town.officers[..2] {
        town.approve(&switch, officer).unwrap();
    }
    town.clock_at(73 * 3600);
    let refused = patiently("the alarm", || {
        let alarm = audited.alarm();
        alarm.filter(|refused| refused["event"] == "switch-complete")
    });
    assert_eq!(refused["rule"], "no-event-of-the-future");
    // The authority has recorded it, and signs nothing.
    let gateway = town.installation.agent().get("/api/v1/identities/alice");
    let current = gateway.json::<Identity>(200);
    let certificates = town.installation.agent().get("/api/v1/identities/alice/certificates");
    let certificates: wire::rest::Page<wire::rest::Certificate> = certificates.json(200);
    let of_new = certificates.items.iter().filter(|c| c.spki_sha256 == new.hash());
    assert!(of_new.into_iter().all(|c| c.certificate.is_none()), "{current:?}");
    // Whoever asks is shown alice as she was before, or nothing.
    let person = crate::people::Person::new(&town.installation);
    let seen = person.with_contacts(&["verify", "identity", "alice"]);
    let said = String::from_utf8_lossy(&seen.stdout).into_owned();
    assert!(!said.contains(&new.hash().to_string()), "{said}");
}
