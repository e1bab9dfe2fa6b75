//! The checks of one path (RFC 5280 6.1), from the trust anchor down to the leaf.

use serde::Serialize;

use crate::cert::{Certificate, key_usage};
use crate::constraints::Breach;
use crate::name::Name;
use crate::oid;
use crate::report::{Check, Failure, Outcome};
use crate::revocation;
use crate::search::{Pool, Work};

/// What the leaf's key is to be used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Protecting mail, and data sealed to people: emailProtection.
    Email,
    /// TLS clients: clientAuth.
    Client,
    /// Whatever the certificate allows.
    #[default]
    Any,
}

impl Purpose {
    fn oid(self) -> Option<&'static [u8]> {
        match self {
            Self::Email => Some(oid::EMAIL_PROTECTION),
            Self::Client => Some(oid::CLIENT_AUTH),
            Self::Any => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Email => "emailProtection",
            Self::Client => "clientAuth",
            Self::Any => "anyExtendedKeyUsage",
        }
    }

    /// The key usages of which the leaf needs at least one (RFC 5280 4.2.1.12).
    fn key_usage(self) -> (u16, &'static str) {
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
            Self::Any => (u16::MAX, "everything"),
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
            other => Err(format!("unknown purpose {other:?}: email, client or any")),
        }
    }
}

/// Whose revocation status has to be known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Revocation {
    /// Nobody's.
    #[default]
    Ignored,
    /// That of each certificate whose issuer has a CRL among those given.
    Known,
    /// The leaf's, and that of each other certificate whose issuer has a CRL among those given.
    Leaf,
    /// That of every certificate below the trust anchor.
    Chain,
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
}

impl Options {
    /// Longest path by default, leaf and anchor included.
    pub const DEFAULT_DEPTH: usize = 10;
    /// The longest that may be asked for.
    pub const MAX_DEPTH: usize = 32;

    /// Verifies as of `at`, in seconds since 1970, for any purpose and without revocation.
    pub fn at(at: i64) -> Self {
        Self {
            at,
            purpose: Purpose::Any,
            revocation: Revocation::Ignored,
            max_status_age: None,
            max_depth: Self::DEFAULT_DEPTH,
            clock_skew: 0,
        }
    }

    /// For this purpose.
    #[must_use]
    pub fn purpose(mut self, purpose: Purpose) -> Self {
        self.purpose = purpose;
        self
    }

    /// With revocation status from CRLs.
    #[must_use]
    pub fn revocation(mut self, revocation: Revocation) -> Self {
        self.revocation = revocation;
        self
    }

    /// Refuses CRLs made longer ago than this many seconds, whatever they say themselves.
    #[must_use]
    pub fn max_status_age(mut self, seconds: i64) -> Self {
        self.max_status_age = Some(seconds);
        self
    }

    /// Takes CRLs made up to this many seconds later than the time asked about: the issuer's clock
    /// may be ahead, and a list from the future is no staler for it.
    #[must_use]
    pub fn clock_skew(mut self, seconds: i64) -> Self {
        self.clock_skew = seconds.max(0);
        self
    }

    /// At most this many certificates in a path, 1 to [`MAX_DEPTH`](Self::MAX_DEPTH).
    #[must_use]
    pub fn max_depth(mut self, certificates: usize) -> Self {
        self.max_depth = certificates.clamp(1, Self::MAX_DEPTH);
        self
    }
}

/// Collects checks, and the failure that counts most.
pub(crate) struct Verdict {
    pub(crate) checks: Vec<Check>,
    pub(crate) failure: Option<(usize, Failure)>,
    pub(crate) failures: usize,
}

impl Verdict {
    pub(crate) fn new() -> Self {
        Self { checks: Vec::new(), failure: None, failures: 0 }
    }

    pub(crate) fn record(
        &mut self,
        certificate: usize,
        check: &'static str,
        rfc: &'static str,
        result: Result<Option<String>, Failure>,
    ) {
        let (outcome, detail) = match result {
            Ok(detail) => (Outcome::Passed, detail),
            Err(failure) => {
                let detail = failure.to_string();
                self.failures += 1;
                let rank = failure.class().rank();
                if self.failure.as_ref().is_none_or(|(_, seen)| rank < seen.class().rank()) {
                    self.failure = Some((certificate, failure));
                }
                (Outcome::Failed, Some(detail))
            }
        };
        self.checks.push(Check { certificate, check, rfc, outcome, detail });
    }

