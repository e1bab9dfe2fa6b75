//! A history put away, to go on from later: a contact as a client remembers it.

use policy::{Details, DetailsError, Identity, Key, Status};
use serde::{Deserialize, Serialize};
use wire::{Hash32, UserId};
use x509::{Csr, CsrError, KeyRules};

use super::History;

/// What a history is after some events, as plain data. It proves nothing: whoever keeps it vouches
/// for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    uid: UserId,
    /// 0 active, 1 suspended, 2 retired.
    status: u8,
    sequence: u64,
    head: Hash32,
    /// SHA-256 of the current key, its number, and whether possession was proven.
    key: Option<(Hash32, u64, bool)>,
    recovery_commitment: Option<Hash32>,
    details: Vec<u8>,
    /// SubjectPublicKeyInfos that the identity has or had.
    keys: Vec<Vec<u8>>,
    /// The certification request of the pending switch.
    requested: Option<Vec<u8>>,
}

/// Why a snapshot is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// A status that there is not.
    #[error("there is no status {0}")]
    Status(u8),
    /// The details.
    #[error(transparent)]
    Details(#[from] DetailsError),
    /// The request of the pending switch.
    #[error(transparent)]
    Csr(#[from] CsrError),
}

impl Snapshot {
    /// Whose history it is.
    #[must_use]
    pub fn uid(&self) -> &UserId {
        &self.uid
    }

    /// Leaf hash of the latest event.
    #[must_use]
    pub fn head(&self) -> Hash32 {
        self.head
    }

    /// Number of the latest event.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

impl History {
    /// The history so far; none before the first event.
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        let identity = self.identity.as_ref()?;
        let mut keys: Vec<Vec<u8>> = self.keys.values().cloned().collect();
        keys.sort_unstable();
        Some(Snapshot {
            uid: self.uid.clone(),
            status: match identity.status {
                Status::Active => 0,
                Status::Suspended => 1,
                Status::Retired => 2,
            },
            sequence: identity.sequence,
            head: identity.head,
            key: identity.key.map(|key| (key.spki, key.number, key.possession_proven)),
            recovery_commitment: identity.recovery_commitment,
            details: identity.details.to_bytes(),
            keys,
            requested: self.requested.as_ref().map(|csr| csr.der().to_vec()),
        })
    }

    /// Goes on from a snapshot. `rules` are for the request of a pending switch.
    ///
    /// # Errors
    /// Refuses what [`History::snapshot`] does not make.
    pub fn resume(rules: &KeyRules, snapshot: &Snapshot) -> Result<Self, SnapshotError> {
        let status = match snapshot.status {
            0 => Status::Active,
            1 => Status::Suspended,
            2 => Status::Retired,
            other => return Err(SnapshotError::Status(other)),
        };
        let key = snapshot.key.map(|(spki, number, possession_proven)| Key {
            spki,
            number,
            possession_proven,
        });
        let identity = Identity {
            uid: snapshot.uid.clone(),
            status,
            sequence: snapshot.sequence,
            head: snapshot.head,
            key,
            recovery_commitment: snapshot.recovery_commitment,
            details: Details::from_bytes(&snapshot.details)?,
        };
        let keys = snapshot.keys.iter().map(|der| (Hash32::of(der), der.clone())).collect();
        let requested =
            snapshot.requested.as_ref().map(|der| Csr::parse(der, rules)).transpose()?;
        let (uid, objections) = (snapshot.uid.clone(), Vec::new());
        Ok(Self { uid, identity: Some(identity), keys, requested, objections })
    }
}
