//! What the public suites ask (x509-limbo, BetterTLS and those of mozilla::pkix among them), put
//! together anew, byte by byte: each case with the verdict under both profiles.

mod support;

use std::fs;
use std::process::Command;

use avouch_path::{Certificate, Given, Options, Profile, Report, verify};
use base64::Engine as _;
use support::code;
use support::der::{
    AKI, BASIC, Draft, Key, NAMES, POINTS, PURPOSES, SAN, SKI, Three, USAGE, ce, constraints,
    general_names, generalized, name, seq, tlv, utc,
};

/// 2026-06-01.
const AT: i64 = 1_780_272_000;

struct Pki(Three);

impl std::ops::Deref for Pki {
    type Target = Three;

    fn deref(&self) -> &Three {
        &self.0
    }
}

impl Pki {
    fn new() -> Self {
        Self(Three::new())
    }

    fn ask(&self, root: &Draft, ca: &Draft, leaf: &Draft, options: &Options) -> String {
        let leaf = match Certificate::from_der(&leaf.der(&self.ca)) {
            Ok(leaf) => leaf,
            Err(e) => return format!("unreadable: {e}"),
        };
        let untrusted: Vec<_> = Certificate::from_der(&ca.der(&self.root)).into_iter().collect();
        let roots: Vec<_> = Certificate::from_der(&root.der(&self.root)).into_iter().collect();
        let given = Given { roots: &roots, untrusted: &untrusted, ..Given::default() };
        code(&verify(&leaf, &given, options)).to_owned()
    }

    /// Verdicts under `rfc5280` and `strict`; openssl's strict one is the same, or
    /// `divergences/strict.txt` has the reason.
    #[track_caller]
    fn expect(&self, what: &str, chain: (&Draft, &Draft, &Draft), expected: (&str, &str)) {
        let (root, ca, leaf) = chain;
        for (profile, expected) in [(Profile::Rfc5280, expected.0), (Profile::Strict, expected.1)] {
            let options = Options::at(AT).profile(profile);
            let found = self.ask(root, ca, leaf, &options);
            assert!(found.starts_with(expected), "{what}, {profile:?}: {found}, not {expected}");
        }
        let files = tempfile::tempdir().unwrap();
        let ders = [root.der(&self.root), ca.der(&self.root), leaf.der(&self.ca)];
        for (name, der) in ["root", "ca", "leaf"].iter().zip(ders) {
            fs::write(files.path().join(name), pem(&der)).unwrap();
        }
        let at = AT.to_string();
        let theirs = Command::new("openssl")
            .current_dir(files.path())
            .args(["verify", "-x509_strict", "-auth_level", "2", "-attime", &at])
            .args(["-no-CApath", "-no-CAstore", "-CAfile", "root", "-untrusted", "ca", "leaf"])
            .output()
            .unwrap();
        let agree = theirs.status.success() == (expected.1 == "ok");
        let said = String::from_utf8_lossy(&theirs.stderr);
        match (agree, DIVERGENCES.lines().any(|line| line.starts_with(&format!("{what}: ")))) {
            (true, false) | (false, true) => {}
            (true, true) => panic!("{what}: openssl says the same by now"),
            (false, false) => panic!("{what}: we say {}, openssl {said}", expected.1),
        }
    }

    #[track_caller]
    fn leaf_is(&self, what: &str, leaf: &Draft, expected: (&str, &str)) {
        self.expect(what, (&self.root(), &self.ca(), leaf), expected);
    }

    #[track_caller]
    fn ca_is(&self, what: &str, ca: &Draft, expected: (&str, &str)) {
        self.expect(what, (&self.root(), ca, &self.leaf()), expected);
    }

    #[track_caller]
    fn root_is(&self, what: &str, root: &Draft, expected: (&str, &str)) {
        self.expect(what, (root, &self.ca(), &self.leaf()), expected);
    }
}

/// `what: why we part from openssl there`.
const DIVERGENCES: &str = include_str!("divergences/strict.txt");

