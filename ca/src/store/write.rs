//! Writing statements: a call is one transaction, with one statement a table.

use std::collections::{HashMap, HashSet};

use sqlx::error::ErrorKind;
use wire::{Encoded, UserId};

use super::columns::{self, status_number};
use super::engine::{Engine, Given, Mode, NOTHING, RowOf, Session, Statement, Value};
use super::rows::{CertificateRow, Publication, RecordGroup, Refused, Revocation};
use super::sheet::{self, Column, Kind, Sheet};
use super::{REFUSALS_KEPT, StoreError};
use super::{cosign, log, notices, read};

type Result<T> = std::result::Result<T, StoreError>;

/// A statement with parameters of its own.
type Drafted<'a> = (&'static str, Parameters<'a>);

enum Parameters<'a> {
    Values(Vec<Value<'a>>),
    Rows(Sheet<'a>),
}

/// Statements as an engine takes them, without those that have no row.
fn statements<'a>(drafted: &'a [Drafted<'a>]) -> Vec<Statement<'a>> {
    drafted
        .iter()
        .filter(
            |(_, parameters)| !matches!(parameters, Parameters::Rows(sheet) if sheet.is_empty()),
        )
        .map(|(sql, parameters)| match parameters {
            Parameters::Values(values) => (*sql, Given::Values(values)),
            Parameters::Rows(sheet) => (*sql, Given::Rows(sheet)),
        })
        .collect()
}

pub(super) async fn record<E: Engine>(engine: &E, group: &RecordGroup) -> Result<()> {
    let mut drafted = draft_record(group);
    let told = draft_notices(group);
    let outcome = if told.is_empty() {
        engine.transact(&statements(&drafted)).await.map(drop)
    } else {
        drafted.extend(told);
        in_order(engine, &statements(&drafted)).await
    };
    match outcome {
        Ok(()) => Ok(()),
        Err(error) => Err(moved(engine, group.expected_size, error).await),
    }
}

/// A transaction of statements that see what those before them wrote.
pub(super) async fn in_order<E: Engine>(engine: &E, statements: &[Statement<'_>]) -> Result<()> {
    let mut session = engine.begin(Mode::Write).await?;
    for (sql, given) in statements {
        match session.execute(sql, *given).await {
            Ok(_) => {}
            Err(error @ StoreError::Engine(sqlx::Error::Database(_))) => {
                // What the engine refused leaves its connection as it was.
                session.rollback().await?;
                return Err(error);
            }
            Err(error) => return Err(error),
        }
    }
    session.commit().await
}

/// What is told of a group, each statement resting on those before it.
fn draft_notices(group: &RecordGroup) -> Vec<Drafted<'_>> {
    let all = notices::rows(&group.notices).into_iter();
    let some = all.filter(|(_, sheet)| !sheet.is_empty());
    some.map(|(sql, sheet)| (sql, Parameters::Rows(sheet))).collect()
}

/// The statement that makes the log grow, then one a table.
fn draft_record(group: &RecordGroup) -> Vec<Drafted<'_>> {
    use Parameters::{Rows, Values};
    let grow = vec![Value::int(group.leaves()), Value::int(group.expected_size)];
    let mut drafted = vec![
        (GROW, Values(grow)),
        ("INSERT INTO stored_hash {all}", Rows(hashes(group))),
        ("INSERT INTO event {all}", Rows(events(group))),
        (
            "INSERT INTO identity {all} ON CONFLICT (uid) DO UPDATE SET status = excluded.status, \
             sequence = excluded.sequence, head = excluded.head, key_hash = excluded.key_hash, \
             key_number = excluded.key_number, key_proven = excluded.key_proven, \
             recovery = excluded.recovery, updated_ms = excluded.updated_ms, \
             details = excluded.details, pending = excluded.pending, due_ms = excluded.due_ms",
            Rows(identities(group)),
        ),
        ("INSERT INTO subject_key {all}", Rows(keys(group))),
        (
            "INSERT INTO certificate (leaf_index, serial, uid, kind, sequence, key_hash, issuer, \
             shard, not_before, not_after, vouched, revoked_leaf, revoked_ms, revoked_reason) {all}",
            Rows(certificates(group)),
        ),
        (
            "UPDATE certificate SET revoked_leaf = r.revoked_leaf, revoked_ms = r.revoked_ms, \
             revoked_reason = r.revoked_reason FROM {rows} \
             WHERE certificate.uid = r.uid AND certificate.key_hash = r.key_hash AND certificate.revoked_leaf IS NULL",
            Rows(revocations(group)),
        ),
        ("INSERT INTO idempotency {all}", Rows(idempotency(group))),
        ("INSERT INTO proposal {all} ON CONFLICT (intent) DO NOTHING", Rows(proposals(group))),
    ];
    if let Some(secret) = &group.secret {
        drafted.push((log::PUT_SECRET, Values(log::secret_values(secret).to_vec())));
    }
    drafted
}

/// The log grows if it has the size that it was read with, also when it is looked at again behind
/// another writer's lock. Else the size would become NULL, which the column does not take: the
/// statement fails, and nothing of its transaction is kept. The same where there is no row.
const GROW: &str = "INSERT INTO tree (one, size) \
    VALUES (1, (SELECT size + $1 FROM tree WHERE size = $2)) ON CONFLICT (one) DO UPDATE \
    SET size = CASE WHEN tree.size = $2 THEN excluded.size ELSE NULL END";

/// Tells a log that has grown from any other failure.
async fn moved<E: Engine>(engine: &E, expected: u64, error: StoreError) -> StoreError {
    let StoreError::Engine(sqlx::Error::Database(refused)) = &error else { return error };
    // What a leaf or hash of its own index met may be noticed before the log's size is.
    if !matches!(refused.kind(), ErrorKind::NotNullViolation | ErrorKind::UniqueViolation) {
        return error;
    }
    match read::size_now(engine).await {
        Ok(found) if found != expected => StoreError::Moved { expected, found },
        Err(corrupt @ StoreError::Corrupt { .. }) => corrupt,
        Ok(_) | Err(_) => error,
    }
}

async fn run<S: Session>(session: &mut S, sql: &'static str, sheet: Sheet<'_>) -> Result<()> {
    if !sheet.is_empty() {
        session.execute(sql, Given::Rows(&sheet)).await?;
    }
    Ok(())
}

fn hashes(group: &RecordGroup) -> Sheet<'_> {
    let mut sheet = Sheet::new(sheet::STORED_HASH.columns);
    for stored in &group.hashes {
        sheet.push([Value::int(stored.index), Value::blob(stored.hash.as_bytes())]);
    }
    sheet
}

