//! How a worker is started and which token it opens.

use crate::HsmError;
use crate::locked::Locked;
use crate::template::Template;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroize;

/// A worker's variable with the text that its module wants when it is initialised, in the reserved
/// field of `C_Initialize`'s arguments; for those few that want one.
pub const MODULE_ARGUMENTS: &str = "AVOUCH_MODULE_ARGUMENTS";

/// The program that calls [`crate::worker::run`], normally this executable with `hsm-worker`.
///
/// Name the executable as `/proc/self/exe`: after an upgrade in place, `current_exe` would be another
/// build than the one that runs, which the greeting refuses. The PIN never goes here: arguments and environment are readable by others on the host.
#[derive(Clone, Debug)]
pub struct WorkerCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables added to the environment, such as `SOFTHSM2_CONF`.
    pub envs: Vec<(String, String)>,
}

impl WorkerCommand {
    /// A command without arguments and extra environment.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        WorkerCommand { program: program.into(), args: Vec::new(), envs: Vec::new() }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds a variable to the worker's environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.envs.push((name.into(), value.into()));
        self
    }
}

/// Which of a module's tokens is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenSelector {
    /// By CKA-style label, as given at initialisation.
    Label(String),
    /// By the token's serial number, which survives slot renumbering.
    Serial(String),
    /// By slot number. Slot numbers change on many modules: last resort.
    Slot(u64),
}

impl fmt::Display for TokenSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenSelector::Label(label) => write!(f, "with label «{label}»"),
            TokenSelector::Serial(serial) => write!(f, "with serial number {serial}"),
            TokenSelector::Slot(slot) => write!(f, "in slot {slot}"),
        }
    }
}

/// What holds the keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Backend {
    /// A token behind a PKCS#11 module.
    Token {
        /// Path of the module.
        module: PathBuf,
        /// The token.
        token: TokenSelector,
    },
    /// Key files in a folder, for those without an HSM. No identity may ever move with these.
    Software {
        /// The folder, created with mode 0700 when missing.
        dir: PathBuf,
    },
}

/// Everything about one token that is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenConfig {
    /// What holds the keys.
    pub backend: Backend,
    /// Sessions, each with its thread, per worker process. Default 2.
    pub sessions: usize,
    /// Worker processes. Default 1. Modules that lock inside scale only by process.
    pub workers: usize,
    /// Longest time from handing a request to a worker until its answer; past it the worker
    /// counts as hung and is replaced. Default 10 s.
    pub deadline: Duration,
    /// The same for key generation, which takes long on small tokens. Default 180 s.
    pub generate_deadline: Duration,
    /// Longest time for loading the module, logging in and the challenges. Default 30 s.
    pub start_deadline: Duration,
    /// A session that nobody used for so long is used by ourselves, since some tokens close idle
    /// ones; zero leaves them alone. Default 10 s.
    pub keep_alive: Duration,
    /// Most memory of a worker process in MiB; past it the process is replaced, since some modules
    /// leak. Default 1024.
    pub memory: u32,
    /// What the token is told of the keys that it makes.
    pub template: Template,
}

impl TokenConfig {
    /// A token with the defaults.
    pub fn token(module: impl Into<PathBuf>, token: TokenSelector) -> Self {
        Self::with(Backend::Token { module: module.into(), token })
    }

    /// Key files with the defaults.
    pub fn software(dir: impl Into<PathBuf>) -> Self {
        Self::with(Backend::Software { dir: dir.into() })
    }

    fn with(backend: Backend) -> Self {
        TokenConfig {
            backend,
            sessions: 2,
            workers: 1,
            deadline: Duration::from_secs(10),
            generate_deadline: Duration::from_secs(180),
            start_deadline: Duration::from_secs(30),
            keep_alive: Duration::from_secs(10),
            memory: 1024,
            template: Template::default(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), HsmError> {
        let detail = match self {
            c if !(1..=256).contains(&c.sessions) => {
                format!("sessions is {}, must be 1 to 256", c.sessions)
            }
            c if !(1..=64).contains(&c.workers) => {
                format!("workers is {}, must be 1 to 64", c.workers)
            }
            c if c.deadline.is_zero()
                || c.generate_deadline.is_zero()
                || c.start_deadline.is_zero() =>
            {
                "a deadline is zero".to_owned()
            }
            _ => return Ok(()),
        };
        Err(HsmError::Config { detail })
    }
}

/// A user PIN, in locked memory that is wiped at the end; shown by nothing.
#[derive(Clone)]
pub struct Pin(Arc<Locked>);

impl Pin {
    /// Takes the PIN over and wipes the caller's string.
    pub fn new(mut pin: String) -> Self {
        let locked = Locked::copy_of(pin.as_bytes());
        pin.zeroize();
        Pin(Arc::new(locked))
    }

    /// No PIN, for key files.
    pub fn none() -> Self {
        Pin(Arc::new(Locked::zeroed(0)))
    }

    /// Whether the system promised that it is never swapped out (`ulimit -l`).
    pub fn is_locked(&self) -> bool {
        self.0.is_locked()
    }

    /// Whether it is the same.
    pub(crate) fn is(&self, other: &Pin) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }

    pub(crate) fn expose(&self) -> &str {
        // It was a string when it came; nobody writes to it.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl From<SecretString> for Pin {
    fn from(pin: SecretString) -> Self {
        Pin(Arc::new(Locked::copy_of(pin.expose_secret().as_bytes())))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(…)")
    }
}
