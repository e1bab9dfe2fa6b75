//! The installation, as the authority describes it.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderMap;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use wire::problem::ProblemCode;
use wire::rest::{Installation, Issuer};
use wire::socket::{RequestBody, ResponseBody};

use super::{App, json, unexpected};
use crate::input::Context;
use crate::negotiate::{JSON, negotiate};
use crate::openapi::problems::{ASKED, CHOICE, EVER, problems};
use crate::problem::Refusal;

/// An installation with its issuing certificates decoded.
#[derive(Debug)]
pub(crate) struct Known {
    pub(super) installation: Installation,
    certificates: HashMap<String, Bytes>,
}

impl Known {
    fn new(installation: Installation) -> Result<Self, Refusal> {
        let mut certificates = HashMap::new();
        for issuer in &installation.issuers {
            let der = CertificateDer::from_pem_slice(issuer.certificate.as_bytes())
                .map_err(|error| Refusal::new(ProblemCode::Internal, error.to_string()))?;
            certificates.insert(issuer.id.clone(), Bytes::from(der.to_vec()));
        }
        Ok(Self { installation, certificates })
    }

    /// An issuer and its certificate's DER.
    pub(super) fn issuer(&self, id: &str) -> Result<(&Issuer, &Bytes), Refusal> {
        let issuer = self.installation.issuers.iter().find(|issuer| issuer.id == id);
        issuer.zip(self.certificates.get(id)).ok_or_else(|| {
            Refusal::new(ProblemCode::UnknownIssuer, "no issuer of this installation has this id")
        })
    }
}

impl App {
    /// What is known of the installation, at most as old as the cache allows.
    pub(super) async fn known(&self, context: &Context) -> Result<Arc<Known>, Refusal> {
        self.installation
            .get(async || {
                let answer = self.authority.ask(context, RequestBody::Installation).await?;
                let ResponseBody::Installation(installation) = answer else {
                    return Err(unexpected(&answer));
                };
                Ok((Known::new(*installation)?, self.cache_age))
            })
            .await
    }
}

problems!(Problems: CHOICE, ASKED, EVER);

/// What this installation says it is.
///
/// **This is no trust anchor.** It comes from the server that a client is about to judge. Clients
/// take the root and the genesis hash from their trust file, which they got out of band; this
/// answer serves to notice that the two differ, and to show people the fingerprint to compare.
#[utoipa::path(
    get, path = "/api/v1/trust", tag = "installation", operation_id = "trust",
    responses(
        (status = OK, description = "Realm, genesis hash, ladder step, warnings, root, issuers",
            body = Installation),
        Problems,
    ),
)]
pub(crate) async fn trust(
    State(app): State<Arc<App>>,
    context: Context,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    negotiate(&headers, &[JSON])?;
    json(&app.known(&context).await?.installation)
}