fn events(group: &RecordGroup) -> Sheet<'_> {
    let mut sheet = Sheet::new(sheet::EVENT.columns);
    for new in &group.events {
        sheet.push([
            Value::int(new.leaf_index),
            Value::Blob(new.leaf.to_canonical().into()),
            Value::blob(&new.salt),
            Value::Blob(new.event.to_canonical().into()),
            new.event.subject.as_ref().map_or(Value::Null, |uid| Value::text(uid.as_str())),
            Value::int(new.event.sequence),
            Value::int(new.event.time_ms),
            Value::int(new.event.kind.number().into()),
            Value::Blob(columns::packed(&new.evidence).into()),
        ]);
    }
    // The map's root stands for no event and hides nothing.
    sheet.push([
        Value::int(group.map_root_index()),
        Value::Blob(group.map_root.to_canonical().into()),
        Value::blob(&[0; 32]),
        Value::blob(&[]),
        Value::Null,
        Value::int(0),
        Value::int(0),
        Value::Null,
        Value::Null,
    ]);
    sheet
}

/// The last row of each identity: one statement cannot change a row twice.
fn identities(group: &RecordGroup) -> Sheet<'_> {
    let rows = group.events.iter().filter_map(|new| new.identity.as_ref());
    let last: HashMap<_, _> = rows.map(|row| (&row.identity.uid, row)).collect();
    let mut sheet = Sheet::new(sheet::IDENTITY.columns);
    for (uid, row) in last {
        let identity = &row.identity;
        let proven = identity.key.is_some_and(|key| key.possession_proven);
        let pending = identity.pending().map(policy::Pending::intent);
        sheet.push([
            Value::text(uid.as_str()),
            Value::blob(&row.blinding_key),
            Value::int(status_number(identity.status).into()),
            Value::int(identity.sequence),
            Value::blob(identity.head.as_bytes()),
            Value::opt_blob(identity.key.as_ref().map(|key| &key.spki.as_bytes()[..])),
            Value::int(identity.key.map_or(0, |key| key.number)),
            Value::int(proven.into()),
            Value::opt_blob(identity.recovery_commitment.as_ref().map(|h| &h.as_bytes()[..])),
            Value::int(row.created_ms),
            Value::int(row.updated_ms),
            // Most identities have nothing beside their key.
            identity.stored_details().map_or(Value::Null, |bytes| Value::Blob(bytes.into())),
            pending.map_or(Value::Null, |hash| Value::Blob(hash.as_bytes().to_vec().into())),
            row.due_ms.map_or(Value::Null, Value::int),
        ]);
    }
    sheet
}

