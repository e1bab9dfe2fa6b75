//! Certificate and CRL extensions, written. (They are read by [`crate::lint`] through another
//! library, so that a mistake here is not repeated there.)

use const_oid::ObjectIdentifier;
use const_oid::db::{rfc5280 as oids, rfc5912};

use wire::intent::{Name, NameKind};

use crate::asn1;

/// Bits of keyUsage in the order of RFC 5280 section 4.2.1.3, the first being the highest.
pub(crate) const DIGITAL_SIGNATURE: u8 = 0x80;
pub(crate) const KEY_ENCIPHERMENT: u8 = 0x20;
pub(crate) const KEY_AGREEMENT: u8 = 0x08;
pub(crate) const KEY_CERT_SIGN: u8 = 0x04;
pub(crate) const CRL_SIGN: u8 = 0x02;

/// RFC 5280 section 5.2.5. Named here since x509-cert 0.3 has another OID under this name.
pub(crate) const ISSUING_DISTRIBUTION_POINT: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("2.5.29.28");

/// RFC 5280 section 4.2.2.1.
pub(crate) const CA_ISSUERS: ObjectIdentifier = rfc5912::ID_AD_CA_ISSUERS;

fn extension(kind: ObjectIdentifier, critical: bool, value: &[u8]) -> Vec<u8> {
    let mut parts = vec![asn1::oid(kind)];
    // FALSE is the default, which DER leaves out.
    if critical {
        parts.push(boolean_true());
    }
    parts.push(asn1::tlv(asn1::OCTET_STRING, &[value]));
    asn1::sequence(&parts)
}

fn boolean_true() -> Vec<u8> {
    asn1::tlv(asn1::BOOLEAN, &[[0xff]])
}

/// Section 4.2.1.9; critical.
pub(crate) fn basic_constraints_ca(path_len: Option<u8>) -> Vec<u8> {
    let mut parts = vec![boolean_true()];
    parts.extend(path_len.map(|length| asn1::unsigned(&[length])));
    extension(oids::ID_CE_BASIC_CONSTRAINTS, true, &asn1::sequence(&parts))
}

/// Section 4.2.1.9; critical. FALSE is the default, so the sequence is empty.
pub(crate) fn basic_constraints_leaf() -> Vec<u8> {
    extension(oids::ID_CE_BASIC_CONSTRAINTS, true, &asn1::sequence::<&[u8]>(&[]))
}

/// Section 4.2.1.3; critical. Trailing zero bits are left out (X.690 section 11.2.2).
pub(crate) fn key_usage(bits: u8) -> Vec<u8> {
    let value = asn1::tlv(asn1::BIT_STRING, &[[bits.trailing_zeros() as u8, bits]]);
    extension(oids::ID_CE_KEY_USAGE, true, &value)
}

/// Section 4.2.1.12.
pub(crate) fn extended_key_usage(purposes: &[ObjectIdentifier]) -> Vec<u8> {
    let list: Vec<_> = purposes.iter().map(|purpose| asn1::oid(*purpose)).collect();
    extension(oids::ID_CE_EXT_KEY_USAGE, false, &asn1::sequence(&list))
}

/// Section 4.2.1.2.
pub(crate) fn subject_key_identifier(id: &[u8]) -> Vec<u8> {
    extension(oids::ID_CE_SUBJECT_KEY_IDENTIFIER, false, &asn1::tlv(asn1::OCTET_STRING, &[id]))
}

/// Section 4.2.1.1: the key identifier alone.
pub(crate) fn authority_key_identifier(id: &[u8]) -> Vec<u8> {
    let value = asn1::sequence(&[asn1::tlv(asn1::context(0), &[id])]);
    extension(oids::ID_CE_AUTHORITY_KEY_IDENTIFIER, false, &value)
}

/// userPrincipalName of Microsoft, an otherName with a UTF8String.
pub(crate) const UPN: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.20.2.3");

/// Section 4.2.1.6: one URI, then e-mail addresses and UPNs in the order given. Not critical, since
/// the subject is not empty.
pub(crate) fn subject_alt_names(uri: &str, names: &[Name]) -> Vec<u8> {
    let besides = names.iter().filter_map(|name| match name.kind {
        NameKind::UserId => None,
        NameKind::Rfc822 => Some(asn1::tlv(asn1::context(1), &[name.value.as_str()])),
        NameKind::Upn => Some(upn_name(&name.value)),
    });
    let all: Vec<_> = std::iter::once(uri_name(uri)).chain(besides).collect();
    extension(oids::ID_CE_SUBJECT_ALT_NAME, false, &asn1::sequence(&all))
}

/// otherName [0] IMPLICIT: the type, and the value [0] EXPLICIT.
fn upn_name(value: &str) -> Vec<u8> {
    let text = asn1::tlv(asn1::UTF8_STRING, &[value]);
    let value = asn1::tlv(asn1::context_constructed(0), &[text]);
    asn1::tlv(asn1::context_constructed(0), &[asn1::oid(UPN), value])
}

/// Section 4.2.1.13: one distribution point with one URI.
pub(crate) fn crl_distribution_point(url: &str) -> Vec<u8> {
    let point = asn1::sequence(&[full_name(url)]);
    extension(oids::ID_CE_CRL_DISTRIBUTION_POINTS, false, &asn1::sequence(&[point]))
}

/// Section 4.2.2.1: where the issuer's certificate is.
pub(crate) fn ca_issuers(url: &str) -> Vec<u8> {
    let access = asn1::sequence(&[asn1::oid(CA_ISSUERS), uri_name(url)]);
    extension(oids::ID_PE_AUTHORITY_INFO_ACCESS, false, &asn1::sequence(&[access]))
}

/// Section 5.2.3.
pub(crate) fn crl_number(number: u64) -> Vec<u8> {
    extension(oids::ID_CE_CRL_NUMBER, false, &asn1::unsigned(&number.to_be_bytes()))
}

/// Section 5.2.5; critical: this URL, onlyContainsUserCerts [1].
pub(crate) fn issuing_distribution_point(url: &str) -> Vec<u8> {
    let flag = asn1::tlv(asn1::context(1), &[[0xff]]);
    extension(ISSUING_DISTRIBUTION_POINT, true, &asn1::sequence(&[full_name(url), flag]))
}

/// Section 5.3.1.
pub(crate) fn reason_code(code: u8) -> Vec<u8> {
    extension(oids::ID_CE_CRL_REASONS, false, &asn1::tlv(asn1::ENUMERATED, &[[code]]))
}

/// distributionPoint [0] EXPLICIT (a CHOICE) with fullName [0].
fn full_name(url: &str) -> Vec<u8> {
    let names = asn1::tlv(asn1::context_constructed(0), &[uri_name(url)]);
    asn1::tlv(asn1::context_constructed(0), &[names])
}

fn uri_name(uri: &str) -> Vec<u8> {
    asn1::tlv(asn1::context(6), &[uri])
}
