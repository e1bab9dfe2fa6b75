//! The files of a witness and of an auditor.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ca::clock::Clock;
use cosigner::Served;
use toml::{Table, Value};

use super::check::LogSection;
use super::keys::{
    Missing, RawAuditor, RawCosigner, RawDevelopment, RawLog, RawWitness, auditor_sections,
    witness_sections,
};
use super::read::{Fault, Origin, Origins, absent, table};
use super::{ConfigError, environment};

/// What all co-signers are told; all paths are absolute.
#[derive(Debug, Clone)]
pub(crate) struct CosignerConfig {
    pub(crate) key: PathBuf,
    pub(crate) state: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) prefix: String,
    /// Certificate chain and key; plain HTTP without.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) connections: usize,
    pub(crate) request: Duration,
    pub(crate) test_clock: Option<PathBuf>,
    pub(crate) log: LogSection,
}

/// A witness's file.
#[derive(Debug, Clone)]
pub(crate) struct WitnessConfig {
    pub(crate) cosigner: CosignerConfig,
    pub(crate) logs: Vec<Served>,
}

impl CosignerConfig {
    /// The co-signer's own clock, in seconds since 1970.
    pub(crate) fn clock(&self) -> cosigner::Clock {
        let clock = self.test_clock.clone().map_or_else(Clock::system, Clock::test);
        cosigner::Clock::new(move || clock.now_ms() / 1000)
    }

    /// Takes the sections `cosigner`, `development` and `log` of a table that was checked.
    pub(crate) fn of(file: &Path, table: &Table, origins: &Origins) -> Result<Self, ConfigError> {
        let raw = section(file, table, "cosigner", RawCosigner::read)?;
        let development = section(file, table, "development", RawDevelopment::read)?;
        let log = section(file, table, "log", RawLog::read)?;
        let dir = super::folder(file)?;
        let wrong = |key: &str, what: String| {
            let place = ("cosigner".to_owned(), key.to_owned());
            let origin = origins.get(&place).cloned();
            let origin = origin.unwrap_or_else(|| Origin::File(file.to_owned()));
            let what = format!("`cosigner.{key}`: {what}");
            ConfigError::Faults(vec![Fault { origin, what }])
        };
        let listen = raw.listen.0;
        let tls = match (raw.tls_certificate, raw.tls_key) {
            (Some(certificate), Some(key)) => Some((dir.join(certificate), dir.join(key))),
            (None, None) if listen.ip().is_loopback() || raw.behind_proxy => None,
            (None, None) => {
                let what = "give it and `tls_key`; or, where something in front of it has TLS, \
                            `behind_proxy = true`";
                return Err(wrong("tls_certificate", what.to_owned()));
            }
            (Some(_), None) => return Err(wrong("tls_key", "give the certificate's".to_owned())),
            (None, Some(_)) => {
                return Err(wrong("tls_certificate", "give the key's".to_owned()));
            }
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-._~".contains(c);
        let prefix = raw.prefix;
        let path = prefix.starts_with('/') && !prefix.ends_with('/') && !prefix.contains("//");
        let allowed = prefix.is_empty() || path && prefix.chars().all(plain);
        if !allowed {
            let what = format!(
                "{prefix:?} must be empty, or begin with a slash and not end in one, of letters, \
                 digits and -._~"
            );
            return Err(wrong("prefix", what));
        }
        Ok(Self {
            key: dir.join(raw.key),
            state: dir.join(raw.state),
            listen,
            prefix,
            tls,
            metrics: raw.metrics_listen.map(|address| address.0),
            connections: raw.connections.0,
            request: raw.request_timeout.0,
            test_clock: development.test_clock.map(|path| dir.join(path)),
            log: LogSection::of(log),
        })
    }
}

/// Reads and checks a witness's file. Relative paths in it count from its folder.
pub(crate) fn witness(path: &Path) -> Result<WitnessConfig, ConfigError> {
    let text = super::text(path)?;
    let read = table(path, &text, environment(), &witness_sections());
    let (table, origins) = read.map_err(ConfigError::Faults)?;
    let cosigner = CosignerConfig::of(path, &table, &origins)?;
    let witness = section(path, &table, "witness", RawWitness::read)?;
    let logs = witness.logs.0.into_iter().map(|(origin, keys)| Served { origin, keys }).collect();
    Ok(WitnessConfig { cosigner, logs })
}

/// An auditor's file.
#[derive(Debug, Clone)]
pub(crate) struct AuditorConfig {
    pub(crate) cosigner: CosignerConfig,
    pub(crate) trust: PathBuf,
    pub(crate) alarm_webhook: Option<String>,
}

/// Reads and checks an auditor's file. Relative paths in it count from its folder.
pub(crate) fn auditor(path: &Path) -> Result<AuditorConfig, ConfigError> {
    let text = super::text(path)?;
    let read = table(path, &text, environment(), &auditor_sections());
    let (table, origins) = read.map_err(ConfigError::Faults)?;
    let cosigner = CosignerConfig::of(path, &table, &origins)?;
    let RawAuditor { trust, alarm_webhook } = section(path, &table, "auditor", RawAuditor::read)?;
    let trust = super::folder(path)?.join(trust);
    Ok(AuditorConfig { cosigner, trust, alarm_webhook })
}

fn section<T>(
    file: &Path,
    table: &Table,
    name: &str,
    read: impl Fn(&Table) -> Result<T, Missing>,
) -> Result<T, ConfigError> {
    let none = Table::new();
    let values = table.get(name).and_then(Value::as_table).unwrap_or(&none);
    read(values).map_err(|missing| ConfigError::Faults(vec![absent(file, name, missing)]))
}

#[cfg(test)]
mod tests;
