//! TLS certificates are renewed while a server runs: their files are read anew.

use std::fmt::Display;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::task::AbortOnDropHandle;

use crate::exit::Failure;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(10);

/// Has the files taken anew on SIGHUP, and when they have changed, until the handle is dropped.
pub(super) fn watch<T, E>(
    read: impl Fn() -> Result<T, Failure> + Send + Sync + 'static,
    take: impl Fn(&T) -> Result<(), E> + Send + Sync + 'static,
) -> AbortOnDropHandle<()>
where
    T: PartialEq + Send + Sync + 'static,
    E: Display + 'static,
{
    AbortOnDropHandle::new(tokio::spawn(reload(read, take)))
}

async fn reload<T, E>(read: impl Fn() -> Result<T, Failure>, take: impl Fn(&T) -> Result<(), E>)
where
    T: PartialEq,
    E: Display,
{
    let mut hangup = signal(SignalKind::hangup()).ok();
    let mut ticks = tokio::time::interval(LOOK);
    let mut seen = read().ok();
    loop {
        let asked = async {
            match &mut hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        let asked = tokio::select! {
            _ = asked => true,
            _ = ticks.tick() => false,
        };
        let Ok(files) = read() else {
            tracing::warn!("the TLS certificate or key cannot be read; the present one stays");
            continue;
        };
        if !asked && seen.as_ref().is_some_and(|seen| *seen == files) {
            continue;
        }
        match take(&files) {
            Ok(()) => tracing::info!("took the TLS certificate from its file anew"),
            // Certificate and key are two files: in between they do not fit.
            Err(error) => tracing::warn!(%error, "the present TLS certificate stays"),
        }
        seen = Some(files);
    }
}
