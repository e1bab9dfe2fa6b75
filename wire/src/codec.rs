//! One strict way in and one way out for every DER format of this crate.

use der::asn1::OctetString;
use der::{Decode, Encode};

use crate::Hash32;

/// Why bytes are not one of Avouch's formats.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Not DER, or not of the expected shape.
    #[error("{format}: not valid DER at byte {offset}: {reason}")]
    Der {
        /// Name of the format.
        format: &'static str,
        /// Byte offset of the first fault.
        offset: u64,
        /// What the decoder objected to.
        reason: String,
    },
    /// DER, but encoding the value again gives other bytes.
    #[error("{format}: not the canonical encoding of its value")]
    NotCanonical {
        /// Name of the format.
        format: &'static str,
    },
    /// A version that this program does not know.
    #[error("{format}: version {found} is not known here (this program knows {known})")]
    Version {
        /// Name of the format.
        format: &'static str,
        /// The version in the bytes.
        found: u8,
        /// The version this program reads.
        known: u8,
    },
    /// A field outside of its bounds.
    #[error("{format}: {field}: {reason}")]
    Field {
        /// Name of the format.
        format: &'static str,
        /// The offending field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// More bytes than the format allows.
    #[error("{format}: {found} bytes, at most {limit} are allowed")]
    Oversize {
        /// Name of the format.
        format: &'static str,
        /// Length found.
        found: usize,
        /// Greatest length allowed.
        limit: usize,
    },
}

/// An OCTET STRING for a field of these formats.
///
/// # Panics
/// Beyond DER's length limit of 256 MiB, far above every format's own.
#[must_use]
pub fn octets(bytes: &[u8]) -> OctetString {
    OctetString::new(bytes).expect("fields of these formats are far below DER's length limit")
}

/// A format with exactly one encoding for each value.
pub trait Encoded: Sized + for<'a> Decode<'a, Error = der::Error> + Encode {
    /// The format's name, for error messages.
    const FORMAT: &'static str;
    /// The version this program reads and writes.
    const VERSION: u8 = 1;
    /// Greatest length of an encoding, in bytes.
    const LIMIT: usize = 64 * 1024;

    /// The version that the value carries.
    fn version(&self) -> u8;

    /// Checks fields whose bounds the DER type alone does not hold.
    fn check(&self) -> Result<(), FormatError> {
        Ok(())
    }

    /// Decodes strictly.
    ///
    /// # Errors
    /// Refuses bad or non-canonical DER, unknown versions, trailing bytes and fields out of bounds.
    fn from_canonical(bytes: &[u8]) -> Result<Self, FormatError> {
        if bytes.len() > Self::LIMIT {
            return Err(FormatError::Oversize {
                format: Self::FORMAT,
                found: bytes.len(),
                limit: Self::LIMIT,
            });
        }
        let value = Self::from_der(bytes).map_err(|e| FormatError::Der {
            format: Self::FORMAT,
            offset: e.position().map_or(0, |p| u64::from(u32::from(p))),
            reason: e.kind().to_string(),
        })?;
        if value.version() != Self::VERSION {
            return Err(FormatError::Version {
                format: Self::FORMAT,
                found: value.version(),
                known: Self::VERSION,
            });
        }
        value.check()?;
        if value.to_canonical() != bytes {
            return Err(FormatError::NotCanonical { format: Self::FORMAT });
        }
        Ok(value)
    }

    /// Encodes as DER.
    ///
    /// # Panics
    /// Never: every value of these types fits DER's length limit.
    fn to_canonical(&self) -> Vec<u8> {
        self.to_der().expect("a value of a bounded format always has a DER encoding")
    }

    /// SHA-256 of the encoding.
    fn hash(&self) -> Hash32 {
        Hash32::of(&self.to_canonical())
    }
}

/// Implements [`Encoded`] for a struct with a `version` field.
macro_rules! encoded {
    ($type:ty, $name:literal $(, limit = $limit:expr)? $(, check = $check:expr)?) => {
        impl $crate::Encoded for $type {
            const FORMAT: &'static str = $name;
            $(const LIMIT: usize = $limit;)?
            fn version(&self) -> u8 {
                self.version
            }
            $(fn check(&self) -> Result<(), $crate::FormatError> {
                let check: fn(&$type) -> Result<(), (&'static str, String)> = $check;
                check(self).map_err(|(field, reason)| $crate::FormatError::Field {
                    format: $name,
                    field,
                    reason,
                })
            })?
        }
    };
}
pub(crate) use encoded;

/// A closed list of numbered names, carried as an INTEGER and refused when unknown.
macro_rules! numbered {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $n:literal, $text:literal;)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$vmeta])* $variant = $n,)+ }

        impl $name {
            /// Every member, in order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The number in encodings.
            #[must_use]
            pub fn number(self) -> u8 { self as u8 }

            /// The name shown to people.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The member with this number.
            #[must_use]
            pub fn from_number(n: u8) -> Option<Self> {
                match n { $($n => Some(Self::$variant),)+ _ => None }
            }

            /// The member with this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl der::FixedTag for $name {
            const TAG: der::Tag = der::Tag::Integer;
        }

        impl<'a> der::DecodeValue<'a> for $name {
            type Error = der::Error;
            fn decode_value<R: der::Reader<'a>>(reader: &mut R, header: der::Header) -> der::Result<Self> {
                let n = u8::decode_value(reader, header)?;
                Self::from_number(n).ok_or_else(|| reader.error(der::ErrorKind::Value { tag: der::Tag::Integer }))
            }
        }

        impl der::EncodeValue for $name {
            fn value_len(&self) -> der::Result<der::Length> {
                self.number().value_len()
            }
            fn encode_value(&self, writer: &mut impl der::Writer) -> der::Result<()> {
                self.number().encode_value(writer)
            }
        }
    };
}
pub(crate) use numbered;
