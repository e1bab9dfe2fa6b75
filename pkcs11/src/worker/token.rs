//! Opening a PKCS#11 token: load, initialise, choose, log in once, open the sessions.

use super::signer::{Holding, Signer};
use crate::HsmError;
use crate::config::{Pin, TokenSelector};
use crate::key::TokenInfo;
use crate::recovery::{Action, Recovery, Stage, code_name, describe};
use crate::template::Template;
use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Limit, Slot};
use secrecy::SecretString;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

mod arguments;
mod fast;
mod keys;
mod session;

/// Loads a module and initialises it.
pub(super) fn load(module: &Path) -> Result<Pkcs11, HsmError> {
    let path = module.to_path_buf();
    if !module.exists() {
        return Err(HsmError::ModuleMissing { path });
    }
    let context = Pkcs11::new(module).map_err(|error| HsmError::NotAModule {
        path: path.clone(),
        detail: match error {
            Error::MissingSymbol(name) => format!("it does not export {name}"),
            other => other.to_string(),
        },
    })?;
    match context.initialize(arguments::arguments()) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(context),
        Err(error) => Err(HsmError::ModuleInit { path, code: describe(&error).1 }),
    }
}

/// All tokens that a module shows.
pub(super) fn list(module: &Path) -> Result<Vec<TokenInfo>, HsmError> {
    let context = load(module)?;
    Ok(tokens(&context)?.into_iter().map(|(_, info)| info).collect())
}

/// Slots and what their tokens say. A token that does not answer is left out: another one on the
/// same module may be the one that is wanted.
pub(super) fn tokens(context: &Pkcs11) -> Result<Vec<(Slot, TokenInfo)>, HsmError> {
    let library = context
        .get_library_info()
        .map(|info| format!("{} {}", info.manufacturer_id(), info.library_description()))
        .unwrap_or_default();
    let slots = context.get_slots_with_token().map_err(while_opening)?;
    Ok(slots
        .into_iter()
        .filter_map(|slot| {
            let info = context.get_token_info(slot).ok()?;
            let info = TokenInfo {
                label: info.label().to_owned(),
                serial: info.serial_number().to_owned(),
                manufacturer: info.manufacturer_id().to_owned(),
                model: info.model().to_owned(),
                library: library.clone(),
                slot: slot.id(),
                initialised: info.token_initialized(),
                user_pin_set: info.user_pin_initialized(),
                pin_count_low: info.user_pin_count_low(),
                pin_final_try: info.user_pin_final_try(),
                pin_locked: info.user_pin_locked(),
                max_sessions: match info.max_session_count() {
                    Limit::Max(most) => Some(most),
                    Limit::Unavailable | Limit::Infinite => None,
                },
            };
            Some((slot, info))
        })
        .collect())
}

/// A token's label and serial number, for errors.
pub(super) fn shown(info: &TokenInfo) -> String {
    if info.initialised {
        format!("«{}» (serial {}, slot {})", info.label, info.serial, info.slot)
    } else {
        format!("an uninitialised token (slot {})", info.slot)
    }
}

fn choose(context: &Pkcs11, wanted: &TokenSelector) -> Result<(Slot, TokenInfo), HsmError> {
    let all = tokens(context)?;
    let seen = all.iter().map(|(_, info)| shown(info)).collect();
    let mut matching: Vec<_> = all
        .into_iter()
        .filter(|(_, info)| match wanted {
            TokenSelector::Label(label) => info.initialised && info.label == *label,
            TokenSelector::Serial(serial) => info.serial == *serial,
            TokenSelector::Slot(slot) => info.slot == *slot,
        })
        .collect();
    let wanted = wanted.to_string();
    match (matching.pop(), matching.is_empty()) {
        (None, _) => Err(HsmError::NoSuchToken { wanted, seen }),
        (Some((_, info)), true) if !info.initialised => {
            Err(HsmError::TokenNotInitialised { wanted })
        }
        (Some(found), true) => Ok(found),
        (Some(last), false) => {
            matching.push(last);
            Err(HsmError::AmbiguousToken {
                wanted,
                count: matching.len(),
                seen: matching.iter().map(|(_, info)| shown(info)).collect(),
            })
        }
    }
}

