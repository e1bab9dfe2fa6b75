//! `avouch dev`: an installation in one folder, made when there is none, and served.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use ca::ceremony::Plan;
use clap::Args;
use client::keys::{KeyAlgorithm, PrivateKey, Signer};
use pkcs11::Pin;
use wire::genesis::Keyholder;
use wire::rules::Rules;
use wire::{Realm, octets};

use super::init::{self, KeyKind};
use super::{authority, serve, tls};
use crate::config::{
    self, Address, Count, KEEP_ALIVE, Raw, RawCosigning, RawCrl, RawDevelopment, RawGateway,
    RawHsm, RawKeys, RawLimits, RawLog, RawMetrics, RawNotices, RawSockets, RawStore, RawUsers,
    Span,
};
use crate::exit::Failure;
use crate::files;

const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";
const TOKEN: &str = "avouch-dev";
const SWITCH_TOKEN: &str = "avouch-dev-switches";

/// Makes an installation in a folder if there is none, and serves it: token, root and issuing CA,
/// database, TLS, an enrolment agent and three officers. For development and trying out; the root
/// key is on the same token, and the agent's TLS certificate alone may enrol.
#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// The folder.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Address and port for HTTPS; port 0 lets the system choose.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// The PKCS#11 module.
    #[arg(long, value_name = "FILE", default_value = SOFTHSM)]
    module: PathBuf,
    /// Key files instead of a token: no identity can ever move to a new key.
    #[arg(long, conflicts_with = "module")]
    software: bool,
    /// Gives switches an issuing authority of their own, on a token of its own, which opens by itself
    /// here; try `avouch hsm lock`.
    #[arg(long)]
    switch_issuer: bool,
    /// Algorithm of the root and issuing keys.
    #[arg(long, value_enum, default_value_t = KeyKind::P256)]
    key: KeyKind,
    /// The installation's name in `avouch://realm/uid`.
    #[arg(long, default_value = "dev.localhost")]
    realm: Realm,
    /// A PostgreSQL database instead of a file in the folder: postgres://USER@HOST/DATABASE.
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// A file with a number of seconds by which the clock is ahead, to try out what waits: the wait
    /// is over when you write so. Give the same file to people's commands in AVOUCH_TEST_CLOCK.
    #[arg(long, value_name = "FILE")]
    test_clock: Option<PathBuf>,
    /// Makes the installation and does not serve it.
    #[arg(long)]
    no_serve: bool,
}

pub(crate) fn run(args: &Dev) -> Result<(), Failure> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&args.data)
        .map_err(|e| Failure::local(format!("cannot make {}: {e}", args.data.display())))?;
    let dir = args
        .data
        .canonicalize()
        .map_err(|e| Failure::local(format!("cannot find {}: {e}", args.data.display())))?;
    let file = dir.join("avouch.toml");
    let listen = choose_port(args.listen, previous(&file))?;
    tls::make(&dir, listen.ip())?;
    write_config(args, &dir, &file, listen)?;
    let config = config::load(&file).map_err(|e| Failure::local(e.to_string()))?;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&config.run)
        .map_err(|e| Failure::local(format!("cannot make {}: {e}", config.run.display())))?;
    if !dir.join("trust.json").exists() {
        if !args.software {
            token(args, &dir, TOKEN, "pin")?;
            if args.switch_issuer {
                token(args, &dir, SWITCH_TOKEN, "switch-pin")?;
            }
        }
        let agent = x509::Certificate::parse_any(&files::read(&dir.join("agent.pem"))?)
            .map_err(|e| Failure::local(format!("agent.pem: {e}")))?;
        let agent = Keyholder {
            name: tls::AGENT.to_owned(),
            spki: octets(agent.spki_der()),
            scope: Vec::new(),
        };
        let plan = Plan {
            realm: args.realm.clone(),
            base_url: config.gateway.public_url.clone(),
            rules: Rules {
                allow_transport_evidence: true,
                allow_software_token: true,
                ..Rules::standard()
            },
            officers: officers(&dir)?,
            agents: vec![agent],
            cosigners: super::cosigning::founding(&config)?,
            key: args.key.choice(),
            continues: None,
        };
        crate::runtime()?.block_on(init::begin(&config, plan, None))?;
    }
    if args.no_serve { Ok(()) } else { serve::serve(&config, &file) }
}

/// Three officers with key files `officer-1.key` to `officer-3.key`, so that a switch can be tried
/// at once.
fn officers(dir: &Path) -> Result<Vec<Keyholder>, Failure> {
    (1..=3)
        .map(|n| {
            let (name, file) = (format!("officer-{n}"), dir.join(format!("officer-{n}.key")));
            let key = if file.exists() {
                PrivateKey::load(&file)?
            } else {
                let key = PrivateKey::generate(KeyAlgorithm::P256)?;
                key.save_new(&file)?;
                key
            };
            Ok(Keyholder { name, spki: octets(key.spki_der()), scope: Vec::new() })
        })
        .collect()
}

/// The address of the last start, if there was one.
fn previous(file: &Path) -> Option<SocketAddr> {
    config::load(file).ok().map(|config| config.gateway.listen)
}

