//! What is fetched to be verified: chains, CRLs, tiles and bundles.

use path::{Certificate, Crl};
use reqwest::header::ACCEPT;
use reqwest::{Method, Url};
use wire::bundle::{Bundle, MAX_BUNDLE};
use wire::problem::ProblemCode;
use wire::rest::IdentityStatus;
use wire::{SerialNumber, UserId};

use super::{FetchError, MaterialError, Server, identity_path, segment};
use crate::recipient::{Material, RecipientRefusal};

const MAX_CHAIN: usize = 256 * 1024;
const MAX_CRL: usize = 32 * 1024 * 1024;
/// A full tile has 256 hashes.
const MAX_TILE: usize = 256 * 32;

impl Server {
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

    /// The first CRL of an issuer, DER.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub(crate) async fn first_crl(&self, issuer: &str) -> Result<Vec<u8>, FetchError> {
        let path = format!("/api/v1/issuers/{issuer}/crl/0.crl");
        self.get(&path, "application/pkix-crl", MAX_CRL).await
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
}
