//! What a verification tells: the path, every check with its outcome, and the first reason to
//! refuse.

use serde::Serialize;
use thiserror::Error;

use crate::cert::Certificate;
use crate::options::{Options, Purpose};
use crate::profile::Profile;
use crate::sig::SignatureError;
use crate::time::rfc3339;
use crate::verdict::Verdict;
use crate::work::Done;

/// The kind of a refusal; each has its own exit code on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// No path to a trust anchor that meets the rules.
    Chain,
    /// A certificate on the path is revoked or on hold.
    Revoked,
    /// A certificate on the path is outside its validity period.
    Expired,
    /// Whether a certificate is revoked could not be found out from fresh information.
    Stale,
}

impl Class {
    /// 11, 12, 13 or 16.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Chain => 11,
            Self::Revoked => 12,
            Self::Expired => 13,
            Self::Stale => 16,
        }
    }

    /// The order in which several failures of one path count: a broken chain says nothing about
    /// revocation, a revoked certificate stays revoked after it expires.
    pub(crate) fn rank(self) -> u8 {
        match self {
            Self::Chain => 0,
            Self::Revoked => 1,
            Self::Expired => 2,
            Self::Stale => 3,
        }
    }
}

/// Why a path was refused. Times are seconds since 1970; texts of foreign origin are escaped.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Failure {
    /// No certificate at hand could have issued this one.
    #[error("no trusted issuer found: nothing given signs for \"{issuer}\"")]
    NoIssuer {
        /// The issuer that was looked for.
        issuer: String,
    },
    /// The work allowed for the search is used up.
    #[error("gave up after {signatures} signatures and {steps} steps: too many ways to try")]
    TooMuchWork {
        /// Signatures verified.
        signatures: usize,
        /// Certificates visited.
        steps: usize,
    },
    /// More certificates to choose from than are taken.
    #[error("more than {max} certificates to find a path with")]
    TooMany {
        /// The most that are taken.
        max: usize,
    },
    /// Longer than the caller allows.
    #[error("every path is longer than the {max} certificates allowed")]
    TooDeep {
        /// Certificates allowed, leaf and anchor included.
        max: usize,
    },
    /// A signature does not count.
    #[error("{0}")]
    Signature(#[from] SignatureError),
    /// The signed and the unsigned algorithm field differ.
    #[error("the two signature algorithm fields differ")]
    AlgorithmsDiffer,
    /// Its time has not come.
    #[error("not valid before {} (now {})", rfc3339(*.not_before), rfc3339(*.at))]
    NotYetValid {
        /// The first valid second.
        not_before: i64,
        /// The time asked about.
        at: i64,
    },
    /// Its time is over.
    #[error("expired on {} (now {})", rfc3339(*.not_after), rfc3339(*.at))]
    Expired {
        /// The last valid second.
        not_after: i64,
        /// The time asked about.
        at: i64,
    },
    /// Extensions that must be understood and are not.
    #[error("critical extensions that are not processed: {oids}")]
    UnknownCritical {
        /// Their object identifiers.
        oids: String,
    },
    /// It issued a certificate and may not.
    #[error("not a certificate authority: {why}")]
    NotCa {
        /// What is missing.
        why: &'static str,
    },
    /// More intermediate certificates below than it allows.
    #[error("{found} intermediate certificates below; its path length constraint is {limit}")]
    PathLength {
        /// Allowed.
        limit: u32,
        /// Found.
        found: u32,
    },
    /// The key may not be used so.
    #[error("key usage lacks {missing}")]
    KeyUsage {
        /// The bits of which at least one is needed.
        missing: &'static str,
    },
    /// The certificate, or one above it, is for other purposes.
    #[error("extended key usage does not include {purpose}")]
    ExtendedKeyUsage {
        /// The purpose asked for.
        purpose: String,
    },
    /// A name is outside what a CA above may certify.
    #[error("name constraints of \"{by}\": {why}")]
    NameConstraints {
        /// The CA that set them.
        by: String,
        /// The name and the rule.
        why: String,
    },
    /// The policies of the path do not do (RFC 5280 6.1.3 (f), 6.1.5 (g)).
    #[error("certificate policies: {why}")]
    Policy {
        /// The rule that was broken.
        why: &'static str,
    },
    /// Something in it that the RFC forbids issuers to write; under `strict` only.
    #[error("not as RFC 5280 has issuers write certificates: {what}")]
    Nonconforming {
        /// What.
        what: &'static str,
    },
    /// It does not name whom it should.
    #[error("the certificate does not have the {form} {wanted:?}")]
    WrongName {
        /// The kind of name.
        form: &'static str,
        /// The name asked for.
        wanted: String,
    },
    /// Revoked, or on hold.
    #[error("revoked since {}: {reason}", rfc3339(*.since))]
    Revoked {
        /// When it was revoked.
        since: i64,
        /// The reason by its name in the RFC.
        reason: &'static str,
    },
    /// The revocation information at hand is too old.
    #[error("revocation status unknown: {why}")]
    StatusStale {
        /// Which information, and why it does not count.
        why: String,
    },
    /// There is no revocation information about it.
    #[error("revocation status unknown: {why}")]
    StatusMissing {
        /// What was looked for, and why nothing counts.
        why: String,
    },
}

