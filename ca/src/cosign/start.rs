//! Anti-rollback: before it serves, an authority shows its log to its co-signers. Whoever begins
//! again from an old database finds that they have seen more; whoever begins from another one, that
//! they have seen something else.

use std::sync::Arc;
use std::time::Instant;

use futures::future::join_all;
use tlog::Edge;
use tlog::note::SignedCheckpoint;
use tlog::quorum::PolicyError;

use super::book::Offer;
use super::client::{Asked, Fault, advance};
use super::feed::Hand;
use super::{Cosigning, WhenUnreachable};
use crate::store::rows::{CheckpointRow, Publication};
use crate::store::{Store, StoreError};
use crate::walk::Log;

/// Rows read of each co-signer: where late ones are many, the newest that the quorum vouched for
/// may be some behind.
const ROWS: u32 = 64;

/// Where the way out is described.
const RUNBOOK: &str = "docs/failure-scenarios.md, «The co-signers have seen more»";

/// Why an authority does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The installation's co-signers make no quorum.
    #[error("the installation's co-signers: {0}")]
    Quorum(#[from] PolicyError),
    /// The database is old, or another one.
    #[error(
        "the co-signer {name} does not go on with this log of {size} leaves: {reason}. The \
         database is an old one, or not the one that this installation went on with; nothing was \
         changed. See {RUNBOOK}"
    )]
    Rollback {
        /// Which co-signer.
        name: String,
        /// Leaves in the database.
        size: u64,
        /// What it said.
        reason: String,
    },
    /// Too few answer.
    #[error(
        "the co-signers do not say that this log of {size} leaves is the newest: {missing}. \
         `cosigning.when_unreachable = \"run\"` starts without their word. See {RUNBOOK}"
    )]
    Unconfirmed {
        /// Leaves in the database.
        size: u64,
        /// What is missing, in words.
        missing: String,
    },
    /// Stored co-signatures over something else.
    #[error(
        "the database has a co-signed checkpoint of {size} leaves which this log does not \
         continue. See {RUNBOOK}"
    )]
    Altered {
        /// Its leaves.
        size: u64,
    },
}

/// Takes up what co-signers said before, as far as it is stored. No row is believed that its
/// signatures do not bear out.
///
/// # Errors
/// The store failed, or this log does not continue what was co-signed.
pub(crate) async fn load(
    cosigning: &Cosigning,
    store: &dyn Store,
    log: &Log,
) -> Result<(), StartError> {
    let keys: Vec<_> = {
        let book = cosigning.lock();
        book.members().iter().map(|member| (member.id, member.key.clone())).collect()
    };
    for (id, key) in keys {
        for row in store.cosigned_latest(id, ROWS).await? {
            let Ok(signed) = SignedCheckpoint::open(&row.note, log.key()) else { continue };
            let checkpoint = signed.checkpoint();
            let size = checkpoint.size();
            let Some(offer) = Offer::of(CheckpointRow { size: row.size, note: row.note.clone() })
            else {
                continue;
            };
            let line = format!("{}\n{}\n", signed.note().text(), row.latest.line);
            let note = tlog::note::Note::parse(&line);
            let time = note.ok().and_then(|note| key.time_in(&note).ok().flatten());
            if size != row.size || time != Some(row.latest.time) {
                tracing::warn!(size, "a stored co-signature does not hold; it is left out");
                continue;
            }
            let stored = store.stored_hashes(&Edge::indexes(size)).await?;
            let root = Edge::load(size, &stored).ok().map(|edge| edge.root());
            if root != Some(checkpoint.root()) {
                return Err(StartError::Altered { size });
            }
            cosigning.with(|book| book.remember(&Arc::new(offer), row));
        }
    }
    Ok(())
}

/// Shows the log's newest checkpoint to every co-signer.
///
/// # Errors
/// One of them has seen more, or something else; or too few answer and that is not allowed.
pub(crate) async fn start(
    cosigning: &Cosigning,
    store: &dyn Store,
    row: &CheckpointRow,
    hand: Hand<'_>,
) -> Result<(), StartError> {
    if !cosigning.is_on() {
        return Ok(());
    }
    cosigning.offer(row);
    let (size, deadline) = (row.size, cosigning.settings.deadline);
    let questions = {
        let mut book = cosigning.lock();
        book.next_round(Instant::now(), deadline);
        // Also of those who co-signed this very size: their word may be older than the database.
        book.everybody()
    };
    let answers = questions.into_iter().map(|question| async move {
        let asked = Asked {
            kind: question.kind,
            key: &question.key,
            known: question.known,
            offer: &question.offer,
            log_size: size,
            hand,
        };
        let outcome = advance(&question.peer, store, asked, deadline).await;
        (question, outcome)
    });
    let mut said = Vec::new();
    for (question, outcome) in join_all(answers).await {
        match outcome {
            Ok(word) => {
                said.push(question.id);
                let now = Instant::now();
                cosigning.with(|book| book.cosigned(question.id, &question.offer, word, now));
            }
            Err(fault) if fault.is_fork() => {
                let name = question.peer.name().to_owned();
                return Err(StartError::Rollback { name, size, reason: fault.to_string() });
            }
            Err(Fault::Store(error)) => return Err(error.into()),
            // It has seen nothing else than this log, and the officers can strike only while the
            // authority runs.
            Err(fault @ Fault::Unlawful(_)) => {
                said.push(question.id);
                tracing::error!(cosigner = question.peer.name(), %fault, "not co-signed");
                cosigning.with(|book| book.failed(question.id, &fault, Instant::now()));
            }
            Err(fault) => {
                tracing::warn!(cosigner = question.peer.name(), %fault, "not asked at the start");
                cosigning.with(|book| book.failed(question.id, &fault, Instant::now()));
            }
        }
    }
    let missing = cosigning.lock().missing_of(&said);
    match missing {
        Some(missing) if cosigning.settings.when_unreachable == WhenUnreachable::Stop => {
            return Err(StartError::Unconfirmed { size, missing });
        }
        Some(missing) => {
            tracing::warn!(
                size,
                missing,
                "started without the quorum's word that this is the newest log"
            );
        }
        None => {}
    }
    let (checkpoints, cosignatures) = cosigning.lock().take_unstored();
    let publication = Publication { checkpoints, cosignatures, ..Publication::default() };
    store.publish(&publication).await?;
    Ok(())
}
