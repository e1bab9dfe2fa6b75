use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn uid(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn here() -> Hash32 {
    Hash32::of(b"here")
}

fn sealed(label: &str, to: &[&str]) -> Sealed {
    let to = to.iter().map(|name| To { uid: uid(name), key: Hash32::of(name.as_bytes()) });
    Sealed {
        version: VERSION,
        genesis: here(),
        at: "2026-01-01T00:00:00Z".to_owned(),
        label: label.to_owned(),
        file: format!("{label}.cms"),
        size: 7,
        sha256: Hash32::of(label.as_bytes()),
        to: to.collect(),
    }
}

fn labels(contacts: &Path, of: Option<&str>) -> Vec<String> {
    let of = of.map(uid);
    let found = list(contacts, here(), of.as_ref()).unwrap();
    found.into_iter().map(|sealed| sealed.label).collect()
}

#[test]
fn what_was_sealed_is_listed_for_everybody_it_was_sealed_to() {
    let folder = tempfile::tempdir().unwrap();
    let contacts = folder.path().join("contacts.json");
    assert!(labels(&contacts, None).is_empty());
    remember(&contacts, &sealed("one", &["alice", "bob"])).unwrap();
    remember(&contacts, &sealed("two", &["bob"])).unwrap();
    let elsewhere = Sealed { genesis: Hash32::of(b"there"), ..sealed("three", &["bob"]) };
    remember(&contacts, &elsewhere).unwrap();
    assert_eq!(labels(&contacts, None), ["one", "two"]);
    assert_eq!(labels(&contacts, Some("alice")), ["one"]);
    assert_eq!(labels(&contacts, Some("bob")), ["one", "two"]);
    assert!(labels(&contacts, Some("carol")).is_empty());
    let mode = fs::metadata(beside(&contacts)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_line_that_a_crash_cut_off_is_none_and_the_next_takes_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let contacts = folder.path().join("contacts.json");
    remember(&contacts, &sealed("one", &["alice"])).unwrap();
    let whole = fs::read(beside(&contacts)).unwrap();
    for cut in [1, whole.len() / 2, whole.len() - 1] {
        let torn = [&whole[..], &whole[..cut]].concat();
        fs::write(beside(&contacts), &torn).unwrap();
        assert_eq!(labels(&contacts, None), ["one"]);
        remember(&contacts, &sealed("two", &["alice"])).unwrap();
        assert_eq!(labels(&contacts, None), ["one", "two"]);
    }
    // A first line, longer than what is read at once.
    fs::write(beside(&contacts), vec![b' '; 10_000]).unwrap();
    remember(&contacts, &sealed("three", &["alice"])).unwrap();
    assert_eq!(labels(&contacts, None), ["three"]);
}

#[test]
fn what_cannot_be_understood_is_an_error_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    let contacts = folder.path().join("contacts.json");
    remember(&contacts, &sealed("one", &["alice"])).unwrap();
    let whole = fs::read_to_string(beside(&contacts)).unwrap();
    let newer = whole.replace("\"version\":1", "\"version\":2");
    let unknown = whole.replace("\"size\"", "\"sizes\"");
    for text in ["\n".to_owned(), "{}\n".to_owned(), newer, unknown] {
        fs::write(beside(&contacts), &text).unwrap();
        let error = list(&contacts, here(), None).unwrap_err();
        assert!(error.to_string().contains("line 1"), "{error}");
        remember(&contacts, &sealed("two", &["alice"])).unwrap();
        assert!(fs::read_to_string(beside(&contacts)).unwrap().starts_with(&text));
    }
}
