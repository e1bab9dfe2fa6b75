//! `avouch hsm` and `avouch unlock`: what operators do with tokens.

mod test;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use wire::hsm::{HsmAsk, HsmReport, SecretText};
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
    /// Tries a token with everything that Avouch needs of it, and measures it. It makes keys on it
    /// and removes them again.
    Test(test::Test),
}

/// Gives the authority another PIN: where it waits for one, or after it was changed on the token.
/// It is tried once. What is served meanwhile goes on.
#[derive(Debug, Args)]
pub(crate) struct Unlock {
    /// The token's section in the configuration, where there are several.
    token: Option<String>,
    /// The PIN is in this file, which only this user can read; else it is asked for.
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
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
        Command::Test(args) => test::run(args),
    }
}

pub(crate) fn unlock(args: &Unlock) -> Result<(), Failure> {
    let pin = match &args.pin_file {
        Some(path) => secret(path)?,
        None => terminal::ask_secret("PIN of the token: ")
            .map_err(|error| Failure::local(format!("cannot ask for the PIN: {error}")))?,
    };
    let (token, pin) = (args.token.clone(), SecretText::new(pin));
    args.asking.ask(HsmAsk::Unlock { token, pin })
}

fn secret(path: &Path) -> Result<String, Failure> {
    let mut text = std::fs::read_to_string(path)
        .map_err(|error| Failure::local(format!("cannot read {}: {error}", path.display())))?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
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
        output::line(&format!("{}: {} since {since}", token.name, token.state));
        for text in token.token.iter().chain(&token.detail) {
            output::line(&format!("  {text}"));
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
    }
}
