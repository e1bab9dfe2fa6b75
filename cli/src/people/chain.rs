//! `avouch verify chain`: anybody's certificates, by RFC 5280, from files and if wanted from the
//! addresses that they name.

mod online;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use client::online::{Fetched, Limits};
use path::{
    Certificate, Crl, Given, OcspResponse, Oid, Options, Profile, Purpose, Report, Revocation,
};
use serde::Serialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::common::now_signed;
use crate::exit::{Exit, Failure};
use crate::files;
use crate::output::{self, Format};

/// How far other people's clocks may be ahead, in seconds, of what they sign on request.
const CLOCK_SKEW: i64 = 300;

/// Verifies a certificate against roots, with intermediates, CRLs and OCSP answers from files, or
/// fetched.
///
/// Files are PEM or DER; those of certificates may also be PKCS#7 bundles. `-` is standard input.
/// What cannot be read of them, beside the certificate itself, is told and skipped.
///
/// Exit code 0: a path was found on which every check passed. 11: there is none. 12: revoked. 13:
/// expired, or not valid yet. 16: the revocation status asked for is not known, or too old.
#[derive(Debug, Args)]
pub(crate) struct Chain {
    /// Trusted roots. May be repeated; a file may hold several.
    #[arg(long, value_name = "FILE", required = true)]
    root: Vec<PathBuf>,
    /// Intermediates. May be repeated; a file may hold several.
    #[arg(long, value_name = "FILE")]
    untrusted: Vec<PathBuf>,
    /// Revocation lists: complete, delta, indirect, of parts. May be repeated.
    #[arg(long, value_name = "FILE")]
    crl: Vec<PathBuf>,
    /// Answers of OCSP responders. May be repeated.
    #[arg(long, value_name = "FILE")]
    ocsp: Vec<PathBuf>,
    /// Whose revocation status must be known: none, known (what is at hand counts), leaf (also, the
    /// leaf's must be known) or chain (everybody's). By default leaf if there is a CRL, an OCSP
    /// answer or --fetch, else none.
    #[arg(long, value_name = "WHOSE")]
    revocation: Option<Revocation>,
    /// The oldest CRL or OCSP answer taken, in seconds, whatever it says itself.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(i64).range(0..))]
    max_status_age: Option<i64>,
    #[command(flatten)]
    fetch: Fetch,
    /// The time to verify for; now by default. RFC 3339, a date (its first second in UTC), or seconds
    /// since 1970.
    #[arg(long, value_name = "TIME", value_parser = instant, allow_hyphen_values = true)]
    at: Option<i64>,
    /// What the certificate is to be used for: email, client, any, or the OID of an extended key
    /// usage.
    #[arg(long, default_value = "any")]
    purpose: Purpose,
    /// The mailbox that the certificate has to name.
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// The user principal name that the certificate has to name.
    #[arg(long, value_name = "USER@REALM")]
    upn: Option<String>,
    /// A certificate policy that will do, where one is required. May be repeated; without, any
    /// will.
    #[arg(long, value_name = "OID")]
    policy: Vec<Oid>,
    /// Requires a certificate policy that holds for the whole path.
    #[arg(long)]
    require_explicit_policy: bool,
    /// Takes anyPolicy in a certificate for no policy.
    #[arg(long)]
    inhibit_any_policy: bool,
    /// Takes no mappings between policies.
    #[arg(long)]
    inhibit_policy_mapping: bool,
    /// The most certificates in a path, leaf and root included.
    #[arg(long, value_name = "N", default_value_t = Options::DEFAULT_DEPTH, value_parser = depth)]
    max_depth: usize,
    /// rfc5280, or strict: without SHA-1, DSA, RSA below 2048 bits, and what the RFC forbids
    /// issuers to write.
    #[arg(long, default_value = "rfc5280")]
    profile: Profile,
    /// How to show the result. JSON has the path, and each check with its outcome and the section
    /// of the RFC.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The certificate; further ones in the file are intermediates.
    #[arg(value_name = "LEAF")]
    leaf: PathBuf,
}

