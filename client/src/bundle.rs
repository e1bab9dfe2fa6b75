//! Verifying a bundle with the network cut: chain, history, log and map, each against the trust
//! file and nothing else.

use evidence::issuance::{Difference, IssuanceError};
use evidence::{History, HistoryError, Issuance};
use policy::{Identity, Installation, InstallationError};
use tlog::map::MapProof;
use tlog::note::{LogKey, NoteError, SignedCheckpoint};
use tlog::proof::{ProofError, check_inclusion};
use wire::bundle::{Blob, Bundle, BundleEvent};
use wire::event::Event;
use wire::head::Head;
use wire::leaf::{Leaf, LeafKind, blinded_id, commitment};
use wire::trust::TrustFile;
use wire::{Encoded, FormatError, Hash32, UserId};

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
    /// The trust file's log key, or the checkpoint.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The trust file names no log key.
    #[error("the trust file names no log key")]
    NoLogKey,
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
    /// The history does not lead to the head.
    #[error("the history leads to another head than the map's")]
    OtherHead,
    /// The genesis event names nothing to issue with.
    #[error(transparent)]
    Issuance(#[from] IssuanceError),
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
    /// The certificate has no path to the trust file's root.
    #[error("the certificate: {0}")]
    Chain(String),
}

impl BundleError {
    /// The command line's exit code: 15 (log proof), 11 (chain) for a foreign certificate, 14 for
    /// a history that is not lawful.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Certificate | Self::Chain(_) => 11,
            Self::History(_) | Self::Recorded { .. } => 14,
            Self::Subject { .. } => 10,
            _ => 15,
        }
    }
}

/// An identity as its bundle proves it.
#[derive(Debug)]
pub struct ProvenIdentity {
    identity: Identity,
    size: u64,
    events: usize,
    not_after: Option<u64>,
}

impl ProvenIdentity {
    /// Until when the current certificate is valid, seconds since 1970; none for an identity
    /// without a key.
    #[must_use]
    pub fn not_after(&self) -> Option<u64> {
        self.not_after
    }

    /// State after the latest event.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Leaves in the checkpoint that proves it.
    #[must_use]
    pub fn checkpoint_size(&self) -> u64 {
        self.size
    }

    /// Number of events that were replayed.
    #[must_use]
    pub fn events(&self) -> usize {
        self.events
    }
}

/// Checks a whole bundle (all events from the first) of one identity.
///
/// Replays every decision from its evidence with the rules that clients and authority share. What
/// no bundle can show is whether another identity had the same key; auditors see that.
///
/// # Errors
/// The first check that fails.
pub fn verify(
    trust: &TrustFile,
    uid: &UserId,
    bundle: &Bundle,
) -> Result<ProvenIdentity, BundleError> {
    if bundle.version != 1 {
        return Err(BundleError::Version(bundle.version));
    }
    if bundle.uid != *uid {
        return Err(BundleError::Subject { expected: uid.clone(), found: bundle.uid.clone() });
    }
    let count = bundle.events.len();
    if count == 0 || count > MAX_EVENTS {
        return Err(BundleError::Events { found: count });
    }
    let installation = installation(trust, bundle)?;
    if trust.log().is_empty() {
        return Err(BundleError::NoLogKey);
    }
    let key = LogKey::parse_vkey(trust.log())?;
    let signed = SignedCheckpoint::open(&bundle.checkpoint, &key)?;
    let (size, root) = (signed.checkpoint().size(), signed.checkpoint().root());

    let blinding_key = fixed("blinding key", &bundle.blinding_key)?;
    let head = head(bundle, size, root, &blinded_id(&blinding_key, uid))?;
    let issuance = Issuance::new(&installation)?;
    let mut history = History::new(&installation, issuance.key_rules(), uid.clone());
    let mut latest = None;
    for entry in &bundle.events {
        let (event, leaf) = event(entry, size, root, &blinding_key, uid)?;
        let evidence = entry
            .evidence
            .iter()
            .zip(&event.evidence)
            .map(|(data, reference)| (reference.clone(), data.0.clone()))
            .collect::<Vec<_>>();
        history.apply(&event, leaf, &evidence, |_| None)?;
        let certified = issuance
            .certified(&event, entry.leaf_index, |spki| history.key(spki))
            .map_err(|source| BundleError::Recorded {
                sequence: event.sequence,
                source: Box::new(source),
            })?;
        latest = certified.map(|tbs| (tbs, event.time_ms / 1000)).or(latest);
    }
    let identity = history.identity().cloned().ok_or(BundleError::OtherHead)?;
    if head != identity.proven_head() {
        return Err(BundleError::OtherHead);
    }
    let not_after = certificate(trust, bundle, &identity, latest.as_ref())?;
    Ok(ProvenIdentity { identity, size, events: count, not_after })
}

