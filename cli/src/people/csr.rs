//! `avouch csr`: a certification request.

use std::path::PathBuf;

use clap::Args;
use client::keys::certification_request_pem;
use wire::UserId;

use super::common::private_key;
use crate::exit::Failure;
use crate::{files, output};

/// Makes a certification request (PKCS#10, PEM) that names a user id.
#[derive(Debug, Args)]
pub(crate) struct Csr {
    /// The user id.
    #[arg(value_name = "UID")]
    uid: UserId,
    /// The private key.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where to write it; standard output by default.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &Csr) -> Result<(), Failure> {
    let pem = certification_request_pem(&private_key(&args.key)?, &args.uid)?;
    match &args.out {
        Some(path) => files::write(path, pem.as_bytes(), 0o644),
        None => {
            output::line(pem.trim_end());
            Ok(())
        }
    }
}
