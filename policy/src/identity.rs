//! One identity: what replaying its events gives.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wire::body::Channel;
use wire::head::{Head, HeadStatus};
use wire::intent::{Name, NameKind};
use wire::{Hash32, UserId};

/// Where an identity stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It can be shared with.
    Active,
    /// It cannot be shared with for now.
    Suspended,
    /// It has ended, and its id with it.
    Retired,
}

/// An identity's current key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub spki: Hash32,
    /// 0 for the first, one more for each change.
    pub number: u64,
    /// Whether the holder proved possession.
    pub possession_proven: bool,
}

/// One identity, after its latest event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its id.
    pub uid: UserId,
    /// Where it stands.
    pub status: Status,
    /// Number of its latest event.
    pub sequence: u64,
    /// Leaf hash of its latest event.
    pub head: Hash32,
    /// Its key, if it has one.
    pub key: Option<Key>,
    /// Commitment to its recovery key, if it has one. While an older one still wins
    /// ([`Identity::recovery_key`]) this is the one to come.
    pub recovery_commitment: Option<Hash32>,
    /// All else.
    pub details: Details,
}

/// Who keeps an identity suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Suspender {
    /// The holder of the current key.
    Holder,
    /// An officer.
    Officer,
    /// The directory.
    Directory,
    /// The key was revoked.
    Revocation,
    /// The enrolment was declared false.
    Void,
}

/// A switch that is asked for. It is no status: while it is pending everything else goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    pub(crate) intent: Hash32,
    pub(crate) spki: Hash32,
    pub(crate) csr: Hash32,
    pub(crate) commitment: Option<Hash32>,
    pub(crate) names: Vec<Name>,
    pub(crate) leaf: Hash32,
    pub(crate) requested_ms: u64,
    pub(crate) expires_ms: u64,
    pub(crate) wait: u64,
    pub(crate) needed: u32,
    /// By the officer's key: one officer counts once, by construction.
    pub(crate) approvals: BTreeMap<Hash32, Hash32>,
    pub(crate) slowed: bool,
}

impl Pending {
    /// Hash of the intent that approvals and vetoes are about.
    #[must_use]
    pub fn intent(&self) -> Hash32 {
        self.intent
    }

    /// SHA-256 of the new key's SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki(&self) -> Hash32 {
        self.spki
    }

    /// SHA-256 of the certification request over it.
    #[must_use]
    pub fn csr(&self) -> Hash32 {
        self.csr
    }

    /// Leaf hash of the request's event.
    #[must_use]
    pub fn leaf(&self) -> Hash32 {
        self.leaf
    }

    /// When it was asked for, milliseconds since 1970.
    #[must_use]
    pub fn requested_ms(&self) -> u64 {
        self.requested_ms
    }

    /// When it expires, milliseconds since 1970.
    #[must_use]
    pub fn expires_ms(&self) -> u64 {
        self.expires_ms
    }

    /// SHA-256 of the keys of the officers who approved.
    pub fn approved_by(&self) -> impl Iterator<Item = Hash32> {
        self.approvals.keys().copied()
    }

    /// Whether a veto by the current key slowed it.
    #[must_use]
    pub fn is_slowed(&self) -> bool {
        self.slowed
    }
}

/// A retirement that was announced.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Retiring {
    pub(crate) intent: Hash32,
    pub(crate) leaf: Hash32,
    pub(crate) announced_ms: u64,
    pub(crate) wait: u64,
}

/// The names besides the id, which every certificate carries.
pub(crate) fn besides_the_id(names: &[Name]) -> Vec<Name> {
    names.iter().filter(|name| name.kind != NameKind::UserId).cloned().collect()
}

impl Retiring {
    /// Hash of the intent that announced it, which a veto is about.
    #[must_use]
    pub fn intent(&self) -> Hash32 {
        self.intent
    }
}

/// The person at an identity provider whom the identity was enrolled for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Binding {
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
}

/// A recovery commitment that still wins over its successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct StillWins {
    pub(crate) commitment: Option<Hash32>,
    pub(crate) until_ms: u64,
}

