//! What goes into the store and comes out of it. Rows are plain data: what decisions make of them
//! is checked where they are decided on.

use std::collections::HashMap;

use policy::{Identity, Status};
use tlog::StoredHash;
use wire::address::Address;
use wire::body::ChannelKind;
use wire::event::{Event, EventKind, EvidenceRef, RevocationReason};
use wire::leaf::Leaf;
use wire::{Hash32, IdempotencyKey, SerialNumber, UserId};

/// Leaf 0.
#[derive(Debug, Clone)]
pub struct GenesisRow {
    /// The leaf.
    pub leaf: Leaf,
    /// Its salt.
    pub salt: [u8; 32],
    /// The event.
    pub event: Event,
}

/// An identity as stored.
#[derive(Debug, Clone)]
pub struct IdentityRow {
    /// State after the latest event.
    pub identity: Identity,
    /// The key of its blinded id.
    pub blinding_key: [u8; 32],
    /// Time of its first event, milliseconds since 1970.
    pub created_ms: u64,
    /// Time of its latest event, milliseconds since 1970.
    pub updated_ms: u64,
    /// When something that waits may take effect at the earliest, milliseconds since 1970.
    pub due_ms: Option<u64>,
}

/// A public key that an identity has or had.
#[derive(Debug, Clone)]
pub struct KeyRow {
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub hash: Hash32,
    /// Whose it is or was.
    pub uid: UserId,
    /// SubjectPublicKeyInfo, DER.
    pub spki: Vec<u8>,
    /// `P-256`, `RSA-2048`, …
    pub algorithm: String,
}

/// What an idempotency key was used for.
#[derive(Debug, Clone, Copy)]
pub struct IdempotencyRow {
    /// Hash of the request.
    pub request: Hash32,
    /// The leaf it led to.
    pub leaf_index: u64,
}

/// Rows that decisions on a group rest on.
#[derive(Debug, Default)]
pub struct Books {
    /// Identities that exist.
    pub identities: HashMap<UserId, IdentityRow>,
    /// Keys that are known.
    pub keys: HashMap<Hash32, KeyRow>,
    /// Idempotency keys that were used.
    pub idempotency: HashMap<IdempotencyKey, IdempotencyRow>,
}

/// One event to append, with everything that follows from it.
#[derive(Debug)]
pub struct NewEvent {
    /// Its leaf's index.
    pub leaf_index: u64,
    /// Its leaf.
    pub leaf: Leaf,
    /// The salt of the leaf's commitment.
    pub salt: [u8; 32],
    /// The event.
    pub event: Event,
    /// Evidence that the event names, by its hash.
    pub evidence: Vec<(EvidenceRef, Vec<u8>)>,
    /// The identity afterwards; none for events of the installation.
    pub identity: Option<IdentityRow>,
    /// A key seen for the first time.
    pub new_key: Option<KeyRow>,
    /// The certificate to be signed.
    pub certificate: Option<CertificateRow>,
    /// Revocation of every certificate over a key.
    pub revocation: Option<Revocation>,
    /// Hash of the intent that this event proposes, which approvals and vetoes name.
    pub proposal: Option<Hash32>,
    /// Hash of the intent of the switch that takes effect with it; people are told, nothing is kept.
    pub completes: Option<Hash32>,
    /// Addresses of channels that came with the request.
    pub addresses: Vec<Address>,
    /// The caller's idempotency key with the hash of its request.
    pub idempotency: Option<(IdempotencyKey, Hash32)>,
}

/// Revocation of every certificate over a key.
#[derive(Debug, Clone, Copy)]
pub struct Revocation {
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub key: Hash32,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// Why.
    pub reason: RevocationReason,
}

/// A group of events that is appended in one transaction.
#[derive(Debug)]
pub struct RecordGroup {
    /// Leaves in the log when the decisions were made.
    pub expected_size: u64,
    /// The events, in order of their leaves.
    pub events: Vec<NewEvent>,
    /// The last leaf: it holds the root of the map of heads after these events.
    pub map_root: Leaf,
    /// Hashes of the subtrees that all of these leaves complete.
    pub hashes: Vec<StoredHash>,
    /// The secret that blinds ids, where the group begins an installation.
    pub secret: Option<[u8; 32]>,
    /// What people are told of these events.
    pub notices: NoticeRows,
}

