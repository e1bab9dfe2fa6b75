//! `avouch log watch`: what happens to identities of one's own, and whether the log goes on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use client::watch::{Happened, Trouble, Watched, look};
use wire::UserId;

use super::common::{Connection, ContactsFile, data_folder, now, time};
use crate::exit::{Exit, Failure};
use crate::output::{self, Format};
use crate::runtime;

/// Watches identities: tells what happened to them, by whose signature, and whether the log forks,
/// goes back, or is not co-signed as the trust file demands. What it does not tell did not happen.
#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// The user ids.
    #[arg(value_name = "UID", required = true)]
    uids: Vec<UserId>,
    /// Looks once and ends: with 0 where nothing happened and all is well; else with the code of the
    /// worst that was found (14 where something happened).
    #[arg(long)]
    once: bool,
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, conflicts_with = "once")]
    every: u64,
    /// Where it is kept what was told; by default a file in the user's data folder.
    #[arg(long, value_name = "FILE", env = "AVOUCH_WATCHED")]
    state: Option<PathBuf>,
    #[command(flatten)]
    contacts: ContactsFile,
    #[command(flatten)]
    connection: Connection,
    /// How to show it: for people, or an object a line.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: &Watch) -> Result<(), Failure> {
    let state = match &args.state {
        Some(state) => state.clone(),
        None => data_folder()
            .map_err(|why| Failure::local(format!("give --state: {why}")))?
            .join("watched.json"),
    };
    let runtime = runtime()?;
    loop {
        let found = runtime.block_on(look_at_all(args, &state));
        if args.once {
            return found;
        }
        if let Err(failure) = found {
            output::talk(&format!("avouch: {}", failure.message()));
        }
        std::thread::sleep(Duration::from_secs(args.every.max(1)));
    }
}

/// Looks at everybody once; the worst that was found is the failure.
async fn look_at_all(args: &Watch, state: &Path) -> Result<(), Failure> {
    // Anew each time: a trust file may have taken the place of another.
    let (trust, server) = args.connection.open(None)?;
    let contacts = args.contacts.path()?;
    let local = |e: &dyn std::fmt::Display| Failure::local(e.to_string());
    let mut watched = Watched::load(state).map_err(|e| local(&e))?;
    let mut worst: Option<Failure> = None;
    let mut found = |failure: Failure| {
        if worst.as_ref().is_none_or(|worst| rank(&failure) > rank(worst)) {
            worst = Some(failure);
        }
    };
    for uid in &args.uids {
        let proven = look(&server, &trust, &contacts, uid, now()).await;
        let happened = proven.and_then(|proven| watched.happened(trust.genesis(), &proven));
        match happened {
            Ok(happened) => {
                happened.iter().for_each(|happened| tell(uid, happened, args.format));
                if !happened.is_empty() {
                    let what = format!("{} events of {uid} are new", happened.len());
                    found(Failure::new(Exit::Changed, what));
                }
            }
            Err(trouble) => {
                tell_trouble(uid, &trouble, args.format);
                let exit = Exit::from_number(trouble.exit_code());
                found(Failure::new(exit, format!("{uid}: {trouble}")));
            }
        }
    }
    // After it was told: what is told twice does no harm.
    watched.save(state).map_err(|e| local(&e))?;
    worst.map_or(Ok(()), Err)
}

/// What is worse: a log that is not one, what is too old, what happened, and what cannot be known.
fn rank(failure: &Failure) -> u8 {
    match failure.exit() {
        Exit::LogProof => 4,
        Exit::Stale | Exit::NoIdentity => 3,
        Exit::Changed => 2,
        _ => 1,
    }
}

fn tell(uid: &UserId, happened: &Happened, format: Format) {
    let Happened { sequence, kind, news, signed_by } = happened;
    if format == Format::Json {
        let value = serde_json::json!({
            "uid": uid, "found": "event", "sequence": sequence, "event": kind.name(),
            "at": time(news.at_ms), "what": news.what, "signed_by": signed_by,
            "against": news.against,
        });
        return output::line(&value.to_string());
    }
    let by = if signed_by.is_empty() { "nobody".to_owned() } else { signed_by.join(", ") };
    let mut line = format!("{}  {uid}: {} (signed by: {by})", time(news.at_ms), news.what);
    if let Some(command) = news.against {
        line.push_str(&format!("; if this was not you: `avouch {command} {uid}`"));
    }
    output::line(&line);
}

fn tell_trouble(uid: &UserId, trouble: &Trouble, format: Format) {
    if format == Format::Json {
        let value = serde_json::json!({
            "uid": uid, "found": trouble.code(), "at": time(now() * 1000),
            "what": trouble.to_string(),
        });
        return output::line(&value.to_string());
    }
    output::line(&format!("{}  {uid}: {}: {trouble}", time(now() * 1000), trouble.code()));
}
