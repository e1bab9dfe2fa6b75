//! Keys as the authority sees them: algorithm, public half, and how well the private half is held.

use crate::HsmError;
use crate::spki;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Key algorithms, each with the one signature algorithm used with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256; signatures are r‖s, 64 bytes.
    P256,
    /// ECDSA on P-384 with SHA-384; signatures are r‖s, 96 bytes.
    P384,
    /// RSA 2048, PKCS#1 v1.5 with SHA-256. Found on old tokens; never generated.
    Rsa2048,
    /// RSA 3072, PKCS#1 v1.5 with SHA-256; signatures are 384 bytes.
    Rsa3072,
    /// RSA 4096, PKCS#1 v1.5 with SHA-256; signatures are 512 bytes.
    Rsa4096,
    /// Ed25519 (RFC 8032); signatures are 64 bytes. For logs, not for certificates.
    Ed25519,
}

impl Algorithm {
    /// Length of a signature in bytes.
    pub fn signature_len(self) -> usize {
        match self {
            Algorithm::P256 | Algorithm::Ed25519 => 64,
            Algorithm::P384 => 96,
            Algorithm::Rsa2048 => 256,
            Algorithm::Rsa3072 => 384,
            Algorithm::Rsa4096 => 512,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Algorithm::P256 => "P-256",
            Algorithm::P384 => "P-384",
            Algorithm::Rsa2048 => "RSA-2048",
            Algorithm::Rsa3072 => "RSA-3072",
            Algorithm::Rsa4096 => "RSA-4096",
            Algorithm::Ed25519 => "Ed25519",
        })
    }
}

/// A key to be generated on the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySpec {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// CKA_ID: random, chosen and recorded by the caller before generation, so that a key whose
    /// generation was interrupted can be found again.
    pub id: [u8; 16],
    /// CKA_LABEL, for people. An unmodifiable key cannot be relabelled.
    pub label: String,
}

/// How the labels of keys begin that are made to try a token, and may be removed again.
pub const TRIAL_LABEL: &str = "avouch trial ";

/// A key on the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyInfo {
    /// CKA_ID.
    pub id: Vec<u8>,
    /// CKA_LABEL.
    pub label: String,
    /// The algorithm.
    pub algorithm: Algorithm,
    /// DER SubjectPublicKeyInfo.
    #[serde(with = "serde_bytes")]
    pub spki_der: Vec<u8>,
    /// How the private half is held, as the token reports it.
    pub protection: Protection,
}

impl KeyInfo {
    /// Verifies a signature of this key, in the form [`crate::Hsm::sign`] returns it.
    ///
    /// # Errors
    /// [`HsmError::ChallengeFailed`] when it does not verify.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), HsmError> {
        if spki::verify(&self.spki_der, message, signature) {
            Ok(())
        } else {
            Err(HsmError::ChallengeFailed { id: self.id.clone() })
        }
    }
}

/// What a token holds that may attest keys: certificates, and what its maker adds to them.
///
/// Nothing of it is believed here: whether it is an attestation, and whose, is for whoever knows the
/// maker's root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// CKA_ID of the key whose attribute it is; none for a certificate object.
    pub of: Option<Vec<u8>>,
    /// CKA_LABEL of a certificate object.
    pub label: String,
    /// Its content: of a certificate object a DER certificate.
    #[serde(with = "serde_bytes")]
    pub content: Vec<u8>,
}

/// What a token says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenInfo {
    /// Label given at initialisation.
    pub label: String,
    /// Serial number.
    pub serial: String,
    /// Manufacturer.
    pub manufacturer: String,
    /// Model.
    pub model: String,
    /// The module's own manufacturer string (`C_GetInfo`).
    pub library: String,
    /// Slot number at the time of asking.
    pub slot: u64,
    /// Whether the token has been initialised.
    pub initialised: bool,
    /// Whether a user PIN has been set.
    pub user_pin_set: bool,
    /// A wrong PIN was given since the last login.
    pub pin_count_low: bool,
    /// The next wrong PIN locks the token.
    pub pin_final_try: bool,
    /// The user PIN is locked.
    pub pin_locked: bool,
    /// Most sessions at once, if it says so.
    pub max_sessions: Option<u64>,
}

