//! Small names and numbers that every other format is made of.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Everything but RFC 3986's unreserved characters is escaped.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'!')
    .add(b'"')
    .add(b'#')
    .add(b'$')
    .add(b'%')
    .add(b'&')
    .add(b'\'')
    .add(b'(')
    .add(b')')
    .add(b'*')
    .add(b'+')
    .add(b',')
    .add(b'/')
    .add(b':')
    .add(b';')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'@')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Why a text is not one of this module's names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Too short or too long.
    #[error("{what} has {found} bytes; {min} to {max} are allowed")]
    Length {
        /// Which name.
        what: &'static str,
        /// Length found, in bytes.
        found: usize,
        /// Least length.
        min: usize,
        /// Greatest length.
        max: usize,
    },
    /// A character that the name may not hold.
    #[error("{what} holds {found:?} at byte {offset}; {allowed}")]
    Character {
        /// Which name.
        what: &'static str,
        /// The character.
        found: char,
        /// Its byte offset.
        offset: usize,
        /// What would be allowed.
        allowed: &'static str,
    },
    /// Not UTF-8 (after percent-decoding, where that applies).
    #[error("{what} is not UTF-8")]
    Utf8 {
        /// Which name.
        what: &'static str,
    },
    /// Not the expected hexadecimal form.
    #[error("{what} is not {digits} hexadecimal digits")]
    Hex {
        /// Which name.
        what: &'static str,
        /// Digits expected.
        digits: usize,
    },
}

macro_rules! text_name {
    ($name:ident) => {
        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(s: &str) -> Result<Self, IdError> {
                Self::parse(s)
            }
        }
        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(s: String) -> Result<Self, IdError> {
                Self::parse(&s)
            }
        }
        impl From<$name> for String {
            fn from(v: $name) -> String {
                v.0
            }
        }
        impl der::FixedTag for $name {
            const TAG: der::Tag = der::Tag::Utf8String;
        }
        impl<'a> der::DecodeValue<'a> for $name {
            type Error = der::Error;
            fn decode_value<R: der::Reader<'a>>(r: &mut R, h: der::Header) -> der::Result<Self> {
                let text = String::decode_value(r, h)?;
                Self::parse(&text)
                    .map_err(|_| r.error(der::ErrorKind::Value { tag: der::Tag::Utf8String }))
            }
        }
        impl der::EncodeValue for $name {
            fn value_len(&self) -> der::Result<der::Length> {
                self.0.value_len()
            }
            fn encode_value(&self, w: &mut impl der::Writer) -> der::Result<()> {
                self.0.encode_value(w)
            }
        }
    };
}

/// The id of a person: 1 to 64 bytes of UTF-8 without control characters, compared bytewise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserId(String);

impl UserId {
    /// Greatest length in bytes.
    pub const MAX: usize = 64;

    /// Parses an id as it stands.
    ///
    /// # Errors
    /// Refuses an empty id, more than 64 bytes, and control characters (C0, DEL and C1).
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let what = "the user id";
        bounded(what, text, 1, Self::MAX)?;
        if let Some((offset, found)) = text.char_indices().find(|(_, c)| c.is_control()) {
            let allowed = "control characters are not allowed";
            return Err(IdError::Character { what, found, offset, allowed });
        }
        Ok(Self(text.to_owned()))
    }

    /// Parses an id from one segment of a URI path (RFC 3986 section 3.3).
    ///
    /// # Errors
    /// As [`UserId::parse`], and when the decoded bytes are not UTF-8.
    pub fn from_path_segment(segment: &str) -> Result<Self, IdError> {
        let text = percent_decode_str(segment)
            .decode_utf8()
            .map_err(|_| IdError::Utf8 { what: "the user id" })?;
        Self::parse(&text)
    }

    /// The id with everything but unreserved characters percent-encoded (RFC 3986 section 2.1).
    #[must_use]
    pub fn percent_encoded(&self) -> String {
        utf8_percent_encode(&self.0, ESCAPED).to_string()
    }
}
text_name!(UserId);

/// The name of an installation, as it stands in `avouch://realm/uid`: 1 to 64 characters of
/// lower-case letters, digits, `-` and `.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Realm(String);

impl Realm {
    /// Parses a realm.
    ///
    /// # Errors
    /// Refuses an empty or overlong realm and any other character.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let what = "the realm";
        bounded(what, text, 1, 64)?;
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        if let Some((offset, found)) = text.char_indices().find(|(_, c)| !fits(*c)) {
            let allowed = "lower-case letters, digits, '-' and '.' are allowed";
            return Err(IdError::Character { what, found, offset, allowed });
        }
        Ok(Self(text.to_owned()))
    }
}
text_name!(Realm);

