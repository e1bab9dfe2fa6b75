//! What is shown of switches, of the policy, and of keys that moved. From the store only.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use policy::{Identity, Installation, Time};
use wire::body::{Approval, SwitchApproved, SwitchRequested, VetoEffect, Vetoed};
use wire::event::{Certified, EventKind, EvidenceKind};
use wire::genesis;
use wire::problem::{Problem, ProblemCode};
use wire::rest::{KeyChange, Keyholder, Page, Policy, Switch, SwitchApproval, SwitchStatus, Way};
use wire::rules::Rules;
use wire::socket::PageRequest;
use wire::statement::{Role, SignedStatement};
use wire::{Encoded, Hash32, UserId};

use crate::authority::Authority;
use crate::queries::{Result, bad_cursor, limit, paged, rfc3339, store_error};
use crate::store::rows::EventRow;

fn no_switch(switch: Hash32) -> Box<Problem> {
    let detail = format!("nothing was proposed with intent {switch}");
    Box::new(Problem::new(ProblemCode::NoPendingSwitch, detail))
}

/// Whose proposal an intent was, with its event.
pub(crate) async fn proposed(authority: &Authority, intent: Hash32) -> Result<(UserId, EventRow)> {
    let store = authority.store();
    let found = store.proposal(intent).await.map_err(store_error)?;
    let found = found.ok_or_else(|| no_switch(intent))?;
    let row = store.event(found.leaf_index).await.map_err(store_error)?;
    let is_it =
        |row: &EventRow| is_about(row, intent) && row.event.subject.as_ref() == Some(&found.uid);
    let row = row.filter(is_it).ok_or_else(|| no_switch(intent))?;
    Ok((found.uid, row))
}

fn is_about(row: &EventRow, intent: Hash32) -> bool {
    row.event.intent.as_ref().is_some_and(|der| Hash32::of(der.as_bytes()) == intent)
}

/// Events of an identity that are read at once: many people may look at long histories.
const AT_ONCE: u32 = 32;

/// A switch, pending or over.
pub(crate) async fn switch(authority: &Authority, intent: Hash32) -> Result<Switch> {
    let (uid, request) = proposed(authority, intent).await?;
    let store = authority.store();
    let row = store.identity(&uid).await.map_err(store_error)?;
    let identity = row.map(|row| row.identity).ok_or_else(|| no_switch(intent))?;
    let before = store.certificates_of(&uid, Some(request.leaf_index), 1).await;
    let old_key = before.map_err(store_error)?.first().map(|row| row.key);
    let installation = authority.installation();
    let mut course =
        Course::of(&installation, &request, intent).ok_or_else(|| no_switch(intent))?;
    let pending = identity.pending().is_some_and(|pending| pending.intent() == intent);
    let mut next = request.event.sequence + 1;
    loop {
        let page = store.events_from(&uid, next, AT_ONCE).await.map_err(store_error)?;
        page.iter().for_each(|row| course.takes(&installation, row));
        next += u64::from(AT_ONCE);
        if page.len() < AT_ONCE as usize || (!pending && course.ended.is_some()) {
            break;
        }
    }
    let now_ms = authority.clock().now_ms();
    Ok(shown(&installation, &identity, &request, course, old_key, now_ms))
}

/// Pending switches.
pub(crate) async fn switches(authority: &Authority, page: &PageRequest) -> Result<Page<Switch>> {
    let limit = limit(page)?;
    let after = match &page.cursor {
        None => None,
        Some(cursor) => Some(UserId::parse(cursor).map_err(|_| bad_cursor(cursor))?),
    };
    let store = authority.store();
    let uids = store.pending(after.as_ref(), limit + 1).await.map_err(store_error)?;
    let mut found = Vec::with_capacity(uids.len());
    for uid in uids {
        let row = store.identity(&uid).await.map_err(store_error)?;
        let pending = row.and_then(|row| row.identity.pending().map(policy::Pending::intent));
        let Some(intent) = pending else { continue };
        found.push(switch(authority, intent).await?);
    }
    Ok(paged(found, limit, |switch| switch.uid.as_str().to_owned(), |switch| switch))
}

