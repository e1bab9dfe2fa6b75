//! The checks of one path (RFC 5280 6.1), from the trust anchor down to the leaf.

use std::borrow::Cow;

use crate::cert::{Certificate, key_usage};
use crate::constraints::Breach;
use crate::options::{Options, Purpose, Revocation};
use crate::policy::{self, Refusal};
use crate::profile::Profile;
use crate::report::Failure;
use crate::search::Pool;
use crate::sig::PublicKey;
use crate::verdict::Verdict;
use crate::work::Work;
use crate::{holder, oid, revocation, strict};

/// Checks a whole path: the leaf first, the trust anchor last, each issued by the next by name.
pub(crate) fn path<'a>(
    path: &[&'a Certificate],
    pool: &Pool<'a>,
    options: &Options,
    work: &mut Work,
) -> Verdict {
    let mut verdict = Verdict::new();
    let anchor = path.len() - 1;
    let effort = path.iter().map(|certificate| certificate.effort()).sum();
    if let Err(failure) = work.spend(effort) {
        verdict.record(0, "path-building", "6.1", Err(failure));
        return verdict;
    }
    let keys = keys(path);
    for (index, certificate) in path.iter().enumerate().rev() {
        if index == anchor {
            verdict.record(index, "trust-anchor", "6.1.1 (d)", Ok(None));
        } else {
            let (issuer, key) = (path[index + 1], keys[index + 1].as_ref());
            let result = work.signature_by(certificate, issuer, key);
            let result = result.map(|()| Some(key.describe()));
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
            issuing(&mut verdict, path, index, &options.purpose);
        } else {
            leaf(&mut verdict, certificate, keys[0].as_ref(), options);
        }
        if options.profile == Profile::Strict {
            conformance(&mut verdict, path, index);
        }
        if index < anchor {
            let issuer_key = keys[index + 1].as_ref();
            status(&mut verdict, path, index, issuer_key, pool, options, work);
        }
    }
    policies(&mut verdict, path, options, work);
    verdict
}

/// The key of each certificate; one of DSA may take its numbers from the certificate above
/// (RFC 5280 6.1.4 (d) to (f)).
fn keys<'a>(path: &[&'a Certificate]) -> Vec<Cow<'a, PublicKey>> {
    let mut keys: Vec<Cow<'a, PublicKey>> =
        path.iter().map(|certificate| Cow::Borrowed(&certificate.key)).collect();
    for index in (0..keys.len().saturating_sub(1)).rev() {
        if keys[index].inherits() {
            keys[index] = Cow::Owned(keys[index].with_parameters_of(&keys[index + 1]));
        }
    }
    keys
}

/// What the RFC forbids issuers to write.
fn conformance(verdict: &mut Verdict, path: &[&Certificate], index: usize) {
    let quirks = strict::quirks(path[index], path.get(index + 1).copied());
    if quirks.is_empty() {
        return verdict.record(index, "conformance", "4", Ok(None));
    }
    for quirk in quirks {
        let failure = Failure::Nonconforming { what: quirk.what };
        verdict.record(index, "conformance", quirk.rfc, Err(failure));
    }
}

