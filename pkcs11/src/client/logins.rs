//! Which token was given which PIN, and what it said. Two configured tokens may be two doors to one
//! device: a PIN that it refused at the one is not tried at the other.

use crate::config::Pin;
use crate::error::HsmError;
use crate::key::TokenInfo;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What tells tokens apart, wherever they are plugged in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Device {
    manufacturer: String,
    model: String,
    serial: String,
}

impl Device {
    pub(super) fn of(token: &TokenInfo) -> Self {
        let TokenInfo { manufacturer, model, serial, .. } = token.clone();
        Device { manufacturer, model, serial }
    }
}

/// A login that was begun and has not succeeded.
struct Tried {
    device: Device,
    pin: Pin,
    /// The refusal; nothing when no answer came, and the PIN may be wrong.
    refused: Option<HsmError>,
}

#[derive(Default)]
pub(super) struct Logins {
    tried: Mutex<Vec<Tried>>,
    doors: Mutex<BTreeMap<Device, Arc<tokio::sync::Mutex<()>>>>,
}

impl Logins {
    fn tried(&self) -> MutexGuard<'_, Vec<Tried>> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held during a login: never two at once.
    pub(super) fn door(&self, device: &Device) -> Arc<tokio::sync::Mutex<()>> {
        let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(doors.entry(device.clone()).or_default())
    }

    /// Whether an earlier login with this PIN got no answer. One that was refused is not repeated.
    pub(super) fn unanswered(&self, device: &Device, pin: &Pin) -> Result<bool, HsmError> {
        let tried = self.tried();
        let earlier = tried.iter().find(|tried| tried.device == *device && tried.pin.is(pin));
        match earlier.map(|tried| &tried.refused) {
            None => Ok(false),
            Some(None) => Ok(true),
            Some(Some(refused)) => Err(refused.clone()),
        }
    }

    /// A login begins.
    pub(super) fn begin(&self, device: &Device, pin: &Pin) {
        let mut tried = self.tried();
        tried.retain(|tried| !(tried.device == *device && tried.pin.is(pin)));
        tried.push(Tried { device: device.clone(), pin: pin.clone(), refused: None });
    }

    /// A login ended with an answer about the PIN: it holds, or why not.
    pub(super) fn answered(&self, device: &Device, pin: &Pin, refused: Option<&HsmError>) {
        let mut tried = self.tried();
        tried.retain_mut(|tried| {
            let this = tried.device == *device && tried.pin.is(pin);
            if this {
                tried.refused = refused.cloned();
            }
            !this || refused.is_some()
        });
    }

    /// An operator gave this PIN: what was said about it earlier does not count any more. PINs that
    /// are not `in_use` are forgotten.
    pub(super) fn given(&self, given: &Pin, in_use: &[Pin]) {
        self.tried()
            .retain(|tried| !tried.pin.is(given) && in_use.iter().any(|pin| tried.pin.is(pin)));
    }
}
