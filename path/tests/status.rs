//! Revocation as the public suites ask about it, byte by byte: each list and answer with the
//! verdict under both profiles, and in every order.

mod support;

use avouch_path::{Certificate, Crl, Given, OcspResponse, Options, Profile, Revocation, verify};
use support::code;
use support::der::{
    CRL_NUMBER, DELTA, Draft, GOOD, IDP, Key, ListDraft, PURPOSES, Responder, Three, UNKNOWN,
    answer, ce, entry_issuer, general_names, generalized, name, reason, revoked, seq, single, tlv,
    utc,
};

/// 2026-06-01.
const AT: i64 = 1_780_272_000;
const SERIAL: &[u8] = &[0x12, 0x34];
const URI: &[u8] = b"http://example.com/a.crl";

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

    fn list(&self) -> ListDraft {
        ListDraft::new("ca", &self.ca)
    }

    /// The leaf's status has to be known, the CA's where something is at hand.
    fn ask(
        &self,
        leaf: &Draft,
        more: &[Certificate],
        crls: &[Crl],
        ocsp: &[OcspResponse],
        profile: Profile,
    ) -> &'static str {
        let roots = [self.root().sign(&self.root)];
        let ca = self.ca().sign(&self.root);
        let untrusted: Vec<_> = std::iter::once(ca).chain(more.iter().cloned()).collect();
        let given = Given { roots: &roots, untrusted: &untrusted, crls, ocsp };
        let options = Options::at(AT).revocation(Revocation::Leaf).profile(profile);
        code(&verify(&leaf.sign(&self.ca), &given, &options))
    }

    /// Under both profiles, in either order.
    #[track_caller]
    fn expect(&self, what: &str, leaf: &Draft, crls: &[Crl], expected: (&str, &str)) {
        self.expect_all(what, leaf, &[], crls, &[], expected);
    }

    #[track_caller]
    fn expect_all(
        &self,
        what: &str,
        leaf: &Draft,
        more: &[Certificate],
        crls: &[Crl],
        ocsp: &[OcspResponse],
        (rfc, strict): (&str, &str),
    ) {
        let (mut crls, mut ocsp) = (crls.to_vec(), ocsp.to_vec());
        for order in ["as given", "reversed"] {
            for (profile, expected) in [(Profile::Rfc5280, rfc), (Profile::Strict, strict)] {
                let found = self.ask(leaf, more, &crls, &ocsp, profile);
                assert_eq!(found, expected, "{what}, {profile:?}, {order}");
            }
            crls.reverse();
            ocsp.reverse();
        }
    }

    #[track_caller]
    fn list_is(&self, what: &str, list: &ListDraft, expected: (&str, &str)) {
        self.expect(what, &self.leaf(), &[list.sign(&self.ca)], expected);
    }
}

const FINE: (&str, &str) = ("ok", "ok");
const REVOKED: (&str, &str) = ("revoked", "revoked");
const MISSING: (&str, &str) = ("status-missing", "status-missing");
const STALE: (&str, &str) = ("status-stale", "status-stale");
/// Taken, but not under `strict`.
const LAX: (&str, &str) = ("ok", "status-missing");

