//! Files written whole or not at all, and on the disk when the call returns.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Begins the names of files that are being written.
pub(crate) const UNFINISHED: &str = ".new-";

/// Why a file was not replaced.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplaceError {
    /// What was there is there still.
    #[error("{0}")]
    Kept(io::Error),
    /// Old or new: the disk did not say which one it will have after a failure of the power.
    #[error("{0}")]
    Unsure(io::Error),
}

/// Replaces a file in a folder, which is open.
pub(crate) fn replace(
    folder: &Path,
    opened: &File,
    name: &str,
    bytes: &[u8],
) -> Result<(), ReplaceError> {
    let beside = folder.join(format!("{UNFINISHED}{name}"));
    let written = || -> io::Result<()> {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    written().map_err(ReplaceError::Kept)?;
    std::fs::rename(&beside, folder.join(name)).map_err(ReplaceError::Unsure)?;
    opened.sync_all().map_err(ReplaceError::Unsure)
}

/// Writes a file that is not there yet.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
