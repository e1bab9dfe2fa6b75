//! `avouch trust`: whom this client believes, handed on and taken over.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use client::contacts::Contacts;
use client::trust::{SuccessionError, Trust, succession, successor};
use wire::{Hash32, UserId};

use super::common::{Connection, ContactsFile, now};
use crate::exit::{Exit, Failure};
use crate::output::{self, Format};
use crate::{files, runtime};

/// Shows the trust file, hands it on, and takes another in its place.
#[derive(Debug, Args)]
pub(crate) struct TrustArgs {
    #[command(subcommand)]
    command: TrustCommand,
}

#[derive(Debug, Subcommand)]
enum TrustCommand {
    /// Shows the fingerprint, and what the file says: root, genesis event, log, quorum.
    Show(Show),
    /// Writes the trust file for somebody else.
    Export(Export),
    /// Takes a trust file. The first one is taken by its fingerprint, which you were told on another
    /// way. A later one of the same installation is taken with the proof that `export --proven`
    /// writes, or by its fingerprint.
    Import(Import),
}

/// `avouch trust show`.
#[derive(Debug, Args)]
struct Show {
    /// The trust file.
    #[arg(long, value_name = "FILE", env = "AVOUCH_TRUST", default_value = "trust.json")]
    trust: PathBuf,
    /// How to show it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// `avouch trust export`.
#[derive(Debug, Args)]
struct Export {
    /// Where to write it.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Writes what the installation has become since the trust file was written, with the proof of
    /// that, for those who have the same file as you. The proof comes with the bundle of this
    /// identity, which may be anybody's.
    #[arg(long, value_name = "UID")]
    proven: Option<UserId>,
    #[command(flatten)]
    connection: Connection,
}

/// `avouch trust import`.
#[derive(Debug, Args)]
struct Import {
    /// What `avouch trust export` or `avouch init` wrote.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The fingerprint that you were told by somebody you believe: the file is taken if it has it,
    /// whatever you believed before.
    #[arg(long, value_name = "HEX", value_parser = Hash32::from_hex)]
    fingerprint: Option<Hash32>,
    /// Where your trust file is, or is to be.
    #[arg(long, value_name = "FILE", env = "AVOUCH_TRUST", default_value = "trust.json")]
    trust: PathBuf,
    #[command(flatten)]
    contacts: ContactsFile,
}

pub(crate) fn run(args: &TrustArgs) -> Result<(), Failure> {
    match &args.command {
        TrustCommand::Show(args) => {
            show(&files::trust(&args.trust)?, args.format);
            Ok(())
        }
        TrustCommand::Export(args) => export(args),
        TrustCommand::Import(args) => import(args),
    }
}

fn show(trust: &Trust, format: Format) {
    let file = trust.file();
    let root = Hash32::of(file.root());
    let rule = trust.quorum().map(|quorum| quorum.rule());
    if format == Format::Json {
        return output::json(&serde_json::json!({
            "fingerprint": file.fingerprint(),
            "realm": file.realm(),
            "genesis": file.genesis(),
            "root_sha256": root,
            "log": file.log(),
            "quorum": rule,
            "max_status_age": file.max_status_age(),
            "server": file.server(),
        }));
    }
    let log = if file.log().is_empty() { "none: nothing is proven by a log" } else { file.log() };
    let quorum = rule.unwrap_or_else(|| {
        "nobody co-signs: whoever holds the authority's host is believed".to_owned()
    });
    for (what, value) in [
        ("fingerprint", file.fingerprint().to_string()),
        ("realm", file.realm().to_string()),
        ("genesis event", file.genesis().to_string()),
        ("root", format!("{} (SHA-256 {root})", trust.root().subject())),
        ("log", log.to_owned()),
        ("co-signed by", quorum),
        ("status", format!("at most {} old", policy::file::duration_text(file.max_status_age()))),
        ("server", file.server().to_owned()),
    ] {
        output::line(&format!("{what:>14}: {value}"));
    }
}

fn export(args: &Export) -> Result<(), Failure> {
    let (trust, server) = args.connection.open(None)?;
    let (text, fingerprint) = match &args.proven {
        None => (trust.file().to_text(), trust.file().fingerprint()),
        Some(uid) => {
            let bundle = runtime()?.block_on(server.bundle(uid, 0))?;
            let Some(next) = succession(&trust, &bundle, now())? else {
                return Err(Failure::local("the trust file is that of now; export it as it is"));
            };
            let told = Trust::parse(&next.trust).map_err(|e| Failure::local(e.to_string()))?;
            let text =
                serde_json::to_string_pretty(&next).map_err(|e| Failure::local(e.to_string()))?;
            (text + "\n", told.file().fingerprint())
        }
    };
    files::publish(&args.out, text.as_bytes())?;
    output::talk(&format!(
        "wrote {}; tell its fingerprint on another way:\n  {fingerprint}",
        args.out.display()
    ));
    Ok(())
}

/// Leaves of the largest checkpoint that was seen of the log.
fn seen(args: &Import, present: &Trust) -> Result<u64, Failure> {
    let contacts =
        Contacts::load(&args.contacts.path()?).map_err(|e| Failure::local(e.to_string()))?;
    Ok(contacts.log(present.genesis()).map_or(0, |seen| seen.size))
}

fn import(args: &Import) -> Result<(), Failure> {
    let bytes = files::read(&args.file)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::local(format!("{} is not text", args.file.display())))?;
    let present = if args.trust.exists() { Some(files::trust(&args.trust)?) } else { None };
    let proven = text.contains("\"avouch_succession\"");
    let next = match (args.fingerprint, &present) {
        (Some(expected), _) => told(&text, proven, expected)?,
        (None, Some(present)) if proven => successor(present, &text, seen(args, present)?, now())?,
        (None, present) => plain(&text, present.as_ref(), &args.file)?,
    };
    if present.is_some_and(|present| present.file() == next.file()) {
        output::talk("nothing changes: it is the trust file that you have");
        return Ok(());
    }
    files::publish(&args.trust, next.file().to_text().as_bytes())?;
    output::talk(&format!("{} has a new content:", args.trust.display()));
    show(&next, Format::Text);
    Ok(())
}

