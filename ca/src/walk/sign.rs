//! Sign: the HSM signs the TBS that was recorded, and the signature is verified before it is used.

use futures::future::join_all;
use wire::problem::{Problem, ProblemCode};

use super::Reply;
use super::log::{Logged, LoggedGroup};
use super::record::What;
use crate::authority::Authority;
use crate::store::rows::CheckpointRow;

/// A request whose certificate is signed, or that needs none.
#[derive(Debug)]
pub(super) enum Signed {
    /// A certificate.
    Certificate { leaf_index: u64, der: Vec<u8>, reply: Option<Reply> },
    /// No certificate follows; the answer is about this leaf's.
    Nothing { about: u64, reply: Option<Reply> },
}

/// A group, as far as it was signed, with its checkpoint.
#[derive(Debug)]
pub(crate) struct SignedGroup {
    pub(super) checkpoint: CheckpointRow,
    pub(super) entries: Vec<Signed>,
    /// Certificates that the token did not sign.
    pub(super) waiting: usize,
}

impl SignedGroup {
    /// Certificates that the token did not sign.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }
}

/// Has a group signed. What the HSM does not sign now is finished later from the record, and its
/// caller is told so.
pub(crate) async fn sign(authority: &Authority, group: LoggedGroup) -> SignedGroup {
    let LoggedGroup { checkpoint, entries } = group;
    let count = entries.len();
    let signed = join_all(entries.into_iter().map(|entry| sign_one(authority, entry))).await;
    let entries: Vec<Signed> = signed.into_iter().flatten().collect();
    SignedGroup { checkpoint, waiting: count - entries.len(), entries }
}

async fn sign_one(authority: &Authority, entry: Logged) -> Option<Signed> {
    let Logged { leaf_index, what, reply } = entry;
    let tbs = match what {
        What::Revocation { about } => return Some(Signed::Nothing { about, reply }),
        What::Certificate(tbs) => tbs,
    };
    match authority.certificates().sign(authority.hsm(), *tbs).await {
        Ok(der) => Some(Signed::Certificate { leaf_index, der, reply }),
        Err(error) => {
            let span = reply.as_ref().map(|reply| reply.span().clone());
            span.unwrap_or_else(tracing::Span::none).in_scope(|| {
                tracing::error!(%error, leaf_index, "recorded, but not signed");
            });
            authority.finish_later();
            if let Some(reply) = reply {
                let detail = format!("recorded as leaf {leaf_index}, not signed yet: {error}");
                reply.send(Err(Problem::new(ProblemCode::Pending, detail).retry_after(2)));
            }
            None
        }
    }
}
