//! Raw values become checked ones.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use pkcs11::{Pin, TokenConfig, TokenSelector};

use super::{Raw, RawHsm};

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
    /// Not TOML, or with a key that does not exist.
    #[error("{path}: {source}")]
    Toml {
        /// Which.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// A value that cannot be.
    #[error("{section}.{key}: {reason}")]
    Value {
        /// The section.
        section: &'static str,
        /// The key.
        key: &'static str,
        /// What is wrong, and what would be right.
        reason: String,
    },
}

/// A checked configuration; all paths are absolute.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) dir: PathBuf,
    pub(crate) database: PathBuf,
    pub(crate) hsm: HsmConfig,
    pub(crate) root_hsm: Option<HsmConfig>,
    pub(crate) gateway: GatewaySection,
    pub(crate) run: PathBuf,
}

/// A token and how to open it.
#[derive(Debug, Clone)]
pub(crate) struct HsmConfig {
    pub(crate) token: TokenConfig,
    pub(crate) pin: PinSource,
    pub(crate) env: Vec<(String, String)>,
}

/// The HTTPS side.
#[derive(Debug, Clone)]
pub(crate) struct GatewaySection {
    pub(crate) listen: SocketAddr,
    pub(crate) public_url: String,
    pub(crate) tls_certificate: PathBuf,
    pub(crate) tls_key: PathBuf,
    pub(crate) agent_ca: Option<PathBuf>,
    pub(crate) plain_listen: Option<SocketAddr>,
}

/// Where the PIN comes from.
#[derive(Debug, Clone)]
pub(crate) enum PinSource {
    /// There is none (key files).
    None,
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Env(String),
    /// The terminal.
    Prompt,
}

impl Config {
    /// The gateway's socket.
    pub(crate) fn gateway_socket(&self) -> PathBuf {
        self.run.join("gateway.sock")
    }

    /// The local administrator's socket.
    pub(crate) fn admin_socket(&self) -> PathBuf {
        self.run.join("admin.sock")
    }
}

impl PinSource {
    /// Reads the PIN.
    pub(crate) fn read(&self) -> Result<Pin, ConfigError> {
        let value = |key, reason| Err(ConfigError::Value { section: "hsm", key, reason });
        match self {
            Self::None => Ok(Pin::none()),
            Self::File(path) => {
                let mut text = std::fs::read_to_string(path)
                    .map_err(|source| ConfigError::Read { path: path.clone(), source })?;
                text.truncate(text.trim_end_matches(['\r', '\n']).len());
                Ok(Pin::new(text))
            }
            Self::Env(name) => match std::env::var(name) {
                Ok(pin) => Ok(Pin::new(pin)),
                Err(_) => value("pin_env", format!("the variable {name} is not set")),
            },
            Self::Prompt => match crate::terminal::ask_secret("PIN of the token: ") {
                Ok(pin) => Ok(Pin::new(pin)),
                Err(error) => value("pin_prompt", format!("cannot ask for it: {error}")),
            },
        }
    }
}

pub(super) fn check(raw: Raw, dir: &Path) -> Result<Config, ConfigError> {
    let gateway = raw.gateway;
    let address = |key, text: &str| {
        text.parse::<SocketAddr>().map_err(|_| ConfigError::Value {
            section: "gateway",
            key,
            reason: format!("{text:?} is not an address and port, such as 127.0.0.1:8443"),
        })
    };
    if !gateway.public_url.starts_with("https://") || gateway.public_url.ends_with('/') {
        return Err(ConfigError::Value {
            section: "gateway",
            key: "public_url",
            reason: format!("{:?} must begin with https:// and not end in /", gateway.public_url),
        });
    }
    Ok(Config {
        database: dir.join(raw.store.path),
        hsm: hsm("hsm", raw.hsm, dir)?,
        root_hsm: raw.root_hsm.map(|raw| hsm("root_hsm", raw, dir)).transpose()?,
        gateway: GatewaySection {
            listen: address("listen", &gateway.listen)?,
            public_url: gateway.public_url,
            tls_certificate: dir.join(gateway.tls_certificate),
            tls_key: dir.join(gateway.tls_key),
            agent_ca: gateway.agent_ca.map(|path| dir.join(path)),
            plain_listen: gateway
                .plain_listen
                .map(|text| address("plain_listen", &text))
                .transpose()?,
        },
        run: dir.join(raw.sockets.dir),
        dir: dir.to_owned(),
    })
}

fn hsm(section: &'static str, raw: RawHsm, dir: &Path) -> Result<HsmConfig, ConfigError> {
    let value = |key, reason: String| ConfigError::Value { section, key, reason };
    let mut token = match (raw.module, raw.token, raw.software) {
        (Some(module), Some(label), None) => {
            TokenConfig::token(module, TokenSelector::Label(label))
        }
        (None, None, Some(folder)) => TokenConfig::software(dir.join(folder)),
        (Some(_), None, None) => {
            return Err(value("token", "the label of the token is missing".to_owned()));
        }
        _ => {
            let reason = "give `module` and `token` for an HSM, or `software` for key files";
            return Err(value("module", reason.to_owned()));
        }
    };
    token.sessions = raw.sessions;
    token.workers = raw.workers;
    let mut sources = Vec::new();
    sources.extend(raw.pin_file.map(|path| PinSource::File(dir.join(path))));
    if let Some(name) = raw.pin_credential {
        let folder = std::env::var_os("CREDENTIALS_DIRECTORY").unwrap_or_default();
        sources.push(PinSource::File(Path::new(&folder).join(name)));
    }
    sources.extend(raw.pin_env.map(PinSource::Env));
    sources.extend(raw.pin_prompt.then_some(PinSource::Prompt));
    let software = matches!(token.backend, pkcs11::Backend::Software { .. });
    let pin = match (sources.len(), sources.pop()) {
        (0, _) if software => PinSource::None,
        (1, Some(source)) => source,
        (n, _) => {
            let reason = format!(
                "{n} of pin_file, pin_credential, pin_env and pin_prompt are given; give one"
            );
            return Err(value("pin_file", reason));
        }
    };
    let folder = dir.display().to_string();
    let env = raw.env.into_iter().map(|(k, v)| (k, v.replace("{dir}", &folder))).collect();
    Ok(HsmConfig { token, pin, env })
}
