//! A table of faults at every step of the walk at which something becomes durable: the call fails
//! before it did anything, or after; the process goes on, or it is gone and starts again. Whatever
//! happens, asking again with the same idempotency key ends with one certificate, others are served,
//! and the whole log verifies: no certificate without a provable leaf, none twice.
//!
//! Between the record and the publication nothing becomes durable, so a process that is gone after
//! the token signed the checkpoint, or a certificate, leaves what one leaves that is gone before the
//! publication.

mod caller;
mod faulty;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use avouch_ca::authority::{Authority, Settings};
use avouch_ca::ceremony::{self, KeyChoice, Plan, Tokens};
use avouch_ca::clock::Clock;
use avouch_ca::server::Server;
use avouch_ca::store::Store as _;
use avouch_ca::store::sqlite::Sqlite;
use caller::{Caller, Came};
use faulty::{Fault, Faulty, Forgery, Then, When};
use pkcs11::{Hsm, Pin, TokenConfig, WorkerCommand};
use tokio::runtime::Runtime;
use wire::Realm;
use wire::rules::Rules;

/// Calls that a request makes, with how often each is made before the fault. `true`: every run
/// meets it.
const STEPS: &[(&str, usize, bool)] = &[
    ("books", 0, true),
    ("record", 0, true),
    ("publish", 0, true),
    ("publish_and_record", 0, false),
    ("stored_hashes", 0, false),
    ("certificate", 0, false),
    ("map_pages", 0, false),
    ("edge", 0, false),
    ("unfinished", 0, false),
    ("put_crl", 0, false),
];

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("hsm-worker") {
        return pkcs11::worker::run();
    }
    let base = Base::make();
    let mut count = 0;
    for (method, nth, always) in STEPS {
        for when in [When::Before, When::After] {
            for then in [Then::Error, Then::Death] {
                let fault = Fault { method, nth: *nth, when, then };
                let met = base.run(fault);
                assert!(met || !always, "{fault:?} was not met");
                if met {
                    count += 1;
                }
            }
        }
    }
    base.a_forged_record_is_refused(Forgery::ForeignTbs, "TBSCertificate is not what it would be");
    base.a_forged_record_is_refused(Forgery::Future, "the clock is wrong, or the database was");
    count += 2;
    println!("\ntest result: ok. {count} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
    ExitCode::SUCCESS
}

/// An installation that has begun, to be copied for each fault.
struct Base {
    folder: tempfile::TempDir,
    requests: Vec<Vec<u8>>,
}

impl Base {
    fn make() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let runtime = Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let store = Sqlite::open(&folder.path().join("db")).await.expect("a new database");
            let hsm = hsm(folder.path()).await;
            let plan = Plan {
                realm: Realm::parse("realm.example").expect("a realm"),
                base_url: "http://localhost".into(),
                rules: Rules { allow_transport_evidence: true, ..Rules::standard() },
                officers: Vec::new(),
                agents: Vec::new(),
                cosigners: Vec::new(),
                key: KeyChoice::P256,
                continues: None,
            };
            let tokens = Tokens { root: &hsm, issuing: &hsm, switches: None };
            ceremony::begin(&store, tokens, plan, &Clock::system()).await.expect("it begins");
            store.close().await;
            hsm.shut_down().await;
        });
        let requests = ["alice", "bob"].map(|uid| request(folder.path(), uid)).to_vec();
        Self { folder, requests }
    }

    fn copy(&self) -> tempfile::TempDir {
        let copy = tempfile::tempdir().expect("a temporary folder");
        let copied = Command::new("cp")
            .arg("-a")
            .args([self.folder.path().join("."), copy.path().to_owned()])
            .status();
        assert!(copied.expect("cp runs").success());
        copy
    }

    /// Runs a request into a fault; whether it was met.
    fn run(&self, fault: Fault) -> bool {
        let copy = self.copy();
        let mut process = Process::start(copy.path(), Some(fault));
        process.store.arm();
        let dead = || process.store.is_dead();
        let first =
            Caller::connect(&process.admin()).enrol("alice", &self.requests[0], "once", dead);
        process.store.disarm();
        let met = process.store.met();
        if process.store.is_dead() {
            process.kill();
            process = Process::start(copy.path(), None);
        }
        let alice = process.finished("alice", &self.requests[0], "once", fault);
        if let Came::Certificate(certificate) = &first
            && certificate.certificate.is_some()
        {
            assert_eq!(certificate.serial, alice, "{fault:?}: the answer was another");
        }
        let bob = process.finished("bob", &self.requests[1], "another", fault);
        assert_ne!(alice, bob);
        process.stop();
        verified(copy.path(), fault);
        met
    }
}

