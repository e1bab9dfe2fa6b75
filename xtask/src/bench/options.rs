//! What is measured, and for how long.

use std::fmt;
use std::path::PathBuf;

/// The issuing key's algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    P256,
    P384,
    Rsa3072,
}

impl Key {
    const ALL: [Self; 3] = [Self::P256, Self::Rsa3072, Self::P384];

    /// As `avouch dev --key` takes it.
    pub(super) fn argument(self) -> &'static str {
        match self {
            Self::P256 => "p256",
            Self::P384 => "p384",
            Self::Rsa3072 => "rsa3072",
        }
    }
}

/// The database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Store {
    Sqlite,
    Postgres,
}

impl Store {
    const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];

    fn argument(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// One installation that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Setup {
    pub(super) key: Key,
    pub(super) store: Store,
    /// The token takes 5 ms more for each signature, and has 8 sessions: as devices are.
    pub(super) slow: bool,
    /// Whether two witnesses on this machine co-sign.
    pub(super) witnessed: bool,
}

impl Setup {
    /// Sessions that sign at once in the bare measure; the fastest counts.
    pub(super) fn threads(self) -> &'static [usize] {
        if self.slow { &[SLOW_SESSIONS] } else { &[1, 2] }
    }

    /// Numbers of clients at once.
    pub(super) fn clients(self) -> &'static [usize] {
        if self.slow { &[128, 256] } else { &[1, 16, 64] }
    }
}

/// Sessions of the slow token.
pub(super) const SLOW_SESSIONS: usize = 8;

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = match self.key {
            Key::P256 => "P-256",
            Key::P384 => "P-384",
            Key::Rsa3072 => "RSA-3072",
        };
        let store = match self.store {
            Store::Sqlite => "SQLite",
            Store::Postgres => "PostgreSQL",
        };
        let token = if self.slow { ", slow token" } else { "" };
        let witnesses = if self.witnessed { ", two witnesses" } else { "" };
        write!(f, "{key}, {store}{token}{witnesses}")
    }
}

/// Checked arguments.
#[derive(Debug, PartialEq)]
pub(super) struct Options {
    pub(super) setups: Vec<Setup>,
    pub(super) rounds: usize,
    /// Of one run with one number of clients.
    pub(super) seconds: f64,
    /// Where the text goes, besides standard output.
    pub(super) out: Option<PathBuf>,
    /// As given, for the text.
    pub(super) given: Vec<String>,
}

const USAGE: &str = "bench [--full] [--slow] [--key p256|rsa3072|p384]... [--store sqlite|postgres]... \
                     [--witnessed] [--rounds N] [--seconds S] [--dry]";

impl Options {
    /// By default every key with SQLite, P-256 with PostgreSQL and with witnesses too, and a slow
    /// token, in some four minutes. `--slow` alone is the slow token alone.
    pub(super) fn parse(args: &[String]) -> Result<Self, String> {
        let (mut keys, mut stores) = (Vec::new(), Vec::new());
        let mut slow = false;
        let (mut full, mut dry, mut rounds, mut seconds) = (false, false, None, None);
        let mut witnessed = false;
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            let mut value = || rest.next().ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--full" => full = true,
                "--dry" => dry = true,
                "--slow" => slow = true,
                "--witnessed" => witnessed = true,
                "--key" => keys.push(named(&Key::ALL, Key::argument, value()?)?),
                "--store" => stores.push(named(&Store::ALL, Store::argument, value()?)?),
                "--rounds" => rounds = Some(number(value()?)? as usize),
                "--seconds" => seconds = Some(number(value()?)?),
                _ => return Err(format!("{arg:?} is not known\n{USAGE}")),
            }
        }
        let chosen = !keys.is_empty() || !stores.is_empty();
        let others = chosen || !slow;
        if keys.is_empty() {
            keys.extend(Key::ALL);
        }
        if stores.is_empty() {
            stores.extend(Store::ALL);
        }
        let pairs = keys.iter().flat_map(|key| stores.iter().map(|store| (*key, *store)));
        let mut setups: Vec<_> = pairs
            .filter(|_| others)
            .filter(|(key, store)| chosen || full || *store == Store::Sqlite || *key == Key::P256)
            .map(|(key, store)| Setup { key, store, slow: false, witnessed: false })
            .collect();
        if witnessed || !chosen {
            // Beside the same without them, in the same rounds.
            let with = setups.first().map(|first| Setup { witnessed: true, ..*first });
            setups.extend(with);
        }
        if slow || !chosen {
            let (key, store) = (Key::P256, Store::Sqlite);
            setups.push(Setup { key, store, slow: true, witnessed: false });
        }
        Ok(Self {
            setups,
            rounds: rounds.unwrap_or(if full { 5 } else { 2 }).max(1),
            seconds: seconds.unwrap_or(if full { 5.0 } else { 2.0 }),
            out: (!dry).then(super::document),
            given: args.to_vec(),
        })
    }
}

fn named<T: Copy>(all: &[T], name: fn(T) -> &'static str, text: &str) -> Result<T, String> {
    let found = all.iter().find(|one| name(**one) == text);
    found.copied().ok_or_else(|| format!("{text:?} is not known\n{USAGE}"))
}

fn number(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|n| (0.1..=3600.0).contains(n)).ok_or_else(|| format!("{text:?}: no"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setups(args: &[&str]) -> Vec<String> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let options = Options::parse(&args).unwrap();
        options.setups.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_short_run_has_each_key_and_each_database_once() {
        let short = [
            "P-256, SQLite",
            "P-256, PostgreSQL",
            "RSA-3072, SQLite",
            "P-384, SQLite",
            "P-256, SQLite, two witnesses",
            "P-256, SQLite, slow token",
        ];
        assert_eq!(setups(&[]), short);
        assert_eq!(setups(&["--full"]).len(), 8);
    }

    #[test]
    fn what_is_chosen_is_all_that_is_run() {
        assert_eq!(setups(&["--key", "p384", "--store", "postgres"]), ["P-384, PostgreSQL"]);
        assert_eq!(setups(&["--store", "sqlite"]).len(), 3);
        assert_eq!(setups(&["--slow"]), ["P-256, SQLite, slow token"]);
        let both = ["P-384, PostgreSQL", "P-384, PostgreSQL, two witnesses"];
        let words = ["--key", "p384", "--store", "postgres", "--witnessed"];
        assert_eq!(setups(&words), both);
    }

    #[test]
    fn unknown_words_are_refused() {
        assert!(Options::parse(&["--key".to_owned(), "ed25519".to_owned()]).is_err());
        assert!(Options::parse(&["--rounds".to_owned()]).is_err());
    }
}
