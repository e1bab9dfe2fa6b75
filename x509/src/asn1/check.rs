//! The rules of DER for every universal type, applied to a whole document.

use super::{
    BIT_STRING, BMP_STRING, BOOLEAN, DerFault, DerKind, ENUMERATED, GENERALIZED_TIME, IA5_STRING,
    INTEGER, NULL, OCTET_STRING, OID, PRINTABLE_STRING, Reader, SEQUENCE, SET, TELETEX_STRING, Tlv,
    UTC_TIME, UTF8_STRING,
};
use der::asn1::ObjectIdentifier;

/// Deeper nesting than any request or key has; bounds the recursion.
const DEPTH: u8 = 24;

const CONSTRUCTED: u8 = 0x20;
const CLASS: u8 = 0xc0;

/// Checks `element` and everything in it.
pub(crate) fn check(element: &Tlv<'_>) -> Result<(), DerFault> {
    descend(element, 0)
}

fn descend(element: &Tlv<'_>, depth: u8) -> Result<(), DerFault> {
    let fault = |kind: DerKind| Err(kind.at(element.offset));
    if depth > DEPTH {
        return fault(DerKind::Depth { limit: DEPTH });
    }
    let (tag, value) = (element.tag, element.value());
    let sound = match tag {
        BOOLEAN => (value == [0] || value == [0xff], DerKind::Boolean),
        INTEGER | ENUMERATED => (minimal(value), DerKind::Integer),
        BIT_STRING => (bits(value), DerKind::BitString),
        OCTET_STRING => (true, DerKind::Null),
        NULL => (value.is_empty(), DerKind::Null),
        OID => (ObjectIdentifier::from_bytes(value).is_ok(), DerKind::Oid),
        UTF8_STRING => {
            (std::str::from_utf8(value).is_ok(), DerKind::Text { string_type: "UTF8String" })
        }
        PRINTABLE_STRING => (
            value.iter().all(|c| c.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(c)),
            DerKind::Text { string_type: "PrintableString" },
        ),
        IA5_STRING => (value.is_ascii(), DerKind::Text { string_type: "IA5String" }),
        BMP_STRING => (value.len().is_multiple_of(2), DerKind::Text { string_type: "BMPString" }),
        TELETEX_STRING => (true, DerKind::Null),
        UTC_TIME => (time(value, 12), DerKind::Time),
        GENERALIZED_TIME => (time(value, 14), DerKind::Time),
        SEQUENCE | SET => return children(element, depth),
        _ if tag & CLASS == 0 => {
            // A universal type in the wrong form, such as a string in pieces.
            let base = tag & !CONSTRUCTED;
            let constructed = tag & CONSTRUCTED != 0;
            let is_container = base == SEQUENCE & !CONSTRUCTED || base == SET & !CONSTRUCTED;
            (constructed == is_container, DerKind::Form { found: tag })
        }
        _ if tag & CONSTRUCTED != 0 => return children(element, depth),
        _ => (true, DerKind::Null),
    };
    if sound.0 { Ok(()) } else { fault(sound.1) }
}

fn children(element: &Tlv<'_>, depth: u8) -> Result<(), DerFault> {
    let mut reader = element.reader();
    while !reader.is_empty() {
        descend(&reader.next("an element")?, depth + 1)?;
    }
    // None of these formats has a SET that is not a SET OF.
    if element.tag == SET { set_order(element.reader()) } else { Ok(()) }
}

/// Checks the order of the elements of an implicitly tagged SET OF.
pub(crate) fn set_order(mut reader: Reader<'_>) -> Result<(), DerFault> {
    let mut before: Option<&[u8]> = None;
    while !reader.is_empty() {
        let child = reader.next("an element")?;
        if before.is_some_and(|before| before > child.raw()) {
            return Err(DerKind::SetOrder.at(child.offset));
        }
        before = Some(child.raw());
    }
    Ok(())
}

fn minimal(value: &[u8]) -> bool {
    match value {
        [] => false,
        [0, second, ..] => *second >= 0x80,
        [0xff, second, ..] => *second < 0x80,
        _ => true,
    }
}

fn bits(value: &[u8]) -> bool {
    match value {
        [] => false,
        [unused] => *unused == 0,
        [unused, .., last] => *unused < 8 && last & ((1_u16 << unused) - 1) as u8 == 0,
    }
}

fn time(value: &[u8], digits: usize) -> bool {
    value.len() == digits + 1
        && value[digits] == b'Z'
        && value[..digits].iter().all(u8::is_ascii_digit)
}
