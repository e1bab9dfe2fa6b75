//! The names that a request asks for beside its subject.

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5280::ID_CE_SUBJECT_ALT_NAME;
use wire::UserId;

use super::EXTENSION_REQUEST;
use crate::asn1::{self, DerFault, DerKind, Reader, Tlv};

/// Microsoft's user principal name, as an otherName.
const UPN: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.20.2.3");

/// A name from a requested subjectAltName extension (RFC 5280 section 4.2.1.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestedName {
    /// rfc822Name: an e-mail address.
    Email(String),
    /// uniformResourceIdentifier.
    Uri(String),
    /// An otherName that holds a user principal name.
    Upn(String),
    /// Any other kind, by its context tag number (0 to 8).
    Other(u8),
}

/// Reads the attributes of a request: checks the structure of all, and returns the names.
pub(super) fn requested(attributes: &Tlv<'_>) -> Result<Vec<RequestedName>, DerFault> {
    asn1::set_order(attributes.reader())?;
    let mut names = Vec::new();
    let mut reader = attributes.reader();
    while !reader.is_empty() {
        let mut attribute = reader.expect(asn1::SEQUENCE, "Attribute")?.reader();
        let oid = attribute.expect(asn1::OID, "the attribute's type")?.oid()?;
        let values = attribute.expect(asn1::SET, "the attribute's values")?;
        attribute.finish()?;
        if values.value().is_empty() {
            return Err(DerKind::Missing { expected: "the attribute's value" }.at(values.offset));
        }
        if oid == EXTENSION_REQUEST {
            let mut values = values.reader();
            while !values.is_empty() {
                extensions(&values.expect(asn1::SEQUENCE, "Extensions")?, &mut names)?;
            }
        }
    }
    Ok(names)
}

fn extensions(list: &Tlv<'_>, names: &mut Vec<RequestedName>) -> Result<(), DerFault> {
    let mut reader = list.reader();
    while !reader.is_empty() {
        let mut extension = reader.expect(asn1::SEQUENCE, "Extension")?.reader();
        let oid = extension.expect(asn1::OID, "the extension's type")?.oid()?;
        if let Some(critical) = extension.optional(asn1::BOOLEAN)?
            && critical.value() == [0]
        {
            return Err(DerKind::DefaultEncoded.at(critical.offset));
        }
        let value = extension.expect(asn1::OCTET_STRING, "the extension's value")?;
        extension.finish()?;
        if oid == ID_CE_SUBJECT_ALT_NAME {
            let mut content = value.reader();
            let list = content.expect(asn1::SEQUENCE, "GeneralNames")?;
            content.finish()?;
            asn1::check(&list)?;
            general_names(&mut list.reader(), names)?;
        }
    }
    Ok(())
}

fn general_names(reader: &mut Reader<'_>, names: &mut Vec<RequestedName>) -> Result<(), DerFault> {
    while !reader.is_empty() {
        let name = reader.next("GeneralName")?;
        let text = || match std::str::from_utf8(name.value()) {
            Ok(text) if text.is_ascii() => Ok(text.to_owned()),
            _ => Err(DerKind::Text { string_type: "IA5String" }.at(name.offset)),
        };
        names.push(match name.tag {
            tag if tag == asn1::context(1) => RequestedName::Email(text()?),
            tag if tag == asn1::context(6) => RequestedName::Uri(text()?),
            tag if tag == asn1::context_constructed(0) => other_name(&name)?,
            tag if tag & 0xc0 == 0x80 && tag & 0x1f <= 8 => RequestedName::Other(tag & 0x1f),
            found => return Err(DerKind::Tag { expected: "GeneralName", found }.at(name.offset)),
        });
    }
    Ok(())
}

fn other_name(name: &Tlv<'_>) -> Result<RequestedName, DerFault> {
    let mut fields = name.reader();
    let oid = fields.expect(asn1::OID, "the otherName's type")?.oid()?;
    let value = fields.expect(asn1::context_constructed(0), "the otherName's value")?;
    fields.finish()?;
    let mut value = value.reader();
    let text = value.next("the otherName's value")?;
    value.finish()?;
    match text.text() {
        Some(text) if oid == UPN => Ok(RequestedName::Upn(text)),
        _ => Ok(RequestedName::Other(0)),
    }
}

/// Whether a URI is one of Avouch's and names somebody else than `uid`.
pub(super) fn is_other_identity(uri: &str, uid: &UserId) -> bool {
    // RFC 3986 section 3.1: schemes are compared without regard to case.
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    if !scheme.eq_ignore_ascii_case("avouch") {
        return false;
    }
    let named = rest
        .strip_prefix("//")
        .and_then(|rest| rest.split_once('/'))
        .and_then(|(_, segment)| UserId::from_path_segment(segment).ok());
    named.as_ref() != Some(uid)
}
