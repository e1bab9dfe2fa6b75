//! Verifying a bundle with the network cut: chain, history, log and map, each against the trust
//! file and nothing else.

use std::sync::Arc;

use evidence::audit::pieces;
use evidence::dossier::Piece;
use evidence::handed::{HandedError, Received};
use evidence::issuance::{Difference, IssuanceError};
use evidence::{History, HistoryError, Snapshot, SnapshotError, Timeline, TimelineError};
use policy::{Identity, Installation, InstallationError, Time};
use serde::{Deserialize, Serialize};
use tlog::map::MapProof;
use tlog::proof::{ProofError, check_inclusion};
use wire::bundle::{Blob, Bundle, BundleEvent};
use wire::event::Event;
use wire::head::{Head, installation_position};
use wire::leaf::{Leaf, LeafKind, blinded_id, commitment};
use wire::{Encoded, FormatError, Hash32, UserId, frame};

use crate::log::Seen;
use crate::trust::{CheckpointError, Stale, Trust};

/// Most events in one bundle.
pub const MAX_EVENTS: usize = 10_000;

/// Why a bundle proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A version that this program does not know.
    #[error("the bundle has version {0}; this program knows 1")]
    Version(u8),
    /// It is about somebody else.
    #[error("the bundle is about {found:?}, not about {expected:?}")]
    Subject {
        /// Who was asked for.
        expected: UserId,
        /// Whom it is about.
        found: UserId,
    },
    /// A part is not of its format.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A fixed-length part of another length.
    #[error("the bundle's {part} has {found} bytes, not 32")]
    Length {
        /// Which part.
        part: &'static str,
        /// Its length.
        found: usize,
    },
    /// Another installation.
    #[error("the bundle is of installation {found}; the trust file names {expected}")]
    Genesis {
        /// Hash of the genesis event in the trust file.
        expected: Hash32,
        /// Hash of the one in the bundle.
        found: Hash32,
    },
    /// The genesis event cannot be read.
    #[error(transparent)]
    Installation(#[from] InstallationError),
    /// The checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The co-signers last vouched for it too long ago.
    #[error(transparent)]
    Stale(#[from] Stale),
    /// A proof does not lead to the checkpoint.
    #[error("{what}: {source}")]
    Proof {
        /// What it was to prove.
        what: String,
        /// What is wrong.
        source: ProofError,
    },
    /// The last leaf of the checkpoint is not the map's root.
    #[error("the checkpoint's last leaf does not hold the map's root")]
    MapLeaf,
    /// The map holds something else of the identity.
    #[error(
        "the map holds {found} under the identity's blinded id, the bundle's head is {expected}"
    )]
    Head {
        /// Hash of the head in the bundle.
        expected: Hash32,
        /// What the map holds.
        found: String,
    },
    /// A leaf does not commit to its event.
    #[error("event {sequence}: its leaf does not commit to it")]
    Leaf {
        /// The event's number.
        sequence: u64,
    },
    /// Too many events, or none at all.
    #[error("the bundle has {found} events; 1 to {MAX_EVENTS} are taken")]
    Events {
        /// Events found.
        found: usize,
    },
    /// An event is not lawful.
    #[error("the history is not lawful: {0}")]
    History(#[from] HistoryError),
    /// What an auditor gave a receipt for does not hold on the history.
    #[error("what an auditor receipted does not hold on the history that it saw: {source}")]
    Receipt {
        /// Why not.
        source: Box<HandedError>,
    },
    /// What is remembered of the identity cannot be read.
    #[error("what is remembered of the identity: {0}")]
    Known(#[from] SnapshotError),
    /// The history does not lead to the head.
    #[error("the history leads to another head than the map's")]
    OtherHead,
    /// The genesis event names nothing to issue with.
    #[error(transparent)]
    Issuance(#[from] IssuanceError),
    /// The officers declared the identity's latest event dead.
    #[error("the officers declared the identity's latest event, leaf {leaf}, dead")]
    Struck {
        /// Its leaf hash.
        leaf: Hash32,
    },
    /// The installation's events do not begin with the genesis event.
    #[error("the genesis event is missing")]
    NoGenesis,
    /// An event of the installation does not follow from its evidence.
    #[error("the installation's history is not lawful: {0}")]
    Timeline(#[from] TimelineError),
    /// The installation's events are not all that there are.
    #[error("the installation's events lead to number {sequence}; the map has another")]
    OtherInstallation {
        /// Number of the last of them.
        sequence: u64,
    },
    /// An event records another certificate than the one that it calls for.
    #[error("event {sequence}: {source}")]
    Recorded {
        /// The event's number.
        sequence: u64,
        /// What is wrong.
        source: Box<Difference>,
    },
    /// The certificate is not the one that the history calls for.
    #[error("the certificate is not the one that the history's latest event calls for")]
    Certificate,
    /// There is no certificate yet: what is to sign it does so later.
    #[error("the certificate that the history's latest event calls for is not signed yet")]
    Unsigned,
    /// The certificate has no path to the trust file's root.
    #[error("the certificate: {0}")]
    Chain(String),
}

impl BundleError {
    /// The command line's exit code: 15 (log proof), 11 (chain) for a foreign certificate, 14 for
    /// a history that is not lawful, 16 for a checkpoint that is too old.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Certificate | Self::Chain(_) => 11,
            Self::Unsigned => 21,
            Self::History(_) | Self::Recorded { .. } | Self::Struck { .. } => 14,
            Self::Subject { .. } => 10,
            Self::Stale(_) => 16,
            _ => 15,
        }
    }
}

/// What is remembered of a proven identity, so that a later bundle need hold only what happened
/// since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    history: Snapshot,
    /// SHA-256 of the latest certificate's TBS, and when it was recorded, seconds since 1970.
    certified: Option<(Hash32, u64)>,
}

