//! The authority's clock, an argument of everything that depends on time.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time in milliseconds since 1970.
#[derive(Clone)]
pub struct Clock {
    now_ms: Arc<dyn Fn() -> u64 + Send + Sync>,
    test: Option<Arc<Path>>,
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self { now_ms: Arc::new(machine_ms), test: None }
    }

    /// The machine's clock, put forward by as many seconds as the file says: for tests and
    /// demonstrations of waits. The file is read at each question; while it cannot be read, or says
    /// something else, nothing is added.
    #[must_use]
    pub fn test(file: PathBuf) -> Self {
        let test = Some(Arc::from(file.as_path()));
        let now_ms = move || machine_ms().saturating_add(ahead(&file).saturating_mul(1000));
        Self { now_ms: Arc::new(now_ms), test }
    }

    /// The file that a test clock reads; none for a real clock.
    #[must_use]
    pub fn test_file(&self) -> Option<&Path> {
        self.test.as_deref()
    }

    /// A clock that always tells `ms`; for tests and replays.
    #[must_use]
    pub fn fixed(ms: u64) -> Self {
        Self { now_ms: Arc::new(move || ms), test: None }
    }

    /// Now, in milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        (self.now_ms)()
    }
}

fn machine_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Seconds that a test clock's file says.
fn ahead(file: &Path) -> u64 {
    std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({} ms)", self.now_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_clock_is_as_far_ahead_as_its_file_says() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clock");
        let clock = Clock::test(file.clone());
        assert_eq!(clock.test_file(), Some(file.as_path()));
        assert_eq!(Clock::system().test_file(), None);
        // The two are read one after the other: far less than the hour by which they differ.
        let hours = || (clock.now_ms() + 1_800_000 - machine_ms()) / 3_600_000;
        assert_eq!(hours(), 0);
        std::fs::write(&file, "259200\n").unwrap();
        assert_eq!(hours(), 72);
        std::fs::write(&file, "later").unwrap();
        assert_eq!(hours(), 0);
    }
}
