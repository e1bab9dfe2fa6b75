//! The door: what people hand in counts from its receipt on, whatever the authority does with it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use evidence::audit::{
    ASK, AuditorAsk, EntriesHead, Replay, STATEMENTS, StandingHead, Wanted, nothing_else,
};
use evidence::dossier::Piece;
use evidence::handed::Received;
use evidence::testing::{SECRET, Signer};
use wire::body::VetoEffect;
use wire::bundle::ExportLeaf;
use wire::event::EventKind as K;
use wire::intent::Intent;
use wire::receipt::ReceiptFile;
use wire::request::{Kind, RequestFile};
use wire::rest::SignedRequest;
use wire::statement::Role;

use super::*;

/// Three days after the enrolment, in seconds.
const LATER: u64 = (NOON_MS + 72 * HOUR_MS) / 1000;

/// Alice has a key, and a switch to another one is approved. The book, its key, the intent, and an
/// auditor who has seen all of it.
fn pending() -> (Book, Key, Intent, Bench) {
    let mut book = Book::new(unwitnessed());
    let key = Key::new();
    book.enrol(&key);
    let intent = book.ask_for_switch(&Key::new());
    book.end_group();
    let bench = Bench::new(&book);
    bench.add(&book, 0).unwrap();
    (book, key, intent, bench)
}

fn request(intent: Option<&Intent>, statement: &Piece) -> SignedRequest {
    let intent = intent.map(|intent| STANDARD.encode(intent.to_canonical()));
    let statements = vec![STANDARD.encode(&statement.1)];
    SignedRequest { intent, statements, ..SignedRequest::default() }
}

fn veto(book: &Book, intent: &Intent, role: Role, by: &Signer) -> RequestFile {
    let statement = book.says_of(K::Veto, role, by, intent);
    RequestFile::about(book.genesis.hash(), Kind::Veto, intent.hash(), request(None, &statement))
}

fn file(book: &Book, intent: &Intent, statement: &Piece) -> RequestFile {
    RequestFile::request(book.genesis.hash(), request(Some(intent), statement))
}

impl Bench {
    /// Hands something in; the receipt, or the rule (else the code) by which it is refused.
    fn hand_in(&self, file: &RequestFile) -> Result<Received, String> {
        let (status, body) = self.post(STATEMENTS, file.to_text());
        let body = String::from_utf8(body).unwrap();
        if status != StatusCode::OK {
            let problem: serde_json::Value = serde_json::from_str(&body).expect("a problem");
            let code = problem["code"].as_str().unwrap().to_owned();
            return Err(problem["rule"].as_str().map_or(code, str::to_owned));
        }
        let file = ReceiptFile::new(file.to_text().into_bytes(), body);
        Ok(Received::open(&file, [&self.key()]).expect("a receipt by this auditor"))
    }

    fn question(&self, book: &Book, wanted: Wanted) -> AuditorAsk {
        let at = self.clock.load(Ordering::SeqCst);
        AuditorAsk { genesis: book.genesis.hash(), to: self.key().vkey(), at, wanted }
    }

    /// Asks as the authority: whether the door is closed, and what was handed in.
    fn asks(&self, book: &Book, wanted: Wanted) -> (bool, Vec<ReceiptFile>) {
        let question = self.question(book, wanted).to_text();
        let (status, body) = self.post(ASK, book.note(&question));
        assert_eq!(status, StatusCode::OK);
        let text = String::from_utf8(body).unwrap();
        let mut lines = text.lines();
        let head: StandingHead = serde_json::from_str(lines.next().unwrap()).unwrap();
        let files: Vec<_> = lines.map(|l| ReceiptFile::parse(l.as_bytes()).unwrap()).collect();
        assert_eq!(files.len(), head.count);
        (head.closed, files)
    }

    fn at(&self, seconds: u64) {
        self.clock.store(seconds, Ordering::SeqCst);
    }
}

