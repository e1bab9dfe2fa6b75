//! `avouch config`: looks at a configuration before anything is started with it.

use std::path::{Path, PathBuf};

use api::GatewayConfig;
use clap::{Args, Subcommand};

use crate::config::{self, Config, Raw, Source, StoreConfig, reference};
use crate::exit::Failure;
use crate::output::{self, Format};

/// Checks and shows configurations.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(Check),
    Dump(Dump),
    /// Writes every key with its meaning, as Markdown.
    Reference,
}

/// Says what is wrong with a configuration, all of it, and opens the files that it names.
#[derive(Debug, Args)]
struct Check {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "avouch.toml")]
    config: PathBuf,
}

/// Shows what is in force: the file, the environment's overrides and the defaults. There are no
/// secrets in a configuration; values in `hsm.env`, which may be some, are not shown.
#[derive(Debug, Args)]
struct Dump {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "avouch.toml")]
    config: PathBuf,
    /// How to show it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(args: &ConfigArgs) -> Result<(), Failure> {
    match &args.command {
        Command::Check(args) => check(&args.config),
        Command::Dump(args) => dump(&args.config, args.format),
        Command::Reference => {
            output::line(reference::page().trim_end());
            Ok(())
        }
    }
}

fn check(file: &Path) -> Result<(), Failure> {
    let config = config::load(file).map_err(|e| Failure::local(e.to_string()))?;
    let mut wrong = Vec::new();
    let mut note = |outcome: Result<(), String>| wrong.extend(outcome.err());
    note(
        super::gateway::options(&config.front())
            .map_err(|failure| failure.message().to_owned())
            .and_then(|options| GatewayConfig::check(options).map_err(|e| e.to_string()))
            .map(drop),
    );
    note(super::authority::settings(&config).map(drop).map_err(|f| f.message().to_owned()));
    if let StoreConfig::Postgres { password_file: Some(path), .. } = &config.store {
        note(super::db::password(path).map(drop).map_err(|f| f.message().to_owned()));
    }
    for hsm in config.all_tokens() {
        note(hsm.check_files());
    }
    if !wrong.is_empty() {
        return Err(Failure::local(wrong.join("\n")));
    }
    output::talk(&format!("{} can be used.", file.display()));
    warn(&config);
    Ok(())
}

/// What can be used, and should be looked at.
fn warn(config: &Config) {
    if let Some(switches) = &config.switch_issuer {
        if config
            .tokens()
            .any(|(name, hsm)| name == "hsm" && hsm.token.backend == switches.token.backend)
        {
            output::talk(
                "WARNING: switch_issuer is the token of hsm: whoever has the one key has the other",
            );
        }
        if !switches.pin.is_awaited() {
            output::talk(
                "WARNING: switch_issuer has its PIN in the configuration: whoever takes over this \
                 host can sign switches; with pin_unlock or pin_shares it is in memory while it is needed alone",
            );
        }
    }
    for missing in super::cosigning::unasked(config) {
        output::talk(&format!("WARNING: {missing}"));
    }
    if config.users.gateway.is_none() {
        output::talk(
            "WARNING: users.gateway is not given: a gateway that is taken over reads what its \
             user can, so see to it that this is not the authority's (docs/deployment.md)",
        );
    }
    for (name, address) in [
        ("metrics.authority_listen", config.metrics.authority),
        ("metrics.gateway_listen", config.metrics.gateway),
    ] {
        if let Some(address) = address.filter(|address| !address.ip().is_loopback()) {
            output::talk(&format!(
                "WARNING: {name} is {address}: whoever reaches it reads the metrics"
            ));
        }
    }
}

/// A value that is not shown.
const HIDDEN: &str = "(not shown)";

fn dump(file: &Path, format: Format) -> Result<(), Failure> {
    let mut source = config::source(file).map_err(|e| Failure::local(e.to_string()))?;
    config::checked(&source).map_err(|e| Failure::local(e.to_string()))?;
    hide(&mut source.raw);
    match format {
        Format::Text => output::line(text(&source).trim_end()),
        Format::Json => {
            let sections: serde_json::Map<_, _> = source
                .raw
                .write()
                .into_iter()
                .map(|(section, values)| {
                    let values: serde_json::Map<_, _> = values
                        .into_iter()
                        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
                        .map(|(key, value)| (key, serde_json::to_value(value).unwrap_or_default()))
                        .collect();
                    (section, values.into())
                })
                .collect();
            output::json(&sections);
        }
    }
    Ok(())
}

fn hide(raw: &mut Raw) {
    let others =
        [&mut raw.root_hsm, &mut raw.second_hsm, &mut raw.third_hsm, &mut raw.switch_issuer];
    for hsm in std::iter::once(&mut raw.hsm).chain(others.into_iter().flatten()) {
        hsm.env.values_mut().for_each(|value| HIDDEN.clone_into(value));
    }
}

fn text(source: &Source) -> String {
    let mut text = String::new();
    for (section, values) in source.raw.write() {
        text.push_str(&format!("[{section}]\n"));
        for (key, value) in values {
            let place = (section.clone(), key.to_owned());
            let from = match source.origins.get(&place) {
                Some(origin) => origin.to_string(),
                None => "default".to_owned(),
            };
            match value {
                Some(value) => text.push_str(&format!("{key} = {value} # {from}\n")),
                None => text.push_str(&format!("# {key} is not given\n")),
            }
        }
        text.push('\n');
    }
    text
}
