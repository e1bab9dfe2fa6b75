//! `avouch authority`: the only process at the database and the only holder of the PIN.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ca::authority::{Authority, Limits, Missing, OpenError, Settings};
use ca::custody::TokenSettings;
use ca::metrics::{Format, Metrics};
use ca::server::{Awaited, Pins, Server};
use ca::store::Store;
use ca::store::measured::Measured;
use ca::switch_token::{Opener, SwitchIssuer};
use clap::Args;
use pkcs11::shares::Custody;
use pkcs11::{Hsm, HsmError, Pin, TokenSetup, WorkerCommand};

use wire::Hash32;
use wire::trust::TrustFile;

use super::{metrics, supervise};
use crate::config::{self, Config, HsmConfig, PinSource, SWITCH_ISSUER, StoreConfig};
use crate::exit::{Exit, Failure};

/// Runs the authority alone.
#[derive(Debug, Args)]
pub(crate) struct AuthorityArgs {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "avouch.toml")]
    config: PathBuf,
    /// Starts without `trust.json` beside the configuration: then the database alone says which
    /// installation this is, and whoever writes to it can put another one in its place.
    #[arg(long, env = "AVOUCH_WITHOUT_TRUST_FILE", value_parser = clap::builder::BoolishValueParser::new())]
    without_trust_file: bool,
}

pub(crate) fn run(args: &AuthorityArgs) -> Result<(), Failure> {
    supervise::end_with_parent();
    if let Err(error) = pkcs11::harden_process() {
        tracing::warn!(%error, "cannot forbid core dumps of this process");
    }
    let config = config::load(&args.config).map_err(|e| Failure::local(e.to_string()))?;
    let _logging = crate::log::of_a_service(&config.log);
    let settings =
        Settings { genesis: genesis(&config, args.without_trust_file)?, ..settings(&config)? };
    crate::runtime()?.block_on(serve(&config, settings))
}

/// What the authority is told beside its store and its token.
pub(super) fn settings(config: &Config) -> Result<Settings, Failure> {
    let limits = Limits {
        queue: config.limits.queue.0,
        group: config.limits.group.0,
        signing_groups: config.limits.signing_groups.0,
        ..Limits::default()
    };
    let blocklist = match &config.blocklist {
        None => x509::Blocklist::default(),
        Some(path) => {
            let bytes = crate::files::read(path)?;
            let wrong = |e: &dyn std::fmt::Display| {
                Failure::local(format!("`keys.blocklist`: {}: {e}", path.display()))
            };
            let text = String::from_utf8(bytes).map_err(|e| wrong(&e))?;
            x509::Blocklist::parse(&text).map_err(|e| wrong(&e))?
        }
    };
    let notices = super::notices::settings(&config.notices)?;
    let (blocklist, metrics) = (Arc::new(blocklist), Metrics::new());
    let cosigning = super::cosigning::settings(config)?;
    let tokens = token_settings(config)?;
    let switch_issuer = config.switch_issuer.clone().map(|hsm| switch_issuer(config, hsm));
    let genesis = None;
    Ok(Settings { limits, blocklist, metrics, genesis, notices, cosigning, tokens, switch_issuer })
}

/// How the token that signs switches is opened: here, or when an operator gives its PIN.
fn switch_issuer(config: &Config, hsm: HsmConfig) -> SwitchIssuer {
    let by_itself = !hsm.pin.is_awaited();
    let open: Opener = Arc::new(move |given: Option<Pin>| {
        let setup = match given {
            Some(pin) => Ok(setup(SWITCH_ISSUER, &hsm, None, Some(pin))),
            None => token_setup(SWITCH_ISSUER, &hsm, None),
        };
        Box::pin(async move {
            let detail =
                |failure: Failure| HsmError::Config { detail: failure.message().to_owned() };
            Hsm::start_all(vec![setup.map_err(detail)?]).await
        })
    });
    let crl_lifetime = config.switch_crl_lifetime.as_secs();
    SwitchIssuer { name: SWITCH_ISSUER.to_owned(), open, by_itself, crl_lifetime }
}

