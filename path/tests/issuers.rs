//! What RFC 5280 sections 4 and 5 forbid issuers to write, rule by rule: taken under `rfc5280`,
//! refused under `strict`. The rules with their places are in `docs/rfc5280.md`; what is held
//! elsewhere is in `suites.rs` and `status.rs`.

mod support;

use avouch_path::{Certificate, Crl, Given, OcspResponse, Options, Profile, Revocation, verify};
use support::code;
use support::der::{
    BASIC, CRL_NUMBER, DELTA, Draft, ENTRY_ISSUER, GOOD, IDP, Key, ListDraft, NAMES, POINTS,
    PURPOSES, REASON, Responder, SAN, Three, USAGE, answer, ce, entry_issuer, general_names,
    generalized, name, reason, seq, single, tlv, utc,
};

/// 2026-06-01.
const AT: i64 = 1_780_272_000;
const IAN: u8 = 18;
const POLICIES: u8 = 32;
const MAPPINGS: u8 = 33;
const FRESHEST: u8 = 46;
const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const IA5: u8 = 0x16;
const VISIBLE: u8 = 0x1a;
const BMP: u8 = 0x1e;

struct Pki(Three);

impl std::ops::Deref for Pki {
    type Target = Three;

    fn deref(&self) -> &Three {
        &self.0
    }
}

impl Pki {
    fn ask(
        &self,
        ca: &Draft,
        leaf: &Draft,
        crls: &[Crl],
        ocsp: &[OcspResponse],
        profile: Profile,
    ) -> String {
        let roots = [self.root().sign(&self.root)];
        let untrusted = [ca.sign(&self.root)];
        let leaf = Certificate::from_der(&leaf.der(&self.ca)).unwrap();
        let given = Given { roots: &roots, untrusted: &untrusted, crls, ocsp };
        let status = !crls.is_empty() || !ocsp.is_empty();
        let revocation = if status { Revocation::Leaf } else { Revocation::Ignored };
        let options = Options::at(AT).profile(profile).revocation(revocation);
        let report = verify(&leaf, &given, &options);
        let rule = report.checks().iter().find(|check| {
            check.check == "conformance" && check.outcome == avouch_path::Outcome::Failed
        });
        let rule = rule.map_or(String::new(), |check| format!(" {}", check.rfc));
        format!("{}{rule}", code(&report))
    }

    /// Taken by `rfc5280`; under `strict` refused for this section, or taken where it is empty.
    #[track_caller]
    fn leaf_is(&self, what: &str, leaf: &Draft, section: &str) {
        self.pair_is(what, &self.ca(), leaf, section);
    }

    #[track_caller]
    fn pair_is(&self, what: &str, ca: &Draft, leaf: &Draft, section: &str) {
        let strict =
            if section.is_empty() { "ok".into() } else { format!("nonconforming {section}") };
        assert_eq!(self.ask(ca, leaf, &[], &[], Profile::Rfc5280), "ok", "{what}");
        assert_eq!(self.ask(ca, leaf, &[], &[], Profile::Strict), strict, "{what}");
    }

    fn list(&self) -> ListDraft {
        ListDraft::new("ca", &self.ca)
    }

    /// A list that clears the leaf under `rfc5280`, and under `strict` if `fine`.
    #[track_caller]
    fn list_is(&self, what: &str, list: &ListDraft, fine: bool) {
        let crls = [list.sign(&self.ca)];
        let ask = |profile| self.ask(&self.ca(), &self.leaf(), &crls, &[], profile);
        assert_eq!(ask(Profile::Rfc5280), "ok", "{what}");
        assert_eq!(ask(Profile::Strict), if fine { "ok" } else { "status-missing" }, "{what}");
    }
}

fn pki() -> Pki {
    Pki(Three::new())
}

/// A name of one attribute below 2.5.4.
fn attribute(kind: u8, tag: u8, text: &[u8]) -> Vec<u8> {
    seq(&[&tlv(0x31, &seq(&[&[0x06, 3, 0x55, 4, kind], &tlv(tag, text)]))])
}

fn email_attribute(tag: u8, text: &[u8]) -> Vec<u8> {
    let kind = [0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1];
    seq(&[&tlv(0x31, &seq(&[&kind, &tlv(tag, text)]))])
}

