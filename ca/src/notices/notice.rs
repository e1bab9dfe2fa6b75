//! What a notice says: made of an event alone, so that it is the same whenever it is made.

use policy::Identity;
use serde::{Deserialize, Serialize};
use wire::body::{
    Approval, Changed, Ended, Phase, Recommitted, Standing, SwitchApproved, SwitchRequested,
    VetoEffect, Vetoed,
};
use wire::event::{Event, EventKind, Revoked};
use wire::{Encoded, Hash32, UserId};

/// An event, as far as people are told of it. Kept as JSON: a later program reads what an earlier
/// one left in the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The installation.
    pub realm: String,
    /// Whose identity; none for an event of the installation.
    pub uid: Option<UserId>,
    /// The event's kind, by name.
    pub event: String,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// Number of the event in its history.
    pub sequence: u64,
    /// Index of its leaf in the log.
    pub leaf_index: u64,
    /// The switch that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switch: Option<Hash32>,
    /// SHA-256 of the public key that is asked for, or that holds from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Hash32>,
    /// Not before this it takes effect, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before_ms: Option<u64>,
    /// Until then it can be undone, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// Who did it, as a role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What else there is to say of it, in a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Whether it is only announced.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub announced: bool,
}

/// Who is told of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Audience {
    /// The identity's channels.
    pub(crate) owner: bool,
    /// The officers' addresses.
    pub(crate) officers: bool,
}

/// Who is told of which events. Renewals and what changes nothing for anybody are told to nobody;
/// officers are told of what they may have to act on.
pub(crate) fn audience(kind: EventKind) -> Audience {
    use EventKind as K;
    let (owner, officers) = match kind {
        K::Genesis | K::Renew => (false, false),
        K::Enrol | K::Adopt | K::Reissue | K::Rename | K::Rekey => (true, false),
        K::ChannelChange | K::RecoveryCommitmentChange => (true, false),
        K::SwitchRequest | K::SwitchApprove | K::SwitchComplete | K::Veto => (true, true),
        K::Recover | K::Suspend | K::Resume | K::Revoke | K::Void | K::Retire => (true, true),
        K::PolicyChange | K::RosterChange | K::AgentsChange | K::ProvidersChange => (false, true),
        K::EscrowChange | K::Strike | K::IssuersChange | K::CosignersChange => (false, true),
    };
    Audience { owner, officers }
}

impl Notice {
    /// What there is to tell of an event. `identity` is as the event leaves it.
    #[must_use]
    pub fn of(event: &Event, identity: Option<&Identity>, realm: &str, leaf_index: u64) -> Self {
        let body = event.body.as_bytes();
        let mut notice = Self {
            realm: realm.to_owned(),
            uid: event.subject.clone(),
            event: event.kind.name().to_owned(),
            at_ms: event.time_ms,
            sequence: event.sequence,
            leaf_index,
            switch: None,
            key: None,
            not_before_ms: None,
            until_ms: None,
            by: None,
            detail: None,
            announced: false,
        };
        notice.fill(event, body, identity);
        notice
    }

    /// A notice that tells of nothing, to try whether notices arrive.
    #[must_use]
    pub fn test(now_ms: u64) -> Self {
        Self {
            realm: "a test".to_owned(),
            uid: None,
            event: "test".to_owned(),
            at_ms: now_ms,
            sequence: 0,
            leaf_index: 0,
            switch: None,
            key: None,
            not_before_ms: None,
            until_ms: None,
            by: None,
            detail: None,
            announced: false,
        }
    }

    fn fill(&mut self, event: &Event, body: &[u8], identity: Option<&Identity>) {
        use EventKind as K;
        match event.kind {
            K::SwitchRequest => {
                let Ok(asked) = SwitchRequested::from_canonical(body) else { return };
                self.switch = Some(asked.intent);
                self.key = Some(asked.spki);
                self.not_before_ms = Some(after(event.time_ms, asked.wait));
                self.until_ms = Some(asked.expires_ms);
                self.detail = Some(approvals(&asked.approved, asked.approvals));
            }
            K::SwitchApprove => {
                let Ok(approved) = SwitchApproved::from_canonical(body) else { return };
                self.switch = Some(approved.intent);
            }
            K::Veto => {
                let Ok(vetoed) = Vetoed::from_canonical(body) else { return };
                self.switch = Some(vetoed.intent);
                self.by = Some(vetoed.by.name().to_owned());
                self.announced = vetoed.effect == VetoEffect::Slowed;
                self.detail = Some(vetoed.effect.name().to_owned());
            }
            K::Enrol | K::Adopt | K::Reissue | K::Rekey | K::Recover | K::SwitchComplete => {
                self.key = key_of(identity);
                if identity.and_then(Identity::unshown_switch).is_some() {
                    let text =
                        "the certificate is signed when operators open the token for switches";
                    self.detail = Some(text.to_owned());
                }
            }
            K::Suspend | K::Resume => {
                self.by = Standing::from_canonical(body).ok().map(|s| s.by.name().to_owned());
            }
            K::Void | K::Retire => {
                let announced = Ended::from_canonical(body).map(|e| e.phase == Phase::Announced);
                self.announced = announced.unwrap_or(false);
                if self.announced {
                    self.switch = identity.and_then(Identity::retiring).map(|r| r.intent());
                }
            }
            K::Revoke => {
                self.detail =
                    Revoked::from_canonical(body).ok().map(|r| r.reason.name().to_owned());
            }
            K::RecoveryCommitmentChange => {
                let Ok(changed) = Recommitted::from_canonical(body) else { return };
                self.by = Some(changed.by.name().to_owned());
                self.until_ms = Some(changed.old_wins_until_ms).filter(|until| *until > 0);
            }
            _ => {
                let announced = Changed::from_canonical(body).map(|c| c.phase == Phase::Announced);
                self.announced = announced.unwrap_or(false);
            }
        }
    }

    /// Adds to what else there is to say.
    pub(crate) fn add_detail(&mut self, more: &str) {
        self.detail = Some(match self.detail.take() {
            Some(detail) => format!("{detail}; {more}"),
            None => more.to_owned(),
        });
    }

    /// The bytes for the outbox.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Texts and numbers always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads them.
    ///
    /// # Errors
    /// When they are not of a notice.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

fn after(at_ms: u64, seconds: u64) -> u64 {
    at_ms.saturating_add(seconds.saturating_mul(1000))
}

fn approvals(given: &[Approval], needed: u32) -> String {
    format!("{} of {needed} officers have approved", given.len())
}

fn key_of(identity: Option<&Identity>) -> Option<Hash32> {
    identity.and_then(|identity| identity.key).map(|key| key.spki)
}
