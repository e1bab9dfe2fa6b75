//! `avouch witness` and `avouch auditor`, each in a folder of its own, and a log for a witness to look
//! at.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use reqwest::Method;
use tlog::Edge;
use tlog::cosign::CosignerKey;
use tlog::note::{Checkpoint, LogKey, SignedCheckpoint};
use tlog::proof::{consistency, leaf_hash};
use tlog::witness::{ADD_CHECKPOINT, AddCheckpoint, Answer, AnyCheckpoint, read_answer};
use wire::Hash32;

use crate::{Body, Http, processes, program};

/// A log in memory: its key is made of one byte.
pub struct TestLog {
    origin: String,
    pair: Ed25519KeyPair,
    key: LogKey,
    edge: Edge,
    hashes: BTreeMap<u64, Hash32>,
    notes: Vec<String>,
}

impl TestLog {
    /// An empty log.
    #[must_use]
    pub fn new(origin: &str, seed: u8) -> Self {
        const ED25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("any seed is a key");
        let spki = [&ED25519_SPKI, pair.public_key().as_ref()].concat();
        let key = LogKey::from_spki(origin, &spki).expect("a key");
        let (edge, hashes, notes) = (Edge::empty(), BTreeMap::new(), Vec::new());
        let mut log = Self { origin: origin.to_owned(), pair, key, edge, hashes, notes };
        log.note();
        log
    }

    /// The same with leaves that say `kind`: logs of other kinds have other histories.
    #[must_use]
    pub fn with(origin: &str, seed: u8, kind: &str, leaves: usize) -> Self {
        let mut log = Self::new(origin, seed);
        for leaf in 0..leaves {
            log.append(&format!("{kind} {leaf}"));
        }
        log
    }

    /// Appends a leaf and signs a checkpoint.
    pub fn append(&mut self, leaf: &str) {
        let appended = self.edge.append(leaf_hash(leaf.as_bytes()));
        self.hashes.extend(appended.stored.iter().map(|stored| (stored.index, stored.hash)));
        self.note();
    }

    fn note(&mut self) {
        let checkpoint = Checkpoint::new(&self.origin, self.edge.size(), self.edge.root());
        let checkpoint = checkpoint.expect("an origin");
        let signature = self.pair.sign(&checkpoint.to_be_signed());
        let signed = SignedCheckpoint::assemble(checkpoint, &self.key, signature.as_ref());
        self.notes.push(signed.expect("its own key").text().to_owned());
    }

    /// The log's verifier key.
    #[must_use]
    pub fn vkey(&self) -> String {
        self.key.vkey()
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> usize {
        self.notes.len() - 1
    }

    /// The signed checkpoint of that size.
    #[must_use]
    pub fn checkpoint(&self, size: usize) -> AnyCheckpoint {
        AnyCheckpoint::parse(&self.notes[size]).expect("a checkpoint of this log")
    }

    /// The request that takes a witness from one size to another.
    #[must_use]
    pub fn request(&self, old: u64, new: usize) -> AddCheckpoint {
        let proof = consistency(old, new as u64, &self.hashes).expect("sizes of this log");
        AddCheckpoint::new(old, proof, self.checkpoint(new)).expect("a short proof")
    }
}

/// An `avouch witness`, or an `avouch auditor`, with its folder. It serves plain HTTP on this machine, or HTTPS.
pub struct Witness {
    folder: PathBuf,
    _temporary: tempfile::TempDir,
    /// `witness` or `auditor`.
    kind: &'static str,
    vkey: String,
    url: String,
    child: Option<Child>,
}

impl Witness {
    /// Makes key and folder of a witness of this name; nothing runs yet. `more` are lines for the
    /// section `cosigner`.
    #[must_use]
    pub fn new(name: &str, more: &str) -> Self {
        let witness = Self::empty("witness");
        witness.configure(more, &[]);
        witness.init(name)
    }

