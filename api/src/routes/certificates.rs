//! Asking for certificates, fetching and revoking them.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, StatusCode};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use wire::UserId;
use wire::event::RevocationReason;
use wire::problem::Problem;
use wire::problem::ProblemCode::{self, *};
use wire::rest::{Certificate, CertificateRequest, RevocationRequest};
use wire::socket::{RequestBody, ResponseBody};

use super::identities::etag;
use super::{App, content, json, unexpected, vary};
use crate::input::{self, Context, Serial, Submission, Uid};
use crate::negotiate::{JSON, PEM_CHAIN, PKIX_CERT, is_conditional, matches, negotiate};
use crate::openapi::parameters::{IdempotencyKey, IfMatch};
use crate::openapi::problems::{ASKED, BODY, CHOICE, EVER, problems};
use crate::openapi::{Binary, Text};
use crate::problem::Refusal;

/// What the walk of a request may meet, whatever it is for.
pub(super) const WALK: &[ProblemCode] = &[
    PreconditionFailed,
    EvidenceRequired,
    EvidenceRefused,
    StaleIntent,
    HsmRequired,
    NotOffered,
    Pending,
    HsmUnavailable,
    Stopped,
];
/// What is wrong with a certification request.
pub(super) const CSR: &[ProblemCode] = &[
    BadEncoding,
    WrongPemLabel,
    TrailingBytes,
    BadSignature,
    Sha1,
    WeakDigest,
    UnsupportedSignature,
    UnsupportedKey,
    WeakKey,
    OffCurve,
    CompromisedKey,
    WrongSubject,
    UnsupportedVersion,
    RefusedName,
];
/// Why an identity does not get this certificate.
const STATE: &[ProblemCode] = &[
    IdentityChangeRequired,
    KeyInUse,
    KeyWasUsed,
    IdentitySuspended,
    IdentityRetired,
    IdempotencyConflict,
];
problems!(IssueProblems: CSR, STATE, WALK, BODY, CHOICE, ASKED, EVER);
problems!(
    RevokeProblems: &[UnknownCertificate, AlreadyRevoked], WALK, BODY, CHOICE, ASKED, EVER,
);
problems!(CertificateProblems: &[UnknownCertificate, Pending], CHOICE, ASKED, EVER);

/// Enrol or renew.
///
/// A PKCS#10 request (RFC 2986), DER or PEM; or JSON with signed statements beside it. Its subject
/// is empty or names the user and nobody else. A first certificate enrols the identity; a further
/// one over the same key renews it. Another key is refused here, whoever asks.
#[utoipa::path(
    post, path = "/api/v1/identities/{uid}/certificates",
    tag = "certificates", operation_id = "issue",
    params(Uid, IdempotencyKey, IfMatch),
    request_body(content(
        (inline(Binary) = "application/pkcs10"),
        (CertificateRequest = "application/json"),
    )),
    responses(
        (status = CREATED, description = "A new certificate",
            headers(("location" = String, description = "Where it is fetched")),
            content(
                (Certificate = "application/json"),
                (inline(Text) = "application/pem-certificate-chain"),
            )),
        (status = OK, description = "The certificate that the same request had made before",
            headers(("location" = String, description = "Where it is fetched")),
            content(
                (Certificate = "application/json"),
                (inline(Text) = "application/pem-certificate-chain"),
            )),
        IssueProblems,
    ),
    security((), ("agent" = [])),
)]
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
    if is_conditional(&headers) {
        unchanged(&app, &context, uid.clone(), &headers).await?;
    }
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

/// One certificate.
///
/// As JSON, as a PEM chain up to (without) the root, or alone as DER.
#[utoipa::path(
    get, path = "/api/v1/certificates/{serial}", tag = "certificates", operation_id = "certificate",
    params(Serial),
    responses(
        (status = OK, description = "The certificate",
            content(
                (Certificate = "application/json"),
                (inline(Text) = "application/pem-certificate-chain"),
                (inline(Binary) = "application/pkix-cert"),
            )),
        CertificateProblems,
    ),
)]
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

/// Revoke a certificate.
///
/// It is in the next CRL, which is made at once, and stays revoked.
#[utoipa::path(
    post, path = "/api/v1/certificates/{serial}/revocation",
    tag = "certificates", operation_id = "revoke",
    params(Serial, IfMatch),
    request_body(content = RevocationRequest, content_type = "application/json"),
    responses(
        (status = OK, description = "The revoked certificate", body = Certificate),
        RevokeProblems,
    ),
    security((), ("agent" = [])),
)]
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
    // What is malformed is so in any state.
    if RevocationReason::from_name(&request.reason).is_none() {
        let names: Vec<_> = RevocationReason::ALL.iter().map(|reason| reason.name()).collect();
        return Err(Problem::new(MalformedRequest, "this is not a reason for revocation")
            .expected(names.join(", "), request.reason)
            .into());
    }
    if is_conditional(&headers) {
        let question = RequestBody::Certificate { serial: serial.clone() };
        let answer = app.authority.ask(&context, question).await?;
        let ResponseBody::Certificate { certificate, .. } = answer else {
            return Err(unexpected(&answer));
        };
        unchanged(&app, &context, certificate.uid, &headers).await?;
    }
    let question = RequestBody::Revoke { serial, reason: request.reason, signed };
    let answer = app.authority.ask(&context, question).await?;
    let ResponseBody::Certificate { certificate, .. } = answer else {
        return Err(unexpected(&answer));
    };
    // Whoever was told of the revocation finds it in the next list that he fetches here.
    app.crls.clear();
    represent(&certificate, form)
}

/// Whether the identity is in the state that If-Match names. Looked at just before the request is
/// passed on: an event in between is not noticed here, but by a signed intent it is.
pub(super) async fn unchanged(
    app: &App,
    context: &Context,
    uid: UserId,
    headers: &HeaderMap,
) -> Result<(), Refusal> {
    let etag = match app.authority.ask(context, RequestBody::Identity { uid }).await {
        Ok(ResponseBody::Identity(identity)) => Some(etag(&identity)),
        Ok(other) => return Err(unexpected(&other)),
        Err(problem) if problem.code == UnknownIdentity => None,
        Err(problem) => return Err(problem.into()),
    };
    if matches(headers, etag.as_deref()) {
        return Ok(());
    }
    let detail = match &etag {
        Some(etag) => format!("the identity's entity tag is {etag}, which If-Match does not name"),
        None => "there is no such identity yet, so If-Match can name no state of it".to_owned(),
    };
    Err(Refusal::new(PreconditionFailed, detail))
}

fn represent(certificate: &Certificate, form: &'static str) -> Result<Response, Refusal> {
    let response = match form {
        PEM_CHAIN => content(PEM_CHAIN, pem_chain(certificate)?),
        PKIX_CERT => {
            let der = CertificateDer::from_pem_slice(leaf(certificate)?.as_bytes())
                .map_err(|error| Refusal::new(Internal, error.to_string()))?;
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
        Problem::new(Pending, "the certificate is recorded and not signed yet").into()
    })
}
