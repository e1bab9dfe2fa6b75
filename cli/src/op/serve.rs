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
    let local = |what: &str, error: std::io::Error| Failure::local(format!("{what}: {error}"));
    run_folder(config)?;
    let file = file.canonicalize().map_err(|e| local("cannot find the configuration", e))?;
    let services = vec![authority(config, &file), gateway(config, &file)?];
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
        supervise::run(services, &config.run, ready, stop).await
    })
}

/// Makes the folder of the sockets. It is the authority's; a gateway under another user passes
/// through it.
fn run_folder(config: &Config) -> Result<(), Failure> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
    let users = &config.users;
    let named = [("authority", &users.authority), ("gateway", &users.gateway)];
    let mut named = named.into_iter().filter_map(|(key, user)| Some((key, user.as_ref()?)));
    if let Some((key, user)) = named.next()
        && !rustix::process::geteuid().is_root()
    {
        return Err(Failure::local(format!(
            "`users.{key}`: only root can start it as {0}. Start `avouch serve` as root, or \
             `avouch authority` and `avouch gateway` each as its user",
            user.name
        )));
    }
    let made = || {
        let mode = if users.gateway.is_some() { 0o711 } else { 0o700 };
        std::fs::DirBuilder::new().recursive(true).mode(mode).create(&config.run)?;
        if users.gateway.is_some() {
            std::fs::set_permissions(&config.run, std::fs::Permissions::from_mode(mode))?;
        }
        let owner = users.authority.as_ref().map(|user| (user.uid, user.gid));
        owner.map_or(Ok(()), |(uid, gid)| chown(&config.run, Some(uid), Some(gid)))
    };
    made().map_err(|error: std::io::Error| {
        Failure::local(format!("cannot make the folder of the sockets: {error}"))
    })
}

fn authority(config: &Config, file: &Path) -> Service {
    Service {
        name: supervise::AUTHORITY,
        args: vec!["authority".to_owned(), "--config".to_owned(), file.display().to_string()],
        unset: Vec::new(),
        input: None,
        user: config.users.authority.clone(),
    }
}

/// The gateway has no business with the token, nor with the file that says where the database is.
fn gateway(config: &Config, file: &Path) -> Result<Service, Failure> {
    let pins = config.all_tokens().filter_map(|hsm| hsm.pin.variable());
    let input = config::handed_over(file).map_err(|e| Failure::local(e.to_string()))?;
    Ok(Service {
        name: "gateway",
        args: vec!["gateway".to_owned(), "--config".to_owned(), "-".to_owned()],
        unset: pins.chain(config::overriding()).collect(),
        input: Some(input),
        user: config.users.gateway.clone(),
    })
}
