//! Automation of the workspace: `cargo run -p xtask -- COMMAND`, behind the `Makefile`.
//!
//! Only the standard library and a JSON reader are used, so that nothing has to be built before
//! the first message appears.

mod bench;
mod demo;
mod fuzz;
mod licences;
mod manifest;
mod run;
mod setup;
mod source;
mod stages;

use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "\
cargo run -p xtask -- COMMAND

  setup               install the Debian packages and the tools that tests need; says what it does
  lint                formatting, clippy, docs, crate arrows, licences, source rules
  ci                  lint, then all tests (no set-up, no fuzzing)
  test                setup, lint, all tests, every fuzz target for a few seconds
  test-long           the same, with the long figures (hours of rounds, not minutes)
  fuzz [--seconds N] [TARGET]...
                      run the fuzz targets, each for N seconds (60)
  bench [--full] [--key K] [--store S] [--rounds N] [--seconds S] [--dry]
                      measure issuance against the bare token; writes docs/performance.md
  demo                tell the story of README.md with a real server; data stays in ./demo

The last line of `ci`, `test` and `test-long` is «N passed, N failed».
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = args.split_first().map_or(("", &[][..]), |(c, r)| (c.as_str(), r));
    let outcome = match command {
        "setup" => setup::setup().map(|()| true),
        "lint" => finish(stages::lint),
        "ci" => finish(|tally| {
            stages::lint(tally)?;
            stages::tests(tally, false)
        }),
        "test" => whole(false),
        "test-long" => whole(true),
        "fuzz" => fuzz_command(rest),
        "demo" => demo::demo().map(|()| true),
        "bench" => bench::bench(rest).map(|()| true),
        "" | "help" | "--help" | "-h" => {
            print!("{USAGE}");
            return if command.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
        other => Err(format!("no command {other:?}\n\n{USAGE}")),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("xtask: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Everything: what CI runs, and what a developer runs before a commit.
fn whole(long: bool) -> Result<bool, String> {
    finish(|tally| {
        setup::setup()?;
        stages::lint(tally)?;
        stages::tests(tally, long)?;
        let each = Duration::from_secs(if long { 600 } else { 4 });
        fuzz::smoke(tally, each, &[])
    })
}

fn fuzz_command(args: &[String]) -> Result<bool, String> {
    let mut seconds = 60;
    let mut targets = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--seconds" {
            let n = args.next().ok_or("--seconds needs a number")?;
            seconds = n.parse().map_err(|_| format!("--seconds {n}: not a number"))?;
        } else {
            targets.push(arg.clone());
        }
    }
    finish(|tally| fuzz::smoke(tally, Duration::from_secs(seconds), &targets))
}

/// Runs `work`, prints the summary, and says whether all is well. An error in the machinery counts
/// as one failure, so that the last line never claims success.
fn finish(work: impl FnOnce(&mut run::Tally) -> Result<(), String>) -> Result<bool, String> {
    let mut tally = run::Tally::default();
    if let Err(reason) = work(&mut tally) {
        tally.note(&reason, false);
    }
    Ok(tally.report())
}
