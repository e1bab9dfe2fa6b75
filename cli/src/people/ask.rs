//! `avouch renew`: a new certificate over the same key.

use std::path::PathBuf;

use clap::Args;
use client::statement::intents;
use wire::UserId;
use wire::rest;
use wire::statement::Role;

use super::common::{Connection, private_key, state};
use crate::exit::{Exit, Failure};
use crate::output::{self, Format};
use crate::{files, runtime};

/// Asks for a new certificate over the identity's key, signed for by the key itself.
#[derive(Debug, Args)]
pub(crate) struct Renew {
    /// The user id.
    #[arg(value_name = "UID")]
    uid: UserId,
    /// The identity's private key.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where to write the certificate and its issuers, PEM; standard output by default.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
    /// How to show the answer where it goes to standard output.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn renew(args: &Renew) -> Result<(), Failure> {
    let (trust, server) = args.connection.open(None)?;
    let key = private_key(&args.key)?;
    let certificate = runtime()?.block_on(async {
        let on = state(&server, &trust, &args.uid).await?.on;
        let mut draft = intents::renewal(&on, &key)?;
        draft.sign(&key, Role::CurrentKey)?;
        let body = draft.to_certificate_request();
        Ok::<_, Failure>(server.request_certificate_signed(&args.uid, &body, None).await?)
    })?;
    give(&certificate, args.out.as_ref(), args.format)
}

/// Writes or shows a certificate with its issuers.
pub(super) fn give(
    certificate: &rest::Certificate,
    out: Option<&PathBuf>,
    format: Format,
) -> Result<(), Failure> {
    let leaf = certificate.certificate.as_ref().ok_or_else(|| {
        Failure::new(Exit::Pending, "the request is recorded; the certificate is not signed yet")
    })?;
    let chain = certificate.chain.concat();
    match out {
        Some(path) => {
            files::write(path, format!("{leaf}{chain}").as_bytes(), 0o644)?;
            output::talk(&format!("wrote {}", path.display()));
            output::line(&format!("{} {}", certificate.event, certificate.serial));
        }
        None if format == Format::Json => output::json(certificate),
        None => output::line(format!("{leaf}{chain}").trim_end()),
    }
    Ok(())
}
