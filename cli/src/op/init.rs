//! `avouch init`: the ceremony that begins an installation.

use std::path::{Path, PathBuf};

use ca::ceremony::{self, KeyChoice, Plan, Tokens};
use ca::clock::Clock;
use clap::{Args, ValueEnum};
use pkcs11::{Hsm, Pin};
use tlog::witness::AnyCheckpoint;
use wire::rules::Rules;
use wire::trust::TrustFile;
use wire::{Hash32, Realm};

use super::authority::{self, open_hsm, open_store};
use crate::config::{self, Config, HsmConfig, PinSource, SWITCH_ISSUER};
use crate::exit::Failure;
use crate::files;
use crate::keyholder;

/// Begins an installation: makes root and issuing keys on the tokens that the configuration names
/// (`[root_hsm]`, else `[hsm]`; for switches `[switch_issuer]`, if there is one), their certificates,
/// and the genesis event.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "avouch.toml")]
    config: PathBuf,
    /// The installation's name in `avouch://realm/uid`.
    #[arg(long)]
    realm: Realm,
    /// Where CRLs and issuing certificates are served; it stands in every certificate.
    #[arg(long, value_name = "URL")]
    base_url: String,
    /// An enrolment agent, as NAME=FILE with its certificate or public key, PEM. May be repeated.
    #[arg(long, value_name = "NAME=FILE")]
    agent: Vec<String>,
    /// What an agent may do, as NAME:ENTRY, all entries of it: enrol, directory, uid-prefix=TEXT,
    /// uid-suffix=TEXT, email=DOMAIN, upn=DOMAIN. Without any: all but names.
    #[arg(long, value_name = "NAME:ENTRY")]
    scope: Vec<String>,
    /// The first policy, TOML (docs/policy.md); without it the preset `standard`.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// An officer, as NAME=FILE with her certificate or public key, PEM; NAME:UID=FILE where she
    /// has an identity here herself, about which she does not decide. May be repeated: as many as
    /// the policy demands.
    #[arg(long, value_name = "NAME[:UID]=FILE")]
    officer: Vec<String>,
    /// The last checkpoint of the log that this one takes the place of, with its signatures, as
    /// the old installation served it: the genesis event commits to it.
    #[arg(long, value_name = "FILE")]
    continues: Option<PathBuf>,
    /// Algorithm of the root and issuing keys.
    #[arg(long, value_enum, default_value_t = KeyKind::P256)]
    key: KeyKind,
    /// The PIN of `[switch_issuer]` is in this file, which only this user can read; where the
    /// authority is given it by `avouch unlock`, it is asked for else.
    #[arg(long, value_name = "FILE")]
    switch_pin_file: Option<PathBuf>,
    /// Lets an agent's TLS certificate alone vouch for enrolments: for development only.
    #[arg(long)]
    allow_transport_evidence: bool,
    /// Lets a software token count as an HSM: for development only.
    #[arg(long)]
    allow_software_token: bool,
}

/// Algorithms of an installation's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyKind {
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// RSA of 3072 bits.
    Rsa3072,
    /// RSA of 4096 bits.
    Rsa4096,
}

impl KeyKind {
    pub(crate) fn choice(self) -> KeyChoice {
        match self {
            Self::P256 => KeyChoice::P256,
            Self::P384 => KeyChoice::P384,
            Self::Rsa3072 => KeyChoice::Rsa3072,
            Self::Rsa4096 => KeyChoice::Rsa4096,
        }
    }
}

pub(crate) fn run(args: &Init) -> Result<(), Failure> {
    let config = config::load(&args.config).map_err(|e| Failure::local(e.to_string()))?;
    let mut agents =
        args.agent.iter().map(|text| keyholder::agent(text)).collect::<Result<Vec<_>, _>>()?;
    keyholder::scopes(&mut agents, &args.scope)?;
    let officers =
        args.officer.iter().map(|text| keyholder::officer(text)).collect::<Result<_, _>>()?;
    let mut rules = args.policy.as_deref().map_or_else(|| Ok(Rules::standard()), policy_file)?;
    rules.allow_transport_evidence |= args.allow_transport_evidence;
    rules.allow_software_token |= args.allow_software_token;
    let plan = Plan {
        realm: args.realm.clone(),
        base_url: args.base_url.trim_end_matches('/').to_owned(),
        rules,
        officers,
        agents,
        cosigners: super::cosigning::founding(&config)?,
        key: args.key.choice(),
        continues: args.continues.as_deref().map(last_checkpoint).transpose()?,
    };
    crate::runtime()?.block_on(begin(&config, plan, args.switch_pin_file.as_deref()))
}

