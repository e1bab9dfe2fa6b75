use tlog::cosign::Cosigner;

use super::*;
use crate::testlog::{Log, ORIGIN};

fn cosigner(seed: u8) -> Cosigner {
    Cosigner::from_seed("w.example/one", &[seed; 32]).unwrap()
}

fn record(log: &Log, size: usize, by: &Cosigner, time: u64) -> Record {
    let note = Note::parse(&log.notes[size]).unwrap();
    let line = by.cosign(note.text(), time).unwrap();
    let note = Note::new(note.text(), &[note.signatures()[0].clone(), line]).unwrap();
    Record::of(&note, by.key()).unwrap()
}

#[test]
fn what_was_kept_is_there_after_a_new_start() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("state");
    let (by, log) = (cosigner(1), Log::of(1, 0, 5));
    let folder = Folder::create(&path, by.key()).unwrap();
    assert_eq!(folder.latest(ORIGIN).unwrap(), None);
    folder.keep(ORIGIN, &record(&log, 3, &by, 77)).unwrap();
    assert!(matches!(Folder::open(&path, by.key()), Err(FolderError::InUse { .. })));
    drop(folder);
    // What a killed process had begun to write is cleared away.
    std::fs::write(path.join(".new-log-1.txt"), "half").unwrap();
    let folder = Folder::open(&path, by.key()).unwrap();
    assert!(!path.join(".new-log-1.txt").exists());
    assert_eq!(folder.latest(ORIGIN).unwrap(), Some(record(&log, 3, &by, 77)));
    assert_eq!(folder.latest("log.example/other").unwrap(), None);
    let seen = Folder::look(&path, by.key()).unwrap();
    assert_eq!(seen, [(ORIGIN.to_owned(), record(&log, 3, &by, 77))]);
}

#[test]
fn a_key_without_its_memory_is_not_used() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("state");
    let (by, log) = (cosigner(1), Log::of(1, 0, 5));
    let absent = || Folder::open(&path, by.key());
    assert!(matches!(absent(), Err(FolderError::Absent { .. })));
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(absent(), Err(FolderError::Absent { .. })));

    let folder = Folder::create(&path, by.key()).unwrap();
    folder.keep(ORIGIN, &record(&log, 3, &by, 77)).unwrap();
    drop(folder);
    assert!(Folder::create(&path, by.key()).is_err(), "made over the old one");
    let other = Folder::open(&path, cosigner(2).key());
    assert!(matches!(other, Err(FolderError::OtherKey { .. })), "{other:?}");
    let file = path.join(name(ORIGIN));
    let text = std::fs::read_to_string(&file).unwrap();
    let latest = || Folder::open(&path, by.key()).unwrap().latest(ORIGIN);

    // Another tree, another time, no co-signature, another log's file: not this key's word.
    let (body, lines) = text.split_once("\n\n").unwrap();
    let first = lines.lines().next().unwrap();
    for wrong in [
        text.replacen("\n3\n", "\n2\n", 1),
        format!("{body}\n\n{first}\n"),
        String::new(),
        text[..text.len() - 1].to_owned(),
    ] {
        std::fs::write(&file, &wrong).unwrap();
        assert!(matches!(latest(), Err(FolderError::Damaged { .. })), "{wrong}");
    }
    std::fs::write(path.join(name("log.example/other")), &text).unwrap();
    let folder = Folder::open(&path, by.key()).unwrap();
    assert!(matches!(folder.latest("log.example/other"), Err(FolderError::Damaged { .. })));
    drop(folder);
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(latest(), Err(FolderError::Lost { .. })));
}

/// Whoever makes files keeps nothing out, and gets rid of nothing that was there before him.
#[test]
fn evidence_that_anybody_can_make_pushes_no_other_out() {
    let temporary = tempfile::tempdir().unwrap();
    let (by, log) = (cosigner(1), Log::of(1, 0, 5));
    let folder = Folder::create(&temporary.path().join("state"), by.key()).unwrap();
    let bad = tlog::proof::ProofError::Index { index: 1, size: 1 };
    let refusal = Refusal::Inconsistent(bad);
    let cosigned = record(&log, 3, &by, 77).note;
    let shown = |n: u64| {
        let text = format!("log.example/one\n{n}\nroot\n");
        Note::new(&text, &[by.cosign(&text, n).unwrap()]).unwrap()
    };
    let file = |n: u64| {
        let name = format!("inconsistent-{}.json", Hash32::of(shown(n).text().as_bytes()));
        folder.path().join("evidence").join(name)
    };
    let all = 2 * EVIDENCE as u64;
    for n in 0..all {
        folder.keep_evidence(&refusal, &cosigned, &shown(n));
        assert!(file(n).exists() && file(0).exists(), "{n}");
    }
    let first = (0..EVIDENCE as u64 / 2).all(|n| file(n).exists());
    let latest = (all - EVIDENCE as u64 / 2..all).all(|n| file(n).exists());
    assert!(first && latest);
    let count = std::fs::read_dir(folder.path().join("evidence")).unwrap().count();
    assert_eq!(count, EVIDENCE);
}

#[test]
fn a_process_killed_between_file_and_mark_loses_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("state");
    let (by, log) = (cosigner(1), Log::of(1, 0, 5));
    let folder = Folder::create(&path, by.key()).unwrap();
    let mark = std::fs::read(path.join(MARK)).unwrap();
    folder.keep(ORIGIN, &record(&log, 3, &by, 77)).unwrap();
    drop(folder);
    std::fs::write(path.join(MARK), mark).unwrap();
    let folder = Folder::open(&path, by.key()).unwrap();
    assert!(folder.latest(ORIGIN).unwrap().is_some());
    drop(folder);
    std::fs::remove_file(path.join(name(ORIGIN))).unwrap();
    let folder = Folder::open(&path, by.key()).unwrap();
    assert!(matches!(folder.latest(ORIGIN), Err(FolderError::Lost { .. })));
}