/// Greatest length of the compact form of [`Known`], in bytes.
const MAX_KNOWN: usize = 256 * 1024;

impl Known {
    /// The number of the event that comes next.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.history.sequence() + 1
    }

    /// The compact form; none for an identity with more keys than anybody has.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        frame::encode(self, MAX_KNOWN).ok()
    }

    /// Reads the compact form.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        frame::decode(bytes, MAX_KNOWN).ok()
    }
}

/// An identity as its bundle proves it.
#[derive(Debug)]
pub struct ProvenIdentity {
    identity: Identity,
    installation: Arc<Installation>,
    checkpoint: Seen,
    as_of: Option<u64>,
    key_before: Option<Hash32>,
    events: Vec<ProvenEvent>,
    not_after: Option<u64>,
    known: Option<Known>,
}

/// One event of a proven history.
#[derive(Debug)]
pub struct ProvenEvent {
    /// The event.
    pub event: Event,
    /// Index of its leaf.
    pub leaf_index: u64,
    /// The evidence that it rests on, in the order in which it names it.
    pub evidence: Vec<Piece>,
    /// The identity's key afterwards, by SHA-256 of the SubjectPublicKeyInfo.
    pub key: Option<Hash32>,
}

impl ProvenIdentity {
    /// State after the latest event.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The checkpoint that proves it.
    #[must_use]
    pub fn checkpoint(&self) -> &Seen {
        &self.checkpoint
    }

    /// As of when the quorum vouches for the checkpoint, seconds since 1970; none where nobody
    /// co-signs.
    #[must_use]
    pub fn as_of(&self) -> Option<u64> {
        self.as_of
    }

    /// The installation that it belongs to, as far as the bundle proves it.
    #[must_use]
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// The key before the first of the events: none for a whole bundle.
    #[must_use]
    pub fn key_before(&self) -> Option<Hash32> {
        self.key_before
    }

    /// Every event that was replayed: all of them, or those since the identity was known.
    #[must_use]
    pub fn events(&self) -> &[ProvenEvent] {
        &self.events
    }

    /// Until when the current certificate is valid, seconds since 1970; none for an identity
    /// without a key.
    #[must_use]
    pub fn not_after(&self) -> Option<u64> {
        self.not_after
    }

