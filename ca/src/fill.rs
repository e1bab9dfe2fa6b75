//! Fills an installation with many identities in minutes, for figures of starts. The rows are those
//! that the walk would have written, but for the evidence, which a start does not read: the map is
//! flushed, and the last checkpoint signed.

use std::path::PathBuf;

use pkcs11::{Hsm, Pin, TokenConfig, WorkerCommand};
use policy::{Identity, Installation, Key, Status};
use wire::event::{Certified, Event, EventKind};
use wire::{Encoded, Hash32, SerialNumber, UserId, octets};

use crate::heads::Heads;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::store::rows::{
    CertificateRow, IdentityRow, KeyRow, NewEvent, NoticeRows, Publication, RecordGroup,
};
use crate::store::sqlite::Sqlite;
use crate::token::Token;
use crate::walk::{Log, TreeHead, leaf_of, root_leaf};

/// Events recorded at once.
const GROUP: u64 = 4096;

/// Fills the installation of key files in the folder `AVOUCH_FILL` (made by `avouch dev --software`)
/// with `AVOUCH_IDENTITIES`; `AVOUCH_BIN` is the program, whose worker signs the checkpoint.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "for figures to read"]
async fn fill() {
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("no {name}"));
    let folder = PathBuf::from(variable("AVOUCH_FILL"));
    let count: u64 = variable("AVOUCH_IDENTITIES").parse().unwrap();
    let store = Sqlite::open(&folder.join("avouch.db")).await.unwrap();
    let command = WorkerCommand::new(variable("AVOUCH_BIN")).arg("hsm-worker");
    let keys = TokenConfig::software(folder.join(variable("AVOUCH_KEYS")));
    let hsm = Hsm::start(command, keys, Pin::none()).await.unwrap();

    let genesis = store.genesis().await.unwrap().unwrap();
    let installation = Installation::from_genesis(&genesis.event).unwrap();
    let log = Log::open(&installation, &hsm).await.unwrap();
    let note = store.checkpoint(None).await.unwrap().unwrap().note;
    let signed = tlog::note::SignedCheckpoint::open(&note, log.key()).unwrap();
    let secret = store.secret().await.unwrap().unwrap();
    let heads = Heads::open(&store, secret, signed.checkpoint()).await.unwrap();
    let mut edge = store.edge().await.unwrap();
    assert_eq!(heads.size(), edge.size(), "a clean stop stores the map");
    let mut done = 0;
    while done < count {
        let expected_size = edge.size();
        let (mut events, mut hashes, mut changes) = (Vec::new(), Vec::new(), Vec::new());
        for n in done..count.min(done + GROUP) {
            let new = enrolment(&installation, &heads, edge.size(), n);
            hashes.extend(edge.append(new.leaf.leaf_hash()).stored);
            let (at, row) = (new.leaf.blinded_id, new.identity.as_ref().unwrap());
            changes.push((at, row.identity.proven_head().hash()));
            changes.push((heads.of_key(new.new_key.as_ref().unwrap().hash), at));
            events.push(new);
        }
        done += events.len() as u64;
        let keys: Vec<Hash32> = changes.iter().map(|(key, _)| *key).collect();
        let staged = heads.with(&store, &keys, |map, _| map.stage(&changes)).await.unwrap();
        let map_root = root_leaf(staged.root());
        hashes.extend(edge.append(map_root.leaf_hash()).stored);
        let leaves: Vec<u64> = events.iter().map(|new| new.leaf_index).collect();
        let (secret, notices) = (None, NoticeRows::default());
        let group = RecordGroup { expected_size, events, map_root, hashes, secret, notices };
        store.record(&group).await.unwrap();
        heads.commit(staged, edge.size());
        heads.flush(&store, done == count).await.unwrap();
        let certificates = leaves.into_iter().map(|leaf| (leaf, vec![0x30; 900])).collect();
        store.publish(&Publication { certificates, ..Publication::default() }).await.unwrap();
    }
    let token = Token::new(hsm, Metrics::new());
    let row = log.sign(&token, TreeHead::of_edge(&edge)).await.unwrap();
    let publication = Publication { checkpoints: vec![row], ..Default::default() };
    store.publish(&publication).await.unwrap();
    store.close().await;
}

fn enrolment(installation: &Installation, heads: &Heads, leaf_index: u64, n: u64) -> NewEvent {
    const AT_MS: u64 = 1_790_000_000_000;
    let uid = UserId::parse(&format!("person-{n:07}@realm.example")).unwrap();
    let spki = Hash32::of(&n.to_be_bytes());
    let serial = SerialNumber::new(installation.log_number(), leaf_index, n.to_be_bytes()).unwrap();
    let (not_before, not_after) = (AT_MS / 1000, AT_MS / 1000 + 365 * 86_400);
    let issuer = Hash32::of(b"issuer");
    let body = Certified {
        version: 1,
        spki,
        issuer,
        serial: octets(serial.as_bytes()),
        not_before,
        not_after,
        profile: "person".to_owned(),
        tbs: Hash32::of(b"tbs"),
        possession_proven: true,
        recovery_commitment: None,
    };
    let event = Event {
        version: 1,
        engine: policy::ENGINE,
        kind: EventKind::Enrol,
        time_ms: AT_MS,
        subject: Some(uid.clone()),
        sequence: 0,
        previous: None,
        policy: installation.rules_hash(),
        intent: None,
        evidence: Vec::new(),
        body: octets(&body.to_canonical()),
    };
    let (blinding_key, salt) = (heads.blinding_key(&uid), *Hash32::of(&n.to_le_bytes()).as_bytes());
    let leaf = leaf_of(&event, &blinding_key, &salt);
    let identity = Identity {
        uid: uid.clone(),
        status: Status::Active,
        sequence: 0,
        head: leaf.leaf_hash(),
        key: Some(Key { spki, number: 0, possession_proven: true }),
        recovery_commitment: None,
        details: policy::Details::default(),
    };
    let identity = identity.with_details(None).unwrap();
    let certificate = CertificateRow {
        leaf_index,
        serial,
        uid: uid.clone(),
        kind: EventKind::Enrol,
        sequence: 0,
        key: spki,
        issuer,
        shard: u32::try_from(leaf_index / installation.rules().leaves_per_crl).unwrap(),
        not_before,
        not_after,
        vouched: "csr statement".to_owned(),
        certificate: None,
        revoked: None,
    };
    let (created_ms, updated_ms) = (AT_MS, AT_MS);
    NewEvent {
        leaf_index,
        leaf,
        salt,
        event,
        evidence: Vec::new(),
        identity: Some(IdentityRow {
            identity,
            blinding_key,
            created_ms,
            updated_ms,
            due_ms: None,
        }),
        new_key: Some(KeyRow {
            hash: spki,
            uid,
            spki: vec![0x30; 91],
            algorithm: "P-256".to_owned(),
        }),
        certificate: Some(certificate),
        revocation: None,
        proposal: None,
        addresses: Vec::new(),
        completes: None,
        idempotency: None,
    }
}
