//! Names of certificate authorities.

use const_oid::ObjectIdentifier;
use const_oid::db::rfc4519::{COMMON_NAME, ORGANIZATION_NAME};

use crate::asn1;

/// The name of a certificate authority: a common name and, where wanted, an organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaName {
    common_name: String,
    organization: Option<String>,
}

/// Why a text cannot be part of an authority's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// RFC 5280 appendix A.1 bounds both parts to 64 characters.
    #[error("the authority's {part} has {length} characters; 1 to 64 are allowed")]
    Length {
        /// Which part.
        part: &'static str,
        /// Characters found.
        length: usize,
    },
    /// Control characters, or white space at an end, which readers strip or confuse.
    #[error("the authority's {part} has control characters, or white space at an end")]
    Character {
        /// Which part.
        part: &'static str,
    },
}

impl CaName {
    /// Checks and joins the parts.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn new(common_name: &str, organization: Option<&str>) -> Result<Self, NameError> {
        check("common name", common_name)?;
        if let Some(organization) = organization {
            check("organization", organization)?;
        }
        Ok(Self {
            common_name: common_name.to_owned(),
            organization: organization.map(str::to_owned),
        })
    }

    /// The DER Name: organisation before common name, both as UTF8String (RFC 5280 section
    /// 4.1.2.4).
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        let mut rdns = Vec::new();
        if let Some(organization) = &self.organization {
            rdns.push(rdn(ORGANIZATION_NAME, organization));
        }
        rdns.push(rdn(COMMON_NAME, &self.common_name));
        asn1::sequence(&rdns)
    }
}

/// The DER Name of a person: the common name alone.
pub(crate) fn common_name_only(text: &str) -> Vec<u8> {
    asn1::sequence(&[rdn(COMMON_NAME, text)])
}

fn rdn(kind: ObjectIdentifier, text: &str) -> Vec<u8> {
    let attribute = asn1::sequence(&[asn1::oid(kind), asn1::tlv(asn1::UTF8_STRING, &[text])]);
    asn1::tlv(asn1::SET, &[attribute])
}

fn check(part: &'static str, text: &str) -> Result<(), NameError> {
    let length = text.chars().count();
    if !(1..=64).contains(&length) {
        return Err(NameError::Length { part, length });
    }
    if text.chars().any(char::is_control) || text.trim() != text {
        return Err(NameError::Character { part });
    }
    Ok(())
}
