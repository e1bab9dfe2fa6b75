//! Somebody with the database and the HSM writes what he likes into the log, and the log's key
//! signs it: the auditor does not.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use evidence::audit::{ADD_ENTRIES, RefusedProblem, after};
use evidence::testing::{Book, HOUR_MS, Key, NOON_MS, alice, blinded};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Frame;
use tlog::cosign::CosignerKey;
use tlog::note::Note;
use tlog::witness::{ADD_CHECKPOINT, Answer, AnyCheckpoint, read_answer};
use tower::ServiceExt;
use wire::body::Struck;
use wire::event::EventKind;
use wire::rules::Rules;

mod door;

use super::*;
use crate::{Clock, Folder, KeyFile, Metrics, MetricsFormat};

/// An auditor of a book's log, with a clock of its own.
struct Bench {
    folder: tempfile::TempDir,
    clock: Arc<AtomicU64>,
    auditor: Arc<Auditor>,
    metrics: Metrics,
}

impl Bench {
    fn new(book: &Book) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyFile::generate("auditor.example/one").unwrap();
        key.write_new(&folder.path().join("key")).unwrap();
        Folder::create(&folder.path().join("state"), key.into_cosigner().key()).unwrap();
        let clock = Arc::new(AtomicU64::new(NOON_MS / 1000));
        let (auditor, metrics) = Self::open(&folder, &clock, book).unwrap();
        Self { folder, clock, auditor, metrics }
    }

    fn open(
        folder: &tempfile::TempDir,
        clock: &Arc<AtomicU64>,
        book: &Book,
    ) -> Result<(Arc<Auditor>, Metrics), AuditorError> {
        Self::open_knowing(policy_engine(book), folder, clock, book)
    }

    /// As a program that knows no newer rules than these.
    fn open_knowing(
        engine: u8,
        folder: &tempfile::TempDir,
        clock: &Arc<AtomicU64>,
        book: &Book,
    ) -> Result<(Arc<Auditor>, Metrics), AuditorError> {
        let audited = Audited { genesis: book.genesis.hash(), log: book.log_key(), engine };
        let cosigner = KeyFile::read(&folder.path().join("key")).unwrap().into_cosigner();
        let path = folder.path().join("state");
        // Another test that starts a program has the lock along with it, until that runs.
        let state = loop {
            match Folder::open(&path, cosigner.key()) {
                Err(FolderError::InUse { .. }) => std::thread::yield_now(),
                opened => break opened.unwrap(),
            }
        };
        let (metrics, now) = (Metrics::default(), Arc::clone(clock));
        let clock = Clock::new(move || now.load(Ordering::SeqCst));
        let served = vec![audited.served()];
        let desk = Desk::new(cosigner, clock, state, served, metrics.clone()).unwrap();
        Ok((Arc::new(Auditor::open(Arc::new(desk), audited, None)?), metrics))
    }

    /// As after a restart of the process.
    fn restart(self, book: &Book) -> Self {
        let Self { folder, clock, auditor, .. } = self;
        drop(auditor);
        let (auditor, metrics) = Self::open(&folder, &clock, book).unwrap();
        Self { folder, clock, auditor, metrics }
    }

    fn post(&self, path: &str, body: String) -> (StatusCode, Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let request = Request::post(path).body(Body::from(body)).unwrap();
            let answer = routes(Arc::clone(&self.auditor), "").oneshot(request).await.unwrap();
            let status = answer.status();
            (status, answer.into_body().collect().await.unwrap().to_bytes().to_vec())
        })
    }

    fn key(&self) -> CosignerKey {
        self.auditor.desk().key().clone()
    }

    /// Hands in what is written since the auditor was at `old` leaves.
    fn add(&self, book: &Book, old: u64) -> Result<u64, RefusedProblem> {
        let (status, body) = self.post(ADD_ENTRIES, book.add_entries(old).to_body());
        if status == StatusCode::UNPROCESSABLE_ENTITY {
            return Err(RefusedProblem::parse(&body).expect("a refusal by rule"));
        }
        let checkpoint = AnyCheckpoint::parse(&book.checkpoint()).unwrap();
        let answer = read_answer(status.as_u16(), &body, &checkpoint, &self.key());
        match answer.unwrap_or_else(|error| panic!("{error}")) {
            Answer::Cosigned { time, .. } => Ok(time),
            Answer::Elsewhere { size } => panic!("it is at {size}"),
        }
    }

    /// The rule by which it refuses, and the leaf.
    fn refuses(&self, book: &Book, old: u64) -> (String, u64) {
        let refused = self.add(book, old).expect_err("it is refused").refused;
        (refused.rule, refused.index)
    }

    fn metric(&self, line: &str) -> bool {
        self.metrics.text(MetricsFormat::Prometheus).lines().any(|found| found == line)
    }
}

