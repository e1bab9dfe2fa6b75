//! A reader for DER that borrows its input and never allocates.
//!
//! Own code, because a validator of anybody's certificates has to keep what the general-purpose
//! types cannot hold: object identifiers with arcs beyond 32 bits, dates before 1970, name forms
//! without a type of their own. Every value carries its offset in the input, so an error can name
//! the byte.

use std::ops::Range;

use thiserror::Error;

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(crate) const ENUMERATED: u8 = 0x0a;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// The tag of a constructed context-specific value.
pub(crate) const fn context(n: u8) -> u8 {
    0xa0 | n
}

/// The tag of a primitive context-specific value.
pub(crate) const fn context_primitive(n: u8) -> u8 {
    0x80 | n
}

/// Why bytes are not the DER that was expected, with the place.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what} (byte {offset})")]
pub struct ParseError {
    offset: usize,
    what: String,
}

impl ParseError {
    pub(crate) fn new(offset: usize, what: impl Into<String>) -> Self {
        Self { offset, what: what.into() }
    }

    /// Where in the DER input the fault was found, in bytes from its start.
    pub fn offset(&self) -> usize {
        self.offset
    }
}

/// One tag, length and value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tlv<'a> {
    pub(crate) tag: u8,
    pub(crate) value: &'a [u8],
    /// Header and value, as they stand in the input.
    pub(crate) raw: &'a [u8],
    /// Of the header, in the whole input.
    pub(crate) offset: usize,
}

impl<'a> Tlv<'a> {
    pub(crate) fn value_offset(&self) -> usize {
        self.offset + self.raw.len() - self.value.len()
    }

    /// Where header and value stand in the whole input.
    pub(crate) fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.raw.len()
    }

    pub(crate) fn reader(&self) -> Reader<'a> {
        Reader { input: self.value, base: self.value_offset(), pos: 0 }
    }

    pub(crate) fn error(&self, what: impl Into<String>) -> ParseError {
        ParseError::new(self.offset, what)
    }

    pub(crate) fn expect(self, tag: u8, what: &str) -> Result<Self, ParseError> {
        if self.tag == tag {
            Ok(self)
        } else {
            Err(self.error(format!("{what}: expected tag {tag:#04x}, found {:#04x}", self.tag)))
        }
    }

    /// DER allows two encodings of a BOOLEAN only (X.690 11.1).
    pub(crate) fn boolean(&self) -> Result<bool, ParseError> {
        match self.value {
            [0x00] => Ok(false),
            [0xff] => Ok(true),
            _ => Err(self.error("a BOOLEAN that is neither 00 nor FF")),
        }
    }

    /// The octets of an INTEGER, which DER wants minimal (X.690 8.3.2).
    pub(crate) fn integer(&self) -> Result<&'a [u8], ParseError> {
        match self.value {
            [] => Err(self.error("an empty INTEGER")),
            [0x00, next, ..] if next & 0x80 == 0 => Err(self.error("an INTEGER with padding")),
            [0xff, next, ..] if next & 0x80 != 0 => Err(self.error("an INTEGER with padding")),
            value => Ok(value),
        }
    }

    /// A non-negative INTEGER; what does not fit is `u32::MAX`, which no limit here reaches.
    pub(crate) fn unsigned(&self) -> Result<u32, ParseError> {
        let octets = self.integer()?;
        if octets[0] & 0x80 != 0 {
            return Err(self.error("a negative INTEGER where none may be"));
        }
        let octets = octets.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(octets);
        if octets.len() > 4 {
            return Ok(u32::MAX);
        }
        Ok(octets.iter().fold(0, |sum, octet| (sum << 8) | u32::from(*octet)))
    }

    /// The octets of an INTEGER above zero, without the octet for the sign.
    pub(crate) fn positive(&self) -> Result<Vec<u8>, ParseError> {
        match self.integer()? {
            [top, ..] if top & 0x80 != 0 => Err(self.error("a negative number in a key")),
            [0] => Err(self.error("zero in a key")),
            [0, rest @ ..] => Ok(rest.to_vec()),
            octets => Ok(octets.to_vec()),
        }
    }

    /// The octets of a BIT STRING and how many bits of the last are unused.
    pub(crate) fn bits(&self) -> Result<(&'a [u8], u8), ParseError> {
        match self.value {
            [0] => Ok((&[], 0)),
            // DER has the bits that are not used zero (X.690 11.2.1): readers part over others.
            [unused @ 0..=7, rest @ .., last] if last.trailing_zeros() >= u32::from(*unused) => {
                Ok((&self.value[1..=rest.len() + 1], *unused))
            }
            _ => Err(self.error("a malformed BIT STRING")),
        }
    }

    /// A BIT STRING of whole octets, as keys and signatures are.
    pub(crate) fn bit_octets(&self) -> Result<&'a [u8], ParseError> {
        match self.bits()? {
            (octets, 0) => Ok(octets),
            _ => Err(self.error("a BIT STRING that is not whole octets")),
        }
    }

    /// A named-bit list does not end with bits that are not set (X.690 11.2.2).
    pub(crate) fn is_shortest(&self) -> bool {
        self.bits()
            .is_ok_and(|(octets, unused)| octets.last().is_none_or(|last| last >> unused & 1 == 1))
    }

    /// A named-bit list of at most 16 bits; bit n of the list is bit n of the result.
    pub(crate) fn flags(&self) -> Result<u16, ParseError> {
        let (octets, _) = self.bits()?;
        let mut flags = 0;
        for (index, octet) in octets.iter().take(2).enumerate() {
            for bit in 0..8 {
                if octet & (0x80 >> bit) != 0 {
                    flags |= 1 << (index * 8 + bit);
                }
            }
        }
        Ok(flags)
    }
}

