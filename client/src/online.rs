//! Fetching what a chain lacks: issuers' certificates, revocation lists, OCSP answers.
//!
//! The addresses stand in certificates, so whoever made those chooses what is asked for. Therefore
//! only plain HTTP is spoken (what is fetched is signed; TLS would need a chain itself, RFC 5280
//! section 8), only public addresses are connected to, no proxy is used, every redirect is held to
//! the same rules, and number, size and time of all fetches together are limited.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use path::{Certificate, Crl, MAX_OCSP, NonceMatch, OcspResponse, ocsp_request};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Client, Method, Url};

use crate::fetch::causes;

/// What may be fetched for one verification.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests, redirects included.
    pub requests: usize,
    /// Octets of all answers together.
    pub bytes: usize,
    /// For all requests together.
    pub time: Duration,
    /// Loopback, private and link-local addresses may be connected to as well.
    pub private_addresses: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: 24,
            bytes: 64 * 1024 * 1024,
            time: Duration::from_secs(30),
            private_addresses: false,
        }
    }
}

/// Redirects followed for one address.
const MAX_REDIRECTS: usize = 3;
/// Addresses tried of those that one certificate names for one thing.
const MAX_URIS: usize = 3;
/// Octets of a file with issuers' certificates.
const MAX_ISSUERS: usize = 1024 * 1024;

/// Why nothing came from an address.
#[derive(Debug, thiserror::Error)]
pub enum OnlineError {
    /// The client could not be made.
    #[error("HTTP: {0}")]
    Client(String),
    /// Not `http://HOST…`.
    #[error("not an http address")]
    NotHttp,
    /// The host is, or resolves to, an address that must not be reached.
    #[error("{0} is not a public address")]
    NotPublic(IpAddr),
    /// More requests than allowed.
    #[error("all {0} requests allowed are used up")]
    Requests(usize),
    /// The time allowed is over.
    #[error("the {} s allowed for fetching are over", .0.as_secs())]
    Time(Duration),
    /// The answer is too long.
    #[error("more than the {0} bytes that may still be read")]
    TooLong(usize),
    /// Redirected too often.
    #[error("more than {MAX_REDIRECTS} redirects")]
    Redirects,
    /// An answer other than 200.
    #[error("HTTP status {0}")]
    Status(u16),
    /// No connection, or it broke.
    #[error("{0}")]
    Transport(String),
    /// What came is not what was asked for.
    #[error("{0}")]
    Unreadable(String),
}

/// One fetch and what came of it, for telling.
#[derive(Debug)]
pub struct Fetched {
    /// The address, as the certificate has it.
    pub url: String,
    /// What it was for.
    pub what: &'static str,
    /// Why nothing came.
    pub error: Option<OnlineError>,
}

/// Fetches within limits.
pub struct Online {
    client: Client,
    limits: Limits,
    start: Instant,
    requests: usize,
    bytes: usize,
    /// Everything that was tried.
    pub log: Vec<Fetched>,
}