#[test]
fn nothing_completes_that_was_stopped_before_whatever_the_authority_does() {
    let (mut book, key, intent, bench) = pending();
    let size = book.edge.size();
    let file = veto(&book, &intent, Role::CurrentKey, &key.signer);
    let received = bench.hand_in(&file).unwrap();
    assert_eq!(received.receipt.stops, [(intent.hash(), VetoEffect::Dropped)]);
    assert_eq!((received.receipt.size, received.time), (size, NOON_MS / 1000));
    // The same again has the same receipt, also after a restart.
    bench.at(NOON_MS / 1000 + 60);
    let bench = bench.restart(&book);
    assert_eq!(bench.hand_in(&file).unwrap().time, NOON_MS / 1000);
    let (_, handed) = bench.asks(&book, Wanted::Standing);
    assert_eq!(handed.len(), 1);
    assert_eq!(handed[0].request.0, file.to_text().as_bytes());
    // The authority has not heard of it, or says so.
    bench.at(LATER);
    book.now_ms += 72 * HOUR_MS;
    book.complete_switch(|_| {});
    book.end_group();
    assert_eq!(bench.refuses(&book, size), ("a-receipted-veto-counts".to_owned(), size));
    assert!(bench.auditor.alarm().is_some());
}

#[test]
fn what_the_authority_logs_is_done() {
    let (mut book, key, intent, bench) = pending();
    let size = book.edge.size();
    bench.hand_in(&veto(&book, &intent, Role::CurrentKey, &key.signer)).unwrap();
    let statement = book.says_of(K::Veto, Role::CurrentKey, &key.signer, &intent);
    book.veto(&intent, &[statement]);
    book.end_group();
    bench.add(&book, size).unwrap();
    assert_eq!(bench.asks(&book, Wanted::Standing), (false, vec![]));
    // Another switch is another matter.
    let next = book.edge.size();
    book.ask_for_switch(&Key::new());
    book.end_group();
    bench.add(&book, next).unwrap();
    let last = book.edge.size();
    bench.at(LATER);
    book.now_ms += 72 * HOUR_MS;
    book.complete_switch(|_| {});
    book.end_group();
    bench.add(&book, last).unwrap();
}

#[test]
fn a_veto_that_slows_is_heeded_by_a_longer_wait() {
    let (mut book, key, intent, bench) = pending();
    let size = book.edge.size();
    // An officer doubts who holds the key, and says so at the door; the authority logs that.
    let suspend = book.intent(K::Suspend, None);
    let statement = book.says(Role::Officer, &book.officers[2], &suspend);
    let received = bench.hand_in(&file(&book, &suspend, &statement)).unwrap();
    assert!(received.receipt.stops.is_empty());
    book.ask(&suspend, &[statement]);
    book.end_group();
    bench.add(&book, size).unwrap();
    let next = book.edge.size();
    let slows = bench.hand_in(&veto(&book, &intent, Role::CurrentKey, &key.signer)).unwrap();
    assert_eq!(slows.receipt.stops, [(intent.hash(), VetoEffect::Slowed)]);
    bench.at(LATER);
    book.now_ms += 72 * HOUR_MS;
    book.complete_switch(|_| {});
    book.end_group();
    assert_eq!(bench.refuses(&book, next).0, "a-receipted-veto-counts");
}

#[test]
fn what_would_not_be_logged_is_not_receipted() {
    let (mut book, key, intent, bench) = pending();
    let stranger = Signer::new();
    let refused = |file: &RequestFile| bench.hand_in(file).map(|_| ()).unwrap_err();
    assert_eq!(refused(&veto(&book, &intent, Role::CurrentKey, &stranger)), "evidence");
    let alone = veto(&book, &intent, Role::Officer, &book.officers[0]);
    assert_eq!(refused(&alone), "threshold-of-officers");
    let other = Intent { nonce: wire::octets(&[77; 16]), ..intent.clone() };
    let nothing = veto(&book, &other, Role::CurrentKey, &key.signer);
    assert_eq!(refused(&nothing), "a-switch-is-pending");
    let mut elsewhere = veto(&book, &intent, Role::CurrentKey, &key.signer);
    elsewhere.genesis = Hash32::of(b"another installation");
    assert_eq!(refused(&elsewhere), "installation");
    let mut approval = veto(&book, &intent, Role::Officer, &book.officers[2]);
    approval.kind = Kind::Approval;
    assert_eq!(refused(&approval), "what-auditors-take");
    let resume = book.intent(K::Resume, None);
    let statement = book.says(Role::Officer, &book.officers[0], &resume);
    assert_eq!(refused(&file(&book, &resume, &statement)), "what-auditors-take");
    let suspend = book.intent(K::Suspend, None);
    let statement = book.says(Role::CurrentKey, &stranger, &suspend);
    assert_eq!(refused(&file(&book, &suspend, &statement)), "evidence");
    let (status, _) = bench.post(STATEMENTS, " ".repeat(100_000));
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let (status, _) = bench.post(STATEMENTS, "{}".to_owned());
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(bench.asks(&book, Wanted::Standing).1.len(), 0);
}

