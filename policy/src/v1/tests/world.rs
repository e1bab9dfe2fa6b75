//! A small world: an installation, people, a clock. Every decision is replayed at once, and the
//! invariants that hold for every step are checked at every step.

use std::collections::BTreeMap;

use wire::event::{Certified, EventKind};
use wire::intent::Intent;
use wire::statement::{Role, Statement};
use wire::{Encoded, Hash32, octets};

use crate::fact::mint;
use crate::testing::*;
use crate::v1::{Approved, Request, apply, decide};
use crate::{Fact, Identity, Installation, KeyUse, Refusal, State, Status, Time};

pub(crate) const HOUR_MS: u64 = 3_600_000;
pub(crate) const WAIT_MS: u64 = 72 * HOUR_MS;

/// Commitment to the recovery key with this name.
pub(crate) fn commitment(recovery: &str) -> Hash32 {
    wire::body::recovery_commitment(recovery.as_bytes())
}

#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) installation: Installation,
    pub(crate) people: BTreeMap<&'static str, Identity>,
    pub(crate) used: BTreeMap<Hash32, &'static str>,
    pub(crate) now_ms: u64,
    leaves: u64,
}

impl World {
    /// Alice (key `k0`, recovery key `r0`, one channel) and Bob (`b0`, none), enrolled.
    pub(crate) fn new() -> Self {
        Self::with(installation(|_| {}))
    }

    pub(crate) fn with(installation: Installation) -> Self {
        let mut world = Self {
            installation,
            people: BTreeMap::new(),
            used: BTreeMap::new(),
            now_ms: NOON_MS,
            leaves: 0,
        };
        world.enrol("alice", "k0", Some("r0")).unwrap();
        world.enrol("bob", "b0", None).unwrap();
        world
    }

    pub(crate) fn enrol(
        &mut self,
        who: &'static str,
        key: &str,
        recovery: Option<&str>,
    ) -> Result<EventKind, Refusal> {
        let mut intent = over_key(intent(&self.installation, EventKind::Enrol, who, None, 0), key);
        intent.recovery_commitment = recovery.map(commitment);
        intent.body = recovery.map(|_| octets(&channels("old").to_canonical()));
        let facts = vec![
            possession(key),
            self.signs(Role::Agent, "agent", &intent),
            self.signs(Role::NewKey, key, &intent),
        ];
        let request = Request::Certify { uid: uid(who), spki: h(key), csr: csr(key) };
        self.act(who, &request, &facts)
    }

    pub(crate) fn alice(&self) -> &Identity {
        &self.people["alice"]
    }

    pub(crate) fn tick(&mut self, ms: u64) {
        self.now_ms += ms;
    }

    /// An intent about Alice on her head.
    pub(crate) fn intent(&self, verb: EventKind) -> Intent {
        let alice = self.alice();
        let mut intent =
            intent(&self.installation, verb, "alice", Some(alice.head), alice.sequence + 1);
        intent.expiry = self.now_ms / 1000 + 60 * 86400;
        intent.nonce = octets(&[self.leaves.to_be_bytes(), [9; 8]].concat());
        intent
    }

    /// The same on her anchor.
    pub(crate) fn anchored(&self, verb: EventKind) -> Intent {
        let (sequence, head) = self.alice().anchor();
        Intent { head: Some(head), sequence: sequence + 1, ..self.intent(verb) }
    }

    pub(crate) fn over(&self, verb: EventKind, key: &str) -> Intent {
        over_key(self.intent(verb), key)
    }

    /// `signer` signs the intent for its own verb.
    pub(crate) fn signs(&self, role: Role, signer: &str, intent: &Intent) -> Fact {
        self.says(intent.verb, role, signer, intent)
    }

    pub(crate) fn says(&self, verb: EventKind, role: Role, signer: &str, intent: &Intent) -> Fact {
        let statement = Statement::new(self.installation.genesis(), verb, role, intent.hash());
        let statement = match (role, verb) {
            (Role::Officer, EventKind::SwitchApprove) => statement.with_remark("in person"),
            _ => statement,
        };
        mint::signed(statement, h(signer), intent.clone())
    }

    /// The recovery key of this name signs, and is revealed.
    pub(crate) fn recovers(&self, verb: EventKind, name: &str, intent: &Intent) -> [Fact; 2] {
        [
            self.says(verb, Role::RecoveryKey, name, intent),
            mint::revealed(h(name), commitment(name)),
        ]
    }

