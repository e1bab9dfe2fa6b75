//! `avouch rename`: other names besides the id in the certificate, over the same key.

use std::path::PathBuf;

use clap::Args;
use client::statement::intents;
use wire::UserId;
use wire::intent::{Name, NameKind};
use wire::statement::Role;

use super::common::{Connection, state, tell_of_pending};
use super::request;
use super::signer::SignerArgs;
use crate::exit::{Exit, Failure};
use crate::output::{self, Format};
use crate::runtime;

/// Names besides the id.
#[derive(Debug, Args)]
pub(crate) struct Names {
    /// An e-mail address that the certificate is to carry. Somebody has to vouch for it. May be
    /// repeated.
    #[arg(long, value_name = "ADDRESS")]
    email: Vec<String>,
    /// A user principal name that the certificate is to carry. Somebody has to vouch for it. May be
    /// repeated.
    #[arg(long, value_name = "NAME@SUFFIX")]
    upn: Vec<String>,
}

impl Names {
    pub(crate) fn is_empty(&self) -> bool {
        self.email.is_empty() && self.upn.is_empty()
    }

    /// All of them, with what follows the @ in lower case.
    pub(crate) fn all(&self) -> Result<Vec<Name>, Failure> {
        let of = |kind, values: &[String]| -> Vec<Name> {
            let lower = |value: &String| match value.rsplit_once('@') {
                Some((local, domain)) => format!("{local}@{}", domain.to_lowercase()),
                None => value.clone(),
            };
            values.iter().map(|value| Name { kind, value: lower(value) }).collect()
        };
        let all = [of(NameKind::Rfc822, &self.email), of(NameKind::Upn, &self.upn)].concat();
        for name in &all {
            if let Some(fault) = name.fault() {
                return Err(Failure::local(format!("{:?}: {fault}", name.value)));
            }
        }
        Ok(all)
    }
}

/// Changes the names besides the id in an identity's certificate. The key stays.
///
/// The holder signs (`--key`), or the threshold of officers (`--as officer`). Names that are new are
/// vouched for: by officers, by an agent whose scope has the domain (`avouch request sign --as
/// agent`), or, of an e-mail address, by an ID token (`avouch request submit --id-token`).
#[derive(Debug, Args)]
pub(crate) struct Rename {
    /// The user id.
    #[arg(value_name = "UID")]
    uid: UserId,
    /// All names that there are to be; with none, the id alone.
    #[command(flatten)]
    names: Names,
    #[command(flatten)]
    signer: SignerArgs,
    /// Writes the request to a file, for others to sign and hand in (`avouch request`), and shows
    /// the nonce for an ID token.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
    /// How to show the answer.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: &Rename) -> Result<(), Failure> {
    let names = args.names.all()?;
    let (trust, server) = args.connection.open(None)?;
    let state = runtime()?.block_on(state(&server, &trust, &args.uid))?;
    tell_of_pending(state.proven.as_ref());
    let proven = state.proven.as_ref().ok_or_else(|| {
        Failure::local("the trust file names no log key, so nothing proves the present key")
    })?;
    let key = proven.identity().key.map(|key| key.spki).ok_or_else(|| {
        Failure::new(Exit::Revoked, format!("{} has no key that a name could go to", args.uid))
    })?;
    let mut draft = intents::rename(&state.on, key, &names)?;
    let (signer, role) = args.signer.open(Role::CurrentKey)?;
    draft.sign(&*signer, role)?;
    if args.out.is_some() {
        output::line(&format!("nonce {}", draft.hash()));
    }
    request::send_or_keep(&server, &draft, args.out.as_deref(), args.format)
}
