//! Other people's programs beside ours: OpenSSL verifies a co-signature, an authority's log is
//! handed in, and another witness is asked the same.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use avouch_tests::{Body, Http, Installation, TestLog, Witness, openssl, patiently};
use tlog::cosign::CosignerKey;
use tlog::witness::{AddCheckpoint, Answer, AnyCheckpoint, read_answer};
use wire::trust::TrustFile;

use super::{ORIGIN, witness};

/// SubjectPublicKeyInfo of an Ed25519 key, but for the key (RFC 8410 section 4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

#[test]
fn openssl_verifies_a_cosignature_over_the_message_of_the_standard() {
    let log = TestLog::with(ORIGIN, 1, "leaf", 9);
    let witness = witness(&log);
    let request = log.request(0, 9);
    let Ok(Answer::Cosigned { line, time }) = witness.ask(&request) else { panic!() };
    let text = request.checkpoint().note().text();
    let file = |name: &str, bytes: &[u8]| {
        let path = witness.file(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let key = file("key.der", &[&SPKI[..], witness.key().public()].concat());
    let signature = file("signature", &line.signature()[8..]);
    assert_eq!(line.signature()[..8], time.to_be_bytes());
    let verify = |message: &str| {
        let message = file("message", message.as_bytes());
        openssl::try_run(&[
            "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", &key, "-rawin", "-in",
            &message, "-sigfile", &signature,
        ])
    };
    verify(&format!("cosignature/v1\ntime {time}\n{text}")).unwrap();
    assert!(verify(&format!("cosignature/v1\ntime {}\n{text}", time + 1)).is_err());
    assert!(verify(text).is_err());
}

#[test]
fn an_authoritys_log_is_cosigned_as_it_grows() {
    let installation = Installation::start();
    let trust = std::str::from_utf8(&installation.read("trust.json")).unwrap().to_owned();
    let trust = TrustFile::parse(&trust).unwrap();
    let checkpoint = || {
        let text = installation.stranger().get("/api/v1/log/checkpoint").text();
        AnyCheckpoint::parse(&text).unwrap()
    };
    let first = checkpoint();
    let mut witness = Witness::new("w.example/one", "");
    witness.configure("", &[(first.origin(), trust.log().to_owned())]);
    witness.start().unwrap();
    let request = AddCheckpoint::new(0, Vec::new(), first.clone()).unwrap();
    assert!(matches!(witness.ask(&request), Ok(Answer::Cosigned { .. })));
    let key = avouch_tests::load_key();
    let _ = crate::enrolled(&installation, "alice", &avouch_tests::load_csr("alice", &key));
    let next = checkpoint();
    assert!(next.size() > first.size());
    let request = AddCheckpoint::new(0, Vec::new(), next.clone()).unwrap();
    assert_eq!(witness.ask(&request), Ok(Answer::Elsewhere { size: first.size() }));
    // Without the proof, its signature alone is not enough.
    let request = AddCheckpoint::new(first.size(), Vec::new(), next).unwrap();
    assert_eq!(witness.ask(&request).unwrap_err().0, 422);
}

/// Filippo Valsorda's litewitness, with its key in an agent of its own.
struct Lite {
    children: Vec<Child>,
    key: CosignerKey,
    http: Http,
}

impl Lite {
    fn start(program: &str, folder: &Path, log: &TestLog) -> Self {
        let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let run = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).env("SSH_AUTH_SOCK", path("agent")).stdin(Stdio::null());
            let output = command.output().unwrap();
            assert!(output.status.success(), "{program}: {output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let mut children = Vec::new();
        let mut start = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(program);
            let quiet = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
            children.push(quiet.spawn().unwrap());
        };
        start("ssh-agent", &["-D", "-a", &path("agent")]);
        patiently("the agent", || folder.join("agent").exists().then_some(()));
        let _ = run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &path("key")]);
        let _ = run("ssh-add", &["-q", &path("key")]);
        let print = run("ssh-keygen", &["-l", "-f", &path("key")]);
        let print = print.split(' ').nth(1).unwrap();
        let schema = format!(
            "import sqlite3; d = sqlite3.connect({:?}); d.executescript('''\
             create table log (origin text primary key, tree_size integer not null, tree_hash text \
             not null); create table key (origin text not null, key text not null);'''); \
             d.execute('insert into log values (?, 0, ?)', ({ORIGIN:?}, \
             '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=')); \
             d.execute('insert into key values (?, ?)', ({ORIGIN:?}, {:?})); d.commit()",
            path("db"),
            log.vkey()
        );
        let _ = run("python3", &["-c", &schema]);
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let listen = free.to_string();
        let (db, agent) = (path("db"), path("agent"));
        let named = ["-db", &db, "-ssh-agent", &agent, "-listen", &listen, "-key", print];
        start(program, &[&named[..], &["-name", "lite.example/one"]].concat());
        let public = std::fs::read_to_string(path("key.pub")).unwrap();
        let decode = "import base64, sys; print(base64.b64decode(sys.argv[1])[-32:].hex())";
        let public = run("python3", &["-c", decode, public.split(' ').nth(1).unwrap()]);
        let public = wire::Hash32::from_hex(public.trim()).unwrap();
        let key = CosignerKey::new("lite.example/one", *public.as_bytes()).unwrap();
        let http = Http::plain(&format!("http://{listen}"));
        let ask = || http.try_send("GET".parse().unwrap(), "/", &[], Body::None).ok();
        let _ = patiently("litewitness", ask);
        Self { children, key, http }
    }
}

