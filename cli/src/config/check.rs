//! Raw values become checked ones.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ca::clock::Clock;
use ca::store::postgres;
use pkcs11::shares::{Custody, CustodyError, Gathered, ShareSet};
use pkcs11::{Half, Pin, Template, TemplateError, TokenConfig, TokenSelector};
use wire::address::{Address, SALT};
use wire::body::ChannelKind;

use super::keys::{
    RawCosigning, RawGateway, RawHsm, RawLimits, RawLog, RawNotices, RawPeer, RawStore, RawUsers,
};
use super::read::{Fault, Origins, Source, nearest};
use super::values::{LogFormat, Said, SmtpTls, UserName};
use super::{ConfigError, Origin};

/// A checked configuration; all paths are absolute.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) dir: PathBuf,
    pub(crate) store: StoreConfig,
    pub(crate) hsm: HsmConfig,
    pub(crate) root_hsm: Option<HsmConfig>,
    pub(crate) second_hsm: Option<HsmConfig>,
    pub(crate) third_hsm: Option<HsmConfig>,
    /// What holds the key that signs switches.
    pub(crate) switch_issuer: Option<HsmConfig>,
    /// For how long its CRLs hold.
    pub(crate) switch_crl_lifetime: Duration,
    pub(crate) gateway: GatewaySection,
    pub(crate) users: Users,
    pub(crate) run: PathBuf,
    pub(crate) limits: RawLimits,
    pub(crate) blocklist: Option<PathBuf>,
    pub(crate) notices: RawNotices,
    pub(crate) cosigners: BTreeMap<String, RawPeer>,
    pub(crate) cosigning: RawCosigning,
    pub(crate) metrics: MetricsSection,
    pub(crate) test_clock: Option<PathBuf>,
    pub(crate) log: LogSection,
}

/// Where the database is.
#[derive(Debug, Clone)]
pub(crate) enum StoreConfig {
    /// An SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL database.
    Postgres { settings: Box<postgres::Settings>, password_file: Option<PathBuf> },
}

/// A token and how to open it.
#[derive(Debug, Clone)]
pub(crate) struct HsmConfig {
    pub(crate) token: TokenConfig,
    pub(crate) pin: PinSource,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) attestation_ca: Option<PathBuf>,
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

/// Under whom the processes run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Users {
    pub(crate) authority: Option<OsUser>,
    pub(crate) gateway: Option<OsUser>,
}

/// A user that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OsUser {
    pub(crate) name: String,
    pub(crate) uid: u32,
    /// The primary group.
    pub(crate) gid: u32,
}

/// Where metrics are served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MetricsSection {
    pub(crate) authority: Option<SocketAddr>,
    pub(crate) gateway: Option<SocketAddr>,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub(crate) struct LogSection {
    pub(crate) format: LogFormat,
    pub(crate) filter: String,
}

/// Name of the section with the token that signs switches.
pub(crate) const SWITCH_ISSUER: &str = "switch_issuer";

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
    /// An administrator, after the start.
    Unlock,
    /// Several operators, after the start: shares of the set in this file.
    Shares(PathBuf),
}

/// Why there is no PIN.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PinError {
    /// The file cannot be read.
    #[error("the PIN: cannot read {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The variable is not set.
    #[error("the PIN: the environment variable {0} is not set")]
    Env(String),
    /// It cannot be asked for.
    #[error("the PIN: cannot ask for it: {0}")]
    Prompt(std::io::Error),
    /// A share is wrong.
    #[error("the PIN: {0}")]
    Share(#[from] CustodyError),
    /// It comes later.
    #[error("the PIN is given to the running authority by `avouch unlock`, not here")]
    Unlock,
}

impl Config {
    /// The gateway's socket.
    pub(crate) fn gateway_socket(&self) -> PathBuf {
        super::front::gateway_socket(&self.run)
    }

    /// The authority's clock.
    pub(crate) fn clock(&self) -> Clock {
        self.test_clock.clone().map_or_else(Clock::system, Clock::test)
    }

