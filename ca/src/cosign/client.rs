//! One co-signer: asked over HTTP, in the protocol of witnesses (C2SP tlog-witness).

use std::sync::Arc;
use std::time::Duration;

use evidence::audit::{Refused, RefusedProblem};
use reqwest::Client;
use tlog::Edge;
use tlog::cosign::{CosignError, CosignerKey};
use tlog::note::{LogKey, SignedCheckpoint};
use tlog::witness::{Answer, AnswerError, MAX_ANSWER, cosigned_path, read_answer};
use wire::genesis::CosignerKind;

use super::book::Offer;
use super::feed::{self, Hand};
use crate::store::rows::TimedLine;
use crate::store::{Store, StoreError};

/// Tries to find out where a co-signer is before it is left alone for a while.
const TRIES: usize = 4;

/// How long a co-signer may take for a part of a long way.
const CATCH_UP: Duration = Duration::from_secs(60);

/// Why a co-signer cannot be asked like this.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// Its key.
    #[error("{0}")]
    Key(#[from] CosignError),
    /// Its address.
    #[error("{0:?} is not an address that begins with https:// (http:// on this machine alone)")]
    Url(String),
    /// Certificates that cannot be used.
    #[error("TLS: {0}")]
    Tls(String),
}

/// Where a co-signer is asked.
#[derive(Debug, Clone)]
pub struct Peer {
    name: String,
    kind: CosignerKind,
    key: CosignerKey,
    url: String,
    client: Client,
}

impl Peer {
    /// The co-signer of this key, below a submission prefix. `ca` are the only CAs that it may have
    /// its certificate from, PEM; the system's where there are none.
    ///
    /// # Errors
    /// [`PeerError`].
    pub fn new(
        name: &str,
        kind: CosignerKind,
        vkey: &str,
        url: &str,
        ca: Option<&[u8]>,
    ) -> Result<Self, PeerError> {
        let key = CosignerKey::parse_vkey(vkey)?;
        let wrong = || PeerError::Url(url.to_owned());
        let parsed = reqwest::Url::parse(url).map_err(|_| wrong())?;
        let host = parsed.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let here = host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        let whole = parsed.query().is_none() && parsed.fragment().is_none();
        if !whole || !(parsed.scheme() == "https" || (parsed.scheme() == "http" && here)) {
            return Err(wrong());
        }
        let tls = |error: reqwest::Error| PeerError::Tls(error.to_string());
        let mut builder = Client::builder()
            .user_agent(concat!("avouch/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none());
        if let Some(pem) = ca {
            builder =
                builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(pem).map_err(tls)?);
        }
        let client = builder.build().map_err(tls)?;
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { name: name.to_owned(), kind, key, url, client })
    }

    /// What the configuration calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it checks, as the configuration has it.
    #[must_use]
    pub fn kind(&self) -> CosignerKind {
        self.kind
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> &CosignerKey {
        &self.key
    }
}

/// Why a co-signer did not co-sign.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The store failed.
    #[error("the database does not answer: {0}")]
    Store(#[from] StoreError),
    /// Hashes of the tree are missing.
    #[error("the log's own proof cannot be made: {0}")]
    Proof(String),
    /// It co-signed more leaves than there are.
    #[error("it co-signed a log of {theirs} leaves, and here are {ours}")]
    Ahead {
        /// Leaves of what it co-signed.
        theirs: u64,
        /// Leaves here.
        ours: u64,
    },
    /// It co-signed another history.
    #[error("it co-signed another history of this log: {0}")]
    Forked(String),
    /// It says that it co-signed more than there is, or something else, and does not show it.
    #[error("it says that it co-signed {claim}, and does not show it: {why}")]
    Unproven {
        /// What it says.
        claim: String,
        /// What is missing.
        why: String,
    },
    /// It co-signed more than it is asked for now.
    #[error("it co-signed {theirs} leaves already")]
    Later {
        /// Leaves of what it co-signed.
        theirs: u64,
    },
    /// It says that it is at one size, and then at another.
    #[error("it does not say twice where it is")]
    Restless,
    /// It cannot be reached, or is late.
    #[error("{0}")]
    Unreachable(String),
    /// An auditor does not go past an event.
    #[error("it refuses the log: {}. See docs/auditor.md, «The alarm»", .0.in_short())]
    Unlawful(Box<Refused>),
    /// It refused, or its answer is of no use.
    #[error(transparent)]
    Answer(AnswerError),
}

impl Fault {
    /// Whether the log has two histories, or more leaves than are here: its key signed them.
    pub(super) fn is_fork(&self) -> bool {
        matches!(self, Self::Ahead { .. } | Self::Forked(_))
    }