/// A completed switch whose certificate nothing in the log shows. Until something does, nothing
/// follows from the key that it brought, nor from what that key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Unshown {
    /// The key that it brought.
    pub(crate) spki: Hash32,
    /// The recovery commitment that won before it.
    pub(crate) recovery: Option<Hash32>,
}

/// What an identity has besides status, key and recovery commitment. Stores keep its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Details {
    /// Number and leaf hash of the latest event that changed the identity itself. What several
    /// people sign may name it instead of the head, which strangers can move.
    pub(crate) anchor: Option<(u64, Hash32)>,
    pub(crate) suspended_by: BTreeSet<Suspender>,
    /// Number of the latest event that ended a suspension.
    pub(crate) resumed: u64,
    /// Number of the latest key, whether or not it is there still.
    pub(crate) latest_key: u64,
    pub(crate) pending: Option<Pending>,
    pub(crate) retiring: Option<Retiring>,
    pub(crate) still_wins: Option<StillWins>,
    pub(crate) names: Vec<Name>,
    pub(crate) channels: Vec<Channel>,
    pub(crate) former_channels: Option<(Vec<Channel>, u64)>,
    pub(crate) binding: Option<Binding>,
    pub(crate) switched_ms: Option<u64>,
    /// A day (since 1970, UTC), and how many certificates the current key alone brought about on it.
    pub(crate) certified: Option<(u64, u32)>,
    /// Day (since 1970, UTC) and number of the requests on it that no officer stood behind.
    pub(crate) requested: Option<(u64, u32)>,
    /// When each officer last suspended it.
    pub(crate) officers_suspended: BTreeMap<Hash32, u64>,
    /// Only where switches have an issuing authority of their own; only version 2 has it.
    #[serde(skip)]
    pub(crate) unshown: Option<Unshown>,
}

/// Why stored bytes are no details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored details of an identity are not of the known form")]
pub struct DetailsError;

impl Details {
    /// The bytes to store: the oldest version that says all of it, so that there is one encoding.
    ///
    /// # Panics
    /// Never: every value has an encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.unshown {
            None => postcard::to_stdvec(&(1u8, self)),
            Some(unshown) => postcard::to_stdvec(&(2u8, self, unshown)),
        }
        .expect("plain data always encodes")
    }

    /// Reads stored bytes.
    ///
    /// # Errors
    /// When they are anything but what [`Details::to_bytes`] writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DetailsError> {
        let details = match bytes.first() {
            Some(1) => postcard::from_bytes(bytes).map(|(_, details): (u8, Self)| details),
            Some(2) => postcard::from_bytes(bytes).map(|(_, details, unshown): (u8, Self, _)| {
                Self { unshown: Some(unshown), ..details }
            }),
            _ => return Err(DetailsError),
        };
        let details = details.map_err(|_| DetailsError)?;
        if details.to_bytes() == bytes { Ok(details) } else { Err(DetailsError) }
    }
}

/// Status and key together, so that no wrong pair of them can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    Active(Key),
    Suspended { key: Option<Key>, by: BTreeSet<Suspender> },
    Retired,
}

impl Identity {
    /// Its details as they follow from all else: what an identity has that was enrolled, or its
    /// key revoked, and no more.
    fn plain(&self) -> Details {
        let revoked = BTreeSet::from([Suspender::Revocation]);
        Details {
            anchor: Some((self.sequence, self.head)),
            suspended_by: if self.status == Status::Suspended { revoked } else { BTreeSet::new() },
            latest_key: self.key.map_or(0, |key| key.number),
            ..Details::default()
        }
    }

    /// The bytes of its details, if they are anything but what follows from all else.
    #[must_use]
    pub fn stored_details(&self) -> Option<Vec<u8>> {
        (self.details != self.plain()).then(|| self.details.to_bytes())
    }

    /// The identity with its stored details.
    ///
    /// # Errors
    /// As [`Details::from_bytes`].
    pub fn with_details(mut self, stored: Option<&[u8]>) -> Result<Self, DetailsError> {
        self.details = match stored {
            Some(bytes) => Details::from_bytes(bytes)?,
            None => self.plain(),
        };
        Ok(self)
    }

