//! `avouch verify`: is this really that person's key?

use std::path::PathBuf;

use clap::{Args, Subcommand};
use client::bundle::verify_heeding;
use client::fetch::Server;
use client::share;
use client::trust::Trust;
use wire::UserId;

use super::bundle::{self, BundleArgs};
use super::chain::{self, Chain};
use super::common::{Connection, ContactsFile, Demands, now, now_signed, tell_if_own};
use super::via;
use crate::exit::{Exit, Failure};
use crate::output::{self, Format};
use crate::runtime;

/// Verifies people's keys as `seal` does, or anybody's certificates.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(subcommand)]
    command: VerifyCommand,
}

#[derive(Debug, Subcommand)]
enum VerifyCommand {
    /// Fetches and verifies a person's certificate: chain, validity, use, name, revocation, and
    /// whether the key is the one known.
    Identity(Identity),
    /// Verifies an identity from a bundle, with the network cut.
    Bundle(BundleArgs),
    /// Verifies any certificate by RFC 5280, from files.
    Chain(Chain),
}

/// `avouch verify identity`.
#[derive(Debug, Args)]
struct Identity {
    /// The user ids.
    #[arg(value_name = "UID", required = true)]
    uids: Vec<UserId>,
    /// Receipts of auditors (`--receipt` of veto, suspend, recover): nothing may have completed that
    /// was stopped by what they are for.
    #[arg(long, value_name = "FILE")]
    receipt: Vec<PathBuf>,
    #[command(flatten)]
    contacts: ContactsFile,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    demands: Demands,
    /// How to show it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: &Verify) -> Result<(), Failure> {
    match &args.command {
        VerifyCommand::Identity(args) => identity(args),
        VerifyCommand::Bundle(args) => bundle::run(args),
        VerifyCommand::Chain(args) => chain::run(args),
    }
}

fn identity(args: &Identity) -> Result<(), Failure> {
    let (trust, server) = args.connection.open(None)?;
    let contacts = args.contacts.path()?;
    tell_if_own(&server, &trust, &args.uids);
    heed(args, &trust, &server)?;
    let resolved = runtime()?
        .block_on(share::resolve(
            &server,
            &trust,
            args.demands.log_proof(),
            &contacts,
            &args.uids,
            now_signed,
        ))
        .map_err(|e| Failure::local(e.to_string()))?;
    let report = super::share::Results::of(resolved);
    report.show(trust.genesis(), &contacts, args.format);
    match report.into_first_refusal() {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

/// Holds whole histories against receipts.
fn heed(args: &Identity, trust: &Trust, server: &Server) -> Result<(), Failure> {
    let receipts: Vec<_> =
        args.receipt.iter().map(|path| via::read(trust, path)).collect::<Result<_, _>>()?;
    if receipts.is_empty() {
        return Ok(());
    }
    for uid in &args.uids {
        let bundle = runtime()?.block_on(server.bundle(uid, 0))?;
        verify_heeding(trust, uid, &bundle, None, &receipts, now())
            .map_err(|e| Failure::new(Exit::from_number(e.exit_code()), format!("{uid}: {e}")))?;
    }
    Ok(())
}

/// One person who passed.
pub(crate) fn shown_ok(uid: &UserId, detail: &str) {
    output::line(&format!("{uid}: ok, {detail}"));
}