fn proposals(group: &RecordGroup) -> Sheet<'_> {
    let mut sheet = Sheet::new(sheet::PROPOSAL.columns);
    for new in &group.events {
        let (Some(intent), Some(uid)) = (&new.proposal, &new.event.subject) else { continue };
        sheet.push([
            Value::blob(intent.as_bytes()),
            Value::text(uid.as_str()),
            Value::int(new.leaf_index),
        ]);
    }
    sheet
}

fn keys(group: &RecordGroup) -> Sheet<'_> {
    let mut sheet = Sheet::new(sheet::SUBJECT_KEY.columns);
    for key in group.events.iter().filter_map(|new| new.new_key.as_ref()) {
        sheet.push([
            Value::blob(key.hash.as_bytes()),
            Value::text(key.uid.as_str()),
            Value::blob(&key.spki),
            Value::text(&key.algorithm),
        ]);
    }
    sheet
}

/// With what the same group revokes of them: its other statements do not see these rows.
fn certificates(group: &RecordGroup) -> Sheet<'_> {
    const COLUMNS: &[Column] = &[
        ("leaf_index", Kind::Int),
        ("serial", Kind::Blob),
        ("uid", Kind::Text),
        ("kind", Kind::Int),
        ("sequence", Kind::Int),
        ("key_hash", Kind::Blob),
        ("issuer", Kind::Blob),
        ("shard", Kind::Int),
        ("not_before", Kind::Int),
        ("not_after", Kind::Int),
        ("vouched", Kind::Text),
        ("revoked_leaf", Kind::Int),
        ("revoked_ms", Kind::Int),
        ("revoked_reason", Kind::Int),
    ];
    let first = first_revocations(group);
    let first: HashMap<_, _> =
        first.map(|(revocation, _, leaf)| (revocation.key, (revocation, leaf))).collect();
    let mut sheet = Sheet::new(COLUMNS);
    for row in group.events.iter().filter_map(|new| new.certificate.as_ref()) {
        let revoked = first.get(&row.key);
        let of_it = |number: fn(&(&Revocation, u64)) -> u64| {
            revoked.map_or(Value::Null, |found| Value::int(number(found)))
        };
        sheet.push([
            Value::int(row.leaf_index),
            Value::blob(row.serial.as_bytes()),
            Value::text(row.uid.as_str()),
            Value::int(row.kind.number().into()),
            Value::int(row.sequence),
            Value::blob(row.key.as_bytes()),
            Value::blob(row.issuer.as_bytes()),
            Value::int(row.shard.into()),
            Value::int(row.not_before),
            Value::int(row.not_after),
            Value::text(&row.vouched),
            of_it(|(_, leaf_index)| *leaf_index),
            of_it(|(revocation, _)| revocation.at_ms),
            of_it(|(revocation, _)| revocation.reason.number().into()),
        ]);
    }
    sheet
}

