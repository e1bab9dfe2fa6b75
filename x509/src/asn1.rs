//! A small strict DER reader whose offsets are always those of the whole document, and a writer
//! that cannot fail.
//!
//! Requests come from strangers, so every element is checked against X.690's rules for DER before
//! anything is made of it, and a fault names the byte where the offending element starts.

mod check;

pub(crate) use check::{check, set_order};
use der::asn1::ObjectIdentifier;

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OID: u8 = 0x06;
pub(crate) const ENUMERATED: u8 = 0x0a;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
pub(crate) const TELETEX_STRING: u8 = 0x14;
pub(crate) const IA5_STRING: u8 = 0x16;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const BMP_STRING: u8 = 0x1e;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// Tag octet of a context-specific primitive element.
pub(crate) const fn context(number: u8) -> u8 {
    0x80 | number
}

/// Tag octet of a context-specific constructed element.
pub(crate) const fn context_constructed(number: u8) -> u8 {
    0xa0 | number
}

/// What is wrong with an encoding, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {kind}")]
pub struct DerFault {
    /// Byte offset, in the whole document, of the element at fault.
    pub offset: u64,
    /// The rule that is broken.
    pub kind: DerKind,
}

/// The rules of DER (X.690) and of the expected structure that an encoding can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DerKind {
    /// The element ends after the bytes that hold it.
    #[error("the element needs {needed} bytes, {available} are there")]
    Truncated {
        /// Bytes the element needs from its offset on.
        needed: u64,
        /// Bytes that are there from its offset on.
        available: u64,
    },
    /// X.690 section 10.1: lengths are definite.
    #[error("indefinite length (X.690 section 10.1 forbids it)")]
    IndefiniteLength,
    /// X.690 section 10.1: lengths take as few octets as possible.
    #[error("the length is not in its shortest form (X.690 section 10.1)")]
    LengthNotMinimal,
    /// A tag number above 30, which none of these formats has.
    #[error("tag numbers above 30 are not used here")]
    HighTagNumber,
    /// Another element than the structure has at this place.
    #[error("expected {expected}, found tag 0x{found:02x}")]
    Tag {
        /// The element expected.
        expected: &'static str,
        /// The tag octet found.
        found: u8,
    },
    /// The structure ends before a required element.
    #[error("{expected} is missing")]
    Missing {
        /// The element expected.
        expected: &'static str,
    },
    /// Elements after the last that the structure has.
    #[error("{count} bytes more than the structure holds")]
    Extra {
        /// Bytes left over.
        count: u64,
    },
    /// X.690 section 11.1: TRUE is 0xFF, FALSE is 0x00.
    #[error("BOOLEAN is neither 00 nor FF (X.690 section 11.1)")]
    Boolean,
    /// X.690 section 11.5: a value equal to its default is left out.
    #[error("a default value is written out (X.690 section 11.5)")]
    DefaultEncoded,
    /// X.690 section 8.3.2: integers take as few octets as possible.
    #[error("INTEGER is empty or not in its shortest form (X.690 section 8.3.2)")]
    Integer,
    /// An integer that must be positive.
    #[error("INTEGER is not positive")]
    NotPositive,
    /// X.690 section 8.19.
    #[error("malformed OBJECT IDENTIFIER (X.690 section 8.19)")]
    Oid,
    /// X.690 section 11.2: unused bits are zero.
    #[error("malformed BIT STRING (X.690 section 11.2)")]
    BitString,
    /// A NULL with content.
    #[error("NULL with content")]
    Null,
    /// Characters outside of the string type.
    #[error("the text has characters that {string_type} does not")]
    Text {
        /// Name of the string type.
        string_type: &'static str,
    },
    /// A time that is not in the form X.690 sections 11.7 and 11.8 ask.
    #[error("malformed time (X.690 section 11.7, RFC 5280 section 4.1.2.5)")]
    Time,
    /// X.690 section 11.6: elements of a SET OF are in ascending order.
    #[error("SET OF is not in ascending order (X.690 section 11.6)")]
    SetOrder,
    /// X.690 section 10.2: strings are primitive; SEQUENCE and SET are constructed.
    #[error("wrong form, primitive or constructed, for tag 0x{found:02x} (X.690 section 10.2)")]
    Form {
        /// The tag octet found.
        found: u8,
    },
    /// Elements nested too deeply.
    #[error("elements nested more than {limit} deep")]
    Depth {
        /// Greatest depth allowed.
        limit: u8,
    },
}

