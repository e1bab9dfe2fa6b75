//! Asking for certificates, fetching and revoking them.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use wire::problem::{Problem, ProblemCode};
use wire::rest::{Certificate, RevocationRequest};
use wire::socket::{RequestBody, ResponseBody};

use super::{App, content, json, unexpected, vary};
use crate::input::{self, Context, Serial, Submission, Uid};
use crate::negotiate::{JSON, PEM_CHAIN, PKIX_CERT, negotiate};
use crate::problem::Refusal;

/// POST `/identities/{uid}/certificates`: enrol or renew with a PKCS#10 request
/// (`application/pkcs10`, DER or PEM; or JSON with signed statements beside it). 201 when a
/// certificate was made, 200 when the same request had made it before.
pub(crate) async fn issue(
    State(app): State<Arc<App>>,
    context: Context,
    Uid(uid): Uid,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    // Nothing is begun whose outcome could not be told.
    let form = negotiate(&headers, &[JSON, PEM_CHAIN])?;
    let idempotency_key = input::idempotency_key(&headers)?;
    let submission = Submission::read(&headers, body, app.body_limit, context.deadline).await?;
    let Submission { csr, signed } = submission;
    let question = RequestBody::Issue { uid, csr, idempotency_key, signed };
    let answer = app.authority.ask(&context, question).await?;
    let ResponseBody::Certificate { certificate, created } = answer else {
        return Err(unexpected(&answer));
    };
    let mut response = represent(&certificate, form)?;
    if created {
        *response.status_mut() = StatusCode::CREATED;
    }
    if let Ok(location) =
        HeaderValue::try_from(format!("/api/v1/certificates/{}", certificate.serial))
    {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// GET `/certificates/{serial}`: one certificate, as JSON, as a PEM chain up to (without) the
/// root, or alone as DER.
pub(crate) async fn certificate(
    State(app): State<Arc<App>>,
    context: Context,
    Serial(serial): Serial,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let form = negotiate(&headers, &[JSON, PEM_CHAIN, PKIX_CERT])?;
    let answer = app.authority.ask(&context, RequestBody::Certificate { serial }).await?;
    let ResponseBody::Certificate { certificate, .. } = answer else {
        return Err(unexpected(&answer));
    };
    represent(&certificate, form)
}

/// POST `/certificates/{serial}/revocation`: revoke. Answers with the revoked certificate.
pub(crate) async fn revoke(
    State(app): State<Arc<App>>,
    context: Context,
    Serial(serial): Serial,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let form = negotiate(&headers, &[JSON])?;
    let request: RevocationRequest =
        input::read_json(&headers, body, app.body_limit, context.deadline).await?;
    let signed = input::signed(request.intent.as_deref(), &request.statements)?;
    let question = RequestBody::Revoke { serial, reason: request.reason, signed };
    let answer = app.authority.ask(&context, question).await?;
    let ResponseBody::Certificate { certificate, .. } = answer else {
        return Err(unexpected(&answer));
    };
    represent(&certificate, form)
}

fn represent(certificate: &Certificate, form: &'static str) -> Result<Response, Refusal> {
    let response = match form {
        PEM_CHAIN => content(PEM_CHAIN, pem_chain(certificate)?),
        PKIX_CERT => {
            let der = CertificateDer::from_pem_slice(leaf(certificate)?.as_bytes())
                .map_err(|error| Refusal::new(ProblemCode::Internal, error.to_string()))?;
            content(PKIX_CERT, der.to_vec())
        }
        _ => json(certificate)?,
    };
    Ok(vary(response))
}

/// RFC 8555 section 9.1: the leaf first, each certifying the one before it.
fn pem_chain(certificate: &Certificate) -> Result<String, Refusal> {
    let mut text = String::new();
    for pem in
        std::iter::once(leaf(certificate)?).chain(certificate.chain.iter().map(String::as_str))
    {
        text.push_str(pem.trim_end());
        text.push('\n');
    }
    Ok(text)
}

/// The certificate itself, which is not there yet while it waits for its signature.
fn leaf(certificate: &Certificate) -> Result<&str, Refusal> {
    certificate.certificate.as_deref().ok_or_else(|| {
        Problem::new(ProblemCode::Pending, "the certificate is recorded and not signed yet").into()
    })
}
