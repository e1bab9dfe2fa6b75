//! The walk of a request, on one screen.
//!
//! ```text
//! CsrDer → x509::Csr → policy::Approved → Recorded → Logged → Cosigned → Signed → the answer
//!          parse, PoP   decide            event,     leaf in   the        HSM      is what the
//!                                         TBS,       a signed  quorum     signs    store has
//!                                         durable    check-    vouches    the TBS
//!                                                    point     for it
//! ```
//!
//! Requests that arrive together walk together: one transaction records them all. A group is signed
//! in a task of its own while the next one is being decided, and is published in the transaction
//! that records the next one, if that is about to be written. What fails after it was recorded is
//! finished from the record by the same steps (`reopen.rs`).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::authority::{Authority, Fatal, FinishLater};
use crate::walk::{self, Group, Ledger, Queue, Recorded, SignedGroup, TreeHead};

/// How often a database that failed is asked what it kept, when nobody else asks anything of it.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A group that was signed; what is left of it is to be published.
struct Walked {
    signed: SignedGroup,
    /// Whatever ends its walk early, a panic too, leaves the group to be finished later.
    unfinished: FinishLater,
    /// Its place among the groups that are being signed.
    _slot: Option<OwnedSemaphorePermit>,
}

/// Issues until the queue closes.
///
/// # Errors
/// [`Fatal`] when the state is unknown: the authority stops, and starts again from the record.
pub(crate) async fn run(authority: Arc<Authority>, mut queue: Queue) -> Result<(), Fatal> {
    let mut ledger = Ledger::open(&authority).await?;
    let (to_publish, mut walked) = mpsc::unbounded_channel();
    loop {
        let mut ready = Vec::new();
        let next = async { (authority.signing_slot().await, queue.next().await) };
        let (slot, group) = tokio::select! {
            (slot, group) = next => match group {
                Some(group) => (slot, Some(group)),
                None => return Ok(()),
            },
            signed = walked.recv() => {
                ready.extend(signed);
                (None, None)
            }
            () = authority.stopping().cancelled() => {
                return finish_walks(&authority, &mut ledger, &mut walked).await;
            }
            () = tokio::time::sleep(LOOK_AGAIN), if !ledger.is_clear() => {
                ledger.clear_up(&authority).await?;
                continue;
            }
        };
        let recorded = issue(&authority, &mut ledger, group, ready, &mut walked).await?;
        if !recorded.is_empty() {
            let (head, to_publish) = (ledger.tree_head(), to_publish.clone());
            tokio::spawn(finish(Arc::clone(&authority), head, recorded, slot, to_publish));
        }
    }
}

/// Publishes what is being signed; no group begins its walk any more.
async fn finish_walks(
    authority: &Arc<Authority>,
    ledger: &mut Ledger,
    walked: &mut mpsc::UnboundedReceiver<Walked>,
) -> Result<(), Fatal> {
    loop {
        let signed = tokio::select! {
            () = authority.all_signed() => return Ok(()),
            signed = walked.recv() => signed,
        };
        issue(authority, ledger, None, signed.into_iter().collect(), walked).await?;
    }
}

/// The first half of a group's walk, and the last step of groups before it.
async fn issue(
    authority: &Arc<Authority>,
    ledger: &mut Ledger,
    group: Option<Group>,
    mut ready: Vec<Walked>,
    walked: &mut mpsc::UnboundedReceiver<Walked>,
) -> Result<Vec<Recorded>, Fatal> {
    let clear = ledger.clear_up(authority).await?;
    // 1. Parse: an Ask holds a parsed request whose proof of possession was verified.
    let (approved, change) = match group {
        None => (Vec::new(), None),
        Some(group) if !clear => {
            walk::turn_away(group);
            (Vec::new(), None)
        }
        // 2. Decide, on rows of one moment that the log proves.
        Some(Group::Identities(asks)) => (walk::decide(authority, asks).await, None),
        // The same, alone: all else is decided under the installation.
        Some(Group::Installation(ask)) => (Vec::new(), Some(ask)),
    };
    while let Ok(signed) = walked.try_recv() {
        ready.push(signed);
    }
    let mut signed = Vec::with_capacity(ready.len());
    let mut ended = Vec::with_capacity(ready.len());
    for Walked { signed: group, unfinished, _slot } in ready {
        signed.push(group);
        ended.push((unfinished, _slot));
    }
    // 3. Record: event, serial number and TBS are durable, if the log has not grown since.
    // 7. Publish: the first signature stored wins, and only what is stored is answered.
    let recorded = match change {
        None => walk::record(authority, ledger, approved, signed).await?,
        Some(ask) => walk::change(authority, ledger, ask, signed).await?,
    };
    ended.into_iter().for_each(|(unfinished, _)| unfinished.disarm());
    if !recorded.is_empty() {
        authority.metrics().recorded(recorded.len());
    }
    Ok(recorded)
}

/// The second half of a group's walk, up to its publication.
async fn finish(
    authority: Arc<Authority>,
    head: TreeHead,
    recorded: Vec<Recorded>,
    slot: Option<OwnedSemaphorePermit>,
    to_publish: mpsc::UnboundedSender<Walked>,
) {
    let unfinished = authority.finish_unless_told();
    // 4. Log: the leaves are in a signed checkpoint. What no certificate follows from is done.
    let Some(mut logged) = walk::log(&authority, head, recorded).await else { return };
    if let Some(signed) = logged.at_once(&authority) {
        let unfinished = authority.finish_unless_told();
        let _ = to_publish.send(Walked { signed, unfinished, _slot: None });
    }
    // 5. Co-sign: the quorum vouches for a checkpoint with the leaves.
    let signed = match walk::cosign(&authority, logged).await {
        // 6. Sign: the HSM sees the TBS that was recorded.
        Ok(cosigned) => walk::sign(&authority, cosigned).await,
        Err(logged_only) => logged_only,
    };
    // When the walk has stopped meanwhile, the group is finished later.
    let _ = to_publish.send(Walked { signed, unfinished, _slot: slot });
}
