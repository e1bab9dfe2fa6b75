//! A PKCS#11 module that wraps another one and injects faults, for tests alone.
//!
//! The wrapped module's path is in the environment ([`MODULE`]), beside a folder ([`FOLDER`]) with
//! two files. What goes wrong is written in `control` ([`control`]), which every call reads: tests
//! change it while the module is in use, in however many processes. In `report` every call is
//! counted, by all processes together ([`report`]).
//!
//! A call that fails leaves the wrapped module as its code says: after
//! `CKR_SESSION_HANDLE_INVALID` the session really is closed, after `CKR_USER_NOT_LOGGED_IN` the
//! user really is logged out, a token that was removed has no sessions any more.
//!
//! Tests steer it with [`Shim`].

pub mod control;
mod fault;
mod functions;
mod inner;
pub mod report;
mod shim;

pub use control::{Act, Call, Rule};
pub use shim::Shim;

/// Variable with the path of the module that is wrapped.
pub const MODULE: &str = "AVOUCH_SHIM_MODULE";

/// Variable with the folder of `control` and `report`.
pub const FOLDER: &str = "AVOUCH_SHIM_FOLDER";