/// Which installation it is to be. Whoever writes to the database does not write to this file.
fn genesis(config: &Config, may_be_missing: bool) -> Result<Option<Hash32>, Failure> {
    let file = config.dir.join("trust.json");
    let told = |what: &dyn std::fmt::Display| format!("{}: {what}", file.display());
    match std::fs::read_to_string(&file) {
        Ok(text) => {
            let trust = TrustFile::parse(&text).map_err(|error| Failure::local(told(&error)))?;
            Ok(Some(trust.genesis()))
        }
        Err(error) if may_be_missing => {
            tracing::warn!(%error, file = %file.display(), "no trust file: the database alone says which installation this is");
            Ok(None)
        }
        Err(error) => Err(Failure::local(format!(
            "{}: without it the database alone would say which installation this is. Put the file \
             back that `avouch init` wrote, or start with --without-trust-file",
            told(&error)
        ))),
    }
}

async fn serve(config: &Config, settings: Settings) -> Result<(), Failure> {
    let stop = supervise::stop_signal();
    supervise::bear_file_limits();
    let counted = settings.metrics.clone();
    let store = open_measured_store(&config.store, &counted).await?;
    let scrapes = match config.metrics.authority {
        Some(address) => Some(metrics::bind(address).await?),
        None => None,
    };
    let gateway = config.users.gateway.as_ref().map(|user| user.uid);
    let server = Server::bind(&config.gateway_socket(), gateway, &config.admin_socket())
        .await
        .map_err(|e| Failure::local(e.to_string()))?;
    let hsm = tokio::select! {
        hsm = open_tokens(config, &server, &settings.tokens.custody) => hsm?,
        () = stop.cancelled() => return Ok(()),
    };
    let clock = config.clock();
    if let Some(file) = clock.test_file() {
        tracing::warn!(file = %file.display(), "a test clock: waits mean nothing");
    }
    let opened = Authority::open(Arc::clone(&store), hsm.clone(), clock, settings, stop.clone());
    let running = opened.await.map_err(open_failure)?;
    if let Some(scrapes) = scrapes {
        let authority = running.authority();
        let text = move |open| {
            let (counted, authority) = (counted.clone(), Arc::clone(&authority));
            let format = if open { Format::OpenMetrics } else { Format::Prometheus };
            async move { counted.text(&authority, format).await }
        };
        tokio::spawn(scrapes.serve(text, stop));
    }
    crate::output::line("ready");
    let serving = tokio::spawn(server.serve(running.authority()));
    let outcome = running.until_stopped().await;
    let _ = serving.await;
    store.close().await;
    // Waits for the end of the workers: a clean stop leaves no process.
    hsm.shut_down().await;
    outcome.map_err(|fatal| Failure::new(Exit::Remote, format!("the authority stops: {fatal}")))
}

/// The store whose sessions are measured.
async fn open_measured_store(
    store: &StoreConfig,
    metrics: &Metrics,
) -> Result<Arc<dyn Store>, Failure> {
    Ok(match store {
        StoreConfig::Sqlite(path) => {
            Arc::new(Measured::new(super::db::sqlite(path).await?, metrics.store()))
        }
        StoreConfig::Postgres { settings, password_file } => {
            let opened =
                super::db::postgres((**settings).clone(), password_file.as_deref()).await?;
            Arc::new(Measured::new(opened, metrics.store()))
        }
    })
}

pub(super) async fn open_store(store: &StoreConfig) -> Result<Arc<dyn Store>, Failure> {
    Ok(match store {
        StoreConfig::Sqlite(path) => Arc::new(super::db::sqlite(path).await?),
        StoreConfig::Postgres { settings, password_file } => {
            Arc::new(super::db::postgres((**settings).clone(), password_file.as_deref()).await?)
        }
    })
}

