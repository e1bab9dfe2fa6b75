//! The transparency log: an append-only Merkle tree of leaves (RFC 6962 section 2.1).
//!
//! The hashes of complete subtrees are stored by the authority under the dense numbering that
//! C2SP tlog-tiles builds on; [`Edge`] holds the few of them that the next append needs.

mod edge;

pub use edge::{Appended, Edge, EdgeError, StoredHash};
