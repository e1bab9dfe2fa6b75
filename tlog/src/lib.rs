//! The transparency log: an append-only Merkle tree of leaves (RFC 6962 section 2.1) and the map of
//! heads whose root each of its checkpoints ends with.
//!
//! Everything here is pure: what is stored is asked for and given.
//!
//! * [`Edge`] holds the few hashes that the next append needs. The hashes of complete subtrees are
//!   stored by the authority under the dense numbering that C2SP tlog-tiles builds on.
//! * [`note`]: checkpoints as signed notes.
//! * [`cosign`], [`quorum`]: other people's signatures on them, and whose are demanded.
//! * [`witness`]: how those are asked for, and what whoever gives one must check.
//! * [`proof`]: inclusion and consistency, and C2SP tlog-proof texts.
//! * [`tile`]: the tree as static files.
//! * [`map`]: the sparse Merkle map.

pub mod cosign;
mod edge;
pub mod map;
pub mod note;
pub mod proof;
pub mod quorum;
pub mod tile;
pub mod witness;

pub use edge::{Appended, Edge, EdgeError, StoredHash, leaf_position};