/// Opens the token with one login attempt at most.
pub(super) fn open(
    module: &Path,
    wanted: &TokenSelector,
    sessions: usize,
    template: Template,
    pin: &Pin,
    may_log_in: impl FnOnce(&TokenInfo) -> io::Result<bool>,
) -> Result<Holding, HsmError> {
    let context = load(module)?;
    let (slot, token) = choose(&context, wanted)?;
    // This session serves no request and is never closed: with the last one the login would go.
    let anchor = context.open_ro_session(slot).map_err(while_opening)?;
    log_in(&context, slot, &anchor, &token, pin, may_log_in)?;

    let functions = fast::Functions::load(module)?;
    let mechanisms = context.get_mechanism_list(slot).map_err(while_opening)?;
    // One session is the anchor, one is kept free for generating keys.
    let limit = match context.get_token_info(slot).map_err(while_opening)?.max_session_count() {
        Limit::Max(most) => usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(2).max(1),
        Limit::Unavailable | Limit::Infinite => usize::MAX,
    };
    let template = Arc::new(template);
    let mut signers: Vec<Box<dyn Signer>> = Vec::new();
    for _ in 0..sessions.min(limit) {
        let template = Arc::clone(&template);
        let functions = functions.clone();
        match session::TokenSession::open(&context, slot, &token, &mechanisms, template, functions)
        {
            Ok(signer) => signers.push(Box::new(signer)),
            // The token has fewer sessions than are configured: those it has do.
            Err(Error::Pkcs11(RvError::SessionCount, _)) if !signers.is_empty() => break,
            Err(error) => return Err(while_opening(error)),
        }
    }
    let anchor = Arc::new(Mutex::new(anchor));
    let kept = Arc::clone(&anchor);
    let again = context.clone();
    let keep_alive = Box::new(move || {
        let mut anchor = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Err(error) = anchor.get_session_info() else { return Ok(()) };
        match Action::of_error(Stage::Serving, &error) {
            // It is looked at again in a while, and no request is about this session.
            Action::GoOn | Action::RetryHere | Action::Refuse => Ok(()),
            Action::NewSession => match again.open_ro_session(slot) {
                Ok(fresh) => {
                    // The login is held by the other sessions meanwhile; if not, they find out.
                    *anchor = fresh;
                    Ok(())
                }
                Err(error) => Err(session::lost(&error)),
            },
            Action::Replace | Action::AwaitOperator => Err(session::lost(&error)),
        }
    });
    let finish = Box::new(move || {
        drop(anchor);
        // Nothing is left to do about a module that does not finalise.
        let _ = context.finalize();
    });
    Ok(Holding { token, signers, keep_alive, finish })
}

fn log_in(
    context: &Pkcs11,
    slot: Slot,
    anchor: &Session,
    token: &TokenInfo,
    pin: &Pin,
    may_log_in: impl FnOnce(&TokenInfo) -> io::Result<bool>,
) -> Result<(), HsmError> {
    if token.pin_locked {
        return Err(HsmError::PinLocked);
    }
    if token.pin_final_try {
        return Err(HsmError::PinFinalTry);
    }
    let info = context.get_token_info(slot).map_err(while_opening)?;
    if !info.login_required() {
        return Ok(());
    }
    if !info.user_pin_initialized() {
        return Err(HsmError::PinNotSet);
    }
    let secret = SecretString::from(pin.expose());
    let secret = match (pin.expose().is_empty(), info.protected_authentication_path()) {
        (true, true) => None,
        (true, false) => {
            let detail = "the token wants a PIN and none was given".to_owned();
            return Err(HsmError::Config { detail });
        }
        (false, _) => Some(&secret),
    };
    let unanswered = may_log_in(token).map_err(|error| HsmError::Unavailable {
        retry_after: Duration::from_secs(1),
        reason: format!("not told to log in: {error}"),
    })?;
    // What the token counts now; others may have logged in since it was chosen.
    let counted = || {
        context.get_token_info(slot).ok().and_then(|info| {
            let final_try = info.user_pin_final_try() || info.user_pin_locked();
            (info.user_pin_count_low() || final_try).then_some(final_try)
        })
    };
    if unanswered && let Some(final_try) = counted() {
        let code = "an earlier login was not answered, and the token counts a wrong PIN".to_owned();
        return Err(HsmError::PinWrong { code, final_try });
    }
    match anchor.login(UserType::User, secret) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        Err(Error::Pkcs11(RvError::PinLocked, _)) => Err(HsmError::PinLocked),
        Err(Error::Pkcs11(RvError::PinExpired | RvError::NewPinMode, _)) => {
            Err(HsmError::PinExpired)
        }
        Err(Error::Pkcs11(RvError::UserPinNotInitialized, _)) => Err(HsmError::PinNotSet),
        Err(Error::Pkcs11(code, _)) if Action::of(Stage::Login, code) == Action::AwaitOperator => {
            let final_try =
                context.get_token_info(slot).is_ok_and(|info| info.user_pin_final_try());
            Err(HsmError::PinWrong { code: code_name(code), final_try })
        }
        // Whatever it answered, a token that counts a wrong PIN now refused ours.
        Err(error) => match counted() {
            Some(final_try) => Err(HsmError::PinWrong { code: describe(&error).1, final_try }),
            None => Err(while_opening(error)),
        },
    }
}

/// An error while the token is opened. What may pass is `Unavailable`: the supervisor tries again.
pub(super) fn while_opening(error: Error) -> HsmError {
    let (function, code) = describe(&error);
    match &error {
        // Tried again, too, but whoever starts by hand is told that waiting will hardly help.
        Error::Pkcs11(error, _)
            if matches!(Recovery::of(*error), Recovery::Permanent | Recovery::NeverRetry) =>
        {
            HsmError::Refused { function, code }
        }
        Error::Pkcs11(..) => HsmError::Unavailable {
            retry_after: Duration::from_secs(1),
            reason: format!("{function} returned {code}"),
        },
        _ => HsmError::Refused { function, code },
    }
}