/// A caller's `Idempotency-Key`: 1 to 128 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Parses a key.
    ///
    /// # Errors
    /// Refuses an empty or overlong key and characters outside `!` to `~`.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let what = "the Idempotency-Key";
        bounded(what, text, 1, 128)?;
        if let Some((offset, found)) = text.char_indices().find(|(_, c)| !c.is_ascii_graphic()) {
            let allowed = "visible ASCII characters are allowed";
            return Err(IdError::Character { what, found, offset, allowed });
        }
        Ok(Self(text.to_owned()))
    }
}
text_name!(IdempotencyKey);

fn bounded(what: &'static str, text: &str, min: usize, max: usize) -> Result<(), IdError> {
    let found = text.len();
    if found < min || found > max {
        return Err(IdError::Length { what, found, min, max });
    }
    Ok(())
}

/// 32 bytes: a SHA-256 value. Shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash32([u8; 32]);

impl Hash32 {
    /// SHA-256 of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Wraps a value computed elsewhere.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 64 hexadecimal digits.
    ///
    /// # Errors
    /// Refuses any other length or character.
    pub fn from_hex(text: &str) -> Result<Self, IdError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)
            .map_err(|_| IdError::Hex { what: "the hash", digits: 64 })?;
        Ok(Self(bytes))
    }

    /// Reads exactly 32 bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for Hash32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash32({self})")
    }
}

impl Serialize for Hash32 {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() {
            s.serialize_str(&self.to_string())
        } else {
            serde_bytes::Bytes::new(&self.0).serialize(s)
        }
    }
}

impl<'de> Deserialize<'de> for Hash32 {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        if d.is_human_readable() {
            Self::from_hex(&String::deserialize(d)?).map_err(D::Error::custom)
        } else {
            let bytes = serde_bytes::ByteBuf::deserialize(d)?;
            Self::from_slice(&bytes)
                .ok_or_else(|| D::Error::invalid_length(bytes.len(), &"32 bytes"))
        }
    }
}

impl der::FixedTag for Hash32 {
    const TAG: der::Tag = der::Tag::OctetString;
}

impl<'a> der::DecodeValue<'a> for Hash32 {
    type Error = der::Error;
    fn decode_value<R: der::Reader<'a>>(r: &mut R, h: der::Header) -> der::Result<Self> {
        let bytes = der::asn1::OctetString::decode_value(r, h)?;
        Self::from_slice(bytes.as_bytes())
            .ok_or_else(|| r.error(der::ErrorKind::Length { tag: der::Tag::OctetString }))
    }
}

impl der::EncodeValue for Hash32 {
    fn value_len(&self) -> der::Result<der::Length> {
        Ok(der::Length::new(32))
    }
    fn encode_value(&self, w: &mut impl der::Writer) -> der::Result<()> {
        w.write(&self.0)
    }
}

/// A certificate's serial number: log number (16 bits, 0x0100 to 0x7FFF) ‖ leaf index (48) ‖
/// random (64). Always 16 octets and positive, as RFC 5280 section 4.1.2.2 asks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SerialNumber([u8; 16]);

impl SerialNumber {
    /// Least and greatest log number.
    pub const LOG_NUMBERS: std::ops::RangeInclusive<u16> = 0x0100..=0x7FFF;

    /// Puts a serial number together; `None` when a part is out of range.
    #[must_use]
    pub fn new(log_number: u16, leaf_index: u64, random: [u8; 8]) -> Option<Self> {
        if !Self::LOG_NUMBERS.contains(&log_number) || leaf_index >> 48 != 0 {
            return None;
        }
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&log_number.to_be_bytes());
        bytes[2..8].copy_from_slice(&leaf_index.to_be_bytes()[2..]);
        bytes[8..].copy_from_slice(&random);
        Some(Self(bytes))
    }

    /// Reads 16 octets.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; 16] = bytes.try_into().ok()?;
        Self::LOG_NUMBERS.contains(&u16::from_be_bytes([bytes[0], bytes[1]])).then_some(Self(bytes))
    }

    /// Reads 32 hexadecimal digits.
    ///
    /// # Errors
    /// Refuses any other length or character, and log numbers out of range.
    pub fn from_hex(text: &str) -> Result<Self, IdError> {
        let error = IdError::Hex { what: "the serial number", digits: 32 };
        let bytes = hex::decode(text).map_err(|_| error.clone())?;
        Self::from_slice(&bytes).ok_or(error)
    }

    /// The 16 octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The log number.
    #[must_use]
    pub fn log_number(&self) -> u16 {
        u16::from_be_bytes([self.0[0], self.0[1]])
    }

    /// Index of the leaf that this certificate follows from.
    #[must_use]
    pub fn leaf_index(&self) -> u64 {
        let mut bytes = [0; 8];
        bytes[2..].copy_from_slice(&self.0[2..8]);
        u64::from_be_bytes(bytes)
    }
}

impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SerialNumber({self})")
    }
}

#[cfg(test)]
mod tests;
