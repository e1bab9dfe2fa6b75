//! `avouch.toml`: read raw, then checked once into what the processes are given.
//!
//! `keys` describes every key, `read` refuses what it does not know, `check` turns values into
//! what the processes need, `reference` writes docs/configuration.md.

mod check;
mod cosigner;
mod front;
mod keys;
mod read;
pub(crate) mod reference;
mod values;

use std::path::{Path, PathBuf};

pub(crate) use check::{
    Config, HsmConfig, LogSection, OsUser, PinSource, SWITCH_ISSUER, StoreConfig,
};
pub(crate) use cosigner::{AuditorConfig, CosignerConfig, WitnessConfig, auditor, witness};
pub(crate) use front::{FrontConfig, front, front_handed_over, handed_over};
pub(crate) use keys::{
    KEEP_ALIVE, Raw, RawCosigning, RawCrl, RawDevelopment, RawGateway, RawHsm, RawKeys, RawLimits,
    RawLog, RawMetrics, RawNotices, RawSockets, RawStore, RawUsers,
};
pub(crate) use read::{Fault, Origin, Source};
pub(crate) use values::{Address, CosignerKind, Count, LogFormat, SmtpTls, Span, WhenUnreachable};

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Everything that is wrong with it.
    #[error("{}", lines(.0))]
    Faults(Vec<Fault>),
}

fn lines(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Reads a file and the environment's overrides.
pub(crate) fn source(path: &Path) -> Result<Source, ConfigError> {
    source_with(path, environment())
}

/// The variables that are text.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
}

/// The variables of the environment that go before the file.
pub(crate) fn overriding() -> impl Iterator<Item = String> {
    environment().map(|(name, _)| name).filter(|name| read::overrides_a_key(name))
}

fn source_with(
    path: &Path,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Source, ConfigError> {
    read::read(path, &text(path)?, environment).map_err(ConfigError::Faults)
}

/// Reads a file without the environment: what it says itself.
pub(crate) fn source_of_file(path: &Path) -> Result<Source, ConfigError> {
    source_with(path, std::iter::empty())
}

/// Reads and checks a file. Relative paths in it count from its folder.
pub(crate) fn load(path: &Path) -> Result<Config, ConfigError> {
    checked(&source(path)?)
}

/// Checks what was read.
pub(crate) fn checked(source: &Source) -> Result<Config, ConfigError> {
    check::check(source, &folder(&source.file)?)
}

fn text(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

/// The folder of a configuration, whole.
fn folder(file: &Path) -> Result<PathBuf, ConfigError> {
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    dir.canonicalize().map_err(|source| ConfigError::Read { path: dir.to_owned(), source })
}
