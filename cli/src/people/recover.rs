//! `avouch recover`: the way back for whoever has lost something.

use std::path::PathBuf;

use clap::Args;
use client::keys::Signer;
use client::statement::intents;
use wire::UserId;
use wire::statement::Role;

use super::common::{Connection, private_key, state};
use super::moves::{OLD_DATA, by_old_key, key_or_new};
use super::request;
use super::switch::{self, Asked};
use super::via::Via;
use crate::exit::{Exit, Failure};
use crate::output::{self, Format};
use crate::runtime;

/// Leads back to an identity, by what is left: the old key moves it to a new one at once, the
/// recovery key too; with neither, officers are asked for a switch, which takes their approvals and
/// a wait.
#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// The user id.
    #[arg(value_name = "UID")]
    uid: UserId,
    /// The old private key, if it is there.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The recovery key, if it is there. It is used up by this.
    #[arg(long, value_name = "FILE", conflicts_with = "key", requires = "new_recovery_key")]
    recovery_key: Option<PathBuf>,
    /// The new private key; made if the file does not exist.
    #[arg(long, value_name = "FILE")]
    new_key: PathBuf,
    /// The recovery key from now on; made if the file does not exist.
    #[arg(long, value_name = "FILE")]
    new_recovery_key: Option<PathBuf>,
    /// With neither key: what happened, for the officers.
    #[arg(long, value_name = "TEXT", required_unless_present_any = ["key", "recovery_key"])]
    reason: Option<String>,
    /// An ID token of the identity provider whose nonce is the intent's hash, where the enrolment
    /// had one (`avouch switch request --prepare`).
    #[arg(long, value_name = "FILE")]
    id_token: Option<PathBuf>,
    #[command(flatten)]
    via: Via,
    /// Where to write the certificate and its issuers, PEM.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
    /// How to show the answer.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: &Recover) -> Result<(), Failure> {
    let (uid, out) = (&args.uid, args.out.as_deref());
    if let Some(key) = &args.key {
        output::talk("The old key is there: it signs the move to the new one.");
        let old = private_key(key)?;
        return by_old_key(&args.connection, uid, &old, &args.new_key, out, args.format);
    }
    if let (Some(recovery), Some(next)) = (&args.recovery_key, &args.new_recovery_key) {
        output::talk(
            "The recovery key is there: it moves the identity, and another takes its place.",
        );
        let (trust, server) = args.connection.open(None)?;
        let recovery = private_key(recovery)?;
        let (new, next) = (key_or_new(&args.new_key)?, key_or_new(next)?);
        let draft = runtime()?.block_on(async {
            let on = state(&server, &trust, uid).await?.on;
            let mut draft = intents::recovery(&on, &new, next.spki_der())?;
            draft.sign(&new, Role::NewKey)?;
            draft.sign_with_recovery_key(&recovery)?;
            Ok::<_, Failure>(draft)
        })?;
        if args.via.hand_in(&trust, &draft.to_file())? {
            output::talk(OLD_DATA);
            return Ok(());
        }
        let done = runtime()?.block_on(server.ask(&draft))?;
        output::talk(OLD_DATA);
        return request::show_done(&done, out, args.format);
    }
    output::talk(
        "Neither key is there: officers are asked. Each of them identifies you; then a wait begins, \
         in which whoever holds the old key or the recovery key can object.",
    );
    let asked = Asked {
        uid,
        new_key: &args.new_key,
        recovery_key: args.new_recovery_key.as_deref(),
        reason: args.reason.as_deref(),
        id_token: args.id_token.as_deref(),
    };
    let (trust, server) = args.connection.open(None)?;
    let (draft, _) = switch::draft(&server, &trust, &asked)?;
    let done = runtime()?.block_on(server.ask(&draft))?;
    output::talk(OLD_DATA);
    request::show_done(&done, None, args.format)?;
    let message = format!(
        "asked for switch {}; tell the officers its first digits, {:.8}. `avouch switch status {uid}` \
         shows how far it is",
        draft.hash(),
        draft.hash().to_string()
    );
    Err(Failure::new(Exit::Pending, message))
}
