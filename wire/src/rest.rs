//! JSON shapes of the HTTP API under `/api/v1`. Times are RFC 3339 in UTC, hashes and serial
//! numbers lower-case hexadecimal. Members that do not apply are `null`.

mod moves;

use serde::{Deserialize, Serialize};

use crate::problem::Problem;
use crate::{Hash32, Realm, UserId};

pub use moves::{
    Done, KeyChange, Keyholder, Policy, SignedRequest, SimulateRequest, Switch, SwitchApproval,
    SwitchStatus, Way,
};

/// Whether a certificate can be relied on, by the authority's books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum CertificateStatus {
    /// Recorded, not signed yet.
    Pending,
    /// Signed and not revoked (its validity may be over).
    Good,
    /// Revoked.
    Revoked,
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Certificate {
    /// Serial number, 32 hexadecimal digits.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[0-9a-f]{32}$"))]
    pub serial: String,
    /// Whom it names.
    pub uid: UserId,
    /// The event it follows from: `enrol`, `renew`, …
    pub event: String,
    /// Number of that event in the identity's history.
    pub sequence: u64,
    /// Index of that event's leaf in the log.
    pub leaf_index: u64,
    /// Whether it can be relied on.
    pub status: CertificateStatus,
    /// Why it was revoked.
    pub revocation_reason: Option<String>,
    /// When it was revoked.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub revoked_at: Option<String>,
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub spki_sha256: Hash32,
    /// notBefore.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub not_before: String,
    /// notAfter.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub not_after: String,
    /// Id of the issuer, for `/issuers/{id}`.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[0-9a-f]{16,128}$"))]
    pub issuer: String,
    /// The certificate, PEM; `null` while pending.
    pub certificate: Option<String>,
    /// Issuing certificates up to, without, the root, PEM.
    pub chain: Vec<String>,
    /// How the request was vouched for; `transport` marks a development installation.
    pub evidence: Vec<String>,
}

/// State of an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum IdentityStatus {
    /// It can be shared with.
    Active,
    /// It cannot be shared with for now.
    Suspended,
    /// It has ended.
    Retired,
}

/// An identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Identity {
    /// Its id.
    pub uid: UserId,
    /// Its status.
    pub status: IdentityStatus,
    /// Number of its latest event; goes into the ETag.
    pub sequence: u64,
    /// Leaf hash of its latest event.
    pub head: Hash32,
    /// Its current key, if it has one.
    pub key: Option<IdentityKey>,
    /// Serial number of its latest certificate over that key.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[0-9a-f]{32}$"))]
    pub serial: Option<String>,
    /// When its first event was.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub created: String,
    /// When its latest event was.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub updated: String,
}

/// An identity's current key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IdentityKey {
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub spki_sha256: Hash32,
    /// Its number: 0 for the first, one more for each change.
    pub number: u64,
    /// `P-256`, `P-384`, `RSA-2048`, …
    pub algorithm: String,
    /// Whether its holder proved possession.
    pub possession_proven: bool,
}

/// One line of an identity's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HistoryEntry {
    /// When.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub at: String,
    /// `accepted` (an event of the log) or `refused` (nothing changed).
    pub outcome: Outcome,
    /// What was done, or asked for.
    pub event: String,
    /// Number in the identity's history; accepted events only.
    pub sequence: Option<u64>,
    /// Index of the leaf; accepted events only.
    pub leaf_index: Option<u64>,
    /// Serial number of the certificate it is about.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[0-9a-f]{32}$"))]
    pub serial: Option<String>,
    /// SHA-256 of the SubjectPublicKeyInfo it is about.
    pub spki_sha256: Option<Hash32>,
    /// How it was vouched for.
    pub evidence: Vec<String>,
    /// Why it was refused.
    pub problem: Option<String>,
    /// The refusal in words; or the revocation's reason.
    pub detail: Option<String>,
}

/// Whether something was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Outcome {
    /// It was done.
    Accepted,
    /// It was refused; nothing changed.
    Refused,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The entries, in order.
    pub items: Vec<T>,
    /// Cursor of the next page; `null` at the end.
    pub next: Option<String>,
}

/// An issuing certificate authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Issuer {
    /// Its id: the identifier of its key (SubjectKeyIdentifier), hexadecimal.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[0-9a-f]{16,128}$"))]
    pub id: String,
    /// Its subject, RFC 4514.
    pub subject: String,
    /// Algorithm of its key.
    pub algorithm: String,
    /// Its certificate, PEM.
    pub certificate: String,
    /// Number of CRL shards.
    pub crl_shards: u32,
    /// What it signs, where that is not everything; whether its key counts as HSM-held, and why or
    /// why not.
    pub protection: String,
}