impl Base {
    /// Somebody who writes to the database has a whole group in it that fits together, but for one
    /// thing: the start says which, refuses, and nothing is signed.
    fn a_forged_record_is_refused(&self, forgery: Forgery, why: &str) {
        let folder = self.copy();
        let process = Process::start(folder.path(), None);
        process.store.forge(forgery);
        let dead = || process.store.is_dead();
        let _ = Caller::connect(&process.admin()).enrol("alice", &self.requests[0], "once", dead);
        assert!(process.store.is_dead(), "the forged group is there");
        process.kill();
        let refused = Process::try_start(folder.path(), None).map(|_| ()).expect_err("refused");
        assert!(refused.contains(why), "{forgery:?}: {refused}");
        let runtime = Runtime::new().expect("a runtime");
        let (audited, row) = runtime.block_on(async {
            let store = Sqlite::open(&folder.path().join("db")).await.expect("it opens");
            let audited = avouch_ca::audit::verify(&store).await;
            let row = store.certificate(2).await.expect("it is read").expect("it was recorded");
            store.close().await;
            (audited, row)
        });
        assert!(row.certificate.is_none(), "it was signed");
        assert!(audited.is_err(), "an auditor sees it, too");
    }
}

async fn hsm(folder: &Path) -> Hsm {
    let program = std::env::current_exe().expect("this program");
    let command = WorkerCommand::new(program).arg("hsm-worker");
    let keys = folder.join("keys");
    std::fs::create_dir_all(&keys).expect("a folder");
    Hsm::start(command, TokenConfig::software(keys), Pin::none()).await.expect("key files open")
}

/// A certification request over a new key, DER.
fn request(folder: &Path, uid: &str) -> Vec<u8> {
    let (key, out) = (folder.join(format!("{uid}.key")), folder.join(format!("{uid}.csr")));
    let made = Command::new("openssl")
        .args(["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-subj", &format!("/CN={uid}"), "-outform", "DER", "-keyout"])
        .args([&key, Path::new("-out"), &out])
        .stderr(std::process::Stdio::null())
        .status();
    assert!(made.expect("openssl runs").success());
    std::fs::read(out).expect("the request")
}

/// An authority as a process would be: everything of it is gone with its runtime.
struct Process {
    folder: PathBuf,
    runtime: Runtime,
    store: Arc<Faulty>,
    stop: tokio_util::sync::CancellationToken,
    ended: tokio::task::JoinHandle<()>,
    hsm: Hsm,
}

impl Process {
    fn start(folder: &Path, fault: Option<Fault>) -> Self {
        Self::try_start(folder, fault).expect("the authority opens")
    }

    /// Starts one; or what its start says against it.
    fn try_start(folder: &Path, fault: Option<Fault>) -> Result<Self, String> {
        let runtime = Runtime::new().expect("a runtime");
        let stop = tokio_util::sync::CancellationToken::new();
        let opened = runtime.block_on(async {
            let store = Sqlite::open(&folder.join("db")).await.expect("the database opens");
            let store = Arc::new(Faulty::new(store, fault));
            let hsm = hsm(folder).await;
            let (gateway, admin) = (folder.join("gateway.sock"), folder.join("admin.sock"));
            let server = Server::bind(&gateway, None, &admin).await.expect("the sockets open");
            let opened = Authority::open(
                Arc::clone(&store) as Arc<dyn avouch_ca::store::Store>,
                hsm.clone(),
                Clock::system(),
                Settings::default(),
                stop.clone(),
            );
            let running = opened.await.map_err(|error| error.to_string())?;
            let authority = running.authority();
            tokio::spawn(server.serve(authority));
            let ended = tokio::spawn(async move {
                running.until_stopped().await.expect("a fault of the database ends nothing");
            });
            Ok::<_, String>((store, hsm, ended))
        });
        let (store, hsm, ended) = opened?;
        Ok(Self { folder: folder.to_owned(), runtime, store, stop, ended, hsm })
    }

    fn admin(&self) -> PathBuf {
        self.folder.join("admin.sock")
    }

    /// Asks until the certificate is there; its serial number.
    fn finished(&self, uid: &str, csr: &[u8], once: &str, fault: Fault) -> String {
        let start = Instant::now();
        loop {
            match Caller::connect(&self.admin()).enrol(uid, csr, once, || false) {
                Came::Certificate(certificate) if certificate.certificate.is_some() => {
                    return certificate.serial;
                }
                Came::Certificate(_) => {}
                Came::Problem(problem) => {
                    assert!(problem.retry_after.is_some(), "{fault:?}: {uid}: {problem:?}");
                }
                Came::Nothing => panic!("{fault:?}: {uid}: no answer"),
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{fault:?}: {uid} gets nothing");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn stop(self) {
        self.stop.cancel();
        self.runtime.block_on(self.ended).expect("a clean end");
        self.runtime.block_on(async {
            self.store.close().await;
            self.hsm.shut_down().await;
        });
    }

    /// As SIGKILL does: nothing of it runs on.
    fn kill(self) {
        self.runtime.shutdown_timeout(Duration::from_secs(5));
    }
}

/// Two identities, a certificate each, and all of it proven.
fn verified(folder: &Path, fault: Fault) {
    let runtime = Runtime::new().expect("a runtime");
    let verified = runtime.block_on(async {
        let store = Sqlite::open(&folder.join("db")).await.expect("the database opens");
        let verified = avouch_ca::audit::verify(&store).await;
        store.close().await;
        verified.unwrap_or_else(|error| panic!("{fault:?}: {error}"))
    });
    assert_eq!((verified.identities, verified.certificates), (2, 2), "{fault:?}");
    assert_eq!(verified.events, 2, "{fault:?}: nothing is there twice");
    assert_eq!(verified.checkpoint, verified.leaves, "{fault:?}: all of it is signed");
}
