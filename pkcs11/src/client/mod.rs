//! The authority's handle on the HSM.

mod jobs;
mod link;
mod logins;
mod shared;
mod spawn;
mod state;
mod supervisor;

pub(crate) use spawn::one_shot;

use crate::config::{Pin, TokenConfig, WorkerCommand};
use crate::error::HsmError;
use crate::key::{Algorithm, Attestation, KeyInfo, KeySpec, TokenInfo};
use crate::proto::{Answer, MAX_FRAME};
use jobs::{Given, Op};
use link::Who;
use shared::Shared;
use std::collections::BTreeSet;
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
    /// Taken out of use by an operator ([`Hsm::drain`]).
    Drained,
    /// The PIN was refused, or nobody has given one yet; waits for [`Hsm::set_pin`].
    PinRefused {
        /// What the token said, or [`HsmError::PinAwaited`].
        error: HsmError,
    },
    /// Shut down.
    Stopped,
}

/// One token and how to open it.
#[derive(Clone, Debug)]
pub struct TokenSetup {
    /// What operators call it.
    pub name: String,
    /// How its workers are started.
    pub command: WorkerCommand,
    /// Which token, and how.
    pub config: TokenConfig,
    /// Its PIN; none where somebody gives it later ([`Hsm::try_pin`]).
    pub pin: Option<Pin>,
}

/// One token.
#[derive(Clone, Debug)]
pub struct TokenStatus {
    /// What operators call it.
    pub name: String,
    /// What it is doing: ready as soon as one of its workers is.
    pub state: HsmState,
    /// Since when.
    pub since: SystemTime,
    /// Why no worker can log in any more, though some that did may still serve.
    pub pin_refused: Option<HsmError>,
    /// What it says about itself, as last seen.
    pub token: Option<TokenInfo>,
}

