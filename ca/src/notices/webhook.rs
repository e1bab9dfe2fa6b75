//! Notices by webhook, signed as Standard Webhooks has it (standardwebhooks.com): HMAC-SHA256 over
//! id, time and body.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::Sha256;

use super::compose::payload;
use super::post::{Parcel, PostError};

/// How long a call may take.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Secrets begin with it.
const PREFIX: &str = "whsec_";

/// Where webhooks may go and how they are signed.
pub struct WebhookSettings {
    /// `whsec_` and the secret in base64.
    pub secret: SecretString,
    /// The only hosts that are called.
    pub hosts: Vec<String>,
    /// The only CAs that they may have their certificates from, PEM; the system's where there are
    /// none.
    pub ca: Option<Vec<u8>>,
    /// Whether they may be on this machine or in a private network.
    pub private: bool,
}

/// Why no webhook can be called like this.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// A secret that is none, or a weak one.
    #[error("the secret for webhooks is not {PREFIX} and 24 to 64 bytes in base64")]
    Secret,
    /// Certificates that cannot be used.
    #[error("TLS for webhooks: {0}")]
    Tls(String),
}

/// Calls webhooks.
pub struct Caller {
    client: Client,
    secret: SecretSlice<u8>,
    hosts: Vec<String>,
    private: bool,
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

impl Caller {
    /// Prepares to call.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub fn new(settings: WebhookSettings) -> Result<Self, WebhookError> {
        let text = settings
            .secret
            .expose_secret()
            .trim()
            .strip_prefix(PREFIX)
            .ok_or(WebhookError::Secret)?;
        let secret = STANDARD.decode(text).map_err(|_| WebhookError::Secret)?;
        if !(24..=64).contains(&secret.len()) {
            return Err(WebhookError::Secret);
        }
        let tls = |error: reqwest::Error| WebhookError::Tls(error.to_string());
        let mut builder = Client::builder()
            .user_agent(concat!("avouch/", env!("CARGO_PKG_VERSION")))
            .https_only(true)
            .no_proxy()
            // Where a host that may be called sends the call on to may not be called.
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Resolver { private: settings.private })
            .timeout(TIMEOUT);
        if let Some(pem) = &settings.ca {
            builder =
                builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(pem).map_err(tls)?);
        }
        Ok(Self {
            client: builder.build().map_err(tls)?,
            secret: secret.into(),
            hosts: settings.hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            private: settings.private,
        })
    }

    /// Calls once.
    pub(super) async fn call(&self, parcel: &Parcel<'_>) -> Result<(), PostError> {
        let url = self.allowed(parcel.address)?;
        let body = payload(parcel.notice).to_string();
        let id = format!("msg_{}", parcel.id);
        let timestamp = (parcel.now_ms / 1000).to_string();
        let signature = self.signature(&id, &timestamp, &body);
        let sent = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(body)
            .send()
            .await;
        match sent {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => {
                Err(PostError::Failed(format!("the webhook answers {}", answer.status())))
            }
            Err(error) if error.is_timeout() => Err(PostError::Late(TIMEOUT)),
            Err(error) => Err(PostError::Failed(causes(&error.without_url()))),
        }
    }

    /// The address, if it may be called.
    fn allowed(&self, address: &str) -> Result<Url, PostError> {
        let forbidden = |why: &str| PostError::Forbidden(why.to_owned());
        let url = Url::parse(address).map_err(|_| forbidden("not the address of a webhook"))?;
        let host = url.host_str().unwrap_or_default();
        if !self.hosts.iter().any(|allowed| allowed == host) {
            return Err(forbidden("the webhook's host is not among `notices.webhook_hosts`"));
        }
        // An address in numbers is asked of no resolver.
        let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
        if ip.is_ok_and(|ip| !self.private && !is_public(ip)) {
            return Err(forbidden(NOT_PUBLIC));
        }
        Ok(url)
    }

    fn signature(&self, id: &str, timestamp: &str, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.expose_secret())
            .expect("HMAC takes keys of any length");
        mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

const NOT_PUBLIC: &str = "the webhook's host has no public address (see `notices.webhook_private`)";

/// Resolves names to public addresses alone: whoever owns a name could have the authority call
/// what only it can reach. The connection goes to what was looked at here, not to a second answer.
#[derive(Debug, Clone, Copy)]
struct Resolver {
    private: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let private = self.private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let usable: Vec<SocketAddr> =
                found.filter(|address| private || is_public(address.ip())).collect();
            if usable.is_empty() {
                return Err(NOT_PUBLIC.into());
            }
            Ok(Box::new(usable.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the internet at large: none of the special ones of RFC 6890.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || ip.is_multicast()
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19))
        || a >= 240)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let parts = ip.segments();
    let embedded = match parts {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some((high, low))
        }
        [0x2002, high, low, ..] => Some((high, low)),
        _ => None,
    };
    if let Some((high, low)) = embedded {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    // Only 2000::/3 is given out; documentation, benchmarks and Teredo are in it.
    let is_special = match parts[0] {
        0x2001 => parts[1] < 0x200 || parts[1] == 0xdb8,
        0x3fff => parts[1] < 0x1000,
        _ => false,
    };
    parts[0] & 0xe000 == 0x2000 && !is_special
}

/// An error with its causes: none of them names the address, which was taken out.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
