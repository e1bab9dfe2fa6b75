//! What the local administrator asks about the tokens, and is answered. At the administrator's
//! socket alone; nothing of it goes over HTTP.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is asked. A token goes by its section's name in the configuration; without one the only
/// token is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HsmAsk {
    /// How the tokens are.
    Status,
    /// All keys on the tokens, and how they are held.
    Keys,
    /// Opens a token once more, beside the workers that serve.
    Probe {
        /// Which.
        token: Option<String>,
    },
    /// Takes a token out of use, or back into it.
    Drain {
        /// Which.
        token: Option<String>,
        /// Out of use.
        drained: bool,
        /// Even if no other is ready.
        force: bool,
    },
    /// Tries another PIN, once, and keeps it if it holds.
    Unlock {
        /// Which.
        token: Option<String>,
        /// The PIN.
        pin: SecretText,
    },
    /// Hands in one operator's share of a PIN. When enough are there, the PIN is tried once.
    Share {
        /// Which.
        token: Option<String>,
        /// The share.
        share: SecretText,
    },
    /// Closes a token that operators open and close, and forgets its PIN.
    Lock {
        /// Which.
        token: Option<String>,
    },
}

/// How the tokens are, after what was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HsmReport {
    /// Each token.
    pub tokens: Vec<HsmToken>,
    /// Requests that wait for a worker.
    pub waiting: u64,
    /// Requests that workers have.
    pub in_flight: u64,
    /// The keys, where they were asked for.
    pub keys: Vec<HsmKey>,
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HsmToken {
    /// Its section in the configuration.
    pub name: String,
    /// `ready`, `starting`, `recovering`, `drained`, `pin-refused`, `locked` (nobody has given its
    /// PIN yet) or `stopped`.
    pub state: String,
    /// Since when, seconds since 1970.
    pub since: u64,
    /// What is wrong, when something is.
    pub detail: Option<String>,
    /// Label, serial number, manufacturer and model, as last seen.
    pub token: Option<String>,
    /// Its worker processes.
    pub workers: Vec<HsmWorker>,
    /// The shares of its PIN, where it is opened by shares.
    pub shares: Option<HsmShares>,
}

/// Shares of a PIN that were handed in and wait for others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HsmShares {
    /// The numbers of those that were.
    pub given: Vec<u8>,
    /// How many open the token.
    pub needed: u8,
    /// How many there are.
    pub of: u8,
}

/// A worker process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HsmWorker {
    /// As a token's.
    pub state: String,
    /// Its process, while there is one.
    pub pid: Option<u32>,
    /// How many processes there have been in its place.
    pub started: u64,
}

/// A key on a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HsmKey {
    /// CKA_ID, hexadecimal.
    pub id: String,
    /// CKA_LABEL.
    pub label: String,
    /// Its algorithm.
    pub algorithm: String,
    /// SHA-256 of its SubjectPublicKeyInfo, hexadecimal.
    pub spki_sha256: String,
    /// Whether it counts as held by an HSM.
    pub hsm_held: bool,
    /// Why, or why not.
    pub why: String,
    /// Its attributes as the token reports them, by name; those that it does not report are left
    /// out.
    pub attributes: Vec<(String, bool)>,
    /// What the token's maker attests of it: `none`, or whose attestation it is and whether it
    /// holds.
    pub attestation: String,
}

/// A secret on its way, wiped at the end and shown by nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretText(String);

impl SecretText {
    /// Takes it over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Hands it over.
    #[must_use]
    pub fn take(mut self) -> String {
        std::mem::take(&mut self.0)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

impl Drop for SecretText {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0).into_bytes();
        bytes.fill(0);
        std::hint::black_box(&bytes);
    }
}
