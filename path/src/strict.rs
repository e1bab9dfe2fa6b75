//! What RFC 5280 section 4 forbids issuers to do, and a validator may take all the same; looked at
//! under the profile `strict` only.

use crate::cert::{Certificate, key_usage};
use crate::constraints::{NameConstraints, host_name};
use crate::extensions::{DistributionPoint, Quirk};
use crate::holder::{is_local_part, other_name_text};
use crate::name::{GeneralName, PointName};
use crate::oid;
use crate::policy::Mappings;
use crate::sig::PublicKey;

/// Everything that a conforming CA would not have written into this certificate.
///
/// `issuer` is none for a trust anchor; one older than version 3 was trusted by a decision made
/// elsewhere.
pub(crate) fn quirks(certificate: &Certificate, issuer: Option<&Certificate>) -> Vec<Quirk> {
    let is_anchor = issuer.is_none();
    if is_anchor && certificate.version < 3 {
        return Vec::new();
    }
    let extensions = &certificate.extensions;
    let mut out = extensions.quirks.clone();
    let mut note = |found: bool, rfc, what| {
        if found {
            out.push(Quirk { rfc, what });
        }
    };
    let serial = certificate.serial();
    note(serial.first().is_some_and(|top| top & 0x80 != 0), "4.1.2.2", "a negative serial number");
    note(serial == [0], "4.1.2.2", "serial number zero");
    note(serial.len() > 20, "4.1.2.2", "a serial number of more than 20 octets");
    note(certificate.issuer.is_empty(), "4.1.2.4", "an empty issuer name");
    note(certificate.not_before > certificate.not_after, "4.1.2.5", "a validity that ends first");
    note(!certificate.algorithms_agree, "4.1.1.2", "two signature algorithm fields that differ");
    // Of an anchor it is not known who signed it; that it names itself has to do.
    let self_signed =
        certificate.is_self_issued() && issuer.is_none_or(|issuer| issuer.key == certificate.key);
    let signer = issuer.or(self_signed.then_some(certificate));
    let named = &extensions.authority_key_id;
    note(
        named.key_id.is_none() && !self_signed,
        "4.2.1.1",
        "no authority key identifier with a key identifier",
    );
    note(
        named.is_half(),
        "4.2.1.1",
        "an authority key identifier with the issuer's name or number, but not both",
    );
    note(
        signer.is_some_and(|signer| named.distance(signer) == 2),
        "4.2.1.2",
        "an authority key identifier that is not the issuer's",
    );
    note(
        extensions.name_constraints.as_ref().is_some_and(NameConstraints::has_malformed),
        "4.2.1.10",
        "a constraint on names that is not of its form",
    );
    out.extend(certificate.issuer.fault().map(|what| Quirk { rfc: "4.1.2.4", what }));
    out.extend(certificate.subject.fault().map(|what| Quirk { rfc: "4.1.2.6", what }));
    out.extend(points(certificate).map(|what| Quirk { rfc: "4.2.1.13", what }));
    let mut note = |found: bool, rfc, what| {
        if found {
            out.push(Quirk { rfc, what });
        }
    };
    let mailbox = |name: &GeneralName| {
        matches!(name, GeneralName::Email(_))
            || matches!(name, GeneralName::Other(kind, _) if kind.as_bytes() == oid::SMTP_UTF8_MAILBOX)
    };
    note(
        certificate.subject.attributes(oid::EMAIL_ADDRESS).next().is_some()
            && !extensions.alternative_names.iter().any(mailbox),
        "4.1.2.6",
        "an address in the subject, and none among the alternative names",
    );
    note(
        extensions.policy.mappings.as_ref().is_some_and(Mappings::names_any),
        "4.2.1.5",
        "a mapping from or to anyPolicy",
    );
    if let Some((rfc, what)) = unfit_usage(certificate) {
        note(true, rfc, what);
    }
    let ca = certificate.is_ca();
    let usage = extensions.key_usage;
    note(usage == Some(0), "4.2.1.3", "key usage without any bit");
    let lists = usage.is_some_and(|bits| bits & key_usage::CRL_SIGN != 0);
    note(lists && certificate.subject.is_empty(), "4.1.2.6", "a CRL issuer without a name");
    let signs = usage.is_none_or(|bits| bits & key_usage::KEY_CERT_SIGN != 0);
    if ca {
        note(certificate.subject.is_empty(), "4.1.2.6", "a CA without a name");
        note(extensions.subject_key_id.is_none(), "4.2.1.2", "a CA without subject key identifier");
        note(usage.is_none(), "4.2.1.3", "a CA without key usage");
        let constraints = extensions.basic_constraints;
        note(
            constraints.is_some_and(|c| !c.critical) && signs,
            "4.2.1.9",
            "basic constraints of a CA that are not critical",
        );
        note(
            constraints.is_some_and(|c| c.path_len.is_some()) && !signs,
            "4.2.1.9",
            "a path length for a key that signs no certificates",
        );
    } else {
        note(
            usage.is_some_and(|bits| bits & key_usage::KEY_CERT_SIGN != 0),
            "4.2.1.9",
            "keyCertSign without being a CA",
        );
        note(
            extensions.basic_constraints.is_some_and(|c| c.path_len.is_some()),
            "4.2.1.9",
            "a path length without being a CA",
        );
        note(
            extensions.name_constraints.is_some(),
            "4.2.1.10",
            "name constraints without being a CA",
        );
        note(
            certificate.subject.is_empty() && extensions.alternative_names.is_empty(),
            "4.1.2.6",
            "neither a subject nor an alternative name",
        );
    }
    note(
        certificate.subject.is_empty()
            && !extensions.alternative_names.is_empty()
            && !extensions.alternative_names_critical,
        "4.2.1.6",
        "alternative names that are not critical where there is no subject",
    );
    note(
        extensions.alternative_names.iter().any(malformed),
        "4.2.1.6",
        "an alternative name that is not of its form",
    );
    out
}

