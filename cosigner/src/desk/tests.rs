use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::MetricsFormat;
use crate::testlog::{Log, ORIGIN};

struct Hand(Arc<AtomicU64>);

impl Hand {
    fn clock(&self) -> Clock {
        let at = Arc::clone(&self.0);
        Clock::new(move || at.load(Ordering::Relaxed))
    }
}

fn cosigner() -> Cosigner {
    Cosigner::from_seed("w.example/one", &[9; 32]).unwrap()
}

fn desk(path: &Path, log: &Log, hand: &Hand) -> Arc<Desk> {
    let folder = match Folder::open(path, cosigner().key()) {
        Err(FolderError::Absent { .. }) => Folder::create(path, cosigner().key()),
        opened => opened,
    };
    let served = vec![log.served()];
    Arc::new(
        Desk::new(cosigner(), hand.clock(), folder.unwrap(), served, Metrics::default()).unwrap(),
    )
}

#[derive(Debug)]
enum Outcome {
    Refused(Refusal),
    Failed(CosignFailure),
}

async fn ask(desk: &Arc<Desk>, request: AddCheckpoint) -> Result<Cosigned, Outcome> {
    let turn = Arc::clone(desk).turn(request).await.map_err(Outcome::Refused)?;
    turn.check().map_err(Outcome::Refused)?.cosign().map_err(Outcome::Failed)
}

#[tokio::test]
async fn what_was_cosigned_is_remembered_and_the_time_never_goes_back() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("state");
    let log = Log::of(1, 0, 9);
    let hand = Hand(Arc::new(AtomicU64::new(1000)));
    let first = desk(&path, &log, &hand);
    let cosigned = ask(&first, log.request(0, 4)).await.unwrap();
    assert_eq!((cosigned.head.size, cosigned.time), (4, 1000));
    let note = Note::parse(&log.notes[4]).unwrap();
    assert_eq!(first.key().verify(note.text(), &cosigned.line), Ok(1000));
    // The same size again, later: an idle log.
    hand.0.store(1100, Ordering::Relaxed);
    assert_eq!(ask(&first, log.request(4, 4)).await.unwrap().time, 1100);
    drop(first);

    let again = desk(&path, &log, &hand);
    let elsewhere = ask(&again, log.request(0, 4)).await;
    assert!(
        matches!(elsewhere, Err(Outcome::Refused(Refusal::Elsewhere { latest: 4, .. }))),
        "{elsewhere:?}"
    );
    // A correction of the clock: the earlier word stands until the clock has caught up.
    hand.0.store(1060, Ordering::Relaxed);
    assert_eq!(ask(&again, log.request(4, 5)).await.unwrap().time, 1100);
    // More than that: nothing is co-signed, and nothing is forgotten.
    hand.0.store(1000, Ordering::Relaxed);
    let behind = ask(&again, log.request(5, 6)).await;
    let expected = Behind { now: 1000, last: 1100 };
    assert!(
        matches!(&behind, Err(Outcome::Failed(CosignFailure::Clock(b))) if *b == expected),
        "{behind:?}"
    );
    assert!(again.metrics().text(MetricsFormat::Prometheus).contains("clock_behind_total 1"));
    hand.0.store(1101, Ordering::Relaxed);
    assert_eq!(ask(&again, log.request(5, 6)).await.unwrap().time, 1101);
}

#[tokio::test]
async fn other_histories_are_refused_and_kept() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("state");
    let (log, fork) = (Log::of(1, 0, 9), Log::of(1, 100, 9));
    let hand = Hand(Arc::new(AtomicU64::new(1000)));
    let desk = desk(&path, &log, &hand);
    let _ = ask(&desk, log.request(0, 4)).await.unwrap();
    for (request, status) in [
        (fork.request(4, 4), 409),
        (fork.request(4, 7), 422),
        (log.request(0, 3), 409),
        (log.request(3, 7), 409),
        (Log::of(2, 0, 9).request(4, 7), 403),
    ] {
        match ask(&desk, request).await {
            Err(Outcome::Refused(refusal)) => assert_eq!(refusal.status(), status, "{refusal}"),
            other => panic!("{other:?}"),
        }
    }
    let mut kept: Vec<_> = std::fs::read_dir(path.join("evidence"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    kept.sort();
    assert_eq!(kept.len(), 2, "{kept:?}");
    let fork_file = std::fs::read_to_string(path.join("evidence").join(&kept[0])).unwrap();
    let json: serde_json::Value = serde_json::from_str(&fork_file).unwrap();
    assert_eq!(json["shown"], fork.notes[4]);
    assert!(json["cosigned"].as_str().unwrap().starts_with(&log.notes[4]));
    // And the log goes on.
    assert_eq!(ask(&desk, log.request(4, 9)).await.unwrap().head.size, 9);
}

#[tokio::test]
async fn two_histories_at_once_one_is_cosigned() {
    let temporary = tempfile::tempdir().unwrap();
    let (log, fork) = (Log::of(1, 0, 9), Log::of(1, 100, 9));
    let hand = Hand(Arc::new(AtomicU64::new(1000)));
    let desk = desk(&temporary.path().join("state"), &log, &hand);
    let mut asked = Vec::new();
    for n in 0..40 {
        let request = if n % 2 == 0 { log.request(0, 5) } else { fork.request(0, 6) };
        let desk = Arc::clone(&desk);
        asked.push(tokio::spawn(async move { ask(&desk, request).await }));
    }
    let mut cosigned = 0;
    for answer in asked {
        cosigned += usize::from(answer.await.unwrap().is_ok());
    }
    assert_eq!(cosigned, 1);
}

#[tokio::test]
async fn what_cannot_be_remembered_is_not_cosigned() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path().join("state");
    let log = Log::of(1, 0, 9);
    let hand = Hand(Arc::new(AtomicU64::new(1000)));
    let desk = desk(&path, &log, &hand);
    let _ = ask(&desk, log.request(0, 4)).await.unwrap();
    // Where the new file would be written there is a folder: the old record stays.
    let file = std::fs::read_dir(&path)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .find(|name| name.starts_with("log-"))
        .unwrap();
    let beside = path.join(format!(".new-{file}"));
    std::fs::create_dir(&beside).unwrap();
    let failed = ask(&desk, log.request(4, 6)).await;
    assert!(matches!(failed, Err(Outcome::Failed(CosignFailure::Write(_)))), "{failed:?}");
    std::fs::remove_dir(&beside).unwrap();
    assert_eq!(ask(&desk, log.request(4, 6)).await.unwrap().head.size, 6);

    // The rename fails: nobody knows what the disk has.
    std::fs::remove_file(path.join(&file)).unwrap();
    std::fs::create_dir(path.join(&file)).unwrap();
    let unsure = ask(&desk, log.request(6, 8)).await;
    assert!(matches!(unsure, Err(Outcome::Failed(CosignFailure::Unsure))), "{unsure:?}");
    std::fs::remove_dir(path.join(&file)).unwrap();
    let still = ask(&desk, log.request(6, 8)).await;
    assert!(matches!(still, Err(Outcome::Failed(CosignFailure::Unsure))), "{still:?}");
    assert_eq!(ORIGIN, desk.served().next().unwrap().origin);
}