/// What may be fetched.
#[derive(Debug, Args)]
struct Fetch {
    /// Fetches what is missing from the http addresses that the certificates name: issuers, OCSP
    /// answers, else CRLs. Private, loopback and link-local addresses are not connected to.
    #[arg(long)]
    fetch: bool,
    /// Allows these addresses as well.
    #[arg(long, requires = "fetch")]
    fetch_private: bool,
    /// The most requests, redirects included.
    #[arg(long, value_name = "N", requires = "fetch", default_value_t = 24)]
    fetch_requests: usize,
    /// The most bytes of all answers together.
    #[arg(long, value_name = "BYTES", requires = "fetch", default_value_t = 64 << 20)]
    fetch_bytes: usize,
    /// For all requests together.
    #[arg(long, value_name = "SECONDS", requires = "fetch", default_value_t = 30)]
    fetch_seconds: u64,
}

fn instant(text: &str) -> Result<i64, String> {
    /// 0001-01-01 and 9999-12-31: what certificates can say.
    const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
    if let Ok(seconds) = text.parse::<i64>() {
        return match SECONDS.contains(&seconds) {
            true => Ok(seconds),
            false => Err(format!("{seconds} seconds since 1970 are before year 1 or after 9999")),
        };
    }
    let whole = format!("{text}T00:00:00Z");
    let text_or_date = if text.len() == "2030-01-31".len() { &whole } else { text };
    OffsetDateTime::parse(text_or_date, &Rfc3339).map(OffsetDateTime::unix_timestamp).map_err(|e| {
        format!(
            "{text:?} is no time such as 2030-01-31T12:00:00Z, 2030-01-31T14:00:00+02:00, \
             2030-01-31 or 1896091200: {e}"
        )
    })
}

fn depth(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(depth) if (1..=Options::MAX_DEPTH).contains(&depth) => Ok(depth),
        _ => Err(format!("a number from 1 to {} is needed", Options::MAX_DEPTH)),
    }
}

/// What could not be read of a file: of no account, unless it is missed.
struct Skipped {
    file: PathBuf,
    error: String,
}

/// Files of one kind, of which no more is read than they may have together.
struct Files {
    kind: &'static str,
    /// Bytes that may still be read. Certificates take up to forty times that once they are read.
    left: usize,
    skipped: Vec<Skipped>,
}

impl Files {
    fn of(kind: &'static str, mib: usize) -> Self {
        Self { kind, left: mib << 20, skipped: Vec::new() }
    }

    fn bytes(&mut self, path: &Path) -> Result<Vec<u8>, Failure> {
        let bytes = files::read_at_most(path, self.left)?.ok_or_else(|| {
            let kind = self.kind;
            Failure::local(format!("{}: too many {kind}, or too long ones", path.display()))
        })?;
        self.left -= bytes.len();
        Ok(bytes)
    }

    /// What can be read of what a file has; the rest is noted.
    fn keep<T>(&mut self, path: &Path, each: Vec<Result<T, path::ParseError>>) -> Vec<T> {
        let mut out = Vec::new();
        for one in each {
            match one {
                Ok(one) => out.push(one),
                Err(e) => self.skipped.push(Skipped { file: path.into(), error: e.to_string() }),
            }
        }
        out
    }

    fn all<T>(
        &mut self,
        paths: &[PathBuf],
        read: impl Fn(&[u8]) -> Vec<Result<T, path::ParseError>>,
    ) -> Result<Vec<T>, Failure> {
        let mut out = Vec::new();
        for path in paths {
            let each = read(&self.bytes(path)?);
            out.extend(self.keep(path, each));
        }
        Ok(out)
    }
}

/// Everything read from files, and later from the network.
struct Material {
    leaf: Certificate,
    roots: Vec<Certificate>,
    untrusted: Vec<Certificate>,
    crls: Vec<Crl>,
    ocsp: Vec<OcspResponse>,
    skipped: Vec<Skipped>,
}

impl Material {
    fn read(args: &Chain) -> Result<Self, Failure> {
        let mut certificates = Files::of("certificates", 64);
        let mut of_leaf = Certificate::each_from_any(&certificates.bytes(&args.leaf)?);
        if of_leaf.is_empty() {
            return Err(unreadable(&args.leaf, &"no certificate"));
        }
        let leaf = of_leaf.remove(0).map_err(|e| unreadable(&args.leaf, &e))?;
        let mut untrusted = certificates.keep(&args.leaf, of_leaf);
        untrusted.extend(certificates.all(&args.untrusted, Certificate::each_from_any)?);
        let roots = certificates.all(&args.root, Certificate::each_from_any)?;
        let mut lists = Files::of("CRLs", 256);
        let crls = lists.all(&args.crl, Crl::each_from_pem_or_der)?;
        let mut answers = Files::of("OCSP answers", 64);
        let ocsp = answers.all(&args.ocsp, OcspResponse::each_from_pem_or_der)?;
        let skipped = [certificates.skipped, lists.skipped, answers.skipped];
        let skipped = skipped.into_iter().flatten().collect();
        Ok(Self { leaf, roots, untrusted, crls, ocsp, skipped })
    }

