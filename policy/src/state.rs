//! State: what replaying the events gives.

use wire::event::{Event, EventKind};
use wire::genesis::{Genesis, InstallationKey, KeyPurpose, Keyholder};
use wire::head::{Head, HeadStatus};
use wire::rules::Rules;
use wire::{Encoded, FormatError, Hash32, Realm, UserId};

/// When a decision is made: bounds, in milliseconds since 1970. Waits are measured against the
/// lower, expiries against the upper one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    lower_ms: u64,
    upper_ms: u64,
}

impl Time {
    /// One clock's word for both bounds.
    #[must_use]
    pub fn at_ms(ms: u64) -> Self {
        Self { lower_ms: ms, upper_ms: ms }
    }

    /// It is certainly later than this.
    #[must_use]
    pub fn lower_ms(self) -> u64 {
        self.lower_ms
    }

    /// It is certainly not later than this.
    #[must_use]
    pub fn upper_ms(self) -> u64 {
        self.upper_ms
    }
}

/// The installation, as its own events made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    genesis: Hash32,
    realm: Realm,
    base_url: String,
    origin: String,
    blinding: Hash32,
    log_number: u16,
    rules: Rules,
    rules_hash: Hash32,
    agents: Vec<Keyholder>,
    keys: Vec<InstallationKey>,
}

/// Why bytes do not begin an installation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstallationError {
    /// Not an event, or not a genesis body.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// Another kind of event.
    #[error("the first event is {0}, not genesis")]
    Kind(EventKind),
    /// A key that must be there is not.
    #[error("the genesis event names no {0} key")]
    NoKey(KeyPurpose),
    /// Decided by an engine that this program does not know.
    #[error("the genesis event names policy engine {0}; this program knows 1")]
    Engine(u8),
}

impl Installation {
    /// Reads the genesis event.
    ///
    /// # Errors
    /// Refuses anything but a whole genesis event of a known engine with root and issuing key.
    pub fn from_genesis(event: &Event) -> Result<Self, InstallationError> {
        if event.kind != EventKind::Genesis {
            return Err(InstallationError::Kind(event.kind));
        }
        if event.engine != crate::ENGINE {
            return Err(InstallationError::Engine(event.engine));
        }
        let body = Genesis::from_canonical(event.body.as_bytes())?;
        for purpose in [KeyPurpose::Root, KeyPurpose::Issuing] {
            if !body.keys.iter().any(|key| key.purpose == purpose) {
                return Err(InstallationError::NoKey(purpose));
            }
        }
        Ok(Self {
            genesis: event.hash(),
            rules_hash: body.rules.hash(),
            realm: body.realm,
            base_url: body.base_url,
            origin: body.origin,
            blinding: body.blinding,
            log_number: body.log_number,
            rules: body.rules,
            agents: body.agents,
            keys: body.keys,
        })
    }

    /// Hash of the genesis event.
    #[must_use]
    pub fn genesis(&self) -> Hash32 {
        self.genesis
    }

    /// The realm.
    #[must_use]
    pub fn realm(&self) -> &Realm {
        &self.realm
    }

    /// Where CRLs and issuing certificates are served, without a trailing slash.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Origin line of the log's checkpoints (C2SP tlog-checkpoint).
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Commitment to the secret that blinds ids.
    #[must_use]
    pub fn blinding(&self) -> Hash32 {
        self.blinding
    }

    /// First 16 bits of every serial number.
    #[must_use]
    pub fn log_number(&self) -> u16 {
        self.log_number
    }

    /// The policy in force.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Its hash.
    #[must_use]
    pub fn rules_hash(&self) -> Hash32 {
        self.rules_hash
    }

    /// The keys with this purpose.
    pub fn keys(&self, purpose: KeyPurpose) -> impl Iterator<Item = &InstallationKey> {
        self.keys.iter().filter(move |key| key.purpose == purpose)
    }

    /// The enrolment agent whose key has this SHA-256.
    #[must_use]
    pub fn agent(&self, spki: Hash32) -> Option<&Keyholder> {
        self.agents.iter().find(|agent| Hash32::of(agent.spki.as_bytes()) == spki)
    }
}

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
    /// Commitment to its recovery key, if it has one.
    pub recovery_commitment: Option<Hash32>,
}

impl Identity {
    /// What the map of heads holds of this state: every field that a decision rests on is in it.
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
            pending: None,
            recovery_commitment: self.recovery_commitment,
            private: None,
        }
    }
}

/// What the log knows of the key that a request brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyUse {
    /// Never seen.
    Unknown,
    /// A present or past key of this identity.
    Known {
        /// Whose.
        by: UserId,
    },
}

/// All that one decision rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State<'a> {
    /// The installation.
    pub installation: &'a Installation,
    /// The identity, if it exists.
    pub identity: Option<Identity>,
    /// What is known of the key in the request.
    pub key_use: KeyUse,
}
