//! The bundle: everything that is needed to verify an identity with the network cut.
//!
//! JSON for people and programs (binary values in base64), postcard as the compact form. Nothing
//! in it is believed: chain, proofs, evidence and decisions are all checked against the trust file.

use serde::{Deserialize, Serialize};

use crate::{Hash32, UserId};

/// Bytes: base64 in JSON, as they are in the compact form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Blob(pub Vec<u8>);

/// Greatest length of a bundle's compact form, in bytes.
pub const MAX_BUNDLE: usize = 4 * 1024 * 1024;

/// A bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Bundle {
    /// Format version, 1.
    pub version: u8,
    /// Whose.
    pub uid: UserId,
    /// The current certificate, DER; none for an identity without a key.
    pub certificate: Option<Blob>,
    /// Issuing certificates, DER.
    pub chain: Vec<Blob>,
    /// All events of the installation, the genesis event first. The hash of that is in the trust
    /// file; the others changed policy, roster, keys.
    pub installation: Vec<BundleEvent>,
    /// Proof of what the map holds at [`crate::head::installation_position`]: that these are all.
    pub installation_proof: Blob,
    /// The key of the blinded id ([`crate::leaf::blinded_id`]).
    pub blinding_key: Blob,
    /// The identity's events from the sequence number that was asked for.
    pub events: Vec<BundleEvent>,
    /// The value in the map ([`crate::head::Head`], DER).
    pub head: Blob,
    /// Proof that the map holds that value under the blinded id, and the map's root.
    pub map_proof: Blob,
    /// The leaf that holds the map's root ([`crate::leaf::Leaf`], DER): the checkpoint's last one.
    pub map_leaf: Blob,
    /// Its inclusion proof.
    pub map_leaf_proof: Vec<Hash32>,
    /// The signed checkpoint, text.
    pub checkpoint: String,
    /// The installation's step of the ladder.
    pub ladder: String,
}

/// One event with all that shows it to be lawful and logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BundleEvent {
    /// Index of its leaf.
    pub leaf_index: u64,
    /// Its leaf ([`crate::leaf::Leaf`], DER).
    pub leaf: Blob,
    /// The salt of the leaf's commitment.
    pub salt: Blob,
    /// The event ([`crate::event::Event`], DER).
    pub event: Blob,
    /// The evidence that it names, in that order.
    pub evidence: Vec<Blob>,
    /// Inclusion proof of the leaf (RFC 6962 section 2.1.1).
    pub proof: Vec<Hash32>,
}

/// A trust file that takes the place of an earlier one, with the proof that it may: the
/// installation's events under a checkpoint that the earlier file's quorum co-signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Succession {
    /// Format version, 1.
    pub avouch_succession: u8,
    /// The new trust file, text.
    pub trust: String,
    /// As in a [`Bundle`].
    pub installation: Vec<BundleEvent>,
    /// As in a [`Bundle`].
    pub installation_proof: Blob,
    /// As in a [`Bundle`].
    pub map_leaf: Blob,
    /// As in a [`Bundle`].
    pub map_leaf_proof: Vec<Hash32>,
    /// As in a [`Bundle`].
    pub checkpoint: String,
}

/// First line of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportHeader {
    /// Format version, 1.
    pub avouch_export: u8,
    /// The genesis event, DER.
    pub genesis: Blob,
    /// The secret that blinds ids and keys. The genesis event commits to it, and whoever has it
    /// finds the place of each of them in the map.
    pub blinding_secret: Blob,
    /// The signed checkpoint that everything is proven under.
    pub checkpoint: String,
}

/// One leaf of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportLeaf {
    /// Its index.
    pub leaf_index: u64,
    /// The leaf, DER.
    pub leaf: Blob,
    /// The event that it stands for; none for the map's roots.
    pub event: Option<ExportEvent>,
}

/// The event behind a leaf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportEvent {
    /// The salt of the leaf's commitment.
    pub salt: Blob,
    /// The event ([`crate::event::Event`], DER).
    pub event: Blob,
    /// The evidence that it names, in that order.
    pub evidence: Vec<Blob>,
    /// Inclusion proof of the leaf (RFC 6962 section 2.1.1). Auditors are given none: they have all
    /// leaves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proof: Vec<Hash32>,
    /// What the authority says that the event left behind, where the officers declared its leaf
    /// dead: whoever refuses the event goes on from that, by the officers' word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Blob>,
}

impl Serialize for Blob {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() {
            s.serialize_str(&base64::Engine::encode(&BASE64, &self.0))
        } else {
            s.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        if d.is_human_readable() {
            let text = String::deserialize(d)?;
            base64::Engine::decode(&BASE64, text).map(Self).map_err(D::Error::custom)
        } else {
            serde_bytes::ByteBuf::deserialize(d).map(|bytes| Self(bytes.into_vec()))
        }
    }
}

const BASE64: base64::engine::GeneralPurpose = base64::engine::general_purpose::STANDARD;
