//! An installation under `avouch dev`, started for each round and stopped after it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Programs;
use super::figures::Run;
use super::options::{SLOW_SESSIONS, Setup, Store};
use super::postgres::Postgres;
use super::witnesses::Witnesses;
use crate::run::{failed, output};

/// What `avouch dev` uses.
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
pub(super) const TOKEN: &str = "avouch-dev";
/// What the ceremony calls the key that signs certificates.
pub(super) const ISSUING_KEY: &str = "avouch issuing";

/// An installation.
pub(super) struct Server {
    pub(super) setup: Setup,
    pub(super) folder: PathBuf,
    program: PathBuf,
    shim: PathBuf,
    postgres: Option<Postgres>,
    witnesses: Option<Witnesses>,
    starts: usize,
}

impl Server {
    /// Makes it and starts it once, so that its token has keys.
    pub(super) fn new(programs: &Programs, folder: &Path, setup: Setup) -> Result<Self, String> {
        let name = setup.to_string().replace(", ", "-").replace(' ', "-").to_lowercase();
        let folder = folder.join(name);
        let postgres = match setup.store {
            Store::Sqlite => None,
            Store::Postgres => Some(Postgres::start(&folder.with_extension("pg"))?),
        };
        let witnesses = match setup.witnessed {
            true => Some(Witnesses::new(&programs.avouch, &folder.with_extension("cosigners"))?),
            false => None,
        };
        let (program, shim) = (programs.avouch.clone(), programs.shim.clone());
        let mut server = Self { setup, folder, program, shim, postgres, witnesses, starts: 0 };
        server.running(|_| Ok(()))?;
        if let Some(witnesses) = &mut server.witnesses {
            witnesses.start(&server.folder.join("trust.json"))?;
        }
        if setup.slow {
            server.slow_down()?;
        }
        Ok(server)
    }

    /// Puts the shim before the token, with a delay in each C_Sign.
    fn slow_down(&self) -> Result<(), String> {
        let told = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
        let folder = self.shim_folder();
        let write = |path: PathBuf, bytes: &[u8]| {
            std::fs::write(&path, bytes).map_err(|error| told(&path, error))
        };
        std::fs::create_dir_all(&folder).map_err(|error| told(&folder, error))?;
        write(folder.join("control"), b"rule 1 C_Sign delay=5\n")?;
        write(folder.join("report"), &vec![0; 1 << 20])?;
        let config = self.folder.join("avouch.toml");
        let text = std::fs::read_to_string(&config).map_err(|error| told(&config, error))?;
        let env = self.module_env().map(|(name, value)| format!("{name} = {value:?}"));
        let lines = text.lines().map(|line| match line.split(" = ").next() {
            Some("module") => format!("module = {:?}\nsessions = {SLOW_SESSIONS}", self.shim),
            Some("env") => format!("env = {{ {} }}", env.join(", ")),
            _ => line.to_owned(),
        });
        let text = lines.collect::<Vec<_>>().join("\n");
        if !text.contains("AVOUCH_SHIM_FOLDER") {
            return Err(format!("{}: no line `env = …`", config.display()));
        }
        write(config, text.as_bytes())
    }

    fn shim_folder(&self) -> PathBuf {
        self.folder.with_extension("shim")
    }

    /// The module that the authority loads.
    pub(super) fn module(&self) -> &Path {
        if self.setup.slow { &self.shim } else { Path::new(MODULE) }
    }

