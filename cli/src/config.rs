//! `avouch.toml`: read raw, then checked once into what the processes are given.

mod check;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) use check::{Config, ConfigError, HsmConfig};

/// The file as written. Unknown keys are refused.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Raw {
    /// Where the database is.
    pub(crate) store: RawStore,
    /// What holds the issuing key.
    pub(crate) hsm: RawHsm,
    /// What holds the root key, when it is not the same; needed by `avouch init` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) root_hsm: Option<RawHsm>,
    /// The HTTPS side.
    pub(crate) gateway: RawGateway,
    /// The sockets.
    #[serde(default)]
    pub(crate) sockets: RawSockets,
}

/// `[store]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawStore {
    /// The SQLite file.
    pub(crate) path: PathBuf,
}

/// `[hsm]`, `[root_hsm]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawHsm {
    /// The PKCS#11 module; exactly one of `module` and `software`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) module: Option<PathBuf>,
    /// Label of the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
    /// A folder for key files, for those without an HSM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) software: Option<PathBuf>,
    /// The PIN in a file that only this user can read; exactly one of the four.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pin_file: Option<PathBuf>,
    /// The PIN as a systemd credential of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pin_credential: Option<String>,
    /// The PIN in an environment variable of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pin_env: Option<String>,
    /// The PIN is asked for on the terminal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) pin_prompt: bool,
    /// Sessions per worker process.
    #[serde(default = "two")]
    pub(crate) sessions: usize,
    /// Worker processes.
    #[serde(default = "one")]
    pub(crate) workers: usize,
    /// Environment of the workers; `{dir}` stands for the folder of the file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) env: BTreeMap<String, String>,
}

fn one() -> usize {
    1
}

fn two() -> usize {
    2
}

/// `[gateway]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawGateway {
    /// Address and port for HTTPS.
    pub(crate) listen: String,
    /// Where people reach it, without a trailing slash.
    pub(crate) public_url: String,
    /// Its certificate chain, PEM.
    pub(crate) tls_certificate: PathBuf,
    /// Its private key, PEM.
    pub(crate) tls_key: PathBuf,
    /// The CA of enrolment agents' TLS certificates, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) agent_ca: Option<PathBuf>,
    /// Address and port for CRLs and issuers over plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) plain_listen: Option<String>,
}

/// `[sockets]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawSockets {
    /// Their folder; process ids are there too.
    pub(crate) dir: PathBuf,
}

impl Default for RawSockets {
    fn default() -> Self {
        Self { dir: PathBuf::from("run") }
    }
}

/// Reads and checks a file. Relative paths in it count from its folder.
pub(crate) fn load(path: &Path) -> Result<Config, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let raw: Raw = toml::from_str(&text)
        .map_err(|source| ConfigError::Toml { path: path.to_owned(), source: Box::new(source) })?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let dir =
        dir.canonicalize().map_err(|source| ConfigError::Read { path: dir.to_owned(), source })?;
    check::check(raw, &dir)
}
