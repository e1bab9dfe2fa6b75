use wire::Encoded;
use wire::body::Struck;
use wire::event::EventKind;

use super::*;
use crate::audit::pieces;
use crate::testing::{Book, Key};

#[test]
fn events_are_in_the_order_of_their_leaves() {
    let mut book = Book::new(wire::rules::Rules::standard());
    let leaf = book.enrol(&Key::new());
    book.end_group();
    let mut timeline = book.timeline.clone();
    for leaf in [leaf.leaf_hash(), Hash32::of(b"another")] {
        let struck = Struck { version: 1, leaf, index: None };
        book.change(EventKind::Strike, &struck.to_canonical());
        book.end_group();
    }
    let changes: Vec<_> = book
        .entries
        .iter()
        .filter_map(|entry| {
            let exported = entry.event.as_ref()?;
            let event = Event::from_canonical(&exported.event.0).unwrap();
            let evidence = pieces(&exported.evidence, &event);
            let leaf = wire::leaf::Leaf::from_canonical(&entry.leaf.0).unwrap().leaf_hash();
            (event.kind == EventKind::Strike).then_some((entry.leaf_index, event, leaf, evidence))
        })
        .collect();
    let (at, event, leaf, evidence) = &changes[0];
    timeline.apply(*at, event, *leaf, evidence).unwrap();
    // The next one names the first, and can be written into a leaf before that all the same.
    let (_, event, leaf, evidence) = &changes[1];
    for early in [0, at - 1, *at] {
        let refused = timeline.apply(early, event, *leaf, evidence).unwrap_err();
        let TimelineError::History(HistoryError::Order { leaf_index, before, .. }) = refused else {
            panic!("{refused}");
        };
        assert_eq!((leaf_index, before), (early, *at));
    }
    timeline.apply(at + 1, event, *leaf, evidence).unwrap();
}
