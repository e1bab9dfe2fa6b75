//! `avouch channels`: where notices of an identity go.

use clap::{Args, Subcommand};
use client::address::{SealError, SealedChannel, seal};
use client::statement::intents;
use client::trust::Trust;
use wire::UserId;
use wire::body::ChannelKind;
use wire::statement::Role;

use super::common::{Connection, state, tell_of_pending};
use super::request::{self, sign_draft};
use super::signer::SignerArgs;
use crate::exit::Failure;
use crate::output::Format;
use crate::runtime;

/// Where the authority tells somebody what happens to the identity. Only the authority can read
/// the addresses.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Addresses {
    /// Tells by mail what happens to the identity. May be repeated.
    #[arg(long, value_name = "ADDRESS")]
    mail: Vec<String>,
    /// Tells by a signed call to this address, of a host that the organisation allows. May be
    /// repeated.
    #[arg(long, value_name = "URL")]
    webhook: Vec<String>,
}

impl Addresses {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.mail.is_empty() && self.webhook.is_empty()
    }

    /// Seals them.
    pub(super) fn seal(&self, trust: &Trust, uid: &UserId) -> Result<Vec<SealedChannel>, Failure> {
        let mail = self.mail.iter().map(|address| (ChannelKind::Mail, address));
        let webhook = self.webhook.iter().map(|address| (ChannelKind::Webhook, address));
        let sealed =
            mail.chain(webhook).map(|(kind, address)| seal(trust.file(), uid, kind, address));
        sealed.collect::<Result<_, SealError>>().map_err(|e| Failure::local(e.to_string()))
    }
}

/// Says where notices of an identity go.
#[derive(Debug, Args)]
pub(crate) struct ChannelsArgs {
    #[command(subcommand)]
    command: ChannelsCommand,
}

#[derive(Debug, Subcommand)]
enum ChannelsCommand {
    /// Sets all addresses that hold from now on; those before are told of everything for one more
    /// wait. By the current key, or by officers (`--as officer`, with `--out` for several).
    Change {
        /// The user id.
        #[arg(value_name = "UID")]
        uid: UserId,
        #[command(flatten)]
        signer: SignerArgs,
        #[command(flatten)]
        addresses: Addresses,
        /// Leaves no address: nobody is told any more.
        #[arg(long, conflicts_with_all = ["mail", "webhook"])]
        none: bool,
        /// Writes the request to a file, for others to sign and hand in (`avouch request`).
        #[arg(long, value_name = "FILE")]
        out: Option<std::path::PathBuf>,
        #[command(flatten)]
        connection: Connection,
        /// How to show the answer.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

pub(crate) fn run(args: &ChannelsArgs) -> Result<(), Failure> {
    let ChannelsCommand::Change { uid, signer, addresses, none, out, connection, format } =
        &args.command;
    if addresses.is_empty() && !none {
        return Err(Failure::local("give --mail, --webhook or --none"));
    }
    let (trust, server) = connection.open(None)?;
    let state = runtime()?.block_on(state(&server, &trust, uid))?;
    tell_of_pending(state.proven.as_ref());
    let sealed = addresses.seal(&trust, uid)?;
    let channels = sealed.iter().map(|sealed| sealed.channel.clone()).collect();
    let mut draft = intents::channels(&state.on, channels)?;
    draft.addresses = sealed.into_iter().map(|sealed| sealed.sealed).collect();
    let (signer, role) = signer.open(Role::CurrentKey)?;
    sign_draft(&mut draft, &*signer, role)?;
    request::send_or_keep(&server, &draft, out.as_deref(), *format)
}
