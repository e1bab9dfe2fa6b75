//! Commands for people.

pub(crate) mod ask;
mod bundle;
mod chain;
mod common;
pub(crate) mod csr;
pub(crate) mod history;
pub(crate) mod key;
pub(crate) mod share;
pub(crate) mod verify;