#[test]
fn what_a_list_has_to_be() {
    let pki = Pki::new();
    let list = || pki.list();
    pki.expect("none", &pki.leaf(), &[], MISSING);
    pki.list_is("an empty one", &list(), FINE);
    pki.list_is("one with the leaf", &list().revoke(SERIAL, &[]), REVOKED);
    pki.list_is("one with others", &list().revoke(&[1], &[]).revoke(&[0x12, 0x35], &[]), FINE);
    let bare = ListDraft { version: None, extensions: Vec::new(), ..list() };
    pki.list_is("version 1", &bare, LAX);
    pki.list_is("version 1 with the leaf", &bare.clone().revoke(SERIAL, &[]), REVOKED);
    let odd = ListDraft { version: Some(2), ..list() };
    assert!(Crl::from_der(&odd.der(&pki.ca)).is_err(), "version 3");
    pki.list_is("no number", &list().without(CRL_NUMBER), LAX);
    pki.list_is("critical number", &list().with(CRL_NUMBER, true, &[2, 1, 9]), LAX);
    let times = |this: Vec<u8>, next: Vec<u8>| ListDraft { times: (this, next), ..list() };
    let next = || utc("260630000000Z");
    pki.list_is("no nextUpdate", &times(utc("260531000000Z"), Vec::new()), STALE);
    let general = times(generalized("20260531000000Z"), next());
    pki.list_is("GeneralizedTime before 2050", &general, LAX);
    pki.list_is("and with the leaf", &general.clone().revoke(SERIAL, &[]), REVOKED);
    pki.list_is("of the future", &times(utc("260602000000Z"), next()), STALE);
    let old = times(utc("260401000000Z"), utc("260501000000Z"));
    pki.list_is("of the past", &old, STALE);
    // What was revoked stays so, but for what was on hold.
    pki.list_is("of the past, with the leaf", &old.clone().revoke(SERIAL, &[]), REVOKED);
    pki.list_is("of the past, on hold", &old.clone().revoke(SERIAL, &[reason(6)]), STALE);
    pki.list_is("twice the same number", &list().revoke(&[1], &[]).revoke(&[1], &[]), LAX);
    let twice = list().revoke(SERIAL, &[reason(8)]).revoke(SERIAL, &[]);
    pki.list_is("revoked, and revoked", &twice, REVOKED);
    let unknown = |critical| (vec![0x2b, 6, 1, 4, 1, 0x3a], critical, vec![5, 0]);
    let with = |critical| {
        let mut list = list();
        list.extensions.push(unknown(critical));
        list
    };
    pki.list_is("unknown and harmless", &with(false), FINE);
    pki.list_is("unknown and critical", &with(true), MISSING);
    pki.list_is("the same of an entry", &list().revoke(&[1], &[unknown(true)]), MISSING);
    pki.list_is("harmless of an entry", &list().revoke(&[1], &[unknown(false)]), FINE);
    // Signed by another, or for another.
    pki.expect("forged", &pki.leaf(), &[list().sign(&pki.leaf)], MISSING);
    let other = ListDraft::new("root", &pki.root).revoke(SERIAL, &[]);
    pki.expect_all(
        "the root's",
        &Draft { serial: vec![9], ..pki.leaf() },
        &[],
        &[other.sign(&pki.root), list().sign(&pki.ca)],
        &[],
        // The CA's own number is in it.
        REVOKED,
    );
}

#[test]
fn of_several_lists_the_newest_counts() {
    let pki = Pki::new();
    let list = |day: &str, listed: bool| {
        let list = ListDraft { times: (utc(day), utc("260630000000Z")), ..pki.list() };
        let list = if listed { list.revoke(SERIAL, &[reason(6)]) } else { list };
        list.sign(&pki.ca)
    };
    let [old, new] = ["260529000000Z", "260531000000Z"];
    let leaf = pki.leaf();
    pki.expect("revoked since", &leaf, &[list(old, false), list(new, true)], REVOKED);
    pki.expect("released since", &leaf, &[list(old, true), list(new, false)], FINE);
    // One that does not count leaves the word to the one before it.
    let forged = pki.list().sign(&pki.leaf);
    pki.expect("a forged newer one", &leaf, &[list(old, true), forged], REVOKED);
}

