//! The successor of a trust file: what it may say follows from the installation's events, under a
//! checkpoint that the file before it believes.
//!
//! A signature by the log's key alone would let whoever holds the authority's host and its HSM hand
//! out a trust file without auditors. What changes a quorum is a `cosigners-change`: signed by the
//! threshold of officers, waited for where it loosens something, in the log, and in a checkpoint
//! that the co-signers before it vouched for. So that is the proof, and nobody signs anything more.

use policy::Installation;
use std::sync::Arc;
use tlog::quorum::{PolicyError, Quorum};
use wire::Hash32;
use wire::bundle::{Bundle, Succession};
use wire::trust::{TrustError, TrustFile};

use super::{Stale, Trust, TrustFault};
use crate::bundle::{BundleError, map_root, timeline};

/// Why a trust file does not take the place of the one before it.
#[derive(Debug, thiserror::Error)]
pub enum SuccessionError {
    /// Not of the shape of a proof.
    #[error("not a trust file with its proof: {0}")]
    Shape(#[from] serde_json::Error),
    /// A version that this program does not know.
    #[error("the proof has version {0}; this program knows 1")]
    Version(u8),
    /// A trust file that cannot be read.
    #[error(transparent)]
    Trust(#[from] TrustFault),
    /// A part of the proof does not hold under the present trust file.
    #[error("under the present trust file: {0}")]
    Proof(#[from] BundleError),
    /// The installation's co-signers make no quorum.
    #[error("the installation's co-signers: {0}")]
    Quorum(#[from] PolicyError),
    /// The proof is from before what was seen of the log already.
    #[error(
        "the proof is of a log with {shown} leaves; {seen} were seen before: ask for a new one"
    )]
    Older {
        /// Leaves of the largest checkpoint seen.
        seen: u64,
        /// Leaves of the proof's.
        shown: u64,
    },
    /// It says something else than what follows.
    #[error(
        "the new trust file has fingerprint {found}; what the log proves makes one with {expected}"
    )]
    Differs {
        /// Fingerprint of what follows.
        expected: Hash32,
        /// Fingerprint of what came.
        found: Hash32,
    },
}

impl SuccessionError {
    /// The command line's exit code: 1 for files, else as for a bundle; 15 for one that says
    /// something else.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Shape(_) | Self::Version(_) | Self::Trust(_) => 1,
            Self::Proof(error) => error.exit_code(),
            Self::Quorum(_) | Self::Older { .. } | Self::Differs { .. } => 15,
        }
    }
}

impl From<TrustError> for SuccessionError {
    fn from(error: TrustError) -> Self {
        Self::Trust(error.into())
    }
}

impl From<Stale> for SuccessionError {
    fn from(stale: Stale) -> Self {
        Self::Proof(stale.into())
    }
}

/// The trust file of now, proven with anybody's bundle, for those who have the file before it;
/// `now` in seconds since 1970. None where nothing changed.
///
/// # Errors
/// See [`SuccessionError`].
pub fn succession(
    trust: &Trust,
    bundle: &Bundle,
    now: u64,
) -> Result<Option<Succession>, SuccessionError> {
    let mut succession = Succession {
        avouch_succession: 1,
        trust: String::new(),
        installation: bundle.installation.clone(),
        installation_proof: bundle.installation_proof.clone(),
        map_leaf: bundle.map_leaf.clone(),
        map_leaf_proof: bundle.map_leaf_proof.clone(),
        checkpoint: bundle.checkpoint.clone(),
    };
    let next = follows(trust, &succession, trust.file().server(), now)?;
    if next.fingerprint() == trust.file().fingerprint() {
        return Ok(None);
    }
    succession.trust = next.to_text();
    Ok(Some(succession))
}

/// The trust file that takes the place of this one, from the text of a [`Succession`]; `seen` is the
/// number of leaves of the largest checkpoint that was ever seen of the log, `now` in seconds since
/// 1970.
///
/// The proof has to be as fresh as a status: an old one could bring back a quorum that was changed
/// since, because one of its co-signers is not to be believed any more.
///
/// # Errors
/// See [`SuccessionError`].
pub fn successor(trust: &Trust, text: &str, seen: u64, now: u64) -> Result<Trust, SuccessionError> {
    let succession: Succession = serde_json::from_str(text)?;
    if succession.avouch_succession != 1 {
        return Err(SuccessionError::Version(succession.avouch_succession));
    }
    let next = Trust::parse(&succession.trust)?;
    let follows = follows(trust, &succession, next.file().server(), now)?;
    let shown = trust.open(&succession.checkpoint).map_err(BundleError::from)?.checkpoint().size();
    if shown < seen {
        return Err(SuccessionError::Older { seen, shown });
    }
    let (expected, found) = (follows.fingerprint(), next.file().fingerprint());
    if expected != found {
        return Err(SuccessionError::Differs { expected, found });
    }
    Ok(next)
}

/// The trust file that follows from a proof under this one.
fn follows(
    trust: &Trust,
    proof: &Succession,
    server: &str,
    now: u64,
) -> Result<TrustFile, SuccessionError> {
    let installation = installation(trust, proof, now)?;
    let file = trust.file();
    // A file from before there were co-signers says nothing of them while there are none.
    let quorum = if installation.cosigners().is_empty() && file.quorum().is_empty() {
        String::new()
    } else {
        Quorum::of(installation.cosigners())?.1
    };
    let next = TrustFile::new(
        file.realm().clone(),
        file.genesis(),
        file.root(),
        file.log().to_owned(),
        quorum,
        installation.rules().max_status_age,
        server.to_owned(),
    )?;
    Ok(match file.address_key() {
        Some(key) => next.with_address_key(key)?,
        None => next,
    })
}

/// The installation as of a checkpoint that the trust file believes.
fn installation(
    trust: &Trust,
    proof: &Succession,
    now: u64,
) -> Result<Arc<Installation>, BundleError> {
    let vouched = trust.open(&proof.checkpoint)?;
    let (size, root) = (vouched.checkpoint().size(), vouched.checkpoint().root());
    let map = map_root(&proof.map_leaf, &proof.map_leaf_proof, size, root)?;
    let events = &proof.installation;
    let timeline = timeline(trust, events, &proof.installation_proof, map, size, root)?;
    trust.fresh(vouched.as_of(), now)?;
    Ok(Arc::clone(timeline.current().installation()))
}
