//! The authority's handle on the HSM.

mod jobs;
mod link;
mod shared;
mod spawn;
mod supervisor;

pub(crate) use spawn::one_shot;

use crate::config::{Pin, TokenConfig, WorkerCommand};
use crate::error::HsmError;
use crate::key::{Algorithm, KeyInfo, KeySpec, TokenInfo};
use crate::proto::{Answer, MAX_FRAME};
use jobs::Op;
use shared::Shared;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_util::sync::DropGuard;

/// A token, or a folder of key files, behind supervised worker processes.
///
/// Cheap to clone. When the last clone is dropped the workers end; [`Hsm::shut_down`] waits for
/// that.
#[derive(Clone)]
pub struct Hsm {
    shared: Arc<Shared>,
    _stop: Arc<DropGuard>,
}

/// What the HSM layer, or one of its workers, is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HsmState {
    /// Loading the module, logging in, challenging the keys.
    Starting,
    /// Taking requests.
    Ready,
    /// Lost, and being brought back without anybody's help.
    Recovering {
        /// What happened.
        error: HsmError,
    },
    /// The PIN was refused; waits for [`Hsm::set_pin`].
    PinRefused {
        /// What the token said.
        error: HsmError,
    },
    /// Shut down.
    Stopped,
}

/// One worker process.
#[derive(Clone, Debug)]
pub struct WorkerStatus {
    /// What it is doing.
    pub state: HsmState,
    /// Since when.
    pub since: SystemTime,
    /// Its process, while there is one.
    pub pid: Option<u32>,
    /// How many processes have been started in its place so far.
    pub started: u64,
}

/// State of the HSM layer.
#[derive(Clone, Debug)]
pub struct HsmStatus {
    /// Ready as soon as one worker is.
    pub state: HsmState,
    /// The token as last seen.
    pub token: Option<TokenInfo>,
    /// Each worker.
    pub workers: Vec<WorkerStatus>,
    /// Requests waiting for a worker.
    pub waiting: usize,
    /// Requests that workers have and have not answered.
    pub in_flight: usize,
}

impl Hsm {
    /// Starts the workers and waits for the first to be ready.
    ///
    /// # Errors
    /// Why the first attempt failed; nothing is left running then. A refused PIN was tried once.
    pub async fn start(
        command: WorkerCommand,
        config: TokenConfig,
        pin: Pin,
    ) -> Result<Hsm, HsmError> {
        let hsm = Self::start_in_background(command, config, pin)?;
        hsm.first_outcome().await?;
        Ok(hsm)
    }

