//! Leaves: what the public tiles of the log hold. No user id, no key, no time of a person's.

use der::Sequence;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::codec::{encoded, numbered};
use crate::{Hash32, UserId};

/// Domain of the salted commitment.
const COMMITMENT_DOMAIN: &[u8] = b"avouch.leaf.commitment.v1\0";

numbered! {
    /// What a leaf stands for.
    LeafKind {
        /// One event.
        Event = 0, "event";
        /// The root of the map of heads, the last leaf of a checkpoint.
        MapRoot = 1, "map-root";
    }
}

/// One entry of the log. The leaf hash is SHA-256(0x00 ‖ DER) as RFC 6962 section 2.1 has it.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Leaf {
    /// Format version, 1.
    pub version: u8,
    /// Version of the policy engine that decided the event.
    pub engine: u8,
    /// What it stands for.
    pub kind: LeafKind,
    /// The identity's [`blinded_id`]; zero for events of the installation and map roots.
    pub blinded_id: Hash32,
    /// [`commitment`] to the event, or the map's root.
    pub commitment: Hash32,
}
encoded!(Leaf, "leaf", limit = 256);

impl Leaf {
    /// The hash by which events and proofs name this leaf (RFC 6962 section 2.1).
    #[must_use]
    pub fn leaf_hash(&self) -> Hash32 {
        use crate::Encoded;
        let mut hasher = Sha256::new();
        hasher.update([0]);
        hasher.update(self.to_canonical());
        Hash32::from_bytes(hasher.finalize().into())
    }
}

/// HMAC-SHA-256(per-identity key, user id): stable for one identity, meaningless without the key.
#[must_use]
pub fn blinded_id(key: &[u8; 32], uid: &UserId) -> Hash32 {
    keyed(key, &[uid.as_str().as_bytes()])
}

/// The per-identity key, HMAC-SHA-256(installation's secret, domain ‖ user id). Contacts get this
/// key and not the secret, so each can follow one identity and no other; and an identity whose row
/// somebody deleted still has its place in the map.
#[must_use]
pub fn blinding_key(secret: &[u8; 32], uid: &UserId) -> [u8; 32] {
    *keyed(secret, &[b"avouch.identity-key.v1\0", uid.as_str().as_bytes()]).as_bytes()
}

/// Where the map says whose a public key is: HMAC-SHA-256(installation's secret, domain ‖ SHA-256
/// of the SubjectPublicKeyInfo).
#[must_use]
pub fn blinded_key(secret: &[u8; 32], spki: Hash32) -> Hash32 {
    keyed(secret, &[b"avouch.subject-key.v1\0", spki.as_bytes()])
}

/// What the genesis event says of the installation's secret: SHA-256(domain ‖ secret).
#[must_use]
pub fn blinding_commitment(secret: &[u8; 32]) -> Hash32 {
    let mut hasher = Sha256::new();
    hasher.update(b"avouch.blinding.v1\0");
    hasher.update(secret);
    Hash32::from_bytes(hasher.finalize().into())
}

/// What the key that addresses are sealed to is derived from ([`crate::address`]).
#[must_use]
pub fn address_secret(secret: &[u8; 32]) -> Hash32 {
    keyed(secret, &[b"avouch.address-key.v1\0"])
}

fn keyed(key: &[u8; 32], parts: &[&[u8]]) -> Hash32 {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    Hash32::from_bytes(mac.finalize().into_bytes().into())
}

/// SHA-256(domain ‖ salt ‖ event): binding, and hiding while the 32-byte salt is.
#[must_use]
pub fn commitment(salt: &[u8; 32], event_der: &[u8]) -> Hash32 {
    let mut hasher = Sha256::new();
    hasher.update(COMMITMENT_DOMAIN);
    hasher.update(salt);
    hasher.update(event_der);
    Hash32::from_bytes(hasher.finalize().into())
}