    /// What to remember of it.
    #[must_use]
    pub fn known(&self) -> Option<&Known> {
        self.known.as_ref()
    }
}

/// Checks the bundle of one identity: a whole one, with all events from the first, or, where the
/// identity is `known`, one with the events since then.
///
/// Replays every decision from its evidence with the rules that clients and authority share. What
/// no bundle can show is whether another identity had the same key; auditors see that. Where the
/// trust file has a quorum, it must have vouched for the checkpoint no longer than the greatest age
/// of a status before `now`, seconds since 1970.
///
/// # Errors
/// The first check that fails.
pub fn verify(
    trust: &Trust,
    uid: &UserId,
    bundle: &Bundle,
    known: Option<&Known>,
    now: u64,
) -> Result<ProvenIdentity, BundleError> {
    verify_heeding(trust, uid, bundle, known, &[], now)
}

/// The same, with receipts of auditors at hand, for a whole bundle: nothing may have completed that
/// was stopped before, whether the log says so or not.
///
/// # Errors
/// The first check that fails.
pub fn verify_heeding(
    trust: &Trust,
    uid: &UserId,
    bundle: &Bundle,
    known: Option<&Known>,
    receipts: &[Received],
    now: u64,
) -> Result<ProvenIdentity, BundleError> {
    if bundle.version != 1 {
        return Err(BundleError::Version(bundle.version));
    }
    if bundle.uid != *uid {
        return Err(BundleError::Subject { expected: uid.clone(), found: bundle.uid.clone() });
    }
    let count = bundle.events.len();
    if (count == 0 && known.is_none()) || count > MAX_EVENTS {
        return Err(BundleError::Events { found: count });
    }
    let vouched = trust.open(&bundle.checkpoint)?;
    let (size, root) = (vouched.checkpoint().size(), vouched.checkpoint().root());

    let blinding_key = fixed("blinding key", &bundle.blinding_key)?;
    let blinded = blinded_id(&blinding_key, uid);
    let map_root = map_root(&bundle.map_leaf, &bundle.map_leaf_proof, size, root)?;
    let head = head(bundle, map_root, &blinded)?;
    let timeline =
        timeline(trust, &bundle.installation, &bundle.installation_proof, map_root, size, root)?;
    let (mut history, mut latest) = match known {
        None => (History::new(uid.clone()), None),
        Some(known) if known.history.uid() == uid => {
            let rules = timeline.current().issuance().key_rules();
            (History::resume(rules, &known.history)?, known.certified)
        }
        Some(known) => {
            let (expected, found) = (uid.clone(), known.history.uid().clone());
            return Err(BundleError::Subject { expected, found });
        }
    };
    let key_of = |history: &History| history.identity().and_then(|i| i.key).map(|key| key.spki);
    let key_before = key_of(&history);
    let mut receipts: Vec<&Received> = receipts.iter().collect();
    receipts.sort_by_key(|received| received.receipt.size);
    let mut receipts = receipts.into_iter().peekable();
    let mut events: Vec<ProvenEvent> = Vec::with_capacity(count);
    for entry in &bundle.events {
        let (event, leaf, evidence) = event(entry, size, root, &blinded)?;
        if let Some(before) = events.last().map(|earlier| earlier.leaf_index)
            && before >= entry.leaf_index
        {
            let (sequence, leaf_index) = (event.sequence, entry.leaf_index);
            return Err(HistoryError::Order { sequence, leaf_index, before }.into());
        }
        while let Some(received) = receipts.next_if(|r| r.receipt.size <= entry.leaf_index) {
            heed(&mut history, &timeline, &events, received)?;
        }
        let era = timeline.at(entry.leaf_index);
        history.apply(era, &event, leaf, &evidence, |_| None)?;
        let certified = era
            .issuance()
            .certified(&event, entry.leaf_index, history.identity(), |spki| history.key(spki))
            .map_err(|source| BundleError::Recorded {
                sequence: event.sequence,
                source: Box::new(source),
            })?;
        let certified = certified.map(|tbs| (Hash32::of(tbs.tbs_der()), event.time_ms / 1000));
        latest = certified.or(latest);
        let key = key_of(&history);
        events.push(ProvenEvent { event, leaf_index: entry.leaf_index, evidence, key });
    }
    let identity = history.identity().cloned().ok_or(BundleError::OtherHead)?;
    if head != identity.proven_head() {
        return Err(BundleError::OtherHead);
    }
    if timeline.current().installation().is_struck(identity.head) {
        return Err(BundleError::Struck { leaf: identity.head });
    }
    let not_after = certificate(trust, bundle, &identity, latest)?;
    trust.fresh(vouched.as_of(), now)?;
    let (checkpoint, as_of) = (vouched.seen(trust.genesis()), vouched.as_of());
    let known = history.snapshot().map(|history| Known { history, certified: latest });
    let installation = Arc::clone(timeline.current().installation());
    Ok(ProvenIdentity {
        identity,
        installation,
        checkpoint,
        as_of,
        key_before,
        events,
        not_after,
        known,
    })
}

