//! Types of values in the configuration: each knows what it looks like, and reads nothing else.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tlog::note::{LogKey, NoteError};

/// What can stand behind a key.
pub(crate) trait Described: DeserializeOwned + Serialize {
    /// What it looks like, for people: completes «give …».
    fn expected() -> String;

    /// What it is where the key is not given; `None` where it must be given.
    fn absent() -> Option<Self> {
        None
    }
}

impl<T: Described> Described for Option<T> {
    fn expected() -> String {
        T::expected()
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl Described for String {
    fn expected() -> String {
        "a text".to_owned()
    }
}

impl Described for PathBuf {
    fn expected() -> String {
        "a path".to_owned()
    }
}

impl Described for bool {
    fn expected() -> String {
        "true or false".to_owned()
    }
}

impl Described for BTreeMap<String, String> {
    fn expected() -> String {
        "a table of texts".to_owned()
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

/// What a token is told of an attribute of the keys that it makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Said(pub(crate) pkcs11::Setting);

impl Serialize for Said {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            pkcs11::Setting::Omit => serializer.serialize_str("omit"),
            pkcs11::Setting::Say(value) => serializer.serialize_bool(value),
        }
    }
}

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // In the environment everything is a text.
        match toml::Value::deserialize(deserializer)? {
            toml::Value::Boolean(value) => Ok(Self(pkcs11::Setting::Say(value))),
            toml::Value::String(text) => match text.as_str() {
                "omit" => Ok(Self(pkcs11::Setting::Omit)),
                "true" => Ok(Self(pkcs11::Setting::Say(true))),
                "false" => Ok(Self(pkcs11::Setting::Say(false))),
                _ => Err(D::Error::custom("true, false or \"omit\"")),
            },
            _ => Err(D::Error::custom("true, false or \"omit\"")),
        }
    }
}

impl Described for BTreeMap<String, Said> {
    fn expected() -> String {
        "a table of attributes, each true, false or \"omit\"".to_owned()
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

impl Described for Vec<String> {
    fn expected() -> String {
        "a list of texts".to_owned()
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

/// A user of the operating system, by name or number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum UserName {
    /// By number.
    Number(u32),
    /// By name.
    Name(String),
}

impl Described for UserName {
    fn expected() -> String {
        "a user's name or number".to_owned()
    }
}

/// Whether and how the way to the mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SmtpTls {
    /// STARTTLS, and nothing without it.
    StartTls,
    /// From the first byte.
    Tls,
    /// Not at all.
    None,
}

impl Described for SmtpTls {
    fn expected() -> String {
        "\"starttls\", \"tls\" or \"none\"".to_owned()
    }
}

/// What a co-signer checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CosignerKind {
    /// That the log only grows.
    Witness,
    /// That every event is lawful, too.
    Auditor,
}

impl Described for CosignerKind {
    fn expected() -> String {
        "\"witness\" or \"auditor\"".to_owned()
    }
}

/// What an authority does at its start without the quorum's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WhenUnreachable {
    /// It does not start.
    Stop,
    /// It starts.
    Run,
}

impl Described for WhenUnreachable {
    fn expected() -> String {
        "\"stop\" or \"run\"".to_owned()
    }
}

/// An address and a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Address(pub(crate) SocketAddr);

impl Described for Address {
    fn expected() -> String {
        "an address and port, such as \"127.0.0.1:8443\" or \"[::]:8443\"".to_owned()
    }
}

/// A whole number within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Count<const MIN: usize, const MAX: usize>(pub(crate) usize);

impl<'de, const MIN: usize, const MAX: usize> Deserialize<'de> for Count<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let n = usize::deserialize(from)?;
        if (MIN..=MAX).contains(&n) { Ok(Self(n)) } else { Err(D::Error::custom("out of bounds")) }
    }
}

impl<const MIN: usize, const MAX: usize> Described for Count<MIN, MAX> {
    fn expected() -> String {
        format!("a whole number, {MIN} to {MAX}")
    }
}