/// What follows from events for those who are told of them. Empty for most groups.
#[derive(Debug, Default)]
pub struct NoticeRows {
    /// Identities whose channels changed: until when (milliseconds since 1970) their addresses are
    /// kept, but for those in `in_use`.
    pub leaving: Vec<(UserId, u64)>,
    /// Addresses that became known.
    pub addresses: Vec<(UserId, Address)>,
    /// Channels of the identities in `leaving` that stay, by their hash.
    pub in_use: Vec<(UserId, Hash32)>,
    /// Notices to send.
    pub outbox: Vec<NewNotice>,
}

/// A notice to send.
#[derive(Debug)]
pub struct NewNotice {
    /// Its stable name.
    pub id: Hash32,
    /// Leaf of the event that it tells of.
    pub leaf_index: u64,
    /// Where it goes.
    pub to: Destination,
    /// What it says (`notices/` reads it).
    pub notice: Vec<u8>,
    /// When it happened, milliseconds since 1970.
    pub at_ms: u64,
}

/// Where a notice goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To a channel of an identity. Without a known address nothing is sent.
    Channel {
        /// Whose.
        uid: UserId,
        /// The channel's hash.
        channel: Hash32,
    },
    /// To an address from the configuration.
    Address {
        /// How.
        kind: ChannelKind,
        /// Where.
        address: String,
    },
}

/// The outbox at one moment.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Notices whose time has come.
    pub due: Vec<OutboxRow>,
    /// When the next one's time comes (or came), milliseconds since 1970.
    pub next_ms: Option<u64>,
    /// Notices not sent and not given up, the due ones too.
    pub waiting: u64,
    /// When what the oldest of them tells of happened, milliseconds since 1970.
    pub oldest_ms: Option<u64>,
    /// Notices given up and not forgotten yet.
    pub given_up: u64,
}

/// A notice that is to be sent.
#[derive(Debug, Clone)]
pub struct OutboxRow {
    /// Its stable name.
    pub id: Hash32,
    /// Leaf of the event that it tells of.
    pub leaf_index: u64,
    /// How.
    pub kind: ChannelKind,
    /// Where.
    pub address: String,
    /// What it says.
    pub notice: Vec<u8>,
    /// When it happened, milliseconds since 1970.
    pub at_ms: u64,
    /// How often it was tried.
    pub attempts: u32,
}

/// What came of sending a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It was taken.
    Sent {
        /// Which.
        id: Hash32,
    },
    /// It was not, and is tried again.
    Again {
        /// Which.
        id: Hash32,
        /// How often it was tried.
        attempts: u32,
        /// When, milliseconds since 1970.
        next_ms: u64,
    },
    /// It was tried for long enough.
    GivenUp {
        /// Which.
        id: Hash32,
        /// When, milliseconds since 1970.
        at_ms: u64,
    },
}

impl RecordGroup {
    /// Leaves that the group appends.
    #[must_use]
    pub fn leaves(&self) -> u64 {
        self.events.len() as u64 + 1
    }

    /// Index of the last leaf.
    #[must_use]
    pub fn map_root_index(&self) -> u64 {
        self.expected_size + self.events.len() as u64
    }
}

/// What becomes public together.
#[derive(Debug, Default)]
pub struct Publication {
    /// Signed checkpoints, one of each group.
    pub checkpoints: Vec<CheckpointRow>,
    /// Certificates, DER, by the leaf they follow from.
    pub certificates: Vec<(u64, Vec<u8>)>,
    /// Co-signatures that came in.
    pub cosignatures: Vec<CosignatureRow>,
    /// Leaves of the newest checkpoint that the quorum vouched for, where that is known: what was
    /// said of it and since then stays.
    pub vouched: Option<u64>,
}

