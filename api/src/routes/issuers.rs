//! Issuing certificates and CRLs: public, signed by others, and fetched by everybody's software
//! (RFC 5280 sections 4.2.1.13 and 4.2.2.1), so also over plain HTTP.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use wire::problem::Problem;
use wire::problem::ProblemCode::{HsmUnavailable, UnknownCrl, UnknownIssuer};
use wire::rest::Issuer;
use wire::socket::{RequestBody, ResponseBody};

use super::{App, cached, content, etag_of, json, unexpected, vary};
use crate::input::{Context, IssuerId, Shard};
use crate::negotiate::{JSON, PEM_CHAIN, PEM_FILE, PKIX_CERT, PKIX_CRL, negotiate, not_modified};
use crate::openapi::parameters::IfNoneMatch;
use crate::openapi::problems::{ASKED, CHOICE, EVER, problems};
use crate::openapi::{Binary, Text};
use crate::problem::Refusal;

/// Seconds that others may keep issuing certificates and CRLs, at most.
const MAX_AGE: u64 = 300;

/// A CRL as it is kept.
#[derive(Debug)]
pub(crate) struct Crl {
    der: Bytes,
    etag: String,
    /// Seconds since 1970.
    next_update: u64,
}

problems!(ListProblems: CHOICE, ASKED, EVER);
problems!(IssuerProblems: &[UnknownIssuer], CHOICE, ASKED, EVER);
problems!(FileProblems: &[UnknownIssuer], ASKED, EVER);
problems!(CrlProblems: &[UnknownIssuer, UnknownCrl, HsmUnavailable], CHOICE, ASKED, EVER);

/// All issuing certificate authorities.
#[utoipa::path(
    get, path = "/api/v1/issuers", tag = "issuers", operation_id = "issuers",
    responses(
        (status = OK, description = "All of them", body = Vec<Issuer>),
        ListProblems,
    ),
)]
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    context: Context,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    negotiate(&headers, &[JSON])?;
    json(&app.known(&context).await?.installation.issuers)
}

/// One issuing certificate authority.
#[utoipa::path(
    get, path = "/api/v1/issuers/{issuer}", tag = "issuers", operation_id = "issuer",
    params(IssuerId),
    responses(
        (status = OK, description = "The issuer", body = Issuer),
        IssuerProblems,
    ),
)]
pub(crate) async fn issuer(
    State(app): State<Arc<App>>,
    context: Context,
    IssuerId(id): IssuerId,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    negotiate(&headers, &[JSON])?;
    let known = app.known(&context).await?;
    json(known.issuer(&id)?.0)
}

/// An issuer's certificates up to the root, without it, PEM.
#[utoipa::path(
    get, path = "/api/v1/issuers/{issuer}/chain.pem", tag = "issuers", operation_id = "chain",
    params(IssuerId, IfNoneMatch),
    responses(
        (status = OK, description = "The chain", body = inline(Text),
            content_type = "application/pem-certificate-chain", headers(("etag" = String))),
        (status = NOT_MODIFIED, description = "The one at hand is the present one"),
        FileProblems,
    ),
)]
pub(crate) async fn chain(
    State(app): State<Arc<App>>,
    context: Context,
    IssuerId(id): IssuerId,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    // By its name everybody knows what it is: a browser's Accept header must not refuse it.
    let known = app.known(&context).await?;
    let (issuer, der) = known.issuer(&id)?;
    let pem = format!("{}\n", issuer.certificate.trim_end());
    Ok(file(&headers, PEM_CHAIN, pem, &tag(der, "pem"), MAX_AGE))
}

/// An issuer's certificate, DER.
///
/// Certificates name this address (authority information access, RFC 5280 section 4.2.2.1).
#[utoipa::path(
    get, path = "/api/v1/issuers/{issuer}/certificate.der", tag = "issuers", operation_id = "issuer_certificate",
    params(IssuerId, IfNoneMatch),
    responses(
        (status = OK, description = "The certificate", body = inline(Binary),
            content_type = "application/pkix-cert", headers(("etag" = String))),
        (status = NOT_MODIFIED, description = "The one at hand is the present one"),
        FileProblems,
    ),
)]
pub(crate) async fn certificate(
    State(app): State<Arc<App>>,
    context: Context,
    IssuerId(id): IssuerId,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let known = app.known(&context).await?;
    let (_, der) = known.issuer(&id)?;
    Ok(file(&headers, PKIX_CERT, der.clone(), &tag(der, "der"), MAX_AGE))
}

