//! `avouch verify`: is this really that person's key?

use clap::{Args, Subcommand};
use client::share;
use wire::UserId;

use super::bundle::{self, BundleArgs};
use super::chain::{self, Chain};
use super::common::{Connection, ContactsFile, Demands, now_signed, tell_if_own};
use crate::exit::Failure;
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

/// One person who passed.
pub(crate) fn shown_ok(uid: &UserId, detail: &str) {
    output::line(&format!("{uid}: ok, {detail}"));
}
