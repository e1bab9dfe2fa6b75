//! `avouch db`: the database's schema, and the way from SQLite to PostgreSQL.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ca::audit;
use ca::refill::RefillError;
use ca::store::copy::{Copied, copy};
use ca::store::postgres::{Postgres, Settings};
use ca::store::sqlite::Sqlite;
use ca::store::{Store, StoreError};
use clap::{Args, Subcommand};
use secrecy::SecretString;
use wire::genesis::CosignerKind;

use super::authority::{open_hsm, open_store};
use crate::config::{self, Config, StoreConfig};
use crate::exit::{Exit, Failure};
use crate::output;

/// Looks after the database.
#[derive(Debug, Args)]
pub(crate) struct Db {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "avouch.toml", global = true)]
    config: PathBuf,
    #[command(subcommand)]
    command: DbCommand,
}

#[derive(Debug, Subcommand)]
enum DbCommand {
    /// Brings the schema up to date and reads the log's edge. The authority does the same when it
    /// starts.
    Migrate,
    /// Copies an SQLite file into an empty PostgreSQL database while the authority is stopped.
    ///
    /// Every row of both sides is counted and hashed, and the log's root is computed again from
    /// what was copied; only then is anything kept. Then every decision is replayed from the copy.
    /// Afterwards put the URL into `[store]`.
    Copy {
        /// The PostgreSQL database, without a password.
        #[arg(long, value_name = "URL")]
        to: String,
        /// Its password is in this file.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Fills in what a restored database lost, from an auditor, while the authority is stopped.
    ///
    /// The database is verified whole, and so is every entry that comes back, up to the checkpoint
    /// that the auditor co-signed; only then is anything written. Certificates are signed again when
    /// the authority starts, over the same bytes.
    Refill {
        /// The auditor, as the configuration calls it: `[cosigners.NAME]`.
        #[arg(long, value_name = "NAME")]
        from: String,
    },
}

pub(crate) fn run(args: &Db) -> Result<(), Failure> {
    let config = config::load(&args.config).map_err(|e| Failure::local(e.to_string()))?;
    match &args.command {
        DbCommand::Migrate => crate::runtime()?.block_on(migrate(&config)),
        DbCommand::Refill { from } => crate::runtime()?.block_on(refill(&config, from)),
        DbCommand::Copy { to, password_file } => {
            let settings = Settings::parse(to).map_err(|e| Failure::local(format!("--to: {e}")))?;
            crate::runtime()?.block_on(copy_to(&config, settings, password_file.as_deref()))
        }
    }
}

/// Opens an SQLite file, makes it when there is none.
pub(super) async fn sqlite(path: &Path) -> Result<Sqlite, Failure> {
    Sqlite::open(path).await.map_err(|error| failure(&path.display().to_string(), &error))
}

/// Opens a PostgreSQL database.
pub(super) async fn postgres(
    settings: Settings,
    password_file: Option<&Path>,
) -> Result<Postgres, Failure> {
    let settings = complete(settings, password_file)?;
    Postgres::open(&settings).await.map_err(|error| failure(settings.place(), &error))
}

/// Opens one moment of the database to read it, whether the authority runs or not.
pub(super) async fn moment(store: &StoreConfig) -> Result<Arc<dyn Store>, Failure> {
    match store {
        StoreConfig::Sqlite(path) => {
            Sqlite::moment(path).await.map_err(|error| failure(&path.display().to_string(), &error))
        }
        StoreConfig::Postgres { settings, password_file } => {
            let settings = complete((**settings).clone(), password_file.as_deref())?;
            Postgres::moment(&settings).await.map_err(|error| failure(settings.place(), &error))
        }
    }
}

/// With the password, where there is one.
fn complete(settings: Settings, password_file: Option<&Path>) -> Result<Settings, Failure> {
    Ok(match password_file {
        None => settings,
        Some(path) => settings.with_password(&password(path)?),
    })
}

pub(super) fn password(path: &Path) -> Result<SecretString, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::local(format!("the password's file {}: {error}", path.display()))
    };
    let mode = std::fs::metadata(path).map_err(unreadable)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Failure::local(format!(
            "the password's file {0} has mode {mode:o}: others can read it; chmod 600 {0}",
            path.display()
        )));
    }
    let mut text = std::fs::read_to_string(path).map_err(unreadable)?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(SecretString::from(text))
}

