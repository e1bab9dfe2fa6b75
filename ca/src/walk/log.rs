//! Log: a certificate is signed only after its leaf is in a checkpoint.

use wire::Hash32;

use super::Reply;
use super::record::{Recorded, What};
use crate::authority::Fatal;

/// The log's size and root (RFC 6962 section 2.1), durable in the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checkpoint {
    size: u64,
    root: Hash32,
}

impl Checkpoint {
    pub(super) fn new(size: u64, root: Hash32) -> Self {
        Self { size, root }
    }

    /// A checkpoint read back from the store, for what is taken up again.
    pub(crate) fn of_edge(edge: &tlog::Edge) -> Self {
        Self::new(edge.size(), edge.root())
    }
}

/// A request whose leaf is in a checkpoint.
#[derive(Debug)]
pub(crate) struct Logged {
    pub(super) leaf_index: u64,
    pub(super) what: What,
    pub(super) reply: Option<Reply>,
}

/// Lets pass what the checkpoint covers.
///
/// # Errors
/// [`Fatal::NotLogged`] for a leaf beyond the checkpoint, which cannot be.
pub(crate) fn log(checkpoint: Checkpoint, recorded: Vec<Recorded>) -> Result<Vec<Logged>, Fatal> {
    recorded
        .into_iter()
        .map(|Recorded { leaf_index, leaf_hash, what, reply }| {
            if leaf_index >= checkpoint.size {
                let Checkpoint { size, root } = checkpoint;
                return Err(Fatal::NotLogged { leaf_index, leaf_hash, size, root });
            }
            Ok(Logged { leaf_index, what, reply })
        })
        .collect()
}