#[test]
fn names() {
    let pki = pki();
    let (long, at_most) = ("x".repeat(65), "x".repeat(64));
    for (what, subject, section) in [
        ("a common name of 64", attribute(3, UTF8, at_most.as_bytes()), ""),
        ("a common name of 65", attribute(3, UTF8, long.as_bytes()), "4.1.2.6"),
        ("64 characters beyond ASCII", attribute(3, UTF8, "ü".repeat(64).as_bytes()), ""),
        ("an empty common name", attribute(3, UTF8, b""), "4.1.2.6"),
        ("a common name in an IA5String", attribute(3, IA5, b"x"), "4.1.2.6"),
        ("one in a TeletexString, as before", attribute(3, 0x14, b"x"), ""),
        ("a PrintableString with an @", attribute(10, PRINTABLE, b"a@b"), "4.1.2.6"),
        ("a locality of 128", attribute(7, UTF8, "x".repeat(128).as_bytes()), ""),
        ("a locality of 129", attribute(7, UTF8, "x".repeat(129).as_bytes()), "4.1.2.6"),
        ("a country", attribute(6, PRINTABLE, b"DE"), ""),
        ("a country of three letters", attribute(6, PRINTABLE, b"GER"), "4.1.2.6"),
        ("a country in UTF-8", attribute(6, UTF8, b"DE"), "4.1.2.6"),
        ("a number in UTF-8", attribute(5, UTF8, b"1"), "4.1.2.6"),
        ("an unknown attribute", attribute(99, IA5, b""), ""),
        ("an address in the subject alone", email_attribute(IA5, b"a@b.c"), "4.1.2.6"),
    ] {
        pki.leaf_is(what, &Draft { subject, ..pki.leaf() }, section);
    }
    let both = |tag| {
        let named = pki.leaf().with(SAN, false, &general_names(&[(0x81, b"a@b.c")]));
        Draft { subject: email_attribute(tag, b"a@b.c"), ..named }
    };
    pki.leaf_is("an address in both places", &both(IA5), "");
    pki.leaf_is("an address in UTF-8", &both(UTF8), "4.1.2.6");
    let mailbox = |address: &str| {
        let kind = [0x06, 8, 0x2b, 6, 1, 5, 5, 7, 8, 9];
        let other = [&kind[..], &tlv(0xa0, &tlv(UTF8, address.as_bytes()))].concat();
        pki.leaf().with(SAN, false, &general_names(&[(0xa0, &other)]))
    };
    pki.leaf_is("a mailbox beyond ASCII", &mailbox("jürgen@example.com"), "");
    pki.leaf_is("one in ASCII as if it were", &mailbox("a@example.com"), "4.2.1.6");
    pki.leaf_is("a host beyond ASCII", &mailbox("jürgen@bücher.example"), "4.2.1.6");
}

#[test]
fn usages_by_the_kind_of_key() {
    let pki = pki();
    let usage = |bits: &[u8]| pki.leaf().with(USAGE, true, bits);
    pki.leaf_is("keyAgreement on a curve", &usage(&[3, 2, 3, 0x08]), "");
    pki.leaf_is("keyEncipherment on a curve", &usage(&[3, 2, 5, 0xa0]), "RFC 8813 3");
    pki.leaf_is("dataEncipherment on a curve", &usage(&[3, 2, 4, 0x90]), "RFC 8813 3");
    pki.leaf_is("bits not set at the end", &usage(&[3, 2, 0, 0x80]), "4.1");
    let ed25519 = seq(&[&[0x30, 5, 0x06, 3, 0x2b, 0x65, 0x70], &tlv(0x03, &[0; 33])]);
    let ed = |bits: &[u8]| Draft { spki: ed25519.clone(), ..usage(bits) };
    pki.leaf_is("Ed25519 that signs", &ed(&[3, 2, 6, 0xc0]), "");
    pki.leaf_is("Ed25519 that agrees on keys", &ed(&[3, 2, 3, 0x88]), "RFC 9295 3");
}

#[test]
fn defaults_written_out() {
    let pki = pki();
    let basic = pki.leaf().with(BASIC, true, &[0x30, 3, 1, 1, 0]);
    pki.leaf_is("cA FALSE", &basic, "4.1");
    let limits = seq(&[&tlv(0xa0, &seq(&[&tlv(0x82, b"example.com"), &[0x80, 1, 0]]))]);
    pki.pair_is("minimum 0", &pki.ca().with(NAMES, true, &limits), &pki.leaf(), "4.2.1.10");
}

fn point(name: Option<&[u8]>, reasons: Option<&[u8]>, issuers: &[(u8, &[u8])]) -> Vec<u8> {
    let issuers: Vec<u8> = issuers.iter().flat_map(|(tag, text)| tlv(*tag, text)).collect();
    seq(&[
        &name.map_or(Vec::new(), |name| tlv(0xa0, name)),
        &reasons.map_or(Vec::new(), |bits| tlv(0x81, bits)),
        &if issuers.is_empty() { Vec::new() } else { tlv(0xa2, &issuers) },
    ])
}