/// A span of time with its unit, within bounds given in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span<const MIN: u64, const MAX: u64>(pub(crate) Duration);

/// Units, the largest first, in milliseconds.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1)];

/// The largest unit that leaves no remainder.
fn span_text(ms: u64) -> String {
    let (unit, size) = UNITS
        .into_iter()
        .find(|(_, size)| ms >= *size && ms.is_multiple_of(*size))
        .unwrap_or(("ms", 1));
    format!("{}{unit}", ms / size)
}

fn parse_span(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, size) = UNITS.into_iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(size)
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Span<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        match parse_span(&text) {
            Some(ms) if (MIN..=MAX).contains(&ms) => Ok(Self(Duration::from_millis(ms))),
            _ => Err(D::Error::custom("not a span of time within bounds")),
        }
    }
}

impl<const MIN: u64, const MAX: u64> Serialize for Span<MIN, MAX> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let ms = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        to.serialize_str(&span_text(ms))
    }
}

impl<const MIN: u64, const MAX: u64> Described for Span<MIN, MAX> {
    fn expected() -> String {
        let (min, max) = (span_text(MIN), span_text(MAX));
        format!("a time with its unit (ms, s, min, h, d), \"{min}\" to \"{max}\"")
    }
}

/// Logs by origin, each with its verifier keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logs(pub(crate) BTreeMap<String, Vec<LogKey>>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Keys {
    One(String),
    Several(Vec<String>),
}

impl<'de> Deserialize<'de> for Logs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let read = |keys: Keys| -> Result<Vec<LogKey>, NoteError> {
            let keys = match keys {
                Keys::One(key) => vec![key],
                Keys::Several(keys) => keys,
            };
            keys.iter().map(|key| LogKey::parse_vkey(key)).collect()
        };
        let mut logs = BTreeMap::new();
        for (origin, keys) in BTreeMap::<String, Keys>::deserialize(from)? {
            let keys = read(keys).map_err(D::Error::custom)?;
            if keys.is_empty() {
                return Err(D::Error::custom("a log without a key"));
            }
            logs.insert(origin, keys);
        }
        Ok(Self(logs))
    }
}

impl Serialize for Logs {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let texts = |keys: &Vec<LogKey>| keys.iter().map(LogKey::vkey).collect::<Vec<_>>();
        to.collect_map(self.0.iter().map(|(origin, keys)| (origin, texts(keys))))
    }
}

impl Described for Logs {
    fn expected() -> String {
        "a table with a verifier key, or a list of some, for each log's origin".to_owned()
    }

    fn absent() -> Option<Self> {
        Some(Self(BTreeMap::new()))
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For programs: one JSON object on each line.
    Json,
}

impl Described for LogFormat {
    fn expected() -> String {
        "\"text\" or \"json\"".to_owned()
    }
}

/// What is logged, in the language of `tracing_subscriber::EnvFilter`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct LogFilter(pub(crate) String);

impl<'de> Deserialize<'de> for LogFilter {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        match tracing_subscriber::EnvFilter::try_new(&text) {
            Ok(_) => Ok(Self(text)),
            Err(error) => Err(D::Error::custom(error)),
        }
    }
}

impl Described for LogFilter {
    fn expected() -> String {
        "a level (error, warn, info, debug, trace) and, after commas, `target=level` for parts"
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written_with_their_units() {
        for (text, ms) in
            [("30s", 30_000), ("1500ms", 1500), ("2min", 120_000), ("72h", 259_200_000)]
        {
            assert_eq!(parse_span(text), Some(ms), "{text}");
            assert_eq!(parse_span(&span_text(ms)), Some(ms), "{text}");
        }
        assert_eq!(span_text(259_200_000), "3d");
        for wrong in [
            "",
            "30",
            "s",
            "-1s",
            "1.5s",
            "30 parsecs",
            "99999999999999999999s",
            "9999999999999999999d",
        ] {
            assert_eq!(parse_span(wrong), None, "{wrong}");
        }
    }
}