    fn skip(&mut self, certificate: usize, check: &'static str, rfc: &'static str, why: &str) {
        self.checks.push(Check {
            certificate,
            check,
            rfc,
            outcome: Outcome::Skipped,
            detail: Some(why.into()),
        });
    }
}

/// Checks a whole path: the leaf first, the trust anchor last, each issued by the next by name.
pub(crate) fn path<'a>(
    path: &[&'a Certificate],
    pool: &Pool<'a>,
    options: &Options,
    work: &mut Work,
) -> Verdict {
    let mut verdict = Verdict::new();
    let anchor = path.len() - 1;
    for (index, certificate) in path.iter().enumerate().rev() {
        if index == anchor {
            verdict.record(index, "trust-anchor", "6.1.1 (d)", Ok(None));
        } else {
            let result = work.signature(certificate, path[index + 1]);
            let result = result.map(|()| Some(path[index + 1].key.describe()));
            verdict.record(index, "signature", "6.1.3 (a) (1)", result);
            let result = if certificate.issuer == path[index + 1].subject {
                Ok(None)
            } else {
                Err(Failure::NoIssuer { issuer: certificate.issuer.to_string() })
            };
            verdict.record(index, "name-chaining", "6.1.3 (a) (4)", result);
        }
        verdict.record(index, "validity", "6.1.3 (a) (2)", validity(certificate, options.at));
        verdict.record(index, "critical-extensions", "6.1.4 (o)", critical(certificate));
        names(&mut verdict, path, index, work);
        if index > 0 {
            issuing(&mut verdict, path, index, options.purpose);
        } else {
            leaf(&mut verdict, certificate, options.purpose);
        }
        if index < anchor {
            status(&mut verdict, path, index, pool, options, work);
        }
    }
    verdict
}

fn validity(certificate: &Certificate, at: i64) -> Result<Option<String>, Failure> {
    let (not_before, not_after) = (certificate.not_before, certificate.not_after);
    if at < not_before {
        Err(Failure::NotYetValid { not_before, at })
    } else if at > not_after {
        Err(Failure::Expired { not_after, at })
    } else {
        Ok(None)
    }
}

fn critical(certificate: &Certificate) -> Result<Option<String>, Failure> {
    let unknown = &certificate.extensions.unknown_critical;
    if unknown.is_empty() {
        return Ok(None);
    }
    let oids: Vec<_> = unknown.iter().map(ToString::to_string).collect();
    Err(Failure::UnknownCritical { oids: oids.join(", ") })
}

/// Names against the constraints of every CA above (RFC 5280 6.1.3 (b) and (c)).
fn names(verdict: &mut Verdict, path: &[&Certificate], index: usize, work: &mut Work) {
    const CHECK: (&str, &str) = ("name-constraints", "6.1.3 (b), (c)");
    let certificate = path[index];
    let mut above = path[index + 1..]
        .iter()
        .rev()
        .filter_map(|ca| ca.extensions.name_constraints.as_ref().map(|nc| (ca, nc)))
        .peekable();
    if above.peek().is_none() {
        return;
    }
    if index > 0 && certificate.is_self_issued() {
        return verdict.skip(index, CHECK.0, CHECK.1, "self-issued");
    }
    let mut result = Ok(None);
    for (ca, constraints) in above {
        let breach = constraints.check_all(
            &certificate.subject,
            &certificate.extensions.alternative_names,
            &mut work.comparisons,
        );
        let why = match breach {
            Ok(()) => continue,
            Err(Breach::NotPermitted(name)) => format!("{name} is in no permitted subtree"),
            Err(Breach::Excluded { name, subtree }) => format!("{name} is excluded by {subtree}"),
            Err(Breach::Unprocessable(name)) => format!("{name} cannot be compared"),
            Err(Breach::TooMuchWork) => "too many names and subtrees to compare".into(),
        };
        result = Err(Failure::NameConstraints { by: ca.subject.to_string(), why });
        break;
    }
    verdict.record(index, CHECK.0, CHECK.1, result);
}