/// The engine version that decides in a book.
fn policy_engine(book: &Book) -> u8 {
    book.genesis.engine
}

fn unwitnessed() -> Rules {
    Rules { allow_unwitnessed: true, ..Rules::standard() }
}

fn enrolled() -> (Book, u64) {
    let mut book = Book::new(unwitnessed());
    book.enrol(&Key::new());
    book.end_group();
    let size = book.edge.size();
    (book, size)
}

#[test]
fn what_is_lawful_is_co_signed_and_goes_on_after_a_restart() {
    let (mut book, size) = enrolled();
    let bench = Bench::new(&book);
    assert_eq!(bench.add(&book, 0), Ok(NOON_MS / 1000));
    let bench = bench.restart(&book);
    book.ask_for_switch(&Key::new());
    book.end_group();
    let middle = book.edge.size();
    bench.add(&book, size).unwrap();
    let bench = bench.restart(&book);
    bench.clock.store((NOON_MS + 72 * HOUR_MS) / 1000, Ordering::SeqCst);
    book.now_ms += 72 * HOUR_MS;
    book.complete_switch(|_| {});
    book.end_group();
    assert_eq!(bench.add(&book, middle), Ok((NOON_MS + 72 * HOUR_MS) / 1000));
    // The same size again, by the witness's call; more than it has audited not.
    let end = book.edge.size();
    let (status, _) = bench.post(ADD_CHECKPOINT, book.add_checkpoint(end).to_text());
    assert_eq!(status, StatusCode::OK);
    book.end_group();
    let (status, body) = bench.post(ADD_CHECKPOINT, book.add_checkpoint(end).to_text());
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(String::from_utf8(body).unwrap().contains(ADD_ENTRIES));
}

#[test]
fn whoever_begins_elsewhere_is_told_where_the_auditor_is() {
    let (book, size) = enrolled();
    let bench = Bench::new(&book);
    bench.add(&book, 0).unwrap();
    let (status, body) = bench.post(ADD_ENTRIES, book.add_entries(0).to_body());
    assert_eq!((status, body), (StatusCode::CONFLICT, format!("{size}\n").into_bytes()));
}

#[test]
fn a_forged_switch_is_refused_and_raises_an_alarm_that_outlives_a_restart() {
    let (mut book, size) = enrolled();
    let bench = Bench::new(&book);
    bench.add(&book, 0).unwrap();
    book.ask_for_switch(&Key::new());
    book.end_group();
    bench.add(&book, size).unwrap();
    let middle = book.edge.size();
    // Three days that nobody waited: by the event's own time, and by the auditor's clock.
    book.now_ms += 72 * HOUR_MS;
    book.complete_switch(|_| {});
    book.end_group();
    assert_eq!(bench.refuses(&book, middle), ("no-event-of-the-future".to_owned(), middle));
    assert!(bench.metric("avouch_cosigner_alarm 1"));
    let bench = bench.restart(&book);
    assert!(bench.metric("avouch_cosigner_alarm 1"));
    let alarm = bench.auditor.alarm().expect("an alarm");
    assert_eq!(
        (alarm.refused.index, alarm.refused.event.as_deref()),
        (middle, Some("switch-complete"))
    );
    // The checkpoint is kept, as proof of what the log's key signed.
    assert!(book.log_key().verify_note(&Note::parse(&alarm.checkpoint).unwrap()).is_ok());
}