pub(crate) fn fixed(part: &'static str, blob: &Blob) -> Result<[u8; 32], BundleError> {
    let found = blob.0.len();
    blob.0.as_slice().try_into().map_err(|_| BundleError::Length { part, found })
}

fn installation(trust: &TrustFile, bundle: &Bundle) -> Result<Installation, BundleError> {
    let genesis = Event::from_canonical(&bundle.genesis.0)?;
    let (expected, found) = (trust.genesis(), genesis.hash());
    if expected != found {
        return Err(BundleError::Genesis { expected, found });
    }
    Ok(Installation::from_genesis(&genesis)?)
}

/// The head, proven by the map whose root is the checkpoint's last leaf.
fn head(bundle: &Bundle, size: u64, root: Hash32, blinded: &Hash32) -> Result<Head, BundleError> {
    let proof = |what: &str| {
        let what = what.to_owned();
        move |source| BundleError::Proof { what, source }
    };
    let map_leaf = Leaf::from_canonical(&bundle.map_leaf.0)?;
    if map_leaf.kind != LeafKind::MapRoot || size == 0 {
        return Err(BundleError::MapLeaf);
    }
    check_inclusion(&bundle.map_leaf_proof, size, root, size - 1, map_leaf.leaf_hash())
        .map_err(proof("the map's root is not in the checkpoint"))?;
    let head = Head::from_canonical(&bundle.head.0)?;
    let value = MapProof::from_bytes(&bundle.map_proof.0)
        .and_then(|map| map.check(map_leaf.commitment, blinded))
        .map_err(proof("the head is not in the map"))?;
    let expected = head.hash();
    if value != Some(expected) {
        let found = value.map_or_else(|| "nothing".to_owned(), |value| value.to_string());
        return Err(BundleError::Head { expected, found });
    }
    Ok(head)
}

/// One event, committed to by a leaf in the checkpoint; with its leaf hash.
fn event(
    entry: &BundleEvent,
    size: u64,
    root: Hash32,
    blinding_key: &[u8; 32],
    uid: &UserId,
) -> Result<(Event, Hash32), BundleError> {
    let event = Event::from_canonical(&entry.event.0)?;
    let leaf = Leaf::from_canonical(&entry.leaf.0)?;
    let sequence = event.sequence;
    let commits = leaf.kind == LeafKind::Event
        && leaf.engine == event.engine
        && leaf.blinded_id == blinded_id(blinding_key, uid)
        && leaf.commitment == commitment(&fixed("salt", &entry.salt)?, &entry.event.0);
    if !commits || entry.evidence.len() != event.evidence.len() {
        return Err(BundleError::Leaf { sequence });
    }
    let hash = leaf.leaf_hash();
    check_inclusion(&entry.proof, size, root, entry.leaf_index, hash).map_err(|source| {
        BundleError::Proof { what: format!("event {sequence} is not in the log"), source }
    })?;
    Ok((event, hash))
}

/// The certificate is the one that the latest certifying event calls for, signed, and has a path to
/// the trust file's root at the event's time. Returns its notAfter.
fn certificate(
    trust: &TrustFile,
    bundle: &Bundle,
    identity: &Identity,
    latest: Option<&(x509::Linted, u64)>,
) -> Result<Option<u64>, BundleError> {
    let (Some(key), Some((tbs, at))) = (identity.key, latest) else {
        return if bundle.certificate.is_none() { Ok(None) } else { Err(BundleError::Certificate) };
    };
    let der = bundle.certificate.as_ref().ok_or(BundleError::Certificate)?;
    let certificate = x509::Certificate::parse(&der.0).map_err(|_| BundleError::Certificate)?;
    let fits =
        certificate.tbs_der() == tbs.tbs_der() && Hash32::of(certificate.spki_der()) == key.spki;
    if !fits {
        return Err(BundleError::Certificate);
    }
    let read = |der: &[u8]| {
        path::Certificate::from_der(der).map_err(|error| BundleError::Chain(error.to_string()))
    };
    let chain = bundle.chain.iter().map(|blob| read(&blob.0)).collect::<Result<Vec<_>, _>>()?;
    let at = i64::try_from(*at).unwrap_or(i64::MAX);
    let options =
        path::Options::at(at).profile(path::Profile::Strict).purpose(path::Purpose::Email);
    let roots = [read(trust.root())?];
    let given = path::Given { roots: &roots, untrusted: &chain, ..path::Given::default() };
    let report = path::verify(&read(&der.0)?, &given, &options);
    match report.failure() {
        None if report.is_valid() => Ok(Some(certificate.not_after())),
        None => Err(BundleError::Chain("no path was found".to_owned())),
        Some(failure) => Err(BundleError::Chain(failure.to_string())),
    }
}
