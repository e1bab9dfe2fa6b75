//! `avouch history`: what was done to an identity, and what was tried.

use clap::Args;
use wire::UserId;
use wire::rest::{HistoryEntry, Outcome};

use super::common::{self, Connection};
use crate::exit::Failure;
use crate::output::{self, Format};
use crate::runtime;

/// Shows what was done to an identity, and what was tried and refused; newest first.
#[derive(Debug, Args)]
pub(crate) struct History {
    /// The user id.
    #[arg(value_name = "UID")]
    uid: UserId,
    #[command(flatten)]
    connection: Connection,
    /// How to show it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: &History) -> Result<(), Failure> {
    let (trust, server) = args.connection.open(None)?;
    let entries = runtime()?.block_on(server.history(&args.uid))?;
    common::tell_if_own(&server, &trust, std::slice::from_ref(&args.uid));
    match args.format {
        Format::Json => output::json(&entries),
        Format::Text => entries.iter().for_each(|entry| output::line(&shown(entry))),
    }
    Ok(())
}

fn shown(entry: &HistoryEntry) -> String {
    let mut line = format!("{}  ", entry.at);
    match entry.outcome {
        Outcome::Accepted => line.push_str(&entry.event),
        Outcome::Refused => {
            let problem = entry.problem.as_deref().unwrap_or("refused");
            line.push_str(&format!("{} REFUSED: {problem}", entry.event));
        }
    }
    if let Some(key) = entry.spki_sha256 {
        line.push_str(&format!("  key {:.16}", key.to_string()));
    }
    if let Some(serial) = &entry.serial {
        line.push_str(&format!("  serial {serial}"));
    }
    if !entry.evidence.is_empty() {
        line.push_str(&format!("  by {}", entry.evidence.join("+")));
    }
    if let Some(detail) = entry.detail.as_deref().filter(|_| entry.outcome == Outcome::Accepted) {
        line.push_str(&format!("  ({detail})"));
    }
    line
}
