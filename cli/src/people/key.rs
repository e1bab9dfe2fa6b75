//! `avouch key`: private keys in files.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use client::keys::{KeyAlgorithm, PrivateKey, Signer};
use wire::Hash32;
use wire::body::recovery_commitment;

use super::common::private_key;
use crate::exit::Failure;
use crate::output;

/// Makes and shows private keys.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Makes a private key: a PKCS#8 file, PEM, that only you can read. An existing file stays.
    New {
        /// The file.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// p256, p384, rsa2048, rsa3072 or rsa4096.
        #[arg(long, default_value = "p256")]
        algorithm: KeyAlgorithm,
        /// It is to be a recovery key: kept apart from all others, on paper or in a safe, and used
        /// once, when these are lost or stolen.
        #[arg(long)]
        recovery: bool,
    },
    /// Shows what a private key is, and the hash of its public half.
    Show {
        /// The file.
        #[arg(value_name = "FILE")]
        key: PathBuf,
    },
}

pub(crate) fn run(args: &KeyArgs) -> Result<(), Failure> {
    let key = match &args.command {
        KeyCommand::New { out, algorithm, recovery } => {
            let key = PrivateKey::generate(*algorithm)?;
            key.save_new(out).map_err(|e| Failure::local(format!("{}: {e}", out.display())))?;
            output::talk(&format!("wrote {}; whoever has this file is you", out.display()));
            if *recovery {
                output::talk(
                    "A recovery key outranks every other key of yours: keep it away from them. Name \
                     it when you enrol (`avouch enrol --recovery-key`); it is shown to nobody until \
                     it is used.",
                );
                let commitment = recovery_commitment(key.spki_der());
                output::line(&format!("commitment {commitment}"));
            }
            key
        }
        KeyCommand::Show { key } => private_key(key)?,
    };
    output::line(&format!("spki-sha256 {}", Hash32::of(key.spki_der())));
    Ok(())
}
