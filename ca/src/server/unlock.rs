//! Before there is a PIN: the administrator's socket takes it, and nothing else.

use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use pkcs11::{Hsm, HsmError, Pin};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use wire::frame::{self, MAX_REQUEST, MAX_RESPONSE};
use wire::hsm::{HsmAsk, HsmReport};
use wire::problem::{Problem, ProblemCode};
use wire::socket::{Request, RequestBody, Response, ResponseBody};

use super::connection::{Frames, greet};
use super::{Door, Server, admitted, hsm};

/// How long a caller may be silent. Others wait behind it.
const PATIENCE: Duration = Duration::from_secs(60);

impl Server {
    /// Waits until an administrator gives a PIN with which `open` opens the tokens. Each PIN is
    /// tried once; whoever gave it is told what came of it.
    pub async fn unlocked<F>(&self, open: impl Fn(Pin) -> F) -> Hsm
    where
        F: Future<Output = Result<Hsm, HsmError>>,
    {
        loop {
            if let Some(stream) = next(&self.admin).await
                && let Ok(Some(hsm)) = tokio::time::timeout(PATIENCE, converse(stream, &open)).await
            {
                return hsm;
            }
        }
    }
}

/// The next connection of an administrator.
async fn next(listener: &UnixListener) -> Option<UnixStream> {
    match listener.accept().await {
        Ok((stream, _)) => admitted(&stream, Door::Admin, None).then_some(stream),
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

async fn converse<F>(stream: UnixStream, open: impl Fn(Pin) -> F) -> Option<Hsm>
where
    F: Future<Output = Result<Hsm, HsmError>>,
{
    let codec = LengthDelimitedCodec::builder().max_frame_length(MAX_REQUEST).new_codec();
    let mut frames = Framed::new(stream, codec);
    if !greet(&mut frames).await.ok()? {
        return None;
    }
    while let Some(Ok(payload)) = frames.next().await {
        let request: Request = frame::decode(&payload, MAX_REQUEST).ok()?;
        let (result, opened) = match request.body {
            RequestBody::Hsm(HsmAsk::Unlock { pin, .. }) => {
                match open(Pin::new(pin.take())).await {
                    Ok(hsm) => {
                        let report = Box::new(HsmReport::default());
                        (Ok(ResponseBody::Hsm(report)), Some(hsm))
                    }
                    Err(error) => (Err(hsm::problem(&error)), None),
                }
            }
            _ => {
                let detail = "the authority waits for a PIN: `avouch unlock`";
                (Err(Problem::new(ProblemCode::HsmUnavailable, detail).retry_after(5)), None)
            }
        };
        let told = tell(&mut frames, Response { id: request.id, result }).await;
        if opened.is_some() {
            return opened;
        }
        told?;
    }
    None
}

async fn tell(frames: &mut Frames, response: Response) -> Option<()> {
    let payload = frame::encode(&response, MAX_RESPONSE).ok()?;
    frames.send(Bytes::from(payload)).await.ok()
}
