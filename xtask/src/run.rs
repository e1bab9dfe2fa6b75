//! Running commands, and counting what passed.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

/// What passed and what failed so far.
#[derive(Default)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
    lines: Vec<String>,
}

impl Tally {
    /// Counts one check.
    pub(crate) fn note(&mut self, what: &str, ok: bool) {
        if ok {
            self.passed += 1;
        } else {
            self.failed += 1;
            eprintln!("FAILED: {what}");
        }
        self.lines.push(format!("{} {what}", if ok { "ok    " } else { "FAILED" }));
    }

    /// Counts a check that a list of findings decides: none is good.
    pub(crate) fn findings(&mut self, what: &str, findings: &[String]) {
        for finding in findings {
            eprintln!("{what}: {finding}");
        }
        self.note(what, findings.is_empty());
    }

    /// Runs a command as one check.
    pub(crate) fn stage(&mut self, what: &str, command: &mut Command) -> Result<(), String> {
        say(what);
        let start = Instant::now();
        let status = command.stdin(Stdio::null()).status().map_err(|e| failed(command, &e))?;
        self.note(&format!("{what} ({} s)", start.elapsed().as_secs()), status.success());
        Ok(())
    }

    /// Runs `cargo test`, counts its `test result:` lines, and passes its output on.
    pub(crate) fn cargo_tests(&mut self, what: &str, command: &mut Command) -> Result<(), String> {
        say(what);
        let start = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| failed(command, &e))?;
        let mut counts = Counts::default();
        let stdout = child.stdout.take().ok_or("the child has no standard output")?;
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(|e| failed(command, &e))?;
            counts.add(&line);
            println!("{line}");
        }
        let status = child.wait().map_err(|e| failed(command, &e))?;
        let Counts { passed, mut failed, ignored } = counts;
        if (!status.success() && failed == 0) || passed + failed == 0 {
            // It did not compile, a test program died, or no test was found.
            failed += 1;
        }
        self.passed += passed;
        self.failed += failed;
        self.ignored += ignored;
        let word = if failed == 0 { "ok    " } else { "FAILED" };
        let seconds = start.elapsed().as_secs();
        self.lines.push(format!(
            "{word} {what} ({passed} passed, {failed} failed, {ignored} ignored, {seconds} s)"
        ));
        Ok(())
    }

    /// Prints the summary and, as the last line, the sums. True when something ran and all of it
    /// passed.
    pub(crate) fn report(&self) -> bool {
        println!("\nSummary");
        for line in &self.lines {
            println!("  {line}");
        }
        if self.ignored > 0 {
            println!("  {} tests are ignored; `make test-long` has its own figures", self.ignored);
        }
        println!("{} passed, {} failed", self.passed, self.failed);
        self.failed == 0 && self.passed > 0
    }
}

/// Sums over the result lines of test programs.
#[derive(Default, Debug, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Counts {
    /// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; …`; ignores any other line.
    fn add(&mut self, line: &str) {
        let Some((_, sums)) = line.strip_prefix("test result: ").and_then(|r| r.split_once(". "))
        else {
            return;
        };
        for sum in sums.split("; ") {
            let Some((number, word)) = sum.trim().split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

/// Announces a stage.
pub(crate) fn say(what: &str) {
    println!("\n=== {what}");
}

/// What to say when a command could not be run.
pub(crate) fn failed(command: &Command, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", command.get_program().to_string_lossy())
}

/// The cargo that runs this program, in the workspace's root.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    // `cargo run` sets these for xtask; inherited, they would make dependencies build again.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// The workspace's root.
pub(crate) fn root() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this crate stands in a folder of the workspace")
}

/// Standard output of a command that must succeed.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| failed(command, &e))?;
    if !output.status.success() {
        return Err(failed(command, &output.status));
    }
    String::from_utf8(output.stdout).map_err(|e| failed(command, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_summed_and_others_are_not() {
        let mut counts = Counts::default();
        counts.add("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out");
        counts
            .add("test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 5 filtered out");
        counts.add("test tests::five_passed ... ok");
        counts.add("running 7 tests");
        assert_eq!(counts, Counts { passed: 5, failed: 1, ignored: 1 });
    }

    #[test]
    fn a_test_run_that_finds_no_test_is_a_failure() {
        let mut tally = Tally::default();
        tally.cargo_tests("nothing", Command::new("true").arg("")).unwrap();
        assert!(!tally.report());
    }

    #[test]
    fn a_test_run_that_dies_without_a_result_is_a_failure() {
        let mut tally = Tally::default();
        tally.note("something else", true);
        tally.cargo_tests("dies", &mut Command::new("false")).unwrap();
        assert_eq!((tally.passed, tally.failed), (1, 1));
    }
}
