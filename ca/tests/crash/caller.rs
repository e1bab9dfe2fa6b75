//! A caller on the administrator's socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;
use wire::problem::Problem;
use wire::rest::Certificate;
use wire::socket::{Hello, Request, RequestBody, Response, ResponseBody, Signed, VERSION, Welcome};
use wire::{IdempotencyKey, UserId, frame};

/// A connection.
pub(crate) struct Caller(UnixStream);

/// What came of a request.
#[derive(Debug)]
pub(crate) enum Came {
    /// A certificate's row, finished or not.
    Certificate(Box<Certificate>),
    /// A refusal, or a failure that says so.
    Problem(Box<Problem>),
    /// No answer in time, or the other side is gone.
    Nothing,
}

impl Caller {
    pub(crate) fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).expect("the socket is open");
        stream.set_read_timeout(Some(Duration::from_millis(200))).expect("not zero");
        let mut caller = Self(stream);
        caller.send(&Hello { version: VERSION, program: "test".into() });
        let welcome: Option<Welcome> = caller.receive(|| false);
        assert!(matches!(welcome, Some(Welcome::Ok { .. })), "{welcome:?}");
        caller
    }

    fn send<T: Serialize>(&mut self, message: &T) {
        let payload = frame::encode(message, frame::MAX_REQUEST).expect("a small message");
        let length = u32::try_from(payload.len()).expect("a small message").to_be_bytes();
        let _ = self.0.write_all(&[&length[..], &payload].concat());
    }

    /// The next message; none when the other side is gone, or `hopeless` says so.
    fn receive<T: DeserializeOwned>(&mut self, hopeless: impl Fn() -> bool) -> Option<T> {
        let mut length = [0; 4];
        self.fill(&mut length, &hopeless)?;
        let mut payload = vec![0; u32::from_be_bytes(length) as usize];
        self.fill(&mut payload, &hopeless)?;
        Some(frame::decode(&payload, frame::MAX_RESPONSE).expect("a message"))
    }

    fn fill(&mut self, buffer: &mut [u8], hopeless: &impl Fn() -> bool) -> Option<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.0.read(&mut buffer[filled..]) {
                Ok(0) => return None,
                Ok(count) => filled += count,
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                    if hopeless() {
                        return None;
                    }
                }
                Err(_) => return None,
            }
        }
        Some(())
    }

    /// Asks for a certificate.
    pub(crate) fn enrol(
        &mut self,
        uid: &str,
        csr: &[u8],
        once: &str,
        hopeless: impl Fn() -> bool,
    ) -> Came {
        let body = RequestBody::Issue {
            uid: UserId::parse(uid).expect("an id"),
            csr: ByteBuf::from(csr),
            idempotency_key: Some(IdempotencyKey::parse(once).expect("a key")),
            signed: Signed::default(),
        };
        let request_id = once.to_owned();
        self.send(&Request { id: 1, request_id, deadline_ms: 30_000, peer: None, body });
        match self.receive::<Response>(hopeless).map(|response| response.result) {
            Some(Ok(ResponseBody::Certificate { certificate, .. })) => {
                Came::Certificate(certificate)
            }
            Some(Ok(other)) => panic!("not an answer to that: {other:?}"),
            Some(Err(problem)) => Came::Problem(Box::new(problem)),
            None => Came::Nothing,
        }
    }
}