/// What the installation is, for clients and `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Installation {
    /// Its realm.
    pub realm: Realm,
    /// Hash of its genesis event.
    pub genesis: Hash32,
    /// Hash of the policy in force; intents name it.
    pub policy: Hash32,
    /// Its step of the ladder: `software-key`, `hsm`, …
    pub ladder: String,
    /// What its operators should know: everything allowed for development only, in words.
    pub warnings: Vec<String>,
    /// Greatest age of a status, in seconds.
    pub max_status_age: u64,
    /// The root certificate, PEM. Clients take it from their trust file instead.
    pub root: String,
    /// Its issuers.
    pub issuers: Vec<Issuer>,
}

/// Body of POST `/identities/{uid}/certificates` when sent as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CertificateRequest {
    /// The certification request, PEM.
    pub csr: String,
    /// The intent that the statements sign, base64 DER.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(content_encoding = "base64", nullable))]
    pub intent: Option<String>,
    /// Signed statements, base64 DER.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(default))]
    pub statements: Vec<String>,
    /// ID tokens, compact JWS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(default))]
    pub id_tokens: Vec<String>,
    /// Addresses of the channels that the intent names, sealed for the authority, base64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(default))]
    pub addresses: Vec<String>,
}

/// Body of POST `/certificates/{serial}/revocation`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RevocationRequest {
    /// `unspecified`, `key-compromise`, `affiliation-changed`, `superseded`,
    /// `cessation-of-operation`.
    pub reason: String,
    /// The intent that the statements sign, base64 DER.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(content_encoding = "base64", nullable))]
    pub intent: Option<String>,
    /// Signed statements, base64 DER.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(default))]
    pub statements: Vec<String>,
}

/// Which certificates are looked for: all that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateQuery {
    /// What the user id begins with.
    pub user: Option<String>,
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub key: Option<Hash32>,
    /// Status.
    pub status: Option<CertificateStatus>,
    /// notAfter is then or later, RFC 3339.
    pub expires_after: Option<String>,
    /// notAfter is before that, RFC 3339.
    pub expires_before: Option<String>,
    /// Id of the issuer.
    pub issuer: Option<String>,
    /// Serial number, 32 hexadecimal digits.
    pub serial: Option<String>,
}

/// Which identities are looked for: all that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityQuery {
    /// What the id begins with.
    pub user: Option<String>,
    /// SHA-256 of the SubjectPublicKeyInfo of a key that it has or had.
    pub key: Option<Hash32>,
    /// Status.
    pub status: Option<IdentityStatus>,
    /// Serial number of a certificate of its, 32 hexadecimal digits.
    pub serial: Option<String>,
}

/// What `/health/ready` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    /// Whether requests are taken and finished.
    pub ready: bool,
    /// `ok`, or what is wrong, by part.
    pub parts: Vec<HealthPart>,
}

/// One part's health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HealthPart {
    /// `store`, `hsm`, `log`.
    pub name: String,
    /// Whether it works.
    pub ok: bool,
    /// In words.
    pub detail: String,
}

/// A problem as JSON (RFC 9457 section 3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Problem))]
pub struct ProblemJson {
    /// URI of the page that explains it.
    #[serde(rename = "type")]
    pub type_uri: String,
    /// One line, the same for every occurrence.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// `urn:avouch:request:` and the request's id, which the server's log has too.
    pub instance: String,
    /// The stable code.
    pub code: String,
    /// The rule that refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What would have been taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What was there instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What the caller can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Byte offset in the request's DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

impl ProblemJson {
    /// Puts a problem into its JSON shape. `pages` is the URI below which the pages are served.
    #[must_use]
    pub fn new(problem: &Problem, pages: &str, request_id: &str) -> Self {
        Self {
            type_uri: format!("{pages}{}", problem.code.slug()),
            title: problem.code.title().to_owned(),
            status: problem.code.status(),
            detail: problem.detail.clone(),
            instance: format!("urn:avouch:request:{request_id}"),
            code: problem.code.slug().to_owned(),
            rule: problem.rule.clone(),
            expected: problem.expected.clone(),
            found: problem.found.clone(),
            remedy: Some(
                problem.remedy.clone().unwrap_or_else(|| problem.code.remedy().to_owned()),
            ),
            offset: problem.offset,
        }
    }
}
