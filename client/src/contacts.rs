//! The local contacts: which key each person was known under.
//!
//! A JSON file of version 2 (version 1 is read, too), readable by its owner only, replaced whole at
//! each change. A person is known by the genesis event of the installation and the user id.
//!
//! Where the key moves and whoever had it before signed for that, the contact moves along. Where
//! officers moved it, the contact stays where it is until its owner has acknowledged that; a person
//! who was verified face to face has to be verified again. Where officers declared the enrolment
//! false, the contact is dropped.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use path::{Certificate, rfc3339};
use serde::{Deserialize, Serialize};
use wire::{Hash32, UserId};

use crate::bundle::Known;
use crate::files::{Existing, write_private};
use crate::log::Seen;
use crate::recipient::{RecipientRefusal, VerifiedRecipient};

const VERSION: u32 = 2;
/// The oldest version that is read.
const OLDEST: u32 = 1;
/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 64 * 1024 * 1024;
/// Kept evidence; beyond it the oldest goes.
const MAX_EVIDENCE: usize = 1000;

/// Why the contacts could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ContactsError {
    /// The file system, with the path.
    #[error("{0}")]
    File(#[from] io::Error),
    /// Not a contacts file. It is left as it is.
    #[error("{}: not a contacts file: {why}", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Written by a later version of this program. It is left as it is.
    #[error("{}: version {found}; this program knows version {VERSION}", .path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version in it.
        found: u64,
    },
}

/// A person known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// Hash of the installation's genesis event.
    pub genesis: Hash32,
    /// The person.
    pub uid: UserId,
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub spki_sha256: Hash32,
    /// When first verified.
    pub first_seen: String,
    /// When last verified.
    pub last_seen: String,
    /// What the log proved of the person, base64: the next bundle need hold only what came after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
    /// When the key was compared face to face.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<String>,
    /// A switch that nobody has acknowledged yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switched: Option<Switched>,
}

/// A contact that was dropped: officers declared the enrolment false.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropped {
    /// Hash of the installation's genesis event.
    pub genesis: Hash32,
    /// Whom the certificate named.
    pub uid: UserId,
    /// The key that was known: whoever held it was somebody else.
    pub key: Hash32,
    /// When the key was first taken for the person's.
    pub first_seen: String,
    /// When it was noticed.
    pub at: String,
}

/// Two checkpoints of one log, both signed, of which one does not continue the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fork {
    /// The one seen first.
    pub seen: Seen,
    /// The one shown later.
    pub shown: Seen,
    /// When.
    pub at: String,
}

/// A switch to another key, before the contact's owner has acknowledged it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switched {
    /// The key that the person has now: SHA-256 of the SubjectPublicKeyInfo.
    pub key: Hash32,
    /// When it was noticed.
    pub at: String,
    /// What the history says of it.
    pub told: String,
}

/// Why a contact stays where it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcknowledgeError {
    /// There is no such contact.
    #[error("{0} is not among the contacts")]
    Unknown(UserId),
    /// Nothing happened that would have to be acknowledged.
    #[error("{0} was not switched to another key since it was last acknowledged")]
    Nothing(UserId),
    /// The person was verified face to face before.
    #[error("{0} was verified in person; that has to be done again, with the new key")]
    Verify(UserId),
    /// The number is another one.
    #[error("the safety number of {uid} is another one; do not share with this key")]
    Number {
        /// The person.
        uid: UserId,
    },
}

/// A certificate that claimed a known person under another key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Hash of the installation's genesis event.
    pub genesis: Hash32,
    /// The person it names.
    pub uid: UserId,
    /// The key that was known.
    pub expected: Hash32,
    /// The key it certifies.
    pub found: Hash32,
    /// The certificate in DER, hexadecimal.
    pub certificate: String,
    /// When first seen.
    pub at: String,
}

/// How a key compares with what is known of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// The person is not known.
    Unknown,
    /// Known under this key.
    Same,
    /// Known under this other key.
    Other(Hash32),
}

