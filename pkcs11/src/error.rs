//! What the HSM layer answers when it cannot do what was asked.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// Why an operation on the HSM, or starting it, did not succeed.
///
/// [`HsmError::Unavailable`] is the only one that waiting cures; everything else needs another
/// request, another configuration or an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum HsmError {
    /// The configured module is not there.
    #[error("PKCS#11 module {} does not exist; check the path in [hsm] module", path.display())]
    ModuleMissing {
        /// Path as configured.
        path: PathBuf,
    },
    /// The file is there but cannot be loaded as a PKCS#11 module.
    #[error("{} is not a usable PKCS#11 module: {detail}", path.display())]
    NotAModule {
        /// Path as configured.
        path: PathBuf,
        /// What the loader said.
        detail: String,
    },
    /// `C_Initialize` failed.
    #[error(
        "PKCS#11 module {} loads but does not initialise ({code}); its own configuration may be \
         missing (SoftHSM: SOFTHSM2_CONF must name a file whose token folder exists)",
        path.display()
    )]
    ModuleInit {
        /// Path as configured.
        path: PathBuf,
        /// The CKR code's name.
        code: String,
    },
    /// No token answers to the selector.
    #[error("no token {wanted}; the module shows {}", list(seen))]
    NoSuchToken {
        /// The selector, as text.
        wanted: String,
        /// Labels and serial numbers that the module shows.
        seen: Vec<String>,
    },
    /// Several tokens answer to the selector.
    #[error("{count} tokens match {wanted}; select by serial number: {}", list(seen))]
    AmbiguousToken {
        /// The selector, as text.
        wanted: String,
        /// How many match.
        count: usize,
        /// The tokens that match.
        seen: Vec<String>,
    },
    /// The slot's token has never been initialised.
    #[error("the token in {wanted} is not initialised")]
    TokenNotInitialised {
        /// The selector, as text.
        wanted: String,
    },
    /// The token has no user PIN yet.
    #[error("the token's user PIN has never been set")]
    PinNotSet,
    /// The token refused the PIN. It is not tried again until another is given.
    #[error(
        "the token refused the PIN ({code}); it was tried once and will not be tried again until \
         another PIN is given{}",
        if *final_try { "; one more wrong PIN locks the token" } else { "" }
    )]
    PinWrong {
        /// The CKR code's name.
        code: String,
        /// The token says that the next wrong PIN locks it.
        final_try: bool,
    },
    /// The next wrong PIN would lock the token, so we do not try ours.
    #[error(
        "one more wrong PIN locks the token, so it was not tried; log in once by hand (for \
         example with pkcs11-tool --login --test) to clear the count"
    )]
    PinFinalTry,
    /// The token locked its user PIN.
    #[error("the token's user PIN is locked; its security officer must reset it")]
    PinLocked,
    /// The PIN must be changed before the token can be used.
    #[error("the token's user PIN has expired or must be changed before first use")]
    PinExpired,
    /// A token of this label exists already (provisioning).
    #[error("a token with label «{label}» exists already (serial {serial})")]
    TokenExists {
        /// The label.
        label: String,
        /// The serial number of the one that exists.
        serial: String,
    },
    /// The module shows no slot whose token can be initialised (provisioning).
    #[error("the module shows no slot with an uninitialised token; it shows {}", list(seen))]
    NoFreeSlot {
        /// The tokens that the module shows.
        seen: Vec<String>,
    },
    /// The token cannot do this.
    #[error("the token has no mechanism {mechanism}, needed for {algorithm}")]
    NoMechanism {
        /// PKCS#11 name, such as `CKM_ECDSA`.
        mechanism: String,
        /// The key algorithm it was wanted for.
        algorithm: String,
    },
    /// No key with this CKA_ID.
    #[error("no private key with CKA_ID {} on the token", hex::encode(id))]
    KeyNotFound {
        /// The CKA_ID.
        id: Vec<u8>,
    },
    /// The private key is there, but its public half is not.
    #[error(
        "the public key for CKA_ID {} cannot be read from the token: {detail}",
        hex::encode(id)
    )]
    NoPublicKey {
        /// The CKA_ID.
        id: Vec<u8>,
        /// What is missing.
        detail: String,
    },
    /// A key with this CKA_ID exists already.
    #[error("a key with CKA_ID {} exists already", hex::encode(id))]
    KeyExists {
        /// The CKA_ID.
        id: Vec<u8>,
    },
    /// More than one private key carries this CKA_ID.
    #[error("{count} private keys carry CKA_ID {}; identifiers must be unique", hex::encode(id))]
    KeyAmbiguous {
        /// The CKA_ID.
        id: Vec<u8>,
        /// How many.
        count: usize,
    },
    /// The key under this CKA_ID is not the one we know.
    #[error(
        "the key with CKA_ID {} is not the key it was (public key SHA-256 expected {}, found {})",
        hex::encode(id),
        hex::encode(expected),
        hex::encode(found)
    )]
    KeyChanged {
        /// The CKA_ID.
        id: Vec<u8>,
        /// SHA-256 of the SubjectPublicKeyInfo we know.
        expected: Vec<u8>,
        /// SHA-256 of the SubjectPublicKeyInfo that is there.
        found: Vec<u8>,
    },
    /// The key did not answer the challenge: what it signed does not verify under its public key.
    #[error("the key with CKA_ID {} failed its challenge", hex::encode(id))]
    ChallengeFailed {
        /// The CKA_ID.
        id: Vec<u8>,
    },
    /// The token refused this request, and would refuse it again.
    #[error("the token refused: {function} returned {code}")]
    Refused {
        /// PKCS#11 function.
        function: String,
        /// The CKR code's name.
        code: String,
    },
    /// A key file or its folder could not be used (software signer).
    #[error("key file {}: {detail}", path.display())]
    KeyFile {
        /// The path.
        path: PathBuf,
        /// What went wrong.
        detail: String,
    },
    /// The request is larger than the protocol carries.
    #[error("request of {len} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// Bytes asked for.
        len: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The configuration makes no sense.
    #[error("HSM configuration: {detail}")]
    Config {
        /// What is wrong with it.
        detail: String,
    },
    /// The worker program cannot be started, or is not a worker.
    #[error("HSM worker {}: {detail}", program.display())]
    Worker {
        /// The program.
        program: PathBuf,
        /// What went wrong.
        detail: String,
    },
    /// The HSM cannot be used right now; it is being brought back.
    #[error("HSM unavailable ({reason}); try again in {:.1} s", retry_after.as_secs_f32())]
    Unavailable {
        /// When to ask again.
        retry_after: Duration,
        /// What happened.
        reason: String,
    },
    /// The handle was shut down.
    #[error("the HSM layer is shut down")]
    ShutDown,
    /// Nobody has given a PIN yet.
    #[error("the token waits for its PIN")]
    PinAwaited,
}