impl Failure {
    /// The kind, which gives the exit code.
    pub fn class(&self) -> Class {
        match self {
            Self::Revoked { .. } => Class::Revoked,
            Self::Expired { .. } | Self::NotYetValid { .. } => Class::Expired,
            Self::StatusStale { .. } | Self::StatusMissing { .. } => Class::Stale,
            _ => Class::Chain,
        }
    }

    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoIssuer { .. } => "no-issuer",
            Self::TooMuchWork { .. } => "too-much-work",
            Self::TooMany { .. } => "too-many-certificates",
            Self::TooDeep { .. } => "too-deep",
            Self::Signature(SignatureError::Invalid { .. }) => "bad-signature",
            Self::Signature(SignatureError::Obsolete(_)) => "obsolete-algorithm",
            Self::Signature(
                SignatureError::RsaTooSmall { .. }
                | SignatureError::DsaTooSmall { .. }
                | SignatureError::RsaTooLarge { .. }
                | SignatureError::RsaExponent,
            ) => "weak-key",
            Self::Signature(_) => "unsupported-algorithm",
            Self::AlgorithmsDiffer => "algorithms-differ",
            Self::NotYetValid { .. } => "not-yet-valid",
            Self::Expired { .. } => "expired",
            Self::UnknownCritical { .. } => "unknown-critical-extension",
            Self::NotCa { .. } => "not-a-ca",
            Self::PathLength { .. } => "path-length",
            Self::KeyUsage { .. } => "key-usage",
            Self::ExtendedKeyUsage { .. } => "extended-key-usage",
            Self::NameConstraints { .. } => "name-constraints",
            Self::Policy { .. } => "certificate-policies",
            Self::Nonconforming { .. } => "nonconforming",
            Self::WrongName { .. } => "wrong-name",
            Self::Revoked { .. } => "revoked",
            Self::StatusStale { .. } => "status-stale",
            Self::StatusMissing { .. } => "status-missing",
        }
    }
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not; the path is refused.
    Failed,
    /// It was not asked for, or does not apply.
    Skipped,
}

/// One check of one certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Position in the path, 0 the leaf.
    pub certificate: usize,
    /// What was checked: a stable name.
    pub check: &'static str,
    /// The section of RFC 5280, or of the RFC named.
    pub rfc: &'static str,
    /// How it went.
    pub outcome: Outcome,
    /// What was found, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// One certificate of the path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PathEntry {
    /// The subject, for people.
    pub subject: String,
    /// The issuer, for people.
    pub issuer: String,
    /// The serial number, hexadecimal.
    pub serial: String,
    /// SHA-256 of the certificate, hexadecimal.
    pub sha256: String,
    /// The key, in words.
    pub key: String,
    /// The first valid second.
    pub not_before: String,
    /// The last valid second.
    pub not_after: String,
}