/// What kind of thing holds a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Holder {
    /// A token that we do not know to be software.
    Token,
    /// A token that is a program on this host.
    SoftwareToken {
        /// Its name.
        name: String,
    },
    /// A file.
    KeyFile,
}

/// How a private key is held: facts as read from the token, and our reading of them.
///
/// An attribute that the token does not report is `None` and counts against the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protection {
    /// What holds it.
    pub holder: Holder,
    /// The token, empty for key files.
    pub token: TokenInfo,
    /// CKA_LOCAL: generated on the token.
    pub local: Option<bool>,
    /// CKA_SENSITIVE.
    pub sensitive: Option<bool>,
    /// CKA_ALWAYS_SENSITIVE.
    pub always_sensitive: Option<bool>,
    /// CKA_EXTRACTABLE.
    pub extractable: Option<bool>,
    /// CKA_NEVER_EXTRACTABLE.
    pub never_extractable: Option<bool>,
    /// CKA_MODIFIABLE.
    pub modifiable: Option<bool>,
}

impl Protection {
    /// The protection of a key in a file: none.
    pub(crate) fn key_file() -> Self {
        Protection {
            holder: Holder::KeyFile,
            token: TokenInfo::default(),
            local: None,
            sensitive: None,
            always_sensitive: None,
            extractable: None,
            never_extractable: None,
            modifiable: None,
        }
    }

    /// Whether the holder is a token known to be a program.
    pub fn software_token(&self) -> bool {
        matches!(self.holder, Holder::SoftwareToken { .. })
    }

    /// Whether the key counts as held by an HSM: generated on the token, sensitive, never
    /// extractable, not modifiable. A known software token counts only where the operator allows
    /// it; a key file never does.
    pub fn hsm_held(&self, allow_software_token: bool) -> bool {
        self.assess(allow_software_token).is_ok()
    }

    /// The reason for [`Protection::hsm_held`]'s answer, one sentence.
    pub fn why(&self, allow_software_token: bool) -> String {
        match self.assess(allow_software_token) {
            Ok(why) | Err(why) => why,
        }
    }

    fn assess(&self, allow_software_token: bool) -> Result<String, String> {
        if self.holder == Holder::KeyFile {
            return Err("the key is a file; no identity may move while it issues".to_owned());
        }
        let wanted = [
            (self.local, true, "CKA_LOCAL"),
            (self.sensitive, true, "CKA_SENSITIVE"),
            (self.always_sensitive, true, "CKA_ALWAYS_SENSITIVE"),
            (self.extractable, false, "CKA_EXTRACTABLE"),
            (self.never_extractable, true, "CKA_NEVER_EXTRACTABLE"),
            (self.modifiable, false, "CKA_MODIFIABLE"),
        ];
        let wrong: Vec<String> = wanted
            .iter()
            .filter(|(found, want, _)| *found != Some(*want))
            .map(|(found, want, name)| match found {
                Some(found) => format!("{name} is {found}, must be {want}"),
                None => format!("{name} is not reported, must be {want}"),
            })
            .collect();
        if !wrong.is_empty() {
            return Err(wrong.join("; "));
        }
        let held = "generated on the token, sensitive, never extractable, not modifiable";
        match &self.holder {
            Holder::SoftwareToken { name } if allow_software_token => {
                Ok(format!("{held}; {name} is a software token, allowed by configuration"))
            }
            Holder::SoftwareToken { name } => {
                Err(format!("{name} is a software token and allow_software_token is off"))
            }
            _ => Ok(held.to_owned()),
        }
    }
}

/// Names the software token that these strings give away, if it is one we know.
pub(crate) fn known_software_token(token: &TokenInfo) -> Option<&'static str> {
    let text = format!("{} {} {}", token.manufacturer, token.model, token.library);
    // tpm2-pkcs11 pads the simulator's vendor string with several spaces.
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    const KNOWN: [(&str, &str); 6] = [
        ("softhsm", "SoftHSM"),
        ("kryoptic", "Kryoptic"),
        ("mozilla foundation", "NSS softoken"),
        ("nss 3", "NSS softoken"),
        ("sw tpm", "a simulated TPM"),
        ("ibm soft", "openCryptoki's software token"),
    ];
    KNOWN.iter().find(|(needle, _)| text.contains(needle)).map(|(_, name)| *name)
}
