//! An auditor's receipt: that it was handed a veto, a suspension or a recovery, when, and what that
//! stops.
//!
//! The text of a note that the auditor's key co-signs, with its time (C2SP tlog-cosignature). No
//! checkpoint has such a second line, so a receipt is never a log's word, nor the other way round.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::Hash32;
use crate::body::VetoEffect;
use crate::bundle::Blob;
use crate::event::EventKind;

/// First line of a receipt.
const HEAD: &str = "avouch.org/auditor-receipt/v1";

/// Most things that one statement stops: a pending switch and an announced retirement.
const MAX_STOPS: usize = 2;

/// What an auditor says that it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The installation: hash of its genesis event.
    pub genesis: Hash32,
    /// `veto`, `suspend` or `recover`.
    pub verb: EventKind,
    /// SHA-256 of the request file, as it was handed in.
    pub request: Hash32,
    /// Hash of the intent: the one that asks, or, for a veto, the one that is objected to.
    pub intent: Hash32,
    /// Leaves of the log that the auditor had seen.
    pub size: u64,
    /// What does not take effect any more: hash of the intent that asked for it, and whether it is
    /// dropped, or needs a longer wait and one more approval.
    pub stops: Vec<(Hash32, VetoEffect)>,
}

/// Why a text is no receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not the text of an auditor's receipt")]
pub struct NoReceipt;

impl Receipt {
    /// The text that is signed.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Self { genesis, verb, request, intent, size, stops } = self;
        let mut text =
            format!("{HEAD}\nof {genesis}\n{verb} {intent}\nrequest {request}\nat size {size}\n");
        for (intent, effect) in stops {
            let _ = match effect {
                VetoEffect::Dropped => writeln!(text, "drops {intent}"),
                VetoEffect::Slowed => writeln!(text, "slows {intent}"),
            };
        }
        text
    }

    /// Reads a text.
    ///
    /// # Errors
    /// Refuses what [`Receipt::to_text`] does not write.
    pub fn parse(text: &str) -> Result<Self, NoReceipt> {
        Self::read(text).filter(|receipt| receipt.to_text() == text).ok_or(NoReceipt)
    }

    fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        lines.next().filter(|head| *head == HEAD)?;
        let hash = |text: &str| Hash32::from_hex(text).ok();
        let genesis = hash(lines.next()?.strip_prefix("of ")?)?;
        let (verb, intent) = lines.next()?.split_once(' ')?;
        let (verb, intent) = (EventKind::from_name(verb)?, hash(intent)?);
        let request = hash(lines.next()?.strip_prefix("request ")?)?;
        let size = lines.next()?.strip_prefix("at size ")?.parse().ok()?;
        let stops: Option<Vec<_>> = lines
            .map(|line| {
                let (effect, intent) = line.split_once(' ')?;
                let effect = match effect {
                    "drops" => VetoEffect::Dropped,
                    "slows" => VetoEffect::Slowed,
                    _ => return None,
                };
                Some((hash(intent)?, effect))
            })
            .collect();
        let stops = stops.filter(|stops| stops.len() <= MAX_STOPS)?;
        Some(Self { genesis, verb, request, intent, size, stops })
    }
}

/// A receipt with what it is for, as whoever handed that in keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptFile {
    avouch_receipt: u8,
    /// The request file, byte for byte.
    pub request: Blob,
    /// The receipt: a note by the auditor's key.
    pub receipt: String,
}

impl ReceiptFile {
    /// Puts the two together.
    #[must_use]
    pub fn new(request: Vec<u8>, receipt: String) -> Self {
        Self { avouch_receipt: 1, request: Blob(request), receipt }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it is none of version 1.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoReceipt> {
        let file: Self = serde_json::from_slice(bytes).map_err(|_| NoReceipt)?;
        if file.avouch_receipt == 1 { Ok(file) } else { Err(NoReceipt) }
    }

    /// As it is written.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Plain text: this cannot fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}