/// A certificate that issued the one below it (RFC 5280 6.1.4 (k) to (n)).
fn issuing(verdict: &mut Verdict, path: &[&Certificate], index: usize, purpose: Purpose) {
    let certificate = path[index];
    let is_anchor = index == path.len() - 1;
    let constraints = certificate.extensions.basic_constraints;
    let result = match constraints {
        Some(constraints) if constraints.ca => Ok(None),
        Some(_) => Err(Failure::NotCa { why: "basic constraints say so" }),
        // Roots older than the extension: trusting them was a decision made elsewhere (6.1.1 (d)).
        None if is_anchor && certificate.version < 3 => Ok(Some("version 1 anchor".into())),
        None => Err(Failure::NotCa { why: "no basic constraints" }),
    };
    verdict.record(index, "basic-constraints", "6.1.4 (k)", result);

    if let Some(limit) = constraints.and_then(|c| c.path_len) {
        let below = path[1..index].iter().filter(|c| !c.is_self_issued()).count();
        let found = u32::try_from(below).unwrap_or(u32::MAX);
        let result =
            if found <= limit { Ok(None) } else { Err(Failure::PathLength { limit, found }) };
        verdict.record(index, "path-length", "6.1.4 (l), (m)", result);
    }
    if let Some(bits) = certificate.extensions.key_usage {
        let result = if bits & key_usage::KEY_CERT_SIGN != 0 {
            Ok(None)
        } else {
            Err(Failure::KeyUsage { missing: "keyCertSign" })
        };
        verdict.record(index, "key-usage", "6.1.4 (n)", result);
    }
    extended(verdict, certificate, index, purpose);
}

/// The purpose of the leaf, and of every CA above that names purposes: a CA limited to some must
/// not vouch for others (CA/Browser practice; RFC 5280 4.2.1.12 speaks of the leaf only).
fn extended(verdict: &mut Verdict, certificate: &Certificate, index: usize, purpose: Purpose) {
    let (Some(listed), Some(wanted)) = (&certificate.extensions.extended_key_usage, purpose.oid())
    else {
        return;
    };
    let fits = listed
        .iter()
        .any(|oid| oid.as_bytes() == wanted || oid.as_bytes() == oid::ANY_EXTENDED_KEY_USAGE);
    let result =
        if fits { Ok(None) } else { Err(Failure::ExtendedKeyUsage { purpose: purpose.name() }) };
    verdict.record(index, "extended-key-usage", "4.2.1.12", result);
}

fn leaf(verdict: &mut Verdict, certificate: &Certificate, purpose: Purpose) {
    let result = certificate.key.check_strength().map_err(Failure::from);
    verdict.record(
        0,
        "key-strength",
        "RFC 8301 3.2",
        result.map(|()| Some(certificate.key.describe())),
    );
    if let Some(bits) = certificate.extensions.key_usage {
        let (needed, missing) = purpose.key_usage();
        let result = if bits & needed != 0 { Ok(None) } else { Err(Failure::KeyUsage { missing }) };
        verdict.record(0, "key-usage", "4.2.1.3", result);
    }
    extended(verdict, certificate, 0, purpose);
}

fn status<'a>(
    verdict: &mut Verdict,
    path: &[&'a Certificate],
    index: usize,
    pool: &Pool<'a>,
    options: &Options,
    work: &mut Work,
) {
    const CHECK: (&str, &str) = ("revocation", "6.3.3");
    let certificate = path[index];
    let why = match options.revocation {
        Revocation::Ignored => Some("not asked for"),
        Revocation::Chain => None,
        Revocation::Leaf if index == 0 => None,
        Revocation::Leaf | Revocation::Known => {
            (!revocation::known(certificate, pool.crls)).then_some("no CRL by its issuer at hand")
        }
    };
    if let Some(why) = why {
        return verdict.skip(index, CHECK.0, CHECK.1, why);
    }
    let question = revocation::Question {
        certificate,
        issuer: path[index + 1],
        anchor: path[path.len() - 1],
        pool,
        options,
    };
    let result = question.status(work);
    verdict.record(index, CHECK.0, CHECK.1, result.map(Some));
}

/// Two certificates are one node of the graph of issuers when name and key agree (RFC 4158 2.4.2).
pub(crate) fn same_entity(a: &Certificate, b: &Certificate) -> bool {
    let names: (&Name, &Name) = (&a.subject, &b.subject);
    names.0 == names.1
        && a.key == b.key
        && a.extensions.alternative_names == b.extensions.alternative_names
}