/// The contacts in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contacts {
    version: u32,
    #[serde(default)]
    contacts: Vec<Contact>,
    #[serde(default)]
    evidence: Vec<Evidence>,
    /// The largest checkpoint seen of each log.
    #[serde(default)]
    logs: Vec<Seen>,
    #[serde(default)]
    forks: Vec<Fork>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dropped: Vec<Dropped>,
}

impl Contacts {
    /// No contacts.
    #[must_use]
    pub fn new() -> Self {
        Self { version: VERSION, ..Self::default() }
    }

    /// Reads the file; one that does not exist holds no contacts.
    ///
    /// # Errors
    /// See [`ContactsError`]. A file that cannot be understood is an error, never «no contacts».
    pub fn load(path: &Path) -> Result<Self, ContactsError> {
        let format = |why: String| ContactsError::Format { path: path.to_owned(), why };
        let length = match fs::metadata(path) {
            Ok(metadata) => metadata.len(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::new()),
            Err(e) => return Err(named(path, &e).into()),
        };
        if length > MAX_FILE {
            return Err(format(format!("{length} bytes; at most {MAX_FILE} are read")));
        }
        let text = fs::read(path).map_err(|e| named(path, &e))?;
        let value: serde_json::Value =
            serde_json::from_slice(&text).map_err(|e| format(e.to_string()))?;
        // The version first: what follows may mean anything in another one.
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(version) if (u64::from(OLDEST)..=u64::from(VERSION)).contains(&version) => {}
            Some(found) => return Err(ContactsError::Version { path: path.to_owned(), found }),
            None => return Err(format("no version".into())),
        }
        let read: Self = serde_json::from_value(value).map_err(|e| format(e.to_string()))?;
        Ok(Self { version: VERSION, ..read })
    }

    /// Reads the file, changes it and writes it, while no other process does.
    ///
    /// # Errors
    /// See [`ContactsError`]; then nothing is written.
    pub fn update<T>(path: &Path, change: impl FnOnce(&mut Self) -> T) -> Result<T, ContactsError> {
        let _lock = lock(path)?;
        let mut contacts = Self::load(path)?;
        let before = contacts.clone();
        let result = change(&mut contacts);
        if contacts != before {
            let text = serde_json::to_vec_pretty(&contacts)
                .map_err(|e| ContactsError::File(io::Error::other(e)))?;
            write_private(path, &text, Existing::Replace)?;
        }
        Ok(result)
    }

    /// How this key compares with what is known of the person.
    #[must_use]
    pub fn check(&self, genesis: Hash32, uid: &UserId, spki_sha256: Hash32) -> Pin {
        match self.find(genesis, uid) {
            None => Pin::Unknown,
            Some(contact) if contact.spki_sha256 == spki_sha256 => Pin::Same,
            Some(contact) => Pin::Other(contact.spki_sha256),
        }
    }

    /// Remembers the person under this key as of `now`, or notes that the key is still the same.
    ///
    /// # Errors
    /// The person is known under another key by now: that is kept, and so is this certificate, as
    /// evidence.
    pub fn pin(&mut self, recipient: &VerifiedRecipient, now: i64) -> Result<(), RecipientRefusal> {
        let (genesis, uid) = (recipient.genesis(), recipient.uid());
        let found = recipient.spki_sha256();
        let at = rfc3339(now);
        if let Some(contact) = self.find_mut(genesis, uid) {
            let expected = contact.spki_sha256;
            let moved = recipient.moved().is_some_and(|moved| moved.from == expected);
            if expected == found || moved {
                contact.spki_sha256 = found;
                contact.last_seen = at;
                contact.switched = None;
                return Ok(());
            }
            let certificate = recipient.certificate();
            self.keep_evidence(genesis, uid, (expected, found), certificate, now);
            return Err(RecipientRefusal::IdentityChanged {
                uid: uid.clone(),
                expected,
                found,
                certificate: Box::new(certificate.clone()),
            });
        }
        self.contacts.push(Contact {
            genesis,
            uid: uid.clone(),
            spki_sha256: found,
            first_seen: at.clone(),
            last_seen: at,
            known: None,
            verified: None,
            switched: None,
        });
        Ok(())
    }

    /// The largest checkpoint seen of an installation's log.
    #[must_use]
    pub fn log(&self, genesis: Hash32) -> Option<&Seen> {
        self.logs.iter().find(|seen| seen.genesis == genesis)
    }

    /// Remembers a checkpoint that continues the one remembered; a smaller one changes nothing.
    pub fn saw(&mut self, now: &Seen) {
        match self.logs.iter_mut().find(|seen| seen.genesis == now.genesis) {
            Some(seen) if seen.size < now.size => *seen = now.clone(),
            Some(_) => {}
            None => self.logs.push(now.clone()),
        }
    }

    /// Keeps two checkpoints that contradict each other, to be shown to others.
    pub fn keep_fork(&mut self, shown: &Seen, now: i64) {
        let Some(seen) = self.log(shown.genesis).cloned() else { return };
        if self.forks.len() < MAX_EVIDENCE && !self.forks.iter().any(|f| f.shown == *shown) {
            self.forks.push(Fork { seen, shown: shown.clone(), at: rfc3339(now) });
        }
    }

    /// Pairs of checkpoints that contradict each other, oldest first.
    #[must_use]
    pub fn forks(&self) -> &[Fork] {
        &self.forks
    }

    /// What the log proved of a person.
    #[must_use]
    pub fn known(&self, genesis: Hash32, uid: &UserId) -> Option<Known> {
        let text = self.find(genesis, uid)?.known.as_ref()?;
        Known::from_bytes(&BASE64.decode(text).ok()?)
    }

    /// Remembers what the log proved of a person who is a contact.
    pub fn remember(&mut self, genesis: Hash32, uid: &UserId, known: &Known) {
        if let Some(contact) = self.find_mut(genesis, uid) {
            contact.known = known.to_bytes().map(|bytes| BASE64.encode(bytes));
        }
    }

    /// Takes the switch of a person to another key for granted. The next check takes the new key.
    ///
    /// # Errors
    /// See [`AcknowledgeError`].
    pub fn acknowledge(&mut self, genesis: Hash32, uid: &UserId) -> Result<(), AcknowledgeError> {
        let contact =
            self.find_mut(genesis, uid).ok_or_else(|| AcknowledgeError::Unknown(uid.clone()))?;
        if contact.verified.is_some() {
            return Err(AcknowledgeError::Verify(uid.clone()));
        }
        let switched =
            contact.switched.take().ok_or_else(|| AcknowledgeError::Nothing(uid.clone()))?;
        contact.spki_sha256 = switched.key;
        Ok(())
    }

    /// Notes that the safety number was compared with the person's own, face to face or by a voice
    /// that is known. Where the key has been switched, that of the new key is compared, and taken.
    ///
    /// # Errors
    /// See [`AcknowledgeError`].
    pub fn verify(
        &mut self,
        genesis: Hash32,
        uid: &UserId,
        number: &str,
        now: i64,
    ) -> Result<(), AcknowledgeError> {
        let contact =
            self.find_mut(genesis, uid).ok_or_else(|| AcknowledgeError::Unknown(uid.clone()))?;
        let key = contact.switched.as_ref().map_or(contact.spki_sha256, |switched| switched.key);
        let digits = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        if digits(number) != digits(&safety_number(genesis, uid, key)) {
            return Err(AcknowledgeError::Number { uid: uid.clone() });
        }
        contact.spki_sha256 = key;
        contact.switched = None;
        contact.verified = Some(rfc3339(now));
        Ok(())
    }

    /// Keeps what a refusal shows of a changed or switched identity; does nothing for other
    /// refusals.
    pub fn keep_refusal(&mut self, genesis: Hash32, refusal: &RecipientRefusal, now: i64) {
        match refusal {
            RecipientRefusal::IdentityChanged { uid, expected, found, certificate } => {
                self.keep_evidence(genesis, uid, (*expected, *found), certificate, now);
            }
            RecipientRefusal::Switched { uid, expected, found, told, .. } => {
                if let Some(contact) = self.find_mut(genesis, uid)
                    && contact.spki_sha256 == *expected
                    && contact.switched.as_ref().is_none_or(|switched| switched.key != *found)
                {
                    let (key, at, told) = (*found, rfc3339(now), told.clone());
                    contact.switched = Some(Switched { key, at, told });
                }
            }
            RecipientRefusal::Voided { uid, expected, .. } => {
                self.drop_voided(genesis, uid, *expected, now);
            }
            _ => {}
        }
    }

    /// Drops a contact whose enrolment was declared false, and keeps that it was.
    fn drop_voided(&mut self, genesis: Hash32, uid: &UserId, key: Hash32, now: i64) {
        let Some(contact) = self.find(genesis, uid).filter(|c| c.spki_sha256 == key) else {
            return;
        };
        let (first_seen, at) = (contact.first_seen.clone(), rfc3339(now));
        if self.dropped.len() == MAX_EVIDENCE {
            self.dropped.remove(0);
        }
        self.dropped.push(Dropped { genesis, uid: uid.clone(), key, first_seen, at });
        self.forget(genesis, uid);
    }

    /// Contacts that were dropped because officers declared the enrolment false, oldest first.
    #[must_use]
    pub fn dropped(&self) -> &[Dropped] {
        &self.dropped
    }

    fn keep_evidence(
        &mut self,
        genesis: Hash32,
        uid: &UserId,
        (expected, found): (Hash32, Hash32),
        certificate: &Certificate,
        now: i64,
    ) {
        let certificate = hex::encode(certificate.der());
        if self.evidence.iter().any(|e| e.certificate == certificate && e.expected == expected) {
            return;
        }
        if self.evidence.len() == MAX_EVIDENCE {
            self.evidence.remove(0);
        }
        self.evidence.push(Evidence {
            genesis,
            uid: uid.clone(),
            expected,
            found,
            certificate,
            at: rfc3339(now),
        });
    }

    /// Forgets a person; the next key is taken on the authority's word again. Whether there was
    /// anything to forget.
    pub fn forget(&mut self, genesis: Hash32, uid: &UserId) -> bool {
        let before = self.contacts.len();
        self.contacts.retain(|c| c.genesis != genesis || c.uid != *uid);
        self.contacts.len() != before
    }

    fn find_mut(&mut self, genesis: Hash32, uid: &UserId) -> Option<&mut Contact> {
        self.contacts.iter_mut().find(|c| c.genesis == genesis && c.uid == *uid)
    }

    /// What is known of a person.
    #[must_use]
    pub fn find(&self, genesis: Hash32, uid: &UserId) -> Option<&Contact> {
        self.contacts.iter().find(|c| c.genesis == genesis && c.uid == *uid)
    }

    /// All contacts, in the order in which they were met.
    #[must_use]
    pub fn contacts(&self) -> &[Contact] {
        &self.contacts
    }

    /// All evidence, oldest first.
    #[must_use]
    pub fn evidence(&self) -> &[Evidence] {
        &self.evidence
    }
}

/// Sixty digits that two people compare: of the installation, the person and the key.
#[must_use]
pub fn safety_number(genesis: Hash32, uid: &UserId, key: Hash32) -> String {
    let uid = uid.as_str().as_bytes();
    let parts = [b"avouch.safety-number.v1\0", &genesis.as_bytes()[..], key.as_bytes(), uid];
    let hash = Hash32::of(&parts.concat());
    // Twelve groups of five digits, each of 40 bits of what follows from the hash.
    let groups = (0u8..12).map(|n| {
        let hash = Hash32::of(&[hash.as_bytes(), &[n][..]].concat());
        let bits = hash.as_bytes()[..5].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        format!("{:05}", bits % 100_000)
    });
    groups.collect::<Vec<_>>().join(" ")
}

/// Keeps other processes from changing a contacts file and what is beside it, until it is dropped.
pub(crate) fn lock(path: &Path) -> Result<File, ContactsError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock_path = PathBuf::from(name);
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&lock_path)
        .map_err(|e| named(&lock_path, &e))?;
    lock.lock().map_err(|e| named(&lock_path, &e))?;
    Ok(lock)
}

pub(crate) fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
