//! Co-signers and what may go wrong with them: there is progress or there is refusal, and nobody
//! ever co-signs two histories.

mod change;
mod faults;
mod real;
mod rollback;

use std::path::{Path, PathBuf};

use avouch_tests::cosigner::{TestCosigner, environment};
use avouch_tests::openssl::Key;
use avouch_tests::{Answer, Installation, patiently};
use tlog::note::Note;
use tlog::quorum::Quorum;
use wire::rest::Certificate;
use wire::trust::TrustFile;

/// An installation with co-signers, in a folder that outlives it.
struct Watched {
    /// Dropped before its folder.
    installation: Installation,
    cosigners: Vec<TestCosigner>,
    folder: PathBuf,
    _temporary: tempfile::TempDir,
}

/// How long certificates wait: short where the co-signers are not to answer, else longer than any
/// machine is slow.
const SHORT: &str = "400ms";
const LONG: &str = "60s";

fn variables(kinds: &[&'static str], cosigners: &[TestCosigner]) -> Vec<(String, String)> {
    let names = ["w1", "w2", "w3", "w4"];
    let all: Vec<_> = (kinds.iter().zip(cosigners).zip(names))
        .map(|((kind, cosigner), name)| (name, *kind, cosigner))
        .collect();
    environment(&all)
}

fn with(name: &str, value: &str) -> (String, String) {
    (format!("AVOUCH_COSIGNING__{name}"), value.to_owned())
}

impl Watched {
    fn start(kinds: &[&'static str], deadline: &str) -> Self {
        Self::start_with(kinds, &[with("DEADLINE", deadline)])
    }

    fn start_with(kinds: &[&'static str], more: &[(String, String)]) -> Self {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let folder = temporary.path().join("data");
        let cosigners: Vec<TestCosigner> = (1..)
            .take(kinds.len())
            .map(|n| TestCosigner::start(&format!("w{n}.example"), n, &folder))
            .collect();
        let mut variables = variables(kinds, &cosigners);
        variables.extend_from_slice(more);
        let installation = Installation::start_in(&folder, &["--software"], variables);
        Self { installation, cosigners, folder, _temporary: temporary }
    }

    fn quorum(&self) -> Quorum {
        let trust = std::fs::read_to_string(self.folder.join("trust.json")).expect("trust.json");
        Quorum::parse(TrustFile::parse(&trust).expect("a trust file").quorum()).expect("a quorum")
    }

    /// The checkpoint that is shown, and by how many it is co-signed. It has the quorum.
    fn shown(&self) -> (u64, usize) {
        let text = self.installation.stranger().get("/api/v1/log/checkpoint");
        assert_eq!(text.status, 200, "{}", text.text());
        let note = Note::parse(&text.text()).expect("a note");
        let times = self.quorum().check(&note).expect("the quorum");
        let size = note.text().lines().nth(1).expect("a size").parse().expect("a number");
        (size, times.len())
    }

    fn enrol(&self, uid: &str) -> Answer {
        let csr = Key::p256().csr(&format!("/CN={uid}"), &[]);
        self.installation.agent().enrol_once(uid, &csr, &format!("{uid}-1"))
    }

    fn health(&self) -> String {
        let config = self.folder.join("avouch.toml");
        let doctor =
            self.installation.avouch(&["doctor", "--config", config.to_str().expect("UTF-8")]);
        String::from_utf8_lossy(&doctor.stdout).into_owned()
    }
}

/// Copies the files of an SQLite database.
pub(crate) fn copy_database(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for name in ["avouch.db", "avouch.db-wal", "avouch.db-shm"] {
        let _ = std::fs::remove_file(to.join(name));
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).expect("a copy");
        }
    }
}

#[test]
fn a_certificate_comes_with_a_checkpoint_that_the_quorum_vouches_for() {
    let watched = Watched::start(&["witness", "auditor", "witness"], LONG);
    let installation = &watched.installation;
    let key = Key::p256();
    let csr = key.csr("/CN=alice", &[]);
    let alice: Certificate = installation.agent().enrol("alice", &csr).json(201);
    let (size, _) = watched.shown();
    assert!(size > alice.leaf_index);
    // Whoever was not waited for is heard as well.
    patiently("the third co-signer's word", || (watched.shown().1 == 3).then_some(()));
    assert!(watched.cosigners.iter().all(|cosigner| cosigner.size() >= size));
    let person = crate::people::Person::new(installation);
    crate::people::ends(&person.with_contacts(&["verify", "identity", "alice"]), 0);
    assert!(watched.health().contains("cosigner"), "{}", watched.health());
}

#[test]
fn bundles_are_whole_while_the_log_grows() {
    let watched = Watched::start(&["witness", "witness"], LONG);
    let installation = &watched.installation;
    let csr = Key::p256().csr("/CN=alice", &[]);
    let _: Certificate = installation.agent().enrol("alice", &csr).json(201);
    std::thread::scope(|scope| {
        for writer in 0..3 {
            scope.spawn(move || {
                let agent = installation.agent();
                for n in 0..8 {
                    let uid = format!("user-{writer}-{n}");
                    let csr = Key::p256().csr(&format!("/CN={uid}"), &[]);
                    let _: Certificate = agent.enrol(&uid, &csr).json(201);
                }
            });
        }
        let person = crate::people::Person::new(installation);
        for _ in 0..6 {
            crate::people::ends(&person.with_contacts(&["verify", "identity", "alice"]), 0);
        }
    });
    let config = watched.folder.join("avouch.toml");
    let verify = ["log", "verify", "--config", config.to_str().expect("UTF-8")];
    crate::people::ends(&installation.avouch(&verify), 0);
}
