//! Watching identities of one's own: what happens to them, and whether the log goes on as it must.
//!
//! The file is JSON of version 1: for each identity that is watched, the number of the next event to
//! tell. It is not that of [`crate::news`], for what a program was told of nobody may have read.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wire::event::{EventKind, EvidenceKind};
use wire::statement::SignedStatement;
use wire::{Encoded, Hash32, UserId};

use crate::bundle::{self, BundleError, ProvenEvent, ProvenIdentity};
use crate::contacts::{Contacts, ContactsError};
use crate::fetch::{FetchError, Server};
use crate::files::{Existing, write_private};
use crate::log::{self, LogError};
use crate::news::{News, told};
use crate::trust::{CheckpointError, Trust};

const VERSION: u32 = 1;
/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Why the file of what was told cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WatchedError {
    /// The file system, with the path.
    #[error("{0}")]
    File(#[from] io::Error),
    /// Not such a file. It is left as it is.
    #[error("{}: not a file of watched identities: {why}", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// What was told of watched identities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watched {
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

/// Something that happened to a watched identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// Number of the event.
    pub sequence: u64,
    /// The event.
    pub kind: EventKind,
    /// In words, and what there is to do.
    pub news: News,
    /// In what roles it was signed for. A key may be in other hands: what it signed, its owner need
    /// not have done.
    pub signed_by: Vec<&'static str>,
}

/// Why an identity, or its log, is not as it must be.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The server could not be asked.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What it answered proves nothing.
    #[error(transparent)]
    Unproven(#[from] BundleError),
    /// The log does not continue what was seen of it.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Events that were told before are not there any more.
    #[error("the history had {told} events before, and has {shown} now")]
    Lost {
        /// Events told before.
        told: u64,
        /// Events shown now.
        shown: u64,
    },
    /// The contacts, where the largest checkpoint is remembered.
    #[error(transparent)]
    Contacts(#[from] ContactsError),
}

impl Trouble {
    /// A stable name, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Fetch(error) if error.exit_code() == 10 => "no-such-identity",
            Self::Fetch(_) | Self::Log(LogError::Fetch(_)) => "not-reached",
            Self::Unproven(BundleError::Checkpoint(CheckpointError::Quorum { .. })) => {
                "quorum-lost"
            }
            Self::Unproven(BundleError::Stale(_)) => "stale",
            Self::Unproven(error) if error.exit_code() == 14 => "unlawful",
            Self::Unproven(_) | Self::Log(LogError::Unproven(_)) => "unproven",
            Self::Log(LogError::Forked { .. }) => "fork",
            Self::Log(LogError::Older { .. }) | Self::Lost { .. } => "gap",
            Self::Contacts(_) => "contacts",
        }
    }

    /// The command line's exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Fetch(error) => error.exit_code(),
            Self::Unproven(error) => error.exit_code(),
            Self::Log(error) => error.exit_code(),
            Self::Lost { .. } => 15,
            Self::Contacts(_) => 1,
        }
    }
}

impl Default for Watched {
    fn default() -> Self {
        Self { version: VERSION, identities: Vec::new() }
    }
}

impl Watched {
    /// Reads the file; where there is none, nothing was told.
    ///
    /// # Errors
    /// [`WatchedError`].
    pub fn load(path: &Path) -> Result<Self, WatchedError> {
        let wrong = |why: String| WatchedError::Format { path: path.to_owned(), why };
        let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
        match std::fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(named(error).into()),
            Ok(found) if found.len() > MAX_FILE => return Err(wrong("too large".to_owned())),
            Ok(_) => {}
        }
        let text = std::fs::read_to_string(path).map_err(named)?;
        let watched: Self = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        if watched.version != VERSION {
            let why = format!("version {}; this program knows {VERSION}", watched.version);
            return Err(wrong(why));
        }
        Ok(watched)
    }

    /// Writes it whole.
    ///
    /// # Errors
    /// The file system's.
    pub fn save(&self, path: &Path) -> Result<(), WatchedError> {
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        Ok(write_private(path, &text, Existing::Replace)?)
    }

    /// What happened since it was last asked, oldest first; the first time, all that ever did.
    ///
    /// # Errors
    /// [`Trouble::Lost`].
    pub fn happened(
        &mut self,
        genesis: Hash32,
        proven: &ProvenIdentity,
    ) -> Result<Vec<Happened>, Trouble> {
        let identity = proven.identity();
        let uid = &identity.uid;
        let next = identity.sequence + 1;
        let entry = self.identities.iter_mut().find(|e| e.genesis == genesis && e.uid == *uid);
        let from = match entry {
            Some(entry) if entry.next > next => {
                return Err(Trouble::Lost { told: entry.next, shown: next });
            }
            Some(entry) => std::mem::replace(&mut entry.next, next),
            None => {
                self.identities.push(Entry { genesis, uid: uid.clone(), next });
                0
            }
        };
        let new = proven.events().iter().filter(|proven| proven.event.sequence >= from);
        Ok(new.filter_map(happened).collect())
    }
}

/// What there is to tell of an event; nothing of what changes nothing.
fn happened(proven: &ProvenEvent) -> Option<Happened> {
    let news = told(&proven.event)?;
    let statements =
        proven.evidence.iter().filter(|(piece, _)| matches!(piece.kind, EvidenceKind::Statement));
    let mut signed_by: Vec<&'static str> = statements
        .filter_map(|(_, data)| SignedStatement::from_canonical(data).ok())
        .map(|signed| signed.statement.role.name())
        .collect();
    signed_by.sort_unstable();
    signed_by.dedup();
    let (sequence, kind) = (proven.event.sequence, proven.event.kind);
    Some(Happened { sequence, kind, news, signed_by })
}

/// Fetches and verifies an identity, and demands that the log continues what was seen of it; the
/// largest checkpoint, and two that contradict each other, are kept among the contacts. `now` in
/// seconds since 1970.
///
/// # Errors
/// See [`Trouble`].
pub async fn look(
    server: &Server,
    trust: &Trust,
    contacts_file: &Path,
    uid: &UserId,
    now: u64,
) -> Result<ProvenIdentity, Trouble> {
    let bundle = server.bundle(uid, 0).await?;
    let proven = bundle::verify(trust, uid, &bundle, None, now)?;
    let shown = proven.checkpoint();
    let seen = Contacts::load(contacts_file)?.log(trust.genesis()).cloned();
    if let Some(seen) = &seen {
        let continued = log::continues(server, seen, shown).await;
        if let Err(LogError::Forked { .. }) = &continued {
            let at = i64::try_from(now).unwrap_or(i64::MAX);
            Contacts::update(contacts_file, |contacts| contacts.keep_fork(shown, at))?;
        }
        continued?;
    }
    if seen.as_ref().is_none_or(|seen| seen.size < shown.size) {
        Contacts::update(contacts_file, |contacts| contacts.saw(shown))?;
    }
    Ok(proven)
}
