//! A plain HTTP caller.

use std::sync::{Arc, OnceLock};

use reqwest::header::HeaderMap;
use reqwest::{Certificate, Client, Identity, Method};
use serde_json::Value;
use wire::rest::ProblemJson;

/// Calls one server. Blocks; cheap to clone; may be used from many threads.
#[derive(Clone)]
pub struct Http {
    client: Client,
    base: Arc<str>,
}

/// A request's body with its media type.
pub enum Body<'a> {
    /// None.
    None,
    /// `application/pkcs10`.
    Csr(&'a [u8]),
    /// `application/json`.
    Json(Value),
    /// Any other.
    Other(&'a str, &'a [u8]),
}

/// A response.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Runtime::new().expect("threads can be made"))
}

impl Http {
    /// A caller that trusts `ca` (PEM) and shows `identity` (PEM: certificate and key).
    #[must_use]
    pub fn new(base: &str, ca: &[u8], identity: Option<&[u8]>) -> Self {
        let ca = Certificate::from_pem(ca).expect("tls-ca.pem holds a certificate");
        let mut builder = Client::builder().tls_certs_only([ca]).no_proxy();
        if let Some(pem) = identity {
            builder = builder.identity(Identity::from_pem(pem).expect("certificate and key"));
        }
        Self { client: builder.build().expect("a usable TLS set-up"), base: base.into() }
    }

    /// A caller over plain HTTP.
    #[must_use]
    pub fn plain(base: &str) -> Self {
        let client = Client::builder().no_proxy().build().expect("a usable set-up");
        Self { client, base: base.into() }
    }

    /// Sends a request; the error is the transport's.
    ///
    /// # Errors
    /// When there is no connection, or it breaks before the whole answer is there.
    pub fn try_send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body<'_>,
    ) -> Result<Answer, reqwest::Error> {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request = match body {
            Body::None => request,
            Body::Csr(bytes) => {
                request.header("content-type", "application/pkcs10").body(bytes.to_vec())
            }
            Body::Json(value) => {
                request.header("content-type", "application/json").body(value.to_string())
            }
            Body::Other(media_type, bytes) => {
                request.header("content-type", media_type).body(bytes.to_vec())
            }
        };
        runtime().block_on(async {
            let response = request.send().await?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            Ok(Answer { status, headers, body: response.bytes().await?.to_vec() })
        })
    }

    /// GET.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        self.try_send(Method::GET, path, &[], Body::None).expect("an answer")
    }

    /// GET with an `Accept` header.
    #[must_use]
    pub fn get_as(&self, path: &str, accept: &str) -> Answer {
        self.try_send(Method::GET, path, &[("accept", accept)], Body::None).expect("an answer")
    }

    /// POST.
    #[must_use]
    pub fn post(&self, path: &str, body: Body<'_>) -> Answer {
        self.try_send(Method::POST, path, &[], body).expect("an answer")
    }

    /// POSTs a certification request for a user.
    #[must_use]
    pub fn enrol(&self, uid: &str, csr: &[u8]) -> Answer {
        self.post(&certificates(uid), Body::Csr(csr))
    }

    /// POSTs a certification request with an `Idempotency-Key`.
    #[must_use]
    pub fn enrol_once(&self, uid: &str, csr: &[u8], key: &str) -> Answer {
        self.try_enrol_once(uid, csr, key).expect("an answer")
    }

    /// As [`Http::enrol_once`], while the server may be down.
    ///
    /// # Errors
    /// As [`Http::try_send`].
    pub fn try_enrol_once(
        &self,
        uid: &str,
        csr: &[u8],
        key: &str,
    ) -> Result<Answer, reqwest::Error> {
        let headers = [("idempotency-key", key)];
        self.try_send(Method::POST, &certificates(uid), &headers, Body::Csr(csr))
    }
}

fn certificates(uid: &str) -> String {
    let uid = wire::UserId::parse(uid).expect("a user id").percent_encoded();
    format!("/api/v1/identities/{uid}/certificates")
}

impl Answer {
    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON of one of the API's shapes, which must come with the expected status.
    #[must_use]
    pub fn json<T: serde::de::DeserializeOwned>(&self, status: u16) -> T {
        assert_eq!(self.status, status, "{}", self.text());
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// The body as a problem (RFC 9457), whose status and media type must fit.
    #[must_use]
    pub fn problem(&self) -> ProblemJson {
        assert!(self.status >= 400, "{} {}", self.status, self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem: ProblemJson = self.json(self.status);
        assert_eq!(problem.status, self.status, "{problem:?}");
        assert!(problem.type_uri.ends_with(&format!("/{}", problem.code)), "{problem:?}");
        // What to do is always told; of a certification request what it should have been, too.
        assert!(problem.remedy.is_some(), "{problem:?}");
        if problem.rule.as_deref() == Some("csr") {
            assert!(problem.expected.is_some() && problem.found.is_some(), "{problem:?}");
        }
        problem
    }

    /// A header field's value; empty when there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }
}