    /// Whether somebody should know at once.
    pub(super) fn is_alarm(&self) -> bool {
        self.is_fork() || matches!(self, Self::Unproven { .. })
    }
}

/// What a co-signer is asked about.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) kind: CosignerKind,
    pub(super) key: &'a CosignerKey,
    /// Leaves of what it co-signed last, as far as it is known.
    pub(super) known: Option<u64>,
    pub(super) offer: &'a Arc<Offer>,
    /// Leaves in the log now.
    pub(super) log_size: u64,
    /// Signs checkpoints on the way, where the way is long.
    pub(super) hand: Hand<'a>,
}

/// Has a co-signer co-sign a checkpoint, wherever it was before.
pub(super) async fn advance(
    peer: &Peer,
    store: &dyn Store,
    asked: Asked<'_>,
    timeout: Duration,
) -> Result<TimedLine, Fault> {
    let Asked { kind, key, known, offer, log_size, hand } = asked;
    let size = offer.size();
    let mut old = known.unwrap_or(size).min(size);
    let mut tries = 0;
    while tries < TRIES {
        let part = match kind {
            CosignerKind::Witness => feed::checkpoint(store, old, offer).await?,
            CosignerKind::Auditor => feed::entries(store, hand, old, offer).await?,
        };
        let reached = part.checkpoint.size();
        // Whoever is far behind has much to look at.
        let timeout = if reached < size { timeout.max(CATCH_UP) } else { timeout };
        let (status, answer) = call(peer, part.path, part.body, timeout, MAX_ANSWER).await?;
        if kind == CosignerKind::Auditor
            && status == RefusedProblem::STATUS
            && let Some(problem) = RefusedProblem::parse(&answer)
        {
            return Err(Fault::Unlawful(Box::new(problem.refused)));
        }
        tries += 1;
        match read_answer(status, &answer, &part.checkpoint, key) {
            Ok(Answer::Cosigned { .. }) if reached < size => {
                old = reached;
                tries = 0;
            }
            Ok(Answer::Cosigned { line, time }) => {
                return Ok(TimedLine { line: line.to_line().trim_end().to_owned(), time });
            }
            Ok(Answer::Elsewhere { size: theirs }) if theirs > log_size || theirs == old => {
                let claim = if theirs == old {
                    format!("another history of {theirs} leaves")
                } else {
                    format!("{theirs} leaves of a log that has {log_size}")
                };
                return Err(doubt(peer, store, &hand, log_size, claim, timeout).await);
            }
            Ok(Answer::Elsewhere { size: theirs }) if theirs > size => {
                return Err(Fault::Later { theirs });
            }
            Ok(Answer::Elsewhere { size: theirs }) => old = theirs,
            Err(AnswerError::Refused { status: 422, reason }) => {
                let claim = format!("what this does not continue ({})", reason.trim());
                return Err(doubt(peer, store, &hand, log_size, claim, timeout).await);
            }
            Err(error) => return Err(Fault::Answer(error)),
        }
    }
    Err(Fault::Restless)
}

