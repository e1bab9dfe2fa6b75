//! A database that was restored from a backup gets back what it lost, from an auditor: every entry,
//! replayed as the auditor did, and the rows made again that the authority would have made.
//!
//! The authority is stopped meanwhile. Nothing is written before all entries that are missing lead to
//! the checkpoint that the log's key signed and the auditor co-signed. What no entry holds stays lost:
//! signatures of certificates (they are made again at the start, over the same bytes), sealed
//! addresses, notices, idempotency keys, refusals.

use std::collections::HashMap;
use std::time::Duration;

use evidence::audit::{Refused, Replay, nothing_else, pieces};
use pkcs11::Hsm;
use policy::{Identity, Installation};
use tlog::Edge;
use tlog::note::{NoteError, SignedCheckpoint};
use wire::bundle::{Blob, ExportEvent, ExportLeaf};
use wire::event::{Certified, Event, EventKind};
use wire::leaf::{Leaf, LeafKind, blinding_key};
use wire::{Encoded, FormatError, Hash32, SerialNumber, UserId};
use x509::PublicKey;

use crate::audit::{self, AuditError, Verified};
use crate::cosign::{self, LendError, Peer};
use crate::metrics::Metrics;
use crate::store::rows::{
    CertificateRow, CheckpointRow, CosignatureRow, EntryRow, IdentityRow, KeyRow, NewEvent,
    NoticeRows, Publication, RecordGroup, Revocation, TimedLine,
};
use crate::store::{Store, StoreError};
use crate::token::Token;
use crate::walk::{Done, Log, LogKeyError, vouched};

/// Leaves of the database read at once.
const BATCH: u64 = 512;

/// How long an auditor may take for one part.
const PATIENCE: Duration = Duration::from_secs(120);