fn uri(text: &str) -> Vec<u8> {
    tlv(0xa0, &tlv(0x86, text.as_bytes()))
}

#[test]
fn distribution_points() {
    let pki = pki();
    let at = |kind, points: &[Vec<u8>]| pki.leaf().with(kind, false, &tlv(0x30, &points.concat()));
    let (here, some) = (uri("http://example.com/a.crl"), [6, 0x40]);
    let relative = tlv(0xa1, &[&seq(&[&[0x06, 3, 0x55, 4, 3], &tlv(UTF8, b"x")])[..]].concat());
    let (ca, a, b) = (name("ca"), name("a"), name("b"));
    for (what, points, section) in [
        ("a URI", vec![point(Some(&here), None, &[])], ""),
        ("of some reasons", vec![point(Some(&here), Some(&some), &[])], "4.2.1.13"),
        (
            "of some, and of all",
            vec![point(Some(&here), Some(&some), &[]), point(Some(&here), None, &[])],
            "",
        ),
        ("of another issuer", vec![point(Some(&here), None, &[(0xa4, &a)])], ""),
        (
            "of its own issuer in so many words",
            vec![point(Some(&here), None, &[(0xa4, &ca)])],
            "4.2.1.13",
        ),
        ("of two issuers", vec![point(Some(&here), None, &[(0xa4, &a), (0xa4, &b)])], "4.2.1.13"),
        (
            "of an issuer by URI",
            vec![point(Some(&here), None, &[(0x86, b"http://a/")])],
            "4.2.1.13",
        ),
        ("relative", vec![point(Some(&relative), None, &[])], ""),
        (
            "relative to two",
            vec![point(Some(&relative), None, &[(0xa4, &a), (0xa4, &b)])],
            "4.2.1.13",
        ),
    ] {
        pki.leaf_is(what, &at(POINTS, &points), section);
    }
    for (text, section) in [
        ("ldap://h.example/cn=x?certificateRevocationList;binary", ""),
        ("ldap:///cn=x?certificateRevocationList", ""),
        ("ldap://h.example/cn=x", "4.2.1.13"),
        ("ldap://h.example/?certificateRevocationList", "4.2.1.13"),
        ("LDAP://h.example/cn=x?a,b", "4.2.1.13"),
        ("ldaps://h.example", "4.2.1.13"),
    ] {
        pki.leaf_is(text, &at(POINTS, &[point(Some(&uri(text)), None, &[])]), section);
    }
    pki.leaf_is("freshest", &at(FRESHEST, &[point(Some(&here), None, &[])]), "");
    pki.leaf_is("freshest, and none", &at(FRESHEST, &[]), "4.2.1.15");
    pki.leaf_is("freshest, and no points", &pki.leaf().with(FRESHEST, false, &[5, 0]), "4.2.1.15");
}

#[test]
fn policies() {
    let pki = pki();
    const ONE: &[u8] = &[0x06, 3, 0x2a, 3, 4];
    const ANY: &[u8] = &[0x06, 4, 0x55, 0x1d, 0x20, 0];
    let qualifier =
        |kind: u8, value: &[u8]| seq(&[&[0x06, 8, 0x2b, 6, 1, 5, 5, 7, 2, kind], value]);
    let notice = |tag, text: &[u8]| qualifier(2, &seq(&[&tlv(tag, text)]));
    let leaf = |policy: &[u8], qualifier: &[u8]| {
        pki.leaf().with(POLICIES, false, &seq(&[&seq(&[policy, &seq(&[qualifier])])]))
    };
    let (fits, long) = ("ü".repeat(200), "x".repeat(201));
    for (what, policy, qualifier, section) in [
        ("a practice statement", ONE, qualifier(1, &tlv(IA5, b"http://a/")), ""),
        ("one in UTF-8", ONE, qualifier(1, &tlv(UTF8, b"http://a/")), "4.2.1.4"),
        ("a notice", ONE, notice(UTF8, fits.as_bytes()), ""),
        ("a notice of 201", ONE, notice(UTF8, long.as_bytes()), "4.2.1.4"),
        ("an empty notice", ONE, notice(UTF8, b""), "4.2.1.4"),
        ("in a VisibleString", ONE, notice(VISIBLE, b"x"), ""),
        ("in a BMPString", ONE, notice(BMP, b"\0x"), ""),
        ("in an IA5String", ONE, notice(IA5, b"x"), "4.2.1.4"),
        ("in a TeletexString", ONE, notice(0x14, b"x"), "4.2.1.4"),
        ("no notice at all", ONE, qualifier(2, &[5, 0]), "4.2.1.4"),
        ("another qualifier", ONE, seq(&[&[0x06, 2, 0x2a, 9], &[5, 0]]), ""),
        ("another of anyPolicy", ANY, seq(&[&[0x06, 2, 0x2a, 9], &[5, 0]]), "4.2.1.4"),
        ("a notice of anyPolicy", ANY, notice(UTF8, b"x"), ""),
    ] {
        pki.leaf_is(what, &leaf(policy, &qualifier), section);
    }
    let mapped = pki.leaf().with(MAPPINGS, true, &seq(&[&seq(&[ANY, ONE])]));
    pki.leaf_is("a leaf that maps anyPolicy", &mapped, "4.2.1.5");
}

