//! The local administrator's side of `admin.sock`.

use std::path::Path;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::net::UnixStream;
use tokio_util::bytes::Bytes;
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use wire::frame::{self, MAX_REQUEST, MAX_RESPONSE};
use wire::socket::{Hello, Request, RequestBody, Response, ResponseBody, VERSION, Welcome};

use crate::exit::{Exit, Failure};

/// Longest time that the authority may take for an answer, in milliseconds.
const DEADLINE_MS: u32 = 30_000;

/// The authority answers for itself that its time is over; past this it does not answer at all.
const PATIENCE: Duration = Duration::from_millis(DEADLINE_MS as u64 + 5_000);

/// A connection to the authority as its local administrator.
#[derive(Debug)]
pub(crate) struct Connection {
    frames: Framed<UnixStream, LengthDelimitedCodec>,
    next: u64,
    patience: Duration,
}

/// The authority answered something else than was asked.
pub(crate) fn unexpected() -> Failure {
    Failure::new(Exit::Remote, "the authority answered something else than was asked")
}

impl Connection {
    /// Connects and greets.
    pub(crate) async fn open(socket: &Path) -> Result<Self, Failure> {
        Self::open_with(socket, PATIENCE).await
    }

    async fn open_with(socket: &Path, patience: Duration) -> Result<Self, Failure> {
        let stream = UnixStream::connect(socket).await.map_err(|error| {
            let message =
                format!("no authority answers at {}: {error}; is it running?", socket.display());
            Failure::new(Exit::Remote, message)
        })?;
        let codec = LengthDelimitedCodec::builder().max_frame_length(MAX_RESPONSE).new_codec();
        let mut connection = Self { frames: Framed::new(stream, codec), next: 0, patience };
        let program = format!("avouch {}", env!("CARGO_PKG_VERSION"));
        let welcome: Welcome = connection.exchange(&Hello { version: VERSION, program }).await?;
        match welcome {
            Welcome::Ok { .. } => Ok(connection),
            Welcome::Version { version } => {
                let message = format!("the authority speaks version {version}, not {VERSION}");
                Err(Failure::new(Exit::Remote, message))
            }
        }
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn ask(&mut self, body: RequestBody) -> Result<ResponseBody, Failure> {
        self.next += 1;
        let request = Request {
            id: self.next,
            request_id: format!("admin-{}-{}", std::process::id(), self.next),
            deadline_ms: DEADLINE_MS,
            peer: None,
            body,
        };
        let response: Response = self.exchange(&request).await?;
        response.result.map_err(Failure::from)
    }

    async fn exchange<Q, A>(&mut self, message: &Q) -> Result<A, Failure>
    where
        Q: serde::Serialize,
        A: serde::de::DeserializeOwned,
    {
        let gone = |e: &dyn std::fmt::Display| {
            Failure::new(Exit::Remote, format!("the authority's socket failed: {e}"))
        };
        let payload = frame::encode(message, MAX_REQUEST).map_err(|e| gone(&e))?;
        let patience = self.patience;
        let exchange = async {
            self.frames.send(Bytes::from(payload)).await.map_err(|e| gone(&e))?;
            let payload = self.frames.next().await.ok_or_else(|| gone(&"it was closed"))?;
            payload.map_err(|e| gone(&e))
        };
        let silent = |_| {
            let message = format!("the authority did not answer within {} s", patience.as_secs());
            Failure::new(Exit::Remote, message)
        };
        let payload = tokio::time::timeout(patience, exchange).await.map_err(silent)??;
        frame::decode(&payload, MAX_RESPONSE).map_err(|e| gone(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_that_says_nothing_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("admin.sock");
        let silent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let runtime = crate::runtime().unwrap();
        let open = Connection::open_with(&socket, Duration::from_millis(50));
        let failure = runtime.block_on(open).unwrap_err();
        assert_eq!(failure.exit(), Exit::Remote);
        assert!(failure.message().contains("did not answer"), "{}", failure.message());
        drop(silent);
    }
}