impl PathEntry {
    pub(crate) fn of(certificate: &Certificate) -> Self {
        Self {
            subject: certificate.subject.to_string(),
            issuer: certificate.issuer.to_string(),
            serial: hex::encode(certificate.serial()),
            sha256: hex::encode(certificate.fingerprint()),
            key: certificate.key.describe(),
            not_before: rfc3339(certificate.not_before),
            not_after: rfc3339(certificate.not_after),
        }
    }
}

/// The refusal as programs get it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Refusal {
    code: &'static str,
    class: Class,
    exit_code: u8,
    certificate: usize,
    detail: String,
}

/// The result of a verification. Serialises to the JSON of `avouch verify chain --format json`.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    valid: bool,
    at: String,
    purpose: Purpose,
    profile: Profile,
    path: Vec<PathEntry>,
    checks: Vec<Check>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<Refusal>,
    #[serde(skip)]
    failure: Option<Failure>,
    #[serde(skip)]
    fingerprints: Vec<[u8; 32]>,
    work: Done,
}

impl Report {
    pub(crate) fn new(
        options: &Options,
        path: &[&Certificate],
        verdict: Verdict,
        work: Done,
    ) -> Self {
        let Verdict { checks, failure, .. } = verdict;
        let refusal = failure.as_ref().map(|(certificate, failure)| Refusal {
            code: failure.code(),
            class: failure.class(),
            exit_code: failure.class().exit_code(),
            certificate: *certificate,
            detail: failure.to_string(),
        });
        Self {
            valid: failure.is_none(),
            at: rfc3339(options.at),
            purpose: options.purpose.clone(),
            profile: options.profile,
            path: path.iter().map(|certificate| PathEntry::of(certificate)).collect(),
            fingerprints: path.iter().map(|certificate| *certificate.fingerprint()).collect(),
            checks,
            refusal,
            failure: failure.map(|(_, failure)| failure),
            work,
        }
    }

    /// A path was found on which every check passed.
    pub fn is_valid(&self) -> bool {
        self.valid
    }

    /// Why not.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// The position in the path of the certificate that failed, 0 the leaf.
    pub fn failed_certificate(&self) -> Option<usize> {
        self.refusal.as_ref().map(|r| r.certificate)
    }

    /// 0, 11, 12, 13 or 16.
    pub fn exit_code(&self) -> u8 {
        self.failure.as_ref().map_or(0, |f| f.class().exit_code())
    }

    /// The path chosen, leaf first; of a refusal, the one that came closest.
    pub fn path(&self) -> &[PathEntry] {
        &self.path
    }

    /// SHA-256 of each certificate of [`path`](Self::path).
    pub fn fingerprints(&self) -> &[[u8; 32]] {
        &self.fingerprints
    }

    /// All checks of that path, from the trust anchor down.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// What the search took.
    pub fn work(&self) -> Done {
        self.work
    }
}

/// For people: the path and what failed.
impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, entry) in self.path.iter().enumerate() {
            writeln!(f, "{index}: {} ({}, until {})", entry.subject, entry.key, entry.not_after)?;
            for check in self.checks.iter().filter(|c| c.certificate == index) {
                let mark = match check.outcome {
                    Outcome::Passed => "ok",
                    Outcome::Failed => "FAILED",
                    Outcome::Skipped => "-",
                };
                write!(f, "   {mark:<6} {} [{}]", check.check, check.rfc)?;
                match &check.detail {
                    Some(detail) => writeln!(f, ": {detail}")?,
                    None => writeln!(f)?,
                }
            }
        }
        match &self.refusal {
            None => write!(f, "valid"),
            Some(refusal) => write!(f, "refused ({}): {}", refusal.code, refusal.detail),
        }
    }
}
