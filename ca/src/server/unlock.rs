//! Before there is a PIN: the administrator's socket takes it, or the shares of it, says how far they
//! have come, and does nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use pkcs11::shares::Custody;
use pkcs11::{Hsm, HsmError, Pin};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use wire::frame::{self, MAX_REQUEST, MAX_RESPONSE};
use wire::hsm::{HsmAsk, HsmReport, HsmToken};
use wire::problem::{Problem, ProblemCode};
use wire::socket::{Request, RequestBody, Response, ResponseBody};

use super::connection::{Frames, greet};
use super::{Door, Server, admitted, hsm};
use crate::custody;

/// How long a caller may be silent. Others wait behind it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tokens whose PINs come after the start.
#[derive(Debug, Clone, Default)]
pub struct Awaited {
    /// Those that are opened by a whole PIN, by their sections.
    pub whole: Vec<String>,
    /// Those that are opened by shares.
    pub custody: Custody,
}

/// PINs by the tokens' sections.
pub type Pins = BTreeMap<String, Pin>;

impl Server {
    /// Waits until administrators give a PIN with which `open` opens a token. Each PIN is tried
    /// once; whoever gave it, or the last share of it, is told what came of it.
    pub async fn unlocked<F>(&self, awaited: &Awaited, open: impl Fn(Pins) -> F) -> Hsm
    where
        F: Future<Output = Result<Hsm, HsmError>>,
    {
        loop {
            if let Some(stream) = next(&self.admin).await
                && let Ok(Some(hsm)) =
                    tokio::time::timeout(PATIENCE, converse(stream, awaited, &open)).await
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

async fn converse<F>(stream: UnixStream, awaited: &Awaited, open: impl Fn(Pins) -> F) -> Option<Hsm>
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
        let given = match request.body {
            RequestBody::Hsm(HsmAsk::Status) => Ok(Pins::new()),
            RequestBody::Hsm(HsmAsk::Unlock { token, pin }) => {
                awaited.whole(token.as_deref(), Pin::new(pin.take()))
            }
            RequestBody::Hsm(HsmAsk::Share { token, share }) => {
                custody::hand_in(&awaited.custody, token.as_deref(), share)
                    .map(|whole| whole.into_iter().collect())
            }
            _ => {
                let detail = "the authority waits for a PIN: `avouch unlock`";
                let problem = Problem::new(ProblemCode::HsmUnavailable, detail).retry_after(5);
                tell(&mut frames, Response { id: request.id, result: Err(problem) }).await?;
                continue;
            }
        };
        let opened = match given {
            Ok(pins) if pins.is_empty() => Ok(None),
            Ok(pins) => open(pins).await.map(Some),
            Err(error) => Err(error),
        };
        let (result, opened) = match opened {
            Ok(opened) => (Ok(ResponseBody::Hsm(Box::new(awaited.report()))), opened),
            Err(error) => (Err(hsm::problem(&error)), None),
        };
        let told = tell(&mut frames, Response { id: request.id, result }).await;
        if opened.is_some() {
            return opened;
        }
        told?;
    }
    None
}

impl Awaited {
    /// A PIN for the tokens that it is meant for: this one, or all that wait for a whole PIN.
    fn whole(&self, token: Option<&str>, pin: Pin) -> Result<Pins, HsmError> {
        custody::whole_pin(&self.custody, token)?;
        let meant: Vec<_> =
            self.whole.iter().filter(|name| token.is_none_or(|token| token == **name)).collect();
        if meant.is_empty() {
            let detail = "no such token waits for a whole PIN; see `avouch hsm status`".to_owned();
            return Err(HsmError::Config { detail });
        }
        Ok(meant.into_iter().map(|name| (name.clone(), pin.clone())).collect())
    }

    fn report(&self) -> HsmReport {
        let shared: Vec<String> = self.custody.progress().into_keys().collect();
        let tokens = self.whole.iter().chain(&shared).map(|name| HsmToken {
            name: name.clone(),
            state: hsm::LOCKED.to_owned(),
            since: 0,
            detail: Some(hsm::locked(name)),
            token: None,
            workers: Vec::new(),
            shares: None,
        });
        let mut report = HsmReport { tokens: tokens.collect(), ..HsmReport::default() };
        custody::show(&self.custody, &mut report);
        report
    }
}

async fn tell(frames: &mut Frames, response: Response) -> Option<()> {
    let payload = frame::encode(&response, MAX_RESPONSE).ok()?;
    frames.send(Bytes::from(payload)).await.ok()
}