#[test]
fn a_shortened_wait_is_refused() {
    let (mut book, size) = enrolled();
    let bench = Bench::new(&book);
    bench.clock.store((NOON_MS + 100 * HOUR_MS) / 1000, Ordering::SeqCst);
    bench.add(&book, 0).unwrap();
    // The request is dated back, so that request and completion are three days apart.
    book.now_ms += 25 * HOUR_MS;
    book.ask_for_switch(&Key::new());
    book.now_ms += 72 * HOUR_MS;
    book.complete_switch(|_| {});
    book.end_group();
    assert_eq!(bench.refuses(&book, size), ("a-wait-begins-when-it-is-seen".to_owned(), size));
}

#[test]
fn a_completion_before_its_time_is_refused() {
    let (mut book, size) = enrolled();
    let bench = Bench::new(&book);
    bench.add(&book, 0).unwrap();
    book.ask_for_switch(&Key::new());
    book.now_ms += 72 * HOUR_MS;
    let at = book.edge.size();
    book.complete_switch(|event| event.time_ms -= 72 * HOUR_MS);
    book.end_group();
    assert_eq!(bench.refuses(&book, size), ("the-wait-is-over".to_owned(), at));
}

#[test]
fn a_forged_head_is_refused() {
    let (mut book, size) = enrolled();
    let bench = Bench::new(&book);
    bench.add(&book, 0).unwrap();
    book.set(blinded(&alice()), Hash32::of(b"a head of mallory's making"));
    book.end_group();
    assert_eq!(bench.refuses(&book, size), ("map-root".to_owned(), size));
}

#[test]
fn a_duplicate_enrolment_under_a_second_blinded_id_is_refused() {
    let (mut book, size) = enrolled();
    let bench = Bench::new(&book);
    bench.add(&book, 0).unwrap();
    book.enrol_again_elsewhere(&Key::new());
    book.end_group();
    assert_eq!(bench.refuses(&book, size), ("one-blinded-id".to_owned(), size));
}

#[test]
fn a_certificate_that_no_event_calls_for_is_refused() {
    let mut book = Book::new(unwitnessed());
    let bench = Bench::new(&book);
    let size = book.edge.size();
    bench.add(&book, 0).unwrap();
    book.enrol_with_foreign_certificate(&Key::new());
    book.end_group();
    assert_eq!(bench.refuses(&book, size), ("certificate-as-called-for".to_owned(), size));
}

#[test]
fn entries_of_another_installation_are_refused() {
    let (book, other) = (enrolled().0, enrolled().0);
    // Both logs have one origin and one key here: the genesis event tells them apart.
    let bench = Bench::new(&book);
    assert_eq!(bench.refuses(&other, 0).0, "genesis-of-the-trust-file");
    bench.add(&book, 0).unwrap();
}

/// Neither the present size again, by whichever call, nor a step that ends before the refused leaf,
/// passes for the present or takes the alarm back.
#[test]
fn an_alarm_stands_until_the_log_goes_past_what_was_refused() {
    let rules = Rules { allow_transport_evidence: true, ..unwitnessed() };
    let mut book = Book::new(rules);
    let bench = Bench::new(&book);
    let size = book.edge.size();
    bench.add(&book, 0).unwrap();
    let (checkpoint, nothing) = (book.add_checkpoint(size), book.add_entries(size));
    book.end_group();
    let before = book.add_entries(size);
    let at = book.edge.size();
    book.enrol_by_transport(&Key::new());
    book.end_group();
    assert_eq!(bench.refuses(&book, size), ("transport-is-not-evidence".to_owned(), at));
    let (status, _) = bench.post(ADD_CHECKPOINT, checkpoint.to_text());
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let (status, _) = bench.post(ADD_ENTRIES, nothing.to_body());
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let (status, _) = bench.post(ADD_ENTRIES, before.to_body());
    assert_eq!(status, StatusCode::OK);
    assert_eq!(bench.auditor.alarm().map(|alarm| alarm.refused.index), Some(at));
}

