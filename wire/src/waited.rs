//! Wait proofs as evidence: a wait is over by the clocks of those who co-sign checkpoints, and not
//! by the authority's.

use der::Sequence;

use crate::Hash32;
use crate::codec::encoded;

/// Most checkpoints on either side of a wait.
pub const MAX_CHECKPOINTS: usize = 16;

/// Most hashes in one proof of inclusion: trees have at most 2⁶² leaves.
const MAX_INCLUSION: usize = 62;

/// Co-signed checkpoints from before and after a wait that began with one leaf.
///
/// Who co-signed one that holds the leaf, and later another, says by the two times how long the leaf
/// has been there at least. Every line of the notes is the log's or a co-signer's, and has to verify.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct WaitProof {
    /// Format version, 1.
    pub version: u8,
    /// Leaf hash of the event that the wait began with.
    pub leaf: Hash32,
    /// Index of that leaf.
    pub leaf_index: u64,
    /// Checkpoints that hold the leaf: the wait had begun.
    pub earlier: Vec<Holding>,
    /// Checkpoints from later on, signed notes.
    pub later: Vec<String>,
}
encoded!(
    WaitProof,
    "wait proof",
    check = |proof| {
        let counts = [("earlier", proof.earlier.len()), ("later", proof.later.len())];
        for (field, count) in counts {
            if !(1..=MAX_CHECKPOINTS).contains(&count) {
                return Err((field, format!("{count} checkpoints; 1 to {MAX_CHECKPOINTS}")));
            }
        }
        match proof.earlier.iter().map(|holding| holding.inclusion.len()).max() {
            Some(hashes) if hashes > MAX_INCLUSION => {
                Err(("inclusion", format!("{hashes} hashes; at most {MAX_INCLUSION}")))
            }
            _ => Ok(()),
        }
    }
);

/// A checkpoint with the proof that it holds the leaf.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Holding {
    /// The signed note.
    pub note: String,
    /// Hashes from the leaf's sibling upwards (RFC 6962 section 2.1.1).
    pub inclusion: Vec<Hash32>,
}
