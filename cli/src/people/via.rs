//! Handing in at an auditor's door, and the receipts.

use std::path::{Path, PathBuf};

use clap::Args;
use client::auditor::{AuditorDoor, Received, received};
use client::fetch::ServerOptions;
use client::trust::Trust;
use serde_json::json;
use wire::body::VetoEffect;
use wire::receipt::ReceiptFile;
use wire::request::RequestFile;

use super::common::time;
use crate::exit::{Exit, Failure};
use crate::output::{self, Format};
use crate::{files, runtime};

/// Where something is handed in, if not at the server.
#[derive(Debug, Args)]
pub(super) struct Via {
    /// Hands it in at an auditor's door instead (its submission prefix): for whoever the server does
    /// not answer, or whose word it may not pass on. The auditor's receipt counts.
    #[arg(long, value_name = "URL", env = "AVOUCH_AUDITOR")]
    via: Option<String>,
    /// CA certificates for the auditor's TLS, PEM; by default the system's.
    #[arg(long, value_name = "FILE", requires = "via")]
    via_ca: Option<PathBuf>,
    /// Where to write the receipt, together with what it is for; by default standard output.
    #[arg(long, value_name = "FILE", requires = "via")]
    receipt: Option<PathBuf>,
}

impl Via {
    /// Hands it in and keeps the receipt, if there is an auditor to hand it to; whether there is.
    pub(super) fn hand_in(&self, trust: &Trust, file: &RequestFile) -> Result<bool, Failure> {
        let Some(address) = &self.via else { return Ok(false) };
        let tls_roots = self.via_ca.as_deref().map(files::read).transpose()?;
        let door = AuditorDoor::new(address, &ServerOptions { tls_roots, ..Default::default() })?;
        let receipt = runtime()?.block_on(door.hand_in(file))?;
        let opened = open(trust, &receipt)?;
        lines(&opened).iter().for_each(|line| output::talk(line));
        match &self.receipt {
            Some(path) => {
                files::write(path, receipt.to_text().as_bytes(), 0o600)?;
                output::talk(&format!("wrote {}", path.display()));
            }
            None => output::line(receipt.to_text().trim_end()),
        }
        Ok(true)
    }
}

/// `avouch audit receipt`.
#[derive(Debug, Args)]
pub(crate) struct Receipt {
    /// The receipt, as `--receipt` wrote it.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The trust file, which names the auditors.
    #[arg(long, value_name = "FILE", env = "AVOUCH_TRUST", default_value = "trust.json")]
    trust: PathBuf,
    /// How to show it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn show(args: &Receipt) -> Result<(), Failure> {
    let trust = files::trust(&args.trust)?;
    let opened = read(&trust, &args.file)?;
    match args.format {
        Format::Text => lines(&opened).iter().for_each(|line| output::line(line)),
        Format::Json => output::json(&json!({
            "verb": opened.receipt.verb.name(),
            "intent": opened.receipt.intent,
            "request": opened.receipt.request,
            "auditor": opened.auditor.vkey(),
            "time": time(opened.time * 1000),
            "size": opened.receipt.size,
            "stops": opened.receipt.stops.iter().map(|(intent, effect)| json!({
                "intent": intent,
                "effect": effect.name(),
            })).collect::<Vec<_>>(),
        })),
    }
    Ok(())
}

/// Reads a receipt, and verifies it.
pub(super) fn read(trust: &Trust, path: &Path) -> Result<Received, Failure> {
    let file = ReceiptFile::parse(&files::read(path)?)
        .map_err(|error| Failure::local(format!("{}: {error}", path.display())))?;
    open(trust, &file)
}

fn open(trust: &Trust, file: &ReceiptFile) -> Result<Received, Failure> {
    let opened = received(trust, file)
        .map_err(|error| Failure::new(Exit::LogProof, format!("the receipt: {error}")))?;
    if opened.receipt.genesis != trust.genesis() {
        let message = "the receipt is of another installation than the trust file's";
        return Err(Failure::new(Exit::LogProof, message));
    }
    Ok(opened)
}

fn lines(received: &Received) -> Vec<String> {
    let Received { receipt, auditor, time: at, .. } = received;
    let mut lines = vec![
        format!("{} {}", receipt.verb, receipt.intent),
        format!("handed to {} at {}", auditor.name(), time(at * 1000)),
        format!("who had seen {} leaves of the log", receipt.size),
    ];
    lines.extend(receipt.stops.iter().map(|(intent, effect)| match effect {
        VetoEffect::Dropped => format!("what intent {intent} asked for does not complete any more"),
        VetoEffect::Slowed => {
            format!("what intent {intent} asked for takes twice the wait and one more officer")
        }
    }));
    lines
}
