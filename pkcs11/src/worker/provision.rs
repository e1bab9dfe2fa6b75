//! Initialising a token that nobody has initialised yet.

use super::token::{load, shown, tokens, while_opening};
use crate::HsmError;
use crate::key::TokenInfo;
use cryptoki::session::UserType;
use secrecy::SecretString;
use std::path::Path;

/// `C_InitToken` on the first slot with an uninitialised token, then `C_InitPIN`. A token that is
/// in use is never touched: `C_InitToken` would erase it.
pub(super) fn init_token(
    module: &Path,
    label: &str,
    so_pin: &str,
    pin: &str,
) -> Result<TokenInfo, HsmError> {
    if label.is_empty() || label.len() > 32 {
        let detail = format!("a token label has 1 to 32 bytes, not {}", label.len());
        return Err(HsmError::Config { detail });
    }
    let so_pin = SecretString::from(so_pin);
    let pin = SecretString::from(pin);
    let context = load(module)?;
    let before = tokens(&context)?;
    if let Some((_, info)) = before.iter().find(|(_, t)| t.initialised && t.label == label) {
        let (label, serial) = (label.to_owned(), info.serial.clone());
        return Err(HsmError::TokenExists { label, serial });
    }
    let Some((slot, _)) = before.iter().find(|(_, info)| !info.initialised) else {
        return Err(HsmError::NoFreeSlot {
            seen: before.iter().map(|(_, info)| shown(info)).collect(),
        });
    };
    context.init_token(*slot, &so_pin, label).map_err(while_opening)?;

    // SoftHSM gives the new token another slot number, so it is looked for by its label.
    let find = || -> Result<_, HsmError> {
        tokens(&context)?
            .into_iter()
            .find(|(_, info)| info.initialised && info.label == label)
            .ok_or_else(|| HsmError::NoSuchToken {
                wanted: format!("with label «{label}», just initialised"),
                seen: Vec::new(),
            })
    };
    let (slot, _) = find()?;
    let session = context.open_rw_session(slot).map_err(while_opening)?;
    session.login(UserType::So, Some(&so_pin)).map_err(while_opening)?;
    session.init_pin(&pin).map_err(while_opening)?;
    session.logout().map_err(while_opening)?;
    drop(session);
    let (_, info) = find()?;
    // The token is ready; a module that does not finalise changes nothing about it.
    let _ = context.finalize();
    Ok(info)
}
