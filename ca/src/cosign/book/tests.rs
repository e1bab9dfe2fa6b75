use tlog::cosign::Cosigner as Signer;
use tlog::note::Note;
use wire::genesis::CosignerKind::{Auditor, Witness};

use super::*;

const DEADLINE: Duration = Duration::from_secs(5);
const REFRESH: Duration = Duration::from_secs(60);

fn signer(n: u8) -> Signer {
    Signer::from_seed(&format!("c{n}.example"), &[n; 32]).unwrap()
}

fn cosigner(kind: CosignerKind, n: u8) -> Cosigner {
    Cosigner { kind, vkey: signer(n).key().vkey() }
}

fn id(n: u8) -> Hash32 {
    Hash32::of(signer(n).key().vkey().as_bytes())
}

fn book(cosigners: &[Cosigner]) -> Book {
    let peers: Vec<Peer> = cosigners
        .iter()
        .map(|c| Peer::new("name", c.kind, &c.vkey, "http://127.0.0.1:9", None).unwrap())
        .collect();
    Book::new(Quorum::of(cosigners).unwrap().0, cosigners, &peers)
}

fn offer(size: u64) -> Arc<Offer> {
    let text = format!("log.example\n{size}\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n");
    let note = Note::new(&text, &[signer(99).cosign(&text, 1).unwrap()]).unwrap().to_text();
    Arc::new(Offer::of(CheckpointRow { size, note }).unwrap())
}

fn word(n: u8, offer: &Offer, time: u64) -> TimedLine {
    let line = signer(n).cosign(offer.checkpoint.note().text(), time).unwrap();
    TimedLine { line: line.to_line().trim_end().to_owned(), time }
}

fn asked(book: &Book, now: Instant) -> Vec<Hash32> {
    book.due(now, REFRESH, |_| false).into_iter().map(|question| question.id).collect()
}

#[test]
fn what_enough_co_signed_is_shown_with_every_word() {
    let mut book = book(&[cosigner(Witness, 1), cosigner(Witness, 2), cosigner(Witness, 3)]);
    let (now, five) = (Instant::now(), offer(5));
    assert_eq!(asked(&book, now), []);
    book.offer(Arc::clone(&five));
    book.next_round(now, DEADLINE);
    assert_eq!(asked(&book, now), [id(1), id(2), id(3)]);
    book.cosigned(id(1), &five, word(1, &five, 100), now);
    assert!(book.vouched().is_none());
    assert!(
        book.missing(5).contains("1 did, missing: c2.example, c3.example"),
        "{}",
        book.missing(5)
    );
    book.cosigned(id(3), &five, word(3, &five, 101), now);
    assert_eq!(book.quorate(), Some(5));
    // One who is late is heard all the same.
    book.cosigned(id(2), &five, word(2, &five, 102), now);
    let vouched = book.vouched().unwrap();
    let note = Note::parse(&vouched.note()).unwrap();
    assert_eq!(book.quorum().check(&note).unwrap().len(), 3);
    assert!(asked(&book, now).is_empty());
    // An idle log is co-signed again at the same size.
    assert_eq!(asked(&book, now + REFRESH).len(), 3);
    book.cosigned(id(2), &five, word(2, &five, 500), now + REFRESH);
    let row = &book.vouched().unwrap().cosignatures[..];
    let row = row.iter().find(|row| row.cosigner == id(2)).unwrap();
    assert_eq!((row.first.time, row.latest.time), (102, 500));
}

#[test]
fn a_round_ends_with_the_quorum_or_in_time_and_nobody_waits_for_the_slow() {
    let mut book = book(&[cosigner(Auditor, 1), cosigner(Witness, 2)]);
    let (now, five, nine) = (Instant::now(), offer(5), offer(9));
    book.offer(Arc::clone(&five));
    book.next_round(now, DEADLINE);
    book.offer(Arc::clone(&nine));
    // The round at hand goes on: else those who are never at one size would never agree.
    book.next_round(now, DEADLINE);
    assert_eq!(book.target(), Some(5));
    book.cosigned(id(1), &five, word(1, &five, 1), now);
    let later = now + DEADLINE;
    book.next_round(later, DEADLINE);
    assert_eq!((book.target(), book.is_late()), (Some(9), true));
    assert_eq!(book.take_ended(), [Ended::Late]);
    book.cosigned(id(1), &nine, word(1, &nine, 2), later);
    // A word on the round before comes late, and makes that one whole.
    book.cosigned(id(2), &five, word(2, &five, 2), later);
    assert_eq!(book.quorate(), Some(5));
    assert!(book.is_late());
    book.cosigned(id(2), &nine, word(2, &nine, 3), later);
    assert_eq!((book.quorate(), book.is_late()), (Some(9), false));
}

#[test]
fn a_co_signer_that_fails_is_left_alone_longer_and_longer() {
    let mut book = book(&[cosigner(Witness, 1)]);
    let five = offer(5);
    book.offer(Arc::clone(&five));
    let mut now = Instant::now();
    book.next_round(now, DEADLINE);
    let mut longest = Duration::ZERO;
    for _ in 0..20 {
        book.failed(id(1), &Fault::Restless, now);
        assert!(asked(&book, now).is_empty());
        let wake = book.wake(now, Duration::from_secs(1 << 20), REFRESH);
        longest = longest.max(wake - now);
        now = wake;
        assert_eq!(asked(&book, now), [id(1)]);
    }
    assert!(longest >= LONGEST_DELAY && longest <= LONGEST_DELAY * 3 / 2, "{longest:?}");
    assert!(!book.is_well() && book.states()[0].contains("where it is"));
    book.cosigned(id(1), &five, word(1, &five, 1), now);
    assert!(book.is_well());
}

#[test]
fn another_quorum_counts_the_words_of_those_who_stay() {
    let (one, two, three) = (cosigner(Witness, 1), cosigner(Witness, 2), cosigner(Auditor, 3));
    let mut book = book(&[one.clone(), two.clone()]);
    let (now, five) = (Instant::now(), offer(5));
    book.offer(Arc::clone(&five));
    book.next_round(now, DEADLINE);
    book.cosigned(id(1), &five, word(1, &five, 1), now);
    assert_eq!(book.quorate(), None);
    // The other one is gone for ever: what waits is free.
    let alone = [one.clone()];
    book.under(Quorum::of(&alone).unwrap().0, &alone, &[]);
    assert_eq!(book.quorate(), Some(5));
    // An auditor comes: nothing counts without it, and whoever left counts no more.
    let others = [two, three, one];
    book.under(Quorum::of(&others).unwrap().0, &others, &[]);
    assert_eq!(book.quorate(), None);
    // One was known all the time, where the other two are is not said.
    assert_eq!(book.warnings(&[]).len(), 2);
}

#[test]
fn one_word_a_minute_is_kept_by_the_co_signers_clock() {
    let mut book = book(&[cosigner(Witness, 1)]);
    let now = Instant::now();
    let mut kept = Vec::new();
    for (size, time) in [(5, 60), (6, 61), (7, 119), (8, 120), (9, 121)] {
        let offer = offer(size);
        book.offer(Arc::clone(&offer));
        book.next_round(now, DEADLINE);
        book.cosigned(id(1), &offer, word(1, &offer, time), now);
        let (checkpoints, rows) = book.take_unstored();
        assert_eq!((checkpoints.len(), rows.len()), (1, 1));
        kept.extend(rows.iter().filter(|row| row.kept).map(|row| row.size));
    }
    assert_eq!(kept, [5, 8]);
}
