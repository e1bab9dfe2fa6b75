//! Who may do what, decided from facts alone.
//!
//! This crate has no input or output, no clock, no randomness and no cryptography: time and facts
//! are arguments. The authority decides with it, and auditors, monitors and clients decide again.
//!
//! * [`State`] is what the log says about one identity and the installation around it;
//! * a [`Fact`] is something proven by signed bytes; only the `evidence` crate makes them;
//! * [`decide`] answers a [`Request`] with an [`Approved`] or a [`Refusal`];
//! * [`apply`] replays one logged event, by the same rules.
//!
//! * [`explain()`] says what may happen next, and what it would take, [`due()`] what does so by itself;
//!   [`mod@file`] reads policies.
//!
//! What always holds is listed in [`invariants`]. The rules of one engine version live in one module ([`v1`]). Events name the version that
//! decided them, so a changed rule is a new module and the old one stays.

mod due;
mod explain;
pub mod fact;
pub mod file;
mod identity;
mod protection;
mod refusal;
pub mod scope;
mod state;
#[cfg(test)]
mod testing;
pub mod v1;

pub use due::{Due, due};
pub use explain::{Way, explain, needed};
pub use fact::Fact;
pub use identity::{
    Binding, Details, DetailsError, Identity, Key, Pending, Retiring, Status, Suspender,
};
pub use protection::{NotHsmHeld, hsm_held};
pub use refusal::Refusal;
pub use state::{Installation, InstallationError, KeyUse, State, Time};
pub use v1::{
    Approved, ApprovedChange, Change, ChangeOutcome, ChangeRequest, Decided, Objection, Outcome,
    ReplayError, Request, apply, apply_change, decide, decide_change, heeds, key_taken, objections,
};

/// The engine version that new events are decided by.
pub const ENGINE: u8 = 1;

#[doc = include_str!("invariants.md")]
pub mod invariants {}
