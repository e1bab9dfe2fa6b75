//! What the log shows: checkpoints, tiles, bundles. From the store only.

use std::collections::HashMap;
use std::time::Duration;

use evidence::History;
use tlog::map::MapError;
use tlog::proof;
use tlog::tile::{Tile, TileKind};
use wire::bundle::{Blob, Bundle, BundleEvent};
use wire::genesis::KeyPurpose;
use wire::head::installation_position;
use wire::problem::{Problem, ProblemCode};
use wire::{Encoded, Hash32, UserId};

use crate::authority::Authority;
use crate::cosign::Vouched;
use crate::heads::HeadsError;
use crate::queries::{self, ladder, store_error};
use crate::store::StoreError;
use crate::store::rows::{CheckpointRow, EventRow};

type Result<T> = std::result::Result<T, Box<Problem>>;

/// Most events in one bundle.
const MAX_EVENTS: usize = 10_000;

/// How soon to look again at what the quorum vouches for.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The latest checkpoint that is shown: signed by the log, and co-signed as the quorum demands.
pub(crate) async fn checkpoint(authority: &Authority) -> Result<CheckpointRow> {
    if authority.cosigning().is_on() {
        return authority.cosigning().shown(0).await.map(|vouched| shown(&vouched));
    }
    let row = authority.store().checkpoint(None).await.map_err(store_error)?;
    row.ok_or_else(|| {
        let detail = "the first checkpoint is not signed yet";
        Box::new(Problem::new(ProblemCode::HsmUnavailable, detail).retry_after(2))
    })
}

/// A tile that the latest signed checkpoint covers, by its path below `tile/`.
pub(crate) async fn tile(authority: &Authority, path: &str) -> Result<Vec<u8>> {
    let none = |detail: String| Box::new(Problem::new(ProblemCode::UnknownTile, detail));
    let tile = Tile::parse(&format!("tile/{path}")).map_err(|error| none(error.to_string()))?;
    let size = checkpoint(authority).await?.size;
    if tile.needs_size() > size {
        let needs = tile.needs_size();
        return Err(none(format!("the log has {size} leaves; this tile is there from {needs} on")));
    }
    let store = authority.store();
    let encoded = match tile.kind() {
        TileKind::Hashes { .. } => {
            let indexes = tile.hash_indexes();
            let hashes = hashes(authority, &indexes).await?;
            let ordered: Vec<Hash32> =
                indexes.iter().filter_map(|index| hashes.get(index).copied()).collect();
            tile.encode_hashes(&ordered)
        }
        TileKind::Entries => {
            let items = tile.items();
            let leaves = store.leaves(items.start, items.end).await.map_err(store_error)?;
            let entries: Vec<Vec<u8>> = leaves.iter().map(|row| row.leaf.to_canonical()).collect();
            tile.encode_entries(&entries)
        }
    };
    encoded.map_err(|error| corrupt(authority, error.to_string()))
}

async fn hashes(authority: &Authority, indexes: &[u64]) -> Result<HashMap<u64, Hash32>> {
    let stored = authority.store().stored_hashes(indexes).await.map_err(store_error)?;
    Ok(stored.into_iter().map(|stored| (stored.index, stored.hash)).collect())
}

fn corrupt(authority: &Authority, what: String) -> Box<Problem> {
    authority.alarm(format!("the log cannot be shown: {what}"));
    Box::new(Problem::new(ProblemCode::Stopped, what))
}

/// The map's word on an identity, with the number of leaves that the map accounts for.
struct HeadProof {
    head: wire::head::Head,
    proof: Vec<u8>,
    /// The same map's word on the installation.
    installation: Vec<u8>,
    root: Hash32,
    size: u64,
}

