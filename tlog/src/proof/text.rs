//! Proofs as text that is checked offline (C2SP tlog-proof).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use wire::Hash32;

use super::{ProofError, check_inclusion};
use crate::note::{LogKey, MAX_NOTE, SignedCheckpoint};

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Longest opaque data in a proof, in bytes.
const MAX_EXTRA: usize = 64 * 1024;

/// A leaf's index, its inclusion proof and a signed checkpoint. Nothing of it is checked until
/// [`TlogProof::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    extra: Option<Vec<u8>>,
    index: u64,
    hashes: Vec<Hash32>,
    checkpoint: String,
}

impl TlogProof {
    /// A proof that the leaf `index` is in the tree of the checkpoint. `extra` is data that helps
    /// to make the leaf and is not authenticated; empty for none.
    ///
    /// # Errors
    /// Refuses an index beyond the checkpoint, a proof of the wrong length and too much extra data.
    pub fn new(
        index: u64,
        hashes: Vec<Hash32>,
        checkpoint: &SignedCheckpoint,
        extra: &[u8],
    ) -> Result<Self, ProofError> {
        let size = checkpoint.checkpoint().size();
        let expected = super::inclusion_ranges(size, index)?.len();
        if hashes.len() != expected {
            return Err(ProofError::Length { expected, found: hashes.len() });
        }
        if extra.len() > MAX_EXTRA {
            return Err(refuse("more than 64 KiB of extra data"));
        }
        let extra = (!extra.is_empty()).then(|| extra.to_vec());
        Ok(Self { extra, index, hashes, checkpoint: checkpoint.text().to_owned() })
    }

    /// Reads a proof.
    ///
    /// # Errors
    /// Refuses everything that is not of the shape that C2SP tlog-proof describes. The checkpoint
    /// is kept as it is.
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or(refuse("no empty line before the checkpoint"))?;
        if checkpoint.len() > MAX_NOTE {
            return Err(refuse("the checkpoint is too long"));
        }
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(refuse("the first line is not c2sp.org/tlog-proof@v1"));
        }
        let extra =
            lines.peek().and_then(|line| line.strip_prefix("extra ")).map(|encoded| match STANDARD
                .decode(encoded)
            {
                Ok(extra) if extra.is_empty() => Err(refuse("empty extra data")),
                Ok(extra) if extra.len() > MAX_EXTRA => {
                    Err(refuse("more than 64 KiB of extra data"))
                }
                Ok(extra) => Ok(extra),
                Err(_) => Err(refuse("extra data that is not base64")),
            });
        let extra = extra.transpose()?;
        if extra.is_some() {
            lines.next();
        }
        let number = lines.next().and_then(|line| line.strip_prefix("index "));
        let number = number.ok_or(refuse("no line with the index"))?;
        let index: u64 = number.parse().map_err(|_| refuse("the index is not a number"))?;
        if index.to_string() != number {
            return Err(refuse("the index is not in its shortest form"));
        }
        let hashes: Vec<Hash32> = lines
            .map(|line| {
                // A hash has 44 characters; anything longer is not worth decoding.
                let bytes = if line.len() == 44 { STANDARD.decode(line).ok() } else { None };
                bytes.and_then(|b| Hash32::from_slice(&b)).ok_or(refuse("a line is not a hash"))
            })
            .collect::<Result<_, _>>()?;
        if hashes.len() > 64 {
            return Err(refuse("more than 64 hashes"));
        }
        Ok(Self { extra, index, hashes, checkpoint: checkpoint.to_owned() })
    }

    /// The text, to be kept as a `.tlog-proof` file.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEADER}\n");
        if let Some(extra) = &self.extra {
            text.push_str(&format!("extra {}\n", STANDARD.encode(extra)));
        }
        text.push_str(&format!("index {}\n", self.index));
        for hash in &self.hashes {
            text.push_str(&STANDARD.encode(hash.as_bytes()));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// Checks that the leaf with this hash is in the log of this key, and returns the checkpoint
    /// that says so.
    ///
    /// # Errors
    /// Refuses a checkpoint that the key did not sign, and a proof that does not lead to its root.
    pub fn verify(&self, key: &LogKey, leaf_hash: Hash32) -> Result<SignedCheckpoint, ProofError> {
        let signed = SignedCheckpoint::open(&self.checkpoint, key)?;
        let checkpoint = signed.checkpoint();
        let (size, root) = (checkpoint.size(), checkpoint.root());
        check_inclusion(&self.hashes, size, root, self.index, leaf_hash)?;
        Ok(signed)
    }

    /// The leaf's index.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The inclusion proof, from the leaf's sibling upwards.
    #[must_use]
    pub fn hashes(&self) -> &[Hash32] {
        &self.hashes
    }

    /// Opaque data that nothing vouches for.
    #[must_use]
    pub fn extra(&self) -> Option<&[u8]> {
        self.extra.as_deref()
    }

    /// The checkpoint's text, unverified.
    #[must_use]
    pub fn checkpoint_text(&self) -> &str {
        &self.checkpoint
    }
}

fn refuse(reason: &'static str) -> ProofError {
    ProofError::Encoding { what: "tlog-proof", reason }
}
