//! What a crash, a failed token or a lost connection left unfinished is taken up again.
//!
//! The record is no oracle: from evidence alone every event of the identity is decided again, the
//! leaf and the TBS are built again, and what differs from the record is never signed. What agrees
//! goes on with the same steps as a fresh request.

use std::sync::Arc;

use evidence::{History, HistoryError, issuance};
use wire::event::Certified;
use wire::{Encoded, Hash32, UserId};

use crate::authority::{Authority, Fatal};
use crate::certificates::{Desk, ToSign};
use crate::store::rows::{EventRow, Unfinished};
use crate::store::{StoreError, Wanted};
use crate::walk::{self, Recorded, TreeHead};

/// Recorded events taken up at once.
const BATCH: u32 = 64;

/// Why a recorded event is not signed.
#[derive(Debug, thiserror::Error)]
enum Difference {
    #[error("the identity has no such event, or no certificate follows from it")]
    Missing,
    #[error("its leaf does not commit to it")]
    Leaf,
    #[error("the officers declared it, or what it follows from, dead")]
    Struck,
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error(transparent)]
    Built(#[from] issuance::Difference),
    #[error("clients would refuse the certificate: {0}")]
    Unfit(#[from] path::Unfit),
}

/// Finishes what is unfinished, whenever there is something.
///
/// # Errors
/// [`Fatal`] when the store is not whole.
pub(crate) async fn run(authority: Arc<Authority>) -> Result<(), Fatal> {
    loop {
        tokio::select! {
            () = authority.unfinished() => {}
            () = authority.stopping().cancelled() => return Ok(()),
        }
        for delay in authority.retry_delays() {
            match finish(&authority).await {
                Ok(0) => {
                    // What a broken walk left may have revoked: its CRL waits for nobody's turn.
                    let crls = Arc::clone(&authority);
                    tokio::spawn(async move { crls.refresh_crls().await });
                    break;
                }
                Ok(_) => {}
                Err(Fatal::Store(StoreError::Engine(error))) => {
                    tracing::warn!(%error, "the database is not there to finish from");
                }
                Err(fatal) => return Err(fatal),
            }
            authority.pause(delay).await?;
        }
    }
}

/// Goes through all that is unfinished once; returns how much of it still waits for the token.
/// Leaves that no signed checkpoint covers yet are covered by the end.
async fn finish(authority: &Arc<Authority>) -> Result<usize, Fatal> {
    let (mut after, mut waiting) = (None, 0);
    // What is recorded from here on is on its walk, and so is what the walk does not know of yet.
    let known = authority.tree_head().size();
    if authority.cosigning().is_on() {
        // Nobody waits for an answer here, so there is no deadline: what is unfinished is taken up
        // when the quorum is there, however long it is away.
        if finish_group(authority, Vec::new()).await? > 0 {
            return Ok(1);
        }
        // What a broken walk revoked is in a signed checkpoint now, and waits for no quorum.
        let crls = Arc::clone(authority);
        tokio::spawn(async move { crls.refresh_crls().await });
        tokio::select! {
            _ = authority.cosigning().until(known) => {}
            // Another walk broke off: perhaps its suspension is in no signed checkpoint yet.
            () = authority.unfinished() => return Ok(1),
            () = authority.stopping().cancelled() => return Err(Fatal::Cancelled),
        }
    }
    loop {
        let mut batch = authority.store().unfinished(after, BATCH).await?;
        batch.retain(|entry| entry.leaf_index < known);
        let Some(last) = batch.last().map(|entry| entry.leaf_index) else {
            let covered = authority.store().checkpoint(None).await?.map_or(0, |row| row.size);
            if covered < authority.store().edge().await?.size() {
                waiting += finish_group(authority, Vec::new()).await?;
            }
            return Ok(waiting);
        };
        after = Some(last);
        // What waits for operators is taken up when they open the token.
        let locked = locked(authority);
        batch.retain(|entry| Some(entry.issuer) != locked);
        if batch.is_empty() {
            continue;
        }
        let mut recorded = Vec::with_capacity(batch.len());
        for entry in &batch {
            match reopen(authority, entry).await? {
                Ok(again) => recorded.push(again),
                Err(difference) => authority.alarm(format!(
                    "leaf {} is recorded but will not be signed: {difference}",
                    entry.leaf_index
                )),
            }
        }
        waiting += finish_group(authority, recorded).await?;
    }
}

/// SHA-256 of the issuing key that does not sign before operators open its token.
fn locked(authority: &Authority) -> Option<Hash32> {
    let certificates = authority.certificates();
    let mut desks = certificates.desks();
    desks.find(|desk| authority.is_locked(desk.purpose())).map(Desk::hash)
}

/// Lets a group go the rest of its walk; returns how much of it still waits for the token.
async fn finish_group(authority: &Arc<Authority>, recorded: Vec<Recorded>) -> Result<usize, Fatal> {
    let count = recorded.len();
    // Not the edge that the database has now: the log as this authority left it.
    let head = authority.tree_head();
    let recorded = in_the_log(authority, head, recorded).await?;
    let Some(logged) = walk::log(authority, head, recorded).await else {
        return Ok(count.max(1));
    };
    let signed = match walk::cosign(authority, logged).await {
        Ok(cosigned) => walk::sign(authority, cosigned).await,
        Err(logged_only) => {
            walk::publish(authority, logged_only).await;
            return Ok(count.max(1));
        }
    };
    let waiting = signed.waiting();
    walk::publish(authority, signed).await;
    Ok(waiting)
}

/// Keeps what is in the log. The event's row says what its leaf would be; the tree says what is.
async fn in_the_log(
    authority: &Authority,
    head: TreeHead,
    recorded: Vec<Recorded>,
) -> Result<Vec<Recorded>, Fatal> {
    let mut kept = Vec::with_capacity(recorded.len());
    for entry in recorded {
        let (index, leaf_hash) = entry.leaf();
        let indexes = tlog::proof::inclusion_indexes(head.size(), index);
        let stored = authority.store().stored_hashes(&indexes).await?;
        let hashes = stored.into_iter().map(|stored| (stored.index, stored.hash)).collect();
        if head.holds(index, leaf_hash, &hashes) {
            kept.push(entry);
        } else {
            authority.alarm(format!("leaf {index} will not be signed: it is not in the log"));
        }
    }
    Ok(kept)
}

/// Decides and builds a recorded event again.
async fn reopen(
    authority: &Authority,
    entry: &Unfinished,
) -> Result<Result<Recorded, Difference>, Fatal> {
    let store = authority.store();
    let events = store.events_of(&entry.uid).await?;
    let keys = events
        .iter()
        .filter_map(|row| Certified::from_canonical(row.event.body.as_bytes()).ok())
        .map(|certified| certified.spki)
        .collect();
    let books = store.books(&Wanted { keys, ..Wanted::default() }).await?;
    let owner = |key: Hash32| books.keys.get(&key).map(|row| row.uid.clone());
    Ok(replay(authority, &entry.uid, &events, entry.leaf_index, owner))
}

/// Replays an identity's events up to one leaf, and builds what that leaf calls for.
fn replay(
    authority: &Authority,
    uid: &UserId,
    events: &[EventRow],
    leaf_index: u64,
    owner: impl Fn(Hash32) -> Option<UserId>,
) -> Result<Recorded, Difference> {
    let timeline = authority.timeline();
    let blinding_key = authority.heads().blinding_key(uid);
    let mut history = History::new(uid.clone());
    for row_of_event in events {
        let EventRow { leaf, salt, event, evidence, .. } = row_of_event;
        if walk::leaf_of(event, &blinding_key, salt) != *leaf {
            return Err(Difference::Leaf);
        }
        let others = |key| owner(key).filter(|by| by != uid);
        let era = timeline.at(row_of_event.leaf_index);
        history.apply(era, event, leaf.leaf_hash(), evidence, others)?;
        if timeline.current().installation().is_struck(leaf.leaf_hash()) {
            return Err(Difference::Struck);
        }
        if row_of_event.leaf_index == leaf_index {
            let after = history.identity();
            let issuance = era.issuance();
            let tbs = issuance.certified(event, leaf_index, after, |spki| history.key(spki))?;
            let tbs = tbs.ok_or(Difference::Missing)?;
            let (validator, by) = (authority.certificates(), issuance.ca(event.kind).purpose());
            validator.validator().leaf(by, tbs.tbs_der(), event.time_ms / 1000)?;
            let to_sign = ToSign::new(tbs, by);
            return Ok(Recorded::reopened(leaf_index, leaf.leaf_hash(), to_sign));
        }
    }
    Err(Difference::Missing)
}
