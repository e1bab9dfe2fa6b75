//! The stages of CI.

use std::process::Command;

use crate::run::{Tally, cargo, say};
use crate::{licences, manifest, setup, source};

/// Everything but tests. A failing stage is counted and the next one runs: one look shows all.
pub(crate) fn lint(tally: &mut Tally) -> Result<(), String> {
    setup::fetch()?;
    let workspace = manifest::workspace()?;
    say("rules of the workspace");
    tally.findings("direction of the crate arrows", &workspace.wrong_arrows());
    tally.findings("licences", &licences::refused(&workspace.licences));
    for (rule, findings) in source::findings(&workspace)? {
        tally.findings(rule, &findings);
    }
    tally.stage("formatting", cargo().args(["fmt", "--all", "--check"]))?;
    let mut clippy = cargo();
    clippy.args([
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]);
    tally.stage("clippy", &mut clippy)?;
    let mut docs = cargo();
    docs.args(["doc", "--locked", "--workspace", "--no-deps", "--quiet"]);
    docs.env("RUSTDOCFLAGS", "-D warnings");
    tally.stage("docs", &mut docs)
}

/// All tests of the workspace; with `long`, the long figures.
pub(crate) fn tests(tally: &mut Tally, long: bool) -> Result<(), String> {
    let target = manifest::workspace()?.target;
    // The end-to-end tests run the real program.
    tally.stage("build", cargo().args(["build", "--locked", "--workspace", "--quiet"]))?;
    let mut test = cargo();
    test.args(["test", "--locked", "--workspace", "--no-fail-fast", "--quiet"]);
    environment(&mut test, long);
    setup::environment(&mut test, &target);
    tally.cargo_tests("tests", &mut test)
}

fn environment(test: &mut Command, long: bool) {
    if long {
        test.env("AVOUCH_LONG", "1");
    }
}