#[test]
fn a_strike_that_names_the_refused_leaf_lets_it_go_on() {
    let rules = Rules { allow_transport_evidence: true, ..unwitnessed() };
    let mut book = Book::new(rules);
    let bench = Bench::new(&book);
    let size = book.edge.size();
    bench.add(&book, 0).unwrap();
    let leaf = book.enrol_by_transport(&Key::new());
    book.end_group();
    assert_eq!(bench.refuses(&book, size), ("transport-is-not-evidence".to_owned(), size));
    assert!(bench.auditor.alarm().is_some());
    let left_behind = after(&book.alice).unwrap();
    let strike = Struck { version: 1, leaf: leaf.leaf_hash(), index: None };
    book.change(EventKind::Strike, &strike.to_canonical());
    book.end_group();
    let at = usize::try_from(size).unwrap();
    book.entries[at].event.as_mut().unwrap().after = Some(wire::bundle::Blob(left_behind));
    bench.add(&book, size).unwrap();
    assert!(bench.auditor.alarm().is_none());
    assert!(bench.metric("avouch_cosigner_alarm 0"));
    // What was passed over once is passed over at a restart.
    let end = book.edge.size();
    let bench = bench.restart(&book);
    book.end_group();
    bench.add(&book, end).unwrap();
}

/// Whoever has the log's key shows a forged history, and then goes on with the honest one as if
/// nothing had been. What was refused stays, as the proof that there were two.
#[test]
fn a_forged_history_that_the_log_goes_past_is_kept() {
    let mut book = Book::new(unwitnessed());
    let bench = Bench::new(&book);
    bench.add(&book, 0).unwrap();
    let size = book.edge.size();
    let take_back = book.forge_root();
    assert_eq!(bench.refuses(&book, size), ("map-root".to_owned(), size));
    let refused = bench.auditor.alarm().expect("an alarm").checkpoint;
    take_back(&mut book);
    book.enrol(&Key::new());
    book.end_group();
    bench.add(&book, size).unwrap();
    assert!(bench.auditor.alarm().is_none());
    let evidence = std::fs::read_dir(bench.folder.path().join("state/evidence")).unwrap();
    let [file] = &evidence.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()[..] else {
        panic!("one file of evidence")
    };
    assert!(file.file_name().unwrap().to_string_lossy().starts_with("fork-"));
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(json["shown"], refused.as_str());
    for note in ["cosigned", "shown"] {
        let note = Note::parse(json[note].as_str().unwrap()).unwrap();
        assert!(book.log_key().verify_note(&note).is_ok());
    }
    assert!(bench.metric("avouch_cosigner_refused_total{reason=\"fork\"} 1"));
}

#[test]
fn an_auditor_older_than_the_authority_goes_on_once_it_is_upgraded() {
    let (mut book, size) = enrolled();
    let Bench { folder, clock, auditor, .. } = Bench::new(&book);
    drop(auditor);
    let engine = book.genesis.engine - 1;
    let (auditor, metrics) = Bench::open_knowing(engine, &folder, &clock, &book).unwrap();
    let bench = Bench { folder, clock, auditor, metrics };
    assert_eq!(bench.refuses(&book, 0), ("engine-version".to_owned(), 0));
    assert!(bench.metric("avouch_cosigner_alarm 1"));
    let bench = bench.restart(&book);
    assert!(bench.auditor.alarm().is_some(), "until it has looked");
    bench.add(&book, 0).unwrap();
    assert!(bench.auditor.alarm().is_none());
    book.ask_for_switch(&Key::new());
    book.end_group();
    bench.add(&book, size).unwrap();
}

#[test]
fn an_alarm_stops_the_witness_call_too() {
    let (mut book, size) = enrolled();
    let bench = Bench::new(&book);
    bench.add(&book, 0).unwrap();
    let again = book.add_checkpoint(size).to_text();
    book.set(blinded(&alice()), Hash32::of(b"a head of mallory's making"));
    book.end_group();
    assert!(bench.add(&book, size).is_err());
    let (status, body) = bench.post(ADD_CHECKPOINT, again);
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(RefusedProblem::parse(&body).unwrap().refused.rule, "map-root");
}