    /// What that module wants in the environment.
    pub(super) fn module_env(&self) -> [(&'static str, String); 3] {
        [
            ("SOFTHSM2_CONF", self.folder.join("softhsm2.conf").display().to_string()),
            ("AVOUCH_SHIM_MODULE", MODULE.to_owned()),
            ("AVOUCH_SHIM_FOLDER", self.shim_folder().display().to_string()),
        ]
    }

    /// Starts it, does something with it, stops it.
    pub(super) fn running<T>(
        &mut self,
        work: impl FnOnce(&Running) -> Result<T, String>,
    ) -> Result<T, String> {
        self.starts += 1;
        let log_path = self.folder.with_extension("log");
        let log = File::options().create(true).append(true).open(&log_path);
        let log = log.map_err(|e| format!("{}: {e}", log_path.display()))?;
        let mut command = Command::new(&self.program);
        command.args(["dev", "--listen", "127.0.0.1:0", "--key", self.setup.key.argument()]);
        command.arg("--data").arg(&self.folder);
        if let Some(postgres) = &self.postgres {
            command.args(["--store", &postgres.url()]);
        }
        command.envs(self.witnesses.iter().flat_map(Witnesses::environment));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().map_err(|e| failed(&command, &e))?;
        let stdout = child.stdout.take().ok_or("the server has no standard output")?;
        let mut running = Running {
            child,
            address: String::new(),
            folder: self.folder.clone(),
            prefix: format!("{}-", self.starts),
            watch: Vec::new(),
            runs: std::cell::Cell::new(0),
        };
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let ready = lines.find_map(|line| line.strip_prefix("ready https://").map(str::to_owned));
        running.address = ready.ok_or_else(|| {
            format!("the server did not become ready, see {}", log_path.display())
        })?;
        running.find_processes(self.postgres.as_ref())?;
        let witnesses = self.witnesses.iter().flat_map(Witnesses::pids);
        running.watch.extend(witnesses.map(|pid| ("witnesses", pid)));
        work(&running)
    }
}

/// A running installation; stopped when dropped.
pub(super) struct Running {
    child: Child,
    address: String,
    folder: PathBuf,
    prefix: String,
    /// Process ids by what they are.
    watch: Vec<(&'static str, u32)>,
    runs: std::cell::Cell<usize>,
}

impl Running {
    fn find_processes(&mut self, postgres: Option<&Postgres>) -> Result<(), String> {
        for part in ["authority", "gateway"] {
            let path = self.folder.join("run").join(part).with_extension("pid");
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let pid = text.trim().parse().map_err(|_| format!("{}: no id", path.display()))?;
            self.watch.push((part, pid));
        }
        let authority = self.watch[0].1;
        self.watch.extend(children(authority).into_iter().map(|pid| ("worker", pid)));
        if let Some(postgres) = postgres {
            self.watch.push(("database", postgres.pid()));
            self.watch.extend(children(postgres.pid()).into_iter().map(|pid| ("database", pid)));
        }
        Ok(())
    }

    /// Arguments with which the load generator finds it. Each call names people who were never
    /// named before.
    pub(super) fn arguments(&self) -> Vec<String> {
        let run = self.runs.get() + 1;
        self.runs.set(run);
        let file = |name: &str| self.folder.join(name).display().to_string();
        let mut arguments = vec![
            "--address".to_owned(),
            self.address.clone(),
            "--ca".to_owned(),
            file("tls-ca.pem"),
            "--agent".to_owned(),
            file("agent.pem"),
            file("agent.key"),
            "--prefix".to_owned(),
            format!("{}{run}-", self.prefix),
        ];
        for (name, pid) in &self.watch {
            arguments.extend(["--watch".to_owned(), format!("{name}={pid}")]);
        }
        arguments
    }

    /// fdatasync calls of the authority for each certificate of `work`, where strace is there to
    /// count them. They are PostgreSQL's own where the store is that.
    pub(super) fn syncs(
        &self,
        work: impl FnOnce() -> Result<Run, String>,
    ) -> Result<Option<f64>, String> {
        let counted = self.folder.with_extension("strace");
        let traced = self.watch.iter().filter(|(name, _)| ["authority", "database"].contains(name));
        let mut command = Command::new("strace");
        command.args(["-f", "-q", "-e", "trace=fdatasync,fsync", "-o"]).arg(&counted);
        traced.for_each(|(_, pid)| {
            command.args(["-p", &pid.to_string()]);
        });
        let Ok(mut strace) = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn() else {
            return Ok(None);
        };
        // The file appears when strace runs, and a moment later it is attached.
        std::thread::sleep(Duration::from_millis(300));
        let run = work();
        let _ = Command::new("kill").args(["-INT", &strace.id().to_string()]).status();
        let _ = strace.wait();
        let calls = std::fs::read_to_string(&counted).unwrap_or_default();
        let calls = calls.lines().filter(|line| line.contains("sync(")).count();
        Ok(Some(calls as f64 / run?.issued_ever.max(1.0)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = output(Command::new("kill").arg(self.child.id().to_string()));
        let deadline = Instant::now() + Duration::from_secs(20);
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Processes whose parent this one is (proc(5)).
fn children(parent: u32) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