/// A co-signer's word on a checkpoint: the first time that it co-signed at this size, and the
/// latest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignatureRow {
    /// SHA-256 of the co-signer's verifier key.
    pub cosigner: Hash32,
    /// Leaves of the checkpoint.
    pub size: u64,
    /// The checkpoint as the log signed it, a signed note without co-signatures.
    pub note: String,
    /// The earliest co-signature.
    pub first: TimedLine,
    /// The latest co-signature.
    pub latest: TimedLine,
    /// Whether it stays; the others go with the checkpoints of their time.
    pub kept: bool,
}

/// A co-signature with its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedLine {
    /// The signature line, without its end.
    pub line: String,
    /// Its time by the co-signer's clock, seconds since 1970.
    pub time: u64,
}

/// A signed checkpoint.
#[derive(Debug, Clone)]
pub struct CheckpointRow {
    /// Leaves it covers.
    pub size: u64,
    /// The signed note.
    pub note: String,
}

/// A leaf, and whose event it stands for.
#[derive(Debug, Clone)]
pub struct LeafRow {
    /// Its index.
    pub leaf_index: u64,
    /// The leaf.
    pub leaf: Leaf,
    /// The identity, for events of one.
    pub uid: Option<UserId>,
}

/// A certificate as stored.
#[derive(Debug, Clone)]
pub struct CertificateRow {
    /// Leaf of the event that it follows from.
    pub leaf_index: u64,
    /// Its serial number.
    pub serial: SerialNumber,
    /// Whom it names.
    pub uid: UserId,
    /// The event that it follows from.
    pub kind: EventKind,
    /// That event's number.
    pub sequence: u64,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub key: Hash32,
    /// SHA-256 of the issuing key's SubjectPublicKeyInfo.
    pub issuer: Hash32,
    /// CRL shard.
    pub shard: u32,
    /// notBefore, seconds since 1970.
    pub not_before: u64,
    /// notAfter, seconds since 1970.
    pub not_after: u64,
    /// Kinds of evidence, by name, separated by spaces.
    pub vouched: String,
    /// The signed certificate, DER; none while it is unfinished.
    pub certificate: Option<Vec<u8>>,
    /// When (milliseconds since 1970) and why it was revoked.
    pub revoked: Option<(u64, RevocationReason)>,
}

/// One event as stored, with its evidence.
#[derive(Debug, Clone)]
pub struct EventRow {
    /// Its leaf's index.
    pub leaf_index: u64,
    /// Its leaf.
    pub leaf: Leaf,
    /// The salt of the leaf's commitment.
    pub salt: [u8; 32],
    /// The event.
    pub event: Event,
    /// Its evidence, in the order the event names it.
    pub evidence: Vec<(EvidenceRef, Vec<u8>)>,
}

/// A leaf with what stands behind it: nothing for a map's root.
#[derive(Debug, Clone)]
pub struct EntryRow {
    /// Its index.
    pub leaf_index: u64,
    /// The leaf.
    pub leaf: Leaf,
    /// The salt of the leaf's commitment.
    pub salt: [u8; 32],
    /// The event.
    pub event: Option<Event>,
    /// The event's evidence, in the order it names it, where that was asked for.
    pub evidence: Vec<(EvidenceRef, Vec<u8>)>,
}

/// What was proposed with an intent: a switch, or a retirement.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// Whose.
    pub uid: UserId,
    /// Leaf of the event that proposed it.
    pub leaf_index: u64,
}

/// An event that moved or took an identity's key.
#[derive(Debug, Clone)]
pub struct MovedRow {
    /// Its leaf's index.
    pub leaf_index: u64,
    /// The event.
    pub event: Event,
}

/// A recorded event whose certificate is not stored.
#[derive(Debug, Clone)]
pub struct Unfinished {
    /// Its leaf's index.
    pub leaf_index: u64,
    /// Whose.
    pub uid: UserId,
    /// SHA-256 of the key (SubjectPublicKeyInfo) that is to sign it.
    pub issuer: Hash32,
}

