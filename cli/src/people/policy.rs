//! `avouch policy`: what the policy is, and what it means for somebody.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use policy::file;
use wire::rest::Way;
use wire::{Encoded, UserId};

use super::common::Connection;
use crate::exit::Failure;
use crate::op::init::policy_file;
use crate::output::{self, Format};
use crate::runtime;

/// Shows the policy, checks a policy file, and explains what they mean for an identity.
#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Shows the policy in force, the officers, the agents, and changes that wait.
    Show {
        #[command(flatten)]
        connection: Connection,
        /// How to show it.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Checks a policy file: shows it with every key, and its hash.
    Check {
        /// The policy, TOML.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// What an identity, or an id that is not enrolled, may do now, and what it takes.
    Explain {
        /// The user id.
        #[arg(value_name = "UID")]
        uid: UserId,
        #[command(flatten)]
        connection: Connection,
        /// How to show it.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// The same, supposing another policy.
    Simulate {
        /// The user id.
        #[arg(value_name = "UID")]
        uid: UserId,
        /// The policy to suppose, TOML.
        #[arg(long, value_name = "FILE")]
        policy: PathBuf,
        #[command(flatten)]
        connection: Connection,
        /// How to show it.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

pub(crate) fn run(args: &PolicyArgs) -> Result<(), Failure> {
    match &args.command {
        PolicyCommand::Show { connection, format } => show(connection, *format),
        PolicyCommand::Check { file } => {
            let rules = policy_file(file)?;
            output::line(file::write(&rules).trim_end());
            output::line(&format!("# hash {}", rules.hash()));
            Ok(())
        }
        PolicyCommand::Explain { uid, connection, format } => {
            let (_, server) = connection.open(None)?;
            ways(&runtime()?.block_on(server.ways(uid, None))?, *format);
            Ok(())
        }
        PolicyCommand::Simulate { uid, policy, connection, format } => {
            let rules = policy_file(policy)?.to_canonical();
            let (_, server) = connection.open(None)?;
            ways(&runtime()?.block_on(server.ways(uid, Some(&rules)))?, *format);
            Ok(())
        }
    }
}

fn show(connection: &Connection, format: Format) -> Result<(), Failure> {
    let (_, server) = connection.open(None)?;
    let policy = runtime()?.block_on(server.policy())?;
    if format == Format::Json {
        output::json(&policy);
        return Ok(());
    }
    output::line(policy.toml.trim_end());
    output::line(&format!("# hash {}", policy.hash));
    for (what, holders) in [("officer", &policy.officers), ("agent", &policy.agents)] {
        for holder in holders {
            let scope = holder.scope.join(" ");
            let line = format!("# {what:<9} {} {} {scope}", holder.name, holder.key);
            output::line(line.trim_end());
        }
    }
    for provider in &policy.providers {
        output::line(&format!("# provider  {provider}"));
    }
    for kind in &policy.announced {
        output::line(&format!("# announced {kind}: it waits"));
    }
    Ok(())
}

fn ways(ways: &[Way], format: Format) {
    if format == Format::Json {
        output::json(&ways);
        return;
    }
    for way in ways {
        match &way.closed {
            Some(why) => output::line(&format!("{}: not now, {why}", way.verb)),
            None => output::line(&way.verb),
        }
        if !way.signed_by.is_empty() {
            output::line(&format!("  signed by {}", way.signed_by.join(", or ")));
        }
        way.takes.iter().for_each(|takes| output::line(&format!("  takes {takes}")));
        if let Some(at) = &way.not_before {
            output::line(&format!("  not before {at}"));
        }
    }
}
