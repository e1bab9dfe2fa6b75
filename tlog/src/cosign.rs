//! Co-signatures: somebody else's word, with the time by that one's own clock, that a checkpoint
//! continues all that it saw of the log before (C2SP tlog-cosignature, Ed25519).
//!
//! A co-signature is a signature line of the checkpoint's note. The signed message is not the
//! note's text alone but has the time before it, so that neither kind of signature can serve as
//! the other.

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::note::{Note, NoteError, NoteSignature, check_name};

/// Signature type of co-signatures with Ed25519 (C2SP tlog-cosignature, "Format").
const TYPE: u8 = 4;

/// The time (8 bytes, big-endian) and an Ed25519 signature.
const BLOB: usize = 8 + 64;

/// Greatest time, in seconds since 1970 (C2SP tlog-cosignature, "Format").
pub const MAX_TIME: u64 = i64::MAX as u64;

/// Why a co-signer's key or a co-signature is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CosignError {
    /// A key that is not an Ed25519 co-signer's.
    #[error("the co-signer's key is not valid: {reason}")]
    Key {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Its name or its id.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A line under a co-signer's name and id that has another length than a co-signature.
    #[error("the co-signature by {key} has {found} bytes, not {BLOB}")]
    Length {
        /// The key.
        key: String,
        /// Length found.
        found: usize,
    },
    /// A time beyond what the format allows.
    #[error("the co-signature by {key} has time {time}, beyond 2^63 − 1")]
    Time {
        /// The key.
        key: String,
        /// The time.
        time: u64,
    },
    /// A line under a co-signer's name and id that does not verify.
    #[error("the co-signature by {key} does not verify")]
    Signature {
        /// The key.
        key: String,
    },
    /// Two lines of one co-signer, which then says two times.
    #[error("there are two co-signatures by {key}")]
    Twice {
        /// The key.
        key: String,
    },
}

/// The message that a co-signer signs over a note's text at a time, in seconds since 1970.
#[must_use]
pub fn to_be_signed(text: &str, time: u64) -> Vec<u8> {
    format!("cosignature/v1\ntime {time}\n{text}").into_bytes()
}

/// A co-signer's public key with its name.
#[derive(Clone)]
pub struct CosignerKey {
    name: String,
    public: [u8; 32],
    id: [u8; 4],
    parsed: ParsedPublicKey,
}

impl CosignerKey {
    /// The key of this name, from its 32 bytes.
    ///
    /// # Errors
    /// Refuses names that no key may have, and what is not a point of the curve.
    pub fn new(name: &str, public: [u8; 32]) -> Result<Self, CosignError> {
        check_name(name)?;
        let mut hasher = Sha256::new();
        hasher.update(name.as_bytes());
        hasher.update([b'\n', TYPE]);
        hasher.update(public);
        let hash: [u8; 32] = hasher.finalize().into();
        let parsed = ParsedPublicKey::new(&ED25519, public)
            .map_err(|_| CosignError::Key { reason: "not a point on its curve" })?;
        let id = [hash[0], hash[1], hash[2], hash[3]];
        Ok(Self { name: name.to_owned(), public, id, parsed })
    }

