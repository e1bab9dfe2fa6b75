//! Rows of the tables become rows of the contract; what is not as written is named.

use std::borrow::Cow;

use policy::{Identity, Key, Status};
use serde_bytes::{ByteBuf, Bytes};
use wire::event::{Event, EventKind, EvidenceRef, RevocationReason};
use wire::{Encoded, Hash32, IdempotencyKey, SerialNumber, UserId};

use super::StoreError;
use super::engine::Source;
use super::rows::{
    CertificateRow, CrlRow, HistoryCursor, HistoryRow, IdempotencyRow, IdentityRow, KeyRow,
    Refused, RevokedRow,
};

type Result<T> = std::result::Result<T, StoreError>;

/// A piece of evidence, as an event names it.
pub(super) type Piece = (EvidenceRef, Vec<u8>);

/// An event's evidence, in its order, as it stands with the event.
pub(super) fn packed(evidence: &[Piece]) -> Vec<u8> {
    let pieces: Vec<&Bytes> = evidence.iter().map(|(_, data)| Bytes::new(data)).collect();
    // Bytes in a list always have an encoding.
    postcard::to_allocvec(&pieces).unwrap_or_default()
}

/// The evidence that an event names, from what stands with it. Whether a piece is what its hash
/// says is for whoever weighs it to find out.
pub(super) fn unpacked(event: &Event, packed: &[u8]) -> Result<Vec<Piece>> {
    let corrupt = |reason: String| StoreError::Corrupt { table: "event", reason };
    let pieces: Vec<ByteBuf> = postcard::from_bytes(packed)
        .map_err(|error| corrupt(format!("evidence of event {}: {error}", event.sequence)))?;
    if pieces.len() != event.evidence.len() {
        let (found, named) = (pieces.len(), event.evidence.len());
        return Err(corrupt(format!("{found} pieces of evidence stand with an event of {named}")));
    }
    Ok(event.evidence.iter().cloned().zip(pieces.into_iter().map(ByteBuf::into_vec)).collect())
}

/// Reads columns of one row.
pub(super) struct Columns<'a> {
    table: &'static str,
    row: &'a dyn Source,
    /// What stands before each column's name, where rows of several tables are joined.
    prefix: &'static str,
}

impl<'a> Columns<'a> {
    pub(super) fn of(table: &'static str, row: &'a dyn Source) -> Self {
        Self { table, row, prefix: "" }
    }

    fn joined(table: &'static str, prefix: &'static str, row: &'a dyn Source) -> Self {
        Self { table, row, prefix }
    }