/// What a co-signer's word is worth that contradicts this log. Anybody can say so; a checkpoint
/// that the log's key signed proves it.
async fn doubt(
    peer: &Peer,
    store: &dyn Store,
    hand: &Hand<'_>,
    log_size: u64,
    claim: String,
    timeout: Duration,
) -> Fault {
    let shown = match shown(peer, hand.log.key(), timeout).await {
        Ok(shown) => shown,
        Err(why) => return Fault::Unproven { claim, why },
    };
    let (theirs, root) = (shown.checkpoint().size(), shown.checkpoint().root());
    if theirs > log_size {
        tracing::error!(cosigner = peer.name(), note = shown.text(), "co-signed");
        return Fault::Ahead { theirs, ours: log_size };
    }
    let stored = match store.stored_hashes(&Edge::indexes(theirs)).await {
        Ok(stored) => stored,
        Err(error) => return error.into(),
    };
    match Edge::load(theirs, &stored) {
        Ok(edge) if edge.root() == root => {
            let why = format!("what it shows is this log at {theirs} leaves");
            Fault::Unproven { claim, why }
        }
        Ok(_) => {
            tracing::error!(cosigner = peer.name(), note = shown.text(), "co-signed");
            Fault::Forked(format!("another root at {theirs} leaves"))
        }
        Err(error) => Fault::Proof(error.to_string()),
    }
}

/// The checkpoint of this log that a co-signer shows as what it co-signed last.
async fn shown(peer: &Peer, log: &LogKey, timeout: Duration) -> Result<SignedCheckpoint, String> {
    let asked = peer.client.get(format!("{}{}", peer.url, cosigned_path(log.origin())));
    let (status, answer) =
        answer(asked, timeout, MAX_ANSWER).await.map_err(|fault| fault.to_string())?;
    if status != 200 {
        return Err(format!("asked for it, it answers {status}"));
    }
    let text = String::from_utf8(answer).map_err(|_| "not text".to_owned())?;
    SignedCheckpoint::open(&text, log).map_err(|error| error.to_string())
}

/// Status and body of the answer, of which no more is read than `limit`.
pub(super) async fn call(
    peer: &Peer,
    path: &str,
    body: Vec<u8>,
    timeout: Duration,
    limit: usize,
) -> Result<(u16, Vec<u8>), Fault> {
    answer(peer.client.post(format!("{}{path}", peer.url)).body(body), timeout, limit).await
}

async fn answer(
    asked: reqwest::RequestBuilder,
    timeout: Duration,
    limit: usize,
) -> Result<(u16, Vec<u8>), Fault> {
    let unreachable = |error: reqwest::Error| {
        let error = error.without_url();
        let mut text = error.to_string();
        let mut next = std::error::Error::source(&error);
        while let Some(cause) = next {
            text.push_str(&format!(": {cause}"));
            next = cause.source();
        }
        Fault::Unreachable(text)
    };
    let call = async {
        let mut answer = asked.send().await.map_err(unreachable)?;
        let status = answer.status().as_u16();
        let mut read = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            read.extend_from_slice(&chunk);
            if read.len() > limit {
                break;
            }
        }
        Ok((status, read))
    };
    tokio::time::timeout(timeout, call).await.unwrap_or_else(|_| {
        Err(Fault::Unreachable(format!("no answer within {} ms", timeout.as_millis())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_co_signer_is_asked_over_tls_or_on_this_machine() {
        let key = tlog::cosign::Cosigner::from_seed("w.example", &[1; 32]).unwrap();
        let vkey = key.key().vkey();
        let made = |url| Peer::new("w", CosignerKind::Witness, &vkey, url, None).is_ok();
        for url in [
            "https://w.example/prefix",
            "http://127.0.0.1:9/x",
            "http://[::1]",
            "http://localhost:1/",
        ] {
            assert!(made(url), "{url}");
        }
        for url in ["http://w.example", "ftp://w.example", "https://w.example/?a", "w.example", ""]
        {
            assert!(!made(url), "{url}");
        }
    }
}
