//! Officers change the co-signers of an installation that runs, and people follow.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use avouch_tests::people::Holder;
use avouch_tests::{Witness, patiently, program};
use wire::Encoded;
use wire::body::Cosigners;
use wire::event::EventKind;
use wire::genesis::{Cosigner, CosignerKind};

use super::real::{Real, certified};

/// People's commands, under the installation's clock.
struct People<'a> {
    real: &'a Real,
    folder: tempfile::TempDir,
}

impl People<'_> {
    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    #[track_caller]
    fn run(&self, code: i32, words: &[&str]) -> String {
        let (ended, said) = self.try_run(words);
        assert_eq!(ended, Some(code), "{words:?}: {said}");
        said
    }

    fn try_run(&self, words: &[&str]) -> (Option<i32>, String) {
        let output = Command::new(program())
            .args(words)
            .env("AVOUCH_TRUST", self.file("trust.json"))
            .env("AVOUCH_CONTACTS", self.file("contacts.json"))
            .env("AVOUCH_TEST_CLOCK", self.real.town.clock())
            .env("AVOUCH_OWN", self.file("own.json"))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .expect("avouch can be run");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        (output.status.code(), said)
    }
}

fn named(kind: CosignerKind, cosigner: &Witness) -> Cosigner {
    Cosigner { kind, vkey: cosigner.vkey().to_owned() }
}

/// Three auditors and a witness: one of the auditors goes, another witness comes.
#[test]
fn a_witness_comes_an_auditor_goes_and_people_follow() {
    let mut real = Real::start(3, 1);
    real.goes_on("alice");
    let people = People { real: &real, folder: tempfile::tempdir().expect("a temporary folder") };
    for name in ["trust.json", "tls-ca.pem"] {
        std::fs::write(people.file(name), real.town.installation.read(name)).expect("a file");
    }
    people.run(0, &["verify", "identity", "alice"]);
    let People { folder, .. } = people;

    // The new witness is in the configuration, and is not asked before the officers name it.
    let new = real.joins("five.example/w");
    real.goes_on("bob");
    assert_eq!(new.size(), 0);
    assert!(real.doctor().contains("not one of this installation's co-signers"));

    let after = [
        named(CosignerKind::Auditor, &real.cosigners[0]),
        named(CosignerKind::Auditor, &real.cosigners[1]),
        named(CosignerKind::Witness, &real.cosigners[3]),
        named(CosignerKind::Witness, &new),
    ];
    let body = Cosigners { version: 1, cosigners: after.to_vec() };
    let intent = real.town.change_intent(EventKind::CosignersChange, &body.to_canonical());
    real.town.change(&intent, 2).expect("it is announced");
    real.goes_on("carol");
    assert_eq!(new.size(), 0, "not before the wait is over");

    let wait = 73 * 3600;
    real.cosigners.iter().chain([&new]).for_each(|cosigner| cosigner.set_clock(wait));
    real.town.clock_at(wait);
    patiently("the change", || (new.size() > 0).then_some(()));
    // The auditor that went is not needed, nor asked.
    let gone = real.cosigners[2].size();
    real.cosigners[2].kill();
    let _ = real.town.try_enrol("dave", &Holder::new(), None);
    patiently("dave's certificate", || certified(&real.town.installation, "dave").then_some(()));
    assert_eq!(real.cosigners[2].size(), gone);

    // People go from the file that they have to the next one by what the log proves.
    let people = People { real: &real, folder };
    let verify = ["verify", "identity", "alice"];
    patiently("a CRL of now", || (people.try_run(&verify).0 == Some(0)).then_some(()));
    people.run(0, &["trust", "export", "--proven", "alice", "--out", "next.json"]);
    people.run(0, &["trust", "import", "next.json"]);
    let shown = people.run(0, &["trust", "show"]);
    assert!(shown.contains("one.example/a") && shown.contains("five.example/w"), "{shown}");
    assert!(!shown.contains("three.example/a"), "{shown}");
    people.run(0, &["verify", "identity", "alice"]);

    // The new witness is one of two: without it nothing is signed.
    new.kill_now();
    let _ = real.town.try_enrol("erin", &Holder::new(), None);
    assert!(!certified(&real.town.installation, "erin"));
}