impl DerKind {
    pub(crate) fn at(self, offset: usize) -> DerFault {
        DerFault { offset: offset as u64, kind: self }
    }
}

/// One element. `document` is the whole input, so that offsets need no bookkeeping.
#[derive(Clone, Copy)]
pub(crate) struct Tlv<'a> {
    document: &'a [u8],
    pub(crate) tag: u8,
    pub(crate) offset: usize,
    value_at: usize,
    end: usize,
}

impl<'a> Tlv<'a> {
    pub(crate) fn value(&self) -> &'a [u8] {
        &self.document[self.value_at..self.end]
    }

    pub(crate) fn raw(&self) -> &'a [u8] {
        &self.document[self.offset..self.end]
    }

    pub(crate) fn value_offset(&self) -> usize {
        self.value_at
    }

    /// Reads the elements inside.
    pub(crate) fn reader(&self) -> Reader<'a> {
        Reader { document: self.document, at: self.value_at, end: self.end }
    }

    /// Reads the elements inside of a BIT STRING without unused bits.
    pub(crate) fn bits_reader(&self) -> Result<Reader<'a>, DerFault> {
        match self.value().first() {
            Some(0) => Ok(Reader { document: self.document, at: self.value_at + 1, end: self.end }),
            _ => Err(DerKind::BitString.at(self.offset)),
        }
    }

    /// The content of a BIT STRING without unused bits.
    pub(crate) fn bits(&self) -> Result<&'a [u8], DerFault> {
        match self.value().split_first() {
            Some((0, bits)) => Ok(bits),
            _ => Err(DerKind::BitString.at(self.offset)),
        }
    }

    pub(crate) fn oid(&self) -> Result<ObjectIdentifier, DerFault> {
        ObjectIdentifier::from_bytes(self.value()).map_err(|_| DerKind::Oid.at(self.offset))
    }

    /// The magnitude of a positive INTEGER, without leading zeros.
    pub(crate) fn positive(&self) -> Result<&'a [u8], DerFault> {
        match self.value() {
            [0, rest @ ..] if !rest.is_empty() => Ok(rest),
            [first, ..] if *first != 0 && *first < 0x80 => Ok(self.value()),
            _ => Err(DerKind::NotPositive.at(self.offset)),
        }
    }

    /// The text of a character string, where it can be read as Unicode without guessing.
    pub(crate) fn text(&self) -> Option<String> {
        match self.tag {
            UTF8_STRING | PRINTABLE_STRING | IA5_STRING => {
                std::str::from_utf8(self.value()).ok().map(str::to_owned)
            }
            // T.61 proper is read by nobody; its ASCII part is not in doubt.
            TELETEX_STRING if self.value().is_ascii() => {
                std::str::from_utf8(self.value()).ok().map(str::to_owned)
            }
            BMP_STRING => {
                let units = self.value().chunks_exact(2).map(|c| u16::from_be_bytes([c[0], c[1]]));
                char::decode_utf16(units).collect::<Result<_, _>>().ok()
            }
            _ => None,
        }
    }
}

