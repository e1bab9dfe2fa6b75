//! Properties of what is read and written, over many inputs.

mod common;

use std::sync::LazyLock;

use avouch_x509 as x509;
use common::{Authority, Kind, NOW, Openssl, P256, RSA_2048, profile, rules};
use proptest::prelude::*;
use wire::{SerialNumber, UserId};
use x509::crl::{self, CrlParameters, CrlScope, Reason, Revoked};
use x509::{Certificate, Crl, Csr, Leaf, Tbs, leaf_tbs, lint, pem};

static REQUESTS: LazyLock<Vec<Csr>> = LazyLock::new(|| {
    let openssl = Openssl::new();
    let san = ["-addext", "subjectAltName=email:a@example.org,URI:avouch://r/alice"];
    [(P256, &[][..]), (RSA_2048, &[]), (P256, &san), (RSA_2048, &san)]
        .iter()
        .map(|(key, more)| {
            Csr::parse(&openssl.request(key, "/O=Example/CN=alice", more), &rules()).unwrap()
        })
        .collect()
});

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new(Kind::P256));

/// One change of a request gives a refusal; nothing signed by the key can be made to say another
/// thing. (ECDSA's r and s admit other values that verify, but the signed content is the same.)
fn assert_no_other_meaning(original: &Csr, changed: &[u8]) {
    if let Ok(csr) = Csr::parse(changed, &rules()) {
        assert_eq!(csr.spki_der(), original.spki_der());
        assert_eq!(csr.subject_common_name(), original.subject_common_name());
        assert_eq!(csr.requested_names(), original.requested_names());
        assert_eq!(csr.der(), original.der(), "another encoding of the same request");
    }
}

#[test]
fn no_flip_of_a_bit_gives_another_accepted_request() {
    for csr in REQUESTS.iter() {
        for bit in 0..csr.der().len() * 8 {
            let mut changed = csr.der().to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_no_other_meaning(csr, &changed);
        }
    }
}

#[test]
fn no_prefix_of_a_request_is_accepted() {
    for csr in REQUESTS.iter() {
        for length in 0..csr.der().len() {
            let error = Csr::parse(&csr.der()[..length], &rules()).unwrap_err();
            assert!(error.offset().is_some_and(|at| at <= length as u64), "{error}");
        }
    }
}

fn any_uid() -> impl Strategy<Value = UserId> {
    "\\PC{1,64}".prop_filter_map("a user id", |text| UserId::parse(&text).ok())
}

fn any_reason() -> impl Strategy<Value = Reason> {
    (0_u8..11).prop_filter_map("a reason", Reason::from_code)
}

proptest! {
    #[test]
    fn changes_in_a_request_do_not_change_its_meaning(
        which in 0_usize..4,
        at in any::<prop::sample::Index>(),
        cut in 0_usize..5,
        insert in prop::collection::vec(any::<u8>(), 0..5),
    ) {
        let csr = &REQUESTS[which];
        let at = at.index(csr.der().len());
        let end = (at + cut).min(csr.der().len());
        let changed = [&csr.der()[..at], &insert, &csr.der()[end..]].concat();
        assert_no_other_meaning(csr, &changed);
    }

    #[test]
    fn nothing_that_is_read_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Csr::parse(&bytes, &rules());
        let _ = Certificate::parse_any(&bytes);
        let _ = Crl::parse_any(&bytes);
        let _ = x509::PublicKey::parse(&bytes, &rules());
    }

    #[test]
    fn pem_gives_back_what_it_was_given(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let text = pem::encode(pem::CRL, &bytes);
        prop_assert_eq!(pem::decode_one(text.as_bytes(), &[pem::CRL]).unwrap(), bytes);
    }

    #[test]
    fn a_certificate_says_what_was_asked_for(
        uid in any_uid(),
        index in 0_u64..1 << 48,
        random in any::<[u8; 8]>(),
        now in NOW..NOW + 86_400 * 365 * 8,
        which in 0_usize..4,
    ) {
        let (ca, profile) = (&*AUTHORITY, profile());
        let issuer = ca.issuer();
        let serial = SerialNumber::new(0x0100, index, random).unwrap();
        let leaf = Leaf { key: REQUESTS[which].key(), uid: &uid, names: &[], serial, now };
        let tbs = leaf_tbs(&profile, &issuer, &leaf).unwrap();
        let recorded = Tbs::from_recorded(tbs.der().to_vec());
        let linted = lint::leaf(recorded, &profile, &issuer, &leaf).unwrap();
        prop_assert_eq!(linted.tbs_der(), tbs.der());
        let signature = ca.issuing_key.sign(linted.tbs_der());
        let certificate = linted.assemble(&signature).unwrap();
        prop_assert_eq!(certificate.tbs_der(), tbs.der());
        prop_assert_eq!(certificate.serial(), serial.as_bytes());
        prop_assert_eq!(certificate.spki_der(), leaf.key.spki_der());
        let name = certificate.subject_cn();
        prop_assert_eq!(name.as_deref(), Some(uid.as_str()));
        let uri = certificate.san_uris().next().unwrap();
        let segment = uri.strip_prefix("avouch://example.org/").unwrap();
        prop_assert_eq!(&UserId::from_path_segment(segment).unwrap(), &uid);
        prop_assert!(certificate.not_before() <= now && now < certificate.not_after());
        prop_assert_eq!(certificate.aki(), ca.issuing.ski());
    }

    #[test]
    fn a_revocation_list_finds_its_entries_and_no_others(
        indices in prop::collection::btree_set(0_u64..1000, 0..40),
        reason in any_reason(),
        number in any::<u64>(),
    ) {
        let (ca, issuer) = (&*AUTHORITY, AUTHORITY.issuer());
        let revoked: Vec<_> = indices.iter().rev().map(|index| Revoked {
            serial: *common::serial(*index).as_bytes(),
            at: NOW - index,
            reason,
        }).collect();
        let scope = CrlScope::UserCertificates { url: "http://ca.example.org/1.crl".into() };
        let parameters =
            CrlParameters { this_update: NOW, next_update: NOW + 60, number, scope, revoked };
        let mut shuffled = parameters.clone();
        shuffled.revoked.reverse();
        let tbs = crl::tbs(&issuer, parameters).unwrap();
        prop_assert_eq!(&tbs, &crl::tbs(&issuer, shuffled).unwrap());
        let linted = tbs.lint(&issuer).unwrap();
        let signature = ca.issuing_key.sign(linted.tbs_der());
        let list = Crl::parse(&linted.assemble(&signature).unwrap()).unwrap();
        prop_assert!(list.is_signed_by(&issuer));
        for index in 0..1000 {
            let expected = indices.contains(&index).then_some((NOW - index, Some(reason)));
            prop_assert_eq!(list.find(common::serial(index).as_bytes()), expected);
        }
    }
}
