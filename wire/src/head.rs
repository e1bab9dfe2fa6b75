//! What the map says of an identity: the value under its blinded id.

use der::Sequence;

use crate::Hash32;
use crate::codec::{encoded, numbered};

numbered! {
    /// Where an identity stands.
    HeadStatus {
        /// It can be shared with.
        Active = 0, "active";
        /// It cannot be shared with for now.
        Suspended = 1, "suspended";
        /// It has ended.
        Retired = 2, "retired";
    }
}

/// An identity after its latest event. Its hash is the value in the map of heads (DESIGN section
/// 6), so every field of it is proven by a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Head {
    /// Format version, 1.
    pub version: u8,
    /// Leaf hash of the latest event.
    pub leaf: Hash32,
    /// Number of the latest event.
    pub sequence: u64,
    /// Where it stands.
    pub status: HeadStatus,
    /// SHA-256 of the current key's SubjectPublicKeyInfo, if there is one.
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    pub key: Option<Hash32>,
    /// The current key's number: 0 for the first, one more for each change.
    pub key_number: u64,
    /// Whether the holder proved possession of the current key.
    pub possession_proven: bool,
    /// SHA-256 of the intent of a pending switch.
    #[asn1(context_specific = "1", optional = "true", tag_mode = "EXPLICIT")]
    pub pending: Option<Hash32>,
    /// Commitment to the recovery key.
    #[asn1(context_specific = "2", optional = "true", tag_mode = "EXPLICIT")]
    pub recovery_commitment: Option<Hash32>,
    /// SHA-256 of the rest of the state, which only the authority and auditors see.
    #[asn1(context_specific = "3", optional = "true", tag_mode = "EXPLICIT")]
    pub private: Option<Hash32>,
}
encoded!(Head, "head", limit = 1024);

/// Where the map has the installation's own head: no identity and no key can be there.
#[must_use]
pub fn installation_position() -> Hash32 {
    Hash32::of(b"avouch.installation-head.v1")
}

/// The installation after its latest event. Its hash is the value at [`installation_position`],
/// so nobody can take back a change of roster or policy unseen. An installation in which nothing
/// has happened since genesis has no value there.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct InstallationHead {
    /// Format version, 1.
    pub version: u8,
    /// Leaf hash of the latest event.
    pub leaf: Hash32,
    /// Number of the latest event.
    pub sequence: u64,
}
encoded!(InstallationHead, "installation head", limit = 256);
