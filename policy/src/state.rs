//! The installation: what replaying its events gives. Also what one decision rests on.

use std::collections::{BTreeMap, BTreeSet};

use wire::event::{Event, EventKind};
use wire::genesis::{
    Cosigner, Genesis, InstallationKey, KeyPurpose, Keyholder, Provider, are_distinct,
};
use wire::head::InstallationHead;
use wire::rules::Rules;
use wire::{Encoded, FormatError, Hash32, Realm, UserId};

use crate::identity::Identity;
use crate::scope::{Scope, ScopeError};
use crate::v1::{Announced, Change};

/// When a decision is made: bounds, in milliseconds since 1970. Waits are measured against the
/// lower, expiries against the upper one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    lower_ms: u64,
    upper_ms: u64,
}

impl Time {
    /// Two bounds, where the lower is one.
    #[must_use]
    pub fn between_ms(lower_ms: u64, upper_ms: u64) -> Option<Self> {
        (lower_ms <= upper_ms).then_some(Self { lower_ms, upper_ms })
    }

    /// One clock's word for both bounds.
    #[must_use]
    pub fn at_ms(ms: u64) -> Self {
        Self { lower_ms: ms, upper_ms: ms }
    }

    /// It is certainly later than this.
    #[must_use]
    pub fn lower_ms(self) -> u64 {
        self.lower_ms
    }

    /// It is certainly not later than this.
    #[must_use]
    pub fn upper_ms(self) -> u64 {
        self.upper_ms
    }
}

/// The installation, as its own events made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    genesis: Hash32,
    realm: Realm,
    base_url: String,
    origin: String,
    blinding: Hash32,
    log_number: u16,
    rules: Rules,
    rules_hash: Hash32,
    roster: Vec<Keyholder>,
    agents: Vec<Keyholder>,
    providers: Vec<Provider>,
    cosigners: Vec<Cosigner>,
    keys: Vec<InstallationKey>,
    escrow: Option<Vec<u8>>,
    sequence: u64,
    head: Option<Hash32>,
    announced: BTreeMap<EventKind, Announced>,
    struck: BTreeSet<Hash32>,
    /// Whether transport evidence counts for nothing, whatever the policy says.
    signed_only: bool,
}

/// Why bytes do not begin an installation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InstallationError {
    /// Not an event, or not a genesis body.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// Another kind of event.
    #[error("the first event is {0}, not genesis")]
    Kind(EventKind),
    /// A key that must be there is not.
    #[error("the genesis event names no {0} key")]
    NoKey(KeyPurpose),
    /// An agent's scope that is not understood.
    #[error("the agent {name}: {source}")]
    Scope {
        /// Which.
        name: String,
        /// What is wrong.
        source: ScopeError,
    },
    /// Co-signers that are not told apart.
    #[error("a co-signer has no key, or two have the same")]
    Cosigners,
    /// Decided by an engine that this program does not know.
    #[error("the genesis event names policy engine {0}; this program knows 1")]
    Engine(u8),
}

impl Installation {
    /// Reads the genesis event.
    ///
    /// # Errors
    /// Refuses anything but a whole genesis event of a known engine with root and issuing key.
    pub fn from_genesis(event: &Event) -> Result<Self, InstallationError> {
        if event.kind != EventKind::Genesis {
            return Err(InstallationError::Kind(event.kind));
        }
        if event.engine != crate::ENGINE {
            return Err(InstallationError::Engine(event.engine));
        }
        let body = Genesis::from_canonical(event.body.as_bytes())?;
        for purpose in [KeyPurpose::Root, KeyPurpose::Issuing] {
            if !body.keys.iter().any(|key| key.purpose == purpose) {
                return Err(InstallationError::NoKey(purpose));
            }
        }
        for agent in &body.agents {
            Scope::parse(&agent.scope)
                .map_err(|source| InstallationError::Scope { name: agent.name.clone(), source })?;
        }
        if !are_distinct(&body.cosigners) {
            return Err(InstallationError::Cosigners);
        }
        Ok(Self {
            genesis: event.hash(),
            rules_hash: body.rules.hash(),
            realm: body.realm,
            base_url: body.base_url,
            origin: body.origin,
            blinding: body.blinding,
            log_number: body.log_number,
            rules: body.rules,
            roster: body.roster,
            agents: body.agents,
            providers: body.providers,
            cosigners: body.cosigners,
            keys: body.keys,
            escrow: body.escrow.map(|escrow| escrow.as_bytes().to_vec()),
            sequence: 0,
            head: None,
            announced: BTreeMap::new(),
            struck: BTreeSet::new(),
            signed_only: false,
        })
    }

