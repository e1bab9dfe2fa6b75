//! What a request says, parsed whole before anything is done with it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath, Query};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::request::Parts;
use http::{HeaderMap, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;
use tokio::time::Instant;
use wire::problem::{Problem, ProblemCode};
use wire::rest::{CertificateQuery, CertificateRequest, IdentityQuery, SignedRequest};
use wire::socket::{PageRequest, Peer, Signed};
use wire::{Hash32, IdempotencyKey, SerialNumber, UserId};

use crate::negotiate::JSON;
use crate::problem::Refusal;
use crate::routes::TILES;

/// RFC 5967 section 3.
const PKCS10: &str = "application/pkcs10";
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Entries of a page where the caller names no limit, and the most that may be named.
pub(crate) const PAGE_DEFAULT: u32 = 100;
pub(crate) const PAGE_MAX: u32 = 1000;
/// Greatest length of a cursor, in bytes.
pub(crate) const CURSOR_MAX: usize = 512;

/// Who asks, under which id, and until when; the edge puts it into every request.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) request_id: Arc<str>,
    pub(crate) peer: Option<Arc<Peer>>,
    pub(crate) deadline: Instant,
}

impl<S: Sync> FromRequestParts<S> for Context {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let missing = || Refusal::new(ProblemCode::Internal, "a request without its context");
        parts.extensions.get::<Self>().cloned().ok_or_else(missing)
    }
}

/// The segment of the path that stands where the route has `{name}`, percent-encoded as it came.
/// axum's own `Path` decodes to UTF-8 first and answers for itself when that fails.
fn raw_segment<'a>(parts: &'a Parts, name: &str) -> Result<&'a str, Refusal> {
    let route = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str).unwrap_or_default();
    segment(&parts.uri, route, name)
        .ok_or_else(|| Refusal::new(ProblemCode::Internal, format!("a route without {name}")))
}

fn segment<'a>(uri: &'a Uri, route: &str, name: &str) -> Option<&'a str> {
    let index = route.split('/').position(|part| part == name)?;
    uri.path().split('/').nth(index)
}

/// `{uid}`.
#[derive(Debug)]
pub(crate) struct Uid(pub(crate) UserId);

impl<S: Sync> FromRequestParts<S> for Uid {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let raw = raw_segment(parts, "{uid}")?;
        let uid = UserId::from_path_segment(raw).map_err(|e| {
            Refusal::malformed(e.to_string(), "a user id of 1 to 64 bytes, percent-encoded", raw)
        })?;
        Ok(Self(uid))
    }
}

/// `{serial}`, in lower case.
#[derive(Debug)]
pub(crate) struct Serial(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for Serial {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let raw = raw_segment(parts, "{serial}")?;
        let serial = SerialNumber::from_hex(raw).map_err(|error| {
            Problem::new(ProblemCode::UnknownCertificate, error.to_string())
                .expected("32 hexadecimal digits", raw)
        })?;
        Ok(Self(serial.to_string()))
    }
}

/// `{id}` of a switch: the hash of its intent.
#[derive(Debug)]
pub(crate) struct SwitchId(pub(crate) Hash32);

impl<S: Sync> FromRequestParts<S> for SwitchId {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let raw = raw_segment(parts, "{id}")?;
        let id = Hash32::from_hex(raw).map_err(|error| {
            Problem::new(ProblemCode::NoPendingSwitch, error.to_string())
                .expected("64 hexadecimal digits", raw)
        })?;
        Ok(Self(id))
    }
}

/// `{issuer}`, whatever it is; it is looked up, not parsed.
#[derive(Debug)]
pub(crate) struct IssuerId(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for IssuerId {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        Ok(Self(raw_segment(parts, "{issuer}")?.to_ascii_lowercase()))
    }
}

/// `{shard}`: a number, with or without `.crl`.
#[derive(Debug)]
pub(crate) struct Shard(pub(crate) u32);

impl<S: Sync> FromRequestParts<S> for Shard {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let raw = raw_segment(parts, "{shard}")?;
        let number = raw.strip_suffix(".crl").unwrap_or(raw);
        // Digits only: `parse` would take a plus sign, too.
        let digits = number.bytes().all(|b| b.is_ascii_digit());
        let shard = number.parse().ok().filter(|_| digits).ok_or_else(|| {
            Problem::new(ProblemCode::UnknownCrl, "CRLs have numbers").expected("a number", raw)
        })?;
        Ok(Self(shard))
    }
}