/// The file with the fingerprint that its owner was told, in whatever wrapping.
fn told(text: &str, proven: bool, expected: Hash32) -> Result<Trust, Failure> {
    let next = if proven {
        let succession: wire::bundle::Succession =
            serde_json::from_str(text).map_err(|e| Failure::local(e.to_string()))?;
        Trust::parse(&succession.trust)
    } else {
        Trust::parse(text)
    };
    let next = next.map_err(|e| Failure::local(e.to_string()))?;
    let found = next.file().fingerprint();
    if found != expected {
        let what = format!("the file has fingerprint {found}, not {expected}; nothing was changed");
        return Err(Failure::new(Exit::LogProof, what));
    }
    Ok(next)
}

/// A file without proof is taken where it says what is believed already.
fn plain(text: &str, present: Option<&Trust>, path: &Path) -> Result<Trust, Failure> {
    let next =
        Trust::parse(text).map_err(|e| Failure::local(format!("{}: {e}", path.display())))?;
    let found = next.file().fingerprint();
    let ask = format!(
        "compare its fingerprint with somebody whom you believe, and give it with --fingerprint:\n  \
         {found}"
    );
    let why = match present {
        Some(present) if present.file().fingerprint() == found => return Ok(next),
        None => "you have no trust file yet",
        Some(present) if present.genesis() != next.genesis() => {
            "it is of another installation than your trust file"
        }
        Some(_) => "nothing proves that it takes the place of your trust file",
    };
    Err(Failure::new(Exit::LogProof, format!("{why}; {ask}")))
}

impl From<SuccessionError> for Failure {
    fn from(error: SuccessionError) -> Self {
        Self::new(Exit::from_number(error.exit_code()), error.to_string())
    }
}