/// Certificate policies of the whole path (RFC 5280 6.1.3 (d) to (f), 6.1.4 (a), (b), (h) to (j),
/// 6.1.5 (a), (b), (g)).
fn policies(verdict: &mut Verdict, path: &[&Certificate], options: &Options, work: &mut Work) {
    let Some((anchor, below)) = path.split_last() else { return };
    let steps: Vec<_> = below
        .iter()
        .rev()
        .map(|certificate| policy::Step {
            extensions: &certificate.extensions.policy,
            self_issued: certificate.is_self_issued(),
        })
        .collect();
    let anchor = &anchor.extensions.policy;
    match policy::process(anchor, &steps, &options.policy, &mut work.effort) {
        Ok(holds) => {
            verdict.record(0, "certificate-policies", "6.1.5 (g)", Ok(Some(holds.shown())))
        }
        Err((step, refusal)) => {
            let (rfc, failure) = match refusal {
                Refusal::NoPolicy => ("6.1.3 (f)", Failure::Policy { why: refusal.why() }),
                Refusal::NotWanted => ("6.1.5 (g)", Failure::Policy { why: refusal.why() }),
                Refusal::MapsAny => ("6.1.4 (a)", Failure::Policy { why: refusal.why() }),
                Refusal::TooMuchWork => ("6.1", work.exhaust()),
            };
            let index = below.len().saturating_sub(step + 1);
            verdict.record(index, "certificate-policies", rfc, Err(failure));
        }
    }
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
            &mut work.effort,
        );
        let why = match breach {
            Ok(()) => continue,
            Err(Breach::NotPermitted(name)) => format!("{name} is in no permitted subtree"),
            Err(Breach::Excluded { name, subtree }) => format!("{name} is excluded by {subtree}"),
            Err(Breach::Unprocessable(name)) => format!("{name} cannot be compared"),
            Err(Breach::TooMuchWork) => {
                result = Err(work.exhaust());
                break;
            }
        };
        result = Err(Failure::NameConstraints { by: ca.subject.to_string(), why });
        break;
    }
    verdict.record(index, CHECK.0, CHECK.1, result);
}

/// A certificate that issued the one below it (RFC 5280 6.1.4 (k) to (n)).
fn issuing(verdict: &mut Verdict, path: &[&Certificate], index: usize, purpose: &Purpose) {
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
fn extended(verdict: &mut Verdict, certificate: &Certificate, index: usize, purpose: &Purpose) {
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

fn leaf(verdict: &mut Verdict, certificate: &Certificate, key: &PublicKey, options: &Options) {
    // With the numbers that a key of DSA may take from its issuer's.
    let result = key.check_strength(options.profile).map_err(Failure::from);
    let detail = result.map(|()| Some(key.describe()));
    verdict.record(0, "key-strength", "RFC 8301 3.2", detail);
    if let Some(bits) = certificate.extensions.key_usage {
        let (needed, missing) = options.purpose.key_usage();
        let result = if bits & needed != 0 { Ok(None) } else { Err(Failure::KeyUsage { missing }) };
        verdict.record(0, "key-usage", "4.2.1.3", result);
    }
    extended(verdict, certificate, 0, &options.purpose);
    if let Some(address) = &options.email {
        let legacy = options.profile == Profile::Rfc5280;
        let result = if holder::has_email(certificate, address, legacy) {
            Ok(Some(address.clone()))
        } else {
            Err(Failure::WrongName { form: "e-mail address", wanted: address.clone() })
        };
        verdict.record(0, "email", "7.5, RFC 9598 5", result);
    }
    if let Some(name) = &options.upn {
        let result = if holder::has_upn(certificate, name) {
            Ok(Some(name.clone()))
        } else {
            Err(Failure::WrongName { form: "user principal name", wanted: name.clone() })
        };
        verdict.record(0, "upn", "4.2.1.6", result);
    }
}

fn status<'a>(
    verdict: &mut Verdict,
    path: &[&'a Certificate],
    index: usize,
    issuer_key: &PublicKey,
    pool: &Pool<'a>,
    options: &Options,
    work: &mut Work,
) {
    const CHECK: (&str, &str) = ("revocation", "6.3.3, RFC 6960 3.2");
    let certificate = path[index];
    let why = match options.revocation {
        Revocation::Ignored => Some("not asked for"),
        Revocation::Chain => None,
        Revocation::Leaf if index == 0 => None,
        Revocation::Leaf | Revocation::Known => {
            match revocation::known(certificate, path[index + 1], pool, work) {
                Ok(true) => None,
                Ok(false) => Some("no CRL by its issuer and no OCSP answer at hand"),
                Err(failure) => {
                    return verdict.record(index, CHECK.0, CHECK.1, Err(failure));
                }
            }
        }
    };
    if let Some(why) = why {
        return verdict.skip(index, CHECK.0, CHECK.1, why);
    }
    let question = revocation::Question {
        certificate,
        issuer: path[index + 1],
        issuer_key,
        anchor: path[path.len() - 1],
        pool,
        options,
    };
    let result = question.status(work);
    verdict.record(index, CHECK.0, CHECK.1, result.map(Some));
}