/// One worker process.
#[derive(Clone, Debug)]
pub struct WorkerStatus {
    /// Its token's number in [`HsmStatus::tokens`].
    pub token: usize,
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
    /// The first token that was seen, as last seen.
    pub token: Option<TokenInfo>,
    /// Each token.
    pub tokens: Vec<TokenStatus>,
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
        let (name, pin) = ("token".to_owned(), Some(pin));
        Self::start_all(vec![TokenSetup { name, command, config, pin }]).await
    }

    /// The same for several tokens that hold the same keys: any of them serves, and one may go.
    ///
    /// # Errors
    /// [`HsmError::Config`], and why the last of them failed when all did. A refused PIN was tried
    /// once on each.
    pub async fn start_all(tokens: Vec<TokenSetup>) -> Result<Hsm, HsmError> {
        let hsm = Self::all_in_background(tokens)?;
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
        let (name, pin) = ("token".to_owned(), Some(pin));
        Self::all_in_background(vec![TokenSetup { name, command, config, pin }])
    }

    fn all_in_background(tokens: Vec<TokenSetup>) -> Result<Hsm, HsmError> {
        let mut names = BTreeSet::new();
        for TokenSetup { name, config, .. } in &tokens {
            config.check()?;
            if !names.insert(name.clone()) {
                let detail = format!("two tokens are called {name:?}");
                return Err(HsmError::Config { detail });
            }
        }
        if names.is_empty() {
            return Err(HsmError::Config { detail: "no token is configured".to_owned() });
        }
        let shared = Arc::new(Shared::new(tokens));
        for slot in shared.slots.clone() {
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
        if self.shared.places.len() > 1 {
            let detail = "keys are made on one token alone, and cloned to the others".to_owned();
            return Err(HsmError::Config { detail });
        }
        let limit = self.shared.limit(|config| config.generate_deadline);
        match self.ask(Op::Generate(spec), limit).await? {
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
        match self.ask(Op::Find { id: id.to_vec() }, self.deadline()).await? {
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
        let mut refused = None;
        // A worker that opened its token before we knew of the key was not challenged for it. Of
        // several tokens one may be the wrong one: its workers are replaced, which refuses it.
        for _ in &self.shared.slots {
            match self.proven(id).await {
                Ok(key) => return Ok(key),
                Err((error, Some((slot, number)))) => {
                    self.shared.distrust(slot, number);
                    refused = Some(error);
                }
                Err((error, None)) => return Err(refused.unwrap_or(error)),
            }
        }
        Err(refused.unwrap_or_else(odd_answer))
    }

    /// The key, by one worker or two; of an error that a wrong token is to blame for also whose.
    async fn proven(&self, id: &[u8]) -> Result<KeyInfo, (HsmError, Option<(usize, u64)>)> {
        let ours = |error| (error, None);
        let find = Op::Find { id: id.to_vec() };
        let Given { answer, slot, number } =
            self.shared.submit(find, self.deadline()).await.map_err(ours)?;
        let key = match answer {
            Answer::Key(Some(key)) => *key,
            Answer::Key(None) => return Err(ours(HsmError::KeyNotFound { id: id.to_vec() })),
            _ => return Err(ours(odd_answer())),
        };
        self.shared.pin_key(&key).map_err(|error| (error, Some((slot, number))))?;
        let challenge = link::challenge().map_err(ours)?;
        let (signature, slot, number) =
            self.signature(id, challenge.clone()).await.map_err(ours)?;
        key.verify(&challenge, &signature).map_err(|error| (error, Some((slot, number))))?;
        Ok(key)
    }

    /// All private keys on the token of a kind that we use.
    ///
    /// # Errors
    /// [`HsmError::Unavailable`] and what the token refuses.
    pub async fn keys(&self) -> Result<Vec<KeyInfo>, HsmError> {
        match self.ask(Op::Keys, self.deadline()).await? {
            Answer::Keys(keys) => Ok(keys),
            _ => Err(odd_answer()),
        }
    }

    /// What the token holds that may attest its keys. Nothing of it is believed here.
    ///
    /// # Errors
    /// As [`Hsm::keys`].
    pub async fn attestations(&self) -> Result<Vec<Attestation>, HsmError> {
        match self.ask(Op::Attestations, self.deadline()).await? {
            Answer::Attestations(found) => Ok(found),
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
        Ok(self.signature(id, tbs.into()).await?.0)
    }

    /// Signs, and has the signature checked before anybody sees it. A worker whose signature does
    /// not pass is not used again.
    ///
    /// # Errors
    /// As [`Hsm::sign`]; [`HsmError::Unavailable`] when the signature is wrong.
    pub async fn sign_with<T, E: std::fmt::Display>(
        &self,
        id: &[u8],
        tbs: impl Into<Vec<u8>>,
        check: impl FnOnce(&[u8]) -> Result<T, E>,
    ) -> Result<T, HsmError> {
        let (signature, slot, number) = self.signature(id, tbs.into()).await?;
        check(&signature).map_err(|error| {
            tracing::error!(%error, "the token signed wrongly");
            self.shared.distrust(slot, number);
            shared::unavailable(format!("the token signed wrongly: {error}"))
        })
    }

    async fn signature(&self, id: &[u8], tbs: Vec<u8>) -> Result<(Vec<u8>, usize, u64), HsmError> {
        let limit = MAX_FRAME - 1024;
        if tbs.len() > limit {
            return Err(HsmError::TooLarge { len: tbs.len(), limit });
        }
        let op = Op::Sign { id: id.to_vec(), tbs };
        let Given { answer, slot, number } = self.shared.submit(op, self.deadline()).await?;
        match answer {
            Answer::Signature(signature) => Ok((signature, slot, number)),
            _ => Err(odd_answer()),
        }
    }

    async fn ask(&self, op: Op, limit: Duration) -> Result<Answer, HsmError> {
        Ok(self.shared.submit(op, limit).await?.answer)
    }

    fn deadline(&self) -> Duration {
        self.shared.limit(|config| config.deadline)
    }

    /// Removes a key that was made to try a token, whose label begins with
    /// [`crate::TRIAL_LABEL`]. No other is ever removed.
    ///
    /// # Errors
    /// [`HsmError::Config`] when it is another key, and those of [`Hsm::find`].
    pub async fn forget(&self, id: &[u8]) -> Result<(), HsmError> {
        self.shared.forget_key(id);
        match self.ask(Op::Forget { id: id.to_vec() }, self.deadline()).await? {
            Answer::Key(None) => Ok(()),
            _ => Err(odd_answer()),
        }
    }

    /// Gives another PIN to all tokens: after a refused one, or to have the next login use it after
    /// it was changed on the token. Running workers stay logged in.
    pub fn set_pin(&self, pin: Pin) {
        for place in 0..self.shared.places.len() {
            self.shared.set_pin(place, pin.clone());
        }
    }

    /// Tries another PIN, once, on the token of this name (or the only one), with a worker of its
    /// own. Only a PIN that holds is kept: from then on logins use it. Running workers stay logged
    /// in throughout.
    ///
    /// # Errors
    /// [`HsmError::Config`] when there is no such token, and why the login failed.
    pub async fn try_pin(&self, token: Option<&str>, pin: Pin) -> Result<(), HsmError> {
        let slot = self.slot_of(token)?;
        let _turn = self.shared.place(slot).turn.lock().await;
        let link = link::Link::open(&self.shared, slot, &pin, Who::Operator).await?;
        link.close().await;
        self.shared.set_pin(slot.place, pin);
        Ok(())
    }

    /// Opens the token of this name (or the only one) once more beside the workers that serve: the
    /// module loads, the PIN holds, the keys are there and sign. Serving goes on.
    ///
    /// # Errors
    /// As [`Hsm::try_pin`]. A token whose PIN was refused is not tried.
    pub async fn probe(&self, token: Option<&str>) -> Result<TokenInfo, HsmError> {
        let slot = self.slot_of(token)?;
        let _turn = self.shared.place(slot).turn.lock().await;
        if let Some(refused) = self.shared.pin_refused(slot.place) {
            return Err(refused);
        }
        let (pin, number) = self.shared.pin(slot.place);
        match link::Link::open(&self.shared, slot, &pin, Who::Supervisor).await {
            Ok(link) => {
                let token = link.token.clone();
                link.close().await;
                Ok(token)
            }
            Err(error) => {
                if error.is_pin() {
                    self.shared.refuse_pin(slot.place, number, error.clone());
                }
                Err(error)
            }
        }
    }

    /// Takes a token out of use for maintenance (`drained`), or back into it. What it has in flight
    /// is finished, then its workers end. The last token that is ready is only drained by `force`.
    ///
    /// # Errors
    /// [`HsmError::Config`] when there is no such token, or no other one is ready.
    pub fn drain(&self, token: Option<&str>, drained: bool, force: bool) -> Result<(), HsmError> {
        let place = self.slot_of(token)?.place;
        if !self.shared.set_drained(place, drained, force) {
            let name = &self.shared.places[place].name;
            let detail = format!("no other token than {name:?} is ready; it was not drained");
            return Err(HsmError::Config { detail });
        }
        Ok(())
    }

    /// The first worker of a token.
    fn slot_of(&self, token: Option<&str>) -> Result<shared::Slot, HsmError> {
        let names: Vec<_> = self.shared.places.iter().map(|place| place.name.as_str()).collect();
        let place = match token {
            Some(wanted) => names.iter().position(|name| *name == wanted),
            None => (names.len() == 1).then_some(0),
        };
        let slot = self.shared.slots.iter().find(|slot| Some(slot.place) == place);
        slot.copied().ok_or_else(|| HsmError::Config {
            detail: match token {
                Some(wanted) => format!("no token is called {wanted:?}; there is {names:?}"),
                None => format!("there are several tokens, name one of {names:?}"),
            },
        })
    }

    /// What the workers are doing.
    pub fn status(&self) -> HsmStatus {
        self.shared.status()
    }

    /// How many workers take requests now.
    pub fn ready_workers(&self) -> usize {
        self.shared.ready_workers()
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
                HsmState::Starting | HsmState::Drained | HsmState::Recovering { .. } => (),
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
            let status = self.status();
            match status.state {
                HsmState::Ready => return Ok(()),
                HsmState::Recovering { error } | HsmState::PinRefused { error } => {
                    self.shut_down().await;
                    // A PIN that any of them refused is what counts: whoever starts us again
                    // because of another that is away would have it tried again.
                    let refused = status.tokens.into_iter().find_map(|token| match token.state {
                        HsmState::PinRefused { error: HsmError::PinAwaited } => None,
                        HsmState::PinRefused { error } => Some(error),
                        _ => None,
                    });
                    return Err(refused.unwrap_or(error));
                }
                HsmState::Stopped => return Err(HsmError::ShutDown),
                HsmState::Starting | HsmState::Drained => (),
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
