//! What happened to one's own identity since this client last looked: shown at every contact, so
//! that whoever hears of nothing by mail still hears of it here. From the proven history, not from
//! the server's word.
//!
//! The file is JSON of version 1: for each identity of one's own, the number of the next event to
//! show.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use wire::body::{Ended, Phase, VetoEffect, Vetoed};
use wire::event::{Event, EventKind};
use wire::{Encoded, Hash32, UserId};

use crate::bundle::ProvenIdentity;
use crate::files::{Existing, write_private};

const VERSION: u32 = 1;
/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Why the file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum NewsError {
    /// The file system, with the path.
    #[error("{0}")]
    File(#[from] io::Error),
    /// Not such a file. It is left as it is.
    #[error("{path}: not a file of one's own identities: {why}")]
    Format {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
}

/// What was shown of one's own identities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Own {
    version: u32,
    identities: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    genesis: Hash32,
    uid: UserId,
    next: u64,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// What.
    pub what: &'static str,
    /// The command against it, without the user id and keys; none where there is nothing to do.
    pub against: Option<&'static str>,
}

impl Default for Own {
    fn default() -> Self {
        Self { version: VERSION, identities: Vec::new() }
    }
}

impl Own {
    /// Reads the file; where there is none, nothing was shown.
    ///
    /// # Errors
    /// [`NewsError`].
    pub fn load(path: &Path) -> Result<Self, NewsError> {
        let wrong = |why: String| NewsError::Format { path: path.display().to_string(), why };
        let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
        match std::fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(named(error).into()),
            Ok(found) if found.len() > MAX_FILE => return Err(wrong("too large".to_owned())),
            Ok(_) => {}
        }
        let text = std::fs::read_to_string(path).map_err(named)?;
        let own: Self = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        if own.version != VERSION {
            return Err(wrong(format!("version {}; this program knows {VERSION}", own.version)));
        }
        Ok(own)
    }

    /// Writes it whole.
    ///
    /// # Errors
    /// The file system's.
    pub fn save(&self, path: &Path) -> Result<(), NewsError> {
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        Ok(write_private(path, &text, Existing::Replace)?)
    }

    /// Whether an identity was used as one's own.
    #[must_use]
    pub fn has(&self, genesis: Hash32, uid: &UserId) -> bool {
        self.identities.iter().any(|entry| entry.genesis == genesis && entry.uid == *uid)
    }

    /// What is new of an identity of one's own, oldest first; it is not new again.
    pub fn news(&mut self, genesis: Hash32, proven: &ProvenIdentity) -> Vec<News> {
        let identity = proven.identity();
        let events = proven.events().iter().map(|proven| &proven.event);
        self.since(genesis, &identity.uid, identity.sequence + 1, events)
    }

    fn since<'a>(
        &mut self,
        genesis: Hash32,
        uid: &UserId,
        next: u64,
        events: impl Iterator<Item = &'a Event>,
    ) -> Vec<News> {
        let found = self.identities.iter_mut().find(|e| e.genesis == genesis && e.uid == *uid);
        let from = match found {
            Some(entry) => {
                let from = entry.next;
                entry.next = entry.next.max(next);
                from
            }
            None => {
                self.identities.push(Entry { genesis, uid: uid.clone(), next });
                0
            }
        };
        events.filter(|event| event.sequence >= from).filter_map(told).collect()
    }
}

/// What there is to say of an event; nothing of what changes nothing.
pub(crate) fn told(event: &Event) -> Option<News> {
    use EventKind as K;
    let body = event.body.as_bytes();
    let (veto, suspend, recover) = (Some("veto"), Some("suspend"), Some("recover"));
    let (what, against) = match event.kind {
        K::SwitchRequest => ("a switch to another key was asked for", veto),
        K::SwitchApprove => ("an officer approved the switch to another key", veto),
        K::SwitchComplete => ("a switch to another key took effect", recover),
        K::Veto => match Vetoed::from_canonical(body).map(|vetoed| vetoed.effect) {
            Ok(VetoEffect::Slowed) => ("the current key objected: the switch takes longer", None),
            _ => ("what was pending was vetoed", None),
        },
        K::Rekey => ("the key was changed by the key before it", recover),
        K::Recover => ("the identity was taken back with the recovery key", suspend),
        K::Suspend => ("the identity was suspended", None),
        K::Resume => ("the identity was resumed", suspend),
        K::Revoke => ("the certificate was revoked", recover),
        K::Void => ("the enrolment was declared false", None),
        K::Retire => match Ended::from_canonical(body).map(|ended| ended.phase) {
            Ok(Phase::Announced) => ("the end of the identity was announced", veto),
            _ => ("the identity has ended", None),
        },
        K::Rename => ("the names in the certificate were changed", suspend),
        K::ChannelChange => ("the addresses for notices were changed", suspend),
        K::RecoveryCommitmentChange => ("the recovery key was changed", recover),
        K::Reissue => ("the certificate was issued anew", None),
        _ => return None,
    };
    Some(News { at_ms: event.time_ms, what, against })
}

#[cfg(test)]
mod tests;
