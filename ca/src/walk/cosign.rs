//! Co-sign: a certificate is signed only after the quorum vouches for a checkpoint with its leaf.

use wire::problem::{Problem, ProblemCode};

use super::Caller;
use super::log::{Logged, LoggedGroup};
use super::record::What;
use super::sign::SignedGroup;
use crate::authority::Authority;
use crate::cosign::Vouched;
use crate::store::rows::CheckpointRow;

/// A request for whose leaf the quorum vouches; where nobody co-signs, one that is logged.
#[derive(Debug)]
pub(super) struct Cosigned {
    pub(super) leaf_index: u64,
    pub(super) what: What,
    pub(super) caller: Option<Caller>,
}

/// A group with its checkpoint, and the one that the quorum vouches for.
#[derive(Debug)]
pub(crate) struct CosignedGroup {
    pub(super) checkpoint: CheckpointRow,
    pub(super) vouched: Option<Vouched>,
    pub(super) entries: Vec<Cosigned>,
    pub(super) revokes: bool,
}

impl LoggedGroup {
    /// Takes out what no certificate follows from: that waits for nobody.
    pub(crate) fn at_once(&mut self, authority: &Authority) -> Option<SignedGroup> {
        if !authority.cosigning().is_on() {
            return None;
        }
        let entries = std::mem::take(&mut self.entries);
        let (waiting, free): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| matches!(entry.what, What::Certificate(_)));
        self.entries = waiting;
        let revokes = std::mem::take(&mut self.revokes);
        (!free.is_empty()).then(|| SignedGroup::of_nothing(self.checkpoint.clone(), free, revokes))
    }
}

/// Waits for the quorum. When it is late, the group is finished later from the record, and its
/// callers are told so; its checkpoint is stored all the same.
pub(crate) async fn cosign(
    authority: &Authority,
    group: LoggedGroup,
) -> Result<CosignedGroup, SignedGroup> {
    let LoggedGroup { checkpoint, entries, revokes } = group;
    let vouched = if authority.cosigning().is_on() {
        authority.cosigning().offer(&checkpoint);
        if entries.is_empty() {
            None
        } else {
            match authority.cosigning().within_deadline(checkpoint.size).await {
                Ok(vouched) => {
                    authority.cosigning().taken_along(vouched.row.size);
                    Some(vouched)
                }
                Err(not_yet) => {
                    tracing::warn!(size = checkpoint.size, %not_yet, "recorded, but not co-signed");
                    authority.finish_later();
                    for caller in entries.into_iter().filter_map(|entry| entry.caller) {
                        caller.pending(&format!(
                            "{not_yet}. Ask again with the same Idempotency-Key, or look at the \
                             identity's certificates"
                        ));
                    }
                    return Err(SignedGroup::of_nothing(checkpoint, Vec::new(), revokes));
                }
            }
        }
    } else {
        None
    };
    let entries = entries.into_iter().filter_map(|entry| not_struck(authority, entry)).collect();
    Ok(CosignedGroup { checkpoint, vouched, entries, revokes })
}

/// Lets pass what officers did not declare dead while the quorum was waited for.
fn not_struck(authority: &Authority, entry: Logged) -> Option<Cosigned> {
    let Logged { leaf_index, leaf_hash, what, caller } = entry;
    if !authority.installation().is_struck(leaf_hash) {
        return Some(Cosigned { leaf_index, what, caller });
    }
    if let Some(caller) = caller {
        let detail = format!("officers struck leaf {leaf_index}: no certificate follows from it");
        caller.reply.send(Err(Problem::new(ProblemCode::Stopped, detail).rule("strike")));
    }
    None
}