/// Opens all tokens that hold the issuing key; one that answers is enough. Those whose PIN
/// administrators give join when it is given; where there are only such, the first is waited for.
async fn open_tokens(config: &Config, server: &Server, custody: &Custody) -> Result<Hsm, Failure> {
    let setups = |given: &Pins| {
        let tokens = config.tokens().map(|(name, hsm)| {
            if hsm.pin.is_awaited() {
                Ok(setup(name, hsm, Some(&config.run), given.get(name).cloned()))
            } else {
                token_setup(name, hsm, Some(&config.run))
            }
        });
        tokens.collect::<Result<Vec<_>, Failure>>()
    };
    for (_, hsm) in config.tokens().filter(|(_, hsm)| hsm.pin.is_awaited()) {
        // What is wrong with a set of shares shows now, not when the operators have come.
        hsm.check_files().map_err(Failure::local)?;
    }
    if config.tokens().any(|(_, hsm)| !hsm.pin.is_awaited()) {
        let tokens = setups(&Pins::new())?;
        for token in
            tokens.iter().filter(|token| token.pin.as_ref().is_some_and(|p| !p.is_locked()))
        {
            let token = &token.name;
            tracing::warn!(token, "the PIN's memory may be swapped out; raise `ulimit -l`");
        }
        return Hsm::start_all(tokens).await.map_err(|error| hsm_failure(&error));
    }
    let whole = config.tokens().filter(|(_, hsm)| matches!(hsm.pin, PinSource::Unlock));
    let whole = whole.map(|(name, _)| name.to_owned()).collect();
    tracing::warn!("waiting for a PIN: `avouch unlock`");
    let open = |pins: Pins| {
        let tokens = setups(&pins);
        async move {
            let detail = |failure: Failure| failure.message().to_owned();
            let tokens = tokens.map_err(|f| HsmError::Config { detail: detail(f) })?;
            Hsm::start_all(tokens).await
        }
    };
    Ok(server.unlocked(&Awaited { whole, custody: custody.clone() }, open).await)
}

/// What the authority is told of its tokens beside the tokens themselves.
fn token_settings(config: &Config) -> Result<TokenSettings, Failure> {
    let own = config.switch_issuer.iter().map(|hsm| (SWITCH_ISSUER, hsm));
    let shared = config.tokens().chain(own).filter_map(|(name, hsm)| match &hsm.pin {
        PinSource::Shares(path) => Some((name.to_owned(), path.clone())),
        _ => None,
    });
    let custody = Custody::new(shared);
    let mut attestation_roots = Vec::new();
    let all = config.tokens().map(|(_, hsm)| hsm).chain(&config.switch_issuer);
    for path in all.filter_map(|hsm| hsm.attestation_ca.as_ref()) {
        let found = path::Certificate::from_pem_or_der(&crate::files::read(path)?);
        let wrong = |e: &dyn std::fmt::Display| {
            Failure::local(format!("`attestation_ca`: {}: {e}", path.display()))
        };
        attestation_roots.extend(found.map_err(|error| wrong(&error))?);
    }
    Ok(TokenSettings { custody, attestation_roots })
}

/// Opens one token.
pub(super) async fn open_hsm(hsm: &HsmConfig, run: &Path) -> Result<Hsm, Failure> {
    let setup = token_setup("hsm", hsm, Some(run))?;
    Hsm::start_all(vec![setup]).await.map_err(|error| hsm_failure(&error))
}

/// A token with its PIN, as configured.
pub(super) fn token_setup(
    name: &str,
    hsm: &HsmConfig,
    run: Option<&Path>,
) -> Result<TokenSetup, Failure> {
    let pin = hsm.pin.read().map_err(|e| Failure::local(e.to_string()))?;
    Ok(setup(name, hsm, run, Some(pin)))
}

pub(super) fn setup(
    name: &str,
    hsm: &HsmConfig,
    run: Option<&Path>,
    pin: Option<Pin>,
) -> TokenSetup {
    let command = worker(&hsm.env, run);
    TokenSetup { name: name.to_owned(), command, config: hsm.token.clone(), pin }
}

/// How workers are started: this program, with `hsm-worker`.
pub(crate) fn worker(env: &[(String, String)], run: Option<&Path>) -> WorkerCommand {
    // The file this process runs from, even when another build has taken its place meanwhile.
    let mut command = WorkerCommand::new("/proc/self/exe").arg("hsm-worker");
    if let Some(run) = run {
        command = command.arg("--pid-file").arg(run.join("hsm-worker.pid").display().to_string());
    }
    for (name, value) in env {
        command = command.env(name, value);
    }
    command
}

pub(crate) fn hsm_failure(error: &pkcs11::HsmError) -> Failure {
    // A fault that a new start may mend is code 3, else 1: then nobody tries a wrong PIN again.
    let exit = if error.is_transient() { Exit::Hsm } else { Exit::Local };
    Failure::new(exit, format!("the HSM cannot be used: {error}"))
}

fn open_failure(error: OpenError) -> Failure {
    match error.missing() {
        Missing::Hsm(hsm) => hsm_failure(hsm),
        Missing::Store | Missing::Cosigners => Failure::new(Exit::Remote, error.to_string()),
        Missing::Somebody => Failure::local(error.to_string()),
    }
}