/// Port 0 becomes the port of the last start when that is free, else any free one.
fn choose_port(wanted: SocketAddr, previous: Option<SocketAddr>) -> Result<SocketAddr, Failure> {
    if wanted.port() != 0 {
        return Ok(wanted);
    }
    let again = previous.filter(|p| p.ip() == wanted.ip());
    let listener = again
        .and_then(|p| TcpListener::bind(p).ok())
        .map_or_else(|| TcpListener::bind(wanted), Ok)
        .map_err(|e| Failure::local(format!("cannot listen on {wanted}: {e}")))?;
    listener.local_addr().map_err(|e| Failure::local(e.to_string()))
}

/// Writes the configuration, or brings the address in the one that is there up to date.
fn write_config(args: &Dev, dir: &Path, file: &Path, listen: SocketAddr) -> Result<(), Failure> {
    let url = format!("https://{listen}");
    let mut raw = if file.exists() {
        let mut raw = config::source_of_file(file).map_err(|e| Failure::local(e.to_string()))?.raw;
        raw.gateway.listen = Address(listen);
        raw.gateway.public_url = url;
        raw
    } else {
        first_config(args, listen, url)
    };
    if let Some(clock) = &args.test_clock {
        // The configuration's paths count from its own folder, the command line's from here.
        let clock = std::path::absolute(clock)
            .map_err(|e| Failure::local(format!("cannot find {}: {e}", clock.display())))?;
        raw.development.test_clock = Some(clock);
    }
    if raw.hsm.env.contains_key("SOFTHSM2_CONF") {
        let tokens = dir.join("tokens");
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&tokens)
            .map_err(|e| Failure::local(format!("cannot make {}: {e}", tokens.display())))?;
        let text = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            tokens.display()
        );
        files::write(&dir.join("softhsm2.conf"), text.as_bytes(), 0o600)?;
    }
    let text = raw.to_toml();
    let text =
        format!("# Made by `avouch dev`: for development, not for people's real keys.\n\n{text}");
    files::write(file, text.as_bytes(), 0o600)
}

fn first_config(args: &Dev, listen: SocketAddr, public_url: String) -> Raw {
    let mut env = BTreeMap::new();
    if !args.software && args.module.to_string_lossy().contains("softhsm") {
        env.insert("SOFTHSM2_CONF".to_owned(), "{dir}/softhsm2.conf".to_owned());
    }
    let hsm = |token: &str, pin: &str, folder: &str| RawHsm {
        module: (!args.software).then(|| args.module.clone()),
        token: (!args.software).then(|| token.to_owned()),
        init_args: None,
        software: args.software.then(|| PathBuf::from(folder)),
        pin_file: (!args.software).then(|| PathBuf::from(pin)),
        pin_credential: None,
        pin_env: None,
        pin_prompt: false,
        pin_unlock: false,
        pin_shares: None,
        template: "standard".to_owned(),
        public_attributes: BTreeMap::new(),
        private_attributes: BTreeMap::new(),
        attestation_ca: None,
        attestation_attribute: None,
        sessions: Count(2),
        workers: Count(1),
        keep_alive: Span(KEEP_ALIVE),
        memory: Count(1024),
        env: env.clone(),
    };
    Raw {
        store: RawStore {
            path: args.store.is_none().then(|| PathBuf::from("avouch.db")),
            url: args.store.clone(),
            password_file: None,
        },
        hsm: hsm(TOKEN, "pin", "keys"),
        root_hsm: None,
        second_hsm: None,
        third_hsm: None,
        switch_issuer: args.switch_issuer.then(|| hsm(SWITCH_TOKEN, "switch-pin", "switch-keys")),
        gateway: RawGateway {
            listen: Address(listen),
            public_url,
            tls_certificate: PathBuf::from("tls.pem"),
            tls_key: PathBuf::from("tls.key"),
            agent_ca: Some(PathBuf::from("tls-ca.pem")),
            plain_listen: None,
        },
        users: RawUsers::default(),
        sockets: RawSockets::default(),
        limits: RawLimits::default(),
        keys: RawKeys::default(),
        crl: RawCrl::default(),
        notices: RawNotices::default(),
        cosigners: Default::default(),
        cosigning: RawCosigning::default(),
        metrics: RawMetrics::default(),
        development: RawDevelopment::default(),
        log: RawLog::default(),
    }
}

/// Initialises a token with a random PIN, which stays in a file.
fn token(args: &Dev, dir: &Path, label: &str, pin_file: &str) -> Result<(), Failure> {
    if !args.module.exists() {
        return Err(Failure::local(format!(
            "there is no PKCS#11 module {}; install SoftHSM (Debian: apt-get install softhsm2), \
             name another with --module, or use --software",
            args.module.display()
        )));
    }
    let pin_file = dir.join(pin_file);
    if pin_file.exists() {
        return Ok(());
    }
    let (pin, so_pin) = (digits()?, digits()?);
    let config =
        config::load(&dir.join("avouch.toml")).map_err(|e| Failure::local(e.to_string()))?;
    let worker = authority::worker(&config.hsm.env, None);
    crate::runtime()?
        .block_on(pkcs11::provision::init_token(
            &worker,
            &args.module,
            label,
            &Pin::new(so_pin),
            &Pin::new(pin.clone()),
        ))
        .map_err(|error| authority::hsm_failure(&error))?;
    files::write(&pin_file, pin.as_bytes(), 0o600)
}

/// A random PIN of 12 digits.
fn digits() -> Result<String, Failure> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|e| Failure::local(format!("no randomness: {e}")))?;
    Ok(format!("{:012}", u64::from_be_bytes(bytes) % 1_000_000_000_000))
}
