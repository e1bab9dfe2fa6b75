//! `avouch hsm` and `avouch unlock`: what operators do with tokens.

mod split;
mod test;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use wire::hsm::{HsmAsk, HsmReport, HsmShares, SecretText};
use wire::socket::{RequestBody, ResponseBody};

use crate::config;
use crate::exit::Failure;
use crate::output::{self, Format};
use crate::{admin, terminal};

/// Looks after the tokens.
#[derive(Debug, Args)]
pub(crate) struct HsmArgs {
    #[command(subcommand)]
    command: Command,
}

/// What the commands that ask the authority have in common.
#[derive(Debug, Args)]
struct Asking {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "avouch.toml")]
    config: PathBuf,
    /// How to show the answer.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Says which token is in which state, and since when.
    Status {
        #[command(flatten)]
        asking: Asking,
    },
    /// Lists every key on the tokens with its attributes, and whether it counts as held by an HSM.
    Keys {
        #[command(flatten)]
        asking: Asking,
    },
    /// Opens a token once more beside the workers that serve: the module loads, the PIN holds, the
    /// keys are there and sign.
    Probe {
        /// The token's section in the configuration, where there are several.
        token: Option<String>,
        #[command(flatten)]
        asking: Asking,
    },
    /// Takes a token out of use for maintenance; what it has in flight is finished.
    Drain {
        /// The token's section in the configuration, where there are several.
        token: Option<String>,
        /// Even if no other token is ready; requests are answered 503 then.
        #[arg(long)]
        force: bool,
        /// Takes it back into use.
        #[arg(long, conflicts_with = "force")]
        end: bool,
        #[command(flatten)]
        asking: Asking,
    },
    /// Splits a PIN into shares for several operators, who then open the token together
    /// (`avouch unlock`).
    Split(split::Split),
    /// Closes the token that signs switches, and has the authority forget its PIN: what it is to sign
    /// waits until `avouch unlock`. All else goes on.
    Lock {
        /// The token's section in the configuration.
        token: Option<String>,
        #[command(flatten)]
        asking: Asking,
    },
    /// Tries a token with everything that Avouch needs of it, and measures it. It makes keys on it
    /// and removes them again.
    Test(test::Test),
}

/// Gives the authority another PIN: where it waits for one, or after it was changed on the token.
/// It is tried once. What is served meanwhile goes on. A token that is opened by shares
/// (`pin_shares`) takes one operator's share instead, and is opened when enough are there.
#[derive(Debug, Args)]
pub(crate) struct Unlock {
    /// The token's section in the configuration, where there are several.
    token: Option<String>,
    /// The PIN is in this file, which only this user can read; else it is asked for.
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
    /// The share is in this file, which only this user can read; else it is asked for.
    #[arg(long, value_name = "FILE", conflicts_with = "pin_file")]
    share_file: Option<PathBuf>,
    #[command(flatten)]
    asking: Asking,
}

pub(crate) fn run(args: &HsmArgs) -> Result<(), Failure> {
    match &args.command {
        Command::Status { asking } => asking.ask(HsmAsk::Status),
        Command::Keys { asking } => asking.ask(HsmAsk::Keys),
        Command::Probe { token, asking } => asking.ask(HsmAsk::Probe { token: token.clone() }),
        Command::Drain { token, force, end, asking } => {
            asking.ask(HsmAsk::Drain { token: token.clone(), drained: !end, force: *force })
        }
        Command::Split(args) => split::run(args),
        Command::Lock { token, asking } => asking.ask(HsmAsk::Lock { token: token.clone() }),
        Command::Test(args) => test::run(args),
    }
}

pub(crate) fn unlock(args: &Unlock) -> Result<(), Failure> {
    let asked = |prompt: &str| {
        let text = terminal::ask_secret(prompt);
        text.map_err(|error| Failure::local(format!("cannot ask for it: {error}")))
    };
    let (shared, text) = match (&args.share_file, &args.pin_file) {
        (Some(path), _) => (true, secret(path)?),
        (None, Some(path)) => (false, secret(path)?),
        (None, None) if args.wants_share()? => (true, asked("Your share of the PIN: ")?),
        (None, None) => (false, asked("PIN of the token: ")?),
    };
    let (token, text) = (args.token.clone(), SecretText::new(text));
    args.asking.ask(if shared {
        HsmAsk::Share { token, share: text }
    } else {
        HsmAsk::Unlock { token, pin: text }
    })
}

impl Unlock {
    /// Whether the token that is meant is opened by shares.
    fn wants_share(&self) -> Result<bool, Failure> {
        let config = config::load(&self.asking.config);
        let config = config.map_err(|error| Failure::local(error.to_string()))?;
        // Where no token is named, it is not meant.
        let own = config.switch_issuer.iter().filter(|_| self.token.is_some());
        let meant: Vec<_> = config
            .tokens()
            .chain(own.map(|hsm| (config::SWITCH_ISSUER, hsm)))
            .filter(|(name, _)| self.token.as_ref().is_none_or(|token| token == name))
            .collect();
        let shared = |hsm: &config::HsmConfig| matches!(hsm.pin, config::PinSource::Shares(_));
        Ok(!meant.is_empty() && meant.iter().all(|(_, hsm)| shared(hsm)))
    }
}

pub(super) fn secret(path: &Path) -> Result<String, Failure> {
    crate::files::secret("the PIN's file", path)
        .map_err(|error| Failure::local(format!("cannot read {}: {error}", path.display())))
}

impl Asking {
    fn ask(&self, ask: HsmAsk) -> Result<(), Failure> {
        let config = config::load(&self.config).map_err(|e| Failure::local(e.to_string()))?;
        let socket = config.admin_socket();
        let answer = crate::runtime()?.block_on(async {
            admin::Connection::open(&socket).await?.ask(RequestBody::Hsm(ask)).await
        })?;
        let ResponseBody::Hsm(report) = answer else { return Err(admin::unexpected()) };
        match self.format {
            Format::Json => output::json(&report),
            Format::Text => show(&report),
        }
        Ok(())
    }
}

fn show(report: &HsmReport) {
    for token in &report.tokens {
        let since = crate::people::common::time(token.since.saturating_mul(1000));
        // Before it has begun, an authority does not say since when.
        let since = if token.since == 0 { String::new() } else { format!(" since {since}") };
        output::line(&format!("{}: {}{since}", token.name, token.state));
        for text in token.token.iter().chain(&token.detail) {
            output::line(&format!("  {text}"));
        }
        if let Some(HsmShares { given, needed, of }) = &token.shares {
            let numbers = given.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
            let numbers = if given.is_empty() { numbers } else { format!(" (number {numbers})") };
            let given = given.len();
            output::line(&format!("  shares: {given} of {needed} handed in{numbers}, {of} exist"));
        }
        for worker in &token.workers {
            let pid =
                worker.pid.map_or_else(|| "no process".to_owned(), |pid| format!("process {pid}"));
            let started = worker.started;
            output::line(&format!("  worker {}: {pid}, {started} so far", worker.state));
        }
    }
    for key in &report.keys {
        let held = if key.hsm_held { "held by an HSM" } else { "NOT held by an HSM" };
        output::line(&format!("{} {} «{}»: {held}", key.id, key.algorithm, key.label));
        output::line(&format!("  {}", key.why));
        output::line(&format!("  public key SHA-256 {}", key.spki_sha256));
        let attributes = key.attributes.iter().map(|(name, value)| format!("{name} {value}"));
        output::line(&format!("  {}", attributes.collect::<Vec<_>>().join(", ")));
        output::line(&format!("  attestation: {}", key.attestation));
    }
}