    /// A column's name in the row.
    fn name<'c>(&self, column: &'c str) -> Cow<'c, str> {
        if self.prefix.is_empty() {
            Cow::Borrowed(column)
        } else {
            Cow::Owned(format!("{}{column}", self.prefix))
        }
    }

    pub(super) fn corrupt(&self, column: &str, reason: impl std::fmt::Display) -> StoreError {
        StoreError::Corrupt { table: self.table, reason: format!("{column}: {reason}") }
    }

    /// A column of another type is not what this program wrote either.
    fn read<T>(&self, column: &str, value: std::result::Result<T, sqlx::Error>) -> Result<T> {
        value.map_err(|error| match error {
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) => {
                self.corrupt(column, error)
            }
            error => error.into(),
        })
    }

    fn some<T>(&self, column: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| self.corrupt(column, "is missing"))
    }

    pub(super) fn opt_int(&self, column: &str) -> Result<Option<i64>> {
        self.read(column, self.row.int(&self.name(column)))
    }

    pub(super) fn opt_text(&self, column: &str) -> Result<Option<String>> {
        self.read(column, self.row.text(&self.name(column)))
    }

    pub(super) fn opt_bytes(&self, column: &str) -> Result<Option<Vec<u8>>> {
        self.read(column, self.row.blob(&self.name(column)))
    }

    fn int(&self, column: &str) -> Result<i64> {
        self.some(column, self.opt_int(column)?)
    }

    pub(super) fn u64(&self, column: &str) -> Result<u64> {
        u64::try_from(self.int(column)?).map_err(|e| self.corrupt(column, e))
    }

    pub(super) fn opt_u64(&self, column: &str) -> Result<Option<u64>> {
        match self.opt_int(column)? {
            None => Ok(None),
            Some(_) => self.u64(column).map(Some),
        }
    }

    pub(super) fn u32(&self, column: &str) -> Result<u32> {
        u32::try_from(self.int(column)?).map_err(|e| self.corrupt(column, e))
    }

    pub(super) fn bytes(&self, column: &str) -> Result<Vec<u8>> {
        self.some(column, self.opt_bytes(column)?)
    }

    pub(super) fn text(&self, column: &str) -> Result<String> {
        self.some(column, self.opt_text(column)?)
    }

    pub(super) fn fixed<const N: usize>(&self, column: &str) -> Result<[u8; N]> {
        let bytes = self.bytes(column)?;
        <[u8; N]>::try_from(bytes.as_slice())
            .map_err(|_| self.corrupt(column, format!("{} bytes, not {N}", bytes.len())))
    }

    pub(super) fn hash(&self, column: &str) -> Result<Hash32> {
        self.fixed(column).map(Hash32::from_bytes)
    }

    fn opt_hash(&self, column: &str) -> Result<Option<Hash32>> {
        match self.opt_bytes(column)? {
            None => Ok(None),
            Some(_) => self.hash(column).map(Some),
        }
    }

    pub(super) fn uid(&self, column: &str) -> Result<UserId> {
        UserId::parse(&self.text(column)?).map_err(|e| self.corrupt(column, e))
    }

    fn serial(&self, column: &str) -> Result<SerialNumber> {
        SerialNumber::from_slice(&self.bytes(column)?)
            .ok_or_else(|| self.corrupt(column, "not a serial number of this installation"))
    }

    pub(super) fn format<T: Encoded>(&self, column: &str) -> Result<T> {
        T::from_canonical(&self.bytes(column)?).map_err(|e| self.corrupt(column, e))
    }

    pub(super) fn numbered<T>(&self, column: &str, read: impl Fn(u8) -> Option<T>) -> Result<T> {
        let n = self.int(column)?;
        let known = u8::try_from(n).ok().and_then(read);
        known.ok_or_else(|| self.corrupt(column, format!("unknown {n}")))
    }
}

/// Numbers of statuses; they stand in databases.
pub(super) fn status_number(status: Status) -> u8 {
    match status {
        Status::Active => 0,
        Status::Suspended => 1,
        Status::Retired => 2,
    }
}

fn status(n: u8) -> Option<Status> {
    [Status::Active, Status::Suspended, Status::Retired].get(usize::from(n)).copied()
}

pub(super) fn identity(row: &dyn Source) -> Result<IdentityRow> {
    identity_in(&Columns::of("identity", row))
}

/// The identity in a row of `BOOKS`, if there is one.
pub(super) fn joined_identity(row: &dyn Source) -> Result<Option<IdentityRow>> {
    let columns = Columns::joined("identity", "identity_", row);
    columns.opt_text("uid")?.map(|_| identity_in(&columns)).transpose()
}

fn identity_in(columns: &Columns<'_>) -> Result<IdentityRow> {
    let key = match columns.opt_hash("key_hash")? {
        None => None,
        Some(spki) => Some(Key {
            spki,
            number: columns.u64("key_number")?,
            possession_proven: columns.int("key_proven")? != 0,
        }),
    };
    let identity = Identity {
        uid: columns.uid("uid")?,
        status: columns.numbered("status", status)?,
        sequence: columns.u64("sequence")?,
        head: columns.hash("head")?,
        key,
        recovery_commitment: columns.opt_hash("recovery")?,
        details: policy::Details::default(),
    };
    let details = columns.opt_bytes("details")?;
    let identity = identity
        .with_details(details.as_deref())
        .map_err(|error| columns.corrupt("details", error))?;
    Ok(IdentityRow {
        identity,
        blinding_key: columns.fixed("blinding_key")?,
        created_ms: columns.u64("created_ms")?,
        updated_ms: columns.u64("updated_ms")?,
        due_ms: columns.opt_u64("due_ms")?,
    })
}

