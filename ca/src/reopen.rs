//! What a crash, a failed token or a lost connection left unfinished is taken up again.
//!
//! The record is no oracle: from evidence alone every event of the identity is decided again, the
//! leaf and the TBS are built again, and what differs from the record is never signed. What agrees
//! goes on with the same steps as a fresh request.

use std::sync::Arc;

use policy::{Identity, KeyUse, ReplayError, State, Time};
use wire::event::{Certified, EventKind};
use wire::{Encoded, FormatError, Hash32, SerialNumber, UserId};

use crate::authority::{Authority, Fatal};
use crate::dossier;
use crate::store::rows::{EventRow, IdentityRow, Unfinished};
use crate::store::{StoreError, Wanted};
use crate::walk::{self, Checkpoint, Recorded};

/// Recorded events taken up at once.
const BATCH: u32 = 64;

/// Why a recorded event is not signed.
#[derive(Debug, thiserror::Error)]
enum Difference {
    #[error("the identity has no such event")]
    Missing,
    #[error("its leaf does not commit to it")]
    Leaf,
    #[error("its evidence does not hold: {0}")]
    Evidence(String),
    #[error("{0}")]
    Replay(#[from] ReplayError),
    #[error("{0}")]
    Format(#[from] FormatError),
    #[error("its {0} is not what it would be")]
    Built(&'static str),
    #[error("the certificate cannot be built: {0}")]
    Certificate(String),
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
                Ok(0) => break,
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
async fn finish(authority: &Authority) -> Result<usize, Fatal> {
    let (mut after, mut waiting) = (None, 0);
    loop {
        let batch = authority.store().unfinished(after, BATCH).await?;
        let Some(last) = batch.last() else { return Ok(waiting) };
        after = Some(last.leaf_index);
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
        let checkpoint = Checkpoint::of_edge(&authority.store().edge().await?);
        let count = recorded.len();
        let logged = walk::log(checkpoint, recorded)?;
        let signed = walk::sign(authority, logged).await;
        waiting += count - signed.len();
        walk::publish(authority, signed).await;
    }
}

/// Decides and builds a recorded event again.
async fn reopen(
    authority: &Authority,
    entry: &Unfinished,
) -> Result<Result<Recorded, Difference>, Fatal> {
    let store = authority.store();
    let (events, row) = (store.events_of(&entry.uid).await?, store.identity(&entry.uid).await?);
    let Some(row) = row else { return Ok(Err(Difference::Missing)) };
    let mut keys = Vec::new();
    for event in &events {
        keys.extend(Certified::from_canonical(event.event.body.as_bytes()).ok().map(|c| c.spki));
    }
    let books = store.books(&Wanted { keys, ..Wanted::default() }).await?;
    let owner = |key: Hash32| books.keys.get(&key);
    Ok(replay(authority, &row, &events, entry.leaf_index, &owner))
}

/// Replays an identity's events up to one leaf, and builds what that leaf calls for.
fn replay<'a>(
    authority: &Authority,
    row: &IdentityRow,
    events: &[EventRow],
    leaf_index: u64,
    owner: &impl Fn(Hash32) -> Option<&'a crate::store::rows::KeyRow>,
) -> Result<Recorded, Difference> {
    let uid = &row.identity.uid;
    let mut identity: Option<Identity> = None;
    for event in events {
        let again = walk::leaf_of(&event.event, &row.blinding_key, &event.salt);
        if again != event.leaf || event.event.subject.as_ref() != Some(uid) {
            return Err(Difference::Leaf);
        }
        let leaf_hash = event.leaf.leaf_hash();
        let (next, csr) = step(authority, uid, identity, event, leaf_hash, owner)?;
        if event.leaf_index == leaf_index {
            let csr = csr.ok_or(Difference::Built("kind"))?;
            let tbs = build(authority, uid, event, &csr)?;
            return Ok(Recorded::reopened(leaf_index, leaf_hash, tbs));
        }
        identity = Some(next);
    }
    Err(Difference::Missing)
}

/// One event applied to the identity before it.
fn step<'a>(
    authority: &Authority,
    uid: &UserId,
    identity: Option<Identity>,
    row: &EventRow,
    leaf_hash: Hash32,
    owner: &impl Fn(Hash32) -> Option<&'a crate::store::rows::KeyRow>,
) -> Result<(Identity, Option<x509::Csr>), Difference> {
    let evidence = |e: String| Difference::Evidence(e);
    let installation = authority.installation();
    let spki_of = |hash: Hash32| owner(hash).map(|key| key.spki.clone());
    let intent = row.event.intent.as_ref().map(|intent| intent.as_bytes());
    let key_rules = authority.certificates().key_rules();
    let csr = dossier::csr(&row.evidence, key_rules).map_err(|e| evidence(e.to_string()))?;
    let facts = dossier::facts(installation, csr.as_ref(), intent, &row.evidence, &spki_of)
        .map_err(|problem| evidence(problem.detail))?;
    let spki = match (&csr, identity.as_ref().and_then(|i| i.key)) {
        (Some(csr), _) => csr.spki_hash(),
        (None, Some(key)) => key.spki,
        (None, None) => return Err(Difference::Built("key")),
    };
    let key_use = match owner(spki) {
        Some(key) if key.uid != *uid => KeyUse::Known { by: key.uid.clone() },
        Some(key) if identity.is_some() => KeyUse::Known { by: key.uid.clone() },
        _ => KeyUse::Unknown,
    };
    let state = State { installation, identity, key_use };
    let time = Time::at_ms(row.event.time_ms);
    let request = csr.as_ref().map(x509::Csr::hash);
    let next = policy::apply(&state, &row.event, leaf_hash, &facts, request, spki, time)?;
    Ok((next, csr))
}

/// The TBS that an event calls for, if it is the one that was recorded.
fn build(
    authority: &Authority,
    uid: &UserId,
    row: &EventRow,
    csr: &x509::Csr,
) -> Result<x509::Linted, Difference> {
    debug_assert_ne!(row.event.kind, EventKind::Revoke);
    let body = Certified::from_canonical(row.event.body.as_bytes())?;
    let serial = SerialNumber::from_slice(body.serial.as_bytes())
        .filter(|serial| serial.leaf_index() == row.leaf_index)
        .filter(|serial| serial.log_number() == authority.installation().log_number())
        .ok_or(Difference::Built("serial number"))?;
    if body.issuer != authority.certificates().issuer() {
        return Err(Difference::Built("issuer"));
    }
    let tbs = authority
        .certificates()
        .leaf(csr.key(), uid, serial, row.event.time_ms)
        .map_err(Difference::Certificate)?;
    if Hash32::of(tbs.tbs_der()) != body.tbs {
        return Err(Difference::Built("TBSCertificate"));
    }
    Ok(tbs)
}