impl Online {
    /// Starts the clock of the limits. Nothing is sent yet.
    ///
    /// # Errors
    /// [`OnlineError::Client`].
    pub fn new(limits: Limits) -> Result<Self, OnlineError> {
        let client = Client::builder()
            .user_agent(concat!("avouch/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .dns_resolver(Arc::new(Guard { private_addresses: limits.private_addresses }))
            .build()
            .map_err(|e| OnlineError::Client(causes(&e)))?;
        Ok(Self { client, limits, start: Instant::now(), requests: 0, bytes: 0, log: Vec::new() })
    }

    /// Follows «CA issuers» upwards from the leaf, as long as the next issuer is not at hand.
    pub async fn issuers(
        &mut self,
        leaf: &Certificate,
        at_hand: &[&Certificate],
        max_depth: usize,
    ) -> Vec<Certificate> {
        let mut found: Vec<Certificate> = Vec::new();
        let mut wanting = vec![leaf.clone()];
        wanting.extend(at_hand.iter().map(|c| (*c).clone()));
        for _ in 0..max_depth {
            let mut next = Vec::new();
            for certificate in &wanting {
                let known = at_hand
                    .iter()
                    .copied()
                    .chain(&found)
                    .any(|other| other.subject() == certificate.issuer());
                if known {
                    continue;
                }
                let uris: Vec<_> = certificate.ca_issuer_uris().take(MAX_URIS).collect();
                for url in uris {
                    let fetched = self.get(url, MAX_ISSUERS).await.and_then(|bytes| {
                        Certificate::from_any(&bytes)
                            .map_err(|e| OnlineError::Unreadable(e.to_string()))
                    });
                    if let Some(fetched) = self.note(url, "issuer", fetched) {
                        next.extend(fetched);
                        break;
                    }
                }
            }
            next.retain(|new: &Certificate| {
                !found.iter().chain(at_hand.iter().copied()).any(|c| c.der() == new.der())
            });
            if next.is_empty() {
                break;
            }
            found.extend(next.iter().cloned());
            wanting = next;
        }
        found
    }

    /// Asks the responders that the certificate names. `nonce` should be random.
    pub async fn ocsp(
        &mut self,
        certificate: &Certificate,
        issuer: &Certificate,
        nonce: &[u8],
    ) -> Option<OcspResponse> {
        let question = ocsp_request(certificate, issuer, nonce);
        for url in certificate.ocsp_uris().take(MAX_URIS) {
            let answer = self.exchange(url, Some(question.clone()), MAX_OCSP).await;
            let answer = answer.and_then(|bytes| {
                let unreadable = |e: String| OnlineError::Unreadable(e);
                let response =
                    OcspResponse::from_der(&bytes).map_err(|e| unreadable(e.to_string()))?;
                match response.nonce_match(nonce) {
                    NonceMatch::Different => {
                        Err(unreadable("the answer's nonce is not that of the question".into()))
                    }
                    NonceMatch::Same | NonceMatch::Absent => Ok(response),
                }
            });
            if let Some(response) = self.note(url, "ocsp", answer) {
                return Some(response);
            }
        }
        None
    }

    /// Fetches the revocation lists that the certificate names.
    pub async fn crls(&mut self, certificate: &Certificate) -> Vec<Crl> {
        let mut out = Vec::new();
        for url in certificate.crl_uris().take(MAX_URIS) {
            let fetched = self.get(url, self.limits.bytes).await.and_then(|bytes| {
                Crl::from_pem_or_der(&bytes).map_err(|e| OnlineError::Unreadable(e.to_string()))
            });
            out.extend(self.note(url, "crl", fetched).into_iter().flatten());
        }
        out
    }

    fn note<T>(
        &mut self,
        url: &str,
        what: &'static str,
        result: Result<T, OnlineError>,
    ) -> Option<T> {
        let (value, error) = match result {
            Ok(value) => (Some(value), None),
            Err(error) => (None, Some(error)),
        };
        self.log.push(Fetched { url: url.to_owned(), what, error });
        value
    }

    async fn get(&mut self, url: &str, max: usize) -> Result<Vec<u8>, OnlineError> {
        self.exchange(url, None, max).await
    }

    /// One request, and those it is redirected to.
    async fn exchange(
        &mut self,
        url: &str,
        question: Option<Vec<u8>>,
        max: usize,
    ) -> Result<Vec<u8>, OnlineError> {
        let mut url = Url::parse(url).map_err(|_| OnlineError::NotHttp)?;
        for _ in 0..=MAX_REDIRECTS {
            self.check(&url)?;
            let left = self.limits.time.saturating_sub(self.start.elapsed());
            if left.is_zero() {
                return Err(OnlineError::Time(self.limits.time));
            }
            if self.requests == self.limits.requests {
                return Err(OnlineError::Requests(self.limits.requests));
            }
            self.requests += 1;
            let request = match &question {
                None => self.client.request(Method::GET, url.clone()),
                Some(question) => self
                    .client
                    .request(Method::POST, url.clone())
                    .header(CONTENT_TYPE, "application/ocsp-request")
                    .body(question.clone()),
            };
            let sent = request.timeout(left).send().await;
            let mut answer = sent.map_err(|e| OnlineError::Transport(causes(&e)))?;
            let status = answer.status();
            if status.is_redirection() {
                let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok());
                let to = to.ok_or(OnlineError::Status(status.as_u16()))?;
                url = url.join(to).map_err(|_| OnlineError::NotHttp)?;
                continue;
            }
            if status.as_u16() != 200 {
                return Err(OnlineError::Status(status.as_u16()));
            }
            let may = max.min(self.limits.bytes - self.bytes);
            let mut body = Vec::new();
            while let Some(chunk) =
                answer.chunk().await.map_err(|e| OnlineError::Transport(causes(&e)))?
            {
                self.bytes = (self.bytes + chunk.len()).min(self.limits.bytes);
                if body.len() + chunk.len() > may {
                    return Err(OnlineError::TooLong(may));
                }
                body.extend_from_slice(&chunk);
            }
            return Ok(body);
        }
        Err(OnlineError::Redirects)
    }

    /// What names are is known when they are resolved; an address in the URL is held here.
    fn check(&self, url: &Url) -> Result<(), OnlineError> {
        if url.scheme() != "http" {
            return Err(OnlineError::NotHttp);
        }
        let host = url.host_str().ok_or(OnlineError::NotHttp)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<IpAddr>() {
            Ok(address) if !self.limits.private_addresses && !is_public(address) => {
                Err(OnlineError::NotPublic(address))
            }
            _ => Ok(()),
        }
    }
}

/// Resolves names to public addresses only, and hands these to the connection: there is no second
/// look-up that could answer something else.
struct Guard {
    private_addresses: bool,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let private_addresses = self.private_addresses;
        Box::pin(async move {
            let all: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let refused = all.iter().find(|a| !private_addresses && !is_public(a.ip())).copied();
            let taken: Vec<SocketAddr> =
                all.into_iter().filter(|a| private_addresses || is_public(a.ip())).collect();
            match (taken.is_empty(), refused) {
                (true, Some(address)) => Err(OnlineError::NotPublic(address.ip()).into()),
                _ => Ok(Box::new(taken.into_iter()) as Addrs),
            }
        })
    }
}

/// Of the whole internet, and nobody's own: not loopback, private, link-local (cloud metadata),
/// shared, multicast, reserved, nor one of these within an IPv6 address.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(matches!(a, 0 | 10 | 127 | 224..)
        || (a == 100 && b & 0xc0 == 64)
        || (a == 169 && b == 254)
        || (a == 172 && b & 0xf0 == 16)
        || (a == 192 && b == 168)
        || (a == 192 && b == 0 && (c == 0 || c == 2))
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b & 0xfe == 18 || (b == 51 && c == 100)))
        || (a == 203 && b == 0 && c == 113))
}

/// 2000::/3 without what is reserved in it (RFC 6890); other formats carry an IPv4 address.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let s = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        // 2001::/23 (Teredo and others), documentation.
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests;
