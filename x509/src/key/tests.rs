use super::*;

/// A P-256 SubjectPublicKeyInfo with the generator as its point (SEC 2 section 2.4.2).
fn p256_generator() -> Vec<u8> {
    hex::decode(concat!(
        "3059301306072a8648ce3d020106082a8648ce3d030107034200",
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
    ))
    .unwrap()
}

fn identity() -> KeyRules {
    KeyRules::identity(Arc::default())
}

#[test]
fn a_point_off_the_curve_is_refused_where_it_stands() {
    let mut spki = p256_generator();
    assert_eq!(PublicKey::parse(&spki, &identity()).unwrap().algorithm(), KeyAlgorithm::P256);
    *spki.last_mut().unwrap() ^= 1;
    let error = PublicKey::parse(&spki, &identity()).unwrap_err();
    assert_eq!(error, KeyError::OffCurve { curve: KeyAlgorithm::P256, offset: 26 });
    assert_eq!(error.code(), "off-curve");
}

#[test]
fn a_key_has_one_encoding_only() {
    // The same point compressed: valid elsewhere, but its hash would be another key's.
    let x = &p256_generator()[27..59];
    let compressed = asn1::sequence(&[
        asn1::sequence(&[asn1::oid(oids::ID_EC_PUBLIC_KEY), asn1::oid(oids::SECP_256_R_1)]),
        asn1::bit_string(&[&[3], x].concat()),
    ]);
    let error = PublicKey::parse(&compressed, &identity()).unwrap_err();
    assert!(
        matches!(error, KeyError::PointForm { found: 33, first: 3, expected: 65, .. }),
        "{error}"
    );
}

#[test]
fn other_curves_and_kinds_are_refused_by_name() {
    let ec = |parameters: Vec<u8>| {
        asn1::sequence(&[
            asn1::sequence(&[asn1::oid(oids::ID_EC_PUBLIC_KEY), parameters]),
            asn1::bit_string(&[4; 65]),
        ])
    };
    let other = |oid: &str| {
        let oid = ObjectIdentifier::new(oid).unwrap();
        asn1::sequence(&[asn1::sequence(&[asn1::oid(oid)]), asn1::bit_string(&[4; 32])])
    };
    for (spki, says) in [
        (ec(asn1::oid(oids::SECP_521_R_1)), "the curve P-521 is not accepted"),
        (ec(asn1::oid(ObjectIdentifier::new_unwrap("1.3.132.0.10"))), "secp256k1"),
        (ec(asn1::sequence::<Vec<u8>>(&[])), "explicit parameters"),
        (
            other("1.3.101.112"),
            "Ed25519 keys are not accepted: an identity must be able to receive",
        ),
        (other("1.3.101.110"), "X25519 keys are not accepted: this kind cannot sign"),
        (other("1.2.3.4"), "1.2.3.4 keys are not accepted"),
    ] {
        let error = PublicKey::parse(&spki, &identity()).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(error.code(), "unsupported-key");
    }
}

#[test]
fn a_listed_key_is_refused() {
    let spki = p256_generator();
    let text = format!("# found in the wild\n{}\n", hex::encode(Sha256::digest(&spki)));
    let rules = KeyRules::identity(Arc::new(Blocklist::parse(&text).unwrap()));
    let error = PublicKey::parse(&spki, &rules).unwrap_err();
    assert_eq!(error, KeyError::Blocked(BlockReason::Listed));
}

#[test]
fn a_blocklist_with_a_strange_line_is_refused() {
    let error = Blocklist::parse("# x\n\n0123\n").unwrap_err();
    assert_eq!(error, BlocklistError { line: 3, length: 4 });
}
