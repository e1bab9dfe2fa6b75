//! A PostgreSQL server of our own, with the defaults of its makers: what it commits is on the disk.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::run::{failed, output};

/// Who runs it where this program is root's, whom PostgreSQL does not serve.
const USER: &str = "postgres";

/// A running server; stopped when dropped.
pub(super) struct Postgres {
    child: Child,
    port: u16,
}

impl Postgres {
    /// Makes a cluster in a folder and serves it on a free port of this machine alone.
    pub(super) fn start(folder: &Path) -> Result<Self, String> {
        let programs = programs()?;
        std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        if is_root()? {
            output(Command::new("chown").arg(USER).arg(folder))?;
        }
        let data = folder.join("data");
        let initdb = ["--no-sync", "--auth=trust", "--username=avouch", "--encoding=UTF8"];
        output(unprivileged(&programs.join("initdb"))?.args(initdb).arg("-D").arg(&data))?;
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.map_err(|e| format!("no free port: {e}"))?.port();
        let log = std::fs::File::create(folder.with_extension("pglog"));
        let log = log.map_err(|e| format!("{}: {e}", folder.display()))?;
        let mut command = unprivileged(&programs.join("postgres"))?;
        command.arg("-D").arg(&data).arg("-k").arg(folder).args(["-p", &port.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().map_err(|e| failed(&command, &e))?;
        let server = Self { child, port };
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let mut ask = Command::new(programs.join("psql"));
            ask.args(["-qtA", "-d", &server.database("postgres"), "-c", "CREATE DATABASE avouch"]);
            match ask.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status() {
                Ok(status) if status.success() => return Ok(server),
                _ if Instant::now() > deadline => {
                    return Err(format!("PostgreSQL in {} does not answer", folder.display()));
                }
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    fn database(&self, name: &str) -> String {
        format!("postgres://avouch@127.0.0.1:{}/{name}", self.port)
    }

    /// Where `avouch` finds its database.
    pub(super) fn url(&self) -> String {
        self.database("avouch")
    }

    /// The first of its processes.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT: a fast shutdown, whoever is connected.
        let _ = output(Command::new("kill").args(["-INT", &self.child.id().to_string()]));
        let _ = self.child.wait();
    }
}

/// The newest installed version's programs, where Debian puts them.
fn programs() -> Result<PathBuf, String> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions
        .map(|version| version.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    found.sort();
    let missing = "there is no PostgreSQL (Debian: apt-get install postgresql); leave it out with \
                   --store sqlite";
    found.pop().ok_or_else(|| missing.to_owned())
}

fn is_root() -> Result<bool, String> {
    Ok(output(Command::new("id").arg("-u"))?.trim() == "0")
}

/// A command that does not run as root. It replaces `setpriv`, so that its id is the child's.
fn unprivileged(program: &Path) -> Result<Command, String> {
    if !is_root()? {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("setpriv");
    let user = format!("--reuid={USER}");
    command.args([user.as_str(), &format!("--regid={USER}"), "--clear-groups"]).arg(program);
    // The folder this program runs in may be closed to that user.
    command.current_dir("/");
    Ok(command)
}
