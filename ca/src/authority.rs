//! An installation, opened and kept running.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use evidence::{Era, Timeline};
use pkcs11::{Hsm, HsmError, HsmState};
use policy::{Installation, InstallationError};
use tlog::Edge;
use tlog::note::{Checkpoint, SignedCheckpoint};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use wire::Hash32;
use wire::leaf::blinding_commitment;
use wire::problem::{Problem, ProblemCode};

use crate::catch_up::{CatchUpError, catch_up, timeline};
use crate::certificates::{Certificates, CertificatesError};
use crate::clock::Clock;
use crate::heads::{Heads, HeadsError};
use crate::metrics::Metrics;
use crate::notices::{self, AddressKey, NoticeSettings, Notices};
use crate::store::rows::Publication;
use crate::store::{Store, StoreError};
use crate::tail::TailError;
use crate::token::Token;
use crate::walk::{self, Ask, ChangeAsk, Log, LogKeyError, QueueSender, TreeHead};
use crate::{crl, effects, issue, reopen, tail};

/// Leaves of a log in which nothing has happened yet: genesis, and the empty map's root.
const FIRST_SIZE: u64 = 2;

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
}

/// Why an installation cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store is empty.
    #[error("the database holds no installation; `avouch init` makes one")]
    Empty,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Leaf 0 is not what it must be.
    #[error("the genesis event is not valid: {0}")]
    Genesis(#[from] InstallationError),
    /// The database holds another installation than the one that was begun here.
    #[error(
        "the database holds installation {found}; the trust file beside the configuration names {expected}"
    )]
    OtherGenesis {
        /// Hash of the genesis event in the trust file.
        expected: Hash32,
        /// Hash of the one in the database.
        found: Hash32,
    },
    /// Leaf 0 does not belong to its event.
    #[error("leaf 0 does not commit to the genesis event: the database was altered")]
    GenesisLeaf,
    /// The HSM cannot be used.
    #[error(transparent)]
    Hsm(#[from] HsmError),
    /// The log's key cannot be used.
    #[error(transparent)]
    LogKey(#[from] LogKeyError),
    /// The secret that blinds ids is not the one that the genesis event commits to.
    #[error("the secret that blinds ids was altered: the genesis event commits to another")]
    Secret,
    /// The latest signed checkpoint is not one of this log.
    #[error("the latest signed checkpoint: {0}")]
    Checkpoint(String),
    /// What was recorded last is not believed.
    #[error(transparent)]
    Tail(#[from] TailError),
    /// The map of heads does not follow from the log.
    #[error("the map of heads: {0}")]
    Map(#[from] CatchUpError),
    /// The issuing key or its certificate is not as the genesis event says.
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
}

/// What has to be there before a start can succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing<'a> {
    /// The database, which may come back.
    Store,
    /// The token; the error says whether it may come back.
    Hsm(&'a HsmError),
    /// Nothing that comes by itself: somebody has to look.
    Somebody,
}

impl OpenError {
    /// What was missing, however deep it stands in the error.
    #[must_use]
    pub fn missing(&self) -> Missing<'_> {
        let store = |error: &StoreError| {
            if error.is_transient() { Missing::Store } else { Missing::Somebody }
        };
        match self {
            Self::Hsm(error)
            | Self::LogKey(LogKeyError::Hsm(error))
            | Self::Certificates(CertificatesError::Key { source: error, .. }) => {
                Missing::Hsm(error)
            }
            Self::Store(error)
            | Self::Map(
                CatchUpError::Store(error) | CatchUpError::Heads(HeadsError::Store(error)),
            ) => store(error),
            _ => Missing::Somebody,
        }
    }
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
    heads: Heads,
    store: Arc<dyn Store>,
    token: Token,
    metrics: Metrics,
    clock: Clock,
    limits: Limits,
    queue: QueueSender,
    slots: Arc<Semaphore>,
    published: watch::Sender<u64>,
    unfinished: Notify,
    effects: Notify,
    notices: Notices,
    crls: mpsc::Sender<crl::Refresh>,
    revocations: crl::Revocations,
    alarms: std::sync::Mutex<Vec<String>>,
    log_size: AtomicU64,
    tree_head: std::sync::Mutex<TreeHead>,
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
    /// Opens an installation: reads the genesis event, finds the issuing key on the token and has
    /// it prove that it is the one that the genesis event names; then starts the loops. What a
    /// crash left unfinished is taken up at once.
    ///
    /// # Errors
    /// [`OpenError`] says what is missing or does not fit.
    pub async fn open(
        store: Arc<dyn Store>,
        hsm: Hsm,
        clock: Clock,
        settings: Settings,
        stop: CancellationToken,
    ) -> Result<Running, OpenError> {
        let Settings { limits, blocklist, metrics, genesis, notices } = settings;
        let row = store.genesis().await?.ok_or(OpenError::Empty)?;
        if walk::leaf_of(&row.event, &[0; 32], &row.salt) != row.leaf {
            return Err(OpenError::GenesisLeaf);
        }
        let installation = Installation::from_genesis(&row.event)?.logged_at(row.leaf.leaf_hash());
        if let Some(expected) = genesis.filter(|expected| *expected != installation.genesis()) {
            let found = installation.genesis();
            return Err(OpenError::OtherGenesis { expected, found });
        }
        let log = Log::open(&installation, &hsm).await?;
        let secret = store.secret().await?.unwrap_or_default();
        if blinding_commitment(&secret) != installation.blinding() {
            return Err(OpenError::Secret);
        }
        let notices = Notices::new(notices, AddressKey::derive(&secret));
        let token = Token::new(hsm, metrics.clone());
        let (edge, checkpoint) = signed_edge(&*store, &token, &log).await?;
        tail::check(&*store, checkpoint.size(), clock.now_ms()).await?;
        let head = TreeHead::of_edge(&edge);
        let heads = Heads::open(&*store, secret, &checkpoint).await.map_err(CatchUpError::Heads)?;
        let timeline = timeline(&*store, installation).await?;
        catch_up(&*store, &heads, &timeline).await?;
        let certificates =
            Certificates::open(timeline.current().installation(), &token, blocklist).await?;
        let present = Present { timeline: timeline.into(), certificates: certificates.into() };
        let size = store.edge().await?.size();
        let (sender, queue) = walk::queue(limits.queue, limits.group);
        let (crls, refreshes) = mpsc::channel(64);
        let authority = Arc::new(Self {
            present: RwLock::new(present),
            log,
            heads,
            store,
            token,
            metrics,
            clock,
            slots: Arc::new(Semaphore::new(limits.signing_groups)),
            limits,
            queue: sender,
            published: watch::Sender::new(0),
            unfinished: Notify::new(),
            effects: Notify::new(),
            notices,
            crls,
            revocations: crl::Revocations::since(head.size()),
            alarms: std::sync::Mutex::default(),
            log_size: AtomicU64::new(size),
            tree_head: std::sync::Mutex::new(head),
            stop,
            ended: CancellationToken::new(),
        });
        authority.unfinished.notify_one();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn_blocking(walking(Arc::clone(&authority), queue));
        tasks.spawn(reopen::run(Arc::clone(&authority)));
        tasks.spawn(crl::run(Arc::clone(&authority), refreshes));
        tasks.spawn(effects::run(Arc::clone(&authority)));
        tasks.spawn(notices::run(Arc::clone(&authority)));
        Ok(Running { authority, tasks })
    }

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
        timeline.changed(leaf_index, era);
        *present = Present { timeline: timeline.into(), certificates: certificates.into() };
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
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
        let all = u32::try_from(self.limits.signing_groups).unwrap_or(u32::MAX);
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
            HsmState::Stopped => Err("the token is shut down".to_owned()),
        }
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

/// The log's edge, as far as a signature vouches for it and the leaves after that lead on. An
/// installation that never signed a checkpoint signs its first one here, so that later on none at
/// all means that somebody took them away.
async fn signed_edge(
    store: &dyn Store,
    token: &Token,
    log: &Log,
) -> Result<(Edge, Checkpoint), OpenError> {
    let told = |reason: String| OpenError::Checkpoint(reason);
    let row = match store.checkpoint(None).await? {
        Some(row) => row,
        None => {
            let head = TreeHead::of_edge(&store.edge().await?);
            if head.size() > FIRST_SIZE {
                let size = head.size();
                return Err(told(format!("there is none for a log of {size} leaves")));
            }
            let row = log.sign(token, head).await.map_err(told)?;
            let publication = Publication { checkpoints: vec![row.clone()], ..Default::default() };
            store.publish(&publication).await?;
            row
        }
    };
    let signed =
        SignedCheckpoint::open(&row.note, log.key()).map_err(|error| told(error.to_string()))?;
    let checkpoint = signed.checkpoint().clone();
    let (size, root) = (checkpoint.size(), checkpoint.root());
    let stored = store.stored_hashes(&Edge::indexes(size)).await?;
    let mut edge = Edge::load(size, &stored).map_err(|error| told(error.to_string()))?;
    if edge.root() != root {
        let found = edge.root();
        return Err(told(format!("at size {size} it has root {root}, the database {found}")));
    }
    for row in store.leaves(size, u64::MAX >> 1).await? {
        edge.append(row.leaf.leaf_hash());
    }
    if edge != store.edge().await? {
        return Err(told(format!(
            "the leaves after its size {size} do not lead to the stored tree"
        )));
    }
    Ok((edge, checkpoint))
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
        let Authority { heads, store, .. } = &*self.authority;
        if let Err(error) = heads.flush(&**store, true).await {
            tracing::warn!(%error, "the map was not flushed; the next start replays more");
        }
        outcome
    }
}
