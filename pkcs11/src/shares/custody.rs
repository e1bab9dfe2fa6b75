//! Shares that were handed in and wait for others: in locked memory, and not for long.

use super::{Share, ShareError, ShareSet, ShareSetError, combine};
use crate::config::Pin;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Why a share was not taken.
#[derive(Debug, thiserror::Error)]
pub enum CustodyError {
    /// The token is not opened by shares.
    #[error("the token {token:?} is not opened by shares; {}", others(.with))]
    NotShared {
        /// Which.
        token: String,
        /// Those that are.
        with: Vec<String>,
    },
    /// No token was named, and there is not exactly one.
    #[error("name the token that the share is for; {}", others(.with))]
    Which {
        /// Those that are opened by shares.
        with: Vec<String>,
    },
    /// The file that says which shares open the token cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not such a file.
    #[error("{path}: {source}")]
    Set {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: ShareSetError,
    },
    /// The share is wrong. Those that were handed in before stay.
    #[error(transparent)]
    Share(#[from] ShareError),
}

/// What a share has led to.
#[derive(Debug)]
pub enum Gathered {
    /// More are needed.
    Waiting,
    /// The PIN. The shares are forgotten.
    Pin(Pin),
}

/// How far a token's shares have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The numbers of those that were handed in.
    pub given: Vec<u8>,
    /// How many it takes, and how many there are; not known where the file cannot be read.
    pub of: Option<(u8, u8)>,
}

/// The shares of all tokens that are opened by shares. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Custody(Arc<BTreeMap<String, Place>>);

#[derive(Debug)]
struct Place {
    file: PathBuf,
    gathering: Mutex<Option<Gathering>>,
}

#[derive(Debug)]
struct Gathering {
    set: ShareSet,
    shares: BTreeMap<u8, Share>,
    last: Instant,
}

impl Custody {
    /// How long a share waits for the next.
    pub const PATIENCE: Duration = Duration::from_secs(30 * 60);

    /// For these tokens, each with the file that says which shares open it.
    pub fn new(tokens: impl IntoIterator<Item = (String, PathBuf)>) -> Self {
        let places = tokens
            .into_iter()
            .map(|(name, file)| (name, Place { file, gathering: Mutex::new(None) }));
        Custody(Arc::new(places.collect()))
    }

    /// Whether this token is opened by shares.
    pub fn has(&self, token: &str) -> bool {
        self.0.contains_key(token)
    }

    /// The name of the token that is meant: this one, or the only one.
    ///
    /// # Errors
    /// It is not opened by shares, or it is not clear which.
    pub fn which(&self, token: Option<&str>) -> Result<&str, CustodyError> {
        let with = || self.0.keys().cloned().collect();
        match token {
            Some(token) => match self.0.get_key_value(token) {
                Some((name, _)) => Ok(name),
                None => Err(CustodyError::NotShared { token: token.to_owned(), with: with() }),
            },
            None if self.0.len() == 1 => {
                self.0.keys().next().map(String::as_str).ok_or(CustodyError::Which { with: with() })
            }
            None => Err(CustodyError::Which { with: with() }),
        }
    }

    /// Takes a share. What it was split to is told as soon as enough are there; whoever gets it
    /// tries it once. Those of a set that is replaced meanwhile are forgotten.
    ///
    /// # Errors
    /// The share is refused; nothing is tried, and what was handed in before stays.
    pub fn hand_in(&self, token: &str, text: &str) -> Result<Gathered, CustodyError> {
        self.hand_in_at(token, text, Instant::now())
    }

    pub(super) fn hand_in_at(
        &self,
        token: &str,
        text: &str,
        now: Instant,
    ) -> Result<Gathered, CustodyError> {
        let place = &self.0[self.which(Some(token))?];
        let set = read(&place.file)?;
        let share = Share::parse(text)?;
        set.check(&share)?;
        let mut gathering = place.current(now);
        if gathering.as_ref().is_some_and(|gathering| gathering.set != set) {
            *gathering = None;
        }
        let begun =
            gathering.get_or_insert_with(|| Gathering { set, shares: BTreeMap::new(), last: now });
        begun.shares.insert(share.number(), share);
        begun.last = now;
        if begun.shares.len() < usize::from(begun.set.threshold()) {
            return Ok(Gathered::Waiting);
        }
        let combined = combine(&begun.set, begun.shares.values());
        *gathering = None;
        Ok(Gathered::Pin(combined?))
    }

    /// How far each token has come, by its name.
    pub fn progress(&self) -> BTreeMap<String, Progress> {
        self.progress_at(Instant::now())
    }

    pub(super) fn progress_at(&self, now: Instant) -> BTreeMap<String, Progress> {
        let all = self.0.iter().map(|(name, place)| {
            let gathering = place.current(now);
            let given = gathering.as_ref().map(|g| g.shares.keys().copied().collect());
            let of = read(&place.file).ok().map(|set| (set.threshold(), set.count()));
            (name.clone(), Progress { given: given.unwrap_or_default(), of })
        });
        all.collect()
    }

    /// Forgets the shares that have waited too long; to be called now and then.
    pub fn tidy(&self) {
        let now = Instant::now();
        for place in self.0.values() {
            drop(place.current(now));
        }
    }
}

impl Place {
    /// What is gathered, without what has waited too long.
    fn current(&self, now: Instant) -> MutexGuard<'_, Option<Gathering>> {
        let mut gathering = self.gathering.lock().unwrap_or_else(PoisonError::into_inner);
        if gathering.as_ref().is_some_and(|g| now.duration_since(g.last) >= Custody::PATIENCE) {
            *gathering = None;
        }
        gathering
    }
}

fn read(path: &Path) -> Result<ShareSet, CustodyError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| CustodyError::Read { path: path.to_owned(), source })?;
    ShareSet::parse(&text).map_err(|source| CustodyError::Set { path: path.to_owned(), source })
}

fn others(with: &[String]) -> String {
    match with {
        [] => "no token is".to_owned(),
        with => format!("those that are: {}", with.join(", ")),
    }
}
