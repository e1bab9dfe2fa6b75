//! `avouch revoke`: a certificate ends, by its key, by one officer, or where the policy lets that be,
//! by an agent's transport.

use std::path::PathBuf;

use clap::Args;
use client::bundle::ProvenIdentity;
use client::fetch::Server;
use client::statement::{Draft, intents};
use wire::event::{Certified, RevocationReason, Revoked};
use wire::rest::{self, RevocationRequest, SignedRequest};
use wire::statement::Role;
use wire::{Encoded, Hash32, SerialNumber, UserId, octets};

use super::common::{AgentCredentials, Connection, state, time};
use super::request::{self, agree};
use super::signer::SignerArgs;
use crate::exit::{Exit, Failure};
use crate::output::{self, Format};
use crate::runtime;

/// Revokes a certificate, and every other over the same key. The identity is suspended by it, and
/// has no key until it is recovered or switched.
///
/// By the identity's own key, or by one officer (`--as officer`), who is shown first what the
/// identity's own history proves.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The user id.
    #[arg(value_name = "UID")]
    uid: UserId,
    /// The key that signs. Without one an enrolment agent's TLS credentials may do, where the
    /// policy lets them.
    #[command(flatten)]
    signer: SignerArgs,
    /// Serial number of the certificate; by default the identity's latest.
    #[arg(long, value_name = "SERIAL", value_parser = SerialNumber::from_hex)]
    serial: Option<SerialNumber>,
    /// unspecified, key-compromise, affiliation-changed, superseded or cessation-of-operation.
    #[arg(long, default_value = "unspecified", value_parser = reason)]
    reason: RevocationReason,
    /// Does not ask whether you agree.
    #[arg(long)]
    yes: bool,
    /// Writes the request to a file, to be handed in elsewhere (`avouch request submit`).
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
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
    let (on, proven, serial) = runtime()?.block_on(async {
        let state = state(&server, &trust, &args.uid).await?;
        let serial = match (&args.serial, &state.proven) {
            (Some(serial), _) => *serial,
            (None, Some(proven)) => latest(proven).ok_or_else(|| nothing(&args.uid))?,
            (None, None) => {
                let said = server.identity(&args.uid).await?.serial;
                let serial = said.ok_or_else(|| nothing(&args.uid))?;
                SerialNumber::from_hex(&serial).map_err(|e| Failure::local(e.to_string()))?
            }
        };
        Ok::<_, Failure>((state.on, state.proven, serial))
    })?;
    let revoked = Revoked { version: 1, serial: octets(serial.as_bytes()), reason: args.reason };
    if !args.signer.is_given() {
        if args.out.is_some() {
            return Err(Failure::local("a request in a file is signed: give the key"));
        }
        let unsigned = body(args.reason, SignedRequest::default());
        return send(&server, serial, &unsigned, args.format);
    }
    let usual = Role::CurrentKey;
    if args.signer.role(usual) == Role::Officer {
        lines(&args.uid, proven.as_ref(), &revoked)?.iter().for_each(|line| output::talk(line));
        agree(args.yes, "revoke this certificate")?;
    }
    let mut draft = intents::revocation(&on, &revoked)?;
    let (signer, role) = args.signer.open(usual)?;
    draft.sign(&*signer, role)?;
    if let Some(path) = &args.out {
        return request::keep(&draft, path);
    }
    send(&server, serial, &body(args.reason, draft.to_rest()), args.format)
}

/// Hands in a revocation from a file.
pub(super) fn submit(server: &Server, draft: &Draft, format: Format) -> Result<(), Failure> {
    let unread = || Failure::local("the revocation in the file cannot be read");
    let revoked = draft.intent().body.as_ref().ok_or_else(unread)?;
    let revoked = Revoked::from_canonical(revoked.as_bytes()).map_err(|_| unread())?;
    let serial = SerialNumber::from_slice(revoked.serial.as_bytes()).ok_or_else(unread)?;
    send(server, serial, &body(revoked.reason, draft.to_rest()), format)
}

fn body(reason: RevocationReason, signed: SignedRequest) -> RevocationRequest {
    let SignedRequest { intent, statements, .. } = signed;
    RevocationRequest { reason: reason.name().to_owned(), intent, statements }
}

fn send(
    server: &Server,
    serial: SerialNumber,
    body: &RevocationRequest,
    format: Format,
) -> Result<(), Failure> {
    let certificate: rest::Certificate = runtime()?.block_on(server.revoke(serial, body))?;
    match format {
        Format::Json => output::json(&certificate),
        Format::Text => output::line(&format!("revoked {}", certificate.serial)),
    }
    Ok(())
}

fn nothing(uid: &UserId) -> Failure {
    Failure::new(Exit::Revoked, format!("{uid} has no certificate that could be revoked"))
}

/// The certificates over the identity's present key, newest first, as its history proves them:
/// serial number, when it was made, until when it is valid (seconds since 1970).
fn certificates(proven: &ProvenIdentity) -> impl Iterator<Item = (SerialNumber, u64, u64)> {
    let key = proven.identity().key.map(|key| key.spki);
    proven.events().iter().rev().filter(|step| step.event.kind.certifies()).filter_map(
        move |step| {
            let body = Certified::from_canonical(step.event.body.as_bytes()).ok()?;
            let serial = SerialNumber::from_slice(body.serial.as_bytes())?;
            (Some(body.spki) == key).then_some((serial, step.event.time_ms, body.not_after))
        },
    )
}

fn latest(proven: &ProvenIdentity) -> Option<SerialNumber> {
    certificates(proven).next().map(|(serial, ..)| serial)
}

/// What an officer sees before she signs: from the proven history, where the trust file lets one be
/// verified.
fn lines(
    uid: &UserId,
    proven: Option<&ProvenIdentity>,
    revoked: &Revoked,
) -> Result<Vec<String>, Failure> {
    let serial: String = hex::encode(revoked.serial.as_bytes());
    let mut lines = vec![format!("revokes        {serial}")];
    let mut line = |label: &str, text: String| lines.push(format!("{label:<15}{text}"));
    line("of", uid.to_string());
    line("reason", revoked.reason.to_string());
    let Some(proven) = proven else {
        line("UNPROVEN", "the trust file names no log key: this is the server's word".to_owned());
        return Ok(lines);
    };
    let identity = proven.identity();
    let key = identity.key.map(|key| key.spki).ok_or_else(|| nothing(uid))?;
    line("key", key.to_string());
    for name in identity.names() {
        line("name", format!("{}: {}", name.kind, name.value));
    }
    let all: Vec<_> = certificates(proven).collect();
    if !all.iter().any(|(of, ..)| of.as_bytes() == revoked.serial.as_bytes()) {
        let message = format!("{serial} is no certificate over the present key of {uid}");
        return Err(Failure::new(Exit::Refused, message));
    }
    for (serial, at_ms, not_after) in all {
        let until = time(not_after.saturating_mul(1000));
        line("ends", format!("{serial} of {}, valid until {until}", time(at_ms)));
    }
    if let Some(pending) = identity.pending() {
        line("pending", format!("a switch to key {}", pending.spki()));
    }
    let back = match identity.recovery_commitment {
        Some(_) => "its owner recovers it with the recovery key, or asks for a switch",
        None => "there is no recovery key: its owner has to ask for a switch",
    };
    line("afterwards", format!("no key, suspended; {back}"));
    line("head", Hash32::to_string(&identity.head));
    Ok(lines)
}
