//! An installation, opened (`authority/open.rs`) and kept running.

mod open;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use evidence::{Era, Timeline};
use pkcs11::{HsmError, HsmState, Pin};
use policy::Installation;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use wire::Hash32;
use wire::genesis::KeyPurpose;
use wire::problem::{Problem, ProblemCode};

use crate::catch_up::CatchUpError;
use crate::certificates::Certificates;
use crate::clock::Clock;
use crate::cosign::{Cosigning, CosigningSettings};
use crate::custody::TokenSettings;
use crate::heads::{Heads, HeadsError};
use crate::metrics::Metrics;
use crate::notices::{NoticeSettings, Notices};
use crate::store::{Store, StoreError};
use crate::switch_token::{SwitchIssuer, SwitchToken};
use crate::token::Token;
use crate::walk::{self, Ask, ChangeAsk, Checkpoints, Log, QueueSender, TreeHead};
use crate::{crl, issue};

pub use open::{Missing, OpenError};

/// How much an authority takes on at once.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests that may wait to be decided; more are answered `overloaded`.
    pub queue: usize,
    /// Requests that are recorded in one transaction.
    pub group: usize,
    /// Groups that may be signed and published at once.
    pub signing_groups: usize,
    /// How long a repeated request waits for the certificate it led to.
    pub answer: Duration,
}

impl Limits {
    /// Groups between record and publication. Those that wait for co-signers keep no signing place
    /// from others; where nobody co-signs, more groups at once would only be smaller ones.
    fn groups_at_once(&self, cosigned: bool) -> usize {
        self.signing_groups.saturating_mul(if cosigned { 2 } else { 1 })
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { queue: 4096, group: 256, signing_groups: 4, answer: Duration::from_secs(10) }
    }
}

/// What an authority is told beside its store and its token.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// How much it takes on at once.
    pub limits: Limits,
    /// Keys that are known to be compromised; none of them is certified.
    pub blocklist: Arc<x509::Blocklist>,
    /// What counts and measures.
    pub metrics: Metrics,
    /// Hash of the genesis event, known from elsewhere than the database.
    pub genesis: Option<Hash32>,
    /// How people are told of what happens to their identity.
    pub notices: NoticeSettings,
    /// How co-signers are asked.
    pub cosigning: CosigningSettings,
    /// Tokens that operators open, and what attests their keys.
    pub tokens: TokenSettings,
    /// The token that signs switches, where the configuration has one.
    pub switch_issuer: Option<SwitchIssuer>,
}

/// Why a running authority stops. Whoever supervises it starts it again; it then goes on from the
/// record.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// The store is not as this authority, its only writer, left it; or cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The map of heads does not follow from the log.
    #[error(transparent)]
    Map(Box<CatchUpError>),
    /// It was asked to stop.
    #[error("stopped")]
    Cancelled,
}

impl From<HeadsError> for Fatal {
    fn from(error: HeadsError) -> Self {
        CatchUpError::Heads(error).into()
    }
}

/// A running installation.
#[derive(Debug)]
pub struct Authority {
    present: RwLock<Present>,
    log: Log,
    cosigning: Cosigning,
    heads: Heads,
    store: Arc<dyn Store>,
    token: Arc<Token>,
    /// Where switches are signed by a key of their own.
    switch_token: Option<SwitchToken>,
    metrics: Metrics,
    clock: Clock,
    limits: Limits,
    queue: QueueSender,
    slots: Arc<Semaphore>,
    /// As many as there are slots.
    groups: usize,
    published: watch::Sender<u64>,
    unfinished: Notify,
    effects: Notify,
    notices: Notices,
    crls: mpsc::Sender<crl::Refresh>,
    revocations: crl::Revocations,
    alarms: std::sync::Mutex<Vec<String>>,
    log_size: AtomicU64,
    tree_head: std::sync::Mutex<TreeHead>,
    checkpoints: Checkpoints,
    tokens: TokenSettings,
    stop: CancellationToken,
    /// Nothing walks any more.
    ended: CancellationToken,
}

/// The installation as it is now, and what follows from it. It changes between two groups only.
#[derive(Debug, Clone)]
struct Present {
    timeline: Arc<Timeline>,
    certificates: Arc<Certificates>,
}