    pub(crate) fn ask(&mut self, intent: &Intent, facts: &[Fact]) -> Result<EventKind, Refusal> {
        self.act("alice", &Request::Intent(Box::new(intent.clone())), facts)
    }

    fn use_of(&self, request: &Request, who: &'static str) -> KeyUse {
        let key = match request {
            Request::Certify { spki, .. } | Request::Revoke { spki, .. } => Some(*spki),
            Request::Intent(intent) => intent.new_spki,
            Request::CompleteSwitch { .. } => {
                self.people.get(who).and_then(|p| p.pending()).map(|p| p.spki())
            }
            _ => None,
        };
        match key.and_then(|key| self.used.get(&key)) {
            Some(by) => KeyUse::Known { by: uid(by) },
            None => KeyUse::Unknown,
        }
    }

    /// Decides, logs, replays.
    pub(crate) fn act(
        &mut self,
        who: &'static str,
        request: &Request,
        facts: &[Fact],
    ) -> Result<EventKind, Refusal> {
        let time = Time::at_ms(self.now_ms);
        let before = self.people.get(who).cloned();
        let state = State {
            installation: &self.installation,
            identity: before.clone(),
            key_use: self.use_of(request, who),
        };
        let approved = decide(&state, request, facts, time)?;
        let (kind, spki) = (approved.kind(), approved.spki());
        let (csr, certifies) = (approved.csr(), approved.certificate_follows());
        let body = if certifies { body(&approved) } else { Vec::new() };
        let intent = approved.intent().map(<[u8]>::to_vec);
        let decided = approved.into_event(self.now_ms, evidence(), intent.as_deref(), &body);
        let event = decided.event;
        assert_eq!(wire::event::Event::from_canonical(&event.to_canonical()).unwrap(), event);
        self.leaves += 1;
        let leaf = h(&format!("leaf {}", self.leaves));
        let after = decided.outcome.with_head(leaf);
        let own_csr = if kind == EventKind::SwitchComplete { None } else { csr };
        let replayed = apply(&state, &event, leaf, facts, own_csr, spki, time).unwrap();
        assert_eq!(replayed, after, "replay of {kind}");
        let bytes = after.details.to_bytes();
        assert_eq!(crate::Details::from_bytes(&bytes).unwrap(), after.details);
        if let Some(before) = &before {
            always(before, &after, kind);
        }
        if certifies {
            self.used.insert(spki, who);
        }
        self.people.insert(who, after);
        Ok(kind)
    }
}

fn body(approved: &Approved) -> Vec<u8> {
    Certified {
        version: 1,
        spki: approved.spki(),
        issuer: h("issuer"),
        serial: octets(serial().as_bytes()),
        not_before: 0,
        not_after: 1,
        profile: "person".into(),
        tbs: h("tbs"),
        possession_proven: approved.possession_proven(),
        recovery_commitment: approved.recovery_commitment_set(),
    }
    .to_canonical()
}

pub(crate) fn channels(name: &str) -> wire::body::Channels {
    let channel = wire::body::Channel { kind: wire::body::ChannelKind::Mail, address: h(name) };
    wire::body::Channels { version: 1, channels: vec![channel] }
}

/// What holds for every step of every identity.
fn always(before: &Identity, after: &Identity, kind: EventKind) {
    assert_eq!(after.sequence, before.sequence + 1, "{kind}");
    assert_ne!(before.status, Status::Retired, "nothing follows retirement, {kind} did");
    match after.status {
        Status::Active => assert!(after.key.is_some() && after.suspended_by().is_empty()),
        Status::Suspended => assert!(!after.suspended_by().is_empty()),
        Status::Retired => assert!(after.key.is_none() && after.pending().is_none()),
    }
    let moves = [EventKind::Rekey, EventKind::Recover, EventKind::SwitchComplete];
    let (old, new) = (before.key.map(|k| k.spki), after.key.map(|k| k.spki));
    if moves.contains(&kind) {
        assert_ne!(old, new);
        let number = after.key.unwrap().number;
        assert_eq!(number, before.details.latest_key + 1, "by exactly one: {kind}");
    } else {
        assert!(new.is_none() || new == old, "{kind} gave another key");
        assert_eq!(after.details.latest_key, before.details.latest_key);
    }
    if kind == EventKind::SwitchRequest {
        assert_eq!((after.status, after.key), (before.status, before.key));
        assert_eq!(after.recovery_commitment, before.recovery_commitment);
        assert_eq!(after.anchor(), before.anchor(), "filing makes no intent stale");
    }
}
