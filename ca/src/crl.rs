//! CRLs (RFC 5280 section 5): made ahead, stored, and served from the store.
//!
//! A CRL holds what the CRL before it held, whose signature is verified, and what the log revokes
//! since then (`crl/proven.rs`). Rows of certificates add nothing to it and take nothing from it;
//! where they say something else, that is named.

mod proven;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use wire::SerialNumber;
use x509::Reason;

use crate::authority::{Authority, Fatal};
use crate::store::StoreError;
use crate::store::rows::CrlRow;
use proven::Entry;

pub(crate) use proven::{ProofError, Revocation, Revocations};

/// A CRL's number is the size of the log that it covers, and below that so many bits to tell those
/// of one size apart: the signature vouches for the size. A log in which nothing happens has a
/// million of each; at two an hour that is sixty years.
const COUNTER_BITS: u32 = 20;

/// Asks for CRLs that cover every revocation so far; told when they are stored.
#[derive(Debug)]
pub(crate) struct Refresh(oneshot::Sender<()>);

/// Asks for fresh CRLs and waits for them at most `patience`.
pub(crate) async fn refresh(queue: &mpsc::Sender<Refresh>, patience: Duration) {
    let (done, made) = oneshot::channel();
    let waiting = async {
        if queue.send(Refresh(done)).await.is_ok() {
            let _ = made.await;
        }
    };
    if tokio::time::timeout(patience, waiting).await.is_err() {
        tracing::warn!("a revocation is recorded; its CRL follows when the token signs it");
    }
}