    /// Hash of the genesis event.
    #[must_use]
    pub fn genesis(&self) -> Hash32 {
        self.genesis
    }

    /// The realm.
    #[must_use]
    pub fn realm(&self) -> &Realm {
        &self.realm
    }

    /// Where CRLs and issuing certificates are served, without a trailing slash.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Origin line of the log's checkpoints (C2SP tlog-checkpoint).
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Commitment to the secret that blinds ids.
    #[must_use]
    pub fn blinding(&self) -> Hash32 {
        self.blinding
    }

    /// First 16 bits of every serial number.
    #[must_use]
    pub fn log_number(&self) -> u16 {
        self.log_number
    }

    /// The policy in force.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The installation as it would be under other rules, to ask [`crate::explain`] about. Nothing
    /// that is decided on it fits the real one.
    #[must_use]
    pub fn supposing(&self, rules: Rules) -> Self {
        Self { rules_hash: rules.hash(), rules, ..self.clone() }
    }

    /// Its hash.
    #[must_use]
    pub fn rules_hash(&self) -> Hash32 {
        self.rules_hash
    }

    /// The keys with this purpose.
    pub fn keys(&self, purpose: KeyPurpose) -> impl Iterator<Item = &InstallationKey> {
        self.keys.iter().filter(move |key| key.purpose == purpose)
    }

    /// Purpose of the keys that sign what an event of this kind calls for. A move that nothing of the
    /// holder's stands behind is signed by a key of its own, where there is one; all else, a
    /// recovery too, follows from a key that the holder has.
    #[must_use]
    pub fn issuing_purpose(&self, kind: EventKind) -> KeyPurpose {
        let by_others = matches!(kind, EventKind::SwitchRequest | EventKind::SwitchComplete);
        if by_others && self.keys(KeyPurpose::SwitchIssuing).next().is_some() {
            KeyPurpose::SwitchIssuing
        } else {
            KeyPurpose::Issuing
        }
    }

    /// The scope of the enrolment agent whose key has this SHA-256: one that may enrol.
    #[must_use]
    pub fn agent(&self, spki: Hash32) -> Option<Scope> {
        holder(&self.agents, spki).and_then(Scope::of).filter(Scope::enrols)
    }

    /// The scope of the directory's service whose key has this SHA-256.
    #[must_use]
    pub fn directory(&self, spki: Hash32) -> Option<Scope> {
        holder(&self.agents, spki).and_then(Scope::of).filter(Scope::is_directory)
    }

    /// The officer whose key has this SHA-256.
    #[must_use]
    pub fn officer(&self, spki: Hash32) -> Option<&Keyholder> {
        holder(&self.roster, spki)
    }

    /// The officers.
    #[must_use]
    pub fn roster(&self) -> &[Keyholder] {
        &self.roster
    }

    /// How many officers are not the identity's own person.
    pub(crate) fn officers_besides(&self, identity: &Identity) -> usize {
        let uid = identity.uid.as_str();
        self.roster.iter().filter(|officer| !is_person(officer, uid)).count()
    }

    /// Everybody with an agent's key.
    #[must_use]
    pub fn agents(&self) -> &[Keyholder] {
        &self.agents
    }

    /// The identity providers.
    #[must_use]
    pub fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// The co-signers.
    #[must_use]
    pub fn cosigners(&self) -> &[Cosigner] {
        &self.cosigners
    }

    /// SHA-256 of each co-signer's verifier key, as facts name it.
    pub(crate) fn cosigner_keys(&self) -> BTreeSet<Hash32> {
        self.cosigners.iter().map(|cosigner| Hash32::of(cosigner.vkey.as_bytes())).collect()
    }

    /// The organisation's escrow certificate, DER.
    #[must_use]
    pub fn escrow(&self) -> Option<&[u8]> {
        self.escrow.as_deref()
    }

