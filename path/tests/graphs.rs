//! More than one way, and none: what public suites ask about path building (the cross-signed CAs of
//! CVE-2024-0567, an expired certificate of a root that is there itself, rings), and other names
//! under constraints.

mod support;

use avouch_path::{Certificate, Given, Options, Profile, Purpose, Revocation, verify};
use support::code;
use support::der::{
    Draft, Key, ListDraft, NAMES, PURPOSES, SAN, Three, constraints, general_names, name, reason,
    seq, tlv, utc,
};

/// 2026-06-01.
const AT: i64 = 1_780_272_000;

fn ask(leaf: &Certificate, untrusted: &[Certificate], roots: &[Certificate]) -> &'static str {
    let given = Given { roots, untrusted, ..Given::default() };
    let verdicts = [Profile::Rfc5280, Profile::Strict]
        .map(|profile| code(&verify(leaf, &given, &Options::at(AT).profile(profile))));
    assert_eq!(verdicts[0], verdicts[1]);
    // The order of what is given is of no account.
    let reversed: Vec<_> = untrusted.iter().rev().cloned().collect();
    let given = Given { untrusted: &reversed, ..given };
    assert_eq!(code(&verify(leaf, &given, &Options::at(AT))), verdicts[0]);
    verdicts[0]
}

#[test]
fn three_that_sign_for_one_another() {
    let keys = [(); 3].map(|()| Key::new());
    let (below, end) = (Key::new(), Key::new());
    let names = ["A", "B", "C"];
    let mut untrusted = vec![Draft::ca("A1", &below, "A", &keys[0]).sign(&keys[0])];
    for (i, of) in names.iter().enumerate() {
        for (j, by) in names.iter().enumerate().filter(|(j, _)| *j != i) {
            untrusted.push(Draft::ca(of, &keys[i], by, &keys[j]).sign(&keys[j]));
        }
    }
    let leaf = Draft::leaf("leaf", &end, "A1", &below).sign(&below);
    let root = Draft::ca("A", &keys[0], "A", &keys[0]).sign(&keys[0]);
    assert_eq!(ask(&leaf, &untrusted, &[root]), "ok");
    let far = Draft::ca("C", &keys[2], "C", &keys[2]).sign(&keys[2]);
    assert_eq!(ask(&leaf, &untrusted, &[far]), "ok");
    let other = Draft::ca("D", &end, "D", &end).sign(&end);
    assert_eq!(ask(&leaf, &untrusted, &[other]), "no-issuer");
}

#[test]
fn an_expired_certificate_of_a_root_that_is_trusted_itself() {
    let [one, two, end] = [(); 3].map(|()| Key::new());
    let roots = [
        Draft::ca("one", &one, "one", &one).sign(&one),
        Draft::ca("two", &two, "two", &two).sign(&two),
    ];
    let expired = Draft {
        validity: (utc("200101000000Z"), utc("210101000000Z")),
        ..Draft::ca("one", &one, "two", &two)
    };
    let leaf = Draft::leaf("leaf", &end, "one", &one).sign(&one);
    let untrusted = [expired.sign(&two)];
    assert_eq!(ask(&leaf, &untrusted, &roots), "ok");
    // Without it the other way is all there is.
    assert_eq!(ask(&leaf, &untrusted, &roots[1..]), "expired");
}

#[test]
fn rings_without_a_way_out() {
    let [root, a, b, end] = [(); 4].map(|()| Key::new());
    let anchor = [Draft::ca("root", &root, "root", &root).sign(&root)];
    let leaf = |by| Draft::leaf("leaf", &end, by, &a).sign(&a);
    let two = [Draft::ca("a", &a, "b", &b).sign(&b), Draft::ca("b", &b, "a", &a).sign(&a)];
    assert_eq!(ask(&leaf("a"), &two, &anchor), "no-issuer");
    // One CA with two keys that vouch for each other.
    let one = [Draft::ca("a", &a, "a", &b).sign(&b), Draft::ca("a", &b, "a", &a).sign(&a)];
    assert_ne!(ask(&leaf("a"), &one, &anchor), "ok");
    let given = Given { roots: &anchor, untrusted: &one, ..Given::default() };
    let options = Options::at(AT).max_depth(Options::MAX_DEPTH);
    assert_ne!(code(&verify(&leaf("a"), &given, &options)), "ok");
}