    /// What the map of heads says of it.
    #[must_use]
    pub fn proven_head(&self) -> Head {
        Head {
            version: 1,
            leaf: self.head,
            sequence: self.sequence,
            status: match self.status {
                Status::Active => HeadStatus::Active,
                Status::Suspended => HeadStatus::Suspended,
                Status::Retired => HeadStatus::Retired,
            },
            key: self.key.map(|key| key.spki),
            key_number: self.key.map_or(0, |key| key.number),
            possession_proven: self.key.is_some_and(|key| key.possession_proven),
            pending: self.details.pending.as_ref().map(|pending| pending.intent),
            recovery_commitment: self.recovery_commitment,
            private: self.stored_details().map(|bytes| Hash32::of(&bytes)),
        }
    }

    /// The switch that is pending, if one is.
    #[must_use]
    pub fn pending(&self) -> Option<&Pending> {
        self.details.pending.as_ref()
    }

    /// SHA-256 of the key that a completed switch brought whose certificate nothing in the log shows:
    /// the next event that a certificate follows from has to show it.
    #[must_use]
    pub fn unshown_switch(&self) -> Option<Hash32> {
        self.details.unshown.map(|unshown| unshown.spki)
    }

    /// The retirement that is announced, if one is.
    #[must_use]
    pub fn retiring(&self) -> Option<&Retiring> {
        self.details.retiring.as_ref()
    }

    /// Who keeps it suspended.
    #[must_use]
    pub fn suspended_by(&self) -> &BTreeSet<Suspender> {
        &self.details.suspended_by
    }

    /// The names in its certificate besides the id, as the last intent gave them.
    #[must_use]
    pub fn names(&self) -> &[Name] {
        &self.details.names
    }

    /// Where notices go at `now_ms`: the channels, and those before them for one wait.
    pub fn channels(&self, now_ms: u64) -> impl Iterator<Item = &Channel> {
        let former = self.details.former_channels.iter().filter(move |(_, until)| now_ms < *until);
        self.details.channels.iter().chain(former.flat_map(|(channels, _)| channels))
    }

    /// The person at the identity provider.
    #[must_use]
    pub fn binding(&self) -> Option<&Binding> {
        self.details.binding.as_ref()
    }

    /// The recovery commitment that wins when it is certainly `lower_ms`.
    #[must_use]
    pub fn recovery_key(&self, lower_ms: u64) -> Option<Hash32> {
        match self.details.still_wins {
            Some(old) if lower_ms < old.until_ms => old.commitment,
            _ => self.recovery_commitment,
        }
    }

    /// An event number and leaf hash that intents of several people may name.
    #[must_use]
    pub fn anchor(&self) -> (u64, Hash32) {
        self.details.anchor.unwrap_or((self.sequence, self.head))
    }

    pub(crate) fn standing(&self) -> Standing {
        match (self.status, self.key) {
            (Status::Retired, _) => Standing::Retired,
            (Status::Active, Some(key)) => Standing::Active(key),
            (Status::Active, None) | (Status::Suspended, _) => {
                let mut by = self.details.suspended_by.clone();
                if by.is_empty() {
                    by.insert(Suspender::Revocation);
                }
                Standing::Suspended { key: self.key, by }
            }
        }
    }

    pub(crate) fn stand(&mut self, standing: Standing) {
        let (status, key, by) = match standing {
            Standing::Active(key) => (Status::Active, Some(key), BTreeSet::new()),
            Standing::Suspended { key, by } => (Status::Suspended, key, by),
            Standing::Retired => (Status::Retired, None, BTreeSet::new()),
        };
        if status == Status::Active && self.status != Status::Active {
            self.details.resumed = self.sequence;
        }
        if let Some(key) = key {
            self.details.latest_key = key.number;
        }
        (self.status, self.key, self.details.suspended_by) = (status, key, by);
    }

    /// Number that the next key will have.
    pub(crate) fn next_key(&self) -> u64 {
        self.key.map_or(self.details.latest_key, |key| key.number) + 1
    }
}
