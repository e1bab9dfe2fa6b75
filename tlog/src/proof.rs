//! Proofs that a leaf is in the tree, and that one tree continues another.

use wire::Hash32;

/// Why a proof is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// A proof under the map that leads to another root.
    #[error("the map proof leads to the root {found}, not to {expected}")]
    Map {
        /// The root that was to be reached.
        expected: Hash32,
        /// The root that was.
        found: Hash32,
    },
    /// A proof of absence by a leaf that does not stand in the key's way.
    #[error(
        "the map proof shows another key's leaf {depth} levels down, which agrees with this key in {agree} bits"
    )]
    OtherKey {
        /// Leading bits that the keys share; 256 for the very key that is to be absent.
        agree: usize,
        /// Levels that they would have to share.
        depth: usize,
    },
    /// Not the encoding of a proof.
    #[error("not a {what}: {reason}")]
    Encoding {
        /// Which proof.
        what: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
}