/// All that is needed to verify an identity offline.
pub(crate) async fn bundle(authority: &Authority, uid: &UserId, since: u64) -> Result<Bundle> {
    let row = authority.store().identity(uid).await.map_err(store_error)?;
    if row.is_none() {
        return Err(queries::no_identity(uid));
    }
    let (head, note, events) = if authority.cosigning().is_on() {
        vouched_head(authority, uid).await?
    } else {
        let head = head_proof(authority, uid).await?;
        let note = published(authority, head.size).await?;
        (head, note, authority.store().events_of(uid).await.map_err(store_error)?)
    };
    let shown: Vec<&EventRow> = events
        .iter()
        .filter(|row| row.event.sequence >= since && row.leaf_index < head.size)
        .collect();
    if shown.len() > MAX_EVENTS {
        let detail = format!("{} events; ask for later ones with `since`", shown.len());
        return Err(Box::new(Problem::new(ProblemCode::Oversize, detail)));
    }

    let installation = installation_events(authority, head.size).await?;
    let last = head.size - 1;
    let leaves = shown.iter().copied().chain(&installation).map(|row| row.leaf_index).chain([last]);
    let mut indexes: Vec<u64> =
        leaves.flat_map(|leaf| proof::inclusion_indexes(head.size, leaf)).collect();
    indexes.sort_unstable();
    indexes.dedup();
    let hashes = hashes(authority, &indexes).await?;
    let prove = |leaf: u64| {
        proof::inclusion(head.size, leaf, &hashes)
            .map_err(|error| corrupt(authority, error.to_string()))
    };
    let entry = |row: &EventRow| {
        Ok(BundleEvent {
            leaf_index: row.leaf_index,
            leaf: Blob(row.leaf.to_canonical()),
            salt: Blob(row.salt.to_vec()),
            event: Blob(row.event.to_canonical()),
            evidence: row.evidence.iter().map(|(_, data)| Blob(data.clone())).collect(),
            proof: prove(row.leaf_index)?,
        })
    };
    let present = authority.installation();
    let chain = present.keys(KeyPurpose::Issuing).chain(present.keys(KeyPurpose::SwitchIssuing));
    Ok(Bundle {
        version: 1,
        uid: uid.clone(),
        certificate: certificate(authority, &events, &head).await?.map(Blob),
        chain: chain.map(|key| Blob(key.certificate.as_bytes().to_vec())).collect(),
        installation: installation.iter().map(entry).collect::<Result<_>>()?,
        installation_proof: Blob(head.installation),
        blinding_key: Blob(authority.heads().blinding_key(uid).to_vec()),
        events: shown.into_iter().map(entry).collect::<Result<_>>()?,
        head: Blob(head.head.to_canonical()),
        map_proof: Blob(head.proof),
        map_leaf: Blob(crate::walk::root_leaf(head.root).to_canonical()),
        map_leaf_proof: prove(last)?,
        checkpoint: note.note,
        ladder: ladder(authority).to_owned(),
    })
}

async fn head_proof(authority: &Authority, uid: &UserId) -> Result<HeadProof> {
    let (at, own) = (authority.heads().of_uid(uid), installation_position());
    let prove = |map: &tlog::map::Map, size: u64| -> std::result::Result<_, MapError> {
        let proofs = (map.prove(&at)?.to_bytes(), map.prove(&own)?.to_bytes());
        Ok((proofs, map.get(&at)?, map.root(), size))
    };
    // The row may be a group ahead of the map or behind it: then both are read again.
    for _ in 0..100 {
        let ((proof, installation), value, root, size) =
            authority.heads().with(authority.store(), &[at, own], prove).await.map_err(
                |error| match error {
                    HeadsError::Store(error) => store_error(error),
                    error => corrupt(authority, error.to_string()),
                },
            )?;
        let row = authority.store().identity(uid).await.map_err(store_error)?;
        let row = row.ok_or_else(|| queries::no_identity(uid))?;
        let head = row.identity.proven_head();
        if Some(head.hash()) == value {
            return Ok(HeadProof { head, proof, installation, root, size });
        }
        tokio::task::yield_now().await;
    }
    Err(corrupt(authority, "the identity's row is not the one that the log proves".to_owned()))
}

fn shown(vouched: &Vouched) -> CheckpointRow {
    CheckpointRow { size: vouched.row.size, note: vouched.note() }
}

