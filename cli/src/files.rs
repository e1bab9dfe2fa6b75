//! Files written whole or not at all.

use std::io::{Read as _, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use client::trust::Trust;

use crate::exit::Failure;

/// Writes a file beside its place, makes it durable and moves it there.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let inner = || -> std::io::Result<()> {
        let name = path.file_name().ok_or_else(|| std::io::Error::other("it has no name"))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}", std::process::id()));
        let beside = path.with_file_name(hidden);
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
        std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    };
    inner().map_err(|e| Failure::local(format!("cannot write {}: {e}", path.display())))
}

/// Writes a file that everybody may read, whatever the process's umask.
pub(crate) fn publish(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    write(path, bytes, 0o644)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))
        .map_err(|e| Failure::local(format!("cannot make {} readable: {e}", path.display())))
}

/// Reads a file whole.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|e| Failure::local(format!("cannot read {}: {e}", path.display())))
}

/// Reads a file (`-`: standard input) of at most so many bytes; none where there are more, as in a
/// device without end.
pub(crate) fn read_at_most(path: &Path, max: usize) -> Result<Option<Vec<u8>>, Failure> {
    let told = |e: std::io::Error| Failure::local(format!("cannot read {}: {e}", path.display()));
    let mut bytes = Vec::new();
    let source: Box<dyn std::io::Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).map_err(told)?)
    };
    source.take(max as u64 + 1).read_to_end(&mut bytes).map_err(told)?;
    Ok((bytes.len() <= max).then_some(bytes))
}

/// Reads a secret (its last line's end left out) from a file that nobody but its owner can read.
/// The mode is that of the file that is read, whatever its name stands for meanwhile.
pub(crate) fn secret(what: &str, path: &Path) -> std::io::Result<String> {
    use std::os::unix::fs::PermissionsExt;
    let mut file = std::fs::File::open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(std::io::Error::other(format!(
            "{what} {0} has mode {mode:o}: others can read it; chmod 600 {0}",
            path.display()
        )));
    }
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}

/// Reads a trust file, whose every part has to be what it should be.
pub(crate) fn trust(path: &Path) -> Result<Trust, Failure> {
    let text = String::from_utf8(read(path)?)
        .map_err(|_| Failure::local(format!("{} is not text", path.display())))?;
    Trust::parse(&text).map_err(|e| Failure::local(format!("{}: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_that_others_can_read_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pin");
        std::fs::write(&path, "1234\n").unwrap();
        for (mode, fine) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            match secret("the PIN's file", &path) {
                Ok(text) => assert!(fine && text == "1234", "{mode:o}"),
                Err(error) => {
                    assert!(!fine && error.to_string().contains("chmod 600"), "{mode:o} {error}");
                }
            }
        }
    }

    #[test]
    fn no_more_is_read_than_may_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, [7; 10]).unwrap();
        assert_eq!(read_at_most(&path, 10).unwrap(), Some(vec![7; 10]));
        assert_eq!(read_at_most(&path, 9).unwrap(), None);
        assert_eq!(read_at_most(Path::new("/dev/zero"), 100).unwrap(), None);
    }
}
