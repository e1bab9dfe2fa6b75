//! Why two verifiers part on a chain. Each reason has its paragraph in README.md, and is as narrow
//! as the fault that it is about.

use crate::spec::{Base, Chain, Fault, Kind, Loose, Purpose, Purposes, San, Subtree, Usage};
use crate::verifiers::Opinion;

/// The name of the reason, by which README.md explains it.
pub(crate) type Explain = fn(&Chain, &Opinion, &Opinion) -> Option<&'static str>;

fn is(opinion: &Opinion, text: &str) -> bool {
    opinion.as_ref().is_err_and(|why| why.starts_with(text))
}

fn is_about(opinion: &Opinion, text: &str) -> bool {
    opinion.as_ref().is_err_and(|why| why.contains(text))
}

/// The root sets conditions on policies.
fn root_sets_policy(chain: &Chain) -> bool {
    chain.root.constraints.is_some() || chain.root.inhibit_any.is_some()
}

/// We refuse a wildcard because of a DNS subtree.
fn excluded_wildcard(chain: &Chain, ours: &Opinion) -> bool {
    let wildcard = |c: &crate::spec::Certificate| {
        c.names.iter().flatten().any(|name| matches!(name, San::Wildcard(_)))
    };
    let ours =
        ours.as_ref().is_err_and(|why| why.contains("dNSName *.") && why.contains("excluded"));
    ours && chain.all().any(wildcard)
}

/// Some certificate is loose in this way.
fn loose(chain: &Chain, wanted: &[Loose]) -> bool {
    chain.all().any(|c| wanted.contains(&c.loose))
}

pub(crate) fn openssl(chain: &Chain, ours: &Opinion, theirs: &Opinion) -> Option<&'static str> {
    if loose(chain, &[Loose::OtherAki, Loose::NoAki, Loose::CriticalAki])
        && ["unable to get", "self-signed certificate in certificate chain"]
            .iter()
            .any(|why| is(theirs, why))
    {
        return Some("openssl: key identifiers decide");
    }
    if loose(chain, &[Loose::CriticalAki]) && is(theirs, "unhandled critical extension") {
        return Some("critical key identifiers");
    }
    let purposes = |wanted| chain.all().any(|c| c.purposes == Some(wanted));
    if is(theirs, "no explicit policy") {
        return Some("openssl: no user set");
    }
    if is(ours, "certificate-policies: certificate policies: a mapping from or to anyPolicy")
        && chain.cas().iter().any(|c| c.mapping.is_some() && c.policies == [None, None])
    {
        return Some("openssl: mappings without policies");
    }
    if is(ours, "certificate-policies") {
        if root_sets_policy(chain) {
            return Some("openssl: the root's policies");
        }
        if chain.wanted_policy.is_some() {
            return Some("openssl: no user set");
        }
    }
    if chain.purpose != Purpose::Any
        && purposes(Purposes::Any)
        && is(theirs, "unsuitable certificate purpose")
    {
        return Some("anyExtendedKeyUsage");
    }
    if is(theirs, "unsuitable certificate purpose") || is(theirs, "unsupported certificate purpose")
    {
        let bits = |usage| chain.leaf.usage == usage;
        if bits(Usage::CrlSignOnly) {
            return Some("openssl: key usages of a purpose");
        }
    }
    if excluded_wildcard(chain, ours) {
        return Some("wildcards and excluded names");
    }
    if theirs.is_ok()
        && is(ours, "not-a-ca: not a certificate authority: no basic constraints")
        && chain.all().any(|c| c.kind == Kind::Absent)
    {
        return Some("openssl: keyCertSign makes a CA");
    }
    // Without a key identifier a self-issued CA and the one above it look alike.
    let nameless = [Loose::LaxBasicConstraints, Loose::NoAki, Loose::CriticalAki];
    let alike = loose(chain, &nameless)
        && chain.cas().iter().any(|ca| ca.self_issued())
        && is(theirs, "certificate signature failure");
    if (chain.namesake || alike) && theirs.is_err() {
        return Some("openssl: no second try");
    }
    None
}

