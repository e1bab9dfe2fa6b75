//! Publish: what is stored is the answer, and the first signature stored wins.

use std::collections::HashMap;
use std::sync::Arc;

use wire::problem::{Problem, ProblemCode};

use super::sign::{Signed, SignedGroup};
use super::{Answer, Reply};
use crate::authority::Authority;
use crate::store::rows::Publication;

/// Stores a group's checkpoint and certificates, and answers from the store.
pub(crate) async fn publish(authority: &Arc<Authority>, group: SignedGroup) {
    let SignedGroup { checkpoint, entries, .. } = group;
    let mut publication = Publication {
        checkpoint: Some(checkpoint),
        certificates: Vec::with_capacity(entries.len()),
    };
    let mut replies = Vec::with_capacity(entries.len());
    let mut revocations = Vec::new();
    for entry in entries {
        match entry {
            Signed::Certificate { leaf_index, der, reply } => {
                publication.certificates.push((leaf_index, der));
                replies.push((leaf_index, reply));
            }
            Signed::Nothing { about, reply } => revocations.push((about, reply)),
        }
    }
    let stored = match authority.store().publish(&publication).await {
        Ok(stored) => stored,
        Err(error) => {
            tracing::error!(%error, "signed, but not stored");
            authority.finish_later();
            Vec::new()
        }
    };
    for row in &stored {
        authority.metrics().issued(row.kind.name());
    }
    let mut rows: HashMap<_, _> = stored.into_iter().map(|row| (row.leaf_index, row)).collect();
    authority.published();
    for (leaf_index, reply) in replies {
        let Some(reply) = reply else { continue };
        match rows.remove(&leaf_index) {
            Some(row) => reply.send(Ok(Answer { row, created: true })),
            None => reply.send(Err(pending(leaf_index))),
        }
    }
    if !revocations.is_empty() {
        let authority = Arc::clone(authority);
        tokio::spawn(async move {
            authority.refresh_crls().await;
            for (about, reply) in revocations {
                publish_one(&authority, about, reply).await;
            }
        });
    }
}

/// Answers with the certificate of a leaf as it is stored now.
async fn publish_one(authority: &Authority, leaf_index: u64, reply: Option<Reply>) {
    let Some(reply) = reply else { return };
    match authority.store().certificate(leaf_index).await {
        Ok(Some(row)) => reply.send(Ok(Answer { row, created: true })),
        Ok(None) | Err(_) => reply.send(Err(pending(leaf_index))),
    }
}

/// Answers a repeated request once the certificate it led to is stored.
pub(super) fn answer_when_published(authority: &Authority, leaf_index: u64, reply: Reply) {
    let mut publications = authority.publications();
    let store = authority.shared_store();
    let deadline = authority.answer_deadline();
    tokio::spawn(async move {
        let waiting = async {
            loop {
                match store.certificate(leaf_index).await {
                    Ok(Some(row)) if row.certificate.is_some() => {
                        return Ok(Answer { row, created: false });
                    }
                    Ok(_) if publications.changed().await.is_ok() => {}
                    Ok(_) | Err(_) => return Err(pending(leaf_index)),
                }
            }
        };
        let answer = tokio::time::timeout(deadline, waiting).await;
        reply.send(answer.unwrap_or_else(|_| Err(pending(leaf_index))));
    });
}

fn pending(leaf_index: u64) -> Problem {
    let detail = format!("recorded as leaf {leaf_index}; the certificate is not stored yet");
    Problem::new(ProblemCode::Pending, detail).retry_after(2)
}