/// The key in a row of `BOOKS`, if there is one.
pub(super) fn joined_key(row: &dyn Source) -> Result<Option<KeyRow>> {
    let columns = Columns::joined("subject_key", "key_", row);
    if columns.opt_bytes("hash")?.is_none() {
        return Ok(None);
    }
    Ok(Some(KeyRow {
        hash: columns.hash("hash")?,
        uid: columns.uid("uid")?,
        spki: columns.bytes("spki")?,
        algorithm: columns.text("algorithm")?,
    }))
}

/// The idempotency key in a row of `BOOKS`, if there is one.
pub(super) fn joined_idempotency(
    row: &dyn Source,
) -> Result<Option<(IdempotencyKey, IdempotencyRow)>> {
    let columns = Columns::joined("idempotency", "once_", row);
    let Some(key) = columns.opt_text("key")? else { return Ok(None) };
    let key = IdempotencyKey::parse(&key).map_err(|e| columns.corrupt("key", e))?;
    let (request, leaf_index) = (columns.hash("request")?, columns.u64("leaf_index")?);
    Ok(Some((key, IdempotencyRow { request, leaf_index })))
}

pub(super) fn certificate(row: &dyn Source) -> Result<CertificateRow> {
    let columns = Columns::of("certificate", row);
    let revoked = match columns.opt_int("revoked_leaf")? {
        None => None,
        Some(_) => Some((
            columns.u64("revoked_ms")?,
            columns.numbered("revoked_reason", RevocationReason::from_number)?,
        )),
    };
    Ok(CertificateRow {
        leaf_index: columns.u64("leaf_index")?,
        serial: columns.serial("serial")?,
        uid: columns.uid("uid")?,
        kind: columns.numbered("kind", EventKind::from_number)?,
        sequence: columns.u64("sequence")?,
        key: columns.hash("key_hash")?,
        issuer: columns.hash("issuer")?,
        shard: columns.u32("shard")?,
        not_before: columns.u64("not_before")?,
        not_after: columns.u64("not_after")?,
        vouched: columns.text("vouched")?,
        certificate: columns.opt_bytes("certificate")?,
        revoked,
    })
}

pub(super) fn history(row: &dyn Source) -> Result<(HistoryCursor, HistoryRow)> {
    let columns = Columns::of("history", row);
    let cursor = HistoryCursor {
        at_ms: columns.u64("at_ms")?,
        source: columns.numbered("source", Some)?,
        number: columns.u64("number")?,
    };
    let line = if cursor.source == 0 {
        let (leaf_index, event) = (columns.u64("leaf_index")?, columns.format("event")?);
        HistoryRow::Accepted { leaf_index, event }
    } else {
        HistoryRow::Refused(Refused {
            uid: columns.uid("uid")?,
            at_ms: cursor.at_ms,
            verb: columns.text("verb")?,
            key: columns.opt_hash("key_hash")?,
            code: columns.text("code")?,
            detail: columns.text("detail")?,
            vouched: columns.text("vouched")?,
        })
    };
    Ok((cursor, line))
}

pub(super) fn revoked(row: &dyn Source) -> Result<RevokedRow> {
    let columns = Columns::of("certificate", row);
    Ok(RevokedRow {
        serial: columns.serial("serial")?,
        at_ms: columns.u64("revoked_ms")?,
        reason: columns.numbered("revoked_reason", RevocationReason::from_number)?,
        leaf_index: columns.u64("revoked_leaf")?,
    })
}

pub(super) fn crl(row: &dyn Source, issuer: Hash32, shard: u32) -> Result<CrlRow> {
    let columns = Columns::of("crl", row);
    Ok(CrlRow {
        issuer,
        shard,
        number: columns.u64("number")?,
        size: columns.u64("size")?,
        next_update: columns.u64("next_update")?,
        crl: columns.bytes("crl")?,
    })
}
