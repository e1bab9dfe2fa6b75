use proptest::prelude::*;

use super::*;

#[test]
fn user_ids_have_bounds_in_bytes_and_no_control_characters() {
    assert!(UserId::parse("").is_err());
    assert!(UserId::parse(&"é".repeat(32)).is_ok());
    let error = UserId::parse(&"é".repeat(33)).unwrap_err();
    assert_eq!(error, IdError::Length { what: "the user id", found: 66, min: 1, max: 64 });
    for bad in ["a\0", "a\n", "\u{7f}", "\u{85}"] {
        assert!(matches!(UserId::parse(bad), Err(IdError::Character { .. })), "{bad:?}");
    }
}

#[test]
fn a_path_segment_must_decode_to_utf8() {
    assert_eq!(UserId::from_path_segment("%61lice").unwrap().as_str(), "alice");
    assert!(matches!(UserId::from_path_segment("%ff"), Err(IdError::Utf8 { .. })));
    assert_eq!(UserId::parse("a/b c@ü").unwrap().percent_encoded(), "a%2Fb%20c%40%C3%BC");
}

#[test]
fn serial_numbers_are_always_sixteen_octets_and_positive() {
    assert!(SerialNumber::new(0x00ff, 0, [0; 8]).is_none());
    assert!(SerialNumber::new(0x8000, 0, [0; 8]).is_none());
    assert!(SerialNumber::new(0x0100, 1 << 48, [0; 8]).is_none());
    assert!(SerialNumber::from_hex(&"80".repeat(16)).is_err());
}

proptest! {
    #[test]
    fn percent_encoding_is_undone(text in "[^\\p{Cc}]{1,16}") {
        let uid = UserId::parse(&text).unwrap();
        prop_assert!(uid.percent_encoded().is_ascii());
        prop_assert_eq!(UserId::from_path_segment(&uid.percent_encoded()).unwrap(), uid);
    }

    #[test]
    fn a_serial_number_gives_its_parts_back(
        log in 0x0100u16..=0x7fff, leaf in 0u64..1 << 48, random: [u8; 8],
    ) {
        let serial = SerialNumber::new(log, leaf, random).unwrap();
        prop_assert_eq!((serial.log_number(), serial.leaf_index()), (log, leaf));
        prop_assert_eq!(SerialNumber::from_hex(&serial.to_string()).unwrap(), serial);
    }
}
