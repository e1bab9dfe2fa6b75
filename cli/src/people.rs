//! Commands for people.

pub(crate) mod agent;
pub(crate) mod approve;
pub(crate) mod ask;
mod bundle;
mod chain;
pub(crate) mod change;
pub(crate) mod channels;
pub(crate) mod common;
pub(crate) mod contact;
pub(crate) mod csr;
pub(crate) mod enrol;
pub(crate) mod history;
pub(crate) mod key;
pub(crate) mod moves;
mod news;
pub(crate) mod policy;
pub(crate) mod recover;
pub(crate) mod request;
pub(crate) mod share;
mod shown;
mod signer;
pub(crate) mod standing;
pub(crate) mod switch;
pub(crate) mod trust;
pub(crate) mod verify;
pub(crate) mod watch;
