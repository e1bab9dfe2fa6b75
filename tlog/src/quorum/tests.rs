use proptest::prelude::*;

use super::*;
use crate::cosign::Cosigner;
use crate::note::NoteSignature;

const TEXT: &str = "log.example/avouch\n3\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

fn cosigner(n: u8) -> Cosigner {
    Cosigner::from_seed(&format!("w{n}.example"), &[n; 32]).unwrap()
}

/// Five witnesses w1 to w5, then more lines.
fn policy(rest: &str) -> String {
    let lines = (1..=5).map(|n| format!("witness w{n} {}\n", cosigner(n).key().vkey()));
    lines.collect::<String>() + rest
}

/// C2SP tlog-policy's example, with keys: two of three, and one of two.
fn two_organisations() -> Quorum {
    let text =
        "\n # whose?\ngroup x 2 w1 w2 w3\n\tgroup y any w4  w5\ngroup both all x y\nquorum both\n";
    Quorum::parse(&policy(text)).unwrap()
}

fn note(times: &[(u8, u64)]) -> Note {
    let stranger = Cosigner::from_seed("w1.example", &[99; 32]).unwrap();
    let mut lines: Vec<NoteSignature> =
        times.iter().map(|(n, time)| cosigner(*n).cosign(TEXT, *time).unwrap()).collect();
    lines.push(stranger.cosign(TEXT, 1).unwrap());
    Note::new(TEXT, &lines).unwrap()
}

#[test]
fn a_note_meets_the_rule_or_is_told_who_is_missing() {
    let quorum = two_organisations();
    let times = quorum.check(&note(&[(1, 10), (3, 30), (5, 20)])).unwrap();
    assert_eq!(times, Times::from([(0, 10), (2, 30), (4, 20)]));
    assert_eq!(quorum.as_of(&times), Some(10));
    let Err(QuorumError::Missing(missing)) = quorum.check(&note(&[(1, 10), (4, 30)])) else {
        panic!("met")
    };
    assert_eq!(
        missing.to_string(),
        "all of (2 of 3 of (w1, w2, w3), 1 of 2 of (w4, w5)); 2 did, missing: w2, w3"
    );
}

#[test]
fn the_quorum_vouches_as_of_the_latest_time_that_enough_agree_on() {
    let quorum = Quorum::parse(&policy("group g 2 w1 w2 w3\nquorum g\n")).unwrap();
    let times = quorum.times(&note(&[(1, 10), (2, 20), (3, 30), (4, 99)])).unwrap();
    assert_eq!(quorum.as_of(&times), Some(20));
    assert_eq!(quorum.as_of(&Times::from([(0, 5)])), None);
}

#[test]
fn a_bad_line_under_a_witness_name_is_no_absence() {
    let quorum = Quorum::parse(&policy("quorum w1\n")).unwrap();
    let blob = cosigner(2).cosign(TEXT, 5).unwrap().signature().to_vec();
    let bad = NoteSignature::new("w1.example", cosigner(1).key().id(), &blob).unwrap();
    let note = Note::new(TEXT, &[bad]).unwrap();
    let refused = quorum.check(&note);
    assert!(matches!(refused, Err(QuorumError::Cosignature(_))), "{refused:?}");
}

#[test]
fn nobody_is_asked_for_none() {
    let quorum = Quorum::parse("quorum none\n").unwrap();
    assert!(quorum.is_none() && quorum.met(|_| false));
    assert_eq!(quorum.as_of(&Times::new()), None);
}

#[test]
fn texts_that_are_not_policies_are_refused_with_the_line() {
    let same = cosigner(1).key().vkey();
    let log = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let cases: &[(String, usize)] = &[
        (String::new(), 1),
        ("quorum none".into(), 1),
        ("\n".into(), 2),
        (policy("quorum w1\nquorum w2\n"), 7),
        (policy("quorum w6\n"), 6),
        (policy("quorum g\ngroup g any w1\n"), 6),
        (policy("group g 0 w1\n"), 6),
        (policy("group g 2 w1\n"), 6),
        (policy("group g 01 w1\n"), 6),
        (policy("group g any\n"), 6),
        (policy("group g any w1 w1\n"), 6),
        (policy("group g any w1\ngroup h any w1\n"), 7),
        (policy("group g any none\n"), 6),
        (policy("group g any g\n"), 6),
        (policy("group w1 any w2\n"), 6),
        (policy("group none any w2\n"), 6),
        (policy(&format!("witness again {same}\n")), 6),
        (policy("witness x\n"), 6),
        (format!("witness x {log}\n"), 1),
        (format!("log {same}\n"), 1),
        (format!("log {log}\nlog {log}\n"), 2),
        ("quorum none\nallow all\n".into(), 2),
        ("quorum none\r\n".into(), 1),
        ("quorum\u{a0}none\n".into(), 1),
    ];
    for (text, line) in cases {
        let refused = Quorum::parse(text).unwrap_err();
        assert_eq!(refused.line, *line, "{text}: {refused}");
    }
    let long = format!("# {}\nquorum none\n", "x".repeat(MAX_POLICY));
    assert!(Quorum::parse(&long).is_err());
}

proptest! {
    /// More co-signatures never undo a quorum, the missing together with the present always meet
    /// it, and somebody is missing exactly where it is not met.
    #[test]
    fn quorums_only_gain(present: [bool; 5], more: [bool; 5], k in 1usize..4) {
        let rest = format!("group x {k} w1 w2 w3\ngroup both 1 x w4\ngroup t all both w5\nquorum t\n");
        let quorum = Quorum::parse(&policy(&rest)).unwrap();
        let met = quorum.met(|at| present[at]);
        prop_assert!(!met || quorum.met(|at| present[at] || more[at]));
        let missing = quorum.missing(|at| present[at]);
        prop_assert_eq!(met, missing.is_none());
        if let Some(missing) = missing {
            let names = missing.names;
            let named = |at: usize| names.contains(&format!("w{}", at + 1));
            prop_assert!(quorum.met(|at| present[at] || named(at)));
            prop_assert!((0..5).all(|at| !(present[at] && named(at))));
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "(log|witness|group|quorum|none|any|[a-c1-3 \t\n#])*") {
        let _ = Quorum::parse(&text);
    }
}
