//! Publish: what is stored is the answer, and the first signature stored wins.

use wire::problem::{Problem, ProblemCode};

use super::sign::Signed;
use super::{Answer, Reply};
use crate::authority::Authority;

/// Stores a group's certificates and answers from the store.
pub(crate) async fn publish(authority: &Authority, signed: Vec<Signed>) {
    let mut certificates = Vec::with_capacity(signed.len());
    let mut replies = Vec::with_capacity(signed.len());
    for entry in signed {
        match entry {
            Signed::Certificate { leaf_index, der, reply } => {
                certificates.push((leaf_index, der));
                replies.push((leaf_index, reply));
            }
            Signed::Nothing { about, reply } => {
                authority.refresh_crls().await;
                publish_one(authority, about, reply).await;
            }
        }
    }
    if certificates.is_empty() {
        return;
    }
    let stored = match authority.store().publish(&certificates).await {
        Ok(stored) => stored,
        Err(error) => {
            tracing::error!(%error, "signed, but not stored");
            authority.finish_later();
            Vec::new()
        }
    };
    let mut rows: std::collections::HashMap<_, _> =
        stored.into_iter().map(|row| (row.leaf_index, row)).collect();
    authority.published();
    for (leaf_index, reply) in replies {
        let Some(reply) = reply else { continue };
        match rows.remove(&leaf_index) {
            Some(row) => reply.send(Ok(Answer { row, created: true })),
            None => reply.send(Err(pending(leaf_index))),
        }
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