/// The CRL of an issuer that has only one.
#[utoipa::path(
    get, path = "/api/v1/issuers/{issuer}/crl", tag = "issuers", operation_id = "only_crl",
    params(IssuerId, IfNoneMatch),
    responses(
        (status = OK, description = "The CRL", headers(("etag" = String)),
            content(
                (inline(Binary) = "application/pkix-crl"),
                (inline(Text) = "application/x-pem-file"),
            )),
        (status = NOT_MODIFIED, description = "The one at hand is the present one"),
        CrlProblems,
    ),
)]
pub(crate) async fn only_crl(
    State(app): State<Arc<App>>,
    context: Context,
    IssuerId(id): IssuerId,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let known = app.known(&context).await?;
    let shards = known.issuer(&id)?.0.crl_shards;
    if shards > 1 {
        let detail = format!("this issuer has {shards} CRLs, and none that covers everything");
        let expected = format!("/crl/0 to /crl/{}", shards - 1);
        return Err(Problem::new(UnknownCrl, detail).expected(expected, "/crl").into());
    }
    answer(&app, &context, id, 0, &headers).await
}

/// One CRL of an issuer, DER, or PEM for those who ask.
///
/// Certificates name this address (CRL distribution points, RFC 5280 section 4.2.1.13).
#[utoipa::path(
    get, path = "/api/v1/issuers/{issuer}/crl/{shard}", tag = "issuers", operation_id = "crl",
    params(IssuerId, Shard, IfNoneMatch),
    responses(
        (status = OK, description = "The CRL", headers(("etag" = String)),
            content(
                (inline(Binary) = "application/pkix-crl"),
                (inline(Text) = "application/x-pem-file"),
            )),
        (status = NOT_MODIFIED, description = "The one at hand is the present one"),
        CrlProblems,
    ),
)]
pub(crate) async fn crl(
    State(app): State<Arc<App>>,
    context: Context,
    IssuerId(id): IssuerId,
    Shard(shard): Shard,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let known = app.known(&context).await?;
    // Only what exists gets a place in the cache.
    let shards = known.issuer(&id)?.0.crl_shards;
    if shard >= shards {
        let detail = format!("this issuer has {shards} CRLs, counted from 0");
        let found = shard.to_string();
        return Err(Problem::new(UnknownCrl, detail)
            .expected(format!("less than {shards}"), found)
            .into());
    }
    answer(&app, &context, id, shard, &headers).await
}

async fn answer(
    app: &App,
    context: &Context,
    issuer: String,
    shard: u32,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let form = negotiate(headers, &[PKIX_CRL, PEM_FILE])?;
    let key = (issuer.clone(), shard);
    let crl = app
        .crls
        .get(
            key,
            |crl| crl.der.len(),
            async || {
                let question = RequestBody::Crl { issuer, shard };
                let answer = app.authority.ask(context, question).await?;
                let ResponseBody::Crl { der, next_update } = answer else {
                    return Err(unexpected(&answer));
                };
                let etag = etag_of(&der);
                let der = Bytes::from(der.into_vec());
                let fresh = Duration::from_secs(seconds_until(next_update)).min(app.cache_age);
                Ok((Crl { der, etag, next_update }, fresh))
            },
        )
        .await?;
    let max_age = seconds_until(crl.next_update).min(MAX_AGE);
    Ok(vary(if form == PEM_FILE {
        file(headers, PEM_FILE, pem_crl(&crl.der), &tag(&crl.der, "pem"), max_age)
    } else {
        file(headers, PKIX_CRL, crl.der.clone(), &crl.etag, max_age)
    }))
}

/// A public file that may be kept for `max_age` seconds.
fn file(
    headers: &HeaderMap,
    media_type: &'static str,
    body: impl IntoResponse,
    etag: &str,
    max_age: u64,
) -> Response {
    let response = if not_modified(headers, etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        content(media_type, body)
    };
    cached(response, etag, &format!("public, max-age={max_age}"))
}

/// The entity tag of another form of `der`.
fn tag(der: &[u8], form: &str) -> String {
    let tag = etag_of(der);
    format!("{}-{form}\"", tag.trim_end_matches('"'))
}

fn seconds_until(time: u64) -> u64 {
    // A clock before 1970 lets nothing be kept.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(u64::MAX, |d| d.as_secs());
    time.saturating_sub(now)
}

/// RFC 7468 section 6.
fn pem_crl(der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut text = String::with_capacity(base64.len() + base64.len() / 64 + 64);
    text.push_str("-----BEGIN X509 CRL-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END X509 CRL-----\n");
    text
}
