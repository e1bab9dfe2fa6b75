//! Sign: the HSM signs the TBS that was recorded, and the signature is verified before it is used.

use std::sync::Arc;

use futures::future::join_all;
use wire::genesis::KeyPurpose;

use super::Caller;
use super::cosign::{Cosigned, CosignedGroup};
use super::log::Logged;
use super::record::What;
use crate::authority::Authority;
use crate::cosign::Vouched;
use crate::store::rows::CheckpointRow;

/// What whoever waits for a locked token is told.
const WAITS_FOR_OPERATORS: &str = "the switch is complete and recorded; its certificate is signed when \
     operators open the token of the issuing authority for switches. Look at the identity's \
     certificates then";

/// A request whose certificate is signed, or that needs none.
#[derive(Debug)]
pub(super) enum Signed {
    /// A certificate.
    Certificate { leaf_index: u64, by: KeyPurpose, der: Vec<u8>, caller: Option<Caller> },
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
    /// Certificates that the token did not sign; without those that wait for operators to open it.
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
    let mut locked = 0;
    for ended in join_all(tasks).await {
        match ended {
            Ok(Outcome::Signed(signed)) => entries.push(signed),
            Ok(Outcome::Locked) => locked += 1,
            Ok(Outcome::Later) => {}
            Err(error) => {
                tracing::error!(%error, "recorded, but not signed");
                authority.finish_later();
            }
        }
    }
    let entries = acceptable(authority, entries);
    let waiting = count - locked - entries.len();
    SignedGroup { checkpoint, vouched, waiting, entries, revokes }
}

/// Has a client's validator look at one certificate of the group by each issuer, with the whole path
/// to the root. If it refuses, none of the group's is published: what is wrong with one is wrong with
/// all.
fn acceptable(authority: &Authority, entries: Vec<Signed>) -> Vec<Signed> {
    let certificates = authority.certificates();
    let now = authority.clock().now_ms() / 1000;
    let refused = certificates.desks().find_map(|desk| {
        let (leaf_index, der) = entries.iter().find_map(|entry| match entry {
            Signed::Certificate { leaf_index, by, der, .. } if *by == desk.purpose() => {
                Some((*leaf_index, der))
            }
            _ => None,
        })?;
        certificates.validator().signed(der, now).err().map(|why| (leaf_index, why))
    });
    let Some((leaf_index, why)) = refused else { return entries };
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

/// What came of a request whose turn it was to be signed.
enum Outcome {
    Signed(Signed),
    /// Operators have to open the token; then it is taken up again.
    Locked,
    /// The token did not sign; it is taken up again.
    Later,
}

async fn sign_one(authority: &Authority, entry: Cosigned) -> Outcome {
    let Cosigned { leaf_index, what, caller } = entry;
    let nothing = |about, caller| Outcome::Signed(Signed::Nothing { about, caller });
    let to_sign = match what {
        What::Revocation { about } => return nothing(Some(about), caller),
        What::Nothing => return nothing(None, caller),
        What::Certificate(to_sign) => *to_sign,
    };
    let by = to_sign.by();
    // Whether it is locked is asked first: once it is open, whatever did not get it is taken up.
    let locked = authority.is_locked(by);
    let signed = match authority.token_for(by) {
        Some(token) => authority.certificates().sign(&token, to_sign).await,
        None if locked => {
            tracing::warn!(leaf_index, "recorded; operators have to open the token that signs it");
            if let Some(caller) = caller {
                caller.pending(WAITS_FOR_OPERATORS);
            }
            return Outcome::Locked;
        }
        None => Err("the token is being opened".to_owned()),
    };
    match signed {
        Ok(der) => Outcome::Signed(Signed::Certificate { leaf_index, by, der, caller }),
        Err(error) => {
            let span = caller.as_ref().map(|caller| caller.reply.span().clone());
            span.unwrap_or_else(tracing::Span::none).in_scope(|| {
                tracing::error!(%error, leaf_index, "recorded, but not signed");
            });
            authority.finish_later();
            if let Some(caller) = caller {
                caller.pending(&format!("not signed yet: {error}"));
            }
            Outcome::Later
        }
    }
}