    /// The tokens that hold the issuing key, with the names of their sections.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = (&'static str, &HsmConfig)> {
        let others = [("second_hsm", &self.second_hsm), ("third_hsm", &self.third_hsm)];
        let others = others.into_iter().filter_map(|(name, hsm)| Some((name, hsm.as_ref()?)));
        std::iter::once(("hsm", &self.hsm)).chain(others)
    }

    /// Every token.
    pub(crate) fn all_tokens(&self) -> impl Iterator<Item = &HsmConfig> {
        self.tokens().map(|(_, hsm)| hsm).chain(&self.root_hsm).chain(&self.switch_issuer)
    }

    /// The local administrator's socket.
    pub(crate) fn admin_socket(&self) -> PathBuf {
        self.run.join("admin.sock")
    }
}

impl HsmConfig {
    /// Whether the files that it names are there, and whether the PIN's is this user's alone.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(crate) fn check_files(&self) -> Result<(), String> {
        use std::os::unix::fs::PermissionsExt;
        if let pkcs11::Backend::Token { module, .. } = &self.token.backend
            && let Err(error) = std::fs::metadata(module)
        {
            return Err(format!("the PKCS#11 module {}: {error}", module.display()));
        }
        if let PinSource::Shares(path) = &self.pin {
            let told = |error: &dyn std::fmt::Display| {
                format!("the file of the PIN's shares {}: {error}", path.display())
            };
            let text = std::fs::read_to_string(path).map_err(|error| told(&error))?;
            return ShareSet::parse(&text).map(drop).map_err(|error| told(&error));
        }
        let PinSource::File(path) = &self.pin else { return Ok(()) };
        let found = std::fs::metadata(path)
            .map_err(|error| format!("the PIN's file {}: {error}", path.display()))?;
        let mode = found.permissions().mode() & 0o777;
        if mode & 0o077 == 0 {
            return Ok(());
        }
        Err(format!(
            "the PIN's file {0} has mode {mode:o}: others can read it; chmod 600 {0}",
            path.display()
        ))
    }
}

impl GatewaySection {
    pub(super) fn check(raw: RawGateway, dir: &Path) -> Result<Self, Wrong> {
        if !raw.public_url.starts_with("https://") || raw.public_url.ends_with('/') {
            let what = format!("{:?} must begin with https:// and not end in /", raw.public_url);
            return Err(("gateway", "public_url", what));
        }
        Ok(Self {
            listen: raw.listen.0,
            public_url: raw.public_url,
            tls_certificate: dir.join(raw.tls_certificate),
            tls_key: dir.join(raw.tls_key),
            agent_ca: raw.agent_ca.map(|path| dir.join(path)),
            plain_listen: raw.plain_listen.map(|address| address.0),
        })
    }
}

impl LogSection {
    pub(super) fn of(raw: RawLog) -> Self {
        Self { format: raw.format, filter: raw.filter.0 }
    }
}

impl PinSource {
    /// Whether it comes only after the start.
    pub(crate) fn is_awaited(&self) -> bool {
        matches!(self, Self::Unlock | Self::Shares(_))
    }

    /// The environment variable that holds the PIN.
    pub(crate) fn variable(&self) -> Option<String> {
        match self {
            Self::Env(name) => Some(name.clone()),
            _ => None,
        }
    }

    /// Reads the PIN.
    pub(crate) fn read(&self) -> Result<Pin, PinError> {
        match self {
            Self::None => Ok(Pin::none()),
            Self::File(path) => {
                let text = crate::files::secret("the PIN's file", path)
                    .map_err(|source| PinError::File { path: path.clone(), source })?;
                Ok(Pin::new(text))
            }
            Self::Env(name) => {
                std::env::var(name).map(Pin::new).map_err(|_| PinError::Env(name.clone()))
            }
            Self::Unlock => Err(PinError::Unlock),
            Self::Shares(path) => from_shares(path),
            Self::Prompt => crate::terminal::ask_secret("PIN of the token: ")
                .map(Pin::new)
                .map_err(PinError::Prompt),
        }
    }
}

