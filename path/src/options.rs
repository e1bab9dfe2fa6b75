//! What to verify for.

use std::collections::BTreeSet;

use serde::{Serialize, Serializer};

use crate::asn1::Oid;
use crate::cert::key_usage;
use crate::profile::Profile;
use crate::{oid, policy};

/// What the leaf's key is to be used for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// Protecting mail, and data sealed to people: emailProtection.
    Email,
    /// TLS clients: clientAuth.
    Client,
    /// Whatever the certificate allows.
    #[default]
    Any,
    /// Another extended key usage.
    Other(Oid),
}

impl Purpose {
    /// The extended key usage that has to be there, where one is listed.
    pub(crate) fn oid(&self) -> Option<&[u8]> {
        match self {
            Self::Email => Some(oid::EMAIL_PROTECTION),
            Self::Client => Some(oid::CLIENT_AUTH),
            Self::Any => None,
            Self::Other(oid) => Some(oid.as_bytes()),
        }
    }

    /// For people.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Email => "emailProtection".into(),
            Self::Client => "clientAuth".into(),
            Self::Any => "anyExtendedKeyUsage".into(),
            Self::Other(oid) => oid.to_string(),
        }
    }

    /// The key usages of which the leaf needs at least one (RFC 5280 4.2.1.12).
    pub(crate) fn key_usage(&self) -> (u16, &'static str) {
        match self {
            Self::Email => (
                key_usage::DIGITAL_SIGNATURE
                    | key_usage::NON_REPUDIATION
                    | key_usage::KEY_ENCIPHERMENT
                    | key_usage::KEY_AGREEMENT,
                "digitalSignature, nonRepudiation, keyEncipherment and keyAgreement",
            ),
            Self::Client => (
                key_usage::DIGITAL_SIGNATURE | key_usage::KEY_AGREEMENT,
                "digitalSignature and keyAgreement",
            ),
            Self::Any | Self::Other(_) => (u16::MAX, "everything"),
        }
    }
}

impl std::str::FromStr for Purpose {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "email" => Ok(Self::Email),
            "client" => Ok(Self::Client),
            "any" => Ok(Self::Any),
            other => {
                let oid: Oid = other.parse().map_err(|_| {
                    format!("unknown purpose {other:?}: email, client, any, or an OID")
                })?;
                Ok(match oid.as_bytes() {
                    oid::EMAIL_PROTECTION => Self::Email,
                    oid::CLIENT_AUTH => Self::Client,
                    oid::ANY_EXTENDED_KEY_USAGE => Self::Any,
                    _ => Self::Other(oid),
                })
            }
        }
    }
}

/// As it is written on the command line.
impl Serialize for Purpose {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Email => serializer.serialize_str("email"),
            Self::Client => serializer.serialize_str("client"),
            Self::Any => serializer.serialize_str("any"),
            Self::Other(oid) => serializer.collect_str(oid),
        }
    }
}

/// Whose revocation status has to be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Revocation {
    /// Nobody's.
    #[default]
    Ignored,
    /// That of each certificate whose issuer has a CRL among those given, or that an OCSP
    /// answer is about.
    Known,
    /// The leaf's, and that of each other certificate of which something is known.
    Leaf,
    /// That of every certificate below the trust anchor.
    Chain,
}

impl std::str::FromStr for Revocation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self::Ignored),
            "known" => Ok(Self::Known),
            "leaf" => Ok(Self::Leaf),
            "chain" => Ok(Self::Chain),
            other => Err(format!("unknown word {other:?}: none, known, leaf or chain")),
        }
    }
}

/// What to verify for. Time is given, never asked for.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) at: i64,
    pub(crate) purpose: Purpose,
    pub(crate) revocation: Revocation,
    pub(crate) max_status_age: Option<i64>,
    pub(crate) max_depth: usize,
    pub(crate) clock_skew: i64,
    pub(crate) profile: Profile,
    pub(crate) policy: policy::Wanted,
    pub(crate) email: Option<String>,
    pub(crate) upn: Option<String>,
}

impl Options {
    /// Longest path by default, leaf and anchor included.
    pub const DEFAULT_DEPTH: usize = 10;
    /// The longest that may be asked for.
    pub const MAX_DEPTH: usize = 32;

    /// Verifies as of `at`, in seconds since 1970, for any purpose, without revocation, by RFC 5280.
    pub fn at(at: i64) -> Self {
        Self {
            at,
            purpose: Purpose::Any,
            revocation: Revocation::Ignored,
            max_status_age: None,
            max_depth: Self::DEFAULT_DEPTH,
            clock_skew: 0,
            profile: Profile::default(),
            policy: policy::Wanted::default(),
            email: None,
            upn: None,
        }
    }

    /// For this purpose.
    #[must_use]
    pub fn purpose(mut self, purpose: Purpose) -> Self {
        self.purpose = purpose;
        self
    }

    /// With revocation status from CRLs and OCSP answers.
    #[must_use]
    pub fn revocation(mut self, revocation: Revocation) -> Self {
        self.revocation = revocation;
        self
    }

    /// Whose revocation status has to be known.
    pub fn wants_revocation(&self) -> Revocation {
        self.revocation
    }

    /// Refuses CRLs and OCSP answers made longer ago than this many seconds, whatever they say themselves.
    #[must_use]
    pub fn max_status_age(mut self, seconds: i64) -> Self {
        self.max_status_age = Some(seconds);
        self
    }

    /// Takes CRLs and OCSP answers made up to this many seconds later than the time asked about: the issuer's clock
    /// may be ahead, and a list from the future is no staler for it.
    #[must_use]
    pub fn clock_skew(mut self, seconds: i64) -> Self {
        self.clock_skew = seconds.max(0);
        self
    }

    /// Strict or not.
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Where a policy is required, one of these has to hold for the whole path: the
    /// user-initial-policy-set (RFC 5280 6.1.1 (c)). Empty means any.
    #[must_use]
    pub fn policies(mut self, policies: impl IntoIterator<Item = Oid>) -> Self {
        self.policy.policies = BTreeSet::from_iter(policies);
        self
    }

    /// Requires a policy whatever the certificates say (6.1.1 (f)).
    #[must_use]
    pub fn require_explicit_policy(mut self, yes: bool) -> Self {
        self.policy.require_explicit = yes;
        self
    }

    /// Takes no mapping between policies (6.1.1 (e)).
    #[must_use]
    pub fn inhibit_policy_mapping(mut self, yes: bool) -> Self {
        self.policy.inhibit_mapping = yes;
        self
    }

    /// Takes anyPolicy for no policy (6.1.1 (g)).
    #[must_use]
    pub fn inhibit_any_policy(mut self, yes: bool) -> Self {
        self.policy.inhibit_any = yes;
        self
    }

    /// The leaf has to name this mailbox.
    #[must_use]
    pub fn email(mut self, address: impl Into<String>) -> Self {
        self.email = Some(address.into());
        self
    }

    /// The leaf has to name this user principal (Microsoft's otherName).
    #[must_use]
    pub fn upn(mut self, name: impl Into<String>) -> Self {
        self.upn = Some(name.into());
        self
    }

    /// At most this many certificates in a path, 1 to [`MAX_DEPTH`](Self::MAX_DEPTH).
    #[must_use]
    pub fn max_depth(mut self, certificates: usize) -> Self {
        self.max_depth = certificates.clamp(1, Self::MAX_DEPTH);
        self
    }
}
