//! `avouch verify bundle`: an identity, with the network cut.

use std::path::PathBuf;

use clap::Args;
use client::bundle;
use wire::UserId;
use wire::bundle::Bundle;
use wire::frame;

use super::common::{now, time};
use crate::exit::{Exit, Failure};
use crate::files;
use crate::output::{self, Format};

/// Verifies a bundle from a file, offline: history, log, map and certificate, against the trust
/// file and nothing else.
#[derive(Debug, Args)]
pub(crate) struct BundleArgs {
    /// Whose it should be.
    #[arg(value_name = "UID")]
    uid: UserId,
    /// The bundle, JSON or compact.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The trust file, handed over by your organisation.
    #[arg(long, value_name = "FILE", env = "AVOUCH_TRUST", default_value = "trust.json")]
    trust: PathBuf,
    /// How to show it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: &BundleArgs) -> Result<(), Failure> {
    let trust = files::trust(&args.trust)?;
    let bundle = read(args)?;
    let proven = bundle::verify(&trust, &args.uid, &bundle, None, now())
        .map_err(|e| Failure::new(Exit::from_number(e.exit_code()), e.to_string()))?;
    let identity = proven.identity();
    let key = identity.key.map(|key| key.spki.to_string());
    match args.format {
        Format::Json => output::json(&serde_json::json!({
            "uid": args.uid,
            "spki_sha256": key,
            "sequence": identity.sequence,
            "events": proven.events().len(),
            "checkpoint_size": proven.checkpoint().size,
            "as_of": proven.as_of(),
            "ladder": bundle.ladder,
        })),
        Format::Text => output::line(&format!(
            "{}: proven by {} events as of a log of {} leaves{}; {}",
            args.uid,
            proven.events().len(),
            proven.checkpoint().size,
            vouched(proven.as_of()),
            key.map_or_else(|| "no key".to_owned(), |key| format!("key {key}")),
        )),
    }
    Ok(())
}

/// As of when there is nothing later, as far as anybody says so.
fn vouched(as_of: Option<u64>) -> String {
    let nobody = || " (nobody vouches that there is nothing later)".to_owned();
    as_of.map_or_else(nobody, |at| format!(", which the quorum vouched for at {}", time(at * 1000)))
}

fn read(args: &BundleArgs) -> Result<Bundle, Failure> {
    let bytes = files::read(&args.file)?;
    let broken =
        |error: String| Failure::new(Exit::LogProof, format!("{}: {error}", args.file.display()));
    if bytes.first() == Some(&b'{') {
        serde_json::from_slice(&bytes).map_err(|e| broken(e.to_string()))
    } else {
        frame::decode(&bytes, wire::bundle::MAX_BUNDLE).map_err(|e| broken(e.to_string()))
    }
}