/// The first revocation of each key, which stays, with whose key it is and its leaf index.
fn first_revocations(group: &RecordGroup) -> impl Iterator<Item = (&Revocation, &UserId, u64)> {
    let mut seen = HashSet::new();
    group.events.iter().filter_map(move |new| {
        let (revocation, uid) = (new.revocation.as_ref()?, new.event.subject.as_ref()?);
        seen.insert(revocation.key).then_some((revocation, uid, new.leaf_index))
    })
}

fn revocations(group: &RecordGroup) -> Sheet<'_> {
    const COLUMNS: &[Column] = &[
        ("uid", Kind::Text),
        ("key_hash", Kind::Blob),
        ("revoked_leaf", Kind::Int),
        ("revoked_ms", Kind::Int),
        ("revoked_reason", Kind::Int),
    ];
    let mut sheet = Sheet::new(COLUMNS);
    for (revocation, uid, leaf_index) in first_revocations(group) {
        sheet.push([
            Value::text(uid.as_str()),
            Value::blob(revocation.key.as_bytes()),
            Value::int(leaf_index),
            Value::int(revocation.at_ms),
            Value::int(revocation.reason.number().into()),
        ]);
    }
    sheet
}

fn idempotency(group: &RecordGroup) -> Sheet<'_> {
    let mut sheet = Sheet::new(sheet::IDEMPOTENCY.columns);
    for new in &group.events {
        let Some((key, request)) = &new.idempotency else { continue };
        sheet.push([
            Value::text(key.as_str()),
            Value::blob(request.as_bytes()),
            Value::int(new.leaf_index),
        ]);
    }
    sheet
}

pub(super) async fn refuse<E: Engine>(engine: &E, refusals: &[Refused]) -> Result<()> {
    // An engine that joins is free in the order of what it joins, and ids are given in that order.
    const COLUMNS: &[Column] = &[
        ("place", Kind::Int),
        ("uid", Kind::Text),
        ("at_ms", Kind::Int),
        ("verb", Kind::Text),
        ("key_hash", Kind::Blob),
        ("code", Kind::Text),
        ("detail", Kind::Text),
        ("vouched", Kind::Text),
    ];
    if refusals.is_empty() {
        return Ok(());
    }
    let mut session = engine.begin(Mode::Write).await?;
    let mut sheet = Sheet::new(COLUMNS);
    for (place, refused) in refusals.iter().enumerate() {
        sheet.push([
            Value::int(place as u64),
            Value::text(refused.uid.as_str()),
            Value::int(refused.at_ms),
            Value::text(&refused.verb),
            Value::opt_blob(refused.key.as_ref().map(|key| &key.as_bytes()[..])),
            Value::text(&refused.code),
            Value::text(&refused.detail),
            Value::text(&refused.vouched),
        ]);
    }
    run(
        &mut session,
        "INSERT INTO refusal (uid, at_ms, verb, key_hash, code, detail, vouched) \
         SELECT uid, at_ms, verb, key_hash, code, detail, vouched FROM {rows} \
         WHERE r.uid IN (SELECT uid FROM identity) ORDER BY r.place",
        sheet,
    )
    .await?;
    let uids: HashSet<_> = refusals.iter().map(|refused| &refused.uid).collect();
    for uid in uids {
        let sql = "DELETE FROM refusal WHERE uid = $1 AND id <= (SELECT id FROM refusal \
                   WHERE uid = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)";
        let values = [Value::text(uid.as_str()), Value::int(REFUSALS_KEPT)];
        session.execute(sql, Given::Values(&values)).await?;
    }
    session.commit().await
}

pub(super) async fn publish<E: Engine>(
    engine: &E,
    publication: &Publication,
) -> Result<Vec<CertificateRow>> {
    let drafted = draft_publication(publication);
    let statements = statements(&drafted);
    let found =
        if statements.is_empty() { Vec::new() } else { engine.transact(&statements).await? };
    stored(engine, publication, read_back::<E>(found)?).await
}

