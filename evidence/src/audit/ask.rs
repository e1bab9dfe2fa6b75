//! What the authority asks of an auditor beside co-signatures: what people handed in, and entries
//! that a database lost. Both are private, so the log's key signs the question: a note whose text no
//! checkpoint has.

use tlog::cosign::CosignerKey;
use tlog::note::{LogKey, Note, NoteError};
use wire::Hash32;

/// Path of what people hand in (a request file), below an auditor's submission prefix.
pub const STATEMENTS: &str = "/statements";

/// Path of what the authority asks ([`AuditorAsk`]).
pub const ASK: &str = "/ask";

/// Longest question, in bytes.
pub const MAX_ASK: usize = 4 * 1024;

/// How far the clocks of the two may be apart, in seconds.
pub const ASK_SLACK: u64 = 5 * 60;

const HEAD: &str = "avouch.org/auditor-ask/v1";

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// What people handed in and the log does not have yet.
    Standing,
    /// The same; and nothing that stops what this intent asked for is taken for a moment: it is
    /// about to complete.
    Closing(Hash32),
    /// The entries from a leaf on.
    Entries(u64),
}

/// A question of the authority to one auditor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditorAsk {
    /// The installation: hash of its genesis event.
    pub genesis: Hash32,
    /// The auditor's verifier key.
    pub to: String,
    /// When, seconds since 1970 by the authority's clock.
    pub at: u64,
    /// For what.
    pub wanted: Wanted,
}

/// Why a question is not answered.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Not a note of the log's key.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Another text.
    #[error("it is no question to an auditor")]
    Text,
    /// To somebody else.
    #[error("it is for another installation, or another auditor")]
    Elsewhere,
    /// Too old, or from the future.
    #[error("it is of {at}, and it is {now} (seconds since 1970)")]
    Time {
        /// When it says that it was asked.
        at: u64,
        /// Now.
        now: u64,
    },
}

impl AuditorAsk {
    /// The text that the log's key signs.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Self { genesis, to, at, wanted } = self;
        let wanted = match wanted {
            Wanted::Standing => "standing".to_owned(),
            Wanted::Closing(intent) => format!("closing {intent}"),
            Wanted::Entries(from) => format!("entries {from}"),
        };
        format!("{HEAD}\nof {genesis}\nto {to}\nat time {at}\n{wanted}\n")
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        lines.next().filter(|head| *head == HEAD)?;
        let genesis = Hash32::from_hex(lines.next()?.strip_prefix("of ")?).ok()?;
        let to = lines.next()?.strip_prefix("to ")?.to_owned();
        let at = lines.next()?.strip_prefix("at time ")?.parse().ok()?;
        let wanted = match lines.next()?.split_once(' ') {
            None => Wanted::Standing,
            Some(("closing", intent)) => Wanted::Closing(Hash32::from_hex(intent).ok()?),
            Some(("entries", from)) => Wanted::Entries(from.parse().ok()?),
            Some(_) => return None,
        };
        Some(Self { genesis, to, at, wanted }).filter(|ask| ask.to_text() == text)
    }

    /// Opens a question that this auditor was asked.
    ///
    /// # Errors
    /// See [`AskError`].
    pub fn open(
        note: &str,
        (genesis, log): (Hash32, &LogKey),
        auditor: &CosignerKey,
        now: u64,
    ) -> Result<Self, AskError> {
        let note = Note::parse(note)?;
        log.verify_note(&note)?;
        let ask = Self::parse(note.text()).ok_or(AskError::Text)?;
        if ask.genesis != genesis || ask.to != auditor.vkey() {
            return Err(AskError::Elsewhere);
        }
        if now.abs_diff(ask.at) > ASK_SLACK {
            return Err(AskError::Time { at: ask.at, now });
        }
        Ok(ask)
    }
}

/// First line of the answer about what people handed in; a line for each of those follows
/// ([`wire::receipt::ReceiptFile`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandingHead {
    /// Whether nothing is taken for a moment that stops what was asked about.
    pub closed: bool,
    /// Lines that follow.
    pub count: usize,
}

/// First line of the answer with entries; a line for each of those follows, as in an export.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntriesHead {
    /// The checkpoint that the auditor co-signed last, with its signatures.
    pub checkpoint: String,
    /// Entries that follow.
    pub count: u64,
}
