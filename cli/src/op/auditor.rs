//! `avouch auditor`: somebody else's word that a log is lawful.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use cosigner::Metrics;
use cosigner::auditor::{Alarm, AlarmHook, Audited, Auditor, alarm_in, routes};

use super::{cosigner as common, supervise};
use crate::config::{self, AuditorConfig};
use crate::exit::{Exit, Failure};
use crate::files;
use crate::output::{self, Format};

/// The least time for a request: an authority that was away for long hands in much at once.
const REQUEST: Duration = Duration::from_secs(120);

/// Runs an auditor: it replays every event of an installation with its evidence, and co-signs what
/// is lawful.
#[derive(Debug, Args)]
pub(crate) struct AuditorArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(Init),
    Run(At),
    Show(Show),
    Status(Show),
}

/// Makes a key and the folder that belongs to it, and prints the public key.
#[derive(Debug, Args)]
struct Init {
    #[command(flatten)]
    at: At,
    /// The auditor's name, which its key has for ever: a URL without its scheme that is yours, such
    /// as `auditor.example.org/one`.
    #[arg(long)]
    name: String,
}

/// Serves until it is told to stop. Ends with 20 if its alarm stands then.
#[derive(Debug, Args)]
struct At {
    /// The auditor's configuration (docs/auditor.md).
    #[arg(long, value_name = "FILE", default_value = "auditor.toml")]
    config: PathBuf,
}

/// Shows the public key and what was co-signed last (`show`), or whether the alarm stands, with 20
/// if it does (`status`); also while the auditor runs.
#[derive(Debug, Args)]
struct Show {
    #[command(flatten)]
    at: At,
    /// How to show it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl AuditorArgs {
    /// Whether this is a process that serves.
    pub(crate) fn serves(&self) -> bool {
        matches!(self.command, Command::Run(_))
    }
}

impl At {
    fn load(&self) -> Result<AuditorConfig, Failure> {
        config::auditor(&self.config).map_err(|e| Failure::local(e.to_string()))
    }
}

pub(crate) fn run(args: &AuditorArgs) -> Result<(), Failure> {
    match &args.command {
        Command::Init(args) => common::init(&args.at.load()?.cosigner, &args.name),
        Command::Show(args) => common::show(&args.at.load()?.cosigner, args.format),
        Command::Status(args) => status(&args.at.load()?, args.format),
        Command::Run(at) => serve(at.load()?),
    }
}

/// Whose log the trust file names.
fn audited(config: &AuditorConfig) -> Result<Audited, Failure> {
    let trust = files::trust(&config.trust)?;
    let missing = || Failure::local(format!("{} names no log key", config.trust.display()));
    let log = trust.log().cloned().ok_or_else(missing)?;
    Ok(Audited { genesis: trust.genesis(), log, engine: policy::ENGINE })
}

fn serve(mut config: AuditorConfig) -> Result<(), Failure> {
    let _logging = crate::log::of_a_service(&config.cosigner.log);
    config.cosigner.request = config.cosigner.request.max(REQUEST);
    let local = |error: &dyn std::fmt::Display| Failure::local(error.to_string());
    crate::runtime()?.block_on(async {
        supervise::bear_file_limits();
        let stop = supervise::stop_signal();
        let audited = audited(&config)?;
        let config = &config;
        let desk = common::desk(&config.cosigner, vec![audited.served()], Metrics::default())?;
        let hook = config.alarm_webhook.clone().map(AlarmHook::new).transpose();
        let hook = hook.map_err(|error| local(&error))?;
        let auditor = Auditor::open(desk.clone(), audited, hook).map_err(|error| local(&error))?;
        let auditor = Arc::new(auditor);
        let telling = Arc::clone(&auditor);
        let telling = tokio::spawn(async move { telling.tell_alarms().await });
        let routes = routes(Arc::clone(&auditor), &config.cosigner.prefix);
        let served = common::serve(&config.cosigner, &desk, routes, stop).await;
        telling.abort();
        served?;
        auditor.alarm().map_or(Ok(()), |alarm| Err(stands(&alarm)))
    })
}

fn stands(alarm: &Alarm) -> Failure {
    Failure::new(Exit::Refused, format!("ALARM: nothing is co-signed: {}", alarm.refused))
}

fn status(config: &AuditorConfig, format: Format) -> Result<(), Failure> {
    let alarm = alarm_in(&config.cosigner.state).map_err(|e| Failure::local(e.to_string()))?;
    match (&alarm, format) {
        (_, Format::Json) => output::json(&serde_json::json!({ "alarm": alarm })),
        (Some(alarm), Format::Text) => {
            let refused = &alarm.refused;
            output::line(&format!("leaf      {}", refused.index));
            if let Some(leaf) = refused.leaf {
                output::line(&format!("leaf hash {leaf}"));
            }
            output::line(&format!("event     {}", refused.event.as_deref().unwrap_or("unknown")));
            output::line(&format!("rule      {}", refused.rule));
            output::line(&format!("expected  {}", refused.expected));
            output::line(&format!("found     {}", refused.found));
        }
        (None, Format::Text) => output::line("no alarm"),
    }
    alarm.map_or(Ok(()), |alarm| Err(stands(&alarm)))
}
