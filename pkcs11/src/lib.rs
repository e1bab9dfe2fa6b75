//! The HSM layer: the only part of Avouch that loads a PKCS#11 module.
//!
//! Two halves live here and meet at a pipe:
//!
//! - [`worker`] is the child process. It alone loads the vendor's module, holds the sessions and
//!   signs. A module that crashes, hangs or leaks takes down this process and nothing else.
//! - [`Hsm`] is the authority's handle. It starts workers, hands them the PIN in the first frame,
//!   batches requests, replaces a worker that died, hung or lost its token, and proves by a
//!   challenge that the keys are still the same before it uses a replacement.
//!
//! A key-file signer ([`Backend::Software`]) runs behind the same protocol, so that the authority
//! has one path. Its keys never count as held by an HSM ([`Protection::hsm_held`]).
//!
//! Key generation and login follow PKCS#11 2.40 (OASIS); Ed25519 follows PKCS#11 3.0 §2.3.

mod client;
mod config;
mod error;
mod harden;
mod key;
mod locked;
mod proto;
pub mod provision;
mod recovery;
pub mod shares;
mod spki;
mod template;
pub mod trial;
pub mod worker;

pub use client::{Hsm, HsmState, HsmStatus, TokenSetup, TokenStatus, WorkerStatus};
pub use config::{Backend, MODULE_ARGUMENTS, Pin, TokenConfig, TokenSelector, WorkerCommand};
pub use error::HsmError;
pub use harden::harden_process;
pub use key::{
    Algorithm, Attestation, Holder, KeyInfo, KeySpec, Protection, TRIAL_LABEL, TokenInfo,
};
pub use recovery::{Action, Recovery, Stage};
pub use template::{Half, Setting, Template, TemplateError};
