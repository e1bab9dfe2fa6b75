//! From the genesis event to the running loops: what is believed at a start, and why.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, RwLock};

use pkcs11::{Hsm, HsmError};
use policy::{Installation, InstallationError};
use tlog::Edge;
use tlog::note::{Checkpoint, SignedCheckpoint};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use wire::Hash32;
use wire::genesis::KeyPurpose;
use wire::leaf::blinding_commitment;

use super::{Authority, Fatal, Present, Running, Settings, walking};
use crate::catch_up::{CatchUpError, catch_up, timeline};
use crate::certificates::{Certificates, CertificatesError};
use crate::clock::Clock;
use crate::cosign::{self, Cosigning, StartError};
use crate::heads::{Heads, HeadsError};
use crate::notices::{self, AddressKey, Notices};
use crate::store::rows::Publication;
use crate::store::{Store, StoreError};
use crate::switch_token::SwitchToken;
use crate::tail::TailError;
use crate::token::Token;
use crate::walk::{self, Log, LogKeyError, TreeHead};
use crate::{crl, effects, reopen, tail};

/// Leaves of a log in which nothing has happened yet: genesis, and the empty map's root.
const FIRST_SIZE: u64 = 2;

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
    /// The co-signers do not go on with this log, or are not there.
    #[error(transparent)]
    Cosigners(#[from] StartError),
    /// The issuing key or its certificate is not as the genesis event says.
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
}

/// What has to be there before a start can succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing<'a> {
    /// The database, which may come back.
    Store,
    /// The co-signers, who may come back.
    Cosigners,
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
            Self::Cosigners(StartError::Unconfirmed { .. }) => Missing::Cosigners,
            Self::Store(error)
            | Self::Cosigners(StartError::Store(error))
            | Self::Tail(TailError::Store(error))
            | Self::Map(
                CatchUpError::Store(error) | CatchUpError::Heads(HeadsError::Store(error)),
            ) => store(error),
            _ => Missing::Somebody,
        }
    }
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
        let Settings { limits, blocklist, metrics, genesis, notices, cosigning, .. } = settings;
        let Settings { tokens, switch_issuer, .. } = settings;
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
        let cosigning = Cosigning::new(cosigning, timeline.current().installation())
            .map_err(StartError::from)?;
        if cosigning.is_on() {
            cosign::load(&cosigning, &*store, &log).await?;
            heads.shows(cosigning.vouched().map_or(0, |vouched| vouched.row.size));
        }
        catch_up(&*store, &heads, &timeline).await?;
        let certificates =
            Certificates::open(timeline.current().installation(), &token, blocklist).await?;
        heads.hold(cosigning.is_on());
        if cosigning.is_on() {
            let row = log.sign(&token, head).await.map_err(OpenError::Checkpoint)?;
            let hand = cosign::Hand { log: &log, token: &token };
            cosign::start(&cosigning, &*store, &row, hand).await?;
        }
        let own = certificates.desks().find(|desk| desk.purpose() == KeyPurpose::SwitchIssuing);
        let switch_token = own.map(|desk| {
            SwitchToken::new(switch_issuer.clone(), desk.key().clone(), metrics.clone())
        });
        if switch_issuer.is_some() && switch_token.is_none() {
            tracing::warn!("this installation began without an issuing authority for switches");
        }
        let present = Present { timeline: timeline.into(), certificates: certificates.into() };
        let size = store.edge().await?.size();
        let (sender, queue) = walk::queue(limits.queue, limits.group);
        let (crls, refreshes) = mpsc::channel(64);
        let groups = limits.groups_at_once(cosigning.is_on());
        let authority = Arc::new(Self {
            present: RwLock::new(present),
            log,
            cosigning,
            heads,
            store,
            token: token.into(),
            switch_token,
            metrics,
            clock,
            slots: Arc::new(Semaphore::new(groups)),
            groups,
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
            checkpoints: walk::Checkpoints::default(),
            tokens,
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
        tasks.spawn(cosign::run(Arc::clone(&authority)));
        tasks.spawn(open_switch_token(Arc::clone(&authority)));
        tasks.spawn(cosign::fetch_statements(Arc::clone(&authority)));
        Ok(Running { authority, tasks })
    }
}

/// Opens the token whose key signs switches, where its PIN is configured, for as long as it takes.
async fn open_switch_token(authority: Arc<Authority>) -> Result<(), Fatal> {
    let stopping = authority.stopping().clone();
    let opening = async {
        if let Some(token) = authority.switch_token()
            && token.open_by_itself().await
        {
            authority.opened();
        }
        std::future::pending().await
    };
    tokio::select! {
        ended = opening => ended,
        () = stopping.cancelled() => Ok(()),
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
