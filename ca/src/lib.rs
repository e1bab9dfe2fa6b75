//! The authority.
pub mod store;