    fn verify(&self, options: &Options) -> Report {
        let Self { roots, untrusted, crls, ocsp, .. } = self;
        path::verify(&self.leaf, &Given { roots, untrusted, crls, ocsp }, options)
    }
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    // What cannot be parsed cannot be verified: the chain's code, so that scripts need not tell
    // a broken certificate from an untrusted one.
    Failure::new(Exit::Chain, format!("{}: {error}", path.display()))
}

/// The result as programs get it.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    report: &'a Report,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fetched: Vec<serde_json::Value>,
    /// Parts of files that could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    skipped: Vec<serde_json::Value>,
}

pub(super) fn run(args: &Chain) -> Result<(), Failure> {
    let (report, fetched, skipped) = match examine(args) {
        Ok(done) => done,
        Err(failure) => {
            // Programs get JSON of the same shape for a certificate that cannot even be read.
            if args.format == Format::Json && failure.exit() == Exit::Chain {
                output::json(&json!({ "valid": false, "path": [], "checks": [], "refusal": {
                    "code": "unreadable", "class": "chain", "exit_code": Exit::Chain as u8,
                    "detail": failure.message() } }));
            }
            return Err(failure);
        }
    };
    for one in &fetched {
        if let Some(error) = &one.error {
            output::talk(&format!("{} not fetched from {}: {error}", one.what, one.url));
        }
    }
    for Skipped { file, error } in &skipped {
        output::talk(&format!("{}: skipped what cannot be read: {error}", file.display()));
    }
    match args.format {
        Format::Json => {
            let skipped = skipped.iter().map(|s| json!({ "file": s.file, "error": s.error }));
            let (fetched, skipped) = (told(&fetched), skipped.collect());
            output::json(&Shown { report: &report, fetched, skipped });
        }
        Format::Text => show(&report),
    }
    match report.failure() {
        None => Ok(()),
        Some(failure) => {
            Err(Failure::new(Exit::from_number(report.exit_code()), failure.to_string()))
        }
    }
}

fn examine(args: &Chain) -> Result<(Report, Vec<Fetched>, Vec<Skipped>), Failure> {
    let mut material = Material::read(args)?;
    let skipped = std::mem::take(&mut material.skipped);
    // By what was asked for: a list that cannot be read leaves the status unknown.
    let any_status = args.fetch.fetch || !args.crl.is_empty() || !args.ocsp.is_empty();
    let default = if any_status { Revocation::Leaf } else { Revocation::Ignored };
    let mut options = Options::at(args.at.unwrap_or_else(now_signed))
        .purpose(args.purpose.clone())
        .profile(args.profile)
        .revocation(args.revocation.unwrap_or(default))
        .policies(args.policy.iter().cloned())
        .require_explicit_policy(args.require_explicit_policy)
        .inhibit_any_policy(args.inhibit_any_policy)
        .inhibit_policy_mapping(args.inhibit_policy_mapping)
        .max_depth(args.max_depth);
    if let Some(seconds) = args.max_status_age {
        options = options.max_status_age(seconds);
    }
    if let Some(address) = &args.email {
        options = options.email(address);
    }
    if let Some(name) = &args.upn {
        options = options.upn(name);
    }
    if !args.fetch.fetch {
        return Ok((material.verify(&options), Vec::new(), skipped));
    }
    let limits = Limits {
        requests: args.fetch.fetch_requests,
        bytes: args.fetch.fetch_bytes,
        time: Duration::from_secs(args.fetch.fetch_seconds),
        private_addresses: args.fetch.fetch_private,
    };
    let options = options.clock_skew(CLOCK_SKEW);
    let (report, fetched) = online::verify(&mut material, &options, args.max_depth, limits)?;
    Ok((report, fetched, skipped))
}

fn told(fetched: &[Fetched]) -> Vec<serde_json::Value> {
    fetched
        .iter()
        .map(|one| {
            let error = one.error.as_ref().map(ToString::to_string);
            json!({ "url": one.url, "what": one.what, "error": error })
        })
        .collect()
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
