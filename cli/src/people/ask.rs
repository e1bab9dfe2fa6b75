//! `avouch renew` and `revoke`: what the holder of a key does with it.

use std::path::PathBuf;

use clap::Args;
use client::statement::intents;
use wire::event::{RevocationReason, Revoked};
use wire::rest::{self, SignedRequest};
use wire::statement::Role;
use wire::{SerialNumber, UserId, octets};

use super::common::{AgentCredentials, Connection, private_key, state};
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

/// Revokes a certificate, and every other over the same key. The identity is suspended by it.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The user id.
    #[arg(value_name = "UID")]
    uid: UserId,
    /// The identity's private key, which signs the revocation; without it an enrolment agent's
    /// TLS credentials may do, where the policy lets them.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Serial number of the certificate; by default the identity's latest.
    #[arg(long, value_name = "SERIAL")]
    serial: Option<String>,
    /// unspecified, key-compromise, affiliation-changed, superseded or cessation-of-operation.
    #[arg(long, default_value = "unspecified", value_parser = reason)]
    reason: RevocationReason,
    #[command(flatten)]
    agent: AgentCredentials,
    #[command(flatten)]
    connection: Connection,
    /// How to show the answer.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn reason(text: &str) -> Result<RevocationReason, String> {
    RevocationReason::from_name(text).ok_or_else(|| {
        let names: Vec<_> = RevocationReason::ALL.iter().map(|reason| reason.name()).collect();
        format!("{text:?} is none of {}", names.join(", "))
    })
}

pub(crate) fn revoke(args: &Revoke) -> Result<(), Failure> {
    let (trust, server) = args.connection.open(Some(&args.agent))?;
    let key = args.key.as_deref().map(private_key).transpose()?;
    let certificate = runtime()?.block_on(async {
        let on = state(&server, &trust, &args.uid).await?.on;
        let serial = match &args.serial {
            Some(serial) => serial.clone(),
            None => server.identity(&args.uid).await?.serial.ok_or_else(|| {
                let message = format!("{} has no certificate that could be revoked", args.uid);
                Failure::new(Exit::Revoked, message)
            })?,
        };
        let serial = SerialNumber::from_hex(&serial).map_err(|e| Failure::local(e.to_string()))?;
        let signed = match &key {
            None => SignedRequest::default(),
            Some(key) => {
                let (serial, reason) = (octets(serial.as_bytes()), args.reason);
                let mut draft = intents::revocation(&on, &Revoked { version: 1, serial, reason })?;
                draft.sign(key, Role::CurrentKey)?;
                draft.to_rest()
            }
        };
        let body = rest::RevocationRequest {
            reason: args.reason.name().to_owned(),
            intent: signed.intent,
            statements: signed.statements,
        };
        Ok::<_, Failure>(server.revoke(serial, &body).await?)
    })?;
    match args.format {
        Format::Json => output::json(&certificate),
        Format::Text => output::line(&format!("revoked {}", certificate.serial)),
    }
    Ok(())
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
