//! What was sealed to whom: kept beside the contacts, so that it can be said when a person turns out
//! to have been somebody else.
//!
//! A file of JSON Lines, one line for each sealed file, readable by its owner only. Lines are added
//! under the lock of the contacts file, and are on the disk before the sealed file is: what is
//! not listed was not sealed. A last line that a crash cut off stands for nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use wire::{Hash32, UserId};

use crate::contacts::{self, ContactsError};
use crate::recipient::VerifiedRecipient;

const VERSION: u32 = 1;
/// The longest line that is read: a share has thousands of recipients at most.
const MAX_LINE: usize = 4 * 1024 * 1024;

/// A file that was sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    version: u32,
    /// Hash of the installation's genesis event.
    pub genesis: Hash32,
    /// When.
    pub at: String,
    /// What its owner calls it: the name of the file that was read.
    pub label: String,
    /// Where it was written.
    pub file: String,
    /// Length of what is inside, in bytes.
    pub size: u64,
    /// SHA-256 of the sealed file, by which a copy of it is known under any name.
    pub sha256: Hash32,
    /// To whom.
    pub to: Vec<To>,
}

/// A person that something was sealed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct To {
    /// The person.
    pub uid: UserId,
    /// The key: SHA-256 of the SubjectPublicKeyInfo.
    pub key: Hash32,
}

impl Sealed {
    /// A file that is about to be written.
    #[must_use]
    pub fn new(
        recipients: &[VerifiedRecipient],
        (label, file): (String, String),
        size: u64,
        sealed: &[u8],
        now: i64,
    ) -> Option<Self> {
        let genesis = recipients.first()?.genesis();
        let to = recipients.iter().map(|to| To { uid: to.uid().clone(), key: to.spki_sha256() });
        let (at, sha256, to) = (path::rfc3339(now), Hash32::of(sealed), to.collect());
        Some(Self { version: VERSION, genesis, at, label, file, size, sha256, to })
    }

    /// The key that it was sealed to for a person.
    #[must_use]
    pub fn key(&self, uid: &UserId) -> Option<Hash32> {
        self.to.iter().find(|to| to.uid == *uid).map(|to| to.key)
    }
}

/// The file that belongs to a contacts file: `contacts.json` has `contacts.json.sealed`.
#[must_use]
pub fn beside(contacts: &Path) -> PathBuf {
    let mut name = contacts.as_os_str().to_owned();
    name.push(".sealed");
    PathBuf::from(name)
}

/// Adds a line for a file that is about to be written.
///
/// # Errors
/// See [`ContactsError`]. Then nothing should be sealed.
pub fn remember(contacts: &Path, sealed: &Sealed) -> Result<(), ContactsError> {
    let path = beside(contacts);
    let _lock = contacts::lock(contacts)?;
    let named = |e: io::Error| contacts::named(&path, &e);
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(named)?;
    let end = whole_lines(&mut file).map_err(named)?;
    file.set_len(end).map_err(named)?;
    file.seek(SeekFrom::Start(end)).map_err(named)?;
    let mut line = serde_json::to_vec(sealed).map_err(io::Error::other).map_err(named)?;
    line.push(b'\n');
    file.write_all(&line).map_err(named)?;
    file.sync_all().map_err(named)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    Ok(File::open(folder).and_then(|folder| folder.sync_all()).map_err(named)?)
}

/// Length of the lines that are whole: a crash may have cut off the last one.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let mut end = length;
    let mut chunk = [0; 4096];
    while end > 0 {
        let from = end.saturating_sub(chunk.len() as u64);
        let chunk = &mut chunk[..(end - from) as usize];
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(chunk)?;
        if let Some(at) = chunk.iter().rposition(|byte| *byte == b'\n') {
            return Ok(from + at as u64 + 1);
        }
        end = from;
    }
    Ok(0)
}

/// Everything that was sealed in this installation, oldest first; to one person, or to anybody.
///
/// # Errors
/// See [`ContactsError`]. A line that cannot be understood is an error, never nothing.
pub fn list(
    contacts: &Path,
    genesis: Hash32,
    uid: Option<&UserId>,
) -> Result<Vec<Sealed>, ContactsError> {
    let path = beside(contacts);
    let named = |e: io::Error| contacts::named(&path, &e);
    let file = match fs::File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(named(e).into()),
    };
    let mut reader = BufReader::new(file);
    let mut found = Vec::new();
    for number in 1u64.. {
        let mut line = Vec::new();
        let limit = MAX_LINE as u64 + 1;
        reader.by_ref().take(limit).read_until(b'\n', &mut line).map_err(named)?;
        if line.len() > MAX_LINE {
            let why = format!("line {number} is longer than {MAX_LINE} bytes");
            return Err(ContactsError::Format { path, why });
        }
        if line.pop() != Some(b'\n') {
            break;
        }
        let sealed = parse(&line).map_err(|why| {
            let why = format!("line {number}: {why}");
            ContactsError::Format { path: path.clone(), why }
        })?;
        if sealed.genesis == genesis && uid.is_none_or(|uid| sealed.key(uid).is_some()) {
            found.push(sealed);
        }
    }
    Ok(found)
}

/// Reads one line.
///
/// # Errors
/// In words, why it is none.
pub fn parse(line: &[u8]) -> Result<Sealed, String> {
    let sealed: Sealed = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    if sealed.version == VERSION {
        Ok(sealed)
    } else {
        Err(format!("version {}; this program knows version {VERSION}", sealed.version))
    }
}

#[cfg(test)]
mod tests;
