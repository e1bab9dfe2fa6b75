use super::*;

fn fault(bytes: &[u8]) -> Option<(u64, DerKind)> {
    let mut reader = Reader::new(bytes);
    let checked = reader.next("an element").and_then(|element| {
        reader.finish()?;
        check(&element)
    });
    checked.err().map(|fault| (fault.offset, fault.kind))
}

#[test]
fn each_rule_of_der_is_named_with_the_offset_of_the_element() {
    let cases: &[(&[u8], u64, DerKind)] = &[
        (&[], 0, DerKind::Missing { expected: "an element" }),
        (&[0x30], 0, DerKind::Truncated { needed: 2, available: 1 }),
        (&[0x30, 3, 2, 1], 0, DerKind::Truncated { needed: 5, available: 4 }),
        (&[0x30, 3, 2, 2, 1], 2, DerKind::Truncated { needed: 4, available: 3 }),
        (&[0x30, 0x80, 0, 0], 0, DerKind::IndefiniteLength),
        (&[0x30, 0x81, 3, 2, 1, 0], 0, DerKind::LengthNotMinimal),
        (&[0x30, 0x82, 0, 3, 2, 1, 0], 0, DerKind::LengthNotMinimal),
        (&[0x30, 3, 0x9f, 1, 0], 2, DerKind::HighTagNumber),
        (&[0x30, 3, 1, 1, 1], 2, DerKind::Boolean),
        (&[0x30, 4, 2, 2, 0, 1], 2, DerKind::Integer),
        (&[0x30, 4, 2, 2, 0xff, 0x80], 2, DerKind::Integer),
        (&[0x30, 2, 2, 0], 2, DerKind::Integer),
        (&[0x30, 4, 6, 2, 0x80, 1], 2, DerKind::Oid),
        (&[0x30, 4, 3, 2, 1, 1], 2, DerKind::BitString),
        (&[0x30, 4, 3, 2, 8, 0], 2, DerKind::BitString),
        (&[0x30, 3, 5, 1, 0], 2, DerKind::Null),
        (&[0x30, 3, 0x0c, 1, 0xff], 2, DerKind::Text { string_type: "UTF8String" }),
        (&[0x30, 3, 0x13, 1, b'@'], 2, DerKind::Text { string_type: "PrintableString" }),
        (&[0x30, 3, 0x16, 1, 0x80], 2, DerKind::Text { string_type: "IA5String" }),
        (&[0x30, 3, 0x17, 1, b'0'], 2, DerKind::Time),
        (&[0x31, 6, 2, 1, 2, 2, 1, 1], 5, DerKind::SetOrder),
        (&[0x30, 5, 0x2c, 3, 0x0c, 1, b'a'], 2, DerKind::Form { found: 0x2c }),
        (&[0x10, 0], 0, DerKind::Form { found: 0x10 }),
        (&[0x30, 0, 0], 2, DerKind::Extra { count: 1 }),
    ];
    for (bytes, offset, kind) in cases {
        assert_eq!(fault(bytes), Some((*offset, *kind)), "{bytes:02x?}");
    }
}

#[test]
fn nesting_is_bounded() {
    let mut bytes = Vec::new();
    for _ in 0..20 {
        bytes = sequence(&[bytes]);
    }
    assert_eq!(fault(&bytes), None);
    for _ in 0..20 {
        bytes = sequence(&[bytes]);
    }
    assert!(
        matches!(fault(&bytes), Some((50, DerKind::Depth { limit: 24 }))),
        "{:?}",
        fault(&bytes)
    );
}

#[test]
fn what_is_written_is_read_back() {
    for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000] {
        let content = vec![7; length];
        let bytes = tlv(OCTET_STRING, &[&content]);
        let element = Reader::new(&bytes).next("it").unwrap();
        assert_eq!(element.value(), content);
        assert_eq!(element.raw(), bytes);
    }
    for (magnitude, encoded) in [
        (&[0_u8, 0][..], &[2_u8, 1, 0][..]),
        (&[0x7f], &[2, 1, 0x7f]),
        (&[0, 0x80], &[2, 2, 0, 0x80]),
        (&[1, 0], &[2, 2, 1, 0]),
    ] {
        assert_eq!(unsigned(magnitude), encoded);
    }
}
