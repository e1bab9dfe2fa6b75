//! `avouch rekey` and `recovery-key change`: moves by one's own keys.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use client::keys::{KeyAlgorithm, PrivateKey, Signer};
use client::statement::intents;
use wire::UserId;
use wire::statement::Role;

use super::common::{Connection, private_key, state, tell_of_pending};
use super::request::{self, sign_draft};
use super::signer::SignerArgs;
use crate::exit::Failure;
use crate::output::{self, Format};
use crate::runtime;

/// What remains readable, wherever a key is left behind.
pub(super) const OLD_DATA: &str = "What was shared with you until now opens with the old key: keep it. \
Without it, what remains is the organisation's escrow key, where there is one, and those who shared \
with you, who can wrap it anew for the new key.";

/// Moves an identity to another key, at once: the old key signs, the new one counter-signs.
#[derive(Debug, Args)]
pub(crate) struct Rekey {
    /// The user id.
    #[arg(value_name = "UID")]
    uid: UserId,
    /// The identity's present private key.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The new private key; made if the file does not exist.
    #[arg(long, value_name = "FILE")]
    new_key: PathBuf,
    /// Where to write the certificate and its issuers, PEM.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
    /// How to show the answer.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn rekey(args: &Rekey) -> Result<(), Failure> {
    let old = private_key(&args.key)?;
    by_old_key(&args.connection, &args.uid, &old, &args.new_key, args.out.as_deref(), args.format)
}

/// The move by the old key.
pub(super) fn by_old_key(
    connection: &Connection,
    uid: &UserId,
    old: &PrivateKey,
    new: &Path,
    out: Option<&Path>,
    format: Format,
) -> Result<(), Failure> {
    let (trust, server) = connection.open(None)?;
    let new = key_or_new(new)?;
    let done = runtime()?.block_on(async {
        let state = state(&server, &trust, uid).await?;
        tell_of_pending(state.proven.as_ref());
        let mut draft = intents::rekey(&state.on, &new)?;
        draft.sign(&new, Role::NewKey)?;
        draft.sign(old, Role::CurrentKey)?;
        Ok::<_, Failure>(server.ask(&draft).await?)
    })?;
    output::talk(OLD_DATA);
    request::show_done(&done, out, format)
}

/// A private key file, made if there is none.
pub(super) fn key_or_new(path: &Path) -> Result<PrivateKey, Failure> {
    if path.exists() {
        return private_key(path);
    }
    let key = PrivateKey::generate(KeyAlgorithm::P256)?;
    key.save_new(path)?;
    output::talk(&format!("wrote {}; whoever has this file is you", path.display()));
    Ok(key)
}

/// Changes which recovery key an identity has.
#[derive(Debug, Args)]
pub(crate) struct RecoveryKey {
    #[command(subcommand)]
    command: RecoveryKeyCommand,
}

#[derive(Debug, Subcommand)]
enum RecoveryKeyCommand {
    /// Commits to another recovery key: at once where the old one signs (`--recovery-key`); by the
    /// current key (`--key`) after the recovery window, until when the old one wins.
    Change {
        /// The user id.
        #[arg(value_name = "UID")]
        uid: UserId,
        #[command(flatten)]
        signer: SignerArgs,
        /// The new recovery key; made if the file does not exist.
        #[arg(long, value_name = "FILE")]
        new_recovery_key: PathBuf,
        #[command(flatten)]
        connection: Connection,
        /// How to show the answer.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

pub(crate) fn recovery_key(args: &RecoveryKey) -> Result<(), Failure> {
    let RecoveryKeyCommand::Change { uid, signer, new_recovery_key, connection, format } =
        &args.command;
    let (trust, server) = connection.open(None)?;
    let next = key_or_new(new_recovery_key)?;
    let state = runtime()?.block_on(state(&server, &trust, uid))?;
    tell_of_pending(state.proven.as_ref());
    let mut draft = intents::recommitment(&state.on, next.spki_der())?;
    let (signer, role) = signer.open(Role::CurrentKey)?;
    sign_draft(&mut draft, &*signer, role)?;
    request::send_or_keep(&server, &draft, None, *format)
}