/// Between the profile `strict` and openssl's strict mode at level 2.
pub(crate) fn strict(chain: &Chain, ours: &Opinion, theirs: &Opinion) -> Option<&'static str> {
    if theirs.is_ok() && is(ours, "nonconforming") {
        if is_about(ours, "serial") && loose(chain, &[Loose::LongSerial, Loose::ZeroSerial]) {
            return Some("openssl: serial numbers");
        }
        if is_about(ours, "constraints that are not critical")
            && loose(chain, &[Loose::LaxNameConstraints])
        {
            return Some("openssl: constraints that are not critical");
        }
        if is_about(ours, "not of its form") && loose(chain, &[Loose::DnsBelow]) {
            return Some("openssl: a leading dot");
        }
        if is_about(ours, "mapping from or to anyPolicy") {
            if [&chain.root, &chain.leaf].iter().any(|c| c.mapping.is_some()) {
                return Some("openssl: mappings at the ends");
            }
            if chain.cas().iter().any(|c| c.mapping.is_some() && c.policies == [None, None]) {
                return Some("openssl: mappings without policies");
            }
        }
    }
    openssl(chain, ours, theirs)
}

pub(crate) fn webpki(chain: &Chain, ours: &Opinion, theirs: &Opinion) -> Option<&'static str> {
    // Where several candidates have one name, the error it tells may be that of another one: its
    // signature's.
    let namesakes = chain.namesake || chain.cas().iter().any(|c| c.self_issued());
    let tells =
        |error| is(theirs, error) || (namesakes && is(theirs, "InvalidSignatureForPublicKey"));
    let leaf_is_ca = matches!(chain.leaf.kind, Kind::PathLen0 | Kind::PathLen1);
    if leaf_is_ca && is(theirs, "CaUsedAsEndEntity") {
        return Some("webpki: a CA is no leaf");
    }
    let not_for_clients = |c: &crate::spec::Certificate| {
        matches!(c.purposes, Some(Purposes::Email | Purposes::Server | Purposes::Any))
    };
    if chain.purpose == Purpose::Any
        && tells("RequiredEkuNotFound")
        && chain.below_root().any(not_for_clients)
    {
        return Some("webpki: always a purpose");
    }
    if tells("RequiredEkuNotFound") {
        if chain.all().any(|c| c.purposes == Some(Purposes::Any)) {
            return Some("anyExtendedKeyUsage");
        }
    }
    let limited = |c: &crate::spec::Certificate| matches!(c.kind, Kind::PathLen0 | Kind::PathLen1);
    if tells("PathLenConstraintViolated")
        && chain.cas().iter().any(|c| c.self_issued())
        && chain.all().any(limited)
    {
        return Some("webpki: self-issued certificates count");
    }
    let policy = |c: &crate::spec::Certificate| {
        c.mapping.is_some() || c.constraints.is_some() || c.inhibit_any.is_some()
    };
    if tells("UnsupportedCriticalExtension") && loose(chain, &[Loose::CriticalAki]) {
        return Some("critical key identifiers");
    }
    if tells("UnsupportedCriticalExtension") && chain.cas().iter().any(policy) {
        return Some("webpki: no policies");
    }
    if is(ours, "certificate-policies") {
        return Some("webpki: no policies");
    }
    if is(ours, "key-usage") && chain.below_root().any(|c| c.usage == Usage::CrlSignOnly) {
        return Some("webpki: key usages");
    }
    // Of the root it takes name, key and name constraints.
    let root = &chain.root;
    if theirs.is_ok() {
        let root_faults = [
            ("expired", root.fault() == Fault::Expired),
            ("not-yet-valid", root.fault() == Fault::Future),
            ("not-a-ca", matches!(root.kind, Kind::CaFalse | Kind::Absent)),
            ("path-length", matches!(root.kind, Kind::PathLen0 | Kind::PathLen1)),
            ("key-usage", root.usage == Usage::CrlSignOnly),
            ("unknown-critical-extension", root.fault() == Fault::UnknownCritical),
            ("extended-key-usage", root.purposes.is_some()),
        ];
        if root_faults.iter().any(|(code, there)| *there && is(ours, code)) {
            return Some("webpki: the root's own certificate");
        }
    }
    let bases = || {
        let with_root = std::iter::once(&chain.root).chain(chain.cas());
        with_root.flat_map(|c| c.subtrees.iter().flatten())
    };
    let constrained = |wanted: fn(&Base) -> bool| {
        bases().any(|subtree| match subtree {
            Subtree::Permit(base) | Subtree::Exclude(base) => wanted(base),
        })
    };
    if tells("NameConstraintViolation") {
        if constrained(|b| matches!(b, Base::Email(_) | Base::EmailBelow(_) | Base::Mailbox(_))) {
            return Some("webpki: no constraints on addresses");
        }
        if constrained(|b| matches!(b, Base::Organization(_))) {
            return Some("webpki: no constraints on directory names");
        }
    }
    if excluded_wildcard(chain, ours) {
        return Some("wildcards and excluded names");
    }
    None
}
