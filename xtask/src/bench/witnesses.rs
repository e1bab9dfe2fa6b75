//! Two witnesses on this machine, and what an auditor costs.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::Programs;
use crate::run::{cargo, failed, output};

/// A witness; it runs from the time that it was given a log, and is stopped when dropped.
struct Witness {
    config: PathBuf,
    listen: String,
    vkey: String,
    child: Option<Child>,
}

/// All witnesses of an installation.
pub(super) struct Witnesses {
    program: PathBuf,
    all: Vec<Witness>,
}

impl Witnesses {
    /// Makes two, below a folder.
    pub(super) fn new(program: &Path, folder: &Path) -> Result<Self, String> {
        let mut all = Vec::new();
        for name in ["one", "two"] {
            let folder = folder.join(name);
            let told = |e: std::io::Error| format!("{}: {e}", folder.display());
            std::fs::create_dir_all(&folder).map_err(told)?;
            let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            let listen = free.map_err(told)?.to_string();
            let config = folder.join("witness.toml");
            std::fs::write(&config, format!("[cosigner]\nlisten = {listen:?}\n")).map_err(told)?;
            let name = format!("{name}.bench.example/w");
            let mut init = Command::new(program);
            init.args(["witness", "init", "--name", &name, "--config"]).arg(&config);
            let vkey = output(&mut init)?.trim().to_owned();
            all.push(Witness { config, listen, vkey, child: None });
        }
        Ok(Self { program: program.to_owned(), all })
    }

    /// What an installation is told of them.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        let mut variables =
            vec![("AVOUCH_COSIGNING__WHEN_UNREACHABLE".to_owned(), "run".to_owned())];
        for (n, witness) in self.all.iter().enumerate() {
            let variable = |key: &str| format!("AVOUCH_COSIGNERS__W{n}__{key}");
            variables.push((variable("KIND"), "witness".to_owned()));
            variables.push((variable("VKEY"), witness.vkey.clone()));
            variables.push((variable("URL"), format!("http://{}", witness.listen)));
        }
        variables
    }

    /// Starts them on the log that a trust file names.
    pub(super) fn start(&mut self, trust: &Path) -> Result<(), String> {
        let told = |e: &dyn std::fmt::Display| format!("{}: {e}", trust.display());
        let text = std::fs::read_to_string(trust).map_err(|e| told(&e))?;
        let json: Value = serde_json::from_str(&text).map_err(|e| told(&e))?;
        let log = json["log"].as_str().ok_or_else(|| told(&"names no log"))?;
        let origin = log.split('+').next().unwrap_or_default();
        for witness in self.all.iter_mut().filter(|witness| witness.child.is_none()) {
            let listen = &witness.listen;
            let config =
                format!("[cosigner]\nlisten = {listen:?}\n[witness.logs]\n{origin:?} = {log:?}\n");
            std::fs::write(&witness.config, config).map_err(|e| told(&e))?;
            let errors = File::create(witness.config.with_extension("log"));
            let mut command = Command::new(&self.program);
            command.args(["witness", "run", "--config"]).arg(&witness.config);
            command
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(errors.map_err(|e| told(&e))?);
            let mut child = command.spawn().map_err(|e| failed(&command, &e))?;
            let stdout = child.stdout.take().ok_or("the witness has no standard output")?;
            let ready = BufReader::new(stdout).lines().map_while(Result::ok).next();
            witness.child = Some(child);
            if !ready.is_some_and(|line| line.starts_with("ready ")) {
                return Err(failed(&command, &"it did not become ready"));
            }
        }
        Ok(())
    }

    /// Process ids of those that run.
    pub(super) fn pids(&self) -> impl Iterator<Item = u32> + '_ {
        self.all.iter().filter_map(|witness| Some(witness.child.as_ref()?.id()))
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Processor time of an event, in µs: the authority's, and the auditor's who replays it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Audit {
    pub(super) authority: f64,
    pub(super) auditor: f64,
}

impl Audit {
    /// Measured by an end-to-end test that does nothing else: an auditor takes only what people
    /// signed, which the load generator does not do.
    pub(super) fn measure(programs: &Programs) -> Result<Self, String> {
        let name = "auditor::processor_time_of_the_auditor_and_of_the_authority";
        let mut command = cargo();
        command.args(["test", "--locked", "--package", "avouch-tests", "--test", "e2e", name]);
        command.args(["--", "--ignored", "--nocapture"]).env("AVOUCH_BIN", &programs.avouch);
        let said = output(&mut command)?;
        Self::read(&said).ok_or_else(|| failed(&command, &"no figure"))
    }

    /// `processor time of an event: authority N µs, auditor N µs, …`
    fn read(said: &str) -> Option<Self> {
        let line = said.lines().find_map(|line| line.split_once("processor time of an event: "))?.1;
        let of = |who: &str| -> Option<f64> {
            line.split_once(who)?.1.split_whitespace().next()?.parse().ok()
        };
        Some(Self { authority: of("authority ")?, auditor: of("auditor ")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figure_of_an_audit_is_read_from_what_the_test_prints() {
        let said = "running 1 test\nprocessor time of an event: authority 500 µs, auditor 400 µs, \
                    ratio 0.80\ntest auditor … ok";
        let audit = Audit::read(said).unwrap();
        assert_eq!((audit.authority, audit.auditor), (500.0, 400.0));
        assert!(Audit::read("running 0 tests").is_none());
    }
}
