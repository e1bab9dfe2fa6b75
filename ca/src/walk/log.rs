//! Log: the leaves are in a signed checkpoint.

use std::sync::atomic::{AtomicU64, Ordering};

use pkcs11::HsmError;
use tlog::Edge;
use tlog::note::{Checkpoint, LogKey, Note, NoteError, NoteSignature, SignedCheckpoint};
use wire::Hash32;
use wire::genesis::KeyPurpose;

use super::Caller;
use super::record::{Recorded, What};
use crate::authority::Authority;
use crate::store::rows::CheckpointRow;
use crate::token::Token;

/// The log's size and root (RFC 6962 section 2.1), durable in the store and not signed yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TreeHead {
    size: u64,
    root: Hash32,
}

impl TreeHead {
    pub(crate) fn of_edge(edge: &Edge) -> Self {
        Self { size: edge.size(), root: edge.root() }
    }

    /// Number of leaves.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Whether this is the edge's size and root.
    pub(crate) fn is_of(&self, edge: &Edge) -> bool {
        (self.size, self.root) == (edge.size(), edge.root())
    }

    /// Whether this leaf, by the stored hashes of the tree, is in it.
    pub(crate) fn holds(
        &self,
        index: u64,
        leaf_hash: Hash32,
        hashes: &std::collections::HashMap<u64, Hash32>,
    ) -> bool {
        tlog::proof::inclusion(self.size, index, hashes).is_ok_and(|proof| {
            tlog::proof::check_inclusion(&proof, self.size, self.root, index, leaf_hash).is_ok()
        })
    }
}

/// A request whose leaf is in the checkpoint.
#[derive(Debug)]
pub(crate) struct Logged {
    pub(super) leaf_index: u64,
    pub(super) leaf_hash: Hash32,
    pub(super) what: What,
    pub(super) caller: Option<Caller>,
}

/// A group with the signed checkpoint that covers it.
#[derive(Debug)]
pub(crate) struct LoggedGroup {
    pub(super) checkpoint: CheckpointRow,
    pub(super) entries: Vec<Logged>,
    /// Whether a key was revoked, so that CRLs are to be made.
    pub(super) revokes: bool,
}

/// The log's key on the token.
#[derive(Debug)]
pub(crate) struct Log {
    key: LogKey,
    key_id: Vec<u8>,
}

