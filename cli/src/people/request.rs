//! `avouch request`: requests in files, which several people sign one after the other.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use client::fetch::Server;
use client::statement::Draft;
use client::statement::file::{Kind, RequestFile};
use serde::Serialize;
use wire::event::EventKind;
use wire::rest::{self, Done};
use wire::statement::Role;

use super::common::Connection;
use super::shown;
use super::signer::SignerArgs;
use super::switch::id_token;
use super::via::Via;
use crate::exit::{Exit, Failure};
use crate::output::{self, Format};
use crate::{files, runtime};

/// Shows, signs and hands in requests that other commands wrote with `--out`.
#[derive(Debug, Args)]
pub(crate) struct RequestArgs {
    #[command(subcommand)]
    command: RequestCommand,
}

#[derive(Debug, Subcommand)]
enum RequestCommand {
    /// Shows what a request asks for, from the bytes that are signed, and who has signed.
    Show {
        /// The request.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// How to show it.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Signs a request, after it was shown and you agreed.
    Sign(Sign),
    /// Hands a request in.
    Submit {
        /// The request, an approval or a veto.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// An ID token whose nonce is the request's hash.
        #[arg(long, value_name = "FILE")]
        id_token: Option<PathBuf>,
        #[command(flatten)]
        via: Via,
        /// Where to write the certificate, if one follows; PEM.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        connection: Connection,
        /// How to show the answer.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

/// `avouch request sign`.
#[derive(Debug, Args)]
struct Sign {
    /// The request.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    signer: SignerArgs,
    /// Where to write it; by default it takes the place of what was read.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Does not ask whether you agree.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &RequestArgs) -> Result<(), Failure> {
    match &args.command {
        RequestCommand::Show { file, format } => show(file, *format),
        RequestCommand::Sign(args) => sign(args),
        RequestCommand::Submit { file, id_token, via, out, connection, format } => {
            let how = (via, id_token.as_deref());
            submit(file, how, out.as_deref(), connection, *format)
        }
    }
}

/// Reads a request file.
pub(super) fn read(path: &Path) -> Result<RequestFile, Failure> {
    RequestFile::parse(&files::read(path)?)
        .map_err(|e| Failure::local(format!("{}: {e}", path.display())))
}

/// The request in a file.
pub(super) fn draft(path: &Path, file: &RequestFile) -> Result<Draft, Failure> {
    Draft::of_file(file).map_err(|e| Failure::local(format!("{}: {e}", path.display())))
}

fn show(path: &Path, format: Format) -> Result<(), Failure> {
    let file = read(path)?;
    if format == Format::Json {
        output::json(&file);
        return Ok(());
    }
    output::line(&format!("installation   {}", file.genesis));
    match (file.kind, file.switch) {
        (Kind::Approval, Some(switch)) => output::line(&format!("approves       intent {switch}")),
        (Kind::Veto, Some(switch)) => output::line(&format!("objects to     intent {switch}")),
        _ => lines(&draft(path, &file)?),
    }
    Ok(())
}

fn lines(draft: &Draft) {
    let signers = shown::signers(&draft.signers());
    shown::intent(draft.intent()).iter().chain(&signers).for_each(|line| output::line(line));
}

fn sign(args: &Sign) -> Result<(), Failure> {
    let file = read(&args.file)?;
    let mut draft = draft(&args.file, &file)?;
    let (trust, _) = args.connection.open(None)?;
    if trust.genesis() != file.genesis {
        return Err(Failure::local(format!(
            "the request is for installation {}; the trust file names {}",
            file.genesis,
            trust.genesis()
        )));
    }
    lines(&draft);
    agree(args.yes, "sign this")?;
    let usual = match draft.intent().verb {
        EventKind::Enrol => Role::Agent,
        _ => Role::Officer,
    };
    let (signer, role) = args.signer.open(usual)?;
    sign_draft(&mut draft, &*signer, role)?;
    keep(&draft, args.out.as_deref().unwrap_or(&args.file))
}

/// Signs in a role; a recovery key is revealed along with that.
pub(super) fn sign_draft(
    draft: &mut Draft,
    signer: &dyn client::keys::Signer,
    role: Role,
) -> Result<(), Failure> {
    if role == Role::RecoveryKey {
        draft.sign_with_recovery_key(signer)?;
    } else {
        draft.sign(signer, role)?;
    }
    Ok(())
}

/// Asks whether to go on, unless that was said before.
pub(super) fn agree(yes: bool, what: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let answer = crate::terminal::ask(&format!("Type yes to {what}: "))
        .map_err(|e| Failure::local(format!("cannot ask ({e}); --yes says it")))?;
    if answer == "yes" { Ok(()) } else { Err(Failure::local("nothing was signed")) }
}

/// Writes a request to a file.
pub(super) fn keep(draft: &Draft, path: &Path) -> Result<(), Failure> {
    write(&draft.to_file(), path)
}

/// Writes a request, an approval or a veto to a file.
pub(super) fn write(file: &RequestFile, path: &Path) -> Result<(), Failure> {
    files::write(path, file.to_text().as_bytes(), 0o600)?;
    output::talk(&format!("wrote {}", path.display()));
    Ok(())
}

/// Sends a request, or writes it where it is signed on or handed in elsewhere.
pub(super) fn send_or_keep(
    server: &Server,
    draft: &Draft,
    keep_in: Option<&Path>,
    format: Format,
) -> Result<(), Failure> {
    if let Some(path) = keep_in {
        return keep(draft, path);
    }
    let done = runtime()?.block_on(server.ask(draft))?;
    show_done(&done, None, format)
}

fn submit(
    path: &Path,
    (via, token): (&Via, Option<&Path>),
    out: Option<&Path>,
    connection: &Connection,
    format: Format,
) -> Result<(), Failure> {
    let file = read(path)?;
    let (trust, server) = connection.open(None)?;
    if trust.genesis() != file.genesis {
        return Err(Failure::local(
            "the request is for another installation than the trust file's",
        ));
    }
    if via.hand_in(&trust, &file)? {
        return Ok(());
    }
    let done = match (file.kind, file.switch) {
        (Kind::Approval, Some(switch)) => {
            runtime()?.block_on(server.approve(switch, &file.request))?
        }
        (Kind::Veto, Some(switch)) => runtime()?.block_on(server.veto(switch, &file.request))?,
        _ => {
            let mut draft = draft(path, &file)?;
            if let Some(token) = token {
                draft.id_tokens.push(id_token(token)?);
            }
            if draft.intent().verb == EventKind::Revoke {
                return super::revoke::submit(&server, &draft, format);
            }
            runtime()?.block_on(server.ask(&draft))?
        }
    };
    show_done(&done, out, format)
}

#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    done: &'a Done,
}

/// Shows what came of a request, and writes the certificate that follows.
pub(super) fn show_done(done: &Done, out: Option<&Path>, format: Format) -> Result<(), Failure> {
    if let Some(path) = out {
        certificate(done.certificate.as_ref(), path)?;
    }
    match format {
        Format::Json => output::json(&Written { done }),
        Format::Text => {
            let announced =
                if done.announced { ", announced: it holds after the wait" } else { "" };
            let whose =
                done.uid.as_ref().map_or("the installation".to_owned(), ToString::to_string);
            output::line(&format!(
                "{whose}: {}, event {}, leaf {}{announced}",
                done.event, done.sequence, done.leaf_index
            ));
        }
    }
    Ok(())
}

/// Writes a certificate with its issuers.
pub(super) fn certificate(
    certificate: Option<&rest::Certificate>,
    path: &Path,
) -> Result<(), Failure> {
    let pending =
        || Failure::new(Exit::Pending, "it is recorded; the certificate is not signed yet");
    let certificate = certificate.ok_or_else(pending)?;
    let leaf = certificate.certificate.as_ref().ok_or_else(pending)?;
    files::write(path, format!("{leaf}{}", certificate.chain.concat()).as_bytes(), 0o644)?;
    output::talk(&format!("wrote {}", path.display()));
    Ok(())
}
