//! What an issuing authority puts into people's certificates.

use std::num::NonZeroU64;

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5280::{ID_KP_CLIENT_AUTH, ID_KP_EMAIL_PROTECTION};
use wire::{Realm, SerialNumber, UserId};

use crate::ext;
use crate::issuer::Issuer;
use crate::key::KeyAlgorithm;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// Purposes of a person's certificate (RFC 5280 section 4.2.1.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// id-kp-emailProtection: encryption to and signatures by a person.
    EmailProtection,
    /// id-kp-clientAuth: logging in by TLS.
    ClientAuth,
}

impl Purpose {
    /// The purpose's OID.
    #[must_use]
    pub fn oid(self) -> ObjectIdentifier {
        match self {
            Self::EmailProtection => ID_KP_EMAIL_PROTECTION,
            Self::ClientAuth => ID_KP_CLIENT_AUTH,
        }
    }
}

/// The parameters of a [`LeafProfile`], as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafParameters {
    /// The realm in `avouch://realm/uid`.
    pub realm: Realm,
    /// How long certificates are valid from now on, in seconds: an hour to ten years.
    pub validity_seconds: u64,
    /// How far before now their validity begins, for clocks that are slow, in seconds: at most a
    /// day.
    pub backdate_seconds: u64,
    /// URL of the revocation list. `{issuer}` stands for the issuer's key identifier in hexadecimal
    /// and `{shard}` for the number of the shard.
    pub crl_url: String,
    /// With `{shard}` in the URL: how many leaves of the log share one revocation list. Numbered by
    /// range and not by remainder, so that lists stay short however long the log grows.
    pub leaves_per_shard: NonZeroU64,
    /// URL of the issuer's certificate in DER; `{issuer}` as above.
    pub ca_issuers_url: Option<String>,
    /// Purposes; at least one.
    pub purposes: Vec<Purpose>,
}

/// Why parameters do not make a profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// A duration out of its bounds.
    #[error("{what} is {found} s; {min} to {max} s are allowed")]
    Duration {
        /// Which duration.
        what: &'static str,
        /// Seconds found.
        found: u64,
        /// Least number of seconds.
        min: u64,
        /// Greatest number of seconds.
        max: u64,
    },
    /// A URL that is not one that certificates can carry.
    #[error("{what} {url:?}: {reason}")]
    Url {
        /// Which URL.
        what: &'static str,
        /// The text found.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No purpose, or one twice.
    #[error("a profile has one or more purposes, each once")]
    Purposes,
}

/// Checked parameters of people's certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafProfile(LeafParameters);

impl LeafProfile {
    /// Checks parameters.
    ///
    /// # Errors
    /// See [`ProfileError`].
    pub fn new(parameters: LeafParameters) -> Result<Self, ProfileError> {
        let p = &parameters;
        duration("the validity of certificates", p.validity_seconds, HOUR, 3653 * DAY)?;
        duration("the backdating of certificates", p.backdate_seconds, 0, DAY)?;
        url("the URL of the revocation list", &p.crl_url, &["{issuer}", "{shard}"])?;
        if let Some(ca_issuers) = &p.ca_issuers_url {
            url("the URL of the issuer's certificate", ca_issuers, &["{issuer}"])?;
        }
        if p.purposes.is_empty()
            || (1..p.purposes.len()).any(|i| p.purposes[..i].contains(&p.purposes[i]))
        {
            return Err(ProfileError::Purposes);
        }
        Ok(Self(parameters))
    }

    /// The parameters.
    #[must_use]
    pub fn parameters(&self) -> &LeafParameters {
        &self.0
    }

    /// The URI that names a person: `avouch://realm/uid`, the id percent-encoded.
    #[must_use]
    pub fn identity_uri(&self, uid: &UserId) -> String {
        format!("avouch://{}/{}", self.0.realm, uid.percent_encoded())
    }

    /// The shard whose revocation list covers `serial`; `None` where there are no shards. Follows
    /// from the serial number alone, and so is fixed at issuance.
    #[must_use]
    pub fn shard(&self, serial: SerialNumber) -> Option<u64> {
        let sharded = self.0.crl_url.contains("{shard}");
        sharded.then(|| serial.leaf_index() / self.0.leaves_per_shard)
    }

    /// URL of the revocation list of one shard.
    #[must_use]
    pub fn crl_url(&self, issuer: &Issuer, shard: Option<u64>) -> String {
        let url = self.0.crl_url.replace("{issuer}", &issuer.id());
        match shard {
            Some(shard) => url.replace("{shard}", &shard.to_string()),
            None => url,
        }
    }

    /// URL of the issuer's certificate.
    #[must_use]
    pub fn ca_issuers_url(&self, issuer: &Issuer) -> Option<String> {
        self.0.ca_issuers_url.as_ref().map(|url| url.replace("{issuer}", &issuer.id()))
    }

    /// First and last second of validity of a certificate made now: never outside of the issuer's
    /// own, since paths through an expired issuer fail anyway.
    #[must_use]
    pub fn validity(&self, issuer: &Issuer, now: u64) -> (u64, u64) {
        let not_before = now.saturating_sub(self.0.backdate_seconds).max(issuer.not_before());
        let not_after = now.saturating_add(self.0.validity_seconds).min(issuer.not_after());
        (not_before, not_after)
    }

    pub(crate) fn purposes(&self) -> Vec<ObjectIdentifier> {
        self.0.purposes.iter().map(|purpose| purpose.oid()).collect()
    }
}

/// Bits of keyUsage: what the kind of key is used for in encrypting to its holder (RFC 3279 section
/// 2.3, RFC 8813 section 3).
pub(crate) fn leaf_key_usage(key: KeyAlgorithm) -> u8 {
    match key {
        KeyAlgorithm::Rsa { .. } => ext::DIGITAL_SIGNATURE | ext::KEY_ENCIPHERMENT,
        KeyAlgorithm::P256 | KeyAlgorithm::P384 => ext::DIGITAL_SIGNATURE | ext::KEY_AGREEMENT,
    }
}

fn duration(what: &'static str, found: u64, min: u64, max: u64) -> Result<(), ProfileError> {
    if (min..=max).contains(&found) {
        Ok(())
    } else {
        Err(ProfileError::Duration { what, found, min, max })
    }
}

pub(crate) fn url(
    what: &'static str,
    text: &str,
    placeholders: &[&str],
) -> Result<(), ProfileError> {
    let fault = |reason| Err(ProfileError::Url { what, url: text.to_owned(), reason });
    let plain = placeholders.iter().fold(text.to_owned(), |text, name| text.replace(name, "0"));
    let rest = plain.strip_prefix("http://").or_else(|| plain.strip_prefix("https://"));
    match rest {
        None => fault("it must start with http:// or https://"),
        Some(rest) if rest.is_empty() || rest.starts_with('/') => fault("it has no host"),
        Some(_) if plain.len() > 1024 => fault("it is longer than 1024 characters"),
        Some(_) if plain.contains(['{', '}']) => fault("it has an unknown {placeholder}"),
        Some(_) if !plain.bytes().all(|c| c.is_ascii_graphic()) => {
            fault("it has characters outside of ASCII's printable ones")
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