/// Keeps every shard's CRL fresh: at the start, when half of its time is over, and when asked.
///
/// # Errors
/// When the authority is to stop.
pub(crate) async fn run(
    authority: Arc<Authority>,
    mut refreshes: mpsc::Receiver<Refresh>,
) -> Result<(), Fatal> {
    let (mut asked, mut shards): (Vec<Refresh>, Vec<Shard>) = Default::default();
    loop {
        for delay in authority.retry_delays() {
            match make_due(&authority, &mut shards).await {
                Ok(()) => break,
                Err(CrlError::Store(StoreError::Engine(error))) => {
                    tracing::warn!(%error, "CRLs wait for the database");
                }
                Err(CrlError::Sign(error)) => tracing::warn!(%error, "CRLs wait for the token"),
                Err(error) => {
                    authority.alarm(format!("no CRL is signed: {error}"));
                    // Whoever waits for one is not told that it is there.
                    asked.clear();
                    break;
                }
            }
            authority.pause(delay).await?;
        }
        asked.drain(..).for_each(|Refresh(done)| {
            let _ = done.send(());
        });
        let interval = match authority.clock().test_file() {
            None => Duration::from_secs(max_age(&authority) / 8).min(Duration::from_secs(600)),
            // Somebody moves the clock by days at once.
            Some(_) => Duration::from_secs(1),
        };
        tokio::select! {
            received = refreshes.recv_many(&mut asked, 64) => {
                if received == 0 {
                    return Ok(());
                }
            }
            () = tokio::time::sleep(interval) => {}
            () = authority.stopping().cancelled() => return Ok(()),
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum CrlError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Proof(ProofError),
    #[error("{0}")]
    Sign(String),
    #[error("CRL {number} of shard {shard} would say that it covers more than {size} leaves")]
    Number { shard: u32, number: u64, size: u64 },
}

impl From<ProofError> for CrlError {
    fn from(error: ProofError) -> Self {
        match error {
            ProofError::Store(error) => Self::Store(error),
            error => Self::Proof(error),
        }
    }
}

fn max_age(authority: &Authority) -> u64 {
    authority.installation().rules().max_status_age
}

/// A shard's latest CRL.
#[derive(Debug, Clone, Copy)]
struct Shard {
    number: u64,
    /// Leaves of the log that it covers.
    size: u64,
    this_update: u64,
    next_update: u64,
}

impl Shard {
    /// There is no CRL: nothing of the shard was revoked before it began.
    fn none(authority: &Authority, shard: u32) -> Self {
        let size = authority.certificates().first_leaf(shard);
        Self { number: 0, size, this_update: 0, next_update: 0 }
    }
}

/// The stored CRL of a shard, if it is one that this issuer signed for it.
async fn stored(
    authority: &Authority,
    shard: u32,
) -> Result<Option<(Shard, x509::Crl)>, StoreError> {
    let row = authority.store().crl(authority.certificates().issuer(), shard).await?;
    Ok(row.and_then(|row| read(authority, shard, &row)))
}

/// A stored CRL, if it is one that this issuer signed for the shard.
fn read(authority: &Authority, shard: u32, row: &CrlRow) -> Option<(Shard, x509::Crl)> {
    let certificates = authority.certificates();
    let read = certificates.read_crl(&row.crl, shard).and_then(|crl| {
        let number = crl.number().and_then(|number| u64::try_from(number).ok());
        let number = number.ok_or_else(|| "its number is not one of ours".to_owned())?;
        let size = (number >> COUNTER_BITS).max(certificates.first_leaf(shard));
        let next_update = crl.next_update().unwrap_or_default();
        Ok((Shard { number, size, this_update: crl.this_update(), next_update }, crl))
    });
    read.map_err(|reason| {
        authority.alarm(format!("the stored CRL of shard {shard} is not ours: {reason}"));
    })
    .ok()
}

/// Makes every CRL that is missing, half through its time, or behind a revocation.
async fn make_due(authority: &Authority, shards: &mut Vec<Shard>) -> Result<(), CrlError> {
    let (store, heads) = (authority.store(), authority.heads());
    let certificates = authority.certificates();
    let count = certificates.shards(authority.tree_head().size());
    for shard in u32::try_from(shards.len()).unwrap_or(count)..count {
        let found = stored(authority, shard).await?.map(|(found, _)| found);
        shards.push(found.unwrap_or_else(|| Shard::none(authority, shard)));
    }
    let from = shards.iter().map(|shard| shard.size).min().unwrap_or_default();
    let head = || authority.tree_head();
    let (_, entries) = authority.revocations().from(store, heads, from, head).await?;
    let behind: HashSet<u32> = entries
        .iter()
        .map(|entry| (certificates.shard(&entry.serial), entry.by))
        .filter(|(n, by)| shards.get(*n as usize).is_some_and(|shard| *by >= shard.size))
        .map(|(n, _)| n)
        .collect();
    for (n, shard) in (0..).zip(shards.iter_mut()) {
        let now = authority.clock().now_ms() / 1000;
        if shard.next_update != 0 {
            authority.metrics().crl(n, shard.this_update, shard.next_update);
        }
        // A CRL of before the policy was tightened counts for less than it says.
        let half = max_age(authority) / 2;
        let old = shard.next_update.min(shard.this_update + max_age(authority)) <= now + half;
        if old || behind.contains(&n) {
            *shard = make(authority, n, *shard, now).await?;
        }
    }
    authority.revocations().forget_before(shards.iter().map(|shard| shard.size).min().unwrap_or(0));
    Ok(())
}

async fn make(
    authority: &Authority,
    shard: u32,
    known: Shard,
    now: u64,
) -> Result<Shard, CrlError> {
    let (store, heads) = (authority.store(), authority.heads());
    let (certificates, revocations) = (authority.certificates(), authority.revocations());
    let there = authority.store().crl(certificates.issuer(), shard).await?;
    let before = there.as_ref().and_then(|row| read(authority, shard, row));
    if before.as_ref().map_or(0, |(before, _)| before.number) < known.number {
        let number = known.number;
        authority.alarm(format!("the CRL {number} of shard {shard} is not the one stored"));
    }
    let from =
        before.as_ref().map_or(Shard::none(authority, shard).size, |(before, _)| before.size);
    let (to, entries) = revocations.from(store, heads, from, || authority.tree_head()).await?;
    let mut revoked: BTreeMap<[u8; 16], x509::Revoked> = BTreeMap::new();
    for (serial, at, reason) in before.iter().flat_map(|(_, crl)| crl.entries()) {
        // Serial numbers of ours have 16 octets, and the signature says that they are ours.
        let Ok(serial) = <[u8; 16]>::try_from(serial) else { continue };
        let reason = reason.unwrap_or(Reason::Unspecified);
        revoked.insert(serial, x509::Revoked { serial, at, reason });
    }
    for Entry { serial, at_ms, reason, .. } in entries {
        if certificates.shard(&serial) == shard {
            let (serial, at) = (*serial.as_bytes(), at_ms / 1000);
            let reason = Reason::from_code(reason.number()).unwrap_or(Reason::Unspecified);
            revoked.entry(serial).or_insert(x509::Revoked { serial, at, reason });
        }
    }
    // An entry stays until a CRL made after the certificate's expiry had it (section 3.3).
    let until = now.saturating_sub(2 * max_age(authority));
    let revoked = compared(authority, shard, to, until, revoked).await?;

    let number = known.number.max(before.map_or(0, |(before, _)| before.number)) + 1;
    let number = number.max(to << COUNTER_BITS);
    if number >> COUNTER_BITS != to {
        // It would claim to cover what was not read.
        return Err(CrlError::Number { shard, number, size: to });
    }
    let next_update = now + max_age(authority);
    let entries = revoked.len();
    let crl = certificates
        .crl(authority.hsm(), shard, number, now, next_update, revoked)
        .await
        .map_err(CrlError::Sign)?;
    let issuer = certificates.issuer();
    let row = CrlRow { issuer, shard, number, size: to, next_update, crl };
    let instead_of = there.as_ref().map(|row| row.crl.as_slice());
    if !store.put_crl(&row, instead_of).await? {
        authority
            .alarm(format!("the store has a CRL of shard {shard} with a number over {number}"));
        return Ok(known);
    }
    authority.metrics().crl(shard, now, next_update);
    tracing::info!(shard, number, entries, "made a CRL");
    Ok(Shard { number, size: to, this_update: now, next_update })
}

/// What the CRL has to hold, without what certainly expired; names the rows that say otherwise.
async fn compared(
    authority: &Authority,
    shard: u32,
    to: u64,
    until: u64,
    revoked: BTreeMap<[u8; 16], x509::Revoked>,
) -> Result<Vec<x509::Revoked>, CrlError> {
    let (store, heads) = (authority.store(), authority.heads());
    let rows = match store.revoked(authority.certificates().issuer(), shard, until).await {
        Err(StoreError::Corrupt { reason, .. }) => {
            let what = format!("rows of certificates in CRL shard {shard} are damaged: {reason}");
            authority.alarm(what);
            return Ok(revoked.into_values().collect());
        }
        rows => rows?,
    };
    // Rows of revocations that are recorded since are compared next time.
    let rows = rows.into_iter().filter(|row| row.leaf_index < to);
    let mut rows: HashMap<[u8; 16], _> = rows.map(|row| (*row.serial.as_bytes(), row)).collect();
    let mut kept = Vec::with_capacity(revoked.len());
    for (octets, entry) in revoked {
        let named = hex::encode(octets);
        match rows.remove(&octets) {
            Some(row) => {
                let reason = Reason::from_code(row.reason.number());
                if (row.at_ms / 1000, reason) != (entry.at, Some(entry.reason)) {
                    authority.alarm(format!(
                        "the row of certificate {named} says that it was revoked at {} s since \
                         1970 ({}); the log says at {} s ({:?}), and so does the CRL",
                        row.at_ms / 1000,
                        row.reason.name(),
                        entry.at,
                        entry.reason
                    ));
                }
            }
            None => {
                let Some(serial) = SerialNumber::from_slice(&octets) else { continue };
                let head = authority.tree_head();
                if proven::not_after(store, heads, &serial, head).await? < until {
                    continue;
                }
                authority.alarm(format!(
                    "the row of certificate {named} does not say that it is revoked; the log does, \
                     and so does the CRL"
                ));
            }
        }
        kept.push(entry);
    }
    for serial in rows.into_keys() {
        let named = hex::encode(serial);
        authority.alarm(format!(
            "the row of certificate {named} says that it is revoked; no event in the log did that, \
             and the CRL does not have it"
        ));
    }
    Ok(kept)
}
