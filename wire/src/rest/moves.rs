//! Shapes of what moves, stops and ends identities, and of the policy that lets it.

use serde::{Deserialize, Serialize};

use super::Certificate;
use crate::{Hash32, UserId};

/// What came of a request that moves, stops or ends an identity, or changes the installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Done {
    /// The identity; `null` for a change of the installation.
    pub uid: Option<UserId>,
    /// The event: `rekey`, `switch-request`, `veto`, …
    pub event: String,
    /// Number of the event in the identity's (or installation's) history.
    pub sequence: u64,
    /// Index of its leaf in the log.
    pub leaf_index: u64,
    /// Its leaf hash: the head on which the next intent rests.
    pub head: Hash32,
    /// Whether it only announces something, which takes effect after a wait.
    pub announced: bool,
    /// The certificate that follows from it.
    pub certificate: Option<Certificate>,
}

/// Where a switch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SwitchStatus {
    /// Officers have yet to approve.
    Pending,
    /// Approved; it waits, and takes effect by itself.
    Waiting,
    /// It took effect.
    Completed,
    /// It was dropped: by a veto, by another request, or since the identity moved otherwise.
    Dropped,
    /// It was not done in time.
    Expired,
}

/// A switch to a new key. Whoever approves or vetoes signs the hash of `intent`, and believes
/// what that says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Switch {
    /// Hash of the intent.
    pub id: Hash32,
    /// Whose.
    pub uid: UserId,
    /// Where it is.
    pub status: SwitchStatus,
    /// The intent ([`crate::intent::Intent`]), base64 DER.
    #[cfg_attr(feature = "openapi", schema(content_encoding = "base64"))]
    pub intent: String,
    /// SHA-256 of the SubjectPublicKeyInfo of the key when it was asked for; `null` if there was none.
    pub old_key: Option<Hash32>,
    /// SHA-256 of the new key's SubjectPublicKeyInfo.
    pub new_key: Hash32,
    /// What the person says of it, signed by the new key.
    pub reason: Option<String>,
    /// When it was asked for.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub requested: String,
    /// When it expires.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub expires: String,
    /// Not before this it takes effect; `null` once it is over.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub not_before: Option<String>,
    /// Officers who must approve.
    pub needed: u32,
    /// Those who have.
    pub approvals: Vec<SwitchApproval>,
    /// Whether the current key objected while an officer's suspension stands: a longer wait, and
    /// one more approval.
    pub slowed: bool,
    /// What else came of it, in words: who vetoed it, what replaced it.
    pub outcome: Option<String>,
}

/// One officer's approval of a switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SwitchApproval {
    /// The officer, as the roster names her.
    pub officer: String,
    /// SHA-256 of the officer's SubjectPublicKeyInfo.
    pub key: Hash32,
    /// How the person was identified.
    pub remark: Option<String>,
    /// When it was logged.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub at: String,
}

/// One way to go on for an identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Way {
    /// The event.
    pub verb: String,
    /// Who must sign; each entry alone is enough.
    pub signed_by: Vec<String>,
    /// What else it takes, in words.
    pub takes: Vec<String>,
    /// Not before this; `null`: at once.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub not_before: Option<String>,
    /// Why it cannot happen as things are; `null`: it can.
    pub closed: Option<String>,
}

/// The policy in force and who has a say in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Policy {
    /// Its hash; intents name it.
    pub hash: Hash32,
    /// The policy file, TOML.
    pub toml: String,
    /// Officers.
    pub officers: Vec<Keyholder>,
    /// Enrolment agents and the directory's service.
    pub agents: Vec<Keyholder>,
    /// Identity providers, by issuer.
    pub providers: Vec<String>,
    /// Number of the installation's latest event; an intent to change it names the next one.
    pub sequence: u64,
    /// Leaf hash of the installation's latest event; such an intent names it as its head. At
    /// first that is the genesis event's.
    pub head: Option<Hash32>,
    /// Kinds of change that are announced and wait.
    pub announced: Vec<String>,
}

/// Body of POST `/policy/simulate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SimulateRequest {
    /// Whose ways are asked for; an id that is not enrolled has some, too.
    pub uid: UserId,
    /// The rules to suppose ([`crate::rules::Rules`]), base64 DER; `null`: those in force.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(content_encoding = "base64", nullable))]
    pub rules: Option<String>,
}

/// Somebody with a key that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Keyholder {
    /// Name.
    pub name: String,
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub key: Hash32,
    /// The SubjectPublicKeyInfo, base64 DER: a change of the list names all of it anew.
    #[cfg_attr(feature = "openapi", schema(content_encoding = "base64"))]
    pub public_key: String,
    /// What it is good for; empty: everything of its kind.
    pub scope: Vec<String>,
}

/// One identity's key moved, so what is shared with it needs to be wrapped anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyChange {
    /// Whose.
    pub uid: UserId,
    /// `rekey`, `recover`, `switch-complete`, or `revoke`, `void`, `retire`: it has none any more.
    pub event: String,
    /// Number of the event in the identity's history.
    pub sequence: u64,
    /// Index of its leaf in the log.
    pub leaf_index: u64,
    /// When.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub at: String,
    /// SHA-256 of the SubjectPublicKeyInfo afterwards.
    pub key: Option<Hash32>,
}

/// Body of every POST that asks for something by an intent: `/identities/{uid}/rekey`, `/recover`,
/// `/suspension`, `/channels`, `/recovery-key`, `/switches`, `/switches/{id}/approvals`, …
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignedRequest {
    /// The certification request that the intent names, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csr: Option<String>,
    /// The intent, base64 DER. Approvals and vetoes may leave it out: the path names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(content_encoding = "base64", nullable))]
    pub intent: Option<String>,
    /// Signed statements, base64 DER.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(default))]
    pub statements: Vec<String>,
    /// WebAuthn assertions, base64 DER.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(default))]
    pub assertions: Vec<String>,
    /// ID tokens, compact JWS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(default))]
    pub id_tokens: Vec<String>,
    /// SubjectPublicKeyInfos that are revealed, base64 DER.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(default))]
    pub public_keys: Vec<String>,
    /// Addresses of channels, sealed for the authority, base64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(default))]
    pub addresses: Vec<String>,
}