impl Drop for Lite {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// By hand: `go install filippo.io/torchwood/cmd/litewitness@v0.6.1`, then this test with
/// `AVOUCH_LITEWITNESS` naming the program. It wants ssh-agent and Python beside it.
#[test]
#[ignore = "wants another witness, whose path AVOUCH_LITEWITNESS gives"]
fn another_witness_answers_the_same() {
    let program = std::env::var("AVOUCH_LITEWITNESS").expect("the path of litewitness");
    let log = TestLog::with(ORIGIN, 1, "leaf", 300);
    let fork = TestLog::with(ORIGIN, 1, "other", 300);
    let folder = tempfile::tempdir().unwrap();
    let lite = Lite::start(&program, folder.path(), &log);
    let ours = witness(&log);
    let stranger = TestLog::with("log.example/stranger", 1, "leaf", 9);
    let other_key = TestLog::with(ORIGIN, 2, "leaf", 9);
    let shrunk = AddCheckpoint::new(6, Vec::new(), log.checkpoint(5)).unwrap();
    let mut requests: Vec<(AddCheckpoint, Option<(u16, u16)>)> = vec![
        (log.request(0, 0), None),
        (log.request(0, 4), None),
        (log.request(4, 4), None),
        (log.request(3, 7), None),
        (log.request(0, 7), None),
        (fork.request(4, 7), None),
        (shrunk, None),
        (other_key.request(4, 7), None),
        // The standard says 404 for a log that is not known: 403 is theirs.
        (stranger.request(4, 7), Some((404, 403))),
        // And 409 for another root at the same size: 422 is theirs.
        (fork.request(4, 4), Some((409, 422))),
    ];
    let sizes = [4, 5, 8, 9, 15, 16, 17, 31, 64, 100, 128, 129, 255, 256, 300];
    requests.extend(sizes.windows(2).map(|pair| (log.request(pair[0], pair[1] as usize), None)));
    for (request, differ) in requests {
        let body = request.to_text();
        let here = ours.post(&body);
        let there = lite.http.post("/add-checkpoint", Body::Other("text/plain", body.as_bytes()));
        let expected = differ.unwrap_or((here.status, here.status));
        assert_eq!((here.status, there.status), expected, "{body}\n{}", there.text());
        if differ.is_some() {
            continue;
        }
        // Our side of the call, with their answers.
        let read = |answer: &avouch_tests::Answer, key: &CosignerKey| {
            let read = read_answer(answer.status, &answer.body, request.checkpoint(), key);
            read.map(|answer| match answer {
                Answer::Cosigned { .. } => None,
                Answer::Elsewhere { size } => Some(size),
            })
        };
        let (here, there) = (read(&here, &ours.key()), read(&there, &lite.key));
        assert_eq!(here.ok(), there.ok(), "{body}");
    }
}
