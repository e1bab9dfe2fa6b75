//! `avouch hsm-worker`: the only process that loads a PKCS#11 module. Started by the authority.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

/// Talks to a token for the authority; not started by hand.
#[derive(Debug, Args)]
pub(crate) struct Worker {
    /// Where to write the process id.
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
}

pub(crate) fn run(args: &Worker) -> ExitCode {
    if let Some(path) = &args.pid_file {
        let new = path.with_extension("new");
        let written = std::fs::write(&new, std::process::id().to_string())
            .and_then(|()| std::fs::rename(&new, path));
        if let Err(error) = written {
            eprintln!("avouch: cannot write {}: {error}", path.display());
        }
    }
    pkcs11::worker::run()
}