impl HsmError {
    /// Whether the same request may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        matches!(self, HsmError::Unavailable { .. })
    }

    /// For [`HsmError::Unavailable`], when to ask again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            HsmError::Unavailable { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }

    /// A PIN that was refused or cannot be used: nothing may try again until an operator acts.
    pub fn is_pin(&self) -> bool {
        matches!(
            self,
            HsmError::PinWrong { .. }
                | HsmError::PinFinalTry
                | HsmError::PinLocked
                | HsmError::PinExpired
                | HsmError::PinNotSet
                | HsmError::PinAwaited
        )
    }

    /// Stable kebab-case code for logs, problems and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            HsmError::ModuleMissing { .. } => "hsm-module-missing",
            HsmError::NotAModule { .. } => "hsm-not-a-module",
            HsmError::ModuleInit { .. } => "hsm-module-init",
            HsmError::NoSuchToken { .. } => "hsm-no-such-token",
            HsmError::AmbiguousToken { .. } => "hsm-ambiguous-token",
            HsmError::TokenNotInitialised { .. } => "hsm-token-not-initialised",
            HsmError::PinNotSet => "hsm-pin-not-set",
            HsmError::PinWrong { .. } => "hsm-pin-wrong",
            HsmError::PinFinalTry => "hsm-pin-final-try",
            HsmError::PinLocked => "hsm-pin-locked",
            HsmError::PinExpired => "hsm-pin-expired",
            HsmError::TokenExists { .. } => "hsm-token-exists",
            HsmError::NoFreeSlot { .. } => "hsm-no-free-slot",
            HsmError::NoMechanism { .. } => "hsm-no-mechanism",
            HsmError::KeyNotFound { .. } => "hsm-key-not-found",
            HsmError::NoPublicKey { .. } => "hsm-no-public-key",
            HsmError::KeyExists { .. } => "hsm-key-exists",
            HsmError::KeyAmbiguous { .. } => "hsm-key-ambiguous",
            HsmError::KeyChanged { .. } => "hsm-key-changed",
            HsmError::ChallengeFailed { .. } => "hsm-challenge-failed",
            HsmError::Refused { .. } => "hsm-refused",
            HsmError::KeyFile { .. } => "hsm-key-file",
            HsmError::TooLarge { .. } => "hsm-too-large",
            HsmError::Config { .. } => "hsm-config",
            HsmError::Worker { .. } => "hsm-worker",
            HsmError::Unavailable { .. } => "hsm-unavailable",
            HsmError::ShutDown => "hsm-shut-down",
            HsmError::PinAwaited => "hsm-pin-awaited",
        }
    }
}

fn list(seen: &[String]) -> String {
    if seen.is_empty() { "none".to_owned() } else { seen.join(", ") }
}
