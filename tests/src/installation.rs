//! One installation: `avouch dev` on a folder of its own.

use std::cell::Cell;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use crate::processes::{self, Role};
use crate::{Http, openssl};

/// How long a start may take before the harness gives up. Making keys in a token on a busy machine
/// is slow; nothing is asserted about it.
const PATIENCE: Duration = Duration::from_secs(120);

thread_local! {
    /// Where the next installation of this thread has its database.
    static STORE: Cell<Option<String>> = const { Cell::new(None) };
}

/// Runs a test whose [`Installation`] uses this database instead of a file of its own.
///
/// # Panics
/// When the test does not start exactly one installation: several would want one database.
pub fn on_store(url: &str, test: impl FnOnce()) {
    STORE.set(Some(url.to_owned()));
    test();
    assert!(STORE.take().is_none(), "no installation was started");
}

/// A running `avouch dev`.
pub struct Installation {
    folder: PathBuf,
    /// Removed at the end, unless the folder belongs to somebody else.
    _temporary: Option<tempfile::TempDir>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    address: String,
    child: Mutex<Child>,
}

impl Installation {
    /// Starts one in a new folder, with SoftHSM.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one in a new folder with more arguments to `avouch dev`; its database is SQLite, or
    /// what [`on_store`] says.
    #[must_use]
    pub fn start_with(arguments: &[&str]) -> Self {
        Self::start_under(arguments, Vec::new())
    }

    /// As [`Installation::start_with`], with more environment variables.
    #[must_use]
    pub fn start_under(arguments: &[&str], environment: Vec<(String, String)>) -> Self {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let folder = temporary.path().join("data");
        let mut arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        if let Some(url) = STORE.take() {
            arguments.extend(["--store".to_owned(), url]);
        }
        let (child, address) = launch(&folder, "127.0.0.1:0", &arguments, &environment);
        let child = Mutex::new(child);
        Self { folder, _temporary: Some(temporary), arguments, environment, address, child }
    }

