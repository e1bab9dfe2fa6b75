//! `avouch enrol`: the first certificate of an identity.

use std::path::{Path, PathBuf};

use clap::Args;
use client::fetch::Server;
use client::keys::{PrivateKey, Signer, certification_request};
use client::statement::{Draft, On, intents};
use client::trust::Trust;
use wire::rest;
use wire::socket::{RequestBody, ResponseBody, Signed};
use wire::statement::Role;
use wire::{Hash32, IdempotencyKey, UserId};

use super::ask::give;
use super::channels::Addresses;
use super::common::{AgentCredentials, Connection, now, private_key};
use super::moves::key_or_new;
use super::rename::Names;
use super::request;
use super::switch::id_token;
use crate::exit::Failure;
use crate::output::{self, Format};
use crate::{admin, files, runtime};

/// Asks for the first certificate of an identity.
///
/// Somebody has to vouch for the person: an enrolment agent (its signature in a request file, or,
/// where the policy lets that, its TLS certificate), or an identity provider, whose ID token has the
/// request's hash as its nonce. With `--prepare` the request is written to a file first.
#[derive(Debug, Args)]
pub(crate) struct Enrol {
    /// The user id.
    #[arg(value_name = "UID")]
    uid: UserId,
    /// The private key; a certification request is made with it.
    #[arg(long, value_name = "FILE", required_unless_present_any = ["csr", "signed"])]
    key: Option<PathBuf>,
    /// A certification request made elsewhere, PEM or DER.
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    csr: Option<PathBuf>,
    /// A request that was prepared, and that an agent or officer has signed.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "csr", "recovery_key", "prepare"])]
    signed: Option<PathBuf>,
    /// The recovery key of the identity, which the enrolment commits to; made if the file does not
    /// exist. It is kept apart and used once, when all others are lost or stolen.
    #[arg(long, value_name = "FILE", requires = "key")]
    recovery_key: Option<PathBuf>,
    #[command(flatten)]
    names: Names,
    #[command(flatten)]
    addresses: Addresses,
    /// An ID token whose nonce is the request's hash, as `--prepare` shows it.
    #[arg(long, value_name = "FILE", requires = "signed")]
    id_token: Option<PathBuf>,
    /// Writes the request to a file instead of sending it, for an agent to sign, and shows the
    /// nonce for an ID token.
    #[arg(long, value_name = "FILE", requires = "key")]
    prepare: Option<PathBuf>,
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

pub(crate) fn run(args: &Enrol) -> Result<(), Failure> {
    let intent_needed = args.signed.is_some()
        || args.recovery_key.is_some()
        || args.prepare.is_some()
        || !args.names.is_empty()
        || !args.addresses.is_empty();
    if !args.names.is_empty() && args.key.is_none() {
        return Err(Failure::local("names are asked for with the key: give --key"));
    }
    if !args.addresses.is_empty() && args.key.is_none() {
        let message = "addresses are set by the holder's own key: give --key";
        return Err(Failure::local(message));
    }
    if !intent_needed {
        return give(&bare(args)?, args.out.as_ref(), args.format);
    }
    let (trust, server) = args.connection.open(Some(&args.agent))?;
    let mut draft = match (&args.signed, &args.key) {
        (Some(path), _) => request::draft(path, &request::read(path)?)?,
        (None, Some(key)) => prepared(args, &private_key(key)?, &trust, &server)?,
        (None, None) => return Err(Failure::local("give --key")),
    };
    if draft.intent().subject.as_ref() != Some(&args.uid) {
        return Err(Failure::local(format!("the request is not for {}", args.uid)));
    }
    if let Some(token) = &args.id_token {
        draft.id_tokens.push(id_token(token)?);
    }
    if let Some(path) = &args.prepare {
        output::line(&format!("nonce {}", draft.hash()));
        return request::keep(&draft, path);
    }
    let key = IdempotencyKey::parse(&format!("intent-{}", draft.hash()))
        .map_err(|e| Failure::local(e.to_string()))?;
    let body = draft.to_certificate_request();
    let asked = server.request_certificate_signed(&args.uid, &body, Some(&key));
    give(&runtime()?.block_on(asked)?, args.out.as_ref(), args.format)
}

/// An enrolment's request, signed by its own key.
fn prepared(
    args: &Enrol,
    key: &PrivateKey,
    trust: &Trust,
    server: &Server,
) -> Result<Draft, Failure> {
    let policy = runtime()?.block_on(server.installation())?.policy;
    let names = args.names.all()?;
    let on = On { names, ..On::nobody(trust.genesis(), policy, args.uid.clone(), now()) };
    let recovery = args.recovery_key.as_deref().map(key_or_new).transpose()?;
    let csr = certification_request(key, &args.uid)?;
    let recovery = recovery.as_ref().map(Signer::spki_der);
    let sealed = args.addresses.seal(trust, &args.uid)?;
    let channels = sealed.iter().map(|sealed| sealed.channel.clone()).collect();
    let mut draft = intents::enrolment(&on, &csr, key.spki_der(), recovery, channels)?;
    draft.addresses = sealed.into_iter().map(|sealed| sealed.sealed).collect();
    draft.sign(key, Role::NewKey)?;
    Ok(draft)
}

/// A certification request that nobody signs a statement about: the transport vouches, or nobody.
fn bare(args: &Enrol) -> Result<rest::Certificate, Failure> {
    let request = match (&args.key, &args.csr) {
        (Some(key), _) => certification_request(&private_key(key)?, &args.uid)?,
        (None, Some(csr)) => files::read(csr)?,
        (None, None) => return Err(Failure::local("give --key or --csr")),
    };
    // The same request again gives the same certificate, however often the answer is lost.
    let key = IdempotencyKey::parse(&format!("enrol-{}", Hash32::of(&request)))
        .map_err(|e| Failure::local(e.to_string()))?;
    match &args.admin_socket {
        Some(socket) => {
            let body = RequestBody::Issue {
                uid: args.uid.clone(),
                csr: request.into(),
                idempotency_key: Some(key),
                signed: Signed::default(),
            };
            by_admin(socket, body)
        }
        None => {
            let (_, server) = args.connection.open(Some(&args.agent))?;
            Ok(runtime()?.block_on(server.request_certificate(&args.uid, request, Some(&key)))?)
        }
    }
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
