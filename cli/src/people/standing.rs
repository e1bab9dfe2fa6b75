//! `avouch suspend`, `resume`, `retire`, `void`.

use std::path::PathBuf;

use clap::Args;
use client::keys::Signer;
use client::statement::{On, intents};
use wire::UserId;
use wire::event::EventKind;
use wire::statement::Role;

use super::common::{Connection, state, tell_of_pending};
use super::moves::key_or_new;
use super::request::{self, sign_draft};
use super::signer::SignerArgs;
use super::via::Via;
use crate::exit::Failure;
use crate::output::Format;
use crate::runtime;

/// What these commands share.
#[derive(Debug, Args)]
struct Common {
    /// The user id.
    #[arg(value_name = "UID")]
    uid: UserId,
    #[command(flatten)]
    signer: SignerArgs,
    /// Writes the request to a file, for others to sign and hand in (`avouch request`).
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
    /// How to show the answer.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Suspends an identity: nobody shares with it until that is lifted. By its own key, or by one
/// officer (`--as officer`).
#[derive(Debug, Args)]
pub(crate) struct Suspend {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    via: Via,
}

/// Lifts a suspension: by the recovery key (`--recovery-key`, which `--new-recovery-key` replaces),
/// or by officers (`--as officer`, with `--out` for several).
#[derive(Debug, Args)]
pub(crate) struct Resume {
    #[command(flatten)]
    common: Common,
    /// The recovery key from now on, where the present one signs; made if the file does not exist.
    #[arg(long, value_name = "FILE", requires = "recovery_key")]
    new_recovery_key: Option<PathBuf>,
}

/// Announces the end of an identity: officers, and a wait. Its id is never used again.
#[derive(Debug, Args)]
pub(crate) struct Retire {
    #[command(flatten)]
    common: Common,
}

/// Declares an enrolment false: officers. Whoever enrolled loses the id; the right person gets it by
/// a switch.
#[derive(Debug, Args)]
pub(crate) struct Void {
    #[command(flatten)]
    common: Common,
}

pub(crate) fn suspend(args: &Suspend) -> Result<(), Failure> {
    ask(&args.common, Some(&args.via), Role::CurrentKey, |on| {
        intents::plain(on, EventKind::Suspend)
    })
}

pub(crate) fn resume(args: &Resume) -> Result<(), Failure> {
    let next = args.new_recovery_key.as_deref().map(key_or_new).transpose()?;
    let next = next.as_ref().map(Signer::spki_der);
    ask(&args.common, None, Role::Officer, |on| intents::resumption(on, next))
}

pub(crate) fn retire(args: &Retire) -> Result<(), Failure> {
    ask(&args.common, None, Role::Officer, |on| intents::plain(on, EventKind::Retire))
}

pub(crate) fn void(args: &Void) -> Result<(), Failure> {
    ask(&args.common, None, Role::Officer, |on| intents::plain(on, EventKind::Void))
}

fn ask(
    common: &Common,
    via: Option<&Via>,
    usual: Role,
    draft: impl FnOnce(&On) -> Result<client::statement::Draft, client::keys::KeyError>,
) -> Result<(), Failure> {
    let (trust, server) = common.connection.open(None)?;
    let state = runtime()?.block_on(state(&server, &trust, &common.uid))?;
    tell_of_pending(state.proven.as_ref());
    let mut draft = draft(&state.on)?;
    let (signer, role) = common.signer.open(usual)?;
    sign_draft(&mut draft, &*signer, role)?;
    if let (None, Some(via)) = (&common.out, via)
        && via.hand_in(&trust, &draft.to_file())?
    {
        return Ok(());
    }
    request::send_or_keep(&server, &draft, common.out.as_deref(), common.format)
}
