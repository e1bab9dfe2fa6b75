//! What people are told of their identities: written with the event, sent until it is taken.
//!
//! `notice` says what there is to tell of an event, `compose` puts it into words; both are pure.
//! `post` is the contract for sending, kept by `mail` and `webhook`. `sender` works through the
//! outbox. Addresses come sealed and are opened with `key`.

mod compose;
mod key;
mod mail;
mod notice;
mod post;
mod sender;
mod webhook;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use wire::body::{ChannelKind, Channels, Ended, Phase, SwitchRequested};
use wire::event::EventKind;
use wire::{Encoded, UserId};

pub use compose::{Letter, letter, payload};
pub use key::{AddressError, AddressKey};
pub use mail::{MailError, MailSettings, Mailer, SmtpTls};
pub use notice::Notice;
pub use post::{Parcel, Post, PostError, Postman};
pub(crate) use sender::run;
pub use webhook::{Caller, WebhookError, WebhookSettings};

use crate::store::notices::notice_id;
use crate::store::rows::{Destination, NewEvent, NewNotice, NoticeRows};

/// Addresses are kept beyond their last use for this, in milliseconds, so that nothing that may
/// still be told to them is lost to a clock.
const GRACE_MS: u64 = 86_400_000;

/// Requests for a switch by nobody but the new key of which people are told within an hour, for each
/// identity. Anybody can file one, and could fill mailboxes. Nothing is hidden by that: a request
/// leads to nothing without officers, and every approval is told.
const REQUESTS_TOLD: u32 = 5;

/// How notices are sent.
#[derive(Debug, Clone)]
pub struct NoticeSettings {
    /// What sends them.
    pub post: Arc<dyn Post>,
    /// Kinds of channels that it can send to.
    pub ways: Vec<ChannelKind>,
    /// Mail addresses of officers.
    pub officers: Vec<String>,
    /// Time after the first try that failed; twice as long after each more, up to an hour.
    pub first_retry: Duration,
    /// How long a notice is tried.
    pub give_up: Duration,
}

impl Default for NoticeSettings {
    fn default() -> Self {
        Self {
            post: Arc::new(Postman::default()),
            ways: Vec::new(),
            officers: Vec::new(),
            first_retry: Duration::from_secs(30),
            give_up: Duration::from_secs(3 * 86_400),
        }
    }
}

/// Notices of a running authority.
#[derive(Debug)]
pub(crate) struct Notices {
    settings: NoticeSettings,
    key: AddressKey,
    written: Notify,
    requests: Mutex<Requests>,
    /// What is wrong with sending, in words.
    trouble: Mutex<Option<String>>,
}

/// Bare requests for a switch in one hour since 1970.
#[derive(Debug, Default)]
struct Requests {
    hour: u64,
    of: HashMap<UserId, u32>,
}

impl Requests {
    /// The number of this one within its hour, from 1.
    fn count(&mut self, uid: &UserId, at_ms: u64) -> u32 {
        let hour = at_ms / 3_600_000;
        if hour != self.hour {
            *self = Self { hour, of: HashMap::new() };
        }
        let count = self.of.entry(uid.clone()).or_default();
        *count = count.saturating_add(1);
        *count
    }
}

impl Notices {
    pub(crate) fn new(settings: NoticeSettings, key: AddressKey) -> Self {
        Self {
            settings,
            key,
            written: Notify::new(),
            requests: Mutex::default(),
            trouble: Mutex::default(),
        }
    }

    pub(crate) fn settings(&self) -> &NoticeSettings {
        &self.settings
    }

    /// The key that addresses are sealed to.
    pub(crate) fn key(&self) -> &AddressKey {
        &self.key
    }

    /// There is something new in the outbox.
    pub(crate) fn written(&self) {
        self.written.notify_one();
    }

    /// What is wrong with sending.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// What operators should know.
    pub(crate) fn warnings(&self) -> Vec<String> {
        // Mail is what users have; webhooks are an extra that nobody misses.
        if self.settings.ways.contains(&ChannelKind::Mail) {
            return Vec::new();
        }
        vec![
            "no mail server is configured ([notices]): users are not told by mail what happens to \
             their identity"
                .to_owned(),
        ]
    }

    /// What follows from events for those who are told of them. `wait` is the policy's, in seconds.
    pub(crate) fn rows(&self, realm: &str, wait: u64, events: &[NewEvent]) -> NoticeRows {
        let mut rows = NoticeRows::default();
        for new in events {
            self.addresses(wait, new, &mut rows);
            self.outbox(realm, new, &mut rows);
        }
        rows
    }

    fn addresses(&self, wait: u64, new: &NewEvent, rows: &mut NoticeRows) {
        let Some(uid) = &new.event.subject else { return };
        rows.addresses.extend(new.addresses.iter().map(|known| (uid.clone(), known.clone())));
        let body = new.event.body.as_bytes();
        let stay = match new.event.kind {
            EventKind::ChannelChange => match Channels::from_canonical(body) {
                Ok(body) => body.channels,
                Err(_) => return,
            },
            EventKind::Retire => match Ended::from_canonical(body) {
                Ok(body) if body.phase == Phase::Effective => Vec::new(),
                _ => return,
            },
            _ => return,
        };
        let kept_ms = wait.saturating_mul(2000).saturating_add(GRACE_MS);
        rows.leaving.push((uid.clone(), new.event.time_ms.saturating_add(kept_ms)));
        rows.in_use.extend(stay.iter().map(|channel| (uid.clone(), channel.address)));
    }

    /// The number within its hour of a request for a switch that no officer stands behind.
    fn bare_request(&self, new: &NewEvent) -> Option<u32> {
        let uid = new.event.subject.as_ref()?;
        let asked = (new.event.kind == EventKind::SwitchRequest)
            .then(|| SwitchRequested::from_canonical(new.event.body.as_bytes()))?;
        let is_bare = asked.is_ok_and(|asked| asked.approved.is_empty());
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        is_bare.then(|| requests.count(uid, new.event.time_ms))
    }

    fn outbox(&self, realm: &str, new: &NewEvent, rows: &mut NoticeRows) {
        let audience = notice::audience(new.event.kind);
        let mut to = Vec::new();
        if let (true, Some(row)) = (audience.owner, &new.identity) {
            let uid = &row.identity.uid;
            to.extend(row.identity.channels(new.event.time_ms).map(|channel| {
                Destination::Channel { uid: uid.clone(), channel: channel.address }
            }));
        }
        if audience.officers {
            to.extend(self.settings.officers.iter().map(|address| {
                let address = address.clone();
                Destination::Address { kind: ChannelKind::Mail, address }
            }));
        }
        if to.is_empty() {
            return;
        }
        let identity = new.identity.as_ref().map(|row| &row.identity);
        let mut notice = Notice::of(&new.event, identity, realm, new.leaf_index);
        notice.switch = notice.switch.or(new.completes);
        match self.bare_request(new) {
            Some(n) if n > REQUESTS_TOLD => return,
            Some(REQUESTS_TOLD) => notice.add_detail(
                "more requests within this hour are not told one by one; approvals are",
            ),
            _ => {}
        }
        let notice = notice.to_bytes();
        let leaf = new.leaf.leaf_hash();
        rows.outbox.extend(to.into_iter().map(|to| NewNotice {
            id: notice_id(leaf, &to),
            leaf_index: new.leaf_index,
            to,
            notice: notice.clone(),
            at_ms: new.event.time_ms,
        }));
    }
}

#[cfg(test)]
mod tests;
