//! Files of an auditor: lines that are appended, and on the disk when the call returns.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::journal::JournalError;

/// Opens a folder, made if it is not there.
pub(super) fn folder(path: &Path) -> Result<File, JournalError> {
    let file = |source| JournalError::File { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(file)?;
    if let Some(above) = path.parent() {
        File::open(above).and_then(|above| above.sync_all()).map_err(file)?;
    }
    File::open(path).map_err(file)
}

/// A file that grows.
#[derive(Debug)]
pub(super) struct Growing {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Growing {
    /// Opens one, made if it is not there, and cuts it to a length.
    pub(super) fn open(
        folder: &Path,
        opened: &File,
        name: &str,
        length: u64,
    ) -> Result<Self, JournalError> {
        let path = folder.join(name);
        let open = || {
            let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
            if file.metadata()?.len() > length {
                file.set_len(length)?;
            }
            file.sync_all()?;
            opened.sync_all()?;
            Ok(file)
        };
        match open() {
            Ok(file) => Ok(Self { path, file, length }),
            Err(source) => Err(JournalError::File { path, source }),
        }
    }

    /// Appends, and waits for the disk.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        let file = |source| JournalError::File { path: self.path.clone(), source };
        self.file.write_all(bytes).map_err(file)?;
        self.file.sync_data().map_err(file)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Bytes in it.
    pub(super) fn length(&self) -> u64 {
        self.length
    }
}