/// Why nothing was filled in.
#[derive(Debug, thiserror::Error)]
pub enum RefillError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the database has does not follow from its evidence.
    #[error("the database as it was restored: {0}")]
    Backup(#[source] Box<AuditError>),
    /// The database that was filled in does not follow from its evidence.
    #[error("the database as it was filled in: {0}; do not use it")]
    Filled(#[source] Box<AuditError>),
    /// The log's key cannot be used.
    #[error(transparent)]
    LogKey(#[from] LogKeyError),
    /// The auditor.
    #[error("the auditor: {0}")]
    Lend(#[from] LendError),
    /// A checkpoint that is none.
    #[error("the auditor's checkpoint: {0}")]
    Checkpoint(#[from] NoteError),
    /// It has no more than the database.
    #[error(
        "the auditor has {theirs} leaves, the database {ours}: nothing is missing, as far as it knows"
    )]
    Nothing {
        /// Leaves that it co-signed.
        theirs: u64,
        /// Leaves here.
        ours: u64,
    },
    /// An entry that does not continue the log.
    #[error("an entry of the auditor's: {0}")]
    Refused(#[from] Box<Refused>),
    /// A part of an entry that is not of its format.
    #[error("leaf {index}: {reason}")]
    Entry {
        /// The leaf's index.
        index: u64,
        /// What is wrong.
        reason: String,
    },
    /// They do not lead to the checkpoint.
    #[error("the entries give root {found} at {size} leaves; the checkpoint has {expected}")]
    Root {
        /// Leaves.
        size: u64,
        /// Root that was co-signed.
        expected: Hash32,
        /// Root of the entries.
        found: Hash32,
    },
}

/// What was filled in.
#[derive(Debug)]
pub struct Refilled {
    /// Leaves that the database had.
    pub from: u64,
    /// Leaves that it has now.
    pub to: u64,
    /// Events that came back.
    pub events: u64,
    /// Certificates that are signed again at the next start.
    pub certificates: u64,
    /// All of the database, verified after it was written.
    pub verified: Verified,
}

/// Fills in what an auditor co-signed and the database does not have.
///
/// # Errors
/// See [`RefillError`]. Nothing was written then, unless it is the store that failed; what was
/// written then is lawful, and the next try goes on from it.
pub async fn refill(
    store: &dyn Store,
    hsm: Hsm,
    auditor: &Peer,
    now: u64,
) -> Result<Refilled, RefillError> {
    audit::verify(store).await.map_err(|error| RefillError::Backup(Box::new(error)))?;
    let (installation, genesis) = opened(store).await?;
    let log = Log::open(&installation, &hsm).await?;
    let token = Token::new(hsm, Metrics::new());
    let mut filling = Filling::begin(store, &genesis).await?;
    let from = filling.replay.size();
    let (mut note, mut groups) = (String::new(), Vec::new());
    loop {
        let at = filling.replay.size() + filling.waiting.len() as u64;
        let asked = cosign::Borrower { log: &log, token: &token, genesis: genesis.hash(), now };
        let lent = cosign::borrow(auditor, &asked, at, PATIENCE).await?;
        if lent.entries.is_empty() {
            note = if note.is_empty() { lent.checkpoint } else { note };
            break;
        }
        note = lent.checkpoint;
        for entry in lent.entries {
            groups.extend(filling.take(store, entry).await?);
        }
    }
    let signed = SignedCheckpoint::open(&note, log.key())?;
    let (size, expected) = (signed.checkpoint().size(), signed.checkpoint().root());
    if size <= from {
        return Err(RefillError::Nothing { theirs: size, ours: from });
    }
    let (to, found) = (filling.replay.size(), filling.replay.root());
    if (to, found) != (size, expected) || !filling.replay.is_whole() {
        return Err(RefillError::Root { size: to, expected, found });
    }
    let events = groups.iter().map(|group| group.events.len() as u64).sum();
    let unsigned = groups.iter().flat_map(|group| &group.events);
    let certificates = unsigned.filter(|new| new.certificate.is_some()).count() as u64;
    for group in &groups {
        store.record(group).await?;
    }
    store.publish(&publication(auditor, &signed)?).await?;
    let verified =
        audit::verify(store).await.map_err(|error| RefillError::Filled(Box::new(error)))?;
    Ok(Refilled { from, to, events, certificates, verified })
}

async fn opened(store: &dyn Store) -> Result<(Installation, Event), RefillError> {
    let empty = || RefillError::Backup(Box::new(AuditError::Empty));
    let row = store.genesis().await?.ok_or_else(empty)?;
    let genesis = |error: policy::InstallationError| {
        RefillError::Backup(Box::new(AuditError::Genesis(error.to_string())))
    };
    let installation = Installation::from_genesis(&row.event).map_err(genesis)?;
    Ok((installation.logged_at(row.leaf.leaf_hash()), row.event))
}

/// The checkpoint by the log's key alone, as it is stored, and the auditor's word on it: what the
/// next start goes by.
fn publication(auditor: &Peer, signed: &SignedCheckpoint) -> Result<Publication, RefillError> {
    let size = signed.checkpoint().size();
    let lines = signed.signatures().iter();
    let by_log: Vec<_> = lines.filter(|line| !auditor.key().names(line)).cloned().collect();
    let note = tlog::note::Note::new(signed.note().text(), &by_log)?.to_text();
    let cosigned = cosign::word(auditor, signed)?.map(|(line, time)| {
        let word = TimedLine { line, time };
        CosignatureRow {
            cosigner: Hash32::of(auditor.key().vkey().as_bytes()),
            size,
            note: note.clone(),
            first: word.clone(),
            latest: word,
            kept: true,
        }
    });
    let checkpoints = vec![CheckpointRow { size, note: note.clone() }];
    let cosignatures = cosigned.into_iter().collect();
    Ok(Publication { checkpoints, cosignatures, ..Publication::default() })
}

/// The log, replayed, and the group that is being put together.
struct Filling {
    replay: Replay,
    secret: [u8; 32],
    /// The tree as the database will have it.
    edge: Edge,
    waiting: Vec<NewEvent>,
    hashes: Vec<tlog::StoredHash>,
    /// When each identity that came up began, milliseconds since 1970.
    created: HashMap<UserId, u64>,
}

impl Filling {
    /// Replays what the database has.
    async fn begin(store: &dyn Store, genesis: &Event) -> Result<Self, RefillError> {
        let secret = store.secret().await?.unwrap_or_default();
        let begun = Replay::begin(genesis, secret).map_err(|error| {
            RefillError::Backup(Box::new(AuditError::Genesis(error.to_string())))
        })?;
        let edge = store.edge().await?;
        let mut replay = begun;
        while replay.size() < edge.size() {
            let rows = store.entries(replay.size(), replay.size() + BATCH, true).await?;
            if rows.is_empty() {
                let index = replay.size();
                return Err(RefillError::Entry { index, reason: "it is missing".to_owned() });
            }
            for row in rows {
                replay.apply(&entry(row), &nothing_else).map_err(Box::new)?;
            }
        }
        let (waiting, hashes, created) = (Vec::new(), Vec::new(), HashMap::new());
        Ok(Self { replay, secret, edge, waiting, hashes, created })
    }

    /// Replays one entry that is missing; the group that it ends, if it ends one.
    async fn take(
        &mut self,
        store: &dyn Store,
        entry: ExportLeaf,
    ) -> Result<Option<RecordGroup>, RefillError> {
        let index = entry.leaf_index;
        let format = |error: FormatError| RefillError::Entry { index, reason: error.to_string() };
        let leaf = Leaf::from_canonical(&entry.leaf.0).map_err(format)?;
        let event = entry.event.as_ref().map(|with| Event::from_canonical(&with.event.0));
        let event = event.transpose().map_err(format)?;
        let before = event.as_ref().and_then(|event| self.before(event));
        self.replay.apply(&entry, &nothing_else).map_err(Box::new)?;
        let appended = self.edge.append(leaf.leaf_hash());
        self.hashes.extend(appended.stored);
        if let (Some(event), Some(with)) = (event, &entry.event) {
            let new = self.row(store, index, leaf, event, with, before).await?;
            self.waiting.push(new);
            return Ok(None);
        }
        debug_assert_eq!(leaf.kind, LeafKind::MapRoot);
        let events = std::mem::take(&mut self.waiting);
        let hashes = std::mem::take(&mut self.hashes);
        let expected_size = index - events.len() as u64;
        let notices = NoticeRows::default();
        Ok(Some(RecordGroup {
            expected_size,
            events,
            map_root: leaf,
            hashes,
            secret: None,
            notices,
        }))
    }

    /// The identity before an event, and whether the event's key is known.
    fn before(&self, event: &Event) -> Option<(Option<Identity>, bool)> {
        let history = self.replay.history(event.subject.as_ref()?);
        let certified = certified(event);
        let known = certified.is_some_and(|body| self.replay.owner(body.spki).is_some());
        Some((history.and_then(|history| history.identity()).cloned(), known))
    }

    /// The rows of an event, as the authority wrote them.
    async fn row(
        &mut self,
        store: &dyn Store,
        leaf_index: u64,
        leaf: Leaf,
        event: Event,
        with: &ExportEvent,
        before: Option<(Option<Identity>, bool)>,
    ) -> Result<NewEvent, RefillError> {
        let wrong =
            |reason: &str| RefillError::Entry { index: leaf_index, reason: reason.to_owned() };
        let salt = with.salt.0.as_slice().try_into().map_err(|_| wrong("no salt of 32 bytes"))?;
        let evidence = pieces(&with.evidence, &event);
        let mut new = NewEvent {
            leaf_index,
            leaf,
            salt,
            evidence,
            identity: None,
            new_key: None,
            certificate: None,
            revocation: None,
            proposal: None,
            completes: None,
            addresses: Vec::new(),
            idempotency: None,
            event,
        };
        let event = &new.event;
        let (Some(uid), Some((before, known))) = (event.subject.clone(), before) else {
            return Ok(new);
        };
        let history = self.replay.history(&uid).ok_or_else(|| wrong("its identity is missing"))?;
        let identity = history.identity().ok_or_else(|| wrong("its identity is missing"))?.clone();
        let timeline = self.replay.timeline().ok_or_else(|| wrong("there is no installation"))?;
        let (era, at_ms) = (timeline.at(leaf_index), event.time_ms);
        if let Some(body) = certified(event) {
            let spki = history.key(body.spki).ok_or_else(|| wrong("its key is not shown"))?;
            let serial = SerialNumber::from_slice(body.serial.as_bytes())
                .ok_or_else(|| wrong("its serial number is none"))?;
            let shard = era.issuance().profile().shard(serial);
            new.certificate = Some(CertificateRow {
                leaf_index,
                serial,
                uid: uid.clone(),
                kind: event.kind,
                sequence: event.sequence,
                key: body.spki,
                issuer: body.issuer,
                shard: shard.and_then(|shard| u32::try_from(shard).ok()).unwrap_or(u32::MAX),
                not_before: body.not_before,
                not_after: body.not_after,
                vouched: vouched(event.evidence.iter()),
                certificate: None,
                revoked: None,
            });
            if !known {
                let key = PublicKey::parse(spki, era.issuance().key_rules())
                    .map_err(|error| wrong(&error.to_string()))?;
                new.new_key = Some(KeyRow {
                    hash: body.spki,
                    uid: uid.clone(),
                    spki: spki.to_vec(),
                    algorithm: key.algorithm().to_string(),
                });
            }
        }
        let key_of = |identity: &Identity| identity.key.map(|key| key.spki);
        let earlier = before.as_ref().and_then(key_of);
        new.revocation = policy::key_taken(event, earlier, key_of(&identity))
            .map(|(key, reason)| Revocation { key, at_ms, reason });
        let proposes = event.kind == EventKind::SwitchRequest
            || Done::of(event, leaf_index, new.leaf.leaf_hash()).announced;
        new.proposal =
            event.intent.as_ref().filter(|_| proposes).map(|intent| Hash32::of(intent.as_bytes()));
        let created_ms = match self.created.get(&uid) {
            Some(created_ms) => *created_ms,
            None => store.identity(&uid).await?.map_or(at_ms, |row| row.created_ms),
        };
        self.created.insert(uid.clone(), created_ms);
        let due = policy::due(era.installation(), &identity, at_ms);
        new.identity = Some(IdentityRow {
            due_ms: due.map(|due| due.due_ms),
            blinding_key: blinding_key(&self.secret, &uid),
            identity,
            created_ms,
            updated_ms: at_ms,
        });
        Ok(new)
    }
}

fn certified(event: &Event) -> Option<Certified> {
    Certified::from_canonical(event.body.as_bytes()).ok().filter(|_| event.kind.certifies())
}

fn entry(row: EntryRow) -> ExportLeaf {
    let event = row.event.map(|event| ExportEvent {
        salt: Blob(row.salt.to_vec()),
        event: Blob(event.to_canonical()),
        evidence: row.evidence.into_iter().map(|(_, data)| Blob(data)).collect(),
        proof: Vec::new(),
        after: None,
    });
    ExportLeaf { leaf_index: row.leaf_index, leaf: Blob(row.leaf.to_canonical()), event }
}
