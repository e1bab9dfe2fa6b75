//! Somebody at a desk: the command line, a folder of files, a contacts file and a clock to move.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::cosigner::{TestCosigner, environment};
use crate::{Installation, patiently, program};

/// An installation whose clock can be moved, and a folder of files beside it.
pub struct Desk {
    /// The installation.
    pub installation: Installation,
    folder: tempfile::TempDir,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    /// On standard output.
    pub out: String,
    /// On standard error.
    pub err: String,
}

impl Said {
    /// The value behind a word at the beginning of a line of data.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn value(&self, word: &str) -> String {
        let line = |line: &str| line.strip_prefix(word).map(|rest| rest.trim().to_owned());
        self.out.lines().find_map(line).unwrap_or_else(|| panic!("no {word} in {}", self.out))
    }

    /// Whether each of these stands somewhere in what was said.
    #[track_caller]
    pub fn says(&self, words: &[&str]) {
        for word in words {
            let there = self.out.contains(word) || self.err.contains(word);
            assert!(there, "{word:?} is not in\n{}\n{}", self.out, self.err);
        }
    }
}

impl Desk {
    /// A new installation with SoftHSM.
    #[must_use]
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// The same with more arguments to `avouch dev`.
    #[must_use]
    pub fn with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clock = folder.path().join("clock");
        std::fs::write(&clock, "0").expect("a file in a temporary folder");
        let clock = ["--test-clock", clock.to_str().expect("UTF-8")];
        let installation = Installation::start_with(&[&clock[..], arguments].concat());
        Self { installation, folder }
    }

    /// The same with co-signers, witnesses of these names.
    #[must_use]
    pub fn co_signed(names: &[&str]) -> (Self, Vec<TestCosigner>) {
        Self::co_signed_by("witness", names)
    }

    /// The same with co-signers that are said to be of this kind.
    #[must_use]
    pub fn co_signed_by(kind: &str, names: &[&str]) -> (Self, Vec<TestCosigner>) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (clock, data) = (folder.path().join("clock"), folder.path().join("data"));
        std::fs::write(&clock, "0").expect("a file in a temporary folder");
        let start = |(name, seed): (&&str, u8)| {
            TestCosigner::start(&format!("{name}.example"), seed, &data)
        };
        let cosigners: Vec<TestCosigner> = names.iter().zip(1..).map(start).collect();
        let named = names.iter().zip(&cosigners);
        let named: Vec<_> = named.map(|(name, cosigner)| (*name, kind, cosigner)).collect();
        let clock = ["--test-clock", clock.to_str().expect("UTF-8")];
        let installation = Installation::start_in(&data, &clock, environment(&named));
        (Self { installation, folder }, cosigners)
    }

    /// A file of this folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of this folder.
    pub fn write(&self, name: &str, content: &str) {
        std::fs::write(self.file(name), content).expect("a file in a temporary folder");
    }

    /// Puts the clock forward, this many hours from the machine's.
    pub fn hours_ahead(&self, hours: u64) {
        self.write("clock", &(hours * 3600).to_string());
    }

    /// An argument: `@NAME` is a file of this folder, `ca:NAME` one of the installation's.
    fn argument(&self, text: &str) -> String {
        let path = |path: PathBuf| path.to_str().expect("UTF-8").to_owned();
        if let Some((name, file)) = text.split_once('=')
            && (file.starts_with('@') || file.starts_with("ca:"))
        {
            return format!("{name}={}", self.argument(file));
        }
        match (text.strip_prefix('@'), text.strip_prefix("ca:")) {
            (Some(name), _) => path(self.file(name)),
            (_, Some(name)) => path(self.installation.file(name)),
            _ => text.to_owned(),
        }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(program());
        let mut rest = line;
        // Words, and texts in double quotes.
        while !rest.trim_start().is_empty() {
            rest = rest.trim_start();
            let (word, after) = match rest.strip_prefix('"') {
                Some(text) => text.split_once('"').expect("a closing quote"),
                None => rest.split_once(' ').unwrap_or((rest, "")),
            };
            command.arg(self.argument(word));
            rest = after;
        }
        command
            .current_dir(self.folder.path())
            .env("AVOUCH_TRUST", self.installation.file("trust.json"))
            .env("AVOUCH_CONTACTS", self.file("contacts.json"))
            .env("AVOUCH_TEST_CLOCK", self.file("clock"))
            .env("SOFTHSM2_CONF", self.file("softhsm2.conf"))
            .stdin(Stdio::null());
        command
    }

    /// Runs `avouch`; it must end with this code.
    #[track_caller]
    pub fn run(&self, code: i32, line: &str) -> Said {
        let output = self.command(line).output().expect("avouch can be run");
        said(&output, code, line)
    }

    /// Runs `avouch`, however it ends.
    #[must_use]
    pub fn try_run(&self, line: &str) -> Said {
        let output = self.command(line).output().expect("avouch can be run");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said { out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Runs `avouch` again and again until it ends with this code.
    #[track_caller]
    pub fn until(&self, code: i32, line: &str) -> Said {
        patiently(line, || {
            let output = self.command(line).output().expect("avouch can be run");
            (output.status.code() == Some(code)).then(|| said(&output, code, line))
        })
    }

    /// Runs `avouch` on a terminal of its own (util-linux' `script`), typing these lines.
    #[track_caller]
    pub fn on_terminal(&self, code: i32, line: &str, typed: &str) -> Said {
        let command = self.command(line);
        let mut words = vec![command.get_program().to_string_lossy().into_owned()];
        words.extend(command.get_args().map(|a| a.to_string_lossy().into_owned()));
        let quoted: Vec<_> = words.iter().map(|w| format!("'{w}'")).collect();
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &quoted.join(" "), "/dev/null"]);
        for (name, value) in command.get_envs() {
            script.env(name, value.unwrap_or_default());
        }
        self.write("typed", typed);
        let typed = std::fs::File::open(self.file("typed")).expect("just written");
        script.current_dir(self.folder.path()).stdin(typed);
        let output = script.output().expect("util-linux is installed");
        said(&output, code, line)
    }

    /// Runs `avouch` on a terminal of its own, and types an answer once it is asked: what is typed
    /// before a secret is asked for is thrown away.
    #[track_caller]
    pub fn asked(&self, code: i32, line: &str, prompt: &str, answer: &str) -> Said {
        const PROGRAM: &str = "\
import os, pty, sys
prompt, answer = sys.argv[1].encode(), sys.argv[2].encode()
child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[3], sys.argv[3:])
said, typed = b'', False
while True:
    try:
        more = os.read(terminal, 4096)
    except OSError:
        break
    if not more:
        break
    said += more
    if not typed and prompt in said:
        typed = os.write(terminal, answer + b'\\n') > 0
