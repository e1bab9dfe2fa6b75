//! Fuzzing: libFuzzer through `fuzz/`, a workspace of its own.
//!
//! The flags below are what `cargo fuzz` passes, without a sanitizer: the code under test has no
//! `unsafe`, panics and overflows are caught by themselves, and this way the pinned stable
//! toolchain is enough and nothing has to be installed. With a nightly one, `cargo fuzz run TARGET`
//! works too.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::manifest;
use crate::run::{Tally, cargo, failed, output, root, say};

const FLAGS: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];

/// Every target: a file in `fuzz/targets/`.
fn targets() -> Result<Vec<String>, String> {
    let folder = root().join("fuzz").join("targets");
    let told = |e: std::io::Error| format!("{}: {e}", folder.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(told)? {
        let path = entry.map_err(told)?.path();
        if path.extension().is_some_and(|e| e == "rs")
            && let Some(name) = path.file_stem().and_then(|n| n.to_str())
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn host() -> Result<String, String> {
    let text = output(Command::new("rustc").arg("-vV").current_dir(root()))?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc -vV names no host".to_owned())
}

/// Builds all targets and runs each (or the named ones) for a while, from its seeds and from what
/// earlier runs found. What makes one fail is kept in `fuzz/artifacts/TARGET/`.
pub(crate) fn smoke(tally: &mut Tally, each: Duration, only: &[String]) -> Result<(), String> {
    let all = targets()?;
    if let Some(unknown) = only.iter().find(|name| !all.contains(name)) {
        return Err(format!("no fuzz target {unknown:?}; there are: {}", all.join(", ")));
    }
    let host = host()?;
    let target = manifest::workspace()?.target.join("fuzz");
    let fuzz = root().join("fuzz");
    // The same versions as everywhere; cargo adds the fuzzing engine to the copy.
    std::fs::copy(root().join("Cargo.lock"), fuzz.join("Cargo.lock"))
        .map_err(|e| format!("fuzz/Cargo.lock: {e}"))?;
    let mut build = cargo();
    build.current_dir(&fuzz).args(["build", "--quiet", "--bins", "--target", &host]);
    build.env("CARGO_TARGET_DIR", &target).env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"));
    tally.stage("fuzz targets: build", &mut build)?;
    for name in all.iter().filter(|name| only.is_empty() || only.contains(name)) {
        let program = target.join(&host).join("debug").join(name);
        run(tally, &fuzz, name, &program, each)?;
    }
    Ok(())
}

fn run(
    tally: &mut Tally,
    fuzz: &Path,
    name: &str,
    program: &Path,
    each: Duration,
) -> Result<(), String> {
    let corpus = fuzz.join("corpus").join(name);
    let artifacts = fuzz.join("artifacts").join(name);
    say(&format!("fuzz {name}"));
    for folder in [&corpus, &artifacts] {
        std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    let mut command = Command::new(program);
    command.current_dir(fuzz).arg(&corpus).args(seeds(fuzz, name));
    command.arg(format!("-max_total_time={}", each.as_secs().max(1)));
    command.arg(format!("-artifact_prefix={}/", artifacts.display()));
    command.args(["-timeout=10", "-rss_limit_mb=1024", "-max_len=20000", "-verbosity=0"]);
    command.arg("-print_final_stats=1");
    let output = command.stdin(Stdio::null()).output().map_err(|e| failed(&command, &e))?;
    let log = String::from_utf8_lossy(&output.stderr);
    let units = log.lines().find_map(|l| l.strip_prefix("stat::number_of_executed_units: "));
    let runs = units.map_or("no", str::trim);
    if !output.status.success() {
        let lines: Vec<&str> = log.lines().collect();
        eprintln!("{}", lines[lines.len().saturating_sub(60)..].join("\n"));
        eprintln!("what makes {name} fail is in {}", artifacts.display());
    }
    tally.note(&format!("fuzz {name} ({runs} runs)"), output.status.success() && runs != "no");
    Ok(())
}

/// Folders of seeds: the target's own, and for formats of ours their test vectors.
fn seeds(fuzz: &Path, name: &str) -> Vec<PathBuf> {
    let own = fuzz.join("seeds").join(name);
    if own.is_dir() { vec![own] } else { vec![root().join("wire").join("vectors")] }
}