    /// Makes key and folder of an auditor of this name; nothing runs yet.
    #[must_use]
    pub fn auditor(name: &str) -> Self {
        let auditor = Self::somewhere("auditor");
        auditor.audits("");
        auditor.init(name)
    }

    /// Makes key and folder of a witness that an installation will name; nothing runs yet, and it
    /// serves no log before [`Witness::serves`].
    #[must_use]
    pub fn to_be_named(name: &str) -> Self {
        let witness = Self::somewhere("witness");
        witness.configure("", &[]);
        witness.init(name)
    }

    /// Whoever names it needs its address before it runs.
    fn somewhere(kind: &'static str) -> Self {
        let mut cosigner = Self::empty(kind);
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        cosigner.url = format!("http://{}", free.expect("a free port"));
        cosigner
    }

    /// Gives it the installation's trust file: whose log it is to look at. In force from the next
    /// start.
    pub fn serves(&self, trust: &str) {
        if self.kind == "auditor" {
            std::fs::write(self.file("trust.json"), trust).expect("a file in a temporary folder");
            return;
        }
        let trust = wire::trust::TrustFile::parse(trust).expect("a trust file");
        let log = LogKey::parse_vkey(trust.log()).expect("a log's key");
        self.configure("", &[(log.origin(), trust.log().to_owned())]);
    }

    /// Leaves of what it co-signed last.
    #[must_use]
    pub fn size(&self) -> u64 {
        let shown = self.avouch(&["show", "--format", "json"]);
        let json: serde_json::Value = serde_json::from_slice(&shown.stdout).expect("JSON");
        json["logs"][0]["size"].as_u64().unwrap_or(0)
    }

    fn empty(kind: &'static str) -> Self {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let folder = temporary.path().to_owned();
        std::fs::write(folder.join("clock"), "0").expect("a file in a temporary folder");
        Self {
            folder,
            _temporary: temporary,
            kind,
            vkey: String::new(),
            url: String::new(),
            child: None,
        }
    }

    fn init(mut self, name: &str) -> Self {
        let made = self.avouch(&["init", "--name", name]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        self.vkey = String::from_utf8(made.stdout).expect("a key").trim().to_owned();
        self
    }

    /// Makes a TLS certificate for 127.0.0.1 in the folder, and returns it (PEM).
    #[must_use]
    pub fn certify(&self) -> String {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]);
        let made = params.expect("a name").self_signed(&key).expect("a certificate").pem();
        std::fs::write(self.file("tls.pem"), &made).expect("a file in a temporary folder");
        std::fs::write(self.file("tls.key"), key.serialize_pem()).expect("as that");
        made
    }

    /// Writes `witness.toml`; in force from the next start.
    pub fn configure(&self, more: &str, logs: &[(&str, String)]) {
        let listen = self.listen();
        let mut text = format!("[cosigner]\nlisten = {listen:?}\n{more}\n[witness.logs]\n");
        for (origin, vkey) in logs {
            let _ = writeln!(text, "{origin:?} = {vkey:?}");
        }
        text.push_str("[development]\ntest_clock = \"clock\"\n");
        std::fs::write(self.file("witness.toml"), text).expect("a file in a temporary folder");
    }

    /// Writes `auditor.toml`, with more lines for the section `auditor`; in force from the next
    /// start. The trust file is `trust.json` in the folder.
    pub fn audits(&self, more: &str) {
        let listen = self.listen();
        let text = format!(
            "[cosigner]\nlisten = {listen:?}\n[auditor]\n{more}\n[development]\n\
             test_clock = \"clock\"\n"
        );
        std::fs::write(self.file("auditor.toml"), text).expect("a file in a temporary folder");
    }

    fn listen(&self) -> &str {
        let listen = self.url.split("://").nth(1).and_then(|rest| rest.split('/').next());
        listen.unwrap_or("127.0.0.1:0")
    }

