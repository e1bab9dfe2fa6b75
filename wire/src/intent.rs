//! Intents: everything somebody agrees to, in one value with one hash.

use der::Sequence;
use der::asn1::OctetString;

use crate::codec::{encoded, numbered};
use crate::event::EventKind;
use crate::{Hash32, UserId};

numbered! {
    /// What kind of name a certificate carries.
    NameKind {
        /// The user id itself, as CN and as `avouch://realm/uid`.
        UserId = 1, "user-id";
        /// rfc822Name, an e-mail address.
        Rfc822 = 2, "rfc822";
        /// otherName UPN.
        Upn = 3, "upn";
    }
}

/// One name that the certificate will carry.
#[derive(Debug, Clone, PartialEq, Eq, Sequence, serde::Serialize, serde::Deserialize)]
pub struct Name {
    /// What it is.
    pub kind: NameKind,
    /// The name.
    pub value: String,
}

impl Name {
    /// What keeps a certificate from carrying it; none if it may be carried. One spelling of each
    /// name: host parts are in lower case.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        let value = self.value.as_str();
        match self.kind {
            NameKind::UserId => None,
            NameKind::Rfc822 => mailbox_fault(value),
            NameKind::Upn => upn_fault(value),
        }
    }

    /// What follows the `@`, in an e-mail address or UPN.
    #[must_use]
    pub fn domain(&self) -> Option<&str> {
        self.value.rsplit_once('@').map(|(_, domain)| domain)
    }
}

/// RFC 5321 section 4.1.2 (Dot-string) with a host name of RFC 1123, in ASCII: what rfc822Name can
/// say (RFC 5280 section 4.2.1.6).
fn mailbox_fault(value: &str) -> Option<&'static str> {
    let Some((local, domain)) = value.rsplit_once('@') else { return Some("it has no @") };
    let atext = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
    let atom = |part: &str| !part.is_empty() && part.bytes().all(atext);
    let label = |part: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=63).contains(&part.len())
            && part.bytes().all(inner)
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    if value.len() > 254 || local.len() > 64 {
        Some("it is longer than 254 characters, or 64 before the @")
    } else if !local.split('.').all(atom) {
        Some("what is before the @ is not a dot-string of ASCII characters")
    } else if !domain.split('.').all(label) {
        Some("what is after the @ is not a host name in lower case")
    } else {
        None
    }
}

fn upn_fault(value: &str) -> Option<&'static str> {
    let parts: Vec<_> = value.split('@').collect();
    if value.len() > 256 {
        Some("it is longer than 256 bytes")
    } else if parts.len() != 2 || parts.iter().any(|part| part.is_empty()) {
        Some("it is not of the form NAME@SUFFIX")
    } else if value.chars().any(|c| c.is_control() || c.is_whitespace()) {
        Some("it has spaces or control characters")
    } else if parts[1].chars().any(char::is_uppercase) {
        Some("its suffix is not in lower case")
    } else {
        None
    }
}

/// What is asked for. Statements sign its hash, so an approval of it is an approval of nothing
/// else: another key, another state of the identity and another policy each give another hash.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Intent {
    /// Format version, 1.
    pub version: u8,
    /// The event asked for.
    pub verb: EventKind,
    /// Whom it is about.
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    pub subject: Option<UserId>,
    /// Leaf hash of the identity's latest event; none for an identity that does not exist yet.
    #[asn1(context_specific = "1", optional = "true", tag_mode = "EXPLICIT")]
    pub head: Option<Hash32>,
    /// Sequence number that the resulting event will have.
    pub sequence: u64,
    /// SHA-256 of the certification request, where one belongs to it.
    #[asn1(context_specific = "2", optional = "true", tag_mode = "EXPLICIT")]
    pub csr: Option<Hash32>,
    /// SHA-256 of the new SubjectPublicKeyInfo, where a certificate follows.
    #[asn1(context_specific = "3", optional = "true", tag_mode = "EXPLICIT")]
    pub new_spki: Option<Hash32>,
    /// All names that the certificate will carry.
    pub names: Vec<Name>,
    /// Name of the certificate profile; empty where no certificate follows.
    pub profile: String,
    /// Hash of the policy that the signer saw.
    pub policy: Hash32,
    /// Commitment to the recovery key that will hold afterwards, where the intent sets one.
    #[asn1(context_specific = "4", optional = "true", tag_mode = "EXPLICIT")]
    pub recovery_commitment: Option<Hash32>,
    /// What the verb needs besides (for a revocation its [`crate::event::Revoked`] body), DER.
    #[asn1(context_specific = "5", optional = "true", tag_mode = "EXPLICIT")]
    pub body: Option<OctetString>,
    /// 16 to 64 random bytes.
    pub nonce: OctetString,
    /// After this the intent counts for nothing; seconds since 1970.
    pub expiry: u64,
}

/// Greatest length of an intent that changes the installation, in bytes: whole lists are in it.
pub const MAX_INTENT: usize = 128 * 1024;

/// Greatest length of what an intent about one identity brings (names, profile, body), in bytes.
/// Anybody may make one, and every contact replays it.
pub const MAX_BROUGHT: usize = 15 * 1024;

encoded!(
    Intent,
    "intent",
    limit = MAX_INTENT,
    check = |intent| {
        let names: usize = intent.names.iter().map(|name| name.value.len()).sum();
        let body = intent.body.as_ref().map_or(0, |body| body.as_bytes().len());
        let brought = names + intent.profile.len() + body;
        if intent.verb.is_of_identity() && brought > MAX_BROUGHT {
            let reason = format!(
                "{brought} bytes of names, profile and body; at most {MAX_BROUGHT} are allowed"
            );
            return Err(("body", reason));
        }
        let n = intent.nonce.as_bytes().len();
        if !(16..=64).contains(&n) {
            return Err(("nonce", format!("has {n} bytes; 16 to 64 are allowed")));
        }
        if intent.verb.is_of_identity() != intent.subject.is_some() {
            return Err(("subject", format!("does not fit the verb {}", intent.verb)));
        }
        if intent.names.len() > 16 {
            return Err(("names", format!("{} names; at most 16 are allowed", intent.names.len())));
        }
        for (n, name) in intent.names.iter().enumerate() {
            if let Some(fault) = name.fault() {
                return Err(("names", format!("{} {:?}: {fault}", name.kind, name.value)));
            }
            if intent.names[..n].contains(name) {
                return Err(("names", format!("{:?} is there twice", name.value)));
            }
            let own = intent.subject.as_ref().map(UserId::as_str);
            if name.kind == NameKind::UserId && own != Some(name.value.as_str()) {
                return Err(("names", format!("{:?} is not the subject", name.value)));
            }
        }
        Ok(())
    }
);