/// Says of what was receipted, on the state that the auditor saw, what it stops; nothing where it is
/// about somebody else.
fn heed(
    history: &mut History,
    timeline: &Timeline,
    events: &[ProvenEvent],
    received: &Received,
) -> Result<(), BundleError> {
    let Some(uid) = history.identity().map(|identity| identity.uid.clone()) else { return Ok(()) };
    let intent = received.handed.intent();
    let intents = events.iter().filter_map(|e| e.event.intent.as_ref()).map(|i| i.as_bytes());
    let proposal = intents.rev().find(|der| Hash32::of(der) == intent);
    if received.handed.uid().map_or(proposal.is_none(), |about| *about != uid) {
        return Ok(());
    }
    let era = timeline.at(received.receipt.size);
    let time = Time::at_ms(received.time.saturating_mul(1000));
    let stops = history
        .weigh(era, &received.handed, proposal, time, |_| None)
        .map_err(|source| BundleError::Receipt { source: Box::new(source) })?;
    stops.into_iter().for_each(|stopped| history.object(stopped));
    Ok(())
}

pub(crate) fn fixed(part: &'static str, blob: &Blob) -> Result<[u8; 32], BundleError> {
    let found = blob.0.len();
    blob.0.as_slice().try_into().map_err(|_| BundleError::Length { part, found })
}

/// The installation through time: from the genesis event that the trust file names to where the
/// map says that it is.
pub(crate) fn timeline(
    trust: &Trust,
    events: &[BundleEvent],
    proof: &Blob,
    map_root: Hash32,
    size: u64,
    root: Hash32,
) -> Result<Timeline, BundleError> {
    let nobody = Hash32::from_bytes([0; 32]);
    let mut events = events.iter();
    let first = events.next().ok_or(BundleError::NoGenesis)?;
    let (genesis, leaf, _) = event(first, size, root, &nobody)?;
    let (expected, found) = (trust.genesis(), genesis.hash());
    if expected != found {
        return Err(BundleError::Genesis { expected, found });
    }
    let mut timeline = Timeline::begin(Installation::from_genesis(&genesis)?.logged_at(leaf))?;
    for entry in events {
        let (event, leaf, evidence) = event(entry, size, root, &nobody)?;
        timeline.apply(entry.leaf_index, &event, leaf, &evidence)?;
    }
    let proven = MapProof::from_bytes(&proof.0)
        .and_then(|map| map.check(map_root, &installation_position()))
        .map_err(unproven("the installation is not in the map"))?;
    let installation = timeline.current().installation();
    if proven != installation.proven_head() {
        return Err(BundleError::OtherInstallation { sequence: installation.sequence() });
    }
    Ok(timeline)
}

fn unproven(what: &str) -> impl FnOnce(ProofError) -> BundleError {
    move |source| BundleError::Proof { what: what.to_owned(), source }
}