#[test]
fn other_extensions() {
    let pki = pki();
    let issuers = |names: &[u8]| pki.leaf().with(IAN, false, names);
    pki.leaf_is("names of the issuer", &issuers(&general_names(&[(0x82, b"ca.example")])), "");
    pki.leaf_is("none", &issuers(&[0x30, 0]), "4.2.1.7");
    pki.leaf_is("one that is none", &issuers(&general_names(&[(0x82, b"a b")])), "4.2.1.7");
    pki.leaf_is("no names", &issuers(&[5, 0]), "4.2.1.7");
    let checked = |value: &[u8]| {
        let mut leaf = pki.leaf();
        leaf.extensions.push((vec![0x2b, 6, 1, 5, 5, 7, 0x30, 1, 5], false, value.to_vec()));
        leaf
    };
    pki.leaf_is("noCheck", &checked(&[5, 0]), "");
    pki.leaf_is("noCheck of something", &checked(&[1, 1, 0xff]), "RFC 6960 4.2.2.2.1");
}

#[test]
fn lists() {
    let pki = pki();
    let list = || pki.list();
    pki.list_is("as it should be", &list().revoke(&[1], &[reason(1)]), true);
    let raw = |entries: Vec<Vec<u8>>| ListDraft { entries, ..list() };
    // An empty SEQUENCE of entries, which the draft leaves out.
    let empty = Crl::from_der(&empty_entries(&pki)).unwrap();
    let ask = |profile| pki.ask(&pki.ca(), &pki.leaf(), std::slice::from_ref(&empty), &[], profile);
    assert_eq!(
        (ask(Profile::Rfc5280), ask(Profile::Strict)),
        ("ok".into(), "status-missing".into())
    );
    let none = seq(&[&[0x02, 1, 1], &utc("260201000000Z"), &[0x30, 0]]);
    pki.list_is("no entry extension in their list", &raw(vec![none]), false);
    let number = |octets: &[u8]| list().with(CRL_NUMBER, false, &tlv(0x02, octets));
    pki.list_is("number of 20 octets", &number(&[0x7f; 20]), true);
    pki.list_is("number of 21 octets", &number(&[0x7f; 21]), false);
    pki.list_is("negative number", &number(&[0x80]), false);
    let point = |value: &[u8]| list().with(IDP, true, &tlv(0x30, value));
    pki.list_is("a point that says nothing", &point(&[]), false);
    pki.list_is("indirect", &point(&[0x84, 1, 0xff]), true);
    pki.list_is("not indirect in so many words", &point(&[0x84, 1, 0]), false);
    pki.list_is("of users", &point(&[0x81, 1, 0xff]), true);
    let indirect = || point(&[0x84, 1, 0xff]);
    pki.list_is("of another issuer", &indirect().revoke(&[1], &[entry_issuer("x")]), true);
    pki.list_is("of another, not indirect", &list().revoke(&[1], &[entry_issuer("x")]), false);
    let lax = (ce(ENTRY_ISSUER), false, general_names(&[(0xa4, &name("x"))]));
    pki.list_is("an issuer that is not critical", &indirect().revoke(&[1], &[lax]), false);
    let critical = (ce(REASON), true, vec![0x0a, 1, 1]);
    pki.list_is("a critical reason", &list().revoke(&[1], &[critical]), false);
    pki.list_is("reason 7", &list().revoke(&[1], &[reason(7)]), false);
    pki.list_is("reason 11", &list().revoke(&[1], &[reason(11)]), false);
    pki.list_is("removed from a complete list", &list().revoke(&[1], &[reason(8)]), false);
    let since = |critical, value: Vec<u8>| list().revoke(&[1], &[(ce(24), critical, value)]);
    pki.list_is("invalid since", &since(false, generalized("20260101000000Z")), true);
    pki.list_is("critically invalid since", &since(true, generalized("20260101000000Z")), false);
    pki.list_is("invalid since then", &since(false, utc("260101000000Z")), false);
    let access = |critical, method: u8| {
        let one = seq(&[&[0x06, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, method], &tlv(0x86, b"http://a/")]);
        let mut list = list();
        list.extensions.push((vec![0x2b, 6, 1, 5, 5, 7, 1, 1], critical, seq(&[&one])));
        list
    };
    pki.list_is("its issuer's certificate", &access(false, 2), true);
    pki.list_is("its issuer's OCSP", &access(false, 1), false);
    pki.list_is("freshest", &list().with(FRESHEST, false, &seq(&[&fresh()])), true);
    // In a delta beside a complete list, which is heard but does not release.
    let held = ListDraft { times: (utc("260529000000Z"), utc("260630000000Z")), ..list() };
    let held = held.revoke(&[0x12, 0x34], &[reason(6)]).sign(&pki.ca);
    let delta = |freshest: bool| {
        let delta = list().with(CRL_NUMBER, false, &[2, 1, 10]).with(DELTA, true, &[2, 1, 9]);
        let delta = delta.revoke(&[0x12, 0x34], &[reason(8)]);
        if freshest { delta.with(FRESHEST, false, &seq(&[&fresh()])) } else { delta }
    };
    for (freshest, strict) in [(false, "ok"), (true, "revoked")] {
        let crls = [held.clone(), delta(freshest).sign(&pki.ca)];
        let ask = |profile| pki.ask(&pki.ca(), &pki.leaf(), &crls, &[], profile);
        assert_eq!((ask(Profile::Rfc5280).as_str(), ask(Profile::Strict).as_str()), ("ok", strict));
    }
}