sys.stdout.buffer.write(said)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
";
        let command = self.command(line);
        let mut python = Command::new("python3");
        python.args(["-c", PROGRAM, prompt, answer]).arg(command.get_program());
        python.args(command.get_args()).current_dir(self.folder.path());
        for (name, value) in command.get_envs() {
            python.env(name, value.unwrap_or_default());
        }
        let output = python.output().expect("python3 is installed");
        said(&output, code, line)
    }

    /// A token of SoftHSM's that holds a key from a file (PKCS#8) under the id 01; its PIN is 4711.
    ///
    /// # Panics
    /// When the token cannot be made.
    pub fn token(&self, label: &str, key: &Path) {
        let folder = self.file("tokens");
        std::fs::create_dir_all(&folder).expect("a folder in a temporary folder");
        let text = format!("directories.tokendir = {}\nlog.level = ERROR\n", folder.display());
        self.write("softhsm2.conf", &text);
        let softhsm = |arguments: &[&str]| {
            let mut util = Command::new("softhsm2-util");
            util.args(arguments).env("SOFTHSM2_CONF", self.file("softhsm2.conf"));
            let output = util.output().expect("SoftHSM is installed");
            assert!(output.status.success(), "{arguments:?}: {output:?}");
        };
        let pins = ["--pin", "4711", "--so-pin", "12345678"];
        softhsm(&[&["--init-token", "--free", "--label", label][..], &pins].concat());
        let file = key.to_str().expect("UTF-8");
        let what = ["--import", file, "--token", label, "--label", "signs", "--id", "01"];
        softhsm(&[&what[..], &["--pin", "4711"]].concat());
    }

    /// Makes a key and enrols it, vouched for by the installation's agent.
    pub fn enrol(&self, uid: &str) {
        self.run(0, &format!("key new --out @{uid}.key"));
        self.run(0, &format!("enrol {uid} --key @{uid}.key --recovery-key @{uid}.recovery --out @{uid}.pem {AGENT}"));
    }

    /// The key in a file, as commands show it.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        self.run(0, &format!("key show @{name}")).value("spki-sha256")
    }

    /// Whether a file is there.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        Path::exists(&self.file(name))
    }
}

impl Default for Desk {
    fn default() -> Self {
        Self::new()
    }
}

/// The agent's TLS credentials, as arguments.
const AGENT: &str = "--agent-cert ca:agent.pem --agent-key ca:agent.key";

#[track_caller]
fn said(output: &Output, code: i32, line: &str) -> Said {
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "avouch {line}\n{out}\n{err}");
    Said { out, err }
}
