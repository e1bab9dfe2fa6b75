//! `avouch agent`: what enrolment agents do.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use client::statement::{On, intents};
use wire::UserId;
use wire::statement::Role;

use super::common::{Connection, now};
use super::request::{self, agree};
use super::shown;
use super::signer::SignerArgs;
use crate::exit::Failure;
use crate::{files, output, runtime};

/// What enrolment agents do.
#[derive(Debug, Args)]
pub(crate) struct AgentArgs {
    #[command(subcommand)]
    command: AgentCommand,
}

#[derive(Debug, Subcommand)]
enum AgentCommand {
    Sign(Sign),
}

/// Vouches for an enrolment: signs a request that the person prepared (`avouch enrol --prepare`), or
/// makes one from a certification request. The person sends it (`avouch enrol --signed`).
#[derive(Debug, Args)]
struct Sign {
    /// For whom.
    #[arg(value_name = "UID")]
    uid: UserId,
    /// The person's certification request, PEM or DER.
    #[arg(long, value_name = "FILE", required_unless_present = "request")]
    csr: Option<PathBuf>,
    /// The request that the person prepared.
    #[arg(long, value_name = "FILE", conflicts_with = "csr")]
    request: Option<PathBuf>,
    #[command(flatten)]
    signer: SignerArgs,
    /// Where to write it.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Does not ask whether you agree.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &AgentArgs) -> Result<(), Failure> {
    let AgentCommand::Sign(args) = &args.command;
    let (trust, server) = args.connection.open(None)?;
    let mut draft = match (&args.request, &args.csr) {
        (Some(path), _) => request::draft(path, &request::read(path)?)?,
        (None, Some(path)) => {
            let wrong =
                |e: &dyn std::fmt::Display| Failure::local(format!("{}: {e}", path.display()));
            let csr = x509::Csr::parse(
                &files::read(path)?,
                &x509::KeyRules::identity(std::sync::Arc::default()),
            )
            .map_err(|e| wrong(&e))?;
            let policy = runtime()?.block_on(server.installation())?.policy;
            let on = On::nobody(trust.genesis(), policy, args.uid.clone(), now());
            intents::enrolment(&on, csr.der(), csr.spki_der(), None, Vec::new())?
        }
        (None, None) => return Err(Failure::local("give --csr or --request")),
    };
    let intent = draft.intent();
    if intent.subject.as_ref() != Some(&args.uid) || draft.genesis() != trust.genesis() {
        return Err(Failure::local(format!(
            "the request is for {} in installation {}, not for {} in {}",
            intent.subject.as_ref().map_or("nobody".to_owned(), ToString::to_string),
            draft.genesis(),
            args.uid,
            trust.genesis()
        )));
    }
    shown::intent(intent).iter().for_each(|line| output::talk(line));
    agree(args.yes, "vouch for this person")?;
    let (signer, role) = args.signer.open(Role::Agent)?;
    draft.sign(&*signer, role)?;
    request::keep(&draft, &args.out)
}
