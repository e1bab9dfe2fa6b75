//! One rule says what counts as HSM-held.

use wire::genesis::Protection;
use wire::rules::Rules;

/// Why a key does not count as HSM-held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotHsmHeld {
    /// A key file.
    #[error("it is a key file: whoever can read the file has the key")]
    KeyFile,
    /// CKA_LOCAL is false.
    #[error("it was not generated on the token (CKA_LOCAL is false): a copy may exist outside")]
    NotLocal,
    /// CKA_SENSITIVE or CKA_ALWAYS_SENSITIVE is false.
    #[error("its value could be, or could once be, read in the clear (CKA_ALWAYS_SENSITIVE)")]
    NotSensitive,
    /// CKA_EXTRACTABLE is true or CKA_NEVER_EXTRACTABLE false.
    #[error("it can, or once could, be taken out of the token (CKA_NEVER_EXTRACTABLE)")]
    Extractable,
    /// CKA_MODIFIABLE is true.
    #[error("its attributes can be changed (CKA_MODIFIABLE is true)")]
    Modifiable,
    /// A known software token, and the policy does not allow those.
    #[error(
        "the token is software (SoftHSM, Kryoptic or NSS), which `allow_software_token` alone would let count"
    )]
    SoftwareToken,
}

/// Whether a key counts as HSM-held (DESIGN section 3, «No HSM, no move»).
///
/// # Errors
/// Names the first attribute that is not as it must be.
pub fn hsm_held(protection: &Protection, rules: &Rules) -> Result<(), NotHsmHeld> {
    let require = |holds: bool, otherwise| if holds { Ok(()) } else { Err(otherwise) };
    require(protection.on_token, NotHsmHeld::KeyFile)?;
    require(protection.local, NotHsmHeld::NotLocal)?;
    require(protection.always_sensitive, NotHsmHeld::NotSensitive)?;
    require(protection.never_extractable, NotHsmHeld::Extractable)?;
    require(!protection.modifiable, NotHsmHeld::Modifiable)?;
    require(!protection.software_token || rules.allow_software_token, NotHsmHeld::SoftwareToken)
}

#[cfg(test)]
mod tests;