    /// Reads a verifier key, `name+id+base64(4 ‖ key)`.
    ///
    /// # Errors
    /// As [`CosignerKey::new`]; and refuses an id that is not the key's, and other signature types.
    pub fn parse_vkey(text: &str) -> Result<Self, CosignError> {
        let wrong = |reason| CosignError::Key { reason };
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong("not of the form name+id+key"));
        };
        let key = STANDARD.decode(key).map_err(|_| wrong("not standard base64"))?;
        let public = match key.split_first() {
            Some((&TYPE, key)) => key,
            Some((1 | 2, _)) => return Err(wrong("a log's key, not a co-signer's")),
            Some((6, _)) => return Err(wrong("ML-DSA-44 co-signatures are not supported")),
            Some(_) => return Err(wrong("an unknown signature type")),
            None => return Err(wrong("empty")),
        };
        let public = public.try_into().map_err(|_| wrong("an Ed25519 key has 32 bytes"))?;
        let parsed = Self::new(name, public)?;
        let expected = hex::encode(parsed.id);
        if id != expected {
            return Err(NoteError::KeyId { expected, found: id.to_owned() }.into());
        }
        Ok(parsed)
    }

    /// The verifier key, for trust files and other people's tools.
    #[must_use]
    pub fn vkey(&self) -> String {
        let key = [&[TYPE], &self.public[..]].concat();
        format!("{}+{}+{}", self.name, hex::encode(self.id), STANDARD.encode(key))
    }

    /// The co-signer's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public key's 32 bytes.
    #[must_use]
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// The four bytes that name the key in signature lines.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// Whether a signature line is under this key's name and id. Says nothing of the signature.
    #[must_use]
    pub fn names(&self, line: &NoteSignature) -> bool {
        line.name() == self.name && line.key_id() == self.id
    }

    /// The time of a line by this key over a note's text, in seconds since 1970.
    ///
    /// # Errors
    /// Refuses a blob of another length, a time beyond [`MAX_TIME`], and what does not verify.
    pub fn verify(&self, text: &str, line: &NoteSignature) -> Result<u64, CosignError> {
        let key = || self.to_string();
        let (time, signature) = match line.signature().split_first_chunk::<8>() {
            Some((time, signature)) if signature.len() == 64 => {
                (u64::from_be_bytes(*time), signature)
            }
            _ => {
                return Err(CosignError::Length { key: key(), found: line.signature().len() });
            }
        };
        if time > MAX_TIME {
            return Err(CosignError::Time { key: key(), time });
        }
        if !self.names(line)
            || self.parsed.verify_sig(&to_be_signed(text, time), signature).is_err()
        {
            return Err(CosignError::Signature { key: key() });
        }
        Ok(time)
    }

    /// When this key co-signed a note, in seconds since 1970; none if it did not. Lines of other
    /// keys are ignored, whatever is in them (C2SP signed-note).
    ///
    /// # Errors
    /// As [`CosignerKey::verify`]; and refuses two lines by this key.
    pub fn time_in(&self, note: &Note) -> Result<Option<u64>, CosignError> {
        let mut lines = note.signatures().iter().filter(|line| self.names(line));
        let Some(line) = lines.next() else { return Ok(None) };
        if lines.next().is_some() {
            return Err(CosignError::Twice { key: self.to_string() });
        }
        self.verify(note.text(), line).map(Some)
    }

    /// The signature line of a co-signature that was made elsewhere over [`to_be_signed`].
    ///
    /// # Errors
    /// As [`CosignerKey::verify`].
    pub fn assemble(
        &self,
        text: &str,
        time: u64,
        signature: &[u8],
    ) -> Result<NoteSignature, CosignError> {
        let blob = [&time.to_be_bytes()[..], signature].concat();
        let line = NoteSignature::new(&self.name, self.id, &blob)?;
        self.verify(text, &line)?;
        Ok(line)
    }
}

impl fmt::Display for CosignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", self.name, hex::encode(self.id))
    }
}

impl fmt::Debug for CosignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CosignerKey({})", self.vkey())
    }
}

impl PartialEq for CosignerKey {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.public) == (&other.name, other.public)
    }
}

impl Eq for CosignerKey {}

/// A co-signer: its name and its private key. Whoever has one keeps the promise that goes with it,
/// never to sign two histories of one log; see [`crate::witness`].
pub struct Cosigner {
    pair: Ed25519KeyPair,
    key: CosignerKey,
}

impl Cosigner {
    /// The co-signer of this name with this private key (RFC 8032 section 5.1.5).
    ///
    /// # Errors
    /// Refuses names that no key may have.
    pub fn from_seed(name: &str, seed: &[u8; 32]) -> Result<Self, CosignError> {
        let reason = "not a private key";
        let pair =
            Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| CosignError::Key { reason })?;
        let public = pair.public_key().as_ref();
        let public = public.try_into().map_err(|_| CosignError::Key { reason })?;
        Ok(Self { key: CosignerKey::new(name, public)?, pair })
    }

    /// Its public key.
    #[must_use]
    pub fn key(&self) -> &CosignerKey {
        &self.key
    }

    /// Co-signs a note's text at a time, in seconds since 1970.
    ///
    /// # Errors
    /// Refuses a time beyond [`MAX_TIME`].
    pub fn cosign(&self, text: &str, time: u64) -> Result<NoteSignature, CosignError> {
        self.key.assemble(text, time, self.pair.sign(&to_be_signed(text, time)).as_ref())
    }
}

impl fmt::Debug for Cosigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cosigner({})", self.key.vkey())
    }
}

#[cfg(test)]
mod tests;
