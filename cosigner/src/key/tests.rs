use super::*;

#[test]
fn a_key_comes_back_from_its_file_and_from_nothing_else() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("witness.key");
    let key = KeyFile::generate("w.example/one").unwrap();
    key.write_new(&path).unwrap();
    assert_eq!(KeyFile::read(&path).unwrap().vkey(), key.vkey());
    assert!(key.vkey().starts_with("w.example/one+"), "{}", key.vkey());
    // It is never written over.
    assert!(matches!(key.write_new(&path), Err(KeyError::File { .. })));

    let text = std::fs::read_to_string(&path).unwrap();
    let other = KeyFile::generate("w.example/one").unwrap().text();
    let (_, others) = other.rsplit_once('+').unwrap();
    let (head, _) = text.rsplit_once('+').unwrap();
    for wrong in [
        String::new(),
        text.replacen("PRIVATE", "PUBLIC", 1),
        // Another name, another's key: the id does not fit.
        text.replacen("/one", "/two", 1),
        format!("{head}+{others}"),
        format!("{head}+AAAA\n"),
        format!("{head}+\n"),
        format!("{text}{text}"),
    ] {
        std::fs::write(&path, &wrong).unwrap();
        assert!(KeyFile::read(&path).is_err(), "{wrong}");
    }
    std::fs::write(&path, &text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(KeyFile::read(&path), Err(KeyError::Mode { mode: 0o640, .. })));
}

#[test]
fn names_that_no_key_may_have_are_refused() {
    for name in ["", "two words", "a+b", "line\nend"] {
        assert!(KeyFile::generate(name).is_err(), "{name:?}");
    }
}