/// The map's root, which the checkpoint's last leaf holds.
pub(crate) fn map_root(
    leaf: &Blob,
    proof: &[Hash32],
    size: u64,
    root: Hash32,
) -> Result<Hash32, BundleError> {
    let leaf = Leaf::from_canonical(&leaf.0)?;
    if leaf.kind != LeafKind::MapRoot || size == 0 {
        return Err(BundleError::MapLeaf);
    }
    check_inclusion(proof, size, root, size - 1, leaf.leaf_hash())
        .map_err(unproven("the map's root is not in the checkpoint"))?;
    Ok(leaf.commitment)
}

/// The head, proven by the map.
fn head(bundle: &Bundle, map_root: Hash32, blinded: &Hash32) -> Result<Head, BundleError> {
    let head = Head::from_canonical(&bundle.head.0)?;
    let value = MapProof::from_bytes(&bundle.map_proof.0)
        .and_then(|map| map.check(map_root, blinded))
        .map_err(unproven("the head is not in the map"))?;
    let expected = head.hash();
    if value != Some(expected) {
        let found = value.map_or_else(|| "nothing".to_owned(), |value| value.to_string());
        return Err(BundleError::Head { expected, found });
    }
    Ok(head)
}

/// One event, committed to by a leaf in the checkpoint; with its leaf hash and evidence.
fn event(
    entry: &BundleEvent,
    size: u64,
    root: Hash32,
    blinded: &Hash32,
) -> Result<(Event, Hash32, Vec<Piece>), BundleError> {
    let event = Event::from_canonical(&entry.event.0)?;
    let leaf = Leaf::from_canonical(&entry.leaf.0)?;
    let sequence = event.sequence;
    let commits = leaf.kind == LeafKind::Event
        && leaf.engine == event.engine
        && leaf.blinded_id == *blinded
        && leaf.commitment == commitment(&fixed("salt", &entry.salt)?, &entry.event.0);
    if !commits || entry.evidence.len() != event.evidence.len() {
        return Err(BundleError::Leaf { sequence });
    }
    let hash = leaf.leaf_hash();
    check_inclusion(&entry.proof, size, root, entry.leaf_index, hash).map_err(|source| {
        BundleError::Proof { what: format!("event {sequence} is not in the log"), source }
    })?;
    let evidence = pieces(&entry.evidence, &event);
    Ok((event, hash, evidence))
}

/// The certificate is the one that the latest certifying event calls for, signed, and has a path to
/// the trust file's root at the event's time. Returns its notAfter.
fn certificate(
    trust: &Trust,
    bundle: &Bundle,
    identity: &Identity,
    latest: Option<(Hash32, u64)>,
) -> Result<Option<u64>, BundleError> {
    let (Some(key), Some((tbs, at))) = (identity.key, latest) else {
        return if bundle.certificate.is_none() { Ok(None) } else { Err(BundleError::Certificate) };
    };
    let der = bundle.certificate.as_ref().ok_or(BundleError::Unsigned)?;
    let certificate = x509::Certificate::parse(&der.0).map_err(|_| BundleError::Certificate)?;
    let fits =
        Hash32::of(certificate.tbs_der()) == tbs && Hash32::of(certificate.spki_der()) == key.spki;
    if !fits {
        return Err(BundleError::Certificate);
    }
    let read = |der: &[u8]| {
        path::Certificate::from_der(der).map_err(|error| BundleError::Chain(error.to_string()))
    };
    let chain = bundle.chain.iter().map(|blob| read(&blob.0)).collect::<Result<Vec<_>, _>>()?;
    let at = i64::try_from(at).unwrap_or(i64::MAX);
    let options =
        path::Options::at(at).profile(path::Profile::Strict).purpose(path::Purpose::Email);
    let roots = [trust.root().clone()];
    let given = path::Given { roots: &roots, untrusted: &chain, ..path::Given::default() };
    let report = path::verify(&read(&der.0)?, &given, &options);
    match report.failure() {
        None if report.is_valid() => Ok(Some(certificate.not_after())),
        None => Err(BundleError::Chain("no path was found".to_owned())),
        Some(failure) => Err(BundleError::Chain(failure.to_string())),
    }
}
