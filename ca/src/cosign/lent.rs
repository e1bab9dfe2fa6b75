//! Entries that a database lost, borrowed from an auditor.

use std::time::Duration;

use evidence::audit::{ASK, AuditorAsk, EntriesHead, Wanted};
use tlog::cosign::CosignError;
use tlog::note::{NoteError, SignedCheckpoint};
use wire::Hash32;
use wire::bundle::ExportLeaf;

use super::client::{Peer, call};
use crate::token::Token;
use crate::walk::Log;

/// Longest part that is read, in bytes: what auditors give at once, and one entry more.
const MAX_PART: usize = 96 * 1024 * 1024;

/// Who borrows: the log's key signs the question.
#[derive(Debug)]
pub(crate) struct Borrower<'a> {
    pub(crate) log: &'a Log,
    pub(crate) token: &'a Token,
    pub(crate) genesis: Hash32,
    /// Seconds since 1970.
    pub(crate) now: u64,
}

/// A part of the entries.
#[derive(Debug)]
pub(crate) struct Lent {
    /// The checkpoint that the auditor co-signed last.
    pub(crate) checkpoint: String,
    pub(crate) entries: Vec<ExportLeaf>,
}

/// Why nothing is lent.
#[derive(Debug, thiserror::Error)]
pub enum LendError {
    /// The question cannot be signed.
    #[error("the question cannot be signed: {0}")]
    Sign(String),
    /// It cannot be asked.
    #[error("it cannot be asked: {0}")]
    Unreachable(String),
    /// It refuses.
    #[error("it answers {status}: {text}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it says.
        text: String,
    },
    /// Its answer is none.
    #[error("its answer is of no use: {0}")]
    Answer(String),
    /// It did not co-sign the checkpoint that it shows.
    #[error("the checkpoint that it shows: {0}")]
    Cosignature(#[from] CosignError),
}

/// The entries from a leaf on, as many as come at once; none at the end. The checkpoint is co-signed
/// by this auditor; that the log signed it is looked at by whoever asks.
pub(crate) async fn borrow(
    auditor: &Peer,
    by: &Borrower<'_>,
    from: u64,
    timeout: Duration,
) -> Result<Lent, LendError> {
    let (genesis, to, wanted) = (by.genesis, auditor.key().vkey(), Wanted::Entries(from));
    let asked = AuditorAsk { genesis, to, at: by.now, wanted };
    let signed = by.log.say(by.token, &asked.to_text()).await.map_err(LendError::Sign)?;
    let (status, answer) = call(auditor, ASK, signed.into_bytes(), timeout, MAX_PART)
        .await
        .map_err(|fault| LendError::Unreachable(fault.to_string()))?;
    let text = String::from_utf8(answer).map_err(|error| LendError::Answer(error.to_string()))?;
    if status != 200 {
        let text = text.trim_end().chars().take(200).collect();
        return Err(LendError::Refused { status, text });
    }
    let answer = |error: serde_json::Error| LendError::Answer(error.to_string());
    let mut lines = text.lines();
    let head: EntriesHead =
        serde_json::from_str(lines.next().unwrap_or_default()).map_err(answer)?;
    let entries: Vec<ExportLeaf> =
        lines.map(serde_json::from_str).collect::<Result<_, _>>().map_err(answer)?;
    let in_row = entries.iter().zip(from..).all(|(entry, due)| entry.leaf_index == due);
    if entries.len() as u64 != head.count || !in_row {
        let wrong = format!("{} entries, not {} from leaf {from}", entries.len(), head.count);
        return Err(LendError::Answer(wrong));
    }
    Ok(Lent { checkpoint: head.checkpoint, entries })
}

/// The auditor's co-signature in a checkpoint, and its time; none if it is not there.
pub(crate) fn word(
    auditor: &Peer,
    signed: &SignedCheckpoint,
) -> Result<Option<(String, u64)>, NoteError> {
    let mut lines = signed.signatures().iter().filter(|line| auditor.key().names(line));
    let Some(line) = lines.next() else { return Ok(None) };
    let time = auditor.key().verify(signed.note().text(), line);
    let time = time.map_err(|_| NoteError::Signature { key: auditor.key().to_string() })?;
    Ok(Some((line.to_line().trim_end().to_owned(), time)))
}