/// Asks for shares on the terminal until they are enough.
fn from_shares(path: &Path) -> Result<Pin, PinError> {
    const TOKEN: &str = "token";
    let custody = Custody::new([(TOKEN.to_owned(), path.to_owned())]);
    loop {
        let progress = custody.progress().remove(TOKEN);
        let given = progress.as_ref().map_or(0, |progress| progress.given.len());
        let needed = progress.and_then(|progress| progress.of).map_or(0, |(needed, _)| needed);
        let prompt = format!("A share of the PIN ({given} of {needed} so far): ");
        let share = crate::terminal::ask_secret(&prompt).map_err(PinError::Prompt)?;
        if let Gathered::Pin(pin) = custody.hand_in(TOKEN, &zeroize::Zeroizing::new(share))? {
            return Ok(pin);
        }
    }
}

/// What is wrong with a key's value: section, key, and the rest of the sentence.
pub(super) type Wrong = (&'static str, &'static str, String);

pub(super) fn check(source: &Source, dir: &Path) -> Result<Config, ConfigError> {
    values(source, dir).map_err(|wrong| fault(&source.file, &source.origins, wrong))
}

/// Where it is wrong, and what.
pub(super) fn fault(file: &Path, origins: &Origins, (section, key, what): Wrong) -> ConfigError {
    let place = (section.to_owned(), key.to_owned());
    let origin = origins.get(&place).cloned().unwrap_or_else(|| Origin::File(file.to_owned()));
    ConfigError::Faults(vec![Fault { origin, what: format!("`{section}.{key}`: {what}") }])
}

fn values(source: &Source, dir: &Path) -> Result<Config, Wrong> {
    let raw = source.raw.clone();
    Ok(Config {
        store: store(raw.store, dir)?,
        hsm: hsm("hsm", raw.hsm, dir)?,
        root_hsm: raw.root_hsm.map(|raw| hsm("root_hsm", raw, dir)).transpose()?,
        second_hsm: raw.second_hsm.map(|raw| hsm("second_hsm", raw, dir)).transpose()?,
        third_hsm: raw.third_hsm.map(|raw| hsm("third_hsm", raw, dir)).transpose()?,
        switch_issuer: switch_issuer(raw.switch_issuer, dir)?,
        switch_crl_lifetime: raw.crl.switch_lifetime.0,
        gateway: GatewaySection::check(raw.gateway, dir)?,
        users: users(raw.users)?,
        run: dir.join(raw.sockets.dir),
        limits: raw.limits,
        blocklist: raw.keys.blocklist.map(|path| dir.join(path)),
        notices: notices(raw.notices, dir)?,
        cosigners: cosigners(raw.cosigners, dir),
        cosigning: raw.cosigning,
        metrics: MetricsSection {
            authority: raw.metrics.authority_listen.map(|address| address.0),
            gateway: raw.metrics.gateway_listen.map(|address| address.0),
        },
        test_clock: raw.development.test_clock.map(|path| dir.join(path)),
        log: LogSection::of(raw.log),
        dir: dir.to_owned(),
    })
}

fn users(raw: RawUsers) -> Result<Users, Wrong> {
    let find = |key, user: Option<UserName>| user.map(|user| os_user(key, &user)).transpose();
    let users = Users {
        authority: find("authority", raw.authority)?,
        gateway: find("gateway", raw.gateway)?,
    };
    let both = users.authority.as_ref().zip(users.gateway.as_ref());
    match both {
        Some((authority, gateway)) if authority.uid == gateway.uid => {
            Err(("users", "gateway", format!("{} is the authority's user, too", gateway.name)))
        }
        _ if users.gateway.as_ref().is_some_and(|user| user.uid == 0) => {
            Err(("users", "gateway", "root can read everything".to_owned()))
        }
        _ => Ok(users),
    }
}

