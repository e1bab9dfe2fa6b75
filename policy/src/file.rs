//! The policy as people write it: TOML with units, read into [`Rules`].
//!
//! ```toml
//! preset = "standard"
//! wait = "96h"
//! approvals = 3
//! officers = 5
//! ```
//!
//! Whatever a file leaves out comes from its preset. The canonical form, which is hashed and
//! logged, is [`Rules`] itself: two files that mean the same have one hash.

use std::fmt::Write as _;

use toml::{Table, Value};
use wire::rules::Rules;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Why a file is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Not TOML.
    #[error("{0}")]
    Toml(String),
    /// A key that no policy has.
    #[error("unknown key {found:?}; did you mean {nearest:?}?")]
    UnknownKey {
        /// The key.
        found: String,
        /// The nearest that there is.
        nearest: &'static str,
    },
    /// A preset that does not exist.
    #[error("unknown preset {found:?}; there are small-team, standard and strict")]
    UnknownPreset {
        /// The name.
        found: String,
    },
    /// A value of the wrong kind.
    #[error("{key} must be {expected}, not {found}")]
    Type {
        /// Which key.
        key: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// A value out of its bounds.
    #[error("{key}: {reason}")]
    Bounds {
        /// Which key.
        key: &'static str,
        /// Why not.
        reason: String,
    },
}

/// A named starting point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// Two officers, one approves: for a handful of people who know one another.
    SmallTeam,
    /// Three officers, two approve, three days.
    Standard,
    /// Five officers, three approve, a week; waits by witnesses' clocks only.
    Strict,
}

impl Preset {
    /// Every preset.
    pub const ALL: &'static [Self] = &[Self::SmallTeam, Self::Standard, Self::Strict];

    /// Its name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SmallTeam => "small-team",
            Self::Standard => "standard",
            Self::Strict => "strict",
        }
    }

    /// Its rules.
    #[must_use]
    pub fn rules(self) -> Rules {
        let standard = Rules::standard();
        match self {
            Self::SmallTeam => Rules { approvals: 1, officers: 2, ..standard },
            Self::Standard => standard,
            Self::Strict => Rules {
                approvals: 3,
                officers: 5,
                wait: 7 * DAY,
                request_expiry: 28 * DAY,
                recovery_window: 7 * DAY,
                cooldown: 14 * DAY,
                max_status_age: HOUR,
                min_rsa_bits: 3072,
                certificates_per_day: 4,
                allow_unwitnessed: false,
                ..standard
            },
        }
    }
}

/// A field of the rules, with its unit in its type.
enum Field {
    Duration(fn(&mut Rules) -> &mut u64),
    Number(fn(&mut Rules) -> &mut u64),
    Count(fn(&mut Rules) -> &mut u32),
    Switch(fn(&mut Rules) -> &mut bool),
}

/// Every key of a policy file but `preset`, with what it means.
const FIELDS: &[(&str, Field, &str)] = &[
    ("approvals", Field::Count(|r| &mut r.approvals), "officers who must approve a switch"),
    ("officers", Field::Count(|r| &mut r.officers), "officers that there must be at least"),
    ("wait", Field::Duration(|r| &mut r.wait), "how long a switch, and any loosening, waits"),
    ("request_expiry", Field::Duration(|r| &mut r.request_expiry), "after which a request expires"),
    (
        "recovery_window",
        Field::Duration(|r| &mut r.recovery_window),
        "how long the old recovery key wins over a change that it did not sign",
    ),
    ("cooldown", Field::Duration(|r| &mut r.cooldown), "least time between two switches"),
    (
        "certificate_validity",
        Field::Duration(|r| &mut r.certificate_validity),
        "how long certificates are valid",
    ),
    ("backdate", Field::Duration(|r| &mut r.backdate), "how far notBefore lies in the past"),
    (
        "max_status_age",
        Field::Duration(|r| &mut r.max_status_age),
        "greatest age of a status that clients accept",
    ),
    (
        "leaves_per_crl",
        Field::Number(|r| &mut r.leaves_per_crl),
        "leaves that share one CRL; it stays as it began, since certificates name their CRL",
    ),
    ("min_rsa_bits", Field::Count(|r| &mut r.min_rsa_bits), "least size of RSA keys, in bits"),
    (
        "certificates_per_day",
        Field::Count(|r| &mut r.certificates_per_day),
        "certificates, and changes of the recovery key, that the current key alone may bring about \
         on one day",
    ),
    (
        "allow_transport_evidence",
        Field::Switch(|r| &mut r.allow_transport_evidence),
        "whether a transport's word alone may enrol (development only)",
    ),
    (
        "allow_software_token",
        Field::Switch(|r| &mut r.allow_software_token),
        "whether software tokens count as HSMs (development only)",
    ),
    (
        "allow_unwitnessed",
        Field::Switch(|r| &mut r.allow_unwitnessed),
        "whether waits may run on the authority's clock alone",
    ),
];

