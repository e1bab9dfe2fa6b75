//! `avouch log verify` and `avouch audit export|verify`: the whole log.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use ca::audit;
use clap::{Args, Subcommand};

use super::db::moment;
use crate::exit::{Exit, Failure};
use crate::output::{self, Format};
use crate::people::via;
use crate::people::watch::{self, Watch};
use crate::{config, files, runtime};

/// Looks after the log, and watches what it says of identities.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    #[command(subcommand)]
    command: LogCommand,
}

#[derive(Debug, Subcommand)]
enum LogCommand {
    /// Watches identities of one's own.
    Watch(Box<Watch>),
    /// Verifies the whole log in the database: every leaf, every decision replayed from its
    /// evidence, every map root, the latest checkpoint's signature, every certificate. It reads one
    /// moment of the database, so the authority may be running.
    Verify {
        /// The configuration.
        #[arg(long, value_name = "FILE", default_value = "avouch.toml")]
        config: PathBuf,
        /// How to show the result.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

/// Hands the log to others, and verifies what was handed over.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Writes every leaf that the latest signed checkpoint covers, events with their evidence and
    /// proofs, as JSON Lines. It holds user ids and evidence: it is for auditors.
    Export {
        /// The configuration.
        #[arg(long, value_name = "FILE", default_value = "avouch.toml")]
        config: PathBuf,
        /// Where to write it.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Verifies an auditor's receipt for a veto, a suspension or a recovery, and shows what it says.
    Receipt(via::Receipt),
    /// Verifies an export offline, against the trust file and nothing else.
    Verify {
        /// The export.
        #[arg(value_name = "FILE")]
        export: PathBuf,
        /// The trust file.
        #[arg(long, value_name = "FILE", env = "AVOUCH_TRUST", default_value = "trust.json")]
        trust: PathBuf,
        /// How to show the result.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

pub(crate) fn log(args: &LogArgs) -> Result<(), Failure> {
    match &args.command {
        LogCommand::Watch(args) => watch::run(args),
        LogCommand::Verify { config, format } => verify_stored(config, *format),
    }
}

fn verify_stored(config: &Path, format: Format) -> Result<(), Failure> {
    let config = config::load(config).map_err(|e| Failure::local(e.to_string()))?;
    let verified = runtime()?.block_on(async {
        let store = moment(&config.store).await?;
        let verified = audit::verify(&*store).await;
        store.close().await;
        verified.map_err(|e| audit_failure(&e))
    })?;
    match format {
        Format::Json => output::json(&verified),
        Format::Text => output::line(&format!(
            "ok: {} leaves, {} events of {} identities, {} certificates; root {}, signed up to {}{}",
            verified.leaves,
            verified.events,
            verified.identities,
            verified.certificates,
            verified.root,
            verified.checkpoint,
            cosigned(verified.vouched)
        )),
    }
    Ok(())
}

/// How far the quorum vouches, in words.
fn cosigned(vouched: Option<(u64, u64)>) -> String {
    let Some((size, as_of)) = vouched else { return String::new() };
    let at = path::rfc3339(i64::try_from(as_of).unwrap_or(i64::MAX));
    format!(", co-signed up to {size} as of {at}")
}

fn audit_failure(error: &audit::AuditError) -> Failure {
    match error {
        audit::AuditError::Store(_) | audit::AuditError::Empty | audit::AuditError::Io(_) => {
            Failure::local(error.to_string())
        }
        _ => Failure::new(Exit::LogProof, error.to_string()),
    }
}

pub(crate) fn audit(args: &AuditArgs) -> Result<(), Failure> {
    match &args.command {
        AuditCommand::Export { config, out } => export(config, out),
        AuditCommand::Receipt(args) => via::show(args),
        AuditCommand::Verify { export, trust, format } => verify(export, trust, *format),
    }
}

fn export(config: &Path, out: &Path) -> Result<(), Failure> {
    let config = config::load(config).map_err(|e| Failure::local(e.to_string()))?;
    let told = |e: std::io::Error| Failure::local(format!("cannot write {}: {e}", out.display()));
    let mut file = BufWriter::new(File::create(out).map_err(told)?);
    let leaves = runtime()?.block_on(async {
        let store = moment(&config.store).await?;
        let leaves = audit::export(&*store, &mut file).await;
        store.close().await;
        leaves.map_err(|e| audit_failure(&e))
    })?;
    file.flush().map_err(told)?;
    output::talk(&format!("wrote {leaves} leaves to {}", out.display()));
    Ok(())
}

fn verify(export: &Path, trust: &Path, format: Format) -> Result<(), Failure> {
    let trust = files::trust(trust)?;
    let file = File::open(export)
        .map_err(|e| Failure::local(format!("cannot read {}: {e}", export.display())))?;
    let audited = client::audit::verify(&trust, BufReader::new(file))
        .map_err(|e| Failure::new(Exit::LogProof, e.to_string()))?;
    match format {
        Format::Json => output::json(&audited),
        Format::Text => output::line(&format!(
            "ok: {} leaves, {} events of {} identities; root {}",
            audited.leaves, audited.events, audited.identities, audited.root
        )),
    }
    Ok(())
}
