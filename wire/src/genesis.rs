//! The genesis event's body: what an installation starts with, known to clients by its hash.

use der::Sequence;
use der::asn1::OctetString;

use crate::codec::{encoded, numbered};
use crate::rules::Rules;
use crate::{Hash32, Realm};

/// Somebody with a key: an officer, an enrolment agent.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Keyholder {
    /// Name, for people; unique in its list.
    pub name: String,
    /// SubjectPublicKeyInfo, DER.
    pub spki: OctetString,
    /// What the key may do, by the list it stands in (an agent's scope); empty: everything.
    pub scope: Vec<String>,
}

/// An OpenID Connect provider and the keys it signs with.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Provider {
    /// The `iss` value.
    pub issuer: String,
    /// The `aud` value.
    pub audience: String,
    /// Its key set (RFC 7517) as fetched, byte for byte.
    pub jwks: OctetString,
}

numbered! {
    /// What a co-signer checks before it signs a checkpoint.
    CosignerKind {
        /// That the log only grows.
        Witness = 1, "witness";
        /// That every event is lawful.
        Auditor = 2, "auditor";
    }
}

/// A co-signer of checkpoints.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Cosigner {
    /// What it checks.
    pub kind: CosignerKind,
    /// Its verifier key (C2SP signed-note `vkey`).
    pub vkey: String,
}

impl Cosigner {
    /// Type and public key within the verifier key: what is behind the second plus sign. None where
    /// it is not of that form. Whoever has the same under another name is the same.
    #[must_use]
    pub fn key(&self) -> Option<Vec<u8>> {
        let key = self.vkey.splitn(3, '+').nth(2)?;
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, key).ok()
    }
}

/// Whether each of these has a verifier key, and no two the same.
#[must_use]
pub fn are_distinct(cosigners: &[Cosigner]) -> bool {
    let mut seen = std::collections::BTreeSet::new();
    cosigners.iter().all(|cosigner| cosigner.key().is_some_and(|key| seen.insert(key)))
}

/// Where a key is held, as read from the token when the key was made. Whether that makes it
/// HSM-held is decided from these values by one rule (`policy`).
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Protection {
    /// Whether a PKCS#11 token holds it; false: a key file.
    pub on_token: bool,
    /// CKA_LOCAL: generated on the token.
    pub local: bool,
    /// CKA_SENSITIVE and CKA_ALWAYS_SENSITIVE.
    pub always_sensitive: bool,
    /// CKA_NEVER_EXTRACTABLE, and CKA_EXTRACTABLE false.
    pub never_extractable: bool,
    /// CKA_MODIFIABLE.
    pub modifiable: bool,
    /// CK_TOKEN_INFO manufacturer, model and serial number, trimmed.
    pub manufacturer: String,
    /// CK_TOKEN_INFO model.
    pub model: String,
    /// CK_TOKEN_INFO serialNumber.
    pub token_serial: String,
    /// Whether it is one of the known software tokens (SoftHSM, Kryoptic, NSS).
    pub software_token: bool,
}

numbered! {
    /// What a key of the installation signs.
    KeyPurpose {
        /// The root certificate authority.
        Root = 1, "root";
        /// The issuing certificate authority.
        Issuing = 2, "issuing";
        /// Checkpoints of the log.
        Log = 3, "log";
        /// The second issuing certificate authority, which signs what a completed switch calls for
        /// and nothing else.
        SwitchIssuing = 4, "switch-issuing";
    }
}

/// A key of the installation.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct InstallationKey {
    /// What it signs.
    pub purpose: KeyPurpose,
    /// CKA_ID on the token, or the key file's id.
    pub id: OctetString,
    /// SubjectPublicKeyInfo, DER.
    pub spki: OctetString,
    /// Its certificate, DER; empty for a log key.
    pub certificate: OctetString,
    /// Where it is held.
    pub protection: Protection,
}

/// Body of leaf 0.
#[derive(Debug, Clone, PartialEq, Eq, Sequence)]
pub struct Genesis {
    /// Format version, 1.
    pub version: u8,
    /// The installation's name in `avouch://realm/uid`.
    pub realm: Realm,
    /// Where CRLs and issuing certificates are served, without a trailing slash. It stands in every
    /// certificate, so it is fixed here.
    pub base_url: String,
    /// First 16 bits of every serial number, 0x0100 to 0x7FFF.
    pub log_number: u16,
    /// 32 random bytes: two installations never share a genesis hash.
    pub nonce: OctetString,
    /// Origin line of the log's checkpoints (C2SP tlog-checkpoint).
    pub origin: String,
    /// Commitment to the secret that blinds ids ([`crate::leaf::blinding_commitment`]).
    pub blinding: Hash32,
    /// The first policy.
    pub rules: Rules,
    /// The officers.
    pub roster: Vec<Keyholder>,
    /// The enrolment agents.
    pub agents: Vec<Keyholder>,
    /// The identity providers.
    pub providers: Vec<Provider>,
    /// The co-signers.
    pub cosigners: Vec<Cosigner>,
    /// Root, issuing and log keys with their attributes.
    pub keys: Vec<InstallationKey>,
    /// The log before this one, by SHA-256 of its last checkpoint's text, without signatures.
    #[asn1(context_specific = "0", optional = "true", tag_mode = "EXPLICIT")]
    pub previous_log: Option<Hash32>,
    /// The organisation's escrow certificate, DER.
    #[asn1(context_specific = "1", optional = "true", tag_mode = "EXPLICIT")]
    pub escrow: Option<OctetString>,
}
encoded!(
    Genesis,
    "genesis body",
    limit = 1 << 20,
    check = |genesis| {
        let nonce = genesis.nonce.as_bytes().len();
        if nonce != 32 {
            return Err(("nonce", format!("has {nonce} bytes, not 32")));
        }
        if !crate::SerialNumber::LOG_NUMBERS.contains(&genesis.log_number) {
            return Err((
                "logNumber",
                format!("{:#06x} is outside 0x0100 to 0x7fff", genesis.log_number),
            ));
        }
        if genesis.rules.version() != Rules::VERSION {
            let reason =
                format!("have version {}, not {}", genesis.rules.version(), Rules::VERSION);
            return Err(("rules", reason));
        }
        genesis.rules.within_bounds()
    }
);
