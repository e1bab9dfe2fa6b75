//! Talking to a server. Nothing it answers is believed: see [`verify_recipient`].
//!
//! [`verify_recipient`]: crate::recipient::verify_recipient

mod calls;
mod error;
mod proofs;

use std::time::Duration;

use path::ParseError;
use reqwest::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, ClientBuilder, Method, RequestBuilder, StatusCode, Url};
use serde::de::DeserializeOwned;
use wire::rest::Page;
use wire::{IdempotencyKey, UserId};

pub use error::{FetchError, MaterialError};

/// The largest answer in JSON that is read, in bytes.
const MAX_JSON: usize = 4 * 1024 * 1024;
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
        let builder = builder(options)?.https_only(true);
        let client = builder.build().map_err(|e| FetchError::Tls(causes(&e)))?;
        Ok(Self { base, client })
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
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
        send(request, &self.url_text(path), limit).await
    }
}

/// What calls have in common, whoever is called. Redirects are not followed.
pub(crate) fn builder(options: &ServerOptions) -> Result<ClientBuilder, FetchError> {
    let tls = |e: reqwest::Error| FetchError::Tls(causes(&e));
    let timeout = options.timeout.unwrap_or(Duration::from_secs(30));
    let mut builder = Client::builder()
        .user_agent(concat!("avouch/", env!("CARGO_PKG_VERSION")))
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
    Ok(builder)
}

/// Sends a request, and reads its answer up to a limit.
pub(crate) async fn send(
    request: RequestBuilder,
    url: &str,
    limit: usize,
) -> Result<Vec<u8>, FetchError> {
    let url = url.to_owned();
    let transport = |e: reqwest::Error| FetchError::Transport { url: url.clone(), why: causes(&e) };
    let mut response = request.send().await.map_err(transport)?;
    let status = response.status();
    let is_problem = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/problem+json"));
    let retry_after =
        response.headers().get(RETRY_AFTER).and_then(|seconds| seconds.to_str().ok()?.parse().ok());
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