#[test]
fn deltas() {
    let pki = Pki::new();
    let base = |listed: bool| {
        let list = ListDraft { times: (utc("260529000000Z"), utc("260630000000Z")), ..pki.list() };
        let list = if listed { list.revoke(SERIAL, &[reason(6)]) } else { list };
        list.sign(&pki.ca)
    };
    let delta = |day: &str, number: u8, base: u8, code: Option<u8>| {
        let list = ListDraft { times: (utc(day), utc("260630000000Z")), ..pki.list() }
            .with(CRL_NUMBER, false, &[2, 1, number])
            .with(DELTA, true, &[2, 1, base]);
        let list = code.map_or(list.clone(), |code| list.revoke(SERIAL, &[reason(code)]));
        list.sign(&pki.ca)
    };
    let leaf = pki.leaf();
    let [first, second] = ["260530000000Z", "260531000000Z"];
    pki.expect("a delta alone", &leaf, &[delta(first, 10, 9, None)], MISSING);
    pki.expect("revokes", &leaf, &[base(false), delta(first, 10, 9, Some(1))], REVOKED);
    pki.expect("releases", &leaf, &[base(true), delta(first, 10, 9, Some(8))], FINE);
    pki.expect("is silent", &leaf, &[base(true), delta(first, 10, 9, None)], REVOKED);
    pki.expect("of a later base", &leaf, &[base(false), delta(first, 12, 10, Some(1))], FINE);
    pki.expect("of an earlier base", &leaf, &[base(false), delta(first, 10, 5, Some(1))], REVOKED);
    let all = [base(true), delta(first, 10, 9, Some(6)), delta(second, 11, 9, Some(8))];
    pki.expect("released by the second", &leaf, &all, FINE);
    let all = [base(false), delta(first, 10, 9, Some(8)), delta(second, 11, 9, Some(1))];
    pki.expect("revoked by the second", &leaf, &all, REVOKED);
    // One past its time still tells of what is for good, and no more.
    let past = |code: u8| {
        let times = (utc("260530000000Z"), utc("260531000000Z"));
        ListDraft { times, ..pki.list() }
            .with(CRL_NUMBER, false, &[2, 1, 10])
            .with(DELTA, true, &[2, 1, 9])
            .revoke(SERIAL, &[reason(code)])
            .sign(&pki.ca)
    };
    pki.expect("revoked by one past its time", &leaf, &[base(false), past(1)], REVOKED);
    pki.expect("on hold by one past its time", &leaf, &[base(false), past(6)], FINE);
    pki.expect("released by one past its time", &leaf, &[base(true), past(8)], REVOKED);
    let heard = [base(false), past(6), delta("260529120000Z", 9, 9, Some(1))];
    pki.expect("and keeps none before it from being heard", &leaf, &heard, REVOKED);
    // One that breaks the rules may revoke, but clears nobody.
    let odd = |code: u8| {
        let times = (utc(second), utc("260630000000Z"));
        ListDraft { times, ..pki.list() }
            .with(CRL_NUMBER, true, &[2, 1, 10])
            .with(DELTA, true, &[2, 1, 9])
            .revoke(SERIAL, &[reason(code)])
            .sign(&pki.ca)
    };
    pki.expect("revoked by an odd one", &leaf, &[base(false), odd(6)], REVOKED);
    pki.expect("released by an odd one", &leaf, &[base(true), odd(8)], ("ok", "revoked"));
}

/// A distribution point: name, reasons and issuer, as far as they are there.
fn point(uri: Option<&[u8]>, reasons: Option<&[u8]>, issuer: Option<&str>) -> Vec<u8> {
    let full = |uri: &[u8]| tlv(0xa0, &tlv(0xa0, &tlv(0x86, uri)));
    seq(&[
        &uri.map_or(Vec::new(), full),
        &reasons.map_or(Vec::new(), |bits| tlv(0x81, bits)),
        &issuer.map_or(Vec::new(), |text| tlv(0xa2, &tlv(0xa4, &name(text)))),
    ])
}

fn issuing(uri: Option<&[u8]>, more: &[u8]) -> Vec<u8> {
    let full = uri.map_or(Vec::new(), |uri| tlv(0xa0, &tlv(0xa0, &tlv(0x86, uri))));
    seq(&[&full, more])
}