fn fresh() -> Vec<u8> {
    point(Some(&uri("http://example.com/delta.crl")), None, &[])
}

/// Entries that are there and none.
fn empty_entries(pki: &Pki) -> Vec<u8> {
    let marked = ListDraft { entries: vec![vec![]], ..pki.list() };
    marked.der(&pki.ca)
}

/// What makes a CRL of a kind of certificates that there are none of here: attribute certificates,
/// or two kinds at once. Nobody is cleared by it.
#[test]
fn lists_of_nothing() {
    let pki = pki();
    for flags in [&[0x85, 1, 0xff][..], &[0x81, 1, 0xff, 0x82, 1, 0xff]] {
        let crls = [pki.list().with(IDP, true, &tlv(0x30, flags)).sign(&pki.ca)];
        for profile in [Profile::Rfc5280, Profile::Strict] {
            let found = pki.ask(&pki.ca(), &pki.leaf(), &crls, &[], profile);
            assert_eq!(found, "status-missing");
        }
    }
}

#[test]
fn responders() {
    let pki = pki();
    let key = Key::new();
    let signs = [0x30, 10, 0x06, 8, 0x2b, 6, 1, 5, 5, 7, 3, 9];
    let mut fine = Draft::leaf("answers", &key, "ca", &pki.ca).with(PURPOSES, false, &signs);
    fine.extensions.push((vec![0x2b, 6, 1, 5, 5, 7, 0x30, 1, 5], false, vec![5, 0]));
    let times = ("20260531000000Z", "20260630000000Z");
    let ask = |delegate: &Draft, profile| {
        let status = [single(&[0x12, 0x34], ("ca", &pki.ca), GOOD, times)];
        let by = Responder::Name("answers");
        let ocsp = [answer(&by, &status, &key, &[delegate.der(&pki.ca)]).unwrap()];
        pki.ask(&pki.ca(), &pki.leaf(), &[], &ocsp, profile)
    };
    let negative = Draft { serial: vec![0x80], ..fine.clone() };
    let checked = {
        let mut odd = fine.clone();
        if let Some(last) = odd.extensions.last_mut() {
            last.2 = vec![1, 1, 0xff];
        }
        odd
    };
    for (what, delegate, strict) in [
        ("as it should be", &fine, "ok"),
        ("a negative number", &negative, "status-missing"),
        ("noCheck of something", &checked, "status-missing"),
    ] {
        assert_eq!(ask(delegate, Profile::Rfc5280), "ok", "{what}");
        assert_eq!(ask(delegate, Profile::Strict), strict, "{what}");
    }
    // Times in OCSP are GeneralizedTime in every year.
    let short = single(&[1], ("ca", &pki.ca), GOOD, times);
    let spoilt: Vec<u8> = short.iter().map(|b| if *b == 0x18 { 0x17 } else { *b }).collect();
    assert!(answer(&Responder::Name("ca"), &[spoilt], &pki.ca, &[]).is_err());
}
