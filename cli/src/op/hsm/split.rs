//! `avouch hsm split`: a PIN becomes shares, each shown once to one operator.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use pkcs11::Pin;
use pkcs11::shares::{self, MOST_SHARES, Share};
use zeroize::Zeroizing;

use crate::exit::Failure;
use crate::{output, terminal};

/// How to split, and where the shares go.
#[derive(Debug, Args)]
pub(crate) struct Split {
    /// How many shares open the token.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(2..=i64::from(MOST_SHARES)))]
    needed: u8,
    /// How many shares there are.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(2..=i64::from(MOST_SHARES)))]
    shares: u8,
    /// Where to write what the authority needs to know of them (`pin_shares`). It is no secret.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The PIN is in this file, which only this user can read; else it is asked for.
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
    /// Writes each share to a file in this folder, which only this user can read, instead of showing
    /// them on the terminal.
    #[arg(long, value_name = "DIR")]
    share_files: Option<PathBuf>,
}

pub(super) fn run(args: &Split) -> Result<(), Failure> {
    if let Err(error) = pkcs11::harden_process() {
        tracing::warn!(%error, "cannot forbid core dumps of this process");
    }
    let pin = Pin::new(match &args.pin_file {
        Some(path) => super::secret(path)?,
        None => asked("PIN of the token: ")?,
    });
    let split = shares::split(&pin, args.needed, args.shares);
    let (set, shares) = split.map_err(|error| Failure::local(error.to_string()))?;
    drop(pin);
    // Nothing that opens a token is written over: its shares would be worth nothing.
    create(&args.out, 0o644, set.to_text().as_bytes())?;
    match &args.share_files {
        Some(folder) => {
            for share in &shares {
                let path = folder.join(format!("{}-share-{}.txt", set.name(), share.number()));
                create(&path, 0o600, format!("{}\n", *share.lines()).as_bytes())?;
                output::line(&format!("share {}: {}", share.number(), path.display()));
            }
        }
        None => {
            for share in &shares {
                show(share, args.shares)?;
            }
        }
    }
    output::line(&format!(
        "set {}: {} of {} shares open the token; give `pin_shares = \"{}\"` in its section",
        set.name(),
        set.threshold(),
        set.count(),
        args.out.display()
    ));
    Ok(())
}

/// Shows a share to one operator, and has it typed in again from what was written down.
fn show(share: &Share, of: u8) -> Result<(), Failure> {
    let number = share.number();
    let mut terminal =
        File::options().write(true).open("/dev/tty").map_err(|error| no_terminal(&error))?;
    let text = Zeroizing::new(format!(
        "{CLEAR}Share {number} of {of}. Only the operator who keeps it looks at this screen.\n\n{}\n\n",
        *share.lines()
    ));
    terminal.write_all(text.as_bytes()).map_err(|error| no_terminal(&error))?;
    asked("Write it down, then press Enter; it is not shown again: ")?;
    terminal.write_all(CLEAR.as_bytes()).map_err(|error| no_terminal(&error))?;
    loop {
        let typed = Zeroizing::new(asked(&format!("Share {number} again, from paper: "))?);
        match Share::parse(&typed) {
            Ok(again) if again.text() == share.text() => return Ok(()),
            Ok(_) => output::line("That is another share."),
            Err(error) => output::line(&format!("That is not what was shown: {error}")),
        }
    }
}

/// Clears the screen and what was scrolled off it.
const CLEAR: &str = "\x1b[2J\x1b[3J\x1b[H";

fn asked(prompt: &str) -> Result<String, Failure> {
    terminal::ask_secret(prompt).map_err(|error| no_terminal(&error))
}

fn no_terminal(error: &dyn std::fmt::Display) -> Failure {
    Failure::local(format!("cannot ask on the terminal: {error}"))
}

/// Writes a file that must not exist yet.
fn create(path: &Path, mode: u32, content: &[u8]) -> Result<(), Failure> {
    let written = File::options()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()));
    written.map_err(|error| Failure::local(format!("{}: {error}", path.display())))
}