/// What 4.2.1.13 forbids about distribution points.
fn points(certificate: &Certificate) -> Option<&'static str> {
    let points = &certificate.extensions.distribution_points;
    if !points.is_empty() && points.iter().all(|point| point.reasons.is_some()) {
        return Some("no distribution point for all reasons");
    }
    points.iter().find_map(|point| point_fault(point, certificate))
}

fn point_fault(point: &DistributionPoint, certificate: &Certificate) -> Option<&'static str> {
    match point.crl_issuer.as_deref() {
        None => {}
        Some([GeneralName::Directory(name)]) if *name == certificate.issuer => {
            return Some("a distribution point that names the certificate's issuer as the CRL's");
        }
        Some([GeneralName::Directory(_)]) => {}
        Some(names) => {
            let directories = names.iter().filter(|n| matches!(n, GeneralName::Directory(_)));
            return Some(match point.name {
                Some(PointName::Relative(_)) if directories.count() > 1 => {
                    "a distribution point relative to several CRL issuers"
                }
                _ => "a CRL issuer that is not one directory name",
            });
        }
    }
    let Some(PointName::Full(names)) = &point.name else { return None };
    let pointless =
        |name: &GeneralName| matches!(name, GeneralName::Uri(uri) if !is_ldap_whole(uri));
    names.iter().any(pointless).then_some("an LDAP URI without a name or an attribute")
}

/// An LDAP URI (RFC 4516 2) names an entry and one attribute of it; others need not.
fn is_ldap_whole(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once("://") else { return true };
    if !scheme.eq_ignore_ascii_case("ldap") && !scheme.eq_ignore_ascii_case("ldaps") {
        return true;
    }
    let mut parts = rest.split('?');
    let entry = parts.next().and_then(|place| place.split_once('/')).map_or("", |(_, dn)| dn);
    let attributes = parts.next().unwrap_or_default();
    !entry.is_empty() && !attributes.is_empty() && !attributes.contains(',')
}

/// Bits of key usage that the kind of key rules out.
fn unfit_usage(certificate: &Certificate) -> Option<(&'static str, &'static str)> {
    use key_usage::{
        DATA_ENCIPHERMENT, DECIPHER_ONLY, ENCIPHER_ONLY, KEY_AGREEMENT, KEY_ENCIPHERMENT,
    };
    let bits = certificate.extensions.key_usage?;
    let agrees = KEY_AGREEMENT | ENCIPHER_ONLY | DECIPHER_ONLY;
    let (unfit, rfc, what) = match &certificate.key {
        PublicKey::Ec { .. } => (
            KEY_ENCIPHERMENT | DATA_ENCIPHERMENT,
            "RFC 8813 3",
            "key usage to encipher with a key on a curve",
        ),
        PublicKey::Ed25519(_) => (
            KEY_ENCIPHERMENT | DATA_ENCIPHERMENT | agrees,
            "RFC 9295 3",
            "key usage beside signing of an Ed25519 key",
        ),
        PublicKey::Rsa { pss_only: true, .. } => (
            KEY_ENCIPHERMENT | DATA_ENCIPHERMENT | agrees,
            "RFC 4055 1.2",
            "key usage beside signing of a key for RSASSA-PSS",
        ),
        _ => return None,
    };
    (bits & unfit != 0).then_some((rfc, what))
}

/// An address that is no mailbox, a host name that is none, a URI without a scheme, an address of
/// odd length.
pub(crate) fn malformed(name: &GeneralName) -> bool {
    match name {
        GeneralName::Email(address) => address.rsplit_once('@').is_none_or(|(local, host)| {
            let literal = host.starts_with('[') && host.ends_with(']');
            !is_local_part(local) || !(literal || host_name(host, false).is_some())
        }),
        GeneralName::Dns(host) => host_name(host, true).is_none(),
        GeneralName::Uri(uri) => uri.split_once(':').is_none_or(|(scheme, rest)| {
            !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || rest.is_empty()
        }),
        GeneralName::Ip(octets) => ![4, 16].contains(&octets.len()),
        GeneralName::Directory(name) => name.is_empty(),
        // For local parts beyond ASCII alone, before hosts in A-labels (RFC 9598 3).
        GeneralName::Other(kind, _) if kind.as_bytes() == oid::SMTP_UTF8_MAILBOX => {
            let address = other_name_text(name, oid::SMTP_UTF8_MAILBOX);
            address.and_then(|address| address.rsplit_once('@')).is_none_or(|(local, host)| {
                local.is_ascii() || !is_local_part(local) || host_name(host, false).is_none()
            })
        }
        GeneralName::Other(..) | GeneralName::Unsupported(..) => false,
    }
}
