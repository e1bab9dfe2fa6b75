//! What an auditor is asked: to co-sign a checkpoint, with every entry up to it; and how it says
//! no.
//!
//! The body is that of C2SP tlog-witness's add-checkpoint, an empty line, and JSON Lines: the
//! entries from the size that the proof begins with to the checkpoint's. Where that size is 0, a
//! line with the secret that blinds ids goes first: the genesis event commits to it.

use serde::{Deserialize, Serialize};
use tlog::witness::{AddCheckpoint, MAX_REQUEST, RequestError};
use wire::Hash32;
use wire::bundle::{Blob, ExportLeaf};

use super::Refused;

/// Path of the call, below the auditor's submission prefix.
pub const ADD_ENTRIES: &str = "/add-entries";

/// Longest body, in bytes.
pub const MAX_BODY: usize = 64 * 1024 * 1024;

/// Most entries in one body.
pub const MAX_ENTRIES: usize = 16_384;

/// Content type of a refusal (RFC 9457 section 3).
pub const PROBLEM_TYPE: &str = "application/problem+json";

/// Type URI of a refusal.
const REFUSED: &str = "urn:avouch:problem:entry-refused";

/// A request to audit entries and to co-sign the checkpoint that they lead to. Nothing of it is
/// verified, but that the entries stand in one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddEntries {
    request: AddCheckpoint,
    secret: Option<[u8; 32]>,
    entries: Vec<ExportLeaf>,
}

/// Why bytes are not a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Too many of them.
    #[error("the request has {found} bytes, at most {MAX_BODY} are read")]
    Oversize {
        /// Length found.
        found: usize,
    },
    /// Not text, or no entries in it.
    #[error("{0}")]
    Shape(&'static str),
    /// The part that add-checkpoint has, too.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A line that is no entry.
    #[error("line {line} of the entries: {reason}")]
    Line {
        /// Line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Not the entries that the request is about.
    #[error("{found} entries from leaf {first}; the request is about leaves {from} to {to}")]
    Row {
        /// How many there are.
        found: usize,
        /// Index of the first of them.
        first: u64,
        /// Leaf that the proof begins with.
        from: u64,
        /// Leaves of the checkpoint.
        to: u64,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Opening {
    blinding_secret: Blob,
}

impl AddEntries {
    /// A request. `secret` goes with the log's first entries.
    ///
    /// # Errors
    /// Refuses entries that are not those between the two sizes.
    pub fn new(
        request: AddCheckpoint,
        secret: Option<[u8; 32]>,
        entries: Vec<ExportLeaf>,
    ) -> Result<Self, BodyError> {
        let (from, to) = (request.old(), request.checkpoint().size());
        let found = entries.len();
        let first = entries.first().map_or(from, |entry| entry.leaf_index);
        let in_row = entries.iter().zip(from..).all(|(entry, due)| entry.leaf_index == due);
        if !in_row || to.checked_sub(from) != Some(found as u64) || found > MAX_ENTRIES {
            return Err(BodyError::Row { found, first, from, to });
        }
        if secret.is_some() != (from == 0) {
            return Err(BodyError::Shape("the secret goes with the first entries, and only there"));
        }
        Ok(Self { request, secret, entries })
    }

    /// Reads a request's body.
    ///
    /// # Errors
    /// Refuses what [`AddEntries::to_body`] does not make.
    pub fn parse(body: &[u8]) -> Result<Self, BodyError> {
        let (request, rest) = Self::split(body)?;
        let mut lines = rest.split_inclusive('\n').enumerate().map(|(n, line)| (n + 1, line));
        let mut secret = None;
        if request.old() == 0 {
            let (line, text) = lines.next().ok_or(BodyError::Shape("the secret is missing"))?;
            let opening: Opening = parsed(line, text)?;
            let wrong = || BodyError::Line { line, reason: "not a secret of 32 bytes".to_owned() };
            secret = Some(opening.blinding_secret.0.try_into().map_err(|_| wrong())?);
        }
        let entries = lines.map(|(line, text)| parsed(line, text)).collect::<Result<_, _>>()?;
        Self::new(request, secret, entries)
    }

    /// The part that add-checkpoint has, too, and the lines after it: so that whoever is asked can
    /// look at the log's signature first.
    ///
    /// # Errors
    /// When the body is too long, or not of this shape.
    pub fn split(body: &[u8]) -> Result<(AddCheckpoint, &str), BodyError> {
        let found = body.len();
        if found > MAX_BODY {
            return Err(BodyError::Oversize { found });
        }
        let text = std::str::from_utf8(body).map_err(|_| BodyError::Shape("not text"))?;
        // A note's signature lines begin with an em dash, and no line of them is empty.
        let window = text.get(..ceil(text, MAX_REQUEST + 2)).unwrap_or(text);
        let signed =
            window.find("\n\n\u{2014} ").ok_or(BodyError::Shape("no signed checkpoint"))?;
        let shape = BodyError::Shape("no empty line after the checkpoint");
        let end = window[signed + 2..].find("\n\n").ok_or(shape)? + signed + 2;
        let request = AddCheckpoint::parse(&text[..=end])?;
        Ok((request, &text[end + 2..]))
    }

    /// The request's body.
    #[must_use]
    pub fn to_body(&self) -> String {
        let mut text = self.request.to_text();
        text.push('\n');
        if let Some(secret) = &self.secret {
            text += &line(&Opening { blinding_secret: Blob(secret.to_vec()) });
        }
        self.entries.iter().for_each(|entry| text += &line(entry));
        text
    }

    /// The part that add-checkpoint has, too.
    #[must_use]
    pub fn request(&self) -> &AddCheckpoint {
        &self.request
    }

    /// The secret that blinds ids, where the entries are the log's first.
    #[must_use]
    pub fn secret(&self) -> Option<&[u8; 32]> {
        self.secret.as_ref()
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[ExportLeaf] {
        &self.entries
    }
}

/// One line of JSON.
fn line(value: &impl Serialize) -> String {
    // These values have string keys and no numbers beyond 64 bits: they have a JSON form.
    serde_json::to_string(value).unwrap_or_default() + "\n"
}

fn parsed<T: serde::de::DeserializeOwned>(line: usize, text: &str) -> Result<T, BodyError> {
    let reason = |reason: String| BodyError::Line { line, reason };
    let text = text.strip_suffix('\n').ok_or_else(|| reason("it does not end".to_owned()))?;
    serde_json::from_str(text).map_err(|error| reason(error.to_string()))
}

/// The last place at or before `at` where the text can be cut.
fn ceil(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// An auditor's no, as it is told (RFC 9457). It says which leaf and event, and by which rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedProblem {
    r#type: String,
    title: String,
    status: u16,
    detail: String,
    /// What is refused.
    #[serde(flatten)]
    pub refused: Refused,
}

impl RefusedProblem {
    /// HTTP status of the answer.
    pub const STATUS: u16 = 422;

    /// The problem.
    #[must_use]
    pub fn of(refused: Refused) -> Self {
        Self {
            r#type: REFUSED.to_owned(),
            title: "The auditor refuses an entry of the log".to_owned(),
            status: Self::STATUS,
            detail: refused.to_string(),
            refused,
        }
    }

    /// Reads an answer's body; none if it is another problem.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let problem: Self = serde_json::from_slice(body).ok()?;
        (problem.r#type == REFUSED).then_some(problem)
    }

    /// The leaf that a strike would have to name.
    #[must_use]
    pub fn leaf(&self) -> Option<Hash32> {
        self.refused.leaf
    }
}
