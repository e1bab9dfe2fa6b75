//! What a session thread does, whatever holds the keys.

use super::queue::{Op, Work};
use crate::HsmError;
use crate::key::{Attestation, KeyInfo, KeySpec, TokenInfo};
use crate::proto::Answer;

/// Why a request was not carried out.
pub(super) enum Fault {
    /// An answer for the caller; this session goes on.
    Answer(HsmError),
    /// The token or the login is gone; this process is of no more use.
    Lost { reason: String },
}

impl From<HsmError> for Fault {
    fn from(error: HsmError) -> Self {
        Fault::Answer(error)
    }
}

/// An opened holder of keys.
pub(super) struct Holding {
    pub(super) token: TokenInfo,
    pub(super) signers: Vec<Box<dyn Signer>>,
    /// Keeps up what no signer does.
    pub(super) keep_alive: Box<dyn FnMut() -> Result<(), Fault> + Send>,
    /// Called after all signers are gone.
    pub(super) finish: Box<dyn FnOnce()>,
}

/// One session: owned by its thread.
pub(super) trait Signer: Send {
    /// Signs `tbs` with the key's own algorithm.
    fn sign(&mut self, id: &[u8], tbs: &[u8]) -> Result<Vec<u8>, Fault>;
    fn find(&mut self, id: &[u8]) -> Result<Option<KeyInfo>, Fault>;
    fn keys(&mut self) -> Result<Vec<KeyInfo>, Fault>;
    /// What may attest the keys.
    fn attestations(&mut self) -> Result<Vec<Attestation>, Fault>;
    fn generate(&mut self, spec: &KeySpec) -> Result<KeyInfo, Fault>;
    /// Removes a key whose label begins with [`crate::TRIAL_LABEL`], and no other.
    fn forget(&mut self, id: &[u8]) -> Result<(), Fault>;
    /// Uses the session, so that the token does not take it for idle, and sees whether it is as it
    /// was.
    fn keep_alive(&mut self) -> Result<(), Fault>;
}

impl dyn Signer {
    pub(super) fn carry_out(&mut self, work: &Work) -> Result<Answer, Fault> {
        match &work.op {
            Op::Sign { id, tbs } => self.sign(id, tbs).map(Answer::Signature),
            Op::Find { id } => self.find(id).map(|key| Answer::Key(key.map(Box::new))),
            Op::Keys => self.keys().map(Answer::Keys),
            Op::Attestations => self.attestations().map(Answer::Attestations),
            Op::Forget { id } => self.forget(id).map(|()| Answer::Key(None)),
            Op::Generate(spec) => self.generate(spec).map(|key| Answer::Key(Some(Box::new(key)))),
        }
    }
}

/// The answer about a key that is not ours to remove.
pub(super) fn not_a_trial_key(label: &str) -> Fault {
    let detail = format!("the key «{label}» was not made to try the token; it is not removed");
    Fault::Answer(HsmError::Config { detail })
}
