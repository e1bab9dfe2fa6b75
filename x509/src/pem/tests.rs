use super::*;

const ONE: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";

#[test]
fn blocks_are_read_whatever_their_line_length() {
    let der: Vec<u8> = (0..=255).collect();
    let wrapped = encode(CERTIFICATE, &der);
    assert!(wrapped.lines().all(|line| line.len() <= 64));
    let body: String = wrapped.lines().filter(|line| !line.starts_with('-')).collect();
    let unwrapped =
        format!("-----BEGIN CERTIFICATE-----\r\n{body}\r\n-----END CERTIFICATE-----\r\n");
    for text in [wrapped.clone(), unwrapped, format!("Subject: CN=x\n{wrapped}\n\n")] {
        assert!(is_pem(text.as_bytes()));
        assert_eq!(decode_one(text.as_bytes(), &[CERTIFICATE]).unwrap(), der);
    }
}

#[test]
fn each_fault_is_named_with_its_line() {
    use PemError::{After, Base64, Boundary, Empty, NotText, Unterminated};
    let cases: &[(&[u8], PemError)] = &[
        (b"MAA=", Empty { expected: CERTIFICATE }),
        (b"x\n-----BEGIN CERTIFICATE\nMAA=\n", Boundary { line: 2 }),
        (b"\n-----BEGIN CERTIFICATE-----\nMAA=\n", Unterminated { line: 2 }),
        (b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END X-----\n", Unterminated { line: 1 }),
        (b"-----BEGIN CERTIFICATE-----\nMA*=\n-----END CERTIFICATE-----", Base64 { line: 2 }),
        (b"-----BEGIN CERTIFICATE-----\nMAA\n-----END CERTIFICATE-----", Base64 { line: 3 }),
        // Bits that base64 would drop: two texts must not mean the same bytes.
        (b"-----BEGIN CERTIFICATE-----\nMAB=\n-----END CERTIFICATE-----", Base64 { line: 3 }),
        (b"-----BEGIN \xff", NotText { offset: 11 }),
    ];
    for (input, expected) in cases {
        assert_eq!(decode_one(input, &[CERTIFICATE]).as_ref(), Err(expected), "{input:?}");
    }
    let twice = [ONE, ONE].concat();
    assert_eq!(decode_one(twice.as_bytes(), &[CERTIFICATE]), Err(After { line: 4 }));
}

#[test]
fn a_private_key_is_not_taken_for_a_certificate() {
    let text = format!("{ONE}-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n");
    let expected = PemError::Label { found: "PRIVATE KEY".into(), expected: CERTIFICATE };
    assert_eq!(decode_chain(text.as_bytes(), 10), Err(expected));
}

#[test]
fn chains_keep_their_order_and_their_limit() {
    let chain = [vec![0x30, 0], vec![0x30, 1, 0], vec![0x30, 0]];
    let text = encode_chain(chain.iter().map(Vec::as_slice));
    assert_eq!(decode_chain(text.as_bytes(), 3).unwrap(), chain);
    assert_eq!(decode_chain(text.as_bytes(), 2), Err(PemError::TooMany { limit: 2 }));
}
