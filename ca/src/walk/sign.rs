//! Sign: the HSM signs the TBS that was recorded, and the signature is verified before it is used.

use futures::future::join_all;
use wire::problem::{Problem, ProblemCode};

use super::Reply;
use super::log::Logged;
use super::record::What;
use crate::authority::Authority;

/// A request whose certificate is signed, or that needs none.
#[derive(Debug)]
pub(crate) enum Signed {
    /// A certificate.
    Certificate { leaf_index: u64, der: Vec<u8>, reply: Option<Reply> },
    /// No certificate follows; the answer is about this leaf's.
    Nothing { about: u64, reply: Option<Reply> },
}

/// Has a group signed. What the HSM does not sign now is finished later from the record, and its
/// caller is told so.
pub(crate) async fn sign(authority: &Authority, logged: Vec<Logged>) -> Vec<Signed> {
    let signed = join_all(logged.into_iter().map(|entry| sign_one(authority, entry))).await;
    signed.into_iter().flatten().collect()
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
            tracing::error!(%error, leaf_index, "recorded, but not signed");
            authority.finish_later();
            if let Some(reply) = reply {
                let detail = format!("recorded as leaf {leaf_index}, not signed yet: {error}");
                reply.send(Err(Problem::new(ProblemCode::Pending, detail).retry_after(2)));
            }
            None
        }
    }
}
