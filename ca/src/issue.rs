//! The walk of a request, on one screen.
//!
//! ```text
//! CsrDer → x509::Csr → policy::Approved → Recorded → Logged → Signed → the answer
//!          parse, PoP   decide            event,     leaf in   HSM      is what the
//!                                         TBS,       a signed  signs    store has
//!                                         durable    check-    the TBS
//!                                                    point
//! ```
//!
//! Requests that arrive together walk together: one transaction records them all. A group is
//! signed and published in a task of its own while the next one is being decided. What fails after
//! it was recorded is finished from the record by the same steps (`reopen.rs`).

use std::sync::Arc;

use crate::authority::{Authority, Fatal};
use crate::walk::{self, Group, Ledger, Queue};

/// Issues until the queue closes.
///
/// # Errors
/// [`Fatal`] when the state is unknown: the authority stops, and starts again from the record.
pub(crate) async fn run(authority: Arc<Authority>, mut queue: Queue) -> Result<(), Fatal> {
    let mut ledger = Ledger::open(&authority).await?;
    while let Some(group) = queue.next().await {
        issue(&authority, &mut ledger, group).await?;
    }
    Ok(())
}

async fn issue(authority: &Arc<Authority>, ledger: &mut Ledger, group: Group) -> Result<(), Fatal> {
    // 1. Parse: an Ask holds a parsed request whose proof of possession was verified.
    let recorded = match group {
        Group::Identities(asks) => {
            // 2. Decide, on rows of one moment that the log proves.
            let approved = walk::decide(authority, asks).await;
            // 3. Record: event, serial number and TBS are durable, if the log has not grown since.
            walk::record(authority, ledger, approved).await?
        }
        // The same, alone: all else is decided under the installation.
        Group::Installation(ask) => walk::change(authority, ledger, ask).await?,
    };
    if recorded.is_empty() {
        return Ok(());
    }
    authority.metrics().recorded(recorded.len());
    let head = ledger.tree_head();
    let slot = authority.signing_slot().await;
    let authority = Arc::clone(authority);
    tokio::spawn(async move {
        // Whatever ends this task early, a panic too, leaves the group to be finished later.
        let unfinished = authority.finish_unless_told();
        // 4. Log: the leaves are in a signed checkpoint.
        let Some(logged) = walk::log(&authority, head, recorded).await else { return };
        // 5. Sign: the HSM sees the TBS that was recorded.
        let signed = walk::sign(&authority, logged).await;
        // 6. Publish: the first signature stored wins, and only what is stored is answered.
        walk::publish(&authority, signed).await;
        unfinished.disarm();
        drop(slot);
    });
    Ok(())
}
