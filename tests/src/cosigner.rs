//! A co-signer for tests: it speaks the protocol of witnesses, keeps the promise of one, and can be
//! made to be away, slow, or to lie. Real ones are processes of their own (`avouch witness`); this
//! one is here for what a real one does not do.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tlog::cosign::Cosigner;
use tlog::note::LogKey;
use tlog::witness::{AddCheckpoint, Head, LogState};
use wire::Hash32;
use wire::trust::TrustFile;

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    Honest,
    /// It closes every connection.
    Away,
    /// It answers when its manner changes.
    Slow,
    /// Its signature is over another time than it says.
    BadSignature,
    /// It signs the same size with another root.
    OtherRoot,
    /// It signs a checkpoint of another log.
    OtherLog,
    /// It says that it has seen a million leaves more.
    WrongSize,
}

#[derive(Debug)]
struct State {
    manner: Manner,
    /// Seconds by which its clock is ahead.
    ahead: i64,
    latest: Option<Head>,
    /// All that it ever signed: one root for each size.
    signed: BTreeMap<u64, Hash32>,
    ended: bool,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    cosigner: Cosigner,
    /// Where the installation is that it co-signs for.
    folder: PathBuf,
}

/// A co-signer that is there until it is dropped.
pub struct TestCosigner {
    shared: Arc<Shared>,
    url: String,
}

impl TestCosigner {
    /// One for the installation that will be in a folder.
    #[must_use]
    pub fn start(name: &str, seed: u8, folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/w", listener.local_addr().expect("an address"));
        let state = State {
            manner: Manner::Honest,
            ahead: 0,
            latest: None,
            signed: BTreeMap::new(),
            ended: false,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            cosigner: Cosigner::from_seed(name, &[seed; 32]).expect("a name"),
            folder: folder.to_owned(),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if serving.lock().ended {
                    return;
                }
                let shared = Arc::clone(&serving);
                std::thread::spawn(move || shared.connection(stream));
            }
        });
        Self { shared, url }
    }

    /// Its verifier key.
    #[must_use]
    pub fn vkey(&self) -> String {
        self.shared.cosigner.key().vkey()
    }

    /// Its submission prefix.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// It behaves like this from now on.
    pub fn behave(&self, manner: Manner) {
        self.shared.lock().manner = manner;
        self.shared.changed.notify_all();
    }

    /// Its clock is so many seconds ahead from now on.
    pub fn jump(&self, ahead: i64) {
        self.shared.lock().ahead = ahead;
    }

    /// Leaves of what it co-signed last.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.shared.lock().latest.map_or(0, |head| head.size)
    }

    /// What it ever signed honestly.
    #[must_use]
    pub fn signed(&self) -> BTreeMap<u64, Hash32> {
        self.shared.lock().signed.clone()
    }
}

impl Drop for TestCosigner {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.changed.notify_all();
        // The listener waits for one more.
        let address = self.url.trim_start_matches("http://").trim_end_matches("/w");
        let _ = TcpStream::connect(address);
    }
}

/// Co-signers as environment variables of an installation.
#[must_use]
pub fn environment(cosigners: &[(&str, &str, &TestCosigner)]) -> Vec<(String, String)> {
    let variables = cosigners.iter().flat_map(|(name, kind, cosigner)| {
        let variable = |key: &str| format!("AVOUCH_COSIGNERS__{}__{key}", name.to_uppercase());
        [
            (variable("KIND"), (*kind).to_owned()),
            (variable("VKEY"), cosigner.vkey()),
            (variable("URL"), cosigner.url().to_owned()),
        ]
    });
    variables.collect()
}

/// What an auditor is sent, without the entries: these co-signers look at none of them.
fn without_entries(body: &str) -> &str {
    let signed = body.find("\n\n\u{2014} ").map_or(body.len(), |at| at + 2);
    body[signed..].find("\n\n").map_or(body, |end| &body[..=signed + end])
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connection(&self, mut stream: TcpStream) {
        let Some(body) = request(&mut stream) else { return };
        if self.lock().manner == Manner::Away {
            return;
        }
        let (status, kind, answer) = self.answer(&body);
        let head = format!(
            "HTTP/1.1 {status} -\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n",
            answer.len()
        );
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(answer.as_bytes());
    }

    fn answer(&self, body: &str) -> (u16, &'static str, String) {
        const TEXT: &str = "text/plain; charset=utf-8";
        let mut state = self.lock();
        while state.manner == Manner::Slow && !state.ended {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        // An auditor that was handed nothing, as it says.
        if body.starts_with("avouch.org/auditor-ask/") {
            return (200, TEXT, "{\"closed\":true,\"count\":0}\n".to_owned());
        }
        let request = match AddCheckpoint::parse(without_entries(body)) {
            Ok(request) => request,
            Err(error) => return (400, TEXT, error.to_string()),
        };
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let now = seconds.saturating_add_signed(state.ahead);
        let text = request.checkpoint().note().text().to_owned();
        let line = |text: &str, time: u64| {
            self.cosigner.cosign(text, time).expect("a time within bounds").to_line()
        };
        match state.manner {
            Manner::BadSignature => {
                let good = self.cosigner.cosign(&text, now).expect("a time within bounds");
                let blob = [&(now + 60).to_be_bytes()[..], &good.signature()[8..]].concat();
                let key = self.cosigner.key();
                let bad = tlog::note::NoteSignature::new(key.name(), key.id(), &blob);
                return (200, TEXT, bad.expect("a line").to_line());
            }
            Manner::OtherRoot => {
                let root = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
                let mut lines: Vec<&str> = text.lines().collect();
                lines[2] = root;
                return (200, TEXT, line(&format!("{}\n", lines.join("\n")), now));
            }
            Manner::OtherLog => return (200, TEXT, line(&format!("another.{text}"), now)),
            Manner::WrongSize => {
                let size = request.checkpoint().size() + 1_000_000;
                return (409, "text/x.tlog.size", format!("{size}\n"));
            }
            Manner::Honest | Manner::Away | Manner::Slow => {}
        }
        let trust = std::fs::read_to_string(self.folder.join("trust.json")).expect("trust.json");
        let trust = TrustFile::parse(&trust).expect("a trust file");
        let key = LogKey::parse_vkey(trust.log()).expect("a log's key");
        let origin = key.origin().to_owned();
        let known = LogState { origin, keys: vec![key], latest: state.latest };
        match known.advance(&request) {
            Ok(head) => {
                let before = state.signed.insert(head.size, head.root);
                assert!(before.is_none_or(|root| root == head.root), "two histories co-signed");
                state.latest = Some(head);
                (200, TEXT, line(&text, now))
            }
            Err(refusal) => match refusal.size() {
                Some(size) => (409, "text/x.tlog.size", format!("{size}\n")),
                None => (refusal.status(), TEXT, refusal.to_string()),
            },
        }
    }
}

/// The body of a request.
fn request(stream: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let n = stream.read(&mut chunk).ok().filter(|n| *n > 0)?;
        read.extend_from_slice(&chunk[..n]);
        let text = String::from_utf8_lossy(&read);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        if body.len() >= length.unwrap_or(0) {
            return Some(body.to_owned());
        }
    }
}