/// Reads a policy file.
///
/// # Errors
/// Refuses what is not TOML, unknown keys (naming the nearest), values without or with a wrong
/// unit, and values out of the bounds compiled in.
pub fn parse(text: &str) -> Result<Rules, FileError> {
    let table: Table = text.parse().map_err(|e: toml::de::Error| FileError::Toml(e.to_string()))?;
    let mut rules = match table.get("preset") {
        None => Rules::standard(),
        Some(Value::String(name)) => Preset::ALL
            .iter()
            .find(|preset| preset.name() == name)
            .map(|preset| preset.rules())
            .ok_or_else(|| FileError::UnknownPreset { found: name.clone() })?,
        Some(other) => return Err(wrong("preset", "the name of a preset", other)),
    };
    for (key, value) in table.iter().filter(|(key, _)| *key != "preset") {
        let Some((name, field, _)) = FIELDS.iter().find(|(name, ..)| name == key) else {
            return Err(FileError::UnknownKey { found: key.clone(), nearest: nearest(key) });
        };
        set(&mut rules, name, field, value)?;
    }
    rules.within_bounds().map_err(|(key, reason)| FileError::Bounds { key, reason })?;
    Ok(rules)
}

/// Writes rules as a file with every key and its meaning.
#[must_use]
pub fn write(rules: &Rules) -> String {
    let mut rules = rules.clone();
    let mut text = String::new();
    for (name, field, meaning) in FIELDS {
        let value = match field {
            Field::Duration(get) => format!("\"{}\"", duration_text(*get(&mut rules))),
            Field::Number(get) => get(&mut rules).to_string(),
            Field::Count(get) => get(&mut rules).to_string(),
            Field::Switch(get) => get(&mut rules).to_string(),
        };
        // Writing to a String does not fail.
        let _ = writeln!(text, "# {meaning}\n{name} = {value}");
    }
    text
}

fn set(
    rules: &mut Rules,
    key: &'static str,
    field: &Field,
    value: &Value,
) -> Result<(), FileError> {
    match (field, value) {
        (Field::Duration(get), Value::String(text)) => {
            *get(rules) = duration(text).ok_or_else(|| wrong(key, DURATION, value))?;
        }
        (Field::Duration(_), _) => return Err(wrong(key, DURATION, value)),
        (Field::Number(get), Value::Integer(n)) => {
            *get(rules) = u64::try_from(*n).map_err(|_| wrong(key, "a number from 0", value))?;
        }
        (Field::Count(get), Value::Integer(n)) => {
            *get(rules) = u32::try_from(*n).map_err(|_| wrong(key, "a number from 0", value))?;
        }
        (Field::Number(_) | Field::Count(_), _) => {
            return Err(wrong(key, "a number from 0", value));
        }
        (Field::Switch(get), Value::Boolean(on)) => *get(rules) = *on,
        (Field::Switch(_), _) => return Err(wrong(key, "true or false", value)),
    }
    Ok(())
}

const DURATION: &str = "a whole number with a unit, such as \"90s\", \"15m\", \"72h\" or \"14d\"";

fn wrong(key: &'static str, expected: &'static str, found: &Value) -> FileError {
    FileError::Type { key, expected, found: found.to_string() }
}

/// Seconds in a text such as `72h`.
fn duration(text: &str) -> Option<u64> {
    let unit = match text.as_bytes().last()? {
        b's' => 1,
        b'm' => MINUTE,
        b'h' => HOUR,
        b'd' => DAY,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// Seconds as a text, in the greatest unit that divides them.
#[must_use]
pub fn duration_text(seconds: u64) -> String {
    let units = [(DAY, 'd'), (HOUR, 'h'), (MINUTE, 'm')];
    let fits = units.iter().find(|(unit, _)| seconds != 0 && seconds.is_multiple_of(*unit));
    fits.map_or_else(|| format!("{seconds}s"), |(unit, name)| format!("{}{name}", seconds / unit))
}

/// The key that differs from `found` in the fewest characters.
fn nearest(found: &str) -> &'static str {
    let keys = FIELDS.iter().map(|(name, ..)| *name).chain(["preset"]);
    keys.min_by_key(|key| distance(found, key)).unwrap_or("preset")
}

/// Levenshtein's distance, in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
