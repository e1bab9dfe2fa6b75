//! The log over time: whoever has seen one checkpoint demands that the next continues it.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use tlog::proof::{check_consistency, consistency, consistency_indexes};
use tlog::tile::Tile;
use tlog::{Edge, StoredHash};
use wire::Hash32;

use crate::fetch::{FetchError, Server};

/// The largest checkpoint seen of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// Hash of the installation's genesis event.
    pub genesis: Hash32,
    /// Leaves.
    pub size: u64,
    /// Root.
    pub root: Hash32,
    /// The signed note.
    pub checkpoint: String,
}

/// Why a log does not continue what was seen of it.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// An older state than the one seen before.
    #[error(
        "the server shows the log as it was with {shown} leaves; it had {seen} before: what \
         happened since then is kept back"
    )]
    Older {
        /// Leaves seen before.
        seen: u64,
        /// Leaves shown now.
        shown: u64,
    },
    /// Two logs under one key.
    #[error(
        "the log was forked: at {seen} leaves it had root {seen_root}; what is shown now ({shown} \
         leaves, root {shown_root}) does not continue that ({reason}). Both checkpoints are signed; \
         they are kept among the contacts. Tell your organisation"
    )]
    Forked {
        /// Leaves seen before.
        seen: u64,
        /// Their root.
        seen_root: Hash32,
        /// Leaves shown now.
        shown: u64,
        /// Their root.
        shown_root: Hash32,
        /// What is wrong, in words.
        reason: String,
    },
    /// Something that is needed for the proof is not there.
    #[error("the server does not prove that the log continues what was seen before: {0}")]
    Unproven(String),
    /// The server could not be asked.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

impl LogError {
    /// The command line's exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Fetch(error) => error.exit_code(),
            Self::Older { .. } => 16,
            Self::Forked { .. } | Self::Unproven(_) => 15,
        }
    }
}

/// Demands that a checkpoint, whose signature was verified, continues the one seen before; the
/// proof is made of the server's tiles.
///
/// # Errors
/// See [`LogError`].
pub async fn continues(server: &Server, seen: &Seen, now: &Seen) -> Result<(), LogError> {
    let forked = |reason: String| LogError::Forked {
        seen: seen.size,
        seen_root: seen.root,
        shown: now.size,
        shown_root: now.root,
        reason,
    };
    if now.size < seen.size {
        return Err(LogError::Older { seen: seen.size, shown: now.size });
    }
    if now.size == seen.size {
        let same = now.root == seen.root;
        return if same { Ok(()) } else { Err(forked("two roots of one size".to_owned())) };
    }
    let mut indexes = consistency_indexes(seen.size, now.size);
    let edge = Edge::indexes(seen.size);
    indexes.extend(&edge);
    let hashes = stored_hashes(server, now.size, &indexes).await?;
    let unproven = |error: &dyn std::fmt::Display| LogError::Unproven(error.to_string());
    let then: Vec<StoredHash> = edge
        .iter()
        .filter_map(|index| Some(StoredHash { index: *index, hash: *hashes.get(index)? }))
        .collect();
    let then = Edge::load(seen.size, &then).map_err(|error| unproven(&error))?.root();
    let proof = consistency(seen.size, now.size, &hashes).map_err(|error| unproven(&error))?;
    check_consistency(&proof, seen.size, then, now.size, now.root)
        .map_err(|error| unproven(&error))?;
    // The tiles lead to the root that is shown, so this is what that log was then.
    if then == seen.root { Ok(()) } else { Err(forked(format!("there it had root {then}"))) }
}

/// Stored hashes of the tree of `size` leaves, from the server's tiles. Nothing vouches for them.
async fn stored_hashes(
    server: &Server,
    size: u64,
    indexes: &[u64],
) -> Result<HashMap<u64, Hash32>, LogError> {
    let mut tiles: BTreeMap<String, Vec<Hash32>> = BTreeMap::new();
    let mut hashes = HashMap::new();
    for index in indexes {
        let missing = || LogError::Unproven(format!("there is no tile for hash {index}"));
        let tile = Tile::holding(*index, size).ok_or_else(missing)?;
        let path = tile.path();
        if !tiles.contains_key(&path) {
            let bytes = server.tile(&path).await?;
            let read = tile.decode_hashes(&bytes);
            tiles.insert(path.clone(), read.map_err(|e| LogError::Unproven(e.to_string()))?);
        }
        let found = tiles.get(&path).and_then(|read| tile.stored_hash(*index, read));
        hashes.insert(*index, found.ok_or_else(missing)?);
    }
    Ok(hashes)
}