/// `?cursor=` and `?limit=`.
#[derive(Debug)]
pub(crate) struct Page(pub(crate) PageRequest);

impl<S: Sync> FromRequestParts<S> for Page {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        page(&parts.uri).map(Self)
    }
}

/// The values of the query's parameters, each of which may stand once and no others at all.
fn query<const N: usize>(uri: &Uri, known: [&str; N]) -> Result<[Option<String>; N], Refusal> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|error| {
        let found = uri.query().unwrap_or_default();
        Refusal::malformed(format!("the query: {error}"), "name=value pairs in UTF-8", found)
    })?;
    let mut values = [const { None }; N];
    for (name, value) in pairs {
        let Some(index) = known.iter().position(|known| *known == name) else {
            let detail = format!("the query parameter {name:?} is not known here");
            let problem = Problem::new(ProblemCode::MalformedRequest, detail);
            return Err(problem.expected(known.join(", "), name).into());
        };
        if values[index].replace(value).is_some() {
            let detail = format!("the query parameter {name} stands twice");
            return Err(Refusal::malformed(detail, format!("{name} once"), "twice"));
        }
    }
    Ok(values)
}

fn page(uri: &Uri) -> Result<PageRequest, Refusal> {
    let [cursor, limit] = query(uri, ["cursor", "limit"])?;
    page_of(cursor, limit)
}

fn page_of(cursor: Option<String>, limit: Option<String>) -> Result<PageRequest, Refusal> {
    let limit = match limit {
        None => PAGE_DEFAULT,
        Some(text) => {
            text.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit)).ok_or_else(|| {
                Problem::new(ProblemCode::MalformedRequest, "the query parameter limit")
                    .expected(format!("a number from 1 to {PAGE_MAX}"), text)
            })?
        }
    };
    let fits = |c: &String| (1..=CURSOR_MAX).contains(&c.len()) && c.is_ascii();
    if cursor.as_ref().is_some_and(|cursor| !fits(cursor)) {
        let detail = "the query parameter cursor is not one that a page gave";
        let found = cursor.unwrap_or_default();
        return Err(Refusal::malformed(detail, "`next` of the page before", found));
    }
    Ok(PageRequest { cursor, limit })
}

/// What certificates are looked for, and which page.
#[derive(Debug)]
pub(crate) struct CertificateSearch(pub(crate) CertificateQuery, pub(crate) PageRequest);

impl<S: Sync> FromRequestParts<S> for CertificateSearch {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let known = [
            "user",
            "key",
            "status",
            "expires_after",
            "expires_before",
            "issuer",
            "serial",
            "cursor",
            "limit",
        ];
        let [user, key, status, expires_after, expires_before, issuer, serial, cursor, limit] =
            query(&parts.uri, known)?;
        let query = CertificateQuery {
            user,
            key: key.as_deref().map(key_hash).transpose()?,
            status: status.map(named).transpose()?,
            expires_after,
            expires_before,
            issuer: issuer.map(issuer_id).transpose()?,
            serial,
        };
        Ok(Self(query, page_of(cursor, limit)?))
    }
}

/// What identities are looked for, and which page.
#[derive(Debug)]
pub(crate) struct IdentitySearch(pub(crate) IdentityQuery, pub(crate) PageRequest);

impl<S: Sync> FromRequestParts<S> for IdentitySearch {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let known = ["user", "key", "status", "serial", "cursor", "limit"];
        let [user, key, status, serial, cursor, limit] = query(&parts.uri, known)?;
        let query = IdentityQuery {
            user,
            key: key.as_deref().map(key_hash).transpose()?,
            status: status.map(named).transpose()?,
            serial,
        };
        Ok(Self(query, page_of(cursor, limit)?))
    }
}

fn issuer_id(text: String) -> Result<String, Refusal> {
    let hexadecimal = text.bytes().all(|b| b.is_ascii_hexdigit());
    if hexadecimal && (16..=128).contains(&text.len()) {
        return Ok(text.to_ascii_lowercase());
    }
    let problem = Problem::new(ProblemCode::MalformedRequest, "the query parameter issuer");
    Err(problem.expected("an issuer's id, hexadecimal digits", text).into())
}

fn key_hash(text: &str) -> Result<Hash32, Refusal> {
    Hash32::from_hex(text).map_err(|_| {
        let problem = Problem::new(ProblemCode::MalformedRequest, "the query parameter key");
        problem.expected("SHA-256 of a SubjectPublicKeyInfo, 64 hexadecimal digits", text).into()
    })
}

