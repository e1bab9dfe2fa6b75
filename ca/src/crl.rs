//! CRLs (RFC 5280 section 5): made ahead, stored, and served from the store.
//!
//! A CRL holds what the CRL before it held, whose signature is verified, and what the log revokes
//! since then (`crl/proven.rs`). Rows of certificates add nothing to it and take nothing from it;
//! where they say something else, that is named.
//!
//! Each issuer signs the CRLs of its own certificates. One whose token operators have locked signs
//! none meanwhile: its CRLs hold longer, and what is revoked since shows in the next.

mod proven;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use evidence::issuance::CRL_COUNTER_BITS;
use tokio::sync::{mpsc, oneshot};
use wire::genesis::KeyPurpose;
use wire::{Hash32, SerialNumber};
use x509::Reason;

use crate::authority::{Authority, Fatal};
use crate::certificates::Desk;
use crate::store::StoreError;
use crate::store::rows::CrlRow;
use crate::token::Token;
use proven::Entry;

pub(crate) use proven::{ProofError, Revocation, Revocations};

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
    let (mut asked, mut books): (Vec<Refresh>, Books) = Default::default();
    loop {
        let mut again = false;
        for delay in authority.retry_delays() {
            match make_due(&authority, &mut books).await {
                Ok(Made::All) => break,
                // Whoever asked waits for no token that the rest can do without.
                Ok(Made::AllButSwitches) => {
                    again = true;
                    break;
                }
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
        let interval = if again { interval.min(LOOK_AGAIN) } else { interval };
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

/// How soon a token of its own that failed is asked again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Which CRLs are as they are to be.
enum Made {
    All,
    /// The token that signs switches is open, and failed.
    AllButSwitches,
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

/// For how long a CRL of this issuer holds.
fn lifetime(authority: &Authority, desk: &Desk) -> u64 {
    let longer = match authority.switch_token() {
        Some(token) if desk.purpose() == KeyPurpose::SwitchIssuing => token.crl_lifetime(),
        _ => None,
    };
    max_age(authority).max(longer.unwrap_or_default())
}

/// The shards of each issuer, by SHA-256 of its key.
type Books = HashMap<Hash32, Vec<Shard>>;

/// A shard's latest CRL.
#[derive(Debug, Clone, Copy)]
struct Shard {
    /// Something was revoked since.
    behind: bool,
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
        Self { behind: false, number: 0, size, this_update: 0, next_update: 0 }
    }
}

/// The stored CRL of a shard, if it is one that this issuer signed for it.
async fn stored(
    authority: &Authority,
    desk: &Desk,
    shard: u32,
) -> Result<Option<(Shard, x509::Crl)>, StoreError> {
    let row = authority.store().crl(desk.hash(), shard).await?;
    Ok(row.and_then(|row| read(authority, desk, shard, &row)))
}

/// A stored CRL, if it is one that this issuer signed for the shard.
fn read(
    authority: &Authority,
    desk: &Desk,
    shard: u32,
    row: &CrlRow,
) -> Option<(Shard, x509::Crl)> {
    let certificates = authority.certificates();
    let read = certificates.read_crl(desk, &row.crl, shard).and_then(|crl| {
        let number = crl.number().and_then(|number| u64::try_from(number).ok());
        let number = number.ok_or_else(|| "its number is not one of ours".to_owned())?;
        let size = (number >> CRL_COUNTER_BITS).max(certificates.first_leaf(shard));
        let next_update = crl.next_update().unwrap_or_default();
        let this_update = crl.this_update();
        Ok((Shard { behind: false, number, size, this_update, next_update }, crl))
    });
    read.map_err(|reason| {
        authority.alarm(format!("the stored CRL of shard {shard} is not ours: {reason}"));
    })
    .ok()
}

/// Makes every CRL that is missing, half through its time, or behind a revocation, as far as its
/// issuer's token is open.
async fn make_due(authority: &Authority, books: &mut Books) -> Result<Made, CrlError> {
    let (store, heads) = (authority.store(), authority.heads());
    let certificates = authority.certificates();
    let count = certificates.shards(authority.tree_head().size());
    // From where on revocations are to be known.
    let mut from = authority.tree_head().size();
    for desk in certificates.desks() {
        let shards = books.entry(desk.hash()).or_default();
        let open = authority.token_for(desk.purpose()).is_some();
        for shard in u32::try_from(shards.len()).unwrap_or(count)..count {
            let found = stored(authority, desk, shard).await?.map(|(found, _)| found);
            // Where nothing can be made it is enough to know once what the CRL lacks: where there
            // is none, the issuer signed no certificate yet.
            from = found.filter(|_| !open).map_or(from, |found| from.min(found.size));
            shards.push(found.unwrap_or_else(|| Shard::none(authority, shard)));
        }
        if open {
            from = shards.iter().map(|shard| shard.size).min().unwrap_or_default().min(from);
        }
    }
    let head = || authority.tree_head();
    let (_, entries) = authority.revocations().from(store, heads, from, head).await?;
    for entry in &entries {
        let shard = usize::try_from(certificates.shard(&entry.serial)).unwrap_or(usize::MAX);
        let shards = books.get_mut(&entry.issuer);
        if let Some(shard) = shards.and_then(|shards| shards.get_mut(shard)) {
            shard.behind |= entry.by >= shard.size;
        }
    }
    let mut made = Made::All;
    for desk in certificates.desks() {
        let shards = books.entry(desk.hash()).or_default();
        match make_due_of(authority, desk, shards).await {
            Err(CrlError::Sign(error)) if desk.purpose() == KeyPurpose::SwitchIssuing => {
                tracing::warn!(%error, "CRLs of the issuing authority for switches wait for its token");
                made = Made::AllButSwitches;
            }
            outcome => outcome?,
        }
        if let (Some(token), KeyPurpose::SwitchIssuing) = (authority.switch_token(), desk.purpose())
        {
            token.note_crls(shards.iter().any(|shard| shard.behind));
        }
    }
    // What a locked issuer's CRLs lack is read again when they are made.
    let open = certificates.desks().filter(|d| authority.token_for(d.purpose()).is_some());
    let sizes = open.filter_map(|desk| books.get(&desk.hash())).flatten().map(|shard| shard.size);
    authority.revocations().forget_before(sizes.min().unwrap_or(0));
    Ok(made)
}

/// Makes what is due of one issuer's CRLs.
async fn make_due_of(
    authority: &Authority,
    desk: &Desk,
    shards: &mut [Shard],
) -> Result<(), CrlError> {
    for (n, shard) in (0..).zip(shards.iter_mut()) {
        let now = authority.clock().now_ms() / 1000;
        if shard.next_update != 0 {
            authority.metrics().crl(desk.id(), n, shard.this_update, shard.next_update);
        }
        // A CRL of before the policy was tightened counts for less than it says.
        let half = max_age(authority) / 2;
        let old = shard.next_update.min(shard.this_update + max_age(authority)) <= now + half;
        if !old && !shard.behind {
            continue;
        }
        match authority.token_for(desk.purpose()) {
            Some(token) => *shard = make(authority, desk, &token, n, *shard, now).await?,
            None => return Ok(()),
        }
    }
    Ok(())
}

async fn make(
    authority: &Authority,
    desk: &Desk,
    token: &Token,
    shard: u32,
    known: Shard,
    now: u64,
) -> Result<Shard, CrlError> {
    let (store, heads) = (authority.store(), authority.heads());
    let (certificates, revocations) = (authority.certificates(), authority.revocations());
    let there = store.crl(desk.hash(), shard).await?;
    let before = there.as_ref().and_then(|row| read(authority, desk, shard, row));
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
    for Entry { serial, issuer, at_ms, reason, .. } in entries {
        if certificates.shard(&serial) == shard && issuer == desk.hash() {
            let (serial, at) = (*serial.as_bytes(), at_ms / 1000);
            let reason = Reason::from_code(reason.number()).unwrap_or(Reason::Unspecified);
            revoked.entry(serial).or_insert(x509::Revoked { serial, at, reason });
        }
    }
    // An entry stays until a CRL made after the certificate's expiry had it (section 3.3).
    let until = now.saturating_sub(2 * lifetime(authority, desk));
    let revoked = compared(authority, desk, shard, to, until, revoked).await?;

    let number = known.number.max(before.map_or(0, |(before, _)| before.number)) + 1;
    let number = number.max(to << CRL_COUNTER_BITS);
    if number >> CRL_COUNTER_BITS != to {
        // It would claim to cover what was not read.
        return Err(CrlError::Number { shard, number, size: to });
    }
    let next_update = now + lifetime(authority, desk);
    let entries = revoked.len();
    let crl = certificates
        .crl(desk, token, shard, number, now, next_update, revoked)
        .await
        .map_err(CrlError::Sign)?;
    let (issuer, id) = (desk.hash(), desk.id());
    let row = CrlRow { issuer, shard, number, size: to, next_update, crl };
    let instead_of = there.as_ref().map(|row| row.crl.as_slice());
    if !store.put_crl(&row, instead_of).await? {
        authority
            .alarm(format!("the store has a CRL of shard {shard} with a number over {number}"));
        return Ok(known);
    }
    tracing::info!(issuer = %id, shard, number, entries, "made a CRL");
    authority.metrics().crl(id, shard, now, next_update);
    Ok(Shard { behind: false, number, size: to, this_update: now, next_update })
}

/// What the CRL has to hold, without what certainly expired; names the rows that say otherwise.
async fn compared(
    authority: &Authority,
    desk: &Desk,
    shard: u32,
    to: u64,
    until: u64,
    revoked: BTreeMap<[u8; 16], x509::Revoked>,
) -> Result<Vec<x509::Revoked>, CrlError> {
    let (store, heads) = (authority.store(), authority.heads());
    let rows = match store.revoked(desk.hash(), shard, until).await {
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