#[test]
fn scopes() {
    let pki = Pki::new();
    let list = |idp: &[u8]| pki.list().with(IDP, true, idp);
    let at = |points: &[Vec<u8>]| pki.leaf().with(31, false, &tlv(0x30, &points.concat()));
    let here = at(&[point(Some(URI), None, None)]);
    let one = |list: ListDraft| [list.sign(&pki.ca)];
    pki.expect("the point's", &here, &one(list(&issuing(Some(URI), &[]))), FINE);
    let other = issuing(Some(b"http://example.com/b.crl"), &[]);
    pki.expect("another point's", &here, &one(list(&other)), MISSING);
    let escaped = issuing(Some(b"http://example.com/%61.crl"), &[]);
    pki.expect("the same in other words", &here, &one(list(&escaped)), MISSING);
    pki.list_is("of a point, and the leaf names none", &list(&issuing(Some(URI), &[])), MISSING);
    pki.expect("without a scope", &here, &one(pki.list()), FINE);
    let not_critical = pki.list().with(IDP, false, &issuing(Some(URI), &[]));
    pki.expect("scope that is not critical", &here, &one(not_critical), LAX);
    pki.list_is("of users", &list(&issuing(None, &[0x81, 1, 0xff])), FINE);
    pki.list_is("of CAs", &list(&issuing(None, &[0x82, 1, 0xff])), MISSING);
    pki.list_is("of attribute certificates", &list(&issuing(None, &[0x85, 1, 0xff])), MISSING);
    // By reason: keyCompromise alone, and all others.
    let some = list(&issuing(Some(URI), &[0x83, 2, 6, 0x40]));
    let rest = list(&issuing(Some(URI), &[0x83, 3, 7, 0x3f, 0x80]));
    pki.expect("some reasons", &here, &one(some.clone()), MISSING);
    pki.expect("all reasons in two", &here, &[some.sign(&pki.ca), rest.sign(&pki.ca)], FINE);
    let listed = rest.clone().revoke(SERIAL, &[reason(5)]);
    pki.expect("in the second", &here, &[some.sign(&pki.ca), listed.sign(&pki.ca)], REVOKED);
    let limited = at(&[point(Some(URI), Some(&[6, 0x40]), None)]);
    let whole = list(&issuing(Some(URI), &[]));
    // RFC 5280 4.2.1.13: one point has to do for all reasons.
    let some_reasons = ("status-missing", "nonconforming");
    pki.expect("a point of some reasons", &limited, &one(whole), some_reasons);
    let own = ("ok", "nonconforming");
    pki.expect("and the issuer's own list", &limited, &one(pki.list()), own);
    let both = at(&[point(Some(URI), Some(&[6, 0x40]), None), point(Some(URI), None, None)]);
    pki.expect("and another for all", &both, &one(pki.list()), FINE);
}