/// A status by its name.
fn named<T: DeserializeOwned>(text: String) -> Result<T, Refusal> {
    serde_json::from_value(text.clone().into()).map_err(|error| {
        let problem = Problem::new(ProblemCode::MalformedRequest, "the query parameter status");
        problem.expected(error.to_string(), text).into()
    })
}

/// `?since=`.
#[derive(Debug)]
pub(crate) struct Since(pub(crate) u64);

impl Since {
    /// The greatest number that every JSON reader takes (RFC 8259 section 6).
    pub(crate) const MAX: u64 = (1 << 53) - 1;
}

impl<S: Sync> FromRequestParts<S> for Since {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let [since] = query(&parts.uri, ["since"])?;
        let Some(text) = since else { return Ok(Self(0)) };
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        let since = text.parse().ok().filter(|since| digits && *since <= Self::MAX);
        let since = since.ok_or_else(|| {
            Problem::new(ProblemCode::MalformedRequest, "the query parameter since")
                .expected("the number of an event", text)
        })?;
        Ok(Self(since))
    }
}

/// The path of a tile (C2SP tlog-tiles), in the one way in which it is written.
#[derive(Debug)]
pub(crate) struct Tile(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for Tile {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let path = parts.uri.path();
        let path = path.strip_prefix(TILES).filter(|path| is_tile(path)).ok_or_else(|| {
            Problem::new(ProblemCode::UnknownTile, "this is no tile's path")
                .expected("as 0/x001/234 or entries/000.p/5", path)
        })?;
        Ok(Self(path.to_owned()))
    }
}

/// Whether this is `L/N` or `L/N.p/W`: L from 0 to 63 or `entries`, N in groups of three digits, all
/// but the last after an `x`, W from 1 to 255, nowhere a needless zero.
fn is_tile(path: &str) -> bool {
    let number = |text: &str, max: u8| {
        let plain = text == "0" || !text.starts_with('0');
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|&number: &u8| plain && digits && number <= max)
    };
    let Some((level, index)) = path.split_once('/') else { return false };
    let index = match index.split_once(".p/") {
        None => index,
        Some((index, width)) if number(width, u8::MAX).is_some_and(|width| width > 0) => index,
        Some(_) => return false,
    };
    let group = |text: &str| text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
    let mut groups = index.rsplit('/');
    let last = groups.next().is_some_and(group);
    // The whole index is a number of 64 bits: seven groups.
    let before: Vec<_> = groups.collect();
    let sound = before.iter().all(|text| text.strip_prefix('x').is_some_and(group));
    (level == "entries" || number(level, 63).is_some())
        && last
        && sound
        && before.len() <= 6
        && before.last() != Some(&"x000")
}

/// The value of a header that may stand once, as text.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        let detail = format!("the header {name} stands twice");
        return Err(Refusal::malformed(detail, format!("{name} once"), "twice"));
    }
    let text = value.to_str().map_err(|_| {
        let detail = format!("the header {name} holds other than visible ASCII characters");
        Refusal::malformed(
            detail,
            "visible ASCII characters",
            value.as_bytes().escape_ascii().to_string(),
        )
    })?;
    Ok(Some(text))
}

/// The Idempotency-Key, where there is one.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Refusal> {
    single(headers, &IDEMPOTENCY_KEY)?
        .map(|text| {
            IdempotencyKey::parse(text).map_err(|e| {
                Refusal::malformed(e.to_string(), "1 to 128 visible ASCII characters", text)
            })
        })
        .transpose()
}