    /// Starts one in a folder that is somebody else's, with environment variables.
    #[must_use]
    pub fn start_in(folder: &Path, arguments: &[&str], environment: Vec<(String, String)>) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        let (child, address) = launch(folder, "127.0.0.1:0", &arguments, &environment);
        let (folder, child) = (folder.to_owned(), Mutex::new(child));
        Self { folder, _temporary: None, arguments, environment, address, child }
    }

    /// Ends all processes at once, has something done to the folder, and starts again.
    pub fn restart_after(&mut self, meanwhile: impl FnOnce(&Path)) {
        let pid = self.pid();
        let below = processes::descendants(pid);
        processes::kill(pid);
        below.into_iter().for_each(processes::kill);
        self.wait();
        meanwhile(&self.folder);
        let listen = self.address.trim_start_matches("https://").to_owned();
        let (child, address) = launch(&self.folder, &listen, &self.arguments, &self.environment);
        self.child = Mutex::new(child);
        self.address = address;
    }

    /// Stops it, and starts it again with more environment variables.
    pub fn restart_with(&mut self, more: Vec<(String, String)>) {
        self.environment.extend(more);
        self.restart(false);
    }

    /// Ends all processes at once, as a power failure does, or asks them to end; then starts again
    /// on the same folder and address.
    pub fn restart(&mut self, power_failure: bool) {
        let pid = self.pid();
        if power_failure {
            let below = processes::descendants(pid);
            processes::kill(pid);
            below.into_iter().for_each(processes::kill);
            self.wait();
        } else {
            let status = self.stop();
            assert!(status.success(), "a clean stop ended with {status}\n{}", self.log());
        }
        let listen = self.address.trim_start_matches("https://").to_owned();
        let (child, address) = launch(&self.folder, &listen, &self.arguments, &self.environment);
        self.child = Mutex::new(child);
        self.address = address;
    }

    /// Asks the supervisor to end, and waits until it has.
    pub fn stop(&self) -> ExitStatus {
        processes::terminate(self.pid());
        self.wait()
    }

    /// Kills the supervisor alone with -9. What it started must end by itself; waits for that.
    pub fn kill_supervisor(&self) {
        let below = processes::descendants(self.pid());
        processes::kill(self.pid());
        self.wait();
        for pid in below {
            patiently("the supervisor's children to end", || {
                (!Path::new(&format!("/proc/{pid}")).exists() || is_zombie(pid)).then_some(())
            });
        }
    }

    fn wait(&self) -> ExitStatus {
        self.child.lock().expect("no panic while held").wait().expect("a child of this process")
    }

    /// The supervisor's pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.lock().expect("no panic while held").id()
    }

    /// Pids of the processes in a role; waits until there is one.
    #[must_use]
    pub fn pids(&self, role: Role) -> Vec<u32> {
        patiently(role.subcommand(), || {
            Some(processes::playing(self.pid(), role)).filter(|pids| !pids.is_empty())
        })
    }

    /// Kills the processes in a role with -9.
    pub fn kill(&self, role: Role) {
        self.pids(role).into_iter().for_each(processes::kill);
    }

    /// Sends SIGHUP to the processes in a role.
    pub fn hang_up(&self, role: Role) {
        self.pids(role).into_iter().for_each(processes::hang_up);
    }

    /// `https://ADDRESS` as announced.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.address
    }

    /// A file in the data folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Reads a file in the data folder.
    #[must_use]
    pub fn read(&self, name: &str) -> Vec<u8> {
        let path = self.file(name);
        std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// The environment variables that it was started under.
    #[must_use]
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// A caller with the enrolment agent's TLS credentials.
    #[must_use]
    pub fn agent(&self) -> Http {
        let identity = [self.read("agent.pem"), self.read("agent.key")].concat();
        Http::new(&self.address, &self.read("tls-ca.pem"), Some(&identity))
    }

    /// A caller with no credentials.
    #[must_use]
    pub fn stranger(&self) -> Http {
        Http::new(&self.address, &self.read("tls-ca.pem"), None)
    }

    /// Runs `avouch` with arguments, in the data folder's parent.
    #[must_use]
    pub fn avouch(&self, arguments: &[&str]) -> Output {
        let parent = self.folder.parent().expect("a folder in the temporary folder");
        let mut command = Command::new(program());
        // What is remembered of one's own identities is not this user's.
        command.env("AVOUCH_OWN", parent.join("own.json"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.args(arguments).current_dir(parent).stdin(Stdio::null());
        command.output().expect("avouch can be run")
    }

    /// What the processes said on standard error so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(log_path(&self.folder)).unwrap_or_default()
    }

    /// Checks a PEM leaf against `root.pem` and `chain.pem` with OpenSSL.
    pub fn openssl_accepts(&self, leaf: &Path, more: &[&str]) {
        let verdict = openssl::verify(&self.file("root.pem"), &self.file("chain.pem"), leaf, more);
        assert!(verdict.is_ok(), "{verdict:?}");
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- the server's last words");
            eprintln!("{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        }
        let pid = self.pid();
        let below = processes::descendants(pid);
        processes::terminate(pid);
        let child = self.child.get_mut().expect("no panic while held");
        let deadline = Instant::now() + Duration::from_secs(10);
        while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = child.kill();
        let _ = child.wait();
        below.into_iter().filter(|pid| is_avouch(*pid)).for_each(processes::kill);
    }
}

/// Only what is still ours is killed: a pid may have been given to another process meanwhile.
fn is_avouch(pid: u32) -> bool {
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    command.starts_with(program().to_string_lossy().as_bytes())
}

fn is_zombie(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

fn log_path(folder: &Path) -> PathBuf {
    folder.with_extension("log")
}

/// Asks again and again until there is an answer; panics when there is none for very long.
pub fn patiently<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn launch(
    folder: &Path,
    listen: &str,
    arguments: &[String],
    environment: &[(String, String)],
) -> (Child, String) {
    let open = File::options().create(true).append(true).open(log_path(folder));
    let log = open.expect("a file beside the data folder");
    let mut child = Command::new(program())
        .arg("dev")
        .arg("--data")
        .arg(folder)
        .args(["--listen", listen])
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|e| panic!("{}: {e}", program().display()));
    let stdout = child.stdout.take().expect("standard output is a pipe");
    let (sender, receiver) = mpsc::channel();
    // Reads to the end, so that the program never meets a closed pipe.
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let deadline = Instant::now() + PATIENCE;
    while let Ok(line) = receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        if let Some(address) = line.strip_prefix("ready ") {
            assert!(address.starts_with("https://"), "not an address: {line:?}");
            return (child, address.trim_end_matches('/').to_owned());
        }
    }
    for pid in processes::descendants(child.id()) {
        processes::kill(pid);
    }
    let _ = child.kill();
    let status = child.wait().expect("a child of this process");
    let log = std::fs::read_to_string(log_path(folder)).unwrap_or_default();
    panic!("avouch dev did not become ready ({status}):\n{log}");
}

/// The program under test: `AVOUCH_BIN`, or built now.
#[must_use]
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(path) = std::env::var_os("AVOUCH_BIN") {
            return path.into();
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(["build", "--quiet", "--package", "avouch-cli", "--bin", "avouch"])
            .status()
            .expect("cargo can be run");
        assert!(status.success(), "the program under test does not build");
        // This test's own program is TARGET/debug/deps/NAME.
        let own = std::env::current_exe().expect("a running program has a path");
        own.ancestors().nth(2).expect("two folders above").join("avouch")
    })
}
