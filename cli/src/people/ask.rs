//! `avouch enrol`, `renew` and `revoke`: what changes an identity.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use client::fetch::Server;
use client::keys::{PrivateKey, certification_request};
use client::statement::{self, HolderStatement, On};
use wire::event::{RevocationReason, Revoked};
use wire::rest::{self, Identity};
use wire::socket::{RequestBody, ResponseBody, Signed};
use wire::trust::TrustFile;
use wire::{Hash32, IdempotencyKey, SerialNumber, UserId, octets};

use super::common::{AgentCredentials, Connection, now, private_key};
use crate::exit::{Exit, Failure};
use crate::output::{self, Format};
use crate::{admin, files, runtime};

/// Asks for the first certificate of an identity.
#[derive(Debug, Args)]
pub(crate) struct Enrol {
    /// The user id.
    #[arg(value_name = "UID")]
    uid: UserId,
    /// The private key; a certification request is made with it.
    #[arg(long, value_name = "FILE", required_unless_present = "csr")]
    key: Option<PathBuf>,
    /// A certification request made elsewhere, PEM or DER.
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    csr: Option<PathBuf>,
    /// Where to write the certificate and its issuers, PEM; standard output by default.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Asks as the local administrator, by the authority's `admin.sock`, instead of over HTTPS.
    #[arg(long, value_name = "SOCKET", conflicts_with = "agent_cert")]
    admin_socket: Option<PathBuf>,
    #[command(flatten)]
    agent: AgentCredentials,
    #[command(flatten)]
    connection: Connection,
    /// How to show the answer where it goes to standard output.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn enrol(args: &Enrol) -> Result<(), Failure> {
    let request = match (&args.key, &args.csr) {
        (Some(key), _) => certification_request(&private_key(key)?, &args.uid)?,
        (None, Some(csr)) => files::read(csr)?,
        (None, None) => return Err(Failure::local("give --key or --csr")),
    };
    // The same request again gives the same certificate, however often the answer is lost.
    let key = IdempotencyKey::parse(&format!("enrol-{}", Hash32::of(&request)))
        .map_err(|e| Failure::local(e.to_string()))?;
    let certificate = match &args.admin_socket {
        Some(socket) => {
            let body = RequestBody::Issue {
                uid: args.uid.clone(),
                csr: request.into(),
                idempotency_key: Some(key),
                signed: Signed::default(),
            };
            by_admin(socket, body)?
        }
        None => {
            let (_, server) = args.connection.open(Some(&args.agent))?;
            runtime()?.block_on(server.request_certificate(&args.uid, request, Some(&key)))?
        }
    };
    give(&certificate, args.out.as_ref(), args.format)
}

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
        let (identity, policy) = state(&server, &args.uid).await?;
        let request = certification_request(&key, &args.uid)?;
        let on = On { genesis: trust.genesis(), policy, identity: &identity, now: now() };
        let HolderStatement { intent, statement } = statement::renewal(&key, &on, &request)?;
        let body = rest::CertificateRequest {
            csr: x509::pem::encode("CERTIFICATE REQUEST", &request),
            intent: Some(STANDARD.encode(intent)),
            statements: vec![STANDARD.encode(statement)],
            id_tokens: Vec::new(),
            addresses: Vec::new(),
        };
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
        let (identity, policy) = state(&server, &args.uid).await?;
        let serial = args.serial.as_ref().or(identity.serial.as_ref()).ok_or_else(|| {
            let message = format!("{} has no certificate that could be revoked", args.uid);
            Failure::new(Exit::Revoked, message)
        })?;
        let serial = SerialNumber::from_hex(serial).map_err(|e| Failure::local(e.to_string()))?;
        let signed = key
            .map(|key| revocation(&key, &trust, policy, &identity, &serial, args.reason))
            .transpose()?;
        let body = rest::RevocationRequest {
            reason: args.reason.name().to_owned(),
            intent: signed.as_ref().map(|signed| STANDARD.encode(&signed.intent)),
            statements: signed.iter().map(|s| STANDARD.encode(&s.statement)).collect(),
        };
        Ok::<_, Failure>(server.revoke(serial, &body).await?)
    })?;
    match args.format {
        Format::Json => output::json(&certificate),
        Format::Text => output::line(&format!("revoked {}", certificate.serial)),
    }
    Ok(())
}

fn revocation(
    key: &PrivateKey,
    trust: &TrustFile,
    policy: Hash32,
    identity: &Identity,
    serial: &SerialNumber,
    reason: RevocationReason,
) -> Result<HolderStatement, Failure> {
    let on = On { genesis: trust.genesis(), policy, identity, now: now() };
    let revoked = Revoked { version: 1, serial: octets(serial.as_bytes()), reason };
    Ok(statement::revocation(key, &on, &revoked)?)
}

/// Asks the authority itself, as its local administrator.
fn by_admin(socket: &Path, body: RequestBody) -> Result<rest::Certificate, Failure> {
    runtime()?.block_on(async {
        match admin::Connection::open(socket).await?.ask(body).await? {
            ResponseBody::Certificate { certificate, .. } => Ok(*certificate),
            _ => Err(admin::unexpected()),
        }
    })
}

/// The identity, and the hash of the policy in force.
async fn state(server: &Server, uid: &UserId) -> Result<(Identity, Hash32), Failure> {
    Ok((server.identity(uid).await?, server.installation().await?.policy))
}

/// Writes or shows a certificate with its issuers.
fn give(
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