/// The loops behind an [`Authority`].
#[derive(Debug)]
pub struct Running {
    authority: Arc<Authority>,
    tasks: tokio::task::JoinSet<Result<(), Fatal>>,
}

impl Authority {
    fn present(&self) -> Present {
        self.present.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The installation as it is now.
    pub(crate) fn installation(&self) -> Arc<Installation> {
        Arc::clone(self.present().timeline.current().installation())
    }

    /// Installation and certificates of one moment: a request is parsed and weighed under both.
    pub(crate) fn at_once(&self) -> (Arc<Installation>, Arc<Certificates>) {
        let present = self.present();
        (Arc::clone(present.timeline.current().installation()), present.certificates)
    }

    /// The installation through time.
    pub(crate) fn timeline(&self) -> Arc<Timeline> {
        self.present().timeline
    }

    /// What is needed to issue now.
    pub(crate) fn certificates(&self) -> Arc<Certificates> {
        self.present().certificates
    }

    /// The event of this leaf changed the installation.
    pub(crate) fn take_on(&self, leaf_index: u64, era: Era, certificates: Certificates) {
        let mut present = self.present.write().unwrap_or_else(PoisonError::into_inner);
        let mut timeline = Timeline::clone(&present.timeline);
        let installation = Arc::clone(era.installation());
        timeline.changed(leaf_index, era);
        // Whether its co-signers make a quorum was asked before it was recorded.
        if let Err(error) = self.cosigning.under(&installation) {
            tracing::error!(%error, "the co-signers stay as they were until the next start");
        }
        self.heads.hold(self.cosigning.is_on());
        *present = Present { timeline: timeline.into(), certificates: certificates.into() };
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// The co-signers.
    pub(crate) fn cosigning(&self) -> &Cosigning {
        &self.cosigning
    }

    pub(crate) fn heads(&self) -> &Heads {
        &self.heads
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }

    pub(crate) fn shared_store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    pub(crate) fn hsm(&self) -> &Token {
        &self.token
    }

    /// The checkpoints that this authority has signed.
    pub(crate) fn checkpoints(&self) -> &Checkpoints {
        &self.checkpoints
    }

    /// Tokens that operators open, and what attests their keys.
    pub(crate) fn tokens(&self) -> &TokenSettings {
        &self.tokens
    }

    /// The token whose key signs switches, if they have one.
    pub(crate) fn switch_token(&self) -> Option<&SwitchToken> {
        self.switch_token.as_ref()
    }

    /// The token that holds the issuing key with this purpose; none while it is not open.
    pub(crate) fn token_for(&self, purpose: KeyPurpose) -> Option<Arc<Token>> {
        match &self.switch_token {
            Some(own) if purpose == KeyPurpose::SwitchIssuing => own.token(),
            _ => Some(Arc::clone(&self.token)),
        }
    }

    /// Whether operators have to open a token before the key with this purpose signs.
    pub(crate) fn is_locked(&self, purpose: KeyPurpose) -> bool {
        let own = self.switch_token.as_ref().filter(|_| purpose == KeyPurpose::SwitchIssuing);
        own.is_some_and(SwitchToken::is_locked)
    }

    /// Opens the token whose key signs switches, and has done what waits for it.
    ///
    /// # Errors
    /// The token's.
    pub(crate) async fn unlock(
        self: &Arc<Self>,
        token: &SwitchToken,
        pin: Pin,
    ) -> Result<(), HsmError> {
        token.unlock(pin).await?;
        self.opened();
        Ok(())
    }

    /// Has done what waits for the token whose key signs switches.
    pub(crate) fn opened(self: &Arc<Self>) {
        self.finish_later();
        let crls = Arc::clone(self);
        tokio::spawn(async move { crls.refresh_crls().await });
    }

    /// What counts and measures.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Requests that wait to be decided.
    pub(crate) fn queue_length(&self) -> usize {
        self.queue.len()
    }

    /// What people are told.
    pub(crate) fn notices(&self) -> &Notices {
        &self.notices
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn answer_deadline(&self) -> Duration {
        self.limits.answer
    }

    /// Says that a request is on its way to the beginning of its walk.
    pub(crate) fn announce(&self) -> walk::Guest {
        self.queue.announce()
    }

    /// Puts a request at the beginning of its walk.
    pub(crate) fn submit(&self, ask: Ask) -> Result<(), Box<Problem>> {
        self.queue.put(ask).map_err(|walk::Full| {
            let detail = format!("{} requests are waiting already", self.limits.queue);
            Box::new(Problem::new(ProblemCode::Overloaded, detail).retry_after(1))
        })
    }

    /// Puts a change of the installation at the beginning of its walk.
    pub(crate) fn submit_change(&self, ask: ChangeAsk) -> Result<(), Box<Problem>> {
        self.queue.put_change(ask).map_err(|walk::Full| {
            let detail = "other changes of the installation are waiting already";
            Box::new(Problem::new(ProblemCode::Overloaded, detail).retry_after(1))
        })
    }

    /// Something waits now, or does not wait any more.
    pub(crate) fn effects_changed(&self) {
        self.effects.notify_one();
    }

    /// Waits until something waits, or does not any more.
    pub(crate) async fn effects(&self) {
        self.effects.notified().await;
    }

    /// Waits until no group is being signed.
    pub(crate) async fn all_signed(&self) {
        let all = u32::try_from(self.groups).unwrap_or(u32::MAX);
        let _ = self.slots.acquire_many(all).await;
    }

    /// Waits until another group may be signed.
    pub(crate) async fn signing_slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.slots).acquire_owned().await.ok()
    }

    /// Tells those who wait that certificates were stored.
    pub(crate) fn published(&self) {
        self.published.send_modify(|n| *n += 1);
    }

    /// Told whenever certificates were stored.
    pub(crate) fn publications(&self) -> watch::Receiver<u64> {
        self.published.subscribe()
    }

    /// Something is recorded and not signed: it is taken up again.
    pub(crate) fn finish_later(&self) {
        self.unfinished.notify_one();
    }

    /// Has things taken up again when it is dropped, unless it was told that all is well.
    pub(crate) fn finish_unless_told(self: &Arc<Self>) -> FinishLater {
        FinishLater(Some(Arc::clone(self)))
    }

    /// Waits until something is to be taken up again.
    pub(crate) async fn unfinished(&self) {
        self.unfinished.notified().await;
    }

    /// Has CRLs made that cover every revocation so far; waits for it a while.
    pub(crate) async fn refresh_crls(&self) {
        crl::refresh(&self.crls, self.limits.answer).await;
    }

    /// What the log revokes.
    pub(crate) fn revocations(&self) -> &crl::Revocations {
        &self.revocations
    }

    /// Leaves in the log, as last seen.
    pub(crate) fn log_size(&self) -> u64 {
        self.log_size.load(Ordering::Relaxed)
    }

    /// The log has (at least) this many leaves.
    pub(crate) fn note_log_size(&self, size: u64) {
        self.log_size.fetch_max(size, Ordering::Relaxed);
    }

    /// The log as this authority, its only writer, has it; not as the database says it is.
    pub(crate) fn tree_head(&self) -> TreeHead {
        *self.tree_head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The log has grown.
    pub(crate) fn note_tree_head(&self, head: TreeHead) {
        let mut known = self.tree_head.lock().unwrap_or_else(PoisonError::into_inner);
        if head.size() >= known.size() {
            *known = head;
        }
    }

    /// How the token is; in words when it is not ready.
    pub(crate) fn hsm_state(&self) -> Result<(), String> {
        match self.token.status().state {
            HsmState::Ready => Ok(()),
            HsmState::Starting => Err("the token is being opened".to_owned()),
            HsmState::Recovering { error } => Err(format!("the token is being recovered: {error}")),
            HsmState::PinRefused { error } => Err(format!("the PIN was refused: {error}")),
            HsmState::Drained => Err("every token is drained for maintenance".to_owned()),
            HsmState::Stopped => Err("the token is shut down".to_owned()),
        }
    }

    /// Which token is in which state, and since when; `ok` when all of them are ready, and their
    /// PINs hold.
    pub(crate) fn tokens_in_words(&self) -> String {
        let tokens = self.token.status().tokens;
        let well = |token: &pkcs11::TokenStatus| {
            token.state == HsmState::Ready && token.pin_refused.is_none()
        };
        if tokens.iter().all(well) {
            return "ok".to_owned();
        }
        let words = tokens.iter().map(|token| {
            let since = token.since.duration_since(std::time::UNIX_EPOCH);
            let since = since.map_or(0, |since| since.as_secs());
            let since = path::rfc3339(i64::try_from(since).unwrap_or(i64::MAX));
            let word = crate::server::hsm_word(&token.state);
            let refused = match (&token.state, &token.pin_refused) {
                (HsmState::Ready, Some(_)) => ", but its PIN was refused since: `avouch unlock`",
                _ => "",
            };
            format!("{} {word} since {since}{refused}", token.name)
        });
        words.collect::<Vec<_>>().join("; ")
    }

    /// Something that cannot be explained, for operators.
    pub(crate) fn alarm(&self, what: String) {
        tracing::error!(alarm = %what);
        self.metrics.alarm();
        let mut alarms = self.alarms.lock().unwrap_or_else(PoisonError::into_inner);
        if !alarms.contains(&what) && alarms.len() < 100 {
            alarms.push(what);
        }
    }

    /// What could not be explained since the start.
    pub(crate) fn alarms(&self) -> Vec<String> {
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits, unless the authority is to stop.
    pub(crate) async fn pause(&self, delay: Duration) -> Result<(), Fatal> {
        tokio::select! {
            () = tokio::time::sleep(delay) => Ok(()),
            () = self.stop.cancelled() => Err(Fatal::Cancelled),
        }
    }

    /// Delays between tries: 50 ms, doubling up to 5 s, each with up to half again of jitter.
    pub(crate) fn retry_delays(&self) -> impl Iterator<Item = Duration> + use<> {
        (0u32..).map(|n| {
            let base = 50u64.saturating_mul(1 << n.min(7)).min(5000);
            let [jitter] = crate::random::bytes::<1>();
            Duration::from_millis(base + base * u64::from(jitter) / 510)
        })
    }

    /// When the authority is to stop.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.stop
    }
}

/// Has things taken up again when it is dropped.
#[derive(Debug)]
pub(crate) struct FinishLater(Option<Arc<Authority>>);

impl FinishLater {
    /// All is well.
    pub(crate) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for FinishLater {
    fn drop(&mut self) {
        if let Some(authority) = self.0.take() {
            authority.finish_later();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its thread cannot be aborted as a task can.
        self.authority.ended.cancel();
    }
}

/// The walk, on a thread of its own: as one task among those that parse and verify, it would wait
/// for all of them at each of its steps, and everybody waits for it.
fn walking(
    authority: Arc<Authority>,
    queue: walk::Queue,
) -> impl FnOnce() -> Result<(), Fatal> + use<> {
    let runtime = tokio::runtime::Handle::current();
    move || {
        let ended = authority.ended.clone();
        runtime.block_on(async {
            tokio::select! {
                outcome = issue::run(authority, queue) => outcome,
                () = ended.cancelled() => Ok(()),
            }
        })
    }
}

impl Running {
    /// The authority.
    #[must_use]
    pub fn authority(&self) -> Arc<Authority> {
        Arc::clone(&self.authority)
    }

    /// Runs until the authority is told to stop, or must.
    ///
    /// # Errors
    /// [`Fatal`] when the state is unknown.
    pub async fn until_stopped(mut self) -> Result<(), Fatal> {
        let outcome = tokio::select! {
            () = self.authority.stop.cancelled() => Ok(()),
            ended = self.tasks.join_next() => match ended {
                // A loop that was waiting when it was told to stop.
                Some(Ok(Err(Fatal::Cancelled))) => Ok(()),
                Some(Ok(Err(fatal))) => Err(fatal),
                Some(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
                Some(Ok(Ok(()))) | None => Ok(()),
            },
        };
        self.authority.stop.cancel();
        // Groups that are being signed get to the end of their walk.
        let walking = self.authority.all_signed();
        let _ = tokio::time::timeout(self.authority.limits.answer, walking).await;
        self.authority.ended.cancel();
        self.tasks.shutdown().await;
        if let Some(token) = &self.authority.switch_token {
            token.shut_down().await;
        }
        let Authority { heads, store, .. } = &*self.authority;
        if let Err(error) = heads.flush(&**store, true).await {
            tracing::warn!(%error, "the map was not flushed; the next start replays more");
        }
        outcome
    }
}