#[test]
fn while_something_completes_the_door_is_shut_for_it_and_not_for_long() {
    let (mut book, key, intent, bench) = pending();
    let objection = veto(&book, &intent, Role::CurrentKey, &key.signer);
    let closing = Wanted::Closing(intent.hash());
    assert!(bench.asks(&book, closing).0);
    assert_eq!(bench.hand_in(&objection).unwrap_err(), "overloaded");
    // What stops nothing is taken meanwhile.
    let suspend = book.intent(K::Suspend, None);
    let statement = book.says(Role::CurrentKey, &key.signer, &suspend);
    bench.hand_in(&file(&book, &suspend, &statement)).unwrap();
    bench.at(NOON_MS / 1000 + 31);
    assert!(!bench.asks(&book, closing).0, "the door can be held shut");
    bench.hand_in(&objection).unwrap();
    // From then on everybody who asks is told of the veto.
    bench.at(NOON_MS / 1000 + 200);
    let (_, handed) = bench.asks(&book, closing);
    assert!(handed.iter().any(|handed| handed.request.0 == objection.to_text().as_bytes()));
}

#[test]
fn only_the_logs_own_key_is_told_what_was_handed_in() {
    let (book, key, intent, bench) = pending();
    bench.hand_in(&veto(&book, &intent, Role::CurrentKey, &key.signer)).unwrap();
    let ask = bench.question(&book, Wanted::Standing);
    let status = |note: String| bench.post(ASK, note).0;
    assert_eq!(status(book.note(&ask.to_text())), StatusCode::OK);
    assert_eq!(status(book.checkpoint()), StatusCode::FORBIDDEN);
    let stranger = bench.auditor.desk().vouch(&ask.to_text()).unwrap();
    assert_eq!(status(stranger.to_text()), StatusCode::FORBIDDEN);
    for other in [
        AuditorAsk { to: "another.example/one+00000000+AAAA".to_owned(), ..ask.clone() },
        AuditorAsk { at: ask.at - 301, ..ask.clone() },
        AuditorAsk { genesis: Hash32::of(b"another"), ..ask.clone() },
    ] {
        assert_eq!(status(book.note(&other.to_text())), StatusCode::FORBIDDEN);
    }
    let unknown = ask.to_text().replace("standing", "everything");
    assert_eq!(status(book.note(&unknown)), StatusCode::FORBIDDEN);
}

#[test]
fn entries_are_given_back_as_they_were_taken() {
    let (mut book, _, _, bench) = pending();
    let first = book.edge.size();
    book.end_group();
    bench.add(&book, first).unwrap();
    let size = book.edge.size();
    for from in [0, 1, first - 1, first, size] {
        let question = bench.question(&book, Wanted::Entries(from)).to_text();
        let (status, body) = bench.post(ASK, book.note(&question));
        assert_eq!(status, StatusCode::OK);
        let text = String::from_utf8(body).unwrap();
        let mut lines = text.lines();
        let head: EntriesHead = serde_json::from_str(lines.next().unwrap()).unwrap();
        let note = Note::parse(&head.checkpoint).unwrap();
        assert!(bench.key().time_in(&note).unwrap().is_some(), "its own word is under it");
        let entries: Vec<ExportLeaf> = lines.map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(entries.len() as u64, head.count);
        let kept = &book.entries[usize::try_from(from).unwrap()..];
        assert_eq!(entries, kept, "from {from}");
        if from == 0 {
            let mut replay = Replay::begin(&book.genesis, SECRET).unwrap();
            for entry in &entries {
                replay.apply(entry, &nothing_else).unwrap();
            }
            assert_eq!(replay.size(), size);
        }
    }
}
