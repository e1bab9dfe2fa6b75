//! Killed at any moment, and with a full disk: never two histories.

use std::process::Command;
use std::sync::Mutex;

use avouch_tests::{TestLog, Witness};
use tlog::witness::{Answer, read_answer};

use super::{ORIGIN, witness_of};

/// A log that no other test's witness serves: one that is started while ours is dead may get its
/// port, and what was meant for ours.
const KILLED: &str = "log.example/killed";

/// Leaves that each history of a round goes on by.
const MORE: usize = 60;

/// A co-signature that was answered: which of the round's histories, and its size and time.
type Answered = Mutex<Vec<(usize, usize, u64)>>;

/// Shows a witness one history, from where it is, until it is killed or the history ends.
fn show(witness: &Witness, which: usize, log: &TestLog, from: usize, answered: &Answered) {
    let mut at = from;
    for turn in 0.. {
        // The same size, too: an idle log.
        let new = at + [1, 0, 2][turn % 3];
        if new > from + MORE {
            return;
        }
        let request = log.request(at as u64, new);
        let Ok(answer) = witness.try_post(&request.to_text()) else { return };
        // Ours knows the log.
        if answer.status == 404 {
            return;
        }
        let key = witness.key();
        match read_answer(answer.status, &answer.body, request.checkpoint(), &key) {
            Ok(Answer::Cosigned { time, .. }) => {
                answered.lock().unwrap().push((which, new, time));
                at = new;
            }
            Ok(Answer::Elsewhere { size }) => at = usize::try_from(size).unwrap(),
            Err(_) => {}
        }
    }
}

/// Where a witness is.
fn size_of(witness: &Witness, log: &TestLog) -> usize {
    // Nobody can have a proof from a size that its log has not reached.
    let beyond = log.size();
    match witness.ask(&log.request(beyond as u64, beyond)) {
        Ok(Answer::Elsewhere { size }) => usize::try_from(size).unwrap(),
        Ok(Answer::Cosigned { .. }) => beyond,
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn killed_at_any_moment_a_witness_never_cosigns_two_histories() {
    let rounds = if std::env::var_os("AVOUCH_LONG").is_some() { 400 } else { 25 };
    // The history that the witness's word is for, leaf by leaf.
    let mut leaves = vec!["first".to_owned()];
    let log_of = |leaves: &[String]| {
        let mut log = TestLog::new(KILLED, 1);
        leaves.iter().for_each(|leaf| log.append(leaf));
        log
    };
    let first = log_of(&leaves);
    let mut witness = witness_of(KILLED, &first);
    assert!(witness.ask(&first.request(0, 1)).is_ok());
    let (mut latest, mut cosigned) = (0, 0);
    let mut moments = crate::crash::moments();
    for round in 0..rounds {
        // Two histories that go on from the very tree that it has.
        let from = leaves.len();
        let histories = ["a", "b"].map(|kind| {
            let more = (0..MORE).map(|n| format!("{round} {kind} {n}"));
            leaves.iter().cloned().chain(more).collect::<Vec<_>>()
        });
        let logs = histories.each_ref().map(|leaves| log_of(leaves));
        let answered = Answered::default();
        std::thread::scope(|scope| {
            for (which, log) in logs.iter().enumerate().chain(logs.iter().enumerate()) {
                let (witness, answered) = (&witness, &answered);
                scope.spawn(move || show(witness, which, log, from, answered));
            }
            let moment = moments.next().expect("it never ends");
            let first = usize::try_from(moment % 10).unwrap();
            while answered.lock().unwrap().len() < first {
                std::thread::yield_now();
            }
            (0..moment % 50_000).for_each(|n| {
                std::hint::black_box(n);
            });
            witness.kill_now();
        });
        witness.kill();
        witness.start().unwrap();

        let size = size_of(&witness, &logs[0]);
        let goes_on = |log: &TestLog| {
            let again = witness.ask(&log.request(size as u64, size));
            matches!(again, Ok(Answer::Cosigned { .. }))
        };
        let winner = logs.iter().position(goes_on).expect("it has one of the two");
        let answered = answered.into_inner().unwrap();
        let largest = answered.iter().map(|(_, size, _)| *size).max().unwrap_or(from);
        assert!(size >= largest, "{largest} was answered and {size} is remembered");
        for (which, at, time) in &answered {
            // At the size where they part, both say the same.
            assert!(*which == winner || *at == from, "both were co-signed: {answered:?}");
            latest = latest.max(*time);
        }
        let now = witness.ask(&logs[winner].request(size as u64, size));
        let Ok(Answer::Cosigned { time, .. }) = now else { panic!("{now:?}") };
        assert!(time >= latest, "{time} < {latest}");
        cosigned += answered.len();
        leaves = histories[winner][..size].to_vec();
    }
    eprintln!("{rounds} kills, {cosigned} co-signatures, {} leaves", leaves.len());
    assert!(leaves.len() > 1, "no round got anywhere");
}

#[test]
fn a_full_disk_cosigns_nothing_and_forgets_nothing() {
    let log = TestLog::with(ORIGIN, 1, "leaf", 9);
    let mut witness = witness_of(ORIGIN, &log);
    assert!(witness.ask(&log.request(0, 4)).is_ok());
    let limit = |bytes: &str| {
        let mut prlimit = Command::new("prlimit");
        prlimit.arg(format!("--pid={}", witness.pid())).arg(format!("--fsize={bytes}:"));
        assert!(prlimit.status().expect("prlimit can be run").success());
    };
    limit("16");
    for _ in 0..2 {
        let answer = witness.post(&log.request(4, 6).to_text());
        assert_eq!(answer.status, 503, "{}", answer.text());
    }
    let elsewhere = witness.ask(&log.request(0, 6));
    assert_eq!(elsewhere, Ok(Answer::Elsewhere { size: 4 }));
    limit("unlimited");
    assert!(matches!(witness.ask(&log.request(4, 6)), Ok(Answer::Cosigned { .. })));
    witness.kill();
    witness.start().unwrap();
    assert_eq!(witness.ask(&log.request(0, 6)), Ok(Answer::Elsewhere { size: 6 }));
}
