//! The token of the issuing authority that signs switches: closed, until operators open it. While it
//! is closed all else goes on, and its PIN is in nobody's memory.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use pkcs11::{Hsm, HsmError, HsmState, Pin};
use wire::genesis::InstallationKey;

use crate::metrics::Metrics;
use crate::token::Token;

/// How the token is opened: with a PIN that somebody gives, or with the one that is configured.
pub type Opener =
    Arc<dyn Fn(Option<Pin>) -> BoxFuture<'static, Result<Hsm, HsmError>> + Send + Sync>;

/// What an authority is told of the token that signs switches.
#[derive(Clone)]
pub struct SwitchIssuer {
    /// Its section in the configuration.
    pub name: String,
    /// How it is opened.
    pub open: Opener,
    /// Whether a PIN is configured, so that it opens by itself.
    pub by_itself: bool,
    /// For how long its CRLs hold, in seconds: while it is closed nobody makes others.
    pub crl_lifetime: u64,
}

impl fmt::Debug for SwitchIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, by_itself, crl_lifetime, .. } = self;
        f.debug_struct("SwitchIssuer")
            .field("name", name)
            .field("by_itself", by_itself)
            .field("crl_lifetime", crl_lifetime)
            .finish_non_exhaustive()
    }
}

/// Least time between two tries to open it by itself, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

#[derive(Debug, Clone)]
enum State {
    /// Nobody opened it, or somebody closed it.
    Locked { why: Option<String> },
    /// Its own PIN was tried, and it is not there yet.
    Opening { error: Option<HsmError> },
    /// It signs, as far as it can.
    Open(Arc<Token>),
}

/// The token.
#[derive(Debug)]
pub(crate) struct SwitchToken {
    /// None: the configuration says nothing of it.
    how: Option<SwitchIssuer>,
    key: InstallationKey,
    metrics: Metrics,
    state: Mutex<(State, SystemTime)>,
    /// Whether something is revoked that its CRLs do not have.
    crls_behind: AtomicBool,
    /// Who opens or closes it.
    turn: tokio::sync::Mutex<()>,
}

impl SwitchToken {
    /// The token that holds this key, closed.
    pub(crate) fn new(how: Option<SwitchIssuer>, key: InstallationKey, metrics: Metrics) -> Self {
        let why = how.is_none().then(|| "the configuration has no section for it".to_owned());
        let state = Mutex::new((State::Locked { why }, SystemTime::now()));
        let (crls_behind, turn) = (AtomicBool::new(false), tokio::sync::Mutex::default());
        Self { how, key, metrics, state, crls_behind, turn }
    }