/// The media type of the body, one of `taken`.
fn media_type(headers: &HeaderMap, taken: &[&'static str]) -> Result<&'static str, Refusal> {
    let refused = |detail: &str, found: &str| -> Refusal {
        Problem::new(ProblemCode::UnsupportedMediaType, detail)
            .expected(taken.join(", "), found)
            .into()
    };
    if let Some(coding) = single(headers, &CONTENT_ENCODING)?
        && !coding.eq_ignore_ascii_case("identity")
    {
        return Err(refused("bodies are taken without a content coding", coding));
    }
    let found = single(headers, &CONTENT_TYPE)?.unwrap_or_default();
    let essence = found.split(';').next().unwrap_or_default().trim();
    taken.iter().copied().find(|kind| kind.eq_ignore_ascii_case(essence)).ok_or_else(|| {
        let offered = taken.join(" or ");
        refused(&format!("Content-Type must be {offered}"), found)
    })
}

/// The body, when it is no longer than `limit` bytes and arrives before the deadline.
async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    deadline: Instant,
) -> Result<Bytes, Refusal> {
    let oversize = |found: String| -> Refusal {
        Problem::new(ProblemCode::Oversize, format!("a body has at most {limit} bytes"))
            .expected(format!("at most {limit} bytes"), found)
            .into()
    };
    // Refused by its announcement, before the caller sends it all.
    if let Some(length) = single(headers, &CONTENT_LENGTH)?
        && length.parse::<u64>().is_ok_and(|length| length > limit as u64)
    {
        return Err(oversize(format!("{length} bytes")));
    }
    let collected = tokio::time::timeout_at(deadline, Limited::new(body, limit).collect()).await;
    match collected {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(oversize("more".to_owned())),
        Ok(Err(error)) => {
            let detail = format!("the body ended early: {error}");
            Err(Refusal::malformed(detail, "the whole body", "a part of it"))
        }
        Err(_) => {
            let detail = "the body did not arrive before the request's deadline";
            Err(Refusal::new(ProblemCode::RequestTimeout, detail))
        }
    }
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| {
        let expected = "JSON of the form that /openapi.json describes";
        Refusal::malformed(format!("the body: {error}"), expected, error.to_string())
    })
}

/// Reads a JSON body.
pub(crate) async fn read_json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    deadline: Instant,
) -> Result<T, Refusal> {
    media_type(headers, &[JSON])?;
    json(&read(headers, body, limit, deadline).await?)
}

/// A certification request as it came, and who vouches for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Submission {
    pub(crate) csr: ByteBuf,
    pub(crate) signed: Signed,
}

impl Submission {
    /// Reads a PKCS#10 request, bare or with statements in JSON. What is in it the authority says.
    pub(crate) async fn read(
        headers: &HeaderMap,
        body: Body,
        limit: usize,
        deadline: Instant,
    ) -> Result<Self, Refusal> {
        let kind = media_type(headers, &[PKCS10, JSON])?;
        let body = read(headers, body, limit, deadline).await?;
        if kind == PKCS10 {
            let csr = ByteBuf::from(Vec::from(body));
            return Ok(Self { csr, signed: Signed::default() });
        }
        let request: CertificateRequest = json(&body)?;
        let signed = Signed {
            id_tokens: request.id_tokens,
            addresses: all_decoded("addresses", &request.addresses)?,
            ..signed(request.intent.as_deref(), &request.statements)?
        };
        Ok(Self { csr: ByteBuf::from(request.csr.into_bytes()), signed })
    }
}

/// Signed material out of its base64.
pub(crate) fn signed(intent: Option<&str>, statements: &[String]) -> Result<Signed, Refusal> {
    let intent = intent.map(|text| decoded("intent", text)).transpose()?;
    let statements = all_decoded("statements", statements)?;
    Ok(Signed { intent, statements, ..Signed::default() })
}

/// All that a request by an intent brings: the certification request as it came, and what was
/// signed.
pub(crate) fn signed_request(request: SignedRequest) -> Result<(Option<ByteBuf>, Signed), Refusal> {
    let signed = Signed {
        assertions: all_decoded("assertions", &request.assertions)?,
        id_tokens: request.id_tokens,
        public_keys: all_decoded("public_keys", &request.public_keys)?,
        addresses: all_decoded("addresses", &request.addresses)?,
        ..signed(request.intent.as_deref(), &request.statements)?
    };
    Ok((request.csr.map(|csr| ByteBuf::from(csr.into_bytes())), signed))
}

/// Bytes out of their base64.
pub(crate) fn decoded(what: &str, text: &str) -> Result<ByteBuf, Refusal> {
    STANDARD.decode(text).map(ByteBuf::from).map_err(|error| {
        let detail = format!("{what} is not base64: {error}");
        Refusal::malformed(detail, "base64 with padding (RFC 4648 4)", error.to_string())
    })
}

fn all_decoded(what: &str, texts: &[String]) -> Result<Vec<ByteBuf>, Refusal> {
    let texts = texts.iter().enumerate();
    texts.map(|(index, text)| decoded(&format!("{what}[{index}]"), text)).collect()
}

#[cfg(test)]
mod tests;
