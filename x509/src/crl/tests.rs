use super::*;
use crate::name::CaName;

fn issuer() -> Issuer {
    // The generator of P-256: a sound point whose private key is 1.
    let spki = hex::decode(concat!(
        "3059301306072a8648ce3d020106082a8648ce3d030107034200",
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
    ));
    Issuer::for_root(&CaName::new("Test", None).unwrap(), &spki.unwrap()).unwrap()
}

fn parameters(revoked: Vec<Revoked>) -> CrlParameters {
    let scope = CrlScope::Everything;
    CrlParameters { this_update: 100, next_update: 200, number: 1, scope, revoked }
}

fn revoked(serial: u8, at: u64) -> Revoked {
    Revoked { serial: [serial; 16], at, reason: Reason::Unspecified }
}

#[test]
fn lists_that_cannot_be_true_are_refused() {
    let issuer = issuer();
    let refused = |parameters| tbs(&issuer, parameters).unwrap_err();
    let later = refused(parameters(vec![revoked(1, 101)]));
    assert!(matches!(later, CrlError::RevokedLater { at: 101, this_update: 100, .. }), "{later}");
    let twice = refused(parameters(vec![revoked(1, 1), revoked(2, 1), revoked(1, 2)]));
    assert_eq!(twice, CrlError::Twice { serial: "01".repeat(16) });
    let serial = refused(parameters(vec![revoked(0x80, 1)]));
    assert_eq!(serial, CrlError::Serial { serial: "80".repeat(16) });
    let times = refused(CrlParameters { next_update: 100, ..parameters(vec![]) });
    assert_eq!(times, CrlError::Times { this_update: 100, next_update: 100 });
    let scope = CrlScope::UserCertificates { url: "ldap://x".into() };
    let url = refused(CrlParameters { scope, ..parameters(vec![]) });
    assert!(matches!(url, CrlError::Url(_)), "{url}");
}

#[test]
fn an_empty_list_of_entries_is_not_accepted() {
    // RFC 5280 section 5.1.2.6; other libraries write and read these.
    let issuer = issuer();
    let list = tbs(&issuer, parameters(vec![])).unwrap();
    let at = list.der.len()
        - asn1::Reader::new(&list.der).next("").map_or(0, |all| {
            let mut fields = all.reader();
            while fields.peek().is_some_and(|tag| tag != asn1::context_constructed(0)) {
                fields.next("").unwrap();
            }
            fields.remaining()
        });
    let header = list.der.len() - asn1::Reader::new(&list.der).next("").unwrap().value().len();
    let body = asn1::sequence(&[&list.der[header..at], &[0x30, 0], &list.der[at..]]);
    let algorithm = issuer.algorithm().identifier_der();
    let whole = asn1::sequence(&[body.as_slice(), &algorithm, &asn1::bit_string(&[])]);
    assert_eq!(Crl::parse(&whole).unwrap_err(), CrlReadError::EmptyList);
}

#[test]
fn reasons_keep_their_codes() {
    let known: Vec<u8> = (0..=255).filter(|code| Reason::from_code(*code).is_some()).collect();
    assert_eq!(known, [0, 1, 2, 3, 4, 5, 6, 9]);
    assert!(known.iter().all(|code| Reason::from_code(*code).unwrap().code() == *code));
}
