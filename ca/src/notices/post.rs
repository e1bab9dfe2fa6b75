//! How notices leave: the contract, and what keeps it by mail and by webhook.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use wire::Hash32;
use wire::body::ChannelKind;

use super::mail::Mailer;
use super::notice::Notice;
use super::webhook::Caller;

/// One notice on its way to one place.
#[derive(Debug)]
pub struct Parcel<'a> {
    /// Its stable name: the same at every try, so that who gets it twice can tell.
    pub id: Hash32,
    /// How it goes.
    pub kind: ChannelKind,
    /// Where.
    pub address: &'a str,
    /// What it says.
    pub notice: &'a Notice,
    /// Now, milliseconds since 1970.
    pub now_ms: u64,
}

/// Why a notice was not taken. It holds no address: it is logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// The configuration has no way for it.
    #[error("the configuration has no {0}")]
    NoWay(&'static str),
    /// The configuration does not let it go there.
    #[error("{0}")]
    Forbidden(String),
    /// It was not taken.
    #[error("{0}")]
    Failed(String),
    /// It took too long.
    #[error("no answer in {0:?}")]
    Late(Duration),
}

/// Hands notices to the world.
///
/// **Ok means taken**: the mail server, or the webhook's receiver, has said that it has it; the
/// notice is then forgotten here. **Anything else is tried again**, with the same id, also what was
/// taken though the answer was lost: receivers get a notice at least once. Calls may run at once,
/// and may be dropped at any point.
#[async_trait]
pub trait Post: fmt::Debug + Send + Sync {
    /// Delivers one notice.
    async fn deliver(&self, parcel: &Parcel<'_>) -> Result<(), PostError>;
}

/// By mail and by webhook, as far as they are configured.
#[derive(Debug, Default)]
pub struct Postman {
    /// Mails.
    pub mail: Option<Mailer>,
    /// Webhooks.
    pub webhook: Option<Caller>,
}

#[async_trait]
impl Post for Postman {
    async fn deliver(&self, parcel: &Parcel<'_>) -> Result<(), PostError> {
        match parcel.kind {
            ChannelKind::Mail => {
                self.mail.as_ref().ok_or(PostError::NoWay("mail server"))?.send(parcel).await
            }
            ChannelKind::Webhook => {
                let caller = self.webhook.as_ref();
                caller.ok_or(PostError::NoWay("secret for webhooks"))?.call(parcel).await
            }
        }
    }
}