fn failure(place: &str, error: &StoreError) -> Failure {
    // What a new start may mend is code 2, else 1.
    let exit = match error {
        StoreError::Engine(_) => Exit::Remote,
        _ => Exit::Local,
    };
    Failure::new(exit, format!("cannot open the database {place}: {error}"))
}

async fn migrate(config: &Config) -> Result<(), Failure> {
    let store = open_store(&config.store).await?;
    let edge = store.edge().await;
    store.close().await;
    let edge = edge.map_err(|error| Failure::local(error.to_string()))?;
    output::line(&format!("The schema is up to date; the log has {} leaves.", edge.size()));
    Ok(())
}

/// Nobody else writes meanwhile.
async fn stopped(config: &Config) -> Result<(), Failure> {
    if tokio::net::UnixStream::connect(config.admin_socket()).await.is_ok() {
        let reason =
            "the authority is running: stop it first, or what it records meanwhile is lost";
        return Err(Failure::local(reason.to_owned()));
    }
    Ok(())
}

async fn refill(config: &Config, name: &str) -> Result<(), Failure> {
    stopped(config).await?;
    let settings = super::cosigning::settings(config)?;
    let auditor = settings
        .peers
        .into_iter()
        .find(|peer| peer.name() == name && peer.kind() == CosignerKind::Auditor)
        .ok_or_else(|| Failure::local(format!("`cosigners.{name}` is no auditor's section")))?;
    let (_, token) = config
        .tokens()
        .next()
        .ok_or_else(|| Failure::local("the configuration names no token".to_owned()))?;
    let hsm = open_hsm(token, &config.run).await?;
    let store = open_store(&config.store).await?;
    let now = config.clock().now_ms() / 1000;
    let refilled = ca::refill::refill(&*store, hsm.clone(), &auditor, now).await;
    store.close().await;
    hsm.shut_down().await;
    let refilled = refilled.map_err(|error| {
        let exit = match &error {
            RefillError::Lend(_) => Exit::Remote,
            RefillError::Backup(_) | RefillError::Filled(_) | RefillError::Refused(_) => {
                Exit::LogProof
            }
            _ => Exit::Local,
        };
        Failure::new(exit, error.to_string())
    })?;
    let audit::Verified { events, identities, .. } = refilled.verified;
    output::line(&format!(
        "leaves {} to {}: {} events came back, {} certificates are signed at the next start",
        refilled.from, refilled.to, refilled.events, refilled.certificates
    ));
    output::line(&format!("replayed     {events:>10} events of {identities} identities"));
    Ok(())
}

async fn copy_to(
    config: &Config,
    settings: Settings,
    password_file: Option<&Path>,
) -> Result<(), Failure> {
    let StoreConfig::Sqlite(path) = &config.store else {
        return Err(Failure::local("the configuration's [store] names no SQLite file".to_owned()));
    };
    stopped(config).await?;
    let source = Sqlite::open_existing(path)
        .await
        .map_err(|error| failure(&path.display().to_string(), &error))?;
    let destination = postgres(settings, password_file).await?;
    let bar = indicatif::ProgressBar::new_spinner();
    let copied = copy(&source, &destination, |table, rows| {
        bar.set_message(format!("{table}: {rows} rows"));
        bar.tick();
    })
    .await;
    // From what is there now, whole, as an auditor would.
    let replayed = match &copied {
        Ok(copied) if copied.size > 0 => {
            bar.set_message("replaying what was copied");
            audit::verify(&destination).await.map(Some)
        }
        _ => Ok(None),
    };
    bar.finish_and_clear();
    destination.close().await;
    source.close().await;
    let copied: Copied =
        copied.map_err(|error| Failure::local(format!("nothing was copied: {error}")))?;
    let replayed = replayed.map_err(|error| {
        Failure::new(
            Exit::LogProof,
            format!(
                "every row was copied, but the log does not follow from its evidence: {error}; \
                 the source has the same fault: do not use the copy, and run `avouch log verify`"
            ),
        )
    })?;
    for (table, rows, hash) in &copied.tables {
        output::line(&format!("{table:<12} {rows:>10} rows  {hash}"));
    }
    output::line(&format!("log          {:>10} leaves, root {}", copied.size, copied.root));
    if let Some(replayed) = replayed {
        let audit::Verified { events, identities, certificates, .. } = replayed;
        output::line(&format!(
            "replayed     {events:>10} events of {identities} identities, {certificates} certificates"
        ));
    }
    Ok(())
}
