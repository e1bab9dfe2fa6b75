//! `avouch hsm test`: does a token do what Avouch needs of it?

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use pkcs11::Pin;
use pkcs11::trial::{self, Report, Verdict};

use crate::config::{self, PinSource, SWITCH_ISSUER};
use crate::exit::Failure;
use crate::op::authority;
use crate::output::{self, Format};
use crate::terminal;

/// What to try, and how.
#[derive(Debug, Args)]
pub(crate) struct Test {
    /// The token's section in the configuration.
    #[arg(default_value = "hsm")]
    token: String,
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "avouch.toml")]
    config: PathBuf,
    /// How long each measurement takes, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    measure: u64,
    /// How to show it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: &Test) -> Result<(), Failure> {
    let config = config::load(&args.config).map_err(|e| Failure::local(e.to_string()))?;
    let (_, section) = config
        .tokens()
        .chain(config.root_hsm.iter().map(|hsm| ("root_hsm", hsm)))
        .chain(config.switch_issuer.iter().map(|hsm| (SWITCH_ISSUER, hsm)))
        .find(|(name, _)| *name == args.token)
        .ok_or_else(|| Failure::local(format!("there is no section [{}]", args.token)))?;
    let setup = match section.pin {
        // Here is nobody to unlock it later.
        PinSource::Unlock => {
            let pin = terminal::ask_secret("PIN of the token: ");
            let pin = pin.map_err(|error| Failure::local(format!("cannot ask: {error}")))?;
            authority::setup(&args.token, section, None, Some(Pin::new(pin)))
        }
        _ => authority::token_setup(&args.token, section, None)?,
    };
    let trial = trial::run(setup, Duration::from_millis(args.measure));
    let report = crate::runtime()?.block_on(trial).map_err(|e| authority::hsm_failure(&e))?;
    match args.format {
        Format::Json => output::json(&json(&report)),
        Format::Text => show(&report),
    }
    if report.is_good() {
        return Ok(());
    }
    Err(Failure::local("the token is not to be used; see above"))
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "ok",
        Verdict::Missing => "missing",
        Verdict::Bad => "BAD",
    }
}

fn show(report: &Report) {
    let token = &report.token;
    output::line(&format!(
        "token «{}» (serial {}), {} {}, {}",
        token.label, token.serial, token.manufacturer, token.model, token.library
    ));
    for finding in &report.findings {
        let word = word(finding.verdict);
        output::line(&format!("{word:<8} {}: {}", finding.what, finding.detail));
    }
}

fn json(report: &Report) -> serde_json::Value {
    let findings = report.findings.iter().map(|finding| {
        serde_json::json!({
            "what": finding.what,
            "verdict": word(finding.verdict),
            "detail": finding.detail,
        })
    });
    serde_json::json!({
        "label": report.token.label,
        "serial": report.token.serial,
        "manufacturer": report.token.manufacturer,
        "model": report.token.model,
        "library": report.token.library,
        "findings": findings.collect::<Vec<_>>(),
    })
}
