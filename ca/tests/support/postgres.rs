//! A real PostgreSQL server for tests, on a Unix socket in a folder of its own.
//!
//! Include it from any test with `#[path = "…/ca/tests/support/postgres.rs"] mod postgres;`; it
//! needs the standard library only. Debian's `postgresql-15` brings the programs; others are found
//! through `AVOUCH_POSTGRES_BIN`. `initdb` refuses to run as root, so root runs it as `postgres`.
#![allow(dead_code, reason = "each includer uses a part")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

/// Runs the server; ends it when the pipe closes, so also when the test process is killed. A line
/// on the pipe ends it and keeps its data.
const WATCH: &str = r#"dir=$1; shift; "$@" & pid=$!; read -r _; keep=$?
kill -QUIT $pid 2>/dev/null; kill -CONT $pid 2>/dev/null; wait $pid
[ $keep = 0 ] || rm -rf "$dir""#;

/// A server.
pub(crate) struct Server {
    dir: PathBuf,
    /// Where it listens besides its socket, with TLS.
    tls: Option<[String; 2]>,
    watch: Mutex<Option<Child>>,
}

impl Server {
    /// The server that the tests of this process share.
    pub(crate) fn shared() -> &'static Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(|| Self::make(16, None))
    }

    /// A server of one's own, whose log is in files of 1 MiB.
    pub(crate) fn new() -> Self {
        Self::make(1, None)
    }

    /// One that is reached over TLS, too, at two addresses, of which its certificate names the
    /// first.
    pub(crate) fn with_tls() -> Self {
        // The whole of 127.0.0.0/8 is this machine; nobody else is at these two.
        let [_, a, b, c] = std::process::id().to_be_bytes();
        let address = |n: u8| format!("127.{}.{b}.{c}", 64 + n * 64 + a % 64);
        Self::make(16, Some([address(0), address(1)]))
    }

    fn make(mib: u32, tls: Option<[String; 2]>) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("avouch-pg-{}-{n}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir(&dir).expect("a folder for the server");
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&dir));
        }
        let mut init = as_postgres(&program("initdb"));
        init.args(["--auth=trust", "--username=avouch", "--encoding=UTF8", "--locale=C.UTF-8"]);
        init.args(["--no-sync", "-D"]).arg(dir.join("data"));
        run(init.arg(format!("--wal-segsize={mib}")));
        if let Some([named, _]) = &tls {
            certificate(&dir, "server", named);
            certificate(&dir, "other", named);
        }
        let server = Self { dir, tls, watch: Mutex::new(None) };
        server.start();
        server
    }

    /// Starts it, after [`Self::stop`] on the same data.
    pub(crate) fn start(&self) {
        let server = as_postgres(&program("postgres"));
        let mut watch = Command::new("sh");
        watch.args(["-c", WATCH, "sh"]).arg(&self.dir).arg(server.get_program());
        watch.args(server.get_args()).arg("-D").arg(self.dir.join("data"));
        let addresses = self.tls.as_ref().map_or_else(String::new, |both| both.join(","));
        watch.arg("-c").arg(format!("listen_addresses={addresses}"));
        if self.tls.is_some() {
            watch.arg("-c").arg(format!("ssl_cert_file={}", self.file("server.pem").display()));
            watch.arg("-c").arg(format!("ssl_key_file={}", self.file("server.key").display()));
            watch.args(["-c", "ssl=on"]);
        }
        watch.args(["-c", "max_connections=50", "-c"]);
        watch.arg(format!("unix_socket_directories={}", self.dir.display()));
        let mut log = std::fs::OpenOptions::new();
        let log = log.create(true).append(true).open(self.dir.join("log")).unwrap();
        watch.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
        *self.watch.lock().unwrap() = Some(watch.spawn().expect("the server"));
        for _ in 0..600 {
            let mut ready = Command::new(program("pg_isready"));
            ready.arg("-q").arg("-h").arg(&self.dir);
            if ready.status().is_ok_and(|status| status.success()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        panic!("the server does not start: {log}");
    }

    /// Ends it at once, as a crash does; its data stays.
    pub(crate) fn stop(&self) {
        let Some(mut watch) = self.watch.lock().unwrap().take() else { return };
        let children = self.processes();
        signal("CONT", &children);
        watch.stdin.take().unwrap().write_all(b"keep\n").unwrap();
        watch.wait().unwrap();
    }

    /// Makes it stand still: it neither answers nor closes a connection.
    pub(crate) fn freeze(&self) {
        signal("STOP", &self.processes());
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        signal("CONT", &self.processes());
    }

    /// Lets files grow to this size at most.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        let limit = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        for process in self.processes() {
            let mut prlimit = as_postgres(Path::new("prlimit"));
            prlimit.arg(format!("--pid={process}")).arg(format!("--fsize={limit}:"));
            // A connection may have ended meanwhile; new ones have their limit from the first.
            let limited = prlimit.current_dir("/").output().expect("prlimit can be run");
            assert!(limited.status.success() || process != self.postmaster(), "{limited:?}");
        }
    }

    /// A new database's URL.
    pub(crate) fn database(&self) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// A database's URL.
    pub(crate) fn url(&self, name: &str) -> String {
        let mut host = String::new();
        for byte in self.dir.display().to_string().bytes() {
            write!(host, "%{byte:02x}").unwrap();
        }
        format!("postgres://avouch@localhost/{name}?host={host}")
    }

    /// A new database's URL over the network.
    pub(crate) fn tls_url(&self, address: &str, query: &str) -> String {
        let url = self.database();
        let name = url.rsplit('/').find(|part| part.starts_with("test")).unwrap();
        let name = name.split('?').next().unwrap();
        format!("postgres://avouch@{address}/{name}?{query}")
    }

    /// The address that the certificate names.
    pub(crate) fn named(&self) -> &str {
        &self.tls.as_ref().expect("a server with TLS")[0]
    }

    /// The address that it does not name.
    pub(crate) fn unnamed(&self) -> &str {
        &self.tls.as_ref().expect("a server with TLS")[1]
    }

    /// A file beside its data.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Runs SQL and returns what it says.
    pub(crate) fn psql(&self, database: &str, sql: &str) -> String {
        let mut psql = Command::new(program("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "avouch", "-h"]);
        run(psql.arg(&self.dir).args(["-d", database, "-c", sql]))
    }

    /// Runs SQL that somebody may end.
    pub(crate) fn try_psql(&self, database: &str, sql: &str) {
        let mut psql = Command::new(program("psql"));
        psql.args(["-X", "-q", "-U", "avouch", "-h"]).arg(&self.dir);
        psql.args(["-d", database, "-c", sql]).stdin(Stdio::null());
        let _ = psql.stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/").status();
    }

    /// Waits until a query finds something.
    pub(crate) fn wait_for(&self, database: &str, sql: &str) {
        for _ in 0..2400 {
            if !self.psql(database, sql).is_empty() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("nothing is found by {sql}");
    }

    fn postmaster(&self) -> u32 {
        let file = std::fs::read_to_string(self.dir.join("data/postmaster.pid")).unwrap();
        file.lines().next().unwrap().trim().parse().unwrap()
    }

    fn processes(&self) -> Vec<u32> {
        let postmaster = self.postmaster();
        let path = format!("/proc/{postmaster}/task/{postmaster}/children");
        let children = std::fs::read_to_string(path).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
        std::iter::once(postmaster).chain(children).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let watch = self.watch.get_mut().map(Option::take);
        if let Ok(Some(mut watch)) = watch {
            drop(watch.stdin.take());
            let _ = watch.wait();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A certificate of an address by itself, and its key.
fn certificate(dir: &Path, name: &str, address: &str) {
    let (key, pem) = (dir.join(format!("{name}.key")), dir.join(format!("{name}.pem")));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    openssl.args(["-nodes", "-days", "2", "-subj", "/CN=database", "-addext"]);
    openssl.args(["basicConstraints=critical,CA:FALSE", "-addext"]);
    openssl.arg(format!("subjectAltName=IP:{address}")).arg("-keyout").arg(&key);
    run(openssl.arg("-out").arg(&pem));
    if is_root() {
        run(Command::new("chown").arg("postgres").arg(&key).arg(&pem));
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|found| found.uid() == 0)
}

fn program(name: &str) -> PathBuf {
    if let Some(dir) = std::env::var_os("AVOUCH_POSTGRES_BIN") {
        return Path::new(&dir).join(name);
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|dir| dir.path().join("bin").join(name)).collect();
    found.retain(|path| path.exists());
    found.sort();
    found.pop().unwrap_or_else(|| panic!("{name} is missing: apt-get install postgresql-15"))
}

fn as_postgres(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(program);
    command
}

fn signal(name: &str, processes: &[u32]) {
    for process in processes {
        let mut kill = Command::new("kill");
        let _ =
            kill.arg(format!("-{name}")).arg(process.to_string()).stderr(Stdio::null()).status();
    }
}

fn run(command: &mut Command) -> String {
    let output = command.current_dir("/").output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
