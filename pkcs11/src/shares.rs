//! A PIN in shares: so many of the operators together open a token, and fewer learn nothing.
//!
//! The PIN, padded so that its length does not show and with 16 random bytes behind it, is split by
//! Shamir's scheme over GF(256). Beside the shares goes a [`ShareSet`], which is no secret: the
//! hash of each share and of the whole. By it a share that is mistyped, of another set or made up is
//! refused when it is handed in, and what the shares combine to is compared before anybody sees it:
//! only the PIN that was split is ever tried on the token.
//!
//! The hashes give nothing away: each share holds 32 random bytes or more, and so does, for whoever
//! has too few shares, half of the whole.

mod custody;
mod set;

pub use custody::{Custody, CustodyError, Gathered, Progress};
pub use set::{ShareSet, ShareSetError};

use crate::config::Pin;
use crate::locked::Locked;
use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use vsss_rs::Gf256;
use zeroize::Zeroizing;

/// Most shares of a PIN.
pub const MOST_SHARES: u8 = 32;

/// A PIN and the byte before it that tells its length fill a multiple of this.
const BLOCK: usize = 16;
/// Random bytes behind the PIN.
const RANDOM: usize = 16;
/// Longest PIN.
const MOST_PIN: usize = 127;
/// Bytes of a share before its values: set and number.
const HEAD: usize = 5;

/// The human-readable part of a share.
const HRP: &str = "pinshare";

/// Why a PIN was not split.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// These numbers make no sense.
    #[error(
        "{threshold} of {count} shares: give at least 2 to open, and no more than there are; \
         {MOST_SHARES} at most"
    )]
    Numbers {
        /// How many open the token.
        threshold: u8,
        /// How many there are.
        count: u8,
    },
    /// The PIN cannot be one.
    #[error("a PIN of {len} bytes cannot be split; it has 1 to {MOST_PIN}")]
    Pin {
        /// Its length.
        len: usize,
    },
    /// The system gives no randomness, or the library refuses.
    #[error("the PIN was not split: {detail}")]
    Failed {
        /// What went wrong.
        detail: String,
    },
}

/// Why a text is not a share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// It is mistyped, or something else.
    #[error("this is no share, or it is mistyped: {detail}")]
    Malformed {
        /// What is wrong; it shows nothing of the share.
        detail: String,
    },
    /// It is a share of another PIN.
    #[error(
        "this share is of the set {}, and the token is opened by shares of the set {}",
        hex::encode(found),
        hex::encode(wanted)
    )]
    OtherSet {
        /// The set that opens the token.
        wanted: [u8; 4],
        /// The set that the share says it is of.
        found: [u8; 4],
    },
    /// It claims to be of this set, and is not.
    #[error("share {number} is not the one that was made for this set; it was not used")]
    Forged {
        /// The number it claims.
        number: u8,
    },
    /// What they combine to is not what was split.
    #[error("the shares do not combine to the PIN that was split; no login was tried")]
    Combination,
}

/// One operator's share.
pub struct Share {
    set: [u8; 4],
    number: u8,
    /// Number and values, as the library wants them.
    values: Locked,
}

impl Share {
    /// Reads one, however it is spaced.
    ///
    /// # Errors
    /// [`ShareError::Malformed`].
    pub fn parse(text: &str) -> Result<Share, ShareError> {
        let malformed = |detail: &str| ShareError::Malformed { detail: detail.to_owned() };
        let text: Zeroizing<String> =
            Zeroizing::new(text.chars().filter(|c| !c.is_whitespace() && *c != '-').collect());
        if text.len() > 512 {
            return Err(malformed("it is too long"));
        }
        // What the library says may repeat a part of the text.
        let checked = CheckedHrpstring::new::<Bech32m>(&text)
            .map_err(|_| malformed("its checksum does not hold"))?;
        if checked.hrp() != Hrp::parse_unchecked(HRP) {
            return Err(malformed("it does not begin with pinshare1"));
        }
        let bytes: Zeroizing<Vec<u8>> = Zeroizing::new(checked.byte_iter().collect());
        let Some((set, rest)) = bytes.split_first_chunk::<4>() else {
            return Err(malformed("it is too short"));
        };
        let share = match rest {
            [number, values @ ..]
                if *number > 0
                    && values.len() >= BLOCK + RANDOM
                    && values.len() <= MOST_PIN + 1 + RANDOM
                    && values.len().is_multiple_of(BLOCK) =>
            {
                Share { set: *set, number: *number, values: Locked::copy_of(rest) }
            }
            _ => return Err(malformed("its length or number cannot be")),
        };
        if *share.text() != text.to_lowercase() {
            return Err(malformed("it is not written as it was made"));
        }
        Ok(share)
    }

