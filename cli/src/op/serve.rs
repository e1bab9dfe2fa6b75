//! `avouch serve`: gateway and authority, always two processes, supervised.

use std::path::{Path, PathBuf};

use clap::Args;
use tokio::sync::oneshot;

use super::supervise::{self, Service};
use crate::config::{self, Config};
use crate::exit::Failure;

/// Serves an installation until it is told to stop.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "avouch.toml")]
    config: PathBuf,
}

pub(crate) fn run(args: &Serve) -> Result<(), Failure> {
    let config = config::load(&args.config).map_err(|e| Failure::local(e.to_string()))?;
    let _logging = crate::log::of_a_service(&config.log);
    serve(&config, &args.config)
}

/// Starts and supervises both processes; prints `ready https://ADDR` when requests are taken.
pub(super) fn serve(config: &Config, file: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    let local = |what: &str, error: std::io::Error| Failure::local(format!("{what}: {error}"));
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&config.run)
        .map_err(|e| local("cannot make the folder of the sockets", e))?;
    let file = file.canonicalize().map_err(|e| local("cannot find the configuration", e))?;
    let service = |name: &'static str, unset: Vec<String>| Service {
        name,
        args: vec![name.to_owned(), "--config".to_owned(), file.display().to_string()],
        unset,
    };
    // The gateway has no business with the token.
    let pins: Vec<String> = config.all_tokens().filter_map(|hsm| hsm.pin.variable()).collect();
    // Children are started from this thread, which lives as long as the process does: they are
    // told to stop when the thread that started them ends.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| local("cannot start", e))?;
    let address = format!("https://{}", config.gateway.listen);
    runtime.block_on(async {
        let stop = supervise::stop_signal();
        let (ready, all_ready) = oneshot::channel();
        tokio::spawn(async move {
            if all_ready.await.is_ok() {
                crate::output::line(&format!("ready {address}"));
            }
        });
        supervise::pass_on_hangups(config.run.join("gateway.pid"));
        let services = vec![service(supervise::AUTHORITY, Vec::new()), service("gateway", pins)];
        supervise::run(services, &config.run, ready, stop).await
    })
}
