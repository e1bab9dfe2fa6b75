//! What the tests need besides Rust: Debian packages, and programs from PyPI.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::manifest;
use crate::run::{cargo, failed, output, say};

/// A program from PyPI, in an environment of its own. Its version is fixed: a newer one may find
/// more, and that should be somebody's decision.
struct Tool {
    name: &'static str,
    version: &'static str,
    /// One of its programs.
    program: &'static str,
    /// Tells the tests the folder of its programs.
    variable: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool {
        name: "pkilint",
        version: "0.13.3",
        program: "lint_pkix_cert",
        variable: "AVOUCH_PKILINT_BIN",
    },
    Tool {
        name: "schemathesis",
        version: "4.32.5",
        program: "schemathesis",
        variable: "AVOUCH_SCHEMATHESIS_BIN",
    },
];

/// A Debian package, what it is for, and how to see that it is there.
struct Package {
    name: &'static str,
    what_for: &'static str,
    present: fn() -> bool,
}

const PACKAGES: &[Package] = &[
    Package {
        name: "softhsm2",
        what_for: "a software PKCS#11 token",
        present: || runs("softhsm2-util", &["--version"]) && softhsm().is_some(),
    },
    Package {
        name: "opensc",
        what_for: "pkcs11-tool",
        present: || {
            // It exits with 1 for --help.
            starts("pkcs11-tool", &["--help"])
        },
    },
    Package {
        name: "openssl",
        what_for: "requests and second opinions",
        present: || runs("openssl", &["version"]),
    },
    Package {
        name: "postgresql-15",
        what_for: "the other database",
        present: || Path::new("/usr/lib/postgresql/15/bin/initdb").exists(),
    },
    Package { name: "curl", what_for: "the quick start", present: || runs("curl", &["--version"]) },
    Package {
        name: "python3-venv",
        what_for: "the certificate linter, and requests made from the API's description",
        present: || runs("python3", &["-c", "import venv, ensurepip"]),
    },
    Package {
        name: "g++",
        what_for: "the fuzzing engine",
        present: || runs("c++", &["--version"]),
    },
];

/// SoftHSM's module.
fn softhsm() -> Option<&'static Path> {
    ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"]
        .iter()
        .map(Path::new)
        .find(|p| p.exists())
}

fn starts(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok()
}

fn runs(program: &str, args: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|s| s.success())
}

/// Installs what is missing; does nothing when all is there.
pub(crate) fn setup() -> Result<(), String> {
    say("set-up");
    packages()?;
    let target = manifest::workspace()?.target;
    TOOLS.iter().try_for_each(|tool| tool.install(&target))
}

fn packages() -> Result<(), String> {
    let missing: Vec<&Package> = PACKAGES.iter().filter(|p| !(p.present)()).collect();
    if missing.is_empty() {
        println!("Debian packages: all present");
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|p| p.name).collect();
    for package in &missing {
        println!("missing: {} ({})", package.name, package.what_for);
    }
    let by_hand = format!("apt-get install --no-install-recommends {}", names.join(" "));
    if !runs("apt-get", &["--version"]) {
        return Err(format!("this is no Debian system; install the like of: {}", names.join(" ")));
    }
    if output(Command::new("id").arg("-u"))?.trim() != "0" {
        return Err(format!(
            "not root, so nothing is installed; run this, then try again:\n  {by_hand}"
        ));
    }
    println!("running: apt-get update; {by_hand}");
    apt(&["update", "-qq"])?;
    let mut args = vec!["install", "-qq", "--yes", "--no-install-recommends"];
    args.extend(&names);
    apt(&args)?;
    let still: Vec<&str> = missing.iter().filter(|p| !(p.present)()).map(|p| p.name).collect();
    if still.is_empty() { Ok(()) } else { Err(format!("installed, but not working: {still:?}")) }
}

fn apt(args: &[&str]) -> Result<(), String> {
    let mut command = Command::new("apt-get");
    command.args(args).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    let status = command.status().map_err(|e| failed(&command, &e))?;
    if status.success() { Ok(()) } else { Err(failed(&command, &status)) }
}

impl Tool {
    /// Folder of its programs, below cargo's target folder.
    fn bin(&self, target: &Path) -> PathBuf {
        target.join("tools").join(self.name).join("bin")
    }

    fn install(&self, target: &Path) -> Result<(), String> {
        let wanted = format!("{}=={}", self.name, self.version);
        let bin = self.bin(target);
        let venv = bin.parent().ok_or("no folder for the tool")?;
        // Written last, so that an interrupted installation is done again.
        let mark = venv.join("installed");
        if std::fs::read_to_string(&mark).is_ok_and(|version| version == wanted) {
            println!("{wanted}: present in {}", venv.display());
            return Ok(());
        }
        println!("installing {wanted} into {}", venv.display());
        output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv))?;
        let mut pip = Command::new(bin.join("pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", &wanted]);
        output(&mut pip)?;
        std::fs::write(&mark, &wanted).map_err(|e| format!("{}: {e}", mark.display()))
    }
}

/// Environment of the tests.
pub(crate) fn environment(command: &mut Command, target: &Path) {
    command.env("AVOUCH_BIN", target.join("debug").join("avouch"));
    for tool in TOOLS {
        let bin = tool.bin(target);
        if bin.join(tool.program).exists() {
            command.env(tool.variable, bin);
        }
    }
}

/// Fetches crates first, so that a network failure is not taken for a failing test.
pub(crate) fn fetch() -> Result<(), String> {
    output(cargo().args(["fetch", "--locked"])).map(drop)
}