#[test]
fn indirect_lists() {
    let pki = Pki::new();
    let (signer, stranger) = (Key::new(), Key::new());
    let appointed = Draft::leaf("lists", &signer, "root", &pki.root)
        .with(15, true, &[3, 2, 1, 2])
        .sign(&pki.root);
    let more = [appointed];
    let leaf =
        |issuer: &str| pki.leaf().with(31, false, &seq(&[&point(Some(URI), None, Some(issuer))]));
    let list = |indirect: bool| {
        let flag: &[u8] = if indirect { &[0x84, 1, 0xff] } else { &[] };
        ListDraft::new("lists", &signer).with(IDP, true, &issuing(Some(URI), flag))
    };
    let ask = |what: &str, list: &ListDraft, expected: (&str, &str)| {
        let crls = [list.sign(&signer)];
        pki.expect_all(what, &leaf("lists"), &more, &crls, &[], expected);
    };
    ask("empty", &list(true), FINE);
    ask("not indirect", &list(false), MISSING);
    ask("about its own issuer", &list(true).revoke(SERIAL, &[]), FINE);
    let named = [entry_issuer("ca")];
    ask("about the CA", &list(true).revoke(SERIAL, &named), REVOKED);
    // The issuer named holds for the entries after it, until another is.
    let sticky = list(true).revoke(&[7], &named).revoke(SERIAL, &[]);
    ask("about the CA, said before", &sticky, REVOKED);
    let ended = list(true)
        .revoke(&[7], &named)
        .revoke(&[8], &[entry_issuer("another")])
        .revoke(SERIAL, &[]);
    ask("about another", &ended, FINE);
    let crls = [list(true).revoke(SERIAL, &named).sign(&signer)];
    pki.expect_all("not appointed", &leaf("others"), &more, &crls, &[], MISSING);
    let forged = [list(true).sign(&stranger)];
    pki.expect_all("forged", &leaf("lists"), &more, &forged, &[], MISSING);
    pki.expect_all("signer unknown", &leaf("lists"), &[], &crls, &[], MISSING);
    // Where only what is known has to be good, such a list is known.
    let roots = [pki.root().sign(&pki.root)];
    let untrusted = [pki.ca().sign(&pki.root), more[0].clone()];
    let given = Given { roots: &roots, untrusted: &untrusted, crls: &crls, ocsp: &[] };
    let options = Options::at(AT).revocation(Revocation::Known);
    assert_eq!(code(&verify(&leaf("lists").sign(&pki.ca), &given, &options)), "revoked");
    // Whom the leaf has to be its signer need not be.
    let crls = [list(true).sign(&signer)];
    let given = Given { crls: &crls, ..given };
    let named = leaf("lists").with(17, false, &general_names(&[(0x81, b"a@example.com")]));
    let options = Options::at(AT).revocation(Revocation::Leaf).email("a@example.com");
    assert_eq!(code(&verify(&named.sign(&pki.ca), &given, &options)), "ok");
}

const SIGNS_ANSWERS: &[u8] = &[0x30, 10, 0x06, 8, 0x2b, 6, 1, 5, 5, 7, 3, 9];

