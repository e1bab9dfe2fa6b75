//! What is known of a set of shares, and is no secret.

use super::{MOST_SHARES, Share, ShareError};
use aws_lc_rs::digest::{Context, SHA256};
use std::fmt::Write as _;
use subtle::ConstantTimeEq;

const HEADER: &str = "avouch pin shares v1";

/// A set of shares: how many open the token, and the hashes by which each of them and the whole
/// are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareSet {
    id: [u8; 4],
    threshold: u8,
    shares: Vec<[u8; 32]>,
    whole: [u8; 32],
}

/// Why a text is not a set of shares.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct ShareSetError {
    line: usize,
    what: &'static str,
}

impl ShareSet {
    pub(super) fn of(id: [u8; 4], threshold: u8, shares: &[Share], secret: &[u8]) -> Self {
        let mut set = ShareSet { id, threshold, shares: Vec::new(), whole: [0; 32] };
        // A hash says of how many shares it is; so first their number.
        set.shares.resize(shares.len(), [0; 32]);
        set.shares = shares.iter().map(|share| set.hash(b"share", &share.values)).collect();
        set.whole = set.hash(b"whole", secret);
        set
    }

    /// Reads what [`ShareSet::to_text`] wrote, and nothing else.
    ///
    /// # Errors
    /// The line that is wrong.
    pub fn parse(text: &str) -> Result<Self, ShareSetError> {
        let mut lines = text.lines();
        let mut number = 0;
        let mut next = |start: &str, what| {
            number += 1;
            let rest = lines.next().and_then(|line| line.strip_prefix(start));
            rest.ok_or(ShareSetError { line: number, what })
        };
        next(HEADER, "it does not begin with «avouch pin shares v1»")?;
        let wrong = |line, what| ShareSetError { line, what };
        let set = next("set ", "give «set» and its number")?;
        let id = bytes::<4>(set).ok_or(wrong(2, "a set's number is 8 hexadecimal digits"))?;
        let numbers = next("open ", "give how many open the token: «open 2 of 3»")?;
        let (threshold, count) = numbers
            .split_once(" of ")
            .and_then(|(some, all)| Some((some.parse::<u8>().ok()?, all.parse::<u8>().ok()?)))
            .filter(|(some, all)| 2 <= *some && some <= all && *all <= MOST_SHARES)
            .ok_or(wrong(3, "2 at least, and no more than there are"))?;
        let hash = |line, text| bytes(text).ok_or(wrong(line, "a hash is 64 hexadecimal digits"));
        let mut shares = Vec::new();
        for number in 1..=count {
            let line = 3 + usize::from(number);
            let found = next(&format!("share {number} "), "a share's hash is missing")?;
            shares.push(hash(line, found)?);
        }
        let last = 4 + usize::from(count);
        let whole = hash(last, next("whole ", "the hash of the whole is missing")?)?;
        let set = ShareSet { id, threshold, shares, whole };
        if set.to_text() != text {
            return Err(wrong(last + 1, "it is not written as it was made"));
        }
        Ok(set)
    }

    /// As it is kept in a file.
    pub fn to_text(&self) -> String {
        let ShareSet { id, threshold, shares, whole } = self;
        let mut text = format!("{HEADER}\nset {}\n", hex::encode(id));
        // Writing to a text does not fail.
        let _ = writeln!(text, "open {threshold} of {}", shares.len());
        for (n, hash) in shares.iter().enumerate() {
            let _ = writeln!(text, "share {} {}", n + 1, hex::encode(hash));
        }
        let _ = writeln!(text, "whole {}", hex::encode(whole));
        text
    }

    /// The number by which shares say that they are of this set, hexadecimal.
    pub fn name(&self) -> String {
        hex::encode(self.id)
    }

    /// How many shares open the token.
    pub fn threshold(&self) -> u8 {
        self.threshold
    }

    /// How many there are.
    pub fn count(&self) -> u8 {
        // At most MOST_SHARES.
        u8::try_from(self.shares.len()).unwrap_or(u8::MAX)
    }

    /// Whether a share is one of these.
    ///
    /// # Errors
    /// [`ShareError::OtherSet`], [`ShareError::Forged`].
    pub fn check(&self, share: &Share) -> Result<(), ShareError> {
        if share.set != self.id {
            return Err(ShareError::OtherSet { wanted: self.id, found: share.set });
        }
        let forged = ShareError::Forged { number: share.number };
        let known = usize::from(share.number).checked_sub(1).and_then(|n| self.shares.get(n));
        let hash = self.hash(b"share", &share.values);
        if known.is_some_and(|known| bool::from(known.ct_eq(&hash))) { Ok(()) } else { Err(forged) }
    }

    /// Whether this is what was split.
    pub(super) fn is_whole(&self, secret: &[u8]) -> bool {
        self.hash(b"whole", secret).ct_eq(&self.whole).into()
    }

    fn hash(&self, kind: &[u8], bytes: &[u8]) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        for part in [b"avouch pin v1\0".as_slice(), kind, &self.id, &[self.threshold, self.count()]]
        {
            context.update(part);
        }
        context.update(bytes);
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        hash
    }
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut found = [0; N];
    hex::decode_to_slice(text, &mut found).ok()?;
    Some(found)
}
