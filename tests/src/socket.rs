//! A caller on one of the authority's sockets: what a compromised gateway can be.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use wire::frame;
use wire::socket::{Hello, Peer, Request, RequestBody, Response, VERSION, Welcome};

/// A connection.
pub struct Socket {
    stream: UnixStream,
    next: u64,
    /// The TLS peer that every request claims.
    pub peer: Option<Peer>,
}

impl Socket {
    /// Connects and says nothing.
    #[must_use]
    pub fn connect(path: &Path) -> Self {
        let stream =
            UnixStream::connect(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        // A harness that hangs tells nothing.
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("not zero");
        Self { stream, next: 1, peer: None }
    }

    /// Connects and greets.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        let mut socket = Self::connect(path);
        socket.send(&Hello { version: VERSION, program: "test".into() });
        let welcome: Welcome = socket.receive().expect("a welcome");
        assert!(matches!(welcome, Welcome::Ok { .. }), "{welcome:?}");
        socket
    }

    /// Sends one message.
    pub fn send<T: Serialize>(&mut self, message: &T) {
        let payload = frame::encode(message, frame::MAX_REQUEST).expect("a small message");
        let length = u32::try_from(payload.len()).expect("a small message");
        self.send_raw(&[&length.to_be_bytes()[..], &payload].concat());
    }

    /// Sends bytes; that the other side has hung up is not an error.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Receives one message; `None` when the other side hangs up.
    pub fn receive<T: DeserializeOwned>(&mut self) -> Option<T> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).ok()?;
        let length = usize::try_from(u32::from_be_bytes(length)).expect("64 bits");
        assert!(length <= frame::MAX_RESPONSE, "{length} bytes announced");
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).ok()?;
        Some(frame::decode(&payload, frame::MAX_RESPONSE).expect("a message"))
    }

    /// Asks and waits for the answer.
    pub fn ask(&mut self, body: RequestBody) -> Response {
        let (id, peer) = (self.next, self.peer.clone());
        self.next += 1;
        self.send(&Request { id, request_id: format!("t-{id}"), deadline_ms: 30_000, peer, body });
        let response: Response = self.receive().expect("an answer");
        assert_eq!(response.id, id);
        response
    }
}