#[test]
fn answers() {
    let pki = Pki::new();
    let (delegate, stranger) = (Key::new(), Key::new());
    let times = ("20260531000000Z", "20260630000000Z");
    let issuer = ("ca", &pki.ca);
    let own = Responder::Name("ca");
    let status = |status: &[u8]| [single(SERIAL, issuer, status, times)];
    let by_ca = |singles: &[Vec<u8>]| answer(&own, singles, &pki.ca, &[]).unwrap();
    let ask = |what: &str, ocsp: &[OcspResponse], expected: (&str, &str)| {
        pki.expect_all(what, &pki.leaf(), &[], &[], ocsp, expected);
    };
    let good = || by_ca(&status(GOOD));
    let bad = || by_ca(&status(&revoked()));
    ask("good", &[good()], FINE);
    ask("revoked", &[bad()], REVOKED);
    ask("unknown", &[by_ca(&status(UNKNOWN))], MISSING);
    ask("good and revoked", &[good(), bad()], REVOKED);
    let by_key = answer(&Responder::Key(&pki.ca), &status(GOOD), &pki.ca, &[]).unwrap();
    ask("by key", &[by_key], FINE);
    let dated = |of: &[u8], times| by_ca(&[single(SERIAL, issuer, of, times)]);
    let past = ("20260401000000Z", "20260501000000Z");
    let future = ("20260602000000Z", "20260630000000Z");
    ask("good and old", &[dated(GOOD, past)], STALE);
    ask("revoked and old", &[dated(&revoked(), past)], REVOKED);
    ask("of the future", &[dated(GOOD, future)], STALE);
    let other = [single(&[1], issuer, GOOD, times), single(SERIAL, ("x", &pki.ca), GOOD, times)];
    ask("about others", &[by_ca(&other)], MISSING);
    let bad_too = |first: &[u8], second: &[u8]| {
        by_ca(&[single(SERIAL, issuer, first, times), single(SERIAL, issuer, second, times)])
    };
    ask("good and revoked in one", &[bad_too(GOOD, &revoked())], REVOKED);
    ask("revoked and good in one", &[bad_too(&revoked(), GOOD)], REVOKED);
    let both = [single(SERIAL, issuer, &revoked(), times), single(SERIAL, issuer, GOOD, past)];
    ask("two in one answer", &[by_ca(&both)], REVOKED);
    ask("forged", &[answer(&own, &status(GOOD), &stranger, &[]).unwrap()], MISSING);
    ask("a grave fault", &[by_ca(&[])], MISSING);

    let no_check = |draft: Draft| {
        let mut draft = draft;
        draft.extensions.push((vec![0x2b, 6, 1, 5, 5, 7, 0x30, 1, 5], false, vec![5, 0]));
        draft
    };
    let appointed = || {
        no_check(Draft::leaf("answers", &delegate, "ca", &pki.ca).with(
            PURPOSES,
            false,
            SIGNS_ANSWERS,
        ))
    };
    let by = |draft: &Draft, signer: &Key, as_whom: &Responder<'_>| {
        [answer(as_whom, &status(GOOD), &delegate, &[draft.der(signer)]).unwrap()]
    };
    let named = Responder::Name("answers");
    ask("by a delegate", &by(&appointed(), &pki.ca, &named), FINE);
    ask("by its key", &by(&appointed(), &pki.ca, &Responder::Key(&delegate)), FINE);
    ask("under another name", &by(&appointed(), &pki.ca, &Responder::Name("x")), MISSING);
    ask("appointed by itself", &by(&appointed(), &delegate, &named), MISSING);
    let by_root = Draft { issuer: name("root"), ..appointed() };
    ask("appointed by the root", &by(&by_root, &pki.root, &named), MISSING);
    ask("without the purpose", &by(&appointed().without(PURPOSES), &pki.ca, &named), MISSING);
    let any = appointed().with(PURPOSES, false, &[0x30, 6, 0x06, 4, 0x55, 0x1d, 0x25, 0]);
    ask("for any purpose", &by(&any, &pki.ca, &named), MISSING);
    let expired = Draft { validity: (utc("250101000000Z"), utc("260101000000Z")), ..appointed() };
    ask("expired", &by(&expired, &pki.ca, &named), MISSING);
    let encrypts = appointed().with(15, true, &[3, 2, 5, 0x20]);
    ask("whose key does not sign", &by(&encrypts, &pki.ca, &named), MISSING);
    let mut odd = appointed();
    odd.extensions.push((ce(99), true, vec![5, 0]));
    ask("with an unknown critical extension", &by(&odd, &pki.ca, &named), MISSING);
    // Without noCheck its own status has to be known, where one is strict.
    let checked = Draft { serial: vec![77], ..Draft::leaf("answers", &delegate, "ca", &pki.ca) }
        .with(PURPOSES, false, SIGNS_ANSWERS);
    let answers = by(&checked, &pki.ca, &named);
    ask("not checked", &answers, LAX);
    let revokes = pki.list().revoke(&[77], &[]).sign(&pki.ca);
    let ca_only = pki.list().revoke(&[77], &[]).with(IDP, true, &issuing(None, &[0x82, 1, 0xff]));
    pki.expect_all(
        "revoked itself, and a list that clears",
        &pki.leaf(),
        &[],
        &[revokes],
        &answers,
        FINE,
    );
    pki.expect_all("a list of CAs", &pki.leaf(), &[], &[ca_only.sign(&pki.ca)], &answers, LAX);
    // If one source says revoked, it is.
    let listed = [pki.list().revoke(SERIAL, &[]).sign(&pki.ca)];
    pki.expect_all("good, but listed", &pki.leaf(), &[], &listed, &[good()], REVOKED);
    let clears = [pki.list().sign(&pki.ca)];
    pki.expect_all("not listed, but revoked", &pki.leaf(), &[], &clears, &[bad()], REVOKED);
}
