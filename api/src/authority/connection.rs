//! The task behind [`super::Authority`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};
use wire::frame::{FrameError, MAX_REQUEST, MAX_RESPONSE, decode, encode};
use wire::socket::{Hello, Response, VERSION, Welcome};

use super::Shared;

type Reader = FramedRead<OwnedReadHalf, LengthDelimitedCodec>;
type Writer = FramedWrite<OwnedWriteHalf, LengthDelimitedCodec>;

/// Frames that go out in one write, at most.
const BATCH: usize = 64;
/// Bytes gathered before a write is forced.
const GATHER: usize = 128 * 1024;

/// Why there is no connection. Shown to callers, so it names no path.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("it does not take connections: {0}")]
    Connect(std::io::Error),
    #[error("it did not greet in time")]
    Silent,
    #[error("it speaks version {theirs} of the socket's messages, this gateway {VERSION}")]
    Version { theirs: u16 },
    #[error("it sent what is no message: {0}")]
    Malformed(#[from] FrameError),
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
    #[error("it closed the connection")]
    Closed,
}

/// Keeps a connection for as long as it is polled.
pub(super) async fn keep(shared: Arc<Shared>) {
    let mut pause = Backoff::new(shared.reconnect);
    let mut said = String::new();
    loop {
        let (answered, error) = run(&shared).await;
        let why = error.to_string();
        shared.down(why.clone());
        if answered {
            pause.reset();
            said.clear();
        }
        // Once for each cause: attempts are frequent.
        if why != said {
            tracing::warn!(%error, socket = %shared.socket.display(), "no authority");
            said = why;
        }
        tokio::time::sleep(pause.next()).await;
    }
}

/// One connection, from its making to its end. Also says whether it ever answered anything.
async fn run(shared: &Shared) -> (bool, LinkError) {
    let opened = tokio::time::timeout(shared.handshake, open(shared)).await;
    let (mut reader, writer, in_flight) = match opened {
        Ok(Ok(parts)) => parts,
        Ok(Err(error)) => return (false, error),
        Err(_) => return (false, LinkError::Silent),
    };
    let (outbox, frames) = mpsc::unbounded_channel();
    shared.up(outbox, in_flight);
    tracing::info!(in_flight, "the authority is there");
    let mut answered = false;
    // Both directions at once, so that neither side's full buffer can stop the other direction.
    let error = tokio::select! {
        error = receive(shared, &mut reader, &mut answered) => error,
        error = transmit(writer, frames) => error.into(),
        never = sweep(shared) => match never {},
    };
    (answered, error)
}

async fn open(shared: &Shared) -> Result<(Reader, Writer, u32), LinkError> {
    let stream = UnixStream::connect(&shared.socket).await.map_err(LinkError::Connect)?;
    let (reader, writer) = stream.into_split();
    let mut reader = FramedRead::new(reader, codec(MAX_RESPONSE));
    let mut writer = FramedWrite::new(writer, codec(MAX_REQUEST));
    writer.set_backpressure_boundary(GATHER);
    let program = concat!("avouch gateway ", env!("CARGO_PKG_VERSION")).to_owned();
    let hello = encode(&Hello { version: VERSION, program }, MAX_REQUEST)?;
    writer.send(Bytes::from(hello)).await?;
    let frame = reader.next().await.ok_or(LinkError::Closed)??;
    match decode(&frame, MAX_RESPONSE)? {
        Welcome::Ok { in_flight } => Ok((reader, writer, in_flight)),
        Welcome::Version { version } => Err(LinkError::Version { theirs: version }),
    }
}

fn codec(max_frame: usize) -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(max_frame).new_codec()
}

async fn receive(shared: &Shared, reader: &mut Reader, answered: &mut bool) -> LinkError {
    loop {
        let frame = match reader.next().await {
            None => return LinkError::Closed,
            Some(Err(error)) => return error.into(),
            Some(Ok(frame)) => frame,
        };
        match decode::<Response>(&frame, MAX_RESPONSE) {
            Ok(response) => shared.answer(response),
            // Whatever follows cannot be trusted to be where it seems to be.
            Err(error) => return error.into(),
        }
        *answered = true;
    }
}

/// Requests that are ready at the same time share a write.
async fn transmit(
    mut writer: Writer,
    mut frames: mpsc::UnboundedReceiver<Bytes>,
) -> std::io::Error {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        // The sender lives in the link, which is only replaced after this has ended.
        if frames.recv_many(&mut batch, BATCH).await == 0 {
            return std::io::ErrorKind::BrokenPipe.into();
        }
        for frame in batch.drain(..) {
            if let Err(error) = writer.feed(frame).await {
                return error;
            }
        }
        if let Err(error) = SinkExt::<Bytes>::flush(&mut writer).await {
            return error;
        }
    }
}

async fn sweep(shared: &Shared) -> std::convert::Infallible {
    let mut ticks = tokio::time::interval(Duration::from_millis(500));
    loop {
        ticks.tick().await;
        shared.sweep(Instant::now());
    }
}

/// Pauses that double up to a bound, each shortened by up to a half at random, so that many
/// gateways do not come back in step.
#[derive(Debug)]
struct Backoff {
    least: Duration,
    greatest: Duration,
    pause: Duration,
}

impl Backoff {
    fn new(greatest: Duration) -> Self {
        let least = greatest / 32;
        Self { least, greatest, pause: least }
    }

    fn reset(&mut self) {
        self.pause = self.least;
    }

    fn next(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(self.greatest);
        // Without randomness there is merely no jitter.
        let random = getrandom::u32().unwrap_or(u32::MAX);
        pause.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests;