    /// Its number in the set, from 1.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// The share as people write it down, without spaces.
    pub fn text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(HEAD + self.values.len()));
        bytes.extend_from_slice(&self.set);
        bytes.extend_from_slice(&self.values);
        // A share is far shorter than the longest text of this encoding.
        let text = bech32::encode_lower::<Bech32m>(Hrp::parse_unchecked(HRP), &bytes);
        Zeroizing::new(text.unwrap_or_default())
    }

    /// The same in groups of four, a line of eight groups each.
    pub fn lines(&self) -> Zeroizing<String> {
        let text = self.text();
        let mut lines = Zeroizing::new(String::with_capacity(text.len() * 2));
        for (n, c) in text.chars().enumerate() {
            match n {
                0 => (),
                n if n % 32 == 0 => lines.push('\n'),
                n if n % 4 == 0 => lines.push(' '),
                _ => (),
            }
            lines.push(c);
        }
        lines
    }
}

impl std::fmt::Debug for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Share({} …)", self.number)
    }
}

/// Splits a PIN into `count` shares, `threshold` of which open the token.
///
/// # Errors
/// See [`SplitError`].
pub fn split(pin: &Pin, threshold: u8, count: u8) -> Result<(ShareSet, Vec<Share>), SplitError> {
    if threshold < 2 || threshold > count || count > MOST_SHARES {
        return Err(SplitError::Numbers { threshold, count });
    }
    let pin = pin.expose().as_bytes();
    let len = pin.len();
    let told = u8::try_from(len).ok().filter(|_| (1..=MOST_PIN).contains(&len));
    let Some(told) = told else { return Err(SplitError::Pin { len }) };

    let padded = (1 + len).next_multiple_of(BLOCK);
    let mut secret = Locked::zeroed(padded + RANDOM);
    secret[0] = told;
    secret[1..=len].copy_from_slice(pin);
    let failed = |detail: String| SplitError::Failed { detail };
    let no_randomness = |error: getrandom::Error| failed(format!("no randomness: {error}"));
    getrandom::fill(&mut secret[padded..]).map_err(no_randomness)?;
    let mut id = [0; 4];
    getrandom::fill(&mut id).map_err(no_randomness)?;

    let (some, all) = (usize::from(threshold), usize::from(count));
    let made = Gf256::split_array(some, all, &*secret, UnwrapErr(SysRng))
        .map_err(|error| failed(error.to_string()))?;
    let made = made.into_iter().map(Zeroizing::new);
    let shares: Vec<Share> = made
        .map(|values| Share { set: id, number: values[0], values: Locked::copy_of(&values) })
        .collect();
    let set = ShareSet::of(id, threshold, &shares, &secret);
    // What was split is put together again before anybody relies on it.
    let last = &shares[all - some..];
    match combine(&set, last) {
        Ok(again) if again.expose().as_bytes() == pin => Ok((set, shares)),
        _ => Err(failed("the shares do not combine".to_owned())),
    }
}

/// Puts the PIN together from as many shares as it takes.
fn combine<'a>(
    set: &ShareSet,
    shares: impl IntoIterator<Item = &'a Share>,
) -> Result<Pin, ShareError> {
    let wrong = ShareError::Combination;
    let values: Zeroizing<Vec<Vec<u8>>> =
        Zeroizing::new(shares.into_iter().map(|share| share.values.to_vec()).collect());
    let secret = Gf256::combine_array(&*values).map_err(|_| wrong.clone())?;
    let secret = Zeroizing::new(secret);
    if !set.is_whole(&secret) {
        return Err(wrong);
    }
    let len = usize::from(*secret.first().unwrap_or(&0));
    let pin = secret.get(1..=len).and_then(|pin| std::str::from_utf8(pin).ok());
    pin.map(|pin| Pin::new(pin.to_owned())).ok_or(wrong)
}

#[cfg(test)]
mod tests;
