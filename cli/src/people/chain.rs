//! `avouch verify chain`: anybody's certificates, by RFC 5280, from files.

use std::path::{Path, PathBuf};

use clap::Args;
use path::{Certificate, Crl, Given, Options, Purpose, Report, Revocation};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::common::now_signed;
use crate::exit::{Exit, Failure};
use crate::files;
use crate::output::{self, Format};

/// Verifies a certificate against roots, with intermediates and CRLs from files (PEM or DER).
#[derive(Debug, Args)]
pub(crate) struct Chain {
    /// Trusted roots. May be repeated; a file may hold several.
    #[arg(long, value_name = "FILE", required = true)]
    root: Vec<PathBuf>,
    /// Intermediates. May be repeated; a file may hold several.
    #[arg(long, value_name = "FILE")]
    untrusted: Vec<PathBuf>,
    /// Revocation lists. With one, the leaf's status must be known.
    #[arg(long, value_name = "FILE")]
    crl: Vec<PathBuf>,
    /// The time to verify for; now by default.
    #[arg(long, value_name = "RFC3339", value_parser = instant)]
    at: Option<i64>,
    /// What the certificate is to be used for: email, client or any.
    #[arg(long, default_value = "any")]
    purpose: Purpose,
    /// How to show the result.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The certificate; further ones in the file are intermediates.
    #[arg(value_name = "LEAF")]
    leaf: PathBuf,
}

fn instant(text: &str) -> Result<i64, String> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map(OffsetDateTime::unix_timestamp)
        .map_err(|e| format!("{text:?} is not an RFC 3339 time such as 2030-01-31T12:00:00Z: {e}"))
}

pub(super) fn run(args: &Chain) -> Result<(), Failure> {
    let mut leaf = certificates(&args.leaf)?.into_iter();
    let first = leaf
        .next()
        .ok_or_else(|| Failure::local(format!("{} holds no certificate", args.leaf.display())))?;
    let mut untrusted: Vec<Certificate> = leaf.collect();
    for path in &args.untrusted {
        untrusted.extend(certificates(path)?);
    }
    let mut roots = Vec::new();
    for path in &args.root {
        roots.extend(certificates(path)?);
    }
    let mut crls = Vec::new();
    for path in &args.crl {
        let read = Crl::from_pem_or_der(&files::read(path)?).map_err(|e| unreadable(path, &e))?;
        crls.extend(read);
    }
    let revocation = if crls.is_empty() { Revocation::Ignored } else { Revocation::Leaf };
    let given = Given { roots: &roots, untrusted: &untrusted, crls: &crls, ocsp: &[] };
    let at = args.at.unwrap_or_else(now_signed);
    let options = Options::at(at).purpose(args.purpose.clone()).revocation(revocation);
    let report = path::verify(&first, &given, &options);
    match args.format {
        Format::Json => output::json(&report),
        Format::Text => show(&report),
    }
    match report.failure() {
        None => Ok(()),
        Some(failure) => {
            Err(Failure::new(Exit::from_number(report.exit_code()), failure.to_string()))
        }
    }
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    // What cannot be parsed cannot be verified: the chain's code, so that scripts need not tell
    // a broken certificate from an untrusted one.
    Failure::new(Exit::Chain, format!("{}: {error}", path.display()))
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, Failure> {
    Certificate::from_pem_or_der(&files::read(path)?).map_err(|e| unreadable(path, &e))
}

fn show(report: &Report) {
    for (depth, entry) in report.path().iter().enumerate() {
        output::line(&format!(
            "{depth}: {} ({}, serial {})",
            entry.subject, entry.key, entry.serial
        ));
    }
    if report.is_valid() {
        output::line("ok");
    }
}
