//! CRLs (RFC 5280 section 5): made ahead, stored, and served from the store.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::authority::{Authority, Fatal};
use crate::store::StoreError;
use crate::store::rows::CrlRow;

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
/// [`Fatal`] when the store is not whole.
pub(crate) async fn run(
    authority: Arc<Authority>,
    mut refreshes: mpsc::Receiver<Refresh>,
) -> Result<(), Fatal> {
    let mut asked: Vec<Refresh> = Vec::new();
    loop {
        for delay in authority.retry_delays() {
            match make_due(&authority).await {
                Ok(()) => break,
                Err(CrlError::Store(StoreError::Engine(error))) => {
                    tracing::warn!(%error, "CRLs wait for the database");
                }
                Err(CrlError::Store(error)) => return Err(error.into()),
                Err(CrlError::Sign(error)) => tracing::warn!(%error, "CRLs wait for the token"),
            }
            authority.pause(delay).await?;
        }
        asked.drain(..).for_each(|Refresh(done)| {
            let _ = done.send(());
        });
        let interval = Duration::from_secs(max_age(&authority) / 8).min(Duration::from_secs(600));
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
    #[error("{0}")]
    Sign(String),
}

fn max_age(authority: &Authority) -> u64 {
    authority.installation().rules().max_status_age
}

/// Makes every CRL that is missing, half through its time, or behind a revocation.
async fn make_due(authority: &Authority) -> Result<(), CrlError> {
    let store = authority.store();
    let issuer = authority.certificates().issuer();
    let size = store.edge().await?.size();
    authority.note_log_size(size);
    for shard in 0..authority.certificates().shards(size) {
        let now = authority.clock().now_ms() / 1000;
        let latest = store.latest_revocation(issuer, shard).await?;
        let current = store.crl(issuer, shard).await?;
        if let Some(row) = &current {
            let this_update = row.next_update.saturating_sub(max_age(authority));
            authority.metrics().crl(shard, this_update, row.next_update);
            let half_through = row.next_update <= now + max_age(authority) / 2;
            let behind = latest.is_some_and(|leaf| leaf >= row.size);
            if !half_through && !behind {
                continue;
            }
        }
        let number = current.map_or(1, |row| row.number + 1);
        make(authority, shard, number, now).await?;
    }
    Ok(())
}

async fn make(authority: &Authority, shard: u32, number: u64, now: u64) -> Result<(), CrlError> {
    let (store, certificates) = (authority.store(), authority.certificates());
    // The size is read before the rows: a revocation between the two is in the rows already, and
    // at worst leads to one CRL too many.
    let size = store.edge().await?.size();
    // An entry stays until a CRL made after the certificate's expiry had it (section 3.3).
    let until = now.saturating_sub(2 * max_age(authority));
    let revoked = store.revoked(certificates.issuer(), shard, until).await?;
    let next_update = now + max_age(authority);
    let crl = certificates
        .crl(authority.hsm(), shard, number, now, next_update, &revoked)
        .await
        .map_err(CrlError::Sign)?;
    let issuer = certificates.issuer();
    let row = CrlRow { issuer, shard, number, size, next_update, crl };
    if store.put_crl(&row).await? {
        authority.metrics().crl(shard, now, next_update);
        tracing::info!(shard, number, entries = revoked.len(), "made a CRL");
    }
    Ok(())
}