/// A refused request, for the history.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Whose identity it was about.
    pub uid: UserId,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// What was asked for.
    pub verb: String,
    /// SHA-256 of the key in the request.
    pub key: Option<Hash32>,
    /// The problem's code.
    pub code: String,
    /// The refusal in words.
    pub detail: String,
    /// Kinds of evidence, by name, separated by spaces.
    pub vouched: String,
}

/// One line of a history.
#[derive(Debug, Clone)]
pub enum HistoryRow {
    /// An event of the log.
    Accepted {
        /// Its leaf's index.
        leaf_index: u64,
        /// The event.
        event: Event,
    },
    /// A refusal.
    Refused(Refused),
}

/// Place of a line in a history; they are ordered by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HistoryCursor {
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// 0 for accepted events, 1 for refusals.
    pub source: u8,
    /// The event's sequence number, or the refusal's own.
    pub number: u64,
}

/// A revoked certificate, as its row says.
#[derive(Debug, Clone, Copy)]
pub struct RevokedRow {
    /// Serial number.
    pub serial: SerialNumber,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// Why.
    pub reason: RevocationReason,
    /// Leaf of the event that revoked it.
    pub leaf_index: u64,
}

/// A CRL as stored.
#[derive(Debug, Clone)]
pub struct CrlRow {
    /// SHA-256 of the issuing key's SubjectPublicKeyInfo.
    pub issuer: Hash32,
    /// Number of the shard.
    pub shard: u32,
    /// CRL number (RFC 5280 section 5.2.3).
    pub number: u64,
    /// Leaves in the log that it covers.
    pub size: u64,
    /// nextUpdate, seconds since 1970.
    pub next_update: u64,
    /// CertificateList, DER.
    pub crl: Vec<u8>,
}

/// State of a certificate, for searches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateState {
    /// Recorded, not signed yet.
    Pending,
    /// Signed and not revoked.
    Good,
    /// Revoked.
    Revoked,
}

/// Which certificates are looked for: all that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct CertificateSearch {
    /// What the user id begins with.
    pub user: Option<String>,
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub key: Option<Hash32>,
    /// State.
    pub state: Option<CertificateState>,
    /// notAfter is then or later, seconds since 1970.
    pub expires_after: Option<u64>,
    /// notAfter is before that, seconds since 1970.
    pub expires_before: Option<u64>,
    /// SHA-256 of the issuing key's SubjectPublicKeyInfo.
    pub issuer: Option<Hash32>,
    /// Serial number.
    pub serial: Option<SerialNumber>,
}

/// Order in which certificates are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By user id, then oldest first.
    User,
    /// By notAfter, the next to expire first.
    Expiry,
    /// Newest first.
    Newest,
}

impl CertificateSearch {
    /// The order in which an index gives what is looked for.
    #[must_use]
    pub fn order(&self) -> Order {
        if self.key.is_some() || self.serial.is_some() {
            Order::Newest
        } else if self.user.is_some() {
            Order::User
        } else if self.expires_after.is_some() || self.expires_before.is_some() {
            Order::Expiry
        } else {
            Order::Newest
        }
    }
}

/// Place of a certificate in every order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateCursor {
    /// Leaf of its event.
    pub leaf_index: u64,
    /// notAfter, seconds since 1970.
    pub not_after: u64,
    /// Whom it names.
    pub uid: UserId,
}

/// Which identities are looked for: all that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct IdentitySearch {
    /// What the id begins with.
    pub user: Option<String>,
    /// SHA-256 of the SubjectPublicKeyInfo of a key that it has or had.
    pub key: Option<Hash32>,
    /// Status.
    pub status: Option<Status>,
    /// Serial number of a certificate of its.
    pub serial: Option<SerialNumber>,
}

/// An identity that was found, with what is shown of it.
#[derive(Debug, Clone)]
pub struct FoundIdentity {
    /// The identity.
    pub row: IdentityRow,
    /// Algorithm of its current key.
    pub algorithm: Option<String>,
    /// Serial number of its latest certificate.
    pub serial: Option<SerialNumber>,
}
