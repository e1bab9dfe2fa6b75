//! How much of the past, and of what issuers do wrong, is taken.

use serde::Serialize;

/// What a verification is strict about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// What RFC 5280 section 6 asks of a validator: SHA-1, DSA and RSA keys from 1,024 bits still
    /// count, and mistakes of an issuer that the algorithm does not look at are taken.
    #[default]
    Rfc5280,
    /// Also refuses what is obsolete (SHA-1, DSA, RSA below 2,048 bits), and certificates that
    /// break a «MUST» of RFC 5280 section 4 for issuers.
    Strict,
}

impl std::str::FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "rfc5280" => Ok(Self::Rfc5280),
            "strict" => Ok(Self::Strict),
            other => Err(format!("unknown profile {other:?}: rfc5280 or strict")),
        }
    }
}
