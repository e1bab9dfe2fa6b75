//! Lists of keys whose private half is known to others.

use std::fmt;

use aws_lc_rs::digest;
use sha2::{Digest as _, Sha256};

/// Which list a key is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockReason {
    /// Made by Debian's OpenSSL of 2006 to 2008 (CVE-2008-0166).
    DebianWeak,
    /// Listed by the hash of its SubjectPublicKeyInfo.
    Listed,
}

impl fmt::Display for BlockReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DebianWeak => "made by Debian's broken OpenSSL (CVE-2008-0166)",
            Self::Listed => "listed by its hash",
        })
    }
}

/// Why a list cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line} of the blocklist is neither 20 hexadecimal digits (Debian's format) nor 64 \
     (SHA-256 of a SubjectPublicKeyInfo): {length} characters"
)]
pub struct BlocklistError {
    /// Line number, from 1.
    pub line: usize,
    /// Characters on that line.
    pub length: usize,
}

/// Known bad keys; sorted, so that a list of 10^5 keys costs its own bytes and 17 comparisons.
#[derive(Debug, Default, Clone)]
pub struct Blocklist {
    debian: Vec<[u8; 10]>,
    spki: Vec<[u8; 32]>,
}

impl Blocklist {
    /// Reads lists in either format, mixed freely; `#` starts a comment.
    ///
    /// A line of 20 hexadecimal digits is an entry of Debian's `openssl-blacklist`: the last 20
    /// digits of SHA-1 over `Modulus=HEX` and a line feed, as `openssl rsa -noout -modulus` prints
    /// it. A line of 64 is SHA-256 of the DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// Refuses any other line.
    pub fn parse(text: &str) -> Result<Self, BlocklistError> {
        let mut list = Self::default();
        for (index, line) in text.lines().enumerate() {
            let entry = line.split('#').next().unwrap_or_default().trim();
            let (mut debian, mut spki) = ([0; 10], [0; 32]);
            if entry.is_empty() {
                continue;
            } else if hex::decode_to_slice(entry, &mut debian).is_ok() {
                list.debian.push(debian);
            } else if hex::decode_to_slice(entry, &mut spki).is_ok() {
                list.spki.push(spki);
            } else {
                return Err(BlocklistError { line: index + 1, length: entry.chars().count() });
            }
        }
        list.debian.sort_unstable();
        list.spki.sort_unstable();
        Ok(list)
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.debian.len() + self.spki.len()
    }

    /// Whether the list has no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn find_modulus(&self, modulus: &[u8]) -> Option<BlockReason> {
        if self.debian.is_empty() {
            return None;
        }
        let line = format!("Modulus={}\n", hex::encode_upper(modulus));
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, line.as_bytes());
        let tail: &[u8] = &hash.as_ref()[10..];
        let found = self.debian.binary_search_by(|entry| entry.as_slice().cmp(tail));
        found.is_ok().then_some(BlockReason::DebianWeak)
    }

    pub(super) fn find_spki(&self, spki: &[u8]) -> Option<BlockReason> {
        let hash: [u8; 32] = Sha256::digest(spki).into();
        self.spki.binary_search(&hash).is_ok().then_some(BlockReason::Listed)
    }
}
