//! `avouch search`: who and what is there, for the local administrator.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::de::DeserializeOwned;
use wire::Hash32;
use wire::rest::{
    Certificate, CertificateQuery, CertificateStatus, Identity, IdentityQuery, IdentityStatus, Page,
};
use wire::socket::{PageRequest, RequestBody, ResponseBody};

use crate::admin;
use crate::config;
use crate::exit::Failure;
use crate::output::{self, Format};

/// Entries asked for at once.
const PAGE: u32 = 500;

/// Looks for certificates or identities, over the administrator's socket.
#[derive(Debug, Args)]
pub(crate) struct Search {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Certificates(Certificates),
    Identities(Identities),
}

#[derive(Debug, Args)]
struct Common {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "avouch.toml")]
    config: PathBuf,
    /// What the user id begins with.
    #[arg(long, value_name = "PREFIX")]
    user: Option<String>,
    /// SHA-256 of the SubjectPublicKeyInfo of a key, present or past.
    #[arg(long, value_name = "HEX", value_parser = Hash32::from_hex)]
    key: Option<Hash32>,
    /// A serial number, 32 hexadecimal digits.
    #[arg(long, value_name = "HEX")]
    serial: Option<String>,
    /// Greatest number of entries.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// How to show it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Looks for certificates; all that is given must hold.
#[derive(Debug, Args)]
struct Certificates {
    #[command(flatten)]
    common: Common,
    /// `pending`, `good` or `revoked`.
    #[arg(long, value_parser = named::<CertificateStatus>)]
    status: Option<CertificateStatus>,
    /// notAfter is then or later, such as 2027-01-31T08:00:00Z.
    #[arg(long, value_name = "TIME")]
    expires_after: Option<String>,
    /// notAfter is before that.
    #[arg(long, value_name = "TIME")]
    expires_before: Option<String>,
    /// Id of the issuer.
    #[arg(long, value_name = "HEX")]
    issuer: Option<String>,
}

/// Looks for identities; all that is given must hold.
#[derive(Debug, Args)]
struct Identities {
    #[command(flatten)]
    common: Common,
    /// `active`, `suspended` or `retired`.
    #[arg(long, value_parser = named::<IdentityStatus>)]
    status: Option<IdentityStatus>,
}

fn named<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

pub(crate) fn run(args: &Search) -> Result<(), Failure> {
    match &args.what {
        What::Certificates(args) => {
            let query = CertificateQuery {
                user: args.common.user.clone(),
                key: args.common.key,
                status: args.status,
                expires_after: args.expires_after.clone(),
                expires_before: args.expires_before.clone(),
                issuer: args.issuer.clone(),
                serial: args.common.serial.clone(),
            };
            let ask = |page| RequestBody::SearchCertificates { query: query.clone().into(), page };
            let found = all(&args.common, ask, |answer| match answer {
                ResponseBody::Certificates(page) => Some(page),
                _ => None,
            })?;
            show(&args.common, &found, certificate_line);
        }
        What::Identities(args) => {
            let query = IdentityQuery {
                user: args.common.user.clone(),
                key: args.common.key,
                status: args.status,
                serial: args.common.serial.clone(),
            };
            let ask = |page| RequestBody::SearchIdentities { query: query.clone().into(), page };
            let found = all(&args.common, ask, |answer| match answer {
                ResponseBody::Identities(page) => Some(page),
                _ => None,
            })?;
            show(&args.common, &found, identity_line);
        }
    }
    Ok(())
}

/// Page after page, until there are enough.
fn all<T>(
    common: &Common,
    ask: impl Fn(PageRequest) -> RequestBody,
    page_of: impl Fn(ResponseBody) -> Option<Page<T>>,
) -> Result<Vec<T>, Failure> {
    let config = config::load(&common.config).map_err(|e| Failure::local(e.to_string()))?;
    let socket = config.admin_socket();
    crate::runtime()?.block_on(async {
        let mut admin = admin::Connection::open(&socket).await?;
        let mut found = Vec::new();
        let mut cursor = None;
        while found.len() < common.limit {
            let wanted = u32::try_from(common.limit - found.len()).unwrap_or(PAGE).min(PAGE);
            let answer = admin.ask(ask(PageRequest { cursor, limit: wanted })).await?;
            let page = page_of(answer).ok_or_else(admin::unexpected)?;
            found.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                return Ok(found);
            }
        }
        if cursor.is_some() {
            output::talk(&format!("There are more than {}; --limit shows more.", common.limit));
        }
        Ok(found)
    })
}

fn show<T: serde::Serialize>(common: &Common, found: &[T], line: impl Fn(&T) -> String) {
    match common.format {
        Format::Json => output::json(&found),
        Format::Text => found.iter().for_each(|entry| output::line(&line(entry))),
    }
}

/// A status by its name in the API.
fn name(status: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(status).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

fn certificate_line(certificate: &Certificate) -> String {
    let Certificate { serial, uid, event, status, not_after, .. } = certificate;
    format!("{serial}  {:<7}  until {not_after}  {event}  {}", name(status), uid.as_str())
}

fn identity_line(identity: &Identity) -> String {
    let key = identity.key.as_ref().map_or_else(
        || "no key".to_owned(),
        |key| format!("{} {:.16}", key.algorithm, key.spki_sha256.to_string()),
    );
    format!(
        "{:<9}  {key}  since {}  {}",
        name(&identity.status),
        identity.created,
        identity.uid.as_str()
    )
}
