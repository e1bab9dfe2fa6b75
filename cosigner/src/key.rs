//! The file of a co-signer's private key.
//!
//! One line of text: `PRIVATE+KEY+name+id+base64(4 ‖ seed)`, as Go's note package writes private
//! keys, with the signature type of Ed25519 co-signatures (C2SP tlog-cosignature). Name and key
//! are one file, so that neither is ever used with another's.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tlog::cosign::{CosignError, Cosigner};
use zeroize::Zeroizing;

use crate::durable;

const HEAD: &str = "PRIVATE+KEY+";
const TYPE: u8 = 4;
/// Longer files are none of ours.
const MAX: u64 = 4096;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("the co-signer's key {path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others can read it.
    #[error("the co-signer's key {path} has mode {mode:o}: others can read it; chmod 600 it")]
    Mode {
        /// Which file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Not the text of a key.
    #[error("the co-signer's key {path} is none: {reason}")]
    Shape {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A name that no key may have.
    #[error(transparent)]
    Key(#[from] CosignError),
    /// The system gave no randomness.
    #[error("no randomness: {0}")]
    Random(getrandom::Error),
}

/// A private key as it stands in its file.
pub struct KeyFile {
    seed: Zeroizing<[u8; 32]>,
    cosigner: Cosigner,
}

impl KeyFile {
    /// A new key of this name.
    ///
    /// # Errors
    /// Refuses names that no key may have.
    pub fn generate(name: &str) -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(KeyError::Random)?;
        let cosigner = Cosigner::from_seed(name, &seed)?;
        Ok(Self { seed, cosigner })
    }

    /// Writes it to a new file that this user alone can read.
    ///
    /// # Errors
    /// When it cannot be written, or is there already.
    pub fn write_new(&self, path: &Path) -> Result<(), KeyError> {
        let file = |source| KeyError::File { path: path.to_owned(), source };
        durable::write_new(path, self.text().as_bytes()).map_err(file)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, is no key, or others can read it.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        use std::os::unix::fs::PermissionsExt;
        let file = |source| KeyError::File { path: path.to_owned(), source };
        let shape = |reason| KeyError::Shape { path: path.to_owned(), reason };
        let found = std::fs::metadata(path).map_err(file)?;
        let mode = found.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Mode { path: path.to_owned(), mode });
        }
        if found.len() > MAX {
            return Err(shape("too long"));
        }
        let text = Zeroizing::new(std::fs::read(path).map_err(file)?);
        let text = std::str::from_utf8(&text).map_err(|_| shape("not text"))?;
        let (name, id, seed) = split(text).map_err(shape)?;
        let cosigner = Cosigner::from_seed(name, &seed)?;
        if id != hex::encode(cosigner.key().id()) {
            return Err(shape("its id is not what its name and key give"));
        }
        Ok(Self { seed, cosigner })
    }

    /// What co-signs with it.
    #[must_use]
    pub fn into_cosigner(self) -> Cosigner {
        self.cosigner
    }

    /// The public key, as others are given it.
    #[must_use]
    pub fn vkey(&self) -> String {
        self.cosigner.key().vkey()
    }

    fn text(&self) -> Zeroizing<String> {
        let key = self.cosigner.key();
        let bytes = Zeroizing::new([&[TYPE], &self.seed[..]].concat());
        let encoded = Zeroizing::new(STANDARD.encode(&*bytes));
        let (name, id) = (key.name(), hex::encode(key.id()));
        Zeroizing::new(format!("{HEAD}{name}+{id}+{}\n", *encoded))
    }
}

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyFile({})", self.vkey())
    }
}

type Parts<'a> = (&'a str, &'a str, Zeroizing<[u8; 32]>);

fn split(text: &str) -> Result<Parts<'_>, &'static str> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let rest = line.strip_prefix(HEAD).ok_or("it does not begin with PRIVATE+KEY+")?;
    let mut parts = rest.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("not of the form PRIVATE+KEY+name+id+key");
    };
    let bytes = Zeroizing::new(STANDARD.decode(key).map_err(|_| "not standard base64")?);
    match bytes.split_first() {
        Some((&TYPE, seed)) => {
            let seed = seed.try_into().map_err(|_| "an Ed25519 key has 32 bytes")?;
            Ok((name, id, Zeroizing::new(seed)))
        }
        Some((1, _)) => Err("a log's key, not a co-signer's"),
        _ => Err("an unknown signature type"),
    }
}

#[cfg(test)]
mod tests;