fn pem(der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|l| str::from_utf8(l).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

const FINE: (&str, &str) = ("ok", "ok");
const LAX: (&str, &str) = ("ok", "nonconforming");

#[test]
fn fields() {
    let pki = Pki::new();
    let leaf = || pki.leaf();
    pki.leaf_is("a good one", &leaf(), FINE);
    let serial = |octets: &[u8]| Draft { serial: octets.to_vec(), ..leaf() };
    pki.leaf_is("serial of 20 octets", &serial(&[0x7f; 20]), FINE);
    pki.leaf_is("serial of 21 octets", &serial(&[0x7f; 21]), LAX);
    pki.leaf_is("serial of 20 octets and a sign", &serial(&[&[0][..], &[0xff; 20]].concat()), LAX);
    pki.leaf_is("negative serial", &serial(&[0x80, 1]), LAX);
    pki.leaf_is("serial zero", &serial(&[0]), LAX);
    pki.leaf_is("serial with padding", &serial(&[0, 1]), ("unreadable", "unreadable"));
    pki.leaf_is("no serial", &serial(&[]), ("unreadable", "unreadable"));

    let bare = |version| Draft { version, extensions: Vec::new(), ..leaf() };
    pki.leaf_is("version 1", &bare(None), LAX);
    pki.leaf_is("version 1 written out", &bare(Some(0)), LAX);
    pki.leaf_is("version 4", &Draft { version: Some(3), ..leaf() }, ("unreadable", "unreadable"));
    let extended_v1 = Draft { version: None, ..leaf() };
    pki.leaf_is("extensions in version 1", &extended_v1, ("unreadable", "unreadable"));

    let times = |from, until| Draft { validity: (from, until), ..leaf() };
    let until = || utc("270101000000Z");
    let early = times(generalized("20260101000000Z"), until());
    pki.leaf_is("GeneralizedTime before 2050", &early, LAX);
    let late = times(utc("260101000000Z"), generalized("29690503000001Z"));
    pki.leaf_is("GeneralizedTime from 2050", &late, FINE);
    let none = times(utc("260101000000Z"), generalized("99991231235959Z"));
    pki.leaf_is("no well-defined end", &none, FINE);
    for bad in ["2601010000Z", "260101000000.5Z", "260101000000+0000", "260101000060Z"] {
        pki.leaf_is(bad, &times(utc(bad), until()), ("unreadable", "unreadable"));
    }
    let inclusive = times(utc("260601000000Z"), utc("260601000000Z"));
    pki.leaf_is("one second long", &inclusive, FINE);
    let reversed = times(utc("270101000000Z"), utc("260101000000Z"));
    pki.leaf_is("ends before it begins", &reversed, ("not-yet-valid", "nonconforming"));

    let sha384 = [0x30, 10, 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];
    let differ = |draft: Draft| Draft { algorithm: sha384.to_vec(), ..draft };
    let both = ("algorithms-differ", "algorithms-differ");
    pki.leaf_is("two algorithms", &differ(leaf()), both);
    pki.root_is("two algorithms in a root", &differ(pki.root()), LAX);
    let anonymous = Draft { issuer: name(""), ..leaf() };
    pki.leaf_is("empty issuer", &anonymous, ("no-issuer", "no-issuer"));
    pki.root_is(
        "root without a name",
        &Draft { subject: name(""), ..pki.root() },
        ("no-issuer", "no-issuer"),
    );
}

#[test]
fn extensions() {
    let pki = Pki::new();
    let unknown = |draft: Draft, critical| {
        let mut draft = draft;
        draft.extensions.push((vec![0x2b, 6, 1, 4, 1, 0x83, 0xb3, 0x3a], critical, vec![5, 0]));
        draft
    };
    let refused = ("unknown-critical-extension", "unknown-critical-extension");
    pki.leaf_is("unknown and harmless", &unknown(pki.leaf(), false), FINE);
    pki.leaf_is("unknown and critical", &unknown(pki.leaf(), true), refused);
    pki.ca_is("unknown and critical in a CA", &unknown(pki.ca(), true), refused);
    pki.root_is("unknown and critical in a root", &unknown(pki.root(), true), refused);
    let mut twice = pki.leaf();
    twice.extensions.push(twice.extensions[0].clone());
    pki.leaf_is("one extension twice", &twice, ("unreadable", "unreadable"));

    let not_ca = ("not-a-ca", "not-a-ca");
    pki.ca_is("no basic constraints", &pki.ca().without(BASIC), not_ca);
    pki.root_is("root without basic constraints", &pki.root().without(BASIC), not_ca);
    pki.ca_is("cA false", &pki.ca().with(BASIC, true, &[0x30, 0]), not_ca);
    let lax = [0x30, 3, 1, 1, 0xff];
    pki.ca_is("basic constraints not critical", &pki.ca().with(BASIC, false, &lax), LAX);
    pki.root_is("and those of a root", &pki.root().with(BASIC, false, &lax), LAX);
    pki.ca_is(
        "BER TRUE",
        &pki.ca().with(BASIC, true, &[0x30, 3, 1, 1, 1]),
        ("no-issuer", "no-issuer"),
    );
    pki.leaf_is("no key usage", &pki.leaf().without(USAGE), FINE);
    pki.ca_is("CA without key usage", &pki.ca().without(USAGE), LAX);
    let cannot = ("key-usage", "key-usage");
    pki.ca_is("CA that may not sign", &pki.ca().with(USAGE, true, &[3, 2, 1, 2]), cannot);
    pki.leaf_is("leaf with keyCertSign", &pki.leaf().with(USAGE, true, &[3, 2, 2, 0x84]), LAX);
    // One bit is used, the rest says keyCertSign: readers part over it.
    let dirty = pki.leaf().with(USAGE, true, &[3, 2, 7, 0x84]);
    pki.leaf_is("bits that are not used", &dirty, ("unreadable", "unreadable"));
    let limit = |draft: Draft| draft.with(BASIC, true, &[0x30, 3, 2, 1, 0]);
    pki.leaf_is("path length without being a CA", &limit(pki.leaf()), LAX);

    pki.leaf_is("no AKI", &pki.leaf().without(AKI), LAX);
    pki.root_is("root without AKI", &pki.root().without(AKI), FINE);
    pki.ca_is("CA without SKI", &pki.ca().without(SKI), LAX);
    let aki = |parts: &[&[u8]]| pki.leaf().with(AKI, false, &seq(parts));
    let key_id = tlv(0x80, &pki.ca.id());
    pki.leaf_is("another AKI", &aki(&[&tlv(0x80, &[1; 20])]), LAX);
    let issuer = tlv(0xa1, &tlv(0xa4, &name("root")));
    pki.leaf_is("AKI in full", &aki(&[&key_id, &issuer, &tlv(0x82, &[0x12, 0x34])]), FINE);
    pki.leaf_is("AKI of another number", &aki(&[&key_id, &issuer, &tlv(0x82, &[0x12])]), LAX);
    pki.leaf_is("AKI without the number", &aki(&[&key_id, &issuer]), LAX);
    pki.leaf_is("critical AKI", &pki.leaf().with(AKI, true, &seq(&[&key_id])), LAX);
    // A change of keys is self-issued and not self-signed, so its AKI may not be left out.
    let new = Key::new();
    let rolled = Draft::ca("root", &new, "root", &pki.root);
    let leaf = Draft::leaf("leaf", &pki.leaf, "root", &new);
    let untrusted = |draft: &Draft| [draft.sign(&pki.root)];
    let ask = |untrusted: &[Certificate]| {
        let roots = [pki.root().sign(&pki.root)];
        let given = Given { roots: &roots, untrusted, ..Given::default() };
        let options = Options::at(AT).profile(Profile::Strict);
        code(&verify(&leaf.sign(&new), &given, &options))
    };
    assert_eq!(ask(&untrusted(&rolled)), "ok");
    assert_eq!(ask(&untrusted(&rolled.without(AKI))), "nonconforming");

    pki.leaf_is(
        "empty EKU",
        &pki.leaf().with(PURPOSES, false, &[0x30, 0]),
        ("unreadable", "unreadable"),
    );
    let points = pki.leaf().with(POINTS, false, &[0x30, 0]);
    pki.leaf_is("no distribution point", &points, LAX);
    let aia = |critical| {
        let one = seq(&[&[0x06, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, 2], &tlv(0x82, b"example.com")]);
        let mut leaf = pki.leaf();
        leaf.extensions.push((vec![0x2b, 6, 1, 5, 5, 7, 1, 1], critical, seq(&[&one])));
        leaf
    };
    pki.leaf_is("AIA", &aia(false), FINE);
    pki.leaf_is("critical AIA", &aia(true), LAX);
    let limits = constraints(&[(0x82, b"example.com")], &[]);
    let leaf = |critical| pki.leaf().with(NAMES, critical, &limits);
    pki.leaf_is("name constraints of a leaf", &leaf(true), LAX);
    pki.leaf_is("name constraints of a leaf, not critical", &leaf(false), LAX);
    let ca = |critical| pki.ca().with(NAMES, critical, &limits);
    pki.ca_is("name constraints not critical", &ca(false), LAX);
    pki.ca_is("and critical", &ca(true), FINE);
    let mut policy = pki.ca();
    policy.extensions.push((ce(36), false, vec![0x30, 3, 0x80, 1, 3]));
    pki.ca_is("policy constraints not critical", &policy, LAX);
}

#[test]
fn alternative_names() {
    let pki = Pki::new();
    let leaf = |names: &[(u8, &[u8])]| pki.leaf().with(SAN, false, &general_names(names));
    pki.leaf_is(
        "not DER",
        &pki.leaf().with(SAN, false, b"example.com"),
        ("unreadable", "unreadable"),
    );
    pki.leaf_is("none", &leaf(&[]), LAX);
    let nameless = |critical| {
        let names = general_names(&[(0x82, b"example.com")]);
        Draft { subject: name(""), ..pki.leaf().with(SAN, critical, &names) }
    };
    pki.leaf_is("critical, no subject", &nameless(true), FINE);
    pki.leaf_is("not critical, no subject", &nameless(false), LAX);
    let lists = nameless(true).with(USAGE, true, &[3, 2, 1, 2]);
    pki.leaf_is("a CRL issuer without a name", &lists, LAX);
    pki.leaf_is("nobody", &Draft { subject: name(""), ..pki.leaf() }, LAX);
    for good in ["example.com", "*.example.com", "xn--bcher-kva.example", "a_b.example"] {
        pki.leaf_is(&format!("host «{good}»"), &leaf(&[(0x82, good.as_bytes())]), FINE);
    }
    for bad in [" ", "", ".example.com", "example.com.", "a..b", "a.*.example", "a b", "1.2.3.4/8"]
    {
        pki.leaf_is(&format!("host «{bad}»"), &leaf(&[(0x82, bad.as_bytes())]), LAX);
    }
    pki.leaf_is(
        "host beyond ASCII",
        &leaf(&[(0x82, "bücher.example".as_bytes())]),
        ("unreadable", "unreadable"),
    );
    for good in ["a@example.com", "\"a@b\"@example.com", "a@[192.0.2.1]", "a.b+c@x.example"] {
        pki.leaf_is(&format!("mailbox «{good}»"), &leaf(&[(0x81, good.as_bytes())]), FINE);
    }
    for bad in
        ["example.com", "@example.com", "a@", "a@b@example.com", "a b@example.com", "Alice <a@b.c>"]
    {
        pki.leaf_is(&format!("mailbox «{bad}»"), &leaf(&[(0x81, bad.as_bytes())]), LAX);
    }
    pki.leaf_is("IPv4", &leaf(&[(0x87, &[192, 0, 2, 1])]), FINE);
    pki.leaf_is("IPv4 with a mask", &leaf(&[(0x87, &[192, 0, 2, 1, 255, 255, 255, 0])]), LAX);
    pki.leaf_is("relative URI", &leaf(&[(0x86, b"/x")]), LAX);
}

type Names<'a> = &'a [(u8, &'a [u8])];

#[test]
fn name_constraints() {
    const DNS: u8 = 0x82;
    const EMAIL: u8 = 0x81;
    const IP: u8 = 0x87;
    const URI: u8 = 0x86;
    const NONE: Names<'_> = &[];
    let breach = ("name-constraints", "name-constraints");
    let malformed = ("name-constraints", "nonconforming");
    let pki = Pki::new();
    let v4: &[u8] = &[192, 0, 2, 0, 255, 255, 255, 0];
    let mapped = [&[0_u8; 10][..], &[0xff, 0xff, 192, 0, 2, 7]].concat();
    let loopback = [&[0_u8; 15][..], &[1]].concat();
    let one_v6 = [&loopback[..], &[0xff; 16]].concat();
    let cases: &[(Names<'_>, Names<'_>, Names<'_>, (&str, &str))] = &[
        (&[(DNS, b"example.com")], NONE, &[(DNS, b"example.com")], FINE),
        (&[(DNS, b"example.com")], NONE, &[(DNS, b"foo.bar.EXAMPLE.com")], FINE),
        (&[(DNS, b"example.com")], NONE, &[(DNS, b"not-example.com")], breach),
        (&[(DNS, b"example.com")], NONE, &[(DNS, b"example.com"), (DNS, b"evil.org")], breach),
        (NONE, &[(DNS, b"example.com")], &[(DNS, b"example.com")], breach),
        (NONE, &[(DNS, b"no.example.com")], &[(DNS, b"x.y"), (DNS, b"no.example.com")], breach),
        (&[(DNS, b"example.com")], &[(DNS, b"example.com")], &[(DNS, b"example.com")], breach),
        (&[(DNS, b"x.com")], NONE, &[(DNS, b".x.com"), (DNS, b"a.x.com")], malformed),
        // Constraints that are none.
        (&[(DNS, b"*.example.com")], NONE, &[(DNS, b"foo.example.com")], malformed),
        (NONE, &[(DNS, b"*.example.com")], &[(DNS, b"foo.example.org")], malformed),
        (&[(DNS, b".example.com")], NONE, &[(DNS, b"foo.example.com")], LAX),
        (&[(DNS, b".example.com")], NONE, &[(DNS, b"example.com")], malformed),
        (&[(EMAIL, b"a@b@example.com")], NONE, &[(EMAIL, b"c@example.com")], malformed),
        (&[(DNS, b"xn--bcher-kva.example")], NONE, &[(DNS, b"a.XN--BCHER-KVA.example")], FINE),
        // A wildcard is as wide as all that it stands for.
        (&[(DNS, b"example.com")], NONE, &[(DNS, b"*.example.com")], FINE),
        (&[(DNS, b"a.example.com")], NONE, &[(DNS, b"*.example.com")], breach),
        (NONE, &[(DNS, b"a.example.com")], &[(DNS, b"*.example.com")], breach),
        // Addresses.
        (&[(IP, v4)], NONE, &[(IP, &[192, 0, 2, 1])], FINE),
        (&[(IP, v4)], NONE, &[(IP, &[192, 0, 3, 1])], breach),
        (NONE, &[(IP, v4)], &[(IP, &[192, 0, 2, 1])], breach),
        (&[(IP, &one_v6)], NONE, &[(IP, &loopback)], FINE),
        (NONE, &[(IP, &one_v6)], &[(IP, &loopback)], breach),
        (NONE, &[(IP, v4)], &[(IP, &mapped)], breach),
        (&[(IP, v4)], NONE, &[(IP, &mapped)], breach),
        (&[(IP, v4)], NONE, &[(IP, v4), (IP, &[192, 0, 2, 1])], malformed),
        (&[(IP, v4)], NONE, &[(DNS, b"example.com")], FINE),
        (NONE, &[(IP, v4)], &[(DNS, b"example.com")], FINE),
        // Mailboxes.
        (&[(EMAIL, b"foo@example.com")], NONE, &[(EMAIL, b"foo@EXAMPLE.com")], FINE),
        (&[(EMAIL, b"foo@example.com")], NONE, &[(EMAIL, b"Foo@example.com")], breach),
        (&[(EMAIL, b"example.com")], NONE, &[(EMAIL, b"foo@example.com")], FINE),
        (&[(EMAIL, b"example.com")], NONE, &[(EMAIL, b"foo@a.example.com")], breach),
        (&[(EMAIL, b".example.com")], NONE, &[(EMAIL, b"foo@a.b.example.com")], FINE),
        (&[(EMAIL, b".example.com")], NONE, &[(EMAIL, b"foo@example.com")], breach),
        (NONE, &[(EMAIL, b".example.com")], &[(EMAIL, b"foo@a.example.com")], breach),
        (NONE, &[(EMAIL, b"@example.com")], &[(EMAIL, b"foo@example.com")], malformed),
        (&[(EMAIL, b"x.com")], NONE, &[(EMAIL, b"a@x.com"), (EMAIL, b"a@b@x.com")], malformed),
        (&[(EMAIL, b"x.com")], NONE, &[(EMAIL, b"\"a@b\"@x.com")], FINE),
        (NONE, &[(EMAIL, b"evil.org")], &[(EMAIL, b"\"a@evil.org\"@x.com")], FINE),
        // URIs.
        (&[(URI, b".example.com")], NONE, &[(URI, b"https://a.example.com:8443/x")], FINE),
        (&[(URI, b"example.com")], NONE, &[(URI, b"https://a.example.com/")], breach),
        (&[(URI, b"example.com")], NONE, &[(URI, b"https://example.com@evil.org/")], breach),
        (&[(URI, b"example.com")], NONE, &[(URI, b"urn:isbn:1")], breach),
        (NONE, &[(URI, b"example.com")], &[(URI, b"https://192.0.2.1/")], breach),
    ];
    for (permitted, excluded, names, expected) in cases {
        let ca = pki.ca().with(NAMES, true, &constraints(permitted, excluded));
        let leaf = pki.leaf().with(SAN, false, &general_names(names));
        let told = |list: Names<'_>| {
            let all: Vec<_> =
                list.iter().map(|(_, text)| text.escape_ascii().to_string()).collect();
            all.join(" ")
        };
        let what = format!("+[{}] -[{}] {}", told(permitted), told(excluded), told(names));
        let why = if expected.1 == "nonconforming" && expected.0 != "ok" {
            // Either fault may be told: what counts is the refusal.
            ("name-constraints", "n")
        } else {
            *expected
        };
        pki.expect(&what, (&pki.root(), &ca, &leaf), why);
    }
    // Not in CIDR form.
    for octets in [&[127, 0, 0, 1][..], &loopback, &[1, 2, 3, 4, 255, 0, 255, 0]] {
        let ca = pki.ca().with(NAMES, true, &constraints(&[(IP, octets)], &[]));
        pki.ca_is("an address for a range", &ca, ("no-issuer", "no-issuer"));
    }
    // Directory names hold of the subject and of the alternative names.
    let limited = |permitted: Names<'_>, excluded: Names<'_>| {
        pki.ca().with(NAMES, true, &constraints(permitted, excluded))
    };
    let (foo, bar) = (name("foo"), name("bar"));
    let leaf = |subject: &[u8], san: &[u8]| {
        let leaf = pki.leaf().with(SAN, false, &general_names(&[(0xa4, san)]));
        Draft { subject: subject.to_vec(), ..leaf }
    };
    for (ca, leaf, expected) in [
        (limited(&[(0xa4, &foo)], NONE), leaf(&foo, &foo), FINE),
        (limited(&[(0xa4, &foo)], NONE), leaf(&bar, &foo), breach),
        (limited(&[(0xa4, &foo)], NONE), leaf(&foo, &bar), breach),
        (limited(NONE, &[(0xa4, &foo)]), leaf(&foo, &bar), breach),
        (limited(NONE, &[(0xa4, &foo)]), leaf(&bar, &foo), breach),
        (limited(NONE, &[(0xa4, &foo)]), leaf(&bar, &bar), FINE),
    ] {
        pki.expect("directory names", (&pki.root(), &ca, &leaf), expected);
    }
}

/// Chains of more than one CA, and with a choice.
#[test]
fn constraints_along_the_path() {
    const DNS: u8 = 0x82;
    let [root, a, b, leaf] = [(); 4].map(|()| Key::new());
    let names = |draft: Draft, list: Names<'_>| draft.with(SAN, false, &general_names(list));
    let permit = |draft: Draft, list: Names<'_>| draft.with(NAMES, true, &constraints(list, &[]));
    let ask = |drafts: &[(&Draft, &Key)], leaf: &Draft, signer: &Key| -> Report {
        let all: Vec<_> = drafts.iter().map(|(draft, by)| draft.sign(by)).collect();
        let (roots, untrusted) = all.split_at(1);
        let given = Given { roots, untrusted, ..Given::default() };
        verify(&leaf.sign(signer), &given, &Options::at(AT))
    };
    let anchor = Draft::ca("root", &root, "root", &root);
    let ca_a = Draft::ca("a", &a, "root", &root);
    let ca_b = Draft::ca("b", &b, "a", &a);
    let end = names(Draft::leaf("leaf", &leaf, "b", &b), &[(DNS, b"foo.example.com")]);
    let (foo, bar): (&[u8], &[u8]) = (b"foo.example.com", b"bar.example.com");
    for (above, below, expected) in [
        (vec![(DNS, foo), (DNS, bar)], vec![(DNS, bar)], "name-constraints"),
        (vec![(DNS, bar)], vec![(DNS, foo), (DNS, bar)], "name-constraints"),
        (vec![(DNS, foo), (DNS, bar)], vec![(DNS, foo)], "ok"),
    ] {
        let (above, below) = (permit(ca_a.clone(), &above), permit(ca_b.clone(), &below));
        let report = ask(&[(&anchor, &root), (&above, &root), (&below, &a)], &end, &b);
        assert_eq!(code(&report), expected, "{report}");
    }
    // A CA's own names count, but for those of a self-issued one that is not the last.
    let limited = permit(anchor.clone(), &[(DNS, foo)]);
    let named = names(ca_b.clone(), &[(DNS, b"evil.org")]);
    let report = ask(&[(&limited, &root), (&ca_a, &root), (&named, &a)], &end, &b);
    assert_eq!(code(&report), "name-constraints", "{report}");
    let rolled = names(Draft::ca("root", &a, "root", &root), &[(DNS, b"evil.org")]);
    let end_a = names(Draft::leaf("leaf", &leaf, "root", &a), &[(DNS, foo)]);
    let report = ask(&[(&limited, &root), (&rolled, &root)], &end_a, &a);
    assert_eq!(code(&report), "ok", "{report}");
    let last = names(Draft::leaf("root", &leaf, "root", &a), &[(DNS, b"evil.org")]);
    let report = ask(&[(&limited, &root), (&rolled, &root)], &last, &a);
    assert_eq!(code(&report), "name-constraints", "{report}");
    // Of two certificates of one CA, one is of no use: the other way is found.
    let forbids = ca_a.clone().with(NAMES, true, &constraints(&[], &[(DNS, b"evil.org")]));
    let bad = names(ca_b.clone(), &[(DNS, b"evil.org")]);
    let stray = names(Draft::ca("b", &b, "nobody", &leaf), &[(DNS, b"evil.org")]);
    for extra in [(&bad, &a), (&stray, &leaf)] {
        for first in [true, false] {
            let mut drafts = vec![(&anchor, &root), (&forbids, &root), (&ca_b, &a)];
            drafts.insert(if first { 1 } else { 3 }, extra);
            let report = ask(&drafts, &end, &b);
            assert_eq!(code(&report), "ok", "{report}");
        }
    }
}
