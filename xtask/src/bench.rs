//! `xtask bench`: what issuance costs, held against the bare token on the same machine in the same
//! minutes.
//!
//! Everything that is compared is run in turn, round after round, so that whatever else the machine
//! does meets all of it alike; a figure is the median of the rounds.

mod figures;
mod options;
mod postgres;
mod report;
mod server;
mod witnesses;

use std::path::{Path, PathBuf};
use std::process::Command;

use figures::{Figures, Raw, Run};
use options::Options;
use server::Server;
use witnesses::Audit;

use crate::run::{cargo, failed, output, root, say};
use crate::{manifest, setup};

/// Measures and, unless told otherwise, writes `docs/performance.md`.
pub(crate) fn bench(args: &[String]) -> Result<(), String> {
    let options = Options::parse(args)?;
    setup::setup()?;
    say("building");
    let programs = Programs::build()?;
    let folder = programs.target.join("bench");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;

    let mut all: Vec<Figures> = options.setups.iter().map(|setup| Figures::new(*setup)).collect();
    let mut servers = Vec::new();
    for setup in &options.setups {
        servers.push(Server::new(&programs, &folder, *setup)?);
    }
    let disk_ms = disk(&folder)?;
    for round in 1..=options.rounds {
        for (server, figures) in servers.iter_mut().zip(&mut all) {
            say(&format!("round {round} of {}: {}", options.rounds, server.setup));
            one_round(&programs, &options, server, figures)?;
        }
    }
    drop(servers);
    let audit = match options.setups.iter().any(|setup| setup.witnessed) {
        true => {
            say("an auditor");
            Some(Audit::measure(&programs)?)
        }
        false => None,
    };
    let text = report::text(&options, &all, audit, disk_ms);
    println!("\n{text}");
    if let Some(path) = &options.out {
        std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))?;
        println!("written to {}", path.display());
    }
    Ok(())
}

fn one_round(
    programs: &Programs,
    options: &Options,
    server: &mut Server,
    figures: &mut Figures,
) -> Result<(), String> {
    for threads in server.setup.threads().iter().copied() {
        let raw = programs.raw(server, options.seconds / 2.0, threads)?;
        println!("the token alone, {threads} threads: {:.0}/s", raw.rate());
        figures.raw(threads, raw);
    }
    server.running(|running| {
        for clients in figures.setup.clients().iter().copied() {
            let run = programs.load(running, options.seconds, clients)?;
            println!(
                "{clients} clients: {:.0}/s, p50 {:.2} ms, p99 {:.2} ms",
                run.rate(),
                run.p50,
                run.p99
            );
            figures.run(clients, run);
        }
        if figures.syncs.is_none() && !figures.setup.slow {
            figures.syncs = running.syncs(|| programs.load(running, 1.0, 1))?;
        }
        Ok(())
    })
}

/// Milliseconds that one append of a page takes until it is durable where the databases are.
fn disk(folder: &Path) -> Result<f64, String> {
    use std::io::Write;
    let path = folder.join("disk");
    let told = |e: std::io::Error| format!("{}: {e}", path.display());
    let mut file = std::fs::File::create(&path).map_err(told)?;
    let mut times = Vec::new();
    for _ in 0..100 {
        let start = std::time::Instant::now();
        file.write_all(&[7; 4096]).and_then(|()| file.sync_data()).map_err(told)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(figures::median(times))
}

/// What is measured, and what measures.
struct Programs {
    target: PathBuf,
    avouch: PathBuf,
    load: PathBuf,
    raw: PathBuf,
    /// The module that makes a token slow.
    shim: PathBuf,
}

impl Programs {
    fn build() -> Result<Self, String> {
        let packages = ["--package", "avouch-cli", "--package", "avouch-bench"];
        let build = ["build", "--release", "--locked"];
        output(cargo().args(build).args(packages).args(["--bins"]))?;
        let raw = ["--package", "avouch-pkcs11", "--example", "raw_sign"];
        output(cargo().args(build).args(raw))?;
        output(cargo().args(build).args(["--package", "avouch-pkcs11-shim", "--lib"]))?;
        let target = manifest::workspace()?.target;
        let release = target.join("release");
        Ok(Self {
            avouch: release.join("avouch"),
            load: release.join("avouch-bench-load"),
            raw: release.join("examples").join("raw_sign"),
            shim: release.join("libavouch_pkcs11_shim.so"),
            target,
        })
    }

    /// The token of a server that does not run, by itself.
    fn raw(&self, server: &Server, seconds: f64, threads: usize) -> Result<Raw, String> {
        let mut command = Command::new(&self.raw);
        command
            .arg(server.module())
            .arg(server::TOKEN)
            .arg(server.folder.join("pin"))
            .args([server::ISSUING_KEY, &seconds.to_string(), &threads.to_string()])
            .envs(server.module_env());
        Raw::read(&output(&mut command)?).ok_or_else(|| failed(&command, &"an odd line"))
    }

    fn load(&self, running: &server::Running, seconds: f64, clients: usize) -> Result<Run, String> {
        let mut command = Command::new(&self.load);
        command.args(running.arguments()).args([
            "--clients",
            &clients.to_string(),
            "--seconds",
            &seconds.to_string(),
        ]);
        Run::read(&output(&mut command)?).ok_or_else(|| failed(&command, &"an odd line"))
    }
}

/// Where the figures are kept.
fn document() -> PathBuf {
    root().join("docs").join("performance.md")
}
