//! What a strike is about. The policy asks whether an identity's latest event is struck; so whoever
//! strikes an earlier one strikes the latest first, or what follows from the dead leaf would live on.

use policy::{ChangeRequest, Refusal};
use wire::body::Struck;
use wire::event::EventKind;
use wire::problem::ProblemCode;
use wire::{Encoded, UserId};

use crate::authority::Authority;
use crate::store::StoreError;

/// Events of an identity that are read at once.
const AT_ONCE: u32 = 32;

/// Whether a strike names an identity's latest event, or one from which nothing that lives follows:
/// the latest is struck, or a void came after it. Other changes pass.
pub(super) async fn takes_the_latest_along(
    authority: &Authority,
    request: &ChangeRequest,
) -> Result<Result<(), Refusal>, StoreError> {
    let ChangeRequest::Intent(intent) = request else { return Ok(Ok(())) };
    let body = intent.body.as_ref().filter(|_| intent.verb == EventKind::Strike);
    let Some(Ok(struck)) = body.map(|body| Struck::from_canonical(body.as_bytes())) else {
        return Ok(Ok(()));
    };
    let store = authority.store();
    let Some(index) = struck.index else {
        let found = store.with_head(struck.leaf).await?;
        return Ok(found.map(|_| ()).ok_or_else(|| {
            refused(
                "no identity's latest event has this leaf",
                "the leaf of an identity's latest event, or the leaf's index".to_owned(),
                format!("leaf {}", struck.leaf),
            )
        }));
    };
    let row = store.event(index).await?.filter(|row| row.leaf.leaf_hash() == struck.leaf);
    let subject = row.as_ref().and_then(|row| row.event.subject.clone());
    let (Some(row), Some(uid)) = (row, subject) else {
        return Ok(Err(refused(
            "this leaf is no event of an identity",
            format!("an identity's event with leaf {} at index {index}", struck.leaf),
            "another leaf, or none".to_owned(),
        )));
    };
    follows(authority, &uid, row.event.sequence).await
}

async fn follows(
    authority: &Authority,
    uid: &UserId,
    sequence: u64,
) -> Result<Result<(), Refusal>, StoreError> {
    let store = authority.store();
    let (mut next, mut latest) = (sequence, None);
    loop {
        let page = store.events_from(uid, next, AT_ONCE).await?;
        for row in &page {
            if row.event.kind == EventKind::Void && row.event.sequence > sequence {
                return Ok(Ok(()));
            }
            latest = Some((row.event.sequence, row.leaf_index, row.leaf.leaf_hash()));
        }
        if page.len() < AT_ONCE as usize {
            break;
        }
        next += u64::from(AT_ONCE);
    }
    let Some((last, index, leaf)) = latest else { return Ok(Ok(())) };
    if last == sequence || authority.installation().is_struck(leaf) {
        return Ok(Ok(()));
    }
    Ok(Err(refused(
        "other events follow from this one, and would live on",
        format!("a strike of the identity's latest event first: leaf {leaf} at index {index}"),
        format!("event {sequence} of {uid}, followed by {}", last - sequence),
    )))
}

fn refused(detail: &str, expected: String, found: String) -> Refusal {
    Refusal {
        code: ProblemCode::MalformedRequest,
        rule: "a-strike-takes-the-latest-along",
        detail: detail.to_owned(),
        expected,
        found,
        remedy: "strike the identity's latest event, or have the officers void it; then this one",
    }
}
