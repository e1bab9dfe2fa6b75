//! What a gateway is told, and nothing beside: no database, no token, no PIN.

use std::path::{Path, PathBuf};

use toml::Value;

use super::check::{Config, GatewaySection, LogSection};
use super::keys::{
    RawDevelopment, RawGateway, RawLimits, RawLog, RawMetrics, RawSockets, gateway_sections,
};
use super::read::{absent, table};
use super::{ConfigError, environment};

/// A gateway's configuration; all paths are absolute.
#[derive(Debug, Clone)]
pub(crate) struct FrontConfig {
    pub(crate) gateway: GatewaySection,
    /// The folder of the sockets.
    pub(crate) run: PathBuf,
    pub(crate) limits: RawLimits,
    pub(crate) metrics: Option<std::net::SocketAddr>,
    pub(crate) test_clock: Option<PathBuf>,
    pub(crate) log: LogSection,
}

impl FrontConfig {
    /// The authority's socket for gateways.
    pub(crate) fn socket(&self) -> PathBuf {
        gateway_socket(&self.run)
    }
}

impl Config {
    /// The gateway's part.
    pub(crate) fn front(&self) -> FrontConfig {
        FrontConfig {
            gateway: self.gateway.clone(),
            run: self.run.clone(),
            limits: self.limits.clone(),
            metrics: self.metrics.gateway,
            test_clock: self.test_clock.clone(),
            log: self.log.clone(),
        }
    }
}

/// The gateway's socket in the folder of the sockets.
pub(super) fn gateway_socket(run: &Path) -> PathBuf {
    run.join("gateway.sock")
}

/// Reads and checks a gateway's file. Relative paths in it count from its folder. It may be the
/// authority's, whose other sections must be right then, and are not taken.
pub(crate) fn front(path: &Path) -> Result<FrontConfig, ConfigError> {
    front_of(path, &super::text(path)?, &super::folder(path)?, environment())
}

/// Checks what [`handed_over`] wrote.
pub(crate) fn front_handed_over(text: &str) -> Result<FrontConfig, ConfigError> {
    front_of(Path::new("standard input"), text, Path::new("/"), std::iter::empty())
}

/// The gateway's part of a file and of the environment, with absolute paths, as TOML: for a process
/// that may read neither.
pub(crate) fn handed_over(path: &Path) -> Result<String, ConfigError> {
    let mut raw = super::source(path)?.raw;
    let dir = super::folder(path)?;
    let absolute = |path: &mut PathBuf| *path = dir.join(&path);
    absolute(&mut raw.gateway.tls_certificate);
    absolute(&mut raw.gateway.tls_key);
    raw.gateway.agent_ca.iter_mut().for_each(absolute);
    absolute(&mut raw.sockets.dir);
    raw.development.test_clock.iter_mut().for_each(absolute);
    let taken = ["gateway", "sockets", "limits", "metrics", "development", "log"];
    Ok(raw.to_toml_of(|section| taken.contains(&section)))
}

fn front_of(
    path: &Path,
    text: &str,
    dir: &Path,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<FrontConfig, ConfigError> {
    let (table, origins) =
        table(path, text, environment, &gateway_sections()).map_err(ConfigError::Faults)?;
    let none = toml::Table::new();
    let values = |name: &str| table.get(name).and_then(Value::as_table).unwrap_or(&none);
    macro_rules! section {
        ($name:literal, $raw:ident) => {
            $raw::read(values($name))
                .map_err(|missing| ConfigError::Faults(vec![absent(path, $name, missing)]))?
        };
    }
    let gateway = section!("gateway", RawGateway);
    let gateway = GatewaySection::check(gateway, dir)
        .map_err(|wrong| super::check::fault(path, &origins, wrong))?;
    let log = section!("log", RawLog);
    Ok(FrontConfig {
        gateway,
        run: dir.join(section!("sockets", RawSockets).dir),
        limits: section!("limits", RawLimits),
        metrics: section!("metrics", RawMetrics).gateway_listen.map(|address| address.0),
        test_clock: section!("development", RawDevelopment).test_clock.map(|path| dir.join(path)),
        log: LogSection::of(log),
    })
}