/// Why the log's key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogKeyError {
    /// The genesis event names none.
    #[error("the genesis event names no log key")]
    None,
    /// It is of a kind that signs no notes.
    #[error("the log key: {0}")]
    Note(#[from] NoteError),
    /// It is not on this token.
    #[error("the log key is not on this token: {0}")]
    Hsm(#[from] HsmError),
}

impl Log {
    /// Takes the log's key from the genesis event and has the token prove that it holds it.
    pub(crate) async fn open(
        installation: &policy::Installation,
        hsm: &pkcs11::Hsm,
    ) -> Result<Self, LogKeyError> {
        let key = installation.keys(KeyPurpose::Log).next().ok_or(LogKeyError::None)?;
        let spki = key.spki.as_bytes();
        hsm.prove(key.id.as_bytes(), spki).await?;
        let key_id = key.id.as_bytes().to_vec();
        Ok(Self { key: LogKey::from_spki(installation.origin(), spki)?, key_id })
    }

    /// The key by which checkpoints are verified.
    pub(crate) fn key(&self) -> &LogKey {
        &self.key
    }

    /// Signs a checkpoint; the signature is verified before it is used.
    pub(crate) async fn sign(
        &self,
        token: &Token,
        head: TreeHead,
    ) -> Result<CheckpointRow, String> {
        let told = |error: NoteError| error.to_string();
        let checkpoint = Checkpoint::new(self.key.origin(), head.size, head.root).map_err(told)?;
        let bytes = checkpoint.to_be_signed();
        let assemble = |raw: &[u8]| {
            let signature = self.key.signature_from_raw(raw)?;
            SignedCheckpoint::assemble(checkpoint, &self.key, &signature)
        };
        let signed = token.sign("checkpoint", &self.key_id, bytes, assemble).await;
        let signed = signed.map_err(|error| error.to_string())?;
        Ok(CheckpointRow { size: head.size, note: signed.text().to_owned() })
    }
}

/// The newest checkpoint that was signed, and how the last try ended.
#[derive(Debug, Default)]
pub(crate) struct Checkpoints {
    /// Groups that came for a checkpoint so far.
    came: AtomicU64,
    state: tokio::sync::Mutex<Newest>,
}

#[derive(Debug, Default)]
struct Newest {
    row: Option<CheckpointRow>,
    /// The last try that failed, with how many had come by then: it failed for all of those.
    failed: Option<(u64, String)>,
}

impl Checkpoints {
    /// A checkpoint of at least this size. One is signed at a time, of the log as it is by then:
    /// groups that wait meanwhile share the next one, so that a slow token is kept for
    /// certificates. Where it fails, it fails for all who wait: none of them waits a token's
    /// deadline after another's.
    ///
    /// # Errors
    /// Why none was signed.
    async fn covering(&self, size: u64, authority: &Authority) -> Result<CheckpointRow, String> {
        let own = self.came.fetch_add(1, Ordering::Relaxed);
        let mut newest = self.state.lock().await;
        if let Some(row) = newest.row.as_ref().filter(|row| row.size >= size) {
            return Ok(row.clone());
        }
        if let Some((_, error)) = newest.failed.as_ref().filter(|(came, _)| own < *came) {
            return Err(error.clone());
        }
        match authority.log().sign(authority.hsm(), authority.tree_head()).await {
            Ok(row) => {
                newest.row = Some(row.clone());
                Ok(row)
            }
            Err(error) => {
                newest.failed = Some((self.came.load(Ordering::Relaxed), error.clone()));
                Err(error)
            }
        }
    }
}

impl Log {
    /// Signs a text of the authority's own, which is no checkpoint, as a note.
    pub(crate) async fn say(&self, token: &Token, text: &str) -> Result<String, String> {
        let assemble = |raw: &[u8]| -> Result<String, NoteError> {
            let signature = self.key.signature_from_raw(raw)?;
            self.key.verify(text.as_bytes(), &signature)?;
            let line = NoteSignature::new(self.key.origin(), self.key.id(), &signature)?;
            Ok(Note::new(text, &[line])?.to_text())
        };
        let bytes = text.as_bytes().to_vec();
        let signed = token.sign("ask-auditor", &self.key_id, bytes, assemble).await;
        signed.map_err(|error| error.to_string())
    }
}

/// Has a checkpoint signed that covers the group. When the token does not sign now, the group is
/// finished later from the record, and its callers are told so.
pub(crate) async fn log(
    authority: &Authority,
    head: TreeHead,
    recorded: Vec<Recorded>,
) -> Option<LoggedGroup> {
    let checkpoint = match authority.checkpoints().covering(head.size, authority).await {
        Ok(checkpoint) => checkpoint,
        Err(error) => {
            tracing::error!(%error, size = head.size, "recorded, but the checkpoint is not signed");
            authority.finish_later();
            for caller in recorded.into_iter().filter_map(|entry| entry.caller) {
                caller.pending(&format!("not signed yet: {error}"));
            }
            return None;
        }
    };
    let mut entries = Vec::with_capacity(recorded.len());
    let mut revokes = false;
    for Recorded { leaf_index, leaf_hash, what, revokes: also, caller } in recorded {
        revokes |= also;
        if leaf_index >= head.size {
            let TreeHead { size, root } = head;
            authority.alarm(format!(
                "leaf {leaf_index} ({leaf_hash}) is not in the checkpoint of size {size}, root {root}"
            ));
            continue;
        }
        entries.push(Logged { leaf_index, leaf_hash, what, caller });
    }
    Some(LoggedGroup { checkpoint, entries, revokes })
}
