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

/// Most connections on one socket.
const MAX_CONNECTIONS: usize = 64;

/// Whose socket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// A gateway's: what a TLS peer says is passed on, and proves nothing.
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
    admin: UnixListener,
}

impl Server {
    /// Opens both sockets, readable and writable by this user alone. A socket file that a killed
    /// authority left behind is replaced.
    ///
    /// # Errors
    /// [`ServerError`] when another authority answers, or the file system refuses.
    pub async fn bind(gateway: &Path, admin: &Path) -> Result<Self, ServerError> {
        Ok(Self { gateway: bind(gateway).await?, admin: bind(admin).await? })
    }

    /// Answers until the authority stops; then requests in flight are finished.
    pub async fn serve(self, authority: Arc<Authority>) {
        let tracker = TaskTracker::new();
        let gateway = accept(self.gateway, Door::Gateway, &authority, &tracker);
        let admin = accept(self.admin, Door::Admin, &authority, &tracker);
        tokio::join!(gateway, admin);
        tracker.close();
        tracker.wait().await;
    }
}

async fn bind(path: &Path) -> Result<UnixListener, ServerError> {
    let io = |source| ServerError::Io { path: path.to_owned(), source };
    if UnixStream::connect(path).await.is_ok() {
        return Err(ServerError::InUse(path.to_owned()));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(io)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(io)?;
    Ok(listener)
}

/// Whether the peer has this process's user id, or root's.
fn own_user(stream: &UnixStream) -> bool {
    let peer = stream.peer_cred().map(|peer| peer.uid());
    let own = rustix::process::geteuid().as_raw();
    let fits = peer.is_ok_and(|uid| uid == own || uid == 0);
    if !fits {
        tracing::warn!("somebody else came to the administrator's socket");
    }
    fits
}

async fn accept(
    listener: UnixListener,
    door: Door,
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
        if door == Door::Admin && !own_user(&stream) {
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
