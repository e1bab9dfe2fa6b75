//! Talking to a server. Nothing it answers is believed: see [`verify_recipient`].
//!
//! [`verify_recipient`]: crate::recipient::verify_recipient

use std::time::Duration;

use path::{Certificate, Crl, ParseError};
use reqwest::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url};
use serde::de::DeserializeOwned;
use wire::bundle::{Bundle, MAX_BUNDLE};
use wire::event::EventKind;
use wire::problem::ProblemCode;
use wire::rest::{self, HistoryEntry, Identity, IdentityStatus, Installation, Page, ProblemJson};
use wire::{Hash32, IdempotencyKey, SerialNumber, UserId};

use crate::bundle::BundleError;
use crate::log::{LogError, Seen};
use crate::recipient::{Material, RecipientRefusal};
use crate::statement::Draft;

/// The largest answer of each kind that is read, in bytes.
const MAX_JSON: usize = 4 * 1024 * 1024;
const MAX_CHAIN: usize = 256 * 1024;
const MAX_CRL: usize = 32 * 1024 * 1024;
/// A full tile has 256 hashes.
const MAX_TILE: usize = 256 * 32;
/// Pages of one list that are followed.
const MAX_PAGES: usize = 1000;

/// How to reach a server.
#[derive(Default)]
pub struct ServerOptions {
    /// CA certificates for TLS, PEM; without them the system's are taken.
    pub tls_roots: Option<Vec<u8>>,
    /// Certificate chain and private key (PKCS#8) to show the server, PEM.
    pub identity: Option<(Vec<u8>, zeroize::Zeroizing<Vec<u8>>)>,
    /// For a whole request; 30 s when not given.
    pub timeout: Option<Duration>,
}

/// Why a request got no good answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// An address that is not one.
    #[error("{url:?} is not the address of a server (https://HOST[:PORT]): {why}")]
    Address {
        /// What was given.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// TLS certificates or keys that cannot be read.
    #[error("TLS: {0}")]
    Tls(String),
    /// No connection, or it broke.
    #[error("{url}: {why}")]
    Transport {
        /// What was asked for.
        url: String,
        /// Every cause in turn.
        why: String,
    },
    /// The server refused, and says why (RFC 9457).
    #[error("{}{}", .problem.detail, retry(*.retry_after))]
    Problem {
        /// The answer.
        problem: Box<ProblemJson>,
        /// When to try again, in seconds.
        retry_after: Option<u32>,
    },
    /// Another status, without a problem in the body.
    #[error("{url}: the server answered {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// A larger answer than is read.
    #[error("{url}: the answer is longer than {limit} bytes")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// The limit.
        limit: usize,
    },
    /// An answer that makes no sense.
    #[error("{url}: the answer cannot be understood: {why}")]
    Answer {
        /// What was asked for.
        url: String,
        /// What is wrong.
        why: String,
    },
}

fn retry(seconds: Option<u32>) -> String {
    seconds.map(|s| format!(" (try again in {s} s)")).unwrap_or_default()
}

impl FetchError {
    /// The command line's exit code: 1, 2, 3, 10, 20 or 21.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Address { .. } | Self::Tls(_) => 1,
            Self::Problem { problem, .. } => match ProblemCode::from_slug(&problem.code) {
                Some(ProblemCode::UnknownIdentity) => 10,
                Some(ProblemCode::HsmUnavailable) => 3,
                Some(ProblemCode::Pending) => 21,
                _ if matches!(problem.status, 403 | 409 | 422) => 20,
                _ => 2,
            },
            _ => 2,
        }
    }

    /// The code of the problem, if the server named one.
    #[must_use]
    pub fn problem_code(&self) -> Option<ProblemCode> {
        match self {
            Self::Problem { problem, .. } => ProblemCode::from_slug(&problem.code),
            _ => None,
        }
    }
}