    /// Number of the installation's latest event.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Leaf hash of the installation's latest event, where it was told
    /// ([`Installation::logged_at`]).
    #[must_use]
    pub fn head(&self) -> Option<Hash32> {
        self.head
    }

    /// What the map of heads says of it ([`wire::head::installation_position`]); none while nothing
    /// has happened since genesis.
    #[must_use]
    pub fn proven_head(&self) -> Option<Hash32> {
        let leaf = self.head.filter(|_| self.sequence > 0)?;
        Some(InstallationHead { version: 1, leaf, sequence: self.sequence }.hash())
    }

    /// The installation, told the leaf hash of its latest event.
    #[must_use]
    pub fn logged_at(mut self, leaf: Hash32) -> Self {
        self.head = Some(leaf);
        for announced in self.announced.values_mut() {
            announced.leaf.get_or_insert(leaf);
        }
        self
    }

    /// The installation as auditors see it: a transport's word counts for nothing, whatever the
    /// policy says, now and after every change (DESIGN section 2).
    #[must_use]
    pub fn signed_only(mut self) -> Self {
        self.signed_only = true;
        self
    }

    /// Whether a transport's word may count.
    pub(crate) fn hears_transport(&self) -> bool {
        self.rules.allow_transport_evidence && !self.signed_only
    }

    /// Whether a leaf was declared dead.
    #[must_use]
    pub fn is_struck(&self, leaf: Hash32) -> bool {
        self.struck.contains(&leaf)
    }

    /// The kinds of change that are announced and wait.
    pub fn waiting(&self) -> impl Iterator<Item = EventKind> {
        self.announced.keys().copied()
    }

    pub(crate) fn all_announced(&self) -> impl Iterator<Item = (EventKind, &Announced)> {
        self.announced.iter().map(|(kind, announced)| (*kind, announced))
    }

    pub(crate) fn announced(&self, kind: EventKind) -> Option<&Announced> {
        self.announced.get(&kind)
    }

    /// One event later, with a change announced; it takes the place of an earlier one.
    pub(crate) fn announcing(&self, kind: EventKind, announced: Announced) -> Self {
        let mut next = self.clone();
        next.sequence += 1;
        next.head = None;
        next.announced.insert(kind, announced);
        next
    }

    /// One event later, with a change in effect. One of its kind that was announced is dropped.
    pub(crate) fn changed(&self, kind: EventKind, change: Change) -> Self {
        let mut next = self.clone();
        next.sequence += 1;
        next.head = None;
        next.announced.remove(&kind);
        match change {
            Change::Policy(rules) => {
                next.rules_hash = rules.hash();
                next.rules = *rules;
            }
            Change::Roster(roster) => next.roster = roster,
            Change::Agents(agents) => next.agents = agents,
            Change::Providers(providers) => next.providers = providers,
            Change::Escrow(escrow) => next.escrow = escrow,
            Change::Cosigners(cosigners) => next.cosigners = cosigners,
            Change::Issuers(keys) => {
                next.keys.retain(|key| key.purpose != KeyPurpose::Issuing);
                next.keys.extend(keys);
            }
            Change::Strike(leaf) => drop(next.struck.insert(leaf)),
        }
        next
    }
}

fn holder(list: &[Keyholder], spki: Hash32) -> Option<&Keyholder> {
    list.iter().find(|holder| Hash32::of(holder.spki.as_bytes()) == spki)
}

/// Whether an officer is the person behind a user id: by name, or by a `uid=` entry in the scope.
pub(crate) fn is_person(officer: &Keyholder, uid: &str) -> bool {
    officer.name == uid || officer.scope.iter().any(|e| e.strip_prefix("uid=") == Some(uid))
}

/// What the log knows of the key that a request brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyUse {
    /// Never seen.
    Unknown,
    /// A present or past key of this identity.
    Known {
        /// Whose.
        by: UserId,
    },
}

/// All that one decision rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State<'a> {
    /// The installation.
    pub installation: &'a Installation,
    /// The identity, if it exists.
    pub identity: Option<Identity>,
    /// What is known of the key in the request.
    pub key_use: KeyUse,
}
