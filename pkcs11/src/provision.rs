//! Preparing tokens: one-shot worker processes, since only workers load modules.

use crate::client::one_shot;
use crate::config::{Pin, WorkerCommand};
use crate::error::HsmError;
use crate::key::TokenInfo;
use crate::proto::{Job, Welcome};
use std::path::Path;
use std::time::Duration;

/// Initialises the first uninitialised token of a module: label, security officer's PIN, user PIN.
/// A token that is initialised is never touched.
///
/// # Errors
/// [`HsmError::TokenExists`], [`HsmError::NoFreeSlot`], the module errors, and what the token
/// refuses (such as a PIN that is too short).
pub async fn init_token(
    command: &WorkerCommand,
    module: &Path,
    label: &str,
    so_pin: &Pin,
    pin: &Pin,
) -> Result<TokenInfo, HsmError> {
    let job = Job::InitToken {
        module: module.to_path_buf(),
        label,
        so_pin: so_pin.expose(),
        pin: pin.expose(),
    };
    match one_shot(command, job, &[so_pin, pin]).await? {
        Welcome::Token(token) => Ok(token),
        other => Err(unexpected(other)),
    }
}

/// Lists what a module shows, without logging in.
///
/// # Errors
/// The module errors.
pub async fn list_tokens(
    command: &WorkerCommand,
    module: &Path,
) -> Result<Vec<TokenInfo>, HsmError> {
    let job = Job::ListTokens { module: module.to_path_buf() };
    match one_shot(command, job, &[]).await? {
        Welcome::Tokens(tokens) => Ok(tokens),
        other => Err(unexpected(other)),
    }
}

fn unexpected(welcome: Welcome) -> HsmError {
    match welcome {
        Welcome::Failed(error) => error,
        _ => HsmError::Unavailable {
            retry_after: Duration::from_secs(1),
            reason: "the worker answered something else".to_owned(),
        },
    }
}
