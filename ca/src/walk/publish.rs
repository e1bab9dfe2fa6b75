//! Publish: what is stored is the answer, and the first signature stored wins.

use std::collections::HashMap;
use std::sync::Arc;

use wire::UserId;
use wire::problem::{Problem, ProblemCode};

use super::ask::Done;
use super::sign::{Signed, SignedGroup};
use super::{Answer, Caller, Reply};
use crate::authority::Authority;
use crate::store::rows::{CertificateRow, Publication};
use crate::store::{Store, StoreError};

/// What signed groups have stored, and who waits for it.
#[derive(Debug, Default)]
pub(super) struct Publishing {
    pub(super) publication: Publication,
    /// Callers, with the leaf that their certificate follows from, if they get one.
    callers: Vec<(Option<u64>, Caller)>,
    /// Callers who revoked the certificate of a leaf.
    revocations: Vec<(u64, Caller)>,
    revokes: bool,
}

impl Publishing {
    pub(super) fn of(groups: impl IntoIterator<Item = SignedGroup>) -> Self {
        let mut all = Self::default();
        for SignedGroup { checkpoint, vouched, entries, revokes, .. } in groups {
            all.publication.checkpoints.push(checkpoint);
            if let Some(vouched) = vouched {
                vouched.add_to(&mut all.publication);
            }
            all.revokes |= revokes;
            for entry in entries {
                match entry {
                    Signed::Certificate { leaf_index, der, caller, .. } => {
                        all.publication.certificates.push((leaf_index, der));
                        all.callers.extend(caller.map(|caller| (Some(leaf_index), caller)));
                    }
                    Signed::Nothing { about: None, caller } => {
                        all.callers.extend(caller.map(|caller| (None, caller)));
                    }
                    Signed::Nothing { about: Some(about), caller } => {
                        all.revocations.extend(caller.map(|caller| (about, caller)));
                    }
                }
            }
        }
        all
    }

    /// Whether there is nothing to store.
    pub(super) fn is_empty(&self) -> bool {
        self.publication.checkpoints.is_empty()
    }

    /// Stores it, and answers.
    pub(super) async fn store(self, authority: &Arc<Authority>) {
        let stored = authority.store().publish(&self.publication).await;
        self.answer(authority, stored);
    }

    /// Answers from what is stored.
    pub(super) fn answer(
        self,
        authority: &Arc<Authority>,
        stored: Result<Vec<CertificateRow>, StoreError>,
    ) {
        let published = stored.is_ok();
        let stored = stored.unwrap_or_else(|error| {
            tracing::error!(%error, "signed, but not stored");
            authority.finish_later();
            Vec::new()
        });
        for row in &stored {
            authority.metrics().issued(row.kind.name());
        }
        let mut rows: HashMap<_, _> = stored.into_iter().map(|row| (row.leaf_index, row)).collect();
        authority.published();
        for (certificate, caller) in self.callers {
            match certificate {
                None if published => caller.answer(None),
                None => caller.pending("the checkpoint is not stored yet"),
                Some(leaf_index) => match rows.remove(&leaf_index) {
                    Some(row) => caller.answer(Some(row)),
                    None => caller.pending("the certificate is not stored yet"),
                },
            }
        }
        let revocations = self.revocations;
        if self.revokes || !revocations.is_empty() {
            let authority = Arc::clone(authority);
            tokio::spawn(async move {
                authority.refresh_crls().await;
                for (about, caller) in revocations {
                    revoked(&authority, about, caller).await;
                }
            });
        }
    }
}

/// Stores a group's checkpoint and certificates, and answers from the store.
pub(crate) async fn publish(authority: &Arc<Authority>, group: SignedGroup) {
    Publishing::of([group]).store(authority).await;
}

/// Answers with the revoked certificate as it is stored now.
async fn revoked(authority: &Authority, leaf_index: u64, caller: Caller) {
    match authority.store().certificate(leaf_index).await {
        Ok(Some(row)) => caller.answer(Some(row)),
        Ok(None) | Err(_) => caller.pending("the certificate cannot be read"),
    }
}

/// Answers a repeated request once what it led to is stored.
pub(super) fn answer_when_published(
    authority: &Authority,
    uid: UserId,
    leaf_index: u64,
    reply: Reply,
) {
    let mut publications = authority.publications();
    let store = authority.shared_store();
    let deadline = authority.answer_deadline();
    tokio::spawn(async move {
        let waiting = async {
            loop {
                match published(&*store, &uid, leaf_index).await {
                    Ok(Some((done, certificate))) => {
                        return Ok(Answer { done, certificate, created: false });
                    }
                    Ok(None) if publications.changed().await.is_ok() => {}
                    Ok(None) | Err(_) => return Err(pending(leaf_index)),
                }
            }
        };
        let answer = tokio::time::timeout(deadline, waiting).await;
        reply.send(answer.unwrap_or_else(|_| Err(pending(leaf_index))));
    });
}

/// What a leaf did, once it is in a signed checkpoint and its certificate, if it has one, is stored.
async fn published(
    store: &dyn Store,
    uid: &UserId,
    leaf_index: u64,
) -> Result<Option<(Done, Option<CertificateRow>)>, StoreError> {
    let row = store.certificate(leaf_index).await?;
    let event = store.event(leaf_index).await?;
    let Some(event) = event.filter(|row| row.event.subject.as_ref() == Some(uid)) else {
        return Ok(None);
    };
    let done = Done::of(&event.event, leaf_index, event.leaf.leaf_hash());
    match row {
        Some(row) if row.certificate.is_some() => Ok(Some((done, Some(row)))),
        Some(_) => Ok(None),
        None => {
            let covered = store.checkpoint(None).await?.map_or(0, |row| row.size);
            Ok((covered > leaf_index).then_some((done, None)))
        }
    }
}

fn pending(leaf_index: u64) -> Problem {
    let detail = format!("recorded as leaf {leaf_index}; it is not published yet");
    Problem::new(ProblemCode::Pending, detail).retry_after(2)
}
