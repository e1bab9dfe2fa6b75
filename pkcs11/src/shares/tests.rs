use super::*;
use std::time::{Duration, Instant};

fn pin(text: &str) -> Pin {
    Pin::new(text.to_owned())
}

#[test]
fn any_so_many_shares_give_the_pin_and_fewer_or_others_do_not() {
    let (set, shares) = split(&pin("correct-horse-7351"), 3, 5).unwrap();
    assert_eq!((set.threshold(), set.count()), (3, 5));
    for (a, b, c) in [(0, 1, 2), (4, 2, 0), (3, 1, 4)] {
        let some = [&shares[a], &shares[b], &shares[c]];
        assert_eq!(combine(&set, some).unwrap().expose(), "correct-horse-7351");
    }
    let few = combine(&set, [&shares[0], &shares[1]]).unwrap_err();
    assert_eq!(few, ShareError::Combination);
    let (_, others) = split(&pin("correct-horse-7351"), 3, 5).unwrap();
    let mixed = combine(&set, [&shares[0], &shares[1], &others[2]]).unwrap_err();
    assert_eq!(mixed, ShareError::Combination);
}

#[test]
fn shares_do_not_tell_the_length_of_a_pin_and_differ_each_time() {
    let text = |pin_text: &str| split(&pin(pin_text), 2, 2).unwrap().1[0].text().to_string();
    assert_eq!(text("1234").len(), text("123456789012345").len());
    assert_ne!(text("1234"), text("1234"));
    assert!(split(&pin(&"x".repeat(127)), 2, 3).is_ok());
    let long = split(&pin(&"x".repeat(128)), 2, 3).unwrap_err();
    assert_eq!(long, SplitError::Pin { len: 128 });
    assert_eq!(split(&pin(""), 2, 3).unwrap_err(), SplitError::Pin { len: 0 });
    for (threshold, count) in [(1, 3), (4, 3), (2, 33), (0, 0)] {
        let refused = split(&pin("1234"), threshold, count).unwrap_err();
        assert_eq!(refused, SplitError::Numbers { threshold, count });
    }
}

#[test]
fn a_share_is_read_however_it_is_spaced_and_each_slip_is_found() {
    let (set, shares) = split(&pin("1234"), 2, 3).unwrap();
    for share in &shares {
        let again = Share::parse(&share.lines()).unwrap();
        set.check(&again).unwrap();
        assert_eq!(again.text(), share.text());
        Share::parse(&share.text().to_uppercase()).unwrap();
    }
    let text = shares[0].text();
    for at in 0..text.len() {
        for with in ['q', 'p', 'l', '1', 'b'] {
            let mut wrong: Vec<char> = text.chars().collect();
            if wrong[at] == with {
                continue;
            }
            wrong[at] = with;
            let wrong: String = wrong.into_iter().collect();
            let refused = Share::parse(&wrong).unwrap_err();
            assert!(matches!(refused, ShareError::Malformed { .. }), "{wrong}");
        }
    }
    assert!(Share::parse("").is_err());
    assert!(Share::parse("pinshare1").is_err());
}

#[test]
fn a_share_that_was_not_made_for_the_set_is_told_before_anything_is_tried() {
    let (set, shares) = split(&pin("1234"), 2, 3).unwrap();
    let (other, _) = split(&pin("1234"), 2, 3).unwrap();
    assert!(matches!(other.check(&shares[0]).unwrap_err(), ShareError::OtherSet { .. }));
    let mut values = Locked::copy_of(&shares[1].values);
    values[7] ^= 1;
    let forged = Share { set: shares[1].set, number: 2, values };
    assert_eq!(set.check(&forged).unwrap_err(), ShareError::Forged { number: 2 });
    let beyond =
        Share { set: shares[1].set, number: 4, values: Locked::copy_of(&shares[1].values) };
    assert_eq!(set.check(&beyond).unwrap_err(), ShareError::Forged { number: 4 });
}

#[test]
fn a_set_is_read_as_it_was_written_and_not_otherwise() {
    let (set, _) = split(&pin("1234"), 2, 3).unwrap();
    let text = set.to_text();
    assert_eq!(ShareSet::parse(&text).unwrap(), set);
    for (from, to) in [
        ("v1", "v2"),
        ("open 2", "open 1"),
        ("open 2", "open 02"),
        ("of 3", "of 2"),
        ("share 2", "share 4"),
        ("whole", "hole"),
    ] {
        assert!(ShareSet::parse(&text.replace(from, to)).is_err(), "{from}: {to}");
    }
    assert!(ShareSet::parse(&format!("{text}\n")).is_err());
    assert!(ShareSet::parse(text.trim_end()).is_err());
    let printed = format!("{:?}", split(&pin("1234"), 2, 2).unwrap().1[0]);
    assert_eq!(printed, "Share(1 …)");
}

#[test]
fn shares_are_gathered_in_any_order_and_forgotten_after_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hsm.shares");
    let (set, shares) = split(&pin("1234-5678"), 2, 3).unwrap();
    std::fs::write(&file, set.to_text()).unwrap();
    let custody = Custody::new([("hsm".to_owned(), file.clone())]);
    assert_eq!(custody.which(None).unwrap(), "hsm");
    assert!(custody.which(Some("second_hsm")).is_err());
    let start = Instant::now();
    let at = |minutes: u64| start + Duration::from_secs(minutes * 60);
    let given = |minutes| custody.progress_at(at(minutes))["hsm"].given.clone();

    let waits = custody.hand_in_at("hsm", &shares[2].text(), at(0)).unwrap();
    assert!(matches!(waits, Gathered::Waiting));
    // The same one again brings nothing.
    let waits = custody.hand_in_at("hsm", &shares[2].text(), at(1)).unwrap();
    assert!(matches!(waits, Gathered::Waiting));
    // One of another set is refused, and takes nothing away.
    let (_, others) = split(&pin("1234-5678"), 2, 3).unwrap();
    custody.hand_in_at("hsm", &others[0].text(), at(1)).unwrap_err();
    assert_eq!(given(30), [3]);
    assert_eq!(given(31), [0; 0]);
    assert_eq!(custody.progress()["hsm"].of, Some((2, 3)));

    custody.hand_in_at("hsm", &shares[2].text(), at(40)).unwrap();
    let Gathered::Pin(whole) = custody.hand_in_at("hsm", &shares[0].text(), at(41)).unwrap() else {
        panic!("two of them are enough");
    };
    assert_eq!(whole.expose(), "1234-5678");
    assert_eq!(given(41), [0; 0]);

    // Another set in the file: what was gathered of the old one is no good any more.
    custody.hand_in_at("hsm", &shares[1].text(), at(42)).unwrap();
    let (set, shares) = split(&pin("changed-pin"), 2, 2).unwrap();
    std::fs::write(&file, set.to_text()).unwrap();
    let waits = custody.hand_in_at("hsm", &shares[1].text(), at(43)).unwrap();
    assert!(matches!(waits, Gathered::Waiting));
    assert_eq!(given(43), [2]);
}