    /// Starts the workers and returns at once. A token that is not there yet is waited for;
    /// meanwhile everything answers [`HsmError::Unavailable`].
    ///
    /// # Errors
    /// [`HsmError::Config`] only.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn start_in_background(
        command: WorkerCommand,
        config: TokenConfig,
        pin: Pin,
    ) -> Result<Hsm, HsmError> {
        config.check()?;
        let shared = Arc::new(Shared::new(command, config, pin));
        for slot in 0..shared.config.workers {
            shared.tasks.spawn(supervisor::run(Arc::clone(&shared), slot));
        }
        shared.tasks.close();
        let stop = Arc::new(shared.stop.clone().drop_guard());
        Ok(Hsm { shared, _stop: stop })
    }

    /// Generates a key on the token with the attributes that DESIGN §10 asks for.
    ///
    /// Not repeated when a worker is lost meanwhile: look with [`Hsm::find`] whether the key came
    /// to be, then generate again under a new identifier.
    ///
    /// # Errors
    /// [`HsmError::KeyExists`], [`HsmError::NoMechanism`], [`HsmError::Refused`],
    /// [`HsmError::Unavailable`].
    pub async fn generate(&self, spec: KeySpec) -> Result<KeyInfo, HsmError> {
        if spec.algorithm == Algorithm::Rsa2048 {
            let detail = "RSA-2048 keys are used, but no longer generated".to_owned();
            return Err(HsmError::Config { detail });
        }
        let limit = self.shared.config.generate_deadline;
        match self.shared.submit(Op::Generate(spec), limit).await? {
            Answer::Key(Some(key)) => {
                self.shared.pin_key(&key)?;
                Ok(*key)
            }
            _ => Err(odd_answer()),
        }
    }

    /// The key with this CKA_ID, if the token has it.
    ///
    /// The public key is remembered: from now on every replacement of a worker proves by a
    /// challenge that it still holds this very key before it is used. A key seen before that is
    /// gone is not `None` but [`HsmError::Unavailable`]: the token was exchanged.
    ///
    /// # Errors
    /// [`HsmError::KeyChanged`] when another key answers to an identifier seen before,
    /// [`HsmError::KeyAmbiguous`], [`HsmError::NoPublicKey`], [`HsmError::Unavailable`].
    pub async fn find(&self, id: &[u8]) -> Result<Option<KeyInfo>, HsmError> {
        let limit = self.shared.config.deadline;
        match self.shared.submit(Op::Find { id: id.to_vec() }, limit).await? {
            Answer::Key(found) => {
                found.iter().try_for_each(|key| self.shared.pin_key(key))?;
                Ok(found.map(|key| *key))
            }
            _ => Err(odd_answer()),
        }
    }

    /// Finds the key and proves by a challenge that it is the one with this public key.
    ///
    /// # Errors
    /// [`HsmError::KeyNotFound`], [`HsmError::KeyChanged`], [`HsmError::ChallengeFailed`], and
    /// those of [`Hsm::find`].
    pub async fn prove(&self, id: &[u8], spki_der: &[u8]) -> Result<KeyInfo, HsmError> {
        self.shared.expect_key(id, spki_der)?;
        let key = self.find(id).await?.ok_or_else(|| HsmError::KeyNotFound { id: id.to_vec() })?;
        let challenge = link::challenge()?;
        let signature = self.sign(id, challenge.clone()).await?;
        key.verify(&challenge, &signature)?;
        Ok(key)
    }

    /// All private keys on the token of a kind that we use.
    ///
    /// # Errors
    /// [`HsmError::Unavailable`] and what the token refuses.
    pub async fn keys(&self) -> Result<Vec<KeyInfo>, HsmError> {
        match self.shared.submit(Op::Keys, self.shared.config.deadline).await? {
            Answer::Keys(keys) => Ok(keys),
            _ => Err(odd_answer()),
        }
    }

    /// Signs `tbs` with the algorithm that belongs to the key; forms and lengths are
    /// [`Algorithm`]'s.
    ///
    /// The signature is as the token gave it. Verify it before it leaves the process: tokens do
    /// err, and the one who has the public key parsed checks cheapest.
    ///
    /// # Errors
    /// [`HsmError::KeyNotFound`], [`HsmError::Refused`], [`HsmError::TooLarge`] and
    /// [`HsmError::Unavailable`], after which signing the same again is harmless.
    pub async fn sign(&self, id: &[u8], tbs: impl Into<Vec<u8>>) -> Result<Vec<u8>, HsmError> {
        let tbs = tbs.into();
        let limit = MAX_FRAME - 1024;
        if tbs.len() > limit {
            return Err(HsmError::TooLarge { len: tbs.len(), limit });
        }
        let op = Op::Sign { id: id.to_vec(), tbs };
        match self.shared.submit(op, self.shared.config.deadline).await? {
            Answer::Signature(signature) => Ok(signature),
            _ => Err(odd_answer()),
        }
    }

    /// Gives another PIN: after a refused one, or to have the next login use it after it was
    /// changed on the token. Running workers stay logged in.
    pub fn set_pin(&self, pin: Pin) {
        self.shared.set_pin(pin);
    }

    /// What the workers are doing.
    pub fn status(&self) -> HsmStatus {
        self.shared.status()
    }

    /// Whether a worker takes requests now.
    pub fn is_ready(&self) -> bool {
        self.shared.is_ready()
    }

    /// Returns when a worker takes requests, or at once when the PIN is refused.
    ///
    /// # Errors
    /// The PIN errors and [`HsmError::ShutDown`].
    pub async fn wait_ready(&self) -> Result<(), HsmError> {
        let mut changes = self.shared.changes();
        loop {
            match self.status().state {
                HsmState::Ready => return Ok(()),
                HsmState::PinRefused { error } => return Err(error),
                HsmState::Stopped => return Err(HsmError::ShutDown),
                HsmState::Starting | HsmState::Recovering { .. } => (),
            }
            if changes.changed().await.is_err() {
                return Err(HsmError::ShutDown);
            }
        }
    }

    /// Ends the workers and waits for their end. Requests in flight are answered
    /// [`HsmError::ShutDown`].
    pub async fn shut_down(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.wait().await;
        self.shared.drain(&HsmError::ShutDown);
    }

    async fn first_outcome(&self) -> Result<(), HsmError> {
        let mut changes = self.shared.changes();
        loop {
            match self.status().state {
                HsmState::Ready => return Ok(()),
                HsmState::Recovering { error } | HsmState::PinRefused { error } => {
                    self.shut_down().await;
                    return Err(error);
                }
                HsmState::Stopped => return Err(HsmError::ShutDown),
                HsmState::Starting => (),
            }
            if changes.changed().await.is_err() {
                return Err(HsmError::ShutDown);
            }
        }
    }
}

impl std::fmt::Debug for Hsm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hsm").field("status", &self.status()).finish_non_exhaustive()
    }
}

fn odd_answer() -> HsmError {
    HsmError::Unavailable {
        retry_after: Duration::from_secs(1),
        reason: "the worker answered something else".to_owned(),
    }
}
