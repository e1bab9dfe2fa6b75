//! `avouch witness`: somebody else's word that a log is one history.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use cosigner::Metrics;

use super::{cosigner as common, supervise};
use crate::config::{self, WitnessConfig};
use crate::exit::Failure;
use crate::output::Format;

/// Runs a witness: it co-signs the checkpoints of logs that go on from what it co-signed before.
#[derive(Debug, Args)]
pub(crate) struct WitnessArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(Init),
    Run(At),
    Show(Show),
}

/// Makes a key and the folder that belongs to it, and prints the public key.
#[derive(Debug, Args)]
struct Init {
    #[command(flatten)]
    at: At,
    /// The witness's name, which its key has for ever: a URL without its scheme that is yours, such
    /// as `witness.example.org/one`.
    #[arg(long)]
    name: String,
}

/// Serves until it is told to stop.
#[derive(Debug, Args)]
struct At {
    /// The witness's configuration (docs/witness.md).
    #[arg(long, value_name = "FILE", default_value = "witness.toml")]
    config: PathBuf,
}

/// Shows the public key, and what was co-signed last of each log; also while the witness runs.
#[derive(Debug, Args)]
struct Show {
    #[command(flatten)]
    at: At,
    /// How to show it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl WitnessArgs {
    /// Whether this is a process that serves.
    pub(crate) fn serves(&self) -> bool {
        matches!(self.command, Command::Run(_))
    }
}

impl At {
    fn load(&self) -> Result<WitnessConfig, Failure> {
        config::witness(&self.config).map_err(|e| Failure::local(e.to_string()))
    }
}

pub(crate) fn run(args: &WitnessArgs) -> Result<(), Failure> {
    match &args.command {
        Command::Init(args) => common::init(&args.at.load()?.cosigner, &args.name),
        Command::Show(args) => common::show(&args.at.load()?.cosigner, args.format),
        Command::Run(at) => serve(at.load()?),
    }
}

fn serve(config: WitnessConfig) -> Result<(), Failure> {
    let WitnessConfig { cosigner: config, logs } = config;
    if logs.is_empty() {
        let what = "there is nothing to co-sign: `witness.logs` names no log";
        return Err(Failure::local(what));
    }
    let _logging = crate::log::of_a_service(&config.log);
    crate::runtime()?.block_on(async {
        supervise::bear_file_limits();
        let stop = supervise::stop_signal();
        let desk = common::desk(&config, logs, Metrics::default())?;
        let routes = cosigner::witness::routes(desk.clone(), &config.prefix);
        common::serve(&config, &desk, routes, stop).await
    })
}