/// One transaction of both, so that both wait for the disk once. Where they change the same rows
/// they are one after the other.
pub(super) async fn publish_and_record<E: Engine>(
    engine: &E,
    publication: &Publication,
    group: &RecordGroup,
) -> Result<Vec<CertificateRow>> {
    if publication.certificates.is_empty()
        || group.events.iter().any(|new| new.revocation.is_some())
        || !draft_notices(group).is_empty()
    {
        let rows = publish(engine, publication).await?;
        return record(engine, group).await.map(|()| rows);
    }
    let mut drafted = draft_publication(publication);
    drafted.extend(draft_record(group));
    match engine.transact(&statements(&drafted)).await {
        Ok(found) => stored(engine, publication, read_back::<E>(found)?).await,
        Err(error) => Err(moved(engine, group.expected_size, error).await),
    }
}

/// Stores certificates where there is none yet, and gives them back as they are stored.
const PUT_CERTIFICATES: &str = "UPDATE certificate SET certificate = r.certificate FROM {rows} \
    WHERE certificate.leaf_index = r.leaf_index AND certificate.certificate IS NULL \
    RETURNING certificate.leaf_index AS leaf_index, certificate.serial AS serial, \
    certificate.uid AS uid, certificate.kind AS kind, certificate.sequence AS sequence, \
    certificate.key_hash AS key_hash, certificate.issuer AS issuer, certificate.shard AS shard, \
    certificate.not_before AS not_before, certificate.not_after AS not_after, \
    certificate.vouched AS vouched, certificate.certificate AS certificate, \
    certificate.revoked_leaf AS revoked_leaf, certificate.revoked_ms AS revoked_ms, \
    certificate.revoked_reason AS revoked_reason";

/// The statement that stores certificates first: its rows are the answer.
fn draft_publication(publication: &Publication) -> Vec<Drafted<'_>> {
    use Parameters::{Rows, Values};
    const COLUMNS: &[Column] = &[("leaf_index", Kind::Int), ("certificate", Kind::Blob)];
    let mut sheet = Sheet::new(COLUMNS);
    let mut seen = HashSet::new();
    for (leaf_index, der) in &publication.certificates {
        if seen.insert(*leaf_index) {
            sheet.push([Value::int(*leaf_index), Value::blob(der)]);
        }
    }
    let checkpoints = &publication.checkpoints;
    let mut drafted = vec![
        (PUT_CERTIFICATES, Rows(sheet)),
        (log::PUT_CHECKPOINTS, Rows(log::checkpoints(checkpoints))),
    ];
    if !publication.cosignatures.is_empty() {
        drafted.push((cosign::PUT, Rows(cosign::rows(&publication.cosignatures))));
    }
    if checkpoints.iter().any(log::trims) {
        drafted.push((log::TRIM_CHECKPOINTS, Values(log::TRIM_VALUES.to_vec())));
        let shown = Value::int(publication.vouched.unwrap_or(0));
        drafted.push((cosign::TRIM, Values([log::TRIM_VALUES, &[shown]].concat())));
    }
    drafted
}

fn read_back<E: Engine>(found: Vec<RowOf<E>>) -> Result<Vec<CertificateRow>> {
    found.iter().map(|row| columns::certificate(row)).collect()
}

/// What is stored after a publication: what it stored, and what was there before it.
async fn stored<E: Engine>(
    engine: &E,
    publication: &Publication,
    mut rows: Vec<CertificateRow>,
) -> Result<Vec<CertificateRow>> {
    let changed: HashSet<u64> = rows.iter().map(|row| row.leaf_index).collect();
    let wanted = publication.certificates.iter().map(|(leaf_index, _)| *leaf_index);
    let before: HashSet<u64> = wanted.filter(|leaf| !changed.contains(leaf)).collect();
    if !before.is_empty() {
        rows.extend(read::certificates(engine, before.into_iter()).await?);
    }
    Ok(rows)
}

pub(super) async fn ping<E: Engine>(engine: &E) -> Result<()> {
    let mut session = engine.begin(Mode::Write).await?;
    session.execute("UPDATE tree SET size = size WHERE one = 1", NOTHING).await?;
    session.rollback().await
}