/// Walks the values of one constructed value, or of the whole input.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    input: &'a [u8],
    base: usize,
    pos: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self { input, base: 0, pos: 0 }
    }

    /// For a value that is itself a piece of a larger input.
    pub(crate) fn at(input: &'a [u8], base: usize) -> Self {
        Self { input, base, pos: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pos == self.input.len()
    }

    pub(crate) fn offset(&self) -> usize {
        self.base + self.pos
    }

    pub(crate) fn error(&self, what: impl Into<String>) -> ParseError {
        ParseError::new(self.offset(), what)
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.input.get(self.pos).copied()
    }

    pub(crate) fn next(&mut self) -> Result<Tlv<'a>, ParseError> {
        let rest = &self.input[self.pos..];
        let (tag, length, header) = match *rest {
            [] | [_] => return Err(self.error("the input ends where a value should begin")),
            // The high-tag-number form occurs nowhere in RFC 5280.
            [tag, ..] if tag & 0x1f == 0x1f => return Err(self.error("a multi-octet tag")),
            [tag, length @ 0..=0x7f, ..] => (tag, usize::from(length), 2),
            [tag, 0x81, a, ..] if a >= 0x80 => (tag, usize::from(a), 3),
            [tag, 0x82, a, b, ..] if a != 0 => (tag, be(&[a, b]), 4),
            [tag, 0x83, a, b, c, ..] if a != 0 => (tag, be(&[a, b, c]), 5),
            [tag, 0x84, a, b, c, d, ..] if a != 0 => (tag, be(&[a, b, c, d]), 6),
            _ => return Err(self.error("a length that DER does not allow")),
        };
        if rest.len() - header < length {
            return Err(self.error(format!(
                "a value of {length} bytes where {} are left",
                rest.len() - header
            )));
        }
        let end = header + length;
        let tlv =
            Tlv { tag, value: &rest[header..end], raw: &rest[..end], offset: self.base + self.pos };
        self.pos += end;
        Ok(tlv)
    }

    pub(crate) fn expect(&mut self, tag: u8, what: &str) -> Result<Tlv<'a>, ParseError> {
        if self.is_empty() {
            return Err(self.error(format!("{what} is missing")));
        }
        self.next()?.expect(tag, what)
    }

    /// The next value if it has this tag.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<Tlv<'a>>, ParseError> {
        if self.peek() == Some(tag) { self.next().map(Some) } else { Ok(None) }
    }

    pub(crate) fn finish(self) -> Result<(), ParseError> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(self.error(format!("{} bytes too many", self.input.len() - self.pos)))
        }
    }
}

fn be(octets: &[u8]) -> usize {
    octets.iter().fold(0, |sum, octet| (sum << 8) | usize::from(*octet))
}

/// The value octets of an OBJECT IDENTIFIER.
///
/// Compared as octets: DER gives each identifier exactly one encoding.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Oid(Vec<u8>);

impl Oid {
    pub(crate) fn new(octets: &[u8]) -> Self {
        Self(octets.to_vec())
    }

    pub(crate) fn read(tlv: &Tlv<'_>) -> Result<Self, ParseError> {
        let value = tlv.expect(OID, "object identifier")?.value;
        // Each arc ends with an octet below 0x80 and begins with none equal to it (X.690 8.19).
        let ends = value.last().is_some_and(|last| last & 0x80 == 0);
        let padded = value
            .iter()
            .enumerate()
            .any(|(i, octet)| *octet == 0x80 && (i == 0 || value[i - 1] & 0x80 == 0));
        if !ends || padded {
            return Err(tlv.error("a malformed object identifier"));
        }
        Ok(Self::new(value))
    }

    /// The value octets, without tag and length.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Reads dotted decimals, such as `2.5.29.32.0`; arcs below 2^64.
impl std::str::FromStr for Oid {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || format!("{text:?} is not an object identifier such as 1.3.6.1.5.5.7.3.4");
        let arc = |t: &str| -> Result<u64, String> {
            let plain = t.bytes().all(|b| b.is_ascii_digit()) && (t == "0" || !t.starts_with('0'));
            if plain { t.parse().map_err(|_| bad()) } else { Err(bad()) }
        };
        let mut arcs = text.split('.').map(arc);
        let (Some(root), Some(second)) = (arcs.next(), arcs.next()) else { return Err(bad()) };
        let (root, second) = (root?, second?);
        if root > 2 || (root < 2 && second > 39) {
            return Err(bad());
        }
        let mut octets = Vec::new();
        push_arc(&mut octets, u128::from(root) * 40 + u128::from(second));
        for arc in arcs {
            push_arc(&mut octets, arc?.into());
        }
        Ok(Self(octets))
    }
}

/// Base 128, all octets but the last with the top bit (X.690 8.19.2).
fn push_arc(octets: &mut Vec<u8>, mut arc: u128) {
    let mut reversed = vec![(arc & 0x7f) as u8];
    arc >>= 7;
    while arc > 0 {
        reversed.push((arc & 0x7f) as u8 | 0x80);
        arc >>= 7;
    }
    octets.extend(reversed.iter().rev());
}

impl std::fmt::Display for Oid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut arc: u128 = 0;
        let mut first = true;
        for octet in &self.0 {
            if arc >> 121 != 0 {
                // An arc beyond 128 bits: its octets say it all.
                return write!(f, "{}#{}", if first { "" } else { "." }, hex::encode(&self.0));
            }
            arc = (arc << 7) | u128::from(octet & 0x7f);
            if octet & 0x80 == 0 {
                if first {
                    let root = (arc / 40).min(2);
                    write!(f, "{root}.{}", arc - root * 40)?;
                    first = false;
                } else {
                    write!(f, ".{arc}")?;
                }
                arc = 0;
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Oid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