/// Why there is nothing to verify.
#[derive(Debug, thiserror::Error)]
pub enum MaterialError {
    /// The server could not be asked.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The server says that there is nobody to seal to.
    #[error(transparent)]
    Refused(#[from] RecipientRefusal),
    /// The log does not prove what the server says.
    #[error("{uid}: {source}")]
    Unproven {
        /// The person.
        uid: UserId,
        /// The check that failed.
        source: Box<BundleError>,
    },
    /// The log does not continue what was seen of it before.
    #[error("{uid}: {source}")]
    Log {
        /// The person.
        uid: UserId,
        /// What is wrong.
        source: Box<LogError>,
        /// The checkpoint that was shown.
        shown: Box<Seen>,
    },
}

impl MaterialError {
    /// The command line's exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Fetch(e) => e.exit_code(),
            Self::Refused(e) => e.exit_code(),
            Self::Unproven { source, .. } => source.exit_code(),
            Self::Log { source, .. } => source.exit_code(),
        }
    }
}

/// A server, by its address.
#[derive(Clone, Debug)]
pub struct Server {
    base: Url,
    client: Client,
}

impl Server {
    /// A server at `https://HOST[:PORT]`. Nothing is sent yet. Redirects are not followed.
    ///
    /// # Errors
    /// [`FetchError::Address`] and [`FetchError::Tls`].
    pub fn new(address: &str, options: &ServerOptions) -> Result<Self, FetchError> {
        let bad = |why: String| FetchError::Address { url: address.to_owned(), why };
        let base = Url::parse(address).map_err(|e| bad(e.to_string()))?;
        if base.scheme() != "https" || base.host_str().is_none() {
            return Err(bad("only https is spoken".into()));
        }
        if base.path() != "/" || base.query().is_some() || base.fragment().is_some() {
            return Err(bad("nothing may follow host and port".into()));
        }
        let tls = |e: reqwest::Error| FetchError::Tls(causes(&e));
        let timeout = options.timeout.unwrap_or(Duration::from_secs(30));
        let mut builder = Client::builder()
            .user_agent(concat!("avouch/", env!("CARGO_PKG_VERSION")))
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(timeout.min(Duration::from_secs(10)))
            .timeout(timeout);
        if let Some(pem) = &options.tls_roots {
            let roots = reqwest::Certificate::from_pem_bundle(pem).map_err(tls)?;
            if roots.is_empty() {
                return Err(FetchError::Tls("no CA certificate in the PEM file".into()));
            }
            builder = builder.tls_certs_only(roots);
        }
        if let Some((chain, key)) = &options.identity {
            let mut both = zeroize::Zeroizing::new(Vec::with_capacity(chain.len() + key.len() + 1));
            both.extend_from_slice(key);
            both.push(b'\n');
            both.extend_from_slice(chain);
            builder = builder.identity(reqwest::Identity::from_pem(&both).map_err(tls)?);
        }
        Ok(Self { base, client: builder.build().map_err(tls)? })
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// What the server says of an identity.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn identity(&self, uid: &UserId) -> Result<Identity, FetchError> {
        self.get_json(&identity_path(uid, "")).await
    }

