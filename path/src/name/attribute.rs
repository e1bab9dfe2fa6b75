//! What RFC 5280 makes of single attributes of names (4.1.2.4, 4.1.2.6 and appendix A).

use crate::asn1::{Oid, Tlv};
use crate::oid;

const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const TELETEX: u8 = 0x14;
const IA5: u8 = 0x16;
const UNIVERSAL: u8 = 0x1c;
const BMP: u8 = 0x1e;

/// What is wrong with the type or the length of this attribute's value. TeletexString and its like
/// are taken, since issuers may go on with what they began with (4.1.2.4 (a) and (b)).
pub(super) fn fault(kind: &Oid, value: &Tlv<'_>, text: Option<&str>) -> Option<&'static str> {
    let length = || text.map_or(0, |text| text.chars().count());
    let directory = |max: usize| {
        if ![UTF8, PRINTABLE, TELETEX, UNIVERSAL, BMP].contains(&value.tag) || text.is_none() {
            Some("a name's attribute that is no DirectoryString")
        } else if value.tag == PRINTABLE && !is_printable(value.value) {
            Some("a PrintableString with other characters")
        } else if !(1..=max).contains(&length()) {
            Some("a name's attribute that is empty or too long")
        } else {
            None
        }
    };
    match kind.as_bytes() {
        oid::COMMON_NAME | oid::ORGANIZATION | oid::ORGANIZATIONAL_UNIT | oid::TITLE => {
            directory(64)
        }
        oid::LOCALITY | oid::STATE | oid::PSEUDONYM => directory(128),
        oid::SURNAME | oid::GIVEN_NAME | oid::INITIALS | oid::GENERATION => directory(32_768),
        oid::COUNTRY if value.tag != PRINTABLE || length() != 2 => {
            Some("a country that is no PrintableString of two letters")
        }
        oid::SERIAL_NUMBER if value.tag != PRINTABLE || !(1..=64).contains(&length()) => {
            Some("a serialNumber that is no PrintableString of at most 64 characters")
        }
        oid::DN_QUALIFIER if value.tag != PRINTABLE => {
            Some("a dnQualifier that is no PrintableString")
        }
        oid::EMAIL_ADDRESS if value.tag != IA5 || !(1..=255).contains(&length()) => {
            Some("an emailAddress that is no IA5String of at most 255 characters")
        }
        oid::DOMAIN_COMPONENT if value.tag != IA5 => Some("a domainComponent that is no IA5String"),
        _ => None,
    }
}

/// X.680 41.4, table 10.
fn is_printable(octets: &[u8]) -> bool {
    octets.iter().all(|octet| octet.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(octet))
}
