//! Sign: the HSM signs the TBS that was recorded, and the signature is verified before it is used.

use std::sync::Arc;

use futures::future::join_all;

use super::Caller;
use super::cosign::{Cosigned, CosignedGroup};
use super::log::Logged;
use super::record::What;
use crate::authority::Authority;
use crate::cosign::Vouched;
use crate::store::rows::CheckpointRow;

/// A request whose certificate is signed, or that needs none.
#[derive(Debug)]
pub(super) enum Signed {
    /// A certificate.
    Certificate { leaf_index: u64, der: Vec<u8>, caller: Option<Caller> },
    /// No certificate follows; the answer to a revocation is about this leaf's.
    Nothing { about: Option<u64>, caller: Option<Caller> },
}

/// A group, as far as it was signed, with its checkpoint.
#[derive(Debug)]
pub(crate) struct SignedGroup {
    pub(super) checkpoint: CheckpointRow,
    /// The checkpoint that the quorum vouches for, where somebody co-signs.
    pub(super) vouched: Option<Vouched>,
    pub(super) entries: Vec<Signed>,
    /// Whether a key was revoked, so that CRLs are to be made.
    pub(super) revokes: bool,
    /// Certificates that the token did not sign.
    pub(super) waiting: usize,
}

impl SignedGroup {
    /// A group, or a part of one, in which there is no certificate to sign.
    pub(super) fn of_nothing(
        checkpoint: CheckpointRow,
        entries: Vec<Logged>,
        revokes: bool,
    ) -> Self {
        let nothing = |entry: Logged| {
            let about = match entry.what {
                What::Revocation { about } => Some(about),
                What::Nothing | What::Certificate(_) => None,
            };
            Signed::Nothing { about, caller: entry.caller }
        };
        let entries = entries.into_iter().map(nothing).collect();
        Self { checkpoint, vouched: None, entries, revokes, waiting: 0 }
    }

    /// Certificates that the token did not sign.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }
}

/// Has a group signed. What the HSM does not sign now is finished later from the record, and its
/// caller is told so.
pub(crate) async fn sign(authority: &Arc<Authority>, group: CosignedGroup) -> SignedGroup {
    let CosignedGroup { checkpoint, vouched, entries, revokes } = group;
    let count = entries.len();
    // A task each: verifying takes longer than anything else here, and has all processors this way.
    let tasks = entries.into_iter().map(|entry| {
        let authority = Arc::clone(authority);
        tokio::spawn(async move { sign_one(&authority, entry).await })
    });
    let mut entries = Vec::with_capacity(count);
    for ended in join_all(tasks).await {
        match ended {
            Ok(signed) => entries.extend(signed),
            Err(error) => {
                tracing::error!(%error, "recorded, but not signed");
                authority.finish_later();
            }
        }
    }
    let entries = acceptable(authority, entries);
    SignedGroup { checkpoint, vouched, waiting: count - entries.len(), entries, revokes }
}

/// Has a client's validator look at one certificate of the group, with the whole path to the root.
/// If it refuses, none of the group's is published: what is wrong with one is wrong with all.
fn acceptable(authority: &Authority, entries: Vec<Signed>) -> Vec<Signed> {
    let certificate = entries.iter().find_map(|entry| match entry {
        Signed::Certificate { leaf_index, der, .. } => Some((*leaf_index, der)),
        Signed::Nothing { .. } => None,
    });
    let Some((leaf_index, der)) = certificate else { return entries };
    let now = authority.clock().now_ms() / 1000;
    let Err(why) = authority.certificates().validator().signed(der, now) else { return entries };
    authority.alarm(format!("clients would refuse the certificate of leaf {leaf_index}: {why}"));
    authority.finish_later();
    let mut kept = Vec::new();
    for entry in entries {
        match entry {
            Signed::Certificate { caller: Some(caller), .. } => {
                caller.pending("its certificate is not one that clients would take");
            }
            Signed::Certificate { caller: None, .. } => {}
            nothing @ Signed::Nothing { .. } => kept.push(nothing),
        }
    }
    kept
}

async fn sign_one(authority: &Authority, entry: Cosigned) -> Option<Signed> {
    let Cosigned { leaf_index, what, caller } = entry;
    let tbs = match what {
        What::Revocation { about } => return Some(Signed::Nothing { about: Some(about), caller }),
        What::Nothing => return Some(Signed::Nothing { about: None, caller }),
        What::Certificate(tbs) => tbs,
    };
    match authority.certificates().sign(authority.hsm(), *tbs).await {
        Ok(der) => Some(Signed::Certificate { leaf_index, der, caller }),
        Err(error) => {
            let span = caller.as_ref().map(|caller| caller.reply.span().clone());
            span.unwrap_or_else(tracing::Span::none).in_scope(|| {
                tracing::error!(%error, leaf_index, "recorded, but not signed");
            });
            authority.finish_later();
            if let Some(caller) = caller {
                caller.pending(&format!("not signed yet: {error}"));
            }
            None
        }
    }
}
