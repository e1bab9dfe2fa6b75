//! Statements of what people are told: addresses of channels, and the outbox.

use wire::address::Address;
use wire::body::ChannelKind;
use wire::{Hash32, UserId};

use super::StoreError;
use super::columns::Columns;
use super::engine::{Engine, Given, Mode, NOTHING, Session, Statement, Value};
use super::rows::{Destination, NoticeRows, Outbox, OutboxRow, Settled};
use super::sheet::{self, Column, Kind, Sheet};
use super::write::in_order;

type Result<T> = std::result::Result<T, StoreError>;

/// The statements of a group, in the order in which they must run: an address is known before a
/// notice asks for it.
pub(super) fn rows(notices: &NoticeRows) -> [(&'static str, Sheet<'_>); 5] {
    [
        (
            "UPDATE address SET until_ms = r.until_ms FROM {rows} WHERE address.uid = r.uid",
            leaving(notices),
        ),
        (
            "INSERT INTO address (uid, channel, kind, salt, address) \
             SELECT uid, channel, kind, salt, address FROM {rows} WHERE true \
             ON CONFLICT (uid, channel) DO NOTHING",
            addresses(notices),
        ),
        (
            "UPDATE address SET until_ms = NULL FROM {rows} \
             WHERE address.uid = r.uid AND address.channel = r.channel",
            in_use(notices),
        ),
        (
            "INSERT INTO outbox (id, leaf_index, kind, address, notice, at_ms, attempts, next_ms) \
             SELECT r.id, r.leaf_index, a.kind, a.address, r.notice, r.at_ms, 0, r.at_ms \
             FROM {rows} JOIN address a ON a.uid = r.uid AND a.channel = r.channel WHERE true \
             ON CONFLICT (id) DO NOTHING",
            to_channels(notices),
        ),
        (
            "INSERT INTO outbox (id, leaf_index, kind, address, notice, at_ms, attempts, next_ms) \
             SELECT id, leaf_index, kind, address, notice, at_ms, 0, at_ms FROM {rows} WHERE true \
             ON CONFLICT (id) DO NOTHING",
            to_addresses(notices),
        ),
    ]
}

fn leaving(notices: &NoticeRows) -> Sheet<'_> {
    const COLUMNS: &[Column] = &[("uid", Kind::Text), ("until_ms", Kind::Int)];
    let mut sheet = Sheet::new(COLUMNS);
    for (uid, until_ms) in &notices.leaving {
        sheet.push([Value::text(uid.as_str()), Value::int(*until_ms)]);
    }
    sheet
}

fn addresses(notices: &NoticeRows) -> Sheet<'_> {
    const GIVEN: usize = 5;
    let mut sheet = Sheet::new(&sheet::ADDRESS.columns[..GIVEN]);
    for (uid, address) in &notices.addresses {
        let channel = address.channel();
        sheet.push([
            Value::text(uid.as_str()),
            Value::Blob(channel.address.as_bytes().to_vec().into()),
            Value::int(channel.kind.number().into()),
            Value::blob(address.salt()),
            Value::text(address.address()),
        ]);
    }
    sheet
}

fn in_use(notices: &NoticeRows) -> Sheet<'_> {
    const COLUMNS: &[Column] = &[("uid", Kind::Text), ("channel", Kind::Blob)];
    let mut sheet = Sheet::new(COLUMNS);
    for (uid, channel) in &notices.in_use {
        sheet.push([Value::text(uid.as_str()), Value::blob(channel.as_bytes())]);
    }
    sheet
}

fn to_channels(notices: &NoticeRows) -> Sheet<'_> {
    const COLUMNS: &[Column] = &[
        ("id", Kind::Blob),
        ("leaf_index", Kind::Int),
        ("uid", Kind::Text),
        ("channel", Kind::Blob),
        ("notice", Kind::Blob),
        ("at_ms", Kind::Int),
    ];
    let mut sheet = Sheet::new(COLUMNS);
    for new in &notices.outbox {
        let Destination::Channel { uid, channel } = &new.to else { continue };
        sheet.push([
            Value::blob(new.id.as_bytes()),
            Value::int(new.leaf_index),
            Value::text(uid.as_str()),
            Value::blob(channel.as_bytes()),
            Value::blob(&new.notice),
            Value::int(new.at_ms),
        ]);
    }
    sheet
}

fn to_addresses(notices: &NoticeRows) -> Sheet<'_> {
    const COLUMNS: &[Column] = &[
        ("id", Kind::Blob),
        ("leaf_index", Kind::Int),
        ("kind", Kind::Int),
        ("address", Kind::Text),
        ("notice", Kind::Blob),
        ("at_ms", Kind::Int),
    ];
    let mut sheet = Sheet::new(COLUMNS);
    for new in &notices.outbox {
        let Destination::Address { kind, address } = &new.to else { continue };
        sheet.push([
            Value::blob(new.id.as_bytes()),
            Value::int(new.leaf_index),
            Value::int(kind.number().into()),
            Value::text(address),
            Value::blob(&new.notice),
            Value::int(new.at_ms),
        ]);
    }
    sheet
}