    fn lock_state(&self) -> MutexGuard<'_, (State, SystemTime)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn become_state(&self, state: State) {
        *self.lock_state() = (state, SystemTime::now());
    }

    /// Its section in the configuration.
    pub(crate) fn name(&self) -> &str {
        self.how.as_ref().map_or("switch_issuer", |how| &how.name)
    }

    /// Whether this is the name of its section.
    pub(crate) fn is_called(&self, name: Option<&str>) -> bool {
        name == Some(self.name())
    }

    /// For how long its CRLs hold, in seconds, where that is told.
    pub(crate) fn crl_lifetime(&self) -> Option<u64> {
        self.how.as_ref().map(|how| how.crl_lifetime)
    }

    /// Whether something is revoked that its CRLs do not have.
    pub(crate) fn note_crls(&self, behind: bool) {
        self.crls_behind.store(behind, Ordering::Relaxed);
    }

    /// What was last noted.
    pub(crate) fn crls_behind(&self) -> bool {
        self.crls_behind.load(Ordering::Relaxed)
    }

    /// Whether operators have to open it before it signs.
    pub(crate) fn is_locked(&self) -> bool {
        matches!(self.lock_state().0, State::Locked { .. })
    }

    /// The token, if it is open.
    pub(crate) fn token(&self) -> Option<Arc<Token>> {
        match &self.lock_state().0 {
            State::Open(token) => Some(Arc::clone(token)),
            State::Locked { .. } | State::Opening { .. } => None,
        }
    }

    /// Its state in a word, since when, and what is to be said of it.
    pub(crate) fn status(&self) -> (&'static str, SystemTime, Option<String>) {
        let (state, since) = self.lock_state().clone();
        let name = self.name();
        match state {
            State::Locked { why } => {
                let unlock = format!("an operator opens it with `avouch unlock {name}`");
                (
                    "locked",
                    since,
                    Some(why.map_or(unlock.clone(), |why| format!("{why}; {unlock}"))),
                )
            }
            State::Opening { error: None } => ("starting", since, None),
            State::Opening { error: Some(error) } => ("recovering", since, Some(error.to_string())),
            State::Open(token) => {
                let status = token.status();
                let since = status.tokens.first().map_or(since, |token| token.since);
                let detail = match &status.state {
                    HsmState::Recovering { error } => Some(error.to_string()),
                    HsmState::PinRefused { error } => Some(format!(
                        "{error}; give the PIN that holds with `avouch unlock {name}`"
                    )),
                    _ => None,
                };
                (crate::server::hsm_word(&status.state), since, detail)
            }
        }
    }

    /// Opens it with a PIN, which is tried once; or, where it is open, tries another PIN.
    ///
    /// # Errors
    /// The token's; it stays as it was.
    pub(crate) async fn unlock(&self, pin: Pin) -> Result<(), HsmError> {
        let _turn = self.turn.lock().await;
        if let Some(token) = self.token() {
            return token.try_pin(None, pin).await;
        }
        let opened = self.open(Some(pin)).await?;
        self.become_state(State::Open(opened));
        tracing::info!(token = self.name(), "opened");
        Ok(())
    }

    /// Closes it: what it has in flight is answered by nobody, and its PIN is forgotten.
    pub(crate) async fn lock(&self) {
        let _turn = self.turn.lock().await;
        let token = self.token();
        self.become_state(State::Locked { why: None });
        if let Some(token) = token {
            token.shut_down().await;
            tracing::info!(token = self.name(), "closed");
        }
    }

    /// Closes it for good.
    pub(crate) async fn shut_down(&self) {
        if self.token().is_some() {
            self.lock().await;
        }
    }

    /// Opens it with its own PIN, where one is configured; a token that is not there is waited for,
    /// and a refused PIN is not tried again. Says whether it came to be open.
    pub(crate) async fn open_by_itself(&self) -> bool {
        if !self.how.as_ref().is_some_and(|how| how.by_itself) {
            return false;
        }
        self.become_state(State::Opening { error: None });
        let mut pause = RETRY.0;
        loop {
            {
                let _turn = self.turn.lock().await;
                if !matches!(self.lock_state().0, State::Opening { .. }) {
                    // Somebody else opened or closed it.
                    return self.token().is_some();
                }
                match self.open(None).await {
                    Ok(opened) => {
                        self.become_state(State::Open(opened));
                        return true;
                    }
                    Err(error) if error.is_transient() => {
                        tracing::warn!(token = self.name(), %error, "not open yet");
                        self.lock_state().0 = State::Opening { error: Some(error) };
                    }
                    Err(error) => {
                        tracing::error!(token = self.name(), %error, "stays closed");
                        self.become_state(State::Locked { why: Some(error.to_string()) });
                        return false;
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY.1);
        }
    }

    /// The token, with the key that the genesis event names.
    async fn open(&self, pin: Option<Pin>) -> Result<Arc<Token>, HsmError> {
        let how = self.how.as_ref().ok_or_else(|| HsmError::Config {
            detail: "the configuration has no section for the issuing authority for switches"
                .to_owned(),
        })?;
        let hsm = (how.open)(pin).await?;
        let (id, spki) = (self.key.id.as_bytes(), self.key.spki.as_bytes());
        match hsm.prove(id, spki).await {
            Ok(_) => Ok(Arc::new(Token::new(hsm, self.metrics.clone()))),
            Err(error) => {
                hsm.shut_down().await;
                Err(error)
            }
        }
    }
}