#[test]
fn what_a_kill_left_unfinished_is_not_taken_for_audited() {
    let (mut book, size) = enrolled();
    let bench = Bench::new(&book);
    bench.add(&book, 0).unwrap();
    let path = bench.folder.path().join("state/audit/entries-0.jsonl");
    let before = std::fs::read(&path).unwrap();
    book.ask_for_switch(&Key::new());
    book.end_group();
    bench.add(&book, size).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let Bench { folder, clock, auditor, .. } = bench;
    drop(auditor);
    // What was co-signed is not there any more: nothing is built on that.
    std::fs::write(&path, &before).unwrap();
    let opened = Bench::open(&folder, &clock, &book);
    assert!(matches!(opened, Err(AuditorError::Behind { kept, .. }) if kept == size));
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(Bench::open(&folder, &clock, &book).is_err());
    // More than was co-signed is cut off.
    std::fs::write(&path, [&whole[..], b"{\"from\":"].concat()).unwrap();
    Bench::open(&folder, &clock, &book).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), whole);
}

#[test]
fn a_snapshot_is_gone_on_from_and_is_refused_where_it_was_changed() {
    let (mut book, size) = enrolled();
    let bench = Bench::new(&book);
    bench.add(&book, 0).unwrap();
    {
        let mut inner = bench.auditor.inner();
        let Inner { journal, replay, seen_ms, .. } = &mut *inner;
        let replay = replay.as_ref().unwrap();
        journal.snapshot(replay, *seen_ms, bench.auditor.desk()).unwrap();
    }
    book.ask_for_switch(&Key::new());
    book.end_group();
    bench.add(&book, size).unwrap();
    let middle = book.edge.size();
    // The entries before the snapshot are not needed for a start.
    std::fs::remove_file(bench.folder.path().join("state/audit/entries-0.jsonl")).unwrap();
    let bench = bench.restart(&book);
    book.end_group();
    bench.add(&book, middle).unwrap();
    let path = bench.folder.path().join(format!("state/audit/snapshot-{size}.json"));
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"status\":0", "\"status\":2")).unwrap();
    let Bench { folder, clock, auditor, .. } = bench;
    drop(auditor);
    assert!(matches!(
        Bench::open(&folder, &clock, &book),
        Err(AuditorError::Journal(JournalError::Damaged { .. }))
    ));
}

/// A body that goes on for ever after its beginning, and counts what was taken of it.
struct Endless(Option<String>, Arc<AtomicU64>);

impl HttpBody for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = self.0.take().unwrap_or_else(|| "{}\n".repeat(10_000));
        self.1.fetch_add(chunk.len() as u64, Ordering::SeqCst);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(chunk)))))
    }
}

#[test]
fn no_more_is_read_of_a_body_than_somebody_may_send() {
    let (book, size) = enrolled();
    let bench = Bench::new(&book);
    bench.add(&book, 0).expect("a lawful beginning");
    let audited_already = book.add_entries(size).to_body();
    let elsewhere = book.add_entries(0).to_body();
    let unsigned = audited_already.replace("\u{2014} ", "\u{2014} nobody.");
    for (begins, expected) in [
        (audited_already, StatusCode::PAYLOAD_TOO_LARGE),
        (elsewhere, StatusCode::CONFLICT),
        (unsigned, StatusCode::FORBIDDEN),
        (String::new(), StatusCode::BAD_REQUEST),
    ] {
        let taken = Arc::new(AtomicU64::new(0));
        let body = Body::new(Endless(Some(begins), Arc::clone(&taken)));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let answer = runtime.block_on(async {
            let request = Request::post(ADD_ENTRIES).body(body).unwrap();
            routes(Arc::clone(&bench.auditor), "").oneshot(request).await.unwrap()
        });
        assert_eq!(answer.status(), expected);
        let taken = taken.load(Ordering::SeqCst);
        assert!(taken < 1 << 20, "{expected}: {taken} bytes were read");
    }
}