pub(super) async fn known_channels<E: Engine>(engine: &E, uid: &UserId) -> Result<Vec<Address>> {
    let sql = "SELECT kind, salt, address FROM address WHERE uid = $1 ORDER BY channel";
    let mut session = engine.begin(Mode::Read).await?;
    let rows = session.fetch(sql, Given::Values(&[Value::text(uid.as_str())])).await?;
    session.commit().await?;
    rows.iter()
        .map(|row| {
            let columns = Columns::of("address", row);
            let kind = columns.numbered("kind", ChannelKind::from_number)?;
            let (salt, address) = (columns.fixed("salt")?, columns.text("address")?);
            Address::new(kind, salt, &address).map_err(|error| columns.corrupt("address", error))
        })
        .collect()
}

pub(super) async fn outbox<E: Engine>(engine: &E, now_ms: u64, limit: u32) -> Result<Outbox> {
    let due = "SELECT id, leaf_index, kind, address, notice, at_ms, attempts FROM outbox \
               WHERE given_up_ms IS NULL AND next_ms <= $1 ORDER BY next_ms, id LIMIT $2";
    let counts = "SELECT count(*) AS waiting, min(next_ms) AS next_ms, min(at_ms) AS oldest_ms \
                  FROM outbox WHERE given_up_ms IS NULL";
    let given_up = "SELECT count(*) AS given_up FROM outbox WHERE given_up_ms IS NOT NULL";
    let values = [Value::int(now_ms), Value::int(limit.into())];
    let mut session = engine.begin(Mode::Snapshot).await?;
    let due = session.fetch(due, Given::Values(&values)).await?;
    let counts = session.fetch(counts, NOTHING).await?;
    let given_up = session.fetch(given_up, NOTHING).await?;
    session.commit().await?;
    let mut outbox = Outbox::default();
    for row in &due {
        let columns = Columns::of("outbox", row);
        outbox.due.push(OutboxRow {
            id: columns.hash("id")?,
            leaf_index: columns.u64("leaf_index")?,
            kind: columns.numbered("kind", ChannelKind::from_number)?,
            address: columns.text("address")?,
            notice: columns.bytes("notice")?,
            at_ms: columns.u64("at_ms")?,
            attempts: columns.u32("attempts")?,
        });
    }
    if let Some(row) = counts.first() {
        let columns = Columns::of("outbox", row);
        outbox.waiting = columns.u64("waiting")?;
        outbox.next_ms = columns.opt_u64("next_ms")?;
        outbox.oldest_ms = columns.opt_u64("oldest_ms")?;
    }
    if let Some(row) = given_up.first() {
        outbox.given_up = Columns::of("outbox", row).u64("given_up")?;
    }
    Ok(outbox)
}

pub(super) async fn settle<E: Engine>(engine: &E, settled: &[Settled]) -> Result<()> {
    const IDS: &[Column] = &[("id", Kind::Blob)];
    const AGAIN: &[Column] = &[("id", Kind::Blob), ("attempts", Kind::Int), ("next_ms", Kind::Int)];
    const GIVEN_UP: &[Column] = &[("id", Kind::Blob), ("at_ms", Kind::Int)];
    let (mut sent, mut again, mut given_up) =
        (Sheet::new(IDS), Sheet::new(AGAIN), Sheet::new(GIVEN_UP));
    for one in settled {
        match one {
            Settled::Sent { id } => sent.push([Value::blob(id.as_bytes())]),
            Settled::Again { id, attempts, next_ms } => again.push([
                Value::blob(id.as_bytes()),
                Value::int((*attempts).into()),
                Value::int(*next_ms),
            ]),
            Settled::GivenUp { id, at_ms } => {
                given_up.push([Value::blob(id.as_bytes()), Value::int(*at_ms)]);
            }
        }
    }
    let all = [
        ("DELETE FROM outbox WHERE id IN (SELECT id FROM {rows})", &sent),
        (
            "UPDATE outbox SET attempts = r.attempts, next_ms = r.next_ms FROM {rows} \
             WHERE outbox.id = r.id",
            &again,
        ),
        ("UPDATE outbox SET given_up_ms = r.at_ms FROM {rows} WHERE outbox.id = r.id", &given_up),
    ];
    let statements: Vec<Statement<'_>> = all
        .iter()
        .filter(|(_, sheet)| !sheet.is_empty())
        .map(|(sql, sheet)| (*sql, Given::Rows(sheet)))
        .collect();
    if statements.is_empty() { Ok(()) } else { in_order(engine, &statements).await }
}

pub(super) async fn forget<E: Engine>(engine: &E, now_ms: u64, given_up_before: u64) -> Result<()> {
    let (now, before) = ([Value::int(now_ms)], [Value::int(given_up_before)]);
    let statements: [Statement<'_>; 2] = [
        ("DELETE FROM address WHERE until_ms < $1", Given::Values(&now)),
        ("DELETE FROM outbox WHERE given_up_ms < $1", Given::Values(&before)),
    ];
    engine.transact(&statements).await?;
    Ok(())
}

/// The stable name of a notice: the same event to the same place has the same one.
pub(crate) fn notice_id(leaf: Hash32, to: &Destination) -> Hash32 {
    let to = match to {
        Destination::Channel { channel, .. } => *channel,
        Destination::Address { address, .. } => Hash32::of(address.as_bytes()),
    };
    Hash32::of(&[&b"avouch.notice.v1\0"[..], leaf.as_bytes(), to.as_bytes()].concat())
}
