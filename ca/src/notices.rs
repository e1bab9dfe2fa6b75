//! What people are told of their identities: written with the event, sent until it is taken.

mod key;

pub use key::{AddressError, AddressKey};
