//! What RFC 5280 section 4 forbids issuers to do, and a validator may take all the same; looked at
//! under the profile `strict` only.

use crate::cert::{Certificate, key_usage};
use crate::constraints::{NameConstraints, host_name};
use crate::extensions::Quirk;
use crate::holder::is_local_part;
use crate::name::GeneralName;

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

/// An address that is no mailbox, a host name that is none, a URI without a scheme, an address of
/// odd length.
fn malformed(name: &GeneralName) -> bool {
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
        GeneralName::Other(..) | GeneralName::Unsupported(..) => false,
    }
}