    /// All certificates of an identity.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn certificates(&self, uid: &UserId) -> Result<Vec<rest::Certificate>, FetchError> {
        self.get_pages(&identity_path(uid, "/certificates")).await
    }

    /// The history of an identity.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn history(&self, uid: &UserId) -> Result<Vec<HistoryEntry>, FetchError> {
        self.get_pages(&identity_path(uid, "/history")).await
    }

    /// Sends a certification request (DER); with the same idempotency key again it gets the same
    /// answer.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn request_certificate(
        &self,
        uid: &UserId,
        request: Vec<u8>,
        idempotency_key: Option<&IdempotencyKey>,
    ) -> Result<rest::Certificate, FetchError> {
        let path = identity_path(uid, "/certificates");
        let mut sent = self
            .request(Method::POST, &path)?
            .header(CONTENT_TYPE, "application/pkcs10")
            .header(ACCEPT, "application/json")
            .body(request);
        if let Some(key) = idempotency_key {
            sent = sent.header("Idempotency-Key", key.as_str());
        }
        self.json(sent, &path).await
    }

    /// The same with statements that vouch for it.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn request_certificate_signed(
        &self,
        uid: &UserId,
        request: &rest::CertificateRequest,
        idempotency_key: Option<&IdempotencyKey>,
    ) -> Result<rest::Certificate, FetchError> {
        self.post_json(&identity_path(uid, "/certificates"), request, idempotency_key).await
    }

    /// Asks for the revocation of a certificate, by its serial number.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn revoke(
        &self,
        serial: SerialNumber,
        request: &rest::RevocationRequest,
    ) -> Result<rest::Certificate, FetchError> {
        self.post_json(&format!("/api/v1/certificates/{serial}/revocation"), request, None).await
    }

    /// One certificate, by its serial number.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn certificate(&self, serial: SerialNumber) -> Result<rest::Certificate, FetchError> {
        self.get_json(&format!("/api/v1/certificates/{serial}")).await
    }

    /// What the installation says of itself. Its root and genesis hash are not to be trusted: those
    /// come with the trust file.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn installation(&self) -> Result<Installation, FetchError> {
        self.get_json("/api/v1/trust").await
    }

    /// What an identity, or an id that is not enrolled, may do now, and what it takes; under other
    /// rules (DER of [`wire::rules::Rules`]) if some are given.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn ways(
        &self,
        uid: &UserId,
        rules: Option<&[u8]>,
    ) -> Result<Vec<rest::Way>, FetchError> {
        let Some(rules) = rules else { return self.get_json(&identity_path(uid, "/ways")).await };
        let rules = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, rules);
        let body = rest::SimulateRequest { uid: uid.clone(), rules: Some(rules) };
        self.post_json("/api/v1/policy/simulate", &body, None).await
    }

    /// The policy in force and who has a say in it, as the server says.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn policy(&self) -> Result<rest::Policy, FetchError> {
        self.get_json("/api/v1/policy").await
    }

    /// A switch, as the server describes it. Whoever approves one looks at
    /// [`crate::switch::pending`] instead.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn switch(&self, id: Hash32) -> Result<rest::Switch, FetchError> {
        self.get_json(&format!("/api/v1/switches/{id}")).await
    }

    /// All pending switches, for agents.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn switches(&self) -> Result<Vec<rest::Switch>, FetchError> {
        self.get_pages("/api/v1/switches").await
    }

    /// Whose key moved, oldest first, for agents.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn changes(&self) -> Result<Vec<rest::KeyChange>, FetchError> {
        self.get_pages("/api/v1/changes").await
    }

    /// Sends a request for what its intent asks for.
    ///
    /// # Errors
    /// See [`FetchError`]; also for a verb that has no address of its own: enrolments, renewals and
    /// revocations are sent otherwise.
    pub async fn ask(&self, draft: &Draft) -> Result<rest::Done, FetchError> {
        let intent = draft.intent();
        let path = match (&intent.subject, resource(intent.verb)) {
            (Some(uid), Some(resource)) => identity_path(uid, resource),
            (Some(_), None) if intent.verb == EventKind::SwitchRequest => {
                "/api/v1/switches".to_owned()
            }
            (None, _) => "/api/v1/installation/changes".to_owned(),
            (Some(_), None) => {
                let why = format!("a {} is not asked for by an intent alone", intent.verb);
                return Err(FetchError::Address { url: self.address().to_owned(), why });
            }
        };
        // The same intent again is the same request: its answer may have been lost.
        let key = IdempotencyKey::parse(&format!("intent-{}", draft.hash())).ok();
        let key = key.filter(|_| intent.subject.is_some());
        self.post_json(&path, &draft.to_rest(), key.as_ref()).await
    }

    /// Approves a switch.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn approve(
        &self,
        switch: Hash32,
        request: &rest::SignedRequest,
    ) -> Result<rest::Done, FetchError> {
        self.post_json(&format!("/api/v1/switches/{switch}/approvals"), request, None).await
    }

    /// Objects to a switch, or to an announced retirement.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn veto(
        &self,
        switch: Hash32,
        request: &rest::SignedRequest,
    ) -> Result<rest::Done, FetchError> {
        self.post_json(&format!("/api/v1/switches/{switch}/veto"), request, None).await
    }

    /// The issuing certificates of an issuer.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn issuer_chain(&self, issuer: &str) -> Result<Vec<Certificate>, FetchError> {
        let path = format!("/api/v1/issuers/{}/chain.pem", segment(issuer));
        let body = self.get(&path, "application/pem-certificate-chain", MAX_CHAIN).await?;
        Certificate::from_pem_or_der(&body).map_err(|e| self.unreadable(&path, &e))
    }

    /// The CRL that its distribution point names for this certificate, fetched from this server
    /// whatever host the point names: a certificate does not send its reader elsewhere.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn crl_for(&self, certificate: &Certificate) -> Result<Vec<Crl>, FetchError> {
        let path = certificate
            .crl_uris()
            .filter_map(|uri| Url::parse(uri).ok())
            .find_map(|uri| {
                let path = uri.path();
                path.find("/api/v1/issuers/").map(|start| path[start..].to_owned())
            })
            .ok_or_else(|| FetchError::Answer {
                url: self.address().to_owned(),
                why: "the certificate names no CRL of this server".into(),
            })?;
        let body = self.get(&path, "application/pkix-crl", MAX_CRL).await?;
        Crl::from_pem_or_der(&body).map_err(|e| self.unreadable(&path, &e))
    }

    /// Everything needed to verify a person's current certificate.
    ///
    /// # Errors
    /// The server could not be asked, or says that there is nobody to seal to.
    pub async fn material(&self, uid: &UserId) -> Result<Material, MaterialError> {
        let identity = match self.identity(uid).await {
            Err(e) if e.problem_code() == Some(ProblemCode::UnknownIdentity) => {
                return Err(RecipientRefusal::NoSuchIdentity { uid: uid.clone() }.into());
            }
            other => other?,
        };
        let inactive =
            |status| MaterialError::from(RecipientRefusal::NotActive { uid: uid.clone(), status });
        match identity.status {
            IdentityStatus::Active => {}
            IdentityStatus::Suspended => return Err(inactive("suspended")),
            IdentityStatus::Retired => return Err(inactive("retired")),
        }
        let serial = identity.serial.ok_or_else(|| inactive("without a key"))?;
        let path = format!("/api/v1/certificates/{serial}");
        let answer = |why: String| FetchError::Answer { url: self.url_text(&path), why };
        let serial = SerialNumber::from_hex(&serial).map_err(|e| answer(e.to_string()))?;
        let found = self.certificate(serial).await?;
        let Some(leaf) = found.certificate else {
            return Err(inactive("without an issued certificate"));
        };
        let read = |pem: &str| {
            Certificate::from_pem_or_der(pem.as_bytes()).map_err(|e| self.unreadable(&path, &e))
        };
        let certificate =
            read(&leaf)?.into_iter().next().ok_or_else(|| answer("no certificate".into()))?;
        let mut issuers = Vec::new();
        for pem in &found.chain {
            issuers.extend(read(pem)?);
        }
        let crls = self.crl_for(&certificate).await?;
        Ok(Material { certificate, chain: issuers, crls })
    }

    /// A tile of the log, by its path (C2SP tlog-tiles).
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn tile(&self, path: &str) -> Result<Vec<u8>, FetchError> {
        self.get(&format!("/api/v1/log/{path}"), "application/octet-stream", MAX_TILE).await
    }

    /// All that proves an identity offline: history, log and map. The history begins with event
    /// `since`.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn bundle(&self, uid: &UserId, since: u64) -> Result<Bundle, FetchError> {
        let path = identity_path(uid, &format!("/bundle?since={since}"));
        let request = self.request(Method::GET, &path)?.header(ACCEPT, "application/json");
        let body = self.send(request, &path, 2 * MAX_BUNDLE).await?;
        serde_json::from_slice(&body)
            .map_err(|e| FetchError::Answer { url: self.url_text(&path), why: e.to_string() })
    }

    fn unreadable(&self, path: &str, error: &ParseError) -> FetchError {
        FetchError::Answer { url: self.url_text(path), why: error.to_string() }
    }

    fn url_text(&self, path: &str) -> String {
        format!("{}{path}", self.address())
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, FetchError> {
        let text = self.url_text(path);
        let url = match Url::parse(&text) {
            Ok(url) => url,
            Err(e) => return Err(FetchError::Address { url: text, why: e.to_string() }),
        };
        // An id of dots would be taken for a step in the path, encoded or not, and the question
        // would be about something else.
        if Some(url.path()) != path.split('?').next() {
            let why = "an id that cannot stand in a path".into();
            return Err(FetchError::Address { url: text, why });
        }
        Ok(self.client.request(method, url))
    }

    async fn get_json<T: DeserializeOwned>(&self, path: &str) -> Result<T, FetchError> {
        let request = self.request(Method::GET, path)?.header(ACCEPT, "application/json");
        self.json(request, path).await
    }

    async fn get_pages<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, FetchError> {
        let mut items = Vec::new();
        let mut next = path.to_owned();
        for _ in 0..MAX_PAGES {
            let page: Page<T> = self.get_json(&next).await?;
            items.extend(page.items);
            match page.next {
                Some(cursor) => next = format!("{path}?cursor={}", segment(&cursor)),
                None => return Ok(items),
            }
        }
        Err(FetchError::Answer { url: self.url_text(path), why: "the list never ends".into() })
    }

    async fn get(&self, path: &str, accept: &str, limit: usize) -> Result<Vec<u8>, FetchError> {
        let request = self.request(Method::GET, path)?.header(ACCEPT, accept);
        self.send(request, path, limit).await
    }

    async fn post_json<B: serde::Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        idempotency_key: Option<&IdempotencyKey>,
    ) -> Result<T, FetchError> {
        let body = serde_json::to_vec(body)
            .map_err(|e| FetchError::Answer { url: path.to_owned(), why: e.to_string() })?;
        let mut request = self
            .request(Method::POST, path)?
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json")
            .body(body);
        if let Some(key) = idempotency_key {
            request = request.header("Idempotency-Key", key.as_str());
        }
        self.json(request, path).await
    }

    async fn json<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        path: &str,
    ) -> Result<T, FetchError> {
        let body = self.send(request, path, MAX_JSON).await?;
        serde_json::from_slice(&body)
            .map_err(|e| FetchError::Answer { url: self.url_text(path), why: e.to_string() })
    }

    async fn send(
        &self,
        request: RequestBuilder,
        path: &str,
        limit: usize,
    ) -> Result<Vec<u8>, FetchError> {
        let url = self.url_text(path);
        let transport =
            |e: reqwest::Error| FetchError::Transport { url: url.clone(), why: causes(&e) };
        let mut response = request.send().await.map_err(transport)?;
        let status = response.status();
        let is_problem = response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/problem+json"));
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|seconds| seconds.to_str().ok()?.parse().ok());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(transport)? {
            if body.len() + chunk.len() > limit {
                return Err(FetchError::TooLarge { url, limit });
            }
            body.extend_from_slice(&chunk);
        }
        if matches!(status, StatusCode::OK | StatusCode::CREATED | StatusCode::ACCEPTED) {
            return Ok(body);
        }
        match serde_json::from_slice(&body) {
            Ok(problem) if is_problem => {
                Err(FetchError::Problem { problem: Box::new(problem), retry_after })
            }
            _ => Err(FetchError::Status { url, status: status.as_u16() }),
        }
    }
}

/// What hangs below an identity for this verb.
fn resource(verb: EventKind) -> Option<&'static str> {
    use EventKind as K;
    Some(match verb {
        K::Rekey => "/rekey",
        K::Recover => "/recover",
        K::RecoveryCommitmentChange => "/recovery-key",
        K::Suspend => "/suspension",
        K::Resume => "/resumption",
        K::ChannelChange => "/channels",
        K::Rename => "/names",
        K::Retire => "/retirement",
        K::Void => "/void",
        _ => return None,
    })
}

fn identity_path(uid: &UserId, rest: &str) -> String {
    format!("/api/v1/identities/{}{rest}", uid.percent_encoded())
}

/// Percent-encodes everything but unreserved characters.
fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// An error with all its causes, which say what really happened.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = cause.source();
    }
    text
}
