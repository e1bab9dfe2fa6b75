//! OpenID Connect ID tokens (OpenID Connect Core 1.0, section 3.1.3.7): a provider says that its
//! user asked for an intent.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use policy::fact::mint;
use policy::{Fact, Time};
use serde::Deserialize;
use wire::Hash32;
use wire::genesis::Provider;

/// Longest token that is looked at.
const MAX_TOKEN: usize = 16 * 1024;
/// How far the provider's clock may be ahead, in seconds.
const SKEW: u64 = 60;

/// Why a token proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a compact JWS with the claims that are needed.
    #[error("not an ID token: {0}")]
    Format(String),
    /// A provider that is not configured, or another audience.
    #[error("no provider {issuer:?} with this audience is configured")]
    Provider {
        /// `iss`.
        issuer: String,
    },
    /// An algorithm that is not taken.
    #[error("algorithm {0:?} is not taken; RS256, ES256 and EdDSA are")]
    Algorithm(String),
    /// The provider's logged key set has no key that fits.
    #[error("the provider's logged keys hold none that fits this token")]
    NoKey,
    /// The signature does not verify.
    #[error("the token's signature does not verify under the provider's logged key")]
    Signature,
    /// Made for another intent.
    #[error("the token's nonce is {found:?}; the intent's hash is {expected}")]
    Nonce {
        /// Hash of the intent.
        expected: Hash32,
        /// The nonce.
        found: String,
    },
    /// Expired, or from the future.
    #[error("the token's {claim} is {found}; it is {now} (seconds since 1970)")]
    Time {
        /// `exp`, `iat` or `nbf`.
        claim: &'static str,
        /// Its value.
        found: u64,
        /// The time of the decision.
        now: u64,
    },
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: u64,
    iat: u64,
    nbf: Option<u64>,
    nonce: String,
    email: Option<String>,
    email_verified: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    r#use: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// Verifies a token whose nonce is the hash of `intent` (lower-case hexadecimal), by the keys of
/// `providers` as they are logged.
///
/// # Errors
/// Says which part does not hold.
pub fn id_token(
    token: &[u8],
    intent: Hash32,
    providers: &[Provider],
    time: Time,
) -> Result<Fact, TokenError> {
    let format = |what: &str| TokenError::Format(what.to_owned());
    if token.len() > MAX_TOKEN {
        return Err(TokenError::Format(format!("{} bytes; at most {MAX_TOKEN}", token.len())));
    }
    let text = std::str::from_utf8(token).map_err(|_| format("not UTF-8"))?;
    let (signed, signature) = text.rsplit_once('.').ok_or_else(|| format("no signature"))?;
    let (header, claims) = signed.split_once('.').ok_or_else(|| format("no claims"))?;
    let header: Header = json(header)?;
    let claims: Claims = json(claims)?;
    if header.crit.is_some() {
        return Err(format("a critical header that is not understood"));
    }
    let provider = providers
        .iter()
        .find(|provider| provider.issuer == claims.iss && is_for(&claims, &provider.audience))
        .ok_or_else(|| TokenError::Provider { issuer: claims.iss.clone() })?;
    let set: KeySet = serde_json::from_slice(provider.jwks.as_bytes())
        .map_err(|error| TokenError::Format(format!("the logged key set: {error}")))?;
    verify(&header, &set, signed.as_bytes(), &decoded(signature)?)?;
    if claims.nonce != intent.to_string() {
        return Err(TokenError::Nonce { expected: intent, found: claims.nonce });
    }
    let now = time.upper_ms() / 1000;
    let at = |claim, found| TokenError::Time { claim, found, now };
    if claims.exp <= now {
        return Err(at("exp", claims.exp));
    }
    for (claim, value) in [("iat", Some(claims.iat)), ("nbf", claims.nbf)] {
        if let Some(value) = value.filter(|value| *value > now.saturating_add(SKEW)) {
            return Err(at(claim, value));
        }
    }
    if claims.sub.is_empty() || claims.sub.len() > 255 {
        return Err(format("`sub` must have 1 to 255 bytes"));
    }
    let email = verified_email(&claims);
    Ok(mint::identified(claims.iss, claims.sub, email, intent))
}

/// The user's address, if the provider says that it has verified it (OpenID Connect Core 1.0 section
/// 5.1; some providers send the boolean as text). The host part in lower case, as names have it.
fn verified_email(claims: &Claims) -> Option<String> {
    let verified = match &claims.email_verified {
        Some(serde_json::Value::Bool(verified)) => *verified,
        Some(serde_json::Value::String(text)) => text == "true",
        _ => false,
    };
    let (local, domain) = claims.email.as_ref().filter(|_| verified)?.rsplit_once('@')?;
    Some(format!("{local}@{}", domain.to_ascii_lowercase()))
}

/// Section 3.1.3.7, items 3 to 5: this client is the audience, and where there are several, the
/// authorized party too.
fn is_for(claims: &Claims, audience: &str) -> bool {
    let azp = claims.azp.as_deref();
    match &claims.aud {
        Audience::One(one) => one == audience && azp.is_none_or(|azp| azp == audience),
        Audience::Many(many) => {
            many.iter().any(|one| one == audience)
                && (if many.len() == 1 {
                    azp.is_none_or(|a| a == audience)
                } else {
                    azp == Some(audience)
                })
        }
    }
}

fn verify(
    header: &Header,
    set: &KeySet,
    message: &[u8],
    signature: &[u8],
) -> Result<(), TokenError> {
    let (kty, crv) = match header.alg.as_str() {
        "RS256" => ("RSA", None),
        "ES256" => ("EC", Some("P-256")),
        "EdDSA" => ("OKP", Some("Ed25519")),
        other => return Err(TokenError::Algorithm(other.to_owned())),
    };
    let mut fitting = set.keys.iter().filter(|key| {
        key.kty == kty
            && key.crv.as_deref() == crv
            && key.alg.as_deref().is_none_or(|alg| alg == header.alg)
            && key.r#use.as_deref().is_none_or(|r#use| r#use == "sig")
            && (header.kid.is_none() || key.kid == header.kid)
    });
    let key = fitting.next().ok_or(TokenError::NoKey)?;
    // Without a key id one key alone may fit: nothing is tried out.
    if fitting.next().is_some() {
        return Err(TokenError::NoKey);
    }
    let part = |value: &Option<String>| decoded(value.as_deref().ok_or(TokenError::NoKey)?);
    let verified = match kty {
        "RSA" => RsaPublicKeyComponents { n: &part(&key.n)?, e: &part(&key.e)? }.verify(
            &RSA_PKCS1_2048_8192_SHA256,
            message,
            signature,
        ),
        "EC" => {
            let point = [&[4][..], &part(&key.x)?, &part(&key.y)?].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
        }
        _ => UnparsedPublicKey::new(&ED25519, part(&key.x)?).verify(message, signature),
    };
    verified.map_err(|_| TokenError::Signature)
}

fn decoded(text: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|error| TokenError::Format(error.to_string()))
}

fn json<T>(part: &str) -> Result<T, TokenError>
where
    T: for<'b> Deserialize<'b>,
{
    serde_json::from_slice(&decoded(part)?).map_err(|error| TokenError::Format(error.to_string()))
}

#[cfg(test)]
mod tests;
