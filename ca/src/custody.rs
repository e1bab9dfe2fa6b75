//! Tokens that operators open after the start, and the shares of their PINs.

use std::time::Duration;

use path::Certificate;
use pkcs11::shares::{Custody, CustodyError, Gathered};
use pkcs11::{HsmError, Pin};
use wire::hsm::{HsmReport, HsmShares, SecretText};

/// What an authority is told of its tokens, beside the tokens themselves.
#[derive(Debug, Clone, Default)]
pub struct TokenSettings {
    /// The shares of PINs, by the token's section.
    pub custody: Custody,
    /// Roots of tokens' makers, by which they attest keys.
    pub attestation_roots: Vec<Certificate>,
}

/// Takes a share: the token that it is for, and its PIN when this was the last that was needed.
///
/// # Errors
/// Why it was refused.
pub(crate) fn hand_in(
    custody: &Custody,
    token: Option<&str>,
    share: SecretText,
) -> Result<Option<(String, Pin)>, HsmError> {
    let token = custody.which(token).map_err(refused)?;
    let share = zeroize::Zeroizing::new(share.take());
    match custody.hand_in(token, &share).map_err(refused)? {
        Gathered::Pin(pin) => {
            tracing::info!(token, "enough shares were handed in");
            Ok(Some((token.to_owned(), pin)))
        }
        Gathered::Waiting => {
            tracing::info!(token, "a share was handed in");
            let custody = custody.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Custody::PATIENCE + Duration::from_secs(1)).await;
                custody.tidy();
            });
            Ok(None)
        }
    }
}

/// Refuses a whole PIN for a token that only shares open.
///
/// # Errors
/// It is such a token.
pub(crate) fn whole_pin(custody: &Custody, token: Option<&str>) -> Result<(), HsmError> {
    match token {
        Some(token) if custody.has(token) => {
            let detail = format!("{token:?} is opened by shares, not by a PIN that one has whole");
            Err(HsmError::Config { detail })
        }
        _ => Ok(()),
    }
}

fn refused(error: CustodyError) -> HsmError {
    HsmError::Config { detail: error.to_string() }
}

/// Says of each token how far its shares have come.
pub(crate) fn show(custody: &Custody, report: &mut HsmReport) {
    for (name, progress) in custody.progress() {
        if let Some(token) = report.tokens.iter_mut().find(|token| token.name == name) {
            let (needed, of) = progress.of.unwrap_or_default();
            token.shares = Some(HsmShares { given: progress.given, needed, of });
        }
    }
}