/// What the map said of an identity under the newest checkpoint that the quorum vouches for. The
/// map may be ahead of it, and so may the identity's row.
async fn vouched_head(
    authority: &Authority,
    uid: &UserId,
) -> Result<(HeadProof, CheckpointRow, Vec<EventRow>)> {
    let (at, own) = (authority.heads().of_uid(uid), installation_position());
    // What was logged when the question came, if the co-signers keep up.
    let mut size = authority.heads().size();
    let deadline = tokio::time::Instant::now() + authority.answer_deadline();
    loop {
        let vouched = authority.cosigning().shown(size).await?;
        let under = vouched.row.size;
        let prove = |map: &tlog::map::Map, _| -> std::result::Result<_, MapError> {
            let Some(view) = map.view(under) else { return Ok(None) };
            let proofs = (view.prove(&at)?.to_bytes(), view.prove(&own)?.to_bytes());
            Ok(Some((proofs, view.get(&at)?, view.root()?)))
        };
        let proven = match authority.heads().with(authority.store(), &[at, own], prove).await {
            Ok(proven) => proven,
            Err(HeadsError::Map(MapError::Altered { .. })) => None,
            Err(HeadsError::Store(error)) => return Err(store_error(error)),
            Err(error) => return Err(corrupt(authority, error.to_string())),
        };
        let events = authority.store().events_of(uid).await.map_err(store_error)?;
        if let Some(((proof, installation), value, root)) = proven
            && let Some(head) = head_at(authority, uid, &events, under, value)?
        {
            let head = HeadProof { head, proof, installation, root, size: under };
            until_signed(authority, &events, under, deadline).await?;
            return Ok((head, shown(&vouched), events));
        }
        // Either the state went while it was looked at, or the identity is younger.
        size = size.max(under + 1);
        if tokio::time::Instant::now() >= deadline {
            let detail = "the quorum has not co-signed a checkpoint with this identity yet";
            return Err(Box::new(Problem::new(ProblemCode::Pending, detail).retry_after(2)));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// The identity's head in a log of this size: of its row where that has not moved on, else by
/// replaying its events. None where the map has none.
fn head_at(
    authority: &Authority,
    uid: &UserId,
    events: &[EventRow],
    size: u64,
    value: Option<Hash32>,
) -> Result<Option<wire::head::Head>> {
    let Some(value) = value else { return Ok(None) };
    let timeline = authority.timeline();
    let mut history = History::new(uid.clone());
    for row in events.iter().filter(|row| row.leaf_index < size) {
        let EventRow { leaf_index, leaf, event, evidence, .. } = row;
        let era = timeline.at(*leaf_index);
        history
            .apply(era, event, leaf.leaf_hash(), evidence, |_| None)
            .map_err(|error| corrupt(authority, error.to_string()))?;
    }
    let head = history.identity().map(policy::Identity::proven_head);
    match head {
        Some(head) if head.hash() == value => Ok(Some(head)),
        _ => {
            let what = "the identity's events do not lead to what the log proves";
            Err(corrupt(authority, what.to_owned()))
        }
    }
}

/// Waits until the latest certificate is stored: the quorum vouches for its leaf before the token
/// signs it. Where the token is away, the bundle goes without.
async fn until_signed(
    authority: &Authority,
    events: &[EventRow],
    size: u64,
    deadline: tokio::time::Instant,
) -> Result<()> {
    let mut publications = authority.publications();
    let certified =
        |row: &&EventRow| wire::event::Certified::from_canonical(row.event.body.as_bytes()).is_ok();
    let latest = events.iter().rev().filter(|row| row.leaf_index < size).find(certified);
    let Some(latest) = latest else { return Ok(()) };
    // Nobody waits for operators here.
    let by = authority.installation().issuing_purpose(latest.event.kind);
    let latest = latest.leaf_index;
    if authority.token_for(by).is_none() {
        return Ok(());
    }
    loop {
        let row = authority.store().certificate(latest).await.map_err(store_error)?;
        if row.is_none_or(|row| row.certificate.is_some()) || authority.hsm_state().is_err() {
            return Ok(());
        }
        match tokio::time::timeout_at(deadline, publications.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Ok(()),
        }
    }
}

/// The installation's events in a log of this size, the genesis event first.
async fn installation_events(authority: &Authority, size: u64) -> Result<Vec<EventRow>> {
    let genesis = authority.store().genesis().await.map_err(store_error)?;
    let genesis = genesis.map(|row| EventRow {
        leaf_index: 0,
        leaf: row.leaf,
        salt: row.salt,
        event: row.event,
        evidence: Vec::new(),
    });
    let later = authority.store().installation_events().await.map_err(store_error)?;
    let later = later.into_iter().filter(|row| row.leaf_index < size);
    Ok(genesis.into_iter().chain(later).collect())
}

/// The signed checkpoint of a size, once it is published.
async fn published(authority: &Authority, size: u64) -> Result<CheckpointRow> {
    let mut publications = authority.publications();
    let waiting = async {
        loop {
            if let Some(row) = authority.store().checkpoint(Some(size)).await? {
                return Ok::<_, StoreError>(Some(row));
            }
            if publications.changed().await.is_err() {
                return Ok(None);
            }
        }
    };
    let found = tokio::time::timeout(authority.answer_deadline(), waiting).await;
    match found {
        Ok(Ok(Some(row))) => Ok(row),
        Ok(Err(error)) => Err(store_error(error)),
        Ok(Ok(None)) | Err(_) => {
            let detail = format!("the checkpoint of size {size} is not signed yet");
            Err(Box::new(Problem::new(ProblemCode::Pending, detail).retry_after(2)))
        }
    }
}

/// The latest certificate over the current key, if there is a current key.
async fn certificate(
    authority: &Authority,
    events: &[EventRow],
    head: &HeadProof,
) -> Result<Option<Vec<u8>>> {
    if head.head.key.is_none() {
        return Ok(None);
    }
    let latest = events
        .iter()
        .rev()
        .filter(|row| row.leaf_index < head.size)
        .find(|row| wire::event::Certified::from_canonical(row.event.body.as_bytes()).is_ok());
    let Some(latest) = latest else { return Ok(None) };
    let row = authority.store().certificate(latest.leaf_index).await.map_err(store_error)?;
    Ok(row.and_then(|row| row.certificate))
}