/// What the events say of a switch.
struct Course {
    id: Hash32,
    body: SwitchRequested,
    approvals: Vec<SwitchApproval>,
    /// How it ended, if something took it away: by the first event that did.
    ended: Option<(SwitchStatus, Option<String>)>,
}

impl Course {
    /// As its request began it; none if the intent proposed something else.
    fn of(installation: &Installation, request: &EventRow, id: Hash32) -> Option<Self> {
        let body = request.event.body.as_bytes();
        let body = (request.event.kind == EventKind::SwitchRequest)
            .then(|| SwitchRequested::from_canonical(body).ok())??;
        let mut course = Self { id, body, approvals: Vec::new(), ended: None };
        course.approved(installation, request, course.body.approved.clone());
        Some(course)
    }

    fn approved(&mut self, installation: &Installation, row: &EventRow, listed: Vec<Approval>) {
        self.approvals.extend(listed.into_iter().map(|approval| SwitchApproval {
            officer: officer(installation, approval.officer),
            key: approval.officer,
            remark: remark(row, |signed| signed.signer == approval.officer),
            at: rfc3339(row.event.time_ms),
        }));
    }

    /// Goes on with the identity's next event.
    fn takes(&mut self, installation: &Installation, row: &EventRow) {
        let body = row.event.body.as_bytes();
        if row.event.kind == EventKind::SwitchApprove
            && is_about(row, self.id)
            && let Ok(body) = SwitchApproved::from_canonical(body)
        {
            self.approved(installation, row, body.approved);
        }
        if self.ended.is_none() {
            self.ended = self.end(row);
        }
    }

    /// Whether an event takes the switch away, and how it ended then.
    fn end(&self, row: &EventRow) -> Option<(SwitchStatus, Option<String>)> {
        let kind = row.event.kind;
        let by = match kind {
            EventKind::SwitchComplete if key_of(row) == Some(self.body.spki) => {
                return Some((SwitchStatus::Completed, None));
            }
            EventKind::Veto if is_about(row, self.id) => {
                match Vetoed::from_canonical(row.event.body.as_bytes()) {
                    Ok(veto) if veto.effect == VetoEffect::Dropped => {
                        format!("vetoed by the {}", veto.by)
                    }
                    _ => return None,
                }
            }
            EventKind::SwitchRequest => "replaced by another request".to_owned(),
            EventKind::Rekey | EventKind::Recover | EventKind::Void | EventKind::Retire => {
                format!("ended by a {kind}")
            }
            _ => return None,
        };
        Some((SwitchStatus::Dropped, Some(by)))
    }
}

fn shown(
    installation: &Installation,
    identity: &Identity,
    request: &EventRow,
    course: Course,
    old_key: Option<Hash32>,
    now_ms: u64,
) -> Switch {
    let Course { id, body, approvals, ended } = course;
    let pending = identity.pending().filter(|pending| pending.intent() == id);
    let (status, outcome) = match pending {
        Some(pending) if now_ms > pending.expires_ms() => (SwitchStatus::Expired, None),
        Some(_) if policy::due(installation, identity, now_ms).is_some() => {
            (SwitchStatus::Waiting, None)
        }
        Some(_) => (SwitchStatus::Pending, None),
        None => ended.unwrap_or((SwitchStatus::Dropped, None)),
    };
    let ways = pending.map(|_| policy::explain(installation, Some(identity), Time::at_ms(now_ms)));
    let complete = ways.into_iter().flatten().find(|way| way.verb == EventKind::SwitchComplete);
    let needed = pending.map_or(body.approvals, |_| policy::needed(installation, identity));
    let intent = request.event.intent.as_ref().map_or(&[][..], |intent| intent.as_bytes());
    Switch {
        id,
        uid: identity.uid.clone(),
        status,
        intent: STANDARD.encode(intent),
        old_key,
        new_key: body.spki,
        reason: remark(request, |signed| signed.statement.role == Role::NewKey),
        requested: rfc3339(request.event.time_ms),
        expires: rfc3339(pending.map_or(body.expires_ms, policy::Pending::expires_ms)),
        not_before: complete.and_then(|way| way.not_before_ms).map(rfc3339),
        needed,
        approvals,
        slowed: pending.is_some_and(policy::Pending::is_slowed),
        outcome,
    }
}