#[test]
fn other_names_under_constraints() {
    let pki = Three::new();
    let other = [&[0x06, 3, 0x2a, 3, 9][..], &tlv(0xa0, &[5, 0])].concat();
    let names: &[(u8, &[u8])] = &[(0x82, b"example.com"), (0xa0, &other)];
    let ca = |excluded: &[(u8, &[u8])]| {
        let limits = constraints(&[(0x82, b"example.com")], excluded);
        pki.ca().with(NAMES, true, &limits).sign(&pki.root)
    };
    let leaf = |names| pki.leaf().with(SAN, false, &general_names(names)).sign(&pki.ca);
    let roots = [pki.root().sign(&pki.root)];
    let excluded: &[(u8, &[u8])] = &[(0xa0, &other)];
    assert_eq!(ask(&leaf(names), &[ca(excluded)], &roots), "name-constraints");
    assert_eq!(ask(&leaf(&names[..1]), &[ca(excluded)], &roots), "ok");
    assert_eq!(ask(&leaf(names), &[ca(&[])], &roots), "ok");
}

#[test]
fn mail() {
    let pki = Three::new();
    let roots = [pki.root().sign(&pki.root)];
    let untrusted = [pki.ca().sign(&pki.root)];
    let given = Given { roots: &roots, untrusted: &untrusted, ..Given::default() };
    let mail = [0x30, 10, 0x06, 8, 0x2b, 6, 1, 5, 5, 7, 3, 4];
    let tls = [0x30, 10, 0x06, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2];
    let named = |list: &[(u8, &[u8])]| {
        pki.leaf().with(PURPOSES, false, &mail).with(SAN, false, &general_names(list))
    };
    let user: &[(u8, &[u8])] = &[(0x81, b"user@example.com")];
    let in_subject = Draft { subject: name("user@example.com"), ..pki.leaf() };
    for (what, leaf, expected) in [
        ("named", named(user), "ok"),
        ("one of two", named(&[(0x81, b"x@example.com"), user[0]]), "ok"),
        ("another", named(&[(0x81, b"other@example.com")]), "wrong-name"),
        ("of another host", named(&[(0x81, b"user@example.org")]), "wrong-name"),
        ("of its host", named(&[(0x82, b"example.com")]), "wrong-name"),
        ("in the common name alone", in_subject, "wrong-name"),
        ("for TLS", named(user).with(PURPOSES, false, &tls), "extended-key-usage"),
        ("for nothing named", named(user).without(PURPOSES), "ok"),
    ] {
        let options = Options::at(AT).purpose(Purpose::Email).email("user@example.com");
        assert_eq!(code(&verify(&leaf.sign(&pki.ca), &given, &options)), expected, "{what}");
    }
}

/// When a revocation began is told, not weighed.
#[test]
fn dates_of_revocations() {
    let pki = Three::new();
    let roots = [pki.root().sign(&pki.root)];
    let untrusted = [pki.ca().sign(&pki.root)];
    for since in ["270101000000Z", "200101000000Z"] {
        let mut list = ListDraft::new("ca", &pki.ca).revoke(&[0x12, 0x34], &[reason(1)]);
        list.entries = vec![seq(&[&tlv(0x02, &[0x12, 0x34]), &utc(since)])];
        let crls = [list.sign(&pki.ca)];
        let given = Given { roots: &roots, untrusted: &untrusted, crls: &crls, ocsp: &[] };
        let options = Options::at(AT).revocation(Revocation::Leaf);
        assert_eq!(code(&verify(&pki.leaf().sign(&pki.ca), &given, &options)), "revoked");
    }
}
