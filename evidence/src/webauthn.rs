//! WebAuthn assertions (W3C Web Authentication, section 7.2): a statement that a passkey signed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use policy::Fact;
use policy::fact::mint;
use serde::Deserialize;
use wire::genesis::Keyholder;
use wire::intent::Intent;
use wire::webauthn::Assertion;
use wire::{Encoded, FormatError, Hash32};

use crate::statement::{StatementError, remark_fits, verify_signature};

/// The user was present (section 6.1, flags bit 0).
const USER_PRESENT: u8 = 0x01;
/// The user was verified (flags bit 2).
const USER_VERIFIED: u8 = 0x04;
/// rpIdHash, flags, signCount.
const LEAST_LENGTH: usize = 37;

/// Why an assertion proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebAuthnError {
    /// The assertion or the intent is not of its format.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The roster names no origin for the key.
    #[error("the roster names no origin for this key, so no assertion by it counts")]
    NoOrigin,
    /// clientDataJSON is not what section 5.8.1 says.
    #[error("clientDataJSON: {0}")]
    ClientData(String),
    /// A field of clientDataJSON differs.
    #[error("clientDataJSON.{field} is {found:?}, not {expected:?}")]
    Differs {
        /// Which field.
        field: &'static str,
        /// What would have been taken.
        expected: String,
        /// What was there.
        found: String,
    },
    /// The page was framed by another origin.
    #[error("the assertion was made inside a page of another origin")]
    CrossOrigin,
    /// authenticatorData is too short.
    #[error("authenticatorData has {found} bytes; {LEAST_LENGTH} are the least")]
    Length {
        /// Its length.
        found: usize,
    },
    /// Made for another relying party.
    #[error("the assertion was made for another relying party than {expected:?}")]
    RelyingParty {
        /// The host of the origin.
        expected: String,
    },
    /// Nobody touched or unlocked the authenticator.
    #[error("flags {flags:#04x}: the user was not {0}", .what)]
    Flags {
        /// The flags.
        flags: u8,
        /// `present` or `verified`.
        what: &'static str,
    },
    /// The statement does not hold.
    #[error(transparent)]
    Statement(#[from] StatementError),
}

#[derive(Deserialize)]
struct ClientData {
    r#type: String,
    challenge: String,
    origin: String,
    #[serde(rename = "crossOrigin", default)]
    cross_origin: bool,
    #[serde(rename = "topOrigin")]
    top_origin: Option<String>,
}

/// The origin that the roster names for a key (`origin=https://…` in its scope).
#[must_use]
pub fn origin_of(holder: &Keyholder) -> Option<&str> {
    holder.scope.iter().find_map(|entry| entry.strip_prefix("origin="))
}

/// Verifies an assertion over an intent (both DER) by a key holder of the state.
///
/// # Errors
/// Says which part does not hold.
pub fn webauthn(data: &[u8], intent: &[u8], holder: &Keyholder) -> Result<Fact, WebAuthnError> {
    let assertion = Assertion::from_canonical(data)?;
    let parsed = Intent::from_canonical(intent)?;
    let (expected, found) = (Hash32::of(intent), assertion.statement.intent);
    if expected != found {
        return Err(StatementError::Intent { expected, found }.into());
    }
    let spki = holder.spki.as_bytes();
    let (expected, found) = (Hash32::of(spki), assertion.signer);
    if expected != found {
        return Err(StatementError::Signer { expected, found }.into());
    }
    remark_fits(&assertion.statement, assertion.remark.as_deref())?;
    let origin = origin_of(holder).ok_or(WebAuthnError::NoOrigin)?;
    let client_data = assertion.client_data.as_bytes();
    let challenge = URL_SAFE_NO_PAD.encode(assertion.statement.hash().as_bytes());
    check_client_data(client_data, &challenge, origin)?;
    let authenticator_data = assertion.authenticator_data.as_bytes();
    check_authenticator_data(authenticator_data, origin)?;
    let message = [authenticator_data, Hash32::of(client_data).as_bytes()].concat();
    verify_signature(assertion.algorithm, spki, &message, assertion.signature.as_bytes())?;
    Ok(mint::signed(assertion.statement, assertion.signer, parsed))
}

fn check_client_data(json: &[u8], challenge: &str, origin: &str) -> Result<(), WebAuthnError> {
    let data: ClientData = serde_json::from_slice(json)
        .map_err(|error| WebAuthnError::ClientData(error.to_string()))?;
    for (field, expected, found) in [
        ("type", "webauthn.get", &data.r#type),
        ("challenge", challenge, &data.challenge),
        ("origin", origin, &data.origin),
    ] {
        if expected != found {
            let (expected, found) = (expected.to_owned(), found.clone());
            return Err(WebAuthnError::Differs { field, expected, found });
        }
    }
    if data.cross_origin || data.top_origin.is_some() {
        return Err(WebAuthnError::CrossOrigin);
    }
    Ok(())
}

fn check_authenticator_data(data: &[u8], origin: &str) -> Result<(), WebAuthnError> {
    if data.len() < LEAST_LENGTH {
        return Err(WebAuthnError::Length { found: data.len() });
    }
    let host = origin.strip_prefix("https://").unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default();
    if host.is_empty() || &data[..32] != Hash32::of(host.as_bytes()).as_bytes() {
        return Err(WebAuthnError::RelyingParty { expected: host.to_owned() });
    }
    let flags = data[32];
    for (bit, what) in [(USER_PRESENT, "present"), (USER_VERIFIED, "verified")] {
        if flags & bit == 0 {
            return Err(WebAuthnError::Flags { flags, what });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
