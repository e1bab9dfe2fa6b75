//! Problems (RFC 9457): every refusal and failure that a caller can meet.

use serde::{Deserialize, Serialize};

macro_rules! problems {
    ($($(#[$meta:meta])* $variant:ident = $slug:literal, $status:literal, $title:literal, $page:literal;)+) => {
        /// A stable code. The problem's type URI ends in it, and the server has a page for each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum ProblemCode { $(#[doc = $title] $(#[$meta])* $variant,)+ }

        impl ProblemCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The code as it stands at the end of the type URI.
            #[must_use]
            pub fn slug(self) -> &'static str {
                match self { $(Self::$variant => $slug,)+ }
            }

            /// The HTTP status (RFC 9110 section 15).
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }

            /// One line, the same for every occurrence.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }

            /// What it means and what to do, for the page behind the type URI.
            #[must_use]
            pub fn explanation(self) -> &'static str {
                match self { $(Self::$variant => $page,)+ }
            }

            /// The code with this slug.
            #[must_use]
            pub fn from_slug(slug: &str) -> Option<Self> {
                match slug { $($slug => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

problems! {
    MalformedRequest = "malformed-request", 400, "The request is malformed",
        "A parameter, a header or the body is not of the documented form. The detail names it.";
    BadEncoding = "bad-encoding", 400, "The certification request is not valid DER",
        "The bytes are not a PKCS#10 CertificationRequest (RFC 2986) in DER. The offset is the byte at which decoding failed. Send what `openssl req -new` writes, as PEM or with `-outform DER`.";
    WrongPemLabel = "wrong-pem-label", 400, "The PEM block is not a certification request",
        "The label must be CERTIFICATE REQUEST (or NEW CERTIFICATE REQUEST). A certificate, a public key or, worse, a private key was sent.";
    TrailingBytes = "trailing-bytes", 400, "Bytes follow the certification request",
        "Exactly one request is taken, with nothing after it. The offset is where the surplus begins.";
    Oversize = "oversize", 413, "The request is too large",
        "The limit is in the detail. No sound certification request comes near it.";
    BadSignature = "bad-signature", 422, "Proof of possession failed",
        "The request's own signature does not verify under the public key in it, so whoever made it does not hold the private key, or the request was altered.";
    Sha1 = "sha1", 422, "The certification request is signed with SHA-1",
        "SHA-1 and older digests are broken. Sign the request with SHA-256 or better (`openssl req -sha256`).";
    WeakDigest = "weak-digest", 422, "The certification request is signed with a broken digest",
        "MD5 and its like are broken. Sign the request with SHA-256 or better.";
    OffCurve = "off-curve", 422, "The public key is not a point of its curve",
        "No private key belongs to it. Whatever made it is broken, or somebody tries something. Make a new key with another program.";
    CompromisedKey = "compromised-key", 422, "The key is publicly known to be compromised",
        "It is in a list of keys that others have (such as those of Debian's OpenSSL of 2006 to 2008). Make a new key, and ask how this one came to be.";
    UnsupportedSignature = "unsupported-signature", 422, "The signature algorithm is not supported",
        "Requests are signed with RSA (PKCS#1 v1.5 or PSS) or ECDSA and SHA-256, SHA-384 or SHA-512.";
    UnsupportedKey = "unsupported-key", 422, "The key is of a kind that cannot serve an identity",
        "An identity must be able to receive: P-256, P-384 and RSA of 2048 to 4096 bits are accepted. Ed25519 can sign but nobody can encrypt to it.";
    WeakKey = "weak-key", 422, "The key is weak",
        "The detail says how: too small, a small or even exponent, close or shared primes, the ROCA fingerprint, a point off the curve, a known compromised key. Make a new key with a current program.";
    WrongSubject = "wrong-subject", 422, "The certification request names somebody else",
        "The subject must be empty or hold exactly one common name, equal to the user id byte for byte.";
    UnsupportedVersion = "unsupported-version", 422, "The certification request has an unknown version",
        "RFC 2986 knows version 1 (encoded as 0) only.";
    RefusedName = "refused-name", 422, "A requested name is not allowed",
        "The profile does not allow this name, or it was not verified.";
    IdentityChangeRequired = "identity-change-required", 409, "This identity has another key",
        "An identity's key is not replaced by enrolling again: otherwise whoever controls a server could do it. The holder of the old key may rekey, the holder of the recovery key recover, and somebody who has neither asks for a switch.";
    KeyInUse = "key-in-use", 409, "The key belongs to another identity",
        "One key serves one identity, ever. Make a new key.";
    KeyWasUsed = "key-was-used", 409, "The key is a past key of this identity",
        "A key once left is not taken up again. Make a new key.";
    IdentitySuspended = "identity-suspended", 409, "The identity is suspended",
        "No certificate is issued for it until it is resumed, recovered or switched.";
    IdentityRetired = "identity-retired", 409, "The identity is retired",
        "A retired id is never used again.";
    IdempotencyConflict = "idempotency-conflict", 409, "The Idempotency-Key was used for another request",
        "The same key must come with the same request. Use a new key for a new request.";
    AlreadyRevoked = "already-revoked", 409, "The certificate is revoked already",
        "Nothing was changed.";
    EvidenceRequired = "evidence-required", 403, "Nobody vouches for this request",
        "Transport alone proves nothing. An enrolment needs an agent's statement, an ID token or an officer's signature (under `allow_transport_evidence`, in development, an agent's TLS certificate); a revocation needs the holder's or an officer's statement.";
    EvidenceRefused = "evidence-refused", 403, "The evidence does not count",
        "A statement's signature, signer, role, installation, verb, intent or time does not fit. The detail says which was expected and which was found.";
    StaleIntent = "stale-intent", 409, "The identity has moved on",
        "The intent was made for another state of the identity or another policy. Fetch the present state, look at it, and sign again.";
    HsmRequired = "hsm-required", 403, "Only an HSM-held issuing key may move an identity",
        "The issuing key is a software key, or a software token without `allow_software_token`. Whoever copies such a key could move identities, so the policy refuses.";
    NotOffered = "not-offered", 403, "This policy does not offer that",
        "The verb is not offered by this version or this policy.";
    UnknownIdentity = "unknown-identity", 404, "No such identity",
        "Ids are compared byte for byte. Percent-encode them in paths.";
    UnknownCertificate = "unknown-certificate", 404, "No such certificate",
        "Serial numbers are 32 hexadecimal digits.";
    UnknownIssuer = "unknown-issuer", 404, "No such issuer",
        "GET /api/v1/issuers lists them.";
    UnknownCrl = "unknown-crl", 404, "No such CRL",
        "The certificate's CRL distribution point names the CRL that covers it.";
    UnknownRoute = "unknown-route", 404, "There is nothing at this address",
        "The documentation lists all paths.";
    MethodNotAllowed = "method-not-allowed", 405, "The method is not allowed here",
        "The Allow header lists those that are.";
    NotAcceptable = "not-acceptable", 406, "No representation fits the Accept header",
        "The detail lists what is offered.";
    UnsupportedMediaType = "unsupported-media-type", 415, "The body's media type is not taken here",
        "The detail lists what is.";
    TooManyRequests = "too-many-requests", 429, "Too many requests",
        "Wait as long as Retry-After says; where the policy refuses, until the time that the problem expects.";
    Pending = "pending", 503, "Recorded, not signed yet",
        "The request is recorded and will be finished. Ask again with the same Idempotency-Key after Retry-After.";
    HsmUnavailable = "hsm-unavailable", 503, "The HSM is not available",
        "The request itself is not at fault. What was recorded is finished when the HSM is back. Try again after Retry-After.";
    StoreUnavailable = "store-unavailable", 503, "The database is not available",
        "Nothing was changed. Try again after Retry-After.";
    AuthorityUnavailable = "authority-unavailable", 503, "The authority is not available",
        "The gateway cannot reach the authority. Try again after Retry-After with the same Idempotency-Key.";
    Overloaded = "overloaded", 503, "Too much at once",
        "Nothing was changed. Try again after Retry-After.";
    Stopped = "stopped", 503, "The authority has stopped issuing",
        "It found something that it cannot explain and signs nothing until an operator has looked. Its log says what.";
    Timeout = "timeout", 504, "The authority did not answer in time",
        "It may still finish. Ask again with the same Idempotency-Key.";
    Internal = "internal", 500, "Internal error",
        "A fault of the server. The request id leads to its log.";
    NotYet = "not-yet", 409, "The wait is not over",
        "Switches, retirements and whatever loosens the policy wait, so that whoever is concerned can object. The detail says until when.";
    NoPendingSwitch = "no-pending-switch", 404, "Nothing is pending",
        "There is no such request: it was never made, was dropped by a veto, replaced by another, or is done.";
    SwitchPending = "switch-pending", 409, "Another request is pending",
        "A request is replaced by its own key, or by one that brings more approvals. Ask an officer to approve yours first.";
    RequestExpired = "request-expired", 409, "The request has expired",
        "Make a new one.";
    AlreadyDone = "already-done", 409, "It is so already",
        "Nothing was changed.";
    // The order of variants is their encoding on the sockets: new ones go to the end.
    PreconditionFailed = "precondition-failed", 412, "The identity is not in the expected state",
        "If-Match named another state of the identity than the present one, so something has happened since it was read. Nothing was changed. Fetch the identity, look at it, and decide again.";
    RequestTimeout = "request-timeout", 408, "The request did not arrive in time",
        "The body must be there before the deadline of the request. Nothing was changed. Send it again.";
    UnknownTile = "unknown-tile", 404, "The log has no such tile",
        "Paths of tiles are those of C2SP tlog-tiles. A tile exists once a checkpoint covers it, and partial ones only as long as they are the last of their level.";
    AgentsOnly = "agents-only", 403, "Only agents may search",
        "Whoever may search sees who is there. Only enrolment agents, by their TLS certificates, and the local administrator may. Ask for one identity by its id instead.";
}

impl ProblemCode {
    /// What the caller can do, where the problem itself says nothing closer.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        use ProblemCode as C;
        match self {
            C::MalformedRequest => "send it in the form that /openapi.json describes",
            C::BadEncoding | C::WrongPemLabel => {
                "send what `openssl req -new` writes: one request in PEM, or in DER"
            }
            C::TrailingBytes => "send one request and nothing after it",
            C::Oversize => "send less at once",
            C::BadSignature => "make the request anew with the private key that belongs to it",
            C::Sha1 | C::WeakDigest => "sign the request with SHA-256 (`openssl req -new -sha256`)",
            C::OffCurve | C::WeakKey | C::CompromisedKey | C::KeyInUse | C::KeyWasUsed => {
                "make a new key with a current program, and a request with it"
            }
            C::UnsupportedSignature => "sign the request with ECDSA or RSA and SHA-256",
            C::UnsupportedKey => "make a key on P-256 or P-384, or RSA of 3072 bits",
            C::WrongSubject | C::RefusedName => {
                "leave the subject empty, or have it be one common name, the user id; ask for no \
                 other names"
            }
            C::UnsupportedVersion => "send a PKCS#10 request of version 1 (RFC 2986)",
            C::IdentityChangeRequired => {
                "rekey with the old key, recover with the recovery key, or ask for a switch"
            }
            C::IdentitySuspended => "have it resumed, recover it, or ask for a switch",
            C::IdentityRetired => "enrol under another id",
            C::IdempotencyConflict => "use a new Idempotency-Key for a new request",
            C::AlreadyRevoked | C::AlreadyDone => "nothing: it is so",
            C::EvidenceRequired => "send the statement of somebody whom the policy lets vouch",
            C::EvidenceRefused => "make the evidence for exactly this request",
            C::StaleIntent | C::PreconditionFailed => {
                "fetch the present state, look at it, and decide again"
            }
            C::HsmRequired => "ask the operator for an issuing key in an HSM",
            C::NotOffered => "look at the policy for what is offered",
            C::UnknownIdentity | C::UnknownCertificate | C::UnknownTile | C::UnknownRoute => {
                "look at the address: ids and numbers are compared byte for byte"
            }
            C::UnknownIssuer => "take an id from /api/v1/issuers",
            C::UnknownCrl => "take the address from the certificate's CRL distribution point",
            C::MethodNotAllowed => "use a method that the Allow header lists",
            C::NotAcceptable => "accept one of the media types offered",
            C::UnsupportedMediaType => "send one of the media types taken, without a coding",
            C::TooManyRequests | C::HsmUnavailable | C::StoreUnavailable | C::Overloaded => {
                "try again after Retry-After"
            }
            C::Pending | C::AuthorityUnavailable | C::Timeout => {
                "ask again with the same Idempotency-Key"
            }
            C::Stopped | C::Internal => "tell the operator the request's id",
            C::NotYet => "come back when the wait is over, or veto",
            C::NoPendingSwitch => "look at the identity's pending switch",
            C::SwitchPending => "ask an officer to approve yours, or wait for the other's end",
            C::RequestExpired => "make a new request",
            C::RequestTimeout => "send it again, all of it",
            C::AgentsOnly => "ask for one identity by its id, or as an enrolment agent",
        }
    }
}

/// One problem, as answered with media type `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    /// The stable code.
    pub code: ProblemCode,
    /// What happened this time, with its numbers.
    pub detail: String,
    /// The rule that refused, by its name in the policy or the section of a standard.
    pub rule: Option<String>,
    /// What would have been taken.
    pub expected: Option<String>,
    /// What was there instead.
    pub found: Option<String>,
    /// What the caller can do.
    pub remedy: Option<String>,
    /// Byte offset in the request body's DER.
    pub offset: Option<u64>,
    /// Seconds after which a new try makes sense.
    pub retry_after: Option<u32>,
}

impl Problem {
    /// A problem with only a detail.
    #[must_use]
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            rule: None,
            expected: None,
            found: None,
            remedy: None,
            offset: None,
            retry_after: None,
        }
    }

    /// Adds what would have been taken, and what was there.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>, found: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self.found = Some(found.into());
        self
    }

    /// Adds the rule that refused.
    #[must_use]
    pub fn rule(mut self, rule: impl Into<String>) -> Self {
        self.rule = Some(rule.into());
        self
    }

    /// Adds what the caller can do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Adds a byte offset.
    #[must_use]
    pub fn offset(mut self, offset: Option<u64>) -> Self {
        self.offset = offset;
        self
    }

    /// Adds a number of seconds to wait.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}
