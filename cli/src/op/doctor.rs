//! `avouch doctor`: what the installation withstands, and what is wrong with it.

use std::path::PathBuf;

use clap::Args;
use wire::rest::{Health, Installation};
use wire::socket::{RequestBody, ResponseBody};

use crate::admin;
use crate::config;
use crate::exit::{Exit, Failure};
use crate::output::{self, Format};

/// Shows what an installation withstands (its step of the ladder), what is allowed for development
/// only, and how its parts are.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "avouch.toml")]
    config: PathBuf,
    /// How to show it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: &Doctor) -> Result<(), Failure> {
    let config = config::load(&args.config).map_err(|e| Failure::local(e.to_string()))?;
    let socket = config.admin_socket();
    let (installation, health) = crate::runtime()?.block_on(async {
        let mut admin = admin::Connection::open(&socket).await?;
        let ResponseBody::Installation(installation) = admin.ask(RequestBody::Installation).await?
        else {
            return Err(admin::unexpected());
        };
        let ResponseBody::Health(health) = admin.ask(RequestBody::Health).await? else {
            return Err(admin::unexpected());
        };
        Ok((*installation, health))
    })?;
    match args.format {
        Format::Json => output::json(&serde_json::json!({
            "installation": installation,
            "health": health,
        })),
        Format::Text => show(&installation, &health),
    }
    if health.ready {
        Ok(())
    } else {
        Err(Failure::new(Exit::Remote, "the installation is not ready; see above"))
    }
}

fn show(installation: &Installation, health: &Health) {
    output::line(&format!("realm    {}", installation.realm));
    output::line(&format!("genesis  {}", installation.genesis));
    output::line(&format!("ladder   {}: {}", installation.ladder, ladder(&installation.ladder)));
    for issuer in &installation.issuers {
        output::line(&format!("issuer   {} {} ({})", issuer.id, issuer.subject, issuer.algorithm));
        output::line(&format!("         {}", issuer.protection));
    }
    for warning in &installation.warnings {
        output::line(&format!("WARNING  {warning}"));
    }
    for part in &health.parts {
        let state = if part.ok { "ok" } else { "NOT OK" };
        let detail = if part.detail == "ok" { "" } else { part.detail.as_str() };
        output::line(format!("{:<8} {state} {detail}", part.name).trim_end());
    }
}

fn ladder(step: &str) -> &'static str {
    match step {
        "hsm" => {
            "withstands a compromised gateway; add an auditor run by somebody else to \
                  withstand database and host too"
        }
        "hsm-and-witnesses" => {
            "withstands a compromised gateway, and shows everybody one history; add an auditor run \
             by somebody else to withstand database and host too"
        }
        "hsm-and-auditor" => "withstands a compromised gateway, database and host",
        "hsm-and-many" => {
            "withstands a compromised gateway, database and host, and the loss of some co-signers"
        }
        _ => "enrols and renews only; no identity ever moves to a new key",
    }
}