/// The key that an event certified (SHA-256 of its SubjectPublicKeyInfo).
fn key_of(row: &EventRow) -> Option<Hash32> {
    let body = row.event.body.as_bytes();
    let certified = row.event.kind.certifies().then(|| Certified::from_canonical(body).ok());
    certified.flatten().map(|certified| certified.spki)
}

/// The remark of a statement behind an event.
fn remark(row: &EventRow, is_it: impl Fn(&SignedStatement) -> bool) -> Option<String> {
    let statements =
        row.evidence.iter().filter(|(reference, _)| reference.kind == EvidenceKind::Statement);
    statements
        .filter_map(|(_, der)| SignedStatement::from_canonical(der).ok())
        .find(|signed| is_it(signed))
        .and_then(|signed| signed.remark)
}

fn officer(installation: &Installation, key: Hash32) -> String {
    installation
        .officer(key)
        .map_or_else(|| "no officer any more".to_owned(), |officer| officer.name.clone())
}

/// The policy in force and who has a say in it.
pub(crate) fn policy(authority: &Authority) -> Policy {
    let installation = authority.installation();
    let shown = |holders: &[genesis::Keyholder]| {
        let one = |holder: &genesis::Keyholder| Keyholder {
            name: holder.name.clone(),
            key: Hash32::of(holder.spki.as_bytes()),
            public_key: STANDARD.encode(holder.spki.as_bytes()),
            scope: holder.scope.clone(),
        };
        holders.iter().map(one).collect()
    };
    Policy {
        hash: installation.rules_hash(),
        toml: policy::file::write(installation.rules()),
        officers: shown(installation.roster()),
        agents: shown(installation.agents()),
        providers: installation.providers().iter().map(|p| p.issuer.clone()).collect(),
        sequence: installation.sequence(),
        head: installation.head(),
        announced: installation.waiting().map(|kind| kind.name().to_owned()).collect(),
    }
}

/// What an identity, or an id that is not enrolled, may do now and what it takes.
pub(crate) async fn ways(
    authority: &Authority,
    uid: &UserId,
    rules: Option<&[u8]>,
) -> Result<Vec<Way>> {
    let row = authority.store().identity(uid).await.map_err(store_error)?;
    let present = authority.installation();
    let supposed = match rules {
        None => None,
        Some(der) => {
            let malformed = |detail: String| {
                Box::new(Problem::new(ProblemCode::MalformedRequest, detail).rule("rules"))
            };
            let rules = Rules::from_canonical(der).map_err(|error| malformed(error.to_string()))?;
            rules
                .within_bounds()
                .map_err(|(field, reason)| malformed(format!("{field}: {reason}")))?;
            Some(present.supposing(rules))
        }
    };
    let installation = supposed.as_ref().unwrap_or(&present);
    let identity = row.as_ref().map(|row| &row.identity);
    let now = Time::at_ms(authority.clock().now_ms());
    let ways = policy::explain(installation, identity, now);
    Ok(ways
        .into_iter()
        .map(|way| Way {
            verb: way.verb.name().to_owned(),
            signed_by: way.signed_by,
            takes: way.takes,
            not_before: way.not_before_ms.map(rfc3339),
            closed: way.closed,
        })
        .collect())
}

/// Whose key moved, oldest first.
pub(crate) async fn key_changes(
    authority: &Authority,
    page: &PageRequest,
) -> Result<Page<KeyChange>> {
    let limit = limit(page)?;
    let after = match &page.cursor {
        None => None,
        Some(cursor) => Some(cursor.parse::<u64>().map_err(|_| bad_cursor(cursor))?),
    };
    let rows = authority.store().moved(after, limit + 1).await.map_err(store_error)?;
    let mut changes = Vec::with_capacity(rows.len());
    for row in rows {
        let event = row.event;
        let Some(uid) = event.subject else { continue };
        let body = event.body.as_bytes();
        let certified = event.kind.certifies().then(|| Certified::from_canonical(body).ok());
        changes.push(KeyChange {
            uid,
            event: event.kind.name().to_owned(),
            sequence: event.sequence,
            leaf_index: row.leaf_index,
            at: rfc3339(event.time_ms),
            key: certified.flatten().map(|certified| certified.spki),
        });
    }
    Ok(paged(changes, limit, |change| change.leaf_index.to_string(), |change| change))
}