/// Reads one element after the other.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    document: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(document: &'a [u8]) -> Self {
        Self { document, at: 0, end: document.len() }
    }

    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    pub(crate) fn remaining(&self) -> usize {
        self.end - self.at
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        (!self.is_empty()).then(|| self.document[self.at])
    }

    /// Reads the next element, whatever it is.
    pub(crate) fn next(&mut self, expected: &'static str) -> Result<Tlv<'a>, DerFault> {
        let input = &self.document[self.at..self.end];
        let fault = |kind: DerKind| kind.at(self.at);
        let truncated =
            |needed: u64| fault(DerKind::Truncated { needed, available: input.len() as u64 });
        let tag = *input.first().ok_or_else(|| fault(DerKind::Missing { expected }))?;
        if tag & 0x1f == 0x1f {
            return Err(fault(DerKind::HighTagNumber));
        }
        let first = *input.get(1).ok_or_else(|| truncated(2))?;
        let (header, length) = match first {
            0..=0x7f => (2, u64::from(first)),
            0x80 => return Err(fault(DerKind::IndefiniteLength)),
            // More than four octets of length exceed every limit here.
            0x85.. => {
                return Err(fault(DerKind::Truncated {
                    needed: u64::MAX,
                    available: input.len() as u64,
                }));
            }
            _ => {
                let count = usize::from(first & 0x7f);
                let octets = input.get(2..2 + count).ok_or_else(|| truncated(2 + count as u64))?;
                let length = octets.iter().fold(0_u64, |sum, octet| sum << 8 | u64::from(*octet));
                if octets[0] == 0 || length < 0x80 {
                    return Err(fault(DerKind::LengthNotMinimal));
                }
                (2 + count, length)
            }
        };
        let needed = header as u64 + length;
        if needed > input.len() as u64 {
            return Err(truncated(needed));
        }
        let (offset, value_at) = (self.at, self.at + header);
        self.at = value_at + length as usize;
        Ok(Tlv { document: self.document, tag, offset, value_at, end: self.at })
    }

    /// Reads the next element, which must have this tag.
    pub(crate) fn expect(&mut self, tag: u8, expected: &'static str) -> Result<Tlv<'a>, DerFault> {
        let offset = self.at;
        match self.peek() {
            None => Err(DerKind::Missing { expected }.at(offset)),
            Some(found) if found != tag => Err(DerKind::Tag { expected, found }.at(offset)),
            Some(_) => self.next(expected),
        }
    }

    /// Reads the next element if it has this tag.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<Tlv<'a>>, DerFault> {
        if self.peek() == Some(tag) { self.next("").map(Some) } else { Ok(None) }
    }

    /// Nothing may be left.
    pub(crate) fn finish(&self) -> Result<(), DerFault> {
        match self.remaining() {
            0 => Ok(()),
            count => Err(DerKind::Extra { count: count as u64 }.at(self.at)),
        }
    }
}

/// Encodes one element from the encodings of its parts.
pub(crate) fn tlv<P: AsRef<[u8]>>(tag: u8, parts: &[P]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.as_ref().len()).sum();
    let octets = length.to_be_bytes();
    let significant = &octets[octets.iter().take_while(|octet| **octet == 0).count()..];
    let mut out = Vec::with_capacity(length + 6);
    out.push(tag);
    if length < 0x80 {
        out.push(length as u8);
    } else {
        out.push(0x80 | significant.len() as u8);
        out.extend_from_slice(significant);
    }
    for part in parts {
        out.extend_from_slice(part.as_ref());
    }
    out
}

/// Encodes a SEQUENCE.
pub(crate) fn sequence<P: AsRef<[u8]>>(parts: &[P]) -> Vec<u8> {
    tlv(SEQUENCE, parts)
}

/// Encodes an OBJECT IDENTIFIER.
pub(crate) fn oid(oid: ObjectIdentifier) -> Vec<u8> {
    tlv(OID, &[oid.as_bytes()])
}

/// Encodes an INTEGER from the big-endian octets of its magnitude.
pub(crate) fn unsigned(magnitude: &[u8]) -> Vec<u8> {
    let zeros = magnitude.iter().take_while(|octet| **octet == 0).count();
    match &magnitude[zeros..] {
        [] => tlv(INTEGER, &[[0]]),
        value if value[0] >= 0x80 => tlv(INTEGER, &[&[0], value]),
        value => tlv(INTEGER, &[value]),
    }
}

/// Encodes a BIT STRING of whole octets.
pub(crate) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    tlv(BIT_STRING, &[&[0], bytes])
}

#[cfg(test)]
mod tests;
