//! Files that are either there whole, or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;

/// What to do when the file exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Replace it.
    Replace,
    /// Leave it and fail with [`io::ErrorKind::AlreadyExists`].
    Keep,
}

/// Writes a file that only its owner can read. A reader sees the old content or the new, also
/// after a crash; no other name is left behind unless the machine stops half way.
///
/// # Errors
/// Whatever the file system says, with the path in the message.
pub fn write_private(path: &Path, content: &[u8], existing: Existing) -> io::Result<()> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let temporary = Temporary::create(folder, path).map_err(named)?;
    let write = || -> io::Result<()> {
        (&temporary.file).write_all(content)?;
        temporary.file.sync_all()?;
        match existing {
            Existing::Replace => fs::rename(&temporary.path, path)?,
            // A link, unlike a rename, fails where the name is taken.
            Existing::Keep => fs::hard_link(&temporary.path, path)?,
        }
        File::open(folder)?.sync_all()
    };
    write().map_err(named)
}

struct Temporary {
    path: PathBuf,
    file: File,
}

impl Temporary {
    fn create(folder: &Path, target: &Path) -> io::Result<Self> {
        let mut random = [0; 8];
        rand::fill(&mut random).map_err(|_| io::Error::other("no random numbers"))?;
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = folder.join(format!(".{name}.{}", hex::encode(random)));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { path, file })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Gone already after a rename.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn private_whole_and_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        write_private(&path, b"one", Existing::Keep).unwrap();
        let taken = write_private(&path, b"two", Existing::Keep).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        assert!(taken.to_string().contains("secret"), "{taken}");
        assert_eq!(fs::read(&path).unwrap(), b"one");
        write_private(&path, b"three", Existing::Replace).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let nowhere = folder.path().join("missing/secret");
        assert!(write_private(&nowhere, b"x", Existing::Replace).is_err());
    }
}