    /// Puts its clock so many seconds ahead of the machine's.
    pub fn set_clock(&self, ahead: u64) {
        let new = self.file("clock.new");
        std::fs::write(&new, ahead.to_string())
            .and_then(|()| std::fs::rename(&new, self.file("clock")))
            .expect("a file in a temporary folder");
    }

    /// Starts it, and waits until it serves.
    ///
    /// # Errors
    /// What it said, when it does not start.
    pub fn start(&mut self) -> Result<(), String> {
        let log = File::options().create(true).append(true).open(self.file("log"));
        let mut child = self
            .command(&["run"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.expect("a file in a temporary folder"))
            .spawn()
            .expect("avouch can be run");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("text");
        match line.strip_prefix("ready ") {
            Some(url) => {
                self.url = url.trim().to_owned();
                self.child = Some(child);
                Ok(())
            }
            None => {
                let status = child.wait().expect("a child of this process");
                Err(format!("{status}: {}", self.log()))
            }
        }
    }

    /// Kills it with -9, if it runs.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            processes::kill(child.id());
            let _ = child.wait();
        }
    }

    /// Kills it with -9, and leaves it to others to wait for it.
    pub fn kill_now(&self) {
        processes::kill(self.pid());
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        processes::terminate(child.id());
        child.wait().expect("a child of this process")
    }

    /// Asks it to read its TLS files again.
    pub fn hang_up(&self) {
        processes::hang_up(self.pid());
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Its kind, key and address as environment variables of an installation that names it.
    #[must_use]
    pub fn environment(&self, name: &str) -> Vec<(String, String)> {
        let variable = |key: &str| format!("AVOUCH_COSIGNERS__{}__{key}", name.to_uppercase());
        vec![
            (variable("KIND"), self.kind.to_owned()),
            (variable("VKEY"), self.vkey.clone()),
            (variable("URL"), self.url.clone()),
        ]
    }

    /// Its submission prefix.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its verifier key.
    #[must_use]
    pub fn vkey(&self) -> &str {
        &self.vkey
    }

    /// Its verifier key, to verify with.
    #[must_use]
    pub fn key(&self) -> CosignerKey {
        CosignerKey::parse_vkey(&self.vkey).expect("its own key")
    }

    /// A file in its folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What it said on standard error so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.file("log")).unwrap_or_default()
    }

    /// Hands in a request's body over plain HTTP.
    #[must_use]
    pub fn post(&self, body: &str) -> crate::Answer {
        self.try_post(body).expect("an answer")
    }

    /// As [`Witness::post`], while it may be down.
    ///
    /// # Errors
    /// As [`Http::try_send`].
    pub fn try_post(&self, body: &str) -> Result<crate::Answer, reqwest::Error> {
        self.try_call(ADD_CHECKPOINT, body)
    }

    /// As [`Witness::try_post`], to another of its calls.
    ///
    /// # Errors
    /// As [`Http::try_send`].
    pub fn try_call(&self, path: &str, body: &str) -> Result<crate::Answer, reqwest::Error> {
        let body = Body::Other("text/plain", body.as_bytes());
        Http::plain(&self.url).try_send(Method::POST, path, &[], body)
    }

    /// Has a checkpoint co-signed over plain HTTP.
    ///
    /// # Errors
    /// The status of another answer, and what it says.
    pub fn ask(&self, request: &AddCheckpoint) -> Result<Answer, (u16, String)> {
        let answer = self.post(&request.to_text());
        read_answer(answer.status, &answer.body, request.checkpoint(), &self.key())
            .map_err(|_| (answer.status, answer.text()))
    }

    /// Runs a command of `avouch witness`.
    #[must_use]
    pub fn avouch(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stdin(Stdio::null()).output().expect("avouch can be run")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        let config = self.file(&format!("{}.toml", self.kind));
        command.arg(self.kind).args(arguments).arg("--config").arg(config);
        command
    }
}

impl AsRef<Path> for Witness {
    fn as_ref(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the witness's words\n{}", self.log());
        }
        self.kill();
    }
}
