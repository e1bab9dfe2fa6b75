//! The sockets: typed, versioned, bounded in size and time. Each is a hostile boundary.

mod addresses;
mod connection;
mod handle;
mod hsm;
mod moves;
mod space;
mod unlock;
mod weigh;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{UnixListener, UnixStream};
use tokio_util::task::TaskTracker;

use crate::authority::Authority;

pub(crate) use hsm::word as hsm_word;
pub(crate) use moves::handed;
pub use unlock::{Awaited, Pins};

/// Most connections on one socket.
const MAX_CONNECTIONS: usize = 64;

/// Whose socket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// A gateway's: what a TLS peer says is passed on, and proves nothing. The peer has this
    /// process's user id, root's, or the one that the configuration names.
    Gateway,
    /// The local administrator's: the peer has this process's user id, or root's.
    Admin,
}

impl Door {
    /// Its name in logs and metrics.
    fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Admin => "admin",
        }
    }
}

/// Why a socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Another authority answers there.
    #[error("{0} is in use: another authority is running")]
    InUse(PathBuf),
    /// The file system refuses.
    #[error("cannot open the socket {path}: {source}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The two sockets, open.
#[derive(Debug)]
pub struct Server {
    gateway: UnixListener,
    gateway_user: Option<u32>,
    admin: UnixListener,
}

impl Server {
    /// Opens both sockets, for this process's user alone; the gateway's for `gateway_user` (a user
    /// id), too. A socket file that a killed authority left behind is replaced.
    ///
    /// # Errors
    /// [`ServerError`] when another authority answers, or the file system refuses.
    pub async fn bind(
        gateway: &Path,
        gateway_user: Option<u32>,
        admin: &Path,
    ) -> Result<Self, ServerError> {
        // Whom the mode lets in besides, `admitted` turns away.
        let mode = if gateway_user.is_some() { 0o666 } else { 0o600 };
        let gateway = bind(gateway, mode).await?;
        Ok(Self { gateway, gateway_user, admin: bind(admin, 0o600).await? })
    }

    /// Answers until the authority stops; then requests in flight are finished.
    pub async fn serve(self, authority: Arc<Authority>) {
        let tracker = TaskTracker::new();
        let user = self.gateway_user;
        let gateway = accept(self.gateway, Door::Gateway, user, &authority, &tracker);
        let admin = accept(self.admin, Door::Admin, None, &authority, &tracker);
        tokio::join!(gateway, admin);
        tracker.close();
        tracker.wait().await;
    }
}

async fn bind(path: &Path, mode: u32) -> Result<UnixListener, ServerError> {
    let io = |source| ServerError::Io { path: path.to_owned(), source };
    if UnixStream::connect(path).await.is_ok() {
        return Err(ServerError::InUse(path.to_owned()));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(io)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(io)?;
    Ok(listener)
}

/// Whether the peer has this process's user id, root's, or that of the `other` user.
fn admitted(stream: &UnixStream, door: Door, other: Option<u32>) -> bool {
    let peer = stream.peer_cred().map(|peer| peer.uid());
    let own = rustix::process::geteuid().as_raw();
    let fits = peer.is_ok_and(|uid| uid == own || uid == 0 || Some(uid) == other);
    if !fits {
        tracing::warn!(door = door.name(), "another user of this machine came to a socket");
    }
    fits
}

async fn accept(
    listener: UnixListener,
    door: Door,
    other_user: Option<u32>,
    authority: &Arc<Authority>,
    tracker: &TaskTracker,
) {
    let stop = authority.stopping().clone();
    let connections = Arc::new(tokio::sync::Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                // Out of file descriptors, most likely: some must close first.
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        if !admitted(&stream, door, other_user) {
            continue;
        }
        let Ok(slot) = Arc::clone(&connections).try_acquire_owned() else {
            tracing::warn!(MAX_CONNECTIONS, "too many connections");
            continue;
        };
        let authority = Arc::clone(authority);
        tracker.spawn(async move {
            let _counted = authority.metrics().connection(door.name());
            if let Err(error) = connection::serve(stream, door, authority).await {
                tracing::warn!(%error, ?door, "a connection ended");
            }
            drop(slot);
        });
    }
}
