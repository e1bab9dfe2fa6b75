//! `avouch approve` and `avouch veto`: what others say of a switch.

use std::path::PathBuf;

use clap::Args;
use client::statement::about;
use client::statement::file::{Kind, RequestFile};
use client::switch::pending;
use wire::event::EventKind;
use wire::statement::Role;
use wire::{Hash32, UserId};

use super::common::{Connection, now, proven};
use super::request::{self, agree};
use super::signer::SignerArgs;
use super::switch::lines;
use super::via::Via;
use crate::exit::{Exit, Failure};
use crate::output::{self, Format};
use crate::runtime;

/// Approves a pending switch, as an officer.
///
/// Shows the switch first, as the identity's own history proves it: nothing of what is shown is the
/// server's word. Then it asks how the person was identified, and signs.
#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// Whose switch.
    #[arg(value_name = "UID")]
    uid: UserId,
    /// What the hash of the request must begin with, as the person told you: 16 hexadecimal digits
    /// or more, since somebody else can make a request that begins with fewer of them.
    #[arg(long, value_name = "HASH", value_parser = first_digits)]
    id: Option<String>,
    #[command(flatten)]
    signer: SignerArgs,
    /// How the person was identified; asked for when it is not given. It is signed and shown to
    /// everybody who looks at the identity's history.
    #[arg(long, value_name = "TEXT")]
    remark: Option<String>,
    /// Does not ask whether you agree.
    #[arg(long)]
    yes: bool,
    /// Writes the approval to a file, to be handed in elsewhere (`avouch request submit`).
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
    /// How to show the answer.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn approve(args: &Approve) -> Result<(), Failure> {
    let (trust, server) = args.connection.open(None)?;
    let proven = runtime()?.block_on(proven(&server, &trust, &args.uid))?;
    let switch = pending(&proven, now() * 1000).ok_or_else(|| {
        Failure::new(Exit::Refused, format!("no switch of {} is pending", args.uid))
    })?;
    if let Some(told) = &args.id
        && !switch.id.to_string().starts_with(told)
    {
        let message = format!(
            "the pending switch of {} is {}, not {told}: somebody else asked for this one",
            args.uid, switch.id
        );
        return Err(Failure::new(Exit::Refused, message));
    }
    // Shown also where the answer is for a program: nobody approves unseen.
    lines(&switch).iter().for_each(|line| output::talk(line));
    let remark = match &args.remark {
        Some(remark) => remark.trim().to_owned(),
        None => crate::terminal::ask("How was the person identified? ")
            .map_err(|e| Failure::local(format!("cannot ask ({e}); --remark says it")))?,
    };
    if remark.is_empty() {
        return Err(Failure::local("an approval says how the person was identified"));
    }
    agree(args.yes, "approve this switch")?;
    let (signer, role) = args.signer.open(Role::Officer)?;
    let by = (&*signer, role);
    let request = about(trust.genesis(), EventKind::SwitchApprove, switch.id, by, Some(&remark))?;
    if let Some(path) = &args.out {
        let file = RequestFile::about(trust.genesis(), Kind::Approval, switch.id, request);
        return request::write(&file, path);
    }
    let done = runtime()?.block_on(server.approve(switch.id, &request))?;
    request::show_done(&done, None, args.format)
}

/// Objects to a pending switch, or to an announced retirement: with the current key (`--key`), the
/// recovery key (`--recovery-key`), or as an officer (`--as officer`).
#[derive(Debug, Args)]
pub(crate) struct Veto {
    /// Whose.
    #[arg(value_name = "UID")]
    uid: UserId,
    /// The hash of the intent that is objected to. With it nothing is asked of the server, so that
    /// a veto can be made where the server hides the request, and handed in elsewhere.
    #[arg(long, value_name = "HASH", value_parser = Hash32::from_hex)]
    id: Option<Hash32>,
    #[command(flatten)]
    signer: SignerArgs,
    /// Writes the veto to a file, to be handed in elsewhere (`avouch request submit`).
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    via: Via,
    #[command(flatten)]
    connection: Connection,
    /// How to show the answer.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn veto(args: &Veto) -> Result<(), Failure> {
    let (trust, server) = args.connection.open(None)?;
    let target = match args.id {
        Some(id) => id,
        None => {
            let proven = runtime()?.block_on(proven(&server, &trust, &args.uid))?;
            let identity = proven.identity();
            let pending = identity.pending().map(policy::Pending::intent);
            pending.or_else(|| identity.retiring().map(policy::Retiring::intent)).ok_or_else(
                || {
                    let message = format!("nothing is pending that {} could object to", args.uid);
                    Failure::new(Exit::Refused, message)
                },
            )?
        }
    };
    let (signer, role) = args.signer.open(Role::CurrentKey)?;
    let request = about(trust.genesis(), EventKind::Veto, target, (&*signer, role), None)?;
    let file = RequestFile::about(trust.genesis(), Kind::Veto, target, request);
    if let Some(path) = &args.out {
        return request::write(&file, path);
    }
    if args.via.hand_in(&trust, &file)? {
        return Ok(());
    }
    let request = file.request;
    let done = runtime()?.block_on(server.veto(target, &request))?;
    request::show_done(&done, None, args.format)
}

/// Digits that nobody finds another request for: 64 bits.
const DIGITS: usize = 16;

fn first_digits(text: &str) -> Result<String, String> {
    let digits = text.to_lowercase();
    if digits.len() >= DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(digits);
    }
    Err(format!("at least {DIGITS} hexadecimal digits are compared; have the person read them"))
}