/// SHA-256 of a checkpoint's text, without its signatures: of those there may be more tomorrow.
fn last_checkpoint(path: &Path) -> Result<Hash32, Failure> {
    let wrong = |why: String| Failure::local(format!("{}: {why}", path.display()));
    let text = String::from_utf8(files::read(path)?).map_err(|e| wrong(e.to_string()))?;
    let checkpoint = AnyCheckpoint::parse(&text).map_err(|e| wrong(e.to_string()))?;
    let (origin, size) = (checkpoint.origin(), checkpoint.size());
    crate::output::talk(&format!("The new log continues {origin} after {size} leaves."));
    Ok(Hash32::of(checkpoint.note().text().as_bytes()))
}

/// Reads a policy file.
pub(crate) fn policy_file(path: &Path) -> Result<Rules, Failure> {
    let text = String::from_utf8(files::read(path)?)
        .map_err(|_| Failure::local(format!("{} is not text", path.display())))?;
    policy::file::parse(&text).map_err(|e| Failure::local(format!("{}: {e}", path.display())))
}

/// Opens the token that is to sign switches. Where its PIN is given to the running authority alone,
/// it is taken from a file or asked for.
async fn open_switch_issuer(
    own: &HsmConfig,
    run: &Path,
    pin_file: Option<&Path>,
) -> Result<Hsm, Failure> {
    if !matches!(own.pin, PinSource::Unlock) {
        return open_hsm(own, run).await;
    }
    let pin = match pin_file {
        Some(path) => super::hsm::secret(path)?,
        None => crate::terminal::ask_secret("PIN of the token for switches: ")
            .map_err(|error| Failure::local(format!("cannot ask for the PIN: {error}")))?,
    };
    let setup = authority::setup(SWITCH_ISSUER, own, Some(run), Some(Pin::new(pin)));
    Hsm::start_all(vec![setup]).await.map_err(|error| authority::hsm_failure(&error))
}

/// Makes the installation and writes `root.pem`, `chain.pem` and `trust.json` beside the
/// configuration.
pub(super) async fn begin(
    config: &Config,
    plan: Plan,
    switch_pin: Option<&Path>,
) -> Result<(), Failure> {
    let store = open_store(&config.store).await?;
    let handed_out = config.dir.join("trust.json").exists();
    let told = |e: &dyn std::fmt::Display| Failure::local(e.to_string());
    // A ceremony that was cut short after its record: what it would have handed out is made again.
    if !handed_out && let Some(begun) = ceremony::begun(&*store).await.map_err(|e| told(&e))? {
        store.close().await;
        return hand_out(config, begun);
    }
    let issuing = open_hsm(&config.hsm, &config.run).await?;
    let root = match &config.root_hsm {
        Some(root) => Some(open_hsm(root, &config.run).await?),
        None => None,
    };
    let switches = match &config.switch_issuer {
        Some(own) => Some(open_switch_issuer(own, &config.run, switch_pin).await?),
        None => None,
    };
    let tokens = Tokens {
        root: root.as_ref().unwrap_or(&issuing),
        issuing: &issuing,
        switches: switches.as_ref(),
    };
    let begun =
        ceremony::begin(&*store, tokens, plan, &Clock::system()).await.map_err(|e| told(&e))?;
    store.close().await;
    hand_out(config, begun)
}

/// Writes `root.pem`, `chain.pem` and `trust.json` beside the configuration.
fn hand_out(config: &Config, begun: ceremony::Begun) -> Result<(), Failure> {
    let trust = TrustFile::new(
        begun.realm,
        begun.genesis,
        &begun.root,
        begun.log,
        begun.quorum,
        begun.max_status_age,
        config.gateway.public_url.clone(),
    )
    .and_then(|trust| trust.with_address_key(&begun.address_key))
    .map_err(|e| Failure::local(e.to_string()))?;
    let pem = |der: &[u8]| x509::pem::encode("CERTIFICATE", der);
    files::publish(&config.dir.join("root.pem"), pem(&begun.root).as_bytes())?;
    let chain: String = begun.issuing.iter().map(|der| pem(der)).collect();
    files::publish(&config.dir.join("chain.pem"), chain.as_bytes())?;
    files::publish(&config.dir.join("trust.json"), trust.to_text().as_bytes())?;
    crate::output::talk(&format!(
        "The installation has begun. Fingerprint of trust.json:\n  {}",
        trust.fingerprint()
    ));
    for warning in begun.warnings {
        crate::output::talk(&format!("WARNING: {warning}"));
    }
    Ok(())
}