fn os_user(key: &'static str, user: &UserName) -> Result<OsUser, Wrong> {
    use nix::unistd::{Uid, User};
    let (shown, found) = match user {
        UserName::Number(number) => (number.to_string(), User::from_uid(Uid::from_raw(*number))),
        UserName::Name(name) => (name.clone(), User::from_name(name)),
    };
    let found = found.map_err(|error| ("users", key, format!("{shown}: {error}")))?;
    let found = found.ok_or_else(|| ("users", key, format!("there is no user {shown}")))?;
    Ok(OsUser { name: found.name, uid: found.uid.as_raw(), gid: found.gid.as_raw() })
}

fn store(raw: RawStore, dir: &Path) -> Result<StoreConfig, Wrong> {
    match (raw.path, raw.url, raw.password_file) {
        (Some(path), None, None) => Ok(StoreConfig::Sqlite(dir.join(path))),
        (None, Some(url), password) => {
            let settings = postgres::Settings::parse(&url)
                .map_err(|error| ("store", "url", error.to_string()))?;
            let password_file = password.map(|path| dir.join(path));
            Ok(StoreConfig::Postgres { settings: Box::new(settings), password_file })
        }
        (Some(_), None, Some(_)) => {
            Err(("store", "password_file", "an SQLite file has no password".to_owned()))
        }
        _ => {
            let what = "give `path` for an SQLite file, or `url` for a PostgreSQL database";
            Err(("store", "path", what.to_owned()))
        }
    }
}

fn cosigners(mut raw: BTreeMap<String, RawPeer>, dir: &Path) -> BTreeMap<String, RawPeer> {
    for path in raw.values_mut().filter_map(|cosigner| cosigner.ca_file.as_mut()) {
        *path = dir.join(&path);
    }
    raw
}

fn notices(mut raw: RawNotices, dir: &Path) -> Result<RawNotices, Wrong> {
    let wrong = |key, what: &str| Err(("notices", key, what.to_owned()));
    match (&raw.smtp_server, &raw.from) {
        (Some(_), None) => return wrong("from", "give the sender of mails"),
        (None, Some(_)) => return wrong("smtp_server", "give the mail server"),
        _ => {}
    }
    match (&raw.smtp_user, &raw.smtp_password_file) {
        (Some(_), None) => return wrong("smtp_password_file", "give the user's password"),
        (None, Some(_)) => return wrong("smtp_user", "give the user whose password it is"),
        (Some(_), Some(_)) if raw.smtp_tls == SmtpTls::None => {
            return wrong("smtp_tls", "a password does not go out without encryption");
        }
        _ => {}
    }
    if raw.webhook_secret_file.is_some() == raw.webhook_hosts.is_empty() {
        let what = "give both the secret for webhooks and the hosts that may be called";
        return wrong("webhook_hosts", what);
    }
    for officer in &raw.officers {
        if let Err(error) = Address::new(ChannelKind::Mail, [0; SALT], officer) {
            return wrong("officers", &format!("{officer:?}: {error}"));
        }
    }
    for path in [
        &mut raw.smtp_ca,
        &mut raw.smtp_password_file,
        &mut raw.webhook_secret_file,
        &mut raw.webhook_ca,
    ]
    .into_iter()
    .flatten()
    {
        *path = dir.join(&path);
    }
    Ok(raw)
}

/// What the token is told of its keys.
fn template(
    section: &'static str,
    name: &str,
    public: BTreeMap<String, Said>,
    private: BTreeMap<String, Said>,
) -> Result<Template, Wrong> {
    let mut template = Template::preset(name).ok_or_else(|| {
        let what = format!("there is no template {name:?}; {}", among(name, Template::presets()));
        (section, "template", what)
    })?;
    for (key, half, attributes) in [
        ("public_attributes", Half::Public, public),
        ("private_attributes", Half::Private, private),
    ] {
        for (name, Said(setting)) in attributes {
            template.set(half, &name, setting).map_err(|error| {
                let what = match &error {
                    TemplateError::Unknown { name } => {
                        format!("{error}; {}", among(name, Template::names(half)))
                    }
                    TemplateError::Fixed { .. } => error.to_string(),
                };
                (section, key, what)
            })?;
        }
    }
    Ok(template)
}

