//! Verifying an export of a whole log, offline.

use std::io::BufRead;

use evidence::audit::{BeginError, Refused, Replay, nothing_else};
use tlog::proof::check_inclusion;
use wire::bundle::{ExportHeader, ExportLeaf};
use wire::event::Event;
use wire::leaf::Leaf;
use wire::{Encoded, Hash32};

use crate::bundle::{BundleError, fixed};
use crate::trust::Trust;

/// Longest line that is read, in bytes.
const MAX_LINE: u64 = 8 * 1024 * 1024;

/// Why an export is not a lawful log.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It cannot be read.
    #[error("line {line}: {reason}")]
    Line {
        /// Line, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// A part that a bundle has too.
    #[error("line {line}: {source}")]
    Part {
        /// Line, from 1.
        line: u64,
        /// What is wrong.
        source: Box<BundleError>,
    },
    /// The leaves do not lead to the checkpoint.
    #[error(
        "the leaves lead to size {size}, root {root}; the checkpoint says {signed_size}, {signed_root}"
    )]
    Root {
        /// Leaves in the export.
        size: u64,
        /// Their root.
        root: Hash32,
        /// Size in the checkpoint.
        signed_size: u64,
        /// Root in the checkpoint.
        signed_root: Hash32,
    },
    /// An entry that does not continue the log.
    #[error("line {line}: {source}")]
    Refused {
        /// Line, from 1.
        line: u64,
        /// What is wrong.
        source: Box<Refused>,
    },
    /// The genesis event, or the secret that it commits to.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// Events that no map root follows.
    #[error("after the last leaf the map's root is missing")]
    NoMapRoot,
}

/// What was verified.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Audited {
    /// Leaves.
    pub leaves: u64,
    /// Events of identities, each decided again from its evidence.
    pub events: u64,
    /// Identities.
    pub identities: u64,
    /// The root that the checkpoint signs.
    pub root: Hash32,
    /// As of when the quorum vouches for the checkpoint, seconds since 1970; none where nobody
    /// co-signs.
    pub as_of: Option<u64>,
}

/// Verifies an export (JSON Lines) against the trust file: the tree from its leaves, the signed
/// checkpoint with the quorum's co-signatures (of whatever age: an export is kept), every event
/// decided again from its evidence, every certificate's TBS built again, one blinded id and one
/// owner for each id and key, the map up to its last root.
///
/// # Errors
/// The first fault, with its line.
pub fn verify(trust: &Trust, export: impl BufRead) -> Result<Audited, ExportError> {
    let mut lines = Lines { input: export, number: 0 };
    let header: ExportHeader = lines.next()?.ok_or_else(|| lines.fault("the file is empty"))?;
    if header.avouch_export != 1 {
        let reason = format!("version {} is not known; this program knows 1", header.avouch_export);
        return Err(lines.fault(reason));
    }
    let genesis =
        Event::from_canonical(&header.genesis.0).map_err(|error| lines.part(error.into()))?;
    let (expected, found) = (trust.genesis(), genesis.hash());
    if expected != found {
        return Err(lines.part(BundleError::Genesis { expected, found }));
    }
    let vouched = trust.open(&header.checkpoint).map_err(|error| lines.part(error.into()))?;
    let secret =
        fixed("blinding secret", &header.blinding_secret).map_err(|error| lines.part(error))?;
    let mut replay = Replay::begin(&genesis, secret)?;
    let (signed_size, signed_root) = (vouched.checkpoint().size(), vouched.checkpoint().root());
    while let Some(entry) = lines.next::<ExportLeaf>()? {
        if let Some(event) = &entry.event {
            let index = entry.leaf_index;
            let leaf =
                Leaf::from_canonical(&entry.leaf.0).map_err(|error| lines.part(error.into()))?;
            check_inclusion(&event.proof, signed_size, signed_root, index, leaf.leaf_hash())
                .map_err(|source| {
                    let what = format!("leaf {index} is not in the log");
                    lines.part(BundleError::Proof { what, source })
                })?;
        }
        replay.apply(&entry, &nothing_else).map_err(|source| ExportError::Refused {
            line: lines.number,
            source: Box::new(source),
        })?;
    }
    if !replay.is_whole() {
        return Err(ExportError::NoMapRoot);
    }
    let (size, root) = (replay.size(), replay.root());
    if (size, root) != (signed_size, signed_root) {
        return Err(ExportError::Root { size, root, signed_size, signed_root });
    }
    let (events, identities) = (replay.events(), replay.identities());
    Ok(Audited { leaves: size, events, identities, root, as_of: vouched.as_of() })
}

struct Lines<R> {
    input: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    fn next<T: serde::de::DeserializeOwned>(&mut self) -> Result<Option<T>, ExportError> {
        self.number += 1;
        let mut line = Vec::new();
        let mut limited = std::io::Read::take(&mut self.input, MAX_LINE);
        limited
            .read_until(b'\n', &mut line)
            .map_err(|error| ExportError::Line { line: self.number, reason: error.to_string() })?;
        if line.is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(&line).map(Some).map_err(|error| self.fault(error.to_string()))
    }

    fn fault(&self, reason: impl Into<String>) -> ExportError {
        ExportError::Line { line: self.number, reason: reason.into() }
    }

    fn part(&self, source: BundleError) -> ExportError {
        ExportError::Part { line: self.number, source: Box::new(source) }
    }
}
