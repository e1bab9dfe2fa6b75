use super::*;

fn sample() -> TrustFile {
    TrustFile::new(
        Realm::parse("example.org").unwrap(),
        Hash32::of(b"genesis"),
        b"root",
        String::new(),
        String::new(),
        86_400,
        "https://avouch.example.org".into(),
    )
    .unwrap()
}

#[test]
fn text_and_back() {
    assert_eq!(TrustFile::parse(&sample().to_text()).unwrap(), sample());
}

#[test]
fn the_fingerprint_covers_what_is_trusted_and_not_the_address() {
    let moved = sample().to_text().replace("https://avouch.example.org", "https://elsewhere");
    assert_eq!(TrustFile::parse(&moved).unwrap().fingerprint(), sample().fingerprint());
    let other = sample().to_text().replace("86400", "86401");
    assert_ne!(TrustFile::parse(&other).unwrap().fingerprint(), sample().fingerprint());
}

#[test]
fn unknown_members_and_versions_are_refused() {
    let more = sample().to_text().replacen('{', "{\"pin\": 1,", 1);
    assert!(matches!(TrustFile::parse(&more), Err(TrustError::Json(_))));
    let later = sample().to_text().replace("\"version\": 1", "\"version\": 2");
    assert!(matches!(TrustFile::parse(&later), Err(TrustError::Version { found: 2 })));
}

#[test]
fn the_key_for_addresses_is_carried_and_trusted() {
    let key = [&[4][..], &[7; 64]].concat();
    let with = sample().with_address_key(&key).unwrap();
    let again = TrustFile::parse(&with.to_text()).unwrap();
    assert_eq!(again.address_key(), Some(&key[..]));
    assert_ne!(again.fingerprint(), sample().fingerprint());
    for wrong in [&key[..64], &[5; 65][..], &[]] {
        assert!(sample().with_address_key(wrong).is_err());
    }
}