/// The name that was probably meant, or all there are.
fn among(name: &str, known: impl Iterator<Item = &'static str>) -> String {
    let known: Vec<_> = known.collect();
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("there are {}", known.join(", ")),
    }
}

/// The token of the key that signs switches. Nobody is at the terminal when it is opened.
fn switch_issuer(raw: Option<RawHsm>, dir: &Path) -> Result<Option<HsmConfig>, Wrong> {
    let own = raw.map(|raw| hsm(SWITCH_ISSUER, raw, dir)).transpose()?;
    if own.as_ref().is_some_and(|own| matches!(own.pin, PinSource::Prompt)) {
        let what = "its PIN is not asked for at the start: give pin_unlock instead";
        return Err((SWITCH_ISSUER, "pin_prompt", what.to_owned()));
    }
    Ok(own)
}

fn hsm(section: &'static str, raw: RawHsm, dir: &Path) -> Result<HsmConfig, Wrong> {
    let mut token = match (raw.module, raw.token, raw.software) {
        (Some(module), Some(label), None) => {
            TokenConfig::token(module, TokenSelector::Label(label))
        }
        (None, None, Some(folder)) => TokenConfig::software(dir.join(folder)),
        (Some(_), None, None) => {
            return Err((section, "token", "give the label of the token".to_owned()));
        }
        _ => {
            let what = "give `module` and `token` for an HSM, or `software` for key files";
            return Err((section, "module", what.to_owned()));
        }
    };
    token.sessions = raw.sessions.0;
    token.workers = raw.workers.0;
    token.keep_alive = raw.keep_alive.0;
    // At most 65536 (keys.rs).
    token.memory = u32::try_from(raw.memory.0).unwrap_or(u32::MAX);
    token.template =
        template(section, &raw.template, raw.public_attributes, raw.private_attributes)?;
    if let Some(number) = raw.attestation_attribute {
        token.template.attested_by(u64::try_from(number.0).unwrap_or(u64::MAX));
    }
    let mut sources = Vec::new();
    sources.extend(raw.pin_file.map(|path| PinSource::File(dir.join(path))));
    if let Some(name) = raw.pin_credential {
        // Without systemd there are no credentials: an empty folder would mean this one.
        let folder = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty());
        let Some(folder) = folder else {
            let what = format!(
                "the credential {name:?} is not there, for CREDENTIALS_DIRECTORY is not set; start \
                 it by systemd with LoadCredential="
            );
            return Err((section, "pin_credential", what));
        };
        sources.push(PinSource::File(Path::new(&folder).join(name)));
    }
    sources.extend(raw.pin_env.map(PinSource::Env));
    sources.extend(raw.pin_prompt.then_some(PinSource::Prompt));
    sources.extend(raw.pin_unlock.then_some(PinSource::Unlock));
    sources.extend(raw.pin_shares.map(|path| PinSource::Shares(dir.join(path))));
    let software = matches!(token.backend, pkcs11::Backend::Software { .. });
    let pin = match (sources.len(), sources.pop()) {
        (0, _) if software => PinSource::None,
        (1, Some(source)) => source,
        (n, _) => {
            let what = format!(
                "{n} of pin_file, pin_credential, pin_env, pin_prompt, pin_unlock and pin_shares \
                 are given; give one"
            );
            return Err((section, "pin_file", what));
        }
    };
    let folder = dir.display().to_string();
    let init_args = raw.init_args.map(|text| (pkcs11::MODULE_ARGUMENTS.to_owned(), text));
    let env = raw
        .env
        .into_iter()
        .chain(init_args)
        .map(|(k, v)| (k, v.replace("{dir}", &folder)))
        .collect();
    let attestation_ca = raw.attestation_ca.map(|path| dir.join(path));
    Ok(HsmConfig { token, pin, env, attestation_ca })
}
