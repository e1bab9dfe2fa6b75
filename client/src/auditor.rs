//! An auditor's door: what the gateway does not take, or does not pass on, is handed in there, and
//! the receipt counts.

use evidence::audit::STATEMENTS;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, Url};
use tlog::quorum::Witness;
use wire::receipt::ReceiptFile;
use wire::request::RequestFile;

use crate::fetch::{FetchError, ServerOptions, builder, send};
use crate::trust::Trust;

pub use evidence::handed::{ReceiptError, Received};

/// Longest receipt that is read, in bytes.
const MAX_RECEIPT: usize = 16 * 1024;

/// An auditor, by its submission prefix.
#[derive(Clone, Debug)]
pub struct AuditorDoor {
    url: String,
    client: Client,
}

impl AuditorDoor {
    /// An auditor at an address that begins with `https://`, or with `http://` on this machine.
    /// Nothing is sent yet. Redirects are not followed.
    ///
    /// # Errors
    /// [`FetchError::Address`] and [`FetchError::Tls`].
    pub fn new(address: &str, options: &ServerOptions) -> Result<Self, FetchError> {
        let bad = |why: String| FetchError::Address { url: address.to_owned(), why };
        let base = Url::parse(address).map_err(|e| bad(e.to_string()))?;
        let host = base.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let here = host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        if base.scheme() != "https" && !(base.scheme() == "http" && here) {
            return Err(bad("https is spoken, and http on this machine alone".into()));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(bad("nothing may follow the path".into()));
        }
        let client = builder(options)?
            .https_only(base.scheme() == "https")
            .build()
            .map_err(|error| FetchError::Tls(crate::fetch::causes(&error)))?;
        Ok(Self { url: format!("{}{STATEMENTS}", address.trim_end_matches('/')), client })
    }

    /// Hands in a veto, a suspension or a recovery; returns it with the receipt, of which nothing is
    /// believed yet ([`received`]).
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn hand_in(&self, file: &RequestFile) -> Result<ReceiptFile, FetchError> {
        let bytes = file.to_text().into_bytes();
        let request = self
            .client
            .post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "text/plain, application/problem+json")
            .body(bytes.clone());
        let answer = send(request, &self.url, MAX_RECEIPT).await?;
        let note = String::from_utf8(answer)
            .map_err(|e| FetchError::Answer { url: self.url.clone(), why: e.to_string() })?;
        Ok(ReceiptFile::new(bytes, note))
    }
}

/// Opens a receipt: by one of those whom the trust file names.
///
/// # Errors
/// See [`ReceiptError`].
pub fn received(trust: &Trust, file: &ReceiptFile) -> Result<Received, ReceiptError> {
    let known = trust.quorum().map(|quorum| quorum.witnesses()).unwrap_or_default();
    Received::open(file, known.iter().map(Witness::key))
}
