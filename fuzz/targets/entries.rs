//! What an authority that is not trusted hands to an auditor, and what somebody who says that he is
//! an auditor answers. Nothing of it panics; what is taken writes itself again; what is refused
//! changes nothing.
#![no_main]

use std::sync::LazyLock;

use evidence::audit::{AddEntries, RefusedProblem, Replay, nothing_else};
use evidence::testing::{Book, Key, SECRET};
use libfuzzer_sys::fuzz_target;
use tlog::witness::AddCheckpoint;
use wire::event::Event;
use wire::rules::Rules;

/// A lawful log: its genesis event, and a body of it that inputs can be spliced into.
static BOOK: LazyLock<(Event, String)> = LazyLock::new(|| {
    let mut book = Book::new(Rules { allow_unwitnessed: true, ..Rules::standard() });
    book.enrol(&Key::new());
    book.end_group();
    book.ask_for_switch(&Key::new());
    book.end_group();
    (book.genesis.clone(), book.add_entries(0).to_body())
});

fuzz_target!(|data: &[u8]| {
    if let Some(problem) = RefusedProblem::parse(data) {
        let again = RefusedProblem::of(problem.refused.clone());
        assert_eq!(again.refused, problem.refused);
    }
    taken(data);
    let Some((place, cut)) = data.split_first_chunk::<4>() else { return };
    // Somewhere in a lawful body other bytes.
    let (_, body) = &*BOOK;
    let at = u32::from_le_bytes(*place) as usize % body.len();
    let rest = body.len().min(at + cut.len());
    taken(&[&body.as_bytes()[..at], cut, &body.as_bytes()[rest..]].concat());
});

fn taken(body: &[u8]) {
    let Ok(asked) = AddEntries::parse(body) else { return };
    assert_eq!(AddEntries::parse(asked.to_body().as_bytes()).as_ref(), Ok(&asked));
    let request: &AddCheckpoint = asked.request();
    let Ok(mut replay) = Replay::begin_auditing(&BOOK.0, SECRET) else { return };
    let head = (request.checkpoint().size(), request.checkpoint().root());
    if replay.batch(asked.entries(), head, &nothing_else).is_err() {
        assert_eq!((replay.size(), replay.events(), replay.identities()), (0, 0, 0));
    }
}
