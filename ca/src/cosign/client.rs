//! One co-signer: asked over HTTP, in the protocol of witnesses (C2SP tlog-witness).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use tlog::cosign::{CosignError, CosignerKey};
use tlog::proof;
use tlog::witness::{ADD_CHECKPOINT, AddCheckpoint, Answer, AnswerError, MAX_ANSWER, read_answer};
use wire::Hash32;
use wire::genesis::CosignerKind;

use super::book::Offer;
use crate::store::rows::TimedLine;
use crate::store::{Store, StoreError};

/// Tries to find out where a co-signer is before it is left alone for a while.
const TRIES: usize = 4;

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
    /// It refused, or its answer is of no use.
    #[error(transparent)]
    Answer(AnswerError),
}

impl Fault {
    /// Whether the log may have two histories.
    pub(super) fn is_fork(&self) -> bool {
        matches!(self, Self::Ahead { .. } | Self::Forked(_))
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
}

/// Has a co-signer co-sign a checkpoint, wherever it was before.
pub(super) async fn advance(
    peer: &Peer,
    store: &dyn Store,
    asked: Asked<'_>,
    timeout: Duration,
) -> Result<TimedLine, Fault> {
    let Asked { kind, key, known, offer, log_size } = asked;
    let size = offer.size();
    let mut old = known.unwrap_or(size).min(size);
    for _ in 0..TRIES {
        let (path, body) = submission(kind, store, old, offer).await?;
        let (status, answer) = post(peer, path, body, timeout).await?;
        match read_answer(status, &answer, &offer.checkpoint, key) {
            Ok(Answer::Cosigned { line, time }) => {
                return Ok(TimedLine { line: line.to_line().trim_end().to_owned(), time });
            }
            Ok(Answer::Elsewhere { size: theirs }) if theirs > log_size => {
                return Err(Fault::Ahead { theirs, ours: log_size });
            }
            Ok(Answer::Elsewhere { size: theirs }) if theirs == old => {
                return Err(Fault::Forked(format!("another root at {theirs} leaves")));
            }
            Ok(Answer::Elsewhere { size: theirs }) if theirs > size => {
                return Err(Fault::Later { theirs });
            }
            Ok(Answer::Elsewhere { size: theirs }) => old = theirs,
            // An auditor says so, too, of an event that is not lawful.
            Err(AnswerError::Refused { status: 422, reason }) if kind == CosignerKind::Witness => {
                return Err(Fault::Forked(reason));
            }
            Err(error) => return Err(Fault::Answer(error)),
        }
    }
    Err(Fault::Restless)
}

/// Path and body of the call that has a co-signer of this kind go from one size to the checkpoint.
async fn submission(
    _kind: CosignerKind,
    store: &dyn Store,
    old: u64,
    offer: &Offer,
) -> Result<(&'static str, Vec<u8>), Fault> {
    let told = |error: &dyn std::fmt::Display| Fault::Proof(error.to_string());
    let indexes = proof::consistency_indexes(old, offer.size());
    let stored = store.stored_hashes(&indexes).await?;
    let hashes: HashMap<u64, Hash32> = stored.into_iter().map(|s| (s.index, s.hash)).collect();
    let proof = proof::consistency(old, offer.size(), &hashes).map_err(|error| told(&error))?;
    let request =
        AddCheckpoint::new(old, proof, offer.checkpoint.clone()).map_err(|error| told(&error))?;
    Ok((ADD_CHECKPOINT, request.to_text().into_bytes()))
}

/// Status and body of the answer, of which no more is read than one has.
async fn post(
    peer: &Peer,
    path: &str,
    body: Vec<u8>,
    timeout: Duration,
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
        let url = format!("{}{path}", peer.url);
        let mut answer = peer.client.post(url).body(body).send().await.map_err(unreachable)?;
        let status = answer.status().as_u16();
        let mut read = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            read.extend_from_slice(&chunk);
            if read.len() > MAX_ANSWER {
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
